/* S113, S114: the choice of a version, over a network that loses and before somebody who would rather choose himself. */
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/scenario.h"

static uint32_t version_of(const roam_conn *conn)
{
    roam_conn_stats stats;
    roam_conn_get_stats(conn, &stats);
    return stats.version;
}

static uint64_t client_drops(const struct lab *lab, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->clients[0].host->endpoint, &stats);
    return stats.drops[reason];
}

/* The client begins with version 1, and the server would rather have version 2. */
static void prefer_version_2(struct lab *lab)
{
    const uint32_t client[] = {ROAM_QUIC_V1, ROAM_QUIC_V2}, server[] = {ROAM_QUIC_V2, ROAM_QUIC_V1};
    memcpy(lab->config.client.versions, client, sizeof(client));
    memcpy(lab->config.server.versions, server, sizeof(server));
}

static bool has_version_2(const struct lab *lab)
{
    return version_of(lab->clients[0].app.conn) == ROAM_QUIC_V2 && version_of(lab->server_app.newest) == ROAM_QUIC_V2;
}

/* ---- S113 */

//= rfc9369#4.1-6 Whichever packets are lost, client and server come to the version that was chosen.
static void lose(struct lab *lab, unsigned up, unsigned down)
{
    struct node *node = &lab->clients[0].interfaces[0]->node;
    node->up->drop_mask = up;
    node->down->drop_mask = down;
    EXPECT(lab, lab_connect(lab) && has_version_2(lab));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000) && lab_goodbye(lab));
}

static void lose_each_way(struct lab *lab)
{
    prefer_version_2(lab);
    EXPECT(lab, lab_open(lab));
    for (unsigned mask = 0; mask < 256 && !lab->world.failed; mask++) {
        if (__builtin_popcount(mask) > 3)
            continue;
        lose(lab, mask & 15, mask >> 4);
        EXPECT(lab, lab_again(lab));
    }
}

static void s113_another_version_is_chosen_whichever_packets_of_the_handshake_are_lost(struct lab *lab)
{
    lose_each_way(lab);
}

static void s113_another_version_is_chosen_after_retry_whichever_packets_are_lost(struct lab *lab)
{
    lab->config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    lose_each_way(lab);
}

/* ---- S114 */

/* A Version Negotiation packet that lists `version` comes to the client from the server's address: to the CID that the
 * client has chosen or a guess of it, as if the server's were a guess too. */
static void forge(struct lab *lab, uint32_t version, bool knows_client, struct sim_rng *rng)
{
    uint8_t datagram[128], guess[18];
    for (size_t i = 0; i < sizeof(guess); i++)
        guess[i] = (uint8_t)sim_rng_below(rng, 256);
    const roam_cid *ours = &lab_client(lab)->conn->local_cids.entries[0].cid;
    struct writer writer = writer_init(datagram, sizeof(datagram));
    packet_write_version_negotiation(&writer, (uint8_t)sim_rng_below(rng, 256), knows_client ? ours->bytes : guess,
                                     ours->len, guess, sizeof(guess), &version, 1);
    const roam_address local = lab->clients[0].local;
    struct sim_packet *packet =
        world_packet_new(&lab->world, &lab->server_address[0], &local, 0, datagram, writer_len(&writer));
    packet->forged = true;
    host_receive(lab->clients[0].host, packet);
}

/* Each millisecond until the handshake is over. */
static void forge_all_the_time(struct lab *lab, uint8_t cid_bytes, bool knows_client)
{
    const uint32_t lists[] = {ROAM_QUIC_V2, ROAM_QUIC_V1, 0x1a2a3a4a};
    struct sim_rng rng;
    sim_rng_init(&rng, lab->config.seed, "forger");
    prefer_version_2(lab);
    lab->config.no_nat[0] = true;
    lab->config.client_endpoint.cid_bytes = cid_bytes;
    EXPECT(lab, lab_open(lab));
    client_app_start(lab_client(lab));
    uint64_t forged = 0;
    for (; forged < 200 && !lab_client(lab)->connected; forged++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(1)));
        if (!lab_client(lab)->connected)
            forge(lab, lists[forged % 3], knows_client, &rng);
        EXPECT(lab, !lab_client(lab)->closed);
    }
    //= rfc9000#6.2 What does not have the CIDs of both sides changes nothing, not even the time that it takes.
    EXPECT(lab, lab_client(lab)->connected && forged > 20 && forged < 120 && has_version_2(lab));
    if (knows_client || cid_bytes == 0)
        EXPECT(lab, client_drops(lab, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED) >= forged - 1);
    EXPECT(lab, lab->server_app.accepted == 1 && lab_run(lab, ROAM_MILLISECONDS(200)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

static void s114_version_negotiation_forged_off_path_changes_nothing(struct lab *lab)
{
    forge_all_the_time(lab, 8, false);
}

static void s114_version_negotiation_forged_off_path_changes_nothing_at_a_client_without_cids(struct lab *lab)
{
    forge_all_the_time(lab, 0, false);
}

static void s114_version_negotiation_forged_by_who_has_seen_the_clients_cid_changes_nothing(struct lab *lab)
{
    forge_all_the_time(lab, 8, true);
}

const struct scenario scenarios_versions[] = {
    SCENARIO(s113_another_version_is_chosen_whichever_packets_of_the_handshake_are_lost),
    SCENARIO(s113_another_version_is_chosen_after_retry_whichever_packets_are_lost),
    SCENARIO(s114_version_negotiation_forged_off_path_changes_nothing),
    SCENARIO(s114_version_negotiation_forged_off_path_changes_nothing_at_a_client_without_cids),
    SCENARIO(s114_version_negotiation_forged_by_who_has_seen_the_clients_cid_changes_nothing),
    {NULL, NULL},
};
