/*
 * What moves have cost, roam_path_stats: the newest few, kept from the first move on. It watches and decides nothing.
 *
 *   a move begins     move_stats_on_move     conn_move_to, roam_conn_rebind
 *   is proven         move_stats_on_proven   path_on_proven
 *   the first packet  move_stats_on_packet   conn_after_payload
 *   settled           when both have happened: ROAM_EVENT_PATH_SETTLED, once a move
 */
#ifndef CONN_MOVE_STATS_H
#define CONN_MOVE_STATS_H

#include "conn/conn.h"

struct move_stats {
    roam_path_stats kept[ROAM_MOVES_KEPT]; /* a ring */
    uint64_t count;                        /* of all moves; the newest is kept[(count - 1) % ROAM_MOVES_KEPT] */
};

/* What was so before the move. */
struct move_before {
    uint64_t path_id;
    roam_address local, remote;
    roam_time smoothed_rtt;
    uint64_t window_bytes;
};
struct move_before move_stats_before(const struct path *active);

/* The active path is another one, or leaves from another address of ours. proven: the peer is known to be there. */
void move_stats_on_move(roam_conn *conn, const struct move_before *before, enum roam_move_why why, bool reverted,
                        bool proven);

/* The move's own packet, which came in where the row went. */
void move_stats_on_moving_packet(roam_conn *conn);

/* An authentic packet came in on the active path while conn->move_open. */
void move_stats_on_packet(roam_conn *conn);
void move_stats_on_proven(roam_conn *conn, const struct path *path);

/* A packet was declared lost; its frames are still known. */
void move_stats_on_lost(roam_conn *conn, const struct sent_packet *packet);

/* The newest move; moved_at 0 where there was none. */
roam_path_stats move_stats_latest(const roam_conn *conn);

#endif
