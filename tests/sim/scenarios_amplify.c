/* S076 to S079: what may be sent to an address before anybody there has proven to be the peer. */
#include <string.h>

#include "sim/attacker.h"
#include "sim/hand.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define RESPONSE frame_bit(FRAME_PATH_RESPONSE)

/* The server's flight is several times what it may send in answer to the first datagram. */
static bool is_large(const struct lab *lab)
{
    const struct lab_packets flight = {lab->server, true, 0, frame_bit(FRAME_CRYPTO), 0, NULL, NULL};
    return lab_count_packets(lab, &flight) >= 5;
}

//= rfc9000#8.1-2 Before validation a server never sends more than three times the bytes received.
//= rfc9000#8.1-5 Client sends on PTO even with nothing to retransmit, so that a server blocked by the budget is freed.
static void s076_a_handshake_with_a_large_certificate_is_never_stuck_whatever_is_lost(struct lab *lab)
{
    lab->config.server.credentials = lab->config.certs->large_server;
    lab->config.client.handshake_timeout = lab->config.server.handshake_timeout = ROAM_SECONDS(60);
    bool opened = false;
    for (unsigned up = 0; up < 16; up++) {
        for (unsigned down = 0; down < 128; down++) {
            if (__builtin_popcount(up) > 2 || __builtin_popcount(down) > 3)
                continue;
            EXPECT(lab, opened ? lab_again(lab) : lab_open(lab));
            opened = true;
            oracle_record(lab->world.oracle, true);
            struct node *node = &lab->clients[0].interfaces[0]->node;
            node->up->drop_mask = up;
            node->down->drop_mask = down;
            EXPECT(lab, lab_connect(lab) && is_large(lab));
            EXPECT(lab, world_now(&lab->world) < ROAM_SECONDS(1000 + 20));
        }
    }
    /* All that the server sends is lost: then it is silent once it has used up what it may send. */
    EXPECT(lab, lab_again(lab));
    lab->clients[0].interfaces[0]->node.down->down = true;
    client_app_start(lab_client(lab));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(6)));
    uint64_t out, in;
    roam_address outside = lab_outside(lab, 0, &lab->clients[0].local);
    EXPECT(lab, !oracle_wire(lab->server, &outside, &out, &in) && out <= 3 * in && out > in);
    /* And goes on as soon as something gets through. */
    lab->clients[0].interfaces[0]->node.down->down = false;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(20)) && lab_client(lab)->confirmed && lab_goodbye(lab));
}

//= rfc9000#9.3.1-1 Bytes sent to a new address stay within 3x the bytes received from it until validated.
static void s077_a_victim_that_traffic_is_moved_to_gets_little_and_not_for_long(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 20000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    roam_address home = lab_active(lab->server_app.newest).remote;
    for (unsigned turn = 0; turn < 3; turn++) {
        lab_begin(lab, turn == 1 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 3000000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
        attacker->victim.port = (uint16_t)(30000 + turn);
        roam_address victim = attacker->victim;
        uint64_t reverted = lab_server_count(lab, ROAM_EVENT_PATH_REVERTED), out, in;
        attacker_start(attacker, ATTACK_MOVE, UINT64_MAX);
        EXPECT(lab, lab_wait(lab, ROAM_EVENT_PATH_REVERTED, reverted + 1) && lab_server_is_at(lab, &home));
        EXPECT(lab, !oracle_wire(lab->server, &victim, &out, &in) && in > 0 && out > 0 && out <= 3 * in);
        attacker_stop(attacker);
        EXPECT(lab,
               lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(2)) && lab_server_is_at(lab, &home));
        EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    }
    EXPECT(lab, lab_goodbye(lab));
}

static const struct path *server_path(const struct lab *lab, const roam_address *remote)
{
    return path_set_find_remote(&lab->server_app.newest->paths, remote);
}

//= rfc9000#9.3.1-1 Bytes sent to a new address stay within 3x the bytes received from it until validated.
static void s078_two_unproven_paths_have_a_budget_each(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    struct hand hand;
    roam_conn *client = lab_client(lab)->conn;
    hand_init(&hand, lab->clients[0].host, client);
    roam_address first = attacker->victim, second = first;
    second.port++;
    /* A large packet in the name of the first, a small one in the name of the second. */
    for (unsigned i = 0; i < 2; i++) {
        attacker->victim = i == 0 ? first : second;
        attacker_start(attacker, ATTACK_MOVE, 1);
        frame_write_ping(hand_begin(&hand));
        hand_send(&hand, roam_conn_local_address(client), &lab->clients[0].remote, i == 0 ? 1000 : 0);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)));
    }
    const struct path *large = server_path(lab, &first), *small = server_path(lab, &second);
    EXPECT(lab, large != NULL && small != NULL && !large->address_validated && !small->address_validated);
    EXPECT(lab, large->bytes_received == 1000 && small->bytes_received < 50);
    EXPECT(lab, large->bytes_sent > 3 * small->bytes_received && large->bytes_sent <= 3000);
    EXPECT(lab, small->bytes_sent > 0 && small->bytes_sent <= 3 * small->bytes_received);
    /* What comes from one of them feeds that one only. */
    uint64_t allowance = path_allowance(large);
    attacker->victim = second;
    attacker_start(attacker, ATTACK_MOVE, 1);
    frame_write_ping(hand_begin(&hand));
    hand_send(&hand, roam_conn_local_address(client), &lab->clients[0].remote, 700);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)));
    large = server_path(lab, &first);
    small = server_path(lab, &second);
    EXPECT(lab, large != NULL && path_allowance(large) <= allowance);
    EXPECT(lab, small != NULL && small->bytes_received >= 700 && small->bytes_sent <= 3 * small->bytes_received);
    attacker_stop(attacker);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000) && lab_run(lab, ROAM_SECONDS(15)));
    EXPECT(lab, lab_server_follows(lab, 0) && lab_server_paths(lab) == 1 && lab_goodbye(lab));
}

/* Octets that nobody can read, behind a short header with this destination CID. */
static void send_junk(struct lab *lab, const roam_address *local, const roam_cid *cid, size_t len)
{
    uint8_t junk[SIM_PACKET_MAX];
    for (size_t i = 0; i < len; i++)
        junk[i] = (uint8_t)(i * 37);
    junk[0] = 0x40;
    memcpy(junk + 1, cid->bytes, cid->len);
    host_inject(lab->clients[0].host, local, &lab->clients[0].remote, junk, len);
}

static uint64_t credit(struct lab *lab, const roam_address *remote)
{
    const struct path *path = server_path(lab, remote);
    return path != NULL ? path->bytes_received : 0;
}

//= rfc9000#21.1.3.2-1 Off-path attacker cannot close a connection after the handshake.
//= rfc9000#8.1-3 Count every payload byte of datagrams uniquely attributable to the connection (including undecryptable
// ones) toward the budget.
static void s079_what_cannot_be_read_counts_where_it_can_be_attributed_and_nowhere_else(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->only = RESPONSE;
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    nat_change_address(lab_nat(lab), "198.51.100.2", false);
    roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40)));
    const roam_address *local = roam_conn_local_address(lab_client(lab)->conn);
    roam_address there = lab_outside(lab, 0, local);
    roam_cid cid = lab_active(lab_client(lab)->conn).cid, other = cid;
    other.bytes[0] ^= 0xff;
    uint64_t before = credit(lab, &there), sum = 0;
    EXPECT(lab, before > 0 && !server_path(lab, &there)->address_validated);
    /* To this connection, from the address of the path: whatever it is. */
    for (size_t len = 30; len <= 1400; len += 137) {
        send_junk(lab, local, &cid, len);
        sum += len;
    }
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(24)) && credit(lab, &there) == before);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(6)) && credit(lab, &there) >= before + sum);
    before = credit(lab, &there);
    /* To nobody, or to this connection from an address of which nothing authentic has come. */
    roam_address stranger = attacker->victim;
    send_junk(lab, local, &other, 1000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(29)));
    attacker->only = 0;
    attacker_start(attacker, ATTACK_MOVE, 1);
    send_junk(lab, local, &cid, 1000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(29)) && attacker->left == 0);
    EXPECT(lab, credit(lab, &there) < before + 1000 && server_path(lab, &stranger) == NULL);
    uint64_t out, in;
    oracle_wire(lab->server, &stranger, &out, &in);
    EXPECT(lab, in == 1000 && out == 0 && lab_server_is_at(lab, &there));
    attacker_stop(attacker);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* In the handshake: the server has used up what it may send, and what comes now frees it octet by octet. */
static void s079_in_the_handshake_coalesced_and_repeated_octets_count_once_each_time_they_come(struct lab *lab)
{
    lab->config.server.credentials = lab->config.certs->large_server;
    EXPECT(lab, lab_open(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    lab->clients[0].interfaces[0]->node.down->down = true;
    attacker_start(attacker, ATTACK_KEEP, 1);
    client_app_start(lab_client(lab));
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)) && lab->server_app.newest != NULL && attacker->kept_count == 1);
    roam_address outside = lab_outside(lab, 0, &lab->clients[0].local);
    const struct path *path = path_set_active(&lab->server_app.newest->paths);
    EXPECT(lab, path->bytes_received == 1200 && path->bytes_sent > 2400 && path->bytes_sent <= 3600);
    /* The same datagram again: nothing in it is new, and yet it came from there. */
    attacker_replay(attacker, false);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)) && path->bytes_received == 2400 && path->bytes_sent > 4800);
    /* A packet that is known, with one behind it in the same datagram that nobody can read. */
    struct sim_packet *packet = attacker->kept[0];
    struct packet_header header;
    EXPECT(lab, packet_header_parse(&header, packet->data, packet->len, 0) == ROAM_DROP_NONE);
    size_t len = packet->len;
    EXPECT(lab, len + 200 <= SIM_PACKET_MAX);
    memcpy(packet->data + len, packet->data, 200);
    packet->data[len] = 0xe0 | (packet->data[len] & 0x0f); /* a Handshake packet, by its header */
    packet->len += 200;
    attacker_replay(attacker, false);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)) && path->bytes_received == 2400 + len + 200);
    /* With another destination CID it is nobody's, or somebody else's. */
    packet->data[6] ^= 0xff;
    attacker_replay(attacker, false);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)) && path->bytes_received == 2400 + len + 200);
    uint64_t out, in;
    EXPECT(lab, !oracle_wire(lab->server, &outside, &out, &in) && out <= 3 * in);
}

const struct scenario scenarios_amplify[] = {
    SCENARIO(s076_a_handshake_with_a_large_certificate_is_never_stuck_whatever_is_lost),
    SCENARIO(s077_a_victim_that_traffic_is_moved_to_gets_little_and_not_for_long),
    SCENARIO(s078_two_unproven_paths_have_a_budget_each),
    SCENARIO(s079_what_cannot_be_read_counts_where_it_can_be_attributed_and_nowhere_else),
    SCENARIO(s079_in_the_handshake_coalesced_and_repeated_octets_count_once_each_time_they_come),
    {NULL, NULL},
};
