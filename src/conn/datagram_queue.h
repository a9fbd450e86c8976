/*
 * Datagrams that wait, first in, first out, each whole in one piece of memory: for the network, or for the application.
 * They lie in blocks, which are used over and over until they are given back, so that a queue in use asks for no memory.
 */
#ifndef CONN_DATAGRAM_QUEUE_H
#define CONN_DATAGRAM_QUEUE_H

#include "base/alloc.h"

/* One that waits. */
struct datagram_record {
    uint64_t tag;
    roam_time since;
    const uint8_t *data; /* behind this record, or where it came in */
    size_t len;
};

struct datagram_block;

struct datagram_queue {
    const roam_allocator *allocator;
    struct datagram_block *first, *last; /* what waits */
    struct datagram_block *spare;        /* what may */
    size_t count;
    size_t bytes; /* of the records and of the octets behind them: what a limit is to be held against */
};

void datagram_queue_init(struct datagram_queue *queue, const roam_allocator *allocator);
void datagram_queue_done(struct datagram_queue *queue);

/* What a datagram of len octets that are copied adds to `bytes`. */
size_t datagram_queue_cost(size_t len);

/* One more at the end: a copy of data[0..len), or (copy false) only where it lies. NULL without memory. The caller sets
 * tag and since. */
struct datagram_record *datagram_queue_push(struct datagram_queue *queue, const uint8_t *data, size_t len, bool copy);

/* The oldest, or NULL. */
const struct datagram_record *datagram_queue_oldest(const struct datagram_queue *queue);

/* Takes the oldest away. It stays readable until the next push. */
void datagram_queue_pop(struct datagram_queue *queue);

/* Gives back the memory that nothing waits in. */
void datagram_queue_trim(struct datagram_queue *queue);

void datagram_queue_check(const struct datagram_queue *queue);

#endif
