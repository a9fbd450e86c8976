/* Packet number spaces: numbers out, numbers left out, and acknowledgements of what was never sent. */
#include "recovery_fixture.h"

#include "recovery/pn_space.h"

struct fixture {
    struct counting_allocator counting;
    roam_allocator allocator;
    struct pool pool;
    struct seeded seed;
    roam_rng rng;
    struct pn_space space;
};

static void fill(void *context, void *buf, size_t len)
{
    seeded_fill(context, buf, len);
}

static void no_fill(void *context, void *buf, size_t len)
{
    (void)context, (void)buf, (void)len;
    fail_msg("randomness was drawn");
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.seed = {1}};
    fixture.allocator = counting_allocator(&fixture.counting);
    fixture.rng = (roam_rng){.fill = fill, .context = &fixture.seed};
    pool_init(&fixture.pool, &fixture.allocator, sizeof(struct sent_frame), 32);
    pn_space_init(&fixture.space, &fixture.allocator, &fixture.pool);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    pn_space_done(&fixture->space);
    pool_done(&fixture->pool);
    return fixture->counting.bytes_out == 0 ? 0 : -1;
}

static void a_new_space_waits_for_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(fixture->space.next_number, 0);
    assert_int_equal(fixture->space.largest_acked, PACKET_NUMBER_NONE);
    assert_int_equal(fixture->space.skipped, PACKET_NUMBER_NONE);
    assert_int_equal(fixture->space.loss_time, ROAM_TIME_NEVER);
    assert_int_equal(fixture->space.last_eliciting_sent_at, 0);
    assert_int_equal(fixture->space.probes, 0);
    assert_int_equal(fixture->space.received.largest, PACKET_NUMBER_NONE);
    assert_int_equal(fixture->space.sent.outstanding, 0);
    assert_int_equal(fixture->counting.bytes_out, 0);
}

static void without_skipping_numbers_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    const roam_rng none = {.fill = no_fill};
    for (uint64_t number = 0; number < 5000; number++)
        assert_int_equal(pn_space_take_number(&fixture->space, false, &none), number);
    assert_int_equal(fixture->space.skipped, PACKET_NUMBER_NONE);
}

static void numbers_rise_and_now_and_then_one_is_left_out(void **state)
{
    //= rfc9000#21.4-1 Skip packet numbers and close with PROTOCOL_VIOLATION when a skipped one is acknowledged.
    struct fixture *fixture = *state;
    for (uint64_t start = 1; start <= 50; start++) {
        struct pn_space *space = &fixture->space;
        pn_space_init(space, &fixture->allocator, &fixture->pool);
        fixture->seed.state = start;
        uint64_t expected = 0, skips = 0, last_skip = 0;
        for (unsigned i = 0; i < 20000; i++) {
            uint64_t number = pn_space_take_number(space, true, &fixture->rng);
            assert_true(number == expected || number == expected + 1);
            if (number == expected + 1) {
                assert_true(space->skipped == expected);
                assert_true(expected - last_skip <= 1025);
                last_skip = expected;
                skips++;
            }
            expected = number + 1;
        }
        assert_in_range(skips, 20, 100);
    }
}

static void where_numbers_are_left_out_depends_on_chance(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first[2];
    for (int i = 0; i < 2; i++) {
        pn_space_init(&fixture->space, &fixture->allocator, &fixture->pool);
        fixture->seed.state = 100 + (uint64_t)i;
        while (fixture->space.skipped == PACKET_NUMBER_NONE)
            pn_space_take_number(&fixture->space, true, &fixture->rng);
        first[i] = fixture->space.skipped;
        assert_in_range(first[i], 1, 64);
    }
    assert_int_not_equal(first[0], first[1]);
}

static void a_skip_that_came_due_while_none_was_allowed_comes_later(void **state)
{
    struct fixture *fixture = *state;
    pn_space_take_number(&fixture->space, true, &fixture->rng);
    for (int i = 0; i < 100; i++)
        pn_space_take_number(&fixture->space, false, &fixture->rng);
    assert_int_equal(fixture->space.skipped, PACKET_NUMBER_NONE);
    assert_int_equal(pn_space_take_number(&fixture->space, true, &fixture->rng), 102);
    assert_int_equal(fixture->space.skipped, 101);
}

static void acknowledgements_of_what_was_never_sent_are_told(void **state)
{
    struct fixture *fixture = *state;
    struct pn_space *space = &fixture->space;
    assert_true(pn_space_is_unsent(space, 0, 0));
    while (space->skipped == PACKET_NUMBER_NONE)
        pn_space_take_number(space, true, &fixture->rng);
    uint64_t skipped = space->skipped, newest = space->next_number - 1;
    assert_true(newest == skipped + 1);
    assert_false(pn_space_is_unsent(space, 0, skipped - 1));
    assert_true(pn_space_is_unsent(space, 0, skipped));
    assert_true(pn_space_is_unsent(space, skipped, skipped));
    assert_true(pn_space_is_unsent(space, 0, newest));
    assert_false(pn_space_is_unsent(space, newest, newest));
    assert_true(pn_space_is_unsent(space, newest, newest + 1));
    assert_true(pn_space_is_unsent(space, PACKET_NUMBER_MAX, PACKET_NUMBER_MAX));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_space_waits_for_nothing),
        TEST(without_skipping_numbers_follow_each_other),
        TEST(numbers_rise_and_now_and_then_one_is_left_out),
        TEST(where_numbers_are_left_out_depends_on_chance),
        TEST(a_skip_that_came_due_while_none_was_allowed_comes_later),
        TEST(acknowledgements_of_what_was_never_sent_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
