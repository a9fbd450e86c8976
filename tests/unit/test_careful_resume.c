/* Careful resume, seen through a congestion controller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "congestion_at_work.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define DATAGRAM 1200
#define INITIAL  (10 * DATAGRAM)
#define SAVED    (200 * DATAGRAM)
#define RTT      MS(40)

static struct rtt rtt_of(roam_time sample)
{
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, sample, 0, 0, true);
    return rtt;
}

static void send(struct congestion *congestion, uint64_t packets)
{
    for (uint64_t i = 0; i < packets; i++)
        congestion_on_sent(congestion, DATAGRAM);
}

static void acknowledge(struct congestion *congestion, uint64_t packets, roam_time sent_at, roam_time sample)
{
    struct rtt rtt = rtt_of(sample);
    for (uint64_t i = 0; i < packets; i++)
        congestion_on_acked(congestion, DATAGRAM, sent_at, sent_at + RTT, &rtt, false);
}

static enum resume_phase phase_of(const struct congestion *congestion)
{
    return congestion->work->resume.phase;
}

/* The jump is made at MS(140). */
static void set_up(struct congestion *congestion, enum roam_congestion algorithm)
{
    congestion_at_work(congestion, algorithm, DATAGRAM, 10, NULL);
    congestion_resume(congestion, SAVED, RTT);
    assert_int_equal(phase_of(congestion), RESUME_RECONNAISSANCE);
    assert_int_equal(congestion->window, INITIAL);
    send(congestion, 10);
    acknowledge(congestion, 9, MS(100), RTT);
    assert_int_equal(phase_of(congestion), RESUME_RECONNAISSANCE);
    acknowledge(congestion, 1, MS(100), RTT);
    assert_int_equal(phase_of(congestion), RESUME_UNVALIDATED);
    assert_int_equal(congestion->window, SAVED / 2);
}

static const enum roam_congestion algorithms[] = {ROAM_CONGESTION_CUBIC, ROAM_CONGESTION_NEWRENO};

static void half_of_the_saved_window_is_proven_in_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct congestion congestion;
        set_up(&congestion, algorithms[i]);
        send(&congestion, 100);
        acknowledge(&congestion, 1, MS(141), RTT);
        assert_int_equal(phase_of(&congestion), RESUME_VALIDATING);
        assert_int_equal(congestion.window, SAVED / 2);
        acknowledge(&congestion, 99, MS(150), RTT);
        assert_int_equal(phase_of(&congestion), RESUME_VALIDATING);
        assert_true(congestion.window >= SAVED / 2);
        send(&congestion, 1);
        acknowledge(&congestion, 1, MS(190), RTT);
        assert_int_equal(phase_of(&congestion), RESUME_OFF);
    }
}

static void what_was_not_used_of_the_jump_is_not_claimed(void **state)
{
    (void)state;
    struct congestion congestion;
    set_up(&congestion, ROAM_CONGESTION_CUBIC);
    send(&congestion, 20);
    acknowledge(&congestion, 1, MS(141), RTT);
    assert_int_equal(phase_of(&congestion), RESUME_VALIDATING);
    assert_int_equal(congestion.window, 20 * DATAGRAM);
}

static void the_window_stands_still_between_the_jump_and_its_first_acknowledgement(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_NEWRENO, DATAGRAM, 10, NULL);
    congestion_resume(&congestion, SAVED, RTT);
    send(&congestion, 15);
    acknowledge(&congestion, 10, MS(100), RTT);
    acknowledge(&congestion, 5, MS(101), RTT);
    assert_int_equal(congestion.window, SAVED / 2);
    assert_int_equal(phase_of(&congestion), RESUME_UNVALIDATED);
}

static void a_loss_after_the_jump_leads_to_half_of_what_has_arrived(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct congestion congestion;
        set_up(&congestion, algorithms[i]);
        send(&congestion, 100);
        acknowledge(&congestion, 20, MS(145), RTT);
        congestion_on_lost(&congestion, DATAGRAM, MS(146), MS(200));
        assert_int_equal(phase_of(&congestion), RESUME_SAFE_RETREAT);
        assert_int_equal(congestion.window, (10 + 20) * DATAGRAM / 2);
        assert_int_equal(congestion.slow_start_threshold, congestion.window);
        /* The rest of the jump says nothing new, whatever becomes of it. */
        acknowledge(&congestion, 20, MS(147), RTT);
        congestion_on_lost(&congestion, DATAGRAM, MS(148), MS(210));
        assert_int_equal(congestion.window, (10 + 20) * DATAGRAM / 2);
        send(&congestion, 1);
        acknowledge(&congestion, 1, MS(201), RTT);
        assert_int_equal(phase_of(&congestion), RESUME_OFF);
    }
}

static void a_loss_before_the_jump_calls_it_off(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion_resume(&congestion, SAVED, RTT);
    send(&congestion, 10);
    acknowledge(&congestion, 5, MS(100), RTT);
    congestion_on_lost(&congestion, DATAGRAM, MS(100), MS(140));
    acknowledge(&congestion, 4, MS(100), RTT);
    assert_int_equal(phase_of(&congestion), RESUME_OFF);
    assert_true(congestion.window < SAVED / 4);
}

static void another_round_trip_time_is_another_network(void **state)
{
    (void)state;
    const struct {
        roam_time sample;
        bool same;
    } cases[] = {{RTT / 2 - 1, false}, {RTT / 2, true}, {RTT, true}, {10 * RTT, true}, {10 * RTT + 1, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct congestion congestion;
        congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
        congestion_resume(&congestion, SAVED, RTT);
        send(&congestion, 10);
        acknowledge(&congestion, 10, MS(100), cases[i].sample);
        assert_int_equal(phase_of(&congestion), cases[i].same ? RESUME_UNVALIDATED : RESUME_OFF);
        assert_int_equal(congestion.window, cases[i].same ? SAVED / 2 : 2 * INITIAL);
    }
}

static void nothing_is_resumed_for_a_small_window_or_on_a_path_that_knows_better(void **state)
{
    (void)state;
    struct congestion congestion;
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion_resume(&congestion, 2 * INITIAL, RTT);
    assert_int_equal(phase_of(&congestion), RESUME_OFF);
    send(&congestion, 2);
    acknowledge(&congestion, 1, MS(1), RTT);
    congestion_on_lost(&congestion, DATAGRAM, MS(1), MS(50));
    congestion_resume(&congestion, SAVED, RTT);
    assert_int_equal(phase_of(&congestion), RESUME_OFF);
}

static void who_has_little_to_say_makes_no_jump(void **state)
{
    (void)state;
    struct congestion congestion;
    struct rtt rtt = rtt_of(RTT);
    congestion_at_work(&congestion, ROAM_CONGESTION_CUBIC, DATAGRAM, 10, NULL);
    congestion_resume(&congestion, SAVED, RTT);
    send(&congestion, 50);
    for (int i = 0; i < 50; i++)
        congestion_on_acked(&congestion, DATAGRAM, MS(100), MS(140), &rtt, true);
    assert_int_equal(congestion.window, INITIAL);
    assert_int_equal(phase_of(&congestion), RESUME_RECONNAISSANCE);
}

static void persistent_congestion_and_a_reset_end_it(void **state)
{
    (void)state;
    struct congestion congestion;
    set_up(&congestion, ROAM_CONGESTION_CUBIC);
    congestion_on_persistent(&congestion);
    assert_int_equal(phase_of(&congestion), RESUME_OFF);
    set_up(&congestion, ROAM_CONGESTION_CUBIC);
    congestion_reset(&congestion);
    assert_int_equal(phase_of(&congestion), RESUME_OFF);
    assert_int_equal(congestion.window, INITIAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_of_the_saved_window_is_proven_in_a_round_trip),
        cmocka_unit_test(what_was_not_used_of_the_jump_is_not_claimed),
        cmocka_unit_test(the_window_stands_still_between_the_jump_and_its_first_acknowledgement),
        cmocka_unit_test(a_loss_after_the_jump_leads_to_half_of_what_has_arrived),
        cmocka_unit_test(a_loss_before_the_jump_calls_it_off),
        cmocka_unit_test(another_round_trip_time_is_another_network),
        cmocka_unit_test(nothing_is_resumed_for_a_small_window_or_on_a_path_that_knows_better),
        cmocka_unit_test(who_has_little_to_say_makes_no_jump),
        cmocka_unit_test(persistent_congestion_and_a_reset_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
