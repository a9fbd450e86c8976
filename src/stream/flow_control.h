/*
 * Flow control, RFC 9000 section 4: a limit the peer gave us, a limit we gave the peer. Both for streams and for the
 * connection. Credit grows as the application reads, in steps of half a window.
 */
#ifndef STREAM_FLOW_CONTROL_H
#define STREAM_FLOW_CONTROL_H

#include <roam/types.h>

/* What the peer lets us send. */
struct flow_send {
    uint64_t limit; /* offset that we must not pass */
    uint64_t used;
    uint64_t blocked_at;  /* the limit at which a *_BLOCKED frame is owed or was sent; UINT64_MAX: none */
    bool blocked_pending; /* a *_BLOCKED frame must go out (again) */
};

/* What we let the peer send. */
struct flow_receive {
    uint64_t limit;      /* offset promised to the peer */
    uint64_t window;     /* how far ahead of what was consumed the limit is kept */
    uint64_t received;   /* highest offset that came */
    uint64_t consumed;   /* what the application has read or thrown away */
    roam_time tuned_at;  /* when the limit was last raised */
    bool update_pending; /* a MAX_* frame must go out (again) */
};

void flow_send_init(struct flow_send *flow, uint64_t limit);
static inline uint64_t flow_send_left(const struct flow_send *flow)
{
    return flow->limit > flow->used ? flow->limit - flow->used : 0;
}

/* MAX_DATA and its like: false where it does not raise the limit. */
bool flow_send_raise(struct flow_send *flow, uint64_t limit);

/* There is more to send than `limit` allows: a *_BLOCKED frame is owed, once a limit. */
void flow_send_on_blocked(struct flow_send *flow);

void flow_receive_init(struct flow_receive *flow, uint64_t window);

/* `more` octets beyond what came so far; false where that passes the limit: FLOW_CONTROL_ERROR. */
bool flow_receive_add(struct flow_receive *flow, uint64_t more);

/* The application took `octets`. Sets update_pending when half of the window has been used up. */
void flow_receive_consume(struct flow_receive *flow, uint64_t octets);

/* Before the limit is raised: where the one before was used up in little more than a round trip, the limit may be what
 * holds the peer back, and the window doubles, up to window_max. */
void flow_receive_tune(struct flow_receive *flow, roam_time now, roam_time rtt, uint64_t window_max);

/* The limit to put into a MAX_* frame now; clears update_pending. */
uint64_t flow_receive_advertise(struct flow_receive *flow);

#endif
