/* Priorities of responses, RFC 9218: what is said of them, and that their octets leave in that order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/h3_pair.h"

#define ANSWER_BYTES 400000

static struct h3_pair both;

static void begin(void)
{
    h3_pair_prepare(&both);
    both.config.client.initial_max_data = both.config.client.max_window_bytes = 32768; // each round trip
    h3_pair_start(&both);
    both.server.on_request = h3_answer;
    both.server.answer_bytes = ANSWER_BYTES;
}

static void end(void)
{
    h3_pair_run(&both, ROAM_SECONDS(5));
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_END), 2);
    assert_int_equal(both.client.received_in_all, 2 * ANSWER_BYTES);
    assert_false(both.client.content_wrong);
    h3_pair_stop(&both);
}

static uint64_t get(uint8_t urgency, bool incremental)
{
    char value[ROAM_H3_PRIORITY_BYTES];
    roam_h3_request_head head = {.method = "GET", .scheme = "https", .authority = "example.org", .path = "/"};
    roam_h3_field field =
        roam_h3_priority_field(&(roam_h3_priority){.urgency = urgency, .incremental = incremental}, value);
    int64_t id = roam_h3_request(both.client.h3, &head, &field, 1, true, NULL);
    assert_true(id >= 0);
    return (uint64_t)id;
}

/* How much of the other has come when one is complete. */
static uint64_t received_at_end_of(uint64_t id, uint64_t other)
{
    for (int i = 0; i < 2000 && h3_end_find(&both.client, ROAM_H3_EVENT_END, id) == NULL; i++)
        h3_pair_run(&both, ROAM_MILLISECONDS(10));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, id));
    return both.client.received[other / 4];
}

static void test_the_field(void **state)
{
    (void)state;
    char value[ROAM_H3_PRIORITY_BYTES];
    roam_h3_field field = roam_h3_priority_field(&(roam_h3_priority){.urgency = 0, .incremental = true}, value);
    assert_string_equal(field.name, "priority");
    assert_string_equal(field.value, "u=0, i");
    assert_int_equal(field.name_len, 8);
    assert_int_equal(field.value_len, 6);
    field = roam_h3_priority_field(&(roam_h3_priority){.urgency = 200}, value);
    assert_string_equal(field.value, "u=7");
}

static void test_the_urgent_comes_first(void **state)
{
    (void)state;
    begin();
    uint64_t later = get(5, true), urgent = get(1, true);
    assert_true(received_at_end_of(urgent, later) < ANSWER_BYTES / 8);
    end();
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    begin();
    uint64_t first = h3_pair_get(&both, "/1"), second = h3_pair_get(&both, "/2"); // nothing said: u=3, not incremental
    assert_true(received_at_end_of(first, second) < ANSWER_BYTES / 8);
    end();
}

static void test_the_incremental_take_turns(void **state)
{
    (void)state;
    begin();
    uint64_t first = get(3, true), second = get(3, true);
    assert_true(received_at_end_of(first, second) > ANSWER_BYTES / 2);
    end();
}

/* Some of the first has come; then the second becomes more urgent. */
static void expect_overtaking(bool by_client)
{
    begin();
    uint64_t first = get(3, false), second = get(3, false);
    while (both.client.received[first / 4] < ANSWER_BYTES / 8)
        h3_pair_run(&both, ROAM_MILLISECONDS(10));
    assert_true(both.client.received[first / 4] < ANSWER_BYTES / 2);
    roam_h3_priority priority = {.urgency = 0};
    roam_h3 *who = by_client ? both.client.h3 : both.server.h3;
    assert_int_equal(roam_h3_set_priority(who, second, &priority), ROAM_OK);
    assert_true(received_at_end_of(second, first) < ANSWER_BYTES);
    assert_int_equal(roam_h3_get_priority(both.server.h3, first, &priority), ROAM_OK);
    assert_int_equal(priority.urgency, 3);
    end();
}

static void test_changes(void **state)
{
    (void)state;
    expect_overtaking(true);
    expect_overtaking(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_field),
        cmocka_unit_test(test_the_urgent_comes_first),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_the_incremental_take_turns),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
