/* HyStart++: when slow start is left, and when that was a mistake. */
#include "congestion_at_work.h"
#include "recovery_fixture.h"

#include "recovery/congestion.h"
#include "recovery/hystart.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define DATAGRAM 1200

/* One round trip of `samples` ACK frames, each of which takes `rtt`, the first packet having left at `now`. Returns the
 * time at which the next round's first packet leaves; *ret_over: slow start has ended. */
static roam_time run_round(struct hystart *hystart, roam_time now, roam_time rtt, unsigned samples, bool *ret_over)
{
    for (unsigned i = 0; i < samples; i++) {
        hystart_on_acked(hystart, DATAGRAM, now + i);
        *ret_over |= hystart_on_ack_end(hystart, now + rtt + i);
    }
    return now + rtt + samples;
}

static bool leaves_slow_start(roam_time before, roam_time after, unsigned samples)
{
    struct hystart hystart = {0};
    bool over = false;
    roam_time now = run_round(&hystart, MS(1), before, 20, &over);
    now = run_round(&hystart, now, before, 20, &over);
    run_round(&hystart, now, after, samples, &over);
    assert_false(over);
    return hystart.phase == HYSTART_CONSERVATIVE;
}

static void a_round_trip_that_is_an_eighth_longer_ends_fast_growth(void **state)
{
    (void)state;
    assert_true(leaves_slow_start(MS(80), MS(91), 8));
    assert_false(leaves_slow_start(MS(80), MS(89), 20));
}

static void the_threshold_is_between_4_and_16_milliseconds(void **state)
{
    (void)state;
    assert_false(leaves_slow_start(MS(8), MS(11), 20));
    assert_true(leaves_slow_start(MS(8), MS(13), 20));
    assert_false(leaves_slow_start(MS(800), MS(815), 20));
    assert_true(leaves_slow_start(MS(800), MS(817), 20));
}

static void fewer_than_eight_samples_decide_nothing(void **state)
{
    (void)state;
    assert_false(leaves_slow_start(MS(40), MS(80), 7));
    assert_true(leaves_slow_start(MS(40), MS(80), 8));
}

/* In conservative slow start since a round whose least RTT was 60 ms. */
static roam_time begin_conservative(struct hystart *hystart)
{
    bool over = false;
    *hystart = (struct hystart){0};
    roam_time now = run_round(hystart, MS(1), MS(40), 20, &over);
    now = run_round(hystart, now, MS(40), 20, &over);
    now = run_round(hystart, now, MS(60), 20, &over);
    assert_int_equal(hystart->phase, HYSTART_CONSERVATIVE);
    return now;
}

static void conservative_slow_start_grows_by_a_quarter(void **state)
{
    (void)state;
    struct hystart hystart = {0};
    assert_int_equal(hystart_on_acked(&hystart, DATAGRAM, 1), DATAGRAM);
    begin_conservative(&hystart);
    assert_int_equal(hystart_on_acked(&hystart, DATAGRAM, 1), DATAGRAM / 4);
}

static void five_rounds_later_slow_start_is_over(void **state)
{
    (void)state;
    struct hystart hystart;
    roam_time now = begin_conservative(&hystart);
    bool over = false;
    for (unsigned round = 0; round < 4; round++) {
        now = run_round(&hystart, now, MS(65), 20, &over);
        assert_false(over);
    }
    run_round(&hystart, now, MS(65), 20, &over);
    assert_true(over);
    assert_int_equal(hystart.phase, HYSTART_DONE);
    /* Said once. */
    over = false;
    run_round(&hystart, now + MS(500), MS(65), 20, &over);
    assert_false(over);
}

static void a_round_trip_that_is_short_again_takes_it_back(void **state)
{
    (void)state;
    struct hystart hystart;
    roam_time now = begin_conservative(&hystart);
    bool over = false;
    run_round(&hystart, now, MS(41), 20, &over);
    assert_false(over);
    assert_int_equal(hystart.phase, HYSTART_SLOW_START);
    assert_int_equal(hystart_on_acked(&hystart, DATAGRAM, 1), DATAGRAM);
}

/* ---- In CUBIC */

static void exchange(struct congestion *congestion, const struct rtt *rtt, roam_time sent_at, roam_time now)
{
    congestion_on_sent(congestion, DATAGRAM);
    congestion->flight_peak = congestion->window;
    congestion_on_acked(congestion, DATAGRAM, sent_at, now, rtt, false);
    congestion_on_ack_end(congestion, rtt, now);
}

/* Rounds of 20 acknowledgements with these RTTs; returns the time. */
static roam_time run(struct congestion *congestion, roam_time now, const roam_time *rtts, size_t rounds)
{
    struct rtt rtt;
    rtt_init(&rtt, MS(40));
    for (size_t round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < 20; i++)
            exchange(congestion, &rtt, now + i, now + rtts[round] + i);
        now += rtts[round] + 20;
    }
    return now;
}

static const roam_time growing[] = {MS(40), MS(40), MS(60), MS(62), MS(64), MS(66), MS(68), MS(70)};

static void cubic_leaves_slow_start_without_a_loss(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    run(&congestion, MS(1), growing, 7);
    assert_true(congestion_in_slow_start(&congestion));
    run(&congestion, MS(1000), growing + 7, 1);
    assert_false(congestion_in_slow_start(&congestion));
    /* Two rounds and eight acknowledgements grew by all, the rest up to the end of the fifth round by a quarter. */
    const uint64_t window = (10 + 48) * DATAGRAM + (12 + 4 * 20) * (DATAGRAM / 4) + DATAGRAM / 4;
    assert_int_equal(congestion.slow_start_threshold, window);
    assert_false(congestion.had_event);
}

//= rfc9406#4.3 Later slow starts end at the threshold that was found.
static void a_slow_start_after_a_loss_is_a_plain_one(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion.window = 1000 * DATAGRAM;
    congestion_on_sent(&congestion, DATAGRAM);
    congestion_on_lost(&congestion, DATAGRAM, MS(1), MS(2));
    congestion_on_persistent(&congestion);
    run(&congestion, MS(10), growing, 8);
    assert_int_equal(congestion.window, 2 * DATAGRAM + 8 * 20 * DATAGRAM);
    assert_true(congestion_in_slow_start(&congestion));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_trip_that_is_an_eighth_longer_ends_fast_growth),
        cmocka_unit_test(the_threshold_is_between_4_and_16_milliseconds),
        cmocka_unit_test(fewer_than_eight_samples_decide_nothing),
        cmocka_unit_test(conservative_slow_start_grows_by_a_quarter),
        cmocka_unit_test(five_rounds_later_slow_start_is_over),
        cmocka_unit_test(a_round_trip_that_is_short_again_takes_it_back),
        cmocka_unit_test(cubic_leaves_slow_start_without_a_loss),
        cmocka_unit_test(a_slow_start_after_a_loss_is_a_plain_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
