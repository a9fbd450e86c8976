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

/* Packets in the datagrams of one transmit: an Initial, a Handshake and a 1-RTT packet each. */
#define HOST_SEALED_MAX (3 * HOST_BATCH)

struct interface {
    struct node node; /* first */
    struct host *host;
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
    struct {
        size_t bytes;
        uint64_t frames;
    } sealed[HOST_SEALED_MAX]; /* packets of the transmit that runs, in the order of its datagrams */
    size_t sealed_count, sealed_at;
    bool in_turn;
    bool ipv4_mapped; /* its socket shows IPv4 peers as ::ffff:a.b.c.d */
    void (*on_event)(void *context, const roam_event *event);
    void *context;
    uint64_t datagrams_out, datagrams_in, refused; /* refused: sent from no open socket */
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

/* Another interface, below `parent`. */
struct interface *host_add_interface(struct host *host, const char *ip, struct node *parent,
                                     const struct link_config *up, const struct link_config *down);

/* Opens a socket; port 0: an ephemeral one that was never used before. Returns its address. */
roam_address host_open_socket(struct host *host, const struct interface *interface, uint16_t port);
void host_close_socket(struct host *host, const roam_address *local);
void host_close_other_sockets(struct host *host, const roam_address *local);

/* The interface is unplugged, or plugged in again. */
void interface_set_down(struct interface *interface, bool down);
struct interface *host_interface_of(const struct host *host, const roam_address *local);

/* Lets the endpoint come to rest: after every call that made it do something. */
void host_turn(struct host *host);

/* The endpoint's observer: a packet was sealed, with these octets and frames. */
void host_on_sealed(struct host *host, size_t bytes, uint64_t frames);

/* Octets leave from `local` as a datagram of this host's, although its endpoint knows nothing of them. */
void host_inject(struct host *host, const roam_address *local, const roam_address *remote, const uint8_t *data,
                 size_t len);

/* A datagram arrives, whatever the network would have done with it; `src` and `dst` as on the last wire. */
void host_receive(struct host *host, struct sim_packet *packet);

#endif
