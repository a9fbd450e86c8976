/* HyStart++: see the header for phases and transitions. Packets are told apart by when they left, which is as good as
 * by their numbers: what left since a round began is of that round. */
#include "recovery/hystart.h"

static roam_time threshold(roam_time rtt)
{
    return max_u64(HYSTART_RTT_THRESHOLD_MIN, min_u64(rtt / HYSTART_RTT_DIVISOR, HYSTART_RTT_THRESHOLD_MAX));
}

static void begin_round(struct hystart *hystart, roam_time now)
{
    hystart->in_round = true;
    hystart->round_start = now;
    hystart->last_round_rtt = hystart->round_rtt;
    hystart->round_rtt = 0;
    hystart->samples = 0;
}

/* A round is over, and the next one begins. True where it was the last of slow start. */
static bool end_round(struct hystart *hystart, roam_time now)
{
    begin_round(hystart, now);
    if (hystart->phase != HYSTART_CONSERVATIVE || ++hystart->rounds < HYSTART_ROUNDS)
        return false;
    hystart->phase = HYSTART_DONE;
    return true;
}

/* The least RTT of two rounds tells a queue that builds up from noise, and a queue that was none. */
static void compare_rounds(struct hystart *hystart)
{
    if (hystart->samples < HYSTART_SAMPLES)
        return;
    if (hystart->phase == HYSTART_CONSERVATIVE) {
        if (hystart->round_rtt < hystart->baseline_rtt)
            hystart->phase = HYSTART_SLOW_START;
        return;
    }
    if (hystart->last_round_rtt > 0 &&
        hystart->round_rtt >= hystart->last_round_rtt + threshold(hystart->last_round_rtt)) {
        hystart->phase = HYSTART_CONSERVATIVE;
        hystart->baseline_rtt = hystart->round_rtt;
        hystart->rounds = 0;
    }
}

bool hystart_on_ack_end(struct hystart *hystart, roam_time now)
{
    const roam_time sent_at = hystart->newest_sent_at;
    hystart->newest_sent_at = 0;
    if (hystart->phase == HYSTART_DONE || sent_at == 0)
        return false;
    if (!hystart->in_round)
        begin_round(hystart, now);
    else if (sent_at >= hystart->round_start && end_round(hystart, now))
        return true;
    /* A round trip that takes no time is one of a nanosecond: zero is none. */
    const roam_time rtt = max_u64(saturating_sub(now, sent_at), 1);
    hystart->round_rtt = hystart->round_rtt == 0 ? rtt : min_u64(hystart->round_rtt, rtt);
    if (hystart->samples < HYSTART_SAMPLES)
        hystart->samples++;
    compare_rounds(hystart);
    return false;
}
