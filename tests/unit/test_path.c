/* One path: octets, allowance, owed responses, its state as users see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "path/path.h"

static const roam_config config = {
    .initial_window_packets = 10, .initial_rtt = ROAM_MILLISECONDS(333), .datagram_bytes = 1200, .ecn = true};

static void set_up(struct path *path)
{
    roam_address local, remote;
    assert_true(roam_address_parse(&local, "192.0.2.1:443"));
    assert_true(roam_address_parse(&remote, "198.51.100.7:50000"));
    static struct path_work work;
    path_init(path, 5, &local, &remote, &config, ROAM_SECONDS(1));
    path_check(path);
    path_begin_work(path, &work);
    path_check(path);
}

static void owe(struct path *path, uint8_t value)
{
    uint8_t data[PATH_DATA_BYTES];
    memset(data, value, sizeof(data));
    const bool full = path->work->responses.count == PATH_RESPONSES_MAX;
    assert_int_equal(path_owe_response(path, data, ROAM_SECONDS(1)), !full);
    path_check(path);
}

static void a_new_path_is_unvalidated_and_owes_nothing(void **state)
{
    (void)state;
    struct path path;
    uint8_t data[PATH_DATA_BYTES];
    set_up(&path);
    assert_int_equal(path.id, 5);
    assert_int_equal(path.remote.port, 50000);
    assert_int_equal(path.last_used, ROAM_SECONDS(1));
    assert_int_equal(path_state(&path), ROAM_PATH_UNVALIDATED);
    assert_int_equal(path_allowance(&path), 0);
    assert_false(path.was_active);
    assert_false(path_take_response(&path, data, ROAM_SECONDS(1)));
    assert_int_equal(path.ecn.state, ROAM_ECN_STATE_TESTING);
    assert_int_equal(path_datagram_bytes(&path), 1200);
}

/* B29, 9000-8-1. */
static void three_times_what_came_may_go_out_before_validation(void **state)
{
    //= rfc9000#8-1 Send at most 3x the bytes received to any address that is not yet validated.
    //= rfc9000#8.1-2 Before validation a server never sends more than three times the bytes received.
    (void)state;
    struct path path;
    set_up(&path);
    path_on_received(&path, 100, 0);
    assert_int_equal(path_allowance(&path), 300);
    path_on_sent(&path, 299, 0);
    path_check(&path);
    assert_int_equal(path_allowance(&path), 1);
    path_on_sent(&path, 1, 0);
    assert_int_equal(path_allowance(&path), 0);
    path_on_received(&path, 1, 0);
    assert_int_equal(path_allowance(&path), 3);
    path_check(&path);
}

/* B13: even the smallest packet lets a challenge out; 9000-8.2.1-5: unpadded then. */
static void a_packet_of_31_octets_gives_room_for_a_small_challenge(void **state)
{
    (void)state;
    struct path path;
    set_up(&path);
    path_on_received(&path, 31, 0);
    assert_int_equal(path_allowance(&path), 93);
}

/* B14: nothing stays frozen. */
static void a_validated_address_has_no_limit_however_much_was_sent(void **state)
{
    (void)state;
    struct path path;
    set_up(&path);
    path_on_received(&path, 40, 0);
    path_on_sent(&path, 120, 0);
    path.address_validated = true;
    assert_int_equal(path_allowance(&path), UINT64_MAX);
    path_on_sent(&path, 100000, 0);
    assert_int_equal(path_allowance(&path), UINT64_MAX);
    path_check(&path);
}

static void both_directions_count_as_use_and_time_never_runs_back(void **state)
{
    (void)state;
    struct path path;
    set_up(&path);
    path_on_received(&path, 100, ROAM_SECONDS(3));
    assert_int_equal(path.last_used, ROAM_SECONDS(3));
    path_on_sent(&path, 100, ROAM_SECONDS(4));
    assert_int_equal(path.last_used, ROAM_SECONDS(4));
    path_on_received(&path, 100, ROAM_SECONDS(2));
    assert_int_equal(path.last_used, ROAM_SECONDS(4));
}

/* 9000-8.2.2-7. */
static void each_challenge_is_answered_once_the_oldest_first(void **state)
{
    //= rfc9000#8.2.2-1 Echo PATH_CHALLENGE data in a PATH_RESPONSE.
    //= rfc9000#8.2.2-7 Never send more than one PATH_RESPONSE per PATH_CHALLENGE received (no retransmission).
    (void)state;
    struct path path;
    uint8_t data[PATH_DATA_BYTES];
    set_up(&path);
    owe(&path, 1);
    owe(&path, 2);
    assert_true(path_take_response(&path, data, ROAM_SECONDS(1)));
    assert_int_equal(data[0], 1);
    owe(&path, 3);
    assert_true(path_take_response(&path, data, ROAM_SECONDS(1)));
    assert_int_equal(data[7], 2);
    assert_true(path_take_response(&path, data, ROAM_SECONDS(1)));
    assert_int_equal(data[0], 3);
    assert_false(path_take_response(&path, data, ROAM_SECONDS(1)));
}

/* B21. */
static void of_ten_thousand_challenges_the_newest_are_answered(void **state)
{
    (void)state;
    struct path path;
    uint8_t data[PATH_DATA_BYTES];
    set_up(&path);
    for (unsigned i = 0; i < 10000; i++)
        owe(&path, (uint8_t)i);
    for (unsigned i = 10000 - PATH_RESPONSES_MAX; i < 10000; i++) {
        assert_true(path_take_response(&path, data, ROAM_SECONDS(1)));
        assert_int_equal(data[0], (uint8_t)i);
    }
    assert_false(path_take_response(&path, data, ROAM_SECONDS(1)));
}

static void its_state_follows_its_validation(void **state)
{
    (void)state;
    struct path path;
    set_up(&path);
    path.address_validated = true; /* by the handshake, RFC 9000 section 8.1 */
    assert_int_equal(path_state(&path), ROAM_PATH_VALIDATED);
    path_validation_start(&path.validation, 0, 10, 10);
    path_check(&path);
    assert_int_equal(path_state(&path), ROAM_PATH_VALIDATING);
    assert_true(path_validation_expire(&path.validation, 30));
    path_check(&path);
    assert_int_equal(path_state(&path), ROAM_PATH_FAILED);
    path.validation.state = VALIDATION_SUCCEEDED;
    assert_int_equal(path_state(&path), ROAM_PATH_VALIDATED);
}

static void beyond_a_full_window_a_few_responses_leave_until_something_is_acknowledged(void **state)
{
    //= rfc9000#8.2.2-2 Do not delay a PATH_RESPONSE except for congestion control.
    (void)state;
    struct path path;
    uint8_t data[PATH_DATA_BYTES];
    set_up(&path);
    assert_false(path_may_respond(&path));
    for (unsigned i = 0; i < 100; i++) {
        owe(&path, 1);
        assert_true(path_may_respond(&path) && path_take_response(&path, data, ROAM_SECONDS(1)));
    }
    path.recovery.congestion.in_flight = path.recovery.congestion.window;
    assert_true(path_window_is_full(&path));
    for (unsigned turn = 0; turn < 3; turn++) {
        unsigned sent = 0;
        for (unsigned i = 0; i < 100; i++) {
            owe(&path, 2);
            sent += path_may_respond(&path) && path_take_response(&path, data, ROAM_SECONDS(1));
        }
        assert_int_equal(sent, PATH_RESPONSES_MAX);
        path_on_acked(&path);
    }
    /* Nor does it take an acknowledgement: a PTO without backoff will do. */
    const roam_time pto = rtt_pto(&path.recovery.rtt, 0);
    unsigned answered = 0;
    for (roam_time now = ROAM_SECONDS(1); now < ROAM_SECONDS(1) + 10 * pto; now += pto / 10) {
        memset(data, 3, sizeof(data));
        path_owe_response(&path, data, now);
        answered += path_may_respond(&path) && path_take_response(&path, data, now);
    }
    assert_in_range(answered, 9 * PATH_RESPONSES_MAX, 10 * PATH_RESPONSES_MAX);
    assert_false(path_may_respond(&path));
    path.recovery.congestion.in_flight = 0;
    assert_false(path_window_is_full(&path));
    assert_true(path_may_respond(&path));
}

/* A window of datagrams goes out and is acknowledged. */
static void send_a_window(struct path *path, roam_time now)
{
    struct path_recovery *recovery = &path->recovery;
    const uint64_t datagrams = recovery->congestion.window / 1200;
    for (uint64_t i = 0; i < datagrams; i++) {
        congestion_on_sent(&recovery->congestion, 1200);
        pacer_on_sent(recovery->pacer, 1200, now, &recovery->congestion, &recovery->rtt);
    }
    rtt_update(&recovery->rtt, ROAM_MILLISECONDS(20), 0, 0, true);
    for (uint64_t i = 0; i < datagrams; i++)
        congestion_on_acked(&recovery->congestion, 1200, now, now + ROAM_MILLISECONDS(20), &recovery->rtt, false);
    congestion_on_ack_end(&recovery->congestion, &recovery->rtt, now + ROAM_MILLISECONDS(20));
}

static void what_a_path_has_learnt_outlives_its_rest(void **state)
{
    (void)state;
    static struct path_work more;
    struct path path;
    set_up(&path);
    send_a_window(&path, ROAM_SECONDS(1));
    const uint64_t window = path.recovery.congestion.window;
    assert_int_equal(window, 24000);
    assert_true(path_may_rest(&path, ROAM_SECONDS(2)));
    assert_non_null(path_rest(&path));
    path_check(&path);
    assert_false(path_may_rest(&path, ROAM_SECONDS(2)));
    path_begin_work(&path, &more);
    path_check(&path);
    assert_int_equal(path.recovery.congestion.window, window);
    assert_int_equal(path.recovery.congestion.slow_start_threshold, UINT64_MAX);
    assert_int_equal(path.recovery.rtt.smoothed, ROAM_MILLISECONDS(20));
    /* And it grows on from there. */
    send_a_window(&path, ROAM_SECONDS(3));
    assert_int_equal(path.recovery.congestion.window, 2 * window);
}

static void a_path_that_has_something_to_forget_does_not_rest(void **state)
{
    (void)state;
    const roam_time later = ROAM_SECONDS(10);
    struct path path;
    set_up(&path);
    congestion_on_sent(&path.recovery.congestion, 1200);
    assert_false(path_may_rest(&path, later)); /* in flight */
    congestion_forget(&path.recovery.congestion, 1200);
    assert_true(path_may_rest(&path, later));
    owe(&path, 1);
    assert_false(path_may_rest(&path, later)); /* a response is owed */
    uint8_t data[PATH_DATA_BYTES];
    assert_true(path_take_response(&path, data, ROAM_SECONDS(1)));
    path_validation_start(&path.validation, 0, ROAM_SECONDS(1), ROAM_SECONDS(1));
    assert_false(path_may_rest(&path, later)); /* a challenge may be answered */
    path_validation_abandon(&path.validation);
    pacer_forgo_burst(path.recovery.pacer, 1200, later);
    assert_false(path_may_rest(&path, later)); /* a burst would follow */
    assert_true(path_may_rest(&path, later + ROAM_SECONDS(1)));
    congestion_on_sent(&path.recovery.congestion, 1200);
    congestion_on_lost(&path.recovery.congestion, 1200, 1, 2);
    assert_int_equal(path.recovery.congestion.in_flight, 0);
    assert_false(path_may_rest(&path, later + ROAM_SECONDS(1))); /* CUBIC knows where it lost */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_path_is_unvalidated_and_owes_nothing),
        cmocka_unit_test(three_times_what_came_may_go_out_before_validation),
        cmocka_unit_test(a_packet_of_31_octets_gives_room_for_a_small_challenge),
        cmocka_unit_test(a_validated_address_has_no_limit_however_much_was_sent),
        cmocka_unit_test(both_directions_count_as_use_and_time_never_runs_back),
        cmocka_unit_test(each_challenge_is_answered_once_the_oldest_first),
        cmocka_unit_test(of_ten_thousand_challenges_the_newest_are_answered),
        cmocka_unit_test(what_a_path_has_learnt_outlives_its_rest),
        cmocka_unit_test(a_path_that_has_something_to_forget_does_not_rest),
        cmocka_unit_test(beyond_a_full_window_a_few_responses_leave_until_something_is_acknowledged),
        cmocka_unit_test(its_state_follows_its_validation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
