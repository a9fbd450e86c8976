/* To and fro between two paths: followed at once, then more and more slowly, and forgotten in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "path/path_set.h"
#include "path/sway.h"

#define PTO ROAM_MILLISECONDS(100)

/* So many moves between the paths 1 and 2, one right after the other. */
static void swing(struct sway *sway, roam_time now, unsigned moves)
{
    for (unsigned i = 0; i < moves; i++)
        sway_on_move(sway, now, 1 + i % 2, 2 - i % 2, PTO);
}

static void nothing_has_to_wait_at_first(void **state)
{
    (void)state;
    struct sway sway;
    sway_init(&sway);
    assert_false(sway_must_wait(&sway, 0, 0));
    assert_false(sway_must_wait(&sway, 0, PATH_ID_NONE));
}

static void a_few_returns_are_followed_at_once(void **state)
{
    (void)state;
    struct sway sway;
    for (unsigned moves = 1; moves <= SWAY_FREE_RETURNS; moves++) {
        sway_init(&sway);
        swing(&sway, 1000, moves);
        assert_false(sway_must_wait(&sway, 1000, 1));
        assert_false(sway_must_wait(&sway, 1000, 2));
    }
}

static void the_waits_double_up_to_the_longest(void **state)
{
    (void)state;
    struct sway sway;
    roam_time wait = SWAY_WAIT_PTOS * PTO;
    for (unsigned moves = SWAY_FREE_RETURNS + 1; moves < 30; moves++) {
        sway_init(&sway);
        swing(&sway, 1000, moves);
        uint64_t left = moves % 2 == 0 ? 2 : 1;
        assert_true(sway_must_wait(&sway, 1000 + wait - 1, left));
        assert_false(sway_must_wait(&sway, 1000 + wait, left));
        /* The other path is where the connection is, and a third is none of this. */
        assert_false(sway_must_wait(&sway, 1000, 3 - left));
        assert_false(sway_must_wait(&sway, 1000, 3));
        wait = wait < SWAY_WAIT_PTOS_MAX * PTO ? 2 * wait : wait;
    }
    assert_int_equal(wait, SWAY_WAIT_PTOS_MAX * PTO);
}

static void a_third_place_begins_anew(void **state)
{
    (void)state;
    struct sway sway;
    sway_init(&sway);
    swing(&sway, 1000, 10);
    sway_on_move(&sway, 1000, 1, 3, PTO);
    assert_false(sway_must_wait(&sway, 1000, 1));
    assert_int_equal(sway.returns, 0);
}

static void quiet_makes_it_forget(void **state)
{
    (void)state;
    struct sway sway;
    sway_init(&sway);
    swing(&sway, 1000, SWAY_FREE_RETURNS);
    sway_on_move(&sway, sway.forget_at - 1, 2, 1, PTO);
    assert_int_equal(sway.returns, SWAY_FREE_RETURNS);
    sway_on_move(&sway, sway.forget_at, 1, 2, PTO);
    assert_int_equal(sway.returns, 0);
}

static void a_pto_of_for_ever_does_not_wrap_around(void **state)
{
    (void)state;
    struct sway sway;
    sway_init(&sway);
    for (unsigned i = 0; i < 10; i++)
        sway_on_move(&sway, 1000, 1 + i % 2, 2 - i % 2, ROAM_TIME_NEVER);
    assert_true(sway_must_wait(&sway, ROAM_TIME_NEVER - 1, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_to_wait_at_first),
        cmocka_unit_test(a_few_returns_are_followed_at_once),
        cmocka_unit_test(the_waits_double_up_to_the_longest),
        cmocka_unit_test(a_third_place_begins_anew),
        cmocka_unit_test(quiet_makes_it_forget),
        cmocka_unit_test(a_pto_of_for_ever_does_not_wrap_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
