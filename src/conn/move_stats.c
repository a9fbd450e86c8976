/* See move_stats.h. The memory comes with the first move; without it a connection moves all the same, and nobody
 * counts. */
#include "conn/move_stats.h"

#include "conn/paths.h"

static roam_path_stats *newest(const roam_conn *conn)
{
    struct move_stats *stats = conn->move_stats;
    return stats != NULL && stats->count > 0 ? &stats->kept[(stats->count - 1) % ROAM_MOVES_KEPT] : NULL;
}

struct move_before move_stats_before(const struct path *active)
{
    return (struct move_before){
        .path_id = active->id,
        .local = active->local,
        .remote = active->remote,
        .smoothed_rtt = active->recovery.rtt.smoothed,
        .window_bytes = active->recovery.congestion.window,
    };
}

static void settle(roam_conn *conn, roam_path_stats *move)
{
    if (move->settled || !move->validated || move->first_after == 0)
        return;
    move->settled = true;
    conn->move_open = false;
    conn_path_event(conn, ROAM_EVENT_PATH_SETTLED, path_set_active(&conn->paths), &move->previous_remote);
}

void move_stats_on_move(roam_conn *conn, const struct move_before *before, enum roam_move_why why, bool reverted,
                        bool proven)
{
    if (conn->move_stats == NULL)
        conn->move_stats = mem_zalloc(conn->allocator, sizeof(*conn->move_stats));
    if (conn->move_stats == NULL)
        return;
    const struct path *active = path_set_active(&conn->paths);
    roam_path_stats *last = newest(conn);
    if (last != NULL) {
        /* What the path was like after that move is what it is like before this one. */
        last->rtt_after = before->smoothed_rtt;
        last->window_after = before->window_bytes;
    }
    conn->move_stats->count++;
    *newest(conn) = (roam_path_stats){
        .path_id = active->id,
        .previous_path_id = before->path_id,
        .local = active->local,
        .remote = active->remote,
        .previous_local = before->local,
        .previous_remote = before->remote,
        .why = why,
        .reverted = reverted,
        .validated = proven,
        .moved_at = conn->now,
        .last_before = conn->last_received_at,
        .rtt_before = before->smoothed_rtt,
        .rtt_after = active->recovery.rtt.smoothed,
        .window_before = before->window_bytes,
        .window_after = active->recovery.congestion.window,
    };
    conn->move_open = true;
}

static void on_first_packet(roam_conn *conn, roam_path_stats *move)
{
    move->first_after = conn->now;
    move->gap = saturating_sub(move->first_after, move->last_before);
    settle(conn, move);
}

void move_stats_on_moving_packet(roam_conn *conn)
{
    roam_path_stats *move = newest(conn);
    if (move == NULL)
        return;
    move->last_before = conn->received_before;
    on_first_packet(conn, move);
}

void move_stats_on_packet(roam_conn *conn)
{
    roam_path_stats *move = newest(conn);
    if (move != NULL && move->first_after == 0)
        on_first_packet(conn, move);
}

void move_stats_on_proven(roam_conn *conn, const struct path *path)
{
    roam_path_stats *move = newest(conn);
    if (move == NULL || move->validated || move->path_id != path->id)
        return;
    move->validated = true;
    move->validated_after = saturating_sub(conn->now, move->moved_at);
    settle(conn, move);
}

void move_stats_on_lost(roam_conn *conn, const struct sent_packet *packet)
{
    roam_path_stats *move = newest(conn);
    if (move == NULL || packet->path_id != move->previous_path_id || packet->sent_at > move->moved_at)
        return;
    move->packets_lost++;
    for (const struct sent_frame *frame = packet->frames; frame != NULL; frame = frame->next)
        move->bytes_resent += frame->type == FRAME_STREAM || frame->type == FRAME_CRYPTO ? frame->len : 0;
}

roam_path_stats move_stats_latest(const roam_conn *conn)
{
    const roam_path_stats *move = newest(conn);
    roam_path_stats ret = {0};
    if (move == NULL)
        return ret;
    ret = *move;
    /* Until the next move, the figures after this one are those of now. */
    const struct path *path = path_set_active(&conn->paths);
    ret.rtt_after = path->recovery.rtt.smoothed;
    ret.window_after = path->recovery.congestion.window;
    return ret;
}

size_t roam_conn_path_stats(const roam_conn *conn, roam_path_stats *ret, size_t n)
{
    const struct move_stats *stats = conn->move_stats;
    if (stats == NULL)
        return 0;
    size_t kept = (size_t)min_u64(stats->count, ROAM_MOVES_KEPT);
    for (size_t i = 0; i < kept && i < n; i++)
        ret[i] = i == 0 ? move_stats_latest(conn) : stats->kept[(stats->count - 1 - i) % ROAM_MOVES_KEPT];
    return kept;
}
