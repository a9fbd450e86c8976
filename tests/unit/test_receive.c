/*
 * What a connection does with datagrams before their frames count: packets without protection, addresses that it
 * learns, datagrams after its end, and memory that is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bad_frame.h"
#include "counting_allocator.h"

static struct counting_allocator counting;

static void prepare_counted(bool server)
{
    prepare();
    counting = (struct counting_allocator){0};
    roam_endpoint_config *endpoint = server ? &config.server_endpoint : &config.client_endpoint;
    endpoint->allocator = counting_allocator(&counting);
}

/* ---- Packets without protection */

/* The first flight is on its way, and nothing has come back. */
static void begin_waiting(void)
{
    prepare();
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(1));
}

static size_t write_negotiation(uint8_t *ret, size_t capacity)
{
    static const uint32_t other[] = {0x1a2a3a4a};
    const roam_cid *dcid = &pair.client.conn->local_cids.entries[0].cid;
    const roam_cid *scid = &pair.client.conn->remote_cids.entries[0].cid;
    struct writer writer = writer_init(ret, capacity);
    packet_write_version_negotiation(&writer, 0, dcid->bytes, dcid->len, scid->bytes, scid->len, other, 1);
    assert_false(writer.failed);
    return writer_len(&writer);
}

static void version_negotiation_from_elsewhere_is_dropped(void **state)
{
    //= rfc9000#9-7 Client drops packets from unknown server addresses.
    (void)state;
    uint8_t packet[128];
    roam_address elsewhere;
    begin_waiting();
    assert_true(roam_address_parse(&elsewhere, "198.51.100.9:443"));
    const size_t len = write_negotiation(packet, sizeof(packet));
    pair_deliver(&pair, TO_CLIENT, &elsewhere, packet, len);
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_UNKNOWN_SERVER_ADDRESS), 1);
    pair_handshake(&pair);
    pair_stop(&pair);
}

static void version_negotiation_of_the_server_ends_the_attempt(void **state)
{
    (void)state;
    uint8_t packet[128];
    begin_waiting();
    pair_deliver(&pair, TO_CLIENT, NULL, packet, write_negotiation(packet, sizeof(packet)));
    assert_int_equal(error_at(false)->cause, ROAM_CLOSE_VERSION_NEGOTIATION);
    pair_stop(&pair);
}

/* ---- The qlog of what has no protection */

static const char *wanted;
static unsigned logged;

static void *open_log(void *context, const roam_cid *original_dcid, bool is_server)
{
    (void)original_dcid;
    return is_server ? NULL : context;
}

static bool write_log(void *context, void *log, const char *text, size_t len)
{
    (void)context, (void)log;
    logged += memmem(text, len, wanted, strlen(wanted)) != NULL;
    return true;
}

static void close_log(void *context, void *log)
{
    (void)context, (void)log;
}

static const roam_qlog qlog = {
    .open = open_log, .write = write_log, .close = close_log, .context = &logged, .names = ROAM_QLOG_NAMES_LATEST};

static void a_retry_is_in_the_clients_log(void **state)
{
    (void)state;
    prepare();
    logged = 0;
    wanted = "\"packet_type\":\"retry\"";
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    config.qlog = &qlog;
    begin();
    pair_stop(&pair);
    config.qlog = NULL;
    assert_int_equal(logged, 1);
}

static void the_versions_that_a_server_has_are_in_the_clients_log(void **state)
{
    (void)state;
    uint8_t packet[128];
    logged = 0;
    wanted = "\"supported_versions\":[\"1a2a3a4a\"]";
    config.qlog = &qlog;
    begin_waiting();
    pair_deliver(&pair, TO_CLIENT, NULL, packet, write_negotiation(packet, sizeof(packet)));
    pair_stop(&pair);
    config.qlog = NULL;
    assert_int_equal(logged, 1);
}

/* ---- Addresses */

static bool fill_in_the_client(struct pair *of, bool to_server, roam_datagram *datagram)
{
    roam_address *seen = to_server ? &datagram->remote : &datagram->local;
    if (!roam_address_is_set(seen) || seen->port == 0)
        *seen = of->client_address;
    return true;
}

static void a_client_that_named_no_address_learns_it_from_the_first_answer(void **state)
{
    (void)state;
    prepare();
    pair_start(&pair, &config);
    roam_conn_free(pair.client.conn, pair.now);
    roam_config unnamed = config.client;
    pair.hook = fill_in_the_client;
    pair.client.conn = roam_connect(pair.client.endpoint, "203.0.113.5", 443, &unnamed, pair.now, NULL);
    assert_non_null(pair.client.conn);
    assert_int_equal(roam_conn_local_address(pair.client.conn)->port, 0);
    pair_handshake(&pair);
    assert_true(roam_address_equal(roam_conn_local_address(pair.client.conn), &pair.client_address));
    pair_stop(&pair);
}

/* ---- After the end */

static void what_comes_after_the_end_is_counted_and_not_read(void **state)
{
    (void)state;
    uint8_t packet[64] = {0x40};
    prepare();
    begin();
    roam_conn_close(pair.client.conn, pair.now, 0, "");
    memcpy(packet + 1, pair.client.conn->local_cids.entries[0].cid.bytes, 8);
    /* One whose header is whole, and one that ends in it. */
    pair_deliver(&pair, TO_CLIENT, NULL, packet, sizeof(packet));
    pair_deliver(&pair, TO_CLIENT, NULL, packet, 12);
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_CLOSING) + pair_drops(&pair.client, ROAM_DROP_TOO_SHORT), 2);
    pair_run(&pair, ROAM_MILLISECONDS(30));
    const uint64_t before = pair_drops(&pair.server, ROAM_DROP_DRAINING);
    memcpy(packet + 1, pair.server.conn->local_cids.entries[0].cid.bytes, 8);
    pair_deliver(&pair, TO_SERVER, NULL, packet, sizeof(packet));
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_DRAINING), before + 1);
    pair_stop(&pair);
}

/* ---- No memory */

/* A PING whose number lies so far ahead that it is a range of its own. */
static void inject_ahead(unsigned ahead)
{
    static const uint8_t ping[4] = {0x01};
    uint8_t packet[128];
    const struct sealing sealing = {.from = pair.client.conn,
                                    .type = PACKET_ONE_RTT,
                                    .payload = ping,
                                    .payload_len = sizeof(ping),
                                    .has_number = true,
                                    .number = pair.client.conn->application.next_number + ahead};
    pair_deliver(&pair, TO_SERVER, NULL, packet, seal_by_hand(&sealing, packet));
}

static void without_memory_for_an_acknowledgement_the_connection_ends(void **state)
{
    (void)state;
    prepare_counted(true);
    begin();
    for (unsigned i = 0; i < 40 && error_at(true)->cause == ROAM_CLOSE_NONE; i++) {
        counting.refuses = true;
        inject_ahead(10 + 2 * i);
        counting.refuses = false;
    }
    expect_error("no memory", true, ROAM_INTERNAL_ERROR);
    pair_stop(&pair);
    assert_int_equal(counting.bytes_out, 0);
}

static void without_memory_for_what_was_lent_the_connection_ends(void **state)
{
    (void)state;
    uint8_t payload[600] = {0}, packet[800];
    prepare_counted(true);
    begin();
    struct writer writer = writer_init(payload, sizeof(payload));
    frame_write_stream_header(&writer, 0, 0, 500, false);
    write_zeros(&writer, 500);
    const struct sealing sealing = {
        .from = pair.client.conn, .type = PACKET_ONE_RTT, .payload = payload, .payload_len = writer_len(&writer)};
    roam_datagram datagram = {
        .local = pair.server_address, .remote = pair.client_address, .data = packet, .lent = true};
    datagram.len = seal_by_hand(&sealing, packet);
    roam_endpoint_receive(pair.server.endpoint, pair.now, &datagram, 1);
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_NONE);
    counting.refuses = true;
    roam_endpoint_reclaim(pair.server.endpoint);
    counting.refuses = false;
    expect_error("no memory", true, ROAM_INTERNAL_ERROR);
    pair_stop(&pair);
    assert_int_equal(counting.bytes_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_negotiation_from_elsewhere_is_dropped),
        cmocka_unit_test(version_negotiation_of_the_server_ends_the_attempt),
        cmocka_unit_test(a_retry_is_in_the_clients_log),
        cmocka_unit_test(the_versions_that_a_server_has_are_in_the_clients_log),
        cmocka_unit_test(a_client_that_named_no_address_learns_it_from_the_first_answer),
        cmocka_unit_test(what_comes_after_the_end_is_counted_and_not_read),
        cmocka_unit_test(without_memory_for_an_acknowledgement_the_connection_ends),
        cmocka_unit_test(without_memory_for_what_was_lent_the_connection_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
