/*
 * What an endpoint says without a connection, or instead of one: Version Negotiation, Retry, tokens, refusals,
 * Stateless Resets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/key_schedule.h"
#include "endpoint/endpoint.h"
#include "kept.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;

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

static roam_endpoint_stats stats_of(bool of_server)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(of_server ? pair.server.endpoint : pair.client.endpoint, &stats);
    return stats;
}

static void expect_to_work(void)
{
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "works", ROAM_SECONDS(1)));
}

static void expect_peer_error(uint64_t code)
{
    const roam_error *error = roam_conn_error(pair.client.conn);
    assert_int_equal(error->cause, ROAM_CLOSE_PEER_TRANSPORT);
    assert_int_equal(error->code, code);
}

/* ---- Version Negotiation, RFC 9000 section 6 and RFC 8999 section 6 */

static size_t unknown_version(uint8_t *ret, size_t len, uint32_t version, size_t dcid_len, size_t scid_len)
{
    struct writer writer = writer_init(ret, len);
    memset(ret, 0, len);
    write_u8(&writer, 0xc0);
    write_u32(&writer, version);
    write_u8(&writer, (uint8_t)dcid_len);
    for (size_t i = 0; i < dcid_len; i++)
        write_u8(&writer, (uint8_t)(i + 1));
    write_u8(&writer, (uint8_t)scid_len);
    for (size_t i = 0; i < scid_len; i++)
        write_u8(&writer, (uint8_t)(255 - i));
    assert_false(writer.failed);
    return len;
}

static void expect_version_negotiation(size_t dcid_len, size_t scid_len)
{
    uint8_t data[1200];
    kept_count = 0;
    unknown_version(data, sizeof(data), 0x12345678, dcid_len, scid_len);
    pair_deliver(&pair, true, NULL, data, sizeof(data));
    pair_run(&pair, 0);
    assert_int_equal(kept_count, 1);
    assert_false(kept[0].to_server);
    struct reader reader = reader_init(kept[0].data, kept[0].len);
    assert_true((read_u8(&reader) & 0xc0) == 0xc0);
    assert_int_equal(read_u32(&reader), 0);
    assert_int_equal(read_u8(&reader), scid_len); /* what was the source is the destination */
    assert_memory_equal(read_bytes(&reader, scid_len), data + 7 + dcid_len, scid_len);
    assert_int_equal(read_u8(&reader), dcid_len);
    assert_memory_equal(read_bytes(&reader, dcid_len), data + 6, dcid_len);
    bool lists_version_1 = false, lists_reserved = false;
    while (reader_left(&reader) > 0) {
        uint32_t version = read_u32(&reader);
        lists_version_1 |= version == QUIC_VERSION_1;
        lists_reserved |= (version & 0x0f0f0f0f) == 0x0a0a0a0a;
    }
    assert_false(reader.failed);
    assert_true(lists_version_1 && lists_reserved);
}

static void unknown_versions_are_answered_with_the_known_ones(void **state)
{
    //= rfc9000#5.2.2-1 Answer an unsupported version in a large enough datagram with Version Negotiation.
    //= rfc9000#5.2.2-4 Send Version Negotiation if the datagram is long enough even when the rest of the version is
    // unknown.
    (void)state;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    pair.hook = keep_copies;
    expect_version_negotiation(8, 8);
    expect_version_negotiation(8, 0);
    expect_version_negotiation(20, 20);
    expect_version_negotiation(255, 255);
    assert_int_equal(stats_of(true).version_negotiations_sent, 4);
}

static void small_datagrams_and_version_negotiation_get_none(void **state)
{
    //= rfc9000#5.2.2-3 Drop unsupported-version packets that arrive in datagrams too small to start a connection.
    (void)state;
    uint8_t data[1200];
    pair_start(&pair, &config);
    pair_deliver(&pair, true, NULL, data, unknown_version(data, 1199, 0x12345678, 8, 8));
    pair_deliver(&pair, true, NULL, data, unknown_version(data, 1200, 0, 8, 9));
    pair_run(&pair, 0);
    assert_int_equal(stats_of(true).version_negotiations_sent, 0);
}

static void version_negotiation_is_rate_limited(void **state)
{
    (void)state;
    uint8_t data[1200];
    config.server_endpoint.resets_per_second = 5;
    pair_start(&pair, &config);
    for (int i = 0; i < 50; i++)
        pair_deliver(&pair, true, NULL, data, unknown_version(data, 1200, 0x12345678, 8, 8));
    roam_endpoint_stats stats = stats_of(true);
    assert_in_range(stats.version_negotiations_sent, 1, 10);
    assert_int_equal(stats.drops[ROAM_DROP_RESET_RATE_LIMIT], 50 - stats.version_negotiations_sent);
}

static void a_forced_negotiation_ends_in_a_connection(void **state)
{
    (void)state;
    config.client_endpoint.force_version = 0x1a2a3a4a;
    pair_start(&pair, &config);
    expect_to_work();
    assert_int_equal(stats_of(true).version_negotiations_sent, 1);
    assert_int_equal(stats_of(true).connections_accepted, 1);
}

static void no_common_version_ends_the_attempt(void **state)
{
    (void)state;
    uint8_t data[64];
    const uint32_t other = 2;
    pair_start(&pair, &config);
    pair_run(&pair, 0);
    const roam_cid *client = &pair.client.conn->row_cid, *server = &pair.client.conn->handshake->original_dcid;
    struct writer writer = writer_init(data, sizeof(data));
    packet_write_version_negotiation(&writer, 0, client->bytes, client->len, server->bytes, server->len, &other, 1);
    pair_deliver(&pair, false, NULL, data, writer_len(&writer));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_VERSION_NEGOTIATION);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSED);
}

/* ---- Retry, RFC 9000 section 8.1.2 */

static void retry_proves_the_address_before_any_state_is_kept(void **state)
{
    //= rfc9000#8.1.2-1 Client repeats the Retry token in all later Initials of that attempt.
    //= rfc9000#8.1.3-11 Retry tokens are used at once and only in that attempt.
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    assert_int_equal(stats_of(true).retries_sent, 1);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 0);
    expect_to_work();
    assert_int_equal(stats_of(true).retries_sent, 1);
    assert_int_equal(stats_of(true).connections_accepted, 1);
}

static bool is_retry(const uint8_t *data)
{
    return (data[0] & 0xf0) == 0xf0;
}

static void a_second_retry_is_ignored(void **state)
{
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    pair.hook = keep_copies;
    pair_run(&pair, ROAM_MILLISECONDS(45));
    assert_true(kept_count >= 2 && !kept[1].to_server && is_retry(kept[1].data));
    pair_deliver(&pair, false, NULL, kept[1].data, kept[1].len);
    assert_int_equal(stats_of(false).drops[ROAM_DROP_RETRY_UNEXPECTED], 1);
    expect_to_work();
}

/* The client's second Initial, with the token, comes from another port. */
static bool change_port_after_the_first(struct pair *of, bool to_server, roam_datagram *datagram)
{
    if (to_server && of->sent_to_server > datagram->len)
        datagram->remote.port++;
    return true;
}

static void a_retry_token_is_bound_to_the_port(void **state)
{
    //= rfc9000#8.1.2-2 Server closes at once with INVALID_TOKEN on an invalid Retry token.
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    pair.hook = change_port_after_the_first;
    pair_run(&pair, ROAM_MILLISECONDS(200));
    expect_peer_error(ROAM_INVALID_TOKEN);
    assert_int_equal(stats_of(true).drops[ROAM_DROP_TOKEN_INVALID], 1);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 0);
}

static void a_retry_token_does_not_live_long(void **state)
{
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    config.server_endpoint.retry_token_lifetime = ROAM_MILLISECONDS(30);
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    expect_peer_error(ROAM_INVALID_TOKEN);
}

/* Anyone can make the tag of a Retry; the server's transport parameters tell that it sent none (section 7.3). */
static void a_retry_that_the_server_never_sent_is_found_out(void **state)
{
    (void)state;
    static const roam_cid scid = {.len = 8, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
    uint8_t data[128];
    pair_start(&pair, &config);
    pair_run(&pair, 0);
    struct writer writer = writer_init(data, sizeof(data));
    packet_write_retry(&writer, 0, QUIC_VERSION_1, &pair.client.conn->row_cid, &scid, (const uint8_t *)"token", 5);
    retry_integrity_tag(&quic_versions[0], &pair.client.conn->handshake->original_dcid, data, writer_len(&writer),
                        data + writer_len(&writer));
    pair_deliver(&pair, false, NULL, data, writer_len(&writer) + RETRY_TAG_BYTES);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    const roam_error *error = roam_conn_error(pair.client.conn);
    assert_int_equal(error->cause, ROAM_CLOSE_LOCAL_TRANSPORT);
    assert_int_equal(error->code, ROAM_TRANSPORT_PARAMETER_ERROR);
    assert_int_equal(roam_conn_error(pair.server.conn)->code, ROAM_TRANSPORT_PARAMETER_ERROR);
}

/* ---- NEW_TOKEN, RFC 9000 section 8.1.3 */

static void connect_again_with_token(void)
{
    uint8_t token[sizeof(pair.client.token)];
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_true(pair_count_events(&pair.client, ROAM_EVENT_NEW_TOKEN) >= 1 && pair.client.token_bytes > 0);
    memcpy(token, pair.client.token, sizeof(token));
    config.client.token = token;
    config.client.token_bytes = pair.client.token_bytes;
    pair.server.conn = NULL;
    pair_connect(&pair, &config);
}

static void a_token_from_before_spares_the_retry(void **state)
{
    //= rfc9000#8.1.3-2 Client puts the token in all its Initials unless a Retry replaces it.
    //= rfc9000#8.1.3-13 Server tries to validate a token in an Initial unless the address is validated already.
    //= rfc9000#8.1.3-15 A valid token lets the handshake go on.
    (void)state;
    roam_conn_info row;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    connect_again_with_token();
    pair_run(&pair, ROAM_MILLISECONDS(25));
    assert_non_null(pair.server.conn);
    roam_conn_get_info(pair.server.conn, &row);
    assert_true(row.address_validated);
    expect_to_work();
    assert_int_equal(stats_of(true).retries_sent, 1);
}

static void a_token_from_another_host_is_as_good_as_none(void **state)
{
    //= rfc9000#8.1.3-14 An invalid NEW_TOKEN token means: carry on as unvalidated (Retry allowed), not failure.
    //= rfc9000#8.1.4-5 If the client IP changed since issue, the 3x limit applies.
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    assert_true(roam_address_parse(&pair.client_address, "192.168.1.11:50000"));
    connect_again_with_token();
    expect_to_work();
    assert_int_equal(stats_of(true).retries_sent, 2);
    assert_int_equal(stats_of(true).drops[ROAM_DROP_TOKEN_INVALID], 1);
}

/* ---- Refusal */

static void a_full_server_refuses(void **state)
{
    //= rfc9000#5.2.2-5 Refuse a new connection with an Initial carrying CONNECTION_CLOSE(CONNECTION_REFUSED).
    (void)state;
    config.server_endpoint.max_connections = 1;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    roam_conn *first = pair.client.conn;
    pair_connect(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    expect_peer_error(ROAM_CONNECTION_REFUSED);
    assert_int_equal(stats_of(true).drops[ROAM_DROP_CONNECTION_LIMIT], 1);
    assert_int_equal(roam_conn_state(first), ROAM_CONN_ESTABLISHED);
}

/* ---- Events */

static size_t events_of_a_handshake(uint32_t max_events, uint64_t *ret_dropped)
{
    if (max_events != 0)
        config.client_endpoint.max_events = max_events;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    *ret_dropped = stats_of(false).events_dropped;
    return pair.client.event_count;
}

static void a_full_queue_drops_what_only_informs_and_counts_it(void **state)
{
    (void)state;
    uint64_t none, dropped;
    size_t all = events_of_a_handshake(0, &none);
    pair_stop(&pair);
    size_t told = events_of_a_handshake(1, &dropped);
    assert_int_equal(none, 0);
    assert_true(dropped > 0 && told + dropped == all);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CONNECTED), 1);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CONFIRMED), 1);
}

/* ---- Stateless Reset, RFC 9000 section 10.3 */

static void lose_the_server(uint8_t other_key)
{
    config.client.grease = false; /* so that what the new server counts has one name */
    config.server_endpoint.static_key_set = true;
    memset(config.server_endpoint.static_key, 7, ROAM_STATIC_KEY_BYTES);
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    config.server_endpoint.static_key[0] ^= other_key;
    pair_replace_server(&pair, &config);
    pair.hook = keep_copies;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(45));
    assert_true(kept_count >= 2 && kept[0].to_server && !kept[1].to_server);
    assert_int_equal(stats_of(true).drops[ROAM_DROP_UNKNOWN_CONNECTION], stats_of(true).stateless_resets_sent);
}

static void a_server_that_lost_its_state_resets(void **state)
{
    //= rfc9000#10.3.1-2 Do the check when the first packet of a datagram is unattributable or undecryptable.
    //= rfc9000#10.3.1-5 On match, go to draining and send nothing more.
    (void)state;
    lose_the_server(0);
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_STATELESS_RESET);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_RESET_RECEIVED), 1);
    const roam_event *sent = pair_find_event(&pair.server, ROAM_EVENT_RESET_SENT);
    assert_non_null(sent);
    assert_null(sent->conn);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_RESET_SENT), stats_of(true).stateless_resets_sent);
    assert_true(roam_address_equal(&sent->remote, &pair.client_address));
    assert_int_equal(sent->cid.len, config.server_endpoint.cid_bytes);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_DRAINING);
    assert_true(kept[1].len < kept[0].len && kept[1].len >= 21);
    assert_int_equal(kept[1].data[0] & 0xc0, 0x40);
    size_t before = kept_count;
    pair_run(&pair, ROAM_SECONDS(10));
    assert_int_equal(kept_count, before); /* nothing is sent while draining */
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSED);
}

static void a_reset_of_another_server_is_ignored(void **state)
{
    (void)state;
    lose_the_server(1);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_true(stats_of(false).drops[ROAM_DROP_TOO_SHORT] + stats_of(false).drops[ROAM_DROP_UNKNOWN_CONNECTION] > 0);
}

static void resets_look_like_packets_and_are_smaller_than_their_cause(void **state)
{
    //= rfc9000#10.3-3 Bytes before the token look random.
    //= rfc9000#10.3-5 Answer packets of 43 bytes or less with a reset one byte shorter.
    //= rfc9000#10.3-6 A reset is never three times or more the triggering packet.
    //= rfc9000#10.3-8 Format resets as short-header packets.
    //= rfc9000#10.3.3-1 Each reset is smaller than its trigger, unless state prevents loops.
    (void)state;
    uint8_t data[1200];
    pair_start(&pair, &config);
    pair.hook = keep_copies;
    for (size_t len = 1 + 8 + 20; len <= sizeof(data); len += len < 60 ? 1 : 57) {
        kept_count = 0;
        memset(data, 0x55, sizeof(data));
        pair_deliver(&pair, true, NULL, data, len);
        roam_datagram reply = {.data = data, .capacity = sizeof(data)};
        assert_int_equal(roam_endpoint_transmit(pair.server.endpoint, pair.now, &reply, 1), 1);
        assert_true(reply.len < len && reply.len >= 21 && reply.len < 3 * len);
        assert_int_equal(reply.data[0] & 0xc0, 0x40);
        assert_true(roam_address_equal(&reply.remote, &pair.client_address));
    }
}

static void all_ids_of_an_endpoint_are_of_one_length(void **state)
{
    //= rfc9000#10.3.2-2 With a static reset key, use one CID length or make the length recoverable.
    (void)state;
    roam_cid_plan plan = {.kind = ROAM_CID_QUIC_LB, .server_id_bytes = 1, .nonce_bytes = 6};
    pair_start(&pair, &config);
    assert_int_equal(roam_cid_plan_length(&plan), 8);
    assert_int_equal(roam_endpoint_set_cid_plan(pair.server.endpoint, pair.now, &plan), ROAM_OK);
    plan.nonce_bytes = 7;
    assert_int_equal(roam_cid_plan_check(&plan, NULL), ROAM_OK);
    assert_int_equal(roam_endpoint_set_cid_plan(pair.server.endpoint, pair.now, &plan), ROAM_ERR_CONFIG);
}

static void two_servers_do_not_reset_each_other_for_ever(void **state)
{
    (void)state;
    uint8_t data[1200];
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    uint64_t datagrams = stats_of(true).datagrams_sent + stats_of(false).datagrams_sent;
    memset(data, 0x55, sizeof(data));
    pair_deliver(&pair, true, NULL, data, sizeof(data));
    pair_run(&pair, ROAM_SECONDS(5));
    assert_in_range(stats_of(true).datagrams_sent + stats_of(false).datagrams_sent - datagrams, 1, 43 - 21);
}

static void resets_are_rate_limited(void **state)
{
    (void)state;
    uint8_t data[100];
    config.server_endpoint.resets_per_second = 5;
    pair_start(&pair, &config);
    memset(data, 0x55, sizeof(data));
    for (int i = 0; i < 50; i++)
        pair_deliver(&pair, true, NULL, data, sizeof(data));
    roam_endpoint_stats stats = stats_of(true);
    assert_in_range(stats.stateless_resets_sent, 1, 10);
    assert_int_equal(stats.drops[ROAM_DROP_RESET_RATE_LIMIT], 50 - stats.stateless_resets_sent);
}

/* ---- Zero-length CIDs */

static roam_conn *connect_from(roam_endpoint *endpoint, const char *local_text, const char *remote_text,
                               roam_result *ret_result)
{
    roam_address local = {0}, remote;
    assert_true(roam_address_parse(&remote, remote_text));
    if (local_text != NULL)
        assert_true(roam_address_parse(&local, local_text));
    roam_config client = config.client;
    client.remote = &remote;
    client.local = local_text != NULL ? &local : NULL;
    return roam_connect(endpoint, "there", remote.port, &client, pair.now, ret_result);
}

static void with_zero_length_cids_a_socket_has_one_connection_whatever_its_server(void **state)
{
    //= rfc9000#5.1-3 Do not share one local IP:port between concurrent connections when CIDs are zero-length.
    (void)state;
    config.client_endpoint.cid_bytes = 0;
    pair_start(&pair, &config);
    expect_to_work();
    roam_endpoint *endpoint = pair.client.endpoint;
    const uint16_t taken = pair.client_address.port;
    roam_result result;
    char same[ROAM_ADDRESS_TEXT_MAX], any[32];
    roam_address_format(&pair.client_address, same);
    snprintf(any, sizeof(any), "0.0.0.0:%u", taken);
    assert_null(connect_from(endpoint, same, "203.0.113.77:443", &result));
    assert_int_equal(result, ROAM_ERR_ADDRESS);
    assert_null(connect_from(endpoint, any, "203.0.113.77:443", &result));
    assert_int_equal(result, ROAM_ERR_ADDRESS);
    assert_null(connect_from(endpoint, NULL, "203.0.113.77:443", &result));
    assert_int_equal(result, ROAM_ERR_ADDRESS);
    roam_conn *other = connect_from(endpoint, "192.0.2.200:50007", "203.0.113.77:443", &result);
    assert_non_null(other);
    assert_int_equal(result, ROAM_OK);
    roam_conn_free(other, pair.now);
}

static void with_other_cids_connections_may_share_a_socket(void **state)
{
    (void)state;
    pair_start(&pair, &config);
    char same[ROAM_ADDRESS_TEXT_MAX];
    roam_result result;
    roam_address_format(&pair.client_address, same);
    roam_conn *other = connect_from(pair.client.endpoint, same, "203.0.113.77:443", &result);
    assert_non_null(other);
    roam_conn_free(other, pair.now);
}

/* ---- Plans of CIDs */

static void a_plan_that_makes_no_sense_makes_no_endpoint(void **state)
{
    (void)state;
    pair_start(&pair, &config);
    roam_endpoint_config bad = config.server_endpoint;
    roam_result result;
    bad.cid_plan = (roam_cid_plan){.kind = ROAM_CID_QUIC_LB, .server_id_bytes = 1, .nonce_bytes = 3};
    assert_null(roam_endpoint_new(&bad, 0, &result));
    assert_int_equal(result, ROAM_ERR_CONFIG);
}

static void nonces_that_are_used_up_are_counted_and_the_endpoint_goes_on(void **state)
{
    (void)state;
    config.server_endpoint.cid_plan =
        (roam_cid_plan){.kind = ROAM_CID_QUIC_LB, .server_id_bytes = 3, .server_id = {1}, .nonce_bytes = 4};
    pair_start(&pair, &config);
    pair.server.endpoint->plans[0].plan.issued = UINT64_C(0xfffffffe);
    expect_to_work();
    pair_run(&pair, ROAM_SECONDS(1));
    /* One for the handshake and one more were left; the others cannot be routed. */
    assert_int_equal(stats_of(true).cids_unroutable, LOCAL_CIDS_FIRST - 2);
    const struct remote_cid_set *held = &pair.client.conn->remote_cids;
    size_t unroutable = 0;
    for (size_t i = 0; i < held->count; i++)
        unroutable += held->entries[i].cid.bytes[0] >> 5 == ROAM_CID_UNROUTABLE;
    assert_int_equal(unroutable, LOCAL_CIDS_FIRST - 2);
}

static void a_plan_that_comes_back_goes_on_with_its_nonces(void **state)
{
    (void)state;
    const roam_cid_plan first = {.kind = ROAM_CID_QUIC_LB, .server_id_bytes = 3, .server_id = {1}, .nonce_bytes = 4};
    roam_cid_plan other = first;
    other.config_id = 1;
    config.server_endpoint.cid_plan = first;
    pair_start(&pair, &config);
    expect_to_work();
    roam_endpoint *endpoint = pair.server.endpoint;
    uint64_t issued = endpoint->plans[0].plan.issued;
    assert_int_equal(roam_endpoint_set_cid_plan(endpoint, pair.now, &other), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_endpoint_set_cid_plan(endpoint, pair.now, &first), ROAM_OK);
    assert_true(endpoint->plans[0].plan.issued > issued);
    assert_int_equal(endpoint->plan_count, 2);
    for (uint8_t config_id = 2; config_id < 7; config_id++) {
        other.config_id = config_id;
        for (uint8_t key = 0; key < 3; key++) {
            other.has_key = true;
            other.key[0] = key;
            assert_int_equal(roam_endpoint_set_cid_plan(endpoint, pair.now, &other), ROAM_OK);
        }
    }
    assert_int_equal(endpoint->plan_count, CID_PLANS_KEPT);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_true(pair_carries(&pair, "works", ROAM_SECONDS(1)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(with_zero_length_cids_a_socket_has_one_connection_whatever_its_server),
        TEST(with_other_cids_connections_may_share_a_socket),
        TEST(a_plan_that_makes_no_sense_makes_no_endpoint),
        TEST(nonces_that_are_used_up_are_counted_and_the_endpoint_goes_on),
        TEST(a_plan_that_comes_back_goes_on_with_its_nonces),
        TEST(unknown_versions_are_answered_with_the_known_ones),
        TEST(small_datagrams_and_version_negotiation_get_none),
        TEST(version_negotiation_is_rate_limited),
        TEST(a_forced_negotiation_ends_in_a_connection),
        TEST(no_common_version_ends_the_attempt),
        TEST(retry_proves_the_address_before_any_state_is_kept),
        TEST(a_second_retry_is_ignored),
        TEST(a_retry_token_is_bound_to_the_port),
        TEST(a_retry_token_does_not_live_long),
        TEST(a_retry_that_the_server_never_sent_is_found_out),
        TEST(a_token_from_before_spares_the_retry),
        TEST(a_token_from_another_host_is_as_good_as_none),
        TEST(a_full_server_refuses),
        TEST(a_server_that_lost_its_state_resets),
        TEST(a_reset_of_another_server_is_ignored),
        TEST(resets_look_like_packets_and_are_smaller_than_their_cause),
        TEST(all_ids_of_an_endpoint_are_of_one_length),
        TEST(two_servers_do_not_reset_each_other_for_ever),
        TEST(resets_are_rate_limited),
        TEST(a_full_queue_drops_what_only_informs_and_counts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
