/*
 * The packets of one space that were sent and not settled yet: a ring by packet number. Every packet remembers its
 * path and its frames; migration never discards any. Frames are records that say which module sent what, so that it
 * can settle it: on_acked, on_lost.
 */
#ifndef RECOVERY_SENT_MAP_H
#define RECOVERY_SENT_MAP_H

#include <roam/types.h>

#include "base/pool.h"
#include "wire/frame.h"

/* A frame that went out, as far as its fate matters. type is the frame's own (FRAME_STREAM for all STREAM types;
 * FRAME_ACK: id is the largest number acknowledged by it). */
struct sent_frame {
    struct sent_frame *next;
    uint64_t id;     /* stream ID, or sequence number, or maximum, or largest acknowledged */
    uint64_t offset; /* STREAM, CRYPTO */
    uint32_t len;    /* STREAM, CRYPTO */
    uint8_t type;    /* enum frame_type */
    bool fin;        /* STREAM */
};

enum sent_state {
    SENT_NONE, /* no such packet: never sent, or settled and forgotten */
    SENT_OUTSTANDING,
    SENT_LOST, /* declared lost: frames settled, kept to recognise a late acknowledgement */
};

struct sent_packet {
    uint64_t number;
    roam_time sent_at;
    uint64_t path_id;
    struct sent_frame *frames;
    uint32_t bytes;          /* as counted in flight */
    uint16_t datagram_bytes; /* of the datagram that it left in */
    uint16_t rate_stamp;     /* congestion_stamp */
    uint8_t state;           /* enum sent_state */
    bool ack_eliciting;
    bool in_flight;   /* RFC 9002 section 2: counts for congestion control */
    bool app_limited; /* sent when there was less to send than the window allows */
    bool ect;         /* left marked ECT(0) */
    bool probe;       /* of a path or of its MTU: its loss says nothing about congestion */
    bool mtu_probe;   /* of its MTU */
};

struct sent_map {
    const roam_allocator *allocator;
    struct pool *frame_pool; /* shared by the spaces of a connection */
    struct sent_packet *ring;
    uint64_t *outstanding_bits; /* one for each slot, so that long runs of settled packets are passed 64 at a time */
    uint64_t first;             /* lowest number in the ring */
    uint64_t next;              /* one above the highest */
    uint32_t capacity;          /* zero or a power of two */
    uint32_t outstanding;       /* packets in state OUTSTANDING */
    uint32_t ack_eliciting;     /* of these, ack-eliciting and in flight */
};

void sent_map_init(struct sent_map *map, const roam_allocator *allocator, struct pool *frame_pool);
void sent_map_done(struct sent_map *map);

/* A slot for packet `number`, higher than any before; numbers may be skipped. Zeroed but for number and state
 * OUTSTANDING. NULL without memory. The caller fills it, then calls sent_map_commit. */
struct sent_packet *sent_map_add(struct sent_map *map, uint64_t number);

/* Counts the packet in outstanding and ack_eliciting. */
void sent_map_commit(struct sent_map *map, struct sent_packet *packet);

/* Takes back the slot of sent_map_add where the packet was not sent after all; it must be the newest. Frees its
 * frames. */
void sent_map_cancel(struct sent_map *map, struct sent_packet *packet);

/* Appends a frame record to a packet; false without memory. */
bool sent_map_add_frame(struct sent_map *map, struct sent_packet *packet, const struct sent_frame *frame);

/* The packet, outstanding or lost, or NULL. */
struct sent_packet *sent_map_find(struct sent_map *map, uint64_t number);

/* Like sent_map_find, but a packet that was acknowledged or forgotten is found too, in state SENT_NONE with its number
 * and path, as long as an older one keeps its slot in the ring. NULL for numbers that were skipped. */
const struct sent_packet *sent_map_recall(const struct sent_map *map, uint64_t number);

/* The first outstanding packet with a number of at least `number`, or NULL. */
struct sent_packet *sent_map_outstanding_from(struct sent_map *map, uint64_t number);

/* Acknowledged or forgotten: its frames go back to the pool, the slot is empty. */
void sent_map_remove(struct sent_map *map, struct sent_packet *packet);

/* Declared lost: its frames go back to the pool (settle them first), the slot remembers that it was lost. */
void sent_map_mark_lost(struct sent_map *map, struct sent_packet *packet);

/* Sum of bytes of outstanding in-flight packets of a path: what congestion.in_flight must be, added over the spaces. */
uint64_t sent_map_in_flight(const struct sent_map *map, uint64_t path_id);

/* Gives the ring back when nothing is outstanding. */
void sent_map_trim(struct sent_map *map);

void sent_map_check(const struct sent_map *map);

#endif
