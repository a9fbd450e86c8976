/* roam perf: how fast is it, and what does it cost? The command line of both sides. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/perf.h"
#include "cli/sandbox.h"
#include "cli/watch.h"
#include "conn/limits.h"

#define USAGE_SERVER                                                                                                   \
    "usage: roam perf server [options] [ADDR:]PORT\n\n"                                                                \
    "Answers `roam perf client`, and whoever else speaks " PERF_ALPN ", until interrupted.\n"

#define USAGE_CLIENT                                                                                                   \
    "usage: roam perf client [options] HOST:PORT\n\n"                                                                  \
    "Measures the way to a `roam perf server` and what it costs both sides. It trusts any server, unless --ca is "     \
    "given.\n"

#define USAGE                                                                                                          \
    "usage: roam perf server [options] [ADDR:]PORT\n"                                                                  \
    "       roam perf client [options] HOST:PORT\n"

/* Streams of a client at once. */
#define SERVER_STREAMS 65536

/* Octets of datagrams that wait to be sent, or to be read: four runs of segments. */
#define DATAGRAM_QUEUE_BYTES (256 * 1024)

/* How long nothing may be heard of a connection. */
#define SERVER_PATIENCE ROAM_SECONDS(3600)

#define OPTION(name, letter, kind, member, argument, help)                                                             \
    {                                                                                                                  \
        name, letter, kind, offsetof(struct perf_options, member), argument, help                                      \
    }

/* Of both sides. */
#define COMMON_OPTIONS                                                                                                 \
    OPTION("pin", 0, OPTION_NUMBER, cpu, "CPU", "stay on this processor"),                                             \
        OPTION("cipher", 0, OPTION_CIPHER, net.ciphers, "NAME", "aes128, aes256 or chacha20; may be repeated"),        \
        OPTION("congestion", 0, OPTION_CONGESTION, net.congestion, "NAME", "cubic or newreno"),                        \
        OPTION("datagram-bytes", 0, OPTION_BYTES, net.datagram_bytes, "N",                                             \
               "octets of a full datagram, either way (found out by itself)"),                                         \
        OPTION("window", 0, OPTION_BYTES, window_bytes, "N",                                                           \
               "octets that a stream may be ahead of its reader, either way"),                                         \
        OPTION("socket-buffer", 0, OPTION_BYTES, net.socket_buffer, "N",                                               \
               "ask the kernel for buffers of so many octets (4M)"),                                                   \
        OPTION("without-dh", 0, OPTION_FLAG, without_dh, NULL,                                                         \
               "resume without an exchange of fresh keys, if the other side says so too"),                             \
        OPTION("qlog", 0, OPTION_TEXT, net.qlog, "DIR", "write a qlog of each connection there"),                      \
        OPTION("json", 'j', OPTION_FLAG, json, NULL, "report as JSON"),                                                \
        OPTION("verbose", 'v', OPTION_FLAG, net.verbose, NULL, "print events as they happen")

static const struct option_spec server_specs[] = {
    OPTION("cert", 0, OPTION_TEXT, net.cert, "FILE", "certificate chain, PEM (one is made)"),
    OPTION("key", 0, OPTION_TEXT, net.key, "FILE", "its private key, PEM"),
    OPTION("guarded", 0, OPTION_FLAG, guarded, NULL, "limit strangers as a server does that is no benchmark's"),
    WATCH_OPTIONS(struct perf_options, net.watch),
    SANDBOX_OPTIONS(struct perf_options, net.sandbox),
    COMMON_OPTIONS,
};

static const struct option_spec client_specs[] = {
    OPTION("download", 'd', OPTION_BYTES, download, "N", "octets from the server"),
    OPTION("upload", 'u', OPTION_BYTES, upload, "N", "octets to the server"),
    OPTION("streams", 's', OPTION_NUMBER, streams, "N", "streams at once, which share the octets (1)"),
    OPTION("datagrams", 0, OPTION_FLAG, datagrams, NULL, "these octets in datagrams (RFC 9221) instead of streams"),
    OPTION("payload", 0, OPTION_BYTES, payload_bytes, "N", "octets of each datagram (as many as fit)"),
    OPTION("requests", 'r', OPTION_NUMBER, requests, "N", "small requests, a stream each, --streams of them at once"),
    OPTION("request-bytes", 0, OPTION_BYTES, request_bytes, "N", "octets of a request behind its header (1)"),
    OPTION("response-bytes", 0, OPTION_BYTES, response_bytes, "N", "octets of the answer to it (1)"),
    OPTION("handshakes", 0, OPTION_NUMBER, handshakes, "N", "full handshakes, --parallel of them at once"),
    OPTION("resume", 0, OPTION_FLAG, resume, NULL, "resumed ones instead"),
    OPTION("idle", 0, OPTION_NUMBER, idle, "N", "connections that are opened, and then do nothing"),
    OPTION("hold", 0, OPTION_DURATION, hold, "TIME", "how long they do nothing (5s)"),
    OPTION("parallel", 'P', OPTION_NUMBER, parallel, "N", "handshakes at once (16)"),
    OPTION("time", 't', OPTION_DURATION, time, "TIME", "end after so long, whatever is left to do"),
    OPTION("ca", 0, OPTION_TEXT, net.ca, "FILE", "trust these authorities, PEM, and nobody else"),
    COMMON_OPTIONS,
};

bool perf_setup(const struct perf_options *options, bool is_server, const char *alpn[2], roam_config *ret)
{
    struct net_options net = options->net;
    net.alpn = PERF_ALPN;
    net.insecure = !is_server && net.ca == NULL;
    if (!setup_config(&net, is_server, alpn, ret))
        return false;
    if (net.datagram_bytes != 0) {
        /* Nothing larger is tried, and the peer is told not to try either. */
        ret->max_datagram_bytes = net.datagram_bytes;
        ret->max_udp_payload = net.datagram_bytes;
    }
    if (is_server) {
        /* A measurement is not to run into limits that are there against strangers. */
        ret->initial_max_streams_bidi = SERVER_STREAMS;
        ret->max_idle_timeout = SERVER_PATIENCE;
    } else if (options->idle != 0) {
        ret->max_idle_timeout = SERVER_PATIENCE;
    }
    if (options->window_bytes != 0) {
        ret->initial_max_stream_data = options->window_bytes;
        ret->initial_max_data = 2 * options->window_bytes;
        ret->max_window_bytes = 0;
    }
    ret->resume_without_dh = options->without_dh;
    ret->stream_buffer_bytes = PERF_AHEAD_BYTES;
    //= rfc9221#3-1 Any datagram is taken that fits into a packet.
    ret->max_datagram_frame_bytes = DATAGRAM_FRAME_BYTES_MAX;
    ret->datagram_queue_bytes = DATAGRAM_QUEUE_BYTES;
    ret->datagram_fates = true;
    return true;
}

static bool stay_on(uint64_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu < CPU_SETSIZE)
        CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) == 0)
        return true;
    say_error("cannot stay on processor %" PRIu64 ": %s", cpu, strerror(errno));
    return false;
}

/* A client is told to do one thing. */
static bool check_work(const struct perf_options *options)
{
    bool bulk = options->download != 0 || options->upload != 0;
    int works = bulk + (options->requests != 0) + (options->handshakes != 0) + (options->idle != 0);
    if (works == 0)
        say_error("what is to be measured? --download, --upload, --requests, --handshakes or --idle");
    else if (works > 1)
        say_error("--requests, --handshakes and --idle exclude each other, and bulk transfers");
    else if (options->resume && options->handshakes == 0)
        say_error("--resume goes with --handshakes");
    else if (options->datagrams && !bulk)
        say_error("--datagrams says how --download and --upload go");
    else if (options->payload_bytes != 0 && !options->datagrams)
        say_error("--payload goes with --datagrams");
    else if (options->payload_bytes > PERF_PAYLOAD_MAX)
        say_error("--payload is %d at most", PERF_PAYLOAD_MAX);
    else if (options->streams == 0 || options->parallel == 0)
        say_error("--streams and --parallel are 1 or more");
    else
        return true;
    return false;
}

static int run(const struct perf_options *options, const struct command_line *line, bool is_server)
{
    if (line->positional_count != 1) {
        say_error("%s wants one %s", line->command,
                  is_server ? "place to listen on: [ADDR:]PORT" : "server: HOST:PORT");
        return EXIT_USAGE;
    }
    if (!is_server && !check_work(options))
        return EXIT_USAGE;
    if (options->cpu != PERF_UNSET && !stay_on(options->cpu))
        return EXIT_LOCAL;
    return is_server ? perf_serve(options, line) : perf_run(options, line->positional[0]);
}

int perf_main(int argc, char **argv)
{
    static struct perf_options options = {.net.cid_length = UINT64_MAX,
                                          .cpu = PERF_UNSET,
                                          .streams = 1,
                                          .request_bytes = 1,
                                          .response_bytes = 1,
                                          .parallel = 16,
                                          .hold = ROAM_SECONDS(5)};
    bool help, is_server = argc > 0 && strcmp(argv[0], "server") == 0;
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        printf("%s\n`roam perf server --help` and `roam perf client --help` tell what each takes.\n", USAGE);
        return EXIT_OK;
    }
    if (!is_server && (argc == 0 || strcmp(argv[0], "client") != 0)) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    struct command_line line = {
        .command = is_server ? "roam perf server" : "roam perf client",
        .specs = is_server ? server_specs : client_specs,
        .spec_count =
            is_server ? sizeof(server_specs) / sizeof(server_specs[0]) : sizeof(client_specs) / sizeof(client_specs[0]),
    };
    if (!options_parse(&line, argc - 1, argv + 1, is_server ? USAGE_SERVER : USAGE_CLIENT, &options, &help))
        return EXIT_USAGE;
    return help ? EXIT_OK : run(&options, &line, is_server);
}
