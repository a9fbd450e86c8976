/*
 * One direction of a wire: delay, jitter, rate with a queue, loss alone and in bursts, reordering, duplication,
 * corruption, a largest size, ECN marks set and bleached. What is chosen at random comes from the link's own stream.
 *
 * A datagram enters by link_send, is dropped or given its time of arrival at once, and leaves by link_deliver. Without
 * reordering, datagrams leave in the order in which they came, whatever the jitter.
 */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "sim/sim_clock.h"
#include "sim/sim_rng.h"

struct world;
struct node;
struct sim_packet;

struct link_config {
    roam_time delay, jitter;  /* each datagram takes delay .. delay + jitter */
    uint64_t rate_bits_per_s; /* 0: no limit */
    size_t queue_bytes;       /* waiting at most, when there is a rate; 0: 64 KiB */
    size_t mark_bytes;        /* of those that find more than this waiting, ECT becomes CE; 0: of none */
    uint32_t loss_ppm;
    uint32_t burst_begin_ppm; /* a burst of losses begins with this datagram */
    uint32_t burst_end_ppm;   /* and ends before the next */
    uint32_t reorder_ppm;     /* delayed by reorder_delay more, and overtaken meanwhile */
    roam_time reorder_delay;
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* one to three bits are flipped */
    size_t mtu_bytes;     /* largest UDP payload; 0: no limit */
    uint32_t ce_ppm;      /* ECT becomes CE */
    bool ecn_bleach;      /* every mark becomes Not-ECT */
};

struct link {
    struct world *world;
    struct link *next;
    char name[72];
    struct link_config config;
    struct sim_rng rng;
    struct node *to;
    bool upwards; /* `to` gets it from below */
    bool down;    /* nothing passes */
    bool in_burst;
    roam_time busy_until; /* the sender's end is serializing until then */
    roam_time last_arrival;
    uint64_t drop_mask; /* bit 0: drop the next datagram, bit 1: the one after, ... */
    bool (*filter)(void *context, const struct sim_packet *packet); /* false: dropped. NULL: none */
    void *filter_context;
    uint64_t passed, lost;
    uint64_t passed_bytes; /* with headers */
    uint64_t overflowed;   /* found the queue full */
};

struct link *link_new(struct world *world, const char *node, const char *direction, const struct link_config *config,
                      struct node *to, bool upwards);

/* Takes the datagram over. */
void link_send(struct link *link, struct sim_packet *packet);

/* What a datagram's arrival event fires. */
void link_deliver(struct sim_event *arrival);

#endif
