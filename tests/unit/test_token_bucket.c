/* The token bucket: its rate, its burst, and clocks that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/token_bucket.h"

static unsigned take_all(struct token_bucket *bucket, roam_time now)
{
    unsigned taken = 0;
    while (taken < 100000 && token_bucket_take(bucket, now))
        taken++;
    return taken;
}

static void a_burst_is_one_seconds_worth(void **state)
{
    (void)state;
    struct token_bucket bucket;
    token_bucket_init(&bucket, 10, 1000);
    assert_int_equal(take_all(&bucket, 1000), 10);
    assert_int_equal(take_all(&bucket, 1000 + ROAM_SECONDS(100)), 10);
}

static void tokens_come_back_at_the_rate(void **state)
{
    (void)state;
    struct token_bucket bucket;
    token_bucket_init(&bucket, 10, 0);
    assert_int_equal(take_all(&bucket, 0), 10);
    assert_int_equal(take_all(&bucket, ROAM_MILLISECONDS(100) - 1), 0);
    assert_int_equal(take_all(&bucket, ROAM_MILLISECONDS(100)), 1);
    assert_int_equal(take_all(&bucket, ROAM_MILLISECONDS(450)), 3);
    assert_int_equal(take_all(&bucket, ROAM_MILLISECONDS(500)), 1);
}

static void fractions_of_a_token_are_not_lost(void **state)
{
    (void)state;
    struct token_bucket bucket;
    unsigned taken = 0;
    token_bucket_init(&bucket, 3, 0);
    take_all(&bucket, 0);
    for (roam_time now = 0; now <= ROAM_SECONDS(10); now += ROAM_MILLISECONDS(1))
        taken += take_all(&bucket, now);
    assert_int_equal(taken, 30);
}

static void a_rate_of_zero_lets_nothing_through(void **state)
{
    (void)state;
    struct token_bucket bucket;
    token_bucket_init(&bucket, 0, 0);
    assert_false(token_bucket_take(&bucket, 0));
    assert_false(token_bucket_take(&bucket, ROAM_SECONDS(1000)));
}

static void a_clock_that_steps_back_gives_nothing(void **state)
{
    (void)state;
    struct token_bucket bucket;
    token_bucket_init(&bucket, 5, ROAM_SECONDS(10));
    assert_int_equal(take_all(&bucket, ROAM_SECONDS(10)), 5);
    assert_int_equal(take_all(&bucket, ROAM_SECONDS(5)), 0);
    assert_int_equal(take_all(&bucket, ROAM_SECONDS(10)), 0);
}

static void huge_numbers_do_not_wrap(void **state)
{
    (void)state;
    struct token_bucket bucket;
    token_bucket_init(&bucket, UINT64_MAX, 0);
    assert_true(token_bucket_take(&bucket, UINT64_MAX - 1));
    token_bucket_init(&bucket, 10, 0);
    take_all(&bucket, 0);
    assert_int_equal(take_all(&bucket, UINT64_MAX - 1), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_one_seconds_worth),          cmocka_unit_test(tokens_come_back_at_the_rate),
        cmocka_unit_test(fractions_of_a_token_are_not_lost),     cmocka_unit_test(a_rate_of_zero_lets_nothing_through),
        cmocka_unit_test(a_clock_that_steps_back_gives_nothing), cmocka_unit_test(huge_numbers_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
