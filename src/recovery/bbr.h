/*
 * BBR, version 3, after draft-ietf-ccwg-bbr, whose words these are: a model of the path (how fast it delivers, how long
 * a round trip takes when nothing queues, how much may be in flight before packets are lost) from which pacing rate and
 * window follow. Integers only; gains are per cent, rates octets a second.
 *
 *   STARTUP -> DRAIN             bbr.c           the rate grows no more (three rounds), or too much is lost, or CE
 *   DRAIN -> DOWN                bbr.c           what queued is gone, or three rounds have passed
 *   DOWN -> CRUISE               bbr_probe_bw.c  in flight is no more than the path holds, less some headroom
 *   DOWN, CRUISE -> REFILL       bbr_probe_bw.c  two to three seconds, or as many rounds as Reno would need
 *   REFILL -> UP                 bbr_probe_bw.c  a round later
 *   UP -> DOWN                   bbr_probe_bw.c  the rate grows no more, too much is lost, CE, or caution
 *   any -> PROBE_RTT             bbr.c           no RTT as short as the least for five seconds
 *   PROBE_RTT -> CRUISE          bbr.c           200 ms and a round later; STARTUP where the path was never full
 *   any -> STARTUP               bbr_reset       another network, or persistent congestion
 *
 * Otherwise than in the draft: a round that loses no more than BBR_LOSS_PERCENT lowers nothing, whatever the state
 * (bbr_model.c), and a cycle's bandwidth is forgotten also where it ends in PROBE_RTT (bbr_probe_bw.c). A CE mark counts for a round with too many losses; the draft wants an answer and leaves it open. Left
 * out is what it does when a loss turns out to be none: QUIC's thresholds make that rare, and nothing here finds it.
 */
#ifndef RECOVERY_BBR_H
#define RECOVERY_BBR_H

#include "recovery/congestion.h"
#include "recovery/delivery_rate.h"

/* Draft sections 2.4 to 2.10. */
#define BBR_PACING_MARGIN_PERCENT 1
#define BBR_LOSS_PERCENT          2  /* of a round trip's packets: more is too much */
#define BBR_BETA_PERCENT          70 /* left after a round with losses */
#define BBR_HEADROOM_PERCENT      15
#define BBR_PIPE_DATAGRAMS        4 /* no window is smaller */
#define BBR_FULL_ROUNDS           3 /* without growth: the pipe is full */
#define BBR_FULL_GROWTH_PERCENT   125
#define BBR_STARTUP_LOSS_RANGES   6
#define BBR_DRAIN_ROUNDS          3
#define BBR_ROUNDS_MAX            63 /* between two probes for bandwidth */
#define BBR_EXTRA_ACKED_ROUNDS    5  /* half of the filter's length */
#define BBR_MIN_RTT_TIME          ROAM_SECONDS(10)
#define BBR_PROBE_RTT_INTERVAL    ROAM_SECONDS(5)
#define BBR_PROBE_RTT_TIME        ROAM_MILLISECONDS(200)
#define BBR_PROBE_WAIT_MIN        ROAM_SECONDS(2)
#define BBR_PROBE_WAIT_SPREAD     ROAM_SECONDS(1)
#define BBR_QUANTUM_TIME          ROAM_MILLISECONDS(1)
#define BBR_QUANTUM_BYTES_MAX     65536

#define BBR_UNBOUND UINT64_MAX

enum bbr_state {
    BBR_STARTUP,
    BBR_DRAIN,
    BBR_PROBE_BW_DOWN,
    BBR_PROBE_BW_CRUISE,
    BBR_PROBE_BW_REFILL,
    BBR_PROBE_BW_UP,
    BBR_PROBE_RTT,
    BBR_STATES
};

/* What acknowledgements say about the newest probe for bandwidth. */
enum bbr_acks { BBR_ACKS_INIT, BBR_ACKS_REFILLING, BBR_ACKS_STARTING, BBR_ACKS_FEEDBACK, BBR_ACKS_STOPPING };

struct bbr {
    struct delivery_rate rate;
    enum bbr_state state;
    enum bbr_acks acks;
    bool begun; /* the stamps below have a time */
    bool idle_restart;

    /* Rounds: packet-timed round trips. */
    uint64_t round_count, next_round_delivered;
    bool round_start;

    /* Bandwidth: the most of this cycle and of the one before; after losses, less for a while. */
    uint64_t max_bw[2], bw, bw_shortterm, bw_latest;
    /* In flight: the most that did not lose too much; after losses, less for a while. */
    uint64_t inflight_longterm, inflight_shortterm, inflight_latest;

    /* Losses, round by round. */
    uint64_t loss_round_delivered, last_lost;
    uint32_t lost_ranges;
    bool loss_round_start, loss_in_round, marked_in_round; /* CE */

    /* Is the pipe full? */
    uint64_t full_bw;
    uint32_t full_bw_rounds;
    bool full_bw_now, full_bw_reached;
    uint64_t drain_start_round;

    /* Acknowledgements that come in lumps. */
    roam_time extra_acked_start;
    uint64_t extra_acked_delivered, extra_acked[2], extra_acked_round;

    /* The cycle of probing for bandwidth. */
    roam_time cycle_start, probe_wait;
    uint64_t rounds_since_up, up_acked, up_acked_per_step;
    uint32_t up_rounds;
    bool is_probe_sample;     /* what is acknowledged left while probing, and nothing was concluded from it yet */
    bool probed_too_high;     /* the last probe lost too much ... */
    bool probed_with_caution; /* ... and the one after stopped there */
    bool window_limited[2];   /* the window was full: in this round, in the one before */

    /* RTT. */
    roam_time min_rtt, min_rtt_at, recent_rtt, recent_rtt_at; /* the least of 10 s, and of 5 s */
    roam_time probe_rtt_done;                                 /* 0: in flight is still being lowered */
    bool recent_rtt_expired, probe_rtt_round_done;
    uint64_t window_before; /* PROBE_RTT */
};

/* ---- bbr.c: what congestion.h and path_recovery.h call */

/* A packet leaves; in_flight is still without it. `ran_out`: see delivery_rate_on_sent. Returns its stamp. */
uint16_t bbr_on_sent(struct congestion *congestion, uint64_t bytes, bool ran_out, roam_time now);
void bbr_on_delivered(struct congestion *congestion, uint16_t stamp, uint64_t bytes, roam_time sent_at, roam_time now);
void bbr_on_lost(struct congestion *congestion, uint16_t stamp, uint64_t number, uint64_t bytes, roam_time now);

/* Goes on with what another path has learnt: the same network, behind another port. */
void bbr_inherit(struct bbr *bbr, const struct bbr *from);

/* ---- bbr_model.c */

void bbr_begin_round(struct bbr *bbr);
uint64_t bbr_max_bw(const struct bbr *bbr);
uint64_t bbr_minimum_window(const struct congestion *congestion);

/* gain_percent of the product of bandwidth and delay; the initial window before there is an RTT. */
uint64_t bbr_bdp(const struct congestion *congestion, uint64_t bw, uint64_t gain_percent);

/* The same, but not below what the host needs to send in bursts. */
uint64_t bbr_inflight(const struct congestion *congestion, uint64_t bw, uint64_t gain_percent);
uint64_t bbr_target_inflight(const struct congestion *congestion);
uint64_t bbr_inflight_with_headroom(const struct congestion *congestion);
bool bbr_is_too_high(const struct rate_sample *sample);

/* ACK by ACK, in this order. */
void bbr_update_delivery_signals(struct bbr *bbr);
void bbr_update_congestion_signals(struct congestion *congestion);
void bbr_update_aggregation(struct congestion *congestion, roam_time now);
void bbr_update_full_bw(struct bbr *bbr);
void bbr_update_min_rtt(struct bbr *bbr, roam_time now);
void bbr_advance_delivery_signals(struct bbr *bbr);

void bbr_restart_full_bw(struct bbr *bbr, uint64_t bw);
void bbr_restart_signals(struct bbr *bbr);
void bbr_restart_shortterm(struct bbr *bbr);
void bbr_note_loss(struct bbr *bbr);

/* ---- bbr_probe_bw.c */

bool bbr_is_in_probe_bw(const struct bbr *bbr);
void bbr_start_down(struct bbr *bbr, roam_time now);
void bbr_update_cycle(struct congestion *congestion, roam_time now);

/* So much in flight lost too much, or earned a CE mark. */
void bbr_on_too_high(struct congestion *congestion, const struct rate_sample *sample, roam_time now);

#endif
