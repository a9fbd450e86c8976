/*
 * A world: virtual time, one source of seeds, nodes joined by links, the trace of what happened, and the first thing
 * that went wrong. Everything in it belongs to it and goes with it; nothing in it is shared with another world.
 *
 * Datagrams travel along a tree. Its root is the internet; NAT boxes stand between the root and what is behind them;
 * the leaves are the interfaces of hosts. Upwards a datagram goes to the parent, until some node owns the destination
 * address; downwards it goes to the child that owns it.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim/link.h"
#include "sim/sim_clock.h"
#include "sim/sim_rng.h"
#include "sim/trace.h"

/* Largest UDP payload that travels here: that of an Ethernet frame and a little more. */
#define SIM_PACKET_MAX 2048

#define SIM_NAME_MAX 63

struct host;
struct oracle;

/* Why a datagram came to nothing. */
enum sim_drop {
    SIM_DROP_LINK_DOWN,
    SIM_DROP_FILTER,
    SIM_DROP_MTU,
    SIM_DROP_LOSS,
    SIM_DROP_QUEUE,
    SIM_DROP_NAT,
    SIM_DROP_NO_ROUTE,
    SIM_DROP_NO_SOCKET,
    SIM_DROPS
};

struct sim_packet {
    struct sim_event arrival;
    struct sim_packet *next; /* in the pool, or among those on their way */
    struct sim_packet *previous;
    struct link *link; /* that it is on */
    struct world *world;
    roam_address src, dst;
    roam_address sent_to; /* dst, as the sending host wrote it */
    uint64_t id;          /* in order of sending; copies made by the network share it */
    uint8_t ecn;
    bool challenge;  /* a PATH_CHALLENGE is in it: the oracle wants to know who gets to see it */
    uint64_t frames; /* a bit for each type in its packets; 0 where no connection of this world sealed it */
    bool forged;     /* no host of this world sent it like this */
    bool astray;     /* to a port outside that a NAT has given to one inside address after another */
    size_t len;
    uint8_t data[SIM_PACKET_MAX];
};

/* A place in the tree. Both callbacks take the datagram over. */
struct node {
    struct world *world;
    struct node *next;
    char name[SIM_NAME_MAX + 1];
    roam_address ip;      /* what it owns, port 0; unset: nothing */
    size_t prefix_octets; /* it owns the whole prefix; 0: the one address */
    struct node *parent;
    struct link *up, *down; /* to and from the parent */
    void (*from_above)(struct node *node, struct sim_packet *packet);
    void (*from_below)(struct node *node, struct sim_packet *packet);
    void (*done)(struct node *node); /* frees it */
};

struct world_stats {
    uint64_t sent, delivered, duplicated, corrupted;
    uint64_t dropped[SIM_DROPS];
};

struct world {
    uint64_t seed;
    struct sim_clock clock;
    struct trace trace;
    struct world_stats stats;
    struct node *nodes;
    struct link *links;
    struct host *hosts;
    struct node internet;
    struct oracle *oracle;
    struct sim_packet *pool, *travelling;
    uint64_t next_packet_id;
    /* An attacker at the root who looks at each datagram on its way; false: he has taken it over. NULL: none. */
    bool (*intercept)(void *context, struct sim_packet *packet);
    void *intercept_context;
    bool failed;
    char failure[512];
};

/* `print`: where the trace goes, NULL for nowhere. */
void world_init(struct world *world, uint64_t seed, FILE *print);
void world_done(struct world *world);

static inline roam_time world_now(const struct world *world)
{
    return world->clock.now;
}

/* Says that something is wrong; only the first time counts. */
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fires the next event. False where there is none, or something is wrong. */
bool world_step(struct world *world);

/* Until `until`, unless something goes wrong before. Returns whether all is well. */
bool world_run(struct world *world, roam_time until);

/* A datagram of this world's; its content is copied. */
struct sim_packet *world_packet_new(struct world *world, const roam_address *src, const roam_address *dst, uint8_t ecn,
                                    const void *data, size_t len);
struct sim_packet *world_packet_copy(const struct sim_packet *packet);
void world_packet_free(struct sim_packet *packet);

/* The end of a datagram that does not arrive. */
void world_packet_drop(struct sim_packet *packet, enum sim_drop reason, const char *where);
const char *sim_drop_name(enum sim_drop reason);

/* Makes the node part of the world, below `parent`, joined by a link each way. */
void node_init(struct node *node, struct world *world, const char *name, const roam_address *ip);
void node_attach(struct node *node, struct node *parent, const struct link_config *up, const struct link_config *down);
bool node_owns(const struct node *node, const roam_address *address);

/* Down to the child of `node` that owns the destination; dropped where there is none. */
void node_send_down(struct node *node, struct sim_packet *packet);

/* An address by its text; it must be one. */
roam_address sim_address(const char *text);

#endif
