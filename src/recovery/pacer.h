/*
 * Spreads a window over the round-trip time, RFC 9002 section 7.7: rate = 5/4 * window / smoothed_rtt (2 * in slow
 * start), or the rate that the congestion controller has chosen, with bursts of up to the initial window, or of what a
 * timer that fires late would cost. Who has to wait waits for a millisecond's worth of datagrams, so that they leave
 * together. Packets that are not in flight (ACK only) are not paced, nor is a path so short that no timer could.
 */
#ifndef RECOVERY_PACER_H
#define RECOVERY_PACER_H

#include "recovery/congestion.h"

/* `bytes` in `period` of time: a rate without a division. */
struct pace {
    uint64_t bytes;
    roam_time period;
    uint64_t window;
    uint64_t late_bytes; /* what may be sent at once because a timer fires late by its own granularity */
};

struct pacer {
    uint64_t tokens_bytes; /* may be sent at `updated` */
    roam_time updated;
    uint64_t burst_bytes;
    struct pace pace; /* when a packet was sent last: good until window, RTT or gain are others */
};

void pacer_init(struct pacer *pacer, uint64_t datagram_bytes, uint64_t initial_packets);

/* No burst for now: after two datagrams, what goes out is spread. */
void pacer_forgo_burst(struct pacer *pacer, uint64_t datagram_bytes, roam_time now);

/* A packet of `bytes` goes out now. */
void pacer_on_sent(struct pacer *pacer, uint64_t bytes, roam_time now, const struct congestion *congestion,
                   const struct rtt *rtt);

/* Nothing was sent for so long that the bucket is as at the start. */
bool pacer_is_full(const struct pacer *pacer, roam_time now, const struct congestion *congestion,
                   const struct rtt *rtt);

/* Octets that may go out now; UINT64_MAX where the path is too short to be paced. */
uint64_t pacer_allowance(const struct pacer *pacer, roam_time now, const struct congestion *congestion,
                         const struct rtt *rtt);

/* When the next datagrams may go out, at least one full one: `now` or earlier where at once. */
roam_time pacer_next(const struct pacer *pacer, roam_time now, const struct congestion *congestion,
                     const struct rtt *rtt);

#endif
