/* Round-trip time of one path, RFC 9002 section 5. Samples come only from packets sent on that path. */
#ifndef RECOVERY_RTT_H
#define RECOVERY_RTT_H

#include <roam/types.h>

/* RFC 9002 sections 6.1.2 and 6.2.2. */
#define TIMER_GRANULARITY   ROAM_MILLISECONDS(1)
#define INITIAL_RTT_DEFAULT ROAM_MILLISECONDS(333)

struct rtt {
    roam_time latest, min, smoothed, variation;
    bool has_sample;
};

void rtt_init(struct rtt *rtt, roam_time initial_rtt);

/* `ack_delay` as the peer reported it, `max_ack_delay` as it promised; `confirmed`: the handshake is (section 5.3). */
void rtt_update(struct rtt *rtt, roam_time sample, roam_time ack_delay, roam_time max_ack_delay, bool confirmed);

/* min_rtt starts again from the newest sample after persistent congestion (section 5.2). */
void rtt_reset_min(struct rtt *rtt);

/* smoothed + max(4 * variation, granularity) + max_ack_delay, section 6.2.1, without backoff. */
roam_time rtt_pto(const struct rtt *rtt, roam_time max_ack_delay);

/* max(9/8 * max(smoothed, latest), granularity), section 6.1.2. */
roam_time rtt_loss_delay(const struct rtt *rtt);

#endif
