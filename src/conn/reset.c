/*
 * Stateless Resets of the peer, RFC 9000 section 10.3.1. A token is believed where it belongs to a CID that we write,
 * and came from where we write it.
 *
 * Its CID stands on the active path: the peer has lost the connection, and that is the end of it. It stands on other
 * paths only: whoever answers there does not know the connection - a balancer leads that way to another server, say -
 * while the peer on the active path may be well. Then only those paths fail; a peer that has lost the connection
 * answers the next packet on the active path in the same way.
 */
#include "conn/cids.h"
#include "conn/paths.h"

/* The paths under the CID fail. None of them is the active one. */
static void fail_paths(roam_conn *conn, uint64_t sequence)
{
    for (size_t i = conn->paths.count; i-- > 0;) {
        struct path *path = conn->paths.paths[i];
        const struct remote_cid *cid = remote_cid_of_path(&conn->remote_cids, path->id);
        if (cid != NULL && cid->sequence == sequence)
            conn_fail_path(conn, path);
    }
}

bool conn_on_stateless_reset(roam_conn *conn, roam_time now, const uint8_t token[RESET_TOKEN_BYTES],
                             const roam_address *remote)
{
    const struct remote_cid *cid = remote_cid_of_token(&conn->remote_cids, token);
    const struct remote_cid *active = remote_cid_of_path(&conn->remote_cids, conn->paths.active_id);
    const roam_address from = roam_address_unmap(remote);
    conn->now = now;
    if (cid == NULL)
        return false;
    if (path_set_find_remote(&conn->paths, &from) == NULL) {
        conn_count_drop(conn, ROAM_DROP_RESET_FROM_ELSEWHERE);
        return true;
    }
    if (cid != active && conn_is_alive(conn)) {
        fail_paths(conn, cid->sequence);
        conn->owner->wake(conn->owner->context, conn);
        return true;
    }
    if (conn_is_alive(conn))
        conn_event(conn, ROAM_EVENT_RESET_RECEIVED);
    //= rfc9000#10.3.1-5 On match, go to draining and send nothing more.
    conn_drain(conn, ROAM_CLOSE_STATELESS_RESET, ROAM_NO_ERROR, 0, (const uint8_t *)"", 0);
    return true;
}
