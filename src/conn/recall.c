/*
 * The memory of earlier networks (path/path_memory.h), fed when a path is left and asked when one is proven. An
 * unvalidated path neither fills it nor profits from it: its address may be somebody's claim.
 */
#include "conn/paths.h"
#include "recovery/window.h"

void conn_renew_path(roam_conn *conn, struct path *path)
{
    const uint64_t old_id = path_set_renew(&conn->paths, path, conn->config);
    if (remote_cid_of_path(&conn->remote_cids, old_id) == NULL)
        return;
    remote_cid_share(&conn->remote_cids, path->id, old_id);
    remote_cid_release(&conn->remote_cids, old_id);
}

void conn_inherit_path(struct path *path, const struct path *from)
{
    path->recovery.rtt = from->recovery.rtt;
    congestion_inherit(&path->recovery.congestion, &from->recovery.congestion);
    if (path->work != NULL && from->work != NULL)
        *path->recovery.pacer = *from->recovery.pacer;
    path->recovery.first_sample_at = from->recovery.first_sample_at;
    pmtud_inherit(&path->pmtud, &from->pmtud);
}

void conn_remember_path(roam_conn *conn, const struct path *path)
{
    const struct congestion *congestion = &path->recovery.congestion;
    const uint64_t window = congestion_proven_window(congestion);
    bool has_learnt = path->recovery.rtt.has_sample &&
                      window > initial_window(congestion->datagram_bytes, congestion->initial_packets);
    if (!path_is_validated(path) || !has_learnt)
        return;
    if (conn->memory == NULL)
        conn->memory = mem_zalloc(conn->allocator, sizeof(*conn->memory));
    if (conn->memory != NULL)
        path_memory_save(conn->memory, &path->local, &path->remote, window, path->recovery.rtt.min, conn->now);
}

void conn_recall_path(roam_conn *conn, struct path *path)
{
    if (conn->memory == NULL)
        return;
    const struct path_memory_entry *entry = path_memory_find(conn->memory, &path->local, &path->remote, conn->now);
    if (entry != NULL && path_set_rouse(&conn->paths, path))
        congestion_resume(&path->recovery.congestion, entry->window_bytes, entry->min_rtt);
}

void conn_forget_networks(roam_conn *conn)
{
    mem_free(conn->allocator, conn->memory, sizeof(*conn->memory));
    conn->memory = NULL;
}
