/* WebTransport between two of us: sessions, their streams of all kinds and datagrams, codes, and ends of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/h3_pair.h"

static struct h3_pair both;

static void accept_all(struct h3_end *server, const roam_h3_event *event)
{
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 200, NULL, 0, true), ROAM_ERR_CONFIG);
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 200, NULL, 0, false), ROAM_OK);
}

static void refuse_all(struct h3_end *server, const roam_h3_event *event)
{
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 403, NULL, 0, true), ROAM_OK);
}

static void prepare(void)
{
    h3_pair_prepare(&both);
    both.client_config.webtransport_sessions = both.server_config.webtransport_sessions = 2;
}

static void begin(void)
{
    prepare();
    h3_pair_start(&both);
    both.server.on_request = accept_all;
}

static void end(void)
{
    assert_false(both.client.content_wrong);
    assert_false(both.server.content_wrong);
    assert_int_equal(roam_conn_state(both.pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(roam_conn_state(both.pair.server.conn), ROAM_CONN_ESTABLISHED);
    h3_pair_stop(&both);
}

static int64_t ask(bool fin)
{
    roam_h3_request_head head = {.method = "CONNECT",
                                 .scheme = "https",
                                 .authority = "example.org",
                                 .path = "/wt",
                                 .protocol = ROAM_H3_WEBTRANSPORT};
    return roam_h3_request(both.client.h3, &head, NULL, 0, fin, NULL);
}

static uint64_t open_session(void)
{
    int64_t session = ask(false);
    assert_true(session >= 0);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    const struct h3_seen *response = h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, (uint64_t)session);
    assert_non_null(response);
    assert_int_equal(response->status, 200);
    return (uint64_t)session;
}

static uint64_t open_stream(struct h3_end *end, uint64_t session, bool unidirectional)
{
    int64_t id = roam_h3_webtransport_open(end->h3, session, unidirectional, NULL);
    assert_true(id >= 0);
    return (uint64_t)id;
}

/* One octet, of those that the other side expects. */
static void say(struct h3_end *end, uint64_t id)
{
    uint8_t octet = (uint8_t)(id * 31);
    assert_int_equal(roam_h3_write(end->h3, id, &octet, 1, false), 1);
}

/* ---- Streams and datagrams --------------------------------------------------------------------------------------- */

static void test_session(void **state)
{
    (void)state;
    begin();
    roam_h3_settings settings;
    roam_h3_peer_settings(both.server.h3, &settings);
    assert_int_equal(settings.webtransport_sessions, 2);
    uint64_t session = open_session();
    assert_string_equal(h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, session)->text,
                        "CONNECT https example.org /wt webtransport|sec-webtransport-http3-draft02=1;");
    assert_string_equal(h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, session)->text,
                        "sec-webtransport-http3-draft=draft02;");
    // The request's content is the library's.
    uint8_t octet = 0;
    assert_int_equal(roam_h3_write(both.client.h3, session, &octet, 1, false), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_read(both.server.h3, session, &octet, 1), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_trailers(both.server.h3, session, NULL, 0), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_open_requests(both.server.h3), 1);
    assert_int_equal(roam_h3_webtransport_open(both.client.h3, session + 4, true, NULL), ROAM_ERR_ADDRESS);
    end();
}

static void send_and_expect(struct h3_end *from, struct h3_end *to, uint64_t session, bool unidirectional)
{
    uint64_t id = open_stream(from, session, unidirectional);
    uint64_t before = to->received_in_all;
    h3_end_send(from, id, 300000); // beyond the buffers of both sides
    h3_pair_run(&both, ROAM_SECONDS(2));
    const struct h3_seen *opened = h3_end_find(to, ROAM_H3_EVENT_WEBTRANSPORT_STREAM, id);
    assert_non_null(opened);
    assert_int_equal(opened->session_id, session);
    assert_int_equal(to->received_in_all - before, 300000);
    assert_non_null(h3_end_find(to, ROAM_H3_EVENT_END, id));
    assert_int_equal(h3_end_find(to, ROAM_H3_EVENT_END, id)->session_id, session);
    if (!unidirectional) {
        h3_end_send(to, id, 1000);
        h3_pair_run(&both, ROAM_MILLISECONDS(100));
        assert_non_null(h3_end_find(from, ROAM_H3_EVENT_END, id));
    }
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    assert_non_null(h3_end_find(from, ROAM_H3_EVENT_CLOSED, id));
    assert_non_null(h3_end_find(to, ROAM_H3_EVENT_CLOSED, id));
}

static void test_streams_of_all_kinds(void **state)
{
    (void)state;
    prepare();
    both.config.client.stream_buffer_bytes = both.config.server.stream_buffer_bytes = 50000;
    both.config.client.initial_max_stream_data = both.config.server.initial_max_stream_data = 40000;
    h3_pair_start(&both);
    both.server.on_request = accept_all;
    uint64_t session = open_session();
    send_and_expect(&both.client, &both.server, session, false);
    send_and_expect(&both.client, &both.server, session, true);
    send_and_expect(&both.server, &both.client, session, false);
    send_and_expect(&both.server, &both.client, session, true);
    assert_true(h3_end_count(&both.client, ROAM_H3_EVENT_WRITABLE) > 0);
    assert_int_equal(roam_h3_open_requests(both.client.h3), 1);
    end();
}

static void test_half_streams(void **state)
{
    (void)state;
    begin();
    uint64_t session = open_session(), id = open_stream(&both.client, session, true);
    uint8_t octet;
    assert_int_equal(roam_h3_read(both.client.h3, id, &octet, 1), ROAM_ERR_STATE);
    say(&both.client, id);
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    assert_int_equal(roam_h3_write(both.server.h3, id, "x", 1, true), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_write(both.client.h3, id, "", 0, true), 0);
    assert_int_equal(roam_h3_write(both.client.h3, id, "", 0, true), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_set_priority(both.client.h3, id, &(roam_h3_priority){.urgency = 1}), ROAM_OK);
    roam_h3_set_user(both.client.h3, id, &both);
    assert_ptr_equal(roam_h3_user(both.client.h3, id), &both);
    end();
}

static void test_datagrams(void **state)
{
    (void)state;
    begin();
    int64_t asked = ask(false);
    assert_int_equal(roam_h3_send_datagram(both.client.h3, both.pair.now, (uint64_t)asked, "early", 5), ROAM_ERR_STATE);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    uint64_t session = (uint64_t)asked;
    assert_int_equal(roam_h3_send_datagram(both.client.h3, both.pair.now, session, "ping", 4), ROAM_OK);
    assert_int_equal(roam_h3_send_datagram(both.server.h3, both.pair.now, session, "pong", 4), ROAM_OK);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_string_equal(both.server.datagram, "0:ping");
    assert_string_equal(both.client.datagram, "0:pong");
    end();
}

/* ---- Codes --------------------------------------------------------------------------------------------------------- */

static void test_codes(void **state)
{
    (void)state;
    static const uint32_t codes[] = {0, 1, 29, 30, 31, 59, 60, 4711, UINT32_MAX - 1, UINT32_MAX};
    begin();
    uint64_t session = open_session();
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        uint64_t id = open_stream(&both.client, session, false);
        say(&both.client, id);
        h3_pair_run(&both, ROAM_MILLISECONDS(30));
        roam_h3_webtransport_reset(both.client.h3, id, codes[i]);
        roam_h3_stop(both.client.h3, id, codes[i]);
        h3_pair_run(&both, ROAM_MILLISECONDS(50));
        const struct h3_seen *reset = h3_end_find(&both.server, ROAM_H3_EVENT_RESET, id);
        const struct h3_seen *stopped = h3_end_find(&both.server, ROAM_H3_EVENT_STOPPED, id);
        assert_non_null(reset);
        assert_non_null(stopped);
        assert_int_equal(reset->code, codes[i]);
        assert_int_equal(stopped->code, codes[i]);
        assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_CLOSED, id));
    }
    end();
}

static void test_a_reset_leaves_the_other_direction(void **state)
{
    (void)state;
    begin();
    uint64_t session = open_session(), id = open_stream(&both.client, session, false);
    roam_h3_write(both.client.h3, id, "", 0, false);
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    roam_h3_webtransport_reset(both.client.h3, id, 5);
    h3_end_send(&both.server, id, 5000);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    assert_int_equal(both.client.received[id / 4], 5000);
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, id));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    uint64_t other = open_stream(&both.server, session, false);
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    roam_h3_reset(both.server.h3, other, 9); // both directions
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_int_equal(h3_end_find(&both.client, ROAM_H3_EVENT_RESET, other)->code, 9);
    assert_int_equal(h3_end_find(&both.client, ROAM_H3_EVENT_STOPPED, other)->code, 9);
    end();
}

/* ---- Ends ---------------------------------------------------------------------------------------------------------- */

static void expect_end(struct h3_end *who, struct h3_end *peer)
{
    begin();
    uint64_t session = open_session(), id = open_stream(who, session, false), other = open_stream(peer, session, true);
    say(who, id);
    say(peer, other);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    char reason[ROAM_H3_WEBTRANSPORT_REASON_MAX + 2] = "";
    memset(reason, 'x', sizeof(reason) - 1);
    assert_int_equal(roam_h3_webtransport_close(who->h3, session, 1, reason), ROAM_ERR_TOO_LARGE);
    assert_int_equal(roam_h3_webtransport_close(who->h3, session, UINT32_MAX, "good bye"), ROAM_OK);
    assert_int_equal(roam_h3_webtransport_close(who->h3, session, 1, NULL), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_webtransport_open(who->h3, session, true, NULL), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_send_datagram(who->h3, both.pair.now, session, "x", 1), ROAM_ERR_ADDRESS);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    const struct h3_seen *closed = h3_end_find(peer, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED, session);
    assert_non_null(closed);
    assert_int_equal(closed->code, UINT32_MAX);
    assert_string_equal(closed->text, "good bye");
    assert_false(closed->local);
    // No word of it to who ended it, and of its streams only that they are closed, or were reset for that reason.
    assert_int_equal(h3_end_count(who, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED), 0);
    assert_int_equal(h3_end_count(who, ROAM_H3_EVENT_RESET), 0);
    for (size_t i = 0; i < peer->seen_count; i++) {
        if (peer->seen[i].type == ROAM_H3_EVENT_RESET || peer->seen[i].type == ROAM_H3_EVENT_STOPPED)
            assert_int_equal(peer->seen[i].code, ROAM_H3_WEBTRANSPORT_NO_CODE);
    }
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_CLOSED), 3);
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_CLOSED), 3);
    assert_int_equal(roam_h3_open_requests(both.client.h3), 0);
    assert_int_equal(roam_h3_open_requests(both.server.h3), 0);
    uint64_t next = open_session(); // on the same connection
    send_and_expect(&both.client, &both.server, next, true);
    end();
}

static void test_ends(void **state)
{
    (void)state;
    expect_end(&both.client, &both.server);
    expect_end(&both.server, &both.client);
}

static void test_the_longest_reason(void **state)
{
    (void)state;
    begin();
    uint64_t session = open_session();
    char reason[ROAM_H3_WEBTRANSPORT_REASON_MAX + 1] = "";
    memset(reason, 'x', sizeof(reason) - 1);
    assert_int_equal(roam_h3_webtransport_close(both.server.h3, session, 0, reason), ROAM_OK);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    const struct h3_seen *closed = h3_end_find(&both.client, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED, session);
    assert_non_null(closed);
    assert_int_equal(strlen(closed->text), sizeof(closed->text) - 1); // as much as is kept of it here
    end();
}

static void expect_abandoned(struct h3_end *who, struct h3_end *peer)
{
    begin();
    uint64_t session = open_session(), id = open_stream(who, session, false);
    say(who, id);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    roam_h3_reset(who->h3, session, ROAM_H3_REQUEST_CANCELLED);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    const struct h3_seen *closed = h3_end_find(peer, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED, session);
    assert_non_null(closed);
    assert_int_equal(closed->code, 0);
    assert_string_equal(closed->text, "");
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_CLOSED), 2);
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_CLOSED), 2);
    end();
}

static void test_abandoned(void **state)
{
    (void)state;
    expect_abandoned(&both.client, &both.server);
    expect_abandoned(&both.server, &both.client);
}

static void test_draining(void **state)
{
    (void)state;
    begin();
    uint64_t session = open_session();
    assert_int_equal(roam_h3_webtransport_drain(both.server.h3, session), ROAM_OK);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_WEBTRANSPORT_DRAINING, session));
    send_and_expect(&both.client, &both.server, session, true); // nothing is enforced
    assert_int_equal(roam_h3_webtransport_close(both.client.h3, session, 3, NULL), ROAM_OK);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_int_equal(h3_end_find(&both.server, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED, session)->code, 3);
    end();
}

/* ---- Sessions that are not to be ---------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    begin();
    both.server.on_request = refuse_all;
    int64_t session = ask(false);
    assert_int_equal(roam_h3_webtransport_open(both.client.h3, (uint64_t)session, true, NULL), ROAM_ERR_STATE);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_int_equal(h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, (uint64_t)session)->status, 403);
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, (uint64_t)session));
    assert_int_equal(roam_h3_webtransport_open(both.client.h3, (uint64_t)session, true, NULL), ROAM_ERR_ADDRESS);
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_WEBTRANSPORT_CLOSED), 0);
    end();
}

static void test_limits(void **state)
{
    (void)state;
    begin();
    assert_int_equal(ask(true), ROAM_ERR_CONFIG);
    uint64_t first = open_session();
    open_session();
    assert_int_equal(ask(false), ROAM_ERR_LIMIT);
    roam_h3_webtransport_close(both.client.h3, first, 0, NULL);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    open_session();
    end();
    prepare();
    both.server_config.webtransport_sessions = 0;
    h3_pair_start(&both);
    assert_int_equal(ask(false), ROAM_ERR_UNSUPPORTED);
    both.client_config.datagrams = false;
    roam_result result;
    assert_null(roam_h3_new(both.pair.client.conn, &both.client_config, &result));
    assert_int_equal(result, ROAM_ERR_CONFIG);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session),      cmocka_unit_test(test_streams_of_all_kinds),
        cmocka_unit_test(test_half_streams), cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_codes),        cmocka_unit_test(test_a_reset_leaves_the_other_direction),
        cmocka_unit_test(test_ends),         cmocka_unit_test(test_the_longest_reason),
        cmocka_unit_test(test_abandoned),    cmocka_unit_test(test_draining),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
