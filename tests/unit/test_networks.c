/* The host's networks as they are told, and what a connection makes of them: what is kept, what is refused, what it
 * costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "conn/mobility.h"
#include "path/networks.h"
#include "unit/pair.h"

static struct pair pair;
static struct pair_config config;

static void start(void)
{
    pair_start(&pair, &config);
    pair_connect(&pair, &config);
    pair_handshake(&pair);
}

static roam_network network_at(const char *address, const char *name)
{
    roam_network network = {.interface_index = 7};
    assert_true(roam_address_parse(&network.local, address));
    snprintf(network.name, sizeof(network.name), "%s", name);
    return network;
}

static void a_list_keeps_each_address_once_and_no_more_than_it_can(void **state)
{
    (void)state;
    struct network_list list = {0};
    roam_network networks[ROAM_NETWORKS_MAX + 8];
    for (size_t i = 0; i < ROAM_NETWORKS_MAX + 8; i++) {
        char text[32];
        snprintf(text, sizeof(text), "192.0.2.%zu:5000", i);
        networks[i] = network_at(text, "eth0");
    }
    memset(networks[0].name, 'x', sizeof(networks[0].name));
    networks[1].local = networks[0].local;
    networks[2].local = (roam_address){0};
    networks[3] = network_at("[::ffff:192.0.2.77]:5000", "eth0");
    assert_false(list.known);
    network_list_set(&list, networks, ROAM_NETWORKS_MAX + 8);
    assert_true(list.known);
    assert_int_equal(list.count, ROAM_NETWORKS_MAX);
    assert_int_equal(strlen(list.entries[0].name), ROAM_NETWORK_NAME_MAX - 1);
    assert_int_equal(list.entries[1].local.family, ROAM_FAMILY_IPV4);
    assert_ptr_equal(network_list_find(&list, &networks[3].local), &list.entries[1]);
    roam_address other_port = networks[4].local;
    other_port.port++;
    assert_null(network_list_find(&list, &other_port));
    assert_ptr_equal(network_list_find_ip(&list, &other_port), &list.entries[2]);
    assert_null(network_list_find(&list, &networks[ROAM_NETWORKS_MAX + 7].local));
    network_list_set(&list, NULL, 0);
    assert_true(list.known && list.count == 0);
}

static void rules_are_checked_counted_replaced_and_taken_back(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.client.mobility = ROAM_MOBILITY_AUTO;
    start();
    roam_conn *conn = pair.client.conn;
    assert_int_equal(roam_conn_network_rule(conn, pair.now, "", ROAM_NETWORK_FORBID), ROAM_ERR_ADDRESS);
    char name[ROAM_ADDRESS_TEXT_MAX + 1];
    memset(name, 'n', sizeof(name));
    name[ROAM_ADDRESS_TEXT_MAX] = '\0';
    assert_int_equal(roam_conn_network_rule(conn, pair.now, name, ROAM_NETWORK_FORBID), ROAM_ERR_ADDRESS);
    for (int i = 0; i < ROAM_NETWORK_RULES_MAX; i++) {
        snprintf(name, sizeof(name), "eth%d", i);
        assert_int_equal(roam_conn_network_rule(conn, pair.now, name, ROAM_NETWORK_FORBID), ROAM_OK);
        assert_int_equal(roam_conn_network_rule(conn, pair.now, name, ROAM_NETWORK_PREFER), ROAM_OK);
    }
    assert_int_equal(roam_conn_network_rule(conn, pair.now, "wlan0", ROAM_NETWORK_FORCE), ROAM_ERR_LIMIT);
    assert_int_equal(roam_conn_network_rule(conn, pair.now, "wlan0", ROAM_NETWORK_NEUTRAL), ROAM_OK);
    assert_int_equal(roam_conn_network_rule(conn, pair.now, "eth3", ROAM_NETWORK_NEUTRAL), ROAM_OK);
    assert_int_equal(roam_conn_network_rule(conn, pair.now, "192.0.2.9", ROAM_NETWORK_FORCE), ROAM_OK);
    roam_network network = network_at("192.0.2.9:1234", "eth3");
    assert_int_equal(network_rule_of(conn->mobility, &network), ROAM_NETWORK_FORCE);
    network = network_at("192.0.2.10:1234", "eth3");
    assert_int_equal(network_rule_of(conn->mobility, &network), ROAM_NETWORK_NEUTRAL);
    network = network_at("192.0.2.10:1234", "eth7");
    assert_int_equal(network_rule_of(conn->mobility, &network), ROAM_NETWORK_PREFER);
    assert_true(network_rules_force(conn->mobility));
    /* Who does not move by itself has no rules. */
    assert_int_equal(roam_conn_network_rule(pair.server.conn, pair.now, "eth0", ROAM_NETWORK_FORBID), ROAM_ERR_STATE);
    roam_conn_close(conn, pair.now, 0, NULL);
    assert_int_equal(roam_conn_network_rule(conn, pair.now, "eth0", ROAM_NETWORK_FORBID), ROAM_ERR_CLOSED);
    pair_stop(&pair);
}

static void a_connection_that_the_application_moves_hears_of_networks_and_stays(void **state)
{
    (void)state;
    pair_prepare(&config);
    start();
    assert_null(pair.client.conn->mobility);
    assert_null(pair.server.conn->mobility);
    roam_endpoint_networks(pair.client.endpoint, pair.now, NULL, 0);
    roam_endpoint_networks(pair.server.endpoint, pair.now, NULL, 0);
    roam_endpoint_send_failed(pair.client.endpoint, pair.now, &pair.client_address, &pair.server_address,
                              ROAM_SEND_ADDRESS_GONE, 1200);
    assert_true(pair_carries(&pair, "still here", ROAM_SECONDS(1)));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_PATH_LOST), 0);
    pair_stop(&pair);
}

static void what_was_not_sent_may_be_told_of_when_its_connection_is_gone(void **state)
{
    (void)state;
    pair_prepare(&config);
    start();
    assert_true(pair_carries(&pair, "on the way", ROAM_SECONDS(1)));
    roam_conn_free(pair.client.conn, pair.now);
    pair.client.conn = NULL;
    pair_run(&pair, ROAM_SECONDS(30));
    roam_endpoint_send_failed(pair.client.endpoint, pair.now, &pair.client_address, &pair.server_address,
                              ROAM_SEND_ADDRESS_GONE, 1200);
    pair_stop(&pair);
}

/* A connection to this very host, or over a socket of the application's: the list says nothing about it. */
static void a_connection_on_none_of_the_networks_is_not_judged_by_them(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.client.mobility = ROAM_MOBILITY_AUTO;
    start();
    roam_network network = network_at("192.0.2.199:4000", "eth9");
    roam_endpoint_networks(pair.client.endpoint, pair.now, &network, 1);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_PATH_LOST), 0);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_PATH_CHALLENGED), 0);
    assert_true(pair_carries(&pair, "still here", ROAM_SECONDS(1)));
    pair_stop(&pair);
}

static void what_a_connection_remembers_of_networks_is_small(void **state)
{
    (void)state;
    /* What it costs: less than a path for each network that there may be. */
    assert_true(sizeof(struct mobility) <= ROAM_NETWORKS_MAX * sizeof(struct path));
    assert_true(sizeof(struct mobility) <= 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_keeps_each_address_once_and_no_more_than_it_can),
        cmocka_unit_test(rules_are_checked_counted_replaced_and_taken_back),
        cmocka_unit_test(a_connection_that_the_application_moves_hears_of_networks_and_stays),
        cmocka_unit_test(what_was_not_sent_may_be_told_of_when_its_connection_is_gone),
        cmocka_unit_test(a_connection_on_none_of_the_networks_is_not_judged_by_them),
        cmocka_unit_test(what_a_connection_remembers_of_networks_is_small),
    };
    return cmocka_run_group_tests_name("networks", tests, NULL, NULL);
}
