/*
 * Careful resume: a path that was known before starts at half of the window that it had then, and proves step by step
 * that it still carries that much. After draft-ietf-tsvwg-careful-resume, whose words these are. Pure; it watches one
 * congestion controller and says which window that should have.
 *
 *   OFF -> RECONNAISSANCE            careful_resume_begin   the path is validated, and there is a saved window
 *   RECONNAISSANCE -> UNVALIDATED    on_acked   the initial window was acknowledged, and the RTT is what it was: jump
 *   RECONNAISSANCE -> OFF            on_acked   another RTT, or the window has grown that far by itself; on_event
 *   UNVALIDATED -> VALIDATING        on_acked   the first packet sent beyond what was proven has arrived
 *   VALIDATING -> OFF                on_acked   so has the last: the window is proven
 *   UNVALIDATED, VALIDATING -> SAFE_RETREAT     on_event   loss or CE: half of what has arrived
 *   SAFE_RETREAT -> OFF              on_acked   a packet sent after the retreat has arrived
 */
#ifndef RECOVERY_CAREFUL_RESUME_H
#define RECOVERY_CAREFUL_RESUME_H

#include "recovery/rtt.h"

enum resume_phase {
    RESUME_OFF,
    RESUME_RECONNAISSANCE,
    RESUME_UNVALIDATED,
    RESUME_VALIDATING,
    RESUME_SAFE_RETREAT,
};

/* Section 3.3 of the draft: only so much of the saved window is jumped to. */
#define RESUME_WINDOW_DIVISOR 2

/* The RTT counts as the same between half and ten times the saved one: a shorter one means a smaller product of
 * bandwidth and delay, a much longer one another network. */
#define RESUME_RTT_SHORTER 2
#define RESUME_RTT_LONGER  10

struct careful_resume {
    enum resume_phase phase;
    uint64_t jump_window;   /* octets */
    roam_time saved_rtt;    /* the least that was seen then */
    uint64_t wanted;        /* octets to be acknowledged before the jump */
    uint64_t pipe;          /* octets known to fit: acknowledged since reconnaissance began */
    roam_time jumped_at;    /* what left since is unvalidated */
    roam_time last_sent_at; /* the newest unvalidated packet; after a retreat, the retreat */
};

static inline void careful_resume_stop(struct careful_resume *resume)
{
    resume->phase = RESUME_OFF;
}

void careful_resume_begin(struct careful_resume *resume, uint64_t saved_window, roam_time saved_rtt,
                          uint64_t initial_window);

/* `bytes` that left at `sent_at` were acknowledged. Returns the window to go on with, from the present one. */
uint64_t careful_resume_on_acked(struct careful_resume *resume, uint64_t window, uint64_t in_flight, uint64_t bytes,
                                 roam_time sent_at, roam_time now, const struct rtt *rtt, bool app_limited);

/* A congestion event. The window to retreat to, at least `minimum`; 0: none but the controller's own answer. */
uint64_t careful_resume_on_event(struct careful_resume *resume, uint64_t minimum, roam_time now);

/* While it jumps and while it retreats the controller's own growth waits. */
static inline bool careful_resume_holds(const struct careful_resume *resume)
{
    return resume->phase == RESUME_UNVALIDATED || resume->phase == RESUME_SAFE_RETREAT;
}

#endif
