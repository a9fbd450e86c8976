/*
 * A bucket of octets that fills at the pacing rate, RFC 9002 section 7.7. Integers only.
 *
 * Invariants: the bucket holds at most a burst, and a burst is never less than two datagrams, so that a full datagram
 * always fits in; at the time that pacer_next names, a full datagram may go out, if nothing was sent in between. The
 * window is at least two datagrams, so that no wait is longer than half a smoothed RTT, where window and RTT make the
 * rate. A quantum fits into a burst. Whatever ignores the pacer
 * (probes) empties the bucket and leaves no debt.
 */
#include "recovery/pacer.h"

#include <assert.h>

#include "recovery/window.h"

__extension__ typedef unsigned __int128 wide;

/* The rate is window * GAIN / 4 / smoothed_rtt: 5/4, or 2 in slow start. */
#define GAIN_DENOMINATOR 4
#define GAIN_AVOIDANCE   5
#define GAIN_SLOW_START  8
#define GAIN_JUMP        4 /* a window that is not proven is spread over the whole round trip */

/* Event loops keep time in milliseconds: so late a timer may be. */
#define LATENESS ROAM_MILLISECONDS(2)

/* What leaves together after a wait: so many octets are one call with UDP_SEGMENT. */
#define QUANTUM_TIME      ROAM_MILLISECONDS(1)
#define QUANTUM_BYTES_MAX 65536
#define QUANTA_PER_WINDOW 8
_Static_assert(QUANTUM_TIME <= LATENESS, "the bucket holds a quantum");

void pacer_init(struct pacer *pacer, uint64_t datagram_bytes, uint64_t initial_packets)
{
    //= rfc9002#7.7 Bursts stay within the initial window.
    uint64_t burst = initial_window(datagram_bytes, initial_packets);
    *pacer = (struct pacer){.tokens_bytes = burst, .burst_bytes = burst};
}

void pacer_forgo_burst(struct pacer *pacer, uint64_t datagram_bytes, roam_time now)
{
    pacer->tokens_bytes = min_u64(2 * datagram_bytes, pacer->burst_bytes);
    pacer->updated = now;
}

static wide min_wide(wide a, wide b)
{
    return a < b ? a : b;
}

/* Gain times window in GAIN_DENOMINATOR round trips. */
static uint64_t gain_of(const struct congestion *congestion)
{
    if (congestion_is_jumping(congestion))
        return GAIN_JUMP;
    return congestion_in_slow_start(congestion) ? GAIN_SLOW_START : GAIN_AVOIDANCE;
}

/* The pace of now: the pacer's own, or what is put into *scratch. A division, which nearly every packet is spared:
 * within a round trip little changes, and between two acknowledgements nothing. */
static inline const struct pace *pace_of(const struct pacer *pacer, const struct congestion *congestion,
                                         const struct rtt *rtt, struct pace *scratch)
{
    const uint64_t window = max_u64(congestion->window, congestion_minimum_window(congestion));
    const bool chosen = congestion->pacing_rate > 0 && !congestion_is_jumping(congestion);
    const uint64_t bytes = chosen ? congestion->pacing_rate : window * gain_of(congestion);
    const roam_time period = chosen ? ROAM_SECONDS(1) : saturating_mul(max_u64(rtt->smoothed, 1), GAIN_DENOMINATOR);
    if (bytes == pacer->pace.bytes && period == pacer->pace.period && window == pacer->pace.window)
        return &pacer->pace;
    *scratch = (struct pace){.bytes = bytes, .period = period, .window = window};
    scratch->late_bytes = (uint64_t)min_wide((wide)LATENESS * bytes / period, window);
    return scratch;
}

/* The datagram may have grown since the burst was chosen; and a timer that fires late by its own granularity must not
 * cost rate. */
static uint64_t most_of(const struct pacer *pacer, const struct pace *pace, const struct congestion *congestion)
{
    return max_u64(max_u64(pacer->burst_bytes, congestion_minimum_window(congestion)), pace->late_bytes);
}

/* Most packets leave at the same moment as the one before. */
static uint64_t tokens_at(const struct pacer *pacer, const struct pace *pace, roam_time now,
                          const struct congestion *congestion)
{
    const uint64_t most = most_of(pacer, pace, congestion);
    if (now <= pacer->updated)
        return min_u64(pacer->tokens_bytes, most);
    const wide earned = (wide)(now - pacer->updated) * pace->bytes / pace->period;
    return earned >= most ? most : min_u64(pacer->tokens_bytes + (uint64_t)earned, most);
}

void pacer_on_sent(struct pacer *pacer, uint64_t bytes, roam_time now, const struct congestion *congestion,
                   const struct rtt *rtt)
{
    struct pace fresh;
    const struct pace *pace = pace_of(pacer, congestion, rtt, &fresh);
    pacer->tokens_bytes = saturating_sub(tokens_at(pacer, pace, now, congestion), bytes);
    pacer->updated = max_u64(pacer->updated, now);
    if (pace == &fresh)
        pacer->pace = fresh;
}

bool pacer_is_full(const struct pacer *pacer, roam_time now, const struct congestion *congestion, const struct rtt *rtt)
{
    struct pace fresh;
    return tokens_at(pacer, pace_of(pacer, congestion, rtt, &fresh), now, congestion) >= pacer->burst_bytes;
}

/* A wait would be longer than the round trip. */
static bool is_too_short(const struct rtt *rtt)
{
    return rtt->has_sample && rtt->min < TIMER_GRANULARITY;
}

uint64_t pacer_allowance(const struct pacer *pacer, roam_time now, const struct congestion *congestion,
                         const struct rtt *rtt)
{
    struct pace fresh;
    return is_too_short(rtt) ? UINT64_MAX : tokens_at(pacer, pace_of(pacer, congestion, rtt, &fresh), now, congestion);
}

/* What is worth a timer: whole datagrams, at least one. */
static uint64_t quantum(const struct pace *pace, uint64_t datagram_bytes)
{
    const uint64_t bytes = min_u64(min_u64(pace->late_bytes * QUANTUM_TIME / LATENESS, QUANTUM_BYTES_MAX),
                                   pace->window / QUANTA_PER_WINDOW);
    return max_u64(bytes / datagram_bytes, 1) * datagram_bytes;
}

roam_time pacer_next(const struct pacer *pacer, roam_time now, const struct congestion *congestion,
                     const struct rtt *rtt)
{
    struct pace fresh;
    if (is_too_short(rtt))
        return now;
    const struct pace *pace = pace_of(pacer, congestion, rtt, &fresh);
    if (tokens_at(pacer, pace, now, congestion) >= congestion->datagram_bytes)
        return now;
    const uint64_t missing = quantum(pace, congestion->datagram_bytes) - pacer->tokens_bytes;
    const wide wait = ((wide)missing * pace->period + pace->bytes - 1) / pace->bytes;
    assert(wait <= UINT64_MAX);
    return saturating_add(pacer->updated, (roam_time)wait);
}
