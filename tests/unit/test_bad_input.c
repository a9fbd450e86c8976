/*
 * Datagrams that are malformed, unauthenticated, late, forged or not meant for us: each increments the one counter
 * that names it, and closes nothing. What an authentic packet may not contain is in test_bad_frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bad_datagram.h"

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
        expect_drop(TO_SERVER, kept[0].data, len,
                    len < 1 + 8 + 20 ? ROAM_DROP_TOO_SHORT : ROAM_DROP_AUTHENTICATION_FAILED);
    pair.hook = NULL;
    expect_to_live();
}

static void every_corrupted_octet_is_a_named_drop(void **state)
{
    //= rfc9000#21.1.3.1-2 On-path attacker cannot get an altered authenticated packet accepted.
    //= rfc9000#21.1.3.2-1 Off-path attacker cannot close a connection after the handshake.
    (void)state;
    begin();
    pair.hook = keep_and_lose;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, 0);
    for (size_t i = 0; i < kept[0].len; i++) {
        uint8_t copy[2048];
        memcpy(copy, kept[0].data, kept[0].len);
        copy[i] ^= i == 0 ? 0x01 : 0x80; /* not the form or the fixed bit, which have names of their own */
        expect_drop(TO_SERVER, copy, kept[0].len,
                    i >= 1 && i <= 8 ? ROAM_DROP_UNKNOWN_CONNECTION : ROAM_DROP_AUTHENTICATION_FAILED);
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
    //= rfc9000#5.2.2-7 Server ignores Handshake packets for which it has no connection.
    //= rfc9000#5.2.2-8 Server drops every other unattributable packet.
    //= rfc9000#10.3-7 Discard packets too small to be valid QUIC (short header under 21 bytes).
    //= rfc9000#21.2-1 Except for Initials and resets, only packets whose destination CID we chose are accepted.
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

static void the_mark_on_a_repeated_packet_does_not_count(void **state)
{
    //= rfc9000#21.10-1 Ignore the ECN mark of an IP packet unless at least one QUIC packet in it was processed.
    (void)state;
    begin();
    pair.hook = keep_copies;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    pair.hook = NULL;
    for (size_t i = 0; i < kept_count; i++) {
        if (!kept[i].to_server)
            continue;
        roam_datagram copy = {.local = pair.server_address,
                              .remote = pair.client_address,
                              .data = kept[i].data,
                              .len = kept[i].len,
                              .capacity = kept[i].len,
                              .ecn = 3};
        roam_endpoint_receive(pair.server.endpoint, pair.now, &copy, 1);
    }
    roam_conn_stats stats;
    roam_conn_get_stats(pair.server.conn, &stats);
    assert_true(stats_of(true).drops[ROAM_DROP_DUPLICATE] > 0);
    assert_int_equal(stats.ce_received, 0);
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
    pair_run(&pair,
             ROAM_MILLISECONDS(25)); /* the server waits for the client's Handshake packets, the client for anything */
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
        TEST(the_mark_on_a_repeated_packet_does_not_count),
        TEST(packets_of_the_handshake_are_late_after_it),
        TEST(a_late_repeat_of_the_first_initial_makes_no_second_connection),
        TEST(packets_before_their_keys_wait_but_not_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
