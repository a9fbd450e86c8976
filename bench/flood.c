/*
 * A flood of strangers: genuine first flights of clients that will never be heard of again, from addresses that are none
 * of theirs.
 *
 *     flood ADDR:PORT RATE SECONDS
 *
 * Sends RATE datagrams a second to a server on loopback, each from another address of 127.0.0.0/8, and prints a JSON object
 * that says how many have gone out, and how many could not. Whatever is answered is not looked at.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <roam/roam.h>

#define FLIGHTS        1024
#define DATAGRAM_BYTES 1500
#define BATCH          64
#define SOCKETS        16 /* a source port each */
#define NANO           UINT64_C(1000000000)

struct flight {
    uint8_t data[DATAGRAM_BYTES];
    size_t len;
};

struct flood {
    struct flight flights[FLIGHTS];
    struct sockaddr_in server;
    int sockets[SOCKETS];
    uint64_t random, sent, failed;
};

static int fail(const char *what)
{
    fprintf(stderr, "flood: %s\n", what);
    return 1;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NANO + (uint64_t)time.tv_nsec;
}

/* Xorshift: the addresses need not be unpredictable. */
static uint64_t draw(struct flood *flood)
{
    flood->random ^= flood->random << 13;
    flood->random ^= flood->random >> 7;
    flood->random ^= flood->random << 17;
    return flood->random;
}

/* The first datagram of each of so many connections. */
static bool make_flights(struct flood *flood)
{
    static const char *const alpn[] = {"h3", "roam-perf", "roam", NULL};
    roam_endpoint_config endpoint_config;
    roam_config config;
    roam_endpoint_config_init(&endpoint_config);
    roam_config_init(&config);
    config.alpn = alpn;
    config.credentials = roam_credentials_new();
    roam_endpoint *endpoint = roam_endpoint_new(&endpoint_config, now(), NULL);
    bool made = endpoint != NULL && config.credentials != NULL;
    for (size_t i = 0; made && i < FLIGHTS; i++) {
        struct flight *flight = &flood->flights[i];
        roam_datagram datagram = {.data = flight->data, .capacity = sizeof(flight->data)};
        made = roam_connect(endpoint, "127.0.0.1", 443, &config, now(), NULL) != NULL &&
               roam_endpoint_transmit(endpoint, now(), &datagram, 1) == 1;
        flight->len = datagram.len;
    }
    roam_endpoint_free(endpoint);
    roam_credentials_free(config.credentials);
    return made;
}

static bool open_sockets(struct flood *flood)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    for (size_t i = 0; i < SOCKETS; i++) {
        flood->sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (flood->sockets[i] < 0 || bind(flood->sockets[i], (const struct sockaddr *)&any, sizeof(any)) != 0)
            return false;
    }
    return true;
}

/* So many at once, at most BATCH, out of one socket; where each comes from says its IP_PKTINFO. */
static void send_batch(struct flood *flood, unsigned count)
{
    union {
        char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
        struct cmsghdr aligned;
    } controls[BATCH];
    struct iovec data[BATCH];
    struct mmsghdr messages[BATCH];
    memset(controls, 0, sizeof(controls));
    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < count; i++) {
        struct flight *flight = &flood->flights[draw(flood) % FLIGHTS];
        struct msghdr *header = &messages[i].msg_hdr;
        struct in_pktinfo source = {.ipi_spec_dst.s_addr = htonl(0x7f000000u | (uint32_t)(draw(flood) & 0xffffffu))};
        data[i] = (struct iovec){.iov_base = flight->data, .iov_len = flight->len};
        header->msg_name = &flood->server;
        header->msg_namelen = sizeof(flood->server);
        header->msg_iov = &data[i];
        header->msg_iovlen = 1;
        header->msg_control = controls[i].space;
        header->msg_controllen = sizeof(controls[i].space);
        struct cmsghdr *control = CMSG_FIRSTHDR(header);
        control->cmsg_level = IPPROTO_IP;
        control->cmsg_type = IP_PKTINFO;
        control->cmsg_len = CMSG_LEN(sizeof(source));
        memcpy(CMSG_DATA(control), &source, sizeof(source));
    }
    int sent = sendmmsg(flood->sockets[draw(flood) % SOCKETS], messages, count, MSG_DONTWAIT);
    flood->sent += sent > 0 ? (uint64_t)sent : 0;
    flood->failed += count - (sent > 0 ? (unsigned)sent : 0);
}

/* At the rate, or as near to it as the processor allows: what it is behind with is sent in larger batches. */
static void run(struct flood *flood, uint64_t rate, uint64_t seconds)
{
    const struct timespec pause = {.tv_nsec = 200000};
    const uint64_t began = now(), end = began + seconds * NANO;
    for (uint64_t at = began; at < end; at = now()) {
        const uint64_t due = (at - began) / 1000 * rate / 1000000, done = flood->sent + flood->failed;
        if (due > done)
            send_batch(flood, due - done < BATCH ? (unsigned)(due - done) : BATCH);
        if (due < done + BATCH)
            nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    static struct flood flood;
    roam_address server;
    if (argc != 4 || !roam_address_parse(&server, argv[1]) || server.family != ROAM_FAMILY_IPV4)
        return fail("usage: flood ADDR:PORT RATE SECONDS");
    flood.server.sin_family = AF_INET;
    flood.server.sin_port = htons(server.port);
    memcpy(&flood.server.sin_addr, server.ip, sizeof(flood.server.sin_addr));
    flood.random = now() | 1;
    if (!make_flights(&flood))
        return fail("cannot make first flights");
    if (!open_sockets(&flood))
        return fail(strerror(errno));
    run(&flood, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    printf("{\"sent\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n", flood.sent, flood.failed);
    return 0;
}
