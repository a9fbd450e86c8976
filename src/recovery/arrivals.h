/*
 * How packets usually come, and when it is news that none does. A receiver of bulk data has nothing on the way that a PTO
 * would repeat; where a NAT has forgotten it, all it notices is the silence. How soon that means something depends on
 * what was usual: a sender that paces leaves gaps of microseconds, one that sends a window at once leaves one of nearly
 * a round trip.
 *
 * Invariant: what is asked costs at most one octet in ARRIVALS_SHARE of those that came.
 */
#ifndef RECOVERY_ARRIVALS_H
#define RECOVERY_ARRIVALS_H

#include "recovery/rtt.h"

/* A silence is news after this, after an eighth of a round trip, or when it is longer by half than is usual, whichever is
 * last. Shorter ones may be the scheduler's, of either host. */
#define ARRIVALS_SILENCE_MIN ROAM_MILLISECONDS(3)
#define ARRIVALS_RTT_DIVISOR 8

/* Questions in one silence: the first when it is news, and another each time that it has grown by half, for one may be
 * lost, and the change may come after it. A server that may send three times what came from a new address has an
 * initial window by the fourth; by the last a PTO has passed. */
#define ARRIVALS_QUESTIONS_MAX 7

/* Octets of a question, and how many must have come for each of them. */
#define ARRIVALS_QUESTION_BYTES 1200
#define ARRIVALS_SHARE          32

/* Usual is what happened twice in as many round trips as this, or as many before them. */
#define ARRIVALS_PERIOD_RTTS 8

struct arrivals {
    bool any;
    bool expects_none; /* in the silence that lasts */
    uint8_t asked;     /* likewise */
    uint32_t credit_bytes;
    roam_time newest;   /* when it came */
    roam_time asked_at; /* the first time, while asked > 0 */
    roam_time period_began;
    struct arrivals_silences {
        roam_time longest, second;
    } recent, before;        /* between two packets, in this period and in the one before */
    roam_time excused_until; /* silences up to then have a reason that is known */
};

/* A packet came that wants to be acknowledged, in so many octets. */
void arrivals_on_received(struct arrivals *arrivals, roam_time now, size_t bytes, const struct rtt *rtt);

/* The peer asks whether we are where it hears us from: it fell silent because of that, and says little before it knows.
 */
void arrivals_excuse(struct arrivals *arrivals, roam_time now, const struct rtt *rtt);

/* When to ask whether anybody is there. ROAM_TIME_NEVER where too little came, enough was asked, or a PTO will say as
 * much. */
roam_time arrivals_ask_at(const struct arrivals *arrivals, const struct rtt *rtt);

/* It is asked now. */
void arrivals_on_asked(struct arrivals *arrivals, roam_time now);

/* Nothing is to come: this silence says nothing. */
void arrivals_expect_none(struct arrivals *arrivals);

#endif
