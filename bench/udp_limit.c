/*
 * What this machine's UDP carries with segmentation and receive offload and nothing else: no protocol, no cipher, no
 * look at the octets.
 *
 *     udp-limit receive ADDR:PORT
 *     udp-limit send ADDR:PORT OCTETS SEGMENT
 *
 * The receiver says how much has come after each part of the window, and the sender is never further ahead than the
 * window, so that nothing is dropped for want of room. Both end when all has come; the sender prints a JSON object.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "io/sockaddr.h"

#define WINDOW_BYTES   (1024 * 1024)
#define REPORT_BYTES   (WINDOW_BYTES / 4)
#define DATAGRAM_MAX   65507
#define SEGMENTS_MAX   64
#define SOCKET_BYTES   (4 * 1024 * 1024)
#define PATIENCE_MS    200
#define PATIENCE_TIMES 25

static uint8_t buffer[DATAGRAM_MAX + 1];

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    fprintf(stderr, "udp-limit: %s: %s\n", what, strerror(errno));
    return 1;
}

static int open_socket(const roam_address *address, bool is_sender)
{
    struct sockaddr_storage name;
    int bytes = SOCKET_BYTES;
    socklen_t len = sockaddr_from_address(&name, address);
    int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, is_sender ? SO_SNDBUF : SO_RCVBUF, &bytes, sizeof(bytes));
    int done = is_sender ? connect(fd, (struct sockaddr *)&name, len) : bind(fd, (struct sockaddr *)&name, len);
    if (done == 0)
        return fd;
    close(fd);
    return -1;
}

/* ---- Receiving */

/* The first eight octets say how much will come; so much is reported, and a little less now and then. */
static int receive(const roam_address *address)
{
    int fd = open_socket(address, false), on = 1;
    uint64_t wanted = 0, received = 0, reported = 0;
    if (fd < 0)
        return fail("cannot listen");
    if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0)
        return fail("no UDP_GRO");
    printf("listening\n");
    fflush(stdout);
    while (wanted == 0 || received < wanted) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, wanted == 0 ? (struct sockaddr *)&peer : NULL,
                             wanted == 0 ? &len : NULL);
        if (n < 0)
            return fail("cannot receive");
        if (wanted == 0 && (size_t)n >= sizeof(wanted)) {
            memcpy(&wanted, buffer, sizeof(wanted));
            if (connect(fd, (struct sockaddr *)&peer, len) != 0)
                return fail("cannot connect");
        }
        received += (uint64_t)n;
        if (received - reported < REPORT_BYTES && received < wanted)
            continue;
        reported = received;
        if (send(fd, &reported, sizeof(reported), 0) < 0)
            return fail("cannot report");
    }
    return 0;
}

/* ---- Sending */

struct sending {
    int fd;
    uint64_t sent, arrived;
};

/* Takes what the receiver says, and waits for it where nothing has been said yet; false where it falls silent. */
static bool hear(struct sending *sending, bool wait)
{
    uint64_t count;
    for (int i = 0; i < PATIENCE_TIMES; i++) {
        while (recv(sending->fd, &count, sizeof(count), wait ? 0 : MSG_DONTWAIT) == sizeof(count)) {
            sending->arrived = count > sending->arrived ? count : sending->arrived;
            wait = false;
        }
        if (!wait)
            return true;
    }
    return false;
}

static int send_all(const roam_address *address, uint64_t total, uint64_t segment)
{
    struct sending sending = {.fd = open_socket(address, true)};
    struct timeval patience = {.tv_usec = PATIENCE_MS * 1000};
    int segment_bytes = (int)segment;
    size_t most = (size_t)(DATAGRAM_MAX / segment < SEGMENTS_MAX ? DATAGRAM_MAX / segment : SEGMENTS_MAX) * segment;
    if (sending.fd < 0)
        return fail("cannot connect");
    if (setsockopt(sending.fd, IPPROTO_UDP, UDP_SEGMENT, &segment_bytes, sizeof(segment_bytes)) != 0)
        return fail("no UDP_SEGMENT");
    setsockopt(sending.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    memcpy(buffer, &total, sizeof(total));
    double began = seconds_now();
    while (sending.arrived < total) {
        size_t n = total - sending.sent < most ? (size_t)(total - sending.sent) : most;
        bool is_full = sending.sent - sending.arrived + n > WINDOW_BYTES;
        if (is_full || n == 0) {
            if (!hear(&sending, true)) {
                fprintf(stderr, "udp-limit: %" PRIu64 " octets were lost\n", sending.sent - sending.arrived);
                return 1;
            }
            continue;
        }
        if (send(sending.fd, buffer, n, 0) != (ssize_t)n)
            return fail("cannot send");
        sending.sent += n;
        hear(&sending, false);
    }
    double seconds = seconds_now() - began;
    printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"bits_per_second\":%.0f}\n", total, seconds,
           (double)total * 8 / seconds);
    return 0;
}

int main(int argc, char **argv)
{
    roam_address address;
    bool is_sender = argc == 5 && strcmp(argv[1], "send") == 0;
    bool is_receiver = argc == 3 && strcmp(argv[1], "receive") == 0;
    uint64_t total = is_sender ? strtoull(argv[3], NULL, 10) : 0;
    uint64_t segment = is_sender ? strtoull(argv[4], NULL, 10) : 0;
    if ((!is_sender && !is_receiver) || !roam_address_parse(&address, argv[2]) ||
        (is_sender && (total < sizeof(total) || segment < sizeof(total) || segment > DATAGRAM_MAX))) {
        fprintf(stderr, "usage: udp-limit receive ADDR:PORT | send ADDR:PORT OCTETS SEGMENT\n");
        return 2;
    }
    return is_sender ? send_all(&address, total, segment) : receive(&address);
}
