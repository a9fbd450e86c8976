/* What keys may be used for at most (RFC 9001 section 6.6), as a connection keeps to it: at every level, whatever path the
 * packets take. The counters are set to where they would come after years. */
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

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_start(&pair, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static void expect_limit_reached(const struct pair_side *side)
{
    const roam_error *error = roam_conn_error(side->conn);
    assert_int_equal(error->cause, ROAM_CLOSE_LOCAL_TRANSPORT);
    assert_int_equal(error->code, ROAM_AEAD_LIMIT_REACHED);
}

static void meet(void)
{
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "hello", ROAM_SECONDS(1)));
    pair_forget_events(&pair);
}

static void keys_are_updated_long_before_they_are_used_up(void **state)
{
    (void)state;
    meet();
    pair.client.conn->keys.send.packets = CONFIDENTIALITY_LIMIT_AES_GCM / 2;
    assert_true(pair_carries(&pair, "on", ROAM_SECONDS(1)));
    assert_int_equal(pair.client.conn->keys.updates, 1);
    assert_int_equal(pair.server.conn->keys.updates, 1);
    assert_true(pair.client.conn->keys.send.packets < 100);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_KEY_UPDATED), 1);
}

static void a_probe_of_another_path_updates_them_too(void **state)
{
    (void)state;
    roam_address other = pair.client_address;
    meet();
    other.port++;
    pair.client.conn->keys.send.packets = CONFIDENTIALITY_LIMIT_AES_GCM / 2;
    assert_int_equal(roam_conn_probe(pair.client.conn, pair.now, &other), ROAM_OK);
    /* Nothing but the probe is due. */
    uint8_t data[2048];
    roam_datagram datagram = {.data = data, .capacity = sizeof(data)};
    assert_true(conn_transmit(pair.client.conn, pair.now, &datagram));
    assert_int_equal(datagram.local.port, other.port);
    assert_int_equal(pair.client.conn->keys.updates, 1);
    assert_int_equal(pair.client.conn->keys.send.packets, 1);
    pair_deliver(&pair, true, &other, datagram.data, datagram.len);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_PATH_VALIDATED), 1);
    assert_int_equal(pair.server.conn->keys.updates, 1);
}

/* The peer has acknowledged nothing of this phase, so that there is no next one yet. */
static void used_up_keys_end_the_connection(void **state)
{
    (void)state;
    meet();
    pair.client.conn->keys.acked = false;
    pair.client.conn->keys.send.packets = CONFIDENTIALITY_LIMIT_AES_GCM - 2;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    pair.client.conn->keys.acked = false;
    pair.client.conn->keys.send.packets = CONFIDENTIALITY_LIMIT_AES_GCM;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    expect_limit_reached(&pair.client);
}

static void used_up_keys_of_a_handshake_end_it(void **state)
{
    (void)state;
    pair.client.conn->handshake->send[SPACE_INITIAL].packets = CONFIDENTIALITY_LIMIT_AES_GCM;
    pair_run(&pair, ROAM_MILLISECONDS(1));
    expect_limit_reached(&pair.client);
}

static bool damage_initials(struct pair *which, bool to_server, roam_datagram *datagram)
{
    (void)which;
    if (!to_server)
        datagram->data[80] ^= 1;
    return true;
}

static void the_last_forgery_of_a_handshake_ends_it(void **state)
{
    (void)state;
    pair.hook = damage_initials;
    pair.client.conn->keys.failed = INTEGRITY_LIMIT_AES_GCM - 1;
    pair_run(&pair, ROAM_MILLISECONDS(100));
    expect_limit_reached(&pair.client);
}

static void the_last_forgery_of_an_application_packet_ends_the_connection(void **state)
{
    (void)state;
    uint8_t forgery[100];
    meet();
    memset(forgery, 0x55, sizeof(forgery));
    const roam_cid *cid = &pair.client.conn->local_cids.entries[0].cid;
    memcpy(forgery + 1, cid->bytes, cid->len);
    pair.client.conn->keys.failed = INTEGRITY_LIMIT_AES_GCM - 2;
    pair_deliver(&pair, false, NULL, forgery, sizeof(forgery));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    pair_deliver(&pair, false, NULL, forgery, sizeof(forgery));
    expect_limit_reached(&pair.client);
}

/* 2^36 forgeries, and no number of packets. */
static void chacha20_has_limits_of_its_own(void **state)
{
    (void)state;
    pair_stop(&pair);
    config.client.ciphers = config.server.ciphers = ROAM_CHACHA20_POLY1305;
    pair_start(&pair, &config);
    meet();
    pair.client.conn->keys.send.packets = UINT64_C(1) << 40;
    assert_true(pair_carries(&pair, "on", ROAM_SECONDS(1)));
    assert_int_equal(pair.client.conn->keys.updates, 0);
    assert_false(key_update_count_failure(&pair.client.conn->keys, AEAD_CHACHA20_POLY1305));
    pair.client.conn->keys.failed = INTEGRITY_LIMIT_CHACHA20 - 1;
    assert_true(key_update_count_failure(&pair.client.conn->keys, AEAD_CHACHA20_POLY1305));
    assert_false(key_update_count_failure(&pair.client.conn->keys, AEAD_AES_128_GCM));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(keys_are_updated_long_before_they_are_used_up),
        TEST(a_probe_of_another_path_updates_them_too),
        TEST(used_up_keys_end_the_connection),
        TEST(used_up_keys_of_a_handshake_end_it),
        TEST(the_last_forgery_of_a_handshake_ends_it),
        TEST(the_last_forgery_of_an_application_packet_ends_the_connection),
        TEST(chacha20_has_limits_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
