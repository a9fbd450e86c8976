/* What the search for each path's datagram size (path/pmtud.h) hears of, and what follows from it. */
#ifndef CONN_MTU_H
#define CONN_MTU_H

#include "conn/conn.h"

void conn_mtu_on_acked(roam_conn *conn, struct path *path, const struct sent_packet *packet);
void conn_mtu_on_lost(roam_conn *conn, struct path *path, const struct sent_packet *packet);
/* What a black hole has swallowed is sent again. Not while losses are being found. */
void conn_mtu_repair(roam_conn *conn);
/* The host refused a datagram of `bytes` between these addresses. */
void conn_mtu_on_too_large(roam_conn *conn, const roam_address *local, const roam_address *remote, size_t bytes);
/* No challenge of 1200 octets was answered on the active path, whose address is proven. True where it is to be left;
 * else they are sent again. */
bool conn_mtu_is_too_small(roam_conn *conn, struct path *path);
/* One was answered. */
void conn_mtu_on_proven(roam_conn *conn, struct path *path);
/* The size of the probe that may go out on the path now; 0: none. */
size_t conn_mtu_probe_due(roam_conn *conn, struct path *path, size_t capacity);

#endif
