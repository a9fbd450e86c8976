/*
 * Round-trip time of one path, RFC 9002 section 5 and appendix A.7. Integer nanoseconds, so that a simulated world
 * replays exactly. Invariants after the first sample: min <= latest; the estimates move only in rtt_update.
 *
 * States: no sample (rtt_init: smoothed and variation are guesses) -> sampled (the first rtt_update, and again one that is
 * far below all others). Nothing goes back but rtt_init.
 */
#include "recovery/rtt.h"

#include <assert.h>

#include "base/minmax.h"

void rtt_init(struct rtt *rtt, roam_time initial_rtt)
{
    //= rfc9002#6.2.2 The initial RTT is 333 ms where nothing better is known.
    roam_time guess = initial_rtt > 0 ? initial_rtt : INITIAL_RTT_DEFAULT;
    *rtt = (struct rtt){.smoothed = guess, .variation = guess / 2};
}

/* So many times less than all before it: then those were no round trips, but acknowledgements of the handshake that were lost
 * and came a few PTOs later. RFC 9002 would take dozens of samples to forget them, and a PTO is longer than the connection
 * lives until then. */
#define FAR_BELOW 16

void rtt_update(struct rtt *rtt, roam_time sample, roam_time ack_delay, roam_time max_ack_delay, bool confirmed)
{
    rtt->latest = sample;
    if (!rtt->has_sample || sample < rtt->min / FAR_BELOW) {
        //= rfc9002#5.2 min_rtt is the latest RTT on the first sample.
        rtt->has_sample = true;
        rtt->min = sample;
        rtt->smoothed = sample;
        rtt->variation = sample / 2;
        return;
    }
    //= rfc9002#5.2 ... and the lesser of min_rtt and the latest RTT on all others, whatever the peer says of its delay.
    rtt->min = min_u64(rtt->min, sample);

    //= rfc9002#5.3 max_ack_delay bounds the reported delay only after the handshake is confirmed.
    if (confirmed)
        ack_delay = min_u64(ack_delay, max_ack_delay);
    //= rfc9002#5.3 The delay is not taken off where the result would be below min_rtt.
    roam_time adjusted = sample >= saturating_add(rtt->min, ack_delay) ? sample - ack_delay : sample;

    roam_time difference = rtt->smoothed > adjusted ? rtt->smoothed - adjusted : adjusted - rtt->smoothed;
    rtt->variation = (3 * rtt->variation + difference) / 4;
    rtt->smoothed = (7 * rtt->smoothed + adjusted) / 8;
}

void rtt_reset_min(struct rtt *rtt)
{
    //= rfc9002#5.2 min_rtt is set to the newest sample after persistent congestion.
    assert(rtt->has_sample);
    rtt->min = rtt->latest;
}

roam_time rtt_pto(const struct rtt *rtt, roam_time max_ack_delay)
{
    //= rfc9002#6.2.1 The PTO period is at least the timer granularity.
    return saturating_add(rtt->smoothed + max_u64(4 * rtt->variation, TIMER_GRANULARITY), max_ack_delay);
}

roam_time rtt_loss_delay(const struct rtt *rtt)
{
    //= rfc9002#6.1.2 The time threshold is 9/8 and at least the timer granularity.
    roam_time longest = max_u64(rtt->smoothed, rtt->latest);
    return max_u64(longest + longest / 8, TIMER_GRANULARITY);
}
