/*
 * Datagrams that are malformed, unauthenticated, late, forged or not meant for us: each increments the one counter that names it, and
 * closes nothing. What an authentic packet may not contain is in test_bad_frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/key_schedule.h"
#include "endpoint/endpoint.h"
#include "pair.h"
#include "sealed.h"

#define TO_SERVER true
#define TO_CLIENT false
#define KEPT_MAX 16

static struct pair pair;
static struct pair_config config;

/* Copies of what went over the wire, as the receiver would see it. */
static struct kept {
    bool to_server;
    size_t len;
    uint8_t data[2048];
} kept[KEPT_MAX];
static size_t kept_count;

static bool keep_copies(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of;
    if (kept_count < KEPT_MAX) {
        kept[kept_count] = (struct kept){.to_server = to_server, .len = datagram->len};
        memcpy(kept[kept_count++].data, datagram->data, datagram->len);
    }
    return true;
}

static bool keep_and_lose(struct pair *of, bool to_server, roam_datagram *datagram)
{
    keep_copies(of, to_server, datagram);
    return false;
}

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    kept_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static void begin(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
}

/* ---- What a datagram did */

static roam_endpoint_stats stats_of(bool of_server)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(of_server ? pair.server.endpoint : pair.client.endpoint, &stats);
    return stats;
}

static void expect_drops(const roam_endpoint_stats *before, bool to_server, roam_drop reason, uint64_t times)
{
    roam_endpoint_stats after = stats_of(to_server);
    for (int i = 0; i < ROAM_DROPS; i++) {
        uint64_t expected = i == (int)reason ? times : 0, got = after.drops[i] - before->drops[i];
        if (got != expected)
            fail_msg("%s: %lu instead of %lu (%s was expected)", roam_drop_name((roam_drop)i), (unsigned long)got,
                     (unsigned long)expected, roam_drop_name(reason));
    }
    assert_int_equal(after.connections_closed, before->connections_closed);
    assert_int_equal(after.connections_accepted, before->connections_accepted);
}

static void expect_drop_from(bool to_server, const roam_address *remote, const uint8_t *data, size_t len, roam_drop reason)
{
    roam_endpoint_stats before = stats_of(to_server);
    pair_deliver(&pair, to_server, remote, data, len);
    expect_drops(&before, to_server, reason, 1);
}

static void expect_drop(bool to_server, const uint8_t *data, size_t len, roam_drop reason)
{
    expect_drop_from(to_server, NULL, data, len, reason);
}

/* The connection went through all that and still works. */
static void expect_to_live(void)
{
    char buf[8] = "";
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_non_null(pair.client.stream);
    assert_int_equal(roam_stream_write(pair.client.stream, "alive", 5), 5);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(roam_stream_read(pair.server.stream, buf, sizeof(buf), NULL), 5);
    assert_string_equal(buf, "alive");
}

static size_t seal_ping(roam_conn *from, enum packet_type type, uint8_t *ret)
{
    static const uint8_t ping[32] = {0x01};
    struct sealing sealing = {.from = from, .type = type, .payload = ping, .payload_len = sizeof(ping)};
    return seal_by_hand(&sealing, ret);
}

/* A long header of any version and CIDs, in a datagram of `len` octets; returns where the header ends. */
static size_t long_header(uint8_t *ret, size_t len, uint8_t first_octet, uint32_t version, size_t dcid_len, size_t scid_len)
{
    struct writer writer = writer_init(ret, len);
    memset(ret, 0, len);
    write_u8(&writer, first_octet);
    write_u32(&writer, version);
    write_u8(&writer, (uint8_t)dcid_len);
    for (size_t i = 0; i < dcid_len; i++)
        write_u8(&writer, (uint8_t)(0xd0 + i));
    write_u8(&writer, (uint8_t)scid_len);
    for (size_t i = 0; i < scid_len; i++)
        write_u8(&writer, (uint8_t)(0x50 + i));
    assert_false(writer.failed);
    return writer_len(&writer);
}

/* An Initial with rubbish behind its header. */
static size_t rubbish_initial(uint8_t *ret, size_t len, size_t dcid_len)
{
    size_t at = long_header(ret, len, 0xc3, QUIC_VERSION_1, dcid_len, 8);
    ret[at] = 0;
    packet_length_write(ret + at + 1, len - at - 3);
    return len;
}

/* ---- Malformed */

static void malformed_datagrams_have_names(void **state)
{
    (void)state;
    uint8_t data[1400];
    begin();
    for (int to_server = 0; to_server < 2; to_server++) {
        expect_drop(to_server, data, 0, ROAM_DROP_EMPTY_DATAGRAM);
        memset(data, 0x55, sizeof(data));
        expect_drop(to_server, data, 1, ROAM_DROP_TOO_SHORT);
        expect_drop(to_server, data, 1 + 8 + 19, ROAM_DROP_TOO_SHORT);
        data[0] = 0x15;
        expect_drop(to_server, data, 100, ROAM_DROP_FIXED_BIT_ZERO);
        long_header(data, 1200, 0x83, QUIC_VERSION_1, 8, 8);
        expect_drop(to_server, data, 1200, ROAM_DROP_FIXED_BIT_ZERO);
        long_header(data, 1200, 0xc3, QUIC_VERSION_1, 21, 8);
        expect_drop(to_server, data, 1200, ROAM_DROP_CID_TOO_LONG);
        long_header(data, 1200, 0xc3, QUIC_VERSION_1, 8, 21);
        expect_drop(to_server, data, 1200, ROAM_DROP_CID_TOO_LONG);
        size_t header_len = long_header(data, 1200, 0xc3, QUIC_VERSION_1, 8, 8);
        for (size_t len = 1; len < header_len; len++)
            expect_drop(to_server, data, len, ROAM_DROP_TOO_SHORT);
        packet_length_write(data + header_len + 1, 1200);
        expect_drop(to_server, data, 1200, ROAM_DROP_HEADER_INVALID); /* more than there is */
        packet_length_write(data + header_len + 1, 19);
        expect_drop(to_server, data, 1200, ROAM_DROP_TOO_SHORT); /* no room for a sample */
        long_header(data, 25, 0x80, 0, 8, 8);
        expect_drop(to_server, data, 23, ROAM_DROP_HEADER_INVALID); /* Version Negotiation without a version */
        expect_drop(to_server, data, 25, ROAM_DROP_HEADER_INVALID); /* with half of one */
        long_header(data, 39, 0xf0, QUIC_VERSION_1, 8, 8);
        expect_drop(to_server, data, 39, ROAM_DROP_HEADER_INVALID); /* Retry without a token */
        expect_drop(to_server, data, 30, ROAM_DROP_TOO_SHORT);      /* Retry without a tag */
    }
    expect_to_live();
}

static void every_prefix_of_a_genuine_datagram_is_a_named_drop(void **state)
{
    (void)state;
    begin();
    pair.hook = keep_and_lose;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, 0);
    assert_int_equal(kept_count, 1);
    for (size_t len = 1; len < kept[0].len; len++)
        expect_drop(TO_SERVER, kept[0].data, len, len < 1 + 8 + 20 ? ROAM_DROP_TOO_SHORT : ROAM_DROP_AUTHENTICATION_FAILED);
    pair.hook = NULL;
    expect_to_live();
}

static void every_corrupted_octet_is_a_named_drop(void **state)
{
    (void)state;
    begin();
    pair.hook = keep_and_lose;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, 0);
    for (size_t i = 0; i < kept[0].len; i++) {
        uint8_t copy[2048];
        memcpy(copy, kept[0].data, kept[0].len);
        copy[i] ^= i == 0 ? 0x01 : 0x80; /* not the form or the fixed bit, which have names of their own */
        expect_drop(TO_SERVER, copy, kept[0].len, i >= 1 && i <= 8 ? ROAM_DROP_UNKNOWN_CONNECTION : ROAM_DROP_AUTHENTICATION_FAILED);
    }
    pair.hook = NULL;
    expect_to_live();
}

/* ---- Admission */

static void initials_that_cannot_start_a_connection_are_dropped(void **state)
{
    (void)state;
    uint8_t data[1200];
    roam_address blocked;
    begin();
    rubbish_initial(data, 1199, 8);
    expect_drop(TO_SERVER, data, 1199, ROAM_DROP_INITIAL_TOO_SMALL);
    rubbish_initial(data, 1200, 7);
    expect_drop(TO_SERVER, data, 1200, ROAM_DROP_INITIAL_DCID_TOO_SHORT);
    rubbish_initial(data, 1200, 8);
    expect_drop(TO_CLIENT, data, 1200, ROAM_DROP_NOT_ACCEPTING);
    assert_true(roam_address_parse(&blocked, "192.168.1.10:53"));
    expect_drop_from(TO_SERVER, &blocked, data, 1200, ROAM_DROP_BLOCKED_PORT);
    expect_to_live();
}

/* RFC 9000 section 17.2.2: what cannot be opened starts nothing. */
static void an_initial_that_cannot_be_opened_makes_no_connection(void **state)
{
    (void)state;
    uint8_t data[1200];
    begin();
    pair_forget_events(&pair);
    rubbish_initial(data, 1200, 8);
    roam_endpoint_stats before = stats_of(true);
    pair_deliver(&pair, TO_SERVER, NULL, data, 1200);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    expect_drops(&before, true, ROAM_DROP_AUTHENTICATION_FAILED, 1);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_ACCEPTED), 0);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 1);
}

/* RFC 9000 section 14.1: also those of a connection that is there. */
static void a_small_initial_of_a_known_connection_is_dropped(void **state)
{
    (void)state;
    uint8_t data[256];
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    size_t len = seal_ping(pair.client.conn, PACKET_INITIAL, data);
    expect_drop(TO_SERVER, data, len, ROAM_DROP_INITIAL_TOO_SMALL);
    pair_handshake(&pair);
}

static void other_versions_are_told_apart(void **state)
{
    (void)state;
    uint8_t data[1200];
    begin();
    long_header(data, 1200, 0xc3, 0x12345678, 8, 8);
    expect_drop(TO_SERVER, data, 1199, ROAM_DROP_UNSUPPORTED_VERSION);
    expect_drop(TO_CLIENT, data, 1200, ROAM_DROP_UNSUPPORTED_VERSION);
    assert_int_equal(stats_of(true).version_negotiations_sent + stats_of(false).version_negotiations_sent, 0);
    /* To a connection that speaks version 1 already. */
    memcpy(data + 6, pair.server.conn->row_cid.bytes, 8);
    expect_drop(TO_SERVER, data, 1200, ROAM_DROP_WRONG_VERSION);
    memcpy(data + 6, pair.client.conn->row_cid.bytes, 8);
    expect_drop(TO_CLIENT, data, 1200, ROAM_DROP_WRONG_VERSION);
    expect_to_live();
}

/* ---- Unknown, retired, late */

static void packets_for_nobody_are_dropped(void **state)
{
    (void)state;
    uint8_t data[1200];
    begin();
    memset(data, 0x55, sizeof(data));
    expect_drop(TO_SERVER, data, 100, ROAM_DROP_UNKNOWN_CONNECTION);
    assert_int_equal(stats_of(true).stateless_resets_sent, 1);
    static const uint8_t first_octets[] = {0xd0, 0xe0}; /* 0-RTT, Handshake */
    for (size_t i = 0; i < 2; i++) {
        size_t at = long_header(data, 100, first_octets[i], QUIC_VERSION_1, 8, 8);
        packet_length_write(data + at, 100 - at - 2);
        expect_drop(TO_SERVER, data, 100, ROAM_DROP_UNKNOWN_CONNECTION);
    }
    long_header(data, 60, 0xf0, QUIC_VERSION_1, 8, 8);
    expect_drop(TO_SERVER, data, 60, ROAM_DROP_UNKNOWN_CONNECTION);
    long_header(data, 1200, 0x80, 0, 8, 8);
    expect_drop(TO_SERVER, data, 23 + 8, ROAM_DROP_UNKNOWN_CONNECTION);
    assert_int_equal(stats_of(true).stateless_resets_sent, 1);
    expect_to_live();
}

static void a_retired_connection_id_reaches_nobody(void **state)
{
    (void)state;
    uint8_t data[256];
    roam_address elsewhere;
    begin();
    size_t len = seal_ping(pair.client.conn, PACKET_ONE_RTT, data); /* with the CID of before the move */
    assert_true(roam_address_parse(&elsewhere, "10.0.0.20:51000"));
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &elsewhere), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(15));
    assert_true(pair_count_events(&pair.server, ROAM_EVENT_CID_RETIRED) > 0);
    expect_drop(TO_SERVER, data, len, ROAM_DROP_RETIRED_CID);
    assert_int_equal(stats_of(true).stateless_resets_sent, 0);
    expect_to_live();
}

static void packets_come_once(void **state)
{
    (void)state;
    begin();
    pair.hook = keep_copies;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_true(kept_count >= 2);
    for (size_t i = 0; i < kept_count; i++)
        expect_drop(kept[i].to_server, kept[i].data, kept[i].len, ROAM_DROP_DUPLICATE);
    expect_to_live();
}

static void packets_of_the_handshake_are_late_after_it(void **state)
{
    (void)state;
    uint8_t data[1300] = {0};
    uint8_t first_initial[1300];
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    size_t len = seal_ping(pair.client.conn, PACKET_INITIAL, first_initial);
    memset(first_initial + len, 0, sizeof(first_initial) - len);
    pair_run(&pair, ROAM_MILLISECONDS(20)); /* the client has Handshake keys now, and the server's CID */
    len = seal_ping(pair.client.conn, PACKET_HANDSHAKE, data);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    expect_drop(TO_SERVER, data, len, ROAM_DROP_KEYS_DISCARDED);
    /* 0-RTT was never offered. */
    data[0] = 0xd0;
    expect_drop(TO_SERVER, data, len, ROAM_DROP_ZERO_RTT_REJECTED);
    expect_to_live();
}

/* The network may repeat the very first datagram, and late. */
static void a_late_repeat_of_the_first_initial_makes_no_second_connection(void **state)
{
    (void)state;
    pair_start(&pair, &config);
    pair.hook = keep_copies;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_true(kept[0].to_server);
    roam_endpoint_stats before = stats_of(true);
    pair_deliver(&pair, TO_SERVER, NULL, kept[0].data, kept[0].len);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    roam_endpoint_stats after = stats_of(true);
    assert_int_equal(after.connections_accepted, before.connections_accepted);
}

static void packets_before_their_keys_wait_but_not_without_end(void **state)
{
    (void)state;
    uint8_t data[100];
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25)); /* the server waits for the client's Handshake packets, the client for anything */
    size_t at = long_header(data, sizeof(data), 0xe0, QUIC_VERSION_1, 8, 8);
    memcpy(data + 6, pair.client.conn->row_cid.bytes, 8);
    packet_length_write(data + at, sizeof(data) - at - 2);
    roam_endpoint_stats before = stats_of(false);
    for (int i = 0; i < EARLY_PACKETS_MAX; i++)
        pair_deliver(&pair, TO_CLIENT, NULL, data, sizeof(data));
    expect_drops(&before, false, ROAM_DROP_BUFFER_FULL, 0);
    expect_drop(TO_CLIENT, data, sizeof(data), ROAM_DROP_BUFFER_FULL);
    pair_handshake(&pair);
    expect_to_live();
}

/* ---- Forged */

static size_t forge_version_negotiation(uint8_t *ret, size_t capacity, const roam_cid *dcid, const roam_cid *scid, uint32_t version)
{
    struct writer writer = writer_init(ret, capacity);
    packet_write_version_negotiation(&writer, 0, dcid->bytes, dcid->len, scid->bytes, scid->len, &version, 1);
    return writer_len(&writer);
}

static size_t forge_retry(uint8_t *ret, size_t capacity, const roam_cid *dcid, const roam_cid *original_dcid, bool genuine)
{
    static const roam_cid scid = {.len = 8, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
    struct writer writer = writer_init(ret, capacity - RETRY_TAG_BYTES);
    packet_write_retry(&writer, 0, QUIC_VERSION_1, dcid, &scid, (const uint8_t *)"token", 5);
    retry_integrity_tag(original_dcid, ret, writer_len(&writer), ret + writer_len(&writer));
    ret[writer_len(&writer)] ^= !genuine;
    return writer_len(&writer) + RETRY_TAG_BYTES;
}

static void forged_version_negotiation_is_ignored(void **state)
{
    (void)state;
    uint8_t data[64];
    static const roam_cid nobody = {.len = 8, .bytes = {9, 9, 9}};
    pair_start(&pair, &config);
    pair_run(&pair, 0);
    const roam_cid client = pair.client.conn->row_cid, server = pair.client.conn->initial_dcid;
    /* With the version that the client speaks; with a source CID that nobody had; each before any packet of the server's. */
    size_t len = forge_version_negotiation(data, sizeof(data), &client, &server, QUIC_VERSION_1);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED);
    len = forge_version_negotiation(data, sizeof(data), &client, &nobody, 2);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED);
    pair_handshake(&pair);
    len = forge_version_negotiation(data, sizeof(data), &client, &server, 2);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED);
    expect_to_live();
}

static void forged_retries_are_ignored(void **state)
{
    (void)state;
    uint8_t data[128];
    pair_start(&pair, &config);
    pair_run(&pair, 0);
    const roam_cid client = pair.client.conn->row_cid, original = pair.client.conn->initial_dcid;
    size_t len = forge_retry(data, sizeof(data), &client, &original, false);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_RETRY_INTEGRITY);
    pair_handshake(&pair);
    len = forge_retry(data, sizeof(data), &client, &original, true);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_RETRY_UNEXPECTED);
    len = forge_retry(data, sizeof(data), &pair.server.conn->row_cid, &original, true);
    expect_drop(TO_SERVER, data, len, ROAM_DROP_RETRY_UNEXPECTED);
    expect_to_live();
}

static void a_token_in_a_servers_initial_is_dropped(void **state)
{
    (void)state;
    static const uint8_t ping[32] = {0x01};
    uint8_t data[1300] = {0};
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    struct sealing sealing = {.from = pair.server.conn, .type = PACKET_INITIAL, .payload = ping, .payload_len = sizeof(ping),
                              .token = ping, .token_len = 5};
    size_t len = seal_by_hand(&sealing, data);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_TOKEN_UNEXPECTED);
    pair_handshake(&pair);
}

static void connection_ids_stay_what_they_were(void **state)
{
    (void)state;
    static const uint8_t ping[1200] = {0x01};
    static const roam_cid nobody = {.len = 8, .bytes = {9, 9, 9}};
    uint8_t data[1600];
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    struct sealing sealing = {.from = pair.client.conn, .type = PACKET_INITIAL, .payload = ping, .payload_len = sizeof(ping),
                              .scid = &nobody};
    expect_drop(TO_SERVER, data, seal_by_hand(&sealing, data), ROAM_DROP_CID_MISMATCH);
    /* RFC 9000 section 12.2: nor within a datagram. */
    sealing.scid = NULL;
    size_t len = seal_by_hand(&sealing, data);
    sealing.dcid = &nobody;
    sealing.payload_len = 32;
    expect_drop(TO_SERVER, data, len + seal_by_hand(&sealing, data + len), ROAM_DROP_CID_MISMATCH);
    pair_handshake(&pair);
    expect_to_live();
}

/* ---- Addresses */

static void packets_from_the_wrong_place_are_dropped(void **state)
{
    (void)state;
    uint8_t data[1300] = {0};
    roam_address elsewhere, blocked;
    assert_true(roam_address_parse(&elsewhere, "10.9.8.7:6543") && roam_address_parse(&blocked, "192.168.1.10:53"));
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(45));
    size_t len = seal_ping(pair.client.conn, PACKET_HANDSHAKE, data);
    expect_drop_from(TO_SERVER, &elsewhere, data, len, ROAM_DROP_ADDRESS_CHANGE_IN_HANDSHAKE);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    len = seal_ping(pair.server.conn, PACKET_ONE_RTT, data);
    expect_drop_from(TO_CLIENT, &elsewhere, data, len, ROAM_DROP_UNKNOWN_SERVER_ADDRESS);
    len = seal_ping(pair.client.conn, PACKET_ONE_RTT, data);
    expect_drop_from(TO_SERVER, &blocked, data, len, ROAM_DROP_BLOCKED_PORT);
    expect_to_live();
}

/* ---- The end */

static void what_comes_after_the_end_is_counted(void **state)
{
    (void)state;
    uint8_t to_server[256], to_client[256];
    begin();
    size_t to_server_len = seal_ping(pair.client.conn, PACKET_ONE_RTT, to_server);
    size_t to_client_len = seal_ping(pair.server.conn, PACKET_ONE_RTT, to_client);
    roam_conn_close(pair.client.conn, pair.now, 0, NULL);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    expect_drop(TO_CLIENT, to_client, to_client_len, ROAM_DROP_CLOSING);
    expect_drop(TO_SERVER, to_server, to_server_len, ROAM_DROP_DRAINING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(malformed_datagrams_have_names),
        TEST(every_prefix_of_a_genuine_datagram_is_a_named_drop),
        TEST(every_corrupted_octet_is_a_named_drop),
        TEST(initials_that_cannot_start_a_connection_are_dropped),
        TEST(an_initial_that_cannot_be_opened_makes_no_connection),
        TEST(a_small_initial_of_a_known_connection_is_dropped),
        TEST(other_versions_are_told_apart),
        TEST(packets_for_nobody_are_dropped),
        TEST(a_retired_connection_id_reaches_nobody),
        TEST(packets_come_once),
        TEST(packets_of_the_handshake_are_late_after_it),
        TEST(a_late_repeat_of_the_first_initial_makes_no_second_connection),
        TEST(packets_before_their_keys_wait_but_not_without_end),
        TEST(forged_version_negotiation_is_ignored),
        TEST(forged_retries_are_ignored),
        TEST(a_token_in_a_servers_initial_is_dropped),
        TEST(connection_ids_stay_what_they_were),
        TEST(packets_from_the_wrong_place_are_dropped),
        TEST(what_comes_after_the_end_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
