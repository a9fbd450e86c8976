/* BBR over a link of one's own: its states, what it learns, and how it answers to losses and marks. */
#include "congestion_at_work.h"
#include "recovery_fixture.h"

#include "base/minmax.h"
#include "recovery/bbr.h"
#include "recovery/pacer.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define DATAGRAM 1200
#define RTT      MS(40)
#define RATE     UINT64_C(5000000) /* octets a second */
#define BDP      (RATE * RTT / ROAM_SECONDS(1))
#define PACKETS  8192

/* A link with a queue, and acknowledgements that come back one by one. */
struct link {
    struct congestion congestion;
    struct bbr bbr;
    struct pacer pacer;
    struct rtt rtt;
    roam_time now, busy_until;
    uint64_t rate, queue_bytes;
    uint32_t lose_each; /* so many packets; 0: none */
    uint64_t sent, settled;
    uint64_t app_limit; /* octets in flight that the application keeps there; 0: no limit */
    struct {
        uint16_t stamp;
        bool lost;
        roam_time sent_at, acked_at;
    } packets[PACKETS];
    uint64_t delivered;
    bool seen[BBR_STATES];
};

static struct link link_;

static struct link *link_new(uint64_t queue_bytes)
{
    struct link *link = &link_;
    memset(link, 0, sizeof(*link));
    congestion_at_work(&link->congestion, ROAM_CONGESTION_BBR, DATAGRAM, 10, &link->bbr);
    pacer_init(&link->pacer, DATAGRAM, 10);
    rtt_init(&link->rtt, 0);
    link->now = ROAM_SECONDS(1);
    link->rate = RATE;
    link->queue_bytes = queue_bytes;
    return link;
}

static void send_one(struct link *link)
{
    const uint64_t number = link->sent++;
    const roam_time backlog = saturating_sub(link->busy_until, link->now);
    const bool full = backlog * link->rate / ROAM_SECONDS(1) + DATAGRAM > link->queue_bytes;
    const bool ran_out = link->app_limit > 0 && link->congestion.in_flight + 2 * DATAGRAM > link->app_limit;
    link->packets[number % PACKETS].stamp = congestion_stamp(&link->congestion, DATAGRAM, ran_out, link->now);
    congestion_on_sent(&link->congestion, DATAGRAM);
    pacer_on_sent(&link->pacer, DATAGRAM, link->now, &link->congestion, &link->rtt);
    link->packets[number % PACKETS].sent_at = link->now;
    link->packets[number % PACKETS].lost = full || (link->lose_each > 0 && number % link->lose_each == 0);
    if (!full)
        link->busy_until = link->now + backlog + DATAGRAM * ROAM_SECONDS(1) / link->rate;
    link->packets[number % PACKETS].acked_at = max_u64(link->busy_until, link->now) + RTT;
}

/* The oldest packet's fate is known: losses are found with what comes three packets later, which is close enough. */
static void settle_one(struct link *link)
{
    const uint64_t number = link->settled++;
    const uint16_t stamp = link->packets[number % PACKETS].stamp;
    const roam_time sent_at = link->packets[number % PACKETS].sent_at;
    if (link->packets[number % PACKETS].lost) {
        congestion_on_packet_lost(&link->congestion, stamp, number, DATAGRAM, link->now);
        congestion_on_lost(&link->congestion, DATAGRAM, sent_at, link->now);
        return;
    }
    link->delivered += DATAGRAM;
    congestion_on_delivered(&link->congestion, stamp, DATAGRAM, sent_at, link->now);
    congestion_on_acked(&link->congestion, DATAGRAM, sent_at, link->now, &link->rtt, false);
    rtt_update(&link->rtt, link->now - sent_at, 0, 0, true);
    congestion_on_ack_end(&link->congestion, &link->rtt, link->now);
    link->seen[link->bbr.state] = true;
    assert_true(link->congestion.window >= bbr_minimum_window(&link->congestion));
}

static bool may_send(const struct link *link)
{
    return congestion_allowance(&link->congestion) >= DATAGRAM && link->sent - link->settled < PACKETS &&
           (link->app_limit == 0 || link->congestion.in_flight + DATAGRAM <= link->app_limit);
}

static void step(struct link *link)
{
    const roam_time acked_at =
        link->settled < link->sent ? link->packets[link->settled % PACKETS].acked_at : ROAM_TIME_NEVER;
    const roam_time next = may_send(link)
                               ? max_u64(pacer_next(&link->pacer, link->now, &link->congestion, &link->rtt), link->now)
                               : ROAM_TIME_NEVER;
    assert_true(min_u64(acked_at, next) != ROAM_TIME_NEVER);
    link->now = max_u64(link->now, min_u64(acked_at, next));
    if (acked_at <= next)
        settle_one(link);
    else
        send_one(link);
}

static void run(struct link *link, roam_time span)
{
    const roam_time until = link->now + span;
    while (link->now < until)
        step(link);
}

/* False where it does not come to that state within `span`. */
static bool run_until(struct link *link, enum bbr_state state, roam_time span)
{
    const roam_time until = link->now + span;
    while (link->bbr.state != state && link->now < until)
        step(link);
    return link->bbr.state == state;
}

static bool is_about(uint64_t value, uint64_t wanted, unsigned percent)
{
    return value * 100 >= wanted * (100 - percent) && value * 100 <= wanted * (100 + percent);
}

/* ---- States */

static void startup_doubles_the_rate_each_round_until_the_pipe_is_full(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    assert_int_equal(link->bbr.state, BBR_STARTUP);
    assert_true(run_until(link, BBR_DRAIN, ROAM_SECONDS(1)));
    assert_true(link->bbr.full_bw_reached);
    assert_true(is_about(bbr_max_bw(&link->bbr), RATE, 2));
    assert_true(is_about(link->bbr.min_rtt, RTT, 2));
    /* Ten datagrams to a pipe of 166 are four doublings; three rounds say that it is full, over a queue by then. */
    assert_in_range(link->bbr.round_count, 6, 10);
    assert_true(link->congestion.pacing_rate < RATE);
    assert_string_equal(congestion_state_name(&link->congestion), "drain");
}

static void drain_lasts_until_the_queue_is_gone(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    assert_true(run_until(link, BBR_DRAIN, ROAM_SECONDS(1)));
    assert_true(link->congestion.in_flight > BDP * 3 / 2);
    const roam_time began = link->now;
    while (link->bbr.state == BBR_DRAIN)
        step(link);
    assert_true(link->now - began <= 4 * RTT);
    assert_true(link->congestion.in_flight <= BDP * 102 / 100);
    /* What DOWN is for has been done. */
    assert_int_equal(link->bbr.state, BBR_PROBE_BW_CRUISE);
}

static void the_bandwidth_cycle_goes_round(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    static const enum bbr_state order[] = {BBR_PROBE_BW_CRUISE, BBR_PROBE_BW_REFILL, BBR_PROBE_BW_UP,
                                           BBR_PROBE_BW_DOWN};
    static const uint64_t gains[] = {100, 100, 125, 90};
    for (unsigned i = 0; i < 8; i++) {
        assert_true(run_until(link, order[i % 4], ROAM_SECONDS(8)));
        assert_true(is_about(link->congestion.pacing_rate, link->bbr.bw * gains[i % 4] / 100, 2));
    }
}

static void it_waits_two_to_three_seconds_between_two_probes_or_as_long_as_reno(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    unsigned seen = 0;
    for (unsigned i = 0; i < 8; i++) {
        assert_true(run_until(link, BBR_PROBE_BW_UP, ROAM_SECONDS(8)));
        assert_true(run_until(link, BBR_PROBE_BW_DOWN, ROAM_SECONDS(8)));
        const roam_time began = link->now;
        while (link->bbr.state != BBR_PROBE_BW_REFILL && link->bbr.state != BBR_PROBE_RTT)
            step(link);
        if (link->bbr.state == BBR_PROBE_RTT)
            continue;
        /* 62 rounds are 2.5 s, and some longer than the others. */
        assert_in_range(link->now - began, ROAM_SECONDS(2), ROAM_SECONDS(3) + RTT);
        seen++;
    }
    assert_true(seen >= 3);
}

static void the_link_is_full_and_its_queue_is_not(void **state)
{
    (void)state;
    struct link *link = link_new(20 * BDP);
    run(link, ROAM_SECONDS(3));
    const uint64_t before = link->delivered;
    roam_time longest = 0;
    for (unsigned i = 0; i < 2000; i++) {
        run(link, MS(10));
        longest = max_u64(longest, link->rtt.latest);
    }
    assert_true(link->delivered - before >= RATE * 20 * 95 / 100);
    assert_true(longest < 2 * RTT);
}

static void after_five_seconds_without_a_short_round_trip_it_looks_for_one(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    assert_true(run_until(link, BBR_PROBE_RTT, ROAM_SECONDS(12)));
    const uint64_t window = congestion_proven_window(&link->congestion);
    const roam_time began = link->now;
    run(link, MS(100));
    assert_true(link->congestion.window <= BDP * 55 / 100);
    assert_true(link->congestion.in_flight <= BDP * 55 / 100);
    assert_int_equal(congestion_proven_window(&link->congestion), window);
    assert_true(run_until(link, BBR_PROBE_BW_CRUISE, ROAM_SECONDS(1)));
    assert_in_range(link->now - began, MS(200), MS(400));
    /* What was slow by intention has not made the estimate lower. */
    assert_true(is_about(bbr_max_bw(&link->bbr), RATE, 2));
    run(link, MS(100));
    assert_true(link->congestion.in_flight >= BDP * 95 / 100);
}

/* ---- The model */

static void more_bandwidth_is_found(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    run(link, ROAM_SECONDS(4));
    link->rate = 3 * RATE;
    run(link, ROAM_SECONDS(12));
    assert_true(is_about(bbr_max_bw(&link->bbr), 3 * RATE, 5));
}

static void less_bandwidth_is_found_two_cycles_later(void **state)
{
    (void)state;
    struct link *link = link_new(20 * BDP);
    run(link, ROAM_SECONDS(4));
    link->rate = RATE / 4;
    run(link, ROAM_SECONDS(12));
    assert_true(is_about(bbr_max_bw(&link->bbr), RATE / 4, 10));
}

static void what_the_application_does_not_send_lowers_nothing(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    run(link, ROAM_SECONDS(4));
    link->app_limit = BDP / 10;
    run(link, ROAM_SECONDS(20));
    assert_true(is_about(bbr_max_bw(&link->bbr), RATE, 2));
    link->app_limit = 0;
    run(link, MS(200));
    assert_true(link->congestion.in_flight >= BDP * 9 / 10);
}

static void one_loss_in_a_hundred_costs_little(void **state)
{
    (void)state;
    struct link *link = link_new(2 * BDP);
    link->lose_each = 100;
    run(link, ROAM_SECONDS(3));
    const uint64_t before = link->delivered;
    run(link, ROAM_SECONDS(20));
    assert_true(link->delivered - before >= RATE * 20 * 90 / 100);
}

static void more_losses_than_are_tolerated_lower_the_rate_for_a_while(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    assert_true(run_until(link, BBR_PROBE_BW_CRUISE, ROAM_SECONDS(2)));
    link->lose_each = 10;
    run(link, 5 * RTT);
    assert_int_equal(link->bbr.state, BBR_PROBE_BW_CRUISE);
    assert_true(link->bbr.bw_shortterm < bbr_max_bw(&link->bbr) * 95 / 100);
    assert_true(link->congestion.pacing_rate < RATE * 95 / 100);
    /* Until it probes again. */
    link->lose_each = 0;
    assert_true(run_until(link, BBR_PROBE_BW_UP, ROAM_SECONDS(4)));
    assert_true(link->bbr.bw_shortterm == BBR_UNBOUND);
    assert_true(link->congestion.pacing_rate > RATE);
}

static void a_short_queue_bounds_what_is_in_flight(void **state)
{
    (void)state;
    struct link *link = link_new(BDP / 4);
    run(link, ROAM_SECONDS(10));
    assert_true(link->bbr.inflight_longterm != BBR_UNBOUND);
    assert_in_range(link->bbr.inflight_longterm, BDP * 9 / 10, BDP * 3 / 2);
    const uint64_t before = link->delivered;
    run(link, ROAM_SECONDS(10));
    assert_true(link->delivered - before >= RATE * 10 * 85 / 100);
}

static void losses_end_startup_before_the_rate_stops_growing(void **state)
{
    (void)state;
    struct link *link = link_new(20 * BDP);
    run(link, 3 * RTT);
    assert_int_equal(link->bbr.state, BBR_STARTUP);
    link->lose_each = 8;
    assert_true(run_until(link, BBR_DRAIN, 4 * RTT));
    assert_true(link->bbr.inflight_longterm != BBR_UNBOUND);
}

/* ---- ECN */

static void a_mark_ends_startup(void **state)
{
    (void)state;
    struct link *link = link_new(20 * BDP);
    run(link, 3 * RTT);
    assert_int_equal(link->bbr.state, BBR_STARTUP);
    congestion_on_ce(&link->congestion, link->now - RTT, link->now);
    assert_int_equal(link->bbr.state, BBR_DRAIN);
    assert_true(link->bbr.full_bw_reached && link->bbr.inflight_longterm != BBR_UNBOUND);
}

static void a_mark_ends_a_probe(void **state)
{
    (void)state;
    struct link *link = link_new(20 * BDP);
    assert_true(run_until(link, BBR_PROBE_BW_UP, ROAM_SECONDS(5)));
    run(link, RTT);
    assert_int_equal(link->bbr.state, BBR_PROBE_BW_UP);
    congestion_on_ce(&link->congestion, link->now - RTT / 2, link->now);
    assert_int_equal(link->bbr.state, BBR_PROBE_BW_DOWN);
    assert_true(link->bbr.probed_too_high);
    assert_in_range(link->bbr.inflight_longterm, BDP * 7 / 10, BDP * 3 / 2);
}

static void a_mark_while_cruising_lowers_the_rate(void **state)
{
    (void)state;
    struct link *link = link_new(20 * BDP);
    assert_true(run_until(link, BBR_PROBE_BW_CRUISE, ROAM_SECONDS(2)));
    run(link, RTT);
    congestion_on_ce(&link->congestion, link->now - RTT / 2, link->now);
    run(link, 3 * RTT);
    assert_true(link->bbr.bw_shortterm <= bbr_max_bw(&link->bbr));
    assert_true(link->bbr.inflight_shortterm != BBR_UNBOUND);
    assert_true(link->congestion.window <= BDP * 3 / 2);
}

/* ---- Paths */

static void another_network_begins_with_startup(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    run(link, ROAM_SECONDS(4));
    const uint64_t in_flight = link->congestion.in_flight;
    congestion_reset(&link->congestion);
    assert_int_equal(link->bbr.state, BBR_STARTUP);
    assert_int_equal(link->congestion.window, 10 * DATAGRAM);
    assert_int_equal(link->congestion.in_flight, in_flight);
    assert_int_equal(link->congestion.pacing_rate, 0);
    /* What is on its way from before tells the new network nothing. */
    for (const uint64_t sent = link->sent; link->settled < sent;)
        step(link);
    assert_int_equal(bbr_max_bw(&link->bbr), 0);
    run(link, ROAM_SECONDS(2));
    assert_true(is_about(bbr_max_bw(&link->bbr), RATE, 2));
}

static void persistent_congestion_begins_with_startup_and_the_minimum_window(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    run(link, ROAM_SECONDS(4));
    congestion_on_persistent(&link->congestion);
    assert_int_equal(link->bbr.state, BBR_STARTUP);
    assert_int_equal(link->congestion.window, 2 * DATAGRAM);
}

static void another_port_goes_on_with_the_model(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    run(link, ROAM_SECONDS(4));
    static struct bbr memory;
    struct congestion other;
    congestion_at_work(&other, ROAM_CONGESTION_BBR, DATAGRAM, 10, &memory);
    const uint16_t probe = congestion_stamp(&other, DATAGRAM, false, link->now);
    congestion_on_sent(&other, DATAGRAM);
    congestion_inherit(&other, &link->congestion);
    assert_ptr_equal(other.bbr, &memory);
    assert_int_equal(other.in_flight, DATAGRAM);
    assert_int_equal(other.window, link->congestion.window);
    assert_int_equal(other.pacing_rate, link->congestion.pacing_rate);
    assert_int_equal(memory.state, link->bbr.state);
    assert_int_equal(bbr_max_bw(&memory), bbr_max_bw(&link->bbr));
    /* Its own packet from before is acknowledged, and no sample of the other path's. */
    const uint64_t bw = bbr_max_bw(&memory);
    congestion_on_delivered(&other, probe, DATAGRAM, link->now, link->now + 1);
    assert_false(memory.rate.sample.has_stamp);
    congestion_on_acked(&other, DATAGRAM, link->now, link->now + 1, &link->rtt, false);
    congestion_on_ack_end(&other, &link->rtt, link->now + RTT);
    assert_int_equal(bbr_max_bw(&memory), bw);
    assert_int_equal(other.in_flight, 0);
}

/* As congestion_resume does for the others: half of the window after one round trip, paced over another. */
static void a_known_network_is_tried_with_half_of_its_window(void **state)
{
    (void)state;
    struct link *link = link_new(4 * BDP);
    congestion_resume(&link->congestion, 2 * BDP, RTT);
    run(link, 2 * RTT);
    assert_true(link->congestion.window >= BDP * 9 / 10);
    run(link, 3 * RTT);
    assert_true(is_about(bbr_max_bw(&link->bbr), RATE, 10));
    assert_int_equal(link->congestion.work->resume.phase, RESUME_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(startup_doubles_the_rate_each_round_until_the_pipe_is_full),
        cmocka_unit_test(drain_lasts_until_the_queue_is_gone),
        cmocka_unit_test(the_bandwidth_cycle_goes_round),
        cmocka_unit_test(it_waits_two_to_three_seconds_between_two_probes_or_as_long_as_reno),
        cmocka_unit_test(the_link_is_full_and_its_queue_is_not),
        cmocka_unit_test(after_five_seconds_without_a_short_round_trip_it_looks_for_one),
        cmocka_unit_test(more_bandwidth_is_found),
        cmocka_unit_test(less_bandwidth_is_found_two_cycles_later),
        cmocka_unit_test(what_the_application_does_not_send_lowers_nothing),
        cmocka_unit_test(one_loss_in_a_hundred_costs_little),
        cmocka_unit_test(more_losses_than_are_tolerated_lower_the_rate_for_a_while),
        cmocka_unit_test(a_short_queue_bounds_what_is_in_flight),
        cmocka_unit_test(losses_end_startup_before_the_rate_stops_growing),
        cmocka_unit_test(a_mark_ends_startup),
        cmocka_unit_test(a_mark_ends_a_probe),
        cmocka_unit_test(a_mark_while_cruising_lowers_the_rate),
        cmocka_unit_test(another_network_begins_with_startup),
        cmocka_unit_test(persistent_congestion_begins_with_startup_and_the_minimum_window),
        cmocka_unit_test(another_port_goes_on_with_the_model),
        cmocka_unit_test(a_known_network_is_tried_with_half_of_its_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
