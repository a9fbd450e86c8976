/* The paths of a connection as they come and go, with the CIDs that they hold: see paths.h. Nothing here decides. */
#include "conn/paths.h"
#include "conn/cids.h"

static roam_event path_event(const roam_conn *conn, roam_event_type type, const struct path *path)
{
    const struct remote_cid *cid = remote_cid_of_path((struct remote_cid_set *)(uintptr_t)&conn->remote_cids, path->id);
    roam_event event = {.type = type,
                        .time = conn->now,
                        .conn = (roam_conn *)(uintptr_t)conn,
                        .path_id = path->id,
                        .local = path->local,
                        .remote = path->remote,
                        .proven = path->address_validated || type == ROAM_EVENT_PATH_ANSWERED,
                        .datagram_bytes = path_datagram_bytes(path)};
    if (type == ROAM_EVENT_PATH_MOVED)
        event.why = conn->move_why;
    if (type == ROAM_EVENT_PATH_MOVED || type == ROAM_EVENT_PATH_REVERTED || type == ROAM_EVENT_PATH_NEW ||
        type == ROAM_EVENT_PATH_SETTLED)
        event.cid = conn->row_cid;
    else if (cid != NULL)
        event.cid = cid->cid;
    return event;
}

void conn_path_event(roam_conn *conn, roam_event_type type, const struct path *path, const roam_address *previous)
{
    roam_event event = path_event(conn, type, path);
    if (previous != NULL)
        event.previous = *previous;
    conn_tell(conn, &event);
}

void conn_path_data_event(roam_conn *conn, roam_event_type type, const struct path *path,
                          const uint8_t data[PATH_DATA_BYTES])
{
    roam_event event = path_event(conn, type, path);
    memcpy(event.path_data, data, PATH_DATA_BYTES);
    conn_tell(conn, &event);
}

bool conn_peer_has_no_cids(const roam_conn *conn)
{
    return conn->remote_cids.count > 0 && conn->remote_cids.entries[0].cid.len == 0;
}

bool conn_has_spare_cid(const roam_conn *conn)
{
    return conn_peer_has_no_cids(conn) || remote_cid_spare(&conn->remote_cids) > 0;
}

const struct path *conn_proven_path(const roam_conn *conn)
{
    const struct path *active = path_set_active(&conn->paths);
    return active->address_validated ? active : path_set_find(&conn->paths, conn->paths.fallback_id);
}

static bool came_in_at(const struct packet_context *context, const struct path *path)
{
    return !roam_address_is_set(&context->local) || roam_address_equal(&context->local, &path->local);
}

const struct path *conn_path_of_same_cid(roam_conn *conn, const struct packet_context *context)
{
    const struct path *newest = NULL;
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *path = conn->paths.paths[i];
        if (path->local_cid_sequence != context->local_cid_sequence || !came_in_at(context, path) ||
            remote_cid_of_path(&conn->remote_cids, path->id) == NULL)
            continue;
        if (path->id == conn->paths.active_id)
            return path;
        if (newest == NULL || path->last_used > newest->last_used)
            newest = path;
    }
    return newest;
}

struct path *conn_path_to_give_up(const roam_conn *conn)
{
    struct path *path = path_set_evictable(&conn->paths);
    struct path *fallback = path_set_find(&conn->paths, conn->paths.fallback_id);
    /* Where the active path is proven, the one before it is of less use than one that is kept to move to. */
    if (fallback != NULL && path_set_active(&conn->paths)->address_validated &&
        (path == NULL || (path->standby && !fallback->standby)))
        path = fallback;
    return path;
}

void conn_forget_path(roam_conn *conn, struct path *path)
{
    if (path->id == conn->paths.fallback_id)
        conn->paths.fallback_id = PATH_ID_NONE;
    conn_path_event(conn, ROAM_EVENT_PATH_CLOSED, path, NULL);
    //= rfc9000#5.1.2-1 Retire CIDs bound to an address pair that is no longer in use.
    remote_cid_release(&conn->remote_cids, path->id);
    conn_sync_reset_tokens(conn);
    path_set_remove(&conn->paths, path->id);
}

struct path *conn_add_path(roam_conn *conn, const roam_address *local, const roam_address *remote)
{
    if (conn->paths.count == conn->paths.max) {
        struct path *victim = conn_path_to_give_up(conn);
        if (victim == NULL)
            return NULL;
        if (!victim->address_validated)
            path_budget_on_failed(&conn->path_budget);
        conn_forget_path(conn, victim);
    }
    return path_set_add(&conn->paths, local, remote, conn->config, conn->now);
}

void conn_free_a_cid(roam_conn *conn)
{
    struct path *victim = conn_path_to_give_up(conn);
    if (victim != NULL && victim->validation.state != VALIDATION_RUNNING)
        conn_forget_path(conn, victim);
}

void conn_validate_path(roam_conn *conn, struct path *path)
{
    roam_time pto = rtt_pto(&path->recovery.rtt, conn_peer_max_ack_delay(conn));
    struct rtt unknown;
    rtt_init(&unknown, conn->config->initial_rtt);
    //= rfc9000#8.2.4-2 Use 3 x max(current PTO, new-path PTO from kInitialRtt) for that timer.
    path_validation_start(&path->validation, conn->now, pto, max_u64(conn_pto(conn), rtt_pto(&unknown, 0)));
}
