/* Early data (RFC 9001 section 4.6): taken at once, and what its packets may hold. */
#include "early_pair.h"
#include "sealed.h"

#define LARGE_BYTES 60000

/* ---- Taken */

static void early_data_is_read_with_the_first_flight_and_answered_before_the_handshake_is_complete(void **state)
{
    (void)state;
    char buf[16] = "";
    meet();
    connect_again();
    send_early("early");
    pair_run(&pair, pair.delay + ROAM_MILLISECONDS(1));
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_HANDSHAKE);
    assert_true(roam_stream_is_early(pair.server.stream));
    assert_server_reads("early");
    assert_int_equal(roam_stream_write(pair.server.stream, "answer", 6), 6);
    pair_run(&pair, pair.delay + ROAM_MILLISECONDS(1));
    assert_int_equal(roam_stream_read(pair.client.stream, buf, sizeof(buf), NULL), 6);
    pair_handshake(&pair);
    assert_accepted();
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_EARLY_DATA_READY), 1);
    assert_true(pair_carries(&pair, "later", ROAM_MILLISECONDS(200)));
    assert_false(roam_stream_is_early(pair.server.stream));
}

static void each_session_brings_the_next_one_early_data(void **state)
{
    (void)state;
    meet();
    for (int i = 0; i < 3; i++) {
        connect_again();
        send_early("early");
        pair_handshake(&pair);
        pair_run(&pair, ROAM_MILLISECONDS(500));
        assert_accepted();
        assert_server_reads("early");
        memcpy(session, pair.client.session, sizeof(session));
        config.client.session_bytes = pair.client.session_bytes;
    }
}

/* RFC 9000 section 17.2.5.2: what the first flight held is sent again to the CID of the Retry. */
static void early_data_survives_a_retry(void **state)
{
    (void)state;
    meet();
    ((struct roam_endpoint *)pair.server.endpoint)->config.retry = ROAM_RETRY_ALWAYS;
    connect_again();
    send_early("early");
    pair_run(&pair, 3 * pair.delay + ROAM_MILLISECONDS(1));
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_HANDSHAKE);
    assert_server_reads("early");
    pair_handshake(&pair);
    assert_accepted();
}

static int flights_to_lose;

static bool lose_to_server(struct pair *at, bool to_server, roam_datagram *datagram)
{
    (void)at, (void)datagram;
    return !to_server || flights_to_lose-- <= 0;
}

static void what_was_lost_with_the_first_flight_comes_later(void **state)
{
    (void)state;
    meet();
    connect_again();
    send_early("early");
    flights_to_lose = 2;
    pair.hook = lose_to_server;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(2));
    assert_accepted();
    assert_server_reads("early");
}

/* More than the window takes at once goes on when the server answers. */
static void more_than_the_window_takes_goes_on_later(void **state)
{
    (void)state;
    static uint8_t data[LARGE_BYTES], read[LARGE_BYTES];
    memset(data, 'x', sizeof(data));
    meet();
    connect_again();
    pair.client.stream = roam_stream_open(pair.client.conn, true, NULL);
    assert_int_equal(roam_stream_write(pair.client.stream, data, sizeof(data)), sizeof(data));
    roam_stream_finish(pair.client.stream);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(2));
    assert_accepted();
    assert_int_equal(roam_stream_read(pair.server.stream, read, sizeof(read), NULL), sizeof(read));
    assert_memory_equal(read, data, sizeof(data));
}

static void datagrams_may_be_early(void **state)
{
    (void)state;
    const uint8_t *data;
    size_t len;
    meet();
    connect_again();
    assert_int_equal(roam_conn_send_datagram(pair.client.conn, pair.now, "hello", 5, 1), ROAM_OK);
    pair_run(&pair, pair.delay + ROAM_MILLISECONDS(1));
    assert_true(roam_conn_next_datagram(pair.server.conn, &data, &len));
    assert_int_equal(len, 5);
    pair_handshake(&pair);
    assert_accepted();
}

/* Limits that have grown count for streams that are open already. */
static void higher_limits_are_used_by_what_was_opened_early(void **state)
{
    (void)state;
    static uint8_t data[8000];
    config.server.initial_max_stream_data = 4000;
    meet();
    pair.server.endpoint->accept->initial_max_stream_data = 100000;
    connect_again();
    pair.client.stream = roam_stream_open(pair.client.conn, true, NULL);
    assert_int_equal(roam_stream_write(pair.client.stream, data, sizeof(data)), sizeof(data));
    roam_stream_finish(pair.client.stream);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    assert_accepted();
    assert_int_equal(roam_stream_read(pair.server.stream, data, sizeof(data), NULL), sizeof(data));
}

/* ---- Packets */

static bool swap_first_two(struct pair *at, bool to_server, roam_datagram *datagram)
{
    if (to_server && (datagram->data[0] & 0xb0) == 0x80 && flights_to_lose-- > 0)
        at->hold_back = ROAM_MILLISECONDS(5);
    return true;
}

/* 0-RTT packets that overtake the Initial find no connection, and are dropped and counted; they come again. */
static void packets_that_come_before_the_initial_are_sent_again(void **state)
{
    (void)state;
    static uint8_t data[5000];
    meet();
    connect_again();
    pair.client.stream = roam_stream_open(pair.client.conn, true, NULL);
    assert_int_equal(roam_stream_write(pair.client.stream, data, sizeof(data)), sizeof(data));
    roam_stream_finish(pair.client.stream);
    flights_to_lose = 1;
    pair.hook = swap_first_two;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(2));
    assert_true(pair.server.endpoint->stats.drops[ROAM_DROP_UNKNOWN_CONNECTION] > 0);
    assert_accepted();
    assert_int_equal(roam_stream_read(pair.server.stream, data, sizeof(data), NULL), sizeof(data));
}

/* A packet of early data with this payload, from the client, that the server has not answered yet. */
static void seal_early(const uint8_t *payload, size_t len)
{
    uint8_t packet[SEALED_OVERHEAD_MAX + 64];
    connect_again();
    send_early("early");
    pair_run(&pair, pair.delay + ROAM_MILLISECONDS(1));
    const struct sealing sealing = {
        .from = pair.client.conn, .type = PACKET_ZERO_RTT, .payload = payload, .payload_len = len};
    size_t bytes = seal_by_hand(&sealing, packet);
    assert_true(bytes > 0);
    pair_deliver(&pair, true, NULL, packet, bytes);
    pair_run(&pair, ROAM_MILLISECONDS(1));
}

//= rfc9000#12.4 A frame may only stand in the packet types that table 3 names.
static void expect_forbidden(uint8_t type)
{
    uint8_t payload[32] = {type};
    meet();
    seal_early(payload, sizeof(payload));
    const roam_event *closed = pair_find_event(&pair.server, ROAM_EVENT_CLOSED);
    assert_non_null(closed);
    assert_int_equal(closed->error->code, ROAM_PROTOCOL_VIOLATION);
    assert_int_equal(closed->error->frame_type, type);
}

static void an_ack_in_early_data_ends_the_connection(void **state)
{
    (void)state;
    expect_forbidden(FRAME_ACK);
}

static void crypto_in_early_data_ends_the_connection(void **state)
{
    (void)state;
    expect_forbidden(FRAME_CRYPTO);
}

static void a_path_response_in_early_data_ends_the_connection(void **state)
{
    (void)state;
    expect_forbidden(FRAME_PATH_RESPONSE);
}

static void a_ping_in_early_data_is_none_of_them(void **state)
{
    (void)state;
    uint8_t payload[32] = {FRAME_PING};
    meet();
    seal_early(payload, sizeof(payload));
    assert_null(pair_find_event(&pair.server, ROAM_EVENT_CLOSED));
    pair_handshake(&pair);
}

/* RFC 9001 section 4.9.3: what was overtaken is still read for a while, and the keys go then. */
static void keys_of_early_data_go_a_while_after_the_handshake(void **state)
{
    (void)state;
    meet();
    connect_again();
    send_early("early");
    pair_handshake(&pair);
    assert_false(pair.client.conn->handshake->zero_rtt.available);
    assert_true(pair.server.conn->handshake != NULL && pair.server.conn->handshake->zero_rtt.available);
    pair_run(&pair, ROAM_SECONDS(3));
    assert_null(pair.server.conn->handshake);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(early_data_is_read_with_the_first_flight_and_answered_before_the_handshake_is_complete),
        TEST(each_session_brings_the_next_one_early_data),
        TEST(early_data_survives_a_retry),
        TEST(what_was_lost_with_the_first_flight_comes_later),
        TEST(more_than_the_window_takes_goes_on_later),
        TEST(datagrams_may_be_early),
        TEST(higher_limits_are_used_by_what_was_opened_early),
        TEST(packets_that_come_before_the_initial_are_sent_again),
        TEST(an_ack_in_early_data_ends_the_connection),
        TEST(crypto_in_early_data_ends_the_connection),
        TEST(a_path_response_in_early_data_ends_the_connection),
        TEST(a_ping_in_early_data_is_none_of_them),
        TEST(keys_of_early_data_go_a_while_after_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
