/*
 * The receiving half of a stream, RFC 9000 section 3.2: reassembly of what came, in any order and more than once, into
 * octets that are read once and in order. CRYPTO streams are receiving halves too.
 *
 * States: RECV_OPEN -> (final size known) SIZE_KNOWN -> (all came) DATA_RECVD -> (all read) DATA_READ; before
 * DATA_RECVD -> (on_reset) RESET_RECVD -> (on_reset_told, told to the application) RESET_READ.
 */
#ifndef STREAM_RECV_HALF_H
#define STREAM_RECV_HALF_H

#include <roam/error.h>

#include "base/range_set.h"
#include "stream/recv_loans.h"

enum recv_state { RECV_OPEN, RECV_SIZE_KNOWN, RECV_DATA_RECVD, RECV_DATA_READ, RECV_RESET_RECVD, RECV_RESET_READ };

/* Gaps in what came, beyond which a stream's data is refused (RFC 9000 section 21.7). */
//= rfc9000#21.7-1 Mitigate stream fragmentation and reassembly-gap attacks.
#define RECV_GAPS_MAX 1000

/* What is held for the octets of a stream beyond their number up to the highest, which is what flow control counts: the
 * chunk that this stands in to its end, and the ranges between the gaps. */
#define RECV_CHUNK_BYTES        16384
#define RECV_OVERHEAD_BYTES_MAX (RECV_CHUNK_BYTES + (RECV_GAPS_MAX + 1) * sizeof(struct range))

#define FINAL_SIZE_UNKNOWN UINT64_MAX

struct recv_chunk;

struct recv_half {
    const roam_allocator *allocator;
    enum recv_state state;
    struct recv_chunk *chunks, *last_chunk; /* buffers by offset */
    struct range_set received; /* ranges that came; what lies below `read` came, whether it is in here or not */
    uint64_t read;             /* offset of the next octet to be read */
    uint64_t highest;          /* one past the highest octet that came: what flow control counts */
    uint64_t final_size;       /* FINAL_SIZE_UNKNOWN */
    uint64_t reset_code;
    struct recv_loans loans; /* what came in order and lies elsewhere, not in the chunks */
    bool discarding;         /* STOP_SENDING: what comes is counted and thrown away */
    bool too_many_gaps;      /* data was refused for want of a range to put it in */
};

void recv_half_init(struct recv_half *half, const roam_allocator *allocator);
void recv_half_done(struct recv_half *half);

/* Data came. The caller has checked flow control. Returns ROAM_NO_ERROR, FINAL_SIZE_ERROR, or INTERNAL_ERROR without
 * memory or, where `too_many_gaps` says so afterwards, beyond RECV_GAPS_MAX. *ret_new_highest gets by how much `highest` rose. */
uint64_t recv_half_push(struct recv_half *half, uint64_t offset, const uint8_t *data, size_t len, bool fin,
                        uint64_t *ret_new_highest);

/* The same for data that stays where it lies until recv_half_end_loans: what comes in order is not copied before then. */
uint64_t recv_half_push_lent(struct recv_half *half, uint64_t offset, const uint8_t *data, size_t len, bool fin,
                             uint64_t *ret_new_highest);

/* Copies what was lent and has not been read. False without memory: the stream has a hole then, and is lost. */
bool recv_half_end_loans(struct recv_half *half);

/* RESET_STREAM came. *ret_new_highest as above (RFC 9000 section 4.5). */
uint64_t recv_half_on_reset(struct recv_half *half, uint64_t code, uint64_t final_size, uint64_t *ret_new_highest);

/* The application knows of the reset. */
void recv_half_on_reset_told(struct recv_half *half);

/* Octets that can be read now, contiguous from `read`, where they lie: perhaps fewer than recv_half_readable. */
size_t recv_half_peek(const struct recv_half *half, const uint8_t **ret);
size_t recv_half_readable(const struct recv_half *half);

/* Takes len octets (at most recv_half_readable) away. At the end of the stream, also with len 0, the end counts as
 * read. */
void recv_half_consume(struct recv_half *half, size_t len);

/* All up to the final size has been read. */
bool recv_half_at_end(const struct recv_half *half);

/* Throws away what is there and what will come. Returns the octets that were waiting and are now consumed. */
uint64_t recv_half_discard(struct recv_half *half);

/* DATA_READ or RESET_READ, or (discarding) all that will come is known. */
bool recv_half_is_terminal(const struct recv_half *half);

void recv_half_check(const struct recv_half *half);

#endif
