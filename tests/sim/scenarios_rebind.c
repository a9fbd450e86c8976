/* S001 to S015: the client's address changes, and nobody says so. */
#include <string.h>

#include "sim/oracle.h"
#include "sim/scenario.h"

#define RTT ROAM_MILLISECONDS(52) /* of the lab's default wires and boxes */

/* A download, so that the server's window has left its initial value. */
static bool warm_up(struct lab *lab)
{
    return lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 200000) &&
           lab_run(lab, ROAM_SECONDS(1));
}

static bool remote_is_the_outside(struct lab *lab)
{
    roam_address outside = nat_outside(lab_nat(lab), &lab->clients[0].local);
    return lab->server_app.newest != NULL &&
           roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &outside);
}

static uint64_t server_count(const struct lab *lab, roam_event_type type)
{
    return lab->server_app.history.counts[type];
}

static uint64_t server_moves(const struct lab *lab)
{
    roam_conn_info info;
    roam_conn_get_info(lab->server_app.newest, &info);
    return info.moves;
}

static void s001_port_only_rebinding_while_idle_keeps_the_congestion_window(struct lab *lab)
{
    //= rfc9000#9.4-3 Keep CC and RTT on a port-only change.
    EXPECT(lab, warm_up(lab));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)));
    roam_path_info before = lab_active(lab->server_app.newest);
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100) && lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info after = lab_active(lab->server_app.newest);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_VALIDATED) == 1);
    EXPECT(lab, server_moves(lab) == 1 && remote_is_the_outside(lab));
    EXPECT(lab, after.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, before.window_bytes > 10 * 1200);
    EXPECT(lab, after.window_bytes >= before.window_bytes);
    EXPECT(lab, after.smoothed_rtt < 2 * RTT && after.datagram_bytes == before.datagram_bytes);
    EXPECT(lab, lab->server_app.accepted == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void s002_rebinding_to_another_address_starts_afresh(struct lab *lab)
{
    //= rfc9000#9.4-2 Reset CC and RTT to initial values once the new address is confirmed, unless only the port
    // changed.
    //= rfc9000#9-4 Run path validation on any detected peer address change unless that address was validated before.
    EXPECT(lab, warm_up(lab));
    roam_path_info before = lab_active(lab->server_app.newest);
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100) && lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info after = lab_active(lab->server_app.newest);
    EXPECT(lab, server_moves(lab) == 1 && remote_is_the_outside(lab));
    EXPECT(lab, after.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, before.window_bytes > 20 * 1200);
    EXPECT(lab, after.window_bytes <= 14 * 1200);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000));
    EXPECT(lab, lab_goodbye(lab));
}

/* Loses what the mask says of the first datagrams on the new path, each way. */
static void rebind_with_loss(struct lab *lab, uint64_t up, uint64_t down)
{
    struct node *node = &lab->clients[0].interfaces[0]->node;
    uint64_t validated = server_count(lab, ROAM_EVENT_PATH_VALIDATED);
    nat_change_ports(lab_nat(lab), false);
    node->up->drop_mask = up;
    node->down->drop_mask = down;
    roam_path_info path = lab_active(lab_client(lab)->conn);
    roam_time start = world_now(&lab->world);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 500));
    while (server_count(lab, ROAM_EVENT_PATH_VALIDATED) == validated && world_step(&lab->world))
        continue;
    /* Three PTOs in a row last 1 + 2 + 4 times the first. */
    EXPECT(lab, world_now(&lab->world) - start <= 7 * lab_pto(&path) + 2 * path.smoothed_rtt);
    node->up->drop_mask = node->down->drop_mask = 0;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && remote_is_the_outside(lab));
}

static void s003_a_rebinding_converges_within_three_ptos_whatever_is_lost(struct lab *lab)
{
    EXPECT(lab, warm_up(lab));
    for (unsigned mask = 0; mask < 64 && !lab->world.failed; mask++) {
        if (__builtin_popcount(mask) <= 3)
            rebind_with_loss(lab, mask & 7, mask >> 3);
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void s004_rebinding_with_a_zero_length_client_cid_needs_no_new_cid(struct lab *lab)
{
    lab->config.client_endpoint.cid_bytes = 0;
    EXPECT(lab, warm_up(lab));
    uint64_t sequence = lab_active(lab_client(lab)->conn).cid_sequence;
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100));
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_moves(lab) == 2 && remote_is_the_outside(lab));
    EXPECT(lab, lab_active(lab->server_app.newest).cid.len == 0);
    EXPECT(lab, lab_active(lab_client(lab)->conn).cid_sequence == sequence);
    EXPECT(lab, lab_goodbye(lab));
}

static void s005_rebinding_on_a_very_long_path_does_not_fail_its_validation(struct lab *lab)
{
    for (size_t i = 0; i < 2; i++)
        lab->config.up[i].delay = lab->config.down[i].delay = ROAM_MILLISECONDS(1500);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000));
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100) && lab_run(lab, ROAM_SECONDS(20)));
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100) && lab_run(lab, ROAM_SECONDS(20)));
    EXPECT(lab, app_history_failures_on_active(&lab->server_app.history) == 0);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_REVERTED) == 0);
    EXPECT(lab, server_moves(lab) == 2 && remote_is_the_outside(lab));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

static void s006_rapid_rebindings_are_survived_with_bounded_state(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 4000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    uint64_t memory = lab->server->alloc.bytes;
    lab_begin(lab, TRANSFER_DOWNLOAD, 400000);
    for (int i = 0; i < 12; i++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40 + 10 * i)));
        if (i % 3 == 2) {
            char ip[32];
            snprintf(ip, sizeof(ip), "198.51.100.%d", 100 + i);
            nat_change_address(lab_nat(lab), ip, false);
        } else {
            nat_change_ports(lab_nat(lab), false);
        }
        roam_path_info paths[PATHS_MAX];
        EXPECT(lab, roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX) <= lab->config.server.max_paths);
    }
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(15)));
    EXPECT(lab, remote_is_the_outside(lab));
    EXPECT(lab, lab->server->alloc.bytes < memory + 64 * 1024);
    EXPECT(lab, lab_goodbye(lab));
}

static void s007_a_fresh_port_for_every_packet_is_survived_with_bounded_state(struct lab *lab)
{
    lab->config.nat[0].kind = NAT_FULL_CONE;
    lab->config.server_endpoint.max_events = 256;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_nat(lab)->port_for_every_packet = true;
    lab_begin(lab, TRANSFER_UPLOAD, 200000);
    for (int i = 0; i < 100; i++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(50)));
        EXPECT(lab, lab->server_app.newest != NULL);
        roam_path_info paths[PATHS_MAX];
        EXPECT(lab, roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX) <= lab->config.server.max_paths);
        EXPECT(lab, lab->server->alloc.bytes < 1024 * 1024);
    }
    lab_nat(lab)->port_for_every_packet = false;
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(60)));
    EXPECT(lab, lab_goodbye(lab));
}

static void s008_rebinding_in_a_bulk_download_does_not_stall_it(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 10000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 1000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(400)));
    roam_path_info path = lab_active(lab_client(lab)->conn);
    roam_path_info theirs = lab_active(lab->server_app.newest);
    roam_time pto = lab_pto(&path) > lab_pto(&theirs) ? lab_pto(&path) : lab_pto(&theirs);
    lab->workload.transfers[0].longest_stall = 0;
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    EXPECT(lab, lab->workload.transfers[0].longest_stall <= 3 * pto);
    EXPECT(lab, server_moves(lab) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void s009_a_server_that_speaks_first_after_the_binding_expired_is_heard_again_by_keep_alive(struct lab *lab)
{
    lab->config.nat[0].timeout = ROAM_SECONDS(8);
    lab->config.nat[0].inbound_refreshes = false;
    lab->config.client.keep_alive = ROAM_SECONDS(20);
    lab->config.client.max_idle_timeout = lab->config.server.max_idle_timeout = ROAM_SECONDS(60);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_run(lab, ROAM_SECONDS(12)));
    uint64_t dropped = lab->world.stats.dropped[SIM_DROP_NAT];
    roam_conn_ping(lab->server_app.newest, world_now(&lab->world));
    host_turn(lab->server);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, lab->world.stats.dropped[SIM_DROP_NAT] > dropped && server_moves(lab) == 0);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, server_moves(lab) == 1 && remote_is_the_outside(lab));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, lab_goodbye(lab));
}

static void s010_rebinding_close_to_the_idle_timeout_does_not_close_early(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 100));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(28)));
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(29)));
    EXPECT(lab, !lab_client(lab)->closed && lab->server_app.newest != NULL && server_moves(lab) == 1);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(40)));
    EXPECT(lab, lab_client(lab)->closed && lab_client(lab)->error.cause == ROAM_CLOSE_IDLE_TIMEOUT);
    EXPECT(lab, lab->server_app.causes[ROAM_CLOSE_IDLE_TIMEOUT] == 1);
}

/* Challenges that the server has sent to this address. */
static size_t challenges_to(const struct lab *lab, const roam_address *remote)
{
    const struct oracle_record *records;
    size_t count = 0, n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++) {
        const struct observed_packet *packet = &records[i].packet;
        count += packet->sent && records[i].host == lab->server && roam_address_equal(&packet->remote, remote) &&
                 (packet->frames >> FRAME_PATH_CHALLENGE & 1);
    }
    return count;
}

static void s011_padded_and_unpadded_rebindings_both_validate_and_the_unpadded_takes_a_second_round(struct lab *lab)
{
    //= rfc9000#8.2.1-6 If validation ran in small datagrams, run a second full-size validation for the MTU.
    //= rfc9000#8.2.1-7 Never discard a datagram as too small when it holds PATH_CHALLENGE or PATH_RESPONSE.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, challenges_to(lab, roam_conn_remote_address(lab->server_app.newest)) >= 2);
    nat_change_address(lab_nat(lab), "198.51.100.3", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 5000) && lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, challenges_to(lab, roam_conn_remote_address(lab->server_app.newest)) == 1);
    EXPECT(lab, app_history_failures_on_active(&lab->server_app.history) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

static void s012_packets_from_a_blocked_port_are_refused(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_endpoint_stats stats;
    nat_set_port(lab_nat(lab), &lab->clients[0].local, 53);
    lab_begin(lab, TRANSFER_ECHO, 1000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    EXPECT(lab, stats.drops[ROAM_DROP_BLOCKED_PORT] > 0 && server_moves(lab) == 0);
    EXPECT(lab, !workload_is_done(&lab->workload));
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_moves(lab) == 1 && remote_is_the_outside(lab));
    EXPECT(lab, lab_goodbye(lab));
}

static void s013_an_ipv4_mapped_form_of_the_same_address_is_no_migration(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (int i = 0; i < 4; i++) {
        lab->server->ipv4_mapped = i % 2 == 0;
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 3000));
    }
    roam_path_info paths[PATHS_MAX];
    EXPECT(lab, server_moves(lab) == 0 && server_count(lab, ROAM_EVENT_PATH_NEW) == 0);
    EXPECT(lab, roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void s014_two_clients_behind_one_nat_may_swap_ports(struct lab *lab)
{
    lab->config.clients = 2;
    lab->config.one_nat = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (int i = 0; i < 4; i++) {
        client_app_more(&lab->clients[0].app, TRANSFER_ECHO, 20000);
        client_app_more(&lab->clients[1].app, TRANSFER_DOWNLOAD, 30000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)));
        nat_swap_ports(lab_nat(lab), &lab->clients[0].local, &lab->clients[1].local);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    }
    EXPECT(lab, lab->server_app.accepted == 2);
    EXPECT(lab, lab_goodbye(lab));
}

static void s015_flapping_back_to_the_old_address_restores_its_congestion_window(struct lab *lab)
{
    EXPECT(lab, warm_up(lab));
    roam_path_info before = lab_active(lab->server_app.newest);
    nat_change_address(lab_nat(lab), "198.51.100.2", true);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_moves(lab) == 1);
    nat_change_address(lab_nat(lab), "198.51.100.1", true);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info after = lab_active(lab->server_app.newest);
    EXPECT(lab, server_moves(lab) == 2 && remote_is_the_outside(lab));
    EXPECT(lab, after.state == ROAM_PATH_VALIDATED && after.window_bytes >= before.window_bytes);
    EXPECT(lab, app_history_failures_on_active(&lab->server_app.history) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_rebind[] = {
    SCENARIO(s001_port_only_rebinding_while_idle_keeps_the_congestion_window),
    SCENARIO(s002_rebinding_to_another_address_starts_afresh),
    SCENARIO(s003_a_rebinding_converges_within_three_ptos_whatever_is_lost),
    SCENARIO(s004_rebinding_with_a_zero_length_client_cid_needs_no_new_cid),
    SCENARIO(s005_rebinding_on_a_very_long_path_does_not_fail_its_validation),
    SCENARIO(s006_rapid_rebindings_are_survived_with_bounded_state),
    SCENARIO(s007_a_fresh_port_for_every_packet_is_survived_with_bounded_state),
    SCENARIO(s008_rebinding_in_a_bulk_download_does_not_stall_it),
    SCENARIO(s009_a_server_that_speaks_first_after_the_binding_expired_is_heard_again_by_keep_alive),
    SCENARIO(s010_rebinding_close_to_the_idle_timeout_does_not_close_early),
    SCENARIO(s011_padded_and_unpadded_rebindings_both_validate_and_the_unpadded_takes_a_second_round),
    SCENARIO(s012_packets_from_a_blocked_port_are_refused),
    SCENARIO(s013_an_ipv4_mapped_form_of_the_same_address_is_no_migration),
    SCENARIO(s014_two_clients_behind_one_nat_may_swap_ports),
    SCENARIO(s015_flapping_back_to_the_old_address_restores_its_congestion_window),
    {NULL, NULL},
};
