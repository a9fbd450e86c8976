/* Tests of stream/flow_control: limits, credit in steps of half a window, *_BLOCKED once a limit. */
#include "unit/stream_testing.h"

#include "base/varint.h"
#include "stream/flow_control.h"

static void data_up_to_the_limit_is_taken_and_one_octet_more_is_not(void **state)
{
    (void)state;
    struct flow_receive flow;
    flow_receive_init(&flow, 1000);
    assert_true(flow_receive_add(&flow, 999));
    assert_false(flow_receive_add(&flow, 2));
    assert_int_equal(flow.received, 999);
    assert_true(flow_receive_add(&flow, 1));
    assert_false(flow_receive_add(&flow, UINT64_MAX));
}

static void credit_is_renewed_when_half_of_the_window_is_used(void **state)
{
    (void)state;
    struct flow_receive flow;
    flow_receive_init(&flow, 1000);
    assert_true(flow_receive_add(&flow, 1000));
    flow_receive_consume(&flow, 499);
    assert_false(flow.update_pending);
    flow_receive_consume(&flow, 1);
    assert_true(flow.update_pending);
    assert_int_equal(flow_receive_advertise(&flow), 1500);
    assert_false(flow.update_pending);
    assert_int_equal(flow.limit, 1500);
    assert_int_equal(flow_receive_advertise(&flow), 1500);
}

/* Uses up half of the window, so that a limit is due. */
static void use_half(struct flow_receive *flow)
{
    uint64_t octets = flow->limit - flow->consumed - flow->window / 2;
    assert_true(flow_receive_add(flow, flow->consumed + octets - flow->received));
    flow_receive_consume(flow, octets);
    assert_true(flow->update_pending);
}

static void a_window_that_is_used_up_within_two_round_trips_doubles(void **state)
{
    (void)state;
    const roam_time rtt = ROAM_MILLISECONDS(50);
    struct flow_receive flow;
    flow_receive_init(&flow, 1000);
    use_half(&flow);
    flow_receive_tune(&flow, ROAM_SECONDS(1), rtt, 3000);
    assert_int_equal(flow_receive_advertise(&flow), 1500);
    /* The same limit once more, because its frame was lost, is no reason. */
    flow_receive_tune(&flow, ROAM_SECONDS(1) + 1, rtt, 3000);
    assert_int_equal(flow_receive_advertise(&flow), 1500);
    use_half(&flow);
    flow_receive_tune(&flow, ROAM_SECONDS(1) + 2 * rtt - 1, rtt, 3000);
    assert_int_equal(flow.window, 2000);
    assert_int_equal(flow_receive_advertise(&flow), 3000);
    use_half(&flow);
    flow_receive_tune(&flow, ROAM_SECONDS(1) + 3 * rtt, rtt, 3000);
    assert_int_equal(flow.window, 3000);
    flow_receive_advertise(&flow);
    use_half(&flow);
    flow_receive_tune(&flow, ROAM_SECONDS(1) + 4 * rtt, rtt, 3000);
    assert_int_equal(flow.window, 3000);
}

static void a_window_that_lasts_longer_stays(void **state)
{
    (void)state;
    const roam_time rtt = ROAM_MILLISECONDS(50);
    struct flow_receive flow;
    flow_receive_init(&flow, 1000);
    for (roam_time now = ROAM_SECONDS(1); now < ROAM_SECONDS(2); now += 2 * rtt) {
        use_half(&flow);
        flow_receive_tune(&flow, now, rtt, 3000);
        flow_receive_advertise(&flow);
    }
    assert_int_equal(flow.window, 1000);
}

static void a_limit_never_passes_what_a_varint_holds(void **state)
{
    (void)state;
    struct flow_receive flow;
    flow_receive_init(&flow, UINT64_MAX);
    assert_int_equal(flow.limit, VARINT_MAX);
    assert_true(flow_receive_add(&flow, VARINT_MAX));
    flow_receive_consume(&flow, VARINT_MAX);
    assert_false(flow.update_pending);
    assert_int_equal(flow_receive_advertise(&flow), VARINT_MAX);
}

static void an_empty_window_asks_for_no_update(void **state)
{
    (void)state;
    struct flow_receive flow;
    flow_receive_init(&flow, 0);
    flow_receive_consume(&flow, 0);
    assert_false(flow.update_pending);
    assert_false(flow_receive_add(&flow, 1));
}

static void a_limit_that_does_not_rise_is_ignored(void **state)
{
    (void)state;
    struct flow_send flow;
    flow_send_init(&flow, 100);
    flow.used = 60;
    assert_int_equal(flow_send_left(&flow), 40);
    assert_false(flow_send_raise(&flow, 100));
    assert_false(flow_send_raise(&flow, 50));
    assert_int_equal(flow.limit, 100);
    assert_true(flow_send_raise(&flow, 101));
    assert_int_equal(flow_send_left(&flow), 41);
}

static void blocked_is_owed_once_for_each_limit(void **state)
{
    (void)state;
    struct flow_send flow;
    flow_send_init(&flow, 0);
    flow_send_on_blocked(&flow);
    assert_true(flow.blocked_pending);
    flow.blocked_pending = false;
    flow_send_on_blocked(&flow);
    assert_false(flow.blocked_pending);
    flow_send_raise(&flow, 10);
    flow_send_on_blocked(&flow);
    assert_true(flow.blocked_pending);
    flow_send_raise(&flow, 11);
    assert_false(flow.blocked_pending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_up_to_the_limit_is_taken_and_one_octet_more_is_not),
        cmocka_unit_test(credit_is_renewed_when_half_of_the_window_is_used),
        cmocka_unit_test(a_window_that_is_used_up_within_two_round_trips_doubles),
        cmocka_unit_test(a_window_that_lasts_longer_stays),
        cmocka_unit_test(a_limit_never_passes_what_a_varint_holds),
        cmocka_unit_test(an_empty_window_asks_for_no_update),
        cmocka_unit_test(a_limit_that_does_not_rise_is_ignored),
        cmocka_unit_test(blocked_is_owed_once_for_each_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
