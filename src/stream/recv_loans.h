/*
 * Stream data that lies where it came in: in buffers that the caller of roam_endpoint_receive has lent until
 * roam_endpoint_reclaim. It is read there, without a copy, or copied when the buffers are called back.
 *
 * Loans stand in the order of the stream and do not overlap.
 */
#ifndef STREAM_RECV_LOANS_H
#define STREAM_RECV_LOANS_H

#include "base/alloc.h"

struct recv_loan {
    const uint8_t *data;
    uint64_t start, end; /* in the stream */
};

struct recv_loans {
    struct recv_loan *entries; /* NULL while there are none */
    size_t first, count, capacity;
};

void recv_loans_done(struct recv_loans *loans, const roam_allocator *allocator);

/* Octets [start, end) of the stream, behind those of the last loan. False without memory. */
bool recv_loans_add(struct recv_loans *loans, const roam_allocator *allocator, uint64_t start, uint64_t end,
                    const uint8_t *data);

/* The oldest; NULL where there is none. */
static inline const struct recv_loan *recv_loans_oldest(const struct recv_loans *loans)
{
    return loans->count > 0 ? &loans->entries[loans->first] : NULL;
}

/* What lies below `offset` is not needed any more. */
void recv_loans_forget_below(struct recv_loans *loans, const roam_allocator *allocator, uint64_t offset);

#endif
