/* Asserts what must hold of a connection between any two calls. Tests call it after every event. */
#include <assert.h>

#include "conn/datagrams.h"
#include "conn/preferred.h"

static void check_in_flight(const roam_conn *conn)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *path = conn->paths.paths[i];
        uint64_t sum = sent_map_in_flight(&conn->application.sent, path->id);
        for (int space = 0; space < 2 && conn->handshake != NULL; space++)
            sum += sent_map_in_flight(&conn->handshake->spaces[space].sent, path->id);
        assert(sum == path->recovery.congestion.in_flight);
    }
}

static void check_cids(const roam_conn *conn)
{
    local_cid_set_check(&conn->local_cids);
    remote_cid_set_check(&conn->remote_cids);
    size_t live = 0;
    for (size_t i = 0; i < conn->local_cids.count; i++)
        live += conn->local_cids.entries[i].sequence >= conn->local_cids.retire_prior_to;
    assert(live <= max_u64(conn->peer.active_connection_id_limit, 1 + (conn->preferred != PREFERRED_NONE)));
    for (size_t i = 0; i < conn->remote_cids.assignment_count; i++)
        assert(path_set_find(&conn->paths, conn->remote_cids.assignments[i].path_id) != NULL);
}

void conn_check(const roam_conn *conn)
{
    assert(conn->application.sent.frame_pool->object_bytes >= sizeof(struct sent_frame));
    path_set_check(&conn->paths);
    for (size_t i = 0; i < conn->paths.count; i++)
        path_check(conn->paths.paths[i]);
    check_in_flight(conn);
    check_cids(conn);
    sent_map_check(&conn->application.sent);
    range_set_check(&conn->application.received.received);
    stream_set_check(&conn->streams);
    conn_datagrams_check(conn);
    assert(!conn->confirmed || conn->handshake_complete);
    assert(conn->handshake_complete || conn->handshake != NULL);
    assert((conn->state == ROAM_CONN_CLOSED) ==
           (conn->close_at == ROAM_TIME_NEVER && conn->error->cause != ROAM_CLOSE_NONE));
}
