/*
 * Datagrams that somebody on the way made up, and packets that are genuine but come with the wrong name, from the
 * wrong place or after the end: each increments the one counter that names it, and closes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bad_datagram.h"
#include "crypto/key_schedule.h"

/* ---- Forged */

static size_t forge_version_negotiation(uint8_t *ret, size_t capacity, const roam_cid *dcid, const roam_cid *scid,
                                        uint32_t version)
{
    struct writer writer = writer_init(ret, capacity);
    packet_write_version_negotiation(&writer, 0, dcid->bytes, dcid->len, scid->bytes, scid->len, &version, 1);
    return writer_len(&writer);
}

static size_t forge_long_retry(uint8_t *ret, size_t capacity, const roam_cid *dcid, const roam_cid *original_dcid,
                               uint32_t version, bool genuine, size_t token_len)
{
    static const roam_cid scid = {.len = 8, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
    static const uint8_t token[1024] = "token";
    struct writer writer = writer_init(ret, capacity - RETRY_TAG_BYTES);
    packet_write_retry(&writer, 0, version, dcid, &scid, token, token_len);
    retry_integrity_tag(quic_version_find(version), original_dcid, ret, writer_len(&writer), ret + writer_len(&writer));
    ret[writer_len(&writer)] ^= !genuine;
    return writer_len(&writer) + RETRY_TAG_BYTES;
}

static size_t forge_retry(uint8_t *ret, size_t capacity, const roam_cid *dcid, const roam_cid *original_dcid,
                          uint32_t version, bool genuine)
{
    return forge_long_retry(ret, capacity, dcid, original_dcid, version, genuine, 5);
}

static void forged_version_negotiation_is_ignored(void **state)
{
    (void)state;
    uint8_t data[64];
    static const roam_cid nobody = {.len = 8, .bytes = {9, 9, 9}};
    pair_start(&pair, &config);
    pair_run(&pair, 0);
    const roam_cid client = pair.client.conn->row_cid, server = pair.client.conn->handshake->original_dcid;
    /* With the version that the client speaks; with a source CID that nobody had; each before any packet of the
     * server's. */
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
    const roam_cid client = pair.client.conn->row_cid, original = pair.client.conn->handshake->original_dcid;
    size_t len = forge_retry(data, sizeof(data), &client, &original, QUIC_VERSION_1, false);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_RETRY_INTEGRITY);
    //= rfc9369#4.1-1 The client ignores Retry packets of another version than its own.
    len = forge_retry(data, sizeof(data), &client, &original, QUIC_VERSION_2, true);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_WRONG_VERSION);
    pair_handshake(&pair);
    len = forge_retry(data, sizeof(data), &client, &original, QUIC_VERSION_1, true);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_RETRY_UNEXPECTED);
    len = forge_retry(data, sizeof(data), &pair.server.conn->row_cid, &original, QUIC_VERSION_1, true);
    expect_drop(TO_SERVER, data, len, ROAM_DROP_RETRY_UNEXPECTED);
    expect_to_live();
}

/* Whoever sees the client's Initial can send one that counts; but it cannot make the client write what leaves no room. */
static void a_retry_token_is_taken_up_to_its_size(void **state)
{
    (void)state;
    uint8_t data[1200];
    pair_start(&pair, &config);
    pair_run(&pair, 0);
    const roam_cid client = pair.client.conn->row_cid, original = pair.client.conn->handshake->original_dcid;
    size_t len =
        forge_long_retry(data, sizeof(data), &client, &original, QUIC_VERSION_1, true, RETRY_TOKEN_BYTES_MAX + 1);
    expect_drop(TO_CLIENT, data, len, ROAM_DROP_RETRY_INTEGRITY);
    assert_false(pair.client.conn->handshake->has_retry);
    len = forge_long_retry(data, sizeof(data), &client, &original, QUIC_VERSION_1, true, RETRY_TOKEN_BYTES_MAX);
    pair_deliver(&pair, TO_CLIENT, NULL, data, len);
    assert_true(pair.client.conn->handshake->has_retry);
}

/* The end of each datagram is damaged, so that the server's Initial is read and what stands behind it is not. */
static bool damage_what_the_server_says(struct pair *of, bool to_server, roam_datagram *datagram)
{
    if (!to_server && of->now < ROAM_SECONDS(1000) + ROAM_MILLISECONDS(60)) /* since pair_start */
        datagram->data[datagram->len - 1] ^= 1;
    return true;
}

/* Who does not see the client's Initial cannot know its CIDs; who does, and is late, comes too late at every moment. */
static void forged_answers_are_ignored_at_every_step_of_the_handshake(void **state)
{
    (void)state;
    uint8_t data[128];
    unsigned between = 0;
    pair_start(&pair, &config);
    pair.hook = damage_what_the_server_says;
    pair_run(&pair, 0);
    const roam_cid client = pair.client.conn->row_cid, original = pair.client.conn->handshake->original_dcid;
    for (unsigned step = 0; step < 150; step++) {
        const struct handshake *handshake = pair.client.conn->handshake;
        const bool heard = handshake == NULL || handshake->any_packet;
        const roam_cid server =
            remote_cid_of_path(&pair.client.conn->remote_cids, pair.client.conn->paths.active_id)->cid;
        const roam_endpoint_stats before = stats_of(false);
        /* Before the server was heard of, they give themselves away: by our own version, and by a wrong tag. */
        pair_deliver(&pair, TO_CLIENT, NULL, data,
                     forge_version_negotiation(data, sizeof(data), &client, &server, heard ? 2 : QUIC_VERSION_1));
        pair_deliver(&pair, TO_CLIENT, NULL, data,
                     forge_retry(data, sizeof(data), &client, &original, QUIC_VERSION_1, heard));
        const roam_endpoint_stats after = stats_of(false);
        const roam_drop retry = heard ? ROAM_DROP_RETRY_UNEXPECTED : ROAM_DROP_RETRY_INTEGRITY;
        assert_int_equal(after.drops[ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED],
                         before.drops[ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED] + 1);
        assert_int_equal(after.drops[retry], before.drops[retry] + 1);
        between += heard && !pair.client.conn->handshake_complete;
        pair_run(&pair, ROAM_MILLISECONDS(1));
    }
    assert_in_range(between, 1, 149);
    pair_handshake(&pair);
    expect_to_live();
}

/* The token stands at the end of what cannot be read, behind a CID of ours or behind none. */
static void guessed_reset_tokens_end_nothing(void **state)
{
    (void)state;
    uint8_t data[64];
    uint64_t random = 1;
    begin();
    const roam_cid client = pair.client.conn->row_cid;
    for (uint32_t guess = 0; guess < 1 << 16; guess++) {
        for (size_t i = 0; i < sizeof(data); i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            data[i] = (uint8_t)(random >> 56);
        }
        data[0] = (uint8_t)(0x40 | (data[0] & 0x3f));
        if (guess % 2 == 0)
            memcpy(data + 1, client.bytes, client.len);
        pair_deliver(&pair, TO_CLIENT, NULL, data, sizeof(data));
    }
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_RESET_RECEIVED), 0);
    assert_int_equal(stats_of(false).drops[ROAM_DROP_AUTHENTICATION_FAILED], 1 << 15);
    expect_to_live();
}

/* That its number was seen is told only of what proved authentic (RFC 9001 section 9.5). */
static void a_forged_packet_with_a_number_that_was_seen_is_told_by_its_tag_alone(void **state)
{
    (void)state;
    begin();
    pair.hook = keep_copies;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    pair.hook = NULL;
    assert_true(kept_count >= 2);
    for (size_t i = 0; i < kept_count; i++) {
        uint8_t *last = &kept[i].data[kept[i].len - 1];
        *last ^= 1;
        expect_drop(kept[i].to_server, kept[i].data, kept[i].len, ROAM_DROP_AUTHENTICATION_FAILED);
        *last ^= 1;
        expect_drop(kept[i].to_server, kept[i].data, kept[i].len, ROAM_DROP_DUPLICATE);
    }
    expect_to_live();
}

static void a_token_in_a_servers_initial_is_dropped(void **state)
{
    (void)state;
    static const uint8_t ping[32] = {0x01};
    uint8_t data[1300] = {0};
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    struct sealing sealing = {.from = pair.server.conn,
                              .type = PACKET_INITIAL,
                              .payload = ping,
                              .payload_len = sizeof(ping),
                              .token = ping,
                              .token_len = 5};
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
    struct sealing sealing = {.from = pair.client.conn,
                              .type = PACKET_INITIAL,
                              .payload = ping,
                              .payload_len = sizeof(ping),
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
    //= rfc9000#9-7 Client drops packets from unknown server addresses.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(forged_version_negotiation_is_ignored),
        TEST(forged_retries_are_ignored),
        TEST(a_retry_token_is_taken_up_to_its_size),
        TEST(forged_answers_are_ignored_at_every_step_of_the_handshake),
        TEST(guessed_reset_tokens_end_nothing),
        TEST(a_forged_packet_with_a_number_that_was_seen_is_told_by_its_tag_alone),
        TEST(a_token_in_a_servers_initial_is_dropped),
        TEST(connection_ids_stay_what_they_were),
        TEST(packets_from_the_wrong_place_are_dropped),
        TEST(what_comes_after_the_end_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
