/* Moves that a client asks for and that cannot be begun: each is refused with its reason, and the connection goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"

static struct pair pair;
static struct pair_config config;

static roam_address of_family_6(void)
{
    roam_address ret;
    assert_true(roam_address_parse(&ret, "[2001:db8::5]:50000"));
    return ret;
}

static void begin(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(200));
}

static void expect_refused(const roam_address *local, roam_result migrate, roam_result rebind)
{
    roam_conn *conn = pair.client.conn;
    const roam_address before = *roam_conn_local_address(conn);
    assert_int_equal(roam_conn_migrate(conn, pair.now, local), migrate);
    assert_int_equal(roam_conn_probe(conn, pair.now, local), migrate);
    if (rebind != ROAM_OK)
        assert_int_equal(roam_conn_rebind(conn, pair.now, local), rebind);
    assert_true(roam_address_equal(roam_conn_local_address(conn), &before));
    assert_true(pair_carries(&pair, "on", ROAM_SECONDS(1)));
}

static void to_no_address_or_one_of_another_family(void **state)
{
    (void)state;
    const roam_address nowhere = {0}, six = of_family_6();
    pair_prepare(&config);
    begin();
    expect_refused(&nowhere, ROAM_ERR_ADDRESS, ROAM_ERR_ADDRESS);
    expect_refused(&six, ROAM_ERR_ADDRESS, ROAM_ERR_ADDRESS);
    pair_stop(&pair);
}

static void before_the_handshake_and_by_a_server(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_start(&pair, &config);
    roam_address next = pair.client_address;
    next.port++;
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &next), ROAM_ERR_STATE);
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &next), ROAM_ERR_STATE);
    pair_handshake(&pair);
    assert_int_equal(roam_conn_migrate(pair.server.conn, pair.now, &next), ROAM_ERR_STATE);
    assert_int_equal(roam_conn_rebind(pair.server.conn, pair.now, &next), ROAM_ERR_STATE);
    pair_stop(&pair);
}

static void with_a_server_that_has_no_cids_and_says_so(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.server_endpoint.cid_bytes = 0;
    begin();
    roam_address next = pair.client_address;
    next.port++;
    expect_refused(&next, ROAM_ERR_DISABLED, ROAM_OK);
    pair_stop(&pair);
}

static void with_a_server_that_forbids_it(void **state)
{
    //= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address.
    (void)state;
    pair_prepare(&config);
    config.server.disable_active_migration = true;
    begin();
    roam_address next = pair.client_address;
    next.port++;
    expect_refused(&next, ROAM_ERR_DISABLED, ROAM_OK);
    pair_stop(&pair);
}

/* With each CID comes one path; when the spare ones are used up, the next has to wait for a new one. */
static void when_all_cids_are_in_use(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.client.active_connection_id_limit = 2;
    config.client.max_paths = 16;
    begin();
    roam_address next = pair.client_address;
    roam_result result = ROAM_OK;
    for (int i = 0; i < 3 && result == ROAM_OK; i++) {
        next.port++;
        result = roam_conn_probe(pair.client.conn, pair.now, &next);
    }
    assert_int_equal(result, ROAM_ERR_NO_CID);
    assert_true(pair_carries(&pair, "on", ROAM_SECONDS(1)));
    pair_stop(&pair);
}

static void after_the_end(void **state)
{
    (void)state;
    pair_prepare(&config);
    begin();
    roam_address next = pair.client_address;
    next.port++;
    roam_conn_close(pair.client.conn, pair.now, 0, "");
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &next), ROAM_ERR_CLOSED);
    assert_int_equal(roam_conn_probe(pair.client.conn, pair.now, &next), ROAM_ERR_CLOSED);
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &next), ROAM_ERR_CLOSED);
    assert_int_equal(roam_conn_update_keys(pair.client.conn, pair.now), ROAM_ERR_CLOSED);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_no_address_or_one_of_another_family),
        cmocka_unit_test(before_the_handshake_and_by_a_server),
        cmocka_unit_test(with_a_server_that_has_no_cids_and_says_so),
        cmocka_unit_test(with_a_server_that_forbids_it),
        cmocka_unit_test(when_all_cids_are_in_use),
        cmocka_unit_test(after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
