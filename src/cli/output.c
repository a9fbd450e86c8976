/* What is said to people: errors, colours, amounts, events. Kept: colour only on a terminal, and not where NO_COLOR is
 * set. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

void say_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("roam: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

const char *style(FILE *stream, enum style which)
{
    static const char *const sequences[] = {
        [STYLE_PLAIN] = "\033[0m", [STYLE_BOLD] = "\033[1m", [STYLE_DIM] = "\033[2m",
        [STYLE_GOOD] = "\033[32m", [STYLE_BAD] = "\033[31m",
    };
    const char *no_color = getenv("NO_COLOR");
    if (!isatty(fileno(stream)) || (no_color != NULL && *no_color != '\0'))
        return "";
    return sequences[which];
}

const char *describe_error(const roam_error *error, char ret[CAUSE_TEXT_MAX])
{
    const char *separator = error->reason[0] != '\0' ? ": " : "";
    switch (error->cause) {
    case ROAM_CLOSE_LOCAL_TRANSPORT:
        snprintf(ret, CAUSE_TEXT_MAX, "%s%s%s", roam_error_name(error->code), separator, error->reason);
        break;
    case ROAM_CLOSE_PEER_TRANSPORT:
        snprintf(ret, CAUSE_TEXT_MAX, "the peer says %s%s%s", roam_error_name(error->code), separator, error->reason);
        break;
    case ROAM_CLOSE_PEER_APPLICATION:
        snprintf(ret, CAUSE_TEXT_MAX, "the peer closed with code %" PRIu64 "%s%s", error->code, separator,
                 error->reason);
        break;
    case ROAM_CLOSE_LOCAL_APPLICATION:
        snprintf(ret, CAUSE_TEXT_MAX, "closed with code %" PRIu64 "%s%s", error->code, separator, error->reason);
        break;
    case ROAM_CLOSE_HANDSHAKE_TIMEOUT:
        snprintf(ret, CAUSE_TEXT_MAX, "%s: nobody answered in time", roam_close_cause_name(error->cause));
        break;
    default:
        snprintf(ret, CAUSE_TEXT_MAX, "%s%s%s", roam_close_cause_name(error->cause), separator, error->reason);
    }
    return ret;
}

const char *format_amount(double bytes, char ret[AMOUNT_TEXT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1024;
        unit++;
    }
    snprintf(ret, AMOUNT_TEXT_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return ret;
}

void print_hex(FILE *stream, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        fprintf(stream, "%02x", data[i]);
}

static bool event_has_path_data(roam_event_type type)
{
    return type == ROAM_EVENT_PATH_CHALLENGED || type == ROAM_EVENT_PATH_CHALLENGE_RECEIVED ||
           type == ROAM_EVENT_PATH_RESPONDED || type == ROAM_EVENT_PATH_ANSWERED;
}

static void print_path_data(FILE *stream, const uint8_t data[8])
{
    fputs(" data ", stream);
    print_hex(stream, data, 8);
}

void print_event(FILE *stream, const roam_event *event, roam_time since)
{
    char remote[ROAM_ADDRESS_TEXT_MAX], local[ROAM_ADDRESS_TEXT_MAX], previous[ROAM_ADDRESS_TEXT_MAX];
    char cid[ROAM_CID_TEXT_MAX];
    const roam_event_class class = roam_event_class_of(event->type);
    fprintf(stream, "%10.3f ms  %-24s", (double)(event->time - since) / 1e6, roam_event_name(event->type));
    if (class == ROAM_EVENT_CLASS_PATH) {
        fprintf(stream, " path %" PRIu64 " %s -> %s cid %s", event->path_id, roam_address_format(&event->local, local),
                roam_address_format(&event->remote, remote), roam_cid_format(&event->cid, cid));
        if (event->type == ROAM_EVENT_PATH_MOVED || event->type == ROAM_EVENT_PATH_REVERTED)
            fprintf(stream, " was %s", roam_address_format(&event->previous, previous));
        if (!event->proven && (event->type == ROAM_EVENT_PATH_NEW || event->type == ROAM_EVENT_PATH_MOVED))
            fputs(" claimed", stream);
        if (event_has_path_data(event->type))
            print_path_data(stream, event->path_data);
    } else if (class == ROAM_EVENT_CLASS_CID) {
        fprintf(stream, " %s sequence %" PRIu64, roam_cid_format(&event->cid, cid), event->sequence);
    } else if (class == ROAM_EVENT_CLASS_ENDPOINT) {
        fprintf(stream, " %s -> %s cid %s", roam_address_format(&event->local, local),
                roam_address_format(&event->remote, remote), roam_cid_format(&event->cid, cid));
    } else if (class == ROAM_EVENT_CLASS_DATAGRAM) {
        if (event->type != ROAM_EVENT_DATAGRAM_READABLE && event->type != ROAM_EVENT_DATAGRAM_WRITABLE)
            fprintf(stream, " tag %" PRIu64, event->tag);
    } else if (event->stream != NULL) {
        fprintf(stream, " stream %" PRIu64, roam_stream_id(event->stream));
        if (event->type == ROAM_EVENT_STREAM_RESET || event->type == ROAM_EVENT_STREAM_STOPPED)
            fprintf(stream, " code %" PRIu64, event->code);
    } else if (event->type == ROAM_EVENT_CLOSED) {
        char cause[CAUSE_TEXT_MAX];
        fprintf(stream, " %s", describe_error(event->error, cause));
    }
    fputc('\n', stream);
}

void print_move(FILE *stream, const roam_event *event)
{
    char local[ROAM_ADDRESS_TEXT_MAX], remote[ROAM_ADDRESS_TEXT_MAX], resent[AMOUNT_TEXT_MAX], before[AMOUNT_TEXT_MAX],
        after[AMOUNT_TEXT_MAX];
    roam_path_stats move;
    if (roam_conn_path_stats(event->conn, &move, 1) == 0)
        return;
    char proven[40] = "before";
    if (move.validated_after > 0)
        snprintf(proven, sizeof(proven), "after %.3f ms", (double)move.validated_after / 1e6);
    fprintf(stream,
            "moved to %s -> %s (%s): gap %.3f ms, proven %s, %" PRIu64 " packets lost, %s sent again, RTT %.3f "
            "to %.3f ms, window %s to %s\n",
            roam_address_format(&move.local, local), roam_address_format(&move.remote, remote),
            roam_move_why_name(move.why), (double)move.gap / 1e6, proven, move.packets_lost,
            format_amount((double)move.bytes_resent, resent), (double)move.rtt_before / 1e6,
            (double)move.rtt_after / 1e6, format_amount((double)move.window_before, before),
            format_amount((double)move.window_after, after));
}
