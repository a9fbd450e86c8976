/* Early data that is not taken goes again in 1-RTT packets, and is delivered once; and what a server that takes it has to
 * keep to. */
#include "early_pair.h"

static void a_server_that_wants_none_rejects_it(void **state)
{
    (void)state;
    meet();
    pair.server.endpoint->accept->early_data = false;
    connect_again();
    send_early("early");
    assert_int_equal(roam_conn_send_datagram(pair.client.conn, pair.now, "hello", 5, 1), ROAM_OK);
    assert_rejected_and_repeated("early");
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_LOST), 1);
    assert_true(pair.server.endpoint->stats.drops[ROAM_DROP_ZERO_RTT_REJECTED] > 0);
}

static void a_client_that_does_not_ask_sends_none(void **state)
{
    (void)state;
    meet();
    config.client.early_data = false;
    connect_again();
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_NONE);
    assert_null(roam_stream_open(pair.client.conn, false, NULL));
    pair_handshake(&pair);
}

static void another_protocol_rejects_it(void **state)
{
    (void)state;
    static const char *const both[] = {"pair", "other", NULL}, *const other[] = {"other", NULL};
    meet();
    config.client.alpn = both;
    config.server.alpn = other;
    config.server_endpoint.accept = &config.server;
    const char *const *kept = pair.server.endpoint->accept->alpn;
    pair.server.endpoint->accept->alpn = other;
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
    pair.server.endpoint->accept->alpn = kept;
}

static void a_lower_limit_rejects_it_and_streams_beyond_it_wait(void **state)
{
    (void)state;
    meet();
    pair.server.endpoint->accept->initial_max_streams_bidi = 1;
    connect_again();
    roam_stream *streams[3];
    for (int i = 0; i < 3; i++) {
        streams[i] = roam_stream_open(pair.client.conn, false, NULL);
        assert_int_equal(roam_stream_write(streams[i], "early", 5), 5);
        roam_stream_finish(streams[i]);
    }
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_REJECTED);
    for (int i = 0; i < 3; i++) {
        char buf[8];
        assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_STREAM_OPENED), i + 1);
        assert_int_equal(roam_stream_read(pair.server.stream, buf, sizeof(buf), NULL), 5);
        roam_stream_finish(pair.server.stream);
        roam_stream_free(pair.server.stream);
        pair_run(&pair, ROAM_MILLISECONDS(500));
    }
}

static void a_smaller_window_rejects_it_and_is_kept_to(void **state)
{
    (void)state;
    static uint8_t data[8000];
    meet();
    pair.server.endpoint->accept->initial_max_stream_data = pair.server.endpoint->accept->initial_max_data = 3000;
    connect_again();
    pair.client.stream = roam_stream_open(pair.client.conn, true, NULL);
    assert_int_equal(roam_stream_write(pair.client.stream, data, sizeof(data)), sizeof(data));
    roam_stream_finish(pair.client.stream);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_REJECTED);
    size_t sum = 0;
    for (int i = 0; i < 10 && sum < sizeof(data); i++) {
        ptrdiff_t len = roam_stream_read(pair.server.stream, data, sizeof(data), NULL);
        assert_true(len <= 3000);
        sum += (size_t)len;
        pair_run(&pair, ROAM_MILLISECONDS(200));
    }
    assert_int_equal(sum, sizeof(data));
}

static void a_server_with_another_key_takes_none(void **state)
{
    (void)state;
    meet();
    memset(config.server_endpoint.static_key, 8, sizeof(config.server_endpoint.static_key));
    pair_replace_server(&pair, &config);
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
}

static void another_suite_takes_none(void **state)
{
    (void)state;
    meet();
    pair.server.endpoint->accept->ciphers = ROAM_AES_256_GCM | ROAM_CHACHA20_POLY1305;
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
}

static void a_server_that_asks_for_certificates_takes_none(void **state)
{
    (void)state;
    meet();
    roam_credentials_require_client(pair.server_credentials);
    pair_forget_events(&pair);
    pair_connect(&pair, &config);
    send_early("early");
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(pair.server.endpoint->stats.early_data_accepted, 0);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_STREAM_OPENED), 0);
}

//= rfc9221#3-7 A server that takes early data has no smaller max_datagram_frame_size than with the ticket.
static void a_smaller_datagram_frame_rejects_it(void **state)
{
    (void)state;
    meet();
    pair.server.endpoint->accept->max_datagram_frame_bytes = 1000;
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
}

static void expect_left(uint64_t *relied_on)
{
    ++*relied_on;
    pair_run(&pair, ROAM_MILLISECONDS(500));
    const roam_event *closed = pair_find_event(&pair.client, ROAM_EVENT_CLOSED);
    assert_non_null(closed);
    assert_int_equal(closed->error->code, ROAM_PROTOCOL_VIOLATION);
}

/* RFC 9000 section 7.4.1. */
static void a_server_that_takes_it_and_lowers_a_limit_is_left(void **state)
{
    (void)state;
    meet();
    connect_again();
    send_early("early");
    expect_left(&pair.client.conn->handshake->relied_on.initial_max_data);
}

//= rfc9221#3-8 A client that stored the value checks that the new one is not smaller.
//= rfc9221#3-9 If it is, the connection ends with PROTOCOL_VIOLATION.
static void a_server_that_takes_it_and_then_smaller_datagrams_is_left(void **state)
{
    (void)state;
    meet();
    connect_again();
    send_early("early");
    expect_left(&pair.client.conn->handshake->relied_on.max_datagram_frame_size);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_wants_none_rejects_it),
        TEST(a_client_that_does_not_ask_sends_none),
        TEST(another_protocol_rejects_it),
        TEST(a_lower_limit_rejects_it_and_streams_beyond_it_wait),
        TEST(a_smaller_window_rejects_it_and_is_kept_to),
        TEST(a_server_with_another_key_takes_none),
        TEST(another_suite_takes_none),
        TEST(a_server_that_asks_for_certificates_takes_none),
        TEST(a_smaller_datagram_frame_rejects_it),
        TEST(a_server_that_takes_it_and_lowers_a_limit_is_left),
        TEST(a_server_that_takes_it_and_then_smaller_datagrams_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
