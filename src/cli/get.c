/*
 * roam get: a client of HTTP/3 whose downloads survive changes of its address, and its own end. Kept: the exit status is
 * that of the first transfer that failed.
 */
#include "cli/get.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/keepsakes.h"
#include "cli/session.h"

#define USAGE                                                                                                          \
    "usage: roam get [options] URL...\n\n"                                                                             \
    "Fetches https URLs over HTTP/3 to standard output, or with -o or -O into files: each is called FILE.part until "  \
    "it\n"                                                                                                             \
    "is whole, and -C goes on with that. The server must prove who it is: by the system's authorities, --ca or "       \
    "--pin.\n"                                                                                                         \
    "Exit status: 0 all well, 2 usage, 3 malformed URL, 6 name not resolved, 7 no connection, 18 partial, 22 HTTP "    \
    "error\n"                                                                                                          \
    "with --fail, 23 write error, 28 timeout, 35 TLS, 47 too many redirects, 60 certificate not trusted.\n"

#define OPTION(name, letter, kind, member, argument, help)                                                             \
    {                                                                                                                  \
        name, letter, kind, offsetof(struct get_options, member), argument, help                                       \
    }

#define MAX_REDIRECTS 20
#define TICK          ROAM_MILLISECONDS(50)
#define BLOCKED_TICK  ROAM_MILLISECONDS(1)

static const struct option_spec specs[] = {
    OPTION("output", 'o', OPTION_TEXTS, outputs, "FILE", "write there; repeat it for each URL"),
    OPTION("remote-name", 'O', OPTION_FLAG, remote_name, NULL, "write to files called as the URLs end"),
    OPTION("continue", 'C', OPTION_FLAG, resume, NULL, "go on with FILE.part, unless the file has changed since"),
    OPTION("header", 'H', OPTION_TEXTS, headers, "NAME: VALUE", "send this field, too"),
    OPTION("method", 'X', OPTION_TEXT, method, "METHOD", "ask with this method"),
    OPTION("data", 'd', OPTION_TEXT, data, "TEXT|@FILE", "send this content, by POST where no method is said"),
    OPTION("head", 'I', OPTION_FLAG, head, NULL, "ask for the header section alone, and print it"),
    OPTION("include", 'i', OPTION_FLAG, include, NULL, "print header sections on standard output"),
    OPTION("location", 'L', OPTION_FLAG, follow, NULL, "follow redirects"),
    OPTION("max-redirects", 0, OPTION_NUMBER, max_redirects, "N", "so many at most (20)"),
    OPTION("fail", 'f', OPTION_FLAG, fail, NULL, "end with 22 where the server says 400 or more"),
    OPTION("parallel", 'Z', OPTION_FLAG, parallel, NULL, "all URLs at once, on one connection for each server"),
    OPTION("progress", 0, OPTION_CHOICE, progress, "auto|bar|json|none", "how to show progress on standard error"),
    OPTION("retry", 0, OPTION_NUMBER, retry, "N", "try so often again, from where it stopped"),
    OPTION("max-time", 'm', OPTION_DURATION, max_time, "TIME", "give everything up after so long"),
    OPTION("connect-timeout", 0, OPTION_DURATION, net.handshake, "TIME", "give a handshake up after so long (10s)"),
    OPTION("idle", 0, OPTION_DURATION, net.idle, "TIME", "give up after so long in silence (30s)"),
    OPTION("pin", 0, OPTION_PIN, net.pin, "sha256:HEX", "trust who has the key with this fingerprint"),
    OPTION("ca", 0, OPTION_TEXT, net.ca, "FILE", "trust these authorities, PEM, instead of the system's"),
    OPTION("insecure", 'k', OPTION_FLAG, net.insecure, NULL, "trust anyone: for tests"),
    OPTION("invitation-key", 0, OPTION_TEXT, net.invitation_key, "FILE",
           "the key of a server that answers nobody without"),
    OPTION("rebind-every", 0, OPTION_DURATION, net.rebind_every, "TIME", "change the port so often, telling nobody"),
    OPTION("migrate-every", 0, OPTION_DURATION, net.migrate_every, "TIME",
           "migrate to another port so often (RFC 9000, 9)"),
    OPTION("bind", 0, OPTION_ADDRESS, net.bind, "ADDR[:PORT]", "leave from this address, and stay there"),
    OPTION("no-move", 0, OPTION_FLAG, net.no_move, NULL, "stay where we are when the host's networks change"),
    OPTION("prefer", 0, OPTION_NAMES, net.prefer, "IFACE", "be on this interface whenever it leads there"),
    OPTION("metered", 0, OPTION_NAMES, net.metered, "IFACE",
           "this interface costs money: be elsewhere where that does as well"),
    OPTION("forbid", 0, OPTION_NAMES, net.forbid, "IFACE", "never be on this interface"),
    OPTION("force", 0, OPTION_NAMES, net.force, "IFACE", "never be on another interface"),
    OPTION("ipv4", '4', OPTION_FLAG, net.ipv4, NULL, "IPv4 only"),
    OPTION("ipv6", '6', OPTION_FLAG, net.ipv6, NULL, "IPv6 only"),
    OPTION("token-file", 0, OPTION_TEXT, net.token_file, "FILE", "keep the servers' tokens there, and use one"),
    OPTION("session-file", 0, OPTION_TEXT, net.session_file, "FILE",
           "keep TLS sessions with the servers there, and resume one"),
    OPTION("early", 0, OPTION_FLAG, net.early, NULL, "ask with the first flight (0-RTT) where a session allows it"),
    OPTION("cipher", 0, OPTION_CIPHER, net.ciphers, "NAME", "aes128, aes256 or chacha20; may be repeated"),
    OPTION("congestion", 0, OPTION_CONGESTION, net.congestion, "NAME", "cubic, newreno or bbr"),
    OPTION("quic-version", 0, OPTION_QUIC, net.versions, "VERSION",
           "v1 or v2; may be repeated, the first is begun with (v1, then v2)"),
    OPTION("force-version", 0, OPTION_VERSION, net.force_version, "HEX", "offer this version first"),
    OPTION("key-update-every", 0, OPTION_DURATION, net.key_update_every, "TIME", "update the keys so often"),
    OPTION("socket-buffer", 0, OPTION_BYTES, net.socket_buffer, "N",
           "ask the kernel for buffers of so many octets (4M)"),
    OPTION("qlog", 0, OPTION_TEXT, net.qlog, "DIR", "write a qlog of each connection there"),
    OPTION("verbose", 'v', OPTION_FLAG, net.verbose, NULL, "print events as they happen"),
};

/* ---- Moves ------------------------------------------------------------------------------------------------------- */

static void move_all(struct getter *getter, bool migrate)
{
    const roam_address anywhere = {0};
    roam_address bound;
    char text[ROAM_ADDRESS_TEXT_MAX];
    for (struct get_origin *origin = getter->origins; origin != NULL; origin = origin->next) {
        if (origin->closed || !roam_conn_is_confirmed(origin->conn))
            continue;
        roam_result result = migrate ? roam_io_migrate(getter->io, origin->conn, &anywhere, &bound)
                                     : roam_io_rebind(getter->io, origin->conn, &anywhere, &bound);
        if (result != ROAM_OK)
            continue; /* another move is still under way, or no ID is left: the next time will do */
        if (getter->options.net.verbose)
            fprintf(stderr, "%10.3f ms  %s to %s\n", (double)(roam_io_now(getter->io) - getter->started) / 1e6,
                    migrate ? "migrating" : "rebound", roam_address_format(&bound, text));
        if (!migrate)
            /* Nobody tells a server: where all that is under way comes down to us, nothing would ever go up. */
            roam_conn_ping(origin->conn, roam_io_now(getter->io));
    }
}

static void on_rebind_timer(uv_timer_t *timer)
{
    move_all(timer->data, false);
}

static void on_migrate_timer(uv_timer_t *timer)
{
    move_all(timer->data, true);
}

static void on_key_update_timer(uv_timer_t *timer)
{
    struct getter *getter = timer->data;
    for (struct get_origin *origin = getter->origins; origin != NULL; origin = origin->next)
        if (!origin->closed && roam_conn_is_confirmed(origin->conn))
            roam_conn_update_keys(origin->conn, roam_io_now(getter->io));
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static void on_closed(struct getter *getter, struct get_origin *origin, const roam_event *event)
{
    /* It stays until the end: what came before may wait for a slow output, and is whole where its end has come. */
    origin->closed = true;
    origin->error = *event->error;
    for (size_t i = 0; i < getter->count; i++)
        if (getter->transfers[i].origin == origin)
            transfer_drain(getter, &getter->transfers[i]);
}

/* What the connection has come to, for --verbose. */
static void print_agreed(const struct getter *getter, const roam_event *event)
{
    roam_conn_stats stats;
    roam_conn_get_stats(event->conn, &stats);
    fprintf(stderr, "%10.3f ms  agreed version=0x%08x cipher=%s resumed=%s early=%s\n",
            (double)(event->time - getter->started) / 1e6, stats.version, stats.cipher, stats.resumed ? "yes" : "no",
            early_data_name(event->conn));
}

static void begin_h3(struct get_origin *origin, const roam_event *event)
{
    roam_h3_config config;
    roam_result result;
    roam_h3_config_init(&config);
    origin->h3 = roam_h3_new(event->conn, &config, &result);
    if (origin->h3 == NULL)
        roam_conn_close(event->conn, event->time, ROAM_H3_INTERNAL_ERROR, roam_result_name(result));
}

/* What may be asked for twice: more than that has to wait for the handshake. */
static bool may_be_early(const struct get_options *options)
{
    return options->data == NULL &&
           (options->method == NULL || strcmp(options->method, "GET") == 0 || strcmp(options->method, "HEAD") == 0);
}

static void on_event(struct getter *getter, const roam_event *event)
{
    struct get_origin *origin = event->conn != NULL ? roam_conn_user(event->conn) : NULL;
    if (getter->options.net.verbose)
        print_event(stderr, event, getter->started);
    if (origin == NULL)
        return;
    origin->has_session |= event->type == ROAM_EVENT_NEW_SESSION;
    keepsakes_keep(&getter->options.net, origin->url.host, origin->url.port, event);
    if (event->type == ROAM_EVENT_PATH_SETTLED && getter->options.net.verbose)
        print_move(stderr, event);
    if (event->type == ROAM_EVENT_CONNECTED && getter->options.net.verbose)
        print_agreed(getter, event);
    if (event->type == ROAM_EVENT_CONNECTED ||
        (event->type == ROAM_EVENT_EARLY_DATA_READY && may_be_early(&getter->options))) {
        if (origin->h3 == NULL)
            begin_h3(origin, event);
    } else if (event->type == ROAM_EVENT_CLOSED) {
        on_closed(getter, origin, event);
    } else if (origin->h3 != NULL && roam_h3_on_event(origin->h3, event->time, event)) {
        transfers_take_events(getter, origin, event->time);
    }
}

static bool is_blocked(const struct getter *getter)
{
    for (size_t i = 0; i < getter->count; i++)
        if (getter->transfers[i].state == TRANSFER_RUNNING && getter->transfers[i].blocked)
            return true;
    return false;
}

static void give_up(struct getter *getter, int status, const char *why)
{
    getter->options.retry = 0;
    for (size_t i = 0; i < getter->count; i++)
        transfer_fail(getter, &getter->transfers[i], status, false, why);
}

static bool waits_for_session(const struct getter *getter, roam_time since)
{
    for (const struct get_origin *origin = getter->origins; origin != NULL; origin = origin->next)
        if (!origin->closed && keepsakes_are_awaited(&getter->options.net, origin->conn, origin->has_session, since,
                                                     roam_io_now(getter->io)))
            return true;
    return false;
}

static int talk(struct getter *getter)
{
    const struct get_options *options = &getter->options;
    roam_event event;
    while (transfers_step(getter)) {
        if (roam_io_next(getter->io, &event, is_blocked(getter) ? BLOCKED_TICK : TICK))
            on_event(getter, &event);
        if (getter->signals.caught != 0)
            give_up(getter, 128 + getter->signals.caught, "interrupted");
        else if (options->max_time != 0 && roam_io_now(getter->io) - getter->started >= options->max_time)
            give_up(getter, GET_TIMEOUT, "out of time");
        report_progress(getter, false);
    }
    report_progress(getter, true);
    for (roam_time since = roam_io_now(getter->io); getter->signals.caught == 0 && waits_for_session(getter, since);)
        if (roam_io_next(getter->io, &event, TICK))
            on_event(getter, &event);
    int status = GET_OK;
    for (size_t i = 0; i < getter->count && status == GET_OK; i++)
        status = getter->transfers[i].status;
    return status;
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static int run(struct getter *getter, const roam_endpoint_config *endpoint_config)
{
    const struct net_options *net = &getter->options.net;
    roam_result result;
    getter->io = roam_io_new(endpoint_config, NULL, &result);
    if (getter->io == NULL) {
        say_error("cannot start: %s", roam_result_name(result));
        return GET_CONNECT;
    }
    getter->started = getter->progress_at = roam_io_now(getter->io);
    setup_buffers(getter->io, net);
    setup_networks(getter->io, net);
    signals_start(&getter->signals, getter->io);
    start_timer(getter->io, &getter->rebind, getter, net->rebind_every, on_rebind_timer);
    start_timer(getter->io, &getter->migrate, getter, net->migrate_every, on_migrate_timer);
    start_timer(getter->io, &getter->key_update, getter, net->key_update_every, on_key_update_timer);
    int status = setup_logs(getter->io, net) ? talk(getter) : GET_WRITE;
    while (getter->origins != NULL) {
        struct get_origin *origin = getter->origins;
        getter->origins = origin->next;
        roam_h3_free(origin->h3);
        if (origin->closed)
            roam_conn_free(origin->conn, roam_io_now(getter->io));
        else
            roam_conn_close(origin->conn, roam_io_now(getter->io), ROAM_H3_NO_ERROR, NULL);
        free(origin);
    }
    uv_close((uv_handle_t *)&getter->rebind, NULL);
    uv_close((uv_handle_t *)&getter->migrate, NULL);
    uv_close((uv_handle_t *)&getter->key_update, NULL);
    signals_stop(&getter->signals);
    settle_handles(getter->io);
    report_logs(getter->io);
    roam_io_free(getter->io);
    return status;
}

static bool open_data(struct getter *getter)
{
    const char *data = getter->options.data;
    struct stat status;
    getter->data_fd = -1;
    getter->data_bytes = data != NULL ? strlen(data) : 0;
    if (data == NULL || data[0] != '@')
        return true;
    getter->data_fd = open(data + 1, O_RDONLY | O_CLOEXEC);
    if (getter->data_fd < 0 || fstat(getter->data_fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        say_error("cannot send %s: %s", data + 1, getter->data_fd < 0 ? strerror(errno) : "not a regular file");
        return false;
    }
    getter->data_bytes = (uint64_t)status.st_size;
    return true;
}

static int make_transfers(struct getter *getter, const struct command_line *line)
{
    const struct get_options *options = &getter->options;
    char(*names)[URL_HOST_MAX] = calloc(line->positional_count, sizeof(*names));
    getter->names = names;
    getter->transfers = calloc(line->positional_count, sizeof(*getter->transfers));
    if (names == NULL || getter->transfers == NULL) {
        say_error("no memory for %zu URLs", line->positional_count);
        return GET_USAGE;
    }
    for (size_t i = 0; i < line->positional_count; i++) {
        struct transfer *transfer = &getter->transfers[getter->count++];
        *transfer = (struct transfer){.text = line->positional[i], .total = UINT64_MAX, .out = {.fd = -1}};
        if (!url_parse(line->positional[i], &transfer->url)) {
            say_error("not a URL like https://HOST[:PORT]/PATH: '%s'", line->positional[i]);
            return GET_URL;
        }
        if (options->remote_name && !url_file_name(&transfer->url, names[i])) {
            say_error("'%s' ends in no name for a file: say one with -o", line->positional[i]);
            return GET_USAGE;
        }
        transfer->out.name = i < options->outputs.count ? options->outputs.texts[i]
                             : options->remote_name     ? names[i]
                                                        : NULL;
        if (transfer->out.name == NULL && options->parallel && line->positional_count > 1) {
            say_error("with --parallel each URL wants a file: -o or -O");
            return GET_USAGE;
        }
    }
    return GET_OK;
}

static int check_line(struct getter *getter, const struct command_line *line)
{
    const struct get_options *options = &getter->options;
    if (line->positional_count == 0) {
        say_error("roam get wants a URL");
        return GET_USAGE;
    }
    if (options->headers.count > GET_HEADERS_MAX) {
        say_error("at most %d --header", GET_HEADERS_MAX);
        return GET_USAGE;
    }
    for (size_t i = 0; i < options->headers.count; i++) {
        if (strchr(options->headers.texts[i], ':') == NULL || strlen(options->headers.texts[i]) >= 4096) {
            say_error("not a header like 'Name: value': '%s'", options->headers.texts[i]);
            return GET_USAGE;
        }
    }
    return open_data(getter) ? make_transfers(getter, line) : GET_USAGE;
}

int get_main(int argc, char **argv)
{
    static struct getter getter;
    struct command_line line = {.command = "roam get",
                                .specs = specs,
                                .spec_count = sizeof(specs) / sizeof(specs[0]),
                                .takes_any_number = true};
    struct get_options *options = &getter.options;
    struct net_options *net = &options->net;
    roam_endpoint_config endpoint_config;
    const char *alpn[2];
    bool help;
    net->cid_length = UINT64_MAX;
    net->alpn = ROAM_H3_ALPN;
    options->max_redirects = MAX_REDIRECTS;
    if (!options_parse(&line, argc, argv, USAGE, options, &help))
        return GET_USAGE;
    if (help)
        return GET_OK;
    int status = check_line(&getter, &line);
    if (status != GET_OK)
        return status;
    if (!setup_endpoint(net, &endpoint_config) || !setup_config(net, false, alpn, &getter.config))
        return GET_USAGE;
    /* Whoever says where to leave from, or when to move, does the moving. */
    bool by_hand = net->no_move || roam_address_is_set(&net->bind) || net->rebind_every != 0 || net->migrate_every != 0;
    getter.config.mobility = by_hand ? ROAM_MOBILITY_MANUAL : ROAM_MOBILITY_AUTO;
    /* A wildcard chooses the family. */
    if (net->bind.family == ROAM_FAMILY_NONE && (net->ipv4 || net->ipv6))
        net->bind.family = net->ipv4 ? ROAM_FAMILY_IPV4 : ROAM_FAMILY_IPV6;
    getter.config.local = roam_address_is_set(&net->bind) ? &net->bind : NULL;
    status = run(&getter, &endpoint_config);
    roam_credentials_free(getter.config.credentials);
    if (getter.data_fd >= 0)
        close(getter.data_fd);
    free(getter.transfers);
    free(getter.names);
    return status;
}
