/*
 * roam demo: a client whose address changes, told by what the server sees. Client and server are two endpoints on real
 * sockets, turned by one loop. Kept: nothing is printed that did not happen; the status is 0 only where the row moved,
 * the new address was validated, and every octet of the one stream came, in order and once.
 */
#include "cli/demo_story.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USAGE                                                                                                          \
    "usage: roam demo [--netns]\n\n"                                                                                   \
    "A client changes its address under a connection, and the connection goes on. On loopback, or, as root, with the " \
    "very\n"                                                                                                           \
    "addresses of the story in network namespaces, behind a kernel NAT that forgets its mapping.\n"

/* ---- The client's application ------------------------------------------------------------------------------------ */

static void say(struct demo *demo, const char *text)
{
    size_t len = strlen(text);
    if (demo->sent_len + len > SENT_MAX || roam_stream_write(demo->stream, text, len) != (ptrdiff_t)len) {
        demo_fail(demo, "the client could not write");
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
        demo_fail(demo, "the NAT could not be given its other address");
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
        demo_fail(demo, "no shell to change the NAT with");
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
        demo_fail(demo, result == ROAM_ERR_SYSTEM ? strerror(errno) : roam_result_name(result));
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
        demo_fail(demo, "the story did not come to its end in time");
    if (demo->stream == NULL || demo->phase == PHASE_OVER || demo->done)
        return;
    if (demo->phase == PHASE_BEFORE && demo->ticks == TICKS && demo->confirmed && !demo->second_read &&
        demo->received_len == demo->sent_len) {
        demo_print_table(demo, &demo->before);
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
            demo_fail(demo, "the client got no stream");
            return;
        }
        demo->stream_id = roam_stream_id(demo->stream);
        demo_tell_at(demo, event->time, "client", "writes \"" FIRST_MESSAGE "\" on stream %" PRIu64, demo->stream_id);
        say(demo, FIRST_MESSAGE "\n");
    } else if (event->type == ROAM_EVENT_CONFIRMED) {
        demo->confirmed = true;
    } else if (event->type == ROAM_EVENT_CLOSED) {
        demo_fail(demo, describe_error(event->error, cause));
    }
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
            demo_on_server_event(demo, &event);
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
            demo_print_table(demo, &demo->after);
            tcp_after(&tcp, &demo->stage);
            status = demo_judge(demo, &tcp) ? EXIT_OK : EXIT_CONNECTION;
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
