/* A connection between its handshake and its end: key updates, silence, and the ways of ending (RFC 9000 section 10,
 * RFC 9001 section 6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "pair.h"
#include "sealed.h"

static struct pair pair;
static struct pair_config config;
static uint64_t to_server_count, to_client_count;

static bool count(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of, (void)datagram;
    (*(to_server ? &to_server_count : &to_client_count))++;
    return true;
}

static bool count_and_lose_for_server(struct pair *of, bool to_server, roam_datagram *datagram)
{
    count(of, to_server, datagram);
    return !to_server;
}

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    to_server_count = to_client_count = 0;
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
    pair.hook = count;
}

static void expect_octets(void)
{
    assert_true(pair_carries(&pair, "octets", ROAM_SECONDS(1)));
}

/* ---- Key updates */

static uint64_t updates(const struct pair_side *side)
{
    roam_conn_stats stats;
    roam_conn_get_stats(side->conn, &stats);
    return stats.key_updates;
}

static void either_side_may_update_the_keys(void **state)
{
    (void)state;
    begin();
    struct pair_side *sides[] = {&pair.client, &pair.server, &pair.client, &pair.client, &pair.server};
    for (size_t i = 0; i < ARRAY_LENGTH(sides); i++) {
        assert_int_equal(roam_conn_update_keys(sides[i]->conn, pair.now), ROAM_OK);
        expect_octets();
        assert_int_equal(updates(&pair.client), i + 1);
        assert_int_equal(updates(&pair.server), i + 1);
        /* Only what is acknowledged ends an update (RFC 9001 section 6.1), and ACKs alone are not. */
        roam_conn_ping(pair.client.conn, pair.now);
        roam_conn_ping(pair.server.conn, pair.now);
        pair_run(&pair, ROAM_SECONDS(3));
    }
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_KEY_UPDATED), ARRAY_LENGTH(sides));
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_KEY_UPDATED), ARRAY_LENGTH(sides));
}

static void both_sides_may_update_at_once(void **state)
{
    (void)state;
    begin();
    assert_int_equal(roam_conn_update_keys(pair.client.conn, pair.now), ROAM_OK);
    assert_int_equal(roam_conn_update_keys(pair.server.conn, pair.now), ROAM_OK);
    expect_octets();
    assert_int_equal(updates(&pair.client), 1);
    assert_int_equal(updates(&pair.server), 1);
}

static void a_second_update_waits_for_the_first(void **state)
{
    (void)state;
    begin();
    assert_int_equal(roam_conn_update_keys(pair.client.conn, pair.now), ROAM_OK);
    assert_int_equal(roam_conn_update_keys(pair.client.conn, pair.now), ROAM_ERR_STATE);
    expect_octets();
}

/* ---- Silence */

static void the_smaller_idle_timeout_counts_and_nobody_says_goodbye(void **state)
{
    (void)state;
    config.client.max_idle_timeout = ROAM_SECONDS(20);
    config.server.max_idle_timeout = ROAM_SECONDS(5);
    begin();
    pair_run(&pair, ROAM_MILLISECONDS(4000));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_ESTABLISHED);
    pair_run(&pair, ROAM_MILLISECONDS(1500));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_IDLE_TIMEOUT);
    assert_int_equal(roam_conn_error(pair.server.conn)->cause, ROAM_CLOSE_IDLE_TIMEOUT);
    assert_int_equal(to_server_count + to_client_count, 0);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CLOSED), 1);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_CLOSED), 1);
}

static void without_an_idle_timeout_connections_stay(void **state)
{
    (void)state;
    config.client.max_idle_timeout = config.server.max_idle_timeout = 0;
    begin();
    pair_run(&pair, ROAM_SECONDS(3600));
    expect_octets();
}

static void keep_alive_keeps_alive(void **state)
{
    (void)state;
    config.client.max_idle_timeout = config.server.max_idle_timeout = ROAM_SECONDS(5);
    config.client.keep_alive = ROAM_SECONDS(2);
    begin();
    pair_run(&pair, ROAM_SECONDS(60));
    assert_in_range(to_server_count, 25, 62); /* one PING each two seconds, and hardly more */
    expect_octets();
}

static void keep_alive_does_not_hide_a_dead_peer(void **state)
{
    (void)state;
    config.client.max_idle_timeout = config.server.max_idle_timeout = ROAM_SECONDS(5);
    config.client.keep_alive = ROAM_SECONDS(1);
    begin();
    pair.hook = count_and_lose_for_server;
    pair_run(&pair, ROAM_SECONDS(12));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_IDLE_TIMEOUT);
    assert_in_range(to_server_count, 1, 30);
}

/* ---- The end */

static void closing_answers_now_and_then_and_draining_is_silent(void **state)
{
    (void)state;
    static const uint8_t ping[32] = {0x01};
    uint8_t packet[128];
    begin();
    roam_conn_close(pair.client.conn, pair.now, 0, "bye");
    pair_run(&pair, 0);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSING);
    assert_int_equal(to_server_count, 1);
    for (int i = 0; i < 16; i++) {
        struct sealing sealing = {
            .from = pair.server.conn, .type = PACKET_ONE_RTT, .payload = ping, .payload_len = sizeof(ping)};
        pair_deliver(&pair, false, NULL, packet, seal_by_hand(&sealing, packet));
        pair_run(&pair, 0);
    }
    assert_int_equal(to_server_count, 1 + 5); /* the 1st, 2nd, 4th, 8th and 16th are answered */
    pair_run(&pair, ROAM_MILLISECONDS(25));
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_DRAINING);
    pair_run(&pair, ROAM_SECONDS(5));
    assert_int_equal(to_client_count, 0);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSED);
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_CLOSED);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CLOSED), 1);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_CLOSED), 1);
}

static void closing_lasts_three_probe_timeouts(void **state)
{
    (void)state;
    begin();
    roam_time pto = conn_pto(pair.client.conn);
    roam_conn_close(pair.client.conn, pair.now, 0, NULL);
    pair_run(&pair, 3 * pto - ROAM_MILLISECONDS(1));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSING);
    pair_run(&pair, ROAM_MILLISECONDS(2));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSED);
}

static void a_connection_given_back_is_forgotten_when_it_has_drained(void **state)
{
    (void)state;
    begin();
    roam_conn_free(pair.client.conn, pair.now);
    roam_conn *gone = pair.client.conn;
    pair.client.conn = NULL;
    assert_non_null(gone);
    pair_run(&pair, ROAM_SECONDS(5));
    assert_int_equal(roam_endpoint_connections(pair.client.endpoint, NULL, 0), 0);
    const struct roam_error *error = roam_conn_error(pair.server.conn);
    assert_int_equal(error->cause, ROAM_CLOSE_PEER_APPLICATION);
    roam_conn_free(pair.server.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(40));
    assert_int_equal(roam_endpoint_deadline(pair.client.endpoint), ROAM_TIME_NEVER);
    assert_int_equal(roam_endpoint_deadline(pair.server.endpoint), ROAM_TIME_NEVER);
    pair.server.conn = NULL;
}

/* RFC 9000 section 10.2.3: the application's code and words are not for those who may not be the peer. */
static void an_application_close_in_the_handshake_tells_no_secrets(void **state)
{
    (void)state;
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    assert_non_null(pair.server.conn);
    roam_conn_close(pair.server.conn, pair.now, 77, "secret");
    pair_run(&pair, ROAM_MILLISECONDS(100));
    const roam_error *error = roam_conn_error(pair.client.conn);
    assert_int_equal(error->cause, ROAM_CLOSE_PEER_TRANSPORT);
    assert_int_equal(error->code, ROAM_APPLICATION_ERROR);
    assert_string_equal(error->reason, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(either_side_may_update_the_keys),
        TEST(both_sides_may_update_at_once),
        TEST(a_second_update_waits_for_the_first),
        TEST(the_smaller_idle_timeout_counts_and_nobody_says_goodbye),
        TEST(without_an_idle_timeout_connections_stay),
        TEST(keep_alive_keeps_alive),
        TEST(keep_alive_does_not_hide_a_dead_peer),
        TEST(closing_answers_now_and_then_and_draining_is_silent),
        TEST(closing_lasts_three_probe_timeouts),
        TEST(a_connection_given_back_is_forgotten_when_it_has_drained),
        TEST(an_application_close_in_the_handshake_tells_no_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
