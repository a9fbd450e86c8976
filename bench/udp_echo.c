/*
 * Small datagrams there and back, turned by libuv as an endpoint's sockets are: uv_poll, recvmmsg, sendmmsg. What a
 * request and its answer cost without QUIC.
 *
 *     udp-echo server ADDR:PORT
 *     udp-echo client ADDR:PORT REQUESTS AT_ONCE
 *
 * The server sends each datagram back. The client keeps AT_ONCE of them under way, each with a number in its first
 * octets, prints a JSON object and ends. A datagram that is lost would hold up the rest for ever: after a second
 * without an answer the client fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "cli/perf_histogram.h"
#include "io/sockaddr.h"

#define BATCH          64
#define REQUEST_BYTES  9 /* as many as a request of `roam perf` has: what it wants, and one octet */
#define DATAGRAM_BYTES 2048
#define AT_ONCE_MAX    4096
#define PATIENCE_MS    1000

struct echo {
    uv_loop_t loop;
    uv_poll_t poll;
    uv_timer_t patience;
    int fd;
    bool is_server;
    struct mmsghdr messages[BATCH];
    struct iovec iovecs[BATCH];
    struct sockaddr_storage names[BATCH];
    uint8_t data[BATCH][DATAGRAM_BYTES];
    /* A client's. */
    uint64_t started, done, wanted, at_once, done_before;
    uint64_t began[AT_ONCE_MAX];
    struct perf_histogram latency;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int fail(const char *what)
{
    fprintf(stderr, "udp-echo: %s: %s\n", what, strerror(errno));
    return 1;
}

static void die(const char *what)
{
    exit(fail(what));
}

static void send_batch(struct echo *echo, unsigned n)
{
    for (unsigned sent = 0; sent < n;) {
        int now = sendmmsg(echo->fd, echo->messages + sent, n - sent, 0);
        if (now < 0 && errno != EAGAIN && errno != EINTR)
            die("cannot send");
        sent += now > 0 ? (unsigned)now : 0;
    }
}

/* A server's messages keep the names that they came from. */
static unsigned receive_batch(struct echo *echo)
{
    for (unsigned i = 0; i < BATCH; i++) {
        echo->iovecs[i] = (struct iovec){.iov_base = echo->data[i], .iov_len = DATAGRAM_BYTES};
        echo->messages[i].msg_hdr = (struct msghdr){.msg_iov = &echo->iovecs[i], .msg_iovlen = 1};
        if (echo->is_server) {
            echo->messages[i].msg_hdr.msg_name = &echo->names[i];
            echo->messages[i].msg_hdr.msg_namelen = sizeof(echo->names[i]);
        }
    }
    int n = recvmmsg(echo->fd, echo->messages, BATCH, MSG_DONTWAIT, NULL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("cannot receive");
    for (int i = 0; i < n; i++)
        echo->iovecs[i].iov_len = echo->messages[i].msg_len;
    return n > 0 ? (unsigned)n : 0;
}

/* ---- The client */

/* The request in this slot is asked anew; in messages[at]. */
static void put_request(struct echo *echo, unsigned at, uint64_t slot, uint64_t now)
{
    memset(echo->data[at], 0, REQUEST_BYTES);
    memcpy(echo->data[at], &slot, sizeof(slot));
    echo->iovecs[at] = (struct iovec){.iov_base = echo->data[at], .iov_len = REQUEST_BYTES};
    echo->messages[at].msg_hdr = (struct msghdr){.msg_iov = &echo->iovecs[at], .msg_iovlen = 1};
    echo->began[slot] = now;
    echo->started++;
}

static void start_requests(struct echo *echo)
{
    unsigned n = 0;
    uint64_t now = now_ns();
    for (uint64_t slot = 0; slot < echo->at_once && echo->started < echo->wanted; slot++) {
        put_request(echo, n++, slot, now);
        if (n == BATCH) {
            send_batch(echo, n);
            n = 0;
        }
    }
    send_batch(echo, n);
}

static void take_answers(struct echo *echo, unsigned n)
{
    unsigned next = 0;
    uint64_t now = now_ns(), slot;
    for (unsigned i = 0; i < n; i++) {
        memcpy(&slot, echo->data[i], sizeof(slot));
        if (echo->messages[i].msg_len != REQUEST_BYTES || slot >= echo->at_once)
            continue;
        perf_histogram_add(&echo->latency, now - echo->began[slot]);
        echo->done++;
        if (echo->started < echo->wanted)
            put_request(echo, next++, slot, now);
    }
    send_batch(echo, next);
    if (echo->done == echo->wanted)
        uv_stop(&echo->loop);
}

static void on_patience(uv_timer_t *timer)
{
    struct echo *echo = timer->data;
    errno = ETIMEDOUT;
    if (echo->done == echo->done_before)
        die("a datagram was lost");
    echo->done_before = echo->done;
}

/* ---- Both */

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct echo *echo = handle->data;
    (void)status;
    (void)events;
    unsigned n = receive_batch(echo);
    if (echo->is_server)
        send_batch(echo, n);
    else
        take_answers(echo, n);
}

static int start(struct echo *echo, const roam_address *address)
{
    struct sockaddr_storage name;
    socklen_t len = sockaddr_from_address(&name, address);
    echo->fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (echo->fd < 0)
        return fail("no socket");
    if ((echo->is_server ? bind : connect)(echo->fd, (struct sockaddr *)&name, len) != 0)
        return fail(echo->is_server ? "cannot listen" : "cannot connect");
    uv_loop_init(&echo->loop);
    uv_poll_init(&echo->loop, &echo->poll, echo->fd);
    echo->poll.data = echo->patience.data = echo;
    uv_poll_start(&echo->poll, UV_READABLE, on_readable);
    uv_timer_init(&echo->loop, &echo->patience);
    return 0;
}

static int run_client(struct echo *echo)
{
    echo->patience.data = echo;
    uv_timer_start(&echo->patience, on_patience, PATIENCE_MS, PATIENCE_MS);
    uint64_t began = now_ns();
    start_requests(echo);
    uv_run(&echo->loop, UV_RUN_DEFAULT);
    double seconds = (double)(now_ns() - began) / 1e9;
    printf("{\"done\":%" PRIu64 ",\"seconds\":%.6f,\"per_second\":%.0f,\"latency_ms\":{\"p50\":%.6f,\"p90\":%.6f,"
           "\"p99\":%.6f}}\n",
           echo->done, seconds, (double)echo->done / seconds, (double)perf_histogram_at(&echo->latency, 500000) / 1e6,
           (double)perf_histogram_at(&echo->latency, 900000) / 1e6,
           (double)perf_histogram_at(&echo->latency, 990000) / 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    static struct echo echo;
    roam_address address;
    bool is_client = argc == 5 && strcmp(argv[1], "client") == 0;
    echo.is_server = argc == 3 && strcmp(argv[1], "server") == 0;
    if (is_client) {
        echo.wanted = strtoull(argv[3], NULL, 10);
        echo.at_once = strtoull(argv[4], NULL, 10);
    }
    if ((!is_client && !echo.is_server) || !roam_address_parse(&address, argv[2]) ||
        (is_client && (echo.wanted == 0 || echo.at_once == 0 || echo.at_once > AT_ONCE_MAX))) {
        fprintf(stderr, "usage: udp-echo server ADDR:PORT | client ADDR:PORT REQUESTS AT_ONCE\n");
        return 2;
    }
    if (start(&echo, &address) != 0)
        return 1;
    if (is_client)
        return run_client(&echo);
    printf("listening\n");
    fflush(stdout);
    return uv_run(&echo.loop, UV_RUN_DEFAULT);
}
