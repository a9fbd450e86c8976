/* The report for people: one line for each question, colour only on a terminal. */
#include <inttypes.h>
#include <string.h>

#include "cli/check.h"

#define QUESTION_WIDTH 37
#define ANSWER_WIDTH   13

const char *check_status_name(enum check_status status)
{
    static const char *const names[] = {
        [CHECK_SURVIVES] = "survives",         [CHECK_FAILS] = "fails", [CHECK_USAGE] = "usage",
        [CHECK_NO_HANDSHAKE] = "no-handshake", [CHECK_LOCAL] = "local", [CHECK_UNDECIDED] = "undecided",
    };
    return names[status];
}

static enum style style_of(const struct verdict *verdict)
{
    switch (verdict->answer) {
    case ANSWER_YES:
        return STYLE_GOOD;
    case ANSWER_NO:
        return verdict->severity >= SEVERITY_MUST ? STYLE_BAD : STYLE_BOLD;
    default:
        return STYLE_DIM;
    }
}

static void print_verdict(FILE *stream, const struct verdict *verdict)
{
    char answer[32];
    snprintf(answer, sizeof(answer),
             verdict->answer == ANSWER_NO && verdict->severity > SEVERITY_INFO ? "%s (%s)" : "%s",
             answer_name(verdict->answer), severity_name(verdict->severity));
    fprintf(stream, "%s%-*s%s  %-*s %s %s[%s]%s\n", style(stream, style_of(verdict)), ANSWER_WIDTH, answer,
            style(stream, STYLE_PLAIN), QUESTION_WIDTH, verdict->question, verdict->evidence, style(stream, STYLE_DIM),
            verdict->section, style(stream, STYLE_PLAIN));
}

static void print_params(FILE *stream, const struct transport_params *params)
{
    fprintf(stream,
            "%*smax_idle_timeout=%" PRIu64 "ms max_udp_payload_size=%" PRIu64 " initial_max_data=%" PRIu64
            " initial_max_stream_data_bidi_local=%" PRIu64 "\n"
            "%*sinitial_max_stream_data_bidi_remote=%" PRIu64 " initial_max_stream_data_uni=%" PRIu64
            " initial_max_streams_bidi=%" PRIu64 "\n"
            "%*sinitial_max_streams_uni=%" PRIu64 " ack_delay_exponent=%" PRIu64 " max_ack_delay=%" PRIu64
            "ms disable_active_migration=%s\n"
            "%*sactive_connection_id_limit=%" PRIu64 " stateless_reset_token=%s preferred_address=%s"
            " max_datagram_frame_size=%" PRIu64 "\n",
            ANSWER_WIDTH + 2, "", params->max_idle_timeout_ms, params->max_udp_payload, params->initial_max_data,
            params->initial_max_stream_data_bidi_local, ANSWER_WIDTH + 2, "",
            params->initial_max_stream_data_bidi_remote, params->initial_max_stream_data_uni,
            params->initial_max_streams_bidi, ANSWER_WIDTH + 2, "", params->initial_max_streams_uni,
            params->ack_delay_exponent, params->max_ack_delay_ms, params->disable_active_migration ? "yes" : "no",
            ANSWER_WIDTH + 2, "", params->active_connection_id_limit, params->has_stateless_reset_token ? "yes" : "no",
            params->has_preferred_address ? "yes" : "no", params->max_datagram_frame_size);
}

static unsigned count_no(const struct report *report, enum severity severity)
{
    unsigned n = 0;
    for (size_t i = 0; i < report->count; i++)
        n += report->verdicts[i].answer == ANSWER_NO && report->verdicts[i].severity == severity;
    return n;
}

static void print_summary(FILE *stream, const struct report *report)
{
    const bool good = report->status == CHECK_SURVIVES;
    const unsigned survival = count_no(report, SEVERITY_SURVIVAL), must = count_no(report, SEVERITY_MUST);
    fputs(style(stream, good ? STYLE_GOOD : STYLE_BAD), stream);
    if (report->status == CHECK_NO_HANDSHAKE)
        fputs("no handshake: nothing more can be said", stream);
    else if (report->status == CHECK_UNDECIDED)
        fputs("undecided: the exam did not come to its end", stream);
    else if (survival > 0)
        fprintf(stream, "does NOT survive: %u of its moves end%s the connection or strand%s it", survival,
                survival == 1 ? "s" : "", survival == 1 ? "s" : "");
    else
        fputs("survives every move that was made", stream);
    if (must > 0)
        fprintf(stream, "; %u MUST%s of RFC 9000 not kept", must, must == 1 ? "" : "s");
    if (count_no(report, SEVERITY_SHOULD) > 0)
        fprintf(stream, "; %u piece%s of advice not followed", count_no(report, SEVERITY_SHOULD),
                count_no(report, SEVERITY_SHOULD) == 1 ? "" : "s");
    fprintf(stream, "%s\n", style(stream, STYLE_PLAIN));
}

void report_print(const struct report *report, FILE *stream)
{
    const struct exam *exam = report->exam;
    const struct check_totals *totals = &exam->totals;
    char remote[ROAM_ADDRESS_TEXT_MAX], sent[AMOUNT_TEXT_MAX], received[AMOUNT_TEXT_MAX];
    fprintf(stream, "%s%s port %u at %s%s\n\n", style(stream, STYLE_BOLD), exam->host, exam->port,
            roam_address_format(&exam->remote, remote), style(stream, STYLE_PLAIN));
    for (size_t i = 0; i < report->count; i++) {
        print_verdict(stream, &report->verdicts[i]);
        if (strcmp(report->verdicts[i].id, "transport-parameters") == 0)
            print_params(stream, &exam->evidence.handshake.params);
    }
    fputc('\n', stream);
    print_summary(stream, report);
    fprintf(stream, "%u connections in %.1f s: %" PRIu64 " datagrams (%s) sent, %" PRIu64 " (%s) received\n",
            totals->connections, (double)report->took / 1e9, totals->datagrams_sent,
            format_amount((double)totals->bytes_sent, sent), totals->datagrams_received,
            format_amount((double)totals->bytes_received, received));
}
