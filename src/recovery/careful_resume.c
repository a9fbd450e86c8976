/* Careful resume: see the header for phases and transitions. Packets are told apart by when they left: those that left
 * before the jump are of reconnaissance, those up to the first acknowledgement after it are unvalidated. */
#include "recovery/careful_resume.h"

#include "base/minmax.h"

void careful_resume_begin(struct careful_resume *resume, uint64_t saved_window, roam_time saved_rtt,
                          uint64_t initial_window)
{
    *resume = (struct careful_resume){
        .phase = saved_window / RESUME_WINDOW_DIVISOR > initial_window ? RESUME_RECONNAISSANCE : RESUME_OFF,
        .jump_window = saved_window / RESUME_WINDOW_DIVISOR,
        .saved_rtt = saved_rtt,
        .wanted = initial_window,
    };
}

static bool is_same_network(const struct careful_resume *resume, const struct rtt *rtt)
{
    return rtt->has_sample && rtt->min >= resume->saved_rtt / RESUME_RTT_SHORTER &&
           rtt->min <= saturating_mul(resume->saved_rtt, RESUME_RTT_LONGER);
}

static uint64_t jump_when_confirmed(struct careful_resume *resume, uint64_t window, roam_time now,
                                    const struct rtt *rtt)
{
    if (resume->pipe < resume->wanted)
        return window;
    if (window >= resume->jump_window || !is_same_network(resume, rtt)) {
        careful_resume_stop(resume);
        return window;
    }
    resume->phase = RESUME_UNVALIDATED;
    resume->jumped_at = now;
    return resume->jump_window;
}

uint64_t careful_resume_on_acked(struct careful_resume *resume, uint64_t window, uint64_t in_flight, uint64_t bytes,
                                 roam_time sent_at, roam_time now, const struct rtt *rtt, bool app_limited)
{
    switch (resume->phase) {
    case RESUME_OFF:
        break;
    case RESUME_RECONNAISSANCE:
        /* Who has little to say learns little of the path, and needs no larger window. */
        if (!app_limited)
            resume->pipe += bytes;
        return jump_when_confirmed(resume, window, now, rtt);
    case RESUME_UNVALIDATED:
        resume->pipe += bytes;
        if (sent_at < resume->jumped_at)
            break;
        /* What is in flight now will tell; no more than that is claimed. */
        resume->phase = RESUME_VALIDATING;
        resume->last_sent_at = now;
        return max_u64(in_flight + bytes, resume->pipe);
    case RESUME_VALIDATING:
        resume->pipe += bytes;
        if (sent_at >= resume->last_sent_at)
            careful_resume_stop(resume);
        break;
    case RESUME_SAFE_RETREAT:
        if (sent_at >= resume->last_sent_at)
            careful_resume_stop(resume);
        break;
    }
    return window;
}

uint64_t careful_resume_on_event(struct careful_resume *resume, uint64_t minimum, roam_time now)
{
    bool beyond = resume->phase == RESUME_UNVALIDATED || resume->phase == RESUME_VALIDATING;
    if (!beyond) {
        if (resume->phase == RESUME_RECONNAISSANCE)
            careful_resume_stop(resume);
        return 0;
    }
    resume->phase = RESUME_SAFE_RETREAT;
    resume->last_sent_at = now;
    return max_u64(resume->pipe / 2, minimum);
}
