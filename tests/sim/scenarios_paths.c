/* S075, S080 to S083, S085: what is learnt of a path is that path's: congestion window, RTT, timeouts, ECN. */
#include "sim/attacker.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

static bool migrate_to(struct lab *lab, size_t interface)
{
    roam_address local = lab_socket(lab, interface);
    return client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(1));
}

static bool both_ways(struct lab *lab, uint64_t bytes)
{
    lab_begin(lab, TRANSFER_UPLOAD, bytes);
    return lab_transfer(lab, TRANSFER_DOWNLOAD, bytes);
}

static bool ecn_is(struct lab *lab, enum roam_ecn_state state)
{
    return lab_active(lab_client(lab)->conn).ecn == state && lab_active(lab->server_app.newest).ecn == state;
}

static void set_ecn(struct lab *lab, size_t interface, bool bleach, uint32_t ce_ppm)
{
    struct node *node = &lab->clients[0].interfaces[interface]->node;
    node->up->config.ecn_bleach = node->down->config.ecn_bleach = bleach;
    node->up->config.ce_ppm = node->down->config.ce_ppm = ce_ppm;
}

//= rfc9000#13.4.2-1 ECN is validated anew on every new path.
//= rfc9000#13.4.2.2-1 Turn ECN off on failed validation.
static void s083_ecn_is_validated_path_by_path(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_CAPABLE));
    set_ecn(lab, 1, true, 0);
    EXPECT(lab, migrate_to(lab, 1) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_FAILED));
    EXPECT(lab, migrate_to(lab, 0) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_CAPABLE));
    /* CE on every packet: the window suffers only until that is seen through. */
    set_ecn(lab, 1, false, 1000000);
    EXPECT(lab, migrate_to(lab, 1) && both_ways(lab, 1000000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_FAILED));
    EXPECT(lab, lab_active(lab->server_app.newest).window_bytes > 50000);
    /* And a network that stops to carry marks is noticed as well. */
    EXPECT(lab, migrate_to(lab, 0) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_CAPABLE));
    set_ecn(lab, 0, true, 0);
    EXPECT(lab, both_ways(lab, 300000) && lab_run(lab, ROAM_SECONDS(1)) && ecn_is(lab, ROAM_ECN_STATE_FAILED));
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#21.10-1 Ignore the ECN mark of an IP packet unless at least one QUIC packet in it was processed.
static void s083_marks_of_what_is_not_processed_do_not_count(struct lab *lab)
{
    lab->config.up[0].duplicate_ppm = 1000000;
    lab->config.up[0].corrupt_ppm = 100000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_UPLOAD, 300000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, lab->world.stats.duplicated > 200 && lab->world.stats.corrupted > 20);
    roam_conn_stats client, server;
    roam_conn_get_stats(lab_client(lab)->conn, &client);
    roam_conn_get_stats(lab->server_app.newest, &server);
    EXPECT(lab, server.ect0_received > 200 && server.ce_received == 0);
    EXPECT(lab, server.ect0_received <= client.packets_sent);
    EXPECT(lab, lab_active(lab_client(lab)->conn).ecn == ROAM_ECN_STATE_CAPABLE);
    lab->clients[0].interfaces[0]->node.up->config.corrupt_ppm = 0;
    EXPECT(lab, lab_goodbye(lab));
}

/* Acknowledgements that cover packets of both paths say nothing about either. */
static void s083_ecn_is_validated_in_the_middle_of_a_transfer(struct lab *lab)
{
    lab->config.down[1].delay = ROAM_MILLISECONDS(60);
    lab->config.down[0].rate_bits_per_s = lab->config.down[1].rate_bits_per_s = 10000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 6; i++) {
        lab_begin(lab, TRANSFER_DOWNLOAD, 1000000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
        roam_address local = lab_socket(lab, (i + 1) % 2);
        set_ecn(lab, (i + 1) % 2, i % 4 == 0, 0);
        EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
        EXPECT(lab,
               lab_active(lab->server_app.newest).ecn == (i % 4 == 0 ? ROAM_ECN_STATE_FAILED : ROAM_ECN_STATE_CAPABLE));
    }
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- S075 */

//= rfc9000#10.1-1 Effective idle timeout is at least 3 x PTO.
static void s075_on_a_slow_path_the_idle_timeout_is_three_of_its_ptos(struct lab *lab)
{
    lab->config.client.max_idle_timeout = lab->config.server.max_idle_timeout = ROAM_SECONDS(4);
    lab->config.up[1].delay = lab->config.down[1].delay = ROAM_MILLISECONDS(1500);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 5000));
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(9)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000));
    roam_path_info ours = lab_active(lab_client(lab)->conn), theirs = lab_active(lab->server_app.newest);
    EXPECT(lab, ours.smoothed_rtt > ROAM_SECONDS(2) && theirs.smoothed_rtt > ROAM_SECONDS(2));
    roam_time least = lab_pto(&ours) < lab_pto(&theirs) ? lab_pto(&ours) : lab_pto(&theirs);
    EXPECT(lab, 3 * least > ROAM_SECONDS(8));
    /* Silence for longer than the configured timeout. */
    EXPECT(lab, lab_run(lab, 3 * least - ROAM_SECONDS(2)));
    EXPECT(lab, !lab_client(lab)->closed && lab->server_app.newest != NULL);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(90)));
    EXPECT(lab, lab_client(lab)->closed && lab_client(lab)->error.cause == ROAM_CLOSE_IDLE_TIMEOUT);
    EXPECT(lab, lab->server_app.causes[ROAM_CLOSE_IDLE_TIMEOUT] == 1);
}

/* ---- S080, S081, S085: RFC 9000 section 9.4 */

#define INITIAL_WINDOW 12000

static void keep_and_reset(struct lab *lab, enum roam_congestion congestion)
{
    lab->config.server.congestion = congestion;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 300000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info before = lab_active(lab->server_app.newest);
    EXPECT(lab, before.window_bytes > 5 * INITIAL_WINDOW);
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100) && lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info kept = lab_active(lab->server_app.newest);
    EXPECT(lab, kept.id != before.id && kept.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, kept.window_bytes >= before.window_bytes && kept.min_rtt == before.min_rtt);
    EXPECT(lab, kept.smoothed_rtt >= before.min_rtt && kept.smoothed_rtt < 2 * before.smoothed_rtt);
    /* A slower network at another address. */
    struct node *node = &lab->clients[0].interfaces[0]->node;
    node->up->config.delay = node->down->config.delay = ROAM_MILLISECONDS(90);
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    lab_begin(lab, TRANSFER_DOWNLOAD, 60000);
    while (lab_active(lab->server_app.newest).id == kept.id && world_step(&lab->world))
        continue;
    roam_path_info fresh = lab_active(lab->server_app.newest);
    EXPECT(lab, fresh.window_bytes == INITIAL_WINDOW && fresh.smoothed_rtt == ROAM_MILLISECONDS(333));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_active(lab->server_app.newest).min_rtt >= ROAM_MILLISECONDS(190));
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.4-2 Reset CC and RTT to initial values once the new address is confirmed, unless only the port changed.
//= rfc9000#9.4-3 Keep CC and RTT on a port-only change.
static void s080_window_and_rtt_start_again_on_another_address_and_stay_on_another_port_cubic(struct lab *lab)
{
    keep_and_reset(lab, ROAM_CONGESTION_CUBIC);
}

static void s080_window_and_rtt_start_again_on_another_address_and_stay_on_another_port_newreno(struct lab *lab)
{
    keep_and_reset(lab, ROAM_CONGESTION_NEWRENO);
}

//= rfc9000#9.4-2 Reset CC and RTT to initial values once the new address is confirmed, unless only the port changed.
static void s080_a_client_that_leaves_from_another_address_starts_again_too(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_UPLOAD, 300000));
    roam_path_info before = lab_active(lab_client(lab)->conn);
    EXPECT(lab, before.window_bytes > 5 * INITIAL_WINDOW);
    roam_address local = lab_socket(lab, 0);
    EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
    roam_path_info kept = lab_active(lab_client(lab)->conn);
    EXPECT(lab, kept.id == before.id && kept.window_bytes == before.window_bytes && kept.min_rtt == before.min_rtt);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100));
    local = lab_socket(lab, 1);
    EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
    roam_path_info fresh = lab_active(lab_client(lab)->conn);
    EXPECT(lab, fresh.id != before.id && fresh.window_bytes == INITIAL_WINDOW && fresh.in_flight_bytes == 0);
    EXPECT(lab, fresh.smoothed_rtt == ROAM_MILLISECONDS(333));
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 100000));
    EXPECT(lab, lab_goodbye(lab));
}

/* Of the new path's own packets that may have been acknowledged by the time it is moved to: challenge, response. */
#define PROBES 2

//= rfc9000#9.4-1 Packets sent on the old path never feed CC or RTT of the new path.
static void s081_acknowledgements_of_old_packets_teach_the_new_path_nothing(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = lab->config.down[1].rate_bits_per_s = 20000000;
    lab->config.up[1].delay = lab->config.down[1].delay = ROAM_MILLISECONDS(200);
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 4; i++) {
        const size_t to = (i + 1) % 2;
        lab_begin(lab, TRANSFER_DOWNLOAD, 4000000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(to == 1 ? 300 : 2000)));
        roam_path_info old = lab_active(lab->server_app.newest);
        roam_address local = lab_socket(lab, to);
        EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        while (lab_active(lab->server_app.newest).id == old.id && world_step(&lab->world))
            continue;
        old = lab_active(lab->server_app.newest);
        /* As long as nothing that left on the new path can have been acknowledged. */
        roam_time rtt = to == 1 ? ROAM_MILLISECONDS(400) : ROAM_MILLISECONDS(40);
        EXPECT(lab, lab_run(lab, rtt));
        roam_path_info new = lab_active(lab->server_app.newest);
        EXPECT(lab, new.id == old.id &&new.window_bytes <= INITIAL_WINDOW + PROBES * 1200);
        EXPECT(lab, new.min_rtt == 0 || (rtt <= new.min_rtt &&new.min_rtt < rtt + ROAM_MILLISECONDS(30)));
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
        new = lab_active(lab->server_app.newest);
        EXPECT(lab, new.id == old.id &&rtt <= new.min_rtt &&new.min_rtt < rtt + ROAM_MILLISECONDS(30));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(12)));
    }
    EXPECT(lab, lab_goodbye(lab));
}

/* The most octets that the server sent to an address within a span, and all up to a time. */
static uint64_t most_within(const struct lab *lab, const roam_address *remote, roam_time span, roam_time until,
                            uint64_t *ret_all)
{
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records), first = 0;
    uint64_t within = 0, most = 0;
    *ret_all = 0;
    for (size_t i = 0; i < n && records[i].time <= until; i++) {
        const struct observed_packet *packet = &records[i].packet;
        if (records[i].host != lab->server || !packet->sent || !roam_address_equal(&packet->remote, remote))
            continue;
        within += packet->bytes;
        *ret_all += packet->bytes;
        for (; records[first].time + span < records[i].time; first++) {
            const struct observed_packet *old = &records[first].packet;
            if (records[first].host == lab->server && old->sent && roam_address_equal(&old->remote, remote))
                within -= old->bytes;
        }
        most = within > most ? within : most;
    }
    return most;
}

//= rfc9000#9.4-2 Reset CC and RTT to initial values once the new address is confirmed, unless only the port changed.
static void s085_the_first_burst_on_a_slow_path_is_no_larger_than_the_initial_window(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 50000000;
    lab->config.down[1] =
        (struct link_config){.delay = ROAM_MILLISECONDS(150), .rate_bits_per_s = 1000000, .queue_bytes = 16 * 1024};
    lab->config.up[1].delay = ROAM_MILLISECONDS(150);
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    lab_begin(lab, TRANSFER_DOWNLOAD, 2000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(350)));
    roam_path_info old = lab_active(lab->server_app.newest);
    EXPECT(lab, old.window_bytes > 10 * INITIAL_WINDOW);
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
    while (lab_active(lab->server_app.newest).id == old.id && world_step(&lab->world))
        continue;
    roam_address remote = lab_active(lab->server_app.newest).remote;
    roam_time moved = world_now(&lab->world);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)));
    uint64_t first_round;
    uint64_t burst = most_within(lab, &remote, ROAM_MILLISECONDS(1), moved + ROAM_MILLISECONDS(310), &first_round);
    EXPECT(lab, burst > 0 && burst <= INITIAL_WINDOW && first_round <= INITIAL_WINDOW + 2 * 1200);
    burst = most_within(lab, &remote, ROAM_MILLISECONDS(1), moved + ROAM_SECONDS(3), &first_round);
    EXPECT(lab, burst <= INITIAL_WINDOW);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(60)));
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- S082: networks that were left and are come back to */

/* Time from now until the server's window on its active path has reached `bytes`. */
static roam_time time_to_window(struct lab *lab, uint64_t bytes, roam_time limit)
{
    roam_time start = world_now(&lab->world);
    while (lab_active(lab->server_app.newest).window_bytes < bytes && world_now(&lab->world) < start + limit &&
           world_step(&lab->world))
        continue;
    return world_now(&lab->world) - start;
}

static void fast_networks(struct lab *lab)
{
    for (size_t i = 0; i < 2; i++) {
        lab->config.down[i].rate_bits_per_s = 40000000;
        lab->config.down[i].queue_bytes = 128 * 1024;
    }
}

static void s082_a_network_that_was_known_starts_at_half_its_rate_two_round_trips_after_the_return(struct lab *lab)
{
    fast_networks(lab);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 3000000));
    roam_path_info known = lab_active(lab->server_app.newest);
    EXPECT(lab, known.window_bytes > 20 * INITIAL_WINDOW);
    EXPECT(lab, migrate_to(lab, 1) && lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(15)));
    EXPECT(lab, migrate_to(lab, 0));
    EXPECT(lab, lab_active(lab->server_app.newest).window_bytes < 2 * INITIAL_WINDOW);
    lab_begin(lab, TRANSFER_DOWNLOAD, 3000000);
    EXPECT(lab, time_to_window(lab, known.window_bytes / 2, ROAM_SECONDS(5)) <= 3 * known.smoothed_rtt);
    EXPECT(lab, lab_run(lab, 2 * known.smoothed_rtt));
    EXPECT(lab, lab_active(lab->server_app.newest).window_bytes >= known.window_bytes / 2);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_goodbye(lab));
}

static void s082_what_is_remembered_counts_only_where_the_path_is_validated(struct lab *lab)
{
    fast_networks(lab);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 3000000));
    roam_path_info known = lab_active(lab->server_app.newest);
    nat_change_address(lab_nat(lab), "203.0.114.1", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(15)));
    /* Somebody in the known network passes the client's packets off as his own. */
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->victim = sim_address("198.51.100.99:40000");
    roam_address theirs = *roam_conn_remote_address(lab->server_app.newest);
    uint64_t moves = lab_server_moves(lab);
    attacker_start(attacker, ATTACK_COPY, 2);
    lab_begin(lab, TRANSFER_DOWNLOAD, 3000000);
    while (lab_server_moves(lab) == moves && world_step(&lab->world))
        continue;
    roam_path_info path = lab_active(lab->server_app.newest);
    EXPECT(lab, roam_address_same_ip(&path.remote, &attacker->victim) && path.window_bytes == INITIAL_WINDOW);
    do
        EXPECT(lab, lab_active(lab->server_app.newest).window_bytes <= INITIAL_WINDOW);
    while (world_step(&lab->world) && lab_server_is_at(lab, &attacker->victim));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_server_is_at(lab, &theirs));
    /* And now the client itself. */
    nat_change_address(lab_nat(lab), "198.51.100.7", false);
    lab_begin(lab, TRANSFER_DOWNLOAD, 3000000);
    EXPECT(lab, lab_wait(lab, ROAM_EVENT_PATH_NEW, lab_server_count(lab, ROAM_EVENT_PATH_NEW) + 1));
    EXPECT(lab, lab_active(lab->server_app.newest).window_bytes <= INITIAL_WINDOW);
    EXPECT(lab, time_to_window(lab, known.window_bytes / 2, ROAM_SECONDS(5)) <= 4 * known.smoothed_rtt);
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_goodbye(lab));
}

static void s082_a_network_that_has_become_slower_is_retreated_from_safely(struct lab *lab)
{
    fast_networks(lab);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 3000000));
    roam_path_info known = lab_active(lab->server_app.newest);
    EXPECT(lab, migrate_to(lab, 1) && lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(15)));
    lab->clients[0].interfaces[0]->node.down->config.rate_bits_per_s = 2000000;
    lab->clients[0].interfaces[0]->node.down->config.queue_bytes = 16 * 1024;
    EXPECT(lab, migrate_to(lab, 0));
    uint64_t dropped = lab->world.stats.dropped[SIM_DROP_QUEUE];
    lab_begin(lab, TRANSFER_DOWNLOAD, 1000000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info path = lab_active(lab->server_app.newest);
    EXPECT(lab, lab->world.stats.dropped[SIM_DROP_QUEUE] > dropped);
    EXPECT(lab, path.window_bytes < known.window_bytes / 4);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(6))); /* 4 s of it are the rate's */
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_paths[] = {
    SCENARIO(s075_on_a_slow_path_the_idle_timeout_is_three_of_its_ptos),
    SCENARIO(s080_window_and_rtt_start_again_on_another_address_and_stay_on_another_port_cubic),
    SCENARIO(s080_window_and_rtt_start_again_on_another_address_and_stay_on_another_port_newreno),
    SCENARIO(s080_a_client_that_leaves_from_another_address_starts_again_too),
    SCENARIO(s081_acknowledgements_of_old_packets_teach_the_new_path_nothing),
    SCENARIO(s082_a_network_that_was_known_starts_at_half_its_rate_two_round_trips_after_the_return),
    SCENARIO(s082_what_is_remembered_counts_only_where_the_path_is_validated),
    SCENARIO(s082_a_network_that_has_become_slower_is_retreated_from_safely),
    SCENARIO(s083_ecn_is_validated_path_by_path),
    SCENARIO(s083_ecn_is_validated_in_the_middle_of_a_transfer),
    SCENARIO(s083_marks_of_what_is_not_processed_do_not_count),
    SCENARIO(s085_the_first_burst_on_a_slow_path_is_no_larger_than_the_initial_window),
    {NULL, NULL},
};
