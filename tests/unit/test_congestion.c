/* Windows: what all controllers do alike, NewReno's and CUBIC's arithmetic, and random histories, also of BBR. */
#include "congestion_at_work.h"
#include "recovery_fixture.h"

#include "base/minmax.h"
#include "recovery/bbr.h"
#include "recovery/congestion.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define DATAGRAM 1200

static const enum roam_congestion algorithms[] = {ROAM_CONGESTION_CUBIC, ROAM_CONGESTION_NEWRENO};

static struct rtt rtt_of(roam_time smoothed)
{
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, smoothed, 0, 0, true);
    return rtt;
}

/* As if the rest of the window were on its way as well. */
static void fill(struct congestion *congestion)
{
    congestion->flight_peak = congestion->window;
}

/* Sends and acknowledges `packets` datagrams. */
static void exchange(struct congestion *congestion, uint64_t packets, roam_time sent_at, roam_time now,
                     const struct rtt *rtt, bool app_limited)
{
    for (uint64_t i = 0; i < packets; i++)
        congestion_on_sent(congestion, DATAGRAM);
    fill(congestion);
    for (uint64_t i = 0; i < packets; i++)
        congestion_on_acked(congestion, DATAGRAM, sent_at, now, rtt, app_limited);
}

static void lose_one(struct congestion *congestion, roam_time sent_at, roam_time now)
{
    congestion_on_sent(congestion, DATAGRAM);
    congestion_on_lost(congestion, DATAGRAM, sent_at, now);
}

static void the_initial_window_is_ten_datagrams_and_at_most_14720_octets(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, 1200, 10, NULL);
    assert_int_equal(congestion.window, 12000);
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, 1500, 10, NULL);
    assert_int_equal(congestion.window, 14720);
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, 9000, 10, NULL);
    assert_int_equal(congestion.window, 18000);
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, 1200, 1, NULL);
    assert_int_equal(congestion.window, 2400);
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, 1200, 32, NULL);
    assert_int_equal(congestion.window, 38400);
}

static void an_untouched_initial_window_follows_the_datagram_size(void **state)
{
    (void)state;
    struct congestion congestion;
    struct rtt rtt = rtt_of(MS(10));
    congestion_at_work(&congestion, ROAM_CONGESTION_NEWRENO, 1200, 10, NULL);
    congestion_set_datagram_bytes(&congestion, 1400);
    assert_int_equal(congestion.window, 14000);
    exchange(&congestion, 1, MS(1), MS(11), &rtt, false);
    congestion_set_datagram_bytes(&congestion, 1200);
    assert_int_equal(congestion.window, 14000 + DATAGRAM);
    congestion_set_datagram_bytes(&congestion, 9000);
    assert_int_equal(congestion.window, 18000);
}

//= rfc9002#7.8 A window that is not in use does not grow.
static void a_window_that_is_not_half_in_use_does_not_grow(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(10));
    for (size_t i = 0; i < 2; i++) {
        struct congestion congestion;
        congestion_at_work(&congestion, algorithms[i], DATAGRAM, 10, NULL);
        for (unsigned round = 0; round < 1000; round++) {
            for (unsigned n = 0; n < 20; n++)
                congestion_on_sent(&congestion, DATAGRAM);
            for (unsigned n = 0; n < 20; n++)
                congestion_on_acked(&congestion, DATAGRAM, MS(round), MS(round + 1), &rtt, false);
            congestion_on_ack_end(&congestion, &rtt, MS(round + 1));
        }
        assert_true(congestion.window >= 40 * DATAGRAM && congestion.window <= 61 * DATAGRAM);
    }
}

static void algorithms_are_chosen_by_name(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, 1200, 10, NULL);
    assert_string_equal(congestion.ops->name, "cubic");
    congestion_at_work(&congestion, ROAM_CONGESTION_NEWRENO, 1200, 10, NULL);
    assert_string_equal(congestion.ops->name, "newreno");
    static struct bbr memory;
    congestion_at_work(&congestion, ROAM_CONGESTION_BBR, 1200, 10, &memory);
    assert_string_equal(congestion.ops->name, "bbr");
    assert_int_equal(congestion_memory_bytes(ROAM_CONGESTION_BBR), sizeof(memory));
    assert_int_equal(congestion_memory_bytes(ROAM_CONGESTION_CUBIC), 0);
}

static void slow_start_grows_by_what_is_acknowledged(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(10));
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
        struct congestion congestion;
        congestion_at_work(&congestion, algorithms[i], DATAGRAM, 10, NULL);
        /* A packet sent when the clock stood at zero counts like any other. */
        exchange(&congestion, 10, 0, MS(10), &rtt, false);
        assert_int_equal(congestion.window, 20 * DATAGRAM);
        assert_true(congestion_in_slow_start(&congestion));
    }
}

static void packets_sent_while_limited_by_the_application_do_not_grow_the_window(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(10));
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
        struct congestion congestion;
        congestion_at_work(&congestion, algorithms[i], DATAGRAM, 10, NULL);
        exchange(&congestion, 100, MS(1), MS(11), &rtt, true);
        assert_int_equal(congestion.window, 10 * DATAGRAM);
        lose_one(&congestion, MS(20), MS(30));
        uint64_t window = congestion.window;
        exchange(&congestion, 1000, MS(31), MS(41), &rtt, true);
        assert_int_equal(congestion.window, window);
        assert_false(congestion.in_recovery);
    }
}

static void one_recovery_period_lowers_the_window_once(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(10));
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
        struct congestion congestion;
        congestion_at_work(&congestion, algorithms[i], DATAGRAM, 10, NULL);
        lose_one(&congestion, 0, MS(100));
        uint64_t window = congestion.window;
        assert_int_equal(window, algorithms[i] == ROAM_CONGESTION_CUBIC ? 8400 : 6000);
        assert_true(congestion.in_recovery);
        lose_one(&congestion, MS(50), MS(101));
        lose_one(&congestion, MS(100), MS(102));
        congestion_on_ce(&congestion, MS(100), MS(103));
        assert_int_equal(congestion.window, window);
        assert_int_equal(congestion.recovery_start, MS(100));

        /* Acknowledgements of what was sent before recovery neither grow the window nor end it. */
        exchange(&congestion, 50, MS(100), MS(110), &rtt, false);
        assert_int_equal(congestion.window, window);
        assert_true(congestion.in_recovery);
        exchange(&congestion, 1, MS(101), MS(111), &rtt, false);
        assert_false(congestion.in_recovery);

        /* Late losses from before stay of the past, new ones do not. */
        lose_one(&congestion, MS(99), MS(120));
        assert_false(congestion.in_recovery);
        lose_one(&congestion, MS(112), MS(121));
        assert_true(congestion.window < window);
    }
}

static void a_ce_mark_is_an_event_like_a_loss(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_NEWRENO, DATAGRAM, 10, NULL);
    congestion_on_sent(&congestion, DATAGRAM);
    congestion_on_ce(&congestion, MS(1), MS(5));
    assert_int_equal(congestion.window, 6000);
    assert_int_equal(congestion.in_flight, DATAGRAM);
}

static void the_window_never_falls_below_two_datagrams(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
        struct congestion congestion;
        congestion_at_work(&congestion, algorithms[i], DATAGRAM, 10, NULL);
        for (unsigned n = 1; n < 40; n++)
            lose_one(&congestion, MS(2 * n), MS(2 * n + 1));
        assert_int_equal(congestion.window, 2 * DATAGRAM);
        assert_false(congestion_in_slow_start(&congestion));
    }
}

static void persistent_congestion_starts_over_from_the_minimum_window(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(10));
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
        struct congestion congestion;
        congestion_at_work(&congestion, algorithms[i], DATAGRAM, 10, NULL);
        lose_one(&congestion, MS(1), MS(100));
        congestion_on_persistent(&congestion);
        assert_int_equal(congestion.window, 2 * DATAGRAM);
        assert_false(congestion.in_recovery);
        assert_true(congestion_in_slow_start(&congestion));
        /* The period is over: what was sent in it grows the window again. */
        exchange(&congestion, 2, MS(99), MS(110), &rtt, false);
        assert_int_equal(congestion.window, 4 * DATAGRAM);
    }
}

static void a_reset_keeps_what_is_in_flight(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    lose_one(&congestion, MS(1), MS(2));
    congestion_on_sent(&congestion, 5000);
    congestion_reset(&congestion);
    assert_int_equal(congestion.in_flight, 5000);
    assert_int_equal(congestion.window, 12000);
    assert_int_equal(congestion.slow_start_threshold, UINT64_MAX);
    assert_int_equal(congestion_allowance(&congestion), 7000);
}

static void the_allowance_is_never_negative(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion_on_sent(&congestion, 13000);
    assert_int_equal(congestion_allowance(&congestion), 0);
}

static void forget_more_than_was_sent(void)
{
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion_on_sent(&congestion, 100);
    congestion_forget(&congestion, 101);
}

static void forget_what_was_sent(void)
{
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion_on_sent(&congestion, 100);
    congestion_forget(&congestion, 100);
}

static void bytes_in_flight_cannot_underflow(void **state)
{
    (void)state;
#ifdef NDEBUG
    skip();
#endif
    assert_false(aborts(forget_what_was_sent));
    assert_true(aborts(forget_more_than_was_sent));
}

static void newreno_grows_by_a_datagram_for_each_window(void **state)
{
    (void)state;
    struct congestion congestion;
    struct rtt rtt = rtt_of(MS(10));
    congestion_at_work(&congestion, ROAM_CONGESTION_NEWRENO, DATAGRAM, 10, NULL);
    lose_one(&congestion, MS(1), MS(2));
    assert_int_equal(congestion.window, 5 * DATAGRAM);
    assert_int_equal(congestion.slow_start_threshold, 5 * DATAGRAM);
    exchange(&congestion, 4, MS(3), MS(13), &rtt, false);
    assert_int_equal(congestion.window, 5 * DATAGRAM);
    exchange(&congestion, 1, MS(3), MS(13), &rtt, false);
    assert_int_equal(congestion.window, 6 * DATAGRAM);
    exchange(&congestion, 5, MS(14), MS(24), &rtt, false);
    assert_int_equal(congestion.window, 6 * DATAGRAM);
    exchange(&congestion, 1, MS(14), MS(24), &rtt, false);
    assert_int_equal(congestion.window, 7 * DATAGRAM);
}

/* A CUBIC controller whose window was `datagrams` when the first packet was lost at 1 s. */
static struct congestion cubic_after_loss(uint64_t datagrams)
{
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion.window = datagrams * DATAGRAM;
    lose_one(&congestion, MS(999), MS(1000));
    return congestion;
}

static void cubic_reduces_to_seven_tenths_and_remembers_the_old_window(void **state)
{
    (void)state;
    struct congestion congestion = cubic_after_loss(1000);
    assert_int_equal(congestion.window, 700 * DATAGRAM);
    assert_int_equal(congestion.slow_start_threshold, 700 * DATAGRAM);
    assert_int_equal(congestion.work->cubic.window_max, 1000 * DATAGRAM);
}

static void cubic_k_is_the_cube_root_of_the_rfc(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(100));
    for (uint64_t datagrams = 10; datagrams <= 100000000; datagrams *= 10) {
        struct congestion congestion = cubic_after_loss(datagrams);
        exchange(&congestion, 1, MS(1001), MS(1101), &rtt, false);
        /* 0.4 * K^3 = 0.3 * W_max, K in seconds. */
        double k = (double)congestion.work->cubic.k / 1e9;
        double ratio = 0.4 * k * k * k / (0.3 * (double)datagrams);
        assert_true(ratio > 0.99999 && ratio < 1.00001);
    }
}

static void cubic_converges_fast_when_it_lost_ground(void **state)
{
    (void)state;
    struct congestion congestion = cubic_after_loss(1000);
    lose_one(&congestion, MS(2000), MS(2001));
    assert_int_equal(congestion.work->cubic.window_max, 700 * DATAGRAM * 85 / 100);
    assert_int_equal(congestion.window, 490 * DATAGRAM);
    /* Back above W_max there is none. */
    congestion.window = 2000 * DATAGRAM;
    lose_one(&congestion, MS(3000), MS(3001));
    assert_int_equal(congestion.work->cubic.window_max, 2000 * DATAGRAM);
}

/* One full window each round trip, `rounds` times; returns the time. */
static roam_time run_rounds(struct congestion *congestion, roam_time now, const struct rtt *rtt, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        exchange(congestion, congestion->window / DATAGRAM, now, now + rtt->smoothed, rtt, false);
        now += rtt->smoothed;
    }
    return now;
}

static void cubic_follows_the_cubic_function_on_long_paths(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(100));
    struct congestion congestion = cubic_after_loss(1000);
    roam_time now = MS(1000) + 1;
    for (unsigned round = 0; round < 140; round++) {
        uint64_t before = congestion.window;
        now = run_rounds(&congestion, now, &rtt, 1);
        assert_true(congestion.window >= before);
        /* After a round the window is where the function said that it would be: K is 9.08560 s. */
        double t = (double)(now - congestion.work->cubic.epoch_start) / 1e9 + 0.1 - 9.08560;
        double ratio = (double)congestion.window / DATAGRAM / (1000 + 0.4 * t * t * t);
        if (round > 3)
            assert_true(ratio > 0.97 && ratio < 1.03);
    }
    assert_true(congestion.window > 1000 * DATAGRAM);
}

static void cubic_is_as_fast_as_reno_on_short_paths(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(1));
    struct congestion cubic = cubic_after_loss(20);
    run_rounds(&cubic, MS(1001), &rtt, 40);
    /* alpha is 9/17 up to the old window of 20, then 1: about (20 - 14) / (9 / 17) = 11.3 rounds, then 28.7 more.
     * The cubic function alone would not have moved in 40 ms. */
    assert_in_range(cubic.window, 46 * DATAGRAM, 50 * DATAGRAM);
}

static void cubic_grows_at_most_by_half_in_a_round_trip(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(100));
    struct congestion congestion = cubic_after_loss(100);
    exchange(&congestion, 1, MS(1001), MS(1101), &rtt, false);
    /* Nothing for an hour, then a window of acknowledgements at once. */
    uint64_t window = congestion.window;
    exchange(&congestion, window / DATAGRAM, ROAM_SECONDS(3600), ROAM_SECONDS(3601), &rtt, false);
    assert_true(congestion.window > window);
    assert_true(congestion.window <= window + window / 2 + DATAGRAM);
}

static void time_without_data_is_no_part_of_a_cubic_epoch(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(MS(100));
    struct congestion busy = cubic_after_loss(1000);
    roam_time now = run_rounds(&busy, MS(1001), &rtt, 10);
    struct congestion idle = busy;
    struct congestion_work work = *busy.work;
    idle.work = &work;
    exchange(&idle, 1, now + MS(100), now + MS(100), &rtt, true);
    exchange(&idle, 1, now + ROAM_SECONDS(50), now + ROAM_SECONDS(50), &rtt, true);
    assert_int_equal(idle.window, busy.window);
    run_rounds(&idle, now + ROAM_SECONDS(60), &rtt, 10);
    run_rounds(&busy, now, &rtt, 10);
    uint64_t difference = idle.window > busy.window ? idle.window - busy.window : busy.window - idle.window;
    assert_true(difference < busy.window / 50);
}

static void small_acknowledgements_add_up(void **state)
{
    (void)state;
    /* The same octets in steps of 40 and of 1200 give the same window: no fraction is lost to rounding. */
    struct rtt rtt = rtt_of(MS(100));
    struct congestion coarse = cubic_after_loss(10000), fine = coarse;
    for (unsigned i = 0; i < 20000; i++) {
        roam_time now = MS(1100) + (roam_time)i * 10000;
        congestion_on_sent(&coarse, 1200);
        fill(&coarse);
        congestion_on_acked(&coarse, 1200, MS(1001), now, &rtt, false);
        for (unsigned n = 0; n < 30; n++) {
            congestion_on_sent(&fine, 40);
            fill(&fine);
            congestion_on_acked(&fine, 40, MS(1001), now, &rtt, false);
        }
    }
    assert_true(coarse.window > 7000 * DATAGRAM + 100 * DATAGRAM);
    uint64_t difference = coarse.window > fine.window ? coarse.window - fine.window : fine.window - coarse.window;
    assert_true(difference < 2 * DATAGRAM);
}

/* Every packet in flight, to compare the sum with in_flight. */
struct flight {
    uint32_t bytes[512];
    roam_time sent_at[512];
    uint16_t stamp[512];
    size_t count;
};

static void random_step(struct congestion *congestion, struct flight *flight, struct seeded *seed, roam_time now,
                        const struct rtt *rtt)
{
    uint64_t choice = seeded_below(seed, 100);
    if (choice < 45 && flight->count < ARRAY_LENGTH(flight->bytes)) {
        flight->bytes[flight->count] = (uint32_t)seeded_below(seed, 1500);
        flight->sent_at[flight->count] = now;
        flight->stamp[flight->count] =
            congestion_stamp(congestion, flight->bytes[flight->count], seeded_below(seed, 20) == 0, now);
        congestion_on_sent(congestion, flight->bytes[flight->count++]);
        return;
    }
    if (choice >= 97) {
        if (seeded_below(seed, 10) == 0)
            congestion_on_persistent(congestion);
        else if (seeded_below(seed, 10) == 0)
            congestion_reset(congestion);
        else
            congestion_set_datagram_bytes(congestion, 1200 + seeded_below(seed, 300));
        return;
    }
    if (flight->count == 0)
        return;
    size_t index = seeded_below(seed, flight->count);
    uint32_t bytes = flight->bytes[index];
    roam_time sent_at = flight->sent_at[index];
    uint16_t stamp = flight->stamp[index];
    bool keeps_window = congestion->bbr == NULL;
    flight->count--;
    flight->bytes[index] = flight->bytes[flight->count];
    flight->sent_at[index] = flight->sent_at[flight->count];
    flight->stamp[index] = flight->stamp[flight->count];
    uint64_t window = congestion->window;
    if (choice < 90) {
        congestion_on_delivered(congestion, stamp, bytes, sent_at, now);
        congestion_on_acked(congestion, bytes, sent_at, now, rtt, seeded_below(seed, 8) == 0);
        if (seeded_below(seed, 2) == 0)
            congestion_on_ack_end(congestion, rtt, now);
        assert_true(congestion->window >= window || !keeps_window);
    } else if (choice < 94) {
        congestion_forget(congestion, bytes);
        assert_true(congestion->window == window);
    } else {
        congestion_on_packet_lost(congestion, stamp, now, bytes, now);
        congestion_on_lost(congestion, bytes, sent_at, now);
        if (seeded_below(seed, 4) == 0)
            congestion_on_ce(congestion, sent_at, now);
        assert_true(congestion->window <= window);
    }
}

static void bytes_in_flight_are_the_sum_of_what_is_out_in_any_history(void **state)
{
    (void)state;
    for (uint64_t start = 1; start <= 60; start++) {
        struct seeded seed = {start};
        static struct flight flight;
        flight.count = 0;
        struct congestion congestion;
        static struct bbr memory;
        if (start % 3 == 2)
            congestion_at_work(&congestion, ROAM_CONGESTION_BBR, DATAGRAM, 10, &memory);
        else
            congestion_at_work(&congestion, algorithms[start % 3], DATAGRAM, 10, NULL);
        roam_time now = 0;
        for (unsigned i = 0; i < 4000; i++) {
            struct rtt rtt = rtt_of(1 + seeded_below(&seed, MS(500)));
            now += seeded_below(&seed, MS(5));
            random_step(&congestion, &flight, &seed, now, &rtt);
            uint64_t sum = 0;
            for (size_t n = 0; n < flight.count; n++)
                sum += flight.bytes[n];
            assert_true(congestion.in_flight == sum);
            assert_true(congestion.window >= congestion_minimum_window(&congestion));
            assert_true(congestion.window <= UINT64_C(1) << 40);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_initial_window_is_ten_datagrams_and_at_most_14720_octets),
        cmocka_unit_test(an_untouched_initial_window_follows_the_datagram_size),
        cmocka_unit_test(a_window_that_is_not_half_in_use_does_not_grow),
        cmocka_unit_test(algorithms_are_chosen_by_name),
        cmocka_unit_test(slow_start_grows_by_what_is_acknowledged),
        cmocka_unit_test(packets_sent_while_limited_by_the_application_do_not_grow_the_window),
        cmocka_unit_test(one_recovery_period_lowers_the_window_once),
        cmocka_unit_test(a_ce_mark_is_an_event_like_a_loss),
        cmocka_unit_test(the_window_never_falls_below_two_datagrams),
        cmocka_unit_test(persistent_congestion_starts_over_from_the_minimum_window),
        cmocka_unit_test(a_reset_keeps_what_is_in_flight),
        cmocka_unit_test(the_allowance_is_never_negative),
        cmocka_unit_test(bytes_in_flight_cannot_underflow),
        cmocka_unit_test(newreno_grows_by_a_datagram_for_each_window),
        cmocka_unit_test(cubic_reduces_to_seven_tenths_and_remembers_the_old_window),
        cmocka_unit_test(cubic_k_is_the_cube_root_of_the_rfc),
        cmocka_unit_test(cubic_converges_fast_when_it_lost_ground),
        cmocka_unit_test(cubic_follows_the_cubic_function_on_long_paths),
        cmocka_unit_test(cubic_is_as_fast_as_reno_on_short_paths),
        cmocka_unit_test(cubic_grows_at_most_by_half_in_a_round_trip),
        cmocka_unit_test(time_without_data_is_no_part_of_a_cubic_epoch),
        cmocka_unit_test(small_acknowledgements_add_up),
        cmocka_unit_test(bytes_in_flight_are_the_sum_of_what_is_out_in_any_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
