/*
 * roam natbox: a NAT and a bad network in one process, to see what a UDP application makes of them. It knows nothing of
 * what it carries; where that looks like QUIC it names connection IDs. Kept: with the same seed the same network.
 */
#include "cli/natbox.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/sandbox.h"
#include "io/route.h"
#include "io/sockaddr.h"

#define USAGE                                                                                                          \
    "usage: roam natbox [options] LISTEN UPSTREAM [LISTEN UPSTREAM]...\n\n"                                            \
    "What clients send to LISTEN ([ADDR:]PORT, 127.0.0.1 by default, port 0 for any) goes to UPSTREAM (HOST:PORT)\n"   \
    "from a port that the NAT gives them, and what comes back to that port goes to them. SIGUSR1 rebinds all "         \
    "clients,\n"                                                                                                       \
    "SIGUSR2 prints the totals. What is given EACH WAY is one value for both ways, or UP,DOWN.\n"

#define OPTION(name, letter, kind, member, argument, help)                                                             \
    {                                                                                                                  \
        name, letter, kind, offsetof(struct natbox_options, member), argument, help                                    \
    }

/* What the mappings of one test may need; each is a socket or two. */
#define CLIENTS_DEFAULT 256
#define CLIENTS_MAX     4096

/* In the order of their enumerations. */
#define KINDS  "full-cone|restricted|port-restricted|symmetric"
#define PLACES "port|address|both"
#define FATES  "dies|until-uplink|stays"

static const char *const kinds[] = {"full-cone", "restricted", "port-restricted", "symmetric"};

static const struct option_spec specs[] = {
    OPTION("rebind-every", 0, OPTION_DURATION, rebind_every, "TIME", "give all clients a new place so often"),
    OPTION("rebind-first", 0, OPTION_DURATION, rebind_first, "TIME",
           "... the first time so long after the first datagram"),
    OPTION("rebind-packets", 0, OPTION_NUMBER, rebind_packets, "N", "... a client after N of its packets, both ways"),
    OPTION("rebind-times", 0, OPTION_NUMBER, rebind_times, "N", "... a client N times at most"),
    OPTION("rebind", 0, OPTION_CHOICE, rebind_what, PLACES, "what is new (port)"),
    OPTION("old-mapping", 0, OPTION_CHOICE, old_mapping, FATES, "what becomes of the old place (dies)"),
    OPTION("address", 0, OPTION_ADDRESSES, addresses, "ADDR,...", "the NAT's addresses outside (the route's)"),
    OPTION("nat", 0, OPTION_CHOICE, kind, KINDS, "who is let in, and what is a mapping's own (port-restricted)"),
    OPTION("timeout", 0, OPTION_DURATION, timeout, "TIME", "forget who has sent nothing for so long (never)"),
    OPTION("clients", 0, OPTION_NUMBER, clients, "N", "at most so many; the one idle longest goes (256)"),
    OPTION("delay", 0, OPTION_DURATION_EACH_WAY, delay, "EACH WAY", "so long to arrive"),
    OPTION("jitter", 0, OPTION_DURATION_EACH_WAY, jitter, "EACH WAY", "and up to so much longer"),
    OPTION("loss", 0, OPTION_SHARE_EACH_WAY, loss, "EACH WAY", "so many are lost: 1% or 0.01"),
    OPTION("in-a-row", 0, OPTION_NUMBER_EACH_WAY, row, "EACH WAY", "... at most so many in a row; corrupted ones, too"),
    OPTION("drop", 0, OPTION_NUMBER_EACH_WAY, drop, "EACH WAY", "so many are lost at the beginning"),
    OPTION("drop-after", 0, OPTION_NUMBER_EACH_WAY, drop_after, "EACH WAY", "... when so many have come (0)"),
    OPTION("outage", 0, OPTION_OUTAGE, outage, "FOR[,EVERY[,AFTER]]",
           "everything vanishes for so long, again so often, the first time so long after the first datagram"),
    OPTION("reorder", 0, OPTION_SHARE_EACH_WAY, reorder, "EACH WAY", "so many are overtaken by others"),
    OPTION("reorder-by", 0, OPTION_DURATION_EACH_WAY, reorder_by, "EACH WAY", "... for so long (5ms)"),
    OPTION("duplicate", 0, OPTION_SHARE_EACH_WAY, duplicate, "EACH WAY", "so many come twice"),
    OPTION("corrupt", 0, OPTION_SHARE_EACH_WAY, corrupt, "EACH WAY", "so many have one bit flipped"),
    OPTION("rate", 0, OPTION_RATE_EACH_WAY, rate, "EACH WAY", "bits a second: 500k, 10M, 1G"),
    OPTION("burst", 0, OPTION_BYTES_EACH_WAY, burst, "EACH WAY", "octets that go at once after a pause (16K)"),
    OPTION("queue", 0, OPTION_BYTES_EACH_WAY, queue, "EACH WAY",
           "octets that wait for the rate; others are lost (256K)"),
    OPTION("mtu", 0, OPTION_BYTES_EACH_WAY, mtu, "EACH WAY", "larger payloads vanish"),
    OPTION("watch", 0, OPTION_DURATION, watch, "TIME", "print what was handed on, each way, in spans of so long"),
    OPTION("seed", 0, OPTION_NUMBER, seed, "N", "draw from this seed, to have the same network again"),
    OPTION("ipv4", '4', OPTION_FLAG, ipv4, NULL, "of UPSTREAM's addresses take one of IPv4"),
    OPTION("ipv6", '6', OPTION_FLAG, ipv6, NULL, "... of IPv6"),
    OPTION("json", 0, OPTION_FLAG, json, NULL, "print lines of JSON"),
    OPTION("verbose", 'v', OPTION_FLAG, verbose, NULL, "print each datagram that is lost, doubled, held back, refused"),
    SANDBOX_OPTIONS(struct natbox_options, sandbox),
};

/* ---- Places ------------------------------------------------------------------------------------------------------ */

static bool parse_listen(const char *text, roam_address *ret)
{
    char host[256];
    uint16_t port;
    if (!split_host_port(text, "127.0.0.1", host, &port) ||
        !roam_address_parse(ret, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host)) {
        say_error("not a place to listen on: '%s'; try 4433, 127.0.0.1:0 or [::1]:4433", text);
        return false;
    }
    ret->port = port;
    return true;
}

static bool resolve_upstream(const struct natbox_options *options, const char *text, roam_address *ret)
{
    char host[256];
    uint16_t port;
    const struct addrinfo hints = {.ai_family = options->ipv4   ? AF_INET
                                                : options->ipv6 ? AF_INET6
                                                                : AF_UNSPEC,
                                   .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found;
    if (!split_host_port(text, NULL, host, &port) || port == 0) {
        say_error("not a HOST:PORT: '%s'", text);
        return false;
    }
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0) {
        say_error("%s: %s", host, gai_strerror(result));
        return false;
    }
    address_from_sockaddr(ret, found->ai_addr);
    ret->port = port;
    freeaddrinfo(found);
    return true;
}

static bool open_door(struct natbox *box, const char *listen, const char *upstream)
{
    roam_address at, outside, from;
    if (!parse_listen(listen, &at) || !resolve_upstream(&box->options, upstream, &outside))
        return false;
    if (!route_source(&outside, &from)) {
        say_error("no way to %s: %s", upstream, strerror(errno));
        return false;
    }
    struct door *door = door_open(box, &at, &outside);
    if (door == NULL) {
        say_error("cannot listen on %s: %s", listen, strerror(errno));
        return false;
    }
    REPORT(box, uv_hrtime(), "listening", ADDRESS("on", &door->udp.local), ADDRESS("upstream", &outside),
           TEXT("nat", kinds[box->options.kind]));
    return true;
}

static bool open_doors(struct natbox *box, const struct command_line *line)
{
    for (size_t i = 0; i < line->positional_count; i += 2)
        if (!open_door(box, line->positional[i], line->positional[i + 1]))
            return false;
    return true;
}

/* ---- The loop ---------------------------------------------------------------------------------------------------- */

static const int signal_numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

struct turning {
    struct natbox *box;
    uv_signal_t signals[ARRAY_LENGTH(signal_numbers)];
    uv_poll_t timer;
    uv_prepare_t prepare;
    int timer_fd;
};

static void on_signal(uv_signal_t *handle, int number)
{
    struct natbox *box = ((struct turning *)handle->data)->box;
    if (number == SIGUSR1)
        nat_rebind_all(box, "signal", uv_hrtime());
    else if (number == SIGUSR2)
        report_totals(box, uv_hrtime());
    else
        uv_stop(&box->loop);
}

static void on_timer(uv_poll_t *handle, int status, int events)
{
    struct turning *turning = handle->data;
    struct natbox *box = turning->box;
    uint64_t expirations;
    (void)status;
    (void)events;
    if (read(turning->timer_fd, &expirations, sizeof(expirations)) < 0)
        return;
    roam_time now = uv_hrtime();
    relay_deliver(box, now);
    if (box->rebind_at <= now) {
        nat_rebind_all(box, "time", now);
        box->rebind_at =
            box->options.rebind_every != 0 ? max_u64(box->rebind_at + box->options.rebind_every, now) : ROAM_TIME_NEVER;
    }
    if (box->upkeep_at <= now)
        nat_upkeep(box, now);
}

static void on_prepare(uv_prepare_t *handle)
{
    const struct turning *turning = handle->data;
    const struct natbox *box = turning->box;
    roam_time at = min_u64(relay_deadline(box), min_u64(box->rebind_at, box->upkeep_at));
    struct itimerspec spec = {0};
    if (at != ROAM_TIME_NEVER) {
        at = max_u64(at, 1); /* zero would stop it */
        spec.it_value.tv_sec = (time_t)(at / ROAM_SECONDS(1));
        spec.it_value.tv_nsec = (long)(at % ROAM_SECONDS(1));
    }
    timerfd_settime(turning->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* False where there is no timer to be had. */
static bool turn(struct natbox *box)
{
    struct turning turning = {.box = box, .timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    int status = turning.timer_fd < 0 ? -errno : uv_poll_init(&box->loop, &turning.timer, turning.timer_fd);
    if (status != 0) {
        say_error("no timer: %s", strerror(-status));
        if (turning.timer_fd >= 0)
            close(turning.timer_fd);
        return false;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(signal_numbers); i++) {
        uv_signal_init(&box->loop, &turning.signals[i]);
        turning.signals[i].data = &turning;
        uv_signal_start(&turning.signals[i], on_signal, signal_numbers[i]);
    }
    turning.timer.data = &turning;
    uv_poll_start(&turning.timer, UV_READABLE, on_timer);
    uv_prepare_init(&box->loop, &turning.prepare);
    turning.prepare.data = &turning;
    uv_prepare_start(&turning.prepare, on_prepare);

    uv_run(&box->loop, UV_RUN_DEFAULT);

    for (size_t i = 0; i < ARRAY_LENGTH(signal_numbers); i++)
        uv_close((uv_handle_t *)&turning.signals[i], NULL);
    uv_close((uv_handle_t *)&turning.timer, NULL);
    uv_close((uv_handle_t *)&turning.prepare, NULL);
    uv_run(&box->loop, UV_RUN_NOWAIT); /* while they are still there */
    close(turning.timer_fd);
    return true;
}

static int run(struct natbox *box, const struct command_line *line)
{
    roam_rng rng = roam_rng_default();
    uint8_t secret[SIPHASH_KEY_BYTES];
    int status = EXIT_LOCAL;
    rng.fill(rng.context, secret, sizeof(secret));
    /* A seed that people can type. */
    if (box->options.seed == UINT64_MAX) {
        rng.fill(rng.context, &box->options.seed, sizeof(box->options.seed));
        box->options.seed %= UINT64_C(1000000000);
    }
    box->allocator = roam_allocator_default();
    box->upkeep_at = ROAM_TIME_NEVER;
    box->report = (struct report){
        .stream = stdout, .json = box->options.json, .verbose = box->options.verbose, .started = uv_hrtime()};
    box->rebind_at = box->options.rebind_every != 0 && box->options.rebind_first == 0
                         ? box->report.started + box->options.rebind_every
                         : ROAM_TIME_NEVER;
    hash_map_init(&box->by_client, &box->allocator, secret);
    if (uv_loop_init(&box->loop) != 0 || !relay_init(box, box->options.seed)) {
        say_error("cannot start: %s", roam_result_name(ROAM_ERR_MEMORY));
        return EXIT_LOCAL;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* whoever reads through a pipe gets whole lines */
    REPORT(box, box->report.started, "seed", NUMBER("seed", box->options.seed),
           NUMBER("monotonic_ns", box->report.started));
    const struct sandbox_plan nothing = {0}; /* it serves no files */
    if (open_doors(box, line) && sandbox_enter(&box->options.sandbox, &nothing) && turn(box)) {
        report_passages(box);
        report_totals(box, uv_hrtime());
        status = EXIT_OK;
    }
    relay_done(box);
    nat_done(box);
    uv_run(&box->loop, UV_RUN_DEFAULT);
    uv_loop_close(&box->loop);
    return status;
}

/* ---- The command line -------------------------------------------------------------------------------------------- */

/* What is wrong with the addresses outside is said before anybody relies on them. */
static bool check_addresses(const struct natbox_options *options)
{
    size_t per_family[2] = {0};
    for (size_t i = 0; i < options->addresses.count; i++) {
        struct udp_socket socket;
        roam_address at = options->addresses.addresses[i];
        char text[ROAM_ADDRESS_TEXT_MAX];
        if (at.port != 0) {
            say_error("--address wants addresses without ports, not %s", roam_address_format(&at, text));
            return false;
        }
        if (udp_socket_open(&socket, &at, SOCKET_BUFFER_BYTES) != ROAM_OK) {
            say_error("cannot send from %s: %s", roam_address_format(&at, text), strerror(errno));
            return false;
        }
        udp_socket_close(&socket);
        per_family[at.family == ROAM_FAMILY_IPV6]++;
    }
    if (options->rebind_what != REBIND_PORT && per_family[0] < 2 && per_family[1] < 2) {
        say_error("another address wants two of a family: --address ADDR,ADDR");
        return false;
    }
    return true;
}

static bool check_line(const struct natbox_options *options, const struct command_line *line)
{
    if (line->positional_count < 2 || line->positional_count % 2 != 0) {
        say_error("roam natbox wants where to listen and where to send, in pairs: LISTEN UPSTREAM");
        return false;
    }
    if (options->clients == 0 || options->clients > CLIENTS_MAX) {
        say_error("--clients is 1 to %d", CLIENTS_MAX);
        return false;
    }
    if (options->ipv4 && options->ipv6) {
        say_error("--ipv4 and --ipv6 exclude each other");
        return false;
    }
    return check_addresses(options);
}

int natbox_main(int argc, char **argv)
{
    static struct natbox box;
    struct command_line line = {.command = "roam natbox", .specs = specs, .spec_count = ARRAY_LENGTH(specs)};
    bool help;
    box.options = (struct natbox_options){
        .kind = NAT_PORT_RESTRICTED,
        .clients = CLIENTS_DEFAULT,
        .seed = UINT64_MAX,
        .reorder_by = {ROAM_MILLISECONDS(5), ROAM_MILLISECONDS(5)},
        .burst = {16 * 1024, 16 * 1024},
        .queue = {256 * 1024, 256 * 1024},
    };
    if (!options_parse(&line, argc, argv, USAGE, &box.options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (!check_line(&box.options, &line))
        return EXIT_USAGE;
    return run(&box, &line);
}
