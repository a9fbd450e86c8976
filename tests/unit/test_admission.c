/* Whom a server lets in: strangers within limits for each prefix and in all, and where it is silent nobody who was not
 * invited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/endpoint.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;

/* The client's first flight. */
static struct {
    uint8_t data[2048];
    size_t len;
} flight;

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_give_static_key(&config);
    config.server_endpoint.strangers_per_second = config.server_endpoint.strangers_per_prefix = 0;
    config.server_endpoint.half_open_per_prefix = 0;
    config.server_endpoint.max_half_open = config.server_endpoint.retries_per_second = 0;
    flight.len = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static roam_endpoint_stats stats(void)
{
    roam_endpoint_stats ret;
    roam_endpoint_get_stats(pair.server.endpoint, &ret);
    return ret;
}

/* The first one is kept. What goes to others than the client is not the client's. */
static bool keep_flight(struct pair *of, bool to_server, roam_datagram *datagram)
{
    if (to_server && flight.len == 0) {
        memcpy(flight.data, datagram->data, datagram->len);
        flight.len = datagram->len;
        return false;
    }
    return to_server || roam_address_equal(&datagram->local, &of->client_address);
}

/* Starts both sides; the client's first flight is kept and does not arrive. */
static void start(void)
{
    pair_start(&pair, &config);
    pair.hook = keep_flight;
    pair_run(&pair, 0);
    assert_true(flight.len >= DATAGRAM_BYTES_MIN);
}

/* The flight arrives from this host of a prefix. */
static void come_from(unsigned prefix, unsigned host)
{
    roam_address remote = {
        .family = ROAM_FAMILY_IPV4, .ip = {198, (uint8_t)(prefix >> 8), (uint8_t)prefix, (uint8_t)host}, .port = 40000};
    pair_deliver(&pair, true, &remote, flight.data, flight.len);
}

static void come_from_prefix(unsigned prefix, unsigned hosts)
{
    for (unsigned host = 1; host <= hosts; host++)
        come_from(prefix, host);
}

/* ---- Strangers */

static void a_prefix_begins_so_many_handshakes_a_second_without_proof(void **state)
{
    (void)state;
    config.server_endpoint.strangers_per_prefix = 5;
    start();
    come_from_prefix(1, 5);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 5);
    assert_int_equal(stats().retries_sent, 0);
    come_from(1, 6);
    assert_int_equal(stats().retries_sent, 1);
    come_from(2, 1); /* another prefix */
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 6);
    pair_run(&pair, ROAM_SECONDS(1));
    come_from(1, 7);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 7);
}

static void all_prefixes_together_begin_so_many(void **state)
{
    (void)state;
    config.server_endpoint.strangers_per_second = 20;
    start();
    for (unsigned prefix = 1; prefix <= 21; prefix++)
        come_from(prefix, 1);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 20);
    assert_int_equal(stats().retries_sent, 1);
    pair_run(&pair, ROAM_SECONDS(1));
    come_from(22, 1);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 21);
}

static void where_there_is_no_retry_the_others_are_dropped(void **state)
{
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_NEVER;
    config.server_endpoint.strangers_per_prefix = 5;
    start();
    come_from_prefix(1, 6);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 5);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_STRANGERS_RATE_LIMIT), 1);
}

static void a_prefix_has_so_many_handshakes_in_progress_without_proof(void **state)
{
    (void)state;
    config.server_endpoint.half_open_per_prefix = 4;
    start();
    come_from_prefix(1, 4);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 4);
    come_from(1, 5);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 4);
    assert_int_equal(stats().retries_sent, 1);
    pair_run(&pair, ROAM_SECONDS(60)); /* they are given up */
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 0);
    for (unsigned host = 11; host <= 14; host++)
        come_from(1, host);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 4);
}

static void who_proves_its_address_is_counted_apart(void **state)
{
    (void)state;
    config.server_endpoint.half_open_per_prefix = 1;
    start();
    roam_address neighbour = pair.client_address;
    neighbour.port++;
    pair_deliver(&pair, true, &neighbour, flight.data, flight.len);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 1);
    pair_handshake(&pair);
    assert_in_range(stats().retries_sent, 1, 2); /* a probe is two packets */
    assert_true(pair_carries(&pair, "works", ROAM_SECONDS(1)));
}

static bool lose_answers(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of;
    return to_server || (datagram->data[0] & 0xf0) == 0xf0; /* all but Retry */
}

static void a_prefix_has_so_many_handshakes_in_progress_with_proof(void **state)
{
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    config.server_endpoint.half_open_per_prefix = 1;
    pair_start(&pair, &config);
    pair.hook = lose_answers;
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 1);
    roam_conn *first = pair.client.conn;
    pair_connect(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 1);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_HALF_OPEN_LIMIT), 1);
    roam_conn_close(first, pair.now, 0, NULL);
}

static void all_handshakes_in_progress_are_limited(void **state)
{
    (void)state;
    config.server_endpoint.max_half_open = 30;
    start();
    for (unsigned prefix = 1; prefix <= 31; prefix++)
        come_from(prefix, 1);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 30);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_HALF_OPEN_LIMIT), 1);
}

static void retries_are_limited_for_each_prefix_and_in_all(void **state)
{
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    config.server_endpoint.retries_per_second = 32;
    start();
    come_from_prefix(1, 10);
    assert_int_equal(stats().retries_sent, 2);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_RETRY_RATE_LIMIT), 8);
    for (unsigned prefix = 2; prefix <= 41; prefix++)
        come_from(prefix, 1);
    assert_int_equal(stats().retries_sent, 32);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_RETRY_RATE_LIMIT), 18);
}

static void prefixes_are_24_bits_of_ipv4_and_56_of_ipv6(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool same;
    } cases[] = {
        {"192.0.2.1:1", "192.0.2.255:2", true},
        {"192.0.2.1:1", "192.0.3.1:1", false},
        {"192.0.2.1:1", "[::ffff:192.0.2.9]:1", true},
        {"[2001:db8:1:200::1]:1", "[2001:db8:1:2ff::1]:1", true},
        {"[2001:db8:1:200::1]:1", "[2001:db8:1:300::1]:1", false},
    };
    const struct prefix_limits limits = {.secret = {1, 2, 3}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        roam_address one, other;
        assert_true(roam_address_parse(&one, cases[i].one) && roam_address_parse(&other, cases[i].other));
        assert_int_equal(prefix_of(&limits, &one) == prefix_of(&limits, &other), cases[i].same);
    }
    pair_start(&pair, &config);
}

/* ---- Memory */

#define BUDGET 2000000

/* A connection that is established, and then as many handshakes in progress as are let in. Returns how many. */
static unsigned fill_up(void)
{
    config.server_endpoint.max_memory_bytes = BUDGET;
    config.server_endpoint.retry_half_open = UINT32_MAX;
    start();
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    unsigned prefix = 0;
    while (prefix < 200 && pair_drops(&pair.server, ROAM_DROP_OUT_OF_MEMORY) == 0)
        come_from(++prefix, 1);
    assert_in_range(prefix, 10, 100);
    return prefix - 1;
}

static void without_room_nobody_else_is_let_in(void **state)
{
    (void)state;
    const unsigned in = fill_up();
    assert_int_equal(pair.server.endpoint->half_open, in);
    come_from(101, 1);
    assert_int_equal(pair.server.endpoint->half_open, in);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_OUT_OF_MEMORY), 2);
    assert_int_equal(stats().limits[ROAM_LIMIT_MEMORY], 0);
    assert_true(pair_carries(&pair, "works", ROAM_SECONDS(1)));
    pair_run(&pair, ROAM_SECONDS(60));
    come_from(102, 1);
    assert_int_equal(pair.server.endpoint->half_open, 1);
}

static void the_newest_handshakes_make_room_for_who_is_here(void **state)
{
    (void)state;
    static uint8_t octets[400000];
    const unsigned in = fill_up();
    assert_true(pair_carries(&pair, "first", ROAM_SECONDS(1)));
    pair.hook = lose_answers;
    assert_int_equal(roam_stream_write(pair.server.stream, octets, sizeof(octets)), sizeof(octets));
    pair_run(&pair, ROAM_SECONDS(2));
    pair.hook = keep_flight;
    const unsigned left = (unsigned)pair.server.endpoint->half_open;
    assert_true(left > 0 && left < in);
    assert_int_equal(stats().limits[ROAM_LIMIT_MEMORY], in - left);
    for (struct list_node *node = pair.server.endpoint->conns.next; node != &pair.server.endpoint->conns;
         node = node->next) {
        const roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        assert_true(!conn->half_open || path_set_active(&conn->paths)->remote.ip[2] <= left);
    }
    assert_true(roam_stream_write(pair.client.stream, "then", 4) == 4);
    pair_run(&pair, ROAM_SECONDS(5));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
}

static void beyond_the_limit_there_is_no_memory(void **state)
{
    (void)state;
    config.server_endpoint.max_memory_bytes = BUDGET;
    config.server.initial_max_data = config.server.initial_max_stream_data = 16 * BUDGET;
    config.server.stream_buffer_bytes = 16 * BUDGET;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "first", ROAM_SECONDS(1)));
    static uint8_t octets[2 * BUDGET];
    roam_stream_write(pair.server.stream, octets, sizeof(octets));
    assert_true(pair.server.endpoint->memory.bytes <= BUDGET);
    pair_run(&pair, ROAM_SECONDS(5));
    assert_true(pair.server.endpoint->memory.bytes <= BUDGET);
}

/* ---- Silence */

static void be_silent(bool invited)
{
    config.server_endpoint.invitation_key_set = true;
    memset(config.server_endpoint.invitation_key, 9, ROAM_STATIC_KEY_BYTES);
    config.client.invitation_key_set = true;
    memset(config.client.invitation_key, invited ? 9 : 8, ROAM_STATIC_KEY_BYTES);
}

static void a_stranger_hears_nothing(void **state)
{
    (void)state;
    uint8_t data[1200];
    be_silent(false);
    config.client.invitation_key_set = false;
    config.client.handshake_timeout = ROAM_SECONDS(3);
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_SECONDS(4));
    assert_true(pair_drops(&pair.server, ROAM_DROP_UNINVITED) > 1);
    /* Each first octet, as a long header of an unknown version and of version 1, and as a short one. */
    static const uint32_t versions[] = {0, QUIC_VERSION_1, QUIC_VERSION_2, 0x1a2a3a4a, 0x12345678};
    for (unsigned first = 0; first < 256; first++) {
        for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
            struct writer writer = writer_init(data, sizeof(data));
            memset(data, (int)i, sizeof(data));
            write_u8(&writer, (uint8_t)first);
            write_u32(&writer, versions[i]);
            write_u8(&writer, 8);
            pair_deliver(&pair, true, NULL, data, first % 2 == 0 ? sizeof(data) : 41);
        }
    }
    pair_run(&pair, ROAM_SECONDS(4));
    assert_int_equal(stats().bytes_sent, 0);
    assert_int_equal(pair.sent_to_client, 0);
}

static void another_key_is_no_invitation(void **state)
{
    (void)state;
    be_silent(false);
    config.client.handshake_timeout = ROAM_SECONDS(3);
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_SECONDS(4));
    assert_int_equal(stats().bytes_sent, 0);
    assert_true(pair_drops(&pair.server, ROAM_DROP_UNINVITED) > 1);
}

static void who_is_invited_gets_in(void **state)
{
    (void)state;
    be_silent(true);
    pair_start(&pair, &config);
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "works", ROAM_SECONDS(1)));
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_UNINVITED), 0);
}

static void an_invitation_proves_no_address(void **state)
{
    (void)state;
    be_silent(true);
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    assert_int_equal(stats().retries_sent, 1);
}

static void an_invitation_serves_once(void **state)
{
    (void)state;
    be_silent(true);
    start();
    come_from(1, 1);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 1);
    const uint64_t sent = stats().bytes_sent;
    come_from(1, 2);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), 1);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_UNINVITED), 1);
    assert_int_equal(stats().bytes_sent, sent);
}

static bool lose_all_but_keep_the_first(struct pair *of, bool to_server, roam_datagram *datagram)
{
    keep_flight(of, to_server, datagram);
    return false;
}

/* Whether the first flight is heard when it comes so long after. */
static bool is_heard_after(roam_time span)
{
    flight.len = 0;
    pair_connect(&pair, &config);
    pair_run(&pair, span);
    const uint64_t before = pair_drops(&pair.server, ROAM_DROP_UNINVITED);
    come_from(1, 1);
    return pair_drops(&pair.server, ROAM_DROP_UNINVITED) == before;
}

static void an_invitation_is_of_now(void **state)
{
    (void)state;
    be_silent(true);
    config.client.handshake_timeout = ROAM_SECONDS(1);
    pair_start(&pair, &config);
    pair.hook = lose_all_but_keep_the_first;
    assert_true(is_heard_after(INVITATION_WINDOW - ROAM_SECONDS(1)));
    assert_false(is_heard_after(INVITATION_WINDOW + ROAM_SECONDS(1)));
}

static void an_invitation_is_for_one_connection_id(void **state)
{
    (void)state;
    const roam_cid dcid = {.len = 8, .bytes = {1}}, other = {.len = 8, .bytes = {2}};
    uint8_t key[TOKEN_KEY_BYTES], data[TOKEN_BYTES_MAX];
    struct token token;
    be_silent(true);
    pair_start(&pair, &config);
    invitation_key_derive(key, config.client.invitation_key);
    const size_t len = invitation_seal(data, key, &pair.client.endpoint->rng, &dcid, ROAM_SECONDS(500));
    assert_true(invitation_open(&token, key, data, len, &dcid, ROAM_SECONDS(500)));
    assert_true(token.mark != 0);
    assert_true(invitation_open(&token, key, data, len, &dcid, ROAM_SECONDS(500) - INVITATION_WINDOW));
    assert_false(invitation_open(&token, key, data, len, &dcid, ROAM_SECONDS(499) - INVITATION_WINDOW));
    assert_false(invitation_open(&token, key, data, len, &other, ROAM_SECONDS(500)));
    for (size_t i = 0; i < len; i++) {
        data[i] ^= 1;
        assert_false(invitation_open(&token, key, data, len, &dcid, ROAM_SECONDS(500)));
        data[i] ^= 1;
        assert_false(invitation_open(&token, key, data, i, &dcid, ROAM_SECONDS(500)));
    }
    /* Whoever was invited can make no token of the server's with it. */
    const struct token forged = {.kind = TOKEN_NEW, .version = QUIC_VERSION_1, .issued = ROAM_SECONDS(500)};
    const size_t forged_len = token_seal(data, key, &pair.client.endpoint->rng, &forged, &pair.client_address);
    assert_false(invitation_open(&token, key, data, forged_len, &dcid, ROAM_SECONDS(500)));
}

static void a_token_of_the_servers_is_as_good(void **state)
{
    (void)state;
    static uint8_t token[sizeof(pair.client.token)];
    be_silent(true);
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_true(pair.client.token_bytes > 0);
    memcpy(token, pair.client.token, sizeof(token));
    config.client.invitation_key_set = false;
    config.client.token = token;
    config.client.token_bytes = pair.client.token_bytes;
    pair.server.conn = NULL;
    pair_connect(&pair, &config);
    pair_handshake(&pair);
}

static void an_unknown_connection_is_not_reset(void **state)
{
    (void)state;
    be_silent(true);
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    pair_replace_server(&pair, &config);
    roam_stream_write(roam_stream_open(pair.client.conn, false, NULL), "lost", 4);
    pair_run(&pair, ROAM_SECONDS(5));
    assert_int_equal(stats().stateless_resets_sent, 0);
    assert_true(pair_drops(&pair.server, ROAM_DROP_UNKNOWN_CONNECTION) > 0);
    assert_int_equal(stats().bytes_sent, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_prefix_begins_so_many_handshakes_a_second_without_proof),
        TEST(all_prefixes_together_begin_so_many),
        TEST(where_there_is_no_retry_the_others_are_dropped),
        TEST(a_prefix_has_so_many_handshakes_in_progress_without_proof),
        TEST(who_proves_its_address_is_counted_apart),
        TEST(a_prefix_has_so_many_handshakes_in_progress_with_proof),
        TEST(all_handshakes_in_progress_are_limited),
        TEST(retries_are_limited_for_each_prefix_and_in_all),
        TEST(prefixes_are_24_bits_of_ipv4_and_56_of_ipv6),
        TEST(without_room_nobody_else_is_let_in),
        TEST(the_newest_handshakes_make_room_for_who_is_here),
        TEST(beyond_the_limit_there_is_no_memory),
        TEST(a_stranger_hears_nothing),
        TEST(another_key_is_no_invitation),
        TEST(who_is_invited_gets_in),
        TEST(an_invitation_proves_no_address),
        TEST(an_invitation_serves_once),
        TEST(an_invitation_is_of_now),
        TEST(an_invitation_is_for_one_connection_id),
        TEST(a_token_of_the_servers_is_as_good),
        TEST(an_unknown_connection_is_not_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
