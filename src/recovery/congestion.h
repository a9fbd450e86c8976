/*
 * Congestion control of one path, RFC 9002 section 7, behind one table of functions: NewReno and CUBIC (RFC 9438).
 * The controller counts bytes in flight itself; in_flight equals the sum of bytes of outstanding in-flight packets
 * of its path in all sent maps, at every moment.
 */
#ifndef RECOVERY_CONGESTION_H
#define RECOVERY_CONGESTION_H

#include <roam/config.h>

#include "recovery/careful_resume.h"
#include "recovery/rtt.h"

struct congestion;

struct congestion_ops {
    const char *name; /* "cubic" */
    void (*reset)(struct congestion *congestion);
    /* `bytes` sent at `sent_at` were acknowledged; in_flight is already lowered. app_limited: the window was not in
     * use. */
    void (*on_acked)(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now,
                     const struct rtt *rtt, bool app_limited);
    /* A new congestion event: a packet sent at `sent_at` was lost or marked CE. Comes once a recovery period. */
    void (*on_event)(struct congestion *congestion, roam_time now);
};

struct congestion {
    const struct congestion_ops *ops;
    uint64_t datagram_bytes;       /* maximum datagram size of the path */
    uint64_t initial_packets;      /* initial window in datagrams */
    uint64_t window;               /* bytes */
    uint64_t slow_start_threshold; /* bytes; UINT64_MAX at first */
    uint64_t in_flight;            /* bytes */
    uint64_t flight_peak;          /* the most that was in flight since the newest ACK frame */
    roam_time recovery_start;      /* packets sent up to then are of the past: their loss is no new event */
    bool in_recovery;
    struct careful_resume resume;
    uint64_t acked_in_avoidance; /* NewReno: bytes acknowledged since the window grew last */
    struct {
        uint64_t window_max;                 /* W_max, bytes */
        roam_time epoch_start;               /* 0: no epoch */
        uint64_t origin_window;              /* cwnd at the epoch's start */
        uint64_t window_prior;               /* cwnd_prior: before the newest event */
        uint64_t estimate;                   /* W_est, bytes */
        uint64_t window_rest, estimate_rest; /* fractions of an octet that are still to be granted */
        roam_time k;                         /* time to reach window_max again */
        roam_time updated;                   /* when an acknowledgement last moved the window in this epoch */
        roam_time idle_since;                /* application-limited since; 0: not */
    } cubic;
};

void congestion_init(struct congestion *congestion, enum roam_congestion algorithm, uint64_t datagram_bytes,
                     uint64_t initial_packets);

/* Initial window again; in_flight is kept. RFC 9000 section 9.4. */
void congestion_reset(struct congestion *congestion);

/* The path is validated, and had this window and this RTT before: goes there with care, unless it has sent enough by
 * now to know better. */
void congestion_resume(struct congestion *congestion, uint64_t saved_window, roam_time saved_rtt);

/* The maximum datagram size changed: an untouched initial window follows it (RFC 9002 section 7.2). */
void congestion_set_datagram_bytes(struct congestion *congestion, uint64_t datagram_bytes);

void congestion_on_sent(struct congestion *congestion, uint64_t bytes);
void congestion_on_acked(struct congestion *congestion, uint64_t bytes, roam_time sent_at, roam_time now,
                         const struct rtt *rtt, bool app_limited);

/* All packets of an ACK frame were handed in. */
void congestion_on_ack_end(struct congestion *congestion);

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

static inline uint64_t congestion_minimum_window(const struct congestion *congestion)
{
    return 2 * congestion->datagram_bytes;
}

static inline bool congestion_in_slow_start(const struct congestion *congestion)
{
    return congestion->window < congestion->slow_start_threshold;
}

extern const struct congestion_ops congestion_newreno;
extern const struct congestion_ops congestion_cubic;

#endif
