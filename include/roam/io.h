/*
 * roam/io.h - an endpoint on real UDP sockets, turned by libuv. A client or a server is one loop:
 *
 *     roam_io *io = roam_io_new(&config, NULL, &result);
 *     roam_io_bind(io, &address, NULL);
 *     while (roam_io_next(io, &event, ROAM_TIME_NEVER)) { switch (event.type) { ... } }
 *
 * Datagrams go in and out in batches, with the local address (IP_PKTINFO, IPV6_PKTINFO) and the ECN bits.
 */
#ifndef ROAM_IO_H
#define ROAM_IO_H

#include <roam/roam.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roam_io roam_io;
struct uv_loop_s;

/* Makes an endpoint with an event loop around it. `loop` is a libuv loop to live on (then drive it with uv_run and
 * take events with a zero timeout), or NULL for a loop of its own. On failure NULL, with why in *ret_result (may be
 * NULL). */
ROAM_API roam_io *roam_io_new(const roam_endpoint_config *config, struct uv_loop_s *loop, roam_result *ret_result);

/* Sends what is due (closes the remaining connections with NO_ERROR first), closes the sockets and frees everything. */
ROAM_API void roam_io_free(roam_io *io);

ROAM_API roam_endpoint *roam_io_endpoint(roam_io *io);

/* The clock of this loop: CLOCK_MONOTONIC in nanoseconds. */
ROAM_API roam_time roam_io_now(roam_io *io);

/* Opens a socket on `local` (port 0: any free one) and writes where it really is into *ret_bound (may be NULL).
 * ROAM_ERR_SYSTEM with errno: EADDRINUSE, EADDRNOTAVAIL, EACCES, ... A client that never binds gets an ephemeral
 * port of the fitting family when it connects. */
ROAM_API roam_result roam_io_bind(roam_io *io, const roam_address *local, roam_address *ret_bound);

/* roam_connect on this loop: opens a socket where one is missing, resolves names. */
ROAM_API roam_conn *roam_io_connect(roam_io *io, const char *host, uint16_t port, const roam_config *config,
                                    roam_result *ret_result);

/* roam_conn_rebind and roam_conn_migrate on this loop: open a socket on new_local first (port 0: any free one; IP 0:
 * the one that the connection uses now). The old socket is closed at once on a rebinding, as a NAT would forget it,
 * and a while after a migration. *ret_bound (may be NULL) gets the new address. */
ROAM_API roam_result roam_io_rebind(roam_io *io, roam_conn *conn, const roam_address *new_local,
                                    roam_address *ret_bound);
ROAM_API roam_result roam_io_migrate(roam_io *io, roam_conn *conn, const roam_address *new_local,
                                     roam_address *ret_bound);

/* Takes the next event; without one, sends, receives and waits up to `timeout` (0: not at all; ROAM_TIME_NEVER: for
 * ever). Returns false where the timeout is over, or after roam_io_wake. */
ROAM_API bool roam_io_next(roam_io *io, roam_event *ret, roam_time timeout);

/* Makes a waiting roam_io_next return false. The one call that another thread or a signal handler may make. */
ROAM_API void roam_io_wake(roam_io *io);

/* The libuv loop, for timers, pipes and signals beside the sockets. */
ROAM_API struct uv_loop_s *roam_io_loop(roam_io *io);

#ifdef __cplusplus
}
#endif

#endif
