/* The pacer: rates, bursts, and that it never stalls. */
#include "congestion_at_work.h"
#include "recovery_fixture.h"

#include "base/minmax.h"
#include "recovery/pacer.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define DATAGRAM 1200

struct world {
    struct pacer pacer;
    struct congestion congestion;
    struct rtt rtt;
};

static void world_init(struct world *world, uint64_t window, bool slow_start, roam_time smoothed)
{
    pacer_init(&world->pacer, DATAGRAM, 10);
    congestion_at_work(&world->congestion, ROAM_CONGESTION_NEWRENO, DATAGRAM, 10, NULL);
    world->congestion.window = window;
    if (!slow_start)
        world->congestion.slow_start_threshold = window;
    rtt_init(&world->rtt, 0);
    rtt_update(&world->rtt, smoothed, 0, 0, true);
}

static roam_time next(const struct world *world, roam_time now)
{
    return pacer_next(&world->pacer, now, &world->congestion, &world->rtt);
}

static void send(struct world *world, uint64_t bytes, roam_time now)
{
    pacer_on_sent(&world->pacer, bytes, now, &world->congestion, &world->rtt);
}

/* Datagrams that go out at `now` before the pacer asks to wait. */
static unsigned burst_at(struct world *world, roam_time now)
{
    unsigned count = 0;
    while (next(world, now) <= now && count < 1000) {
        send(world, DATAGRAM, now);
        count++;
    }
    return count;
}

/* Octets sent greedily within [now, end). */
static uint64_t greedy(struct world *world, roam_time now, roam_time end)
{
    uint64_t bytes = 0;
    for (;;) {
        roam_time at = max_u64(now, next(world, now));
        if (at >= end)
            return bytes;
        now = at;
        assert_true(next(world, now) <= now);
        send(world, DATAGRAM, now);
        bytes += DATAGRAM;
    }
}

static void the_first_burst_is_the_initial_window(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100 * DATAGRAM, true, MS(100));
    assert_int_equal(burst_at(&world, 0), 10);
    assert_true(next(&world, 0) > 0);
}

static void congestion_avoidance_sends_five_quarters_of_a_window_a_round_trip(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100 * DATAGRAM, false, MS(100));
    burst_at(&world, MS(1000));
    assert_in_range(greedy(&world, MS(1000), MS(1100)), 124 * DATAGRAM, 126 * DATAGRAM);
    /* 100 ms / 125 between two datagrams. */
    world_init(&world, 100 * DATAGRAM, false, MS(100));
    assert_int_equal(burst_at(&world, MS(1000)), 10);
    assert_int_equal(next(&world, MS(1000)), MS(1000) + ROAM_MICROSECONDS(800));
    /* Rounded up: 10 ms / 8.75 is 1142857.1 ns. */
    world_init(&world, 7 * DATAGRAM, false, MS(10));
    burst_at(&world, MS(1000));
    assert_int_equal(next(&world, MS(1000)), MS(1000) + 1142858);
}

static void slow_start_sends_two_windows_a_round_trip(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100 * DATAGRAM, true, MS(100));
    burst_at(&world, MS(1000));
    assert_in_range(greedy(&world, MS(1000), MS(1100)), 198 * DATAGRAM, 201 * DATAGRAM);
}

static void idle_time_earns_one_burst_and_no_more(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100 * DATAGRAM, false, MS(100));
    burst_at(&world, 0);
    assert_int_equal(burst_at(&world, ROAM_SECONDS(86400)), 10);
    assert_int_equal(burst_at(&world, UINT64_MAX - 1), 10);
}

static void probes_that_ignore_the_pacer_leave_no_debt(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10 * DATAGRAM, false, MS(100));
    for (int i = 0; i < 100; i++)
        send(&world, DATAGRAM, MS(5));
    assert_int_equal(next(&world, MS(5)), MS(13));
}

static void datagrams_larger_than_the_burst_still_go(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10 * DATAGRAM, false, MS(100));
    burst_at(&world, 0);
    congestion_set_datagram_bytes(&world.congestion, 65000);
    roam_time at = next(&world, 0);
    assert_true(at <= MS(100));
    assert_true(next(&world, at) <= at);
    /* Two of them are a burst. */
    send(&world, 65000, ROAM_SECONDS(9));
    assert_true(next(&world, ROAM_SECONDS(9)) <= ROAM_SECONDS(9));
    send(&world, 65000, ROAM_SECONDS(9));
    assert_true(next(&world, ROAM_SECONDS(9)) > ROAM_SECONDS(9));
}

static void a_fast_path_needs_no_pacing_gap_longer_than_its_round_trip(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10 * DATAGRAM, true, 0);
    burst_at(&world, 0);
    assert_true(next(&world, 0) <= 1);
}

static void it_never_stalls_whatever_window_and_rtt_do(void **state)
{
    (void)state;
    for (uint64_t start = 1; start <= 50; start++) {
        struct seeded seed = {start};
        struct world world;
        world_init(&world, 10 * DATAGRAM, start % 2, MS(30));
        roam_time now = seeded_below(&seed, ROAM_SECONDS(10));
        uint64_t largest_window = 0;
        for (unsigned i = 0; i < 2000; i++) {
            switch (seeded_below(&seed, 8)) {
            case 0:
                world.congestion.window = congestion_minimum_window(&world.congestion) +
                                          (seeded_u64(&seed) >> (24 + seeded_below(&seed, 40)));
                break;
            case 1:
                world.rtt.smoothed = seeded_u64(&seed) >> (30 + seeded_below(&seed, 34));
                break;
            case 2:
                congestion_set_datagram_bytes(&world.congestion, 1200 + seeded_below(&seed, 60000));
                break;
            case 3:
                world.congestion.slow_start_threshold = seeded_below(&seed, 2) ? UINT64_MAX : 0;
                break;
            case 4:
                now += seeded_u64(&seed) >> (25 + seeded_below(&seed, 39));
                break;
            default:
                send(&world, seeded_below(&seed, world.congestion.datagram_bytes + 1), now);
                break;
            }
            roam_time at = next(&world, now);
            /* At most half a round trip away, and at that time a datagram really goes. */
            assert_true(at <= now + world.rtt.smoothed / 2 + 1);
            at = max_u64(at, now);
            assert_true(next(&world, at) <= at);
            largest_window = max_u64(largest_window, world.congestion.window);
            uint64_t most = max_u64(world.pacer.burst_bytes, 2 * 65535);
            assert_true(world.pacer.tokens_bytes <= max_u64(most, largest_window));
        }
    }
}

/* A loop that wakes up every two milliseconds sends what the window lets it. */
static void a_coarse_timer_costs_no_rate(void **state)
{
    (void)state;
    for (uint64_t window = 20 * DATAGRAM; window <= 20000 * DATAGRAM; window *= 10) {
        struct world world;
        world_init(&world, window, false, MS(20));
        uint64_t sent = 0;
        for (roam_time now = 0; now < ROAM_SECONDS(1); now += MS(2))
            for (; next(&world, now) <= now; sent += DATAGRAM)
                send(&world, DATAGRAM, now);
        /* Five quarters of a window in each of the fifty round trips. */
        assert_true(sent >= window * 50 * 5 / 4 * 95 / 100 && sent <= window * 50 * 5 / 4 * 105 / 100 + 2 * window);
    }
}

static void who_has_to_wait_waits_for_what_leaves_together(void **state)
{
    (void)state;
    struct world world;
    /* 125 datagrams a millisecond: of these, as many as fill one call. */
    world_init(&world, 10000 * DATAGRAM, false, MS(100));
    burst_at(&world, MS(1000));
    assert_int_equal(next(&world, MS(1000)), MS(1000) + MS(54) / 125);
    assert_int_equal(burst_at(&world, next(&world, MS(1000))), 54);
    /* Ten a millisecond. */
    world_init(&world, 800 * DATAGRAM, false, MS(100));
    burst_at(&world, MS(1000));
    assert_int_equal(next(&world, MS(1000)), MS(1000) + MS(1));
    assert_int_equal(burst_at(&world, MS(1001)), 10);
    /* No more than an eighth of the window. */
    world_init(&world, 40 * DATAGRAM, false, MS(2));
    burst_at(&world, MS(1000));
    assert_int_equal(next(&world, MS(1000)), MS(1000) + MS(1) / 5);
}

static void the_controllers_own_rate_counts(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100 * DATAGRAM, true, MS(100));
    world.congestion.pacing_rate = 500 * DATAGRAM;
    burst_at(&world, MS(1000));
    assert_int_equal(next(&world, MS(1000)), MS(1002));
    assert_in_range(greedy(&world, MS(1000), MS(2000)), 499 * DATAGRAM, 501 * DATAGRAM);
    /* But not where a known network is tried: that is the window's. */
    world.congestion.work->resume.phase = RESUME_UNVALIDATED;
    assert_in_range(greedy(&world, MS(2000), MS(2100)), 99 * DATAGRAM, 101 * DATAGRAM);
}

static void a_path_shorter_than_a_millisecond_is_not_paced(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100 * DATAGRAM, false, MS(1) - 1);
    assert_int_equal(burst_at(&world, MS(1000)), 1000);
    world_init(&world, 100 * DATAGRAM, false, MS(1));
    assert_true(burst_at(&world, MS(1000)) <= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_burst_is_the_initial_window),
        cmocka_unit_test(congestion_avoidance_sends_five_quarters_of_a_window_a_round_trip),
        cmocka_unit_test(slow_start_sends_two_windows_a_round_trip),
        cmocka_unit_test(idle_time_earns_one_burst_and_no_more),
        cmocka_unit_test(probes_that_ignore_the_pacer_leave_no_debt),
        cmocka_unit_test(datagrams_larger_than_the_burst_still_go),
        cmocka_unit_test(a_fast_path_needs_no_pacing_gap_longer_than_its_round_trip),
        cmocka_unit_test(a_coarse_timer_costs_no_rate),
        cmocka_unit_test(who_has_to_wait_waits_for_what_leaves_together),
        cmocka_unit_test(the_controllers_own_rate_counts),
        cmocka_unit_test(a_path_shorter_than_a_millisecond_is_not_paced),
        cmocka_unit_test(it_never_stalls_whatever_window_and_rtt_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
