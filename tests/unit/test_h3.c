/* HTTP/3 between two of us: messages, content under back-pressure, ends of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/h3_pair.h"

static struct h3_pair both;

static void begin(void)
{
    h3_pair_prepare(&both);
    h3_pair_start(&both);
    both.server.on_request = h3_answer;
}

static void end(void)
{
    assert_false(both.client.content_wrong);
    assert_false(both.server.content_wrong);
    assert_int_equal(roam_conn_state(both.pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(roam_conn_state(both.pair.server.conn), ROAM_CONN_ESTABLISHED);
    h3_pair_stop(&both);
}

static void test_get(void **state)
{
    (void)state;
    begin();
    roam_h3_settings settings;
    roam_h3_peer_settings(both.client.h3, &settings);
    assert_true(settings.received && settings.connect_protocol && settings.datagrams);
    assert_int_equal(settings.max_section_bytes, 65536);
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_SETTINGS), 1);
    both.server.answer_bytes = 10000;
    uint64_t id = h3_pair_get(&both, "/index.html");
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    const struct h3_seen *request = h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, id);
    assert_non_null(request);
    assert_string_equal(request->text, "GET https example.org /index.html -|user-agent=test;");
    assert_true(request->fin);
    const struct h3_seen *response = h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, id);
    assert_non_null(response);
    assert_int_equal(response->status, 200);
    assert_string_equal(response->text, "server=roam;");
    assert_int_equal(both.client.received[0], 10000);
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, id));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_CLOSED, id));
    assert_int_equal(roam_h3_open_requests(both.client.h3), 0);
    assert_int_equal(roam_h3_open_requests(both.server.h3), 0);
    end();
}

/* Nothing is promised that the connection does not keep, and so nobody is offended. */
static void test_all_defaults(void **state)
{
    (void)state;
    h3_pair_prepare(&both);
    both.config.client.max_datagram_frame_bytes = both.config.server.max_datagram_frame_bytes = 0;
    roam_h3_config_init(&both.client_config);
    roam_h3_config_init(&both.server_config);
    h3_pair_start(&both);
    both.server.on_request = h3_answer;
    uint64_t id = h3_pair_get(&both, "/");
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, id));
    roam_h3_settings settings;
    roam_h3_peer_settings(both.client.h3, &settings);
    assert_false(settings.datagrams);
    end();
}

static void test_megabytes_both_ways(void **state)
{
    (void)state;
    begin();
    both.server.answer_bytes = 4000000;
    uint64_t id = h3_pair_post(&both, "/upload", 3000001);
    h3_pair_run(&both, ROAM_SECONDS(20));
    assert_int_equal(both.server.received[id / 4], 3000001);
    assert_int_equal(both.client.received[id / 4], 4000000);
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_CLOSED, id));
    assert_true(h3_end_count(&both.client, ROAM_H3_EVENT_WRITABLE) > 0);
    end();
}

static void test_reader_that_does_not_read(void **state)
{
    (void)state;
    h3_pair_prepare(&both);
    both.config.client.stream_buffer_bytes = both.config.server.stream_buffer_bytes = 100000;
    both.config.server.initial_max_stream_data = 50000;
    h3_pair_start(&both);
    both.server.does_not_read = true;
    uint64_t id = h3_pair_post(&both, "/upload", 2000000);
    h3_pair_run(&both, ROAM_SECONDS(3));
    // What the writer got rid of is what the two buffers hold, and one DATA frame.
    assert_true(both.client.sending[0].sent <= 100000 + 50000 + 16384);
    assert_true(both.client.sending[0].sent >= 100000);
    roam_conn_stats stats;
    roam_conn_get_stats(both.pair.server.conn, &stats);
    assert_true(stats.stream_bytes_received < 51000);
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_DATA), 1);
    both.server.does_not_read = false;
    uint8_t octet;
    assert_int_equal(roam_h3_read(both.server.h3, id, &octet, 1), 1);
    both.server.received[0] = 1;
    // The rest is read by who asks again.
    uint8_t buf[4096];
    ptrdiff_t n;
    while ((n = roam_h3_read(both.server.h3, id, buf, sizeof(buf))) > 0)
        both.server.received[0] += (uint64_t)n;
    h3_pair_run(&both, ROAM_SECONDS(20));
    assert_int_equal(both.server.received[0], 2000000);
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_END, id));
    end();
}

static void answer_with_all(struct h3_end *server, const roam_h3_event *event)
{
    roam_h3_field hint = h3_field("link", "</style.css>");
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 103, &hint, 1, false), ROAM_OK);
    assert_int_equal(roam_h3_write(server->h3, event->stream_id, "x", 1, false), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 103, &hint, 1, true), ROAM_ERR_CONFIG);
    server->sending[event->stream_id / 4].trailers = true;
    h3_answer(server, event);
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 103, &hint, 1, false), ROAM_ERR_STATE);
}

static void test_trailers_and_early_hints(void **state)
{
    (void)state;
    begin();
    both.server.on_request = answer_with_all;
    both.server.answer_bytes = 50000;
    both.client.sending[0].trailers = true;
    uint64_t id = h3_pair_post(&both, "/", 70000);
    h3_pair_run(&both, ROAM_SECONDS(2));
    const struct h3_seen *hints = h3_end_find(&both.client, ROAM_H3_EVENT_INFORMATIONAL, id);
    assert_non_null(hints);
    assert_int_equal(hints->status, 103);
    assert_string_equal(hints->text, "link=</style.css>;");
    struct h3_end *const ends[] = {&both.client, &both.server};
    for (int i = 0; i < 2; i++) {
        const struct h3_seen *trailers = h3_end_find(ends[i], ROAM_H3_EVENT_TRAILERS, id);
        assert_non_null(trailers);
        assert_string_equal(trailers->text, "checksum=abc;");
        assert_true(trailers->fin);
        assert_ptr_equal(trailers + 1, h3_end_find(ends[i], ROAM_H3_EVENT_END, id));
    }
    assert_int_equal(both.client.received[0], 50000);
    assert_int_equal(both.server.received[0], 70000);
    end();
}

static void answer_head(struct h3_end *server, const roam_h3_event *event)
{
    roam_h3_field length = h3_field("content-length", "12345");
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 200, &length, 1, true), ROAM_OK);
}

static void test_head(void **state)
{
    (void)state;
    begin();
    both.server.on_request = answer_head;
    roam_h3_request_head head = {.method = "HEAD", .scheme = "https", .authority = "example.org", .path = "/"};
    uint64_t id = (uint64_t)roam_h3_request(both.client.h3, &head, NULL, 0, true, NULL);
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    const struct h3_seen *response = h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, id);
    assert_non_null(response);
    assert_true(response->fin);
    assert_string_equal(response->text, "content-length=12345;");
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, id));
    assert_null(h3_end_find(&both.client, ROAM_H3_EVENT_RESET, id));
    // A GET that is answered so is malformed: RFC 9114 section 4.1.2.
    id = h3_pair_get(&both, "/");
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    const struct h3_seen *reset = h3_end_find(&both.client, ROAM_H3_EVENT_RESET, id);
    assert_non_null(reset);
    assert_true(reset->local);
    assert_int_equal(reset->code, ROAM_H3_MESSAGE_ERROR);
    assert_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, id));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    end();
}

static void test_resets(void **state)
{
    (void)state;
    begin();
    both.server.on_request = NULL;
    uint64_t id = h3_pair_post(&both, "/", 5000000);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    roam_h3_reset(both.client.h3, id, ROAM_H3_REQUEST_CANCELLED);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    const struct h3_seen *reset = h3_end_find(&both.server, ROAM_H3_EVENT_RESET, id);
    assert_non_null(reset);
    assert_int_equal(reset->code, ROAM_H3_REQUEST_CANCELLED);
    assert_false(reset->local);
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_STOPPED, id));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_CLOSED, id));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    assert_null(h3_end_find(&both.client, ROAM_H3_EVENT_RESET, id));
    // The other way, and a server that answers without reading on.
    both.server.on_request = h3_answer;
    both.server.does_not_read = true;
    id = h3_pair_post(&both, "/", 20000000);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    roam_h3_stop(both.server.h3, id, ROAM_H3_NO_ERROR);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    const struct h3_seen *stopped = h3_end_find(&both.client, ROAM_H3_EVENT_STOPPED, id);
    assert_non_null(stopped);
    assert_int_equal(stopped->code, ROAM_H3_NO_ERROR);
    assert_int_equal(h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, id)->status, 200);
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    assert_int_equal(roam_h3_write(both.client.h3, id, "x", 1, false), ROAM_ERR_CLOSED);
    both.server.answer_bytes = 5000000;
    id = h3_pair_get(&both, "/");
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    roam_h3_reset(both.server.h3, id, ROAM_H3_INTERNAL_ERROR);
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    reset = h3_end_find(&both.client, ROAM_H3_EVENT_RESET, id);
    assert_non_null(reset);
    assert_int_equal(reset->code, ROAM_H3_INTERNAL_ERROR);
    assert_int_equal(roam_h3_open_requests(both.client.h3), 0);
    assert_int_equal(roam_h3_open_requests(both.server.h3), 0);
    end();
}

static void test_many_requests(void **state)
{
    (void)state;
    begin();
    both.server.answer_bytes = 3000;
    roam_h3_request_head head = {.method = "GET", .scheme = "https", .authority = "example.org", .path = "/"};
    size_t asked = 0;
    for (int round = 0; round < 100 && asked < 300; round++) {
        int64_t id;
        while (asked < 300 && (id = roam_h3_request(both.client.h3, &head, NULL, 0, true, NULL)) >= 0)
            asked++;
        if (asked < 300)
            assert_int_equal(id, ROAM_ERR_LIMIT);
        h3_pair_run(&both, ROAM_MILLISECONDS(50));
    }
    h3_pair_run(&both, ROAM_SECONDS(1));
    assert_int_equal(asked, 300);
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_END), 300);
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_CLOSED), 300);
    assert_true(h3_end_count(&both.client, ROAM_H3_EVENT_REQUESTS_AVAILABLE) > 0);
    assert_int_equal(both.client.received_in_all, 300 * 3000);
    end();
}

static void test_more_than_are_served(void **state)
{
    (void)state;
    h3_pair_prepare(&both);
    both.server_config.max_requests = 3;
    h3_pair_start(&both);
    for (int i = 0; i < 5; i++)
        h3_pair_get(&both, "/");
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_REQUEST), 3);
    assert_int_equal(h3_end_count(&both.client, ROAM_H3_EVENT_RESET), 2);
    assert_int_equal(h3_end_find(&both.client, ROAM_H3_EVENT_RESET, 16)->code, ROAM_H3_REQUEST_REJECTED);
    end();
}

static void test_goaway(void **state)
{
    (void)state;
    begin();
    both.server.answer_bytes = 1000000;
    uint64_t first = h3_pair_get(&both, "/1");
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    assert_int_equal(roam_h3_shutdown(both.server.h3), ROAM_OK);
    uint64_t second = h3_pair_get(&both, "/2"); // under way when the notice comes
    h3_pair_run(&both, ROAM_MILLISECONDS(30));
    const struct h3_seen *goaway = h3_end_find(&both.client, ROAM_H3_EVENT_GOAWAY, (UINT64_C(1) << 62) - 4);
    assert_non_null(goaway);
    roam_h3_request_head head = {.method = "GET", .scheme = "https", .authority = "example.org", .path = "/"};
    assert_int_equal(roam_h3_request(both.client.h3, &head, NULL, 0, true, NULL), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_shutdown(both.server.h3), ROAM_OK);
    h3_pair_run(&both, ROAM_SECONDS(5));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_GOAWAY, second + 4));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, first));
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_END, second));
    assert_int_equal(both.client.received_in_all, 2000000);
    assert_int_equal(roam_h3_open_requests(both.server.h3), 0);
    assert_int_equal(roam_h3_shutdown(both.client.h3), ROAM_OK);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_GOAWAY), 1);
    end();
}

static void test_request_after_goaway_is_refused(void **state)
{
    (void)state;
    begin();
    assert_int_equal(roam_h3_shutdown(both.server.h3), ROAM_OK);
    assert_int_equal(roam_h3_shutdown(both.server.h3), ROAM_OK);
    uint64_t id = h3_pair_get(&both, "/"); // has not heard of it
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    const struct h3_seen *reset = h3_end_find(&both.client, ROAM_H3_EVENT_RESET, id);
    assert_non_null(reset);
    assert_int_equal(reset->code, ROAM_H3_REQUEST_REJECTED);
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_REQUEST), 0);
    end();
}

static void test_priorities(void **state)
{
    (void)state;
    begin();
    both.server.on_request = NULL;
    roam_h3_request_head head = {.method = "GET", .scheme = "https", .authority = "example.org", .path = "/"};
    roam_h3_field field = h3_field("priority", "u=1, i");
    uint64_t id = (uint64_t)roam_h3_request(both.client.h3, &head, &field, 1, true, NULL);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    roam_h3_priority priority;
    assert_int_equal(roam_h3_get_priority(both.server.h3, id, &priority), ROAM_OK);
    assert_int_equal(priority.urgency, 1);
    assert_true(priority.incremental);
    priority = (roam_h3_priority){.urgency = 5};
    assert_int_equal(roam_h3_set_priority(both.client.h3, id, &priority), ROAM_OK);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_int_equal(roam_h3_get_priority(both.server.h3, id, &priority), ROAM_OK);
    assert_int_equal(priority.urgency, 5);
    assert_false(priority.incremental);
    assert_int_equal(roam_h3_get_priority(both.client.h3, id, &priority), ROAM_ERR_STATE);
    assert_int_equal(roam_h3_get_priority(both.server.h3, 400, &priority), ROAM_ERR_ADDRESS);
    priority.urgency = 8;
    assert_int_equal(roam_h3_set_priority(both.client.h3, id, &priority), ROAM_ERR_CONFIG);
    end();
}

static void accept_connect(struct h3_end *server, const roam_h3_event *event)
{
    assert_int_equal(roam_h3_respond(server->h3, event->stream_id, 200, NULL, 0, false), ROAM_OK);
}

static void test_extended_connect_and_datagrams(void **state)
{
    (void)state;
    begin();
    both.server.on_request = accept_connect;
    roam_h3_request_head head = {
        .method = "CONNECT", .scheme = "https", .authority = "example.org", .path = "/chat", .protocol = "websocket"};
    uint64_t id = (uint64_t)roam_h3_request(both.client.h3, &head, NULL, 0, false, NULL);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    const struct h3_seen *request = h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, id);
    assert_non_null(request);
    assert_string_equal(request->text, "CONNECT https example.org /chat websocket|");
    assert_false(request->fin);
    assert_int_equal(roam_h3_send_datagram(both.client.h3, both.pair.now, id, "ping", 4), ROAM_OK);
    h3_end_send(&both.client, id, 100);
    h3_end_send(&both.server, id, 200);
    assert_int_equal(roam_h3_send_datagram(both.client.h3, both.pair.now, id, "pong", 4), ROAM_ERR_ADDRESS);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_string_equal(both.server.datagram, "0:ping");
    assert_int_equal(both.server.received[0], 100);
    assert_int_equal(both.client.received[0], 200);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    assert_int_equal(roam_h3_open_requests(both.client.h3), 0);
    // For a request that is gone.
    assert_int_equal(roam_h3_send_datagram(both.client.h3, both.pair.now, id, "late", 4), ROAM_ERR_ADDRESS);
    assert_int_equal(roam_conn_send_datagram(both.pair.client.conn, both.pair.now, "\0late", 5, 0), ROAM_OK);
    h3_pair_run(&both, ROAM_MILLISECONDS(50));
    assert_int_equal(roam_h3_datagrams_dropped(both.server.h3), 1);
    end();
}

static void test_what_is_not_sent(void **state)
{
    (void)state;
    h3_pair_prepare(&both);
    both.server_config.connect_protocol = false;
    both.server_config.datagrams = false;
    both.server_config.max_section_bytes = 1000;
    h3_pair_start(&both);
    roam_h3_request_head head = {.method = "GET", .scheme = "https", .authority = "example.org", .path = "/"};
    const roam_h3_field bad[] = {h3_field("Upper", "x"), h3_field(":path", "/x"),    h3_field("a b", "x"),
                                 h3_field("", "x"),      h3_field("a", "b\r\nc: d"), h3_field("connection", "close"),
                                 h3_field("te", "gzip")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(roam_h3_request(both.client.h3, &head, &bad[i], 1, true, NULL), ROAM_ERR_CONFIG);
    char large[1001] = "";
    memset(large, 'x', 1000);
    roam_h3_field too_large = h3_field("large", large);
    assert_int_equal(roam_h3_request(both.client.h3, &head, &too_large, 1, true, NULL), ROAM_ERR_TOO_LARGE);
    roam_h3_request_head no_path = {.method = "GET", .scheme = "https", .authority = "example.org"};
    assert_int_equal(roam_h3_request(both.client.h3, &no_path, NULL, 0, true, NULL), ROAM_ERR_CONFIG);
    roam_h3_request_head connect = {
        .method = "CONNECT", .scheme = "https", .authority = "example.org", .path = "/", .protocol = "websocket"};
    assert_int_equal(roam_h3_request(both.client.h3, &connect, NULL, 0, false, NULL), ROAM_ERR_UNSUPPORTED);
    assert_int_equal(roam_h3_request(both.server.h3, &head, NULL, 0, true, NULL), ROAM_ERR_STATE);
    uint64_t id = h3_pair_get(&both, "/");
    assert_int_equal(roam_h3_datagram_bytes(both.client.h3, id), 0);
    assert_int_equal(roam_h3_send_datagram(both.client.h3, both.pair.now, id, "x", 1), ROAM_ERR_UNSUPPORTED);
    assert_int_equal(roam_h3_respond(both.client.h3, id, 200, NULL, 0, true), ROAM_ERR_STATE);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_all_defaults),
        cmocka_unit_test(test_megabytes_both_ways),
        cmocka_unit_test(test_reader_that_does_not_read),
        cmocka_unit_test(test_trailers_and_early_hints),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_many_requests),
        cmocka_unit_test(test_more_than_are_served),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_request_after_goaway_is_refused),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_extended_connect_and_datagrams),
        cmocka_unit_test(test_what_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
