/*
 * The server of bench/soak: sends back what it reads, and compares every octet of it on the way.
 *
 *     soak-server CERT KEY ADDR:PORT
 *
 * Ends by SIGTERM, when nothing happens any more, with a JSON object: for each worker among its clients, who is known by a /24 of its own (127.A.B.0 is
 * number 256 A + B), what has become of its connections and octets.
 */
#include <signal.h>

#include <roam/io.h>

#include "soak.h"

#define WORKERS 65536
#define LINGER  ROAM_SECONDS(60)
#define SILENCE ROAM_SECONDS(1)

struct worker {
    uint64_t opened, closed, failed; /* connections; closed: by the client, in order */
    uint64_t timed_out, reset;       /* the client was killed, or its CONNECTION_CLOSE was lost */
    uint64_t streams, octets, wrong; /* octets that came, and those of them that should have been others */
};

/* A stream that is being answered. */
struct echo {
    struct echo *next;
    roam_stream *stream;
    uint64_t seed, offset;
};

struct served {
    struct worker *worker;
    struct echo *echoes;
    struct served *next, **from; /* among all that there are */
};

static struct worker workers[WORKERS];
static roam_io *io;
static volatile sig_atomic_t over;

static void fail(const char *what)
{
    fprintf(stderr, "soak-server: %s\n", what);
    exit(1);
}

static void on_signal(int number)
{
    (void)number;
    over = 1;
    roam_io_wake(io);
}

/* ---- Streams */

static void forget_echo(struct served *served, struct echo *echo)
{
    struct echo **link = &served->echoes;
    while (*link != echo)
        link = &(*link)->next;
    *link = echo->next;
    roam_stream_free(echo->stream);
    free(echo);
}

static void compare(struct served *served, struct echo *echo, const uint8_t *data, size_t len)
{
    size_t skip = 0;
    for (; skip < len && echo->offset + skip < SEED_BYTES; skip++)
        ((uint8_t *)&echo->seed)[echo->offset + skip] = data[skip];
    served->worker->wrong += soak_wrong(data + skip, echo->seed, echo->offset + skip, len - skip);
    echo->offset += len;
    served->worker->octets += len;
}

/* Takes what can be given back at once; what cannot waits in the stream, and holds up the client. */
static void answer(struct served *served, struct echo *echo)
{
    uint8_t piece[PIECE_BYTES];
    const uint8_t *data;
    bool end = false;
    ptrdiff_t len;
    while ((len = roam_stream_peek(echo->stream, &data, &end)) > 0) {
        len = len < PIECE_BYTES ? len : PIECE_BYTES;
        memcpy(piece, data, (size_t)len);
        const ptrdiff_t taken = roam_stream_write(echo->stream, piece, (size_t)len);
        if (taken <= 0)
            return;
        compare(served, echo, piece, (size_t)taken);
        roam_stream_consume(echo->stream, (size_t)taken);
    }
    if (end) {
        roam_stream_finish(echo->stream);
        served->worker->streams++;
        forget_echo(served, echo);
    }
}

static void on_stream_opened(struct served *served, roam_stream *stream)
{
    struct echo *echo = calloc(1, sizeof(*echo));
    if (echo == NULL)
        fail("no memory");
    echo->stream = stream;
    echo->next = served->echoes;
    served->echoes = echo;
    roam_stream_set_user(stream, echo);
}

/* ---- Connections */

static struct served *all;

static void on_connected(roam_conn *conn)
{
    const roam_address *remote = roam_conn_remote_address(conn);
    struct served *served = calloc(1, sizeof(*served));
    if (served == NULL)
        fail("no memory");
    served->worker = &workers[remote->ip[1] << 8 | remote->ip[2]];
    served->worker->opened++;
    served->next = all;
    served->from = &all;
    if (all != NULL)
        all->from = &served->next;
    all = served;
    roam_conn_set_user(conn, served);
}

static void forget(struct served *served)
{
    while (served->echoes != NULL)
        forget_echo(served, served->echoes);
    *served->from = served->next;
    if (served->next != NULL)
        served->next->from = served->from;
    free(served);
}

static void count_end(struct worker *worker, const roam_error *error)
{
    if (error->cause == ROAM_CLOSE_PEER_APPLICATION && error->code == 0) {
        worker->closed++;
    } else if (error->cause == ROAM_CLOSE_IDLE_TIMEOUT) {
        worker->timed_out++;
    } else if (error->cause == ROAM_CLOSE_STATELESS_RESET) {
        worker->reset++;
    } else {
        worker->failed++;
        fprintf(stderr, "soak-server: %s %" PRIu64 ": %s\n", roam_close_cause_name(error->cause), error->code,
                error->reason);
    }
}

static void on_closed(const roam_event *event)
{
    struct served *served = roam_conn_user(event->conn);
    /* Without one, the handshake has failed, of which the client tells. */
    if (served != NULL) {
        count_end(served->worker, event->error);
        forget(served);
    }
    roam_conn_free(event->conn, roam_io_now(io));
}

static void on_event(const roam_event *event)
{
    struct served *served = event->conn != NULL ? roam_conn_user(event->conn) : NULL;
    struct echo *echo = event->stream != NULL ? roam_stream_user(event->stream) : NULL;
    if (event->type == ROAM_EVENT_CONNECTED)
        on_connected(event->conn);
    else if (event->type == ROAM_EVENT_CLOSED)
        on_closed(event);
    else if (event->type == ROAM_EVENT_STREAM_OPENED && served != NULL)
        on_stream_opened(served, event->stream);
    else if ((event->type == ROAM_EVENT_STREAM_READABLE || event->type == ROAM_EVENT_STREAM_WRITABLE) && echo != NULL)
        answer(served, echo);
}

/* ---- The report */

static void report(void)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(roam_io_endpoint(io), &stats);
    printf("{\"moves\": %" PRIu64 ", \"validated\": %" PRIu64 ", \"paths_failed\": %" PRIu64
           ", \"handshakes_failed\": %" PRIu64 ", \"workers\": {",
           stats.moves, stats.paths_validated, stats.paths_failed, stats.handshakes_failed);
    const char *separator = "";
    for (size_t i = 0; i < WORKERS; i++) {
        const struct worker *worker = &workers[i];
        if (worker->opened == 0)
            continue;
        printf("%s\"%zu\": {\"opened\": %" PRIu64 ", \"closed\": %" PRIu64 ", \"timed_out\": %" PRIu64
               ", \"reset\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"streams\": %" PRIu64 ", \"octets\": %" PRIu64
               ", \"wrong\": %" PRIu64 "}",
               separator, i, worker->opened, worker->closed, worker->timed_out, worker->reset, worker->failed,
               worker->streams, worker->octets, worker->wrong);
        separator = ", ";
    }
    printf("}}\n");
}

static void listen_on(const roam_config *config, const char *text)
{
    roam_endpoint_config endpoint;
    roam_address local;
    char shown[ROAM_ADDRESS_TEXT_MAX];
    roam_endpoint_config_init(&endpoint);
    endpoint.accept = config;
    /* All come from one prefix of each worker, and at once: that is what they are here for. */
    endpoint.strangers_per_second = endpoint.strangers_per_prefix = endpoint.half_open_per_prefix = 0;
    endpoint.retry = ROAM_RETRY_NEVER;
    io = roam_io_new(&endpoint, NULL, NULL);
    if (io == NULL || !roam_address_parse(&local, text) || roam_io_bind(io, &local, &local) != ROAM_OK)
        fail("cannot listen");
    printf("listening on %s\n", roam_address_format(&local, shown));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    roam_config config;
    roam_event event;
    if (argc != 4)
        fail("usage: soak-server CERT KEY ADDR:PORT");
    roam_config_init(&config);
    config.alpn = soak_alpn;
    config.max_idle_timeout = IDLE_TIMEOUT;
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.credentials = roam_credentials_new();
    if (roam_credentials_load(config.credentials, argv[1], argv[2]) != ROAM_OK)
        fail("no certificate");
    listen_on(&config, argv[3]);
    signal(SIGTERM, on_signal);
    while (!over)
        if (roam_io_next(io, &event, ROAM_TIME_NEVER))
            on_event(&event);
    /* What is on its way still comes in. */
    for (const roam_time end = roam_io_now(io) + LINGER; roam_io_now(io) < end && roam_io_next(io, &event, SILENCE);)
        on_event(&event);
    report();
    while (all != NULL)
        forget(all);
    roam_io_free(io);
    roam_credentials_free(config.credentials);
    return 0;
}
