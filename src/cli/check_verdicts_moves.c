/* Verdicts about moves. Pure. Kept: a NO says what came where and how long it was waited for; what was not seen at all
 * is unknown and never a yes. */
#include <inttypes.h>
#include <string.h>

#include "cli/check_judge.h"
#include "cli/cli.h"

/* ---- The connection goes on ------------------------------------------------------------------------------------- */

static enum answer judge_death(const struct move_evidence *move, char *text)
{
    char cause[CAUSE_TEXT_MAX], to[ROAM_ADDRESS_TEXT_MAX];
    roam_address_format(&move->to, to);
    describe_error(&move->error, cause);
    return say(text, ANSWER_NO,
               move->refused ? "after the move to %s the server ended it: %s" : "after the move to %s: %s", to, cause);
}

static enum answer judge_silence(const struct move_evidence *move, char *text)
{
    const struct move_facts *facts = &move->facts;
    char to[ROAM_ADDRESS_TEXT_MAX];
    roam_address_format(&move->to, to);
    if (facts->received_new > 0)
        return say(text, ANSWER_NO,
                   "%u datagrams came to %s, but in %.1f s nothing that we sent from there was acknowledged",
                   facts->received_new, to, (double)move->waited / 1e9);
    return say(text, ANSWER_NO, "%u datagrams from %s: nothing came back there in %.1f s; %u went to the old address",
               facts->sent_new, to, (double)move->waited / 1e9, facts->received_old);
}

/* A no that was said twice, and a yes that was not the first answer. */
static enum answer judge_again(enum answer answer, unsigned attempts, char *text)
{
    const size_t len = strlen(text);
    if (attempts > 1 && answer == ANSWER_NO)
        snprintf(text + len, VERDICT_TEXT_MAX - len, "; a first connection fared no better");
    if (attempts > 1 && answer == ANSWER_YES)
        snprintf(text + len, VERDICT_TEXT_MAX - len, "; a first connection did not get so far");
    return answer;
}

/* True where there is nothing to judge; *ret_answer says what to answer then. */
static bool did_not_run(const struct move_evidence *move, char *text, enum answer *ret_answer)
{
    if (move->state == PROBE_RAN)
        return false;
    *ret_answer =
        say(text, move->state == PROBE_NOT_APPLICABLE ? ANSWER_NOT_APPLICABLE : ANSWER_UNKNOWN, "%s", move->why_not);
    return true;
}

static enum answer judge_move(const struct move_evidence *move, char *text)
{
    const struct move_facts *facts = &move->facts;
    char from[ROAM_ADDRESS_TEXT_MAX], to[ROAM_ADDRESS_TEXT_MAX];
    enum answer answer;
    if (did_not_run(move, text, &answer))
        return answer;
    if (move->survived)
        return say(text, ANSWER_YES, "%s -> %s: first answer there after %.1f ms, acknowledged after %.1f ms",
                   roam_address_format(&move->from, from), roam_address_format(&move->to, to),
                   milliseconds(facts->first_after), milliseconds(facts->acked_after));
    if (move->control_failed)
        return say(text, ANSWER_UNKNOWN, "not even a handshake succeeds from %s: that is the network, not the server",
                   roam_address_format(&move->to, to));
    return move->died ? judge_death(move, text) : judge_silence(move, text);
}

enum answer judge_port(const struct evidence *evidence, char *text)
{
    return judge_again(judge_move(&evidence->port, text), evidence->port.attempts, text);
}

enum answer judge_small(const struct evidence *evidence, char *text)
{
    return judge_again(judge_move(&evidence->small, text), evidence->small.attempts, text);
}

enum answer judge_address(const struct evidence *evidence, char *text)
{
    return judge_again(judge_move(&evidence->address, text), evidence->address.attempts, text);
}

static enum answer judge_row_once(const struct evidence *evidence, char *text)
{
    const struct row_evidence *row = &evidence->row;
    char cause[CAUSE_TEXT_MAX], last[ROAM_ADDRESS_TEXT_MAX];
    roam_time longest = 0;
    if (row->state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "%s", row->why_not);
    for (unsigned i = 0; i < row->survived; i++)
        longest = row->took[i] > longest ? row->took[i] : longest;
    if (row->tried == CHECK_ROW_MOVES && row->survived == row->tried && !row->died)
        return say(text, ANSWER_YES, "%u ports one after the other, each acknowledged, the slowest after %.1f ms",
                   row->survived, milliseconds(longest));
    if (row->tried == row->survived && !row->died)
        return say(text, ANSWER_UNKNOWN, "only %u moves were made", row->tried);
    return say(text, ANSWER_NO, "%u of %u ports acknowledged; %s%s", row->survived, row->tried,
               row->died ? "then: " : "nothing that left from the last was, ",
               row->died ? describe_error(&row->error, cause) : roam_address_format(&row->stranded, last));
}

enum answer judge_row(const struct evidence *evidence, char *text)
{
    return judge_again(judge_row_once(evidence, text), evidence->row.attempts, text);
}

static enum answer judge_response_once(const struct evidence *evidence, char *text)
{
    const struct move_evidence *move = &evidence->response;
    enum answer answer;
    if (did_not_run(move, text, &answer))
        return answer;
    if (move->survived)
        return say(text, ANSWER_YES,
                   "%" PRIu64 " octets of the response before the move, %" PRIu64 " lost with the old mapping, %" PRIu64
                   " at the new address",
                   move->before_bytes, move->lost_bytes, move->resumed_bytes);
    if (move->control_failed)
        return say(text, ANSWER_UNKNOWN, "without a move, too, the response stops, after %" PRIu64 " octets",
                   move->control_bytes);
    if (move->died)
        return judge_death(move, text);
    return say(text, ANSWER_NO,
               "%" PRIu64 " octets before the move, %" PRIu64 " lost with the old mapping, then %" PRIu64
               " at the new address in %.1f s and no more; %u datagrams went to the old one",
               move->before_bytes, move->lost_bytes, move->resumed_bytes, (double)move->waited / 1e9,
               move->facts.received_old);
}

enum answer judge_response(const struct evidence *evidence, char *text)
{
    return judge_again(judge_response_once(evidence, text), evidence->response.attempts, text);
}

static enum answer judge_migration_once(const struct evidence *evidence, char *text)
{
    const struct move_evidence *move = &evidence->migration;
    if (move->state == PROBE_RAN && move->no_cid)
        return say(text, ANSWER_NO, "the server gives no spare connection ID, without which no client may migrate");
    if (move->state == PROBE_RAN && !move->probed && !move->died)
        return say(text, ANSWER_NO,
                   "no PATH_RESPONSE to our PATH_CHALLENGE from the new address: the path stays unproven");
    return judge_move(move, text);
}

enum answer judge_migration(const struct evidence *evidence, char *text)
{
    return judge_again(judge_migration_once(evidence, text), evidence->migration.attempts, text);
}

/* ---- How the new path is treated -------------------------------------------------------------------------------- */

struct named_move {
    const char *name;
    const struct move_evidence *move;
    bool rebinding;
};

#define MOVES 5

/* The moves whose new address the server answered at all. */
static size_t answered_moves(const struct evidence *evidence, struct named_move ret[MOVES])
{
    const struct named_move all[MOVES] = {
        {"the port rebinding", &evidence->port, true},
        {"the small-packet rebinding", &evidence->small, true},
        {"the address rebinding", &evidence->address, true},
        {"the rebinding in mid-response", &evidence->response, true},
        {"the migration", &evidence->migration, false},
    };
    size_t n = 0;
    for (size_t i = 0; i < MOVES; i++)
        if (all[i].move->state == PROBE_RAN && all[i].move->facts.received_new > 0)
            ret[n++] = all[i];
    return n;
}

static enum answer nothing_seen(char *text)
{
    return say(text, ANSWER_UNKNOWN, "nothing ever came to a new address");
}

enum answer judge_challenge_new(const struct evidence *evidence, char *text)
{
    struct named_move moves[MOVES];
    size_t n = answered_moves(evidence, moves);
    unsigned challenges = 0;
    for (size_t i = 0; i < n; i++) {
        if (moves[i].move->facts.challenges_new == 0)
            return say(text, ANSWER_NO, "%u datagrams came to the new address of %s, none with PATH_CHALLENGE",
                       moves[i].move->facts.received_new, moves[i].name);
        challenges += moves[i].move->facts.challenges_new;
    }
    if (n == 0)
        return nothing_seen(text);
    return say(text, ANSWER_YES, "%u PATH_CHALLENGE frames to the new addresses of %zu moves", challenges, n);
}

/* What the first packet bore instead. */
static const char *describe_first(uint64_t frames)
{
    if (frames & frame_bit(FRAME_STREAM))
        return "STREAM";
    if (frames & (frame_bit(FRAME_ACK) | frame_bit(FRAME_ACK_ECN)))
        return "ACK";
    return "something else";
}

enum answer judge_challenge_first(const struct evidence *evidence, char *text)
{
    struct named_move moves[MOVES];
    size_t n = answered_moves(evidence, moves), judged = 0;
    for (size_t i = 0; i < n; i++) {
        /* The answer to a probe of ours is a PATH_RESPONSE; what follows it may be in another packet. */
        const struct move_facts *facts = &moves[i].move->facts;
        if (!moves[i].rebinding || facts->challenges_new == 0 || (!facts->challenge_first && !facts->first_is_certain))
            continue;
        judged++;
        if (!facts->challenge_first)
            return say(text, ANSWER_NO, "the first packet to the new address of %s bore %s and no PATH_CHALLENGE",
                       moves[i].name, describe_first(facts->first_frames));
    }
    if (judged == 0)
        return say(text, ANSWER_UNKNOWN, "no PATH_CHALLENGE came");
    return say(text, ANSWER_YES, "in each of %zu rebindings", judged);
}

enum answer judge_challenge_padded(const struct evidence *evidence, char *text)
{
    struct named_move moves[MOVES];
    size_t n = answered_moves(evidence, moves), judged = 0, smallest = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct move_facts *facts = &moves[i].move->facts;
        if (facts->challenges_new == 0 || !facts->challenge_room)
            continue;
        judged++;
        smallest = facts->challenge_bytes < smallest ? facts->challenge_bytes : smallest;
        if (facts->challenge_bytes < DATAGRAM_BYTES_MIN)
            return say(text, ANSWER_NO,
                       "PATH_CHALLENGE of %s stood in datagrams of at most %zu octets, where 1200 were allowed",
                       moves[i].name, facts->challenge_bytes);
    }
    if (judged == 0)
        return say(text, ANSWER_UNKNOWN, "no PATH_CHALLENGE came that could have been padded");
    return say(text, ANSWER_YES, "datagrams of %zu octets in each of %zu moves", smallest, judged);
}

enum answer judge_challenge_data(const struct evidence *evidence, char *text)
{
    struct named_move moves[MOVES];
    size_t n = answered_moves(evidence, moves);
    unsigned challenges = 0;
    for (size_t i = 0; i < n; i++) {
        challenges += moves[i].move->facts.challenges_new + moves[i].move->facts.challenges_old;
        if (moves[i].move->facts.challenge_repeated)
            return say(text, ANSWER_NO, "the same eight octets in two PATH_CHALLENGE frames of %s", moves[i].name);
    }
    if (challenges < 2)
        return say(text, ANSWER_UNKNOWN, "%u PATH_CHALLENGE frames seen", challenges);
    return say(text, ANSWER_YES, "%u PATH_CHALLENGE frames, no data twice", challenges);
}

enum answer judge_amplification(const struct evidence *evidence, char *text)
{
    struct named_move moves[MOVES];
    size_t n = answered_moves(evidence, moves);
    const struct named_move *most = NULL;
    double worst = -1;
    for (size_t i = 0; i < n; i++) {
        const struct move_facts *facts = &moves[i].move->facts;
        double factor = facts->bytes_out > 0 ? (double)facts->bytes_in / (double)facts->bytes_out : 0;
        if (facts->bytes_beyond > 0)
            return say(text, ANSWER_NO,
                       "%" PRIu64 " octets beyond 3 x what we had sent to the unproven address of %s (%" PRIu64
                       " for %" PRIu64 ")",
                       facts->bytes_beyond, moves[i].name, facts->bytes_in, facts->bytes_out);
        if (factor > worst) {
            worst = factor;
            most = &moves[i];
        }
    }
    if (most == NULL)
        return nothing_seen(text);
    return say(text, ANSWER_YES, "at most %" PRIu64 " octets for %" PRIu64 " of ours before our answer (%.1f x, %s)",
               most->move->facts.bytes_in, most->move->facts.bytes_out, worst, most->name);
}

enum answer judge_challenge_old(const struct evidence *evidence, char *text)
{
    struct named_move moves[MOVES];
    size_t n = answered_moves(evidence, moves), judged = 0;
    unsigned challenges = 0;
    for (size_t i = 0; i < n; i++) {
        const struct move_facts *facts = &moves[i].move->facts;
        if (!moves[i].rebinding || !moves[i].move->survived)
            continue;
        judged++;
        challenges += facts->challenges_old;
        if (facts->challenges_old == 0)
            return say(
                text, ANSWER_NO,
                "no PATH_CHALLENGE among the %u datagrams to the old address after %s: a forged move would not be "
                "noticed",
                facts->received_old, moves[i].name);
    }
    if (judged == 0)
        return say(text, ANSWER_UNKNOWN, "no rebinding was survived");
    return say(text, ANSWER_YES, "%u PATH_CHALLENGE frames to the old addresses of %zu moves", challenges, judged);
}

/* ---- A deliberate move ------------------------------------------------------------------------------------------ */

/* False where there is nothing to judge; *ret_answer says what to answer then. */
static bool was_migrated(const struct evidence *evidence, char *text, enum answer *ret_answer)
{
    if (did_not_run(&evidence->migration, text, ret_answer))
        return false;
    if (evidence->migration.probed)
        return true;
    *ret_answer = say(text, ANSWER_UNKNOWN, "the new path was never validated");
    return false;
}

enum answer judge_probe_stays(const struct evidence *evidence, char *text)
{
    enum answer answer;
    if (!was_migrated(evidence, text, &answer))
        return answer;
    if (evidence->migration.stayed_old)
        return say(text, ANSWER_YES, "after the probe a PING from the old address was acknowledged there");
    return say(text, ANSWER_NO,
               "after nothing but probing packets from the new address the old one got no acknowledgement");
}

enum answer judge_probe_answered(const struct evidence *evidence, char *text)
{
    const struct move_facts *facts = &evidence->migration.facts;
    enum answer answer;
    if (!was_migrated(evidence, text, &answer))
        return answer;
    if (facts->responses_new == 0)
        return say(text, ANSWER_NO, "the PATH_RESPONSE came to another address than the PATH_CHALLENGE had left from");
    if (facts->response_bytes < DATAGRAM_BYTES_MIN)
        return say(text, ANSWER_NO, "PATH_RESPONSE in datagrams of at most %zu octets", facts->response_bytes);
    return say(text, ANSWER_YES, "at the new address, in a datagram of %zu octets", facts->response_bytes);
}

enum answer judge_cid_rotation(const struct evidence *evidence, char *text)
{
    const struct move_facts *facts = &evidence->migration.facts;
    char before[ROAM_CID_TEXT_MAX], after[ROAM_CID_TEXT_MAX];
    enum answer answer;
    if (!was_migrated(evidence, text, &answer))
        return answer;
    if (facts->received_new == 0)
        return nothing_seen(text);
    if (facts->cid_shared)
        return say(text, ANSWER_NO, "it writes %s to both addresses: whoever sees both can link them",
                   roam_cid_format(&facts->cid_new, after));
    return say(text, ANSWER_YES, "%s at the old address, %s at the new one", roam_cid_format(&facts->cid_old, before),
               roam_cid_format(&facts->cid_new, after));
}

enum answer judge_disable_migration(const struct evidence *evidence, char *text)
{
    if (!evidence->handshake.params.disable_active_migration)
        return say(text, ANSWER_NOT_APPLICABLE, "not announced: a client may migrate");
    if (evidence->port.state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "announced; no rebinding was made");
    if (evidence->port.refused)
        return say(text, ANSWER_NO, "announced, and a mere rebinding ended the connection, which any forger could do");
    return say(text, ANSWER_YES, "announced; a rebinding, which a client does not choose, %s",
               evidence->port.survived ? "is survived all the same" : "is not survived, but ends in silence");
}
