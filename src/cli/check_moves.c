/*
 * Probes that move: rebindings, of which the server is not told, and a deliberate migration. Kept: what counts as
 * surviving is an acknowledgement, at the new address, of a packet that left from there.
 */
#include <errno.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/check.h"

/* How long an answer to a challenge is held back, to see how much more the server sends meanwhile. */
#define HOLD_TIME ROAM_MILLISECONDS(300)

static bool is_acked(struct bench *bench)
{
    return log_is_acked(&bench->log, bench->mark, bench->place);
}

static bool is_challenged(const struct bench *bench, unsigned place)
{
    for (size_t i = 0; i < bench->log.count; i++) {
        const struct seen_datagram *entry = &bench->log.entries[i];
        if (!entry->sent && entry->place == place && entry->challenge_count > 0)
            return true;
    }
    return false;
}

/* The place where we are, and the one that was left last. */
static bool both_are_challenged(struct bench *bench)
{
    return is_challenged(bench, bench->place) && is_challenged(bench, bench->place - 1);
}

/* ---- A rebinding ------------------------------------------------------------------------------------------------ */

/* Starts a connection that is ready to move. False: *move says why not; bench_done is due all the same. */
static bool prepare(struct exam *exam, struct bench *bench, struct move_evidence *move)
{
    if (!bench_init(bench, exam, &exam->local, 0)) {
        why_not(&move->state, move->why_not, PROBE_NOT_RUN, "no socket here: %s", strerror(exam->local_error));
        return false;
    }
    if (settle(bench))
        return true;
    why_not(&move->state, move->why_not, PROBE_NOT_RUN, "the handshake was not confirmed this time");
    return false;
}

void conclude_move(struct bench *bench, struct move_evidence *move, size_t begin, unsigned old_place)
{
    move->state = PROBE_RAN;
    if (!move->survived && bench_was_cut(bench))
        why_not(&move->state, move->why_not, PROBE_NOT_RUN,
                bench->exhausted ? "more datagrams came than this takes" : "cut short");
    else if (!move->survived && bench->send_error != 0)
        why_not(&move->state, move->why_not, PROBE_NOT_RUN, "this host would not send: %s",
                strerror(bench->send_error));
    move->from = bench->places[old_place].udp.local;
    move->to = bench->places[bench->place].udp.local;
    move->died = bench->closed;
    move->error = bench->error;
    move->refused = bench->closed && (bench->error.cause == ROAM_CLOSE_PEER_TRANSPORT ||
                                      bench->error.cause == ROAM_CLOSE_PEER_APPLICATION ||
                                      bench->error.cause == ROAM_CLOSE_STATELESS_RESET);
    log_move_facts(&bench->log, begin, old_place, bench->place, &move->facts);
    if (move->facts.sent_new > 0)
        move->waited = check_now() - move->facts.moved_at;
}

/* Once more from the new place: what was true before the server's questions were answered must be true after. */
static bool still_there(struct bench *bench)
{
    bench->mark = bench->log.count;
    bench_ping(bench, 0);
    return bench_run(bench, is_acked, bench_patience(bench)) && !bench->closed;
}

static void rebind_and_watch(struct bench *bench, struct move_evidence *move, const roam_address *to, bool padded,
                             roam_time hold)
{
    const size_t begin = bench->log.count;
    const unsigned old_place = bench->place;
    int place = bench_open(bench, to);
    if (place < 0 || bench_rebind(bench, (unsigned)place) != ROAM_OK) {
        why_not(&move->state, move->why_not, PROBE_NOT_RUN, "no second socket here: %s", strerror(errno));
        return;
    }
    bench->mark = begin;
    bench->hold_responses = hold > 0;
    bench_ping(bench, padded ? DATAGRAM_BYTES_MIN : 0);
    if (hold > 0)
        bench_run(bench, NULL, hold);
    bench_release(bench);
    move->survived = bench_run(bench, is_acked, bench_patience(bench));
    /* Its answers to our answers may take a round trip. */
    bench_run(bench, NULL, 2 * bench_rtt(bench));
    move->survived = move->survived && still_there(bench);
    /* Nothing is held against it for a challenge that was lost once. */
    if (move->survived)
        bench_run(bench, both_are_challenged, bench_patience(bench));
    conclude_move(bench, move, begin, old_place);
}

static void probe_rebinding(struct exam *exam, struct move_evidence *move, const roam_address *to, bool padded,
                            bool hold)
{
    struct bench bench;
    if (prepare(exam, &bench, move))
        rebind_and_watch(&bench, move, to, padded, hold ? HOLD_TIME + 3 * bench_rtt(&bench) : 0);
    bench_done(&bench);
}

void probe_port_rebinding(struct exam *exam)
{
    probe_rebinding(exam, &exam->evidence.port, &exam->local, true, false);
}

void probe_small_rebinding(struct exam *exam)
{
    probe_rebinding(exam, &exam->evidence.small, &exam->local, false, true);
}

/* A server that nobody reaches from the second address has not been examined. */
static bool reaches_server_from(struct exam *exam, const roam_address *from)
{
    struct bench bench;
    bool reached = bench_init(&bench, exam, from, 0) && bench_run(&bench, bench_is_confirmed, ROAM_SECONDS(3));
    bench_done(&bench);
    return reached;
}

void probe_address_rebinding(struct exam *exam)
{
    struct move_evidence *move = &exam->evidence.address;
    if (!roam_address_is_set(&exam->second)) {
        why_not(&move->state, move->why_not, PROBE_NOT_APPLICABLE,
                "this host has no second address for that server; --second ADDR names one");
        return;
    }
    probe_rebinding(exam, move, &exam->second, true, false);
    if (move->state == PROBE_RAN && !move->survived && move->facts.received_new == 0)
        move->control_failed = !reaches_server_from(exam, &exam->second);
}

/* ---- Several in a row ------------------------------------------------------------------------------------------- */

static void move_in_a_row(struct bench *bench, struct row_evidence *row)
{
    for (unsigned i = 0; i < CHECK_ROW_MOVES && !bench->closed; i++) {
        int place = bench_open(bench, &bench->exam->local);
        if (place < 0 || bench_rebind(bench, (unsigned)place) != ROAM_OK)
            return;
        roam_time from = check_now();
        bench->mark = bench->log.count;
        row->tried++;
        bench_ping(bench, DATAGRAM_BYTES_MIN);
        /* The next one does not wait for the validation of this one. */
        if (!bench_run(bench, is_acked, bench_patience(bench))) {
            row->stranded = bench->places[place].udp.local;
            return;
        }
        row->took[row->survived++] = check_now() - from;
    }
}

void probe_row(struct exam *exam)
{
    struct row_evidence *row = &exam->evidence.row;
    struct bench bench;
    if (exam->evidence.port.state == PROBE_RAN && !exam->evidence.port.survived) {
        why_not(&row->state, row->why_not, PROBE_NOT_RUN, "it does not survive one");
        return;
    }
    if (bench_init(&bench, exam, &exam->local, 0) && settle(&bench)) {
        row->state = PROBE_RAN;
        move_in_a_row(&bench, row);
        row->died = bench.closed;
        row->error = bench.error;
        if (row->survived < CHECK_ROW_MOVES && bench_was_cut(&bench))
            why_not(&row->state, row->why_not, PROBE_NOT_RUN, "cut short");
    } else {
        why_not(&row->state, row->why_not, PROBE_NOT_RUN, "the handshake was not confirmed this time");
    }
    bench_done(&bench);
}

/* ---- Migration -------------------------------------------------------------------------------------------------- */

static bool is_probed(struct bench *bench)
{
    return bench->events[ROAM_EVENT_PATH_VALIDATED] > 0 || bench->events[ROAM_EVENT_PATH_FAILED] > 0;
}

/* An ID of the server's for the new path, and one of ours that it is known to have for its answer. */
static bool may_probe(struct bench *bench)
{
    return remote_cid_spare(&bench->conn->remote_cids) > 0 && local_cid_has_spare(&bench->conn->local_cids);
}

static bool has_newer_cid(struct bench *bench)
{
    return bench->newest_sequence > bench->sequence_mark;
}

/* The old path is given up and its CID retired: another must come. RFC 9000 section 5.1.1. */
static void watch_refill(struct bench *bench, struct refill_evidence *refill, uint64_t old_path_id,
                         uint64_t old_sequence)
{
    const roam_time begin = check_now();
    bench->sequence_mark = bench->newest_sequence;
    if (roam_conn_forget_path(bench->conn, begin, old_path_id) != ROAM_OK) {
        why_not(&refill->state, refill->why_not, PROBE_NOT_RUN, "the old path was gone already");
        return;
    }
    refill->state = PROBE_RAN;
    refill->retired_sequence = old_sequence;
    refill->refilled = bench_run(bench, has_newer_cid, bench_patience(bench));
    refill->took = check_now() - begin;
    if (!refill->refilled && bench_was_cut(bench))
        why_not(&refill->state, refill->why_not, PROBE_NOT_RUN, "cut short");
    refill->new_sequence = bench->newest_sequence;
}

/* Validates the path from the new place, and looks whether the server stays at the old one meanwhile. */
static bool probe_first(struct bench *bench, struct move_evidence *move, unsigned place)
{
    bench_run(bench, may_probe, bench_patience(bench));
    roam_result result = roam_conn_probe(bench->conn, check_now(), &bench->places[place].udp.local);
    if (result == ROAM_ERR_NO_CID) {
        move->state = PROBE_RAN;
        move->no_cid = true;
        return false;
    }
    if (result != ROAM_OK) {
        why_not(&move->state, move->why_not, result == ROAM_ERR_DISABLED ? PROBE_NOT_APPLICABLE : PROBE_NOT_RUN, "%s",
                roam_result_name(result));
        return false;
    }
    bench_run(bench, is_probed, ROAM_SECONDS(4));
    move->probed = bench->events[ROAM_EVENT_PATH_VALIDATED] > 0;
    bench->mark = bench->log.count;
    bench_ping(bench, 0);
    move->stayed_old = bench_run(bench, is_acked, bench_patience(bench));
    return true;
}

static void migrate_and_watch(struct exam *exam, struct bench *bench, struct move_evidence *move, unsigned place)
{
    roam_path_info old;
    const size_t begin = bench->log.count;
    const unsigned old_place = bench->place;
    roam_conn_paths(bench->conn, &old, 1);
    if (!probe_first(bench, move, place))
        return;
    if (move->probed && !bench->closed) {
        bench->mark = bench->log.count;
        roam_conn_migrate(bench->conn, check_now(), &bench->places[place].udp.local);
        bench->place = place;
        move->survived = bench_run(bench, is_acked, bench_patience(bench));
        bench_run(bench, NULL, 2 * bench_rtt(bench));
        move->survived = move->survived && still_there(bench);
        if (move->survived)
            watch_refill(bench, &exam->evidence.refill, old.id, old.cid_sequence);
    }
    bench->place = place;
    conclude_move(bench, move, begin, old_place);
}

void probe_migration(struct exam *exam)
{
    struct move_evidence *move = &exam->evidence.migration;
    struct bench bench;
    int place;
    exam->evidence.refill = (struct refill_evidence){0};
    /* Where there is a second address, a laptop would go there. */
    const roam_address *to =
        roam_address_is_set(&exam->second) && !exam->evidence.address.control_failed ? &exam->second : &exam->local;
    if (exam->evidence.handshake.params.disable_active_migration) {
        why_not(&move->state, move->why_not, PROBE_NOT_APPLICABLE, "the server sent disable_active_migration");
    } else if (exam->evidence.handshake.cid_bytes == 0) {
        why_not(&move->state, move->why_not, PROBE_NOT_APPLICABLE, "the server uses zero-length connection IDs");
    } else if (prepare(exam, &bench, move)) {
        place = bench_open(&bench, to);
        if (place < 0)
            why_not(&move->state, move->why_not, PROBE_NOT_RUN, "no second socket here: %s", strerror(errno));
        else
            migrate_and_watch(exam, &bench, move, (unsigned)place);
        bench_done(&bench);
    } else {
        bench_done(&bench);
    }
    struct refill_evidence *refill = &exam->evidence.refill;
    if (refill->state == PROBE_NOT_RUN && refill->why_not[0] == '\0')
        why_not(&refill->state, refill->why_not, move->state == PROBE_NOT_APPLICABLE ? move->state : PROBE_NOT_RUN,
                "%s", move->state == PROBE_NOT_APPLICABLE ? move->why_not : "no migration succeeded");
}
