/* What of one connection is good for the next: tokens and sessions are of one version of QUIC, RFC 9369 section 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "endpoint/endpoint.h"
#include "pair.h"

#define V1 QUIC_VERSION_1
#define V2 QUIC_VERSION_2

static struct pair pair;
static struct pair_config config;

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_give_static_key(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static void expect_version(uint32_t version)
{
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "works", ROAM_SECONDS(1)));
    assert_int_equal(pair_version(&pair.client), version);
    assert_int_equal(pair_version(&pair.server), version);
}

static uint8_t token[1024], session[4096];

static void connect_first(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_true(pair.client.token_bytes > 4 && pair.client.session_bytes > 0);
}

/* Another connection, beginning in this version, with what the last one has left. */
static void connect_again(uint32_t version)
{
    memcpy(token, pair.client.token, pair.client.token_bytes);
    memcpy(session, pair.client.session, pair.client.session_bytes);
    config.client.token = token;
    config.client.token_bytes = pair.client.token_bytes;
    config.client.session = session;
    config.client.session_bytes = pair.client.session_bytes;
    pair_allow_versions(&config.client, version, version == V1 ? V2 : V1);
    pair.server.conn = NULL;
    pair_forget_events(&pair);
    pair_connect(&pair, &config);
}

static void what_is_left_serves_for_the_same_version_only(void **state)
{
    //= rfc9369#5-1 Neither a token nor a ticket goes to a connection of another version.
    (void)state;
    const uint32_t versions[] = {V1, V2};
    for (size_t first = 0; first < 2; first++) {
        for (size_t second = 0; second < 2; second++) {
            if (first + second > 0) {
                tear_down(state);
                set_up(state);
            }
            pair_allow_versions(&config.client, versions[first], versions[1 - first]);
            connect_first();
            connect_again(versions[second]);
            assert_int_equal(pair.client.conn->handshake->token != NULL, first == second);
            pair_handshake(&pair);
            assert_int_equal(pair_is_resumed(&pair.client), first == second);
            assert_int_equal(pair_drops(&pair.server, ROAM_DROP_TOKEN_INVALID), 0);
        }
    }
}

static void what_is_left_belongs_to_the_negotiated_version(void **state)
{
    //= rfc9369#5-1 Not to the one that the client began with.
    //= rfc9369#5-2 The server knows it again in that version.
    (void)state;
    pair_allow_versions(&config.client, V1, V2);
    pair_allow_versions(&config.server, V2, V1);
    connect_first();
    assert_int_equal(pair_version(&pair.client), V2);
    connect_again(V2);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    assert_true(path_set_active(&pair.server.conn->paths)->address_validated);
    expect_version(V2);
    assert_true(pair_is_resumed(&pair.client) && pair_is_resumed(&pair.server));
}

/* As if a client did not care. */
static void pass_off_as(uint32_t version)
{
    const uint8_t octets[] = {(uint8_t)(version >> 24), (uint8_t)(version >> 16), (uint8_t)(version >> 8),
                              (uint8_t)version};
    memcpy(pair.client.token, octets, sizeof(octets));
    memcpy(pair.client.session + 1, octets, sizeof(octets));
    size_t hashed = pair.client.session_bytes - 32;
    sha256(pair.client.session, hashed, pair.client.session + hashed);
}

static void a_server_takes_nothing_of_another_version(void **state)
{
    //= rfc9369#5-2 A token proves nothing, a ticket is no session.
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t first = i == 0 ? V1 : V2, second = i == 0 ? V2 : V1;
        if (i > 0) {
            tear_down(state);
            set_up(state);
        }
        pair_allow_versions(&config.client, first, 0);
        connect_first();
        pass_off_as(second);
        connect_again(second);
        pair_run(&pair, ROAM_MILLISECONDS(25));
        assert_int_equal(pair_drops(&pair.server, ROAM_DROP_TOKEN_INVALID), 1);
        assert_false(path_set_active(&pair.server.conn->paths)->address_validated);
        expect_version(second);
        assert_false(pair_is_resumed(&pair.client));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_left_serves_for_the_same_version_only),
        TEST(what_is_left_belongs_to_the_negotiated_version),
        TEST(a_server_takes_nothing_of_another_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
