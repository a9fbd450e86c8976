/* A client whose server has fallen silent. A NAT that has forgotten the client drops what the server says, and the server
 * hears of the new mapping from the client alone: so the client speaks, though it has nothing to say. */
#ifndef CONN_SILENCE_H
#define CONN_SILENCE_H

#include "conn/conn.h"

roam_time conn_silence_deadline(const roam_conn *conn);
void conn_silence_expire(roam_conn *conn);

/* An authentic packet came. */
void conn_silence_on_packet(roam_conn *conn, const struct packet_context *context);

#endif
