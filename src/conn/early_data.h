/* Early data at either side, RFC 9001 section 4.6: see early_data.c. */
#ifndef CONN_EARLY_DATA_H
#define CONN_EARLY_DATA_H

#include "conn/conn.h"

/* Client: the ClientHello will offer it, where the session allows it. */
void conn_early_offer(roam_conn *conn);
/* Client: the ClientHello is made. */
void conn_early_ready(roam_conn *conn);
void conn_early_on_secret(roam_conn *conn, enum aead_suite suite, const uint8_t *receive, const uint8_t *send);
/* Server: TLS asks whether it is taken. */
bool conn_early_may_take(roam_conn *conn, const struct early_terms *terms);
/* Server: a ClientHello may have brought it. */
void conn_early_take(roam_conn *conn);
/* The handshake is complete. Client: whether the server took it, and kept its promises. False where the connection ends
 * for that. */
bool conn_early_judge(roam_conn *conn);
/* 1-RTT keys are there. */
void conn_early_end(roam_conn *conn);
/* Streams and datagrams may be used. */
static inline bool conn_may_send_data(const roam_conn *conn)
{
    return conn->handshake_complete || conn->early_data == ROAM_EARLY_OFFERED ||
           conn->early_data == ROAM_EARLY_ACCEPTED;
}
/* What a packet of the application data space is now. */
enum packet_type conn_application_packet(const roam_conn *conn);
roam_time conn_early_deadline(const roam_conn *conn);
void conn_early_expire(roam_conn *conn);

#endif
