/* BBR's model of the path: rounds, bandwidth, round-trip time, and what losses say. See bbr.h. */
#include "recovery/bbr.h"

#include "recovery/window.h"

__extension__ typedef unsigned __int128 wide;

/* ---- Volumes */

uint64_t bbr_max_bw(const struct bbr *bbr)
{
    return max_u64(bbr->max_bw[0], bbr->max_bw[1]);
}

uint64_t bbr_minimum_window(const struct congestion *congestion)
{
    return BBR_PIPE_DATAGRAMS * congestion->datagram_bytes;
}

uint64_t bbr_bdp(const struct congestion *congestion, uint64_t bw, uint64_t gain_percent)
{
    const roam_time min_rtt = congestion->bbr->min_rtt;
    if (min_rtt == ROAM_TIME_NEVER)
        return initial_window(congestion->datagram_bytes, congestion->initial_packets);
    const wide bytes = (wide)bw * min_rtt / ROAM_SECONDS(1);
    return bytes >= WINDOW_BYTES_MAX ? WINDOW_BYTES_MAX : (uint64_t)bytes * gain_percent / 100;
}

/* Draft section 5.6.3: what leaves together. */
static uint64_t quantum(const struct congestion *congestion)
{
    const wide bytes = (wide)congestion->pacing_rate * BBR_QUANTUM_TIME / ROAM_SECONDS(1);
    return bytes >= BBR_QUANTUM_BYTES_MAX ? BBR_QUANTUM_BYTES_MAX
                                          : max_u64((uint64_t)bytes, 2 * congestion->datagram_bytes);
}

uint64_t bbr_inflight(const struct congestion *congestion, uint64_t bw, uint64_t gain_percent)
{
    const uint64_t bytes = max_u64(bbr_bdp(congestion, bw, gain_percent), quantum(congestion));
    const bool up = congestion->bbr->state == BBR_PROBE_BW_UP;
    return max_u64(bytes, bbr_minimum_window(congestion)) + (up ? 2 * congestion->datagram_bytes : 0);
}

uint64_t bbr_target_inflight(const struct congestion *congestion)
{
    return min_u64(bbr_bdp(congestion, congestion->bbr->bw, 100), congestion->window);
}

uint64_t bbr_inflight_with_headroom(const struct congestion *congestion)
{
    const uint64_t most = congestion->bbr->inflight_longterm;
    if (most == BBR_UNBOUND)
        return BBR_UNBOUND;
    const uint64_t headroom = max_u64(congestion->datagram_bytes, most * BBR_HEADROOM_PERCENT / 100);
    return max_u64(saturating_sub(most, headroom), bbr_minimum_window(congestion));
}

bool bbr_is_too_high(const struct rate_sample *sample)
{
    return (wide)sample->lost * 100 > (wide)sample->in_flight * BBR_LOSS_PERCENT;
}

/* ---- Rounds and bandwidth */

void bbr_begin_round(struct bbr *bbr)
{
    bbr->next_round_delivered = bbr->rate.delivered;
}

static void update_round(struct bbr *bbr)
{
    const struct rate_sample *sample = &bbr->rate.sample;
    bbr->round_start = sample->has_stamp && sample->prior_delivered >= bbr->next_round_delivered;
    if (!bbr->round_start)
        return;
    bbr_begin_round(bbr);
    bbr->round_count++;
    bbr->rounds_since_up++;
    bbr->window_limited[1] = bbr->window_limited[0];
    bbr->window_limited[0] = false;
}

/* A sample that the application has limited says at least so much. */
static void update_max_bw(struct bbr *bbr)
{
    const struct rate_sample *sample = &bbr->rate.sample;
    if (sample->rate > 0 && (sample->rate >= bbr_max_bw(bbr) || !sample->app_limited))
        bbr->max_bw[0] = max_u64(bbr->max_bw[0], sample->rate);
}

void bbr_update_delivery_signals(struct bbr *bbr)
{
    const struct rate_sample *sample = &bbr->rate.sample;
    bbr->bw_latest = max_u64(bbr->bw_latest, sample->rate);
    bbr->inflight_latest = max_u64(bbr->inflight_latest, sample->delivered);
    bbr->loss_round_start = sample->has_stamp && sample->prior_delivered >= bbr->loss_round_delivered;
    if (bbr->loss_round_start)
        bbr->loss_round_delivered = bbr->rate.delivered;
}

void bbr_advance_delivery_signals(struct bbr *bbr)
{
    if (!bbr->loss_round_start)
        return;
    bbr->bw_latest = bbr->rate.sample.rate;
    bbr->inflight_latest = bbr->rate.sample.delivered;
}

/* ---- Losses */

void bbr_note_loss(struct bbr *bbr)
{
    if (!bbr->loss_in_round)
        bbr->loss_round_delivered = bbr->rate.delivered;
    bbr->loss_in_round = true;
}

static bool is_probing(const struct bbr *bbr)
{
    return bbr->state == BBR_STARTUP || bbr->state == BBR_PROBE_BW_REFILL || bbr->state == BBR_PROBE_BW_UP;
}

/* More losses than are tolerated while probing, and nothing was tried: the path has less to give for now. The draft
 * does this after any loss. But where packets are lost at random, each round would bring the rate down to what that
 * round has delivered, which is what was sent (99 % of the rate, 90 % in DOWN) less the losses. */
static void lower_shortterm(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    if (bbr->bw_shortterm == BBR_UNBOUND)
        bbr->bw_shortterm = bbr_max_bw(bbr);
    if (bbr->inflight_shortterm == BBR_UNBOUND)
        bbr->inflight_shortterm = congestion->window;
    bbr->bw_shortterm = max_u64(bbr->bw_latest, bbr->bw_shortterm / 100 * BBR_BETA_PERCENT);
    bbr->inflight_shortterm = max_u64(bbr->inflight_latest, bbr->inflight_shortterm / 100 * BBR_BETA_PERCENT);
}

void bbr_update_congestion_signals(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    update_round(bbr);
    update_max_bw(bbr);
    if (bbr->loss_round_start && !is_probing(bbr) &&
        (bbr->marked_in_round || (bbr->loss_in_round && bbr_is_too_high(&bbr->rate.sample))))
        lower_shortterm(congestion);
}

void bbr_restart_signals(struct bbr *bbr)
{
    bbr->loss_in_round = bbr->marked_in_round = false;
    bbr->lost_ranges = 0;
    bbr->bw_latest = 0;
    bbr->inflight_latest = 0;
}

void bbr_restart_shortterm(struct bbr *bbr)
{
    bbr->bw_shortterm = BBR_UNBOUND;
    bbr->inflight_shortterm = BBR_UNBOUND;
}

/* ---- Aggregation */

void bbr_update_aggregation(struct congestion *congestion, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    wide expected = (wide)bbr->bw * saturating_sub(now, bbr->extra_acked_start) / ROAM_SECONDS(1);
    if (bbr->extra_acked_delivered <= expected) {
        bbr->extra_acked_delivered = 0;
        bbr->extra_acked_start = now;
        expected = 0;
    }
    bbr->extra_acked_delivered += bbr->rate.sample.newly_acked;
    const uint64_t extra = min_u64(bbr->extra_acked_delivered - (uint64_t)expected, congestion->window);
    /* The most of the last ten rounds, in two halves; in startup of the last one. */
    const uint64_t half = bbr->full_bw_reached ? BBR_EXTRA_ACKED_ROUNDS : 1;
    if (bbr->round_start && bbr->round_count - bbr->extra_acked_round >= half) {
        bbr->extra_acked_round = bbr->round_count;
        bbr->extra_acked[1] = bbr->full_bw_reached ? bbr->extra_acked[0] : 0;
        bbr->extra_acked[0] = 0;
    }
    bbr->extra_acked[0] = max_u64(bbr->extra_acked[0], extra);
}

/* ---- Is the pipe full? */

void bbr_restart_full_bw(struct bbr *bbr, uint64_t bw)
{
    bbr->full_bw = bw;
    bbr->full_bw_rounds = 0;
    bbr->full_bw_now = false;
}

void bbr_update_full_bw(struct bbr *bbr)
{
    const struct rate_sample *sample = &bbr->rate.sample;
    if (bbr->full_bw_now || !bbr->round_start || sample->app_limited)
        return;
    if ((wide)sample->rate * 100 >= (wide)bbr->full_bw * BBR_FULL_GROWTH_PERCENT) {
        bbr_restart_full_bw(bbr, sample->rate);
        return;
    }
    bbr->full_bw_now = ++bbr->full_bw_rounds >= BBR_FULL_ROUNDS;
    bbr->full_bw_reached |= bbr->full_bw_now;
}

/* ---- Round-trip time */

void bbr_update_min_rtt(struct bbr *bbr, roam_time now)
{
    const roam_time rtt = bbr->rate.sample.rtt;
    bbr->recent_rtt_expired = now > saturating_add(bbr->recent_rtt_at, BBR_PROBE_RTT_INTERVAL);
    if (rtt != ROAM_TIME_NEVER && (rtt < bbr->recent_rtt || bbr->recent_rtt_expired)) {
        bbr->recent_rtt = rtt;
        bbr->recent_rtt_at = now;
    }
    const bool expired = now > saturating_add(bbr->min_rtt_at, BBR_MIN_RTT_TIME);
    if (bbr->recent_rtt < bbr->min_rtt || expired) {
        bbr->min_rtt = bbr->recent_rtt;
        bbr->min_rtt_at = bbr->recent_rtt_at;
    }
}
