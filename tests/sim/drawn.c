/* One drawn world from beginning to end, and what it adds to the totals. */
#include "sim/drawn.h"

#include <stdlib.h>
#include <string.h>

#include "sim/oracle.h"

/* Within this time after the last fault everything must be done. */
#define LIVENESS ROAM_SECONDS(300)

static bool all_ended(const struct drawn *drawn)
{
    const struct lab *lab = &drawn->lab;
    for (size_t i = 0; i < lab->config.clients; i++) {
        if (!lab->clients[i].app.closed)
            return false;
    }
    return lab->server_app.closed == lab->server_app.accepted;
}

/* "An endpoint that exhausts available connection IDs cannot ... respond to probes or attempts by its peer to
 * migrate" (RFC 9000 section 9.5): where a client's addresses have come and gone faster than the server could give
 * it CIDs, idle timeout is the end that the RFC leaves, for none is used from two of them. So it is for a server
 * that true and forged moves have left without CIDs, and whose answers its client does not hear: the client gives it
 * new ones, but not without end, for each makes it retire another. Such worlds are counted, and shown. */
static bool is_starved_of_cids(const struct lab *lab)
{
    bool stranded = lab->server_app.starved;
    for (size_t i = 0; i < lab->config.clients; i++)
        stranded |= lab->clients[i].app.stranded;
    return stranded;
}

static void judge(struct drawn *drawn)
{
    struct lab *lab = &drawn->lab;
    struct world *world = &lab->world;
    if (is_starved_of_cids(lab)) {
        drawn->totals.starved = 1;
        return;
    }
    for (size_t i = 0; i < lab->config.clients; i++) {
        const struct client_app *app = &lab->clients[i].app;
        const roam_error *error = &app->error;
        if (app->closed && error->cause != ROAM_CLOSE_LOCAL_APPLICATION)
            world_fail(world, "client%zu ended by %s, %s: %s", i, roam_close_cause_name(error->cause),
                       roam_error_name(error->code), error->reason);
    }
    if (!workload_is_done(&lab->workload)) {
        size_t open = 0;
        for (size_t i = 0; i < lab->workload.count; i++)
            open += !(lab->workload.transfers[i].client_done && lab->workload.transfers[i].server_done);
        world_fail(world, "%zu of %zu transfers never got done", open, lab->workload.count);
    }
    said_book_judge(&lab->workload.said);
    if (!all_ended(drawn))
        world_fail(world, "connections do not come to an end");
    if (lab->server_app.causes[ROAM_CLOSE_PEER_APPLICATION] < lab->config.clients)
        world_fail(world, "the server ended by %s, %s: %s", roam_close_cause_name(lab->server_app.error.cause),
                   roam_error_name(lab->server_app.error.code), lab->server_app.error.reason);
}

static void count(struct drawn *drawn)
{
    struct lab *lab = &drawn->lab;
    struct drawn_totals *totals = &drawn->totals;
    roam_endpoint_stats stats;
    if (lab->server != NULL && lab->server->endpoint != NULL) {
        roam_endpoint_get_stats(lab->server->endpoint, &stats);
        totals->moves += stats.moves;
        totals->validated += stats.paths_validated;
        totals->failed_paths += stats.paths_failed;
    }
    totals->seeds = 1;
    for (size_t i = 0; i < lab->config.clients; i++)
        totals->pings += lab->clients[i].app.pings;
    for (size_t i = 0; i < lab->config.clients; i++) {
        totals->early += lab->clients[i].app.early_data == ROAM_EARLY_ACCEPTED;
        totals->rejected += lab->clients[i].app.early_data == ROAM_EARLY_REJECTED;
    }
    totals->resized = lab->server_app.history.counts[ROAM_EVENT_PATH_MTU];
    for (size_t i = 0; i < lab->config.clients; i++)
        totals->resized += lab->clients[i].app.history.counts[ROAM_EVENT_PATH_MTU];
    totals->said = lab->workload.said.count;
    totals->heard = lab->workload.said.heard;
    totals->unsaid =
        lab->workload.said.fates[ROAM_EVENT_DATAGRAM_EXPIRED] + lab->workload.said.fates[ROAM_EVENT_DATAGRAM_OUTGROWN];
    totals->clients = lab->config.clients;
    totals->transfers = lab->workload.count;
    totals->bytes = lab->workload.bytes_done;
    totals->packets = oracle_stats(lab->world.oracle)->packets;
    totals->guarded = oracle_stats(lab->world.oracle)->spared;
    totals->sent = lab->world.stats.sent;
    for (size_t i = 0; i < SIM_DROPS; i++)
        totals->lost += lab->world.stats.dropped[i];
    totals->duplicated = lab->world.stats.duplicated;
    totals->corrupted = lab->world.stats.corrupted;
    for (size_t i = 0; i < lab->config.clients; i++) {
        const struct app_history *history = &lab->clients[i].app.history;
        for (size_t k = 0; k < history->count; k++)
            totals->by_itself +=
                history->events[k].type == ROAM_EVENT_PATH_MOVED && history->events[k].why >= ROAM_MOVE_ADDRESS_GONE;
    }
    totals->reverts = lab->server_app.history.counts[ROAM_EVENT_PATH_REVERTED];
    totals->virtual_ms = (world_now(&lab->world) - ROAM_SECONDS(1000)) / ROAM_MILLISECONDS(1);
}

static void trace_config(const struct drawn *drawn)
{
    const struct lab_config *config = &drawn->lab.config;
    const struct trace *trace = &drawn->lab.world.trace;
    if (trace->print == NULL)
        return;
    const roam_config *sides[] = {&config->client, &config->server};
    const uint8_t cid_bytes[] = {config->client_endpoint.cid_bytes, config->server_endpoint.cid_bytes};
    for (size_t i = 0; i < 2; i++)
        fprintf(trace->print, "%s: CIDs of %u octets, holds %llu, %u paths, %llu octets a stream, %llu in all\n",
                i == 0 ? "client" : "server", cid_bytes[i], (unsigned long long)sides[i]->active_connection_id_limit,
                sides[i]->max_paths, (unsigned long long)sides[i]->initial_max_stream_data,
                (unsigned long long)sides[i]->initial_max_data);
}

static void live(struct drawn *drawn)
{
    struct lab *lab = &drawn->lab;
    trace_config(drawn);
    draw_workload(drawn);
    draw_faults(drawn);
    roam_time until = world_now(&lab->world) + drawn->fault_span + LIVENESS;
    faults_start(drawn);
    for (size_t i = 0; i < lab->config.clients && !lab->world.failed; i++)
        client_app_start(&lab->clients[i].app);
    while (!all_ended(drawn) && sim_clock_next(&lab->world.clock) <= until && world_step(&lab->world))
        continue;
    if (!lab->world.failed)
        judge(drawn);
}

void drawn_run(struct drawn_result *ret, uint64_t seed, const struct sim_certs *certs, const struct sim_view *view)
{
    struct drawn *drawn = calloc(1, sizeof(*drawn));
    if (drawn == NULL)
        abort();
    lab_config_init(&drawn->lab.config, seed, certs);
    char name[32];
    struct view_qlog qlog;
    snprintf(name, sizeof(name), "seed-%llu", (unsigned long long)seed);
    drawn->lab.config.print = view != NULL ? view->print : NULL;
    drawn->lab.config.qlog = view_qlog_open(&qlog, view, name);
    sim_rng_init(&drawn->rng, seed, "drawn");
    sim_rng_init(&drawn->chatter, seed, "chatter");
    sim_rng_init(&drawn->early, seed, "early data");
    draw_world(drawn);
    if (lab_open(&drawn->lab))
        live(drawn);
    count(drawn);
    uint64_t hash = drawn->lab.world.trace.hash;
    lab_close(&drawn->lab);
    view_qlog_close(&qlog);
    ret->passed = !drawn->lab.world.failed;
    memcpy(ret->failure, drawn->lab.world.failure, sizeof(ret->failure));
    ret->trace_hash = hash;
    ret->totals = drawn->totals;
    free(drawn);
}

/* ---- Totals ---------------------------------------------------------------------------------------------------- */

void drawn_totals_add(struct drawn_totals *totals, const struct drawn_totals *more)
{
    /* All members are counters of one type. */
    _Static_assert(sizeof(*totals) % sizeof(uint64_t) == 0, "counters only");
    uint64_t *to = (uint64_t *)totals;
    const uint64_t *from = (const uint64_t *)more;
    for (size_t i = 0; i < sizeof(*totals) / sizeof(uint64_t); i++)
        to[i] += from[i];
}

void drawn_totals_print(const struct drawn_totals *totals)
{
    const uint64_t *f = totals->faults;
    unsigned long long nat = f[FAULT_NAT_PORTS] + f[FAULT_NAT_REBOOT] + f[FAULT_NAT_ADDRESS] + f[FAULT_NAT_PORT_STORM];
    unsigned long long forgeries = 0;
    for (size_t kind = FAULT_SPOOF_MOVE; kind <= FAULT_REPLAY; kind++)
        forgeries += f[kind];
    printf(
        "drawn: %llu connections, %llu transfers, %.1f MB, %llu packets, %llu datagrams (%llu dropped, %llu "
        "duplicated, "
        "%llu corrupted), %llu NAT faults, %llu rebinds, %llu migrations, %llu probes, %llu outages, %llu forgeries, "
        "%llu addresses gone, %llu sockets refusing, %llu sleeps, %llu moves, %llu of them by a client itself, %llu "
        "paths validated, %llu failed, %llu reverts, %llu changes of MTU, %llu of CID plan, %llu of datagram size, "
        "%llu "
        "datagrams under the 3x "
        "limit, %llu DATAGRAM frames (%llu of them taken, %llu let go unsent), %llu impatient pings, %llu connections "
        "with early data, %llu whose early data was rejected, %llu worlds "
        "starved of CIDs, %.0f virtual s\n",
        (unsigned long long)totals->clients, (unsigned long long)totals->transfers, (double)totals->bytes / 1e6,
        (unsigned long long)totals->packets, (unsigned long long)totals->sent, (unsigned long long)totals->lost,
        (unsigned long long)totals->duplicated, (unsigned long long)totals->corrupted, nat,
        (unsigned long long)totals->rebound, (unsigned long long)totals->migrated, (unsigned long long)f[FAULT_PROBE],
        (unsigned long long)(f[FAULT_LINK_DOWN] + f[FAULT_LOSS]), (unsigned long long)forgeries,
        (unsigned long long)f[FAULT_ADDRESS_GONE], (unsigned long long)f[FAULT_SEND_FAILS],
        (unsigned long long)f[FAULT_SLEEP], (unsigned long long)totals->moves, (unsigned long long)totals->by_itself,
        (unsigned long long)totals->validated, (unsigned long long)totals->failed_paths,
        (unsigned long long)totals->reverts, (unsigned long long)f[FAULT_MTU], (unsigned long long)f[FAULT_CID_PLAN],
        (unsigned long long)totals->resized, (unsigned long long)totals->guarded, (unsigned long long)totals->said,
        (unsigned long long)totals->heard, (unsigned long long)totals->unsaid, (unsigned long long)totals->pings,
        (unsigned long long)totals->early, (unsigned long long)totals->rejected, (unsigned long long)totals->starved,
        (double)totals->virtual_ms / 1000);
}
