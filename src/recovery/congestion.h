/*
 * Congestion control of one path, RFC 9002 section 7, behind one table of functions: NewReno, CUBIC (RFC 9438, with
 * HyStart++) and BBR (draft-ietf-ccwg-bbr).
 * The controller counts bytes in flight itself; in_flight equals the sum of bytes of outstanding in-flight packets
 * of its path in all sent maps, at every moment.
 */
#ifndef RECOVERY_CONGESTION_H
#define RECOVERY_CONGESTION_H

#include <roam/config.h>

#include "recovery/careful_resume.h"
#include "recovery/hystart.h"
#include "recovery/rtt.h"

struct bbr;
struct congestion;

struct congestion_ops {
    const char *name;                             /* "cubic" */
    void (*reset)(struct congestion *congestion); /* also where there is no work */
    /* `bytes` sent at `sent_at` were acknowledged; in_flight is already lowered. app_limited: the window was not in
     * use. NULL: it looks at whole ACK frames only. */
    void (*on_acked)(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now,
                     const struct rtt *rtt, bool app_limited);
    /* All packets of an ACK frame were handed in. NULL: that means nothing to it. */
    void (*on_ack_end)(struct congestion *congestion, const struct rtt *rtt, roam_time now);
    /* A new congestion event: a packet was lost or, `ce`, marked CE. Comes once a recovery period. */
    void (*on_event)(struct congestion *congestion, bool ce, roam_time now);
    /* What a log says of its state; NULL: slow start or congestion avoidance. */
    const char *(*state)(const struct congestion *congestion);
    /* The work is as `reset` makes it, but for what is of no use after a pause. NULL: always. */
    bool (*may_rest)(const struct congestion *congestion);
};

struct congestion {
    const struct congestion_ops *ops;
    uint64_t datagram_bytes;       /* maximum datagram size of the path */
    uint64_t initial_packets;      /* initial window in datagrams */
    uint64_t window;               /* bytes */
    uint64_t slow_start_threshold; /* bytes; UINT64_MAX at first */
    uint64_t in_flight;            /* bytes */
    uint64_t flight_peak;          /* the most that was in flight since the newest ACK frame */
    uint64_t pacing_rate;          /* octets a second; 0: what window and RTT make of it (pacer.h) */
    roam_time recovery_start;      /* packets sent up to then are of the past: their loss is no new event */
    bool in_recovery;
    bool had_event;               /* since the last reset */
    uint64_t acked_in_avoidance;  /* NewReno: bytes acknowledged since the window grew last */
    struct congestion_work *work; /* NULL while nothing is under way: congestion_rest */
    struct bbr *bbr;              /* its memory, the path's; NULL for the others */
};

/* What growth goes by while packets are under way. A path at rest does without: see congestion_may_rest. */
struct congestion_work {
    struct careful_resume resume;
    struct cubic {
        uint64_t window_max;                 /* W_max, bytes */
        roam_time epoch_start;               /* 0: no epoch */
        uint64_t origin_window;              /* cwnd at the epoch's start */
        uint64_t window_prior;               /* cwnd_prior: before the newest event */
        uint64_t estimate;                   /* W_est, bytes */
        uint64_t window_rest, estimate_rest; /* fractions of an octet that are still to be granted */
        roam_time k;                         /* time to reach window_max again */
        roam_time updated;                   /* when an acknowledgement last moved the window in this epoch */
        roam_time idle_since;                /* application-limited since; 0: not */
        struct hystart hystart;
    } cubic;
};

/* `bbr`: memory for that, which must live as long; NULL for the others. It begins at rest. */
void congestion_init(struct congestion *congestion, enum roam_congestion algorithm, uint64_t datagram_bytes,
                     uint64_t initial_packets, struct bbr *bbr);

/* Packets are to be sent. `work`: memory for as long as they are under way. */
void congestion_begin_work(struct congestion *congestion, struct congestion_work *work);

/* Nothing is in flight, and the work holds nothing that a fresh one would not: it can be given back. */
bool congestion_may_rest(const struct congestion *congestion);
void congestion_rest(struct congestion *congestion);

/* Octets of memory that this algorithm wants beside a struct congestion. */
size_t congestion_memory_bytes(enum roam_congestion algorithm);

/* Goes on as the other one is, which is of the same algorithm; in_flight is kept. RFC 9000 section 9.4. */
void congestion_inherit(struct congestion *congestion, const struct congestion *from);

/* Initial window again; in_flight is kept. RFC 9000 section 9.4. */
void congestion_reset(struct congestion *congestion);

/* The path is validated, and had this window and this RTT before: goes there with care, unless it has sent enough by
 * now to know better. */
void congestion_resume(struct congestion *congestion, uint64_t saved_window, roam_time saved_rtt);

/* The maximum datagram size changed: an untouched initial window follows it (RFC 9002 section 7.2). */
void congestion_set_datagram_bytes(struct congestion *congestion, uint64_t datagram_bytes);

/* What a packet of `bytes` that leaves now is to remember for congestion_on_delivered and congestion_on_packet_lost.
 * `ran_out`: with it, all there is to send has left. To be called before congestion_on_sent. */
uint16_t congestion_stamp(struct congestion *congestion, uint64_t bytes, bool ran_out, roam_time now);

void congestion_on_sent(struct congestion *congestion, uint64_t bytes);

/* All there is to send has left, and more might have: as `ran_out` above, where that was not known yet. */
void congestion_on_ran_out(struct congestion *congestion);

/* For controllers that measure: the packet with that stamp was acknowledged, or lost (its number tells bursts of losses
 * from others). To be called before congestion_on_acked and congestion_on_lost. */
void congestion_on_delivered(struct congestion *congestion, uint16_t stamp, uint64_t bytes, roam_time sent_at,
                             roam_time now);
void congestion_on_packet_lost(struct congestion *congestion, uint16_t stamp, uint64_t number, uint64_t bytes,
                               roam_time now);

void congestion_on_acked(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now,
                         const struct rtt *rtt, bool app_limited);

/* All packets of an ACK frame were handed in, and its RTT sample was taken. */
void congestion_on_ack_end(struct congestion *congestion, const struct rtt *rtt, roam_time now);

/* The packet is no longer in flight and says nothing about congestion (key discard, section 6.4; MTU probes). */
void congestion_forget(struct congestion *congestion, uint64_t bytes);

/* A lost packet of `bytes` sent at `sent_at`. */
void congestion_on_lost(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now);

/* An ACK newly reported CE for a packet sent at `sent_at`, section 7.1. */
void congestion_on_ce(struct congestion *congestion, roam_time sent_at, roam_time now);

/* Section 7.6: down to the minimum window, recovery period ended. */
void congestion_on_persistent(struct congestion *congestion);

/* Bytes that may be sent now: window - in_flight, at least 0. */
uint64_t congestion_allowance(const struct congestion *congestion);

/* The window that the path has proven, while the controller holds it lower to look at the RTT. */
uint64_t congestion_proven_window(const struct congestion *congestion);

/* The state in a log's words. */
const char *congestion_state_name(const struct congestion *congestion);

static inline uint64_t congestion_minimum_window(const struct congestion *congestion)
{
    return 2 * congestion->datagram_bytes;
}

/* Careful resume has the window: it jumps, or retreats. */
static inline bool congestion_is_held(const struct congestion *congestion)
{
    return congestion->work != NULL && careful_resume_holds(&congestion->work->resume);
}

/* The window is a jump's, which is not proven yet. */
static inline bool congestion_is_jumping(const struct congestion *congestion)
{
    return congestion->work != NULL && congestion->work->resume.phase == RESUME_UNVALIDATED;
}

static inline bool congestion_in_slow_start(const struct congestion *congestion)
{
    return congestion->window < congestion->slow_start_threshold;
}

extern const struct congestion_ops congestion_newreno;
extern const struct congestion_ops congestion_cubic;
extern const struct congestion_ops congestion_bbr;

#endif
