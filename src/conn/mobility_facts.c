/*
 * What a client that moves by itself hears, and what it knows: see mobility.h. Everything here notes a fact and wakes
 * the connection; nothing is decided, for the calls come in the midst of a batch of datagrams, or of a packet.
 */
#include "conn/mobility.h"
#include "conn/mtu.h"
#include "conn/paths.h"
#include "conn/preferred.h"

void mobility_note(roam_conn *conn)
{
    conn->mobility->due = true;
    conn->owner->wake(conn->owner->context, conn);
}

/* ---- What is remembered ------------------------------------------------------------------------------------------ */

struct way_memory *mobility_recall(struct mobility *mobility, const roam_address *local)
{
    for (size_t i = 0; i < mobility->way_count; i++)
        if (roam_address_equal(&mobility->ways[i].local, local))
            return &mobility->ways[i];
    return NULL;
}

/* One memory for each network; of those that are gone nothing is kept, so that they come back as new ones. */
static void align_memory(struct mobility *mobility, const struct network_list *networks)
{
    struct way_memory old[ROAM_NETWORKS_MAX];
    size_t old_count = mobility->way_count;
    memcpy(old, mobility->ways, sizeof(old));
    mobility->way_count = 0;
    for (size_t i = 0; i < networks->count; i++) {
        struct way_memory *way = &mobility->ways[mobility->way_count++];
        *way = (struct way_memory){.local = networks->entries[i].local};
        for (size_t k = 0; k < old_count; k++)
            if (roam_address_equal(&old[k].local, &way->local))
                *way = old[k];
        way->refused_until = 0;
    }
}

void mobility_on_way_failed(struct way_memory *way, roam_time now)
{
    bool was_good = way->proven_since != 0 && way->proven_since + MOBILITY_SETTLE_MAX <= now;
    roam_time delay = saturating_mul(MOBILITY_RETRY, UINT64_C(1) << min_u64(way->failures, 16));
    way->retry_at = saturating_add(now, min_u64(delay, MOBILITY_RETRY_MAX));
    way->failures++;
    //= rfc9000#9.5-6 Change addresses rarely: the more often a network fails, the longer it has to prove itself.
    if (way->proven_since != 0)
        way->settle =
            was_good ? MOBILITY_SETTLE : min_u64(max_u64(2 * way->settle, MOBILITY_SETTLE), MOBILITY_SETTLE_MAX);
    way->proven_at = way->proven_since = way->better_since = 0;
}

/* ---- What is heard ----------------------------------------------------------------------------------------------- */

void conn_on_networks(roam_conn *conn, roam_time now)
{
    conn->now = now;
    if (conn->mobility == NULL || !conn_is_alive(conn))
        return;
    align_memory(conn->mobility, conn->owner->networks);
    conn->mobility->refused = false;
    mobility_note(conn);
}

/* What was to leave from there did not. `counted`: as a failure of that way already. */
static void on_refused(roam_conn *conn, const roam_address *local, bool active, bool counted)
{
    struct mobility *mobility = conn->mobility;
    struct way_memory *way = mobility_recall(mobility, local);
    if (way != NULL && way->refused_until <= conn->now) {
        if (!counted)
            mobility_on_way_failed(way, conn->now);
        way->refused_until = way->retry_at;
    }
    mobility->refused |= active;
    mobility_note(conn);
}

void conn_on_send_failed(roam_conn *conn, roam_time now, const roam_address *local, const roam_address *remote,
                         enum roam_send_failure why, size_t bytes)
{
    struct path *path = path_set_find_address(&conn->paths, local, remote);
    conn->now = now;
    if (!conn_is_alive(conn) || path == NULL)
        return;
    if (why == ROAM_SEND_TOO_LARGE && bytes > DATAGRAM_BYTES_MIN) {
        conn_mtu_on_too_large(conn, local, remote, bytes);
        return;
    }
    /* Of the other paths this one alone has failed, and nobody need wait for an answer. */
    const roam_address from = path->local;
    const bool active = path->id == conn->paths.active_id;
    const bool failed = !active && path_validation_fail(&path->validation);
    if (failed)
        conn_on_validation_failed(conn, path);
    if (conn->mobility != NULL)
        on_refused(conn, &from, active, failed);
}

/* Since now there is doubt whether the path in use is one. */
static void doubt(roam_conn *conn)
{
    struct mobility *mobility = conn->mobility;
    if (mobility->doubted_at == 0)
        mobility->doubted_at = conn->now;
    mobility->due = true;
}

void conn_mobility_on_pto(roam_conn *conn)
{
    if (conn->mobility == NULL)
        return;
    conn->mobility->ptos++;
    conn->mobility->pto_at = conn->now;
    doubt(conn);
}

void conn_mobility_on_silence(roam_conn *conn)
{
    if (conn->mobility == NULL)
        return;
    conn->mobility->doubted = true;
    doubt(conn);
}

void conn_mobility_on_heard(roam_conn *conn, bool acknowledged)
{
    struct mobility *mobility = conn->mobility;
    if (mobility == NULL || (mobility->doubted_at == 0 && !mobility->refused))
        return;
    /* The way back may be alive while the way out is not: only an acknowledgement speaks of that. */
    mobility->doubted = false;
    mobility->refused &= !acknowledged;
    if (acknowledged)
        mobility->ptos = 0;
    if (mobility->ptos == 0)
        mobility->doubted_at = 0;
    mobility->due = true;
}

void conn_mobility_on_packet(roam_conn *conn)
{
    if (conn->mobility != NULL && conn->mobility->on_packet)
        conn->mobility->due = true;
}

void conn_mobility_on_proven(roam_conn *conn, struct path *path, roam_time delay)
{
    struct way_memory *way = conn->mobility != NULL ? mobility_recall(conn->mobility, &path->local) : NULL;
    if (way == NULL)
        return;
    way->proven_at = conn->now;
    if (way->proven_since == 0)
        way->proven_since = conn->now;
    way->rtt = delay;
    /* What was lost there while it was in use is forgotten, little by little. */
    if (path->id != conn->paths.active_id)
        path->loss_ppm /= 2;
    way->failures = 0;
    way->retry_at = way->refused_until = 0;
    conn->mobility->due = true;
}

void conn_mobility_on_failed(roam_conn *conn, const struct path *path)
{
    struct way_memory *way = conn->mobility != NULL ? mobility_recall(conn->mobility, &path->local) : NULL;
    if (way == NULL)
        return;
    mobility_on_way_failed(way, conn->now);
    conn->mobility->due = true;
}

/* ---- What is known ----------------------------------------------------------------------------------------------- */

static bool has_ip(const roam_address *address)
{
    static const uint8_t zero[sizeof(address->ip)];
    return memcmp(address->ip, zero, sizeof(zero)) != 0;
}

const roam_network *mobility_active_network(const roam_conn *conn)
{
    const struct network_list *networks = conn->owner->networks;
    const struct path *active = path_set_active(&conn->paths);
    const roam_network *network = network_list_find(networks, &active->local);
    /* An address that was gone is another place with another port: the NAT on the way, if any, is to learn of it anew. */
    if (network != NULL || (conn_is_waiting(conn) && has_ip(&active->local)))
        return network;
    const roam_address *local = roam_conn_local_address(conn);
    if (has_ip(local))
        return network_list_find_ip(networks, local);
    /* The kernel has chosen, and no packet came yet to tell what: any of the family will do. */
    for (size_t i = 0; i < networks->count; i++)
        if (networks->entries[i].local.family == active->remote.family)
            return &networks->entries[i];
    return NULL;
}

roam_address mobility_remote_for(const roam_conn *conn, uint8_t family)
{
    roam_address remote = {0};
    //= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another address to the handshake's.
    if (conn_server_address(conn, family, &remote) && conn_is_closed_to_moves(conn, &remote))
        return (roam_address){0};
    return remote;
}

struct path *mobility_path_of(roam_conn *conn, const roam_network *network)
{
    const roam_address remote = mobility_remote_for(conn, network->local.family);
    struct path *path = path_set_find_address(&conn->paths, &network->local, &remote);
    bool other = path != NULL && path->id != conn->paths.active_id;
    return other && remote_cid_of_path(&conn->remote_cids, path->id) != NULL ? path : NULL;
}

static void describe_way(roam_conn *conn, const roam_network *network, bool active, struct mobility_way *ret)
{
    const struct way_memory *memory = mobility_recall(conn->mobility, &network->local);
    const struct path *path = active ? path_set_active(&conn->paths) : mobility_path_of(conn, network);
    const roam_address remote = mobility_remote_for(conn, network->local.family);
    *ret = (struct mobility_way){
        .is_default = network->is_default,
        .metered = network->metered,
        .preference = network->preference,
        .rule = network_rule_of(conn->mobility, network),
        .active = active,
        .reachable = roam_address_is_set(&remote),
        .must_be_proven = !roam_address_equal(&remote, &path_set_active(&conn->paths)->remote) &&
                          !roam_address_equal(&remote, &conn->client->handshake_remote),
        .has_path = path != NULL,
        .refused = memory->refused_until > conn->now,
        .asked_at = memory->asked_at,
        .proven_at = memory->proven_at,
        .proven_since = memory->proven_since,
        .retry_at = memory->retry_at,
        .settle = memory->settle,
        .better_since = memory->better_since,
        .rtt = memory->rtt,
    };
    if (path == NULL)
        return;
    const struct rtt *rtt = &path->recovery.rtt;
    ret->asking = path->validation.state == VALIDATION_RUNNING;
    ret->answer_by = saturating_add(memory->asked_at, rtt_pto(rtt, conn_peer_max_ack_delay(conn)));
    ret->proven = memory->proven_at != 0 && path_validation_has_succeeded(&path->validation);
    ret->loss_ppm = path->loss_ppm;
    if (rtt->has_sample && (active || ret->rtt == 0))
        ret->rtt = rtt->smoothed;
}

/* Octets of streams, and those alone: what standbys make the two sides say to each other is no use. */
static void note_use(roam_conn *conn)
{
    struct mobility *mobility = conn->mobility;
    uint64_t bytes = conn->streams.bytes_sent + conn->streams.bytes_received;
    if (bytes != mobility->stream_bytes)
        mobility->used_at = max_u64(conn->last_received_at, conn->application.last_eliciting_sent_at);
    mobility->stream_bytes = bytes;
}

struct mobility_facts mobility_gather(roam_conn *conn, struct mobility_way *ways)
{
    const struct mobility *mobility = conn->mobility;
    note_use(conn);
    const struct network_list *networks = conn->owner->networks;
    const struct path *path = path_set_active(&conn->paths);
    const roam_network *active = mobility_active_network(conn);
    /* Where the system refuses the very socket, another one on the same address is another way. */
    bool other_socket = mobility->refused && active != NULL && !roam_address_equal(&active->local, &path->local);
    bool in_use = conn->config->keep_alive != 0 || saturating_add(mobility->used_at, MOBILITY_IN_USE) > conn->now;
    for (size_t i = 0; i < networks->count; i++)
        describe_way(conn, &networks->entries[i], &networks->entries[i] == active && !other_socket, &ways[i]);
    return (struct mobility_facts){
        .now = conn->now,
        .confirmed = conn->confirmed,
        .peer_has_no_cids = conn_peer_has_no_cids(conn),
        .spare_cids = remote_cid_spare(&conn->remote_cids),
        .peer_can_answer = local_cid_has_spare(&conn->local_cids),
        .forced = network_rules_force(mobility),
        .gone = active == NULL,
        .refused = mobility->refused,
        .doubted = mobility->doubted,
        .ptos = mobility->ptos,
        .quiet_at = saturating_add(mobility->pto_at, mobility->ptos > 1 ? 0 : rtt_pto(&path->recovery.rtt, 0)),
        .doubted_at = mobility->doubted_at,
        .in_use = in_use,
        .moved_at = conn->last_move,
        .ways = ways,
        .count = networks->count,
    };
}
