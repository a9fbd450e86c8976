/*
 * A bucket of octets that fills at the pacing rate, RFC 9002 section 7.7. Integers only.
 *
 * Invariants: the bucket holds at most a burst, and a burst is never less than two datagrams, so that a full datagram
 * always fits in; at the time that pacer_next names, a full datagram may go out, if nothing was sent in between. The
 * window is at least two datagrams, so that no wait is longer than half a smoothed RTT. Whatever ignores the pacer
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

/* Octets in `rate_period` of time are the window times the gain: a rate without a division. */
static uint64_t rate_bytes(const struct congestion *congestion)
{
    uint64_t window = max_u64(congestion->window, congestion_minimum_window(congestion));
    if (congestion->resume.phase == RESUME_UNVALIDATED)
        return window * GAIN_JUMP;
    return window * (congestion_in_slow_start(congestion) ? GAIN_SLOW_START : GAIN_AVOIDANCE);
}

static uint64_t rate_period(const struct rtt *rtt)
{
    return saturating_mul(max_u64(rtt->smoothed, 1), GAIN_DENOMINATOR);
}

/* The datagram may have grown since the burst was chosen; and a timer that fires late by its own granularity must not
 * cost rate. */
static uint64_t burst_bytes(const struct pacer *pacer, const struct congestion *congestion, const struct rtt *rtt)
{
    uint64_t late = (uint64_t)min_wide((wide)LATENESS * rate_bytes(congestion) / rate_period(rtt), congestion->window);
    return max_u64(max_u64(pacer->burst_bytes, congestion_minimum_window(congestion)), late);
}

uint64_t pacer_allowance(const struct pacer *pacer, roam_time now, const struct congestion *congestion,
                         const struct rtt *rtt)
{
    wide earned = (wide)saturating_sub(now, pacer->updated) * rate_bytes(congestion) / rate_period(rtt);
    uint64_t burst = burst_bytes(pacer, congestion, rtt);
    if (earned >= burst)
        return burst;
    return min_u64(pacer->tokens_bytes + (uint64_t)earned, burst);
}

void pacer_on_sent(struct pacer *pacer, uint64_t bytes, roam_time now, const struct congestion *congestion,
                   const struct rtt *rtt)
{
    pacer->tokens_bytes = saturating_sub(pacer_allowance(pacer, now, congestion, rtt), bytes);
    pacer->updated = max_u64(pacer->updated, now);
}

roam_time pacer_next(const struct pacer *pacer, roam_time now, const struct congestion *congestion,
                     const struct rtt *rtt)
{
    if (pacer_allowance(pacer, now, congestion, rtt) >= congestion->datagram_bytes)
        return now;
    uint64_t missing = congestion->datagram_bytes - pacer->tokens_bytes;
    uint64_t rate = rate_bytes(congestion);
    wide wait = ((wide)missing * rate_period(rtt) + rate - 1) / rate;
    assert(wait <= UINT64_MAX);
    return saturating_add(pacer->updated, (roam_time)wait);
}
