/* HTTP/3 against a peer that writes its octets by hand, and breaks the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/h3_pair.h"

static struct h3_pair both;

/* ---- A peer of octets -------------------------------------------------------------------------------------------- */

static roam_stream *open_with(roam_conn *conn, bool unidirectional, const void *data, size_t len, bool fin)
{
    roam_stream *stream = roam_stream_open(conn, unidirectional, NULL);
    assert_non_null(stream);
    assert_int_equal(roam_stream_write(stream, data, len), len);
    if (fin)
        assert_int_equal(roam_stream_finish(stream), ROAM_OK);
    return stream;
}

#define OPEN(conn, unidirectional, fin, ...)                                                                           \
    open_with(conn, unidirectional, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), fin)

/* The type of a control stream and empty SETTINGS. */
#define CONTROL 0x00, 0x04, 0x00

/* Fields of QPACK's static table, RFC 9204 appendix A, and ":authority: a". */
#define METHOD_GET   0xd1
#define METHOD_POST  0xd4
#define SCHEME_HTTPS 0xd7
#define PATH_ROOT    0xc1
#define AUTHORITY_A  0x50, 0x01, 'a'
#define GET          0x01, 0x08, 0x00, 0x00, METHOD_GET, SCHEME_HTTPS, PATH_ROOT, AUTHORITY_A

static roam_conn *begin(bool server)
{
    h3_pair_prepare(&both);
    h3_pair_start_one(&both, server);
    both.server.on_request = h3_answer;
    pair_forget_events(&both.pair);
    return server ? both.pair.client.conn : both.pair.server.conn;
}

static void expect_alive(void)
{
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    assert_int_equal(roam_conn_state(both.pair.client.conn), ROAM_CONN_ESTABLISHED);
    h3_pair_stop(&both);
}

/* The peer hears of this code, and no call does harm afterwards. */
static void expect_close(roam_conn *peer, uint64_t code)
{
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    const roam_error *error = roam_conn_error(peer);
    if (error->code != code)
        print_error("%s: %s\n", roam_h3_error_name(error->code), error->reason);
    assert_int_equal(error->cause, ROAM_CLOSE_PEER_APPLICATION);
    assert_int_equal(error->code, code);
    roam_h3 *h3 = both.server.h3 != NULL ? both.server.h3 : both.client.h3;
    roam_h3_event event;
    uint8_t octet;
    assert_false(roam_h3_next_event(h3, both.pair.now, &event));
    assert_int_equal(roam_h3_read(h3, 0, &octet, 1), ROAM_ERR_CLOSED);
    assert_int_equal(roam_h3_write(h3, 0, &octet, 1, true), ROAM_ERR_CLOSED);
    assert_int_equal(roam_h3_shutdown(h3), ROAM_ERR_CLOSED);
    h3_pair_stop(&both);
}

static void expect_server_closes(uint64_t code)
{
    expect_close(both.pair.client.conn, code);
}

/* The server resets the stream with this code, asks for no more on it, and shows nothing to its application. */
static void expect_stream_error(uint64_t code)
{
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    assert_int_equal(roam_conn_state(both.pair.client.conn), ROAM_CONN_ESTABLISHED);
    const roam_event *reset = pair_find_event(&both.pair.client, ROAM_EVENT_STREAM_RESET);
    assert_non_null(reset);
    assert_int_equal(reset->code, code);
    assert_int_equal(roam_h3_open_requests(both.server.h3), 0);
    // Others go on.
    pair_forget_events(&both.pair);
    OPEN(both.pair.client.conn, false, true, GET);
    size_t before = h3_end_count(&both.server, ROAM_H3_EVENT_REQUEST);
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_REQUEST), before + 1);
    h3_pair_stop(&both);
}

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static void test_plain_request(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, CONTROL);
    roam_stream *stream = OPEN(peer, false, true, GET);
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    const struct h3_seen *request = h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, 0);
    assert_non_null(request);
    assert_string_equal(request->text, "GET https a / -|");
    uint8_t answer[64];
    bool end = false;
    assert_true(roam_stream_read(stream, answer, sizeof(answer), &end) > 2);
    assert_true(end);
    assert_int_equal(answer[0], 0x01);
    expect_alive();
}

static void test_malformed_requests(void **state)
{
    (void)state;
    roam_conn *peer = begin(true); // no :path
    OPEN(peer, false, true, 0x01, 0x07, 0x00, 0x00, METHOD_GET, SCHEME_HTTPS, AUTHORITY_A);
    expect_stream_error(ROAM_H3_MESSAGE_ERROR);
    assert_int_equal(both.server.seen[0].type, ROAM_H3_EVENT_REQUEST); // that of expect_stream_error alone
    peer = begin(true);                                                // an upper-case name
    OPEN(peer, false, true, 0x01, 0x0d, 0x00, 0x00, METHOD_GET, SCHEME_HTTPS, PATH_ROOT, AUTHORITY_A, 0x22, 'U', 'p',
         0x01, 'x');
    expect_stream_error(ROAM_H3_MESSAGE_ERROR);
    peer = begin(true); // nothing at all
    roam_stream *stream = roam_stream_open(peer, false, NULL);
    roam_stream_finish(stream);
    expect_stream_error(ROAM_H3_REQUEST_INCOMPLETE);
    peer = begin(true); // a pseudo-header field that nobody knows
    OPEN(peer, false, true, 0x01, 0x0d, 0x00, 0x00, METHOD_GET, SCHEME_HTTPS, PATH_ROOT, AUTHORITY_A, 0x22, ':', 'x',
         0x01, 'x');
    expect_stream_error(ROAM_H3_MESSAGE_ERROR);
}

/* content-length is number 4 of the static table. */
#define POST_WITH_LENGTH(digit)                                                                                        \
    0x01, 0x0b, 0x00, 0x00, METHOD_POST, SCHEME_HTTPS, PATH_ROOT, AUTHORITY_A, 0x54, 0x01, digit

static void test_content_length(void **state)
{
    (void)state;
    roam_conn *peer = begin(true); // more than said
    both.server.on_request = NULL;
    OPEN(peer, false, true, POST_WITH_LENGTH('2'), 0x00, 0x03, 1, 2, 3);
    expect_stream_error(ROAM_H3_MESSAGE_ERROR);
    assert_true(h3_end_find(&both.server, ROAM_H3_EVENT_RESET, 0)->local);
    assert_null(h3_end_find(&both.server, ROAM_H3_EVENT_END, 0));
    peer = begin(true); // less
    both.server.on_request = NULL;
    OPEN(peer, false, true, POST_WITH_LENGTH('4'), 0x00, 0x03, 0, 7, 14);
    expect_stream_error(ROAM_H3_MESSAGE_ERROR);
    assert_int_equal(both.server.received[0], 3);
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_CLOSED, 0));
    peer = begin(true); // just so
    OPEN(peer, false, true, POST_WITH_LENGTH('3'), 0x00, 0x01, 0, 0x00, 0x02, 7, 14);
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_END, 0));
    assert_int_equal(both.server.received[0], 3);
    expect_alive();
}

static void test_large_sections(void **state)
{
    (void)state;
    roam_conn *peer = begin(true); // the frame alone is beyond the cap
    OPEN(peer, false, false, 0x01, 0x80, 0x01, 0x00, 0x01, 0x00, 0x00);
    expect_stream_error(ROAM_H3_EXCESSIVE_LOAD);
    peer = begin(true); // 120 octets that stand for many fields
    uint8_t frame[200] = {0x01, 0x40, 0x8c, 0x00, 0x00, METHOD_GET, SCHEME_HTTPS, PATH_ROOT, AUTHORITY_A};
    memset(frame + 11, 0xc0 | 29, 132); // accept: */*
    open_with(peer, false, frame, 143, true);
    expect_stream_error(ROAM_H3_EXCESSIVE_LOAD);
    h3_pair_prepare(&both); // few, but larger than allowed
    both.server_config.max_section_bytes = 200;
    h3_pair_start_one(&both, true);
    frame[2] = 18;
    open_with(both.pair.client.conn, false, frame, 143, true);
    expect_stream_error(ROAM_H3_EXCESSIVE_LOAD);
}

static void test_frames_out_of_place(void **state)
{
    (void)state;
    roam_conn *peer = begin(true); // DATA before HEADERS
    OPEN(peer, false, false, 0x00, 0x01, 'x');
    expect_server_closes(ROAM_H3_FRAME_UNEXPECTED);
    peer = begin(true); // SETTINGS on a request stream
    OPEN(peer, false, false, 0x04, 0x00);
    expect_server_closes(ROAM_H3_FRAME_UNEXPECTED);
    peer = begin(true); // a frame that its stream cuts short
    OPEN(peer, false, true, GET, 0x00, 0x05, 'x');
    expect_server_closes(ROAM_H3_FRAME_ERROR);
    peer = begin(true); // one that nobody knows, cut short
    OPEN(peer, false, true, GET, 0x21, 0x05, 'x');
    expect_server_closes(ROAM_H3_FRAME_ERROR);
    peer = begin(true); // a section that refers to what is not there
    OPEN(peer, false, true, 0x01, 0x03, 0x02, 0x00, 0x80);
    expect_server_closes(ROAM_QPACK_DECOMPRESSION_FAILED);
}

static void test_unknown_frames_are_skipped(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, CONTROL, 0x21, 0x03, 1, 2, 3, 0x40, 0x40, 0x00);
    OPEN(peer, false, true, 0x21, 0x02, 1, 2, GET, 0x40, 0x40, 0x01, 0, 0x00, 0x01, 0, 0x21, 0x00);
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    assert_int_equal(both.server.received[0], 1);
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_END, 0));
    expect_alive();
}

static void test_octet_by_octet(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    static const uint8_t request[] = {0x40, 0x41, 0x01, 9, POST_WITH_LENGTH('3'), 0x00, 0x40, 0x03, 0, 7, 14};
    roam_stream *stream = roam_stream_open(peer, false, NULL);
    for (size_t i = 0; i < sizeof(request); i++) {
        roam_stream_write(stream, &request[i], 1);
        h3_pair_run(&both, ROAM_MILLISECONDS(20));
    }
    assert_int_equal(both.server.received[0], 3);
    assert_false(both.server.content_wrong);
    roam_stream_finish(stream);
    h3_pair_run(&both, ROAM_MILLISECONDS(20));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_END, 0));
    expect_alive();
}

/* ---- Critical streams --------------------------------------------------------------------------------------------- */

static void test_unknown_streams_and_settings(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, 0x00, 0x04, 0x04, 0x21, 0x05, 0x06, 0x20, 0x0d, 0x01, 0x00);
    roam_stream *unknown = OPEN(peer, true, false, 0x21, 'x', 'y');
    OPEN(peer, true, true, 0x40); // ends before its type is complete
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
    roam_h3_settings settings;
    roam_h3_peer_settings(both.server.h3, &settings);
    assert_true(settings.received);
    assert_int_equal(settings.max_section_bytes, 32);
    const roam_event *stopped = pair_find_event(&both.pair.client, ROAM_EVENT_STREAM_STOPPED);
    assert_non_null(stopped);
    assert_ptr_equal(stopped->stream, unknown);
    assert_int_equal(stopped->code, ROAM_H3_STREAM_CREATION_ERROR);
    expect_alive();
}

static void test_bad_critical_streams(void **state)
{
    (void)state;
    OPEN(begin(true), true, false, 0x00, 0x07, 0x01, 0x00); // GOAWAY first
    expect_server_closes(ROAM_H3_MISSING_SETTINGS);
    OPEN(begin(true), true, false, 0x00, 0x21, 0x00); // even one that nobody knows
    expect_server_closes(ROAM_H3_MISSING_SETTINGS);
    OPEN(begin(true), true, false, CONTROL, 0x04, 0x00);
    expect_server_closes(ROAM_H3_FRAME_UNEXPECTED);
    OPEN(begin(true), true, false, CONTROL, 0x00, 0x01, 'x'); // DATA
    expect_server_closes(ROAM_H3_FRAME_UNEXPECTED);
    OPEN(begin(true), true, true, CONTROL);
    expect_server_closes(ROAM_H3_CLOSED_CRITICAL_STREAM);
    roam_conn *peer = begin(true);
    roam_stream *control = OPEN(peer, true, false, CONTROL);
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    roam_stream_reset(control, 0);
    expect_server_closes(ROAM_H3_CLOSED_CRITICAL_STREAM);
    peer = begin(true);
    OPEN(peer, true, false, CONTROL);
    OPEN(peer, true, false, CONTROL);
    expect_server_closes(ROAM_H3_STREAM_CREATION_ERROR);
    OPEN(begin(true), true, false, 0x01, 0x00); // only servers push
    expect_server_closes(ROAM_H3_STREAM_CREATION_ERROR);
    OPEN(begin(false), true, false, 0x01, 0x00); // nobody allowed it
    expect_close(both.pair.server.conn, ROAM_H3_ID_ERROR);
    OPEN(begin(true), true, false, 0x02, 0x3f, 0xff, 0xff, 0x7f); // a table larger than allowed
    expect_server_closes(ROAM_QPACK_ENCODER_STREAM_ERROR);
    OPEN(begin(true), true, false, 0x03, 0x3f, 0x01); // counts up insertions that were not made
    expect_server_closes(ROAM_QPACK_DECODER_STREAM_ERROR);
    OPEN(begin(false), false, false, 0x00); // a server that opens a request stream
    expect_close(both.pair.server.conn, ROAM_H3_STREAM_CREATION_ERROR);
}

static void test_bad_settings(void **state)
{
    (void)state;
    OPEN(begin(true), true, false, 0x00, 0x04, 0x02, 0x02, 0x00); // HTTP/2's
    expect_server_closes(ROAM_H3_SETTINGS_ERROR);
    OPEN(begin(true), true, false, 0x00, 0x04, 0x04, 0x06, 0x20, 0x06, 0x20); // twice
    expect_server_closes(ROAM_H3_SETTINGS_ERROR);
    OPEN(begin(true), true, false, 0x00, 0x04, 0x02, 0x33, 0x02);
    expect_server_closes(ROAM_H3_SETTINGS_ERROR);
    OPEN(begin(true), true, false, 0x00, 0x04, 0x01, 0x06);
    expect_server_closes(ROAM_H3_FRAME_ERROR);
    OPEN(begin(true), true, false, 0x00, 0x04, 0x44, 0x01, 0x06); // 1025 octets
    expect_server_closes(ROAM_H3_EXCESSIVE_LOAD);
}

static void test_priority_updates(void **state)
{
    (void)state;
    // For a request that is yet to come, and for one that is far: the first is heeded, the other skipped.
    roam_conn *peer = begin(true);
    both.server.on_request = NULL;
    OPEN(peer, true, false, CONTROL, 0x80, 0x0f, 0x07, 0x00, 0x04, 0x00, 'u', '=', '6', 0x80, 0x0f, 0x07, 0x00, 0x07,
         0x80, 0x10, 0x00, 0x00, 'u', '=', '6');
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    OPEN(peer, false, true, GET);
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    roam_h3_priority priority;
    assert_int_equal(roam_h3_get_priority(both.server.h3, 0, &priority), ROAM_OK);
    assert_int_equal(priority.urgency, 6);
    expect_alive();
}

static void test_bad_datagrams(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    roam_conn_send_datagram(peer, both.pair.now, "\x40", 1, 0);
    expect_server_closes(ROAM_H3_DATAGRAM_ERROR);
    peer = begin(true);
    roam_conn_send_datagram(peer, both.pair.now, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 0);
    expect_server_closes(ROAM_H3_DATAGRAM_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_request),        cmocka_unit_test(test_malformed_requests),
        cmocka_unit_test(test_content_length),       cmocka_unit_test(test_large_sections),
        cmocka_unit_test(test_frames_out_of_place),  cmocka_unit_test(test_unknown_frames_are_skipped),
        cmocka_unit_test(test_octet_by_octet),       cmocka_unit_test(test_unknown_streams_and_settings),
        cmocka_unit_test(test_bad_critical_streams), cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_priority_updates),     cmocka_unit_test(test_bad_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
