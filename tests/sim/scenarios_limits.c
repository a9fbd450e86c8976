/* B04, B13 to B15, B36: mistakes that show after many moves, or where the 3x limit is tight. */
#include "sim/oracle.h"
#include "sim/scenario.h"

static bool server_is_at_the_outside(struct lab *lab)
{
    roam_address outside = nat_outside(lab_nat(lab), roam_conn_local_address(lab_client(lab)->conn));
    return lab->server_app.newest != NULL &&
           roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &outside);
}

static void b04_a_thousand_cycles_of_idling_and_rebinding_leave_memory_flat(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    uint64_t server = 0, client = 0;
    for (int i = 0; i < 1000; i++) {
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)));
        if (i == 20) {
            server = lab->server->alloc.bytes;
            client = lab->clients[0].host->alloc.bytes;
        }
        if (i > 20) {
            EXPECT(lab, lab->server->alloc.bytes <= server + 4096);
            EXPECT(lab, lab->clients[0].host->alloc.bytes <= client + 4096);
        }
        nat_change_ports(lab_nat(lab), false);
        roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
        host_turn(lab->clients[0].host);
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && server_is_at_the_outside(lab));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, lab_goodbye(lab));
}

/* A small packet from a new address: the allowance is three times next to nothing. */
static void small_packet_from_elsewhere(struct lab *lab, unsigned n)
{
    char ip[32];
    snprintf(ip, sizeof(ip), "198.51.100.%u", 100 + n);
    nat_change_address(lab_nat(lab), ip, false);
    uint64_t before = lab->server_app.history.counts[ROAM_EVENT_PATH_VALIDATED];
    if (n == 0) {
        roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
        host_turn(lab->clients[0].host);
    } else {
        lab_begin(lab, TRANSFER_UNI_UPLOAD, n - 1);
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, server_is_at_the_outside(lab));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_VALIDATED] > before);
}

static void b13_small_first_packets_from_a_new_address_do_not_block_its_validation(struct lab *lab)
{
    //= rfc9000#8.2.2-6 Do not pad that datagram beyond the 3x budget.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (unsigned n = 0; n < 72 && !lab->world.failed; n++)
        small_packet_from_elsewhere(lab, n);
    EXPECT(lab, app_history_failures_on_active(&lab->server_app.history) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

static void b14_after_validation_the_limit_is_gone_and_datagrams_are_full(struct lab *lab)
{
    lab->config.server.datagram_bytes = 1400;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    uint64_t out, in;
    for (unsigned n = 0; n < 4; n++) {
        small_packet_from_elsewhere(lab, n * 10);
        lab_begin(lab, TRANSFER_DOWNLOAD, 200000);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(3)));
        EXPECT(lab, oracle_wire(lab->server, roam_conn_remote_address(lab->server_app.newest), &out, &in));
        EXPECT(lab, out > 3 * in);
        EXPECT(lab, lab_active(lab->server_app.newest).datagram_bytes == 1400);
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void b15_more_rebindings_than_paths_leak_no_slot(struct lab *lab)
{
    lab->config.server.max_paths = 3;
    lab->config.client.max_paths = 3;
    lab->config.client.active_connection_id_limit = lab->config.server.active_connection_id_limit = 2;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (unsigned n = 0; n < 40; n++) {
        if (n % 4 == 3) {
            roam_address local = lab_socket(lab, 0);
            client_app_rebind(lab_client(lab), &local);
        } else {
            char ip[32];
            snprintf(ip, sizeof(ip), "198.51.100.%u", 100 + n);
            nat_change_address(lab_nat(lab), ip, false);
        }
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 500) && lab_run(lab, ROAM_MILLISECONDS(300)));
        roam_path_info paths[PATHS_MAX];
        EXPECT(lab, roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX) <= 3);
        EXPECT(lab, server_is_at_the_outside(lab));
        EXPECT(lab, paths[0].state == ROAM_PATH_VALIDATED);
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void rebind_in_mid_download(struct lab *lab, unsigned times)
{
    lab->config.down[0].rate_bits_per_s = 1000000;
    lab->config.down[0].queue_bytes = 8 * 1024;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, UINT64_C(1) << 30);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    for (unsigned n = 0; n < times; n++) {
        struct transfer *transfer = &lab->workload.transfers[0];
        roam_path_info path = lab_active(lab_client(lab)->conn);
        roam_path_info theirs = lab_active(lab->server_app.newest);
        roam_time pto = lab_pto(&path) > lab_pto(&theirs) ? lab_pto(&path) : lab_pto(&theirs);
        transfer->longest_stall = 0;
        uint64_t before = transfer->in.at;
        nat_change_ports(lab_nat(lab), false);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(700) + ROAM_MICROSECONDS(n * 37 % 100000)));
        EXPECT(lab, transfer->in.at > before);
        EXPECT(lab, transfer->longest_stall <= theirs.smoothed_rtt + 2 * pto);
    }
}

static void b36_a_download_never_falls_silent_in_a_thousand_rebindings(struct lab *lab)
{
    rebind_in_mid_download(lab, 1000);
}

static void b36_nor_does_it_with_a_client_that_moves_by_itself_and_has_no_reason_to(struct lab *lab)
{
    lab->config.watch = true;
    rebind_in_mid_download(lab, 300);
    EXPECT(lab, lab_client(lab)->history.counts[ROAM_EVENT_PATH_MOVED] == 0);
}

const struct scenario scenarios_limits[] = {
    SCENARIO(b04_a_thousand_cycles_of_idling_and_rebinding_leave_memory_flat),
    SCENARIO(b13_small_first_packets_from_a_new_address_do_not_block_its_validation),
    SCENARIO(b14_after_validation_the_limit_is_gone_and_datagrams_are_full),
    SCENARIO(b15_more_rebindings_than_paths_leak_no_slot),
    SCENARIO(b36_a_download_never_falls_silent_in_a_thousand_rebindings),
    SCENARIO(b36_nor_does_it_with_a_client_that_moves_by_itself_and_has_no_reason_to),
    {NULL, NULL},
};
