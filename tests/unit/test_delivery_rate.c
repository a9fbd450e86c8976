/* Delivery rate samples: what a path delivers, told apart from how acknowledgements come and what was not sent. */
#include "recovery_fixture.h"

#include "base/minmax.h"
#include "recovery/delivery_rate.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define DATAGRAM 1200
#define RTT      MS(40)

struct sent {
    uint16_t stamp;
    roam_time at;
};

static struct sent send(struct delivery_rate *rate, uint64_t in_flight, roam_time now)
{
    return (struct sent){delivery_rate_on_sent(rate, DATAGRAM, in_flight, false, RTT, now), now};
}

static void ack(struct delivery_rate *rate, struct sent packet, roam_time now)
{
    delivery_rate_on_acked(rate, packet.stamp, DATAGRAM, packet.at, now);
}

/* A packet each millisecond for a second; the acknowledgements come 40 ms later, `lump` at a time. Returns the highest
 * sample and the newest. */
static void run_steadily(unsigned lump, uint64_t *ret_highest, struct rate_sample *ret_newest)
{
    static struct delivery_rate rate;
    static struct sent packets[1000];
    delivery_rate_init(&rate, 0);
    unsigned sent = 0, acked = 0;
    *ret_highest = 0;
    for (roam_time now = MS(1000); acked < 960; now += MS(1)) {
        while (packets[acked].at + RTT <= now && acked + lump <= sent && packets[acked + lump - 1].at + RTT <= now) {
            for (unsigned i = 0; i < lump; i++)
                ack(&rate, packets[acked++], now);
            delivery_rate_on_ack_end(&rate, RTT);
            *ret_newest = rate.sample;
            *ret_highest = max_u64(*ret_highest, rate.sample.rate);
            delivery_rate_next(&rate);
        }
        if (sent < 1000) {
            packets[sent] = send(&rate, (sent - acked) * DATAGRAM, now);
            sent++;
        }
    }
}

static void a_steady_flow_is_measured_exactly(void **state)
{
    (void)state;
    uint64_t highest;
    struct rate_sample newest;
    run_steadily(1, &highest, &newest);
    assert_int_equal(highest, 1000 * DATAGRAM);
    assert_int_equal(newest.rate, 1000 * DATAGRAM);
    assert_int_equal(newest.rtt, RTT);
    assert_int_equal(newest.newly_acked, DATAGRAM);
    /* A stamp is up to a 32nd of a round trip old. */
    assert_in_range(newest.delivered, 40 * DATAGRAM, 42 * DATAGRAM);
    assert_in_range(newest.in_flight, 39 * DATAGRAM, 41 * DATAGRAM);
    assert_int_equal(newest.lost, 0);
}

static void acknowledgements_in_lumps_make_no_rate_higher(void **state)
{
    (void)state;
    uint64_t highest;
    struct rate_sample newest;
    run_steadily(16, &highest, &newest);
    assert_in_range(highest, 900 * DATAGRAM, 1020 * DATAGRAM);
}

static void acknowledgements_that_were_held_up_do_not_either(void **state)
{
    (void)state;
    static struct delivery_rate rate;
    struct sent packets[40];
    delivery_rate_init(&rate, 0);
    for (unsigned i = 0; i < 40; i++)
        packets[i] = send(&rate, i * DATAGRAM, MS(i));
    /* All at once, and the newest left 39 ms after the first: no faster than it was sent. */
    for (unsigned i = 0; i < 40; i++)
        ack(&rate, packets[i], MS(80));
    delivery_rate_on_ack_end(&rate, RTT);
    assert_true(rate.sample.rate > 0 && rate.sample.rate <= 1000 * DATAGRAM);
}

static void intervals_shorter_than_the_round_trip_give_no_rate(void **state)
{
    (void)state;
    static struct delivery_rate rate;
    delivery_rate_init(&rate, 0);
    struct sent packet = send(&rate, 0, MS(10));
    ack(&rate, packet, MS(20));
    delivery_rate_on_ack_end(&rate, RTT);
    assert_true(rate.sample.has_stamp);
    assert_int_equal(rate.sample.rate, 0);
    assert_int_equal(rate.sample.delivered, DATAGRAM);
}

static void what_leaves_after_the_data_ran_out_is_marked_until_it_is_delivered(void **state)
{
    (void)state;
    static struct delivery_rate rate;
    delivery_rate_init(&rate, 0);
    struct sent full = send(&rate, 0, MS(1));
    const uint16_t last = delivery_rate_on_sent(&rate, DATAGRAM, DATAGRAM, true, RTT, MS(2));
    struct sent after = send(&rate, 2 * DATAGRAM, MS(30));
    ack(&rate, full, MS(41));
    ack(&rate, (struct sent){last, MS(2)}, MS(41));
    delivery_rate_on_ack_end(&rate, RTT);
    assert_false(rate.sample.app_limited);
    delivery_rate_next(&rate);
    ack(&rate, after, MS(70));
    delivery_rate_on_ack_end(&rate, RTT);
    assert_true(rate.sample.app_limited);
    delivery_rate_next(&rate);
    /* The gap is behind us. */
    struct sent again = send(&rate, DATAGRAM, MS(71));
    ack(&rate, again, MS(111));
    delivery_rate_on_ack_end(&rate, RTT);
    assert_false(rate.sample.app_limited);
}

static void losses_are_counted_from_when_the_packet_left(void **state)
{
    (void)state;
    static struct delivery_rate rate;
    struct rate_sample lost;
    struct sent packets[100];
    delivery_rate_init(&rate, 0);
    for (unsigned i = 0; i < 100; i++)
        packets[i] = send(&rate, i * DATAGRAM, MS(i));
    for (unsigned i = 0; i < 10; i++)
        assert_true(delivery_rate_on_lost(&rate, packets[i].stamp, DATAGRAM, &lost));
    assert_int_equal(lost.lost, 10 * DATAGRAM);
    assert_in_range(lost.in_flight, 9 * DATAGRAM, 10 * DATAGRAM);
    struct sent later = send(&rate, 90 * DATAGRAM, MS(200));
    assert_true(delivery_rate_on_lost(&rate, later.stamp, DATAGRAM, &lost));
    assert_int_equal(lost.lost, DATAGRAM);
    assert_int_equal(lost.in_flight, 91 * DATAGRAM);
    assert_int_equal(rate.lost, 11 * DATAGRAM);
}

static void packets_share_stamps(void **state)
{
    (void)state;
    static struct delivery_rate rate;
    delivery_rate_init(&rate, 0);
    struct sent first = send(&rate, 0, MS(1));
    for (unsigned i = 1; i < 100000; i++)
        send(&rate, i * DATAGRAM, MS(1));
    /* One more each time that what is in flight has grown by a 32nd. */
    assert_true(rate.stamped < 400);
    const uint64_t before = rate.stamped;
    for (unsigned i = 0; i < 30; i++) {
        ack(&rate, first, MS(41) + i * MS(1) / 10);
        send(&rate, 100000 * DATAGRAM, MS(41) + i * MS(1) / 10);
    }
    /* Within 3 ms, in which an ACK came each 100 microseconds: one for each 32nd of 40 ms. */
    assert_in_range(rate.stamped - before, 2, 4);
}

static void a_packet_whose_stamp_is_gone_is_counted_and_gives_no_sample(void **state)
{
    (void)state;
    static struct delivery_rate rate;
    struct rate_sample lost = {.lost = 7};
    delivery_rate_init(&rate, 0);
    struct sent old = send(&rate, 0, MS(1));
    for (unsigned i = 0; i < RATE_STAMPS; i++)
        send(&rate, 0, MS(2 + i));
    ack(&rate, old, MS(600));
    delivery_rate_on_ack_end(&rate, RTT);
    assert_int_equal(rate.sample.newly_acked, DATAGRAM);
    assert_int_equal(rate.delivered, DATAGRAM);
    assert_false(rate.sample.has_stamp);
    assert_false(delivery_rate_on_lost(&rate, old.stamp, DATAGRAM, &lost));
    assert_int_equal(lost.lost, 7);
}

static void packets_from_before_a_reset_say_nothing(void **state)
{
    (void)state;
    static struct delivery_rate rate;
    delivery_rate_init(&rate, 0);
    struct sent old = send(&rate, 0, MS(1));
    delivery_rate_init(&rate, rate.stamped);
    struct sent fresh = send(&rate, DATAGRAM, MS(2));
    assert_true(old.stamp != fresh.stamp);
    ack(&rate, old, MS(41));
    delivery_rate_on_ack_end(&rate, 0);
    assert_false(rate.sample.has_stamp);
    delivery_rate_next(&rate);
    ack(&rate, fresh, MS(42));
    delivery_rate_on_ack_end(&rate, 0);
    assert_true(rate.sample.has_stamp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_flow_is_measured_exactly),
        cmocka_unit_test(acknowledgements_in_lumps_make_no_rate_higher),
        cmocka_unit_test(acknowledgements_that_were_held_up_do_not_either),
        cmocka_unit_test(intervals_shorter_than_the_round_trip_give_no_rate),
        cmocka_unit_test(what_leaves_after_the_data_ran_out_is_marked_until_it_is_delivered),
        cmocka_unit_test(losses_are_counted_from_when_the_packet_left),
        cmocka_unit_test(packets_share_stamps),
        cmocka_unit_test(a_packet_whose_stamp_is_gone_is_counted_and_gives_no_sample),
        cmocka_unit_test(packets_from_before_a_reset_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
