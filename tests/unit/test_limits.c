/*
 * What a peer can make us keep has an end: at each cap all is well, and one more has just the outcome that docs/limits.md
 * says, under the name that counts it. Packets are sealed by hand, for no peer of this library would send them.
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
#include "endpoint/conn_table.h"
#include "endpoint/endpoint.h"

static struct counting_allocator counting;

static roam_endpoint_stats stats_of_server(void)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(pair.server.endpoint, &stats);
    return stats;
}

/* The server has met this limit so often, and no other. */
static void expect_limits(roam_limit limit, uint64_t times)
{
    const roam_endpoint_stats stats = stats_of_server();
    for (unsigned i = 0; i < ROAM_LIMITS; i++) {
        uint64_t expected = i == (unsigned)limit ? times : 0;
        if (stats.limits[i] != expected)
            fail_msg("%s: %lu instead of %lu", roam_limit_name((roam_limit)i), (unsigned long)stats.limits[i],
                     (unsigned long)expected);
    }
}

static void expect_no_error(void)
{
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_NONE);
    expect_limits(ROAM_LIMIT_NONE, 0);
}

/* The connection has ended for this limit, and the peer hears its name. */
static void expect_end(uint64_t error, roam_limit limit)
{
    expect_error(roam_limit_name(limit), true, error);
    assert_string_equal(error_at(true)->reason, roam_limit_name(limit));
    expect_limits(limit, 1);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    if (roam_conn_state(pair.client.conn) != ROAM_CONN_HANDSHAKE)
        expect_told(roam_limit_name(limit), false, error);
}

static void inject_writer(enum packet_type type, const struct writer *writer, const uint8_t *payload)
{
    assert_false(writer->failed);
    inject(TO_SERVER, type, payload, writer_len(writer));
}

static int set_up(void **state)
{
    (void)state;
    memset(&counting, 0, sizeof(counting));
    prepare();
    config.server_endpoint.allocator = counting_allocator(&counting);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    assert_int_equal(counting.bytes_out, 0);
    return 0;
}

/* ---- The handshake's */

static uint64_t client_datagrams;

static bool only_the_first_of_the_client(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of, (void)datagram;
    return !to_server || client_datagrams++ == 0;
}

/* The server waits for the client's Handshake packets, none of which come. */
static void begin_half(void)
{
    client_datagrams = 0;
    pair_start(&pair, &config);
    pair.hook = only_the_first_of_the_client;
    pair_run(&pair, ROAM_MILLISECONDS(50));
    assert_non_null(pair.server.conn);
}

static void inject_crypto(uint64_t offset)
{
    uint8_t payload[64];
    struct writer writer = writer_init(payload, sizeof(payload));
    write_varint(&writer, FRAME_CRYPTO);
    write_varint(&writer, offset);
    write_varint(&writer, 1);
    write_u8(&writer, 0);
    inject_writer(PACKET_HANDSHAKE, &writer, payload);
}

static void crypto_data_is_kept_64_kib_ahead_and_not_an_octet_more(void **state)
{
    (void)state;
    begin_half();
    inject_crypto(CRYPTO_BUFFER_BYTES_MAX - 1);
    expect_no_error();
    inject_crypto(CRYPTO_BUFFER_BYTES_MAX);
    expect_end(ROAM_CRYPTO_BUFFER_EXCEEDED, ROAM_LIMIT_CRYPTO_BUFFER);
}

static void crypto_data_may_have_a_thousand_gaps_and_no_more(void **state)
{
    (void)state;
    begin_half();
    const size_t before = counting.bytes_out;
    /* RECV_GAPS_MAX gaps are between as many ranges and the next octet to be read. */
    for (uint64_t i = 0; i <= RECV_GAPS_MAX; i++)
        inject_crypto(1 + 2 * i);
    expect_no_error();
    assert_true(counting.bytes_out - before <= CRYPTO_BUFFER_BYTES_MAX + 64 * 1024);
    inject_crypto(1 + 2 * (RECV_GAPS_MAX + 1));
    expect_end(ROAM_CRYPTO_BUFFER_EXCEEDED, ROAM_LIMIT_CRYPTO_BUFFER);
}

/* A Handshake packet of this length, from a client that the server has not spoken to yet, or from anybody. */
static void deliver_early(size_t len)
{
    static uint8_t packet[EARLY_PACKET_BYTES_MAX + 1];
    struct writer writer = writer_init(packet, sizeof(packet));
    uint8_t *length_at;
    packet_write_long(&writer, PACKET_HANDSHAKE, QUIC_VERSION_1, &pair.client.conn->row_cid,
                      &(roam_cid){.len = 8, .bytes = {1}}, NULL, 0, 4, &length_at);
    packet_length_write(length_at, len - writer_len(&writer));
    pair_deliver(&pair, TO_CLIENT, NULL, packet, len);
}

static void a_packet_before_its_keys_is_kept_up_to_its_size(void **state)
{
    (void)state;
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    deliver_early(EARLY_PACKET_BYTES_MAX);
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_BUFFER_FULL), 0);
    assert_int_equal(pair.client.conn->handshake->early_count, 1);
    deliver_early(EARLY_PACKET_BYTES_MAX + 1);
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_BUFFER_FULL), 1);
    assert_int_equal(pair.client.conn->handshake->early_count, 1);
    pair_handshake(&pair);
}

/* ---- Streams */

static void inject_stream(uint64_t id, uint64_t offset, size_t len)
{
    uint8_t payload[1100] = {0};
    struct writer writer = writer_init(payload, sizeof(payload));
    write_varint(&writer, FRAME_STREAM | 0x04);
    write_varint(&writer, id);
    write_varint(&writer, offset);
    inject(TO_SERVER, PACKET_ONE_RTT, payload, writer_len(&writer) + len);
}

static void a_stream_may_have_a_thousand_gaps_and_no_more(void **state)
{
    (void)state;
    config.server.initial_max_stream_data = config.server.initial_max_data = 100000;
    begin();
    for (uint64_t i = 0; i <= RECV_GAPS_MAX; i++)
        inject_stream(0, 1 + 2 * i, 1);
    expect_no_error();
    inject_stream(0, 1 + 2 * (RECV_GAPS_MAX + 1), 1);
    expect_end(ROAM_INTERNAL_ERROR, ROAM_LIMIT_STREAM_GAPS);
}

static void as_many_streams_as_were_allowed_and_no_more(void **state)
{
    (void)state;
    begin();
    inject_stream(4 * 9, 0, 1);
    expect_no_error();
    assert_int_equal(pair.server.conn->streams.tables->by_id.count, 10);
    inject_stream(4 * 10, 0, 1);
    expect_end(ROAM_STREAM_LIMIT_ERROR, ROAM_LIMIT_STREAMS);
}

static void as_many_octets_as_were_allowed_and_no_more(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        begin();
        inject_stream(0, 0, 1000);
        if (kind == 1)
            inject_stream(4, 0, 500);
        expect_no_error();
        if (kind == 0)
            inject_stream(0, 1000, 1); /* beyond the stream's limit */
        else
            inject_stream(4, 500, 1); /* beyond that of all together */
        expect_end(ROAM_FLOW_CONTROL_ERROR, ROAM_LIMIT_FLOW_CONTROL);
        if (kind == 0)
            tear_down(NULL);
    }
}

/* ---- Connection IDs */

static void inject_new_cid(uint64_t sequence, uint64_t retire_prior_to)
{
    uint8_t payload[64];
    const roam_cid cid = {.len = 8, .bytes = {0xc1, (uint8_t)(sequence >> 8), (uint8_t)sequence, 1, 2, 3, 4, 5}};
    const uint8_t token[RESET_TOKEN_BYTES] = {0x70, (uint8_t)(sequence >> 8), (uint8_t)sequence};
    struct writer writer = writer_init(payload, sizeof(payload));
    frame_write_new_connection_id(&writer, sequence, retire_prior_to, &cid, token);
    inject_writer(PACKET_ONE_RTT, &writer, payload);
}

static void as_many_cids_as_were_allowed_and_no_more(void **state)
{
    (void)state;
    config.server.active_connection_id_limit = LOCAL_CIDS_FIRST + 1;
    begin();
    assert_int_equal(pair.server.conn->remote_cids.count, LOCAL_CIDS_FIRST);
    inject_new_cid(LOCAL_CIDS_FIRST, 0);
    expect_no_error();
    inject_new_cid(LOCAL_CIDS_FIRST + 1, 0);
    expect_end(ROAM_CONNECTION_ID_LIMIT_ERROR, ROAM_LIMIT_CONNECTION_IDS);
}

static bool nothing_comes_back(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of, (void)datagram;
    return to_server;
}

static void retirements_that_nobody_acknowledges_are_as_many_as_the_rfc_asks_for(void **state)
{
    (void)state;
    config.server.active_connection_id_limit = REMOTE_CIDS_MAX;
    begin();
    pair.hook = nothing_comes_back;
    const struct remote_cid_set *set = &pair.server.conn->remote_cids;
    uint64_t sequence = LOCAL_CIDS_FIRST;
    for (; set->retirement_count < REMOTE_ENTRIES_MAX - 1; sequence++) {
        inject_new_cid(sequence, sequence);
        expect_no_error();
    }
    assert_in_range(set->retirement_count, 2 * REMOTE_CIDS_MAX, 4 * REMOTE_CIDS_MAX);
    inject_new_cid(sequence, sequence);
    expect_error("more retirements", true, ROAM_CONNECTION_ID_LIMIT_ERROR);
    expect_limits(ROAM_LIMIT_CONNECTION_IDS, 1);
}

static void cids_of_ours_are_never_more_than_eight_whatever_the_peer_allows(void **state)
{
    (void)state;
    config.client.active_connection_id_limit = REMOTE_CIDS_MAX;
    begin();
    roam_address elsewhere;
    assert_true(roam_address_parse(&elsewhere, "10.0.0.20:51000"));
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &elsewhere), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(2));
    assert_int_equal(pair.server.conn->local_cids.count, LOCAL_CIDS_MAX);
    /* And as many again when the peer gives them all back but the one that it uses. */
    const uint64_t newest = pair.server.conn->local_cids.next_sequence;
    for (uint64_t sequence = 2; sequence < newest; sequence++) {
        const struct bad_frame retire = {"19.16", 0, 0, VALUES(FRAME_RETIRE_CONNECTION_ID, sequence)};
        uint8_t payload[16];
        inject(TO_SERVER, PACKET_ONE_RTT, payload, encode(&retire, payload, sizeof(payload)));
        assert_int_equal(pair.server.conn->local_cids.count, LOCAL_CIDS_MAX);
    }
    expect_no_error();
    assert_int_equal(pair.server.conn->local_cids.next_sequence, newest + newest - 2);
}

/* ---- Acknowledgements and paths */

/* Every second number from there on: so many ranges. */
static void inject_pings_with_gaps(uint64_t first, size_t count)
{
    static const uint8_t ping[8] = {0x01};
    for (size_t i = 0; i < count; i++) {
        uint8_t packet[128];
        struct sealing sealing = {.from = pair.client.conn,
                                  .type = PACKET_ONE_RTT,
                                  .payload = ping,
                                  .payload_len = sizeof(ping),
                                  .has_number = true,
                                  .number = first + 2 * i};
        pair_deliver(&pair, TO_SERVER, NULL, packet, seal_by_hand(&sealing, packet));
    }
}

static void what_is_acknowledged_has_so_many_ranges_and_the_oldest_go(void **state)
{
    (void)state;
    begin();
    const struct range_set *received = &pair.server.conn->application.received.received;
    const uint64_t first = pair.client.conn->application.next_number + 10;
    const size_t free_ranges = ACK_RANGES_MAX - received->count;
    inject_pings_with_gaps(first, free_ranges);
    assert_int_equal(received->count, ACK_RANGES_MAX);
    expect_no_error();
    inject_pings_with_gaps(first + 2 * free_ranges, 1);
    assert_int_equal(received->count, ACK_RANGES_MAX);
    expect_limits(ROAM_LIMIT_ACK_RANGES, 1);
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_NONE);
}

/* Every second packet of what the server has sent of a stream. */
static void what_is_acknowledged_in_too_many_pieces_is_sent_again(void **state)
{
    (void)state;
    static uint8_t data[SEND_ACKED_RANGES_MAX * 2 * 1250];
    struct range ranges[SEND_ACKED_RANGES_MAX + 20];
    uint8_t payload[1100];
    config.server.initial_window_packets = 1000;
    config.client.initial_max_data = config.client.initial_max_stream_data = sizeof(data);
    begin();
    pair.hook = nothing_comes_back;
    struct pn_space *space = &pair.server.conn->application;
    roam_stream *stream = roam_stream_open(pair.server.conn, true, NULL);
    uint64_t number = space->next_number;
    assert_int_equal(roam_stream_write(stream, data, sizeof(data)), sizeof(data));
    pair_run(&pair, ROAM_MILLISECONDS(1));
    for (size_t count = 0; count < ARRAY_LENGTH(ranges); number += 2) {
        assert_true(number + 2 < space->next_number);
        number += sent_map_find(&space->sent, number) == NULL;
        ranges[count++] = (struct range){.start = number, .end = number + 1};
        if (count % 128 != 0 && count != ARRAY_LENGTH(ranges))
            continue;
        struct writer writer = writer_init(payload, sizeof(payload));
        frame_write_ack(&writer, ranges, count, count, 0, NULL);
        inject_writer(PACKET_ONE_RTT, &writer, payload);
        if (count <= SEND_ACKED_RANGES_MAX)
            expect_no_error();
    }
    assert_in_range(stats_of_server().limits[ROAM_LIMIT_ACKED_RANGES], 1, 20);
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_NONE);
    assert_int_equal(stream->send.acked.count, SEND_ACKED_RANGES_MAX);
}

static void inject_challenges(uint8_t first, unsigned count)
{
    uint8_t payload[128];
    struct writer writer = writer_init(payload, sizeof(payload));
    for (unsigned i = 0; i < count; i++)
        frame_write_path(&writer, FRAME_PATH_CHALLENGE, (const uint8_t[PATH_DATA_BYTES]){first + i});
    inject_writer(PACKET_ONE_RTT, &writer, payload);
}

static void of_challenges_in_one_packet_the_newest_are_answered(void **state)
{
    (void)state;
    begin();
    inject_challenges(1, PATH_RESPONSES_MAX);
    expect_no_error();
    pair_run(&pair, ROAM_MILLISECONDS(100));
    inject_challenges(10, PATH_RESPONSES_MAX + 1);
    expect_limits(ROAM_LIMIT_PATH_RESPONSES, 1);
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_NONE);
}

/* ---- The endpoint's */

static void datagrams_that_want_an_answer(size_t count, uint16_t port)
{
    roam_address remote;
    uint8_t data[DATAGRAM_BYTES_MIN] = {0xc3, 0x12, 0x34, 0x56, 0x78, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8};
    assert_true(roam_address_parse(&remote, "198.51.100.7:1"));
    remote.port = port;
    for (size_t i = 0; i < count; i++) {
        roam_datagram datagram = {.local = pair.server_address,
                                  .remote = remote,
                                  .data = data,
                                  .len = sizeof(data),
                                  .capacity = sizeof(data)};
        roam_endpoint_receive(pair.server.endpoint, pair.now, &datagram, 1);
    }
}

static void answers_to_strangers_wait_in_a_short_queue(void **state)
{
    (void)state;
    begin();
    datagrams_that_want_an_answer(REPLIES_MAX, 40000);
    assert_int_equal(stats_of_server().version_negotiations_sent, REPLIES_MAX);
    assert_int_equal(stats_of_server().drops[ROAM_DROP_REPLY_QUEUE_FULL], 0);
    datagrams_that_want_an_answer(1, 40000);
    assert_int_equal(stats_of_server().version_negotiations_sent, REPLIES_MAX);
    assert_int_equal(stats_of_server().drops[ROAM_DROP_REPLY_QUEUE_FULL], 1);
}

static void nobody_is_answered_at_the_port_of_another_service(void **state)
{
    (void)state;
    begin();
    static const uint16_t ports[] = {7, 19, 53, 123, 11211};
    uint8_t unknown[100] = {0x40, 9, 9, 9, 9, 9, 9, 9, 9};
    for (size_t i = 0; i < ARRAY_LENGTH(ports); i++) {
        roam_address remote;
        assert_true(roam_address_parse(&remote, "198.51.100.7:1"));
        remote.port = ports[i];
        datagrams_that_want_an_answer(1, ports[i]);
        pair_deliver(&pair, TO_SERVER, &remote, unknown, sizeof(unknown));
    }
    const roam_endpoint_stats stats = stats_of_server();
    assert_int_equal(stats.version_negotiations_sent + stats.stateless_resets_sent, 0);
    assert_int_equal(stats.drops[ROAM_DROP_BLOCKED_PORT], 2 * ARRAY_LENGTH(ports));
    pair_deliver(&pair, TO_SERVER, NULL, unknown, sizeof(unknown));
    assert_int_equal(stats_of_server().stateless_resets_sent, 1);
}

static roam_cid cid_of_number(uint32_t n)
{
    return (roam_cid){.len = 8, .bytes = {1, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static void retired_cids_are_remembered_up_to_a_number_and_the_oldest_forgotten(void **state)
{
    (void)state;
    begin();
    struct conn_table *table = &pair.server.endpoint->table;
    bool retired;
    for (uint32_t n = 0; n <= QUARANTINE_MAX; n++) {
        roam_cid cid = cid_of_number(n), oldest = cid_of_number(0);
        assert_true(conn_table_add(table, &cid, pair.server.conn));
        conn_table_find(table, &oldest, &retired);
        assert_int_equal(retired, n > 0);
        pair.server.endpoint->owner.cid_retired(pair.server.endpoint, pair.server.conn, &cid);
        expect_limits(ROAM_LIMIT_RETIRED_CIDS, n == QUARANTINE_MAX ? 1 : 0);
    }
    roam_cid oldest = cid_of_number(0), next = cid_of_number(1);
    assert_null(conn_table_find(table, &oldest, &retired));
    assert_false(retired);
    assert_null(conn_table_find(table, &next, &retired));
    assert_true(retired);
    assert_int_equal(table->quarantine_count, QUARANTINE_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(crypto_data_is_kept_64_kib_ahead_and_not_an_octet_more),
        TEST(crypto_data_may_have_a_thousand_gaps_and_no_more),
        TEST(a_packet_before_its_keys_is_kept_up_to_its_size),
        TEST(a_stream_may_have_a_thousand_gaps_and_no_more),
        TEST(as_many_streams_as_were_allowed_and_no_more),
        TEST(as_many_octets_as_were_allowed_and_no_more),
        TEST(as_many_cids_as_were_allowed_and_no_more),
        TEST(retirements_that_nobody_acknowledges_are_as_many_as_the_rfc_asks_for),
        TEST(cids_of_ours_are_never_more_than_eight_whatever_the_peer_allows),
        TEST(what_is_acknowledged_has_so_many_ranges_and_the_oldest_go),
        TEST(what_is_acknowledged_in_too_many_pieces_is_sent_again),
        TEST(of_challenges_in_one_packet_the_newest_are_answered),
        TEST(answers_to_strangers_wait_in_a_short_queue),
        TEST(nobody_is_answered_at_the_port_of_another_service),
        TEST(retired_cids_are_remembered_up_to_a_number_and_the_oldest_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
