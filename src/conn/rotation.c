/*
 * Connection IDs change while the addresses stay, so that who looks on now and then cannot tell that what he sees is
 * one connection: after a silence, after a time, after so many octets, and when the peer has changed what it writes
 * (RFC 9000 section 9.5). Kept: one CID is left over for a move that must not wait, so that a peer that gives us two at
 * most is always written to under the same one.
 *
 *   what we write        conn_rotate_if_due, before each packet on the active path
 *   what the peer writes conn_on_cid_used asks it to change, by Retire Prior To, where it does not by itself
 */
#include "conn/cids.h"
#include "conn/conn.h"

/* ---- What we write ----------------------------------------------------------------------------------------------- */

static bool is_over(uint64_t limit, uint64_t value)
{
    return limit > 0 && value >= limit;
}

static bool is_due(const roam_conn *conn, const struct remote_assignment *assignment)
{
    const roam_config *config = conn->config;
    return is_over(config->cid_rotate_idle, conn->now - assignment->written_at) ||
           is_over(config->cid_rotate_after, conn->now - assignment->used_since) ||
           is_over(config->cid_rotate_bytes, assignment->bytes) || conn->rotation_pending;
}

void conn_rotate_if_due(roam_conn *conn)
{
    const struct path *active = path_set_active(&conn->paths);
    const struct remote_cid *cid = remote_cid_of_path(&conn->remote_cids, active->id);
    const struct remote_assignment *assignment = remote_cid_assignment(&conn->remote_cids, active->id);
    if (!conn->confirmed || assignment == NULL || !cid->used || !active->address_validated ||
        active->validation.state == VALIDATION_RUNNING || !is_due(conn, assignment))
        return;
    conn->rotation_pending = false;
    //= rfc9000#9.5-1 Change destination CID at any time to one unused on another path.
    if (remote_cid_spare(&conn->remote_cids) <= ROTATION_RESERVE || !remote_cid_rotate(&conn->remote_cids, active->id))
        return;
    cid = remote_cid_of_path(&conn->remote_cids, active->id);
    conn_cid_event(conn, ROAM_EVENT_CID_CHANGED, &cid->cid, cid->sequence);
    conn_sync_reset_tokens(conn);
}

void conn_on_peer_rotated(roam_conn *conn)
{
    const struct remote_cid *cid = remote_cid_of_path(&conn->remote_cids, conn->paths.active_id);
    const struct remote_assignment *assignment = remote_cid_assignment(&conn->remote_cids, conn->paths.active_id);
    /* It would gain nothing if the other direction kept its own. But where ours is young, the peer's change may be its
     * answer to that, and there is no end to answers. */
    if (assignment != NULL && cid->used && conn->now - assignment->used_since >= ROTATION_PTOS_MIN * conn_pto(conn))
        conn->rotation_pending = true;
}

void conn_on_cid_written(roam_conn *conn, uint64_t path_id, size_t bytes)
{
    struct remote_cid *cid = remote_cid_of_path(&conn->remote_cids, path_id);
    struct remote_assignment *assignment = remote_cid_assignment(&conn->remote_cids, path_id);
    if (!cid->used) {
        cid->used = true;
        if (assignment != NULL)
            assignment->used_since = conn->now;
        conn_sync_reset_tokens(conn);
    }
    if (assignment == NULL)
        return; /* a zero-length one never changes */
    assignment->written_at = conn->now;
    assignment->bytes += bytes;
}

/* ---- What the peer writes ---------------------------------------------------------------------------------------- */

/* A peer with the same limits changes by itself; it gets the chance. */
static uint64_t with_patience(uint64_t limit)
{
    return limit > 0 ? saturating_add(limit, limit / 4) : 0;
}

static bool is_worn(const roam_conn *conn, const struct local_cid *cid)
{
    return is_over(with_patience(conn->config->cid_rotate_after), conn->now - cid->used_since) ||
           is_over(with_patience(conn->config->cid_rotate_bytes), cid->bytes);
}

void conn_on_cid_used(roam_conn *conn, struct local_cid *cid, size_t bytes)
{
    const bool is_new = local_cid_on_used(&conn->local_cids, cid, conn->now, bytes) && cid->sequence > 0;
    if (is_new)
        conn_cid_event(conn, ROAM_EVENT_CID_USED, &cid->cid, cid->sequence);
    const bool worn = conn->confirmed && is_worn(conn, cid) && local_cid_has_spare(&conn->local_cids);
    //= rfc9000#5.1.2-9 Refused while the peer has still to meet an earlier request.
    if ((worn && local_cid_request_retirement(&conn->local_cids, cid->sequence + 1)) || is_new)
        conn_issue_cids(conn);
}
