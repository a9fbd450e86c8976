/*
 * Flow control. Invariants: used <= limit; consumed <= received <= limit; limits only grow and fit into a varint.
 * A *_BLOCKED frame is owed at most once for each limit (flow_send_on_blocked); raising the limit withdraws it.
 */
#include "stream/flow_control.h"

#include <assert.h>

#include "base/minmax.h"
#include "base/varint.h"

/* Half of a window goes in so many round trips where the window is what limits the peer: a limit takes one to come back,
 * and what is measured of it varies. */
#define TUNING_RTTS 2

void flow_send_init(struct flow_send *flow, uint64_t limit)
{
    *flow = (struct flow_send){.limit = limit, .blocked_at = UINT64_MAX};
}

bool flow_send_raise(struct flow_send *flow, uint64_t limit)
{
    //= rfc9000#4.1 A sender ignores a MAX_DATA or MAX_STREAM_DATA frame that does not raise the limit
    if (limit <= flow->limit)
        return false;
    flow->limit = limit;
    flow->blocked_pending = false;
    return true;
}

void flow_send_on_blocked(struct flow_send *flow)
{
    if (flow->blocked_at == flow->limit)
        return;
    flow->blocked_at = flow->limit;
    flow->blocked_pending = true;
}

void flow_receive_init(struct flow_receive *flow, uint64_t window)
{
    window = min_u64(window, VARINT_MAX);
    *flow = (struct flow_receive){.limit = window, .window = window};
}

bool flow_receive_add(struct flow_receive *flow, uint64_t more)
{
    if (more > flow->limit - flow->received)
        return false;
    flow->received += more;
    return true;
}

/* The limit that the window allows by now. */
static uint64_t limit_now(const struct flow_receive *flow)
{
    return max_u64(flow->limit, min_u64(saturating_add(flow->consumed, flow->window), VARINT_MAX));
}

void flow_receive_consume(struct flow_receive *flow, uint64_t octets)
{
    assert(octets <= flow->received - flow->consumed);
    flow->consumed += octets;
    //= rfc9000#4.2 Credit is given without waiting for a blocked frame
    if (limit_now(flow) > flow->limit && flow->limit - flow->consumed <= flow->window / 2)
        flow->update_pending = true;
}

void flow_receive_tune(struct flow_receive *flow, roam_time now, roam_time rtt, uint64_t window_max)
{
    if (limit_now(flow) == flow->limit)
        return; /* it only says again what it has said */
    bool fast = saturating_sub(now, flow->tuned_at) < saturating_mul(TUNING_RTTS, rtt);
    flow->tuned_at = now;
    if (fast && flow->window < window_max)
        flow->window = min_u64(2 * flow->window, window_max);
}

uint64_t flow_receive_advertise(struct flow_receive *flow)
{
    flow->limit = limit_now(flow);
    flow->update_pending = false;
    return flow->limit;
}
