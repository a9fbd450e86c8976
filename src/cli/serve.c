/*
 * roam serve: the files of a directory over HTTP/3, and over HTTPS/1.1 to those who do not know that yet. Kept: what
 * runs is not dropped, neither by new certificates (SIGHUP) nor by the end (SIGTERM), which waits for it for a while.
 */
#include "cli/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/sandbox.h"

#define USAGE                                                                                                          \
    "usage: roam serve [options] DIR [[ADDR:]PORT...]\n\n"                                                             \
    "Serves the files of DIR over HTTP/3 (UDP) and HTTPS/1.1 (TCP), at port 4433 where none is said. Without --cert "  \
    "and\n"                                                                                                            \
    "--key it makes a certificate. SIGHUP reads certificates, DIR and the log's name anew; SIGTERM lets what runs "    \
    "end.\n"

#define OPTION(name, letter, kind, member, argument, help)                                                             \
    {                                                                                                                  \
        name, letter, kind, offsetof(struct serve_options, member), argument, help                                     \
    }

#define CHUNK_BYTES   (64 * 1024)
#define DEFAULT_PLACE "4433"
#define DEFAULT_GRACE ROAM_SECONDS(10)

/* From the first GOAWAY to the second: longer than most round trips. */
#define GOAWAY_PAUSE ROAM_MILLISECONDS(200)
#define GOING_MS     50

static const struct option_spec specs[] = {
    OPTION("cert", 0, OPTION_TEXTS, certs, "FILE", "certificate chain, PEM; repeat both for other names (SNI)"),
    OPTION("key", 0, OPTION_TEXTS, keys, "FILE", "its private key, PEM"),
    OPTION("listings", 0, OPTION_FLAG, listings, NULL, "list directories that have no index.html"),
    OPTION("access-log", 0, OPTION_TEXT, access_log, "FILE",
           "log requests there in combined format; - for standard output"),
    OPTION("no-tcp", 0, OPTION_FLAG, no_tcp, NULL, "HTTP/3 only"),
    OPTION("grace", 0, OPTION_DURATION, grace, "TIME", "wait so long for what runs before the end (10s)"),
    OPTION("preferred", 0, OPTION_ADDRESSES, net.preferred, "ADDR[:PORT]",
           "listen there too, and ask clients to move there; one of each family"),
    OPTION("static-key", 0, OPTION_TEXT, net.static_key, "FILE",
           "for tokens and resets that outlive a restart; made once"),
    OPTION("early", 0, OPTION_FLAG, net.early, NULL, "take what clients send with their first flight (0-RTT), once"),
    OPTION("invitation-key", 0, OPTION_TEXT, net.invitation_key, "FILE",
           "answer only those who have this key, nothing to anybody else; made once"),
    OPTION("retry", 0, OPTION_FLAG, net.retry, NULL, "make every client prove its address first"),
    OPTION("cid-plan", 0, OPTION_CID_PLAN, net.cid_plan, "PLAN",
           "connection IDs that name this server to a load balancer: quic-lb:config=1,server=0a0b,key=@FILE"),
    OPTION("cipher", 0, OPTION_CIPHER, net.ciphers, "NAME", "aes128, aes256 or chacha20; may be repeated"),
    OPTION("quic-version", 0, OPTION_QUIC, net.versions, "VERSION",
           "v1 or v2; may be repeated, the first that a client offers is spoken (both, as the client begins)"),
    OPTION("handshake", 0, OPTION_DURATION, net.handshake, "TIME", "give a handshake up after so long (10s)"),
    OPTION("congestion", 0, OPTION_CONGESTION, net.congestion, "NAME", "cubic, newreno or bbr"),
    OPTION("idle", 0, OPTION_DURATION, net.idle, "TIME", "give up after so long in silence (30s)"),
    OPTION("socket-buffer", 0, OPTION_BYTES, net.socket_buffer, "N",
           "ask the kernel for buffers of so many octets (4M)"),
    OPTION("ipv4", '4', OPTION_FLAG, net.ipv4, NULL, "IPv4 only"),
    OPTION("ipv6", '6', OPTION_FLAG, net.ipv6, NULL, "IPv6 only"),
    OPTION("qlog", 0, OPTION_TEXT, net.qlog, "DIR", "write a qlog of each connection there"),
    OPTION("verbose", 'v', OPTION_FLAG, net.verbose, NULL, "print events as they happen"),
    WATCH_OPTIONS(struct serve_options, net.watch),
    SANDBOX_OPTIONS(struct serve_options, net.sandbox),
};

/* ---- What is read anew on SIGHUP --------------------------------------------------------------------------------- */

static roam_credentials *load_credentials(const struct serve_options *options)
{
    roam_credentials *credentials = roam_credentials_new();
    bool loaded = credentials != NULL;
    if (!loaded)
        say_error("no memory for credentials");
    for (size_t i = 0; loaded && i < options->certs.count; i++) {
        roam_result result = roam_credentials_load(credentials, options->certs.texts[i], options->keys.texts[i]);
        loaded = result == ROAM_OK;
        if (!loaded)
            say_error("cannot use the certificate in %s with the key in %s: %s", options->certs.texts[i],
                      options->keys.texts[i], roam_result_name(result));
    }
    if (loaded && options->certs.count == 0)
        loaded = setup_certificate(credentials);
    if (loaded)
        return credentials;
    roam_credentials_free(credentials);
    return NULL;
}

/* Opens what *fd (-1: nothing yet) is to lead to, under the number that it has. */
static bool reopen(int *fd, const char *file, int flags)
{
    int opened = open(file, flags | O_CLOEXEC, 0640);
    if (opened < 0) {
        say_error("cannot %s %s: %s", flags & O_DIRECTORY ? "serve" : "write the log", file, strerror(errno));
        return false;
    }
    if (*fd < 0) {
        *fd = opened;
        return true;
    }
    dup3(opened, *fd, O_CLOEXEC);
    close(opened);
    return true;
}

static bool open_log(struct server *server)
{
    const char *file = server->options.access_log;
    if (file == NULL)
        return true;
    if (strcmp(file, "-") != 0)
        return reopen(&server->log_fd, file, O_WRONLY | O_APPEND | O_CREAT);
    server->log_fd = STDOUT_FILENO;
    return true;
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    (void)number;
    reopen(&server->site.root, server->options.directory, O_RDONLY | O_DIRECTORY);
    open_log(server);
    roam_credentials *credentials = server->options.certs.count > 0 ? load_credentials(&server->options) : NULL;
    if (credentials == NULL)
        return; /* those that we have go on */
    roam_endpoint_set_credentials(roam_io_endpoint(server->io), credentials);
    if (server->tcp != NULL)
        serve_tcp_set_credentials(server->tcp, credentials);
    roam_credentials_free(server->credentials);
    server->credentials = credentials;
    fprintf(stderr, "certificates were read anew\n");
}

/* ---- Serving ----------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    roam_io_wake(server->io);
}

static void begin_to_go(struct server *server)
{
    server->going_since = roam_io_now(server->io);
    serve_h3_go_away(server);
    if (server->tcp != NULL)
        serve_tcp_quiesce(server->tcp);
    uv_timer_start(&server->timer, on_timer, GOING_MS, GOING_MS);
}

/* True where nothing is left, or nobody is waited for any more. */
static bool go_on_going(struct server *server)
{
    static bool gone;
    roam_time passed = roam_io_now(server->io) - server->going_since;
    bool impatient = passed >= server->options.grace;
    if (!gone && passed >= GOAWAY_PAUSE) {
        gone = true;
        serve_h3_go_away(server);
    }
    bool empty = gone ? serve_h3_close(server, impatient) : server->first == NULL;
    return impatient || (empty && (server->tcp == NULL || serve_tcp_idle(server->tcp)));
}

static void serve(struct server *server)
{
    roam_event event;
    for (bool over = false; !over;) {
        if (watch_next(server->watch, &event, ROAM_TIME_NEVER)) {
            if (server->options.net.verbose)
                print_event(stderr, &event, server->started);
            serve_h3_on_event(server, &event);
        }
        if (server->signals.caught != 0 && server->going_since == 0)
            begin_to_go(server);
        over = server->going_since != 0 && go_on_going(server);
    }
}

static void invite(const struct server *server, const char *name, uint16_t port)
{
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    if (server->options.certs.count > 0 || roam_credentials_fingerprint(server->credentials, fingerprint) != ROAM_OK)
        return;
    fprintf(stderr, "on the other side: roam get --pin sha256:");
    print_hex(stderr, fingerprint, sizeof(fingerprint));
    fprintf(stderr, " https://%s:%u/\n", name, port);
}

/* Before there are threads: each would have to give it up for itself. */
static bool give_up_rest(const struct server *server)
{
    const struct serve_options *options = &server->options;
    struct sandbox_plan plan = {0};
    sandbox_want(&plan, SANDBOX_SERVE, options->directory);
    for (size_t i = 0; i < options->certs.count; i++) {
        sandbox_want(&plan, SANDBOX_REREAD, options->certs.texts[i]);
        sandbox_want(&plan, SANDBOX_REREAD, options->keys.texts[i]);
    }
    if (options->access_log != NULL && strcmp(options->access_log, "-") != 0)
        sandbox_want(&plan, SANDBOX_REWRITE, options->access_log);
    return sandbox_enter_server(&plan, &options->net, watch_control_path(server->watch));
}

static int run(struct server *server, struct command_line *line, const roam_endpoint_config *config)
{
    static struct places places;
    char name[256] = "localhost";
    uint16_t port;
    roam_result result;
    server->io = roam_io_new(config, NULL, &result);
    if (server->io == NULL) {
        say_error("cannot start: %s", roam_result_name(result));
        return EXIT_LOCAL;
    }
    server->started = roam_io_now(server->io);
    signals_start(&server->signals, server->io);
    uv_signal_init(roam_io_loop(server->io), &server->hangup);
    server->hangup.data = server;
    uv_signal_start(&server->hangup, on_hangup, SIGHUP);
    uv_timer_init(roam_io_loop(server->io), &server->timer);
    server->timer.data = server;
    bool ready = setup_logs(server->io, &server->options.net) &&
                 places_open_all(&places, server->io, &server->options.net, line, name, &port) &&
                 (server->watch =
                      watch_start(server->io, &server->options.net.watch, line->command, server->credentials)) != NULL;
    if (ready && !server->options.no_tcp)
        ready = (server->tcp = serve_tcp_open(server, &places)) != NULL;
    ready = ready && give_up_rest(server) && (server->tcp == NULL || serve_tcp_start(server->tcp));
    if (ready) {
        invite(server, name, port);
        serve(server);
    }
    serve_tcp_stop(server->tcp);
    uv_close((uv_handle_t *)&server->hangup, NULL);
    uv_close((uv_handle_t *)&server->timer, NULL);
    signals_stop(&server->signals);
    watch_stop(server->watch);
    settle_handles(server->io);
    report_logs(server->io);
    roam_io_free(server->io);
    return ready ? EXIT_OK : EXIT_LOCAL;
}

static bool check_line(struct command_line *line, struct serve_options *options)
{
    if (line->positional_count == 0) {
        say_error("roam serve wants a directory: DIR [[ADDR:]PORT...]");
        return false;
    }
    if (options->certs.count != options->keys.count) {
        say_error("--cert and --key go together");
        return false;
    }
    options->directory = line->positional[0];
    memmove(line->positional, line->positional + 1, --line->positional_count * sizeof(line->positional[0]));
    if (line->positional_count == 0)
        line->positional[line->positional_count++] = DEFAULT_PLACE;
    if (options->grace == 0)
        options->grace = DEFAULT_GRACE;
    return true;
}

int serve_main(int argc, char **argv)
{
    static struct server server = {.site = {.root = -1}, .log_fd = -1};
    struct command_line line = {
        .command = "roam serve", .specs = specs, .spec_count = sizeof(specs) / sizeof(specs[0])};
    struct serve_options *options = &server.options;
    roam_config config;
    roam_endpoint_config endpoint_config;
    const char *alpn[2];
    bool help;
    options->net.cid_length = UINT64_MAX;
    options->net.alpn = ROAM_H3_ALPN;
    if (!options_parse(&line, argc, argv, USAGE, options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (!check_line(&line, options) || !setup_endpoint(&options->net, &endpoint_config) ||
        !setup_silence(&options->net, &endpoint_config) || !setup_config(&options->net, true, alpn, &config))
        return EXIT_USAGE;
    roam_credentials_free(config.credentials);
    config.credentials = server.credentials = load_credentials(options);
    if (server.credentials == NULL)
        return EXIT_USAGE;
    endpoint_config.accept = &config;
    server.site.listings = options->listings;
    server.chunk = malloc(CHUNK_BYTES);
    int status = EXIT_LOCAL;
    if (server.chunk == NULL)
        say_error("no memory");
    else if (reopen(&server.site.root, options->directory, O_RDONLY | O_DIRECTORY) && open_log(&server))
        status = run(&server, &line, &endpoint_config);
    roam_credentials_free(server.credentials);
    free(server.chunk);
    return status;
}
