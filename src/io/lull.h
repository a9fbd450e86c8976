/*
 * A receiver that is faster than its sender has nothing to do after each batch: it waits, and is woken for the next one.
 * Waking costs both sides as much as the batch does, above all on virtual machines, where it is an interrupt of another
 * processor. So while octets come at many gigabits a second, nobody waits for an answer, nothing is due and nothing more
 * has come yet, the loop sleeps for as short a time as the kernel has, and finds a few batches together: what interrupt
 * moderation is to a network card. Pure; the loop does the sleeping.
 */
#ifndef IO_LULL_H
#define IO_LULL_H

#include <stddef.h>

#include <roam/types.h>

/* What is asked for; Linux adds its timer slack, 50 us. Nothing may be due in LULL_END. */
#define LULL_TIME ROAM_MICROSECONDS(10)
#define LULL_END  ROAM_MICROSECONDS(200)

/* What comes in a lull must find room: so large a buffer the kernel must have granted. */
#define LULL_BUFFER_BYTES_MIN ((size_t)2 * 1024 * 1024)

/* All zero is the beginning. */
struct lull {
    roam_time since; /* what has come is counted from then on */
    uint64_t bytes;
    bool bulk;     /* the last count was one of a bulk transfer */
    bool fresh;    /* something has come since the last lull */
    uint64_t said; /* packets with data that were sent when it was asked last */
};

void lull_on_received(struct lull *lull, roam_time now, size_t bytes);

/* Whether it is worth asking. */
static inline bool lull_may_begin(const struct lull *lull)
{
    return lull->bulk && lull->fresh;
}

/* Whether the loop may sleep for LULL_TIME now, where the next thing is due at `deadline` and `data_packets_sent` packets with
 * data have been sent so far: who has said something since it was asked last may be waiting for the answer. */
bool lull_begins(struct lull *lull, roam_time now, roam_time deadline, uint64_t data_packets_sent);

#endif
