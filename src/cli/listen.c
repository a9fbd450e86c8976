/*
 * roam listen: netcat's other end, and a small file server. Kept: without --keep one connection whose handshake
 * succeeded is served, and its status is ours; those that come meanwhile are told that we are busy.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/hq_server.h"
#include "cli/places.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/watch.h"

#define USAGE                                                                                                          \
    "usage: roam listen [options] [ADDR:]PORT...\n\n"                                                                  \
    "Waits for a connection; what comes on its first stream goes to standard output, standard input goes back.\n"      \
    "Without --cert and --key it makes a certificate and prints the line to run on the other side.\n"

#define OPTION(name, letter, kind, member, argument, help)                                                             \
    {                                                                                                                  \
        name, letter, kind, offsetof(struct net_options, member), argument, help                                       \
    }

/* How often the table is looked at while nothing happens. */
#define TABLE_PERIOD ROAM_MILLISECONDS(500)

static const struct option_spec specs[] = {
    OPTION("keep", 'k', OPTION_FLAG, keep, NULL, "go on after the first connection, one at a time"),
    OPTION("recv-only", 0, OPTION_FLAG, recv_only, NULL, "do not read standard input"),
    OPTION("table", 't', OPTION_FLAG, table, NULL, "show the live table on standard error"),
    OPTION("hq", 0, OPTION_TEXT, hq, "DIR", "serve the files of DIR over HTTP/0.9 (ALPN hq-interop) to anyone"),
    OPTION("handshake-only", 0, OPTION_FLAG, handshake_only, NULL,
           "complete handshakes and do no more, until interrupted"),
    OPTION("cert", 0, OPTION_TEXT, cert, "FILE", "certificate chain, PEM"),
    OPTION("key", 0, OPTION_TEXT, key, "FILE", "its private key, PEM"),
    OPTION("ca", 0, OPTION_TEXT, ca, "FILE", "ask clients for a certificate that one of these authorities signed"),
    OPTION("pin", 0, OPTION_PIN, pin, "sha256:HEX", "ask clients for a certificate with this key"),
    OPTION("alpn", 0, OPTION_TEXT, alpn, "NAME", "application protocol"),
    OPTION("preferred", 0, OPTION_ADDRESSES, preferred, "ADDR[:PORT]",
           "listen there too, and ask clients to move there; one of each family"),
    OPTION("no-migration", 0, OPTION_FLAG, no_migration, NULL, "ask clients not to move on purpose"),
    OPTION("static-key", 0, OPTION_TEXT, static_key, "FILE", "for tokens and resets that outlive a restart; made once"),
    OPTION("early", 0, OPTION_FLAG, early, NULL, "take what clients send with their first flight (0-RTT), once"),
    OPTION("retry", 0, OPTION_FLAG, retry, NULL, "make every client prove its address first"),
    OPTION("cipher", 0, OPTION_CIPHER, ciphers, "NAME", "aes128, aes256 or chacha20; may be repeated"),
    OPTION("cid-plan", 0, OPTION_CID_PLAN, cid_plan, "PLAN",
           "connection IDs that name this server to a load balancer: quic-lb:config=1,server=0a0b,key=@FILE"),
    OPTION("cid-length", 0, OPTION_NUMBER, cid_length, "N", "octets of the connection IDs: 0, 4 to 20 (8)"),
    OPTION("congestion", 0, OPTION_CONGESTION, congestion, "NAME", "cubic, newreno or bbr"),
    OPTION("quic-version", 0, OPTION_QUIC, versions, "VERSION",
           "v1 or v2; may be repeated, the first that a client offers is spoken (both, as the client begins)"),
    OPTION("datagram", 0, OPTION_BYTES, datagram_bytes, "N", "octets of a full datagram at first (1200)"),
    OPTION("no-pmtud", 0, OPTION_FLAG, no_pmtud, NULL, "stay at that size, do not look for larger ones"),
    OPTION("idle", 0, OPTION_DURATION, idle, "TIME", "give up after so long in silence (30s)"),
    OPTION("handshake", 0, OPTION_DURATION, handshake, "TIME", "give a handshake up after so long (10s)"),
    OPTION("socket-buffer", 0, OPTION_BYTES, socket_buffer, "N", "ask the kernel for buffers of so many octets (4M)"),
    OPTION("keep-alive", 0, OPTION_DURATION, keep_alive, "TIME", "send a PING after so long in silence"),
    OPTION("ipv4", '4', OPTION_FLAG, ipv4, NULL, "IPv4 only"),
    OPTION("ipv6", '6', OPTION_FLAG, ipv6, NULL, "IPv6 only"),
    OPTION("qlog", 0, OPTION_TEXT, qlog, "DIR", "write a qlog of each connection there"),
    OPTION("qlog-latest", 0, OPTION_FLAG, qlog_latest, NULL, "by the names of the newest draft, not those of qvis"),
    OPTION("verbose", 'v', OPTION_FLAG, verbose, NULL, "print events as they happen"),
    OPTION("progress", 0, OPTION_FLAG, progress, NULL, "show progress, terminal or not"),
    WATCH_OPTIONS(struct net_options, watch),
};

struct listener {
    roam_io *io;
    struct net_options options;
    struct signals signals;
    struct hq_server hq;
    struct table table;
    struct session session;
    struct watch *watch;
    bool serving; /* the session is in use */
    bool over;
    int status;
    roam_time started;
};

/* ---- Where ------------------------------------------------------------------------------------------------------- */

static void print_invitation(const struct net_options *options, const roam_credentials *credentials, const char *name,
                             uint16_t port)
{
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    if (options->cert != NULL || roam_credentials_fingerprint(credentials, fingerprint) != ROAM_OK)
        return;
    fprintf(stderr, "on the other side: %sroam connect --pin sha256:", style(stderr, STYLE_BOLD));
    print_hex(stderr, fingerprint, sizeof(fingerprint));
    if (options->hq != NULL)
        fprintf(stderr, " --hq https://%s:%u/", name, port);
    else if (options->alpn != NULL)
        fprintf(stderr, " --alpn %s %s:%u", options->alpn, name, port);
    else
        fprintf(stderr, " %s:%u", name, port);
    fprintf(stderr, "%s\n", style(stderr, STYLE_PLAIN));
}

/* ---- Serving ----------------------------------------------------------------------------------------------------- */

static void start_session(struct listener *listener, const roam_event *event)
{
    const struct net_options *options = &listener->options;
    int in_fd = options->recv_only ? -1 : STDIN_FILENO;
    char text[ROAM_ADDRESS_TEXT_MAX];
    if (!session_init(&listener->session, listener->io, options, &listener->signals, in_fd, STDOUT_FILENO)) {
        say_error("standard input or output: %s", strerror(errno));
        listener->status = EXIT_LOCAL;
        listener->over = true;
        return;
    }
    listener->serving = true;
    listener->session.conn = event->conn;
    listener->session.started = listener->started;
    listener->session.peer_closes = true;
    listener->session.pipe.keep_output = options->keep;
    snprintf(listener->session.peer, sizeof(listener->session.peer), "%s",
             roam_address_format(roam_conn_remote_address(event->conn), text));
    session_on_event(&listener->session, event);
}

static void end_session(struct listener *listener)
{
    listener->status = session_end(&listener->session);
    listener->serving = false;
    listener->over = !listener->options.keep || listener->signals.caught != 0;
    settle_handles(listener->io);
}

/* Early data comes before the handshake is complete. */
static bool begins_connection(const roam_event *event)
{
    return event->type == ROAM_EVENT_CONNECTED || event->type == ROAM_EVENT_EARLY_DATA_ACCEPTED;
}

/* An event of a netcat connection. */
static void on_pipe_event(struct listener *listener, const roam_event *event)
{
    struct session *session = &listener->session;
    if (listener->serving && event->conn == session->conn) {
        if (event->type == ROAM_EVENT_STREAM_OPENED && session->pipe.stream == NULL &&
            roam_stream_id(event->stream) % 4 == 0)
            pipe_attach(&session->pipe, event->stream, NULL);
        else if (event->type == ROAM_EVENT_STREAM_OPENED)
            roam_stream_free(event->stream);
        session_on_event(session, event);
    } else if (begins_connection(event) && !listener->serving && !listener->over) {
        start_session(listener, event);
    } else if (begins_connection(event)) {
        roam_conn_close(event->conn, event->time, SESSION_CODE_BUSY, "busy");
    } else if (event->type == ROAM_EVENT_STREAM_OPENED) {
        roam_stream_free(event->stream);
    }
}

/* What is worth a line whatever the connection is for. */
static void report(const struct listener *listener, const roam_event *event)
{
    char cid[ROAM_CID_TEXT_MAX], remote[ROAM_ADDRESS_TEXT_MAX], previous[ROAM_ADDRESS_TEXT_MAX], cause[CAUSE_TEXT_MAX];
    if (event->type == ROAM_EVENT_PATH_MOVED && roam_address_equal(&event->previous, &event->remote)) {
        fprintf(stderr, "%s is spoken to from %s now\n", roam_cid_format(&event->cid, cid),
                roam_address_format(&event->local, remote));
    } else if (event->type == ROAM_EVENT_PATH_MOVED || event->type == ROAM_EVENT_PATH_REVERTED) {
        fprintf(stderr, "%s moved from %s to %s%s\n", roam_cid_format(&event->cid, cid),
                roam_address_format(&event->previous, previous), roam_address_format(&event->remote, remote),
                event->proven ? "" : ", as it claims");
    } else if (event->type == ROAM_EVENT_PATH_SETTLED) {
        print_move(stderr, event);
    } else if (event->type == ROAM_EVENT_CONFIRMED && listener->options.handshake_only) {
        roam_conn_stats stats;
        roam_conn_get_stats(event->conn, &stats);
        fprintf(stderr, "connected version=0x%08x alpn=%s cipher=%s peer=%s\n", stats.version,
                roam_conn_alpn(event->conn), stats.cipher,
                roam_address_format(roam_conn_remote_address(event->conn), remote));
    } else if (event->type == ROAM_EVENT_CLOSED && event->error->cause != ROAM_CLOSE_PEER_APPLICATION &&
               event->error->cause != ROAM_CLOSE_LOCAL_APPLICATION &&
               !(listener->serving && event->conn == listener->session.conn)) {
        roam_conn_info row;
        roam_conn_get_info(event->conn, &row);
        bool claimed = roam_address_is_set(&row.claimed);
        say_error("connection with %s%s failed: %s", claimed ? "who claims to be " : "",
                  roam_address_format(claimed ? &row.claimed : &row.remote, remote),
                  describe_error(event->error, cause));
    }
}

static void on_event(struct listener *listener, const roam_event *event)
{
    const struct net_options *options = &listener->options;
    bool ours = listener->serving && event->conn == listener->session.conn;
    if (options->verbose && !ours)
        print_event(stderr, event, listener->started);
    report(listener, event);
    if (options->hq != NULL)
        hq_server_on_event(&listener->hq, event);
    else if (!options->handshake_only)
        on_pipe_event(listener, event);
    /* A session looks at its streams for a while after the connection has ended. */
    if (event->type == ROAM_EVENT_CLOSED && !(listener->serving && event->conn == listener->session.conn))
        roam_conn_free(event->conn, event->time);
}

static void serve(struct listener *listener)
{
    roam_event event;
    while (!listener->over) {
        if (watch_next(listener->watch, &event, listener->options.table ? TABLE_PERIOD : ROAM_TIME_NEVER))
            on_event(listener, &event);
        if (listener->options.table)
            table_update(&listener->table);
        if (listener->serving && session_is_over(&listener->session)) {
            bool closed = listener->session.closed;
            end_session(listener);
            if (closed)
                roam_conn_free(listener->session.conn, roam_io_now(listener->io));
        } else if (listener->signals.caught != 0) {
            listener->over = true;
            listener->status = 128 + listener->signals.caught;
        }
    }
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static int run(struct listener *listener, const struct command_line *line, const roam_config *config,
               const roam_endpoint_config *endpoint_config)
{
    char name[256] = "localhost";
    uint16_t port;
    roam_result result;
    listener->io = roam_io_new(endpoint_config, NULL, &result);
    if (listener->io == NULL) {
        say_error("cannot start: %s", roam_result_name(result));
        return EXIT_LOCAL;
    }
    listener->started = roam_io_now(listener->io);
    listener->hq.root = -1;
    listener->table = (struct table){.stream = stderr, .io = listener->io};
    signals_start(&listener->signals, listener->io);
    if (!setup_logs(listener->io, &listener->options)) {
        listener->status = EXIT_LOCAL;
    } else if (listener->options.hq != NULL &&
               !hq_server_init(&listener->hq, listener->io, listener->options.hq, listener->options.verbose)) {
        say_error("cannot serve %s: %s", listener->options.hq, strerror(errno));
        listener->status = EXIT_LOCAL;
    } else if (!places_open(listener->io, &listener->options, line, name, &port) ||
               (listener->watch =
                    watch_start(listener->io, &listener->options.watch, line->command, config->credentials)) == NULL) {
        listener->status = EXIT_LOCAL;
    } else {
        print_invitation(&listener->options, config->credentials, name, port);
        serve(listener);
    }
    watch_stop(listener->watch);
    signals_stop(&listener->signals);
    settle_handles(listener->io);
    report_logs(listener->io);
    roam_io_free(listener->io);
    hq_server_done(&listener->hq);
    table_done(&listener->table);
    return listener->status;
}

int listen_main(int argc, char **argv)
{
    static struct listener listener;
    struct command_line line = {
        .command = "roam listen", .specs = specs, .spec_count = sizeof(specs) / sizeof(specs[0])};
    struct net_options *options = &listener.options;
    roam_config config;
    roam_endpoint_config endpoint_config;
    const char *alpn[2];
    bool help;
    options->cid_length = UINT64_MAX;
    if (!options_parse(&line, argc, argv, USAGE, options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (line.positional_count == 0) {
        say_error("roam listen wants a place to listen on: [ADDR:]PORT");
        return EXIT_USAGE;
    }
    if (!setup_endpoint(options, &endpoint_config))
        return EXIT_USAGE;
    if (!setup_config(options, true, alpn, &config))
        return EXIT_USAGE;
    endpoint_config.accept = &config;
    int status = run(&listener, &line, &config, &endpoint_config);
    roam_credentials_free(config.credentials);
    return status;
}
