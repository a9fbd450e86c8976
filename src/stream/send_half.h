/*
 * The sending half of a stream, RFC 9000 section 3.1: a buffer that holds what was written and not acknowledged yet,
 * and which of it must go out (again). CRYPTO streams are sending halves too, with no flow control and no end.
 *
 * States and who moves them: READY/SEND -> (finish) -> DATA_SENT when the end went out -> (on_acked) DATA_RECVD; any
 * before that -> (reset) RESET_SENT -> (on_reset_acked) RESET_RECVD.
 * What was lent lies in buffers of the application's; all else is the same with it.
 * Invariants: acked is a subset of what was sent; lost is disjoint from acked; acked prefix is freed from the buffer.
 * Nothing that was lost is ever forgotten, even without memory: what `lost` cannot take widens `lost_rest`.
 */
#ifndef STREAM_SEND_HALF_H
#define STREAM_SEND_HALF_H

#include <roam/types.h>

#include "base/range_set.h"

enum send_state { SEND_OPEN, SEND_DATA_SENT, SEND_DATA_RECVD, SEND_RESET_SENT, SEND_RESET_RECVD };

/* Ranges acknowledged out of order, beyond which an acknowledgement is not remembered (the data is sent again). */
#define SEND_ACKED_RANGES_MAX 256

/* Lost ranges, beyond which octets between them are sent again too. */
#define SEND_LOST_RANGES_MAX 256

struct send_chunk;

struct send_half {
    const roam_allocator *allocator;
    enum send_state state;
    struct send_chunk *chunks, *last_chunk; /* list of buffers, oldest first */
    struct send_chunk *cursor;              /* where the last octet sent lies, a hint for the next; NULL: none */
    uint64_t base;          /* stream offset where the buffer starts: everything below is acknowledged and freed */
    uint64_t written;       /* offset one past the last octet written */
    uint64_t sent;          /* offset one past the last octet ever sent */
    uint64_t lent_end;      /* one past the last octet that was lent; at most base: nothing is lent any more */
    uint64_t capacity;      /* octets that may wait in the buffer, lent ones counted */
    struct range_set acked; /* above base */
    struct range_set lost;  /* to be sent again first */
    struct range lost_rest; /* spans what `lost` had no room for; may overlap acked; empty: start == end */
    bool finished;          /* roam_stream_finish was called: the final size is `written` */
    bool fin_sent, fin_lost, fin_acked;
    bool reset_pending; /* RESET_STREAM must go out (again) */
    uint64_t reset_code, reset_final_size;
};

void send_half_init(struct send_half *half, const roam_allocator *allocator, uint64_t capacity);
void send_half_done(struct send_half *half);

/* Takes up to len octets, returns how many (0: full or no memory). */
size_t send_half_write(struct send_half *half, const void *data, size_t len);

/* Takes all of it as it lies: the octets stay where they are, unchanged, until they are acknowledged, or the half is reset
 * or done. False without memory, and then nothing is taken. */
bool send_half_lend(struct send_half *half, const void *data, size_t len);

/* Copies what was lent and is still needed. False without memory. */
bool send_half_end_loans(struct send_half *half);

/* True where octets that were lent are still needed. */
static inline bool send_half_has_loans(const struct send_half *half)
{
    return half->lent_end > half->base;
}

/* Octets that send_half_write would take. */
size_t send_half_room(const struct send_half *half);

/* No more writes; the end is to be sent. */
void send_half_finish(struct send_half *half);

/* True where there is something to put into a packet: lost data, or new data below `limit` (flow control), or an
 * unsent end. */
bool send_half_wants(const struct send_half *half, uint64_t limit);

/* Chooses what to send next: lost ranges first, then new data below `limit`. Gives a contiguous run of at most max
 * octets that lies at *ret_data (valid until the buffer changes: it may be shorter than what follows in the stream),
 * its offset, and whether the end goes with it. Returns false where there is nothing to send. Changes nothing:
 * send_half_on_sent does. */
bool send_half_next(const struct send_half *half, uint64_t limit, size_t max, uint64_t *ret_offset,
                    const uint8_t **ret_data, size_t *ret_len, bool *ret_fin);

/* [offset, offset + len) and perhaps the end went out. */
void send_half_on_sent(struct send_half *half, uint64_t offset, size_t len, bool fin);

/* The packet with it was acknowledged / lost. False where the acknowledgement could not be remembered (no memory, too
 * many ranges): the data goes out again. A loss is always remembered. */
bool send_half_on_acked(struct send_half *half, uint64_t offset, size_t len, bool fin);
bool send_half_on_lost(struct send_half *half, uint64_t offset, size_t len, bool fin);

/* Gives up: the buffer is dropped, RESET_STREAM is pending. Nothing happens in a terminal state or after a reset (its
 * content is frozen, RFC 9000 section 13.3). */
void send_half_reset(struct send_half *half, uint64_t code);
void send_half_on_reset_acked(struct send_half *half);
void send_half_on_reset_lost(struct send_half *half);

/* Everything outstanding must be sent again (PTO with nothing known lost): marks the oldest unacknowledged octets, at
 * most max, as lost. Returns how many; an end or a RESET_STREAM that went out without data counts as one. */
size_t send_half_retransmit_oldest(struct send_half *half, size_t max);

/* Nothing that was sent has arrived or ever will: it counts as never sent. Only where nothing was acknowledged. */
void send_half_restart(struct send_half *half);

bool send_half_is_terminal(const struct send_half *half);

void send_half_check(const struct send_half *half);

#endif
