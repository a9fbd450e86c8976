/*
 * The host's networks as they come and go under a client that moves by itself: none at all for a while, an address that
 * returns, sockets that refuse or block, a laptop that sleeps; and what the application and the server forbid.
 */
#include "path/mobility.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

//= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address.
//= rfc9000#9-5 Discard state when no validated path exists.
//= rfc9000#9-6 Wait for a new path before discarding.

static bool lab_open_watching(struct lab *lab)
{
    lab->config.watch = true;
    return lab_open(lab) && lab_connect(lab) && lab_run(lab, ROAM_SECONDS(1));
}

static struct host *client_host(struct lab *lab)
{
    return lab->clients[0].host;
}

static struct interface *interface_of(struct lab *lab, size_t i)
{
    return lab->clients[0].interfaces[i];
}

static uint64_t client_count(struct lab *lab, roam_event_type type)
{
    return lab_client(lab)->history.counts[type];
}

static const struct app_event *client_event(struct lab *lab, roam_event_type type, size_t n)
{
    return app_history_find(&lab_client(lab)->history, type, n);
}

static bool client_is_on(struct lab *lab, size_t interface)
{
    roam_path_info path = lab_active(lab_client(lab)->conn);
    return roam_address_same_ip(&path.local, &interface_of(lab, interface)->node.ip);
}

/* ---- No network at all ----------------------------------------------------------------------------------------- */

static void s024_a_connection_without_any_network_waits_and_resumes_on_the_first_that_appears(struct lab *lab)
{
    EXPECT(lab, lab_open_watching(lab));
    interface_lose_address(interface_of(lab, 1));
    lab_begin(lab, TRANSFER_DOWNLOAD, 2000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(400)));
    interface_lose_address(interface_of(lab, 0));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_LOST) == 1);
    /* Two seconds in which nothing leaves and nothing wakes but what was due before. */
    uint64_t sent = client_host(lab)->datagrams_out, wakes = client_host(lab)->wakes;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, client_host(lab)->datagrams_out == sent && client_host(lab)->failed == 0);
    EXPECT(lab, client_host(lab)->wakes - wakes <= 4);
    roam_time back = world_now(&lab->world);
    interface_get_address(interface_of(lab, 1), 0);
    const struct app_event *moved = client_event(lab, ROAM_EVENT_PATH_MOVED, 0);
    EXPECT(lab, moved != NULL && moved->time == back && moved->why == ROAM_MOVE_ADDRESS_GONE && client_is_on(lab, 1));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_LOST) == 1 && client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void s024_a_connection_without_any_network_waits_no_longer_than_its_idle_timeout(struct lab *lab)
{
    EXPECT(lab, lab_open_watching(lab) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    roam_time last = world_now(&lab->world);
    interface_lose_address(interface_of(lab, 1));
    interface_lose_address(interface_of(lab, 0));
    lab_begin(lab, TRANSFER_UPLOAD, 100000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(28)) && !lab_client(lab)->closed);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(4)) && lab_client(lab)->closed);
    EXPECT(lab, lab_client(lab)->error.cause == ROAM_CLOSE_IDLE_TIMEOUT);
    EXPECT(lab, world_now(&lab->world) - last <= ROAM_SECONDS(33));
}

static void s024_an_application_that_rebinds_ends_the_wait(struct lab *lab)
{
    lab->config.server.disable_active_migration = true;
    EXPECT(lab, lab_open_watching(lab));
    interface_lose_address(interface_of(lab, 0));
    lab_begin(lab, TRANSFER_DOWNLOAD, 200000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && client_count(lab, ROAM_EVENT_PATH_LOST) == 1);
    /* What a NAT might do is beyond what the server can forbid, and the application may do it too. */
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && client_is_on(lab, 1));
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- Sockets that refuse --------------------------------------------------------------------------------------- */

static void refuse(struct lab *lab, enum roam_send_failure why)
{
    EXPECT(lab, lab_open_watching(lab));
    lab_begin(lab, TRANSFER_UPLOAD, 1000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
    interface_of(lab, 0)->fails = true;
    interface_of(lab, 0)->why = why;
    roam_time refused = world_now(&lab->world);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
    const struct app_event *moved = client_event(lab, ROAM_EVENT_PATH_MOVED, 0);
    EXPECT(lab, moved != NULL && moved->why == ROAM_MOVE_SEND_FAILED && client_is_on(lab, 1));
    EXPECT(lab, moved->time - refused <= ROAM_MILLISECONDS(52));
    /* Nothing more was tried there than what had been given out already. */
    EXPECT(lab, client_host(lab)->failed <= 2);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void s026_a_network_that_is_unreachable_is_left_at_once(struct lab *lab)
{
    refuse(lab, ROAM_SEND_UNREACHABLE);
}

static void s026_an_interface_that_is_down_is_left_at_once(struct lab *lab)
{
    refuse(lab, ROAM_SEND_NETWORK_DOWN);
}

static void s026_where_all_networks_refuse_they_are_tried_in_turn_and_seldom(struct lab *lab)
{
    EXPECT(lab, lab_open_watching(lab));
    lab_begin(lab, TRANSFER_UPLOAD, 300000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
    for (size_t i = 0; i < 2; i++) {
        interface_of(lab, i)->fails = true;
        interface_of(lab, i)->why = ROAM_SEND_UNREACHABLE;
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(20)));
    EXPECT(lab, client_host(lab)->failed <= 100 && client_count(lab, ROAM_EVENT_PATH_MOVED) <= 10);
    interface_of(lab, 0)->fails = interface_of(lab, 1)->fails = false;
    host_announce(client_host(lab));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(60)));
    EXPECT(lab, lab_goodbye(lab));
}

static void b35_an_address_that_is_not_available_is_not_tried_for_ever(struct lab *lab)
{
    /* The socket says so before anybody else does. */
    refuse(lab, ROAM_SEND_ADDRESS_GONE);
}

static void s042_a_challenge_that_a_full_socket_holds_back_is_sent_later(struct lab *lab)
{
    lab->config.watch = true;
    EXPECT(lab, lab_open(lab));
    interface_set_blocked(interface_of(lab, 1), true);
    EXPECT(lab, lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && client_count(lab, ROAM_EVENT_PATH_VALIDATED) == 0);
    EXPECT(lab,
           client_count(lab, ROAM_EVENT_PATH_CHALLENGED) >= 1 && client_count(lab, ROAM_EVENT_PATH_CHALLENGED) <= 4);
    interface_set_blocked(interface_of(lab, 1), false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && client_count(lab, ROAM_EVENT_PATH_VALIDATED) == 1);
    /* Blocked for so long that it fails: that path alone, and it is asked again. */
    interface_lose_address(interface_of(lab, 1));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    interface_set_blocked(interface_of(lab, 1), true);
    interface_get_address(interface_of(lab, 1), 0);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(8)) && client_count(lab, ROAM_EVENT_PATH_FAILED) >= 1);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && client_is_on(lab, 0));
    host_forget_waiting(client_host(lab));
    interface_set_blocked(interface_of(lab, 1), false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(10)) && client_count(lab, ROAM_EVENT_PATH_VALIDATED) == 2);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 0 && client_host(lab)->waiting == NULL);
    EXPECT(lab, lab_goodbye(lab));
}

static void s043_a_challenge_that_is_too_large_for_its_network_fails_that_path_only(struct lab *lab)
{
    lab->config.watch = true;
    EXPECT(lab, lab_open(lab));
    interface_of(lab, 1)->send_bytes_max = 1199;
    EXPECT(lab, lab_connect(lab));
    roam_time start = world_now(&lab->world);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_FAILED) == 1);
    for (unsigned n = 0; n < 30; n++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 50000) && lab_run(lab, ROAM_SECONDS(1)));
    /* It is asked again now and then, less and less often. */
    EXPECT(lab, world_now(&lab->world) - start > ROAM_SECONDS(30));
    EXPECT(lab, client_host(lab)->failed >= 2 && client_host(lab)->failed <= 6);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_FAILED) == client_host(lab)->failed);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 0 && client_is_on(lab, 0));
    interface_of(lab, 1)->send_bytes_max = 0;
    for (unsigned n = 0; n < 35; n++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_VALIDATED) >= 1);
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- An address that returns ----------------------------------------------------------------------------------- */

static void s030_an_address_that_is_removed_and_added_again_works_as_a_new_path(struct lab *lab)
{
    EXPECT(lab, lab_open_watching(lab));
    roam_path_info before = lab_active(lab_client(lab)->conn);
    lab_begin(lab, TRANSFER_DOWNLOAD, 500000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
    interface_lose_address(interface_of(lab, 0));
    EXPECT(lab, client_is_on(lab, 1) && lab_run_done(lab, ROAM_SECONDS(30)));
    /* The path and its CID went with the address. */
    roam_path_info paths[PATHS_MAX];
    EXPECT(lab, roam_conn_paths(lab_client(lab)->conn, paths, PATHS_MAX) == 1);
    interface_get_address(interface_of(lab, 0), 0);
    for (unsigned n = 0; n < 20 && !client_is_on(lab, 0); n++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info after = lab_active(lab_client(lab)->conn);
    EXPECT(lab, roam_address_same_ip(&before.local, &after.local) && after.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, after.id != before.id && !roam_cid_equal(&after.cid, &before.cid));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 2 && client_count(lab, ROAM_EVENT_PATH_FAILED) == 0);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 50000) && lab_goodbye(lab));
}

static void s030_the_only_address_comes_back_with_the_socket_it_had_or_another(struct lab *lab)
{
    lab->config.interfaces = 1;
    EXPECT(lab, lab_open_watching(lab));
    for (unsigned n = 0; n < 6; n++) {
        struct interface *only = interface_of(lab, 0);
        roam_path_info path = lab_active(lab_client(lab)->conn);
        lab_begin(lab, TRANSFER_ECHO, 100000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
        interface_lose_address(only);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)));
        EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_LOST) == n + 1);
        interface_get_address(only, n % 2 == 0 ? path.local.port : 0);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
        EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_RESUMED) == n / 2 + 1);
        EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == (n + 1) / 2);
    }
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- A laptop that sleeps -------------------------------------------------------------------------------------- */

static void sleep_for(struct lab *lab, roam_time span, bool clock_stood)
{
    host_sleep(client_host(lab));
    if (lab_run(lab, span))
        host_wake_up(client_host(lab), clock_stood);
}

static void s029_a_connection_survives_a_sleep_within_its_idle_timeout(struct lab *lab)
{
    lab->config.nat[0].timeout = ROAM_SECONDS(10);
    EXPECT(lab, lab_open_watching(lab));
    for (unsigned n = 0; n < 4; n++) {
        lab_begin(lab, n % 2 == 0 ? TRANSFER_DOWNLOAD : TRANSFER_UPLOAD, 500000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
        const struct host *host = client_host(lab);
        uint64_t wakes = host->wakes, datagrams = host->datagrams_out;
        sleep_for(lab, ROAM_SECONDS(20), n < 2);
        EXPECT(lab, !lab->world.failed && lab_run(lab, ROAM_MILLISECONDS(500)));
        EXPECT(lab, host->wakes - wakes <= host->datagrams_out - datagrams + 5);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(1)));
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void s029_a_client_that_wakes_with_a_full_window_speaks_at_once(struct lab *lab)
{
    lab->config.interfaces = 1;
    lab->config.up[0].rate_bits_per_s = 10000000;
    EXPECT(lab, lab_open_watching(lab));
    lab_begin(lab, TRANSFER_UPLOAD, 5000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
    struct node *node = &interface_of(lab, 0)->node;
    node->up->down = node->down->down = true;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(7)));
    EXPECT(lab, path_window_is_full(path_set_active(&lab_client(lab)->conn->paths)));
    EXPECT(lab, lab_client(lab)->conn->pto_count >= 5);
    node->up->down = node->down->down = false;
    sleep_for(lab, ROAM_MILLISECONDS(100), false);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)) && lab_client(lab)->conn->pto_count == 0);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(15)) && lab_goodbye(lab));
}

static void s029_after_hours_of_sleep_the_connection_is_over_without_a_storm_of_timers(struct lab *lab)
{
    for (unsigned n = 0; n < 2; n++) {
        bool clock_stood = n == 0;
        if (n == 0)
            EXPECT(lab, lab_open_watching(lab));
        else
            client_app_start(lab_client(lab));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab_client(lab)->confirmed);
        lab_begin(lab, TRANSFER_DOWNLOAD, 5000000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
        uint64_t wakes = client_host(lab)->wakes, sent = client_host(lab)->datagrams_out;
        sleep_for(lab, ROAM_SECONDS(3 * 3600), clock_stood);
        EXPECT(lab, !lab->world.failed && lab_run(lab, ROAM_SECONDS(1)));
        EXPECT(lab, lab_client(lab)->closed && lab_client(lab)->error.cause == ROAM_CLOSE_IDLE_TIMEOUT);
        EXPECT(lab, client_host(lab)->wakes - wakes <= 5 && client_host(lab)->datagrams_out - sent <= 2);
        if (n == 1)
            break;
        /* The next connection is as good as any. */
        lab_client(lab)->closed = lab_client(lab)->confirmed = lab_client(lab)->connected = false;
        lab_client(lab)->conn = NULL;
    }
}

/* ---- What is forbidden ----------------------------------------------------------------------------------------- */

static void s021_a_client_of_a_server_that_allows_no_migration_waits_for_its_address(struct lab *lab)
{
    lab->config.server.disable_active_migration = true;
    EXPECT(lab, lab_open_watching(lab));
    uint64_t before = interface_of(lab, 1)->node.up->passed;
    lab_begin(lab, TRANSFER_DOWNLOAD, 500000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
    interface_set_down(interface_of(lab, 0), true);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)));
    interface_set_down(interface_of(lab, 0), false);
    interface_of(lab, 0)->fails = true;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    interface_of(lab, 0)->fails = false;
    roam_address local = lab->clients[0].local;
    interface_lose_address(interface_of(lab, 0));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && client_count(lab, ROAM_EVENT_PATH_LOST) == 1);
    /* Not a datagram from the other address: no probe, no move. */
    EXPECT(lab, interface_of(lab, 1)->node.up->passed == before && client_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
    interface_get_address(interface_of(lab, 0), local.port);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && client_count(lab, ROAM_EVENT_PATH_RESUMED) == 1);
    EXPECT(lab, interface_of(lab, 1)->node.up->passed == before);
    EXPECT(lab, lab_goodbye(lab));
}

static void s020_the_application_forbids_and_forces_networks(struct lab *lab)
{
    lab->config.interfaces = 3;
    EXPECT(lab, lab_open_watching(lab));
    roam_conn *conn = lab_client(lab)->conn;
    /* By name: it leaves, and does not come back. */
    EXPECT(lab, roam_conn_network_rule(conn, world_now(&lab->world), "if0", ROAM_NETWORK_FORBID) == ROAM_OK);
    host_turn(client_host(lab));
    EXPECT(lab, client_is_on(lab, 1) && client_event(lab, ROAM_EVENT_PATH_MOVED, 0)->why == ROAM_MOVE_RULE);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(10)) && client_is_on(lab, 1));
    /* By address: nowhere else, though the network is gone. */
    EXPECT(lab, roam_conn_network_rule(conn, world_now(&lab->world), "172.16.0.30", ROAM_NETWORK_FORCE) == ROAM_OK);
    host_turn(client_host(lab));
    EXPECT(lab, client_is_on(lab, 2) && lab_transfer(lab, TRANSFER_ECHO, 10000));
    interface_lose_address(interface_of(lab, 2));
    lab_begin(lab, TRANSFER_ECHO, 10000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && client_count(lab, ROAM_EVENT_PATH_LOST) == 1);
    interface_get_address(interface_of(lab, 2), 0);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && client_is_on(lab, 2));
    /* Without rules the best one is returned to. */
    EXPECT(lab, roam_conn_network_rule(conn, world_now(&lab->world), "if0", ROAM_NETWORK_NEUTRAL) == ROAM_OK);
    EXPECT(lab, roam_conn_network_rule(conn, world_now(&lab->world), "172.16.0.30", ROAM_NETWORK_NEUTRAL) == ROAM_OK);
    host_turn(client_host(lab));
    for (unsigned n = 0; n < 20 && !client_is_on(lab, 0); n++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, client_is_on(lab, 0));
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- The other family ------------------------------------------------------------------------------------------ */

static bool lab_open_two_families(struct lab *lab)
{
    lab->config.ipv6[1] = lab->config.prefers[1] = true;
    lab->config.client.pmtud = lab->config.server.pmtud = true;
    lab->config.up[1].mtu_bytes = lab->config.down[1].mtu_bytes = 1280;
    return lab_open_watching(lab);
}

static bool families_are(struct lab *lab, uint8_t family)
{
    roam_path_info client = lab_active(lab_client(lab)->conn), server = lab_active(lab->server_app.newest);
    return client.local.family == family && client.remote.family == family && server.remote.family == family &&
           server.local.family == family && client.state == ROAM_PATH_VALIDATED && server.state == ROAM_PATH_VALIDATED;
}

static void s023_a_client_moves_from_ipv4_to_ipv6_and_back(struct lab *lab)
{
    EXPECT(lab, lab_open_two_families(lab) && families_are(lab, ROAM_FAMILY_IPV4));
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 500000) && lab_transfer(lab, TRANSFER_UPLOAD, 500000));
    roam_path_info client = lab_active(lab_client(lab)->conn), server = lab_active(lab->server_app.newest);
    EXPECT(lab, client.datagram_bytes > 1280 && server.datagram_bytes > 1280);
    /* The server's preferred address of the other family is where a standby leads. */
    for (unsigned n = 0; n < 3; n++) {
        lab_begin(lab, TRANSFER_DOWNLOAD, 500000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
        interface_lose_address(interface_of(lab, 0));
        EXPECT(lab, client_is_on(lab, 1) && lab_run_done(lab, ROAM_SECONDS(30)));
        EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 500000) && families_are(lab, ROAM_FAMILY_IPV6));
        /* Each path has a size of its own. */
        client = lab_active(lab_client(lab)->conn), server = lab_active(lab->server_app.newest);
        EXPECT(lab, client.datagram_bytes >= 1200 && client.datagram_bytes <= 1280);
        EXPECT(lab, server.datagram_bytes >= 1200 && server.datagram_bytes <= 1280);
        interface_get_address(interface_of(lab, 0), 0);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)));
        lab_begin(lab, TRANSFER_DOWNLOAD, 500000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
        interface_lose_address(interface_of(lab, 1));
        EXPECT(lab, client_is_on(lab, 0) && lab_run_done(lab, ROAM_SECONDS(30)));
        EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 500000) && lab_transfer(lab, TRANSFER_DOWNLOAD, 500000));
        EXPECT(lab, families_are(lab, ROAM_FAMILY_IPV4));
        client = lab_active(lab_client(lab)->conn), server = lab_active(lab->server_app.newest);
        EXPECT(lab, client.datagram_bytes > 1280 && server.datagram_bytes > 1280);
        interface_get_address(interface_of(lab, 1), 0);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)));
    }
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 6);
    EXPECT(lab, lab_goodbye(lab));
}

static void s023_without_an_address_of_the_other_family_a_client_waits(struct lab *lab)
{
    lab->config.ipv6[1] = true;
    EXPECT(lab, lab_open_watching(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 500000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
    interface_lose_address(interface_of(lab, 0));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && client_count(lab, ROAM_EVENT_PATH_LOST) == 1);
    EXPECT(lab, interface_of(lab, 1)->node.up->passed == 0);
    interface_get_address(interface_of(lab, 0), 0);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && families_are(lab, ROAM_FAMILY_IPV4));
    EXPECT(lab, lab_goodbye(lab));
}

/* The path that was left after the move to the preferred address takes the last place there is. */
static void b44_with_more_networks_than_places_for_paths_standbys_do_not_take_turns(struct lab *lab)
{
    lab->config.interfaces = 3;
    lab->config.client.max_paths = 3;
    lab->config.prefers[0] = true;
    EXPECT(lab, lab_open_watching(lab) && lab_run(lab, ROAM_SECONDS(3)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    const uint64_t challenged = client_count(lab, ROAM_EVENT_PATH_CHALLENGED);
    const uint64_t received = client_count(lab, ROAM_EVENT_CID_RECEIVED);
    for (int i = 0; i < 10; i++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 50000) && lab_run(lab, ROAM_MILLISECONDS(500)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_CHALLENGED) <= challenged + 5);
    EXPECT(lab, client_count(lab, ROAM_EVENT_CID_RECEIVED) <= received + 5);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_networks[] = {
    SCENARIO(s023_a_client_moves_from_ipv4_to_ipv6_and_back),
    SCENARIO(s023_without_an_address_of_the_other_family_a_client_waits),
    SCENARIO(s020_the_application_forbids_and_forces_networks),
    SCENARIO(s021_a_client_of_a_server_that_allows_no_migration_waits_for_its_address),
    SCENARIO(s024_a_connection_without_any_network_waits_and_resumes_on_the_first_that_appears),
    SCENARIO(s024_a_connection_without_any_network_waits_no_longer_than_its_idle_timeout),
    SCENARIO(s024_an_application_that_rebinds_ends_the_wait),
    SCENARIO(s026_a_network_that_is_unreachable_is_left_at_once),
    SCENARIO(s026_an_interface_that_is_down_is_left_at_once),
    SCENARIO(s026_where_all_networks_refuse_they_are_tried_in_turn_and_seldom),
    SCENARIO(s029_a_connection_survives_a_sleep_within_its_idle_timeout),
    SCENARIO(s029_a_client_that_wakes_with_a_full_window_speaks_at_once),
    SCENARIO(s029_after_hours_of_sleep_the_connection_is_over_without_a_storm_of_timers),
    SCENARIO(s030_an_address_that_is_removed_and_added_again_works_as_a_new_path),
    SCENARIO(s030_the_only_address_comes_back_with_the_socket_it_had_or_another),
    SCENARIO(s042_a_challenge_that_a_full_socket_holds_back_is_sent_later),
    SCENARIO(s043_a_challenge_that_is_too_large_for_its_network_fails_that_path_only),
    SCENARIO(b35_an_address_that_is_not_available_is_not_tried_for_ever),
    SCENARIO(b44_with_more_networks_than_places_for_paths_standbys_do_not_take_turns),
    {NULL, NULL},
};
