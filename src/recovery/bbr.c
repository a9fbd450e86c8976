/*
 * BBR's states outside of the bandwidth cycle, and what follows from the model: pacing rate and window. See bbr.h.
 *
 * Invariants: the window is at least bbr_minimum_window after an ACK; pacing_rate is 0 until there is an RTT and never
 * again before a reset.
 */
#include "recovery/bbr.h"

#include "recovery/window.h"

__extension__ typedef unsigned __int128 wide;

static const struct {
    const char *name;
    uint16_t pacing_percent, window_percent;
} states[BBR_STATES] = {
    [BBR_STARTUP] = {"startup", 277, 200},
    [BBR_DRAIN] = {"drain", 50, 200},
    [BBR_PROBE_BW_DOWN] = {"probe_bw_down", 90, 200},
    [BBR_PROBE_BW_CRUISE] = {"probe_bw_cruise", 100, 200},
    [BBR_PROBE_BW_REFILL] = {"probe_bw_refill", 100, 200},
    [BBR_PROBE_BW_UP] = {"probe_bw_up", 125, 225},
    [BBR_PROBE_RTT] = {"probe_rtt", 100, 50},
};

static const char *state_of(const struct congestion *congestion)
{
    return states[congestion->bbr->state].name;
}

/* ---- Beginnings */

static void bbr_reset(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    const uint64_t stamped = bbr->rate.stamped;
    *bbr = (struct bbr){
        .bw_shortterm = BBR_UNBOUND,
        .inflight_longterm = BBR_UNBOUND,
        .inflight_shortterm = BBR_UNBOUND,
        .up_acked_per_step = BBR_UNBOUND,
        .last_lost = UINT64_MAX,
        .min_rtt = ROAM_TIME_NEVER,
        .recent_rtt = ROAM_TIME_NEVER,
    };
    delivery_rate_init(&bbr->rate, stamped);
    congestion->pacing_rate = 0;
}

void bbr_inherit(struct bbr *bbr, const struct bbr *from)
{
    /* Stamps are those of the path's own packets. */
    const uint64_t stamped = bbr->rate.stamped;
    *bbr = *from;
    bbr->rate.stamped = bbr->rate.valid_from = stamped;
    delivery_rate_next(&bbr->rate);
}

static void begin_if_new(struct bbr *bbr, roam_time now)
{
    if (bbr->begun)
        return;
    bbr->begun = true;
    bbr->min_rtt_at = bbr->recent_rtt_at = bbr->extra_acked_start = bbr->cycle_start = now;
}

/* ---- Startup and drain */

static void enter_drain(struct bbr *bbr)
{
    bbr->state = BBR_DRAIN;
    bbr->drain_start_round = bbr->round_count;
}

/* The path is full, and this is what it holds. */
static void end_startup_by_congestion(struct congestion *congestion)
{
    struct bbr *bbr = congestion->bbr;
    bbr->full_bw_reached = true;
    bbr->inflight_longterm = max_u64(bbr_bdp(congestion, bbr_max_bw(bbr), 100), bbr->inflight_latest);
    enter_drain(bbr);
}

/* A round trip after the first loss more than a few were lost, and not all in one place. */
static bool loses_too_much(const struct bbr *bbr)
{
    return bbr->loss_round_start && bbr->loss_in_round && bbr->lost_ranges >= BBR_STARTUP_LOSS_RANGES &&
           bbr_is_too_high(&bbr->rate.sample);
}

static void check_startup(struct congestion *congestion, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    if (bbr->state == BBR_STARTUP && !bbr->full_bw_reached && loses_too_much(bbr))
        end_startup_by_congestion(congestion);
    else if (bbr->state == BBR_STARTUP && bbr->full_bw_reached)
        enter_drain(bbr);
    if (bbr->loss_round_start) {
        bbr->loss_in_round = bbr->marked_in_round = false;
        bbr->lost_ranges = 0;
    }
    if (bbr->state == BBR_DRAIN && (congestion->in_flight <= bbr_inflight(congestion, bbr->bw, 100) ||
                                    bbr->round_count > bbr->drain_start_round + BBR_DRAIN_ROUNDS))
        bbr_start_down(bbr, now);
}

/* ---- Probing for the RTT */

static uint64_t probe_rtt_window(const struct congestion *congestion)
{
    const uint64_t gain = states[BBR_PROBE_RTT].window_percent;
    return max_u64(bbr_bdp(congestion, congestion->bbr->bw, gain), bbr_minimum_window(congestion));
}

static void end_probe_rtt(struct congestion *congestion, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    if (bbr->probe_rtt_done == 0 || now <= bbr->probe_rtt_done)
        return;
    bbr->recent_rtt_at = now;
    congestion->window = max_u64(congestion->window, bbr->window_before);
    bbr_restart_shortterm(bbr);
    bbr->state = BBR_STARTUP;
    if (bbr->full_bw_reached) {
        bbr_start_down(bbr, now);
        bbr->state = BBR_PROBE_BW_CRUISE;
    }
}

static void hold_probe_rtt(struct congestion *congestion, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    /* Rates that are as low as this by intention are no measure. */
    delivery_rate_limit(&bbr->rate, congestion->in_flight);
    if (bbr->probe_rtt_done == 0 && congestion->in_flight <= probe_rtt_window(congestion)) {
        bbr->probe_rtt_done = now + BBR_PROBE_RTT_TIME;
        bbr->probe_rtt_round_done = false;
        bbr_begin_round(bbr);
    } else if (bbr->probe_rtt_done != 0) {
        bbr->probe_rtt_round_done |= bbr->round_start;
        if (bbr->probe_rtt_round_done)
            end_probe_rtt(congestion, now);
    }
}

static void check_probe_rtt(struct congestion *congestion, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    if (bbr->state != BBR_PROBE_RTT && bbr->recent_rtt_expired && !bbr->idle_restart) {
        bbr->state = BBR_PROBE_RTT;
        bbr->window_before = congestion->window;
        bbr->probe_rtt_done = 0;
        bbr->acks = BBR_ACKS_STOPPING;
        bbr_begin_round(bbr);
    }
    if (bbr->state == BBR_PROBE_RTT)
        hold_probe_rtt(congestion, now);
    if (bbr->rate.sample.delivered > 0)
        bbr->idle_restart = false;
}

/* ---- Control */

static void set_pacing_rate(struct congestion *congestion, uint64_t gain_percent, const struct rtt *rtt)
{
    struct bbr *bbr = congestion->bbr;
    if (congestion->pacing_rate == 0 && rtt != NULL && rtt->has_sample) {
        const wide window = (wide)congestion->window * states[BBR_STARTUP].pacing_percent / 100;
        const wide rate = window * ROAM_SECONDS(1) / max_u64(rtt->smoothed, 1);
        congestion->pacing_rate = (uint64_t)(rate < UINT64_MAX ? rate : UINT64_MAX);
    }
    const wide rate = (wide)bbr->bw * gain_percent * (100 - BBR_PACING_MARGIN_PERCENT) / 10000;
    const uint64_t wanted = (uint64_t)(rate < UINT64_MAX ? rate : UINT64_MAX);
    if (wanted > 0 && (bbr->full_bw_reached || wanted > congestion->pacing_rate))
        congestion->pacing_rate = wanted;
}

/* Draft section 5.6.4.7. */
static uint64_t bound_of_window(const struct congestion *congestion)
{
    const struct bbr *bbr = congestion->bbr;
    uint64_t bound = BBR_UNBOUND;
    if (bbr->state == BBR_PROBE_RTT || bbr->state == BBR_PROBE_BW_CRUISE)
        bound = bbr_inflight_with_headroom(congestion);
    else if (bbr_is_in_probe_bw(bbr))
        bound = bbr->inflight_longterm;
    return max_u64(min_u64(bound, bbr->inflight_shortterm), bbr_minimum_window(congestion));
}

static void set_window(struct congestion *congestion)
{
    const struct bbr *bbr = congestion->bbr;
    const uint64_t acked = bbr->rate.sample.newly_acked;
    const uint64_t initial = initial_window(congestion->datagram_bytes, congestion->initial_packets);
    const uint64_t extra = max_u64(bbr->extra_acked[0], bbr->extra_acked[1]);
    const uint64_t gain = states[bbr->state].window_percent;
    uint64_t most = bbr_bdp(congestion, bbr->bw, gain) + extra;
    most = max_u64(most, bbr_inflight(congestion, bbr->bw, gain));
    /* While a known network is being tried, and while that is taken back, the window is careful resume's. */
    if (congestion_is_held(congestion))
        return;
    uint64_t window = congestion->window;
    if (bbr->full_bw_reached)
        window = min_u64(window + acked, most);
    else if (window < most || bbr->rate.delivered < initial)
        window += acked;
    window = max_u64(window, bbr_minimum_window(congestion));
    if (bbr->state == BBR_PROBE_RTT)
        window = min_u64(window, probe_rtt_window(congestion));
    congestion->window = min_u64(min_u64(window, bound_of_window(congestion)), WINDOW_BYTES_MAX);
}

/* ---- Events */

uint16_t bbr_on_sent(struct congestion *congestion, uint64_t bytes, bool ran_out, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    const uint64_t in_flight = congestion->in_flight;
    begin_if_new(bbr, now);
    if (in_flight == 0 && bbr->rate.app_limited_until > 0) {
        bbr->idle_restart = true;
        bbr->extra_acked_start = now;
        if (bbr_is_in_probe_bw(bbr))
            set_pacing_rate(congestion, 100, NULL);
        else if (bbr->state == BBR_PROBE_RTT)
            end_probe_rtt(congestion, now);
    }
    if (in_flight + bytes + congestion->datagram_bytes > congestion->window)
        bbr->window_limited[0] = true;
    const roam_time round = bbr->min_rtt == ROAM_TIME_NEVER ? 0 : bbr->min_rtt;
    return delivery_rate_on_sent(&bbr->rate, bytes, in_flight, ran_out, round, now);
}

void bbr_on_delivered(struct congestion *congestion, uint16_t stamp, uint64_t bytes, roam_time sent_at, roam_time now)
{
    delivery_rate_on_acked(&congestion->bbr->rate, stamp, bytes, sent_at, now);
}

static void bbr_on_ack_end(struct congestion *congestion, const struct rtt *rtt, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    begin_if_new(bbr, now);
    delivery_rate_on_ack_end(&bbr->rate, bbr->min_rtt == ROAM_TIME_NEVER ? 0 : bbr->min_rtt);
    if (bbr->rate.sample.newly_acked == 0)
        return;
    bbr_update_delivery_signals(bbr);
    bbr_update_congestion_signals(congestion);
    bbr_update_aggregation(congestion, now);
    bbr_update_full_bw(bbr);
    check_startup(congestion, now);
    bbr_update_cycle(congestion, now);
    bbr_update_min_rtt(bbr, now);
    check_probe_rtt(congestion, now);
    bbr_advance_delivery_signals(bbr);
    bbr->bw = min_u64(bbr_max_bw(bbr), bbr->bw_shortterm);
    set_pacing_rate(congestion, states[bbr->state].pacing_percent, rtt);
    set_window(congestion);
    delivery_rate_next(&bbr->rate);
}

/* Where in a packet, which may stand for several, the losses became too many: draft section 5.5.10.2. */
static uint64_t inflight_at_loss(const struct rate_sample *sample, uint64_t bytes)
{
    const uint64_t before = saturating_sub(sample->in_flight, bytes);
    const uint64_t lost_before = saturating_sub(sample->lost, bytes);
    const uint64_t allowed = saturating_sub(before / 100 * BBR_LOSS_PERCENT, lost_before);
    return before + allowed * 100 / (100 - BBR_LOSS_PERCENT);
}

void bbr_on_lost(struct congestion *congestion, uint16_t stamp, uint64_t number, uint64_t bytes, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    struct rate_sample sample;
    const bool known = delivery_rate_on_lost(&bbr->rate, stamp, bytes, &sample);
    bbr_note_loss(bbr);
    bbr->lost_ranges += bbr->last_lost == UINT64_MAX || number != bbr->last_lost + 1;
    bbr->last_lost = number;
    if (!known || !bbr->is_probe_sample || !bbr_is_too_high(&sample))
        return;
    sample.in_flight = inflight_at_loss(&sample, bytes);
    bbr_on_too_high(congestion, &sample, now);
}

/* A mark is taken for what a round with too many losses is: more than this the path does not hold. */
static void bbr_on_event(struct congestion *congestion, bool ce, roam_time now)
{
    struct bbr *bbr = congestion->bbr;
    if (!ce)
        return;
    bbr_note_loss(bbr);
    bbr->marked_in_round = true;
    if (bbr->state == BBR_STARTUP && !bbr->full_bw_reached) {
        end_startup_by_congestion(congestion);
    } else if (bbr->is_probe_sample) {
        const struct rate_sample sample = {.in_flight = congestion->in_flight};
        bbr_on_too_high(congestion, &sample, now);
    }
}

const struct congestion_ops congestion_bbr = {
    .name = "bbr",
    .reset = bbr_reset,
    .on_ack_end = bbr_on_ack_end,
    .on_event = bbr_on_event,
    .state = state_of,
};
