/* B16 to B18, B21, B31, B34, B40 to B43: mistakes of other stacks that show under odd budgets, floods, and random orders. */
#include <string.h>

#include "sim/attacker.h"
#include "sim/hand.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define CHALLENGE frame_bit(FRAME_PATH_CHALLENGE)
#define RESPONSE  frame_bit(FRAME_PATH_RESPONSE)

/* So many octets that nobody can read: three times as many may go back. */
static void feed(struct lab *lab, size_t bytes)
{
    const struct client_app *app = lab_client(lab);
    uint8_t junk[1200] = {0x40};
    roam_cid cid = lab_active(app->conn).cid;
    memset(junk + 1, 0xaa, sizeof(junk) - 1);
    memcpy(junk + 1, cid.bytes, cid.len);
    host_inject(lab->clients[0].host, roam_conn_local_address(app->conn), &lab->clients[0].remote, junk, bytes);
}

static void b16_whatever_is_left_to_send_transmitting_comes_to_rest_and_goes_on(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->only = RESPONSE;
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    lab_begin(lab, TRANSFER_DOWNLOAD, 2000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    /* What the 3x limit leaves: from 27 octets to 1200 at a time, and what acknowledgements bring. The world fails
     * where an endpoint does not come to rest. */
    const struct pump_in *got = &lab->workload.transfers[0].in;
    for (size_t n = 9; n <= 400; n++) {
        uint64_t before = got->at, out = lab->server->datagrams_out;
        for (unsigned i = 0; i < 4; i++) {
            feed(lab, n);
            EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(1)));
        }
        EXPECT(lab, lab->server->datagrams_out - out <= 60);
        EXPECT(lab, n < 40 || n % 16 != 0 || got->at > before);
    }
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATING && lab_server_moves(lab) == 1);
    attacker_stop(attacker);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(4)) && lab_server_follows(lab, 0));
    /* What the congestion window leaves, at both sides. */
    lab_begin(lab, TRANSFER_UPLOAD, 400000);
    lab_begin(lab, TRANSFER_DOWNLOAD, 400000);
    for (uint64_t window = 1; window < 1200 && !lab->world.failed; window++) {
        path_set_active(&lab->server_app.newest->paths)->recovery.congestion.window = window;
        path_set_active(&lab_client(lab)->conn->paths)->recovery.congestion.window = 1200 - window;
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(2)));
    }
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_goodbye(lab));
}

//= rfc9000#8.2.4-1 Abandon validation by a timer.
static void b17_a_client_that_never_answers_challenges_costs_a_bounded_number_of_them(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    oracle_record(lab->world.oracle, true);
    attacker->only = RESPONSE;
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    nat_change_ports(lab_nat(lab), true);
    roam_time start = world_now(&lab->world);
    for (unsigned i = 0; i < 300; i++) {
        roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
        host_turn(lab->clients[0].host);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)) && lab->server_app.newest != NULL);
    }
    /* Each run ends after three seconds with what is written: failed, and back to where the peer was proven. */
    const struct lab_packets asked = {lab->server, true, start, CHALLENGE, 0, NULL, NULL};
    uint64_t failed = lab_server_count(lab, ROAM_EVENT_PATH_FAILED);
    EXPECT(lab, failed >= 10 && failed <= 60);
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_REVERTED) >= 5);
    EXPECT(lab, lab_count_packets(lab, &asked) <= 8 * failed && lab_server_count(lab, ROAM_EVENT_PATH_VALIDATED) == 0);
    EXPECT(lab, lab_server_paths(lab) <= 2);
    attacker_stop(attacker);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000) && lab_run(lab, ROAM_SECONDS(5)));
    EXPECT(lab, lab_server_follows(lab, 0) && lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

static void random_operation(struct lab *lab, struct sim_rng *rng)
{
    struct client_app *app = lab_client(lab);
    size_t interface = sim_rng_below(rng, 2);
    roam_address local = sim_rng_chance(rng, 300000) ? lab->clients[0].local : lab_socket(lab, interface);
    struct interface *wire = lab->clients[0].interfaces[interface];
    char ip[32];
    snprintf(ip, sizeof(ip), "198.51.100.%u", (unsigned)(100 * interface + 2 + sim_rng_below(rng, 90)));
    switch (sim_rng_below(rng, 10)) {
    case 0:
        client_app_probe(app, &local);
        break;
    case 1:
        client_app_migrate(app, &local);
        break;
    case 2:
        client_app_rebind(app, &local);
        break;
    case 3:
        nat_change_ports(lab->clients[0].nats[interface], sim_rng_below(rng, 2) == 0);
        break;
    case 4:
        nat_change_address(lab->clients[0].nats[interface], ip, sim_rng_below(rng, 2) == 0);
        break;
    case 5:
        nat_reboot(lab->clients[0].nats[interface]);
        break;
    case 6:
        interface_set_down(wire, !wire->node.up->down);
        break;
    case 7:
        if (app->confirmed)
            roam_conn_update_keys(app->conn, world_now(&lab->world));
        host_turn(lab->clients[0].host);
        break;
    default:
        client_app_more(app, (enum transfer_kind)sim_rng_below(rng, TRANSFER_KINDS), sim_rng_below(rng, 30000));
        break;
    }
}

/* Whatever becomes of it: no memory is used that was given back (the sanitizers look), and all of it is given back. */
static void b18_paths_may_be_removed_at_any_moment(struct lab *lab)
{
    lab->config.client.max_paths = lab->config.server.max_paths = 3;
    lab->config.client.active_connection_id_limit = 4;
    struct sim_rng rng;
    sim_rng_init(&rng, lab->config.seed, "operations");
    for (unsigned life = 0; life < 60; life++) {
        EXPECT(lab, life == 0 ? lab_open(lab) : lab_again(lab));
        EXPECT(lab, lab_connect(lab));
        uint64_t operations = sim_rng_between(&rng, 5, 120);
        for (uint64_t i = 0; i < operations && lab_client(lab)->conn != NULL && !lab->world.failed; i++) {
            random_operation(lab, &rng);
            EXPECT(lab,
                   lab_run(lab, ROAM_MICROSECONDS(sim_rng_below(&rng, sim_rng_below(&rng, 4) == 0 ? 2000000 : 60000))));
        }
        /* Half of them are ended by one side or the other, in the midst of it; the others with the world. */
        if (life % 4 == 0)
            client_app_close(lab_client(lab));
        if (life % 4 == 1 && lab->server_app.newest != NULL)
            roam_conn_close(lab->server_app.newest, world_now(&lab->world), 0, "");
        host_turn(lab->server);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100) * (life % 3)));
    }
}

/* The host floods its peer with challenges; nothing that the peer would have had to send ever gets there. */
static void flood(struct lab *lab, struct host *host, roam_conn *conn, const roam_address *local,
                  const roam_address *remote, const struct host *victim)
{
    struct hand hand;
    hand_init(&hand, host, conn);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 10000; i++) {
        frame_write_path(hand_begin(&hand), FRAME_PATH_CHALLENGE, (const uint8_t[PATH_DATA_BYTES]){i >> 8, (uint8_t)i});
        hand_send(&hand, local, remote, i % 3 == 0 ? 1200 : 0);
        EXPECT(lab, i % 4 != 3 || lab_run(lab, ROAM_MILLISECONDS(1)));
        if (i == 8000)
            bytes = victim->alloc.bytes;
        EXPECT(lab, i <= 8000 || victim->alloc.bytes <= bytes + 8 * 1024);
        EXPECT(lab, victim->alloc.bytes < 256 * 1024);
    }
}

//= rfc9000#8.2.2-2 Do not delay a PATH_RESPONSE except for congestion control.
static void b21_ten_thousand_challenges_that_nobody_acknowledges_take_no_memory(struct lab *lab)
{
    for (unsigned side = 0; side < 2; side++) {
        EXPECT(lab, side == 0 ? lab_open(lab) : lab_again(lab));
        EXPECT(lab, lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 100000) && lab_run(lab, ROAM_SECONDS(1)));
        roam_conn *client = lab_client(lab)->conn, *server = lab->server_app.newest;
        struct node *node = &lab->clients[0].interfaces[0]->node;
        struct lab_loss all = {LAB_ANY_FRAME, UINT64_MAX}, back = {RESPONSE, UINT64_MAX};
        roam_address outside = lab_outside(lab, 0, &lab->clients[0].local);
        /* What was not written by hand is lost; the victim's answers are seen at the other end of the wire only. */
        lab_lose(side == 0 ? node->up : node->down, &all);
        lab_lose(side == 0 ? node->down : node->up, &back);
        if (side == 0)
            flood(lab, lab->clients[0].host, client, &lab->clients[0].local, &lab->clients[0].remote, lab->server);
        else
            flood(lab, lab->server, server, &lab->clients[0].remote, &outside, lab->clients[0].host);
        if (lab->world.failed)
            return;
        uint64_t answered = UINT64_MAX - back.left;
        EXPECT(lab, answered >= 10 && answered <= 1000);
        node->up->filter = node->down->filter = NULL;
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 50000) && lab_run(lab, ROAM_SECONDS(1)) && lab_goodbye(lab));
    }
}

static void b31_what_was_lost_on_the_old_path_just_before_the_move_is_sent_again_on_the_new_one(struct lab *lab)
{
    for (size_t i = 0; i < 2; i++)
        lab->config.up[i].rate_bits_per_s = lab->config.down[i].rate_bits_per_s = 10000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (unsigned n = 0; n < 32; n++) {
        size_t from = n % 2;
        struct node *old = &lab->clients[0].interfaces[from]->node;
        size_t transfer = lab->workload.count;
        lab_begin(lab, n & 2 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 300000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60 + 7 * (n % 5))));
        EXPECT(lab, !lab->workload.transfers[transfer].client_done || !lab->workload.transfers[transfer].server_done);
        /* Both ways, or one; for longer than a round trip, or just what was sent last. */
        old->up->down = n & 8 || n & 2;
        old->down->down = n & 8 || !(n & 2);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(n & 16 ? 70 : 5)));
        roam_address local = lab_socket(lab, 1 - from);
        EXPECT(lab, (n & 4 ? client_app_rebind : client_app_migrate)(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(3)) && lab_transfer(lab, TRANSFER_ECHO, 100));
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)) && lab_server_follows(lab, 1 - from));
        old->up->down = old->down->down = false;
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(12)));
    }
    EXPECT(lab, lab_goodbye(lab));
}

/* The first packet of the server's to each place where its client ever was asks whether it is there. */
static void expect_challenges_first(struct lab *lab)
{
    const struct app_event *event;
    for (size_t i = 0; (event = app_history_find(&lab->server_app.history, ROAM_EVENT_PATH_NEW, i)) != NULL; i++) {
        const struct lab_packets there = {lab->server, true, 0, 0, 0, NULL, &event->remote};
        const struct oracle_record *first = lab_packet(lab, &there, 0);
        EXPECT(lab, first != NULL && (first->packet.frames & CHALLENGE) != 0);
    }
}

//= rfc9000#9.3-2 Start validating the new address unless validation is already running.
//= rfc9000#8.2.2-1 Echo PATH_CHALLENGE data in a PATH_RESPONSE.
//= rfc9000#8.2.1-2 At most one PATH_CHALLENGE per packet.
static void b34_the_first_packet_to_each_new_place_is_a_challenge_and_each_challenge_is_answered(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    for (unsigned n = 0; n < 40; n++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "198.51.100.%u", 100 + n);
        roam_address local = lab_socket(lab, 0);
        if (n % 5 != 4)
            lab_begin(lab, (enum transfer_kind)(n % 5 % TRANSFER_KINDS), 60000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40 + 13 * (n % 4))));
        if (n / 5 % 4 == 0)
            nat_change_ports(lab_nat(lab), false);
        else if (n / 5 % 4 == 1)
            nat_change_address(lab_nat(lab), ip, false);
        else
            EXPECT(lab, (n / 5 % 4 == 2 ? client_app_rebind : client_app_migrate)(lab_client(lab), &local) == ROAM_OK);
        if (n % 5 == 4)
            roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
        host_turn(lab->clients[0].host);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_transfer(lab, TRANSFER_ECHO, 100));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(14)) && lab_server_follows(lab, 0));
    }
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_NEW) == 40);
    expect_challenges_first(lab);
    const struct lab_packets challenges = {lab->server, true, 0, CHALLENGE, 0, NULL, NULL};
    EXPECT(lab, lab_count_packets(lab, &challenges) == lab->server_app.newest->counters.challenges_sent);
    uint64_t asked = lab_client_count(lab, ROAM_EVENT_PATH_CHALLENGE_RECEIVED);
    EXPECT(lab, asked >= 40 && lab_client_count(lab, ROAM_EVENT_PATH_RESPONDED) == asked);
    EXPECT(lab, lab_goodbye(lab));
}

/* Twelve seconds without an answer, then another socket: nearer, and farther away. */
static void b40_a_socket_that_moves_leaves_its_backoff_behind(struct lab *lab)
{
    for (size_t interface = 0; interface < 2; interface++) {
        EXPECT(lab, interface == 0 ? lab_open(lab) : lab_again(lab));
        EXPECT(lab, lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 5000));
        interface_set_down(lab->clients[0].interfaces[0], true);
        lab_begin(lab, TRANSFER_UPLOAD, 100000);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(12)) && lab_client(lab)->conn->pto_count >= 5);
        interface_set_down(lab->clients[0].interfaces[0], false);
        /* Of what it says first in the new place nothing arrives. */
        struct lab_loss first = {LAB_ANY_FRAME, 6};
        lab_lose(lab->clients[0].interfaces[interface]->node.up, &first);
        roam_address local = lab_socket(lab, interface);
        EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(8)) && lab_server_follows(lab, interface));
        EXPECT(lab, lab_goodbye(lab));
    }
}

/* Whatever the client says is lost, while the server is still heard: its probes acknowledge what came meanwhile, as the
 * ACKs that did so went the same way. */
static void b41_what_is_sent_after_a_pto_acknowledges_once_more_what_came(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 5000));
    oracle_record(lab->world.oracle, true);
    struct link *up = lab->clients[0].interfaces[0]->node.up;
    up->down = true;
    roam_time from = world_now(&lab->world);
    lab_begin(lab, TRANSFER_UPLOAD, 1000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && lab_client(lab)->conn->pto_count >= 3);
    const struct lab_packets acks = {.host = lab->clients[0].host,
                                     .sent = true,
                                     .from = from + ROAM_MILLISECONDS(1),
                                     .frames = frame_bit(FRAME_ACK) | frame_bit(FRAME_ACK_ECN)};
    EXPECT(lab, lab_count_packets(lab, &acks) >= lab_client(lab)->conn->pto_count);
    up->down = false;
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(5)) && lab_goodbye(lab));
}

static void b42_a_move_that_waits_is_called_off_by_a_newer_wish(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 5000));
    roam_address elsewhere = lab_socket(lab, 1), here = lab_socket(lab, 0);
    interface_set_down(lab->clients[0].interfaces[1], true);
    EXPECT(lab, client_app_migrate(lab_client(lab), &elsewhere) == ROAM_OK && lab_run(lab, ROAM_MILLISECONDS(20)));
    /* Both sockets stay open: what is not called off would succeed. */
    EXPECT(lab, roam_conn_rebind(lab_client(lab)->conn, world_now(&lab->world), &here) == ROAM_OK);
    oracle_on_rebind(lab->clients[0].host, lab_client(lab)->conn, &lab->clients[0].local, &here);
    host_turn(lab->clients[0].host);
    interface_set_down(lab->clients[0].interfaces[1], false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)));
    roam_path_info active = lab_active(lab_client(lab)->conn);
    EXPECT(lab, roam_address_equal(&active.local, &here) && lab_client(lab)->conn->paths.count == 1);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000) && lab_goodbye(lab));
}

/* So it is where a server acknowledges on a path that is dead, and waits for the proof of the new one (RFC 9000 section
 * 9.6.2). */
//= rfc9000#8.2.2-2 Do not delay a PATH_RESPONSE except for congestion control.
static void b43_challenges_are_answered_though_nothing_is_acknowledged(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 5000));
    oracle_record(lab->world.oracle, true);
    struct lab_loss acks = {frame_bit(FRAME_ACK) | frame_bit(FRAME_ACK_ECN), UINT64_MAX};
    lab_lose(lab->clients[0].interfaces[0]->node.down, &acks);
    lab_begin(lab, TRANSFER_UPLOAD, 1000000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && path_window_is_full(path_set_active(&lab_client(lab)->conn->paths)));
    struct hand hand;
    hand_init(&hand, lab->server, lab->server_app.newest);
    roam_address outside = lab_outside(lab, 0, &lab->clients[0].local);
    struct lab_packets answers = {.host = lab->clients[0].host, .sent = true, .frames = frame_bit(FRAME_PATH_RESPONSE)};
    for (uint8_t i = 0; i < 20; i++) {
        answers.from = world_now(&lab->world);
        frame_write_path(hand_begin(&hand), FRAME_PATH_CHALLENGE, (const uint8_t[PATH_DATA_BYTES]){i});
        hand_send(&hand, &lab->clients[0].remote, &outside, 1200);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(250)) && lab_count_packets(lab, &answers) == 1);
    }
    lab->clients[0].interfaces[0]->node.down->filter = NULL;
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_goodbye(lab));
}

const struct scenario scenarios_mistakes[] = {
    SCENARIO(b16_whatever_is_left_to_send_transmitting_comes_to_rest_and_goes_on),
    SCENARIO(b17_a_client_that_never_answers_challenges_costs_a_bounded_number_of_them),
    SCENARIO(b18_paths_may_be_removed_at_any_moment),
    SCENARIO(b21_ten_thousand_challenges_that_nobody_acknowledges_take_no_memory),
    SCENARIO(b31_what_was_lost_on_the_old_path_just_before_the_move_is_sent_again_on_the_new_one),
    SCENARIO(b34_the_first_packet_to_each_new_place_is_a_challenge_and_each_challenge_is_answered),
    SCENARIO(b40_a_socket_that_moves_leaves_its_backoff_behind),
    SCENARIO(b41_what_is_sent_after_a_pto_acknowledges_once_more_what_came),
    SCENARIO(b42_a_move_that_waits_is_called_off_by_a_newer_wish),
    SCENARIO(b43_challenges_are_answered_though_nothing_is_acknowledged),
    {NULL, NULL},
};
