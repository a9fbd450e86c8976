/*
 * What an idle connection costs a server: memory, everything included, and processor time. Two processes, so that the
 * memory of one is the server's alone, hand datagrams to each other over a socket pair; every connection is made by a
 * handshake of its own, with the configuration's defaults but for how long it may idle. Clients come in crowds and are
 * forgotten without a word when nothing is under way any more, so that millions fit beside the server; the last crowd
 * stays, and proves at the end that its connections live.
 *
 *   build/bench/idle [CONNECTIONS [SECONDS]]
 *
 * Memory is that of /proc/self/smaps_rollup before the first connection, and when all have been silent for longer than
 * TRIM_AFTER; processor time is that of the SECONDS after that.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <roam/roam.h>

#include "base/minmax.h"
#include "figures.h"

#define CROWD           1000
#define HANDSHAKES      64 /* under way at once */
#define BATCH           64
#define DATAGRAM_BYTES  2048
#define SOCKET_BYTES    (4 << 20)
#define QUIET           ROAM_MILLISECONDS(60) /* longer than an acknowledgement waits */
#define SETTLE          ROAM_SECONDS(4)
#define CONNECTIONS_MAX 10000000
#define SERVER          "192.0.2.1"

enum message_kind { MESSAGE_DATAGRAM, MESSAGE_REPORT };

struct message {
    enum message_kind kind;
    roam_address client;
    uint8_t data[DATAGRAM_BYTES];
};

#define MESSAGE_HEAD_BYTES offsetof(struct message, data)

/* What the server says of itself. */
struct report {
    uint64_t connections, rss_bytes, allocated_bytes, cpu_ns;
};

/* One side. */
struct side {
    roam_endpoint *endpoint;
    int fd;
    bool is_server;
    roam_address server;
    uint64_t heard_at; /* ns */
    size_t confirmed, echoed;
    size_t allocated_bytes;
    struct message in[BATCH], out[BATCH];
    struct report report;
    bool reported;
};

static const char *const alpn[] = {"idle", NULL};

static void fail(const char *what)
{
    fprintf(stderr, "idle: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t rss_bytes(void)
{
    unsigned long long kib = 0;
    char line[256];
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL && sscanf(line, "Rss: %llu kB", &kib) != 1)
        continue;
    if (file == NULL || kib == 0)
        fail("/proc/self/smaps_rollup");
    fclose(file);
    return kib * 1024;
}

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static void wait_for(const struct side *side, short events, uint64_t until)
{
    struct pollfd poll_fd = {.fd = side->fd, .events = events};
    uint64_t now = now_ns();
    uint64_t left = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
    if (ppoll(&poll_fd, 1, until == UINT64_MAX ? NULL : &timeout, NULL) < 0 && errno != EINTR)
        fail("poll");
}

static bool receive_all(struct side *side);

static void send_message(struct side *side, const struct message *message, size_t len)
{
    while (send(side->fd, message, MESSAGE_HEAD_BYTES + len, 0) < 0) {
        if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
            fail("send");
        wait_for(side, POLLOUT, now_ns() + ROAM_MILLISECONDS(1));
        /* One of the two reads meanwhile, or both could wait for ever. */
        if (!side->is_server && !receive_all(side))
            fail("the server is gone");
    }
}

static void send_report(struct side *side)
{
    struct message message = {.kind = MESSAGE_REPORT};
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(side->endpoint, &stats);
    struct report report = {
        .connections = stats.handshakes_completed,
        .rss_bytes = rss_bytes(),
        .allocated_bytes = side->allocated_bytes,
        .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
    };
    memcpy(message.data, &report, sizeof(report));
    send_message(side, &message, sizeof(report));
}

static void take_message(struct side *side, const struct message *message)
{
    if (side->is_server) {
        send_report(side);
        return;
    }
    memcpy(&side->report, message->data, sizeof(side->report));
    side->reported = true;
}

/* Everything that has come. False where the other side is gone. */
static bool receive_all(struct side *side)
{
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    roam_datagram datagrams[BATCH];
    for (;;) {
        for (size_t i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){.iov_base = &side->in[i], .iov_len = sizeof(side->in[i])};
            headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
        }
        int count = recvmmsg(side->fd, headers, BATCH, MSG_DONTWAIT, NULL);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR;
        size_t n = 0;
        for (int i = 0; i < count; i++) {
            struct message *message = &side->in[i];
            if (headers[i].msg_len < MESSAGE_HEAD_BYTES)
                return false;
            if (message->kind == MESSAGE_REPORT) {
                take_message(side, message);
                continue;
            }
            datagrams[n++] = (roam_datagram){
                .local = side->is_server ? side->server : message->client,
                .remote = side->is_server ? message->client : side->server,
                .data = message->data,
                .len = headers[i].msg_len - MESSAGE_HEAD_BYTES,
                .capacity = sizeof(message->data),
            };
        }
        side->heard_at = now_ns();
        roam_endpoint_receive(side->endpoint, side->heard_at, datagrams, n);
    }
}

static bool transmit(struct side *side)
{
    roam_datagram datagrams[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        datagrams[i] = (roam_datagram){.data = side->out[i].data, .capacity = sizeof(side->out[i].data)};
    size_t count = roam_endpoint_transmit(side->endpoint, now_ns(), datagrams, BATCH);
    for (size_t i = 0; i < count; i++) {
        side->out[i].kind = MESSAGE_DATAGRAM;
        side->out[i].client = side->is_server ? datagrams[i].remote : datagrams[i].local;
        send_message(side, &side->out[i], datagrams[i].len);
    }
    return count > 0;
}

/* ---- The application --------------------------------------------------------------------------------------------- */

/* The server sends back what it reads, the client counts what comes back. */
static void read_stream(struct side *side, roam_stream *stream)
{
    char text[64];
    bool finished = false;
    ptrdiff_t len = roam_stream_read(stream, text, sizeof(text), &finished);
    if (len > 0 && side->is_server)
        roam_stream_write(stream, text, (size_t)len);
    side->echoed += len > 0;
}

static void poll_events(struct side *side)
{
    roam_event event;
    while (roam_endpoint_poll(side->endpoint, &event)) {
        if (event.type == ROAM_EVENT_CONFIRMED)
            side->confirmed++;
        else if (event.type == ROAM_EVENT_STREAM_READABLE)
            read_stream(side, event.stream);
        else if (event.type == ROAM_EVENT_CLOSED) {
            fprintf(stderr, "idle: a connection has ended: %s, %s\n", roam_close_cause_name(event.error->cause),
                    event.error->reason);
            exit(1);
        }
    }
}

/* Whatever there is to do; then waits for more, at most until then. */
static bool turn(struct side *side, uint64_t until)
{
    if (!receive_all(side))
        return false;
    roam_endpoint_expire(side->endpoint, now_ns());
    poll_events(side);
    while (transmit(side)) {
        if (!receive_all(side))
            return false;
        poll_events(side);
    }
    wait_for(side, POLLIN, min_u64(until, roam_endpoint_deadline(side->endpoint)));
    return true;
}

static void serve(int fd, const roam_config *config, size_t connections)
{
    static struct side side;
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);
    endpoint.allocator = (roam_allocator){.reallocate = counting_reallocate, .context = &side.allocated_bytes};
    endpoint.accept = config;
    endpoint.retry = ROAM_RETRY_NEVER;
    endpoint.max_connections = (uint32_t)connections;
    side.fd = fd;
    side.is_server = true;
    roam_address_parse(&side.server, SERVER ":443");
    side.endpoint = roam_endpoint_new(&endpoint, now_ns(), NULL);
    if (side.endpoint == NULL)
        fail("server");
    while (turn(&side, UINT64_MAX))
        continue;
    roam_endpoint_free(side.endpoint);
}

/* ---- The clients ------------------------------------------------------------------------------------------------- */

static void connect_one(struct side *side, const roam_config *config, size_t number)
{
    roam_config client = *config;
    /* 10.0.0.0/8: each has an address of its own. */
    roam_address local = {.family = ROAM_FAMILY_IPV4, .port = 50000};
    local.ip[0] = 10, local.ip[1] = (uint8_t)(number >> 16), local.ip[2] = (uint8_t)(number >> 8);
    local.ip[3] = (uint8_t)number;
    client.local = &local;
    if (roam_connect(side->endpoint, SERVER, side->server.port, &client, now_ns(), NULL) == NULL)
        fail("connect");
}

static void connect_crowd(struct side *side, const roam_config *config, size_t first, size_t count)
{
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);
    roam_endpoint_free(side->endpoint);
    side->endpoint = roam_endpoint_new(&endpoint, now_ns(), NULL);
    side->confirmed = 0;
    side->heard_at = now_ns();
    for (size_t begun = 0; side->confirmed < count || now_ns() < side->heard_at + QUIET;) {
        for (; begun < count && begun < side->confirmed + HANDSHAKES; begun++)
            connect_one(side, config, first + begun);
        if (!turn(side, now_ns() + QUIET))
            fail("the server is gone");
    }
}

static void run_until(struct side *side, uint64_t end)
{
    while (now_ns() < end) {
        if (!turn(side, end))
            fail("the server is gone");
    }
}

static struct report ask(struct side *side)
{
    const struct message message = {.kind = MESSAGE_REPORT};
    side->reported = false;
    send_message(side, &message, 0);
    while (!side->reported) {
        if (!turn(side, now_ns() + ROAM_SECONDS(1)))
            fail("the server is gone");
    }
    return side->report;
}

/* Each connection of the last crowd carries some octets there and back. */
static size_t echo_all(struct side *side)
{
    static roam_conn_info rows[CROWD];
    size_t count = min_size(roam_endpoint_connections(side->endpoint, rows, CROWD), CROWD);
    side->echoed = 0;
    for (size_t i = 0; i < count; i++) {
        roam_stream *stream = roam_stream_open(rows[i].conn, false, NULL);
        if (stream == NULL || roam_stream_write(stream, "still here", 10) != 10)
            fail("a stream");
    }
    const uint64_t end = now_ns() + ROAM_SECONDS(10);
    while (side->echoed < count && now_ns() < end) {
        if (!turn(side, end))
            fail("the server is gone");
    }
    return count;
}

static void measure(int fd, const roam_config *config, size_t connections, size_t seconds)
{
    static struct side side;
    side.fd = fd;
    roam_address_parse(&side.server, SERVER ":443");
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);
    side.endpoint = roam_endpoint_new(&endpoint, now_ns(), NULL);

    const struct report before = ask(&side);
    const uint64_t began = now_ns();
    for (size_t first = 0; first < connections; first += CROWD)
        connect_crowd(&side, config, first, min_size(CROWD, connections - first));
    const double took = (double)(now_ns() - began) / 1e9;
    run_until(&side, now_ns() + SETTLE);
    const struct report settled = ask(&side);
    run_until(&side, now_ns() + ROAM_SECONDS(seconds));
    const struct report after = ask(&side);
    const size_t asked = echo_all(&side);
    if (after.connections != connections)
        fail("not all connections were made");

    const double count = (double)connections;
    printf("%zu connections in %.1f s, %.0f us of the server's processor for each\n", connections, took,
           (double)(settled.cpu_ns - before.cpu_ns) / 1e3 / count);
    printf("server RSS before          %10.1f MiB\n", (double)before.rss_bytes / 1048576);
    printf("server RSS, all idle       %10.1f MiB\n", (double)after.rss_bytes / 1048576);
    printf("RSS of each                %10.0f octets\n", (double)(after.rss_bytes - before.rss_bytes) / count);
    printf("of which asked for by roam %10.0f octets\n",
           (double)(after.allocated_bytes - before.allocated_bytes) / count);
    printf("processor while idle       %10.3f %% of one, over %zu s\n",
           (double)(after.cpu_ns - settled.cpu_ns) / 1e7 / (double)seconds, seconds);
    printf("still carry data           %10zu of %zu that were asked\n", side.echoed, asked);
    roam_endpoint_free(side.endpoint);
    if (side.echoed != asked)
        exit(1);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"localhost", SERVER, NULL};
    const size_t connections = argc > 1 ? count_from("idle", argv[1], CONNECTIONS_MAX) : 10000;
    const size_t seconds = argc > 2 ? count_from("idle", argv[2], 3600) : 10;
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    roam_config server, client;
    roam_config_init(&server);
    roam_config_init(&client);
    server.alpn = client.alpn = alpn;
    server.max_idle_timeout = client.max_idle_timeout = ROAM_SECONDS(24 * 3600);
    server.credentials = roam_credentials_new();
    client.credentials = roam_credentials_new();
    if (roam_credentials_generate(server.credentials, names) != ROAM_OK)
        fail("a certificate");
    roam_credentials_fingerprint(server.credentials, fingerprint);
    roam_credentials_trust_pin(client.credentials, fingerprint);

    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) < 0)
        fail("socketpair");
    for (int i = 0; i < 2; i++)
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &(int){SOCKET_BYTES}, sizeof(int));
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    close(fds[child == 0 ? 0 : 1]);
    if (child == 0)
        serve(fds[1], &server, connections);
    else
        measure(fds[0], &client, connections, seconds);
    close(fds[child == 0 ? 1 : 0]);
    roam_credentials_free(server.credentials);
    roam_credentials_free(client.credentials);
    return child > 0 && waitpid(child, NULL, 0) < 0;
}
