/*
 * Has the peer been proven to be on this path? One machine per path, RFC 9000 section 8.2; several run at once, each on
 * its own path.
 *
 * IDLE -> (start) RUNNING -> (on_response) SUCCEEDED | (expire) FAILED; SUCCEEDED or FAILED -> (start) RUNNING again.
 * A challenge that left in a datagram under 1200 octets proves the address, not the path's size: then a second,
 * full-size round runs (section 8.2.1) and `needs_full_size` stays true until it has succeeded.
 * Every challenge carries fresh data; any of the newest CHALLENGES_KEPT may be answered, on whichever path the response
 * comes.
 */
#ifndef PATH_PATH_VALIDATION_H
#define PATH_PATH_VALIDATION_H

#include <roam/types.h>

#include "base/rng.h"
#include "wire/frame.h"

#define CHALLENGES_KEPT 4

enum validation_state { VALIDATION_IDLE, VALIDATION_RUNNING, VALIDATION_SUCCEEDED, VALIDATION_FAILED };

struct path_challenge {
    uint8_t data[PATH_DATA_BYTES];
    roam_time sent_at;
    bool full_size;
};

struct path_validation {
    enum validation_state state;
    bool address_proven;  /* some challenge of this run was answered */
    bool needs_full_size; /* still to be answered: a challenge in a full-size datagram */
    bool challenge_due;   /* one is to be sent now */
    bool keep;            /* an earlier run had succeeded, none failed since: abandoning this one leaves it so */
    uint8_t sent;         /* challenges sent in this round, 255 at most */
    uint8_t kept;         /* challenges of this run that can still be answered */
    struct path_challenge *challenges; /* CHALLENGES_KEPT of them, newest first; NULL where none can leave */
    roam_time pto;                     /* at the start */
    roam_time timeout;                 /* of each round: 3 * max(PTO of this path, PTO of the active one) */
    roam_time resend_at;               /* ROAM_TIME_NEVER */
    roam_time deadline;                /* the run fails then; ROAM_TIME_NEVER */
};

enum validation_answer {
    VALIDATION_NO_MATCH, /* data of no challenge of ours */
    VALIDATION_REPEAT,   /* it fits a challenge, but proves nothing new: to be ignored */
    VALIDATION_ADDRESS,  /* the address is proven, the full-size round goes on */
    VALIDATION_COMPLETE, /* SUCCEEDED */
};

void path_validation_init(struct path_validation *validation);

/* Challenges are to be sent. `memory`: CHALLENGES_KEPT of them, until path_validation_forget. */
void path_validation_remember(struct path_validation *validation, struct path_challenge *memory);

/* None of the challenges that left can be answered any more. Not while a run goes on. */
void path_validation_forget(struct path_validation *validation);

/* When the newest challenge left; 0 where it is forgotten. */
static inline roam_time path_validation_asked_at(const struct path_validation *validation)
{
    return validation->challenges != NULL ? validation->challenges[0].sent_at : 0;
}

/* Starts a run, or leaves a running one alone. `pto` is that of this path (initial RTT on a new one), `active_pto` of
 * the active one: the run fails after 3 * max of both (section 8.2.4). */
void path_validation_start(struct path_validation *validation, roam_time now, roam_time pto, roam_time active_pto);

/* Writes fresh data for a challenge that leaves now. full_size: its datagram has at least 1200 octets. */
void path_validation_on_sent(struct path_validation *validation, const roam_rng *rng, roam_time now, bool full_size,
                             uint8_t ret[PATH_DATA_BYTES]);

/* *ret_delay (may be NULL) gets challenge to response, which may seed an initial RTT (RFC 9002 section 6.2.2). */
enum validation_answer path_validation_on_response(struct path_validation *validation,
                                                   const uint8_t data[PATH_DATA_BYTES], roam_time now,
                                                   roam_time *ret_delay);

/* The path has an RTT by now, from packets that were acknowledged there: challenges go by its PTO, where that is
 * shorter. The deadline stays. */
void path_validation_on_rtt(struct path_validation *validation, roam_time pto);

/* The next time to call expire. */
roam_time path_validation_deadline(const struct path_validation *validation);

/* Makes a challenge due again (with backoff, never faster than the PTO); returns true where the run has just failed. */
bool path_validation_expire(struct path_validation *validation, roam_time now);

/* What was to be sent could not be, and never will: a running one fails at once. False where none is running. */
bool path_validation_fail(struct path_validation *validation);

/* Stops a run without a verdict: back to SUCCEEDED where `keep` says so, else to IDLE. Nothing where none is
 * running. */
void path_validation_abandon(struct path_validation *validation);

/* A run has succeeded, and none failed since: also while it is being checked again. */
static inline bool path_validation_has_succeeded(const struct path_validation *validation)
{
    return validation->state == VALIDATION_SUCCEEDED || (validation->state == VALIDATION_RUNNING && validation->keep);
}

#endif
