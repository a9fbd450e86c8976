/*
 * What keeps a connection alive when nobody has anything to say at the wrong moment, or nobody can: clients that
 * speak up, goodbyes that arrive at a new address, CIDs that have run out, a handshake behind a full window; and
 * what an idle connection costs meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "counting_allocator.h"
#include "pair.h"
#include "sealed.h"

static struct pair pair;
static struct pair_config config;

/* A NAT between the two: the client's packets come from `outside`, and only what goes there reaches the client. */
static roam_address outside;

static bool translate(struct pair *p, bool to_server, roam_datagram *datagram)
{
    (void)p;
    /* Addresses are those that the receiver sees. */
    if (to_server)
        datagram->remote = outside;
    else if (!roam_address_equal(&datagram->local, &outside))
        return false;
    else
        datagram->local = p->client_address;
    return true;
}

static void nat_moves_to(const char *address)
{
    assert_true(roam_address_parse(&outside, address));
}

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    nat_moves_to("198.51.100.1:40000");
    return 0;
}

static void start(void)
{
    pair_start(&pair, &config);
    pair.hook = translate;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(200));
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static size_t write_all(roam_stream *stream, size_t len)
{
    static const uint8_t zeros[4096];
    size_t written = 0;
    for (ptrdiff_t n; written < len; written += (size_t)n) {
        n = roam_stream_write(stream, zeros, min_size(sizeof(zeros), len - written));
        if (n <= 0)
            break;
    }
    return written;
}

static size_t read_all(roam_stream *stream)
{
    uint8_t buf[4096];
    size_t total = 0;
    for (ptrdiff_t n; (n = roam_stream_read(stream, buf, sizeof(buf), NULL)) > 0;)
        total += (size_t)n;
    return total;
}

static void assert_row_is_outside(void)
{
    roam_conn_info row;
    roam_conn_get_info(pair.server.conn, &row);
    assert_true(roam_address_equal(&row.remote, &outside));
}

static void a_download_goes_on_when_the_nat_forgets_a_client_that_has_acknowledged_everything(void **state)
{
    (void)state; /* B36 */
    start();
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    write_all(pair.client.stream, 10);
    pair_run(&pair, ROAM_SECONDS(1));
    write_all(pair.server.stream, 5000);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    size_t received = read_all(pair.client.stream);
    nat_moves_to("198.51.100.1:40001");
    write_all(pair.server.stream, 5000);
    pair_run(&pair, ROAM_SECONDS(2));
    assert_int_equal(received + read_all(pair.client.stream), 10000);
    assert_row_is_outside();
}

static void an_upload_stopped_by_flow_control_goes_on_when_its_credit_was_lost_with_the_mapping(void **state)
{
    (void)state;
    config.server.initial_max_stream_data = 20000;
    start();
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_int_equal(write_all(pair.client.stream, 50000), 50000);
    pair_run(&pair, ROAM_SECONDS(5));
    size_t received = read_all(pair.server.stream);
    assert_int_equal(received, 20000);
    /* MAX_STREAM_DATA goes to a mapping that is gone, and the client has nothing that it may send. */
    nat_moves_to("198.51.100.2:40001");
    for (int i = 0; i < 100; i++) {
        pair_run(&pair, ROAM_MILLISECONDS(250));
        received += read_all(pair.server.stream);
    }
    assert_int_equal(received, 50000);
    assert_row_is_outside();
}

static void a_client_without_streams_does_not_speak_up(void **state)
{
    (void)state;
    start();
    uint64_t before = pair.sent_to_server;
    pair_run(&pair, ROAM_SECONDS(20));
    assert_int_equal(pair.sent_to_server, before);
}

static void an_idle_stream_costs_a_few_pings_and_no_more(void **state)
{
    (void)state;
    start();
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    write_all(pair.client.stream, 10);
    pair_run(&pair, ROAM_SECONDS(10));
    uint64_t before = pair.sent_to_server;
    pair_run(&pair, ROAM_SECONDS(15));
    assert_int_equal(pair.sent_to_server, before);
}

static void a_client_that_has_moved_hears_that_the_server_closes(void **state)
{
    (void)state;
    start();
    nat_moves_to("198.51.100.3:40001");
    /* The first CONNECTION_CLOSE goes to the mapping that is gone. */
    roam_conn_close(pair.server.conn, pair.now, 7, "done");
    pair_run(&pair, ROAM_MILLISECONDS(50));
    assert_null(pair_find_event(&pair.client, ROAM_EVENT_CLOSED));
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    const roam_event *closed = pair_find_event(&pair.client, ROAM_EVENT_CLOSED);
    assert_non_null(closed);
    assert_int_equal(closed->error->cause, ROAM_CLOSE_PEER_APPLICATION);
    assert_int_equal(closed->error->code, 7);
}

/* Seals a 1-RTT packet of the client's with this payload and gives it to the server, or the other way. */
static void inject(struct pair_side *from, bool to_server, const uint8_t *payload, size_t len)
{
    uint8_t packet[256 + SEALED_OVERHEAD_MAX];
    const struct sealing sealing = {.from = from->conn, .type = PACKET_ONE_RTT, .payload = payload, .payload_len = len};
    size_t packet_len = seal_by_hand(&sealing, packet);
    pair_deliver(&pair, to_server, to_server ? &outside : NULL, packet, packet_len);
}

static void expect_late_tls_message(uint8_t type, uint64_t error)
{
    start();
    struct roam_conn *client = pair.client.conn;
    assert_non_null(client->handshake);
    pair_run(&pair, TICKETS_PATIENCE + TRIM_AFTER);
    assert_null(client->handshake);
    uint8_t payload[] = {FRAME_CRYPTO, 0x80, 0, 0, 0, 5, type, 0, 0, 1, 0};
    payload[4] = (uint8_t)client->next_tls_message;
    payload[3] = (uint8_t)(client->next_tls_message >> 8);
    inject(&pair.server, false, payload, sizeof(payload));
    assert_int_equal(roam_conn_error(client)->cause, error != 0 ? ROAM_CLOSE_LOCAL_TRANSPORT : ROAM_CLOSE_NONE);
    assert_int_equal(roam_conn_error(client)->code, error);
}

static void a_tls_key_update_is_an_unexpected_message(void **state)
{
    (void)state; /* RFC 9001 section 6 */
    expect_late_tls_message(24, ROAM_CRYPTO_ERROR + 10);
}

static void a_certificate_request_after_the_handshake_is_a_protocol_violation(void **state)
{
    (void)state; /* RFC 9001 section 4.4 */
    expect_late_tls_message(13, ROAM_PROTOCOL_VIOLATION);
}

static void a_late_session_ticket_is_thrown_away(void **state)
{
    (void)state;
    expect_late_tls_message(4, ROAM_NO_ERROR);
}

static void a_client_whose_address_changes_before_it_hears_that_the_handshake_is_done_is_found(void **state)
{
    //= rfc9002#6.2.4 Probe other spaces with data in flight too.
    (void)state;
    pair_start(&pair, &config);
    pair.hook = translate;
    for (int i = 0; i < 1000 && pair_count_events(&pair.client, ROAM_EVENT_CONNECTED) == 0; i++)
        pair_run(&pair, ROAM_MILLISECONDS(1));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CONNECTED), 1);
    assert_false(roam_conn_is_confirmed(pair.server.conn));
    /* The Finished is under way, what the server says to it will come to a mapping that is gone. From then on it has no
     * Handshake keys. */
    nat_moves_to("198.51.100.2:40001");
    pair_run(&pair, ROAM_SECONDS(3));
    assert_true(roam_conn_is_confirmed(pair.server.conn));
    assert_true(roam_conn_is_confirmed(pair.client.conn));
    assert_row_is_outside();
    assert_true(pair_carries(&pair, "found", ROAM_SECONDS(1)));
}

static bool drop_what_the_server_sends(struct pair *p, bool to_server, roam_datagram *datagram)
{
    return to_server && translate(p, to_server, datagram);
}

static void a_client_that_is_not_answered_renews_the_servers_supply_of_cids(void **state)
{
    (void)state;
    start();
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    write_all(pair.client.stream, 10);
    pair.hook = drop_what_the_server_sends;
    pair_forget_events(&pair);
    pair_run(&pair, ROAM_SECONDS(3));
    pair.hook = translate;
    pair_run(&pair, ROAM_SECONDS(5));
    assert_true(pair_count_events(&pair.server, ROAM_EVENT_CID_RECEIVED) >= 2);
    /* And both hold as many as they may again (B30). */
    size_t held = pair.server.conn->remote_cids.count;
    assert_int_equal(held, min_size(LOCAL_CIDS_MAX, (size_t)config.server.active_connection_id_limit));
    assert_true(roam_conn_is_confirmed(pair.client.conn));
}

static void an_idle_connection_gives_its_buffers_and_expanded_keys_back(void **state)
{
    (void)state;
    static struct counting_allocator counting; /* outlives the endpoints, which go with tear_down */
    counting = (struct counting_allocator){0};
    config.server_endpoint.allocator = (roam_allocator){.reallocate = counting_reallocate, .context = &counting};
    start();
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    write_all(pair.client.stream, 100000);
    roam_stream_finish(pair.client.stream);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(read_all(pair.server.stream), 100000);
    roam_stream_finish(pair.server.stream);
    size_t busy = counting.bytes_out;
    pair_run(&pair, ROAM_SECONDS(6));
    assert_true(counting.bytes_out < busy);
    assert_null(pair.server.conn->keys.send.expanded);
    assert_null(pair.server.conn->keys.receive.expanded);
    assert_null(pair.server.conn->application.sent.ring);
    /* And it works again at once. */
    roam_stream *stream = roam_stream_open(pair.client.conn, false, NULL);
    write_all(stream, 1000);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(read_all(pair.server.stream), 1000);
}

/* Octets that a server has asked for, for each connection that has done nothing since its handshake: everything
 * included that grows with them. */
#define IDLE_BYTES_MAX 3000

static void an_idle_connection_takes_so_much_of_a_server_and_no_more(void **state)
{
    (void)state;
    const size_t connections = 100;
    static struct counting_allocator counting; /* likewise */
    roam_endpoint_stats stats;
    counting = (struct counting_allocator){0};
    config.server_endpoint.allocator = (roam_allocator){.reallocate = counting_reallocate, .context = &counting};
    start();
    pair_run(&pair, ROAM_SECONDS(3));
    const size_t before = counting.bytes_out;
    roam_config client = config.client;
    client.local = &pair.client_address;
    for (size_t i = 0; i < connections; i++)
        assert_non_null(
            roam_connect(pair.client.endpoint, "203.0.113.5", pair.server_address.port, &client, pair.now, NULL));
    pair_run(&pair, ROAM_SECONDS(5));
    roam_endpoint_get_stats(pair.server.endpoint, &stats);
    assert_int_equal(stats.handshakes_completed, 1 + connections);
    assert_in_range((counting.bytes_out - before) / connections, sizeof(roam_conn), IDLE_BYTES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_download_goes_on_when_the_nat_forgets_a_client_that_has_acknowledged_everything),
        TEST(an_upload_stopped_by_flow_control_goes_on_when_its_credit_was_lost_with_the_mapping),
        TEST(a_client_without_streams_does_not_speak_up),
        TEST(an_idle_stream_costs_a_few_pings_and_no_more),
        TEST(a_client_that_has_moved_hears_that_the_server_closes),
        TEST(a_tls_key_update_is_an_unexpected_message),
        TEST(a_certificate_request_after_the_handshake_is_a_protocol_violation),
        TEST(a_late_session_ticket_is_thrown_away),
        TEST(a_client_whose_address_changes_before_it_hears_that_the_handshake_is_done_is_found),
        TEST(a_client_that_is_not_answered_renews_the_servers_supply_of_cids),
        TEST(an_idle_connection_gives_its_buffers_and_expanded_keys_back),
        TEST(an_idle_connection_takes_so_much_of_a_server_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
