/*
 * Attacks in which the kernel has a part, on loopback: datagrams with nothing in them that keep a loop busy, forged words
 * of ICMP, and ends of programs and of peers at every moment, after which no descriptor and no memory is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <roam/io.h>
#include <uv.h>

#include "counting_allocator.h"
#include "io/loop.h"
#include "io/sockaddr.h"

/* Turns of the loop in which two endpoints on loopback have long connected, and exchanged what they had to. */
#define TURNS_MAX 2000

static struct counting_allocator counting;
static roam_credentials *ours, *theirs;
static uv_loop_t loop;
static roam_io *server, *client;
static roam_address server_address;
static roam_conn *conn;
static unsigned confirmed;

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static int make_credentials(void **state)
{
    (void)state;
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    ours = roam_credentials_new();
    theirs = roam_credentials_new();
    assert_int_equal(roam_credentials_generate(ours, (const char *const[]){"127.0.0.1", NULL}), ROAM_OK);
    assert_int_equal(roam_credentials_fingerprint(ours, pin), ROAM_OK);
    return roam_credentials_trust_pin(theirs, pin) == ROAM_OK ? 0 : -1;
}

static int free_credentials(void **state)
{
    (void)state;
    roam_credentials_free(ours);
    roam_credentials_free(theirs);
    return 0;
}

static roam_io *open_end(const roam_config *accept)
{
    roam_endpoint_config config;
    roam_endpoint_config_init(&config);
    config.allocator = counting_allocator(&counting);
    config.accept = accept;
    return roam_io_new(&config, &loop, NULL);
}

static void open_both(void)
{
    static const char *const alpn[] = {"hostile", NULL};
    roam_config config;
    memset(&counting, 0, sizeof(counting));
    confirmed = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(roam_address_parse(&server_address, "127.0.0.1:0"));
    roam_config_init(&config);
    config.alpn = alpn;
    config.credentials = ours;
    server = open_end(&config);
    assert_non_null(server);
    assert_int_equal(roam_io_bind(server, &server_address, &server_address), ROAM_OK);
    config.credentials = theirs;
    client = open_end(NULL);
    assert_non_null(client);
    conn = roam_io_connect(client, "127.0.0.1", server_address.port, &config, NULL);
    assert_non_null(conn);
}

static void close_both(bool server_first)
{
    roam_io_free(server_first ? server : client);
    roam_io_free(server_first ? client : server);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* One turn of the loop. What comes of it is taken, and a stream opened as soon as that can be done. */
static void turn(void)
{
    roam_event event;
    uv_run(&loop, UV_RUN_NOWAIT);
    while (roam_io_next(server, &event, 0))
        confirmed += event.type == ROAM_EVENT_CONFIRMED;
    while (roam_io_next(client, &event, 0)) {
        confirmed += event.type == ROAM_EVENT_CONFIRMED;
        if (event.type == ROAM_EVENT_CONNECTED)
            roam_stream_write(roam_stream_open(conn, false, NULL), "hello", 5);
    }
}

/* ---- The end at every moment */

static void whenever_it_ends_no_descriptor_and_no_memory_is_left(void **state)
{
    (void)state;
    /* The first loop of a process has descriptors that stay. */
    open_both();
    close_both(false);
    const size_t descriptors = open_descriptors();
    unsigned last = 0;
    for (unsigned turns = 0; last == 0; turns++) {
        assert_in_range(turns, 0, TURNS_MAX);
        open_both();
        for (unsigned i = 0; i < turns; i++)
            turn();
        if (turns % 4 == 1)
            roam_conn_close(conn, roam_io_now(client), 7, "aborted");
        if (turns % 4 == 3)
            roam_conn_free(conn, roam_io_now(client));
        if (turns % 4 != 0)
            uv_run(&loop, UV_RUN_NOWAIT);
        last = confirmed == 2 ? turns : 0;
        close_both(turns % 2 == 0);
        assert_int_equal(counting.bytes_out, 0);
        assert_int_equal(open_descriptors(), descriptors);
    }
}

/* ---- Datagrams with nothing in them */

static uint64_t empty_ones(void)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(roam_io_endpoint(server), &stats);
    return stats.drops[ROAM_DROP_EMPTY_DATAGRAM];
}

static void a_flood_of_empty_datagrams_keeps_the_loop_from_nothing_else(void **state)
{
    (void)state;
    struct sockaddr_storage to;
    open_both();
    const socklen_t to_bytes = sockaddr_from_address(&to, &server_address);
    const int flood = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(flood >= 0);
    uint64_t most = 0;
    unsigned turns = 0;
    for (; confirmed < 2 && turns < TURNS_MAX; turns++) {
        /* There are always more than a batch takes, and never more than the kernel keeps. */
        for (unsigned i = turns == 0 ? 0 : BATCH_DATAGRAMS; i < 2 * BATCH_DATAGRAMS; i++)
            sendto(flood, "", 0, MSG_DONTWAIT, (struct sockaddr *)&to, to_bytes);
        const uint64_t before = empty_ones();
        turn();
        most = empty_ones() - before > most ? empty_ones() - before : most;
    }
    assert_int_equal(confirmed, 2);
    assert_true(empty_ones() > turns / 2);
    /* Each counts, so that a turn takes a batch and then looks after everything else. */
    assert_in_range(most, 1, BATCH_DATAGRAMS);
    close(flood);
    close_both(false);
    assert_int_equal(counting.bytes_out, 0);
}

/* ---- ICMP */

#define ICMP_UNREACHABLE   3
#define ICMP_PORT          3
#define ICMP_FRAGMENTATION 4
#define UPLOAD_BYTES       (1024 * 1024)

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* "What you have sent from this port to that one did not get through", in the name of whoever is on the way. */
static void forge_icmp(int raw, uint8_t code, unsigned mtu, uint16_t from, uint16_t to)
{
    uint8_t packet[8 + 20 + 8] = {ICMP_UNREACHABLE, code};
    uint8_t *ip = packet + 8, *udp = ip + 20;
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    put_u16(packet + 6, mtu);
    ip[0] = 0x45;
    put_u16(ip + 2, 20 + 8 + 1200);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memcpy(ip + 12, loopback, 4);
    memcpy(ip + 16, loopback, 4);
    put_u16(udp, from);
    put_u16(udp + 2, to);
    put_u16(udp + 4, 8 + 1200);
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof(packet); i += 2)
        sum += (uint32_t)packet[i] << 8 | packet[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    put_u16(packet + 2, 0xffff - ((sum & 0xffff) + (sum >> 16)));
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(sendto(raw, packet, sizeof(packet), 0, (struct sockaddr *)&where, sizeof(where)), sizeof(packet));
}

static void forge_both_ways(int raw, uint8_t code, unsigned mtu)
{
    const uint16_t port = roam_conn_local_address(conn)->port;
    for (int i = 0; i < 4; i++) {
        forge_icmp(raw, code, mtu, port, server_address.port);
        forge_icmp(raw, code, mtu, server_address.port, port);
    }
}

static uint64_t datagram_bytes(void)
{
    roam_path_info path;
    assert_true(roam_conn_paths(conn, &path, 1) > 0);
    return path.datagram_bytes;
}

/* Octets that the server's application reads, until all of the upload has come; 0 where it takes too long. */
static uint64_t upload(void)
{
    static uint8_t data[65536];
    const roam_time until = roam_io_now(client) + ROAM_SECONDS(20);
    roam_stream *stream = roam_stream_open(conn, true, NULL), *at_server = NULL;
    roam_event event;
    uint64_t written = 0, read = 0;
    assert_non_null(stream);
    while (read < UPLOAD_BYTES && roam_io_now(client) < until) {
        ptrdiff_t n = 0;
        if (written < UPLOAD_BYTES && (n = roam_stream_write(stream, data, sizeof(data))) > 0)
            written += (uint64_t)n;
        uv_run(&loop, UV_RUN_NOWAIT);
        while (roam_io_next(client, &event, 0))
            assert_int_not_equal(event.type, ROAM_EVENT_CLOSED);
        while (roam_io_next(server, &event, 0)) {
            assert_int_not_equal(event.type, ROAM_EVENT_CLOSED);
            at_server = event.type == ROAM_EVENT_STREAM_READABLE ? event.stream : at_server;
        }
        while (at_server != NULL && (n = roam_stream_read(at_server, data, sizeof(data), NULL)) > 0)
            read += (uint64_t)n;
    }
    return read < UPLOAD_BYTES ? 0 : read;
}

/* A network of this process's own, in which it may write what it likes. */
static bool enter_network_of_our_own(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return up;
}

static void listen_to_forged_icmp(int raw)
{
    open_both();
    for (unsigned turns = 0; confirmed < 2 && turns < TURNS_MAX; turns++)
        turn();
    assert_int_equal(confirmed, 2);
    assert_true(upload() > 0);
    const uint64_t before = datagram_bytes();
    assert_true(before > 1200);
    /* Too small for QUIC, and too small for what the path is known to carry. */
    forge_both_ways(raw, ICMP_FRAGMENTATION, 552);
    forge_both_ways(raw, ICMP_FRAGMENTATION, 1400);
    forge_both_ways(raw, ICMP_PORT, 0);
    assert_true(upload() > 0);
    assert_int_equal(datagram_bytes(), before);
    assert_int_equal(roam_conn_state(conn), ROAM_CONN_ESTABLISHED);
    close_both(false);
    assert_int_equal(counting.bytes_out, 0);
}

static void what_icmp_says_changes_nothing(void **state)
{
    (void)state;
    int status;
    const pid_t child = fork();
    if (child == 0) {
        if (!enter_network_of_our_own())
            _exit(77);
        const int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
        if (raw < 0)
            _exit(77);
        listen_to_forged_icmp(raw);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no namespace can be made here, in which to forge ICMP\n");
        skip();
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whenever_it_ends_no_descriptor_and_no_memory_is_left),
        cmocka_unit_test(a_flood_of_empty_datagrams_keeps_the_loop_from_nothing_else),
        cmocka_unit_test(what_icmp_says_changes_nothing),
    };
    return cmocka_run_group_tests(tests, make_credentials, free_credentials);
}
