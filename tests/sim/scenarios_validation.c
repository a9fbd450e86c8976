/* S038 to S047: validations that go wrong, repeat themselves, are replaced, or are too many. */
#include "conn/paths.h"
#include "sim/attacker.h"
#include "sim/hand.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define CHALLENGE frame_bit(FRAME_PATH_CHALLENGE)
#define RESPONSE  frame_bit(FRAME_PATH_RESPONSE)

/* How often it happened on paths from this address of ours, or to this one of theirs. */
static size_t times(const struct app_history *history, roam_event_type type, const roam_address *address)
{
    size_t count = 0;
    const struct app_event *event;
    for (size_t i = 0; (event = app_history_find(history, type, i)) != NULL; i++)
        count += roam_address_equal(&event->local, address) || roam_address_equal(&event->remote, address);
    return count;
}

static const struct oracle_record *challenge_to_client(const struct lab *lab, size_t index)
{
    roam_address outside = lab_outside(lab, 0, roam_conn_local_address(lab->clients[0].app.conn));
    return lab_packet(lab, &(struct lab_packets){lab->server, true, 0, CHALLENGE, 0, NULL, &outside}, index);
}

//= rfc9000#8.2.1-1 Send several PATH_CHALLENGEs to ride out loss.
static void s038_the_answer_to_a_repeated_challenge_counts_and_so_does_a_late_one_to_the_first(struct lab *lab)
{
    struct lab_loss loss = {.frames = CHALLENGE, .left = 1};
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 50000));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    /* The first challenge is lost. */
    lab_lose(lab->clients[0].interfaces[0]->node.down, &loss);
    nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 5000) && lab_wait(lab, ROAM_EVENT_PATH_VALIDATED, 1));
    EXPECT(lab, loss.left == 0 && challenge_to_client(lab, 1) != NULL && challenge_to_client(lab, 2) == NULL);
    EXPECT(lab, lab_server_follows(lab, 0) && lab_run(lab, ROAM_SECONDS(2)));
    /* The first answer is late, all others are lost. */
    nat_change_ports(lab_nat(lab), false);
    attacker->only = RESPONSE;
    attacker_start(attacker, ATTACK_HOLD, 1);
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 5000));
    while (challenge_to_client(lab, 1) == NULL && world_step(&lab->world))
        continue;
    EXPECT(lab, attacker->kept_count == 1 && lab_server_count(lab, ROAM_EVENT_PATH_VALIDATED) == 1);
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    attacker_replay(attacker, false);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(10)));
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_VALIDATED) == 2 && lab_server_follows(lab, 0));
    attacker_stop(attacker);
    EXPECT(lab, app_history_failures_on_active(&lab->server_app.history) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.4-1 Abandon validation by a timer.
//= rfc9000#8.2.4-4 Failure of one path's validation does not by itself end the connection.
static void s039_a_path_that_cannot_be_validated_is_removed_and_its_cid_retired(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (unsigned one_way = 0; one_way < 2; one_way++) {
        /* Nothing gets through there; then probes do, and their answers do not. */
        struct interface *dead = lab->clients[0].interfaces[1];
        interface_set_down(dead, true);
        dead->node.up->down = !one_way;
        roam_conn *client = lab_client(lab)->conn, *server = lab->server_app.newest;
        size_t spare = remote_cid_spare(&client->remote_cids), spare_there = remote_cid_spare(&server->remote_cids);
        uint64_t retired = lab_server_count(lab, ROAM_EVENT_CID_RETIRED),
                 retired_here = lab_client_count(lab, ROAM_EVENT_CID_RETIRED);
        roam_address local = lab_socket(lab, 1);
        EXPECT(lab, client_app_probe(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, remote_cid_spare(&client->remote_cids) == spare - 1);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
        roam_address there = lab_outside(lab, 1, &local);
        lab_begin(lab, TRANSFER_ECHO, 20000); /* the other path is good */
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(1)) && lab_run(lab, ROAM_SECONDS(4)));
        EXPECT(lab, times(&lab_client(lab)->history, ROAM_EVENT_PATH_FAILED, &local) == 1);
        EXPECT(lab, times(&lab_client(lab)->history, ROAM_EVENT_PATH_CLOSED, &local) == 1);
        EXPECT(lab, times(&lab->server_app.history, ROAM_EVENT_PATH_FAILED, &there) == one_way);
        EXPECT(lab, times(&lab->server_app.history, ROAM_EVENT_PATH_CLOSED, &there) == one_way);
        EXPECT(lab, client->paths.count == 1 && server->paths.count == 1);
        EXPECT(lab, lab_server_count(lab, ROAM_EVENT_CID_RETIRED) == retired + 1);
        EXPECT(lab, lab_client_count(lab, ROAM_EVENT_CID_RETIRED) == retired_here + one_way);
        /* Where the server has seen one of the spare ones it gives all that it may. */
        EXPECT(lab, remote_cid_spare(&client->remote_cids) == (one_way ? LOCAL_CIDS_MAX - 1 : spare));
        EXPECT(lab, remote_cid_spare(&server->remote_cids) == spare_there);
        EXPECT(lab, lab_server_moves(lab) == 0);
    }
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.3.2-2 With no last validated address known, drop the connection silently with all state.
//= rfc9000#9.3.2-3 Answer later packets of that connection with Stateless Reset.
static void s040_without_any_validated_address_left_the_connection_ends_in_silence(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    attacker->only = RESPONSE;
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100));
    /* The server keeps its last validated address as long as it can; here it could not. */
    struct roam_conn *server = lab->server_app.newest;
    struct path *last = path_set_find(&server->paths, server->paths.fallback_id);
    EXPECT(lab, lab_server_moves(lab) == 1 && last != NULL && !path_set_active(&server->paths)->address_validated);
    conn_forget_path(server, last);
    EXPECT(lab, lab_wait(lab, ROAM_EVENT_CLOSED, 1));
    roam_time ended = world_now(&lab->world);
    EXPECT(lab, lab->server_app.error.cause == ROAM_CLOSE_NO_VIABLE_PATH);
    EXPECT(lab,
           lab_server_count(lab, ROAM_EVENT_PATH_FAILED) == 1 && lab_server_count(lab, ROAM_EVENT_PATH_REVERTED) == 0);
    EXPECT(lab, lab_count_packets(lab, &(struct lab_packets){lab->server, true, ended, 0, 0, NULL, NULL}) == 0);
    EXPECT(lab, roam_endpoint_connections(lab->server->endpoint, NULL, 0) == 0);
    uint64_t sent = lab->server->datagrams_out;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && lab->server->datagrams_out == sent);
    /* The client hears of it when it speaks. */
    lab_begin(lab, TRANSFER_ECHO, 100);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, lab_client(lab)->closed && lab_client(lab)->error.cause == ROAM_CLOSE_STATELESS_RESET);
}

static void s041_a_new_migration_takes_the_place_of_one_that_is_not_proven_yet(struct lab *lab)
{
    lab->config.interfaces = 3;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    /* The second wish is granted sooner than the first, and later. */
    for (size_t turn = 0; turn < 2; turn++) {
        lab->clients[0].interfaces[1]->node.up->config.delay = ROAM_MILLISECONDS(turn == 0 ? 300 : 10);
        roam_address first = lab_socket(lab, 1), second = lab_socket(lab, 2);
        struct app_history *history = &lab_client(lab)->history;
        uint64_t moved = history->counts[ROAM_EVENT_PATH_MOVED];
        EXPECT(lab, client_app_migrate(lab_client(lab), &first) == ROAM_OK && lab_run(lab, ROAM_MILLISECONDS(5)));
        EXPECT(lab, client_app_migrate(lab_client(lab), &second) == ROAM_OK);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000) && lab_run(lab, ROAM_SECONDS(12)));
        EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &second));
        EXPECT(lab, history->counts[ROAM_EVENT_PATH_MOVED] == moved + 1 && lab_server_follows(lab, 2));
        EXPECT(lab, times(history, ROAM_EVENT_PATH_MOVED, &first) == 0);
        EXPECT(lab, times(history, ROAM_EVENT_PATH_CLOSED, &first) == 1);
        EXPECT(lab, times(history, ROAM_EVENT_PATH_FAILED, &first) == 0);
        roam_address there = lab_outside(lab, 1, &first);
        EXPECT(lab, times(&lab->server_app.history, ROAM_EVENT_PATH_CLOSED, &there) <= 1);
        EXPECT(lab, lab_client(lab)->conn->paths.count == 1 && lab_server_paths(lab) == 1);
        roam_address home = lab_socket(lab, 0);
        EXPECT(lab, client_app_migrate(lab_client(lab), &home) == ROAM_OK && lab_run(lab, ROAM_SECONDS(12)));
    }
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.3-2 Start validating the new address unless validation is already running.
static void s041_a_second_rebinding_ends_the_validation_of_the_first_once(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 300000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(80)));
    roam_address at[3];
    for (size_t i = 0; i < 3; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "198.51.100.%zu", 100 + i);
        nat_change_address(lab_nat(lab), ip, false);
        roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
        host_turn(lab->clients[0].host);
        at[i] = lab_outside(lab, 0, &lab->clients[0].local);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(i < 2 ? 35 : 60)));
    }
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_run(lab, ROAM_SECONDS(15)));
    EXPECT(lab, lab_server_is_at(lab, &at[2]) && lab_server_paths(lab) == 1);
    struct app_history *history = &lab->server_app.history;
    for (size_t i = 0; i < 3; i++) {
        EXPECT(lab, times(history, ROAM_EVENT_PATH_NEW, &at[i]) == 1);
        EXPECT(lab, times(history, ROAM_EVENT_PATH_VALIDATED, &at[i]) == (i == 2));
        EXPECT(lab, times(history, ROAM_EVENT_PATH_FAILED, &at[i]) <= (i < 2));
        EXPECT(lab, times(history, ROAM_EVENT_PATH_CLOSED, &at[i]) == (i < 2));
    }
    EXPECT(lab, history->counts[ROAM_EVENT_PATH_REVERTED] == 0);
    EXPECT(lab, lab_goodbye(lab));
}

static void s044_too_many_probes_are_refused_and_soon_allowed_again(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    uint64_t bytes = 0, bytes_there = 0;
    for (unsigned turn = 0; turn < 4; turn++) {
        unsigned taken = 0;
        for (unsigned i = 0; i < 100; i++) {
            roam_address local = lab_socket(lab, 1);
            roam_result result = client_app_probe(lab_client(lab), &local);
            EXPECT(lab, result == ROAM_OK || result == ROAM_ERR_NO_CID || result == ROAM_ERR_LIMIT);
            taken += result == ROAM_OK;
            EXPECT(lab, lab_client(lab)->conn->paths.count <= lab->config.client.max_paths);
        }
        EXPECT(lab,
               taken >= lab->config.client.max_paths - 1 && taken <= lab->config.client.active_connection_id_limit);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab_server_paths(lab) <= lab->config.server.max_paths);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000) && lab_run(lab, ROAM_SECONDS(14)));
        EXPECT(lab, lab_client(lab)->conn->paths.count == 1 && lab_server_paths(lab) == 1);
        /* The first turn leaves each endpoint with its quarantine of CIDs, and that is all. */
        EXPECT(lab,
               turn == 0 || (lab->clients[0].host->alloc.bytes <= bytes && lab->server->alloc.bytes <= bytes_there));
        bytes = lab->clients[0].host->alloc.bytes + 4096;
        bytes_there = lab->server->alloc.bytes + 4096;
    }
    EXPECT(lab, lab_server_moves(lab) == 0 && lab_goodbye(lab));
}

//= rfc9000#9.4-4 A timer for resending PATH_CHALLENGE follows the PTO computation of RFC 9002 section 6.2.1.
//= rfc9000#9.4-5 That resend timer is never more aggressive than the PTO.
//= rfc9000#8.2.1-3 Do not probe a new path more often than Initials would be sent.
static void s045_the_third_challenge_gets_through_where_two_were_lost(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 50000));
    oracle_record(lab->world.oracle, true);
    /* To another port, to another address in an upload, which brings the new path an RTT to go by. */
    for (unsigned turn = 0; turn < 2; turn++) {
        struct lab_loss loss = {.frames = CHALLENGE, .left = 2};
        lab_lose(lab->clients[0].interfaces[0]->node.down, &loss);
        if (turn == 0)
            nat_change_ports(lab_nat(lab), false);
        else
            nat_change_address(lab_nat(lab), "198.51.100.2", false);
        lab_begin(lab, turn == 0 ? TRANSFER_ECHO : TRANSFER_DOWNLOAD, turn == 0 ? 100 : 100000);
        uint64_t answered = lab_server_count(lab, ROAM_EVENT_PATH_ANSWERED);
        EXPECT(lab, lab_wait(lab, ROAM_EVENT_PATH_ANSWERED, answered + 1));
        const struct oracle_record *first = challenge_to_client(lab, 0), *second = challenge_to_client(lab, 1),
                                   *third = challenge_to_client(lab, 2);
        EXPECT(lab, loss.left == 0 && third != NULL);
        roam_path_info path = lab_active(lab->server_app.newest);
        /* After one PTO, and after two more: no sooner, and not as late as for a path of which nothing is known. */
        const roam_time once = second->time - first->time, twice = third->time - second->time;
        EXPECT(lab, once >= path.min_rtt && twice >= 2 * path.min_rtt);
        EXPECT(lab, once < 5 * path.min_rtt && twice < 10 * path.min_rtt);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(5)) && lab_run(lab, ROAM_SECONDS(5)) && lab_server_follows(lab, 0));
        lab->clients[0].interfaces[0]->node.down->filter = NULL;
    }
    EXPECT(lab, app_history_failures_on_active(&lab->server_app.history) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.2-6 Do not pad that datagram beyond the 3x budget.
//= rfc9000#8.2.2-7 Never send more than one PATH_RESPONSE per PATH_CHALLENGE received.
//= rfc9000#8.2.2-1 Echo PATH_CHALLENGE data in a PATH_RESPONSE.
static void s047_many_challenges_get_few_answers_and_no_challenge_gets_two(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct hand hand;
    roam_conn *client = lab_client(lab)->conn, *server = lab->server_app.newest;
    hand_init(&hand, lab->clients[0].host, client);
    for (uint8_t n = 1; n <= 40; n++) {
        uint64_t answers = client->counters.responses_received;
        struct writer *frames = hand_begin(&hand);
        for (uint8_t i = 0; i < n; i++)
            frame_write_path(frames, FRAME_PATH_CHALLENGE, (const uint8_t[PATH_DATA_BYTES]){n, i});
        hand_send(&hand, roam_conn_local_address(client), &lab->clients[0].remote, DATAGRAM_BYTES_MIN);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
        answers = client->counters.responses_received - answers;
        EXPECT(lab, answers >= 1 && answers <= n && answers <= PATH_RESPONSES_MAX);
    }
    /* A small one from a new address: the answer is as large as the limit allows, and no larger. */
    roam_address local = lab_socket(lab, 1);
    frame_write_path(hand_begin(&hand), FRAME_PATH_CHALLENGE, (const uint8_t[PATH_DATA_BYTES]){1});
    hand_send(&hand, &local, &lab->clients[0].remote, 0);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
    roam_address there = lab_outside(lab, 1, &local);
    uint64_t out, in;
    EXPECT(lab, !oracle_wire(lab->server, &there, &out, &in) && in < 60 && out > 0 && out <= 3 * in);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(12)));
    /* A flood of them, in small datagrams: no more answers than challenges, and nothing piles up. */
    uint64_t bytes = lab->server->alloc.bytes, answers = client->counters.responses_received;
    uint64_t asked = server->counters.challenges_received;
    for (unsigned i = 0; i < 4000; i++) {
        frame_write_path(hand_begin(&hand), FRAME_PATH_CHALLENGE, (const uint8_t[PATH_DATA_BYTES]){i >> 8, (uint8_t)i});
        hand_send(&hand, roam_conn_local_address(client), &lab->clients[0].remote, 0);
        EXPECT(lab, i % 8 != 7 || lab_run(lab, ROAM_MILLISECONDS(1)));
        EXPECT(lab, lab->server->alloc.bytes < bytes + 256 * 1024);
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && server->counters.challenges_received == asked + 4000);
    EXPECT(lab, client->counters.responses_received - answers <= 4000);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000) && lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab->server->alloc.bytes < bytes + 16 * 1024 && lab_server_moves(lab) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_validation[] = {
    SCENARIO(s038_the_answer_to_a_repeated_challenge_counts_and_so_does_a_late_one_to_the_first),
    SCENARIO(s039_a_path_that_cannot_be_validated_is_removed_and_its_cid_retired),
    SCENARIO(s040_without_any_validated_address_left_the_connection_ends_in_silence),
    SCENARIO(s041_a_new_migration_takes_the_place_of_one_that_is_not_proven_yet),
    SCENARIO(s041_a_second_rebinding_ends_the_validation_of_the_first_once),
    SCENARIO(s044_too_many_probes_are_refused_and_soon_allowed_again),
    SCENARIO(s045_the_third_challenge_gets_through_where_two_were_lost),
    SCENARIO(s047_many_challenges_get_few_answers_and_no_challenge_gets_two),
    {NULL, NULL},
};
