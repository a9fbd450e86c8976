/* The server's preferred address (RFC 9000 section 9.6) where no network is needed: what may be configured, what a
 * client takes for an error, and where it knows its server to be. The rest is played in the simulated world, S060 to
 * S065. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conn/preferred.h"
#include "endpoint/endpoint.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;

static roam_address address_of(const char *text)
{
    roam_address address;
    assert_true(roam_address_parse(&address, text));
    return address;
}

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static void only_an_address_that_can_be_spoken_to_may_be_preferred(void **state)
{
    (void)state;
    const roam_address ipv4 = address_of("203.0.113.6:4433"), ipv6 = address_of("[2001:db8::6]:4433");
    const roam_address no_port = address_of("203.0.113.6"), anywhere = address_of("0.0.0.0:4433");
    pair_start(&pair, &config);
    roam_endpoint *server = pair.server.endpoint;
    assert_int_equal(roam_endpoint_prefer(server, &ipv4, &ipv6), ROAM_OK);
    assert_int_equal(roam_endpoint_prefer(server, NULL, &ipv6), ROAM_OK);
    assert_int_equal(roam_endpoint_prefer(server, &ipv6, &ipv4), ROAM_ERR_CONFIG);
    assert_int_equal(roam_endpoint_prefer(server, &no_port, NULL), ROAM_ERR_CONFIG);
    assert_int_equal(roam_endpoint_prefer(server, &anywhere, NULL), ROAM_ERR_CONFIG);
    assert_int_equal(roam_endpoint_prefer(server, NULL, NULL), ROAM_OK);
    /* An endpoint that accepts nothing prefers nothing. */
    assert_int_equal(roam_endpoint_prefer(pair.client.endpoint, &ipv4, NULL), ROAM_ERR_CONFIG);
}

static void a_server_with_zero_length_cids_cannot_prefer(void **state)
{
    //= rfc9000#18.2-4 Zero-length-CID server gives no preferred address.
    (void)state;
    const roam_address ipv4 = address_of("203.0.113.6:4433");
    roam_result result;
    pair_start(&pair, &config);
    roam_endpoint_config endpoint = config.server_endpoint;
    endpoint.cid_bytes = 0;
    config.server.preferred_ipv4 = ipv4;
    assert_null(roam_endpoint_new(&endpoint, pair.now, &result));
    assert_int_equal(result, ROAM_ERR_CONFIG);
    config.server.preferred_ipv4 = (roam_address){0};
    roam_endpoint *without = roam_endpoint_new(&endpoint, pair.now, &result);
    assert_non_null(without);
    assert_int_equal(roam_endpoint_prefer(without, &ipv4, NULL), ROAM_ERR_CONFIG);
    roam_endpoint_free(without);
}

/* A client that has heard from a server, up to its transport parameters. */
static roam_conn *client_with_params(const roam_cid *server_cid)
{
    pair_start(&pair, &config);
    roam_conn *conn = pair.client.conn;
    struct handshake *handshake = conn->handshake;
    remote_cid_replace_initial(&conn->remote_cids, server_cid);
    handshake->params_received = true;
    handshake->initial_scid = handshake->peer.initial_source_cid = *server_cid;
    handshake->peer.original_destination_cid = handshake->original_dcid;
    handshake->peer.has_initial_source_cid = handshake->peer.has_original_destination_cid = true;
    handshake->peer.has_preferred_address = true;
    handshake->peer.preferred_address.ipv4 = address_of("203.0.113.6:4433");
    handshake->peer.preferred_address.ipv6 = address_of("[2001:db8::6]:4433");
    handshake->peer.preferred_address.cid = (roam_cid){.len = 8, .bytes = "prefers"};
    return conn;
}

static void a_preferred_address_from_a_server_with_zero_length_cids_is_an_error(void **state)
{
    //= rfc9000#18.2-6 Client treats violations as TRANSPORT_PARAMETER_ERROR.
    (void)state;
    roam_conn *conn = client_with_params(&(roam_cid){0});
    assert_int_equal(conn_params_apply(conn), ROAM_TRANSPORT_PARAMETER_ERROR);
    assert_int_equal(roam_conn_error(conn)->cause, ROAM_CLOSE_LOCAL_TRANSPORT);
    assert_int_equal(roam_conn_error(conn)->code, ROAM_TRANSPORT_PARAMETER_ERROR);
}

static void a_client_knows_where_its_server_is_in_each_family(void **state)
{
    //= rfc9000#9.6.3-6 Keep the address family when migrating to a preferred address.
    //= rfc9000#9.6.3-7 The preferred_address CID may be used on any path.
    (void)state;
    const roam_cid server_cid = {.len = 8, .bytes = "servers"};
    roam_address found;
    roam_conn *conn = client_with_params(&server_cid);
    assert_int_equal(conn_params_apply(conn), ROAM_NO_ERROR);
    assert_non_null(conn->client->server_params);
    const struct preferred_address *preferred = &conn->client->server_params->preferred_address;
    assert_int_equal(remote_cid_spare(&conn->remote_cids), 1);
    assert_int_equal(conn->preferred, PREFERRED_OFFERED);
    assert_true(conn_server_address(conn, ROAM_FAMILY_IPV4, &found));
    assert_true(roam_address_equal(&found, &pair.server_address));
    assert_true(conn_server_address(conn, ROAM_FAMILY_IPV6, &found));
    assert_true(roam_address_equal(&found, &preferred->ipv6));
    /* Where the server has disabled migration, its preferred address is the only place to move to. */
    conn->peer.disable_active_migration = true;
    assert_true(conn_is_closed_to_moves(conn, &pair.server_address));
    assert_false(conn_is_closed_to_moves(conn, &preferred->ipv4));
    assert_true(conn_server_address(conn, ROAM_FAMILY_IPV4, &found));
    assert_true(roam_address_equal(&found, &preferred->ipv4));
    assert_false(conn_server_address(conn, ROAM_FAMILY_NONE, &found));
}

static void a_client_forgets_an_address_that_leads_inside(void **state)
{
    //= rfc9000#21.5.6-3 A change from a global to a link-local or private address may be refused as possible request
    // forgery.
    (void)state;
    const roam_cid server_cid = {.len = 8, .bytes = "servers"};
    roam_address found;
    roam_conn *conn = client_with_params(&server_cid);
    conn->handshake->peer.preferred_address.ipv4 = address_of("169.254.169.254:443");
    conn->handshake->peer.preferred_address.ipv6 = address_of("[::1]:443");
    assert_int_equal(conn_params_apply(conn), ROAM_NO_ERROR);
    assert_int_equal(conn->preferred, PREFERRED_NONE);
    assert_false(conn_server_address(conn, ROAM_FAMILY_IPV6, &found));
    assert_true(conn_server_address(conn, ROAM_FAMILY_IPV4, &found));
    assert_true(roam_address_equal(&found, &pair.server_address));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_an_address_that_can_be_spoken_to_may_be_preferred),
        TEST(a_server_with_zero_length_cids_cannot_prefer),
        TEST(a_preferred_address_from_a_server_with_zero_length_cids_is_an_error),
        TEST(a_client_knows_where_its_server_is_in_each_family),
        TEST(a_client_forgets_an_address_that_leads_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
