/* S031 to S037: probes, what answers them, and what does not. */
#include "sim/attacker.h"
#include "sim/hand.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define CHALLENGE frame_bit(FRAME_PATH_CHALLENGE)
#define RESPONSE  frame_bit(FRAME_PATH_RESPONSE)

static size_t sent_to(const struct lab *lab, const roam_address *remote, uint64_t frames, roam_time from)
{
    return lab_count_packets(lab, &(struct lab_packets){lab->server, true, from, frames, 0, NULL, remote});
}

static size_t client_sent_from(const struct lab *lab, const roam_address *local, uint64_t frames, roam_time from)
{
    return lab_count_packets(lab, &(struct lab_packets){lab->clients[0].host, true, from, frames, 0, local, NULL});
}

//= rfc9000#8.2.2-3 Send PATH_RESPONSE on the path the challenge came in on.
//= rfc9000#8.2.2-5 Pad datagrams with PATH_RESPONSE to 1200 bytes.
//= rfc9000#9.1-2 Only PATH_CHALLENGE, PATH_RESPONSE, NEW_CONNECTION_ID and PADDING are probing frames.
static void s031_a_probe_is_answered_where_it_came_from_and_data_goes_on_where_it_was(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 4000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    lab_begin(lab, TRANSFER_DOWNLOAD, 400000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
    roam_address old = *roam_conn_remote_address(lab->server_app.newest), local = lab_socket(lab, 1);
    roam_time probed = world_now(&lab->world);
    EXPECT(lab, client_app_probe(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_run(lab, ROAM_SECONDS(1)));
    roam_address new = lab_outside(lab, 1, &local);
    EXPECT(lab, sent_to(lab, &new, RESPONSE, probed) >= 1 && sent_to(lab, &new, CHALLENGE, probed) >= 1);
    EXPECT(lab, sent_to(lab, &old, RESPONSE, probed) == 0);
    const struct lab_packets answers = {lab->clients[0].host, true, probed, RESPONSE, 0, &local, NULL};
    const struct oracle_record *answer = lab_packet(lab, &answers, 0);
    EXPECT(lab, answer != NULL && answer->packet.bytes >= DATAGRAM_BYTES_MIN);
    EXPECT(lab, sent_to(lab, &new, ~LAB_PROBING, probed) == 0);
    EXPECT(lab, client_sent_from(lab, &local, ~LAB_PROBING, probed) == 0);
    EXPECT(lab, sent_to(lab, &old, frame_bit(FRAME_STREAM), probed) > 100);
    EXPECT(lab, lab_server_moves(lab) == 0 && lab_server_is_at(lab, &old) && lab_server_paths(lab) == 2);
    EXPECT(lab,
           lab_client_count(lab, ROAM_EVENT_PATH_VALIDATED) == 1 && lab_client_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_VALIDATED) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.1-1 Probe reachability from a new local address before migrating.
//= rfc9000#9-4 Run path validation on any peer address change unless that address was validated before.
static void s032_a_move_to_a_probed_path_needs_no_second_validation(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    roam_address old = *roam_conn_remote_address(lab->server_app.newest), local = lab_socket(lab, 1);
    EXPECT(lab, client_app_probe(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(3)));
    roam_address new = lab_outside(lab, 1, &local);
    roam_time moved = world_now(&lab->world);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &local));
    while (lab_server_moves(lab) == 0 && world_step(&lab->world))
        continue;
    /* One way, and not a round trip more; and the server may send as much as it likes from then on. */
    EXPECT(lab, world_now(&lab->world) - moved < ROAM_MILLISECONDS(30) && lab_server_is_at(lab, &new));
    roam_path_info active = lab_active(lab->server_app.newest);
    EXPECT(lab, active.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000) && lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, sent_to(lab, &new, CHALLENGE, moved) == 0 && client_sent_from(lab, &local, CHALLENGE, moved) == 0);
    EXPECT(lab, sent_to(lab, &old, CHALLENGE, moved) >= 1);
    EXPECT(lab, lab_client_count(lab, ROAM_EVENT_PATH_MOVED) == 1 && lab_server_moves(lab) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

/* Replays what was held, and looks that the server has read it and stays where it is. */
static void release(struct lab *lab, struct attacker *attacker, const roam_address *from)
{
    const struct lab_packets late = {lab->server, false, world_now(&lab->world), 0, 0, NULL, from};
    roam_address at = lab_active(lab->server_app.newest).remote;
    uint64_t moves = lab_server_moves(lab);
    EXPECT(lab, attacker->kept_count > 0);
    attacker_replay(attacker, false);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
    EXPECT(lab, lab_count_packets(lab, &late) >= attacker->kept_count);
    EXPECT(lab, lab_server_moves(lab) == moves && lab_server_is_at(lab, &at));
    attacker_forget(attacker);
}

//= rfc9000#9.3-6 Only the highest-numbered non-probing packet can move the peer address.
static void s033_late_packets_probing_or_not_move_nothing_back(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    /* A probe is overtaken by data on the path that is in use. */
    roam_address local = lab_socket(lab, 1);
    attacker_start(attacker, ATTACK_HOLD, 1);
    EXPECT(lab, client_app_probe(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_MILLISECONDS(50)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 3000));
    roam_address new = lab_outside(lab, 1, &local);
    release(lab, attacker, &new);
    EXPECT(lab, !lab->world.failed && sent_to(lab, &new, RESPONSE, 0) == 1);
    /* Data of the old path is overtaken by the move: a deliberate one, and one that nobody announced. */
    for (size_t i = 0; i < 2 && !lab->world.failed; i++) {
        roam_address old_local = *roam_conn_local_address(lab_client(lab)->conn);
        roam_address old = lab_outside(lab, i, &old_local);
        attacker->only_from = old;
        attacker_start(attacker, ATTACK_HOLD, 2);
        lab_begin(lab, TRANSFER_UPLOAD, 20000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)));
        if (i == 1)
            local = lab_socket(lab, 0);
        EXPECT(lab, (i == 0 ? client_app_migrate : client_app_rebind)(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)) && lab_server_follows(lab, 1 - i));
        release(lab, attacker, &old);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(5)) && lab_run(lab, ROAM_SECONDS(2)));
        attacker_stop(attacker);
    }
    EXPECT(lab, lab_server_moves(lab) == 2 && lab_server_follows(lab, 0));
    EXPECT(lab, lab_goodbye(lab));
}

enum { WITH_PING_BEHIND, WITH_PING_BEFORE, WITH_ACK, PURE, PURE_WITH_NEW_CID, PROBE_KINDS };

static void write_probe(struct writer *frames, const roam_conn *conn, unsigned kind)
{
    static const uint8_t data[PATH_DATA_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const struct range first = {0, 1};
    if (kind == WITH_PING_BEFORE)
        frame_write_ping(frames);
    frame_write_path(frames, FRAME_PATH_CHALLENGE, data);
    if (kind == WITH_PING_BEHIND)
        frame_write_ping(frames);
    if (kind == WITH_ACK)
        frame_write_ack(frames, &first, 1, 1, 0, NULL);
    if (kind == PURE_WITH_NEW_CID) {
        const struct local_cid *cid = &conn->local_cids.entries[conn->local_cids.count - 1];
        uint8_t token[RESET_TOKEN_BYTES];
        conn->owner->cid_reset_token(conn->owner->context, &cid->cid, token);
        frame_write_new_connection_id(frames, cid->sequence, 0, &cid->cid, token);
    }
}

//= rfc9000#9.1-2 Any other frame makes the packet non-probing.
static void s034_one_frame_that_is_not_probing_makes_the_whole_packet_a_migration(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct hand hand;
    hand_init(&hand, lab->clients[0].host, lab_client(lab)->conn);
    roam_address home = *roam_conn_remote_address(lab->server_app.newest);
    for (unsigned kind = 0; kind < PROBE_KINDS; kind++) {
        roam_address local = lab_socket(lab, 1);
        uint64_t moves = lab_server_moves(lab);
        write_probe(hand_begin(&hand), hand.conn, kind);
        hand_send(&hand, &local, &lab->clients[0].remote, DATAGRAM_BYTES_MIN);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40)));
        roam_address there = lab_outside(lab, 1, &local);
        bool pure = kind == PURE || kind == PURE_WITH_NEW_CID;
        EXPECT(lab, lab_server_is_at(lab, pure ? &home : &there));
        EXPECT(lab, lab_server_moves(lab) == moves + !pure);
        /* The client has never left, and says so in its answer to the challenge there. */
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(12)));
        EXPECT(lab, lab_server_is_at(lab, &home) && lab_server_paths(lab) == 1);
    }
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.3-1 An ACK of the PATH_CHALLENGE is not proof.
static void s035_an_acknowledged_challenge_without_a_response_proves_nothing(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    attacker->only = RESPONSE;
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    nat_change_ports(lab_nat(lab), true); /* both ports lead to the client: nothing is lost but responses */
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 50000) && lab_run(lab, ROAM_SECONDS(1)));
    roam_conn *server = lab->server_app.newest;
    roam_path_info active = lab_active(server);
    roam_conn_stats stats;
    roam_conn_get_stats(server, &stats);
    const struct oracle_record *challenge =
        lab_packet(lab, &(struct lab_packets){lab->server, true, 0, CHALLENGE, 0, NULL, &active.remote}, 0);
    EXPECT(lab, challenge != NULL && attacker->seen > 0 && lab_server_follows(lab, 0));
    /* It was received: neither outstanding nor lost. */
    EXPECT(lab, sent_map_find(&server->application.sent, challenge->packet.number) == NULL && stats.packets_lost == 0);
    roam_conn_info info;
    roam_conn_get_info(server, &info);
    EXPECT(lab, active.state == ROAM_PATH_VALIDATING && !info.address_validated);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)));
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_VALIDATED) == 0);
    EXPECT(lab,
           lab_server_count(lab, ROAM_EVENT_PATH_FAILED) >= 1 && lab_server_count(lab, ROAM_EVENT_PATH_REVERTED) == 1);
    attacker_stop(attacker);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, lab_server_follows(lab, 0) && lab_active(server).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.2-4 The initiator does not reject a PATH_RESPONSE merely because it came in on another path.
static void s036_a_response_that_comes_on_another_path_proves_the_challenged_one(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    roam_address local = lab_socket(lab, 1), old = *roam_conn_remote_address(lab->server_app.newest);
    attacker->only = RESPONSE;
    attacker->victim = old;
    attacker_start(attacker, ATTACK_MOVE, UINT64_MAX);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_MILLISECONDS(400)));
    roam_address new = lab_outside(lab, 1, &local);
    const struct lab_packets from_new = {lab->server, false, 0, RESPONSE, 0, NULL, &new};
    const struct lab_packets from_old = {lab->server, false, 0, RESPONSE, 0, NULL, &old};
    EXPECT(lab, lab_count_packets(lab, &from_new) == 0 && lab_count_packets(lab, &from_old) >= 1);
    const struct app_event *validated = app_history_find(&lab->server_app.history, ROAM_EVENT_PATH_VALIDATED, 0);
    EXPECT(lab, validated != NULL && roam_address_equal(&validated->remote, &new));
    attacker_stop(attacker);
    roam_time proven = world_now(&lab->world);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 50000) && lab_server_moves(lab) == 1);
    EXPECT(lab, lab_server_is_at(lab, &new) && lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, sent_to(lab, &new, CHALLENGE, proven) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.3-1 Validation succeeds only by a PATH_RESPONSE with matching data.
//= rfc9000#21.1.3.2-2 Off-path attacker cannot make migration fail on a path it cannot observe.
static void s037_a_response_with_other_data_is_ignored(struct lab *lab)
{
    //= rfc9000#21.1.3.2-2 Off-path attacker cannot make migration fail on a path it cannot observe.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    struct hand hand;
    hand_init(&hand, lab->clients[0].host, lab_client(lab)->conn);
    attacker->only = RESPONSE; /* the true ones; what is written by hand passes */
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    lab_begin(lab, TRANSFER_UPLOAD, 20000);
    for (uint8_t i = 0; i < 40; i++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(20)));
        const uint8_t data[PATH_DATA_BYTES] = {i, 0, 0, 0, 0, 0, 0, i};
        frame_write_path(hand_begin(&hand), FRAME_PATH_RESPONSE, data);
        hand_send(&hand, roam_conn_local_address(hand.conn), &lab->clients[0].remote, DATAGRAM_BYTES_MIN);
        EXPECT(lab, lab->server_app.newest != NULL && lab_server_count(lab, ROAM_EVENT_PATH_ANSWERED) == 0);
    }
    EXPECT(lab, lab->server_app.newest->counters.responses_received >= 38);
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATING && lab_server_follows(lab, 0));
    attacker_stop(attacker);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(4)));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED && lab_server_follows(lab, 0));
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_probe[] = {
    SCENARIO(s031_a_probe_is_answered_where_it_came_from_and_data_goes_on_where_it_was),
    SCENARIO(s032_a_move_to_a_probed_path_needs_no_second_validation),
    SCENARIO(s033_late_packets_probing_or_not_move_nothing_back),
    SCENARIO(s034_one_frame_that_is_not_probing_makes_the_whole_packet_a_migration),
    SCENARIO(s035_an_acknowledged_challenge_without_a_response_proves_nothing),
    SCENARIO(s036_a_response_that_comes_on_another_path_proves_the_challenged_one),
    SCENARIO(s037_a_response_with_other_data_is_ignored),
    {NULL, NULL},
};
