/* The order of the probes. Kept: each has a connection of its own, so that what one breaks does not show in another;
 * whatever is not run says why. */
#include <stdarg.h>
#include <time.h>

#include "cli/check.h"

roam_time check_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ROAM_SECONDS(now.tv_sec) + (roam_time)now.tv_nsec;
}

bool exam_is_over(const struct exam *exam)
{
    return *exam->interrupted || check_now() >= exam->deadline;
}

void why_not(enum probe_state *state, char ret[WHY_NOT_MAX], enum probe_state value, const char *format, ...)
{
    va_list arguments;
    *state = value;
    va_start(arguments, format);
    vsnprintf(ret, WHY_NOT_MAX, format, arguments);
    va_end(arguments);
}

static void no_time_for(struct exam *exam, enum probe_state *state, char reason[WHY_NOT_MAX])
{
    if (*state == PROBE_NOT_RUN && reason[0] == '\0')
        why_not(state, reason, PROBE_NOT_RUN, *exam->interrupted ? "interrupted" : "out of time");
}

typedef void probe(struct exam *exam);

void exam_run(struct exam *exam)
{
    struct evidence *evidence = &exam->evidence;
    static probe *const probes[] = {
        probe_retry, probe_port_rebinding, probe_small_rebinding, probe_address_rebinding,
        probe_row,   probe_response,       probe_preferred,       probe_migration,
        probe_reset,
    };
    probe_versions(exam);
    probe_handshakes(exam);
    if (!evidence->handshake.confirmed)
        return;
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]) && !exam_is_over(exam); i++)
        probes[i](exam);
    struct move_evidence *const moves[] = {&evidence->port, &evidence->small, &evidence->address, &evidence->response,
                                           &evidence->migration};
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
        no_time_for(exam, &moves[i]->state, moves[i]->why_not);
    no_time_for(exam, &evidence->row.state, evidence->row.why_not);
    no_time_for(exam, &evidence->refill.state, evidence->refill.why_not);
    no_time_for(exam, &evidence->reset.state, evidence->reset.why_not);
}
