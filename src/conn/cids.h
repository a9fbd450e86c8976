/*
 * What becomes of a connection's CIDs beside the two sets themselves: cids.c keeps the endpoint's table in step and the
 * peer supplied, rotation.c changes them while the addresses stay, reset.c judges the tokens that belong to them.
 */
#ifndef CONN_CIDS_H
#define CONN_CIDS_H

#include "conn/conn.h"

/* ---- cids.c: the sets and the endpoint's table, kept in step */
void conn_issue_cids(roam_conn *conn);
/* The peer does not answer: perhaps it has no CID left to write to our new address. It gets new ones for all that it
 * had, and those that it may not have got once more. */
void conn_renew_cids(roam_conn *conn);
/* All CIDs of ours give way to new ones, as soon as may be: the endpoint makes them in another way now. */
void conn_renew_all_cids(roam_conn *conn, roam_time now);
void conn_sync_reset_tokens(roam_conn *conn);
/* Gives the path a CID where it has none and there is one. */
void conn_assign_cid(roam_conn *conn, uint64_t path_id);
uint64_t conn_on_new_connection_id(roam_conn *conn, const struct frame *frame);
uint64_t conn_on_retire_connection_id(roam_conn *conn, const struct packet_context *context, const struct frame *frame);

/* ---- reset.c */
/* A datagram from `remote` that cannot be opened ended so. False where that is the reset token of no CID that we write;
 * true where it is one, whatever came of it. */
bool conn_on_stateless_reset(roam_conn *conn, roam_time now, const uint8_t token[RESET_TOKEN_BYTES],
                             const roam_address *remote);

/* ---- rotation.c */
/* Before a packet on the active path: takes another CID of the peer's, if it is time. */
void conn_rotate_if_due(roam_conn *conn);
/* On the active path the peer writes another CID of ours than before. */
void conn_on_peer_rotated(roam_conn *conn);
/* A datagram of so many octets leaves on the path, with its CID of the peer's. */
void conn_on_cid_written(roam_conn *conn, uint64_t path_id, size_t bytes);
/* An authentic packet of so many octets came on this CID of ours. */
void conn_on_cid_used(roam_conn *conn, struct local_cid *cid, size_t bytes);

#endif
