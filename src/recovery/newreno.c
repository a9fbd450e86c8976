/*
 * NewReno as RFC 9002 section 7.3 and appendix B have it. Invariant: in congestion avoidance acked_in_avoidance <
 * window after each acknowledgement, so that a window's worth of them is worth one datagram.
 */
#include "recovery/congestion.h"

#include "base/minmax.h"

static void newreno_reset(struct congestion *congestion)
{
    congestion->acked_in_avoidance = 0;
}

static void newreno_on_acked(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now,
                             const struct rtt *rtt, bool app_limited)
{
    (void)sent_at, (void)now, (void)rtt;
    //= rfc9002#7.8 A window that was not in use does not grow.
    if (app_limited)
        return;
    if (congestion_in_slow_start(congestion)) {
        congestion->window += bytes;
        return;
    }
    //= rfc9002#7.3.3 At most one datagram for each window acknowledged.
    congestion->acked_in_avoidance += bytes;
    if (congestion->acked_in_avoidance >= congestion->window) {
        congestion->acked_in_avoidance -= congestion->window;
        congestion->window += congestion->datagram_bytes;
    }
}

static void newreno_on_event(struct congestion *congestion, bool ce, roam_time now)
{
    (void)ce, (void)now;
    //= rfc9002#7.3.2 The threshold is half the window, and the window falls to it.
    congestion->slow_start_threshold = congestion->window / 2;
    congestion->window = max_u64(congestion->slow_start_threshold, congestion_minimum_window(congestion));
    congestion->acked_in_avoidance = 0;
}

const struct congestion_ops congestion_newreno = {
    .name = "newreno",
    .reset = newreno_reset,
    .on_acked = newreno_on_acked,
    .on_event = newreno_on_event,
};
