/*
 * The moves that an application asks for at a client: roam_conn_rebind, of which the peer is not told,
 * roam_conn_probe, and roam_conn_migrate, which moves when the new path is proven (migrate.c does so then).
 */
#include "conn/cids.h"
#include "conn/mobility.h"
#include "conn/move_stats.h"
#include "conn/paths.h"
#include "conn/preferred.h"

/* The newest wish counts: a move that waits for its proof, or for a CID, is called off, and its path with it unless that
 * was proven before. */
static void call_off_other_moves(roam_conn *conn, const roam_address *wished)
{
    for (size_t i = conn->paths.count; i-- > 0;) {
        struct path *path = conn->paths.paths[i];
        if (!path->migrate_when_valid || roam_address_equal(&path->local, wished))
            continue;
        path->migrate_when_valid = false;
        if (!path_validation_has_succeeded(&path->validation))
            conn_forget_path(conn, path);
    }
}

static roam_result may_move(const roam_conn *conn)
{
    if (!conn_is_alive(conn))
        return ROAM_ERR_CLOSED;
    //= rfc9000#9-1 Do not start migration before the handshake is confirmed.
    if (conn->is_server || !conn->confirmed)
        return ROAM_ERR_STATE;
    return ROAM_OK;
}

/* The socket has moved, and with it every path that leaves by it. */
static void follow_socket(roam_conn *conn, roam_address old_local, const roam_address *new_local)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *path = conn->paths.paths[i];
        if (path->id != conn->paths.active_id && roam_address_equal(&path->local, &old_local) &&
            path_set_find_address(&conn->paths, new_local, &path->remote) == NULL)
            path->local = *new_local;
    }
}

static void move_socket(roam_conn *conn, struct path *active, const roam_address *new_local)
{
    bool other_network = !roam_address_same_ip(&active->local, new_local);
    if (other_network)
        conn_remember_path(conn, active);
    active->local = *new_local;
    /* The backoff is for a network in which nobody answered; waiting on is for one where nobody was asked yet. */
    conn->pto_count = 0;
    if (!other_network)
        return;
    //= rfc9000#9.4-2 Reset CC and RTT to initial values, unless only the port changed: also for an address of our own.
    conn_renew_path(conn, active);
    conn_recall_path(conn, active);
    /* Nothing reaches us there before we have spoken. */
    conn->ping_pending |= !stream_set_is_empty(&conn->streams);
    conn->full_ping_pending |= conn->ping_pending;
}

/* Nothing was sent yet: the first packet will leave from there. */
static roam_result begin_at(roam_conn *conn, const roam_address *local)
{
    if (!roam_address_is_set(local))
        return ROAM_ERR_ADDRESS;
    path_set_active(&conn->paths)->local = *local;
    return ROAM_OK;
}

roam_result roam_conn_rebind(roam_conn *conn, roam_time now, const roam_address *new_local)
{
    if (conn->state == ROAM_CONN_RESOLVING)
        return begin_at(conn, new_local);
    roam_result result = may_move(conn);
    if (result != ROAM_OK)
        return result;
    struct path *active = path_set_active(&conn->paths);
    if (!roam_address_is_set(new_local) || (new_local->family != active->remote.family))
        return ROAM_ERR_ADDRESS;
    conn->now = now;
    struct path *other = path_set_find_address(&conn->paths, new_local, &active->remote);
    if (other != NULL && other != active)
        conn_forget_path(conn, other);
    const struct move_before before = move_stats_before(active);
    follow_socket(conn, active->local, new_local);
    call_off_other_moves(conn, new_local);
    move_socket(conn, active, new_local);
    move_stats_on_move(conn, &before, ROAM_MOVE_APPLICATION, false, true);
    conn_mobility_on_rebound(conn);
    conn->owner->wake(conn->owner->context, conn);
    return ROAM_OK;
}

/* A path of ours to the server, with a CID of its own. */
static roam_result open_path(roam_conn *conn, const roam_address *local, const roam_address *remote, struct path **ret)
{
    //= rfc9000#9.5-2 Never use one destination CID from more than one local address.
    if (conn_peer_has_no_cids(conn))
        return ROAM_ERR_NO_CID;
    //= rfc9000#5.1.1-11 The initiator makes sure the peer has a spare CID, so that it can answer on the new path.
    if (remote_cid_spare(&conn->remote_cids) == 0 || !local_cid_has_spare(&conn->local_cids)) {
        conn_free_a_cid(conn);
        conn->owner->wake(conn->owner->context, conn);
        return ROAM_ERR_NO_CID;
    }
    struct path *path = conn_add_path(conn, local, remote);
    if (path == NULL)
        return ROAM_ERR_LIMIT;
    remote_cid_assign(&conn->remote_cids, path->id);
    path->address_validated = true; /* the 3x limit is a server's: we chose to go there */
    *ret = path;
    return ROAM_OK;
}

/* Retire Prior To may have taken the path's CID since it was probed: without one it would be mute there. */
static bool can_move_to(roam_conn *conn, const struct path *path)
{
    if (!path->migrate_when_valid || path->id == conn->paths.active_id ||
        !path_validation_has_succeeded(&path->validation))
        return false;
    conn_assign_cid(conn, path->id);
    return remote_cid_of_path(&conn->remote_cids, path->id) != NULL;
}

void conn_move_waiting(roam_conn *conn)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *path = conn->paths.paths[i];
        if (!can_move_to(conn, path))
            continue;
        const roam_address *remote = &path_set_active(&conn->paths)->remote;
        conn_move_to(conn, path, ROAM_EVENT_PATH_MOVED,
                     roam_address_equal(&path->remote, remote) ? ROAM_MOVE_APPLICATION : ROAM_MOVE_PREFERRED);
        /* The server hears of it by a non-probing packet. */
        conn->ping_pending = true;
        return;
    }
}

//= rfc9000#21.1.3.1-1 On-path attacker cannot prevent migration to a path it is not on: all that the move needs goes
// over the new path.
//= rfc9000#21.1.3.2-2 Off-path attacker cannot make migration fail on a path it cannot observe: nobody guesses the
// data of its challenges.
roam_result conn_start_probe(roam_conn *conn, const roam_address *local, const roam_address *remote, bool migrate)
{
    struct path *path = path_set_find_address(&conn->paths, local, remote);
    if (path != NULL && path->id == conn->paths.active_id)
        return ROAM_OK;
    if (path == NULL) {
        roam_result result = open_path(conn, local, remote, &path);
        if (result != ROAM_OK)
            return result;
    }
    path->migrate_when_valid |= migrate;
    if (migrate && path_validation_has_succeeded(&path->validation))
        conn_move_waiting(conn);
    else
        conn_validate_path(conn, path);
    conn->owner->wake(conn->owner->context, conn);
    return ROAM_OK;
}

static roam_result start_move(roam_conn *conn, roam_time now, const roam_address *new_local, bool migrate)
{
    roam_result result = may_move(conn);
    roam_address remote;
    if (result != ROAM_OK)
        return result;
    if (!roam_address_is_set(new_local) || !conn_server_address(conn, new_local->family, &remote))
        return ROAM_ERR_ADDRESS;
    //= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address.
    if (conn_is_closed_to_moves(conn, &remote))
        return ROAM_ERR_DISABLED;
    conn->now = now;
    if (migrate)
        call_off_other_moves(conn, new_local);
    result = conn_start_probe(conn, new_local, &remote, migrate);
    if (result == ROAM_OK && !conn_is_closed_to_moves(conn, &conn->client->handshake_remote))
        conn_try_preferred_from(conn, new_local, migrate);
    return result;
}

roam_result roam_conn_migrate(roam_conn *conn, roam_time now, const roam_address *new_local)
{
    return start_move(conn, now, new_local, true);
}

roam_result roam_conn_probe(roam_conn *conn, roam_time now, const roam_address *new_local)
{
    return start_move(conn, now, new_local, false);
}

roam_result roam_conn_forget_path(roam_conn *conn, roam_time now, uint64_t path_id)
{
    struct path *path = path_set_find(&conn->paths, path_id);
    if (!conn_is_alive(conn))
        return ROAM_ERR_CLOSED;
    if (path == NULL)
        return ROAM_ERR_ADDRESS;
    if (path_id == conn->paths.active_id)
        return ROAM_ERR_STATE;
    conn->now = now;
    conn_forget_path(conn, path);
    conn->owner->wake(conn->owner->context, conn);
    return ROAM_OK;
}
