/*
 * roam/network.h - the networks of this host, and a client that moves between them by itself.
 *
 * The concept. A client with ROAM_MOBILITY_AUTO is told which networks its host has, and what befalls its datagrams;
 * where it sends from is then its own affair. It keeps the other networks validated ahead of need (RFC 9000 section
 * 9.1), so that leaving one that fails takes no round trip; it leaves a network whose address is gone or which the
 * socket refuses at once, and one that has gone quiet within three PTOs; it comes back to the better one when that has
 * been good for a while; and where there is no network at all it waits, to its idle timeout, for the next.
 *
 * Who tells it: <roam/io.h> watches the host by itself. A program with sockets of its own makes the three calls here.
 * Nothing is decided inside of them: what they say is acted on by the next roam_endpoint_transmit.
 */
#ifndef ROAM_NETWORK_H
#define ROAM_NETWORK_H

#include <roam/error.h>
#include <roam/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Networks that an endpoint remembers; what is beyond them in the list is not used. */
#define ROAM_NETWORKS_MAX 16

#define ROAM_NETWORK_NAME_MAX 16

/* A way out of this host: an address on an interface, and a socket bound to it. */
typedef struct roam_network {
    roam_address local;               /* where that socket is bound: IP and port */
    uint32_t interface_index;         /* the system's; 0 where there is none */
    bool is_default;                  /* the default route of its family leaves here */
    bool metered;                     /* it costs money by the octet */
    int32_t preference;               /* the user's: higher is better, 0 is neutral */
    char name[ROAM_NETWORK_NAME_MAX]; /* the interface's, NUL-terminated: "wlan0" */
} roam_network;

/* All networks that there are now; called again each time that anything of it changes. n 0: none. Copied. */
ROAM_API void roam_endpoint_networks(roam_endpoint *endpoint, roam_time now, const roam_network *networks, size_t n);

/* Why the system did not send a datagram, in the words of <errno.h>. */
enum roam_send_failure {
    ROAM_SEND_ADDRESS_GONE, /* EADDRNOTAVAIL, EINVAL: the local address is no longer ours */
    ROAM_SEND_UNREACHABLE,  /* ENETUNREACH, EHOSTUNREACH: no route from there to the peer */
    ROAM_SEND_NETWORK_DOWN, /* ENETDOWN, ENODEV: the interface */
    ROAM_SEND_TOO_LARGE,    /* EMSGSIZE */
    ROAM_SEND_REFUSED,      /* EPERM, EACCES: a firewall of the host's */
    ROAM_SEND_FAILURES
};

/* "address_gone", ...: never NULL, static. */
ROAM_API const char *roam_send_failure_name(enum roam_send_failure why);

/* A datagram of `bytes` octets that roam_endpoint_transmit gave out did not leave. To the connection it is lost; what
 * more follows is decided by the next roam_endpoint_transmit, so that this may be called in the midst of a batch. It
 * is known of the 128 newest datagrams whose they were; of an older one nothing follows.
 * EAGAIN and ENOBUFS are no failures: send the same datagram later. */
ROAM_API void roam_endpoint_send_failed(roam_endpoint *endpoint, roam_time now, const roam_address *local,
                                        const roam_address *remote, enum roam_send_failure why, size_t bytes);

/* The host was suspended: `slept` is how much time passed of which `now` knows nothing (0 where its clock went on, as
 * CLOCK_BOOTTIME does). It counts towards the idle timeout, for the peer's went on as well (RFC 9000 section 10.1);
 * connections that are still within it ask at once whether their path is. */
ROAM_API void roam_endpoint_woke(roam_endpoint *endpoint, roam_time now, roam_time slept);

/* ---- What a connection may use ---------------------------------------------------------------------------------- */

enum roam_network_rule {
    ROAM_NETWORK_NEUTRAL, /* as if no rule had been given */
    ROAM_NETWORK_PREFER,  /* before all that are not preferred, whatever their roam_network.preference */
    ROAM_NETWORK_FORBID,  /* never: a connection that is there leaves, or waits */
    ROAM_NETWORK_FORCE,   /* no other; where it is not there, the connection waits for it */
};

/* Rules that a connection may have. */
#define ROAM_NETWORK_RULES_MAX 8

/* Rules over the networks of a client's connection. `network` is an interface's name ("wlan0") or an address without a
 * port ("192.0.2.7", "2001:db8::7"). They hold from the next roam_endpoint_transmit on, and for ROAM_MOBILITY_AUTO
 * alone: what the application moves by itself is its own affair. ROAM_ERR_STATE on any other connection,
 * ROAM_ERR_LIMIT beyond ROAM_NETWORK_RULES_MAX, ROAM_ERR_ADDRESS where the name is empty or too long. */
ROAM_API roam_result roam_conn_network_rule(roam_conn *conn, roam_time now, const char *network,
                                            enum roam_network_rule rule);

#ifdef __cplusplus
}
#endif

#endif
