/* Early data (RFC 9001 section 4.6): taken once and at once, sent again where it was not taken, and never delivered
 * twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "endpoint/endpoint.h"
#include "pair.h"
#include "sealed.h"

#define LARGE_BYTES 60000

static struct pair pair;
static struct pair_config config;
static uint8_t session[sizeof(pair.client.session)];

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_give_static_key(&config);
    config.client.early_data = config.server.early_data = true;
    config.client.max_datagram_frame_bytes = config.server.max_datagram_frame_bytes = 65535;
    config.client.datagram_fates = true;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

/* A first connection, whose session the next one takes. */
static void meet(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_true(pair.client.session_bytes > 0);
    memcpy(session, pair.client.session, sizeof(session));
    config.client.session = session;
    config.client.session_bytes = pair.client.session_bytes;
}

static void connect_again(void)
{
    pair_forget_events(&pair);
    pair.server.conn = NULL;
    pair.server.stream = pair.client.stream = NULL;
    pair_connect(&pair, &config);
}

/* Opens a stream on the new connection before anything is sent. */
static void send_early(const char *text)
{
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_OFFERED);
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_non_null(pair.client.stream);
    assert_true(roam_stream_is_early(pair.client.stream));
    assert_int_equal(roam_stream_write(pair.client.stream, text, strlen(text)), strlen(text));
    roam_stream_finish(pair.client.stream);
}

static void assert_server_reads(const char *text)
{
    char buf[16] = "";
    bool end = false;
    assert_non_null(pair.server.stream);
    assert_int_equal(roam_stream_read(pair.server.stream, buf, sizeof(buf) - 1, &end), strlen(text));
    assert_string_equal(buf, text);
    assert_true(end);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_STREAM_OPENED), 1);
}

static void assert_accepted(void)
{
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_ACCEPTED);
    assert_int_equal(roam_conn_early_data(pair.server.conn), ROAM_EARLY_ACCEPTED);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_EARLY_DATA_ACCEPTED), 1);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_EARLY_DATA_ACCEPTED), 1);
}

/* The handshake ends in another round trip, and what was sent is there once. */
static void assert_rejected_and_repeated(const char *text)
{
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_REJECTED);
    assert_int_equal(roam_conn_early_data(pair.server.conn), ROAM_EARLY_NONE);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_EARLY_DATA_REJECTED), 1);
    assert_false(roam_stream_is_early(pair.server.stream));
    assert_server_reads(text);
}

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

/* ---- Not taken */

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

static void a_session_brings_early_data_once(void **state)
{
    (void)state;
    meet();
    connect_again();
    send_early("first");
    pair_handshake(&pair);
    assert_accepted();
    connect_again();
    send_early("second");
    assert_rejected_and_repeated("second");
    assert_int_equal(pair.server.endpoint->stats.early_data_refused, 1);
    assert_int_equal(pair.server.endpoint->stats.early_data_accepted, 1);
}

/* With the oldest of the used tickets goes the trust in all that are as old. */
static void what_may_have_been_used_brings_none(void **state)
{
    (void)state;
    static uint8_t oldest[sizeof(session)];
    config.server_endpoint.tokens_remembered = 1;
    meet();
    memcpy(oldest, session, sizeof(oldest));
    const size_t oldest_bytes = config.client.session_bytes;
    for (int i = 0; i < 3; i++) {
        config.client.session = NULL;
        config.client.session_bytes = 0;
        connect_again();
        pair_handshake(&pair);
        pair_run(&pair, ROAM_MILLISECONDS(500));
        memcpy(session, pair.client.session, sizeof(session));
        config.client.session = session;
        config.client.session_bytes = pair.client.session_bytes;
        connect_again();
        send_early("early");
        pair_handshake(&pair);
        assert_accepted();
    }
    config.client.session = oldest;
    config.client.session_bytes = oldest_bytes;
    connect_again();
    send_early("old");
    assert_rejected_and_repeated("old");
}

static void a_server_that_remembers_no_tickets_takes_none(void **state)
{
    (void)state;
    config.server_endpoint.tokens_remembered = 0;
    meet();
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
}

/* The session is resumed, as its key is the same; what was used of it before nobody knows. */
static void a_server_that_was_started_again_takes_none_of_before(void **state)
{
    (void)state;
    meet();
    pair_replace_server(&pair, &config);
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
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

/* ---- Packets */

static struct pair_datagram kept[8];
static size_t kept_count;

static bool keep_first_flight(struct pair *at, bool to_server, roam_datagram *datagram)
{
    (void)at;
    if (to_server && kept_count < 8) {
        kept[kept_count].datagram = *datagram;
        memcpy(kept[kept_count].data, datagram->data, datagram->len);
        kept_count++;
    }
    return true;
}

/* What somebody has recorded and sends once more makes no stream, from wherever it comes. */
static void a_copy_of_the_first_flight_delivers_nothing(void **state)
{
    (void)state;
    meet();
    connect_again();
    kept_count = 0;
    pair.hook = keep_first_flight;
    send_early("early");
    pair_run(&pair, pair.delay + ROAM_MILLISECONDS(1));
    pair.hook = NULL;
    assert_server_reads("early");
    pair_handshake(&pair);
    roam_address elsewhere = pair.client_address;
    elsewhere.port++;
    for (int from = 0; from < 2; from++) {
        for (size_t i = 0; i < kept_count; i++)
            pair_deliver(&pair, true, from == 0 ? &elsewhere : NULL, kept[i].data, kept[i].datagram.len);
        pair_run(&pair, ROAM_MILLISECONDS(500));
    }
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_STREAM_OPENED), 1);
    assert_int_equal(pair.server.endpoint->stats.early_data_accepted, 1);
    assert_true(pair.server.endpoint->stats.early_data_refused >= 1);
}

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
        TEST(a_server_that_wants_none_rejects_it),
        TEST(a_client_that_does_not_ask_sends_none),
        TEST(another_protocol_rejects_it),
        TEST(a_lower_limit_rejects_it_and_streams_beyond_it_wait),
        TEST(a_smaller_window_rejects_it_and_is_kept_to),
        TEST(a_session_brings_early_data_once),
        TEST(what_may_have_been_used_brings_none),
        TEST(a_server_that_remembers_no_tickets_takes_none),
        TEST(a_server_that_was_started_again_takes_none_of_before),
        TEST(a_server_with_another_key_takes_none),
        TEST(another_suite_takes_none),
        TEST(a_server_that_asks_for_certificates_takes_none),
        TEST(a_smaller_datagram_frame_rejects_it),
        TEST(a_server_that_takes_it_and_lowers_a_limit_is_left),
        TEST(a_server_that_takes_it_and_then_smaller_datagrams_is_left),
        TEST(a_copy_of_the_first_flight_delivers_nothing),
        TEST(packets_that_come_before_the_initial_are_sent_again),
        TEST(an_ack_in_early_data_ends_the_connection),
        TEST(crypto_in_early_data_ends_the_connection),
        TEST(a_path_response_in_early_data_ends_the_connection),
        TEST(a_ping_in_early_data_is_none_of_them),
        TEST(keys_of_early_data_go_a_while_after_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
