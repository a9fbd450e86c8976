/* Tokens from one connection to the next: given after each move, believed once, by the next process too. */
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

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_give_static_key(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static roam_endpoint_stats server_stats(void)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(pair.server.endpoint, &stats);
    return stats;
}

static void connect_first(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_TOKEN), 1);
}

/* Another connection with the token that came last; returns how many Retries that took. */
static uint64_t connect_with_token(void)
{
    static uint8_t token[sizeof(pair.client.token)];
    uint64_t before = server_stats().retries_sent;
    memcpy(token, pair.client.token, pair.client.token_bytes);
    config.client.token = token;
    config.client.token_bytes = pair.client.token_bytes;
    pair.server.conn = NULL;
    pair_connect(&pair, &config);
    pair_handshake(&pair);
    return server_stats().retries_sent - before;
}

static void a_token_serves_for_one_connection(void **state)
{
    //= rfc9000#8.1.4-6 Token replay is prevented or bounded.
    //= rfc9000#8.1.4-8 NEW_TOKEN tokens are not accepted more than once.
    //= rfc9000#21.3-1 Limit token use and lifetime against spoofed 0-RTT amplification.
    (void)state;
    connect_first();
    const struct pair_side first = pair.client;
    assert_int_equal(connect_with_token(), 0);
    memcpy(pair.client.token, first.token, sizeof(first.token));
    assert_int_equal(connect_with_token(), 1);
    assert_int_equal(server_stats().drops[ROAM_DROP_TOKEN_REPLAYED], 1);
}

static void tokens_beyond_those_remembered_are_counted(void **state)
{
    (void)state;
    config.server_endpoint.tokens_remembered = 2; /* the Retry token of the first is one of them */
    connect_first();
    assert_int_equal(connect_with_token(), 0);
    assert_int_equal(server_stats().limits[ROAM_LIMIT_USED_TOKENS], 0);
    assert_int_equal(connect_with_token(), 0);
    assert_int_equal(server_stats().limits[ROAM_LIMIT_USED_TOKENS], 1);
}

/* Initials that clients have sent to the server. */
static struct {
    uint8_t data[2048];
    size_t len;
} kept_initial;

static bool keep_initial(struct pair *p, bool to_server, roam_datagram *datagram)
{
    (void)p;
    if (to_server && (datagram->data[0] & 0xf0) == 0xc0 && kept_initial.len == 0) {
        memcpy(kept_initial.data, datagram->data, datagram->len);
        kept_initial.len = datagram->len;
    }
    return true;
}

static void a_replayed_initial_with_its_token_gets_no_more_than_three_times_its_size(void **state)
{
    //= rfc9000#8.1-2 Before validation a server never sends more than three times the bytes received.
    //= rfc9000#8.1.4-6 Token replay is prevented or bounded.
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_NEVER;
    connect_first();
    kept_initial.len = 0;
    pair.hook = keep_initial;
    connect_with_token();
    roam_conn_close(pair.client.conn, pair.now, 0, NULL);
    pair_run(&pair, ROAM_SECONDS(5));
    roam_conn_free(pair.server.conn, pair.now);
    pair.server.conn = NULL;
    pair_run(&pair, ROAM_SECONDS(5));
    roam_address victim;
    assert_true(kept_initial.len >= 1200 && roam_address_parse(&victim, "192.168.1.10:40000"));
    uint64_t sent = server_stats().bytes_sent;
    pair_deliver(&pair, true, &victim, kept_initial.data, kept_initial.len);
    pair_run(&pair, ROAM_SECONDS(30));
    assert_in_range(server_stats().bytes_sent - sent, 1, 3 * kept_initial.len);
    assert_int_equal(server_stats().drops[ROAM_DROP_TOKEN_REPLAYED], 1);
}

static void a_retry_token_serves_once(void **state)
{
    //= rfc9000#8.1.3-3 Client never reuses a Retry token on a later connection.
    //= rfc9000#8.1.4-6 Token replay is prevented or bounded.
    (void)state;
    kept_initial.len = 0;
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(45)); /* the Retry has come */
    pair.hook = keep_initial;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    roam_conn_close(pair.client.conn, pair.now, 0, NULL);
    pair_run(&pair, ROAM_SECONDS(1));
    roam_conn_free(pair.server.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_true(kept_initial.len >= 1200);
    uint64_t accepted = server_stats().connections_accepted;
    pair_deliver(&pair, true, NULL, kept_initial.data, kept_initial.len);
    assert_int_equal(server_stats().connections_accepted, accepted);
    assert_int_equal(server_stats().drops[ROAM_DROP_TOKEN_REPLAYED], 1);
}

static void tokens_outlive_a_restart_by_key_and_time_of_day(void **state)
{
    //= rfc9000#8.1.3-5 Tokens expire.
    (void)state;
    config.server_endpoint.unix_time_offset = ROAM_SECONDS(1700000000);
    connect_first();
    /* The machine was off for 23 hours, and its clock begins anew. */
    config.server_endpoint.unix_time_offset += ROAM_SECONDS(23 * 3600);
    pair_replace_server(&pair, &config);
    assert_int_equal(connect_with_token(), 0);
    /* And for two more. */
    pair_run(&pair, ROAM_MILLISECONDS(500));
    config.server_endpoint.unix_time_offset += ROAM_SECONDS(25 * 3600);
    pair_replace_server(&pair, &config);
    assert_int_equal(connect_with_token(), 1);
    assert_int_equal(server_stats().drops[ROAM_DROP_TOKEN_INVALID], 1);
}

static void a_host_that_slept_knows_the_time_of_day(void **state)
{
    (void)state;
    config.server_endpoint.unix_time_offset = ROAM_SECONDS(1700000000);
    connect_first();
    roam_endpoint_woke(pair.server.endpoint, pair.now, ROAM_SECONDS(25 * 3600));
    assert_int_equal(connect_with_token(), 1);
}

static void each_new_address_of_a_client_earns_a_token_once_it_is_proven(void **state)
{
    //= rfc9000#9.3-8 Send new NEW_TOKEN tokens after verifying a new client address.
    //= rfc9000#21.5.6-5 Withhold NEW_TOKEN values before validation.
    (void)state;
    config.server_endpoint.retry = ROAM_RETRY_NEVER;
    connect_first();
    roam_address rebound, second;
    assert_true(roam_address_parse(&rebound, "192.168.7.7:50000"));
    assert_true(roam_address_parse(&second, "10.0.0.20:51000"));
    /* Without notice: the proof comes after the move. */
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &rebound), ROAM_OK);
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_MILLISECONDS(55));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_TOKEN), 1);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_TOKEN), 2);
    /* With care: the proof comes first. */
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &second), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_TOKEN), 3);
    /* The newest is for the newest address, and for no other. */
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_replace_server(&pair, &config);
    pair.client_address = second;
    assert_int_equal(connect_with_token(), 0);
    /* There and back, nothing new is proven. */
    pair_run(&pair, ROAM_SECONDS(1));
    pair_forget_events(&pair);
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &rebound), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &second), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_TOKEN), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_serves_for_one_connection),
        TEST(tokens_beyond_those_remembered_are_counted),
        TEST(a_replayed_initial_with_its_token_gets_no_more_than_three_times_its_size),
        TEST(a_retry_token_serves_once),
        TEST(tokens_outlive_a_restart_by_key_and_time_of_day),
        TEST(a_host_that_slept_knows_the_time_of_day),
        TEST(each_new_address_of_a_client_earns_a_token_once_it_is_proven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
