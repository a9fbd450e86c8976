/* What the log of a connection says about a move: which datagram came where, what it bore, how much came before the
 * answer. And what a request looks like on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/check_log.h"
#include "cli/check_request.h"

static struct check_log seen;
static struct move_facts facts;

enum { OLD = 0, NEW = 1 };

static int set_up(void **state)
{
    (void)state;
    log_init(&seen);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_done(&seen);
    return 0;
}

static struct seen_datagram *add(bool sent, unsigned place, size_t bytes, uint64_t number, uint64_t frames)
{
    struct seen_datagram *entry = log_add(&seen);
    assert_non_null(entry);
    entry->time = ROAM_MILLISECONDS(seen.count);
    entry->sent = sent;
    entry->opened = true;
    entry->place = place;
    entry->bytes = bytes;
    entry->number = number;
    entry->frames = frames;
    entry->dcid = (roam_cid){.len = 1, .bytes = {7}};
    return entry;
}

static struct seen_datagram *add_challenge(unsigned place, size_t bytes, uint64_t number, uint8_t data)
{
    struct seen_datagram *entry = add(false, place, bytes, number, frame_bit(FRAME_PATH_CHALLENGE));
    entry->challenge_count = 1;
    entry->challenges[0][0] = data;
    return entry;
}

static void add_ack(unsigned place, uint64_t number, uint64_t acked)
{
    struct seen_datagram *entry = add(false, place, 40, number, frame_bit(FRAME_ACK));
    entry->has_ack = true;
    entry->acked = acked;
}

static void look(size_t begin)
{
    log_move_facts(&seen, begin, OLD, NEW, &facts);
}

static void an_acknowledgement_counts_only_at_the_new_place(void **state)
{
    (void)state;
    add(true, NEW, 1200, 5, frame_bit(FRAME_PING));
    add_ack(OLD, 1, 5);
    look(0);
    assert_false(facts.acked_new);
    assert_int_equal(facts.received_old, 1);
    assert_false(log_is_acked(&seen, 0, NEW));
    add_ack(NEW, 2, 4); /* of something that left from elsewhere */
    assert_false(log_is_acked(&seen, 0, NEW));
    add_ack(NEW, 3, 5);
    look(0);
    assert_true(facts.acked_new);
    assert_true(facts.acked_after == ROAM_MILLISECONDS(3));
    assert_true(log_is_acked(&seen, 0, NEW));
    /* From a later mark on nothing has left. */
    assert_false(log_is_acked(&seen, 1, NEW));
}

static void the_first_packet_is_the_one_with_the_lowest_number(void **state)
{
    (void)state;
    add(true, NEW, 1200, 5, frame_bit(FRAME_PING));
    add_ack(NEW, 9, 5); /* overtook */
    add_challenge(NEW, 1200, 8, 1);
    look(0);
    assert_true(facts.challenge_first);
    assert_false(facts.first_is_certain); /* where is number 7? */
    add(false, OLD, 40, 7, frame_bit(FRAME_ACK));
    look(0);
    assert_true(facts.first_is_certain);
    seen.count--;
    add(false, NEW, 40, 7, frame_bit(FRAME_ACK));
    look(0);
    assert_false(facts.challenge_first);
    assert_true(facts.first_frames == frame_bit(FRAME_ACK));
}

static void three_times_is_counted_until_our_answer_leaves(void **state)
{
    (void)state;
    add(true, NEW, 100, 5, frame_bit(FRAME_PING));
    add_challenge(NEW, 300, 1, 1);
    look(0);
    assert_true(facts.bytes_beyond == 0);
    add(false, NEW, 1, 2, frame_bit(FRAME_ACK))->opened = false; /* what cannot be read was sent all the same */
    look(0);
    assert_true(facts.bytes_beyond == 1);
    add(true, NEW, 1200, 6, frame_bit(FRAME_PATH_RESPONSE));
    add(false, NEW, 9000, 3, frame_bit(FRAME_STREAM));
    look(0);
    assert_true(facts.bytes_beyond == 1);
    assert_true(facts.bytes_in == 301);
    assert_true(facts.bytes_out == 100);
    assert_true(facts.answered_after == ROAM_MILLISECONDS(3));
}

static void what_the_network_copies_is_not_the_server_s(void **state)
{
    (void)state;
    add(true, NEW, 100, 5, frame_bit(FRAME_PING));
    add_challenge(NEW, 300, 1, 1);
    add_challenge(NEW, 300, 1, 1);
    look(0);
    assert_true(facts.bytes_beyond == 0);
    assert_int_equal(facts.challenges_new, 1);
}

static void credit_that_comes_later_does_not_excuse_what_came_before(void **state)
{
    (void)state;
    add(true, NEW, 100, 5, frame_bit(FRAME_PING));
    add_challenge(NEW, 310, 1, 1);
    add(true, NEW, 1200, 6, frame_bit(FRAME_PING));
    look(0);
    assert_true(facts.bytes_beyond == 10);
}

static void a_challenge_may_be_small_where_there_was_no_room(void **state)
{
    (void)state;
    add(true, NEW, 100, 5, frame_bit(FRAME_PING));
    add_challenge(NEW, 90, 1, 1);
    look(0);
    assert_false(facts.challenge_room);
    add(true, NEW, 1200, 6, frame_bit(FRAME_PING));
    add_challenge(NEW, 90, 2, 2);
    look(0);
    assert_true(facts.challenge_room);
    assert_int_equal(facts.challenge_bytes, 90);
}

static void challenge_data_repeats_across_datagrams_and_not_in_duplicates(void **state)
{
    (void)state;
    add(true, NEW, 1200, 5, frame_bit(FRAME_PING));
    add_challenge(NEW, 1200, 1, 1);
    add_challenge(NEW, 1200, 1, 1); /* the network copied it */
    add_challenge(OLD, 1200, 2, 2);
    look(0);
    assert_false(facts.challenge_repeated);
    assert_int_equal(facts.challenges_old, 1);
    add_challenge(NEW, 1200, 3, 2);
    look(0);
    assert_true(facts.challenge_repeated);
}

static void what_came_to_the_old_place_before_we_left_is_no_news(void **state)
{
    (void)state;
    add_challenge(OLD, 1200, 1, 1);
    add(true, NEW, 1200, 5, frame_bit(FRAME_PING));
    look(0);
    assert_int_equal(facts.received_old, 0);
    assert_int_equal(facts.challenges_old, 0);
}

static void a_cid_is_shared_where_both_places_see_it(void **state)
{
    (void)state;
    add_ack(OLD, 1, 1);
    size_t begin = seen.count;
    add(true, NEW, 1200, 5, frame_bit(FRAME_PING));
    add(false, NEW, 40, 2, frame_bit(FRAME_ACK))->dcid.bytes[0] = 8;
    look(begin);
    assert_false(facts.cid_shared);
    add_ack(NEW, 3, 5);
    look(begin);
    assert_true(facts.cid_shared);
    /* An empty CID names nobody. */
    for (size_t i = 0; i < seen.count; i++)
        seen.entries[i].dcid = (roam_cid){0};
    look(begin);
    assert_false(facts.cid_shared);
}

static void probing_frames_alone_do_not_move(void **state)
{
    (void)state;
    add(true, NEW, 1200, 5, frame_bit(FRAME_PATH_CHALLENGE));
    add(false, NEW, 1200, 1, frame_bit(FRAME_PATH_RESPONSE) | frame_bit(FRAME_PADDING));
    look(0);
    assert_false(facts.non_probing_new);
    assert_int_equal(facts.responses_new, 1);
    assert_int_equal(facts.response_bytes, 1200);
    add(false, NEW, 40, 2, frame_bit(FRAME_PING));
    look(0);
    assert_true(facts.non_probing_new);
}

/* ---- Requests */

static void application_protocols_have_their_requests(void **state)
{
    (void)state;
    assert_int_equal(check_request_kind("hq-interop"), CHECK_REQUEST_HQ);
    assert_int_equal(check_request_kind("h3"), CHECK_REQUEST_H3);
    assert_int_equal(check_request_kind("h3-29"), CHECK_REQUEST_H3);
    assert_int_equal(check_request_kind("roam"), CHECK_REQUEST_NONE);
    assert_int_equal(check_request_kind("h30"), CHECK_REQUEST_NONE);
}

static void http_0_9_asks_in_one_line(void **state)
{
    (void)state;
    uint8_t request[64];
    size_t len = check_request_write(CHECK_REQUEST_HQ, "localhost", "/file", request, sizeof(request));
    assert_int_equal(len, 11);
    assert_memory_equal(request, "GET /file\r\n", 11);
    assert_int_equal(check_request_write(CHECK_REQUEST_HQ, "localhost", "/file", request, 10), 0);
}

static void http_3_asks_with_static_entries_and_literals(void **state)
{
    (void)state;
    /* HEADERS, length; Required Insert Count and Base 0; :method GET; :scheme https; :authority a; :path /b; user-agent */
    static const uint8_t expected[] = {0x01, 0x18, 0x00, 0x00, 0xd1, 0xd7, 0x50, 0x01, 'a', 0x51, 0x02, '/', 'b',
                                       0x5f, 0x50, 0x0a, 'r',  'o',  'a',  'm',  '-',  'c', 'h',  'e',  'c', 'k'};
    uint8_t request[CHECK_REQUEST_MAX];
    size_t len = check_request_write(CHECK_REQUEST_H3, "a", "/b", request, sizeof(request));
    assert_int_equal(len, sizeof(expected));
    assert_memory_equal(request, expected, sizeof(expected));
    assert_int_equal(check_request_control(request, sizeof(request)), 3);
    assert_memory_equal(request, "\x00\x04\x00", 3);
}

static void long_values_have_long_lengths_and_too_long_ones_none(void **state)
{
    (void)state;
    uint8_t request[CHECK_REQUEST_MAX];
    char path[CHECK_REQUEST_MAX];
    memset(path, 'p', sizeof(path));
    path[300] = '\0';
    size_t len = check_request_write(CHECK_REQUEST_H3, "a", path, request, sizeof(request));
    /* 300 = 127 + 173 = 127 + (0x2d | 0x80) + (1 << 7) */
    static const uint8_t length[] = {0x51, 0x7f, 0xad, 0x01, 'p'};
    assert_memory_equal(request + 3 + 7, length, sizeof(length));
    assert_true(len > 300);
    path[300] = 'p';
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(check_request_write(CHECK_REQUEST_H3, "a", path, request, sizeof(request)), 0);
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(an_acknowledgement_counts_only_at_the_new_place),
        LOG_TEST(the_first_packet_is_the_one_with_the_lowest_number),
        LOG_TEST(three_times_is_counted_until_our_answer_leaves),
        LOG_TEST(what_the_network_copies_is_not_the_server_s),
        LOG_TEST(credit_that_comes_later_does_not_excuse_what_came_before),
        LOG_TEST(a_challenge_may_be_small_where_there_was_no_room),
        LOG_TEST(challenge_data_repeats_across_datagrams_and_not_in_duplicates),
        LOG_TEST(what_came_to_the_old_place_before_we_left_is_no_news),
        LOG_TEST(a_cid_is_shared_where_both_places_see_it),
        LOG_TEST(probing_frames_alone_do_not_move),
        cmocka_unit_test(application_protocols_have_their_requests),
        cmocka_unit_test(http_0_9_asks_in_one_line),
        cmocka_unit_test(http_3_asks_with_static_entries_and_literals),
        cmocka_unit_test(long_values_have_long_lengths_and_too_long_ones_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
