/* WebTransport against a peer that writes its octets by hand: streams that come too early, and rules that are broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/h3_pair.h"

static struct h3_pair both;

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

/* A control stream with SETTINGS: H3_DATAGRAM, and ENABLE_WEBTRANSPORT of draft 02. */
#define CONTROL 0x00, 0x04, 0x07, 0x33, 0x01, 0xab, 0x60, 0x37, 0x42, 0x01

/* How streams of session 0 begin. */
#define OF_SESSION     0x40, 0x41, 0x00
#define UNI_OF_SESSION 0x40, 0x54, 0x00

/* :method CONNECT, :scheme https, :path /, :authority a, :protocol webtransport */
#define CONNECT                                                                                                        \
    0x01, 0x20, 0x00, 0x00, 0xcf, 0xd7, 0xc1, 0x50, 0x01, 'a', 0x27, 0x02, ':', 'p', 'r', 'o', 't', 'o', 'c', 'o',     \
        'l', 0x0c, 'w', 'e', 'b', 't', 'r', 'a', 'n', 's', 'p', 'o', 'r', 't'

static void accept_all(struct h3_end *server, const roam_h3_event *event)
{
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 200, NULL, 0, false), ROAM_OK);
}

static roam_conn *begin(bool server)
{
    h3_pair_prepare(&both);
    both.client_config.webtransport_sessions = both.server_config.webtransport_sessions = 1;
    h3_pair_start_one(&both, server);
    both.server.on_request = accept_all;
    pair_forget_events(&both.pair);
    return server ? both.pair.client.conn : both.pair.server.conn;
}

static void run(void)
{
    h3_pair_run(&both, ROAM_MILLISECONDS(60));
}

static void expect_alive(void)
{
    run();
    assert_int_equal(roam_conn_state(both.pair.client.conn), ROAM_CONN_ESTABLISHED);
    h3_pair_stop(&both);
}

static void expect_close(roam_conn *peer, uint64_t code)
{
    run();
    assert_int_equal(roam_conn_error(peer)->cause, ROAM_CLOSE_PEER_APPLICATION);
    assert_int_equal(roam_conn_error(peer)->code, code);
    h3_pair_stop(&both);
}

static const roam_event *find_of(roam_event_type type, const roam_stream *stream)
{
    for (size_t i = 0; i < both.pair.client.event_count; i++) {
        const roam_event *event = &both.pair.client.events[i];
        if (event->type == type && event->stream == stream)
            return event;
    }
    return NULL;
}

/* ---- Order --------------------------------------------------------------------------------------------------------- */

static void test_streams_before_their_session(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    roam_stream *request = roam_stream_open(peer, false, NULL);
    OPEN(peer, false, true, OF_SESSION, 4 * 31, 131); // the pattern of stream 4
    OPEN(peer, true, true, UNI_OF_SESSION);
    run();
    assert_int_equal(both.server.seen_count, 0);
    // Whoever takes sessions looks at no request before SETTINGS.
    static const uint8_t connect[] = {CONNECT};
    roam_stream_write(request, connect, sizeof(connect));
    run();
    assert_int_equal(both.server.seen_count, 0);
    OPEN(peer, true, false, CONTROL);
    run();
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, 0));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_STREAM, 4));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_STREAM, 2));
    assert_int_equal(both.server.received[1], 2);
    assert_false(both.server.content_wrong);
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_END, 4));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_END, 2));
    expect_alive();
}

static void test_octet_by_octet(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    static const uint8_t connect[] = {CONNECT}, child[] = {OF_SESSION, 4 * 31};
    OPEN(peer, true, false, CONTROL);
    roam_stream *request = roam_stream_open(peer, false, NULL), *stream = roam_stream_open(peer, false, NULL);
    for (size_t i = 0; i < sizeof(connect); i++) {
        roam_stream_write(request, &connect[i], 1);
        if (i < sizeof(child))
            roam_stream_write(stream, &child[i], 1);
        h3_pair_run(&both, ROAM_MILLISECONDS(20));
    }
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_STREAM, 4));
    assert_int_equal(both.server.received[1], 1);
    assert_false(both.server.content_wrong);
    expect_alive();
}

static void test_more_than_may_wait(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, CONTROL);
    roam_stream *request = roam_stream_open(peer, false, NULL), *streams[18];
    for (size_t i = 0; i < 18; i++)
        streams[i] = OPEN(peer, false, false, OF_SESSION);
    run();
    assert_int_equal(roam_h3_webtransport_streams_rejected(both.server.h3), 2);
    for (size_t i = 16; i < 18; i++) {
        assert_int_equal(find_of(ROAM_EVENT_STREAM_RESET, streams[i])->code,
                         ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
        assert_int_equal(find_of(ROAM_EVENT_STREAM_STOPPED, streams[i])->code,
                         ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
    }
    roam_stream_reset(streams[0], 1); // makes room for another
    run();
    OPEN(peer, false, false, OF_SESSION);
    run();
    assert_int_equal(roam_h3_webtransport_streams_rejected(both.server.h3), 2);
    static const uint8_t connect[] = {CONNECT};
    roam_stream_write(request, connect, sizeof(connect));
    run();
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_STREAM), 16);
    OPEN(peer, false, false, OF_SESSION); // nothing waits any more
    run();
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_STREAM), 17);
    expect_alive();
}

static void test_streams_of_what_is_no_session(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, CONTROL);
    roam_stream *waiting = OPEN(peer, false, false, 0x40, 0x41, 0x04);                  // stream 0, for stream 4
    OPEN(peer, false, true, 0x01, 0x08, 0x00, 0x00, 0xd1, 0xd7, 0xc1, 0x50, 0x01, 'a'); // which is a GET
    run();
    run();
    assert_int_equal(find_of(ROAM_EVENT_STREAM_RESET, waiting) == NULL, false);
    assert_int_equal(roam_h3_webtransport_streams_rejected(both.server.h3), 1);
    roam_stream *late = OPEN(peer, true, false, 0x40, 0x54, 0x04);
    roam_stream *cut = OPEN(peer, false, true, 0x40, 0x41);
    roam_stream *itself = OPEN(peer, false, false, 0x40, 0x41, 0x0c);
    run();
    assert_non_null(find_of(ROAM_EVENT_STREAM_STOPPED, late));
    assert_non_null(find_of(ROAM_EVENT_STREAM_RESET, cut));
    assert_non_null(find_of(ROAM_EVENT_STREAM_RESET, itself));
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_STREAM), 0);
    expect_alive();
}

static void test_more_sessions_than_are_served(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, CONTROL);
    OPEN(peer, false, false, CONNECT);
    roam_stream *second = OPEN(peer, false, false, CONNECT);
    run();
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_REQUEST), 1);
    assert_int_equal(find_of(ROAM_EVENT_STREAM_RESET, second)->code, ROAM_H3_REQUEST_REJECTED);
    expect_alive();
}

/* Who has said nothing of WebTransport cannot ask for it; of anything else he can. */
static void test_not_agreed_on(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, 0x00, 0x04, 0x02, 0x33, 0x01);
    roam_stream *connect = OPEN(peer, false, false, CONNECT);
    OPEN(peer, false, true, 0x01, 0x08, 0x00, 0x00, 0xd1, 0xd7, 0xc1, 0x50, 0x01, 'a');
    run();
    assert_int_equal(find_of(ROAM_EVENT_STREAM_RESET, connect)->code, ROAM_H3_MESSAGE_ERROR);
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_REQUEST), 1);
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, 4));
    expect_alive();
}

/* Requests may end in any way before it is known what they are. */
static void test_untyped_ends(void **state)
{
    (void)state;
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, CONTROL);
    roam_stream *empty = roam_stream_open(peer, false, NULL), *reset = OPEN(peer, false, false, 0x40);
    roam_stream_finish(empty);
    roam_stream *stopped = OPEN(peer, false, false, 0x40);
    run();
    roam_stream_reset(reset, 0x10c);
    roam_stream_stop(stopped, 0x10c);
    run();
    assert_int_equal(find_of(ROAM_EVENT_STREAM_RESET, empty)->code, ROAM_H3_REQUEST_INCOMPLETE);
    assert_non_null(find_of(ROAM_EVENT_STREAM_RESET, reset));
    assert_int_equal(roam_h3_open_requests(both.server.h3), 0);
    assert_int_equal(both.server.seen_count, 1); // SETTINGS
    expect_alive();
}

/* ---- Broken rules ---------------------------------------------------------------------------------------------------- */

static void test_what_ends_the_connection(void **state)
{
    (void)state;
    roam_conn *peer = begin(true); // a session that cannot be
    OPEN(peer, false, false, 0x40, 0x41, 0x02);
    expect_close(peer, ROAM_H3_ID_ERROR);
    peer = begin(true);
    OPEN(peer, true, false, 0x40, 0x54, 0x01);
    expect_close(peer, ROAM_H3_ID_ERROR);
    peer = begin(true); // the mark is not where it belongs
    OPEN(peer, true, false, CONTROL);
    OPEN(peer, false, false, 0x21, 0x00, OF_SESSION);
    expect_close(peer, ROAM_H3_FRAME_ERROR);
    peer = begin(false); // a server may open streams of sessions, and no others
    OPEN(peer, false, false, 0x01, 0x00);
    expect_close(peer, ROAM_H3_STREAM_CREATION_ERROR);
    peer = begin(true);
    OPEN(peer, true, false, 0x00, 0x04, 0x05, 0xab, 0x60, 0x37, 0x42, 0x02);
    expect_close(peer, ROAM_H3_SETTINGS_ERROR);
}

/* A session whose request goes on with these octets. */
static roam_stream *session_with(const void *data, size_t len)
{
    roam_conn *peer = begin(true);
    OPEN(peer, true, false, CONTROL);
    static const uint8_t connect[] = {CONNECT};
    roam_stream *request = open_with(peer, false, connect, sizeof(connect), false);
    run();
    OPEN(peer, false, false, OF_SESSION);
    run();
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_STREAM), 1);
    pair_forget_events(&both.pair);
    assert_int_equal(roam_stream_write(request, data, len), len);
    run();
    return request;
}

static void expect_malformed(const void *data, size_t len)
{
    roam_stream *request = session_with(data, len);
    assert_int_equal(find_of(ROAM_EVENT_STREAM_RESET, request)->code, ROAM_H3_MESSAGE_ERROR);
    const struct h3_seen *closed = h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED, 0);
    assert_non_null(closed);
    assert_true(closed->local);
    run();
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_CLOSED), 2);
    expect_alive();
}

static void test_capsules(void **state)
{
    (void)state;
    // DATAGRAM, one that nobody knows, DRAIN, and the end, in frames that care for none of their borders.
    static const uint8_t capsules[] = {0x00, 0x07, 0x00, 0x01, 'x',  0x40, 0x99, 0x00, 0x80, 0x00, 0x08, 0x00, 0x78,
                                       0xae, 0x00, 0x68, 0x43, 0x06, 0x00, 0x00, 0x05, 0x00, 0x01, 0x02, 'o',  'k'};
    session_with(capsules, sizeof(capsules));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_DRAINING, 0));
    const struct h3_seen *closed = h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED, 0);
    assert_non_null(closed);
    assert_int_equal(closed->code, 0x102);
    assert_string_equal(closed->text, "ok");
    assert_int_equal(roam_h3_datagrams_dropped(both.server.h3), 1);
    expect_alive();
}

static void test_malformed_capsules(void **state)
{
    (void)state;
    static const uint8_t no_code[] = {0x00, 0x06, 0x68, 0x43, 0x03, 0, 0, 0};
    static const uint8_t too_long[] = {0x00, 0x04, 0x68, 0x43, 0x44, 0x05}; // 1029 octets are announced
    static const uint8_t no_end[] = {0x00, 0x08, 0x68, 0x43, 0x04, 0, 0, 0, 0, 0x21};
    expect_malformed(no_code, sizeof(no_code));
    expect_malformed(too_long, sizeof(too_long));
    expect_malformed(no_end, sizeof(no_end));
}

static void test_ends_without_a_capsule(void **state)
{
    (void)state;
    roam_stream *request = session_with("", 0);
    roam_stream_finish(request);
    run();
    assert_int_equal(h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED, 0)->code, 0);
    roam_stream *late = OPEN(both.pair.client.conn, true, false, UNI_OF_SESSION);
    run();
    assert_non_null(find_of(ROAM_EVENT_STREAM_STOPPED, late));
    expect_alive();
}

static void test_a_peer_that_does_not_end_its_direction(void **state)
{
    (void)state;
    roam_stream *request = session_with("", 0);
    assert_int_equal(roam_h3_webtransport_close(both.server.h3, 0, 1, "x"), ROAM_OK);
    run();
    assert_int_equal(find_of(ROAM_EVENT_STREAM_STOPPED, request)->code, ROAM_H3_NO_ERROR);
    uint8_t answer[64];
    bool end = false;
    ptrdiff_t n = roam_stream_read(request, answer, sizeof(answer), &end);
    static const uint8_t capsule[] = {0x00, 0x08, 0x68, 0x43, 0x05, 0, 0, 0, 1, 'x'};
    assert_true(n > (ptrdiff_t)sizeof(capsule) && end);
    assert_memory_equal(answer + n - sizeof(capsule), capsule, sizeof(capsule));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_CLOSED, 0));
    expect_alive();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_before_their_session),
        cmocka_unit_test(test_octet_by_octet),
        cmocka_unit_test(test_more_than_may_wait),
        cmocka_unit_test(test_streams_of_what_is_no_session),
        cmocka_unit_test(test_more_sessions_than_are_served),
        cmocka_unit_test(test_not_agreed_on),
        cmocka_unit_test(test_untyped_ends),
        cmocka_unit_test(test_what_ends_the_connection),
        cmocka_unit_test(test_capsules),
        cmocka_unit_test(test_malformed_capsules),
        cmocka_unit_test(test_ends_without_a_capsule),
        cmocka_unit_test(test_a_peer_that_does_not_end_its_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
