/* S091 to S094, S099, B28 and B29: others write the client's address on what it sends. */
#include "sim/attacker.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define CHALLENGE frame_bit(FRAME_PATH_CHALLENGE)
#define RESPONSE  frame_bit(FRAME_PATH_RESPONSE)

/* The server has sent there, at most three times what came, and takes nobody to be there. */
static bool was_spared(const struct lab *lab, const roam_address *victim)
{
    uint64_t out, in;
    return !oracle_wire(lab->server, victim, &out, &in) && in > 0 && out > 0 && out <= 3 * in;
}

static bool is_home(struct lab *lab)
{
    return lab_server_follows(lab, 0) && lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED;
}

//= rfc9000#9.3.2-4 A later higher-numbered packet from the true peer moves the path back and cancels the spurious
// validation.
//= rfc9000#21.1.3.3-2 Limited on-path attacker cannot make an idle connection close when the client resumes first.
static void s091_raced_by_copies_the_server_is_back_on_the_true_path_as_soon_as_that_speaks(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    roam_address victim = attacker->victim;
    for (unsigned n = 1; n <= 40; n += 3) {
        attacker_start(attacker, ATTACK_COPY, n);
        lab_begin(lab, n % 2 == 0 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 60000);
        while (attacker->left > 0 && !workload_is_done(&lab->workload) && world_step(&lab->world))
            continue;
        EXPECT(lab, attacker->seen > 0);
        attacker_stop(attacker);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)));
        /* The client's next word, if it has not been heard yet. */
        roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
        host_turn(lab->clients[0].host);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)) && is_home(lab));
        EXPECT(lab, was_spared(lab, &victim));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && is_home(lab));
    }
    EXPECT(lab, lab_server_moves(lab) >= 20);
    /* The last word before a long silence is moved away, and the client speaks first again. */
    attacker_start(attacker, ATTACK_MOVE, 1);
    roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(27)) && lab_server_is_at(lab, &victim));
    attacker_stop(attacker);
    lab->clients[0].interfaces[0]->node.down->down = true;
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40)));
    lab->clients[0].interfaces[0]->node.down->down = false;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(25)) && lab_transfer(lab, TRANSFER_ECHO, 1000) && is_home(lab));
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#21.1.3.1-1 On-path attacker cannot prevent migration to a path it is not on.
static void s092_where_no_response_gets_through_the_connection_stays(struct lab *lab)
{
    lab->config.interfaces = 3;
    lab->config.down[0].rate_bits_per_s = 2000000;
    lab->config.down[0].queue_bytes = 16 * 1024;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct lab_loss up = {RESPONSE, UINT64_MAX}, down = {RESPONSE, UINT64_MAX};
    struct node *b = &lab->clients[0].interfaces[1]->node;
    lab_lose(b->up, &up);
    lab_lose(b->down, &down);
    lab_begin(lab, TRANSFER_DOWNLOAD, 1500000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
    roam_address before = *roam_conn_local_address(lab_client(lab)->conn), local = lab_socket(lab, 1);
    lab->workload.transfers[0].longest_stall = 0;
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(6)));
    EXPECT(lab, up.left < UINT64_MAX || down.left < UINT64_MAX);
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &before) && is_home(lab));
    EXPECT(lab, lab_client_count(lab, ROAM_EVENT_PATH_FAILED) == 1);
    EXPECT(lab, lab_client_count(lab, ROAM_EVENT_PATH_MOVED) == 0 && lab_server_moves(lab) == 0);
    EXPECT(lab, lab->workload.transfers[0].longest_stall < ROAM_MILLISECONDS(200));
    /* He is not on the third path. */
    roam_address third = lab_socket(lab, 2);
    EXPECT(lab, client_app_migrate(lab_client(lab), &third) == ROAM_OK && lab_run_done(lab, ROAM_SECONDS(20)));
    EXPECT(lab, lab_server_follows(lab, 2) && lab_server_moves(lab) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#21.1.3.3-1 Limited on-path attacker cannot close an established connection.
static void s093_minutes_of_flipped_addresses_are_survived(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    uint64_t memory = lab->server->alloc.bytes;
    for (unsigned second = 0; second < 240; second++) {
        if (second % 60 == 0) {
            attacker->turn = 1 + second / 30;
            attacker->fresh_port = second / 60 % 2 == 1;
            attacker_start(attacker, ATTACK_FLIP, UINT64_MAX);
        }
        if (second % 10 == 0)
            lab_begin(lab, second % 20 == 0 ? TRANSFER_ECHO : TRANSFER_DOWNLOAD, 20000);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && !lab_client(lab)->closed && lab->server_app.newest != NULL);
        EXPECT(lab, lab_server_paths(lab) <= lab->config.server.max_paths);
        EXPECT(lab, lab->server->alloc.bytes < memory + 1024 * 1024);
    }
    EXPECT(lab, attacker->seen > 20 && lab_server_moves(lab) > 20);
    attacker_stop(attacker);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && is_home(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 200000);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(2)) && lab_goodbye(lab));
}

static void s094_old_datagrams_from_a_new_address_are_duplicates(struct lab *lab)
{
    lab->config.up[0].loss_ppm = 20000; /* gaps, so that the oldest ranges are forgotten */
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    for (unsigned turn = 0; turn < 4; turn++) {
        attacker_start(attacker, ATTACK_KEEP, 60);
        EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, turn == 3 ? 2000000 : 60000));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
        attacker_stop(attacker);
        roam_endpoint_stats before, after;
        roam_endpoint_get_stats(lab->server->endpoint, &before);
        uint64_t sent = lab->server->datagrams_out;
        attacker_replay(attacker, turn % 2 == 0);
        attacker->fresh_port = turn == 2;
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
        roam_endpoint_get_stats(lab->server->endpoint, &after);
        EXPECT(lab, attacker->kept_count > 20);
        /* Of the oldest the short number no longer says which packet it was, so that they do not even authenticate. */
        uint64_t dropped = after.drops[ROAM_DROP_DUPLICATE] - before.drops[ROAM_DROP_DUPLICATE];
        EXPECT(lab, turn == 3 || dropped >= 50);
        dropped += after.drops[ROAM_DROP_AUTHENTICATION_FAILED] - before.drops[ROAM_DROP_AUTHENTICATION_FAILED];
        EXPECT(lab, dropped >= attacker->kept_count);
        EXPECT(lab, after.moves == 0 && lab_server_paths(lab) == 1 && lab->server->datagrams_out == sent);
        EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_NEW) == 0 && is_home(lab));
    }
    lab->clients[0].interfaces[0]->node.up->config.loss_ppm = 0;
    EXPECT(lab, lab_goodbye(lab));
}

static void s099_packets_that_arrive_on_two_paths_do_not_make_the_connection_flap(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *twin = attacker_new(lab, "203.0.113.99");
    for (unsigned turn = 0; turn < 3; turn++) {
        uint64_t moves = lab_server_moves(lab);
        attacker_start(twin, ATTACK_TWIN, UINT64_MAX);
        lab_begin(lab, turn == 0 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 400000);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)));
        for (unsigned i = 0; i < 40; i++)
            EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 500) && lab_run(lab, ROAM_MILLISECONDS(50)));
        EXPECT(lab, twin->seen > 100 && lab_server_moves(lab) - moves <= 8);
        /* One of the two links ends, and then the connection is on the other. */
        attacker_stop(twin);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000) && lab_run(lab, ROAM_SECONDS(2)) && is_home(lab));
    }
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.3.2-1 Fall back to the last validated address when validation of the new one fails.
//= rfc9000#9.3.3-1 On an apparent migration, also send PATH_CHALLENGE on the previously active path.
//= rfc9000#9.3.3-2 Answer a PATH_CHALLENGE received on the active path with a non-probing packet.
static void b28_a_spoofed_move_is_not_believed_is_reverted_and_the_old_path_is_asked_again(struct lab *lab)
{
    //= rfc9000#21.1.3.3-2 Limited on-path attacker cannot make an idle connection close when the client resumes first.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 50000) && lab_run(lab, ROAM_SECONDS(1)));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    roam_address home = *roam_conn_remote_address(lab->server_app.newest), victim = attacker->victim;
    oracle_record(lab->world.oracle, true);
    /* One packet is moved, and the first challenge on the old path is lost. */
    struct lab_loss loss = {CHALLENGE, 1};
    lab_lose(lab->clients[0].interfaces[0]->node.down, &loss);
    attacker_start(attacker, ATTACK_MOVE, 1);
    roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40)) && lab_server_is_at(lab, &victim) && loss.left == 0);
    roam_conn_info info;
    roam_conn_get_info(lab->server_app.newest, &info);
    EXPECT(lab, !info.address_validated && lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATING);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && is_home(lab));
    const struct lab_packets asked = {lab->server, true, 0, CHALLENGE, 0, NULL, &home};
    EXPECT(lab, lab_count_packets(lab, &asked) >= 2 && was_spared(lab, &victim));
    const struct roam_conn *client = lab_client(lab)->conn;
    const struct lab_packets answers = {lab->clients[0].host, true, 0, RESPONSE, 0, NULL, NULL};
    const struct lab_packets probing = {lab->clients[0].host, true, 0, RESPONSE, ~LAB_PROBING, NULL, NULL};
    EXPECT(lab, lab_count_packets(lab, &answers) >= 1 && lab_count_packets(lab, &probing) == 0);
    EXPECT(lab, client->paths.count == 1);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(12)) && lab_server_paths(lab) == 1);
    /* All packets are moved, for longer than a validation lasts: then nobody is at home to answer either, and the
     * server goes back there all the same. */
    attacker_start(attacker, ATTACK_MOVE, UINT64_MAX);
    uint64_t reverted = lab_server_count(lab, ROAM_EVENT_PATH_REVERTED);
    lab_begin(lab, TRANSFER_UPLOAD, 50000);
    EXPECT(lab, lab_wait(lab, ROAM_EVENT_PATH_REVERTED, reverted + 1));
    EXPECT(lab, lab_server_is_at(lab, &home) && was_spared(lab, &victim));
    attacker_stop(attacker);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_transfer(lab, TRANSFER_ECHO, 1000) && is_home(lab));
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.3.1-1 Bytes sent to a new address stay within 3x the bytes received from it until validated.
static void b29_two_hundred_victims_get_at_most_three_times_what_was_sent_in_their_name(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->fresh_port = true;
    roam_address first = attacker->victim;
    size_t victims = 0, sent_to = 0;
    for (unsigned i = 0; i < 50; i++) {
        static const enum transfer_kind kinds[] = {TRANSFER_DOWNLOAD, TRANSFER_ECHO, TRANSFER_UPLOAD};
        lab_begin(lab, kinds[i % 3], 30000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40)));
        attacker_start(attacker, i % 2 == 0 ? ATTACK_MOVE : ATTACK_COPY, 4);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(60)) && lab_run(lab, ROAM_MILLISECONDS(i % 5 * 900)));
    }
    for (roam_address victim = first; victim.port < attacker->victim.port; victim.port++) {
        uint64_t out, in;
        EXPECT(lab, !oracle_wire(lab->server, &victim, &out, &in) && out <= 3 * in);
        victims++;
        sent_to += out > 0;
    }
    EXPECT(lab, victims >= 150 && sent_to >= 20);
    attacker_stop(attacker);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)) && is_home(lab));
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_attack[] = {
    SCENARIO(s091_raced_by_copies_the_server_is_back_on_the_true_path_as_soon_as_that_speaks),
    SCENARIO(s092_where_no_response_gets_through_the_connection_stays),
    SCENARIO(s093_minutes_of_flipped_addresses_are_survived),
    SCENARIO(s094_old_datagrams_from_a_new_address_are_duplicates),
    SCENARIO(s099_packets_that_arrive_on_two_paths_do_not_make_the_connection_flap),
    SCENARIO(b28_a_spoofed_move_is_not_believed_is_reverted_and_the_old_path_is_asked_again),
    SCENARIO(b29_two_hundred_victims_get_at_most_three_times_what_was_sent_in_their_name),
    {NULL, NULL},
};
