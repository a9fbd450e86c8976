/* The table of questions, and the verdicts on all but moves (check_verdicts_moves.c). Pure: no connection, no clock. */
#include "cli/check_verdicts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/check_judge.h"
#include "cli/cli.h"

/* An acknowledgement may be so much later than promised before anybody calls it late: timers and schedulers. */
#define ACK_SLACK ROAM_MILLISECONDS(10)

enum answer say(char *text, enum answer answer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, VERDICT_TEXT_MAX, format, arguments);
    va_end(arguments);
    return answer;
}

/* Appends to what stands there. */
static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
    va_list arguments;
    size_t len = strlen(text);
    va_start(arguments, format);
    vsnprintf(text + len, VERDICT_TEXT_MAX - len, format, arguments);
    va_end(arguments);
}

/* ---- The beginning ---------------------------------------------------------------------------------------------- */

enum answer judge_handshake(const struct evidence *evidence, char *text)
{
    const struct handshake_evidence *handshake = &evidence->handshake;
    char cause[CAUSE_TEXT_MAX];
    if (handshake->confirmed)
        return say(text, ANSWER_YES, "complete after %.1f ms: version 1, %s, %s, RTT %.1f ms",
                   milliseconds(handshake->took), handshake->alpn, handshake->cipher, milliseconds(handshake->rtt));
    if (handshake->cut)
        return say(text, ANSWER_UNKNOWN, "cut short");
    if (handshake->completed)
        return say(text, ANSWER_NO, "complete after %.1f ms, but the server never confirms it (HANDSHAKE_DONE)",
                   milliseconds(handshake->took));
    if (handshake->error.cause != ROAM_CLOSE_NONE)
        return say(text, ANSWER_NO, "%s", describe_error(&handshake->error, cause));
    return say(text, ANSWER_NO,
               evidence->versions.refused ? "the host says that nobody listens on that UDP port" : "nobody answers");
}

enum answer judge_versions(const struct evidence *evidence, char *text)
{
    const struct version_evidence *versions = &evidence->versions;
    if (versions->state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "not asked");
    if (!versions->answered)
        return say(text, ANSWER_NO, "a datagram of 1200 octets of version 0x1a2a3a4a drew no Version Negotiation");
    say(text, ANSWER_YES, "%s", "");
    for (size_t i = 0; i < versions->count; i++)
        append(text, "%s0x%08" PRIx32, i > 0 ? ", " : "", versions->versions[i]);
    append(text, " after %.1f ms%s", milliseconds(versions->took),
           versions->cids_echoed ? "" : "; but it does not echo our connection IDs, so that clients must ignore it");
    return versions->cids_echoed ? ANSWER_YES : ANSWER_NO;
}

enum answer judge_alpns(const struct evidence *evidence, char *text)
{
    char cause[CAUSE_TEXT_MAX];
    bool any = false;
    say(text, ANSWER_NO, "%s", "");
    for (size_t i = 0; i < evidence->alpn_count; i++) {
        const struct alpn_evidence *alpn = &evidence->alpns[i];
        append(text, "%s%s: %s", i > 0 ? "; " : "", alpn->name,
               alpn->completed ? "yes" : describe_error(&alpn->error, cause));
        any |= alpn->completed;
    }
    return any ? ANSWER_YES : ANSWER_NO;
}

enum answer judge_cid_length(const struct evidence *evidence, char *text)
{
    const size_t bytes = evidence->handshake.cid_bytes;
    if (bytes == 0)
        return say(text, ANSWER_NO, "zero-length: only the address tells its connections apart, so that none can move");
    return say(text, ANSWER_YES, "%zu octets", bytes);
}

enum answer judge_params(const struct evidence *evidence, char *text)
{
    char odd[VERDICT_TEXT_MAX];
    params_describe_odd(&evidence->handshake.params, evidence->handshake.cid_bytes, odd, sizeof(odd));
    return say(text, ANSWER_YES, "%s%s", odd[0] != '\0' ? "odd: " : "nothing odd", odd);
}

enum answer judge_idle(const struct evidence *evidence, char *text)
{
    const uint64_t ms = evidence->handshake.params.max_idle_timeout_ms;
    if (ms == 0)
        return say(text, ANSWER_NO, "none announced");
    return say(text, ANSWER_YES, "%.1f s announced, not waited for", (double)ms / 1e3);
}

enum answer judge_size(const struct evidence *evidence, char *text)
{
    const struct size_evidence *size = &evidence->size;
    const uint64_t announced = evidence->handshake.params.max_udp_payload;
    if (size->state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "max_udp_payload_size %" PRIu64 " announced, not tried", announced);
    if (!size->acked)
        return say(text, ANSWER_UNKNOWN,
                   "a datagram of %" PRIu64 " octets was not acknowledged, the network may be to blame; "
                   "max_udp_payload_size %" PRIu64 " announced",
                   size->bytes, announced);
    return say(text, ANSWER_YES,
               "one of %" PRIu64 " octets was acknowledged; max_udp_payload_size %" PRIu64 " announced", size->bytes,
               announced);
}

enum answer judge_ack_delay(const struct evidence *evidence, char *text)
{
    const struct ack_evidence *acks = &evidence->acks;
    const uint64_t promised_ms = evidence->handshake.params.max_ack_delay_ms;
    if (acks->state != PROBE_RAN || acks->sent == 0)
        return say(text, ANSWER_UNKNOWN, "not measured");
    if (acks->acked == 0)
        return say(text, ANSWER_NO, "none of %u PINGs was acknowledged", acks->sent);
    roam_time least = ROAM_TIME_NEVER, most = 0;
    for (unsigned i = 0; i < acks->acked; i++) {
        roam_time delay = saturating_sub(acks->took[i], acks->rtt_min);
        least = min_u64(least, delay);
        most = max_u64(most, delay);
    }
    /* One late acknowledgement is the network's or a scheduler's; all of them are the server's. */
    bool late = least > ROAM_MILLISECONDS(promised_ms) + ACK_SLACK + acks->rtt_min / 2;
    return say(text, late ? ANSWER_NO : ANSWER_YES,
               "%u of %u PINGs acknowledged, %.1f to %.1f ms beyond the round trip; %" PRIu64 " ms are promised",
               acks->acked, acks->sent, milliseconds(least), milliseconds(most), promised_ms);
}

enum answer judge_retry(const struct evidence *evidence, char *text)
{
    if (evidence->handshake.retried)
        return say(text, ANSWER_YES, "with a token of %zu octets", evidence->handshake.retry_token_bytes);
    return say(text, ANSWER_NO, "our address was believed at once (it may ask under load)");
}

enum answer judge_retry_validates(const struct evidence *evidence, char *text)
{
    const struct retry_evidence *retry = &evidence->retry;
    char cause[CAUSE_TEXT_MAX];
    if (retry->state == PROBE_NOT_APPLICABLE)
        return say(text, ANSWER_NOT_APPLICABLE, "no Retry was sent");
    if (retry->state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "not tried");
    if (retry->accepted)
        return say(text, ANSWER_NO, "a token with one bit changed was taken for good");
    return say(text, ANSWER_YES, "a token with one bit changed: %s",
               retry->answered ? describe_error(&retry->error, cause) : "no handshake");
}

enum answer judge_tickets(const struct evidence *evidence, char *text)
{
    if (evidence->handshake.tickets == 0)
        return say(text, ANSWER_NO, "no NewSessionTicket came with the handshake");
    return say(text, ANSWER_YES, "%u", evidence->handshake.tickets);
}

enum answer judge_resumption(const struct evidence *evidence, char *text)
{
    const struct resumption_evidence *resumption = &evidence->resumption;
    char cause[CAUSE_TEXT_MAX];
    if (resumption->state == PROBE_NOT_APPLICABLE)
        return say(text, ANSWER_NOT_APPLICABLE, "there is no session to resume");
    if (resumption->state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "not tried");
    if (!resumption->connected)
        return say(text, ANSWER_NO, "no handshake with a session: %s", describe_error(&resumption->error, cause));
    if (!resumption->resumed)
        return say(text, ANSWER_NO, "a full handshake in spite of the session, in %.1f ms",
                   (double)resumption->took / 1e6);
    return say(text, ANSWER_YES, "without a certificate, in %.1f ms (0-RTT was not tried)",
               (double)resumption->took / 1e6);
}

enum answer judge_new_token(const struct evidence *evidence, char *text)
{
    if (evidence->handshake.new_tokens == 0)
        return say(text, ANSWER_NO, "no NEW_TOKEN came with the handshake");
    return say(text, ANSWER_YES, "%u, the newest of %zu octets", evidence->handshake.new_tokens,
               evidence->handshake.new_token_bytes);
}

/* ---- Connection IDs --------------------------------------------------------------------------------------------- */

enum answer judge_cid_supply(const struct evidence *evidence, char *text)
{
    const struct handshake_evidence *handshake = &evidence->handshake;
    if (handshake->cid_bytes == 0)
        return say(text, ANSWER_NOT_APPLICABLE, "zero-length connection IDs");
    if (handshake->cids_given == 0 && handshake->params.disable_active_migration)
        return say(text, ANSWER_NOT_APPLICABLE, "none beside the first, but nobody may migrate anyway");
    return say(text, handshake->cids_given == 0 ? ANSWER_NO : ANSWER_YES, "%u beside the first; we hold up to %" PRIu64,
               handshake->cids_given, handshake->cid_limit);
}

enum answer judge_cid_refill(const struct evidence *evidence, char *text)
{
    const struct refill_evidence *refill = &evidence->refill;
    if (refill->state != PROBE_RAN)
        return say(text, refill->state == PROBE_NOT_APPLICABLE ? ANSWER_NOT_APPLICABLE : ANSWER_UNKNOWN, "%s",
                   refill->why_not);
    if (!refill->refilled)
        return say(text, ANSWER_NO, "number %" PRIu64 " was retired; no other came in %.1f s", refill->retired_sequence,
                   (double)refill->took / 1e9);
    return say(text, ANSWER_YES, "number %" PRIu64 " was retired, number %" PRIu64 " came after %.1f ms",
               refill->retired_sequence, refill->new_sequence, milliseconds(refill->took));
}

enum answer judge_preferred(const struct evidence *evidence, char *text)
{
    const struct transport_params *params = &evidence->handshake.params;
    const struct preferred_evidence *preferred = &evidence->preferred;
    char ipv4[ROAM_ADDRESS_TEXT_MAX] = "", ipv6[ROAM_ADDRESS_TEXT_MAX] = "";
    if (!params->has_preferred_address)
        return say(text, ANSWER_NOT_APPLICABLE, "none announced");
    if (roam_address_is_set(&params->preferred_address.ipv4))
        roam_address_format(&params->preferred_address.ipv4, ipv4);
    if (roam_address_is_set(&params->preferred_address.ipv6))
        roam_address_format(&params->preferred_address.ipv6, ipv6);
    if (preferred->state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "%s %s announced, not tried", ipv4, ipv6);
    if (roam_address_is_set(&preferred->to))
        return say(text, preferred->answers ? ANSWER_YES : ANSWER_NO, "%s %s announced; the path there is validated%s",
                   ipv4, ipv6, preferred->answers ? ", a PING acknowledged" : ", a PING not acknowledged");
    return say(text, ANSWER_NO, "%s %s announced; nobody answers a probe there", ipv4, ipv6);
}

/* ---- Stateless Reset -------------------------------------------------------------------------------------------- */

static bool any_reset(const struct reset_evidence *reset)
{
    return reset->state == PROBE_RAN && (reset->answered || reset->late_answered);
}

enum answer judge_reset(const struct evidence *evidence, char *text)
{
    const struct reset_evidence *reset = &evidence->reset;
    if (reset->state != PROBE_RAN)
        return say(text, reset->state == PROBE_NOT_APPLICABLE ? ANSWER_NOT_APPLICABLE : ANSWER_UNKNOWN, "%s",
                   reset->why_not);
    if (!any_reset(reset))
        return say(text, ANSWER_NO,
                   "packets of %zu octets with IDs that nobody has drew nothing (%u tried): after a restart "
                   "clients wait for their idle timeout",
                   reset->trigger_bytes, reset->sent);
    return say(text, ANSWER_YES, "to an unknown ID: %s; to the ID of a connection that has ended: %s",
               reset->answered ? "yes" : "no",
               !reset->late_tried     ? "not tried"
               : reset->late_answered ? "yes"
                                      : "no");
}

enum answer judge_reset_smaller(const struct evidence *evidence, char *text)
{
    const struct reset_evidence *reset = &evidence->reset;
    if (!any_reset(reset))
        return say(text, ANSWER_NOT_APPLICABLE, "no reset came");
    return say(text, reset->too_large ? ANSWER_NO : ANSWER_YES, "at most %zu octets for a packet of %zu",
               reset->reply_bytes, reset->trigger_bytes);
}

enum answer judge_reset_token(const struct evidence *evidence, char *text)
{
    const struct reset_evidence *reset = &evidence->reset;
    if (reset->state != PROBE_RAN || !reset->late_tried || !reset->late_answered)
        return say(text, ANSWER_NOT_APPLICABLE, "no reset came for an ID whose token is known");
    return say(text, reset->token_matches ? ANSWER_YES : ANSWER_NO, "the reset %s the token that came with the ID",
               reset->token_matches ? "ends in" : "does not end in");
}

enum answer judge_end(const struct evidence *evidence, char *text)
{
    const struct end_evidence *end = &evidence->end;
    char cause[CAUSE_TEXT_MAX];
    if (end->state != PROBE_RAN)
        return say(text, ANSWER_UNKNOWN, "not tried");
    if (end->answers)
        return say(text, ANSWER_YES, "one more handshake, when all was done");
    return say(text, ANSWER_NO, "no handshake any more: %s: it has ended, or wants no more of us",
               end->error.cause != ROAM_CLOSE_NONE ? describe_error(&end->error, cause) : "nobody answers");
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *id, *question, *section;
    enum severity severity;
    judge *judge;
} rules[] = {
    {"handshake", "completes a handshake", "RFC 9000 7", SEVERITY_SURVIVAL, judge_handshake},
    {"alpn", "application protocols", "RFC 9001 8.1", SEVERITY_INFO, judge_alpns},
    {"version-negotiation", "offers its versions", "RFC 9000 5.2.2", SEVERITY_SHOULD, judge_versions},
    {"cid-length", "has connection IDs", "RFC 9000 5.1", SEVERITY_SHOULD, judge_cid_length},
    {"transport-parameters", "valid transport parameters", "RFC 9000 18.2", SEVERITY_INFO, judge_params},
    {"retry", "asks for proof of address (Retry)", "RFC 9000 8.1.2", SEVERITY_INFO, judge_retry},
    {"retry-token", "verifies Retry tokens", "RFC 9000 8.1.2", SEVERITY_MUST, judge_retry_validates},
    {"session-tickets", "hands out session tickets", "RFC 9001 4.5", SEVERITY_INFO, judge_tickets},
    {"session-resumption", "resumes sessions", "RFC 9001 4.5", SEVERITY_INFO, judge_resumption},
    {"new-token", "hands out address tokens", "RFC 9000 8.1.3", SEVERITY_INFO, judge_new_token},
    {"ack-delay", "acknowledges in time", "RFC 9000 13.2.1", SEVERITY_MUST, judge_ack_delay},
    {"datagram-size", "takes datagrams as announced", "RFC 9000 18.2", SEVERITY_INFO, judge_size},
    {"idle-timeout", "announces an idle timeout", "RFC 9000 10.1", SEVERITY_INFO, judge_idle},
    {"port-rebinding", "survives a change of port", "RFC 9000 9.3", SEVERITY_SURVIVAL, judge_port},
    {"small-rebinding", "survives one after a small packet", "RFC 9000 9.3", SEVERITY_SURVIVAL, judge_small},
    {"address-rebinding", "survives a change of address", "RFC 9000 9.3", SEVERITY_SURVIVAL, judge_address},
    {"rebinding-row", "survives several in a row", "RFC 9000 9.3", SEVERITY_SURVIVAL, judge_row},
    {"rebinding-response", "survives one in mid-response", "RFC 9000 9.3", SEVERITY_SURVIVAL, judge_response},
    {"migration", "can be migrated to another path", "RFC 9000 9.2", SEVERITY_SURVIVAL, judge_migration},
    {"challenge-new-path", "challenges the new path", "RFC 9000 9", SEVERITY_MUST, judge_challenge_new},
    {"challenge-first", "challenges it first of all", "RFC 9000 8.2", SEVERITY_SHOULD, judge_challenge_first},
    {"challenge-padded", "pads challenges to 1200 octets", "RFC 9000 8.2.1", SEVERITY_MUST, judge_challenge_padded},
    {"challenge-data", "uses new data in each challenge", "RFC 9000 8.2.1", SEVERITY_MUST, judge_challenge_data},
    {"amplification", "stays within 3x before proof", "RFC 9000 8", SEVERITY_MUST, judge_amplification},
    {"challenge-old-path", "challenges the old path too", "RFC 9000 9.3.3", SEVERITY_MUST, judge_challenge_old},
    {"probe-answered", "answers probes where they come from", "RFC 9000 8.2.2", SEVERITY_MUST, judge_probe_answered},
    {"probe-stays", "does not follow a mere probe", "RFC 9000 9.1", SEVERITY_MUST, judge_probe_stays},
    {"cid-rotation", "changes its CID on a migration", "RFC 9000 9.5", SEVERITY_MUST, judge_cid_rotation},
    {"cid-supply", "gives spare connection IDs", "RFC 9000 5.1.1", SEVERITY_SHOULD, judge_cid_supply},
    {"cid-refill", "replaces retired ones", "RFC 9000 5.1.1", SEVERITY_SHOULD, judge_cid_refill},
    {"disable-active-migration", "keeps disable_active_migration", "RFC 9000 9", SEVERITY_MUST,
     judge_disable_migration},
    {"preferred-address", "is at its preferred address", "RFC 9000 9.6", SEVERITY_SHOULD, judge_preferred},
    {"stateless-reset", "resets what it does not know", "RFC 9000 10.3", SEVERITY_INFO, judge_reset},
    {"reset-size", "sends resets smaller than their cause", "RFC 9000 10.3.3", SEVERITY_MUST, judge_reset_smaller},
    {"reset-token", "sends resets that are believed", "RFC 9000 10.3.2", SEVERITY_SHOULD, judge_reset_token},
    {"still-there", "still answers at the end", "RFC 9000 10", SEVERITY_SURVIVAL, judge_end},
};

#define RULES (sizeof(rules) / sizeof(rules[0]))
_Static_assert(RULES <= VERDICTS_MAX, "each rule needs a place");

/* Without a handshake there is nothing to say about the rest. */
#define RULES_WITHOUT_HANDSHAKE 3

size_t verdicts_judge(const struct evidence *evidence, struct verdict ret[VERDICTS_MAX])
{
    size_t n = evidence->handshake.confirmed ? RULES : RULES_WITHOUT_HANDSHAKE;
    for (size_t i = 0; i < n; i++) {
        ret[i] = (struct verdict){.id = rules[i].id,
                                  .question = rules[i].question,
                                  .section = rules[i].section,
                                  .severity = rules[i].severity};
        ret[i].answer = rules[i].judge(evidence, ret[i].evidence);
    }
    return n;
}

const char *answer_name(enum answer answer)
{
    static const char *const names[] = {
        [ANSWER_YES] = "yes", [ANSWER_NO] = "no", [ANSWER_UNKNOWN] = "unknown", [ANSWER_NOT_APPLICABLE] = "n/a"};
    return names[answer];
}

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {[SEVERITY_INFO] = "info",
                                        [SEVERITY_SHOULD] = "should",
                                        [SEVERITY_MUST] = "must",
                                        [SEVERITY_SURVIVAL] = "survival"};
    return names[severity];
}
