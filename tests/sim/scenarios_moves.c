/* B32: moves are not capped, paths are. Ten thousand of them in one connection, and nothing grows or slows down. */
#include <stddef.h>
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define MOVES        10000
#define WINDOW_MOVES 100
#define WINDOWS      (MOVES / WINDOW_MOVES)

/* Between two moves. */
#define STEP ROAM_MILLISECONDS(300)

/* The wire, so that what gets through depends on how fast the connection is back. */
#define RATE_BITS_PER_S 500000

/* From the hundredth move on, so much more or less than the mean of all windows, in per cent. */
#define GOODPUT_MARGIN 10

/* What stands at the end of a window, when the last move has settled; goodput is over all of it. */
struct window {
    uint64_t octets_per_s;
    uint64_t memory, memory_there;
    uint64_t cids, cids_there; /* live, ours */
    uint64_t paths, rows;
    uint64_t routes; /* CIDs that lead to the server's connection, those in quarantine included */
};

static struct window measure(struct lab *lab, uint64_t octets, roam_time span)
{
    const roam_conn *client = lab_client(lab)->conn, *server = lab->server_app.newest;
    return (struct window){.octets_per_s = octets * 1000 / (span / ROAM_MILLISECONDS(1)),
                           .memory = lab->clients[0].host->alloc.bytes,
                           .memory_there = lab->server->alloc.bytes,
                           .cids = client->local_cids.count,
                           .cids_there = server->local_cids.count,
                           .paths = client->paths.count + server->paths.count,
                           .rows = roam_endpoint_connections(lab->server->endpoint, NULL, 0),
                           .routes = lab->server->endpoint->table.by_cid.count};
}

/* Each kind in turn: what a NAT does three ways, and what a client does two ways. Sockets that are left are closed, and
 * the same few are used again and again, some minutes later. */
static void move(struct lab *lab, unsigned n)
{
    struct client_app *app = lab_client(lab);
    roam_address old = *roam_conn_local_address(app->conn), local = old;
    char ip[32];
    snprintf(ip, sizeof(ip), "198.51.100.%u", 100 + n / 5 % 100);
    switch (n % 5) {
    case 0:
    case 1:
        nat_change_ports(lab_nat(lab), false);
        break;
    case 2:
        nat_change_address(lab_nat(lab), ip, false);
        break;
    default:
        local = host_open_socket(app->host, lab->clients[0].interfaces[0], (uint16_t)(20000 + n % 1000));
        EXPECT(lab, (n % 5 == 3 ? client_app_rebind : client_app_migrate)(app, &local) == ROAM_OK);
        break;
    }
}

/* No window has more than the second one and a buffer's next size, and the later half has no more than the earlier one,
 * all in all. */
static void expect_flat(struct lab *lab, const struct window *windows, size_t offset, uint64_t slack)
{
    uint64_t first = 0, sums[2] = {0};
    for (unsigned i = 1; i < WINDOWS; i++) {
        uint64_t value;
        memcpy(&value, (const uint8_t *)&windows[i] + offset, sizeof(value));
        first = i == 1 ? value : first;
        EXPECT(lab, value <= first + slack);
        sums[i > WINDOWS / 2] += value;
    }
    EXPECT(lab, sums[1] <= sums[0] + sums[0] / 50);
}

static void b32_ten_thousand_moves_leave_memory_cids_and_goodput_as_they_were(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = RATE_BITS_PER_S;
    lab->config.down[0].queue_bytes = 16 * 1024;
    lab->config.interfaces = 1;
    lab->config.nat[0].timeout = ROAM_SECONDS(30);
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, UINT64_C(1) << 32);
    struct window windows[WINDOWS];
    for (unsigned i = 0; i < WINDOWS; i++) {
        uint64_t octets = lab->workload.transfers[0].in.at;
        roam_time start = world_now(&lab->world);
        for (unsigned n = 0; n < WINDOW_MOVES; n++) {
            move(lab, i * WINDOW_MOVES + n);
            EXPECT(lab, lab_run(lab, STEP));
            EXPECT(lab, lab_server_paths(lab) <= lab->config.server.max_paths);
        }
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
        windows[i] = measure(lab, lab->workload.transfers[0].in.at - octets, world_now(&lab->world) - start);
    }
    uint64_t sum = 0;
    for (unsigned i = 1; i < WINDOWS; i++)
        sum += windows[i].octets_per_s;
    uint64_t mean = sum / (WINDOWS - 1), margin = mean * GOODPUT_MARGIN / 100;
    for (unsigned i = 1; i < WINDOWS; i++) {
        const struct window *now = &windows[i];
        trace_line(
            &lab->world.trace, world_now(&lab->world),
            "window %u: %llu octets/s, %llu and %llu octets of memory, %llu and %llu CIDs, %llu paths, %llu routes", i,
            (unsigned long long)now->octets_per_s, (unsigned long long)now->memory,
            (unsigned long long)now->memory_there, (unsigned long long)now->cids, (unsigned long long)now->cids_there,
            (unsigned long long)now->paths, (unsigned long long)now->routes);
        EXPECT(lab, now->octets_per_s >= mean - margin && now->octets_per_s <= mean + margin && now->rows == 1);
    }
    expect_flat(lab, windows, offsetof(struct window, memory), 64 * 1024);
    /* What a sender keeps comes in pieces of 16 KiB, of which one moment has a few more than another. */
    expect_flat(lab, windows, offsetof(struct window, memory_there), 96 * 1024);
    expect_flat(lab, windows, offsetof(struct window, cids), 1);
    expect_flat(lab, windows, offsetof(struct window, cids_there), 1);
    expect_flat(lab, windows, offsetof(struct window, paths), 2);
    expect_flat(lab, windows, offsetof(struct window, routes), 100);
    /* Half of what the wire carries gets through, in spite of a dead mapping every 0.4 s. */
    EXPECT(lab, mean >= RATE_BITS_PER_S / 8 / 2);
    EXPECT(lab, lab_server_moves(lab) >= MOVES * 95 / 100 && lab_server_follows(lab, 0));
    EXPECT(lab, lab->server_app.accepted == 1);
}

const struct scenario scenarios_moves[] = {
    SCENARIO(b32_ten_thousand_moves_leave_memory_cids_and_goodput_as_they_were),
    {NULL, NULL},
};
