/*
 * Handshakes under every condition: connection IDs of all lengths, every cipher, client certificates, and a network
 * that loses, repeats or delays any single datagram. Each ends with octets that arrive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;

static void expect_echo(void)
{
    char buf[16] = "";
    assert_true(pair_carries(&pair, "echo", ROAM_SECONDS(3)));
    assert_int_equal(roam_stream_write(pair.server.stream, "echo", 4), 4);
    pair_run(&pair, ROAM_SECONDS(3));
    assert_int_equal(roam_stream_read(pair.client.stream, buf, sizeof(buf), NULL), 4);
    assert_string_equal(buf, "echo");
}

static void shake_hands(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
}

/* ---- Connection IDs */

static void expect_cid_lengths(uint8_t client, uint8_t server)
{
    roam_path_info path;
    roam_conn_info row;
    pair_prepare(&config);
    config.client_endpoint.cid_bytes = client;
    config.server_endpoint.cid_bytes = server;
    shake_hands();
    roam_conn_paths(pair.server.conn, &path, 1);
    assert_int_equal(path.cid.len, client);
    roam_conn_paths(pair.client.conn, &path, 1);
    assert_int_equal(path.cid.len, server);
    expect_echo();
    if (server > 0) {
        roam_address elsewhere;
        assert_true(roam_address_parse(&elsewhere, "10.0.0.20:51000"));
        assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &elsewhere), ROAM_OK);
        expect_echo();
        roam_conn_get_info(pair.server.conn, &row);
        assert_true(roam_address_equal(&row.remote, &elsewhere));
        assert_true(row.address_validated);
        assert_int_equal(row.moves, 1);
    }
    pair_stop(&pair);
}

static void connection_ids_of_every_length_survive_a_rebinding(void **state)
{
    (void)state;
    for (uint8_t len = 4; len <= ROAM_CID_MAX; len++) {
        expect_cid_lengths(len, len);
        expect_cid_lengths(8, len);
        expect_cid_lengths(0, len);
    }
}

static void a_server_without_connection_ids_serves(void **state)
{
    (void)state;
    expect_cid_lengths(0, 0);
    expect_cid_lengths(8, 0);
    expect_cid_lengths(20, 0);
}

static void a_client_that_comes_back_from_its_port_is_not_taken_for_the_one_that_has_ended(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.server_endpoint.cid_bytes = 0;
    shake_hands();
    roam_conn *ended = pair.server.conn;
    roam_conn_close(pair.client.conn, pair.now, 0, "back in a moment");
    pair_run(&pair, pair.delay);
    roam_conn_info row;
    roam_conn_get_info(ended, &row);
    assert_int_equal(row.state, ROAM_CONN_DRAINING);
    pair_connect(&pair, &config);
    pair_handshake(&pair);
    assert_ptr_not_equal(pair.server.conn, ended);
    roam_conn_get_info(ended, &row);
    assert_int_equal(row.state, ROAM_CONN_DRAINING);
    expect_echo();
    pair_stop(&pair);
}

static void other_lengths_are_refused(void **state)
{
    (void)state;
    static const uint8_t lengths[] = {1, 2, 3, 21, 255};
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        roam_endpoint_config endpoint;
        roam_result result = ROAM_OK;
        roam_endpoint_config_init(&endpoint);
        endpoint.cid_bytes = lengths[i];
        assert_null(roam_endpoint_new(&endpoint, 0, &result));
        assert_int_equal(result, ROAM_ERR_CONFIG);
    }
}

static void zero_length_ids_are_not_shared_by_connections_of_one_socket(void **state)
{
    //= rfc9000#5.1-3 Do not share one local IP:port between concurrent connections when CIDs are zero-length.
    (void)state;
    roam_result result = ROAM_OK;
    roam_address other;
    pair_prepare(&config);
    config.client_endpoint.cid_bytes = 0;
    shake_hands();
    roam_config second = config.client;
    second.remote = &pair.server_address;
    second.local = &pair.client_address;
    assert_null(roam_connect(pair.client.endpoint, "localhost", 443, &second, pair.now, &result));
    assert_int_equal(result, ROAM_ERR_ADDRESS);
    assert_true(roam_address_parse(&other, "10.0.0.20:51000"));
    second.local = &other;
    roam_conn *conn = roam_connect(pair.client.endpoint, "localhost", 443, &second, pair.now, &result);
    assert_non_null(conn);
    roam_conn_free(conn, pair.now);
    expect_echo();
    pair_stop(&pair);
}

/* ---- Ciphers and certificates */

static void every_cipher_works(void **state)
{
    (void)state;
    static const struct {
        unsigned cipher;
        const char *name;
    } ciphers[] = {{ROAM_AES_128_GCM, "AES-128-GCM"},
                   {ROAM_AES_256_GCM, "AES-256-GCM"},
                   {ROAM_CHACHA20_POLY1305, "ChaCha20-Poly1305"}};
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(ciphers); i++) {
        roam_conn_stats stats;
        pair_prepare(&config);
        *(i % 2 == 0 ? &config.client.ciphers : &config.server.ciphers) = ciphers[i / 2].cipher;
        shake_hands();
        roam_conn_get_stats(pair.server.conn, &stats);
        assert_int_equal(strcasecmp(stats.cipher, ciphers[i / 2].name), 0);
        expect_echo();
        assert_int_equal(roam_conn_update_keys(pair.client.conn, pair.now), ROAM_OK);
        expect_echo();
        pair_stop(&pair);
    }
}

static void no_common_cipher_ends_the_handshake(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.client.ciphers = ROAM_AES_256_GCM;
    config.server.ciphers = ROAM_CHACHA20_POLY1305;
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_PEER_TRANSPORT);
    assert_int_equal(roam_conn_error(pair.client.conn)->code, ROAM_CRYPTO_ERROR + 40); /* handshake_failure */
    pair_stop(&pair);
}

static void no_common_protocol_ends_the_handshake(void **state)
{
    (void)state;
    static const char *const other[] = {"other", NULL};
    pair_prepare(&config);
    config.client.alpn = other;
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_PEER_TRANSPORT);
    assert_int_equal(roam_conn_error(pair.client.conn)->code, ROAM_CRYPTO_ERROR + 120); /* no_application_protocol */
    pair_stop(&pair);
}

/* Credentials are counted references: the pair's own are what the endpoints hold. */
static void start_with_client_certificates(bool client_has_one)
{
    static const char *const names[] = {"client", NULL};
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    pair_prepare(&config);
    pair_start(&pair, &config);
    /* The pair makes them; they are filled before the first packet. */
    roam_credentials *client = roam_credentials_new();
    assert_int_equal(roam_credentials_generate(client, names), ROAM_OK);
    roam_credentials_fingerprint(client, fingerprint);
    roam_credentials_trust_pin(pair.server_credentials, fingerprint);
    roam_credentials_require_client(pair.server_credentials);
    roam_credentials_fingerprint(pair.server_credentials, fingerprint);
    roam_credentials_trust_pin(client, fingerprint);
    roam_conn_free(pair.client.conn, pair.now);
    if (client_has_one)
        config.client.credentials = client;
    pair.client.conn = NULL;
    pair_run(&pair, ROAM_SECONDS(1)); /* the attempt without a certificate is refused or closed */
    pair.server.conn = NULL;
    pair_forget_events(&pair);
    pair_connect(&pair, &config);
    roam_credentials_free(client);
}

static void clients_can_be_made_to_show_a_certificate(void **state)
{
    (void)state;
    start_with_client_certificates(true);
    pair_handshake(&pair);
    expect_echo();
    pair_stop(&pair);
    start_with_client_certificates(false);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_PEER_TRANSPORT);
    assert_int_equal(roam_conn_error(pair.client.conn)->code, ROAM_CRYPTO_ERROR + 116); /* certificate_required */
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_CONNECTED), 0);
    pair_stop(&pair);
}

/* ---- A network that does what it likes with one datagram */

enum fate { LOST, REPEATED, LATE };

static struct {
    enum fate fate;
    uint64_t victim, seen;
} plan;

static bool strike_one(struct pair *of, bool to_server, roam_datagram *datagram)
{
    if (plan.seen++ != plan.victim)
        return true;
    if (plan.fate == LATE)
        of->hold_back = ROAM_MILLISECONDS(45);
    if (plan.fate == REPEATED) {
        uint8_t copy[2048]; /* it comes at once, and again in its time */
        memcpy(copy, datagram->data, datagram->len);
        pair_deliver(of, to_server, NULL, copy, datagram->len);
    }
    return plan.fate != LOST;
}

static void expect_to_survive(enum fate fate, enum roam_retry_policy retry)
{
    pair_prepare(&config);
    config.server_endpoint.retry = retry;
    plan.victim = UINT64_MAX;
    plan.seen = 0;
    pair_start(&pair, &config);
    pair.hook = strike_one;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    uint64_t datagrams = plan.seen;
    pair_stop(&pair);
    assert_true(datagrams >= 5);
    plan.fate = fate;
    for (plan.victim = 0; plan.victim < datagrams; plan.victim++) {
        plan.seen = 0;
        pair_start(&pair, &config);
        pair.hook = strike_one;
        pair_handshake(&pair);
        pair_run(&pair, ROAM_MILLISECONDS(500));
        expect_echo();
        assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 1);
        pair_stop(&pair);
    }
}

static void any_datagram_of_the_handshake_may_be_lost(void **state)
{
    (void)state;
    expect_to_survive(LOST, ROAM_RETRY_NEVER);
    expect_to_survive(LOST, ROAM_RETRY_ALWAYS);
}

static void any_datagram_of_the_handshake_may_come_twice(void **state)
{
    (void)state;
    expect_to_survive(REPEATED, ROAM_RETRY_NEVER);
    expect_to_survive(REPEATED, ROAM_RETRY_ALWAYS);
}

static void any_datagram_of_the_handshake_may_be_late(void **state)
{
    (void)state;
    expect_to_survive(LATE, ROAM_RETRY_NEVER);
    expect_to_survive(LATE, ROAM_RETRY_ALWAYS);
}

static bool lose_every_other(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of, (void)to_server, (void)datagram;
    return plan.seen++ % 2 == 1;
}

static void half_of_all_datagrams_may_be_lost(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.client.handshake_timeout = config.server.handshake_timeout = ROAM_SECONDS(60);
    plan.seen = 0;
    pair_start(&pair, &config);
    pair.hook = lose_every_other;
    pair_handshake(&pair);
    expect_echo();
    pair_stop(&pair);
}

/* ---- Anti-amplification, RFC 9000 section 8.1 */

static uint64_t from_client, from_server, worst_excess;

/* Only the client's first datagram arrives. */
static bool weigh(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of;
    if (to_server) {
        bool first = from_client == 0;
        from_client += first ? datagram->len : 0;
        return first;
    }
    from_server += datagram->len;
    if (from_server > 3 * from_client)
        worst_excess = from_server - 3 * from_client;
    return true;
}

static void a_server_never_sends_three_times_what_it_got(void **state)
{
    //= rfc9000#8.1-2 Before validation a server never sends more than three times the bytes received.
    //= rfc9000#8.1-3 Count every payload byte of datagrams uniquely attributable to the connection (including
    // undecryptable ones) toward the budget.
    (void)state;
    pair_prepare(&config);
    from_client = from_server = worst_excess = 0;
    pair_start(&pair, &config);
    pair.hook = weigh;
    pair_run(&pair, ROAM_SECONDS(20));
    assert_int_equal(worst_excess, 0);
    assert_true(from_server > 0);
    assert_int_equal(roam_conn_error(pair.server.conn)->cause, ROAM_CLOSE_HANDSHAKE_TIMEOUT);
    pair_stop(&pair);
}

static bool lose_all(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of, (void)to_server, (void)datagram;
    return false;
}

/* ---- A client frees a server that the limit has stopped */

#define LONG_HEADER_TYPE(octet) (((octet)&0x30) >> 4)
#define LONG_HEADER_INITIAL     0
#define LONG_HEADER_HANDSHAKE   2

static struct {
    unsigned let_through;      /* datagrams of the client that still arrive */
    unsigned seen, handshakes; /* datagrams; of them, those that begin with a Handshake packet */
    bool all_full_initials;
} probes;

static bool watch_probes(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of;
    if (!to_server)
        return true;
    const uint8_t first = datagram->data[0];
    const bool is_long = (first & 0x80) != 0;
    probes.seen++;
    probes.handshakes += is_long && LONG_HEADER_TYPE(first) == LONG_HEADER_HANDSHAKE;
    probes.all_full_initials &= is_long && LONG_HEADER_TYPE(first) == LONG_HEADER_INITIAL && datagram->len >= 1200;
    if (probes.let_through == 0)
        return false;
    probes.let_through--;
    return true;
}

static void watch_a_client_probe(unsigned let_through)
{
    memset(&probes, 0, sizeof(probes));
    probes.let_through = let_through;
    probes.all_full_initials = true;
    pair_prepare(&config);
    pair_start(&pair, &config);
    pair.hook = watch_probes;
    pair_run(&pair, ROAM_SECONDS(8));
}

static void a_client_without_handshake_keys_probes_with_full_initials(void **state)
{
    //= rfc9000#8.1-4 Client pads datagrams that hold Initial packets to at least 1200 bytes of UDP payload.
    //= rfc9000#8.1-5 Client sends on PTO even with nothing to retransmit, so that a server blocked is freed.
    //= rfc9000#8.1-6 That client probe is a 1200-byte Initial when no Handshake keys exist.
    (void)state;
    watch_a_client_probe(0);
    assert_true(probes.seen >= 3);
    assert_true(probes.all_full_initials);
    pair_stop(&pair);
}

static void a_client_with_handshake_keys_probes_with_handshake_packets(void **state)
{
    //= rfc9000#8.1-6 That client probe is a 1200-byte Initial when no Handshake keys exist, otherwise a Handshake
    // packet.
    (void)state;
    watch_a_client_probe(1);
    assert_true(probes.handshakes >= 3);
    assert_false(roam_conn_is_confirmed(pair.client.conn));
    pair_stop(&pair);
}

/* ---- Time */

/* Until the client has Handshake keys, the first of what leaves at one time is lost. */
static bool lose_the_first(struct pair *p, bool to_server, roam_datagram *datagram)
{
    static roam_time before;
    (void)datagram;
    const struct handshake *handshake = p->client.conn->handshake;
    bool lost = to_server && handshake != NULL && !handshake->send[SPACE_HANDSHAKE].available && p->now != before;
    before = p->now;
    return !lost;
}

static void both_probes_bring_the_client_hello(void **state)
{
    //= rfc9002#6.2.4 Put new data in probes.
    (void)state;
    pair_prepare(&config);
    pair_start(&pair, &config);
    pair.hook = lose_the_first;
    pair_run(&pair, ROAM_SECONDS(2));
    assert_true(roam_conn_is_confirmed(pair.client.conn));
    pair_stop(&pair);
}

static void a_handshake_has_its_time(void **state)
{
    //= rfc9000#21.6-1 Mitigate slowloris: who does not complete the handshake does not stay.
    (void)state;
    pair_prepare(&config);
    config.client.handshake_timeout = ROAM_SECONDS(4);
    pair_start(&pair, &config);
    pair.hook = lose_all;
    pair_run(&pair, ROAM_MILLISECONDS(3999));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_HANDSHAKE);
    assert_true(pair.sent_to_server >= 3 * 1200);
    pair_run(&pair, ROAM_MILLISECONDS(2));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_HANDSHAKE_TIMEOUT);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_ids_of_every_length_survive_a_rebinding),
        cmocka_unit_test(a_server_without_connection_ids_serves),
        cmocka_unit_test(a_client_that_comes_back_from_its_port_is_not_taken_for_the_one_that_has_ended),
        cmocka_unit_test(other_lengths_are_refused),
        cmocka_unit_test(zero_length_ids_are_not_shared_by_connections_of_one_socket),
        cmocka_unit_test(every_cipher_works),
        cmocka_unit_test(no_common_cipher_ends_the_handshake),
        cmocka_unit_test(no_common_protocol_ends_the_handshake),
        cmocka_unit_test(clients_can_be_made_to_show_a_certificate),
        cmocka_unit_test(any_datagram_of_the_handshake_may_be_lost),
        cmocka_unit_test(any_datagram_of_the_handshake_may_come_twice),
        cmocka_unit_test(any_datagram_of_the_handshake_may_be_late),
        cmocka_unit_test(half_of_all_datagrams_may_be_lost),
        cmocka_unit_test(a_server_never_sends_three_times_what_it_got),
        cmocka_unit_test(a_client_without_handshake_keys_probes_with_full_initials),
        cmocka_unit_test(a_client_with_handshake_keys_probes_with_handshake_packets),
        cmocka_unit_test(both_probes_bring_the_client_hello),
        cmocka_unit_test(a_handshake_has_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
