/*
 * roam demo: a client whose address changes, told by what the server sees. Client and server are two endpoints on real
 * sockets, turned by one loop. Kept: nothing is printed that did not happen; the status is 0 only where the row moved,
 * the new address was validated, and every octet of the one stream came, in order and once.
 */
#include "cli/demo.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/table.h"

#define USAGE                                                                                                          \
    "usage: roam demo [--netns]\n\n"                                                                                   \
    "A client changes its address under a connection, and the connection goes on. On loopback, or, as root, with the " \
    "very\n"                                                                                                           \
    "addresses of the story in network namespaces, behind a kernel NAT that forgets its mapping.\n"

#define FIRST_MESSAGE  "Hello!"
#define SECOND_MESSAGE "Hello again!"

/* Small messages before and after the change, so that a gap would show. */
#define TICK_MS     10
#define TICKS       15
#define SENT_MAX    4096
#define STORY_LIMIT ROAM_SECONDS(20)

enum phase { PHASE_HANDSHAKE, PHASE_BEFORE, PHASE_MOVING, PHASE_AFTER, PHASE_OVER };

struct demo {
    struct stage stage;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[2];
    uv_process_t mover;
    bool mover_used;
    roam_io *server, *client;
    roam_conn *client_conn, *server_conn;
    roam_stream *stream; /* the client's */
    roam_credentials *server_credentials, *client_credentials;
    enum phase phase;
    unsigned ticks;
    bool interrupted, failed, confirmed, done;
    roam_time started, moved_at, last_read, gap_ns;

    char sent[SENT_MAX], received[SENT_MAX];
    size_t sent_len, received_len, told_len;
    uint64_t stream_id;
    bool stream_seen, same_stream, second_read;
    roam_conn_info before, after; /* the server's row */
    bool path_new, path_moved, path_challenged, path_answered, path_validated;
    unsigned handshakes;
    roam_conn_stats stats;
};

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

static void tell_at(const struct demo *demo, roam_time time, const char *who, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void tell_at(const struct demo *demo, roam_time time, const char *who, const char *format, ...)
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

#define tell(demo, who, ...) tell_at(demo, roam_io_now((demo)->server), who, __VA_ARGS__)

static void print_table(struct demo *demo, roam_conn_info *ret)
{
    roam_conn_get_info(demo->server_conn, ret);
    printf("\n%sThe server's table%s\n\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN));
    table_print_head(stdout);
    table_print_row(stdout, ret);
    putchar('\n');
    fflush(stdout);
}

static void fail(struct demo *demo, const char *what)
{
    say_error("%s", what);
    demo->failed = true;
    demo->phase = PHASE_OVER;
}

/* ---- The client's application ------------------------------------------------------------------------------------ */

static void say(struct demo *demo, const char *text)
{
    size_t len = strlen(text);
    if (demo->sent_len + len > SENT_MAX || roam_stream_write(demo->stream, text, len) != (ptrdiff_t)len) {
        fail(demo, "the client could not write");
        return;
    }
    memcpy(demo->sent + demo->sent_len, text, len);
    demo->sent_len += len;
}

static void on_moved(struct demo *demo)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    demo->phase = PHASE_AFTER;
    demo->ticks = 0;
    if (!demo->stage.behind_nat)
        tell(demo, "client", "is at %s now, and tells nobody", roam_address_format(&demo->stage.after, text));
    tell(demo, "client", "writes \"" SECOND_MESSAGE "\" on stream %" PRIu64, roam_stream_id(demo->stream));
    say(demo, SECOND_MESSAGE "\n");
}

static void on_mover_exit(uv_process_t *process, int64_t status, int signal)
{
    struct demo *demo = process->data;
    if (status != 0 || signal != 0)
        fail(demo, "the NAT could not be given its other address");
    else
        on_moved(demo);
}

static void move_nat(struct demo *demo)
{
    char command[1024], text[ROAM_ADDRESS_TEXT_MAX];
    char *arguments[] = {"sh", "-c", command, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t options = {
        .file = "/bin/sh", .args = arguments, .exit_cb = on_mover_exit, .stdio_count = 3, .stdio = stdio};
    netns_move_command(&demo->stage, command, sizeof(command));
    demo->mover.data = demo;
    demo->mover_used = true;
    tell(demo, "router", "gets %s instead, and forgets its mapping; neither client nor server are told",
         roam_address_format(&demo->stage.after, text));
    if (uv_spawn(&demo->loop, &demo->mover, &options) != 0)
        fail(demo, "no shell to change the NAT with");
}

/* The very address if it is free, else one beside it. */
static void move_client(struct demo *demo)
{
    char wanted[ROAM_ADDRESS_TEXT_MAX], got[ROAM_ADDRESS_TEXT_MAX];
    roam_address bound, *after = &demo->stage.after;
    roam_result result = roam_io_rebind(demo->client, demo->client_conn, after, &bound);
    if (result == ROAM_ERR_SYSTEM && errno == EADDRINUSE) {
        roam_address any_port = *after;
        any_port.port = 0;
        result = roam_io_rebind(demo->client, demo->client_conn, &any_port, &bound);
        if (result == ROAM_OK)
            printf("(%s is taken, the client goes to %s)\n", roam_address_format(after, wanted),
                   roam_address_format(&bound, got));
    }
    if (result != ROAM_OK) {
        fail(demo, result == ROAM_ERR_SYSTEM ? strerror(errno) : roam_result_name(result));
        return;
    }
    *after = bound;
    on_moved(demo);
}

static void on_tick(uv_timer_t *timer)
{
    struct demo *demo = timer->data;
    char text[32];
    if (roam_io_now(demo->server) - demo->started > STORY_LIMIT)
        fail(demo, "the story did not come to its end in time");
    if (demo->stream == NULL || demo->phase == PHASE_OVER || demo->done)
        return;
    if (demo->phase == PHASE_BEFORE && demo->ticks == TICKS && demo->confirmed && !demo->second_read &&
        demo->received_len == demo->sent_len) {
        print_table(demo, &demo->before);
        demo->phase = PHASE_MOVING;
        demo->moved_at = roam_io_now(demo->client);
        if (demo->stage.behind_nat)
            move_nat(demo);
        else
            move_client(demo);
        return;
    }
    if (demo->phase == PHASE_AFTER && demo->ticks >= TICKS && demo->path_validated) {
        roam_stream_finish(demo->stream);
        demo->done = true;
        return;
    }
    if (demo->phase == PHASE_MOVING || demo->ticks < TICKS) {
        demo->ticks += demo->phase != PHASE_MOVING;
        snprintf(text, sizeof(text), "still here, %u\n", demo->ticks);
        say(demo, text);
    }
}

static void on_client_event(struct demo *demo, const roam_event *event)
{
    char cause[CAUSE_TEXT_MAX];
    if (event->type == ROAM_EVENT_CONNECTED) {
        demo->stream = roam_stream_open(demo->client_conn, false, NULL);
        demo->phase = PHASE_BEFORE;
        if (demo->stream == NULL) {
            fail(demo, "the client got no stream");
            return;
        }
        demo->stream_id = roam_stream_id(demo->stream);
        tell_at(demo, event->time, "client", "writes \"" FIRST_MESSAGE "\" on stream %" PRIu64, demo->stream_id);
        say(demo, FIRST_MESSAGE "\n");
    } else if (event->type == ROAM_EVENT_CONFIRMED) {
        demo->confirmed = true;
    } else if (event->type == ROAM_EVENT_CLOSED) {
        fail(demo, describe_error(event->error, cause));
    }
}

/* ---- The server -------------------------------------------------------------------------------------------------- */

/* What the server's application says that it read: whole lines, without the small talk. */
static void tell_lines(struct demo *demo, roam_time time)
{
    char *line = demo->received + demo->told_len, *end;
    while ((end = memchr(line, '\n', (size_t)(demo->received + demo->received_len - line))) != NULL) {
        *end = '\0';
        if (strcmp(line, SECOND_MESSAGE) == 0)
            demo->second_read = true;
        if (strncmp(line, "Hello", 5) == 0)
            tell_at(demo, time, "server", "its application reads \"%s\" on stream %" PRIu64, line, demo->stream_id);
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
        tell_at(demo, event->time, "server", "its application reads the end of stream %" PRIu64, demo->stream_id);
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
        tell_at(demo, event->time, "server",
                "packet from an unknown address %s: its connection ID %s is known, and it is authentic", remote,
                roam_cid_format(&row.cid, cid));
    } else if (event->type == ROAM_EVENT_PATH_MOVED) {
        demo->path_moved = true;
        tell_at(demo, event->time, "server", "row moved from %s to %s", roam_address_format(&event->previous, previous),
                remote);
    } else if (event->type == ROAM_EVENT_PATH_CHALLENGED) {
        demo->path_challenged = demo->path_challenged || roam_address_equal(&event->remote, &demo->stage.after);
        tell_at(demo, event->time, "server", "PATH_CHALLENGE sent to %s", remote);
    } else if (event->type == ROAM_EVENT_PATH_ANSWERED) {
        demo->path_answered = true;
        tell_at(demo, event->time, "server", "PATH_RESPONSE received for %s", remote);
    } else if (event->type == ROAM_EVENT_PATH_VALIDATED) {
        demo->path_validated = demo->path_validated || roam_address_equal(&event->remote, &demo->stage.after);
        tell_at(demo, event->time, "server", "path to %s validated", remote);
    } else if (event->type == ROAM_EVENT_PATH_FAILED) {
        tell_at(demo, event->time, "server", "nobody answers at %s: that path is given up", remote);
    } else if (event->type == ROAM_EVENT_PATH_REVERTED) {
        tell_at(demo, event->time, "server", "row went back to %s", remote);
    }
}

static void on_server_event(struct demo *demo, const roam_event *event)
{
    char cause[CAUSE_TEXT_MAX];
    if (event->type == ROAM_EVENT_ACCEPTED) {
        demo->server_conn = event->conn;
    } else if (event->type == ROAM_EVENT_CONNECTED) {
        demo->handshakes++;
        tell_at(demo, event->time, "server", "handshake complete");
    } else if (event->type == ROAM_EVENT_STREAM_READABLE) {
        read_stream(demo, event);
    } else if (event->type >= ROAM_EVENT_PATH_NEW && event->type <= ROAM_EVENT_PATH_CLOSED) {
        on_path_event(demo, event);
    } else if (event->type == ROAM_EVENT_CLOSED && demo->phase != PHASE_OVER) {
        fail(demo, describe_error(event->error, cause));
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

/* Prints the figures; true where the connection has survived. */
static bool judge(struct demo *demo, const struct tcp_story *tcp)
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

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static bool bind_at(struct demo *demo, roam_io *io, enum side side, roam_address *address)
{
    char wanted[ROAM_ADDRESS_TEXT_MAX], got[ROAM_ADDRESS_TEXT_MAX];
    roam_address any_port = *address;
    if (!stage_enter(&demo->stage, side))
        return false;
    roam_result result = roam_io_bind(io, address, &any_port);
    if (result == ROAM_ERR_SYSTEM && (errno == EADDRINUSE || errno == EACCES)) {
        any_port.port = 0;
        result = roam_io_bind(io, &any_port, &any_port);
        if (result == ROAM_OK)
            printf("(%s cannot be had, using %s)\n", roam_address_format(address, wanted),
                   roam_address_format(&any_port, got));
    }
    stage_leave(&demo->stage);
    if (result != ROAM_OK)
        say_error("no socket on %s: %s", roam_address_format(address, wanted), strerror(errno));
    *address = any_port;
    return result == ROAM_OK;
}

static bool open_endpoints(struct demo *demo)
{
    static const char *const alpn[] = {"roam-demo", NULL};
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    char before[ROAM_ADDRESS_TEXT_MAX], server[ROAM_ADDRESS_TEXT_MAX];
    roam_config config;
    roam_endpoint_config endpoint;
    demo->server_credentials = roam_credentials_new();
    demo->client_credentials = roam_credentials_new();
    if (roam_credentials_generate(demo->server_credentials, (const char *const[]){"localhost", NULL}) != ROAM_OK ||
        roam_credentials_fingerprint(demo->server_credentials, pin) != ROAM_OK ||
        roam_credentials_trust_pin(demo->client_credentials, pin) != ROAM_OK)
        return false;
    roam_config_init(&config);
    config.alpn = alpn;
    config.credentials = demo->server_credentials;
    roam_endpoint_config_init(&endpoint);
    demo->client = roam_io_new(&endpoint, &demo->loop, NULL);
    endpoint.accept = &config;
    demo->server = roam_io_new(&endpoint, &demo->loop, NULL);
    if (demo->server == NULL || demo->client == NULL)
        return false;
    if (!bind_at(demo, demo->server, SIDE_SERVER, &demo->stage.server) ||
        !bind_at(demo, demo->client, SIDE_CLIENT, &demo->stage.client))
        return false;
    if (!demo->stage.behind_nat)
        demo->stage.before = demo->stage.client;
    config.credentials = demo->client_credentials;
    config.server_name = "localhost";
    config.remote = &demo->stage.server;
    config.local = &demo->stage.client;
    demo->started = roam_io_now(demo->server);
    tell(demo, "client", "%s connects to %s", roam_address_format(&demo->stage.before, before),
         roam_address_format(&demo->stage.server, server));
    demo->client_conn = roam_io_connect(demo->client, "localhost", demo->stage.server.port, &config, NULL);
    return demo->client_conn != NULL;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct demo *demo = handle->data;
    (void)number;
    demo->interrupted = true;
    demo->phase = PHASE_OVER;
}

static void start_loop(struct demo *demo)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    uv_loop_init(&demo->loop);
    uv_timer_init(&demo->loop, &demo->tick);
    demo->tick.data = demo;
    uv_timer_start(&demo->tick, on_tick, TICK_MS, TICK_MS);
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&demo->loop, &demo->signals[i]);
        demo->signals[i].data = demo;
        uv_signal_start(&demo->signals[i], on_signal, numbers[i]);
    }
}

static void stop_loop(struct demo *demo)
{
    roam_io_free(demo->client);
    roam_io_free(demo->server);
    uv_close((uv_handle_t *)&demo->tick, NULL);
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&demo->signals[i], NULL);
    if (demo->mover_used)
        uv_close((uv_handle_t *)&demo->mover, NULL);
    uv_run(&demo->loop, UV_RUN_DEFAULT);
    uv_loop_close(&demo->loop);
    roam_credentials_free(demo->server_credentials);
    roam_credentials_free(demo->client_credentials);
}

static void play(struct demo *demo)
{
    roam_event event;
    while (demo->phase != PHASE_OVER) {
        bool any = false;
        while (roam_io_next(demo->client, &event, 0)) {
            on_client_event(demo, &event);
            any = true;
        }
        while (roam_io_next(demo->server, &event, 0)) {
            on_server_event(demo, &event);
            any = true;
        }
        if (!any)
            uv_run(&demo->loop, UV_RUN_ONCE);
    }
}

static int run_story(struct demo *demo)
{
    struct tcp_story tcp;
    int status = EXIT_CONNECTION;
    tcp_start(&tcp, &demo->stage);
    start_loop(demo);
    if (open_endpoints(demo)) {
        play(demo);
        if (!demo->failed && !demo->interrupted) {
            print_table(demo, &demo->after);
            tcp_after(&tcp, &demo->stage);
            status = judge(demo, &tcp) ? EXIT_OK : EXIT_CONNECTION;
        }
    } else {
        say_error("the demo could not be set up");
        status = EXIT_LOCAL;
    }
    if (demo->interrupted)
        status = 128 + SIGINT;
    stop_loop(demo);
    tcp_done(&tcp);
    return status;
}

static void set_stage(struct stage *stage, bool netns)
{
    *stage = (struct stage){.home = -1};
    roam_address_parse(&stage->server, netns ? "203.0.113.5:443" : "127.0.0.5:4433");
    roam_address_parse(&stage->client, netns ? "172.16.0.2:40000" : "127.0.0.10:50000");
    roam_address_parse(&stage->before, netns ? "192.168.1.10:50000" : "127.0.0.10:50000");
    roam_address_parse(&stage->after, netns ? "10.0.0.20:51000" : "127.0.0.20:51000");
}

/* While namespaces are made and removed, an interruption waits. */
static void hold_signals(bool hold, sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, set, NULL);
}

int demo_main(int argc, char **argv)
{
    static const struct option_spec specs[] = {
        {"netns", 0, OPTION_FLAG, 0, NULL, "in network namespaces, behind a kernel NAT (root)"},
    };
    static struct demo demo;
    struct command_line line = {.command = "roam demo", .specs = specs, .spec_count = 1};
    sigset_t set;
    bool netns = false, help;
    if (!options_parse(&line, argc, argv, USAGE, &netns, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (line.positional_count != 0) {
        say_error("roam demo takes no arguments");
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    set_stage(&demo.stage, netns);
    if (!netns)
        return run_story(&demo);
    hold_signals(true, &set);
    if (!netns_make(&demo.stage))
        return EXIT_LOCAL;
    hold_signals(false, &set);
    int status = run_story(&demo);
    hold_signals(true, &set);
    netns_remove(&demo.stage);
    return status;
}
