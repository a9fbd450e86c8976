/* A01, A24, A25: those who have no keys, and begin handshakes in other people's names. */
#include <string.h>

#include "sim/attacker.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

static roam_endpoint_stats stats_of_server(const struct lab *lab)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    return stats;
}

/* What the server has sent to the victim, at most three times what came in his name. */
static uint64_t sent_to(struct lab *lab, const roam_address *victim)
{
    uint64_t out = 0, in = 0;
    if (oracle_wire(lab->server, victim, &out, &in) || out > 3 * in)
        world_fail(&lab->world, "%llu octets were sent for %llu", (unsigned long long)out, (unsigned long long)in);
    return out;
}

//= rfc9000#8.1-2 Before validation a server never sends more than three times the bytes received.
static void a01_an_initial_in_anothers_name_brings_him_three_times_its_size_and_then_nothing(struct lab *lab)
{
    lab->config.server.credentials = lab->config.certs->large_server;
    EXPECT(lab, lab_open(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    const roam_address victim = attacker->victim;
    const uint64_t memory = lab->server->alloc.bytes;
    attacker_start(attacker, ATTACK_MOVE, 1);
    client_app_start(lab_client(lab));
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
    attacker_start(attacker, ATTACK_DROP, UINT64_MAX);
    const uint64_t out = sent_to(lab, &victim);
    /* As much as may be, but for what does not fill a datagram any more. */
    EXPECT(lab, out > 2 * DATAGRAM_BYTES_MIN && out <= 3 * DATAGRAM_BYTES_MIN);
    EXPECT(lab, stats_of_server(lab).connections[ROAM_CONN_HANDSHAKE] == 1);
    /* He acknowledges nothing, and is not asked to: not by one more octet, until the handshake is given up. */
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)) && sent_to(lab, &victim) == out);
    EXPECT(lab, stats_of_server(lab).connections[ROAM_CONN_HANDSHAKE] == 0);
    EXPECT(lab, lab->server->alloc.bytes <= memory + 32 * 1024);
}

/* The first datagram of a client, for the attacker to do with as he likes; the client gets its connection all the
 * same. */
static struct attacker *connect_and_keep(struct lab *lab)
{
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker_start(attacker, ATTACK_KEEP, 1);
    if (!lab_connect(lab) || attacker->kept_count != 1)
        world_fail(&lab->world, "the client did not connect");
    attacker_stop(attacker);
    return attacker;
}

#define HALF_OPEN_MAX 32
#define FLOOD         1000

/* What each of them costs is bounded, and they are few. */
static void a24_a_flood_of_initials_in_other_names_meets_retry_and_leaves_the_others_alone(struct lab *lab)
{
    lab->config.server_endpoint.retry_half_open = HALF_OPEN_MAX;
    lab->config.server_endpoint.retries_per_second = 0; /* all come from one prefix: see test_admission */
    EXPECT(lab, lab_open(lab));
    struct attacker *attacker = connect_and_keep(lab);
    EXPECT(lab, !lab->world.failed);
    const roam_address first = attacker->victim;
    const uint64_t memory = lab->server->alloc.bytes;
    attacker->fresh_port = true;
    lab_begin(lab, TRANSFER_DOWNLOAD, 500000);
    for (unsigned i = 0; i < FLOOD; i++) {
        attacker_replay(attacker, true);
        EXPECT(lab, i % 10 != 9 || lab_run(lab, ROAM_MILLISECONDS(5)));
        EXPECT(lab, stats_of_server(lab).connections[ROAM_CONN_HANDSHAKE] <= HALF_OPEN_MAX);
        EXPECT(lab, lab->server->alloc.bytes <= memory + HALF_OPEN_MAX * 64 * 1024 + 1024 * 1024);
    }
    EXPECT(lab, stats_of_server(lab).connections[ROAM_CONN_HANDSHAKE] == HALF_OPEN_MAX);
    EXPECT(lab, stats_of_server(lab).retries_sent == FLOOD - HALF_OPEN_MAX);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(4)));
    for (roam_address victim = first; victim.port < attacker->victim.port && !lab->world.failed; victim.port++)
        EXPECT(lab, sent_to(lab, &victim) > 0);
    /* An honest client pays a round trip; the half-open ones are over in their time, and so is what they took. */
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)) && stats_of_server(lab).connections[ROAM_CONN_HANDSHAKE] == 0);
    EXPECT(lab, lab->server->alloc.bytes <= memory + 256 * 1024);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
}

/* The kept datagram with one octet changed, cut short, or with something else behind it. */
static void send_damaged(struct lab *lab, struct attacker *attacker, unsigned n)
{
    struct sim_packet *packet = world_packet_copy(attacker->kept[0]);
    switch (n % 4) {
    case 0: /* somewhere in the header */
        packet->data[n / 4 % 48] ^= (uint8_t)(1 + n / 200);
        break;
    case 1:
        packet->data[n * 31 % packet->len] ^= 0x10;
        break;
    case 2: /* a Handshake packet of the same connection behind it, and damage before */
        packet->data[60] ^= 1;
        memcpy(packet->data + packet->len, packet->data, 200);
        packet->data[packet->len] = 0xe3;
        packet->len += 200;
        break;
    default:
        packet->data[100 + n % 1000] ^= 1;
        packet->len = DATAGRAM_BYTES_MIN - n % 3;
        break;
    }
    packet->forged = true;
    packet->src = attacker->victim;
    attacker->victim.port++;
    node_send_down(&lab->world.internet, packet);
}

static void a25_damaged_initials_leave_nothing_behind(struct lab *lab)
{
    EXPECT(lab, lab_open(lab));
    struct attacker *attacker = connect_and_keep(lab);
    EXPECT(lab, !lab->world.failed && lab_run(lab, ROAM_SECONDS(2)));
    const uint64_t accepted = stats_of_server(lab).connections_accepted;
    uint64_t memory = 0;
    for (unsigned n = 0; n < 2000; n++) {
        send_damaged(lab, attacker, n);
        EXPECT(lab, n % 20 != 19 || lab_run(lab, ROAM_MILLISECONDS(50)));
        if (n == 199)
            memory = lab->server->alloc.bytes;
        EXPECT(lab, n <= 199 || n % 20 != 19 || lab->server->alloc.bytes <= memory);
    }
    EXPECT(lab, stats_of_server(lab).connections_accepted == accepted);
    EXPECT(lab, stats_of_server(lab).drops[ROAM_DROP_AUTHENTICATION_FAILED] > 1000);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

const struct scenario scenarios_strangers[] = {
    SCENARIO(a01_an_initial_in_anothers_name_brings_him_three_times_its_size_and_then_nothing),
    SCENARIO(a24_a_flood_of_initials_in_other_names_meets_retry_and_leaves_the_others_alone),
    SCENARIO(a25_damaged_initials_leave_nothing_behind),
    {NULL, NULL},
};
