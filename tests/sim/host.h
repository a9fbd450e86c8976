/*
 * A host: interfaces with addresses, sockets on them, and one roam endpoint. It hands datagrams to the endpoint,
 * collects what the endpoint sends, calls it when it wants to be called, and gives its events to the application.
 *
 * A datagram leaves through the interface that owns its local address, and only from an open socket. host_turn is the
 * one place where the endpoint's verbs other than receive are called; it is bounded, so that an endpoint that never
 * comes to rest is found out.
 */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include <roam/log.h>
#include <roam/roam.h>

#include "sim/sim_alloc.h"
#include "sim/world.h"

#define HOST_INTERFACES_MAX 4
#define HOST_BATCH          8
#define HOST_LENT_MAX       16

/* Packets in the datagrams of one transmit: three each, or one in each segment. */
#define HOST_SEALED_MAX (16 * HOST_BATCH)

struct interface {
    struct node node; /* first */
    struct host *host;

    /* What the host says of it, where it watches its networks. */
    char name[ROAM_NETWORK_NAME_MAX];
    roam_address local; /* the socket that it keeps there; unset: none yet */
    bool gone;          /* it has no address: it is no network, and its sockets do not send */
    bool no_default, metered;
    int32_t preference;

    bool fails; /* what is sent there fails, for `why` */
    enum roam_send_failure why;
    size_t send_bytes_max; /* larger datagrams fail with ROAM_SEND_TOO_LARGE; 0: none */
    bool blocked;          /* its sockets take nothing: what is to leave waits */
};

/* A datagram that waits for a blocked socket. */
struct waiting_datagram {
    struct waiting_datagram *next;
    roam_address local, remote;
    uint8_t ecn;
    size_t len;
    uint8_t data[];
};

struct host_socket {
    roam_address local;
    bool open;
};

struct host {
    struct world *world;
    struct host *next;
    char name[SIM_NAME_MAX + 1];
    uint32_t id;
    bool is_server;
    struct sim_rng rng;   /* the endpoint's */
    struct sim_rng ports; /* ephemeral ports */
    struct sim_alloc alloc;
    roam_endpoint *endpoint;
    struct interface *interfaces[HOST_INTERFACES_MAX];
    size_t interface_count;
    struct host_socket *sockets;
    size_t socket_count, socket_capacity;
    struct sim_event wake;
    roam_time deadline;       /* that wake was set for */
    uint32_t fruitless_wakes; /* in a row, without a datagram or an event */
    size_t batch;             /* datagrams per transmit, 1..HOST_BATCH */
    size_t capacity;          /* of each, several packets may stand in one */
    uint8_t *buffer;
    struct sim_packet *lent[HOST_LENT_MAX]; /* that came in, and that the endpoint may still read */
    size_t lent_count;
    struct {
        size_t bytes;
        uint64_t frames;
    } sealed[HOST_SEALED_MAX]; /* packets of the transmit that runs, in the order of its datagrams */
    size_t sealed_count, sealed_at;
    bool in_turn;
    bool watches;    /* it tells the endpoint of its networks, each time that they change */
    bool asleep;     /* neither receives nor wakes */
    roam_time slept; /* by so much its clock is behind */
    roam_time asleep_since;
    struct waiting_datagram *waiting; /* oldest first */
    uint64_t wakes;                   /* how often a deadline came due */
    bool ipv4_mapped;                 /* its socket shows IPv4 peers as ::ffff:a.b.c.d */
    void (*on_event)(void *context, const roam_event *event);
    void *context;
    uint64_t datagrams_out, datagrams_in, refused; /* refused: sent from no open socket */
    uint64_t failed;                               /* did not leave, and the endpoint was told */
};

struct host_config {
    bool is_server;
    size_t batch, capacity;        /* 0: 1 and 1500 */
    roam_endpoint_config endpoint; /* allocator and rng are the host's */
    const roam_qlog *qlog;         /* NULL: none */
};

/* NULL, with the world failed, where the library refuses the configuration. */
struct host *host_new(struct world *world, const char *name, const struct host_config *config);
void host_free(struct host *host);

/* Frees the endpoint and looks whether all memory has come back. */
void host_end(struct host *host);

/* Its process ends without a word, and another takes its place, with the same sockets. False, with the world failed,
 * where the library refuses the configuration. */
bool host_restart(struct host *host, const struct host_config *config);

/* Another interface, below `parent`. */
struct interface *host_add_interface(struct host *host, const char *ip, struct node *parent,
                                     const struct link_config *up, const struct link_config *down);

/* Opens a socket; port 0: an ephemeral one that was never used before. Returns its address. */
roam_address host_open_socket(struct host *host, const struct interface *interface, uint16_t port);
bool host_has_socket(const struct host *host, const roam_address *local);
void host_close_other_sockets(struct host *host, const roam_address *local);

/* The interface is unplugged, or plugged in again. */
void interface_set_down(struct interface *interface, bool down);
struct interface *host_interface_of(const struct host *host, const roam_address *local);

/* ---- host_networks.c: what a client that moves by itself is told */

/* This host's clock: virtual time without what it has slept. */
roam_time host_now(const struct host *host);

/* From now on the endpoint hears of the host's networks, each time that they change. */
void host_watch(struct host *host);

/* Tells it as it is now, where the host watches. */
void host_announce(struct host *host);

/* The interface loses its address, or gets it back with a socket on this port (0: a new one). What is sent from an
 * address that is gone fails. */
void interface_lose_address(struct interface *interface);
void interface_get_address(struct interface *interface, uint16_t port);

/* A datagram did not leave: tells the endpoint, if the host watches. */
void host_send_failed(struct host *host, const roam_address *local, const roam_address *remote,
                      enum roam_send_failure why, size_t bytes);

/* Puts aside what is to leave by a blocked socket; false where it is not blocked. */
bool host_hold(struct host *host, const roam_datagram *datagram);
void host_forget_waiting(struct host *host);

/* What the endpoint has given out leaves, segment by segment. */
void host_send(struct host *host, const roam_datagram *out);

/* The interface's sockets take nothing any more; or again, and what waits leaves. */
void interface_set_blocked(struct interface *interface, bool blocked);

/* The host is suspended: nothing arrives, no timer fires. It wakes with a clock that knows of it, or does not. */
void host_sleep(struct host *host);
void host_wake_up(struct host *host, bool clock_stood);

/* Lets the endpoint come to rest: after every call that made it do something. */
void host_turn(struct host *host);

/* The endpoint's observer: a packet was sealed, with these octets and frames. */
void host_on_sealed(struct host *host, size_t bytes, uint64_t frames);

/* Octets leave from `local` as a datagram of this host's, although its endpoint knows nothing of them. */
void host_inject(struct host *host, const roam_address *local, const roam_address *remote, const uint8_t *data,
                 size_t len);

/* A datagram arrives, whatever the network would have done with it; `src` and `dst` as on the last wire. */
void host_receive(struct host *host, struct sim_packet *packet);
/* Takes back the packets that the endpoint may still read. */
void host_reclaim(struct host *host);

#endif
