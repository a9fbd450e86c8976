/* The order of the probes. Kept: each has a connection of its own, so that what one breaks does not show in another;
 * whatever is not run says why. */
#include <stdarg.h>
#include <time.h>

#include "cli/check.h"

/* Both ways, in all: ten times what an exam takes where all goes well. */
#define EXAM_DATAGRAMS_MAX 4000

roam_time check_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ROAM_SECONDS(now.tv_sec) + (roam_time)now.tv_nsec;
}

bool exam_is_over(const struct exam *exam)
{
    const struct check_totals *totals = &exam->totals;
    return *exam->interrupted || check_now() >= exam->deadline ||
           totals->datagrams_sent + totals->datagrams_received >= EXAM_DATAGRAMS_MAX;
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
        why_not(state, reason, PROBE_NOT_RUN, *exam->interrupted ? "interrupted" : "out of time, or of datagrams");
}

/* ---- Twice, where it matters ------------------------------------------------------------------------------------- */

typedef void probe(struct exam *exam);

static bool is_stranded(const struct move_evidence *move)
{
    return move->state == PROBE_RAN && !move->survived;
}

/* Nobody is condemned for a datagram or two that the network lost: what was not survived is tried once more, on another
 * connection, and that counts; unless there is none to be had any more. */
static void run_move(struct exam *exam, probe *run, struct move_evidence *move)
{
    run(exam);
    move->attempts = 1;
    if (!is_stranded(move) || exam_is_over(exam))
        return;
    const struct move_evidence first = *move;
    *move = (struct move_evidence){0};
    run(exam);
    if (move->state == PROBE_NOT_RUN && !exam_is_over(exam))
        *move = first;
    else
        move->attempts = 2;
}

static void run_row(struct exam *exam)
{
    struct row_evidence *row = &exam->evidence.row;
    probe_row(exam);
    row->attempts = 1;
    if (row->state != PROBE_RAN || (row->survived == CHECK_ROW_MOVES && !row->died) || exam_is_over(exam))
        return;
    const struct row_evidence first = *row;
    *row = (struct row_evidence){0};
    probe_row(exam);
    if (row->state == PROBE_NOT_RUN && !exam_is_over(exam))
        *row = first;
    else
        row->attempts = 2;
}

static void run_probes(struct exam *exam)
{
    struct evidence *evidence = &exam->evidence;
    const struct {
        probe *run;
        struct move_evidence *move; /* NULL: it is no move */
    } probes[] = {
        {probe_retry, NULL},
        {probe_resumption, NULL},
        {probe_port_rebinding, &evidence->port},
        {probe_small_rebinding, &evidence->small},
        {probe_address_rebinding, &evidence->address},
        {run_row, NULL},
        {probe_response, &evidence->response},
        {probe_preferred, NULL},
        {probe_migration, &evidence->migration},
        {probe_reset, NULL},
        {probe_end, NULL},
    };
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]) && !exam_is_over(exam); i++) {
        if (probes[i].move != NULL)
            run_move(exam, probes[i].run, probes[i].move);
        else
            probes[i].run(exam);
    }
}

void exam_run(struct exam *exam)
{
    struct evidence *evidence = &exam->evidence;
    probe_versions(exam);
    probe_handshakes(exam);
    if (!evidence->handshake.confirmed)
        return;
    run_probes(exam);
    struct move_evidence *const moves[] = {&evidence->port, &evidence->small, &evidence->address, &evidence->response,
                                           &evidence->migration};
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
        no_time_for(exam, &moves[i]->state, moves[i]->why_not);
    no_time_for(exam, &evidence->row.state, evidence->row.why_not);
    no_time_for(exam, &evidence->refill.state, evidence->refill.why_not);
    no_time_for(exam, &evidence->reset.state, evidence->reset.why_not);
}
