/* Arrivals: see the header. A sender that goes by bursts leaves a silence in each round trip, and one that has met with a
 * loss a single one: usual is what happened twice. */
#include "recovery/arrivals.h"

#include "base/minmax.h"

#define CREDIT_BYTES_MAX (ARRIVALS_QUESTIONS_MAX * ARRIVALS_QUESTION_BYTES * ARRIVALS_SHARE)

static void note_silence(struct arrivals *arrivals, roam_time now, roam_time silence, const struct rtt *rtt)
{
    if (now >= saturating_add(arrivals->period_began, saturating_mul(rtt->smoothed, ARRIVALS_PERIOD_RTTS))) {
        arrivals->period_began = now;
        arrivals->before = arrivals->recent;
        arrivals->recent = (struct arrivals_silences){0};
    }
    struct arrivals_silences *silences = &arrivals->recent;
    silences->second = max_u64(silences->second, min_u64(silences->longest, silence));
    silences->longest = max_u64(silences->longest, silence);
}

/* The second longest of both periods. */
static roam_time usual_silence(const struct arrivals *arrivals)
{
    roam_time second = max_u64(arrivals->recent.second, arrivals->before.second);
    return max_u64(second, min_u64(arrivals->recent.longest, arrivals->before.longest));
}

void arrivals_on_received(struct arrivals *arrivals, roam_time now, size_t bytes, const struct rtt *rtt)
{
    if (arrivals->any && now >= arrivals->excused_until)
        note_silence(arrivals, now, saturating_sub(now, arrivals->newest), rtt);
    arrivals->any = true;
    arrivals->expects_none = false;
    arrivals->newest = now;
    arrivals->asked = 0;
    arrivals->credit_bytes = (uint32_t)min_u64(arrivals->credit_bytes + bytes, CREDIT_BYTES_MAX);
}

void arrivals_excuse(struct arrivals *arrivals, roam_time now, const struct rtt *rtt)
{
    arrivals->excused_until = saturating_add(now, saturating_mul(rtt->smoothed, 2));
}

static roam_time news_after(const struct arrivals *arrivals, const struct rtt *rtt)
{
    roam_time usual = usual_silence(arrivals);
    return max_u64(max_u64(ARRIVALS_SILENCE_MIN, rtt->smoothed / ARRIVALS_RTT_DIVISOR),
                   saturating_add(usual, usual / 2));
}

roam_time arrivals_ask_at(const struct arrivals *arrivals, const struct rtt *rtt)
{
    roam_time wait = news_after(arrivals, rtt);
    if (!arrivals->any || arrivals->expects_none || arrivals->asked >= ARRIVALS_QUESTIONS_MAX || wait > rtt->smoothed ||
        arrivals->credit_bytes < ARRIVALS_QUESTION_BYTES * ARRIVALS_SHARE)
        return ROAM_TIME_NEVER;
    for (unsigned i = 0; i < arrivals->asked; i++)
        wait += wait / 2;
    return saturating_add(max_u64(arrivals->newest, arrivals->excused_until), wait);
}

void arrivals_on_asked(struct arrivals *arrivals, roam_time now)
{
    if (arrivals->asked++ == 0)
        arrivals->asked_at = now;
    arrivals->credit_bytes -= ARRIVALS_QUESTION_BYTES * ARRIVALS_SHARE;
}

void arrivals_expect_none(struct arrivals *arrivals)
{
    arrivals->expects_none = true;
}
