/* What came in: duplicates, when an ACK is owed, and which ranges are forgotten. */
#include "recovery_fixture.h"

#include "recovery/ack_tracker.h"

#define MS(n) ROAM_MILLISECONDS(n)

static const struct ack_policy usual = {MS(25), 2, 1, PACKET_NUMBER_NONE};
static const struct ack_policy at_once = {0, 2, 1, PACKET_NUMBER_NONE};
static const struct ack_policy short_delay = {1000, 2, 1, PACKET_NUMBER_NONE};

struct fixture {
    struct counting_allocator counting;
    roam_allocator allocator;
    struct ack_tracker tracker;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    fixture.allocator = counting_allocator(&fixture.counting);
    ack_tracker_init(&fixture.tracker, &fixture.allocator);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    ack_tracker_done(&fixture->tracker);
    return fixture->counting.bytes_out == 0 ? 0 : -1;
}

static struct ack_tracker *tracker_of(void **state)
{
    return &((struct fixture *)*state)->tracker;
}

/* An ack-eliciting packet. */
static void receive(struct ack_tracker *tracker, uint64_t number, roam_time now)
{
    assert_false(ack_tracker_is_duplicate(tracker, number));
    assert_true(ack_tracker_on_received(tracker, number, true, ROAM_ECN_NOT_ECT, now, &usual));
    assert_true(ack_tracker_is_duplicate(tracker, number));
}

static void receive_quiet(struct ack_tracker *tracker, uint64_t number, roam_time now)
{
    assert_true(ack_tracker_on_received(tracker, number, false, ROAM_ECN_NOT_ECT, now, &usual));
}

static void at_first_nothing_is_known_or_owed(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    assert_false(ack_tracker_is_duplicate(tracker, 0));
    assert_int_equal(tracker->largest, PACKET_NUMBER_NONE);
    assert_false(tracker->pending);
    assert_false(ack_tracker_is_due(tracker, UINT64_MAX));
}

static void one_packet_is_acknowledged_within_the_delay(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    receive(tracker, 0, MS(100));
    assert_true(tracker->pending);
    assert_int_equal(tracker->deadline, MS(125));
    assert_false(ack_tracker_is_due(tracker, MS(125) - 1));
    assert_true(ack_tracker_is_due(tracker, MS(125)));
    ack_tracker_on_sent(tracker);
    assert_false(tracker->pending);
    assert_int_equal(tracker->deadline, ROAM_TIME_NEVER);
    assert_false(ack_tracker_is_due(tracker, ROAM_SECONDS(9)));
}

static void what_was_acknowledged_is_said_again_on_demand_and_hurries_nobody(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    ack_tracker_say_again(tracker);
    assert_false(tracker->pending);
    receive(tracker, 0, MS(100));
    ack_tracker_on_sent(tracker);
    ack_tracker_say_again(tracker);
    assert_true(tracker->pending);
    assert_false(ack_tracker_is_due(tracker, ROAM_SECONDS(9)));
    assert_int_equal(tracker->deadline, ROAM_TIME_NEVER);
}

static void the_second_packet_is_acknowledged_at_once(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    receive(tracker, 0, MS(100));
    receive(tracker, 1, MS(101));
    assert_true(ack_tracker_is_due(tracker, MS(101)));
    assert_int_equal(tracker->deadline, MS(101));
    ack_tracker_on_sent(tracker);
    receive(tracker, 2, MS(102));
    assert_false(ack_tracker_is_due(tracker, MS(102)));
}

static void without_a_delay_every_packet_is_acknowledged_at_once(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    assert_true(ack_tracker_on_received(tracker, 0, true, ROAM_ECN_NOT_ECT, MS(3), &at_once));
    assert_true(ack_tracker_is_due(tracker, MS(3)));
}

static void a_gap_is_reported_at_once(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    receive(tracker, 0, MS(1));
    ack_tracker_on_sent(tracker);
    receive(tracker, 2, MS(2));
    assert_true(ack_tracker_is_due(tracker, MS(2)));
    ack_tracker_on_sent(tracker);
    receive(tracker, 3, MS(3));
    assert_false(ack_tracker_is_due(tracker, MS(3)));
}

static void a_late_packet_is_reported_at_once(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    receive(tracker, 0, MS(1));
    receive(tracker, 5, MS(1));
    ack_tracker_on_sent(tracker);
    receive(tracker, 3, MS(2));
    assert_true(ack_tracker_is_due(tracker, MS(2)));
    assert_int_equal(tracker->largest, 5);
    assert_int_equal(tracker->largest_at, MS(1));
}

static void packets_that_elicit_nothing_leave_no_gap_and_no_order(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    receive(tracker, 0, MS(1));
    ack_tracker_on_sent(tracker);
    receive_quiet(tracker, 1, MS(2));
    receive(tracker, 2, MS(3));
    assert_false(ack_tracker_is_due(tracker, MS(3)));
    ack_tracker_on_sent(tracker);
    /* 3 is below 4, but 4 elicited nothing; and then all is there. */
    receive_quiet(tracker, 4, MS(4));
    receive(tracker, 3, MS(5));
    assert_false(ack_tracker_is_due(tracker, MS(5)));
}

static void packets_that_elicit_nothing_never_force_an_ack(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    for (uint64_t number = 0; number < 100; number += 3)
        assert_true(ack_tracker_on_received(tracker, number, false, ROAM_ECN_CE, MS(1), &at_once));
    assert_true(tracker->pending);
    assert_false(ack_tracker_is_due(tracker, ROAM_SECONDS(100)));
    assert_int_equal(tracker->deadline, ROAM_TIME_NEVER);
    assert_int_equal(tracker->largest, 99);
}

static void congestion_is_reported_at_once_and_counted(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    const uint8_t marks[] = {ROAM_ECN_ECT0, ROAM_ECN_ECT0, ROAM_ECN_ECT1, ROAM_ECN_NOT_ECT};
    for (uint64_t number = 0; number < 4; number++) {
        assert_true(ack_tracker_on_received(tracker, number, true, marks[number], MS(1), &usual));
        assert_int_equal(ack_tracker_is_due(tracker, MS(1)), number % 2);
        if (number % 2 == 1)
            ack_tracker_on_sent(tracker);
    }
    assert_true(ack_tracker_on_received(tracker, 4, true, ROAM_ECN_CE, MS(1), &usual));
    assert_true(ack_tracker_is_due(tracker, MS(1)));
    assert_int_equal(tracker->ect0, 2);
    assert_int_equal(tracker->ect1, 1);
    assert_int_equal(tracker->ce, 1);
}

static void a_later_packet_does_not_put_the_deadline_off(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    receive(tracker, 0, MS(1));
    receive_quiet(tracker, 1, MS(20));
    assert_int_equal(tracker->deadline, MS(26));
}

static void the_oldest_ranges_are_dropped_and_count_as_received(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    for (uint64_t i = 0; i < ACK_RANGES_MAX; i++)
        receive(tracker, 10 + 2 * i, MS(1));
    assert_int_equal(tracker->floor, 0);
    receive(tracker, 1000, MS(1));
    assert_int_equal(tracker->received.count, ACK_RANGES_MAX);
    assert_int_equal(tracker->floor, 11);
    assert_true(ack_tracker_is_duplicate(tracker, 5));
    assert_true(ack_tracker_is_duplicate(tracker, 10));
    assert_false(ack_tracker_is_duplicate(tracker, 11));
    assert_true(range_set_contains(&tracker->received, 1000));
}

static void a_number_below_all_ranges_of_a_full_set_is_a_duplicate_afterwards(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    for (uint64_t i = 0; i < ACK_RANGES_MAX; i++)
        receive(tracker, 10 + 2 * i, MS(1));
    receive(tracker, 5, MS(2));
    assert_int_equal(tracker->floor, 6);
    assert_int_equal(tracker->received.count, ACK_RANGES_MAX);
    assert_false(ack_tracker_is_duplicate(tracker, 6));
    assert_true(range_set_contains(&tracker->received, 10));
}

static void acknowledged_ranges_go_but_the_newest_gaps_stay_open(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    for (uint64_t number = 0; number < 40; number += 2)
        receive(tracker, number, MS(1));
    ack_tracker_on_acked(tracker, 38);
    assert_int_equal(tracker->received.count, ACK_RANGES_KEPT);
    assert_int_equal(tracker->floor, 23);
    for (uint64_t number = 0; number < 40; number += 2)
        assert_true(ack_tracker_is_duplicate(tracker, number));
    receive(tracker, 37, MS(2));
    assert_true(range_set_contains(&tracker->received, 38));
    assert_int_equal(tracker->largest, 38);
}

static void ranges_above_what_was_acknowledged_stay(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    for (uint64_t number = 0; number < 40; number += 2)
        receive(tracker, number, MS(1));
    ack_tracker_on_acked(tracker, 6);
    assert_int_equal(tracker->floor, 7);
    assert_int_equal(tracker->received.count, 16);
    assert_true(range_set_contains(&tracker->received, 8));
    ack_tracker_on_acked(tracker, 4);
    assert_int_equal(tracker->floor, 7);
}

static void the_packets_of_a_slow_old_path_are_taken_after_a_move(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    for (uint64_t number = 0; number < 100; number++)
        receive(tracker, number, MS(1));
    /* 100..149 are under way on the old path while the new one goes through many round trips, with a few losses. */
    for (uint64_t number = 150; number < 1000; number++) {
        if (number % 200 != 0)
            receive(tracker, number, MS(2));
        ack_tracker_on_sent(tracker);
        ack_tracker_on_acked(tracker, number);
    }
    for (uint64_t number = 100; number < 150; number++)
        receive(tracker, number, MS(3));
}

static void without_memory_a_packet_is_not_taken(void **state)
{
    struct fixture *fixture = *state;
    fixture->counting.refuses = true;
    assert_false(ack_tracker_on_received(&fixture->tracker, 0, true, ROAM_ECN_ECT0, MS(1), &usual));
    assert_false(ack_tracker_is_duplicate(&fixture->tracker, 0));
    assert_false(fixture->tracker.pending);
    assert_int_equal(fixture->tracker.ect0, 0);
    assert_int_equal(fixture->tracker.largest, PACKET_NUMBER_NONE);
}

static void no_packet_is_ever_taken_twice_in_any_history(void **state)
{
    struct fixture *fixture = *state;
    struct ack_tracker *tracker = &fixture->tracker;
    for (uint64_t start = 1; start <= 30; start++) {
        struct seeded seed = {start};
        static bool seen[20000];
        memset(seen, 0, sizeof(seen));
        uint64_t top = 0, eliciting = 0, acked = 0;
        for (unsigned i = 0; i < 5000; i++) {
            uint64_t number = top + seeded_below(&seed, 4);
            if (seeded_below(&seed, 3) == 0)
                number = number > 200 ? number - seeded_below(&seed, 200) : 0;
            bool quiet = seeded_below(&seed, 3) == 0;
            if (ack_tracker_is_duplicate(tracker, number)) {
                assert_true(seen[number] || number < tracker->floor);
            } else {
                assert_false(seen[number]);
                assert_true(ack_tracker_on_received(tracker, number, !quiet, ROAM_ECN_NOT_ECT, i, &short_delay));
                seen[number] = true;
                top = number > top ? number : top;
                eliciting += !quiet;
            }
            assert_true(range_set_contains(&tracker->received, tracker->largest));
            assert_true(tracker->largest == top);
            assert_true(tracker->received.ranges[0].start >= tracker->floor);
            assert_true(tracker->received.count <= ACK_RANGES_MAX);
            /* Two ack-eliciting packets never wait; one waits at most its delay; none never. */
            assert_true(eliciting < 2 || ack_tracker_is_due(tracker, i));
            assert_true((eliciting == 0) == (tracker->deadline == ROAM_TIME_NEVER));
            if (seeded_below(&seed, 4) == 0) {
                ack_tracker_on_sent(tracker);
                eliciting = 0;
                acked = top;
            }
            if (seeded_below(&seed, 30) == 0)
                ack_tracker_on_acked(tracker, acked);
        }
        for (uint64_t number = 0; number < top; number++)
            assert_true(!seen[number] || ack_tracker_is_duplicate(tracker, number));
        range_set_check(&tracker->received);
        ack_tracker_done(tracker);
        ack_tracker_init(tracker, &fixture->allocator);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The examples of draft-ietf-quic-ack-frequency section 6.2.1: packets, and which of them bring out an ACK. */
static void reorder(void **state, uint32_t threshold, const uint8_t *numbers, const bool *acknowledged, size_t count)
{
    struct ack_tracker *tracker = tracker_of(state);
    struct ack_policy policy = {MS(25), 1000, threshold, PACKET_NUMBER_NONE};
    for (size_t i = 0; i < count; i++) {
        assert_true(ack_tracker_on_received(tracker, numbers[i], true, ROAM_ECN_NOT_ECT, MS(1), &policy));
        assert_int_equal(ack_tracker_is_due(tracker, MS(1)), acknowledged[i]);
        if (!acknowledged[i])
            continue;
        policy.largest_sent = tracker->largest;
        ack_tracker_on_sent(tracker);
    }
}

static void a_gap_is_told_when_the_peer_can_declare_it_lost_3(void **state)
{
    reorder(state, 3, (const uint8_t[]){0, 1, 3, 4, 5, 8, 9, 10},
            (const bool[]){false, false, false, false, true, false, true, true}, 8);
}

static void a_gap_is_told_when_the_peer_can_declare_it_lost_5(void **state)
{
    reorder(state, 5, (const uint8_t[]){0, 1, 3, 5, 6, 7, 8, 9},
            (const bool[]){false, false, false, false, false, true, false, true}, 8);
}

static void what_was_declared_lost_and_comes_all_the_same_is_told(void **state)
{
    /* 2 is within the reordering of 9, and needs no haste; 1 is beyond it. */
    reorder(state, 5, (const uint8_t[]){0, 3, 4, 5, 6, 7, 8, 9, 2, 1},
            (const bool[]){false, false, false, false, true, true, false, false, true, true}, 10);
}

static void without_a_threshold_order_does_not_matter(void **state)
{
    reorder(state, 0, (const uint8_t[]){0, 9, 3, 200, 100}, (const bool[]){false, false, false, false, false}, 5);
}

static void the_peer_says_after_how_many_packets(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    struct ack_policy policy = {MS(7), 10, 1, PACKET_NUMBER_NONE};
    for (uint64_t number = 0; number < 10; number++) {
        assert_false(ack_tracker_is_due(tracker, MS(1)));
        assert_true(ack_tracker_on_received(tracker, number, true, ROAM_ECN_NOT_ECT, MS(1), &policy));
        assert_true(ack_tracker_is_due(tracker, MS(8)));
    }
    assert_true(ack_tracker_is_due(tracker, MS(1)));
    ack_tracker_on_sent(tracker);
    policy.eliciting = 1;
    assert_true(ack_tracker_on_received(tracker, 10, true, ROAM_ECN_NOT_ECT, MS(2), &policy));
    assert_true(ack_tracker_is_due(tracker, MS(2)));
}

static void many_gaps_are_told_before_one_falls_out_of_the_frame(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    struct ack_policy policy = {MS(25), 1000, 0, PACKET_NUMBER_NONE};
    uint64_t number = 0;
    while (!ack_tracker_is_due(tracker, MS(1)) && number < 1000) {
        assert_true(ack_tracker_on_received(tracker, number, true, ROAM_ECN_NOT_ECT, MS(1), &policy));
        number += 2;
    }
    assert_int_equal(tracker->received.count, ACK_RANGES_THIN_MAX + 1);
}

static void an_ack_may_be_hurried(void **state)
{
    struct ack_tracker *tracker = tracker_of(state);
    receive(tracker, 0, MS(100));
    assert_false(ack_tracker_is_due(tracker, MS(100)));
    ack_tracker_hurry(tracker, MS(100));
    assert_true(ack_tracker_is_due(tracker, MS(100)));
    assert_int_equal(tracker->deadline, MS(100));
    ack_tracker_on_sent(tracker);
    assert_false(ack_tracker_is_due(tracker, MS(1000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(at_first_nothing_is_known_or_owed),
        TEST(one_packet_is_acknowledged_within_the_delay),
        TEST(what_was_acknowledged_is_said_again_on_demand_and_hurries_nobody),
        TEST(the_second_packet_is_acknowledged_at_once),
        TEST(without_a_delay_every_packet_is_acknowledged_at_once),
        TEST(a_gap_is_reported_at_once),
        TEST(a_late_packet_is_reported_at_once),
        TEST(packets_that_elicit_nothing_leave_no_gap_and_no_order),
        TEST(packets_that_elicit_nothing_never_force_an_ack),
        TEST(congestion_is_reported_at_once_and_counted),
        TEST(a_later_packet_does_not_put_the_deadline_off),
        TEST(the_oldest_ranges_are_dropped_and_count_as_received),
        TEST(a_number_below_all_ranges_of_a_full_set_is_a_duplicate_afterwards),
        TEST(acknowledged_ranges_go_but_the_newest_gaps_stay_open),
        TEST(ranges_above_what_was_acknowledged_stay),
        TEST(the_packets_of_a_slow_old_path_are_taken_after_a_move),
        TEST(without_memory_a_packet_is_not_taken),
        TEST(no_packet_is_ever_taken_twice_in_any_history),
        cmocka_unit_test_setup_teardown(a_gap_is_told_when_the_peer_can_declare_it_lost_3, setup, teardown),
        cmocka_unit_test_setup_teardown(a_gap_is_told_when_the_peer_can_declare_it_lost_5, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_declared_lost_and_comes_all_the_same_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_threshold_order_does_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(the_peer_says_after_how_many_packets, setup, teardown),
        cmocka_unit_test_setup_teardown(many_gaps_are_told_before_one_falls_out_of_the_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(an_ack_may_be_hurried, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
