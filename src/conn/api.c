/* The public calls on a connection that only ask, or only schedule: see roam/roam.h. Moving is in migrate.c,
 * connecting in the endpoint. */
#include "base/hash_map.h"
#include "conn/alternates.h"
#include "conn/datagrams.h"
#include "conn/early_data.h"
#include "conn/move_stats.h"
#include "conn/paths.h"

void *roam_conn_user(const roam_conn *conn)
{
    return conn->user;
}

void roam_conn_set_user(roam_conn *conn, void *user)
{
    conn->user = user;
}

bool roam_conn_is_server(const roam_conn *conn)
{
    return conn->is_server;
}

enum roam_conn_state roam_conn_state(const roam_conn *conn)
{
    return conn->state;
}

bool roam_conn_is_confirmed(const roam_conn *conn)
{
    return conn->confirmed;
}

enum roam_early_data roam_conn_early_data(const roam_conn *conn)
{
    return (enum roam_early_data)conn->early_data;
}

const roam_error *roam_conn_error(const roam_conn *conn)
{
    return conn->error;
}

const char *roam_conn_alpn(const roam_conn *conn)
{
    return conn->alpn;
}

const char *roam_conn_host(const roam_conn *conn, uint16_t *ret_port)
{
    *ret_port = conn->client != NULL ? conn->client->port : 0;
    return conn->client != NULL ? conn->client->host : "";
}

const roam_address *roam_conn_local_address(const roam_conn *conn)
{
    const roam_address *bound = &path_set_active(&conn->paths)->local;
    static const uint8_t any[sizeof(bound->ip)];
    if (conn->client == NULL)
        return bound;
    const roam_address *seen = &conn->client->seen_local;
    /* A socket that is bound to no address sends from the one that the kernel chose: the newest packet came in there. */
    bool chosen = memcmp(bound->ip, any, sizeof(any)) == 0 && bound->port != 0 && bound->port == seen->port;
    return chosen ? seen : bound;
}

const roam_address *roam_conn_remote_address(const roam_conn *conn)
{
    static const roam_address nobody;
    const struct path *proven = conn_proven_path(conn);
    return proven != NULL ? &proven->remote : &nobody;
}

/* Where the connection is in memory tells it from all that are there; when it was made, from those that were there before.
 * Neither is anybody's business. */
static uint64_t id_of(const roam_conn *conn)
{
    const uint64_t facts[] = {(uintptr_t)conn, conn->created};
    return siphash(conn->owner->id_key, facts, sizeof(facts));
}

void roam_conn_get_info(const roam_conn *conn, roam_conn_info *ret)
{
    const struct path *active = path_set_active(&conn->paths);
    const roam_address *proven = roam_conn_remote_address(conn);
    *ret = (roam_conn_info){
        .conn = (roam_conn *)(uintptr_t)conn,
        .cid = conn->row_cid,
        .remote = *proven,
        .local = active->local,
        .state = conn->state,
        .is_server = conn->is_server,
        .address_validated = active->address_validated,
        .paths = (uint32_t)conn->paths.count,
        .moves = conn->moves,
        .last_move = conn->last_move,
        .created = conn->created,
        .latest = move_stats_latest(conn),
        .id = id_of(conn),
    };
    if (!active->address_validated)
        ret->claimed = active->remote;
}

static void describe_path(const roam_conn *conn, const struct path *path, roam_path_info *ret)
{
    struct remote_cid *cid = remote_cid_of_path((struct remote_cid_set *)(uintptr_t)&conn->remote_cids, path->id);
    *ret = (roam_path_info){
        .id = path->id,
        .local = path->local,
        .remote = path->remote,
        .state = path_state(path),
        .active = path->id == conn->paths.active_id,
        .bytes_sent = path->bytes_sent,
        .bytes_received = path->bytes_received,
        .window_bytes = path->recovery.congestion.window,
        .in_flight_bytes = path->recovery.congestion.in_flight,
        .smoothed_rtt = path->recovery.rtt.smoothed,
        .min_rtt = path->recovery.rtt.min,
        .rtt_variation = path->recovery.rtt.variation,
        .datagram_bytes = path_datagram_bytes(path),
        .pmtud = path->pmtud.state,
        .mtu_probes_sent = path->pmtud.probes_sent,
        .mtu_probes_lost = path->pmtud.probes_lost,
        .black_holes = path->pmtud.black_holes,
        .ecn = path->ecn.state,
    };
    if (cid != NULL) {
        ret->cid = cid->cid;
        ret->cid_sequence = cid->sequence;
    }
}

static roam_cid_info describe_local_cid(const roam_conn *conn, const struct local_cid *entry)
{
    return (roam_cid_info){
        .cid = entry->cid,
        .sequence = entry->sequence,
        .used = entry->used || entry->sequence == 0,
        .retiring = entry->sequence < conn->local_cids.retire_prior_to,
        .bytes = entry->used ? entry->bytes : 0,
    };
}

static roam_cid_info describe_remote_cid(const roam_conn *conn, const struct remote_cid *entry)
{
    const struct remote_cid_set *set = &conn->remote_cids;
    roam_cid_info info = {.peers = true, .cid = entry->cid, .sequence = entry->sequence, .used = entry->used};
    for (size_t i = 0; i < set->assignment_count; i++) {
        if (set->assignments[i].sequence != entry->sequence)
            continue;
        info.in_use = true;
        info.bytes = max_u64(info.bytes, set->assignments[i].bytes);
    }
    return info;
}

size_t roam_conn_cids(const roam_conn *conn, roam_cid_info *ret, size_t n)
{
    size_t ours = conn->local_cids.count, peers = conn->remote_cids.count;
    for (size_t i = 0; i < ours + peers && i < n; i++) {
        ret[i] = i < ours ? describe_local_cid(conn, &conn->local_cids.entries[i])
                          : describe_remote_cid(conn, &conn->remote_cids.entries[i - ours]);
        if (i < ours)
            ret[i].in_use = roam_cid_equal(&ret[i].cid, &conn->row_cid);
    }
    return ours + peers;
}

size_t roam_conn_paths(const roam_conn *conn, roam_path_info *ret, size_t n)
{
    size_t written = 0;
    for (int active_first = 1; active_first >= 0; active_first--) {
        for (size_t i = 0; i < conn->paths.count && written < n; i++) {
            const struct path *path = conn->paths.paths[i];
            if ((path->id == conn->paths.active_id) == (active_first == 1))
                describe_path(conn, path, &ret[written++]);
        }
    }
    return conn->paths.count;
}

void roam_conn_get_stats(const roam_conn *conn, roam_conn_stats *ret)
{
    const struct ack_tracker *received = &conn->application.received;
    bool keyed = conn->keys.send.available;
    *ret = (roam_conn_stats){
        .packets_sent = conn->counters.packets_sent,
        .packets_received = conn->counters.packets_received,
        .packets_lost = conn->counters.packets_lost,
        .bytes_sent = conn->counters.bytes_sent,
        .bytes_received = conn->counters.bytes_received,
        .stream_bytes_sent = conn->streams.bytes_sent,
        .stream_bytes_resent = conn->streams.bytes_resent,
        .stream_bytes_received = conn->streams.bytes_received,
        .moves = conn->moves,
        .key_updates = conn->keys.updates,
        .resumed = conn->resumed,
        .forward_secrecy = conn->forward_secrecy,
        .ptos = conn->counters.ptos,
        .ect0_received = received->ect0,
        .ect1_received = received->ect1,
        .ce_received = received->ce,
        .challenges_sent = conn->counters.challenges_sent,
        .challenges_received = conn->counters.challenges_received,
        .responses_received = conn->counters.responses_received,
        .cipher = keyed ? aead_suite_info(conn->keys.send.suite)->name : "",
        .crypto_backend = keyed ? conn->keys.send.backend->name : "",
    };
    ret->version = conn->version;
    conn_datagrams_describe(conn, ret);
}

roam_result roam_conn_update_keys(roam_conn *conn, roam_time now)
{
    conn->now = now;
    if (!conn_is_alive(conn))
        return ROAM_ERR_CLOSED;
    //= rfc9001#6.1 No key update before confirmation, nor before an ACK of a packet in the current phase.
    if (!conn->confirmed || !key_update_allowed(&conn->keys, now))
        return ROAM_ERR_STATE;
    if (!key_update_begin(&conn->keys, now, conn_pto(conn)))
        return ROAM_ERR_MEMORY;
    conn_event(conn, ROAM_EVENT_KEY_UPDATED);
    roam_conn_ping(conn, now);
    return ROAM_OK;
}

void roam_conn_ping(roam_conn *conn, roam_time now)
{
    conn->now = now;
    if (!conn_is_alive(conn) || !conn->handshake_complete)
        return;
    conn->ping_pending = true;
    conn->owner->wake(conn->owner->context, conn);
}

void conn_ping_of_size(roam_conn *conn, roam_time now, uint32_t bytes)
{
    conn->full_ping_pending = true;
    conn->full_ping_bytes = (uint16_t)min_u64(bytes, UINT16_MAX);
    roam_conn_ping(conn, now);
}

void roam_conn_close(roam_conn *conn, roam_time now, uint64_t code, const char *reason)
{
    conn->now = now;
    conn_close_with(conn, ROAM_CLOSE_LOCAL_APPLICATION, code, 0, reason);
}

void roam_conn_resolved(roam_conn *conn, roam_time now, const roam_address *addresses, size_t n)
{
    conn->now = now;
    if (conn->state != ROAM_CONN_RESOLVING)
        return;
    if (n == 0) {
        conn_end(conn, ROAM_CLOSE_RESOLUTION);
        return;
    }
    roam_address remote = roam_address_unmap(&addresses[0]);
    remote.port = conn->client->port;
    conn_remember_alternates(conn, addresses + 1, n - 1);
    conn_start(conn, &remote);
}

roam_stream *roam_stream_open(roam_conn *conn, bool unidirectional, roam_result *ret_result)
{
    roam_result ignored;
    roam_result *result = ret_result != NULL ? ret_result : &ignored;
    if (!conn_is_alive(conn) || !conn_may_send_data(conn)) {
        *result = conn_is_alive(conn) ? ROAM_ERR_STATE : ROAM_ERR_CLOSED;
        return NULL;
    }
    return stream_open(&conn->streams, unidirectional, result);
}
