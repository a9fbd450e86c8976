/*
 * A worker of bench/soak: many connections of one process, which come, go, carry streams there and back, and move.
 *
 *     soak-client CA ADDR:PORT NUMBER CONNECTIONS MOVES STREAMS RESTARTS
 *
 * All its addresses are in 127.A.B.0/24, where NUMBER is 256 A + B: so the server knows it. MOVES, STREAMS and RESTARTS
 * are how many there shall be of them a second, each on a connection that is drawn at random. Each second, and at the end,
 * it prints a JSON object with all that was counted. By SIGTERM it lets what is under way come to its end, closes all
 * connections in order and ends.
 *
 * Each connection has a socket of its own, and a move is what it is behind a NAT: from another port and address, and the
 * old socket is closed, with all that may still be in it. One in ten is deliberate (roam_conn_migrate).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soak.h"

#define HANDSHAKES       16 /* at once */
#define ENDS             2  /* at once, at the end */
#define STREAMS_AT_ONCE  4  /* of a connection */
#define STREAM_BYTES_MAX 8192
#define DELIBERATE_EVERY 10
#define ADDRESSES        4
#define DATAGRAM_BYTES   1500
#define BATCH            64
#define REOPEN_AFTER     ROAM_SECONDS(2) /* by then a CONNECTION_CLOSE has come, or was sent again */
#define LATENCIES        256             /* buckets, eight for each doubling of microseconds */
#define DRAIN            ROAM_SECONDS(60)

enum state { EMPTY, OPENING, OPEN, ENDING, LOST };

struct peer {
    roam_conn *conn;
    roam_address locals[2]; /* where it has sockets: after a deliberate move, for a while, two */
    roam_time free_at;
    enum state state;
    uint32_t streams;
};

struct echo {
    struct peer *peer;
    roam_time began;
    uint64_t seed, length, written, received;
};

struct counts {
    uint64_t opened, closed, lost, refused;
    uint64_t streams_begun, streams, streams_lost, sent, received, wrong;
    uint64_t rebound, migrated, settled, no_cid, unsent;
};

/* Of what happens at random so many times a second: when it does next. */
struct chance {
    double rate;
    roam_time at;
};

static struct {
    roam_endpoint *endpoint;
    roam_config config;
    roam_address server;
    uint32_t number;
    size_t connections, opening;
    struct peer *peers;
    int epoll;
    int sockets[ADDRESSES][65536]; /* by the last octet of the address, and the port; 0: none */
    struct chance moves, streams, restarts;
    struct counts counts;
    uint64_t latencies[LATENCIES], random;
    bool all_open;
} worker;

static volatile sig_atomic_t over;

static void on_signal(int number)
{
    (void)number;
    over = 1;
}

static void fail(const char *what)
{
    fprintf(stderr, "soak-client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t draw(void)
{
    return scatter(worker.random++);
}

/* True as often as the chance has come since it was last asked. */
static bool happens(struct chance *chance, roam_time now)
{
    if (chance->rate <= 0 || now < chance->at)
        return false;
    const double uniform = ((double)(draw() >> 11) + 1) / 9007199254740992.0;
    chance->at += (roam_time)(-log(uniform) / chance->rate * 1e9);
    return true;
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

static int *socket_at(const roam_address *local)
{
    return &worker.sockets[local->ip[3] % ADDRESSES][local->port];
}

static roam_address address_of(uint8_t last, uint16_t port)
{
    const uint8_t high = (uint8_t)(worker.number >> 8), low = (uint8_t)worker.number;
    return (roam_address){.family = ROAM_FAMILY_IPV4, .ip = {127, high, low, last}, .port = port};
}

static roam_address open_socket(void)
{
    roam_address local = address_of((uint8_t)(4 + draw() % ADDRESSES), 0);
    struct sockaddr_in bound = {.sin_family = AF_INET};
    socklen_t length = sizeof(bound);
    memcpy(&bound.sin_addr, local.ip, sizeof(bound.sin_addr));
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&bound, length) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) != 0)
        fail("socket");
    local.port = ntohs(bound.sin_port);
    *socket_at(&local) = fd;
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = (uint64_t)local.ip[3] << 16 | local.port;
    if (epoll_ctl(worker.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll");
    return local;
}

static void close_socket(roam_address *local)
{
    if (roam_address_is_set(local)) {
        close(*socket_at(local));
        *socket_at(local) = 0;
    }
    *local = (roam_address){0};
}

static void receive(uint64_t where)
{
    static uint8_t data[BATCH][DATAGRAM_BYTES];
    struct mmsghdr headers[BATCH] = {0};
    struct iovec parts[BATCH];
    roam_datagram datagrams[BATCH];
    const roam_address local = address_of((uint8_t)(where >> 16), (uint16_t)where);
    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){.iov_base = data[i], .iov_len = DATAGRAM_BYTES};
        headers[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    const int count = recvmmsg(*socket_at(&local), headers, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++)
        datagrams[i] = (roam_datagram){.local = local,
                                       .remote = worker.server,
                                       .data = data[i],
                                       .len = headers[i].msg_len,
                                       .capacity = DATAGRAM_BYTES};
    if (count > 0)
        roam_endpoint_receive(worker.endpoint, now_ns(), datagrams, (size_t)count);
}

/* What leaves from an address whose socket is closed is lost, as behind a NAT. */
static void transmit(void)
{
    static uint8_t data[BATCH][DATAGRAM_BYTES];
    roam_datagram datagrams[BATCH];
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(worker.server.port)};
    memcpy(&server.sin_addr, worker.server.ip, sizeof(server.sin_addr));
    size_t count;
    do {
        for (size_t i = 0; i < BATCH; i++)
            datagrams[i] = (roam_datagram){.data = data[i], .capacity = DATAGRAM_BYTES};
        count = roam_endpoint_transmit(worker.endpoint, now_ns(), datagrams, BATCH);
        for (size_t i = 0; i < count; i++) {
            const int fd = *socket_at(&datagrams[i].local);
            if (fd == 0 ||
                sendto(fd, datagrams[i].data, datagrams[i].len, 0, (struct sockaddr *)&server, sizeof(server)) < 0)
                worker.counts.unsent++;
        }
    } while (count > 0);
}

/* ---- Streams ----------------------------------------------------------------------------------------------------- */

static void write_stream(struct echo *echo, roam_stream *stream)
{
    uint8_t piece[PIECE_BYTES];
    while (echo->written < echo->length) {
        const uint64_t left = echo->length - echo->written;
        const size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        soak_fill(piece, echo->seed, echo->written, len);
        const ptrdiff_t taken = roam_stream_write(stream, piece, len);
        if (taken <= 0)
            return;
        echo->written += (uint64_t)taken;
        worker.counts.sent += (uint64_t)taken;
    }
    roam_stream_finish(stream);
}

static void count_latency(roam_time latency)
{
    const double us = (double)latency / 1000;
    const size_t bucket = us <= 1 ? 0 : (size_t)(log2(us) * 8);
    worker.latencies[bucket < LATENCIES ? bucket : LATENCIES - 1]++;
}

static void end_stream(struct echo *echo, roam_stream *stream, bool whole)
{
    worker.counts.streams += whole;
    worker.counts.streams_lost += !whole;
    echo->peer->streams--;
    roam_stream_free(stream);
    free(echo);
}

static void read_stream(struct echo *echo, roam_stream *stream)
{
    uint8_t data[PIECE_BYTES];
    bool end = false;
    ptrdiff_t len;
    while ((len = roam_stream_read(stream, data, sizeof(data), &end)) > 0) {
        worker.counts.wrong += soak_wrong(data, echo->seed, echo->received, (size_t)len);
        worker.counts.received += (uint64_t)len;
        echo->received += (uint64_t)len;
    }
    if (!end && len == 0)
        return;
    if (end && echo->received == echo->length)
        count_latency(now_ns() - echo->began);
    end_stream(echo, stream, end && echo->received == echo->length);
}

static void begin_stream(struct peer *peer)
{
    if (peer->streams >= STREAMS_AT_ONCE)
        return;
    roam_stream *stream = roam_stream_open(peer->conn, false, NULL);
    struct echo *echo = stream != NULL ? calloc(1, sizeof(*echo)) : NULL;
    if (echo == NULL)
        return; /* the server gives more streams with the next packets */
    *echo = (struct echo){.peer = peer, .began = now_ns(), .seed = draw()};
    /* Most are short. */
    echo->length = SEED_BYTES + draw() % (1 + draw() % STREAM_BYTES_MAX);
    roam_stream_set_user(stream, echo);
    peer->streams++;
    worker.counts.streams_begun++;
    write_stream(echo, stream);
}

/* ---- Connections ------------------------------------------------------------------------------------------------- */

static void open_peer(struct peer *peer, roam_time now)
{
    roam_config config = worker.config;
    close_socket(&peer->locals[0]);
    close_socket(&peer->locals[1]);
    peer->locals[0] = open_socket();
    config.local = &peer->locals[0];
    config.user = peer;
    peer->conn = roam_connect(worker.endpoint, "127.0.0.1", worker.server.port, &config, now, NULL);
    if (peer->conn == NULL)
        fail("connect");
    peer->state = OPENING;
    worker.opening++;
}

static void move_peer(struct peer *peer, roam_time now)
{
    roam_conn_info row;
    roam_conn_get_info(peer->conn, &row);
    const bool deliberate = draw() % DELIBERATE_EVERY == 0;
    roam_address local = open_socket();
    const roam_result result = (deliberate ? roam_conn_migrate : roam_conn_rebind)(peer->conn, now, &local);
    if (result != ROAM_OK) {
        worker.counts.no_cid += result == ROAM_ERR_NO_CID;
        worker.counts.refused += result != ROAM_ERR_NO_CID;
        close_socket(&local);
        return;
    }
    worker.counts.rebound += !deliberate;
    worker.counts.migrated += deliberate;
    for (size_t i = 0; i < 2; i++)
        if (!deliberate || !roam_address_equal(&peer->locals[i], &row.local))
            close_socket(&peer->locals[i]);
    peer->locals[roam_address_is_set(&peer->locals[0])] = local;
}

static void on_closed(struct peer *peer, const roam_event *event)
{
    worker.opening -= peer->state == OPENING;
    if (peer->state == ENDING && event->error->cause == ROAM_CLOSE_LOCAL_APPLICATION) {
        worker.counts.closed++;
        peer->state = EMPTY;
    } else {
        char local[ROAM_ADDRESS_TEXT_MAX];
        worker.counts.lost++;
        worker.counts.streams_lost += peer->streams;
        peer->state = LOST;
        fprintf(stderr, "soak-client: lost at %s: %s %" PRIu64 " %s\n", roam_address_format(&peer->locals[0], local),
                roam_close_cause_name(event->error->cause), event->error->code, event->error->reason);
    }
    peer->free_at = event->time + REOPEN_AFTER;
    roam_conn_free(peer->conn, now_ns());
    peer->conn = NULL;
}

static void on_event(const roam_event *event)
{
    struct peer *peer = event->conn != NULL ? roam_conn_user(event->conn) : NULL;
    struct echo *echo = event->stream != NULL ? roam_stream_user(event->stream) : NULL;
    if (event->type == ROAM_EVENT_CONFIRMED) {
        worker.opening--;
        worker.counts.opened++;
        peer->state = OPEN;
    } else if (event->type == ROAM_EVENT_CLOSED) {
        on_closed(peer, event);
    } else if (event->type == ROAM_EVENT_PATH_SETTLED) {
        worker.counts.settled++;
    } else if (event->type == ROAM_EVENT_STREAM_READABLE && echo != NULL) {
        read_stream(echo, event->stream);
    } else if (event->type == ROAM_EVENT_STREAM_WRITABLE && echo != NULL) {
        write_stream(echo, event->stream);
    } else if ((event->type == ROAM_EVENT_STREAM_RESET || event->type == ROAM_EVENT_STREAM_STOPPED) && echo != NULL) {
        end_stream(echo, event->stream, false);
    }
}

/* NULL where the one that was drawn is not there at the moment: what is not open yet does not load those that are. */
static struct peer *any_open_peer(void)
{
    struct peer *peer = &worker.peers[draw() % worker.connections];
    return peer->state == OPEN ? peer : NULL;
}

/* One move in four finds the connection silent, and is noticed with the next thing that it says. Another has a stream begin
 * at the new address; the rest are in the midst of one, and what the server answers to the old address is lost. */
static void move_somehow(struct peer *peer, roam_time now)
{
    const uint64_t which = draw() % 4;
    if (which > 0)
        begin_stream(peer);
    if (which > 1)
        transmit();
    move_peer(peer, now);
}

/* A connection that is to end does so when its streams have. */
static bool end_when_quiet(struct peer *peer, roam_time now)
{
    if (peer->state != OPEN || peer->streams > 0)
        return false;
    peer->state = ENDING;
    roam_conn_close(peer->conn, now, 0, NULL);
    return true;
}

static void play(roam_time now)
{
    struct peer *peer;
    while (happens(&worker.moves, now))
        if ((peer = any_open_peer()) != NULL)
            move_somehow(peer, now);
    while (happens(&worker.streams, now))
        if ((peer = any_open_peer()) != NULL)
            begin_stream(peer);
    while (happens(&worker.restarts, now))
        if ((peer = any_open_peer()) != NULL)
            end_when_quiet(peer, now);
}

static void open_missing(roam_time now)
{
    for (size_t i = 0; i < worker.connections && worker.opening < HANDSHAKES; i++)
        if (worker.peers[i].state == EMPTY && now >= worker.peers[i].free_at)
            open_peer(&worker.peers[i], now);
}

/* ---- The loop ---------------------------------------------------------------------------------------------------- */

static void turn(roam_time until)
{
    struct epoll_event events[BATCH];
    roam_event event;
    transmit();
    const roam_time deadline = roam_endpoint_deadline(worker.endpoint), now = now_ns();
    const roam_time at = deadline < until ? deadline : until;
    const int count = epoll_wait(worker.epoll, events, BATCH, at > now ? (int)((at - now) / 1000000) + 1 : 0);
    for (int i = 0; i < count; i++)
        receive(events[i].data.u64);
    roam_endpoint_expire(worker.endpoint, now_ns());
    while (roam_endpoint_poll(worker.endpoint, &event))
        on_event(&event);
}

static void report(void)
{
    const struct counts *counts = &worker.counts;
    printf("{\"opened\": %" PRIu64 ", \"closed\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"streams\": %" PRIu64 ", \"streams_begun\": %" PRIu64 ", \"streams_lost\": %" PRIu64
           ", \"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"wrong\": %" PRIu64,
           counts->opened, counts->closed, counts->lost, counts->refused, counts->streams, counts->streams_begun,
           counts->streams_lost, counts->sent, counts->received, counts->wrong);
    printf(", \"rebound\": %" PRIu64 ", \"migrated\": %" PRIu64 ", \"settled\": %" PRIu64 ", \"no_cid\": %" PRIu64
           ", \"unsent\": %" PRIu64 ", \"all_open\": %s, \"latencies\": {",
           counts->rebound, counts->migrated, counts->settled, counts->no_cid, counts->unsent,
           worker.all_open ? "true" : "false");
    const char *separator = "";
    for (size_t i = 0; i < LATENCIES; i++)
        if (worker.latencies[i] > 0) {
            printf("%s\"%.0f\": %" PRIu64, separator, exp2((double)(i + 1) / 8), worker.latencies[i]);
            separator = ", ";
        }
    printf("}}\n");
    fflush(stdout);
}

static void run(void)
{
    roam_time report_at = now_ns() + ROAM_SECONDS(1);
    worker.moves.at = worker.streams.at = worker.restarts.at = now_ns();
    while (!over) {
        const roam_time now = now_ns();
        if (!worker.all_open || worker.counts.closed + worker.counts.lost > 0)
            open_missing(now);
        worker.all_open = worker.all_open || worker.counts.opened >= worker.connections;
        play(now);
        if (now >= report_at) {
            report();
            report_at = now + ROAM_SECONDS(1);
        }
        turn(now + ROAM_MILLISECONDS(2));
    }
}

/* All streams end, then all connections, a few at a time, and the server hears of it. */
static void drain(void)
{
    const roam_time end = now_ns() + DRAIN;
    size_t left = 1;
    while (left > 0 && now_ns() < end) {
        size_t ended = 0;
        left = 0;
        for (size_t i = 0; i < worker.connections; i++) {
            if (ended < ENDS)
                ended += end_when_quiet(&worker.peers[i], now_ns());
            left += worker.peers[i].conn != NULL;
        }
        turn(now_ns() + ROAM_MILLISECONDS(10));
    }
    const roam_time quiet = now_ns() + REOPEN_AFTER;
    while (now_ns() < quiet)
        turn(quiet);
    worker.counts.lost += left;
}

int main(int argc, char **argv)
{
    roam_endpoint_config endpoint;
    if (argc != 8 || !roam_address_parse(&worker.server, argv[2]))
        fail("usage: soak-client CA ADDR:PORT NUMBER CONNECTIONS MOVES STREAMS RESTARTS");
    worker.number = (uint32_t)count_from("soak-client", argv[3], 65535);
    worker.connections = count_from("soak-client", argv[4], 20000);
    worker.moves.rate = strtod(argv[5], NULL);
    worker.streams.rate = strtod(argv[6], NULL);
    worker.restarts.rate = strtod(argv[7], NULL);
    worker.random = scatter(worker.number) ^ now_ns();
    worker.epoll = epoll_create1(EPOLL_CLOEXEC);
    worker.peers = calloc(worker.connections, sizeof(*worker.peers));
    roam_endpoint_config_init(&endpoint);
    worker.endpoint = roam_endpoint_new(&endpoint, now_ns(), NULL);
    roam_config_init(&worker.config);
    worker.config.alpn = soak_alpn;
    worker.config.max_idle_timeout = IDLE_TIMEOUT;
    worker.config.keep_alive = KEEP_ALIVE;
    worker.config.handshake_timeout = HANDSHAKE_TIMEOUT;
    worker.config.max_datagram_bytes = DATAGRAM_BYTES - 28;
    worker.config.ecn = false; /* nothing here reads or sets the bits */
    worker.config.credentials = roam_credentials_new();
    if (worker.epoll < 0 || worker.peers == NULL || worker.endpoint == NULL ||
        roam_credentials_trust_file(worker.config.credentials, argv[1]) != ROAM_OK)
        fail("cannot begin");
    signal(SIGTERM, on_signal);
    run();
    drain();
    report();
    roam_endpoint_free(worker.endpoint);
    roam_credentials_free(worker.config.credentials);
    free(worker.peers);
    return 0;
}
