/*
 * The server's half of roam demo: what it sees, its table, what its application reads, and the verdict at the end.
 * Nothing is printed that did not happen.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/demo_story.h"
#include "cli/table.h"

void demo_tell_at(const struct demo *demo, roam_time time, const char *who, const char *format, ...)
{
    va_list arguments;
    printf("%s%10.3f ms%s  %-7s ", style(stdout, STYLE_DIM), (double)(time - demo->started) / 1e6,
           style(stdout, STYLE_PLAIN), who);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void demo_print_table(struct demo *demo, roam_conn_info *ret)
{
    roam_conn_get_info(demo->server_conn, ret);
    printf("\n%sThe server's table%s\n\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN));
    table_print_head(stdout);
    table_print_row(stdout, ret);
    putchar('\n');
    fflush(stdout);
}

void demo_fail(struct demo *demo, const char *what)
{
    say_error("%s", what);
    demo->failed = true;
    demo->phase = PHASE_OVER;
}

/* ---- What the server sees ---------------------------------------------------------------------------------------- */

/* What the server's application says that it read: whole lines, without the small talk. */
static void tell_lines(struct demo *demo, roam_time time)
{
    char *line = demo->received + demo->told_len, *end;
    while ((end = memchr(line, '\n', (size_t)(demo->received + demo->received_len - line))) != NULL) {
        *end = '\0';
        if (strcmp(line, SECOND_MESSAGE) == 0)
            demo->second_read = true;
        if (strncmp(line, "Hello", 5) == 0)
            demo_tell_at(demo, time, "server", "its application reads \"%s\" on stream %" PRIu64, line,
                         demo->stream_id);
        *end = '\n';
        line = end + 1;
    }
    demo->told_len = (size_t)(line - demo->received);
}

static void read_stream(struct demo *demo, const roam_event *event)
{
    bool end = false;
    ptrdiff_t n;
    if (!demo->stream_seen)
        demo->same_stream = roam_stream_id(event->stream) == demo->stream_id;
    demo->stream_seen = true;
    demo->same_stream = demo->same_stream && roam_stream_id(event->stream) == demo->stream_id;
    do {
        n = roam_stream_read(event->stream, demo->received + demo->received_len, SENT_MAX - demo->received_len, &end);
        if (n > 0)
            demo->received_len += (size_t)n;
    } while (n > 0);
    /* The longest silence that the application saw from just before the change on. */
    if (demo->moved_at != 0 && demo->last_read != 0 && event->time > demo->last_read && !end)
        demo->gap_ns = event->time - demo->last_read > demo->gap_ns ? event->time - demo->last_read : demo->gap_ns;
    demo->last_read = event->time;
    tell_lines(demo, event->time);
    if (end) {
        demo->phase = PHASE_OVER;
        demo_tell_at(demo, event->time, "server", "its application reads the end of stream %" PRIu64, demo->stream_id);
    }
}

static void on_path_event(struct demo *demo, const roam_event *event)
{
    char remote[ROAM_ADDRESS_TEXT_MAX], previous[ROAM_ADDRESS_TEXT_MAX], cid[ROAM_CID_TEXT_MAX];
    roam_conn_info row;
    roam_address_format(&event->remote, remote);
    if (event->type == ROAM_EVENT_PATH_NEW) {
        roam_conn_get_info(demo->server_conn, &row);
        demo->path_new = true;
        demo_tell_at(demo, event->time, "server",
                     "packet from an unknown address %s: its connection ID %s is known, and it is authentic", remote,
                     roam_cid_format(&row.cid, cid));
    } else if (event->type == ROAM_EVENT_PATH_MOVED) {
        demo->path_moved = true;
        demo_tell_at(demo, event->time, "server", "row moved from %s to %s",
                     roam_address_format(&event->previous, previous), remote);
    } else if (event->type == ROAM_EVENT_PATH_CHALLENGED) {
        demo->path_challenged = demo->path_challenged || roam_address_equal(&event->remote, &demo->stage.after);
        demo_tell_at(demo, event->time, "server", "PATH_CHALLENGE sent to %s", remote);
    } else if (event->type == ROAM_EVENT_PATH_ANSWERED) {
        demo->path_answered = true;
        demo_tell_at(demo, event->time, "server", "PATH_RESPONSE received for %s", remote);
    } else if (event->type == ROAM_EVENT_PATH_VALIDATED) {
        demo->path_validated = demo->path_validated || roam_address_equal(&event->remote, &demo->stage.after);
        demo_tell_at(demo, event->time, "server", "path to %s validated", remote);
    } else if (event->type == ROAM_EVENT_PATH_FAILED) {
        demo_tell_at(demo, event->time, "server", "nobody answers at %s: that path is given up", remote);
    } else if (event->type == ROAM_EVENT_PATH_REVERTED) {
        demo_tell_at(demo, event->time, "server", "row went back to %s", remote);
    }
}

void demo_on_server_event(struct demo *demo, const roam_event *event)
{
    char cause[CAUSE_TEXT_MAX];
    if (event->type == ROAM_EVENT_ACCEPTED) {
        demo->server_conn = event->conn;
    } else if (event->type == ROAM_EVENT_CONNECTED) {
        demo->handshakes++;
        demo_tell_at(demo, event->time, "server", "handshake complete");
    } else if (event->type == ROAM_EVENT_STREAM_READABLE) {
        read_stream(demo, event);
    } else if (roam_event_class_of(event->type) == ROAM_EVENT_CLASS_PATH) {
        on_path_event(demo, event);
    } else if (event->type == ROAM_EVENT_CLOSED && demo->phase != PHASE_OVER) {
        demo_fail(demo, describe_error(event->error, cause));
    }
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static size_t octets_in_place(const struct demo *demo)
{
    size_t n = 0;
    while (n < demo->sent_len && n < demo->received_len && demo->sent[n] == demo->received[n])
        n++;
    return n;
}

bool demo_judge(struct demo *demo, const struct tcp_story *tcp)
{
    char before[ROAM_ADDRESS_TEXT_MAX], after[ROAM_ADDRESS_TEXT_MAX], cid_before[ROAM_CID_TEXT_MAX],
        cid_after[ROAM_CID_TEXT_MAX];
    bool same_cid = roam_cid_equal(&demo->before.cid, &demo->after.cid);
    bool moved = demo->path_moved && roam_address_equal(&demo->before.remote, &demo->stage.before) &&
                 roam_address_equal(&demo->after.remote, &demo->stage.after);
    size_t lost = demo->sent_len - octets_in_place(demo);
    bool survived = same_cid && moved && demo->path_validated && demo->second_read && demo->same_stream && lost == 0 &&
                    demo->received_len == demo->sent_len && demo->handshakes == 1;
    roam_address_format(&demo->before.remote, before);
    roam_address_format(&demo->after.remote, after);
    roam_cid_format(&demo->before.cid, cid_before);
    roam_cid_format(&demo->after.cid, cid_after);
    printf("  %s, %s\n", same_cid ? "same CID" : "ANOTHER CID", moved ? "new address" : "NOT the new address");
    printf("  stream bytes: %zu sent, %zu received, %zu lost\n", demo->sent_len, demo->received_len, lost);
    printf("  gap that the application saw: %.1f ms (a message is sent every %d ms)\n", (double)demo->gap_ns / 1e6,
           TICK_MS);
    tcp_print(tcp, &demo->stage);
    printf(
        "\nresult quic same_cid=%s cid_before=%s cid_after=%s address_before=%s address_after=%s moved=%s validated=%s "
        "second_message=%s same_stream=%s bytes_sent=%zu bytes_received=%zu bytes_lost=%zu gap_ms=%.1f handshakes=%u "
        "moves=%" PRIu64 "\n",
        same_cid ? "yes" : "no", cid_before, cid_after, before, after, moved ? "yes" : "no",
        demo->path_validated ? "yes" : "no", demo->second_read ? "yes" : "no", demo->same_stream ? "yes" : "no",
        demo->sent_len, demo->received_len, lost, (double)demo->gap_ns / 1e6, demo->handshakes, demo->after.moves);
    printf("result tcp same_connection=%s new_connection=%s\n", tcp->same_connection ? "yes" : "no",
           tcp->new_connection ? "yes" : "no");
    printf("%s%s%s\n", style(stdout, survived ? STYLE_GOOD : STYLE_BAD),
           survived ? "The connection survived." : "The connection did NOT survive.", style(stdout, STYLE_PLAIN));
    return survived;
}
