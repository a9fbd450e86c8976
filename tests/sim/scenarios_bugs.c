/* B01 to B12: mistakes of other stacks in where packets go, which CID they carry, and what they count. */
#include "sim/attacker.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define HAS_FRAME(packet, type) (((packet)->frames >> (type)&1) != 0)

static bool server_is_at(struct lab *lab, size_t interface)
{
    roam_address outside = nat_outside(lab->clients[0].nats[interface], roam_conn_local_address(lab_client(lab)->conn));
    return lab->server_app.newest != NULL &&
           roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &outside);
}

static uint64_t server_moves(const struct lab *lab)
{
    roam_conn_info info;
    roam_conn_get_info(lab->server_app.newest, &info);
    return info.moves;
}

/* Packets of one side with this frame that went to, or came from, an address. */
static size_t packets_with(const struct lab *lab, const struct host *host, bool sent, enum frame_type frame,
                           const roam_address *remote)
{
    const struct oracle_record *records;
    size_t count = 0, n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++) {
        const struct observed_packet *packet = &records[i].packet;
        count += records[i].host == host && packet->sent == sent && HAS_FRAME(packet, frame) &&
                 (remote == NULL || roam_address_equal(&packet->remote, remote));
    }
    return count;
}

static void b01_challenges_leave_on_the_path_that_they_are_to_prove(struct lab *lab)
{
    //= rfc9000#8.2.2-3 Send PATH_RESPONSE on the path the challenge came in on.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    roam_address old = *roam_conn_remote_address(lab->server_app.newest);
    lab_begin(lab, TRANSFER_DOWNLOAD, 100000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(80)));
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_run(lab, ROAM_SECONDS(2)));
    roam_address new = *roam_conn_remote_address(lab->server_app.newest);
    EXPECT(lab, server_is_at(lab, 0) && !roam_address_equal(&old, &new));
    size_t to_new = packets_with(lab, lab->server, true, FRAME_PATH_CHALLENGE, &new);
    size_t to_old = packets_with(lab, lab->server, true, FRAME_PATH_CHALLENGE, &old);
    EXPECT(lab, to_new >= 1 && to_old >= 1);
    EXPECT(lab, to_new + to_old == packets_with(lab, lab->server, true, FRAME_PATH_CHALLENGE, NULL));
    /* And the first packet to the new address is one of them. */
    const struct oracle_record *records;
    size_t i = 0, n = oracle_records(lab->world.oracle, &records);
    while (i < n && !(records[i].host == lab->server && records[i].packet.sent &&
                      roam_address_equal(&records[i].packet.remote, &new)))
        i++;
    EXPECT(lab, i < n && HAS_FRAME(&records[i].packet, FRAME_PATH_CHALLENGE));
    EXPECT(lab, lab_goodbye(lab));
}

static void b02_rebinding_over_a_lossy_way_never_exceeds_the_cid_limit(struct lab *lab)
{
    lab->config.client.active_connection_id_limit = lab->config.server.active_connection_id_limit = 2;
    for (size_t i = 0; i < 2; i++) {
        lab->config.up[i].loss_ppm = lab->config.down[i].loss_ppm = 80000;
        lab->config.up[i].delay = lab->config.down[i].delay = ROAM_MILLISECONDS(80);
    }
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (int i = 0; i < 20; i++) {
        lab_begin(lab, i % 2 == 0 ? TRANSFER_ECHO : TRANSFER_DOWNLOAD, 20000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
        nat_change_ports(lab_nat(lab), false);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(120)));
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(700)));
    }
    for (struct link *link = lab->world.links; link != NULL; link = link->next)
        link->config.loss_ppm = 0;
    EXPECT(lab, lab_goodbye(lab));
}

/* A migration and a rebinding, `lag` apart, one or the other first. */
static void migrate_and_rebind(struct lab *lab, roam_time lag, bool rebinding_first, size_t interface)
{
    roam_address local = lab_socket(lab, interface);
    struct client_app *app = lab_client(lab);
    if (rebinding_first)
        nat_change_ports(lab->clients[0].nats[interface], false);
    else
        client_app_migrate(app, &local);
    EXPECT(lab, lab_run(lab, lag));
    if (rebinding_first)
        client_app_migrate(app, &local);
    else
        nat_change_ports(lab->clients[0].nats[interface], false);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(6)));
}

static void b03_rebinding_and_a_change_of_cid_combine_in_every_order(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (unsigned i = 0; i < 48; i++) {
        lab_begin(lab, i & 1 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 40000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)));
        migrate_and_rebind(lab, ROAM_MILLISECONDS(7) * (i / 4), i & 2, (i / 2) % 2);
        if (lab->world.failed)
            return;
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void b05_a_repeated_path_response_promotes_no_stale_address(struct lab *lab)
{
    //= rfc9000#8.2.2-7 Never send more than one PATH_RESPONSE per PATH_CHALLENGE received (no retransmission).
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    attacker_start(attacker, ATTACK_KEEP, ATTACKER_KEPT_MAX);
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000) && lab_run(lab, ROAM_SECONDS(1)));
    attacker_start(attacker, ATTACK_NONE, 0);
    EXPECT(lab, packets_with(lab, lab->server, false, FRAME_PATH_RESPONSE, NULL) > 0);
    nat_change_address(lab_nat(lab), "198.51.100.3", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_is_at(lab, 0) && server_moves(lab) == 2);
    for (int i = 0; i < 3; i++) {
        attacker_replay(attacker, i == 1);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
        EXPECT(lab, server_is_at(lab, 0) && server_moves(lab) == 2);
    }
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, lab_goodbye(lab));
}

static void b06_after_a_to_b_to_a_the_server_sends_to_a(struct lab *lab)
{
    for (int i = 0; i < 2; i++)
        lab->config.down[i].rate_bits_per_s = 8000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 600000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
    nat_change_address(lab_nat(lab), "198.51.100.2", true);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
    nat_change_address(lab_nat(lab), "198.51.100.1", true);
    lab->workload.transfers[0].longest_stall = 0;
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_is_at(lab, 0) && server_moves(lab) == 2);
    EXPECT(lab, lab->workload.transfers[0].longest_stall < ROAM_MILLISECONDS(700));
    EXPECT(lab, lab_goodbye(lab));
}

static void b07_overlapping_validations_leave_the_fallback_its_cid(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->fresh_port = true;
    for (int i = 0; i < 6; i++) {
        lab_begin(lab, i % 2 == 0 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 100000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
        /* Three places that nobody answers from, in the middle of a true migration. */
        roam_address local = lab_socket(lab, (size_t)(i + 1) % 2);
        client_app_migrate(lab_client(lab), &local);
        attacker_start(attacker, i < 3 ? ATTACK_MOVE : ATTACK_COPY, 3);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(8)));
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
        EXPECT(lab, server_is_at(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &local)
                                          ? (size_t)(i + 1) % 2
                                          : (size_t)i % 2));
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void b08_a_port_only_rebinding_does_not_punish_the_congestion_window(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 20000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 200000) && lab_run(lab, ROAM_SECONDS(1)));
    uint64_t before = lab_active(lab->server_app.newest).window_bytes;
    lab_begin(lab, TRANSFER_DOWNLOAD, 400000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
    nat_change_ports(lab_nat(lab), true); /* the old mapping lives on, so that nothing is lost */
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(5)));
    roam_path_info after = lab_active(lab->server_app.newest);
    EXPECT(lab, server_moves(lab) == 1 && after.window_bytes >= before);
    before = after.window_bytes;
    lab_begin(lab, TRANSFER_DOWNLOAD, 400000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
    nat_change_ports(lab_nat(lab), false); /* and now what was under way is lost: that is no congestion */
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(5)));
    after = lab_active(lab->server_app.newest);
    EXPECT(lab, server_moves(lab) == 2 && after.window_bytes >= before / 2);
    EXPECT(lab, lab_goodbye(lab));
}

static void b09_every_datagram_twice_harms_nothing(struct lab *lab)
{
    for (size_t i = 0; i < 2; i++)
        lab->config.up[i].duplicate_ppm = lab->config.down[i].duplicate_ppm = 1000000;
    lab->config.client.active_connection_id_limit = lab->config.server.active_connection_id_limit = 3;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 10; i++) {
        roam_address local = lab_socket(lab, i % 2);
        EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab,
               lab_transfer(lab, (enum transfer_kind)(i % TRANSFER_KINDS), 20000) && lab_run(lab, ROAM_SECONDS(5)));
        nat_change_ports(lab->clients[0].nats[i % 2], false);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000) && lab_run(lab, ROAM_SECONDS(5)));
        EXPECT(lab, server_is_at(lab, i % 2));
    }
    EXPECT(lab, app_history_failures_on_active(&lab->server_app.history) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

static void b10_after_a_faster_forwarder_has_gone_the_server_is_back_on_the_true_path(struct lab *lab)
{
    //= rfc9000#9.3.3-1 On an apparent migration, also send PATH_CHALLENGE on the previously active path.
    //= rfc9000#9.3.2-4 A later higher-numbered packet from the true peer moves the path back and cancels the spurious
    // validation.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    roam_address old = *roam_conn_remote_address(lab->server_app.newest);
    attacker_start(attacker, ATTACK_FORWARD, UINT64_MAX);
    lab_begin(lab, TRANSFER_DOWNLOAD, 300000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(700)));
    EXPECT(lab, server_moves(lab) >= 1);
    EXPECT(lab, packets_with(lab, lab->server, true, FRAME_PATH_CHALLENGE, &old) >= 1);
    attacker_start(attacker, ATTACK_NONE, 0);
    attacker->client = (roam_address){0};
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &old));
    EXPECT(lab, lab_goodbye(lab));
}

static void b11_a_challenge_on_the_old_path_does_not_carry_the_new_cid(struct lab *lab)
{
    //= rfc9000#9.5-3 Never use one destination CID toward more than one peer address.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    roam_path_info old = lab_active(lab->server_app.newest);
    lab_begin(lab, TRANSFER_UPLOAD, 200000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_run(lab, ROAM_SECONDS(2)));
    roam_path_info new = lab_active(lab->server_app.newest);
    EXPECT(lab, server_is_at(lab, 1) && !roam_cid_equal(&old.cid, &new.cid));
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records), to_new = 0;
    for (size_t i = 0; i < n; i++) {
        const struct observed_packet *packet = &records[i].packet;
        if (records[i].host != lab->server || !packet->sent || packet->type != PACKET_ONE_RTT)
            continue;
        bool old_address = roam_address_equal(&packet->remote, &old.remote);
        EXPECT(lab, !old_address || roam_cid_equal(&packet->dcid, &old.cid));
        EXPECT(lab, old_address || !roam_cid_equal(&packet->dcid, &old.cid));
        to_new += !old_address;
    }
    EXPECT(lab, to_new > 0);
    EXPECT(lab, lab_goodbye(lab));
}

static void expect_nothing_in_flight(struct lab *lab, const roam_conn *conn)
{
    roam_path_info paths[PATHS_MAX];
    size_t n = roam_conn_paths(conn, paths, PATHS_MAX);
    for (size_t i = 0; i < n; i++)
        EXPECT(lab, paths[i].in_flight_bytes == 0);
}

static void b12_octets_in_flight_stay_right_across_sleep_and_migration(struct lab *lab)
{
    lab->config.down[1].delay = ROAM_MILLISECONDS(120); /* acknowledgements of one path overtake those of the other */
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 12; i++) {
        lab_begin(lab, i % 2 == 0 ? TRANSFER_DOWNLOAD : TRANSFER_UPLOAD, 100000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(70)));
        struct interface *asleep = lab->clients[0].interfaces[i % 2];
        interface_set_down(asleep, true);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300) * (i % 4)));
        roam_address local = lab_socket(lab, (i + 1) % 2);
        EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
        interface_set_down(asleep, false);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(60)) && lab_run(lab, ROAM_SECONDS(12)));
        expect_nothing_in_flight(lab, lab_client(lab)->conn);
        expect_nothing_in_flight(lab, lab->server_app.newest);
        if (lab->world.failed)
            return;
    }
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_bugs[] = {
    SCENARIO(b01_challenges_leave_on_the_path_that_they_are_to_prove),
    SCENARIO(b02_rebinding_over_a_lossy_way_never_exceeds_the_cid_limit),
    SCENARIO(b03_rebinding_and_a_change_of_cid_combine_in_every_order),
    SCENARIO(b05_a_repeated_path_response_promotes_no_stale_address),
    SCENARIO(b06_after_a_to_b_to_a_the_server_sends_to_a),
    SCENARIO(b07_overlapping_validations_leave_the_fallback_its_cid),
    SCENARIO(b08_a_port_only_rebinding_does_not_punish_the_congestion_window),
    SCENARIO(b09_every_datagram_twice_harms_nothing),
    SCENARIO(b10_after_a_faster_forwarder_has_gone_the_server_is_back_on_the_true_path),
    SCENARIO(b11_a_challenge_on_the_old_path_does_not_carry_the_new_cid),
    SCENARIO(b12_octets_in_flight_stay_right_across_sleep_and_migration),
    {NULL, NULL},
};
