/*
 * CUBIC, RFC 9438, in integers only: the same acknowledgements give the same windows on every machine. Windows are
 * octets, the cubic function is computed in microseconds with 128-bit products, and what a division leaves over is
 * granted with the next acknowledgement, so that small steps are not lost to rounding.
 *
 * An epoch is one stretch of congestion avoidance. States: no epoch (epoch_start 0) -> growing (begin_epoch, the
 * first acknowledgement in congestion avoidance) <-> application-limited (idle_since set; its time is taken out of
 * the epoch) -> no epoch (cubic_on_event, cubic_reset). Slow start is RFC 9002's, and HyStart++ (RFC 9406) ends it
 * before it overruns the queue; the pacer spreads what it sends, so that no step of its growth is cut short.
 */
#include "recovery/congestion.h"

#include "base/minmax.h"
#include "recovery/window.h"

__extension__ typedef unsigned __int128 wide;

/* C = 4/10 segments per second cubed, beta = 7/10, section 5. */
#define C_NUMERATOR      4
#define C_DENOMINATOR    10
#define BETA_NUMERATOR   7
#define BETA_DENOMINATOR 10

/* alpha = 3 * (1 - beta) / (1 + beta) = 9/17, section 4.3. */
#define ALPHA_NUMERATOR   9
#define ALPHA_DENOMINATOR 17

#define MICROSECONDS_CUBED UINT64_C(1000000000000000000) /* of one second */

/* Further from K than 19 hours the cubic function is beyond every window; its product stays below 2^128. */
#define DISTANCE_MAX_US (UINT64_C(1) << 36)

/* The largest root with root^3 <= value, for values below 2^126. */
static uint64_t cube_root(wide value)
{
    uint64_t root = 0;
    for (int bit = 41; bit >= 0; bit--) {
        uint64_t candidate = root | UINT64_C(1) << bit;
        if ((wide)candidate * candidate * candidate <= value)
            root = candidate;
    }
    return root;
}

/* W_cubic(t), section 4.2. */
static uint64_t window_at(const struct congestion *congestion, roam_time t)
{
    const struct cubic *cubic = &congestion->work->cubic;
    roam_time k = cubic->k;
    uint64_t distance_us = min_u64((t > k ? t - k : k - t) / ROAM_MICROSECONDS(1), DISTANCE_MAX_US);
    wide cube = (wide)distance_us * distance_us * distance_us;
    wide change = cube * C_NUMERATOR * congestion->datagram_bytes / C_DENOMINATOR / MICROSECONDS_CUBED;
    if (t < k)
        return saturating_sub(cubic->window_max, (uint64_t)change);
    return min_u64(saturating_add(cubic->window_max, (uint64_t)change), WINDOW_BYTES_MAX);
}

/* K, section 4.2: how long until the function is at W_max again. */
static roam_time time_to_window_max(const struct congestion *congestion)
{
    wide missing = congestion->work->cubic.window_max - congestion->window;
    wide us_cubed = missing * C_DENOMINATOR * MICROSECONDS_CUBED / C_NUMERATOR / congestion->datagram_bytes;
    return ROAM_MICROSECONDS(cube_root(us_cubed));
}

static void cubic_reset(struct congestion *congestion)
{
    if (congestion->work == NULL)
        return;
    congestion->work->cubic = (struct cubic){0};
    //= rfc9406#4.3 HyStart++ is for the initial slow start; later ones end at the threshold that was found.
    if (congestion->slow_start_threshold != UINT64_MAX)
        hystart_stop(&congestion->work->cubic.hystart);
}

static void begin_epoch(struct congestion *congestion, roam_time now)
{
    struct cubic *cubic = &congestion->work->cubic;
    cubic->epoch_start = max_u64(now, 1);
    cubic->updated = cubic->epoch_start;
    cubic->idle_since = 0;
    cubic->origin_window = congestion->window;
    cubic->estimate = congestion->window;
    cubic->window_rest = 0;
    cubic->estimate_rest = 0;
    /* Sections 4.8 and 4.10: with no W_max above the window the function starts on its plateau. */
    if (congestion->window >= cubic->window_max) {
        cubic->window_max = congestion->window;
        cubic->k = 0;
    } else {
        cubic->k = time_to_window_max(congestion);
    }
}

/* Adds numerator / denominator, and keeps what is left over for the next time. */
static void grow(uint64_t *window, uint64_t *rest, wide numerator, uint64_t denominator)
{
    numerator += *rest;
    *window = min_u64(*window + (uint64_t)(numerator / denominator), WINDOW_BYTES_MAX);
    *rest = (uint64_t)(numerator % denominator);
}

/* W_est, section 4.3: what Reno would have by now. */
static void grow_estimate(struct congestion *congestion, uint64_t bytes)
{
    struct cubic *cubic = &congestion->work->cubic;
    bool recovered = cubic->estimate >= cubic->window_prior;
    uint64_t alpha = recovered ? ALPHA_DENOMINATOR : ALPHA_NUMERATOR;
    grow(&cubic->estimate, &cubic->estimate_rest, (wide)bytes * congestion->datagram_bytes * alpha,
         congestion->window * ALPHA_DENOMINATOR);
}

static void avoid_congestion(struct congestion *congestion, uint64_t bytes, roam_time now, const struct rtt *rtt)
{
    struct cubic *cubic = &congestion->work->cubic;
    roam_time t = saturating_sub(now, cubic->epoch_start);
    grow_estimate(congestion, bytes);
    if (window_at(congestion, t) < cubic->estimate) {
        /* The Reno-friendly region. An acknowledgement never lowers the window. */
        congestion->window = max_u64(congestion->window, cubic->estimate);
        return;
    }
    /* Sections 4.4 and 4.5: towards where the function is one round trip on, by at most half in that time. */
    uint64_t target = window_at(congestion, saturating_add(t, rtt->smoothed));
    target = min_u64(max_u64(target, congestion->window), congestion->window + congestion->window / 2);
    grow(&congestion->window, &cubic->window_rest, (wide)(target - congestion->window) * bytes, congestion->window);
}

static void cubic_on_acked(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now,
                           const struct rtt *rtt, bool app_limited)
{
    struct cubic *cubic = &congestion->work->cubic;
    bool has_epoch = cubic->epoch_start != 0;
    //= rfc9002#7.8 A window that was not in use does not grow.
    if (app_limited) {
        if (has_epoch && cubic->idle_since == 0)
            cubic->idle_since = cubic->updated;
        return;
    }
    if (congestion_in_slow_start(congestion)) {
        congestion->window += hystart_on_acked(&cubic->hystart, bytes, sent_at);
        return;
    }
    if (!has_epoch)
        begin_epoch(congestion, now);
    /* RFC 9438 section 4.2: time in which the window could not grow is no part of the epoch. */
    if (cubic->idle_since != 0) {
        cubic->epoch_start += saturating_sub(now, cubic->idle_since);
        cubic->idle_since = 0;
    }
    cubic->updated = max_u64(now, 1);
    avoid_congestion(congestion, bytes, now, rtt);
}

static void cubic_on_ack_end(struct congestion *congestion, const struct rtt *rtt, roam_time now)
{
    (void)rtt;
    /* What follows is congestion avoidance without a W_max: section 4.10. */
    if (congestion_in_slow_start(congestion) && hystart_on_ack_end(&congestion->work->cubic.hystart, now))
        congestion->slow_start_threshold = congestion->window;
}

static void cubic_on_event(struct congestion *congestion, bool ce, roam_time now)
{
    struct cubic *cubic = &congestion->work->cubic;
    (void)ce, (void)now;
    uint64_t window = congestion->window;
    cubic->window_prior = window;
    /* Fast convergence, section 4.7: a flow that lost ground leaves some to the newcomers. */
    cubic->window_max =
        window < cubic->window_max ? window * (BETA_DENOMINATOR + BETA_NUMERATOR) / (2 * BETA_DENOMINATOR) : window;
    /* Section 4.6, with RFC 9002's minimum window. */
    congestion->slow_start_threshold =
        max_u64(window * BETA_NUMERATOR / BETA_DENOMINATOR, congestion_minimum_window(congestion));
    congestion->window = congestion->slow_start_threshold;
    cubic->epoch_start = 0;
    cubic->idle_since = 0;
    hystart_stop(&cubic->hystart);
}

/* Before the first event there is nothing to return to. HyStart's round is over after a pause, unless it has seen the RTT
 * rise. */
static bool cubic_may_rest(const struct congestion *congestion)
{
    const struct cubic *cubic = &congestion->work->cubic;
    return cubic->window_max == 0 && cubic->window_prior == 0 && cubic->epoch_start == 0 &&
           (congestion->slow_start_threshold != UINT64_MAX || cubic->hystart.phase == HYSTART_SLOW_START);
}

const struct congestion_ops congestion_cubic = {
    .name = "cubic",
    .reset = cubic_reset,
    .on_acked = cubic_on_acked,
    .on_ack_end = cubic_on_ack_end,
    .on_event = cubic_on_event,
    .may_rest = cubic_may_rest,
};
