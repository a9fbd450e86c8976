/*
 * What all congestion controllers share: bytes in flight, recovery periods, when a window may grow at all. RFC 9002
 * section 7 and appendix B.
 *
 * Invariants: in_flight never underflows: what leaves was counted; minimum window <= window <= WINDOW_BYTES_MAX.
 *
 * States: slow start (window < slow_start_threshold) and congestion avoidance; beside them recovery.
 *   any -> recovery                     on_new_event, by congestion_on_lost and congestion_on_ce
 *   recovery -> congestion avoidance    congestion_on_acked, of a packet sent after recovery began
 *   any -> slow start, minimum window   congestion_on_persistent
 *   any -> slow start, initial window   congestion_reset
 */
#include "recovery/congestion.h"

#include <assert.h>

#include "recovery/bbr.h"
#include "recovery/window.h"

static const struct congestion_ops *ops_of(enum roam_congestion algorithm)
{
    switch (algorithm) {
    case ROAM_CONGESTION_NEWRENO:
        return &congestion_newreno;
    case ROAM_CONGESTION_BBR:
        return &congestion_bbr;
    case ROAM_CONGESTION_CUBIC:
        break;
    }
    return &congestion_cubic;
}

void congestion_init(struct congestion *congestion, enum roam_congestion algorithm, uint64_t datagram_bytes,
                     uint64_t initial_packets, struct bbr *bbr)
{
    assert(datagram_bytes > 0 && datagram_bytes <= UINT16_MAX);
    assert((bbr != NULL) == (congestion_memory_bytes(algorithm) > 0));
    *congestion = (struct congestion){
        .ops = ops_of(algorithm),
        .datagram_bytes = datagram_bytes,
        .initial_packets = initial_packets,
        .bbr = bbr,
    };
    if (bbr != NULL)
        delivery_rate_init(&bbr->rate, 0);
    congestion_reset(congestion);
}

size_t congestion_memory_bytes(enum roam_congestion algorithm)
{
    return algorithm == ROAM_CONGESTION_BBR ? sizeof(struct bbr) : 0;
}

void congestion_inherit(struct congestion *congestion, const struct congestion *from)
{
    assert(congestion->ops == from->ops);
    const uint64_t in_flight = congestion->in_flight;
    struct bbr *bbr = congestion->bbr;
    struct congestion_work *work = congestion->work;
    *congestion = *from;
    congestion->in_flight = congestion->flight_peak = in_flight;
    congestion->bbr = bbr;
    congestion->work = work;
    if (work != NULL && from->work != NULL)
        *work = *from->work;
    else if (work != NULL)
        congestion_begin_work(congestion, work);
    if (bbr != NULL)
        bbr_inherit(bbr, from->bbr);
}

void congestion_begin_work(struct congestion *congestion, struct congestion_work *work)
{
    *work = (struct congestion_work){0};
    congestion->work = work;
    /* A controller without a state of its own in there keeps what it has. */
    if (congestion->ops->may_rest != NULL)
        congestion->ops->reset(congestion);
}

bool congestion_may_rest(const struct congestion *congestion)
{
    const struct congestion_work *work = congestion->work;
    return congestion->in_flight == 0 && work != NULL && work->resume.phase == RESUME_OFF && congestion->bbr == NULL &&
           (congestion->ops->may_rest == NULL || congestion->ops->may_rest(congestion));
}

void congestion_rest(struct congestion *congestion)
{
    assert(congestion_may_rest(congestion));
    congestion->work = NULL;
}

static void stop_resuming(struct congestion *congestion)
{
    if (congestion->work != NULL)
        careful_resume_stop(&congestion->work->resume);
}

void congestion_reset(struct congestion *congestion)
{
    congestion->window = initial_window(congestion->datagram_bytes, congestion->initial_packets);
    congestion->slow_start_threshold = UINT64_MAX;
    congestion->recovery_start = 0;
    congestion->in_recovery = congestion->had_event = false;
    stop_resuming(congestion);
    congestion->ops->reset(congestion);
}

/* Neither an event since the last reset nor another end of slow start. */
static bool is_untouched(const struct congestion *congestion)
{
    return !congestion->had_event && congestion->slow_start_threshold == UINT64_MAX;
}

void congestion_resume(struct congestion *congestion, uint64_t saved_window, roam_time saved_rtt)
{
    struct congestion_work *work = congestion->work;
    if (work != NULL && is_untouched(congestion) && work->resume.phase == RESUME_OFF)
        careful_resume_begin(&work->resume, min_u64(saved_window, WINDOW_BYTES_MAX), saved_rtt,
                             initial_window(congestion->datagram_bytes, congestion->initial_packets));
}

void congestion_set_datagram_bytes(struct congestion *congestion, uint64_t datagram_bytes)
{
    assert(datagram_bytes > 0 && datagram_bytes <= UINT16_MAX);
    bool is_initial = is_untouched(congestion) &&
                      congestion->window == initial_window(congestion->datagram_bytes, congestion->initial_packets);
    congestion->datagram_bytes = datagram_bytes;
    //= rfc9002#7.2 A change of the maximum datagram size recalculates the initial window.
    if (is_initial)
        congestion->window = initial_window(datagram_bytes, congestion->initial_packets);
    congestion->window = max_u64(congestion->window, congestion_minimum_window(congestion));
}

uint16_t congestion_stamp(struct congestion *congestion, uint64_t bytes, bool ran_out, roam_time now)
{
    return congestion->bbr != NULL ? bbr_on_sent(congestion, bytes, ran_out, now) : 0;
}

void congestion_on_ran_out(struct congestion *congestion)
{
    if (congestion->bbr != NULL)
        delivery_rate_limit(&congestion->bbr->rate, congestion->in_flight);
}

void congestion_on_delivered(struct congestion *congestion, uint16_t stamp, uint64_t bytes, roam_time sent_at,
                             roam_time now)
{
    if (congestion->bbr != NULL)
        bbr_on_delivered(congestion, stamp, bytes, sent_at, now);
}

void congestion_on_packet_lost(struct congestion *congestion, uint16_t stamp, uint64_t number, uint64_t bytes,
                               roam_time now)
{
    if (congestion->bbr != NULL)
        bbr_on_lost(congestion, stamp, number, bytes, now);
}

void congestion_on_sent(struct congestion *congestion, uint64_t bytes)
{
    congestion->in_flight += bytes;
    congestion->flight_peak = max_u64(congestion->flight_peak, congestion->in_flight);
}

void congestion_on_ack_end(struct congestion *congestion, const struct rtt *rtt, roam_time now)
{
    if (congestion->ops->on_ack_end != NULL)
        congestion->ops->on_ack_end(congestion, rtt, now);
    congestion->flight_peak = congestion->in_flight;
}

/* Half of it was in flight: what the pacer holds back for a while is no lack of use. */
static bool window_is_in_use(const struct congestion *congestion)
{
    return congestion->flight_peak >= congestion->window / 2;
}

void congestion_forget(struct congestion *congestion, uint64_t bytes)
{
    assert(congestion->in_flight >= bytes);
    congestion->in_flight -= bytes;
}

/* Sent before the newest recovery period began: neither its loss nor its acknowledgement says anything new. A clock may
 * start at zero, so that recovery_start alone cannot tell "never". */
static bool is_of_the_past(const struct congestion *congestion, roam_time sent_at)
{
    return congestion->had_event && sent_at <= congestion->recovery_start;
}

void congestion_on_acked(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now,
                         const struct rtt *rtt, bool app_limited)
{
    congestion_forget(congestion, bytes);
    if (is_of_the_past(congestion, sent_at))
        return;
    //= rfc9002#7.8 A window that is not in use does not grow, however much waits behind another limit.
    app_limited |= !window_is_in_use(congestion);
    //= rfc9002#7.3.2 Recovery ends when a packet sent during it is acknowledged.
    congestion->in_recovery = false;
    if (congestion->ops->on_acked != NULL && !congestion_is_held(congestion))
        congestion->ops->on_acked(congestion, bytes, sent_at, now, rtt, app_limited);
    if (congestion->work != NULL)
        congestion->window = careful_resume_on_acked(&congestion->work->resume, congestion->window,
                                                     congestion->in_flight, bytes, sent_at, now, rtt, app_limited);
    congestion->window = min_u64(congestion->window, WINDOW_BYTES_MAX);
}

static void on_new_event(struct congestion *congestion, bool ce, roam_time sent_at, roam_time now)
{
    //= rfc9002#7.3.2 The window is lowered once a recovery period.
    if (is_of_the_past(congestion, sent_at))
        return;
    congestion->in_recovery = congestion->had_event = true;
    congestion->recovery_start = now;
    congestion->ops->on_event(congestion, ce, now);
    if (congestion->work == NULL)
        return;
    uint64_t retreat = careful_resume_on_event(&congestion->work->resume, congestion_minimum_window(congestion), now);
    if (retreat > 0)
        congestion->window = congestion->slow_start_threshold = min_u64(retreat, congestion->window);
}

void congestion_on_lost(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now)
{
    congestion_forget(congestion, bytes);
    on_new_event(congestion, false, sent_at, now);
}

void congestion_on_ce(struct congestion *congestion, roam_time sent_at, roam_time now)
{
    //= rfc9002#7.1 More CE marks are answered like a loss of the packet that they were reported with.
    on_new_event(congestion, true, sent_at, now);
}

void congestion_on_persistent(struct congestion *congestion)
{
    //= rfc9002#7.6.2 The window falls to the minimum.
    congestion->window = congestion_minimum_window(congestion);
    congestion->recovery_start = 0;
    congestion->in_recovery = false;
    stop_resuming(congestion);
    congestion->ops->reset(congestion);
}

uint64_t congestion_proven_window(const struct congestion *congestion)
{
    const struct bbr *bbr = congestion->bbr;
    return bbr != NULL && bbr->state == BBR_PROBE_RTT ? max_u64(congestion->window, bbr->window_before)
                                                      : congestion->window;
}

const char *congestion_state_name(const struct congestion *congestion)
{
    if (congestion->ops->state != NULL)
        return congestion->ops->state(congestion);
    if (congestion->in_recovery)
        return "recovery";
    return congestion_in_slow_start(congestion) ? "slow_start" : "congestion_avoidance";
}

uint64_t congestion_allowance(const struct congestion *congestion)
{
    return saturating_sub(congestion->window, congestion->in_flight);
}
