/*
 * roam/io.h - an endpoint on real UDP sockets, turned by libuv. A client or a server is one loop:
 *
 *     roam_io *io = roam_io_new(&config, NULL, &result);
 *     roam_io_bind(io, &address, NULL);
 *     while (roam_io_next(io, &event, ROAM_TIME_NEVER)) { switch (event.type) { ... } }
 *
 * A client's config.mobility = ROAM_MOBILITY_AUTO keeps its connection alive while the host changes networks.
 *
 * Datagrams go in and out in batches, with the local address (IP_PKTINFO, IPV6_PKTINFO) and the ECN bits.
 */
#ifndef ROAM_IO_H
#define ROAM_IO_H

#include <roam/log.h>
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

/* What the kernel keeps for each socket, in octets and each way. A datagram that waits there weighs more than what it
 * carries; one for which there is no room is lost before anybody has seen it. */
typedef struct roam_buffers {
    size_t wanted;        /* what each socket asks for */
    size_t receive, send; /* what it was granted, the least of all open sockets; 0 where none is open */
} roam_buffers;

/* Where less is granted than wanted, the process has no CAP_NET_ADMIN, and the administrator's limit, net.core.rmem_max
 * or net.core.wmem_max, is lower. */
ROAM_API void roam_io_buffers(const roam_io *io, roam_buffers *ret);

/* Asks for so many instead of 4 MiB, at most 1 GiB, for the sockets that are open and those to come. */
ROAM_API void roam_io_want_buffers(roam_io *io, size_t bytes);

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

/* ---- Clients that move by themselves: roam_config.mobility ROAM_MOBILITY_AUTO (<roam/network.h> has the concept).
 *
 * Such a connection begins on a socket that is bound to the address by which the host reaches the server (where
 * roam_config.local names one, to that; a wildcard there chooses the family and, unless the server's name must be
 * resolved, the port), and the loop keeps a socket on each other address of the host, bound to its interface where that
 * is allowed, so that packets leave by the interface whose address they bear. Addresses and routes that come and go, what
 * the kernel refuses to send, and a suspend of the host are told to the endpoint. On Linux they are heard of by rtnetlink;
 * where that is not to be had, the host is looked at each second. Connections to this host itself, or to a link-local
 * address, stay where they are. */

/* What the user says of the networks of an interface ("wlan0"), for all such connections of this loop, now and later: a
 * rule (see roam_conn_network_rule; it also holds for where a connection begins), a preference (higher is better, 0
 * neutral), and whether it costs money by the octet, of which Linux itself knows nothing. Replaces what was said of it
 * before. ROAM_ERR_ADDRESS: no name of an interface; ROAM_ERR_LIMIT beyond ROAM_NETWORK_RULES_MAX. */
ROAM_API roam_result roam_io_network(roam_io *io, const char *name, enum roam_network_rule rule, int32_t preference,
                                     bool metered);

/* Writes up to n of the networks that the endpoint was last told of, and returns how many they are. */
ROAM_API size_t roam_io_networks(const roam_io *io, roam_network *ret, size_t n);

/* Takes the next event; without one, sends, receives and waits up to `timeout` (0: not at all; ROAM_TIME_NEVER: for
 * ever). Returns false where the timeout is over, or after roam_io_wake. */
ROAM_API bool roam_io_next(roam_io *io, roam_event *ret, roam_time timeout);

/* Makes a waiting roam_io_next return false. The one call that another thread or a signal handler may make. */
ROAM_API void roam_io_wake(roam_io *io);

/* Writes a qlog of each connection that begins from now on into `directory`, which is made where it is missing:
 * ODCID_client.sqlog or ODCID_server.sqlog. ROAM_ERR_SYSTEM with errno where nothing can be written there,
 * ROAM_ERR_STATE where it was called before. */
ROAM_API roam_result roam_io_qlog(roam_io *io, const char *directory, enum roam_qlog_names names);

/* Appends the secrets of each connection that begins from now on to `file`, for tshark and others that know
 * SSLKEYLOGFILE. Where the file is missing it is made, with mode 0600. Datagrams leave one by one from then on, without
 * segmentation offload, so that a capture on this host shows each. Errors as of roam_io_qlog. */
ROAM_API roam_result roam_io_keylog(roam_io *io, const char *file);

/* What went wrong first with a file of those two since then: "FILE: No space left on device"; NULL: nothing. */
ROAM_API const char *roam_io_log_failure(const roam_io *io);

/* The libuv loop, for timers, pipes and signals beside the sockets. */
ROAM_API struct uv_loop_s *roam_io_loop(roam_io *io);

#ifdef __cplusplus
}
#endif

#endif
