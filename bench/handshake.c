/*
 * What a handshake costs a server: processor time of its thread, from the client's first datagram until nobody has
 * anything more to say. A client and a server stand in one process and hand datagrams to each other in memory, so that
 * what is counted is the library and TLS, without the kernel's part; the clock runs only while the server works.
 *
 *   build/bench/handshake [HANDSHAKES]
 *
 * Each handshake is of a new connection with an ECDSA P-256 certificate; a resumed one uses the session of the one before,
 * and does without; psk_ke is one without an exchange of fresh keys. The client's time is shown for comparison: it knows the server by the pin of its key.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <roam/roam.h>

#define HANDSHAKES        500
#define HANDSHAKES_MAX    1000000
#define WARM_UP           50 /* first uses: libraries load their tables, the allocator its arenas */
#define DATAGRAM_BYTES    2048
#define IN_FLIGHT_MAX     64
#define SESSION_BYTES_MAX 16384
#define ROUNDS_MAX        100 /* a handshake that takes more is none */
#define SERVER            "192.0.2.1"

enum side { CLIENT, SERVER_SIDE, SIDES };

/* Datagrams on their way to one side. */
struct wire {
    roam_datagram datagrams[IN_FLIGHT_MAX];
    uint8_t data[IN_FLIGHT_MAX][DATAGRAM_BYTES];
    size_t count;
};

struct bench {
    roam_endpoint *endpoints[SIDES];
    struct wire wires[SIDES]; /* to each side */
    roam_time took[SIDES];    /* of this handshake */
    roam_time now, clock_cost;
    roam_config client;
    roam_credentials *credentials[SIDES];
    roam_address address;
    bool confirmed[SIDES];
    uint8_t session[SESSION_BYTES_MAX]; /* the client's newest */
    size_t session_bytes;
};

static void fail(const char *what)
{
    fprintf(stderr, "handshake: %s\n", what);
    exit(1);
}

static roam_time processor_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return ROAM_SECONDS(time.tv_sec) + (roam_time)time.tv_nsec;
}

/* What two readings show between which nothing was done: a system call, which is none of the server's work. */
static roam_time clock_cost(void)
{
    roam_time least = ROAM_TIME_NEVER;
    for (int i = 0; i < 10000; i++) {
        roam_time before = processor_time(), took = processor_time() - before;
        least = took < least ? took : least;
    }
    return least;
}

/* ---- The two sides ----------------------------------------------------------------------------------------------- */

static void make_endpoints(struct bench *bench)
{
    static const char *const names[] = {SERVER, NULL}, *const alpn[] = {"bench", NULL};
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    roam_endpoint_config endpoint;
    roam_config accept;
    roam_config_init(&accept);
    roam_config_init(&bench->client);
    roam_endpoint_config_init(&endpoint);
    for (int side = 0; side < SIDES; side++)
        bench->credentials[side] = roam_credentials_new();
    if (roam_credentials_generate(bench->credentials[SERVER_SIDE], names) != ROAM_OK ||
        roam_credentials_fingerprint(bench->credentials[SERVER_SIDE], fingerprint) != ROAM_OK ||
        roam_credentials_trust_pin(bench->credentials[CLIENT], fingerprint) != ROAM_OK)
        fail("no certificate");
    accept.alpn = bench->client.alpn = alpn;
    accept.pmtud = bench->client.pmtud = false;
    accept.resume_without_dh = true; /* with a client that says so too */
    accept.credentials = bench->credentials[SERVER_SIDE];
    bench->client.credentials = bench->credentials[CLIENT];
    bench->client.local = &bench->address;
    bench->endpoints[CLIENT] = roam_endpoint_new(&endpoint, bench->now, NULL);
    endpoint.accept = &accept;
    endpoint.retry = ROAM_RETRY_NEVER;
    bench->endpoints[SERVER_SIDE] = roam_endpoint_new(&endpoint, bench->now, NULL);
    if (bench->endpoints[CLIENT] == NULL || bench->endpoints[SERVER_SIDE] == NULL)
        fail("no endpoint");
}

/* Takes what is on the wire to this side, and puts what it answers on the other wire. */
static void turn(struct bench *bench, enum side side)
{
    struct wire *in = &bench->wires[side], *out = &bench->wires[!side];
    roam_event event;
    if (in->count > 0)
        roam_endpoint_receive(bench->endpoints[side], bench->now, in->datagrams, in->count);
    in->count = 0;
    if (roam_endpoint_deadline(bench->endpoints[side]) <= bench->now)
        roam_endpoint_expire(bench->endpoints[side], bench->now);
    for (size_t i = out->count; i < IN_FLIGHT_MAX; i++)
        out->datagrams[i] = (roam_datagram){.data = out->data[i], .capacity = DATAGRAM_BYTES};
    out->count += roam_endpoint_transmit(bench->endpoints[side], bench->now, out->datagrams + out->count,
                                         IN_FLIGHT_MAX - out->count);
    while (roam_endpoint_poll(bench->endpoints[side], &event)) {
        bench->confirmed[side] |= event.type == ROAM_EVENT_CONFIRMED;
        if (event.type == ROAM_EVENT_NEW_SESSION && event.token_bytes <= SESSION_BYTES_MAX) {
            memcpy(bench->session, event.token, event.token_bytes);
            bench->session_bytes = event.token_bytes;
        }
        if (event.type == ROAM_EVENT_CLOSED)
            roam_conn_free(event.conn, bench->now);
    }
}

static void turn_timed(struct bench *bench, enum side side)
{
    roam_time before = processor_time();
    turn(bench, side);
    bench->took[side] += processor_time() - before - bench->clock_cost;
}

/* Each side sees the addresses the other way round. */
static void swap_addresses(struct wire *wire)
{
    for (size_t i = 0; i < wire->count; i++) {
        roam_address local = wire->datagrams[i].local;
        wire->datagrams[i].local = wire->datagrams[i].remote;
        wire->datagrams[i].remote = local;
    }
}

static void exchange(struct bench *bench, void (*step)(struct bench *, enum side))
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        /* Acknowledgements that may wait come due. */
        bench->now += ROAM_MILLISECONDS(30);
        step(bench, CLIENT);
        swap_addresses(&bench->wires[SERVER_SIDE]);
        if (bench->wires[SERVER_SIDE].count == 0 && bench->confirmed[CLIENT] && bench->confirmed[SERVER_SIDE])
            return;
        step(bench, SERVER_SIDE);
        swap_addresses(&bench->wires[CLIENT]);
    }
    fail("a handshake was not confirmed");
}

enum kind { FULL, RESUMED, RESUMED_WITHOUT_DH };

static const char *const kind_names[] = {"full", "resumed", "psk_ke"};

static void shake_hands(struct bench *bench, enum kind kind)
{
    roam_config config = bench->client;
    roam_conn_stats stats;
    config.resume_without_dh = kind == RESUMED_WITHOUT_DH;
    if (kind != FULL) {
        config.session = bench->session;
        config.session_bytes = bench->session_bytes;
    }
    bench->took[CLIENT] = bench->took[SERVER_SIDE] = 0;
    bench->confirmed[CLIENT] = bench->confirmed[SERVER_SIDE] = false;
    roam_time before = processor_time();
    roam_conn *conn = roam_connect(bench->endpoints[CLIENT], SERVER, 443, &config, bench->now, NULL);
    bench->took[CLIENT] += processor_time() - before;
    if (conn == NULL)
        fail("no connection");
    exchange(bench, turn_timed);
    roam_conn_get_stats(conn, &stats);
    if (stats.resumed != (kind != FULL) || stats.forward_secrecy != (kind != RESUMED_WITHOUT_DH))
        fail("a session was not resumed, or one was unasked");
    roam_conn_close(conn, bench->now, 0, NULL);
    exchange(bench, turn);
    bench->now += ROAM_SECONDS(60); /* closing and draining are over */
    exchange(bench, turn);
}

/* ---- Figures ----------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const roam_time *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static void print_figure(const char *kind, const char *side, roam_time *took, size_t n)
{
    qsort(took, n, sizeof(*took), compare);
    printf("%-8s %-6s  %7.1f us  (%.1f to %.1f, nine of ten below %.1f)\n", kind, side, (double)took[n / 2] / 1e3,
           (double)took[0] / 1e3, (double)took[n - 1] / 1e3, (double)took[n * 9 / 10] / 1e3);
}

static void measure(struct bench *bench, enum kind kind, size_t n)
{
    roam_time *took[SIDES] = {calloc(n, sizeof(roam_time)), calloc(n, sizeof(roam_time))};
    if (took[CLIENT] == NULL || took[SERVER_SIDE] == NULL)
        fail("no memory");
    for (size_t i = 0; i < WARM_UP; i++)
        shake_hands(bench, kind);
    for (size_t i = 0; i < n; i++) {
        shake_hands(bench, kind);
        for (int side = 0; side < SIDES; side++)
            took[side][i] = bench->took[side];
    }
    print_figure(kind_names[kind], "server", took[SERVER_SIDE], n);
    print_figure(kind_names[kind], "client", took[CLIENT], n);
    for (int side = 0; side < SIDES; side++)
        free(took[side]);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : HANDSHAKES;
    if (argc > 2 || n == 0 || n > HANDSHAKES_MAX)
        fail("usage: handshake [HANDSHAKES]");
    bench.now = ROAM_SECONDS(1000);
    if (!roam_address_parse(&bench.address, "192.0.2.2:50000"))
        fail("no address");
    bench.clock_cost = clock_cost();
    make_endpoints(&bench);
    measure(&bench, FULL, n);
    measure(&bench, RESUMED, n);
    measure(&bench, RESUMED_WITHOUT_DH, n);
    for (int side = 0; side < SIDES; side++) {
        roam_endpoint_free(bench.endpoints[side]);
        roam_credentials_free(bench.credentials[side]);
    }
    return 0;
}
