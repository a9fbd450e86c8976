/*
 * The paths of a connection as they come and go, with the CIDs that they hold: made, proven, given up, forgotten, told
 * of. What for is decided in migrate.c (the peer moved) and move.c (the application wants to).
 */
#ifndef CONN_PATHS_H
#define CONN_PATHS_H

#include "conn/conn.h"

/* The peer uses zero-length CIDs: all paths use that. */
bool conn_peer_has_no_cids(const roam_conn *conn);

/* True where a path that is made now can have a CID of its own. */
bool conn_has_spare_cid(const roam_conn *conn);

/* Where the peer has been proven to be: the active path, or else the one to fall back to. NULL: nowhere yet. */
const struct path *conn_proven_path(const roam_conn *conn);

/* The path that the packet's sender has been on so far: the newest one on which this CID of ours came last, at the same
 * address of ours, and which has a CID of the peer's to go on with. The active one first; NULL where there is none. */
const struct path *conn_path_of_same_cid(roam_conn *conn, const struct packet_context *context);

/* The path to forget when room, or a CID, is needed. The fallback too, when the active path is proven and nothing
 * else is left. NULL where there is none. */
struct path *conn_path_to_give_up(const roam_conn *conn);

/* NULL without memory, or where no path can be given up for it. It has no CID yet. */
struct path *conn_add_path(roam_conn *conn, const roam_address *local, const roam_address *remote);

/* Tells the application, retires the path's CID where no other path uses it, and frees the path. Not the active one. */
void conn_forget_path(roam_conn *conn, struct path *path);

/* No CID is left for a new place: a path that has had its day gives up its own, so that the peer replaces it within
 * a round trip. Not one that is just being proven: it may be where the peer is going. */
void conn_free_a_cid(roam_conn *conn);

/* Starts a validation, RFC 9000 section 8.2, or leaves a running one alone. */
void conn_validate_path(roam_conn *conn, struct path *path);

/* previous: the peer's address before a move; NULL: none. */
void conn_path_event(roam_conn *conn, roam_event_type type, const struct path *path, const roam_address *previous);

/* With what stands in a PATH_CHALLENGE or PATH_RESPONSE. */
void conn_path_data_event(roam_conn *conn, roam_event_type type, const struct path *path,
                          const uint8_t data[PATH_DATA_BYTES]);

/* move.c: validates a path of a client's from `local` to `remote`, made where there is none, and moves there when it is
 * proven, or at once where it was already. Results as of roam_conn_migrate. */
roam_result conn_start_probe(roam_conn *conn, const roam_address *local, const roam_address *remote, bool migrate);

/* Client: moves to a path that the application, or the server, wanted it to move to, if it is proven and has a CID. */
void conn_move_waiting(roam_conn *conn);

/* ---- migrate.c */

/* Makes `path` the active one. type is ROAM_EVENT_PATH_MOVED or REVERTED. */
void conn_move_to(roam_conn *conn, struct path *path, roam_event_type type, enum roam_move_why why);

/* The path is proven, or in use: a token for its address is due to the client where it is both and has none yet. */
void conn_offer_token(roam_conn *conn, const struct path *path);

/* ---- validation.c */

/* Nobody answered there, or the system does not send there: what becomes of the path, and of the connection. */
void conn_on_validation_failed(roam_conn *conn, struct path *path);

/* Nobody is there who knows us: tells the application, and forgets the path. Not the active one. */
void conn_fail_path(roam_conn *conn, struct path *path);

/* ---- recall.c: networks that the connection has been in */
/* The path leads through another one now, or is not known to lead anywhere: it begins afresh, under another id. */
void conn_renew_path(roam_conn *conn, struct path *path);
/* The path is left. */
void conn_remember_path(roam_conn *conn, const struct path *path);
/* The path is validated and in use: where it leads through a network that is remembered, it resumes carefully. */
void conn_recall_path(roam_conn *conn, struct path *path);
void conn_forget_networks(roam_conn *conn);

/* Takes over what is known of the network where only the port is new: RFC 9000 section 9.4. */
void conn_inherit_path(struct path *path, const struct path *from);

#endif
