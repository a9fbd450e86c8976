/* Connection IDs of a connection: the two sets, and the endpoint's table kept in step with them. */
#include "conn/cids.h"
#include "conn/paths.h"

void conn_issue_cids(roam_conn *conn)
{
    if (conn->renewal_pending && conn->handshake_complete &&
        local_cid_request_retirement(&conn->local_cids, conn->local_cids.next_sequence))
        conn->renewal_pending = false;
    //= rfc9000#5.1.1-3 Keep the peer stocked with enough unused CIDs.
    //= rfc9000#9.5-7 Issue fresh CIDs before the peer migrates.
    const size_t wanted = conn->handshake_complete ? local_cid_wanted(&conn->local_cids) : 0;
    if (!local_cid_reserve(&conn->local_cids, wanted))
        return; /* no memory now: the next deadline tries again */
    for (size_t i = 0; i < wanted; i++) {
        roam_cid cid;
        if (!conn->owner->cid_new(conn->owner->context, conn, &cid))
            return;
        struct local_cid *issued = local_cid_issue(&conn->local_cids, &cid);
        conn->owner->cid_reset_token(conn->owner->context, &cid, issued->reset_token);
        conn_cid_event(conn, ROAM_EVENT_CID_ISSUED, &issued->cid, issued->sequence);
    }
}

void conn_renew_cids(roam_conn *conn)
{
    if (conn->local_cids.cid_bytes == 0)
        return;
    //= rfc9000#5.1.1-5 Issuing beyond the limit is fine where the frame forces the excess out through Retire Prior To.
    //= rfc9000#5.1.2-9 Not again before an earlier request is met, unless it seems that nothing of the peer's can
    // reach us.
    if (local_cid_request_retirement(&conn->local_cids, conn->local_cids.next_sequence) ||
        (conn->pto_count >= PTOS_BEFORE_INSISTING && local_cid_insist_on_retirement(&conn->local_cids)))
        conn_issue_cids(conn);
    /* Loss is declared by acknowledgements, and none will come before it can answer. */
    local_cid_repeat(&conn->local_cids);
}

void conn_renew_all_cids(roam_conn *conn, roam_time now)
{
    conn->now = now;
    if (!conn_is_alive(conn) || conn->local_cids.cid_bytes == 0)
        return;
    //= rfc9000#5.1.2-9 Where an earlier request is not met yet, this one waits until it is.
    conn->renewal_pending = true;
    conn_issue_cids(conn);
    conn->owner->wake(conn->owner->context, conn);
}

static bool token_is_current(const roam_conn *conn, size_t i)
{
    for (size_t j = 0; j < conn->remote_cids.count; j++) {
        const struct remote_cid *entry = &conn->remote_cids.entries[j];
        if (entry->sequence == conn->tokens_known[i].sequence)
            return entry->used && entry->has_reset_token;
    }
    return false;
}

static bool token_is_known(const roam_conn *conn, uint64_t sequence)
{
    for (size_t i = 0; i < conn->token_count; i++) {
        if (conn->tokens_known[i].sequence == sequence)
            return true;
    }
    return false;
}

//= rfc9000#10.3.1-3 Do not match tokens of CIDs never used or already retired.
void conn_sync_reset_tokens(roam_conn *conn)
{
    for (size_t i = conn->token_count; i-- > 0;) {
        if (!token_is_current(conn, i)) {
            conn->owner->reset_token_remove(conn->owner->context, conn, conn->tokens_known[i].token);
            conn->tokens_known[i] = conn->tokens_known[--conn->token_count];
        }
    }
    for (size_t j = 0; j < conn->remote_cids.count; j++) {
        const struct remote_cid *entry = &conn->remote_cids.entries[j];
        if (!entry->used || !entry->has_reset_token || token_is_known(conn, entry->sequence))
            continue;
        if (!mem_reserve(conn->allocator, &conn->tokens_known, &conn->token_capacity, conn->token_count + 1u,
                         REMOTE_CIDS_MAX, sizeof(*conn->tokens_known)))
            return; /* no memory: the next change of CIDs tries again */
        conn->tokens_known[conn->token_count].sequence = entry->sequence;
        memcpy(conn->tokens_known[conn->token_count++].token, entry->reset_token, RESET_TOKEN_BYTES);
        conn->owner->reset_token_add(conn->owner->context, conn, entry->reset_token);
    }
}

static void reassign_path(roam_conn *conn, uint64_t path_id)
{
    if (path_set_find(&conn->paths, path_id) == NULL || remote_cid_of_path(&conn->remote_cids, path_id) != NULL ||
        !remote_cid_assign(&conn->remote_cids, path_id))
        return;
    const struct remote_cid *assigned = remote_cid_of_path(&conn->remote_cids, path_id);
    conn_cid_event(conn, ROAM_EVENT_CID_CHANGED, &assigned->cid, assigned->sequence);
}

/* The path that was heard of or spoken to last, of those that had a CID of their own and have none now; NULL where
 * there is none. Those that shared one, as every forged rebinding does, get one when they are moved to. */
static const struct path *newest_without_cid(roam_conn *conn)
{
    const struct path *newest = NULL;
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *path = conn->paths.paths[i];
        if (!path->nat_rebinding && remote_cid_of_path(&conn->remote_cids, path->id) == NULL &&
            (newest == NULL || path->last_used > newest->last_used))
            newest = path;
    }
    return newest;
}

/* Paths whose CID fell under Retire Prior To get another one, where there is one (RFC 9000 section 5.1.2): first the
 * path that is in use, and while nobody has proven to be there the last proven address; then the others, the newest
 * first; one CID is left for the next new place. */
static void reassign_paths(roam_conn *conn)
{
    const struct path *path;
    reassign_path(conn, conn->paths.active_id);
    if (!path_set_active(&conn->paths)->address_validated)
        reassign_path(conn, conn->paths.fallback_id);
    while (remote_cid_spare(&conn->remote_cids) > 1 && (path = newest_without_cid(conn)) != NULL)
        reassign_path(conn, path->id);
}

void conn_assign_cid(roam_conn *conn, uint64_t path_id)
{
    reassign_path(conn, path_id);
    conn_sync_reset_tokens(conn);
}

uint64_t conn_on_new_connection_id(roam_conn *conn, const struct frame *frame)
{
    bool added = false;
    uint64_t error = remote_cid_on_new(&conn->remote_cids, frame, &added);
    if (error != ROAM_NO_ERROR)
        return error;
    if (added)
        conn_cid_event(conn, ROAM_EVENT_CID_RECEIVED, &frame->new_connection_id.cid, frame->new_connection_id.sequence);
    reassign_paths(conn);
    if (!conn->is_server)
        conn_move_waiting(conn);
    conn_sync_reset_tokens(conn);
    return ROAM_NO_ERROR;
}

/* A client that retires the CID with which it asked on a path will not come there. */
static void forget_standby(roam_conn *conn, uint64_t sequence)
{
    for (size_t i = 0; i < conn->paths.count; i++)
        if (conn->paths.paths[i]->local_cid_sequence == sequence)
            conn->paths.paths[i]->probed_at = 0;
}

uint64_t conn_on_retire_connection_id(roam_conn *conn, const struct packet_context *context, const struct frame *frame)
{
    roam_cid retired;
    uint64_t error = local_cid_on_retire(&conn->local_cids, frame->sequence, context->local_cid_sequence, &retired);
    if (error != ROAM_NO_ERROR || retired.len > ROAM_CID_MAX)
        return error;
    conn->owner->cid_retired(conn->owner->context, conn, &retired);
    conn_cid_event(conn, ROAM_EVENT_CID_RETIRED, &retired, frame->sequence);
    forget_standby(conn, frame->sequence);
    //= rfc9000#5.1.1-7 Replace a CID with a fresh one when the peer retires it.
    conn_issue_cids(conn);
    return ROAM_NO_ERROR;
}
