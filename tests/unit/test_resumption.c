/* Sessions from one connection to the next: told with each ticket, resumed without a certificate, left out where they do
 * not serve, and never in the way of a handshake. */
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
    pair_give_static_key(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static void connect_first(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_SESSION), 1);
    assert_true(pair.client.session_bytes > 0);
}

/* Another connection with these octets for a session, which carries data. Returns whether both sides resumed. */
static bool connect_with(const uint8_t *session, size_t len)
{
    config.client.session = session;
    config.client.session_bytes = len;
    pair.server.conn = NULL;
    pair_forget_events(&pair);
    pair_connect(&pair, &config);
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "data", ROAM_MILLISECONDS(500)));
    assert_int_equal(pair_is_resumed(&pair.client), pair_is_resumed(&pair.server));
    return pair_is_resumed(&pair.client);
}

static bool connect_with_newest(void)
{
    static uint8_t session[sizeof(pair.client.session)];
    memcpy(session, pair.client.session, sizeof(session));
    return connect_with(session, pair.client.session_bytes);
}

static void a_session_is_resumed_and_brings_the_next_one(void **state)
{
    (void)state;
    connect_first();
    assert_false(pair_is_resumed(&pair.client));
    for (int i = 0; i < 3; i++) {
        assert_true(connect_with_newest());
        assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_SESSION), 1);
    }
}

static bool is_forward_secret(const struct pair_side *side)
{
    roam_conn_stats stats;
    roam_conn_get_stats(side->conn, &stats);
    return stats.forward_secrecy;
}

/* RFC 8446 section 4.2.9. */
static void fresh_keys_are_exchanged_unless_both_sides_do_without(void **state)
{
    (void)state;
    for (int wish = 0; wish < 4; wish++) {
        config.client.session = NULL;
        config.client.session_bytes = 0;
        config.client.resume_without_dh = wish & 1;
        config.server.resume_without_dh = wish & 2;
        connect_first();
        assert_true(is_forward_secret(&pair.client) && is_forward_secret(&pair.server));
        assert_true(connect_with_newest());
        assert_int_equal(is_forward_secret(&pair.client), wish != 3);
        assert_int_equal(is_forward_secret(&pair.server), wish != 3);
        pair_stop(&pair);
    }
    pair_start(&pair, &config);
}

static void a_session_outlives_the_process_that_has_the_same_static_key(void **state)
{
    (void)state;
    connect_first();
    pair_replace_server(&pair, &config);
    assert_true(connect_with_newest());
    memset(config.server_endpoint.static_key, 8, sizeof(config.server_endpoint.static_key));
    pair_replace_server(&pair, &config);
    assert_false(connect_with_newest());
}

static void octets_that_are_no_session_mean_a_full_handshake(void **state)
{
    (void)state;
    static const uint8_t nonsense[100] = {1, 2, 3};
    connect_first();
    assert_false(connect_with(nonsense, sizeof(nonsense)));
}

static void a_session_without_octets_is_a_wrong_configuration(void **state)
{
    (void)state;
    roam_result result;
    connect_first();
    config.client.session = NULL;
    config.client.session_bytes = 5;
    assert_null(roam_connect(pair.client.endpoint, "203.0.113.5", 443, &config.client, pair.now, &result));
    assert_int_equal(result, ROAM_ERR_CONFIG);
}

static void a_program_that_knows_no_sessions_connects(void **state)
{
    (void)state;
    connect_first();
    config.client.session = (const uint8_t *)"what lies behind an older structure";
    config.client.session_bytes = SIZE_MAX;
    config.client.size = offsetof(roam_config, session);
    pair.server.conn = NULL;
    pair_connect(&pair, &config);
    pair_handshake(&pair);
    assert_false(pair_is_resumed(&pair.client));
}

static void a_resumed_handshake_checks_what_a_full_one_does(void **state)
{
    (void)state;
    static const char *const other[] = {"other", NULL};
    connect_first();
    config.client.session = pair.client.session;
    config.client.session_bytes = pair.client.session_bytes;
    config.client.alpn = other;
    pair.server.conn = NULL;
    pair_forget_events(&pair);
    pair_connect(&pair, &config);
    pair_run(&pair, ROAM_SECONDS(1));
    const roam_event *closed = pair_find_event(&pair.client, ROAM_EVENT_CLOSED);
    assert_non_null(closed);
    assert_int_equal(closed->error->code, ROAM_CRYPTO_ERROR + 120); /* no application protocol in common */
}

static unsigned drops;

/* The datagrams that bring the end of the handshake, and with it the ticket. */
static bool drop_one_rtt(struct pair *p, bool to_server, roam_datagram *datagram)
{
    (void)p;
    if (to_server || (datagram->data[0] & 0x80) != 0 || drops == 0)
        return true;
    drops--;
    return false;
}

static void a_ticket_that_was_lost_comes_again(void **state)
{
    (void)state;
    pair_start(&pair, &config);
    pair.hook = drop_one_rtt;
    drops = 3;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(drops, 0);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_NEW_SESSION), 1);
    assert_true(connect_with_newest());
}

static void a_client_waits_for_tickets_and_then_gives_tls_back(void **state)
{
    (void)state;
    connect_first();
    assert_non_null(pair.client.conn->handshake);
    assert_null(pair.server.conn->handshake);
    pair_run(&pair, TICKETS_PATIENCE + TRIM_AFTER);
    assert_null(pair.client.conn->handshake);
    assert_true(pair_carries(&pair, "data", ROAM_MILLISECONDS(500)));
}

static void a_busy_client_gives_tls_back_too(void **state)
{
    (void)state;
    connect_first();
    for (roam_time end = pair.now + TICKETS_PATIENCE; pair.now <= end;)
        assert_true(pair_carries(&pair, "data", ROAM_MILLISECONDS(200)));
    assert_null(pair.client.conn->handshake);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_is_resumed_and_brings_the_next_one),
        TEST(fresh_keys_are_exchanged_unless_both_sides_do_without),
        TEST(a_session_outlives_the_process_that_has_the_same_static_key),
        TEST(octets_that_are_no_session_mean_a_full_handshake),
        TEST(a_session_without_octets_is_a_wrong_configuration),
        TEST(a_program_that_knows_no_sessions_connects),
        TEST(a_resumed_handshake_checks_what_a_full_one_does),
        TEST(a_ticket_that_was_lost_comes_again),
        TEST(a_client_waits_for_tickets_and_then_gives_tls_back),
        TEST(a_busy_client_gives_tls_back_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
