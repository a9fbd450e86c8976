/* BBR's cycle of probing for bandwidth, draft section 5.3.3: DOWN, CRUISE, REFILL, UP. See bbr.h. */
#include "recovery/bbr.h"

#include "recovery/window.h"

__extension__ typedef unsigned __int128 wide;

/* The slope at which what may be in flight grows: 2^30 steps a round are beyond any window. */
#define UP_ROUNDS_MAX 30

bool bbr_is_in_probe_bw(const struct bbr *bbr)
{
    return bbr->state >= BBR_PROBE_BW_DOWN && bbr->state <= BBR_PROBE_BW_UP;
}

/* Flows that share a path must not probe in step, and nothing secret hangs on when they do: the lower digits of the
 * clock and of what was delivered differ between them, and replay in a simulated world. */
static uint64_t spread(const struct bbr *bbr, roam_time now)
{
    uint64_t word = now + bbr->rate.delivered * UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* ---- Phases */

void bbr_start_down(struct bbr *bbr, roam_time now)
{
    const uint64_t drawn = spread(bbr, now);
    bbr_restart_signals(bbr);
    bbr->up_acked_per_step = BBR_UNBOUND;
    bbr->rounds_since_up = drawn & 1;
    bbr->probe_wait = BBR_PROBE_WAIT_MIN + (drawn >> 1) % BBR_PROBE_WAIT_SPREAD;
    bbr->cycle_start = now;
    bbr->acks = BBR_ACKS_STOPPING;
    bbr_begin_round(bbr);
    bbr->state = BBR_PROBE_BW_DOWN;
}

static void start_refill(struct bbr *bbr)
{
    bbr_restart_shortterm(bbr);
    bbr->up_rounds = 0;
    bbr->up_acked = 0;
    bbr->probed_with_caution = false;
    bbr->acks = BBR_ACKS_REFILLING;
    bbr_begin_round(bbr);
    bbr->state = BBR_PROBE_BW_REFILL;
}

static void raise_slope(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    bbr->up_acked_per_step = max_u64(congestion->window >> bbr->up_rounds, congestion->datagram_bytes);
    bbr->up_rounds = (uint32_t)min_u64(bbr->up_rounds + 1, UP_ROUNDS_MAX);
}

static void start_up(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    bbr->is_probe_sample = true;
    bbr->acks = BBR_ACKS_STARTING;
    bbr_begin_round(bbr);
    bbr_restart_full_bw(bbr, bbr->rate.sample.rate);
    bbr->state = BBR_PROBE_BW_UP;
    raise_slope(congestion);
}

/* ---- When */

static bool is_window_limited(const struct bbr *bbr)
{
    return bbr->window_limited[0] || bbr->window_limited[1];
}

/* By the clock, or in as many rounds as Reno takes from one loss to the next. */
static bool is_time_to_probe(const struct congestion *congestion, roam_time now)
{
    const struct bbr *bbr = congestion->bbr;
    const uint64_t reno_rounds = bbr_target_inflight(congestion) / congestion->datagram_bytes;
    return now > saturating_add(bbr->cycle_start, bbr->probe_wait) ||
           bbr->rounds_since_up >= min_u64(reno_rounds, BBR_ROUNDS_MAX);
}

static bool is_time_to_cruise(const struct congestion *congestion)
{
    return congestion->in_flight <= bbr_inflight_with_headroom(congestion) &&
           congestion->in_flight <= bbr_inflight(congestion, bbr_max_bw(congestion->bbr), 100);
}

static bool is_time_to_go_down(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    if (bbr->probed_too_high && congestion->in_flight >= bbr->inflight_longterm) {
        bbr->probed_with_caution = true;
        return true;
    }
    if (is_window_limited(bbr) && congestion->window >= bbr->inflight_longterm) {
        /* What limits the rate is the bound, not the path. */
        bbr_restart_full_bw(bbr, bbr->rate.sample.rate);
        return false;
    }
    return bbr->full_bw_now;
}

/* ---- The bound of what may be in flight */

static void raise_inflight(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    if (!is_window_limited(bbr) || congestion->window < bbr->inflight_longterm)
        return;
    bbr->up_acked += bbr->rate.sample.newly_acked;
    if (bbr->up_acked >= bbr->up_acked_per_step) {
        const uint64_t steps = bbr->up_acked / bbr->up_acked_per_step;
        bbr->up_acked -= steps * bbr->up_acked_per_step;
        bbr->inflight_longterm = min_u64(bbr->inflight_longterm + steps * congestion->datagram_bytes, WINDOW_BYTES_MAX);
    }
    if (bbr->round_start)
        raise_slope(congestion);
}

void bbr_on_too_high(struct congestion *congestion, const struct rate_sample *sample, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    bbr->probed_too_high = true;
    bbr->is_probe_sample = false;
    if (!sample->app_limited)
        bbr->inflight_longterm = max_u64(sample->in_flight, bbr_target_inflight(congestion) / 100 * BBR_BETA_PERCENT);
    if (bbr->state == BBR_PROBE_BW_UP)
        bbr_start_down(bbr, now);
}

/* The end of samples from the newest probe: the cycle's most becomes that of the cycle before, if the cycle has measured
 * anything. The draft asks besides that the newest sample is not limited and no RTT is being probed for; but where the
 * estimate is far too high, each cycle ends in PROBE_RTT, and what is too high would never be forgotten. */
static void end_probe_samples(struct bbr *bbr)
{
    bbr->is_probe_sample = false;
    bbr->acks = BBR_ACKS_INIT;
    if (bbr->max_bw[0] > 0) {
        bbr->max_bw[1] = bbr->max_bw[0];
        bbr->max_bw[0] = 0;
    }
}

/* True where that has decided on the next phase. */
static bool adapt_longterm(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    const struct rate_sample *sample = &bbr->rate.sample;
    if (bbr->acks == BBR_ACKS_STARTING && bbr->round_start)
        bbr->acks = BBR_ACKS_FEEDBACK;
    if (bbr->acks == BBR_ACKS_STOPPING && bbr->round_start) {
        end_probe_samples(bbr);
        if (bbr_is_in_probe_bw(bbr) && bbr->probed_with_caution && !bbr->probed_too_high) {
            start_refill(bbr);
            return true;
        }
    }
    if (bbr_is_too_high(sample) || bbr->inflight_longterm == BBR_UNBOUND)
        return false;
    bbr->inflight_longterm = max_u64(bbr->inflight_longterm, sample->in_flight);
    if (bbr->state == BBR_PROBE_BW_UP)
        raise_inflight(congestion);
    return false;
}

void bbr_update_cycle(struct congestion *congestion, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    if (!bbr->full_bw_reached || adapt_longterm(congestion) || !bbr_is_in_probe_bw(bbr))
        return;
    switch (bbr->state) {
    case BBR_PROBE_BW_DOWN:
        if (is_time_to_probe(congestion, now))
            start_refill(bbr);
        else if (is_time_to_cruise(congestion))
            bbr->state = BBR_PROBE_BW_CRUISE;
        break;
    case BBR_PROBE_BW_CRUISE:
        if (is_time_to_probe(congestion, now))
            start_refill(bbr);
        break;
    case BBR_PROBE_BW_REFILL:
        if (bbr->round_start)
            start_up(congestion);
        break;
    case BBR_PROBE_BW_UP:
        if (is_time_to_go_down(congestion)) {
            bbr->probed_too_high = false;
            bbr_start_down(bbr, now);
        }
        break;
    default:
        break;
    }
}
