/*
 * HyStart++, RFC 9406: leaves slow start before it overruns the queue, when round trips take longer. Pure; it watches
 * one congestion controller and says by how much the window may grow.
 *
 *   SLOW_START -> CONSERVATIVE   hystart_on_ack_end   a round's RTT is an eighth longer than that of the round before
 *   CONSERVATIVE -> SLOW_START   hystart_on_ack_end   it was noise: the RTT is below what it was on entry
 *   CONSERVATIVE -> DONE         hystart_on_ack_end   five rounds later: congestion avoidance from here
 *   SLOW_START -> DONE           hystart_stop         a loss or CE has ended it before
 *
 * RTTs are taken from the packets themselves, one sample for each ACK frame, with the peer's delay in them: what counts
 * is the least of a round.
 */
#ifndef RECOVERY_HYSTART_H
#define RECOVERY_HYSTART_H

#include <roam/types.h>

#include "base/minmax.h"

/* RFC 9406 section 4.3. */
#define HYSTART_RTT_THRESHOLD_MIN ROAM_MILLISECONDS(4)
#define HYSTART_RTT_THRESHOLD_MAX ROAM_MILLISECONDS(16)
#define HYSTART_RTT_DIVISOR       8
#define HYSTART_SAMPLES           8
#define HYSTART_GROWTH_DIVISOR    4
#define HYSTART_ROUNDS            5

enum hystart_phase { HYSTART_SLOW_START, HYSTART_CONSERVATIVE, HYSTART_DONE };

struct hystart {
    uint8_t phase;  /* enum hystart_phase */
    uint8_t rounds; /* of conservative slow start that are over */
    bool in_round;
    uint8_t samples;          /* in this round, up to HYSTART_SAMPLES */
    roam_time round_start;    /* the round ends when a packet that left since is acknowledged */
    roam_time newest_sent_at; /* of what this ACK frame acknowledges; 0: nothing */
    roam_time last_round_rtt; /* the least of the round before; 0: none */
    roam_time round_rtt;      /* the least of this one; 0: none */
    roam_time baseline_rtt;   /* the least when conservative slow start began */
};

static inline void hystart_stop(struct hystart *hystart)
{
    hystart->phase = HYSTART_DONE;
}

/* `bytes` that left at `sent_at` were acknowledged in slow start: returns by how much the window grows. */
static inline uint64_t hystart_on_acked(struct hystart *hystart, uint64_t bytes, roam_time sent_at)
{
    hystart->newest_sent_at = max_u64(hystart->newest_sent_at, sent_at);
    return hystart->phase == HYSTART_CONSERVATIVE ? bytes / HYSTART_GROWTH_DIVISOR : bytes;
}

/* All of an ACK frame was handed in. True once, when slow start is over. */
bool hystart_on_ack_end(struct hystart *hystart, roam_time now);

#endif
