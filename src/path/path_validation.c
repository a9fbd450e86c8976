/*
 * Path validation: see the header for states and transitions.
 *
 * A run has one round, or two where the first answer was to a challenge in a small datagram. Each round sends at once,
 * then again after PTO, 2 PTO, 4 PTO ..., and fails at its deadline, whether or not its challenges could leave (a path
 * without allowance or CID must not stay RUNNING for ever).
 */
#include "path/path_validation.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"

#define BACKOFF_SHIFT_MAX 16
#define TIMEOUT_PTOS      3

static void begin_round(struct path_validation *validation, roam_time now)
{
    validation->sent = 0;
    validation->challenge_due = true;
    validation->resend_at = ROAM_TIME_NEVER;
    validation->deadline = saturating_add(now, validation->timeout);
}

static void end_run(struct path_validation *validation, enum validation_state state)
{
    validation->state = state;
    validation->keep = state == VALIDATION_SUCCEEDED;
    if (state == VALIDATION_SUCCEEDED) {
        validation->address_proven = true;
        validation->needs_full_size = false;
    }
    validation->challenge_due = false;
    validation->resend_at = ROAM_TIME_NEVER;
    validation->deadline = ROAM_TIME_NEVER;
}

void path_validation_init(struct path_validation *validation)
{
    memset(validation, 0, sizeof(*validation));
    validation->resend_at = ROAM_TIME_NEVER;
    validation->deadline = ROAM_TIME_NEVER;
}

void path_validation_remember(struct path_validation *validation, struct path_challenge *memory)
{
    memset(memory, 0, CHALLENGES_KEPT * sizeof(*memory));
    validation->challenges = memory;
}

void path_validation_forget(struct path_validation *validation)
{
    assert(validation->state != VALIDATION_RUNNING);
    validation->challenges = NULL;
    validation->kept = 0;
}

void path_validation_start(struct path_validation *validation, roam_time now, roam_time pto, roam_time active_pto)
{
    //= rfc9000#9.3-2 Validation starts unless it is already under way.
    if (validation->state == VALIDATION_RUNNING)
        return;
    validation->state = VALIDATION_RUNNING;
    validation->address_proven = false;
    //= rfc9000#8.2.1-6 Small datagrams prove the address; the size is proven by a round in full ones.
    validation->needs_full_size = true;
    validation->kept = 0;
    validation->pto = pto;
    //= rfc9000#8.2.4-2 Given up after three times the larger of the two PTOs.
    validation->timeout = saturating_mul(TIMEOUT_PTOS, max_u64(pto, active_pto));
    begin_round(validation, now);
}

/* After the newest challenge, before which so many had been sent. */
static roam_time resend_time(const struct path_validation *validation, unsigned before)
{
    unsigned shift = (unsigned)min_u64(before, BACKOFF_SHIFT_MAX);
    return saturating_add(validation->challenges[0].sent_at, saturating_mul(validation->pto, UINT64_C(1) << shift));
}

void path_validation_on_sent(struct path_validation *validation, const roam_rng *rng, roam_time now, bool full_size,
                             uint8_t ret[PATH_DATA_BYTES])
{
    assert(validation->state == VALIDATION_RUNNING);
    memmove(&validation->challenges[1], &validation->challenges[0],
            (CHALLENGES_KEPT - 1) * sizeof(validation->challenges[0]));
    //= rfc9000#8.2.1-4 Unpredictable data, fresh in each challenge.
    rng_fill(rng, validation->challenges[0].data, PATH_DATA_BYTES);
    validation->challenges[0].sent_at = now;
    validation->challenges[0].full_size = full_size;
    if (validation->kept < CHALLENGES_KEPT)
        validation->kept++;

    //= rfc9000#8.2.1-3 A new path is not probed more often than Initials would be sent.
    //= rfc9000#9.4-4 The timer for sending PATH_CHALLENGE again follows the PTO.
    //= rfc9000#9.4-5 It is never faster than the PTO.
    validation->resend_at = resend_time(validation, validation->sent);
    if (validation->sent < UINT8_MAX)
        validation->sent++;
    validation->challenge_due = false;
    memcpy(ret, validation->challenges[0].data, PATH_DATA_BYTES);
}

/* Of the challenges that left after the one at `answered`; those before it are as good as lost. */
static bool full_size_is_on_its_way(const struct path_validation *validation, size_t answered)
{
    for (size_t i = 0; i < answered; i++)
        if (validation->challenges[i].full_size)
            return true;
    return false;
}

/* The first answer to a small challenge. Where a full-size one left since, its answer may be on the way: the resend
 * timer goes on for it, and only the deadline starts again. */
static void begin_full_size_round(struct path_validation *validation, size_t answered, roam_time now)
{
    validation->address_proven = true;
    if (full_size_is_on_its_way(validation, answered))
        validation->deadline = saturating_add(now, validation->timeout);
    else
        begin_round(validation, now);
}

enum validation_answer path_validation_on_response(struct path_validation *validation,
                                                   const uint8_t data[PATH_DATA_BYTES], roam_time now,
                                                   roam_time *ret_delay)
{
    size_t i = 0;
    while (i < validation->kept && !equal_in_constant_time(validation->challenges[i].data, data, PATH_DATA_BYTES))
        i++;
    if (i == validation->kept)
        return VALIDATION_NO_MATCH;

    bool full_size = validation->challenges[i].full_size;
    if (validation->state != VALIDATION_RUNNING || (!full_size && validation->address_proven))
        return VALIDATION_REPEAT;
    if (ret_delay != NULL)
        *ret_delay = saturating_sub(now, validation->challenges[i].sent_at);
    if (!full_size) {
        //= rfc9000#8.2.3-2 After success in small datagrams, another validation in expanded ones.
        begin_full_size_round(validation, i, now);
        return VALIDATION_ADDRESS;
    }
    //= rfc9000#8.2.3-1 Only matching data proves the path, not the acknowledgement of a challenge.
    end_run(validation, VALIDATION_SUCCEEDED);
    return VALIDATION_COMPLETE;
}

void path_validation_on_rtt(struct path_validation *validation, roam_time pto)
{
    if (validation->state != VALIDATION_RUNNING || pto >= validation->pto)
        return;
    validation->pto = pto;
    if (validation->resend_at != ROAM_TIME_NEVER && validation->sent > 0)
        validation->resend_at = resend_time(validation, validation->sent - 1U);
}

roam_time path_validation_deadline(const struct path_validation *validation)
{
    if (validation->state != VALIDATION_RUNNING)
        return ROAM_TIME_NEVER;
    return min_u64(validation->resend_at, validation->deadline);
}

bool path_validation_expire(struct path_validation *validation, roam_time now)
{
    if (validation->state != VALIDATION_RUNNING)
        return false;
    if (now >= validation->deadline) {
        //= rfc9000#8.2.4-1 A timer abandons the validation; what becomes of the connection is decided elsewhere.
        end_run(validation, VALIDATION_FAILED);
        return true;
    }
    if (now >= validation->resend_at) {
        validation->challenge_due = true;
        validation->resend_at = ROAM_TIME_NEVER;
    }
    return false;
}

bool path_validation_fail(struct path_validation *validation)
{
    if (validation->state != VALIDATION_RUNNING)
        return false;
    end_run(validation, VALIDATION_FAILED);
    return true;
}

void path_validation_abandon(struct path_validation *validation)
{
    if (validation->state == VALIDATION_RUNNING)
        end_run(validation, validation->keep ? VALIDATION_SUCCEEDED : VALIDATION_IDLE);
}
