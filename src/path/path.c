/* A path: see the header. Octets are counted here as whole UDP payloads, and the 3x limit is asserted where they
 * leave. */
#include "path/path.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"

_Static_assert(PATH_RESPONSES_MAX <= UINT8_MAX, "path_responses.count counts them");

size_t path_bytes_wanted(const roam_config *config)
{
    return sizeof(struct path) + congestion_memory_bytes(config->congestion);
}

void path_init(struct path *path, uint64_t id, const roam_address *local, const roam_address *remote,
               const roam_config *config, roam_time now)
{
    memset(path, 0, sizeof(*path));
    path->id = id;
    path->bytes = path_bytes_wanted(config);
    path->local = *local;
    path->remote = *remote;
    path->last_used = now;
    path_validation_init(&path->validation);
    path_begin_afresh(path, config);
}

void path_begin_afresh(struct path *path, const roam_config *config)
{
    const bool has_more = path->bytes > sizeof(*path);
    path_recovery_init(&path->recovery, config, has_more ? (struct bbr *)(void *)(path + 1) : NULL);
    if (path->work != NULL)
        path_recovery_begin_work(&path->recovery, &path->work->recovery);
    ecn_init(&path->ecn, config->ecn);
    //= rfc9000#14.2-5 Keep a maximum datagram size per local/remote address pair.
    pmtud_init(&path->pmtud, config->pmtud, path->remote.family, config->datagram_bytes);
}

void path_begin_work(struct path *path, struct path_work *work)
{
    assert(path->work == NULL);
    path->work = work;
    work->responses = (struct path_responses){0};
    path_validation_remember(&path->validation, work->challenges);
    path_recovery_begin_work(&path->recovery, &work->recovery);
}

bool path_may_rest(const struct path *path, roam_time now)
{
    return path->work != NULL && path->validation.state != VALIDATION_RUNNING && path->work->responses.count == 0 &&
           path_recovery_may_rest(&path->recovery, now);
}

struct path_work *path_rest(struct path *path)
{
    struct path_work *work = path->work;
    path_validation_forget(&path->validation);
    path_recovery_rest(&path->recovery);
    path->work = NULL;
    return work;
}

bool path_is_validated(const struct path *path)
{
    return path_validation_has_succeeded(&path->validation) ||
           (path->validation.state == VALIDATION_IDLE && path->address_validated);
}

uint64_t path_allowance(const struct path *path)
{
    if (path->address_validated)
        return UINT64_MAX;
    //= rfc9000#9.3.1-1 So a forged move turns nobody into an amplifier.
    //= rfc9000#8-1 At most three times what came from an address that is not validated.
    return saturating_sub(saturating_mul(AMPLIFICATION_FACTOR, path->bytes_received), path->bytes_sent);
}

void path_on_received(struct path *path, size_t bytes, roam_time now)
{
    //= rfc9000#8.1-3 Count every payload byte of datagrams uniquely attributable to the connection (including
    // undecryptable ones) toward the budget.
    path->bytes_received = saturating_add(path->bytes_received, bytes);
    path->heard_at = now;
    path->last_used = max_u64(path->last_used, now);
}

void path_on_sent(struct path *path, size_t bytes, roam_time now)
{
    assert(bytes <= path_allowance(path));
    path->bytes_sent = saturating_add(path->bytes_sent, bytes);
    path->last_used = max_u64(path->last_used, now);
}

void path_on_fate(struct path *path, bool lost)
{
    path->loss_ppm -= path->loss_ppm / LOSS_MEMORY;
    path->loss_ppm += lost ? 1000000 / LOSS_MEMORY : 0;
}

static void drop_oldest(struct path_responses *responses)
{
    responses->count--;
    memmove(responses->owed[0], responses->owed[1], responses->count * sizeof(responses->owed[0]));
}

bool path_owe_response(struct path *path, const uint8_t data[PATH_DATA_BYTES], roam_time now)
{
    struct path_responses *responses = &path->work->responses;
    const bool full = responses->count == PATH_RESPONSES_MAX;
    if (full)
        drop_oldest(responses);
    memcpy(responses->owed[responses->count++], data, PATH_DATA_BYTES);
    /* As one PTO lets a probe out beyond the window, it does a few responses; but our backoff is none of the peer's
     * concern, whose challenge will be void by then. A server that waits for a response before it acknowledges from
     * there (RFC 9000 section 9.6.2) would wait for ever. */
    if (now >= saturating_add(responses->beyond_since, rtt_pto(&path->recovery.rtt, 0)))
        responses->beyond = 0;
    return !full;
}

bool path_window_is_full(const struct path *path)
{
    const struct congestion *congestion = &path->recovery.congestion;
    return congestion->in_flight > 0 && congestion_allowance(congestion) < path_datagram_bytes(path);
}

//= rfc9000#8.2.2-2 Do not delay a PATH_RESPONSE except for congestion control.
// A full window is no reason yet: the challenge may well be about the place where our acknowledgements get lost. But a
// peer that acknowledges nothing gets no more than a few in a PTO.
bool path_may_respond(const struct path *path)
{
    if (path->work == NULL || path->work->responses.count == 0)
        return false;
    return !path_window_is_full(path) || path->work->responses.beyond < PATH_RESPONSES_MAX;
}

void path_on_acked(struct path *path)
{
    if (path->work != NULL)
        path->work->responses.beyond = 0;
}

bool path_take_response(struct path *path, uint8_t ret[PATH_DATA_BYTES], roam_time now)
{
    struct path_responses *responses = &path->work->responses;
    if (responses->count == 0)
        return false;
    if (path_window_is_full(path)) {
        responses->beyond_since = responses->beyond == 0 ? now : responses->beyond_since;
        responses->beyond += responses->beyond < UINT8_MAX;
    }
    //= rfc9000#8.2.2-7 One response for a challenge, and never again: taken is gone.
    memcpy(ret, responses->owed[0], PATH_DATA_BYTES);
    drop_oldest(responses);
    return true;
}

enum roam_path_state path_state(const struct path *path)
{
    switch (path->validation.state) {
    case VALIDATION_IDLE:
        break;
    case VALIDATION_RUNNING:
        return ROAM_PATH_VALIDATING;
    case VALIDATION_SUCCEEDED:
        return ROAM_PATH_VALIDATED;
    case VALIDATION_FAILED:
        return ROAM_PATH_FAILED;
    }
    /* The handshake proves the address that it ran on without a challenge, section 8.1. */
    return path->address_validated ? ROAM_PATH_VALIDATED : ROAM_PATH_UNVALIDATED;
}

void path_check(const struct path *path)
{
    const struct path_validation *validation = &path->validation;
    bool running = validation->state == VALIDATION_RUNNING;
    assert(path->address_validated || path->bytes_sent <= saturating_mul(AMPLIFICATION_FACTOR, path->bytes_received));
    assert(path->work == NULL || path->work->responses.count <= PATH_RESPONSES_MAX);
    pmtud_check(&path->pmtud);
    assert(validation->kept <= CHALLENGES_KEPT);
    assert(path->work != NULL || (validation->kept == 0 && path->recovery.congestion.in_flight == 0));
    assert((path->work != NULL) ==
           (path->recovery.pacer != NULL && path->recovery.congestion.work != NULL && validation->challenges != NULL));
    assert(running || !validation->challenge_due);
    assert(running == (validation->deadline != ROAM_TIME_NEVER));
    assert(!running || validation->challenge_due || validation->resend_at != ROAM_TIME_NEVER);
    assert(validation->state != VALIDATION_SUCCEEDED || (validation->address_proven && !validation->needs_full_size));
}
