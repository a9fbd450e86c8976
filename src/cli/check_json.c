/* The report for programs: one JSON object, RFC 8259, whose members docs/check.md describes. Members may be added; none
 * goes or changes its meaning while "schema" stays what it is. */
#include <inttypes.h>

#include "cli/check.h"

#define SCHEMA "roam-check/1"

static void put_string(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(stream, "\\%c", *at);
        else if (*at < 0x20 || *at >= 0x7f)
            fprintf(stream, "\\u%04x", *at);
        else
            fputc(*at, stream);
    }
    fputc('"', stream);
}

static void put_text(FILE *stream, const char *name, const char *text)
{
    fprintf(stream, "\"%s\":", name);
    put_string(stream, text);
    fputc(',', stream);
}

static void put_number(FILE *stream, const char *name, uint64_t number)
{
    fprintf(stream, "\"%s\":%" PRIu64 ",", name, number);
}

static void put_bool(FILE *stream, const char *name, bool value)
{
    fprintf(stream, "\"%s\":%s,", name, value ? "true" : "false");
}

static void put_ms(FILE *stream, const char *name, roam_time time)
{
    fprintf(stream, "\"%s\":%.3f,", name, (double)time / 1e6);
}

static void put_address(FILE *stream, const char *name, const roam_address *address)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    if (roam_address_is_set(address))
        put_text(stream, name, roam_address_format(address, text));
    else
        fprintf(stream, "\"%s\":null,", name);
}

static void put_cid(FILE *stream, const char *name, const roam_cid *cid)
{
    char text[ROAM_CID_TEXT_MAX];
    put_text(stream, name, roam_cid_format(cid, text));
}

static void put_target(FILE *stream, const struct exam *exam)
{
    fputs("\"target\":{", stream);
    put_text(stream, "host", exam->host);
    put_number(stream, "port", exam->port);
    put_address(stream, "address", &exam->remote);
    put_address(stream, "from", &exam->local);
    put_address(stream, "second", &exam->second);
    fprintf(stream, "\"alpn\":");
    put_string(stream, exam->alpn != NULL ? exam->alpn : "");
    fputs("},", stream);
}

static void put_params(FILE *stream, const struct transport_params *params)
{
    fputs("\"transport_parameters\":{", stream);
    put_number(stream, "max_idle_timeout", params->max_idle_timeout_ms);
    put_number(stream, "max_udp_payload_size", params->max_udp_payload);
    put_number(stream, "initial_max_data", params->initial_max_data);
    put_number(stream, "initial_max_stream_data_bidi_local", params->initial_max_stream_data_bidi_local);
    put_number(stream, "initial_max_stream_data_bidi_remote", params->initial_max_stream_data_bidi_remote);
    put_number(stream, "initial_max_stream_data_uni", params->initial_max_stream_data_uni);
    put_number(stream, "initial_max_streams_bidi", params->initial_max_streams_bidi);
    put_number(stream, "initial_max_streams_uni", params->initial_max_streams_uni);
    put_number(stream, "ack_delay_exponent", params->ack_delay_exponent);
    put_number(stream, "max_ack_delay", params->max_ack_delay_ms);
    put_number(stream, "active_connection_id_limit", params->active_connection_id_limit);
    put_number(stream, "max_datagram_frame_size", params->max_datagram_frame_size);
    put_bool(stream, "disable_active_migration", params->disable_active_migration);
    put_bool(stream, "stateless_reset_token", params->has_stateless_reset_token);
    put_address(stream, "preferred_address_ipv4", &params->preferred_address.ipv4);
    put_address(stream, "preferred_address_ipv6", &params->preferred_address.ipv6);
    fprintf(stream, "\"source_connection_id_bytes\":%u},", params->initial_source_cid.len);
}

static void put_move(FILE *stream, const char *id, const struct move_evidence *move, bool last)
{
    const struct move_facts *facts = &move->facts;
    fputc('{', stream);
    put_text(stream, "id", id);
    put_address(stream, "from", &move->from);
    put_address(stream, "to", &move->to);
    put_number(stream, "attempts", move->attempts);
    put_bool(stream, "survived", move->survived);
    put_ms(stream, "first_answer_ms", facts->first_after);
    put_ms(stream, "acknowledged_ms", facts->acked_after);
    put_ms(stream, "response_sent_ms", facts->answered_after);
    put_number(stream, "trigger_bytes", facts->trigger_bytes);
    put_number(stream, "sent_new", facts->sent_new);
    put_number(stream, "received_new", facts->received_new);
    put_number(stream, "received_old", facts->received_old);
    put_number(stream, "challenges_new", facts->challenges_new);
    put_number(stream, "challenges_old", facts->challenges_old);
    put_bool(stream, "challenge_first", facts->challenge_first);
    put_bool(stream, "challenge_first_certain", facts->challenge_first || facts->first_is_certain);
    put_number(stream, "challenge_datagram_bytes", facts->challenge_bytes);
    put_number(stream, "bytes_sent_before_response", facts->bytes_out);
    put_number(stream, "bytes_received_before_response", facts->bytes_in);
    put_number(stream, "bytes_beyond_limit", facts->bytes_beyond);
    put_number(stream, "stream_bytes_new", facts->stream_bytes_new);
    put_cid(stream, "our_cid_at_old", &facts->cid_old);
    put_cid(stream, "our_cid_at_new", &facts->cid_new);
    fprintf(stream, "\"cid_shared\":%s}%s", facts->cid_shared ? "true" : "false", last ? "" : ",");
}

static void put_moves(FILE *stream, const struct evidence *evidence)
{
    const struct {
        const char *id;
        const struct move_evidence *move;
    } moves[] = {
        {"port-rebinding", &evidence->port},       {"small-rebinding", &evidence->small},
        {"address-rebinding", &evidence->address}, {"rebinding-response", &evidence->response},
        {"migration", &evidence->migration},
    };
    const size_t n = sizeof(moves) / sizeof(moves[0]);
    size_t ran = 0, put = 0;
    for (size_t i = 0; i < n; i++)
        ran += moves[i].move->state == PROBE_RAN;
    fputs("\"moves\":[", stream);
    for (size_t i = 0; i < n; i++)
        if (moves[i].move->state == PROBE_RAN)
            put_move(stream, moves[i].id, moves[i].move, ++put == ran);
    fputs("],", stream);
}

static void put_verdicts(FILE *stream, const struct report *report)
{
    fputs("\"verdicts\":[", stream);
    for (size_t i = 0; i < report->count; i++) {
        const struct verdict *verdict = &report->verdicts[i];
        fputc('{', stream);
        put_text(stream, "id", verdict->id);
        put_text(stream, "question", verdict->question);
        put_text(stream, "answer", answer_name(verdict->answer));
        put_text(stream, "severity", severity_name(verdict->severity));
        put_text(stream, "section", verdict->section);
        fputs("\"evidence\":", stream);
        put_string(stream, verdict->evidence);
        fputs(i + 1 < report->count ? "}," : "}", stream);
    }
    fputs("],", stream);
}

static void put_totals(FILE *stream, const struct report *report)
{
    const struct check_totals *totals = &report->exam->totals;
    fputs("\"totals\":{", stream);
    put_number(stream, "connections", totals->connections);
    put_number(stream, "datagrams_sent", totals->datagrams_sent);
    put_number(stream, "bytes_sent", totals->bytes_sent);
    put_number(stream, "datagrams_received", totals->datagrams_received);
    put_number(stream, "bytes_received", totals->bytes_received);
    fprintf(stream, "\"seconds\":%.3f}", (double)report->took / 1e9);
}

void report_print_json(const struct report *report, FILE *stream)
{
    const struct exam *exam = report->exam;
    fputc('{', stream);
    put_text(stream, "schema", SCHEMA);
    put_text(stream, "outcome", check_status_name(report->status));
    put_number(stream, "exit_status", report->status);
    put_target(stream, exam);
    if (exam->evidence.handshake.confirmed)
        put_params(stream, &exam->evidence.handshake.params);
    put_verdicts(stream, report);
    put_moves(stream, &exam->evidence);
    put_totals(stream, report);
    fputs("}\n", stream);
}
