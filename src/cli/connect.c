/*
 * roam connect: netcat over a connection that may move, and a client for HTTP/0.9. Kept: it ends with 0 only where
 * everything was acknowledged and everything that the peer sent, its end included, was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/hq_client.h"
#include "cli/keepsakes.h"
#include "cli/session.h"

#define USAGE                                                                                                          \
    "usage: roam connect [options] HOST:PORT\n"                                                                        \
    "       roam connect [options] --hq URL [-o FILE]\n"                                                               \
    "       roam connect [options] --hq URL [--hq URL]... --download DIR\n\n"                                          \
    "Standard input goes to the other side, what comes from there to standard output. The server must prove who it "   \
    "is:\n"                                                                                                            \
    "by the system's authorities, by --ca, or by --pin.\n"

/* How often it is asked whether the session has come that is to be kept. */
#define SESSION_TICK ROAM_MILLISECONDS(10)

#define OPTION(name, letter, kind, member, argument, help)                                                             \
    {                                                                                                                  \
        name, letter, kind, offsetof(struct net_options, member), argument, help                                       \
    }

static const struct option_spec specs[] = {
    OPTION("pin", 0, OPTION_PIN, pin, "sha256:HEX", "trust who has the key with this fingerprint"),
    OPTION("ca", 0, OPTION_TEXT, ca, "FILE", "trust these authorities, PEM, instead of the system's"),
    OPTION("insecure", 0, OPTION_FLAG, insecure, NULL, "trust anyone: for tests"),
    OPTION("name", 0, OPTION_TEXT, name, "NAME", "ask for and verify this name instead of HOST"),
    OPTION("cert", 0, OPTION_TEXT, cert, "FILE", "certificate chain to show, PEM"),
    OPTION("key", 0, OPTION_TEXT, key, "FILE", "its private key, PEM"),
    OPTION("recv-only", 0, OPTION_FLAG, recv_only, NULL, "do not read standard input"),
    OPTION("hq", 0, OPTION_TEXTS, urls, "URL", "fetch https://HOST[:PORT]/PATH over HTTP/0.9 (ALPN hq-interop)"),
    OPTION("download", 0, OPTION_TEXT, download, "DIR", "fetch all the files of --hq there, at once"),
    OPTION("output", 'o', OPTION_TEXT, output, "FILE", "write there instead of standard output"),
    OPTION("rebind-every", 0, OPTION_DURATION, rebind_every, "TIME", "change the port so often, telling nobody"),
    OPTION("rebind-at", 0, OPTION_BYTES, rebind_at, "N",
           "change the port once, after N octets; the old one still hears"),
    OPTION("migrate-every", 0, OPTION_DURATION, migrate_every, "TIME",
           "migrate to another port so often (RFC 9000, 9)"),
    OPTION("bind", 0, OPTION_ADDRESS, bind, "ADDR[:PORT]", "leave from this address, and stay there"),
    OPTION("no-move", 0, OPTION_FLAG, no_move, NULL, "stay where we are when the host's networks change"),
    OPTION("prefer", 0, OPTION_NAMES, prefer, "IFACE", "be on this interface whenever it leads there"),
    OPTION("metered", 0, OPTION_NAMES, metered, "IFACE",
           "this interface costs money: be elsewhere where that does as well"),
    OPTION("forbid", 0, OPTION_NAMES, forbid, "IFACE", "never be on this interface"),
    OPTION("force", 0, OPTION_NAMES, force, "IFACE", "never be on another interface"),
    OPTION("no-preferred", 0, OPTION_FLAG, no_preferred, NULL, "stay where the server would rather be elsewhere"),
    OPTION("token-file", 0, OPTION_TEXT, token_file, "FILE", "keep the server's tokens there, and use one"),
    OPTION("invitation-key", 0, OPTION_TEXT, invitation_key, "FILE", "the key of a server that answers nobody without"),
    OPTION("session-file", 0, OPTION_TEXT, session_file, "FILE",
           "keep TLS sessions with the server there, and resume one"),
    OPTION("early", 0, OPTION_FLAG, early, NULL, "begin with the first flight (0-RTT) where a session allows it"),
    OPTION("alpn", 0, OPTION_TEXT, alpn, "NAME", "application protocol"),
    OPTION("handshake-only", 0, OPTION_FLAG, handshake_only, NULL, "complete the handshake and say so"),
    OPTION("cipher", 0, OPTION_CIPHER, ciphers, "NAME", "aes128, aes256 or chacha20; may be repeated"),
    OPTION("cid-length", 0, OPTION_NUMBER, cid_length, "N", "octets of our connection IDs: 0, 4 to 20 (8)"),
    OPTION("congestion", 0, OPTION_CONGESTION, congestion, "NAME", "cubic, newreno or bbr"),
    OPTION("datagram", 0, OPTION_BYTES, datagram_bytes, "N", "octets of a full datagram at first (1200)"),
    OPTION("no-pmtud", 0, OPTION_FLAG, no_pmtud, NULL, "stay at that size, do not look for larger ones"),
    OPTION("quic-version", 0, OPTION_QUIC, versions, "VERSION",
           "v1 or v2; may be repeated, the first is begun with (v1, then v2)"),
    OPTION("force-version", 0, OPTION_VERSION, force_version, "HEX", "offer this version first"),
    OPTION("key-update-every", 0, OPTION_DURATION, key_update_every, "TIME", "update the keys so often"),
    OPTION("idle", 0, OPTION_DURATION, idle, "TIME", "give up after so long in silence (30s)"),
    OPTION("handshake", 0, OPTION_DURATION, handshake, "TIME", "give the handshake up after so long (10s)"),
    OPTION("socket-buffer", 0, OPTION_BYTES, socket_buffer, "N", "ask the kernel for buffers of so many octets (4M)"),
    OPTION("keep-alive", 0, OPTION_DURATION, keep_alive, "TIME", "send a PING after so long in silence"),
    OPTION("ipv4", '4', OPTION_FLAG, ipv4, NULL, "IPv4 only"),
    OPTION("ipv6", '6', OPTION_FLAG, ipv6, NULL, "IPv6 only"),
    OPTION("progress", 0, OPTION_FLAG, progress, NULL, "show progress, terminal or not"),
    OPTION("qlog", 0, OPTION_TEXT, qlog, "DIR", "write a qlog of each connection there"),
    OPTION("qlog-latest", 0, OPTION_FLAG, qlog_latest, NULL, "by the names of the newest draft, not those of qvis"),
    OPTION("verbose", 'v', OPTION_FLAG, verbose, NULL, "print events as they happen, and a summary"),
};

struct client {
    roam_io *io;
    struct net_options options;
    struct signals signals;
    struct session session;
    struct hq_client hq; /* --download */
    uv_timer_t rebind, migrate, key_update;
    uv_check_t watch; /* --verbose: for networks */
    bool rebound;     /* --rebind-at has happened */
    bool connected;   /* --handshake-only has its answer */
    bool has_session; /* --session-file has been written */
    char host[256];
    uint16_t port;
    char request[1100]; /* HTTP/0.9 */
    roam_network networks[ROAM_NETWORKS_MAX];
    size_t network_count;
    char networks_printed[512];
};

/* ---- Moves ------------------------------------------------------------------------------------------------------- */

static void complain_move(const char *what, roam_result result)
{
    /* Not confirmed yet, or another move still under way: the next time will do. */
    if (result != ROAM_OK && result != ROAM_ERR_STATE && result != ROAM_ERR_LIMIT && result != ROAM_ERR_CLOSED)
        say_error("cannot %s: %s%s%s", what, roam_result_name(result), result == ROAM_ERR_SYSTEM ? ": " : "",
                  result == ROAM_ERR_SYSTEM ? strerror(errno) : "");
}

enum move_kind { MOVE_REBIND, MOVE_REBIND_SOFTLY, MOVE_MIGRATE };

/* A NAT that gives a new mapping while the old one still lets in what is under way: the connection moves to another
 * socket, and the old one stays open. */
static roam_result rebind_softly(struct client *client, roam_address *ret_bound)
{
    roam_conn *conn = client->session.conn;
    roam_conn_info row;
    roam_conn_get_info(conn, &row);
    roam_address local = row.local;
    local.family = roam_conn_remote_address(conn)->family;
    local.port = 0;
    roam_result result = roam_io_bind(client->io, &local, ret_bound);
    return result != ROAM_OK ? result : roam_conn_rebind(conn, roam_io_now(client->io), ret_bound);
}

static void move(struct client *client, enum move_kind kind)
{
    const roam_address anywhere = {0};
    struct session *session = &client->session;
    roam_address bound;
    roam_result result;
    if (session->conn == NULL || session->closed || !roam_conn_is_confirmed(session->conn))
        return;
    if (kind == MOVE_REBIND)
        result = roam_io_rebind(client->io, session->conn, &anywhere, &bound);
    else if (kind == MOVE_REBIND_SOFTLY)
        result = rebind_softly(client, &bound);
    else
        result = roam_io_migrate(client->io, session->conn, &anywhere, &bound);
    complain_move(kind == MOVE_MIGRATE ? "migrate" : "rebind", result);
    if (kind != MOVE_MIGRATE && result == ROAM_OK) {
        /* Nobody tells a client that it was rebound, nor a server: where all that is under way comes down to us,
         * nothing would ever go up. A keep-alive would do the same, later. */
        roam_conn_ping(session->conn, roam_io_now(client->io));
        session->moves++;
    }
    if (result == ROAM_OK && client->options.verbose) {
        char text[ROAM_ADDRESS_TEXT_MAX];
        fprintf(stderr, "%10.3f ms  %s to %s\n", (double)(roam_io_now(client->io) - session->started) / 1e6,
                kind == MOVE_MIGRATE ? "migrating" : "rebound", roam_address_format(&bound, text));
    }
}

static void on_rebind_timer(uv_timer_t *timer)
{
    move(timer->data, MOVE_REBIND);
}

static void on_migrate_timer(uv_timer_t *timer)
{
    move(timer->data, MOVE_MIGRATE);
}

static void on_key_update_timer(uv_timer_t *timer)
{
    struct client *client = timer->data;
    if (client->session.conn != NULL && !client->session.closed && roam_conn_is_confirmed(client->session.conn))
        roam_conn_update_keys(client->session.conn, roam_io_now(client->io));
}

static void rebind_if_due(struct client *client)
{
    const struct pipe *pipe = &client->session.pipe;
    if (client->options.rebind_at == 0 || client->rebound || client->session.conn == NULL ||
        pipe->bytes_in + pipe->bytes_out < client->options.rebind_at || !roam_conn_is_confirmed(client->session.conn))
        return;
    client->rebound = true;
    move(client, MOVE_REBIND_SOFTLY);
}

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

/* Whoever says where to leave from, or when to move, does the moving. */
static void choose_mobility(struct client *client, roam_config *config)
{
    const struct net_options *options = &client->options;
    bool by_hand = options->no_move || roam_address_is_set(&options->bind) || options->rebind_every != 0 ||
                   options->rebind_at != 0 || options->migrate_every != 0;
    config->mobility = by_hand ? ROAM_MOBILITY_MANUAL : ROAM_MOBILITY_AUTO;
    setup_networks(client->io, options);
}

/* The list, where it is another than before: looked at in each turn of the loop, for no event tells of it. */
static void print_networks(uv_check_t *handle)
{
    struct client *client = handle->data;
    roam_network networks[ROAM_NETWORKS_MAX];
    size_t n = roam_io_networks(client->io, networks, ROAM_NETWORKS_MAX);
    char text[sizeof(client->networks_printed)] = "", address[ROAM_ADDRESS_TEXT_MAX];
    size_t at = 0;
    if (n == client->network_count && memcmp(networks, client->networks, n * sizeof(*networks)) == 0)
        return;
    client->network_count = n;
    memcpy(client->networks, networks, n * sizeof(*networks));
    for (size_t i = 0; i < n && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %s%s%s", i > 0 ? ", " : "", networks[i].name,
                               roam_address_format(&networks[i].local, address),
                               networks[i].is_default ? " default" : "", networks[i].metered ? " metered" : "");
    if (strcmp(text, client->networks_printed) == 0)
        return;
    memcpy(client->networks_printed, text, sizeof(text));
    fprintf(stderr, "%10.3f ms  networks: %s\n", (double)(roam_io_now(client->io) - client->session.started) / 1e6,
            text[0] != '\0' ? text : "none");
}

static void start_handles(struct client *client)
{
    uv_check_init(roam_io_loop(client->io), &client->watch);
    client->watch.data = client;
    if (client->options.verbose)
        uv_check_start(&client->watch, print_networks);
    start_timer(client->io, &client->rebind, client, client->options.rebind_every, on_rebind_timer);
    start_timer(client->io, &client->migrate, client, client->options.migrate_every, on_migrate_timer);
    start_timer(client->io, &client->key_update, client, client->options.key_update_every, on_key_update_timer);
}

static void stop_handles(struct client *client)
{
    uv_close((uv_handle_t *)&client->watch, NULL);
    uv_close((uv_handle_t *)&client->rebind, NULL);
    uv_close((uv_handle_t *)&client->migrate, NULL);
    uv_close((uv_handle_t *)&client->key_update, NULL);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static void open_stream(struct client *client)
{
    roam_result result;
    roam_stream *stream = roam_stream_open(client->session.conn, false, &result);
    if (stream != NULL) {
        pipe_attach(&client->session.pipe, stream, client->request[0] != '\0' ? client->request : NULL);
    } else if (result == ROAM_ERR_MEMORY) {
        errno = ENOMEM;
        pipe_give_up(&client->session.pipe);
    } /* else STREAMS_AVAILABLE comes, or the end of the connection */
}

static void print_connected(struct client *client)
{
    roam_conn_stats stats;
    roam_conn_get_stats(client->session.conn, &stats);
    printf("connected version=0x%08x alpn=%s cipher=%s resumed=%s%s%s\n", stats.version,
           roam_conn_alpn(client->session.conn), stats.cipher, stats.resumed ? "yes" : "no",
           client->options.early ? " early=" : "", client->options.early ? early_data_name(client->session.conn) : "");
    client->connected = true;
}

/* The name that a server's certificate bears: what its tokens and sessions are kept by. */
static const char *server_name(const struct client *client)
{
    return client->options.name != NULL ? client->options.name : client->host;
}

static void on_event(struct client *client, const roam_event *event)
{
    struct session *session = &client->session;
    session_on_event(session, event);
    keepsakes_keep(&client->options, server_name(client), client->port, event);
    client->has_session |= event->type == ROAM_EVENT_NEW_SESSION;
    if (client->options.download != NULL) {
        hq_client_on_event(&client->hq, event);
    } else if (client->options.handshake_only) {
        if (event->type == ROAM_EVENT_CONFIRMED)
            print_connected(client);
    } else if ((event->type == ROAM_EVENT_EARLY_DATA_READY || event->type == ROAM_EVENT_CONNECTED ||
                event->type == ROAM_EVENT_STREAMS_AVAILABLE) &&
               session->pipe.stream == NULL) {
        open_stream(client);
    }
    /* A stream that the peer opens is none of ours. */
    if (event->type == ROAM_EVENT_STREAM_OPENED)
        roam_stream_free(event->stream);
}

/* What became of --download, in the words of the session, which tells the user. */
static void end_download(struct client *client)
{
    const struct hq_client *hq = &client->hq;
    struct pipe *pipe = &client->session.pipe;
    pipe->bytes_out = hq->bytes;
    if (hq->failed == NULL) {
        pipe->acknowledged = pipe->read_end = hq_client_is_over(hq);
        return;
    }
    pipe->local_error = hq->error;
    pipe->local_end = hq->failed;
    pipe->was_reset = hq->error == 0;
    pipe->code = hq->code;
    if (hq->error == 0)
        say_error("%s was not sent", hq->failed);
}

static void wait_for_session(struct client *client)
{
    const struct session *session = &client->session;
    const roam_time since = roam_io_now(client->io);
    roam_event event;
    while (!session->closed && session->signals->caught == 0 &&
           keepsakes_are_awaited(&client->options, session->conn, client->has_session, since, roam_io_now(client->io)))
        if (roam_io_next(client->io, &event, SESSION_TICK))
            on_event(client, &event);
}

static int talk(struct client *client)
{
    struct session *session = &client->session;
    roam_event event;
    bool downloads = client->options.download != NULL;
    while (!client->connected && !session_is_over(session) && !(downloads && hq_client_is_over(&client->hq))) {
        if (roam_io_next(client->io, &event, ROAM_TIME_NEVER))
            on_event(client, &event);
        rebind_if_due(client);
    }
    wait_for_session(client);
    if (client->connected) {
        session->pipe.acknowledged = session->pipe.read_end = true; /* that was all */
        fflush(stdout);
    }
    if (downloads)
        end_download(client);
    return session_end(session);
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static bool parse_url(struct client *client, const char *url)
{
    char path[1001];
    if (!split_url(url, client->host, &client->port, path, sizeof(path)))
        return false;
    snprintf(client->request, sizeof(client->request), "GET %s\r\n", path);
    return true;
}

static bool open_connection(struct client *client, roam_config *config)
{
    const struct net_options *options = &client->options;
    roam_address local = options->bind;
    roam_result result;
    if (!keepsakes_take(options, server_name(client), client->port, config))
        return false;
    if (options->ipv4 || options->ipv6)
        local.family = local.family != ROAM_FAMILY_NONE ? local.family
                       : options->ipv4                  ? ROAM_FAMILY_IPV4
                                                        : ROAM_FAMILY_IPV6;
    config->local = roam_address_is_set(&local) ? &local : NULL;
    choose_mobility(client, config);
    setup_buffers(client->io, options);
    client->session.conn = roam_io_connect(client->io, client->host, client->port, config, &result);
    /* A pipe seldom needs them, and whoever uses one a hundred times a day need not hear of it each time. */
    if (options->verbose)
        report_buffers(client->io);
    if (client->session.conn != NULL)
        return true;
    say_error("connection to %s failed: %s%s%s", client->session.peer, roam_result_name(result),
              result == ROAM_ERR_SYSTEM ? ": " : "", result == ROAM_ERR_SYSTEM ? strerror(errno) : "");
    return false;
}

static int run(struct client *client, roam_config *config, const roam_endpoint_config *endpoint_config, int out_fd)
{
    const struct net_options *options = &client->options;
    roam_result result;
    int status = EXIT_LOCAL;
    client->io = roam_io_new(endpoint_config, NULL, &result);
    if (client->io == NULL) {
        say_error("cannot start: %s", roam_result_name(result));
        return EXIT_LOCAL;
    }
    bool reads = options->hq == NULL && !options->handshake_only && !options->recv_only;
    signals_start(&client->signals, client->io);
    start_handles(client);
    if (!hq_client_init(&client->hq, &options->urls, options->download)) {
        say_error("cannot write to %s: %s", options->download, strerror(errno));
    } else if (!setup_logs(client->io, options)) {
        status = EXIT_LOCAL;
    } else if (!session_init(&client->session, client->io, options, &client->signals, reads ? STDIN_FILENO : -1,
                             out_fd)) {
        say_error("standard input or output: %s", strerror(errno));
    } else {
        client->session.pipe.keep_output = options->handshake_only;
        snprintf(client->session.peer, sizeof(client->session.peer),
                 strchr(client->host, ':') != NULL ? "[%s]:%u" : "%s:%u", client->host, client->port);
        status = open_connection(client, config) ? talk(client) : (session_end(&client->session), EXIT_CONNECTION);
    }
    hq_client_done(&client->hq);
    stop_handles(client);
    signals_stop(&client->signals);
    settle_handles(client->io);
    report_logs(client->io);
    roam_io_free(client->io);
    return status;
}

static bool check_line(struct client *client, const struct command_line *line)
{
    const struct net_options *options = &client->options;
    if (options->download != NULL ? options->hq == NULL || options->output != NULL : options->urls.count > 1) {
        say_error(options->download != NULL ? "--download wants --hq, and excludes --output"
                                            : "several --hq want a directory: --download DIR");
    } else if (options->hq != NULL && line->positional_count == 0) {
        if (options->download != NULL && !hq_client_check(&options->urls))
            return false;
        if (parse_url(client, options->hq))
            return true;
        say_error("not a URL like https://HOST[:PORT]/PATH: '%s'", options->hq);
    } else if (options->hq != NULL) {
        say_error("--hq names the server: what is '%s' for?", line->positional[0]);
    } else if (line->positional_count != 1) {
        say_error("roam connect wants one server to connect to: HOST:PORT");
    } else if (!split_host_port(line->positional[0], NULL, client->host, &client->port) || client->port == 0) {
        say_error("not a HOST:PORT: '%s'", line->positional[0]);
    } else {
        return true;
    }
    return false;
}

int connect_main(int argc, char **argv)
{
    static struct client client;
    struct command_line line = {
        .command = "roam connect", .specs = specs, .spec_count = sizeof(specs) / sizeof(specs[0])};
    struct net_options *options = &client.options;
    roam_config config;
    roam_endpoint_config endpoint_config;
    const char *alpn[2];
    bool help;
    options->cid_length = UINT64_MAX;
    if (!options_parse(&line, argc, argv, USAGE, options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    options->hq = options->urls.count > 0 ? options->urls.texts[0] : NULL;
    if (!check_line(&client, &line) || !setup_endpoint(options, &endpoint_config))
        return EXIT_USAGE;
    if (!setup_config(options, false, alpn, &config))
        return EXIT_USAGE;
    int out_fd = STDOUT_FILENO;
    if (options->output != NULL)
        out_fd = open(options->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out_fd < 0) {
        say_error("cannot write to %s: %s", options->output, strerror(errno));
        roam_credentials_free(config.credentials);
        return EXIT_LOCAL;
    }
    int status = run(&client, &config, &endpoint_config, out_fd);
    if (options->output != NULL && close(out_fd) != 0 && status == EXIT_OK) {
        say_error("cannot write to %s: %s", options->output, strerror(errno));
        status = EXIT_LOCAL;
    }
    roam_credentials_free(config.credentials);
    return status;
}
