/*
 * The client: rounds of transfers, then the end.
 *
 * (meet -> NEW_SESSION -> close ->) connect -> CONNECTED, or early data offered -> round 0 .. round n, each begun by the timer and over when its transfers are done on both
 * sides -> the timer closes the connection -> CLOSED.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conn/mobility.h"
#include "sim/app.h"
#include "sim/oracle.h"

#define APP_CODE 0

static void put_u64(uint8_t *ret, uint64_t value)
{
    for (size_t i = 0; i < 8; i++)
        ret[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* ---- Transfers ------------------------------------------------------------------------------------------------- */

void workload_init(struct workload *workload, struct world *world)
{
    memset(workload, 0, sizeof(*workload));
    workload->world = world;
    said_book_init(&workload->said, world);
}

void workload_done(struct workload *workload)
{
    for (size_t i = 0; i < workload->count; i++)
        pump_out_done(&workload->transfers[i].out);
    free(workload->transfers);
    workload->transfers = NULL;
    said_book_done(&workload->said);
}

void workload_add(struct workload *workload, struct client_app *client, size_t round, enum transfer_kind kind,
                  uint64_t bytes)
{
    if (workload->count == workload->capacity) {
        workload->capacity = workload->capacity == 0 ? 16 : 2 * workload->capacity;
        workload->transfers = realloc(workload->transfers, workload->capacity * sizeof(*workload->transfers));
        if (workload->transfers == NULL)
            abort();
    }
    struct transfer *transfer = &workload->transfers[workload->count];
    *transfer = (struct transfer){.kind = kind, .bytes = bytes, .round = round, .client = client};
    transfer->key = sim_mix(workload->world->seed ^ sim_mix(workload->count));
    workload->count++;
    if (round >= client->rounds)
        client->rounds = round + 1;
}

bool workload_is_done(const struct workload *workload)
{
    for (size_t i = 0; i < workload->count; i++) {
        if (!workload->transfers[i].client_done || !workload->transfers[i].server_done)
            return false;
    }
    return true;
}

/* Streams find their transfer by number, since the array may move. */
static struct transfer *transfer_of(struct client_app *app, const roam_stream *stream)
{
    size_t index = (size_t)(uintptr_t)roam_stream_user(stream);
    assert(index >= 1 && index <= app->workload->count);
    return &app->workload->transfers[index - 1];
}

static void open_transfer(struct client_app *app, size_t index)
{
    struct transfer *transfer = &app->workload->transfers[index];
    roam_result result;
    roam_stream *stream = roam_stream_open(app->conn, transfer->kind == TRANSFER_UNI_UPLOAD, &result);
    if (stream == NULL) {
        if (result != ROAM_ERR_LIMIT)
            world_fail(app->host->world, "%s: no stream: %s", app->host->name, roam_result_name(result));
        return;
    }
    roam_stream_set_user(stream, (void *)(uintptr_t)(index + 1));
    transfer->started = transfer->last_progress = world_now(app->host->world);
    uint64_t out_bytes = transfer->kind == TRANSFER_DOWNLOAD ? 0 : transfer->bytes;
    transfer->out = (struct pump_out){.stream = stream,
                                      .lends = (transfer->key & 12) == 4,
                                      .prefix_len = PUMP_PREFIX_MAX,
                                      .key = transfer->key,
                                      .end = PUMP_PREFIX_MAX + out_bytes};
    put_u64(transfer->out.prefix, UINT64_C(0x726f616d00000000) | (uint64_t)transfer->kind);
    put_u64(transfer->out.prefix + 8, index);
    transfer->in = (struct pump_in){.stream = stream, .key = transfer->key, .by_peeking = transfer->key & 1};
    if (transfer->kind == TRANSFER_UPLOAD)
        transfer->in.end = PUMP_PREFIX_MAX;
    else if (transfer->kind != TRANSFER_UNI_UPLOAD)
        transfer->in.end = transfer->bytes;
    transfer->in.ended = transfer->kind == TRANSFER_UNI_UPLOAD;
    pump_out_run(app->host->world, &transfer->out, UINT64_MAX);
}

static void open_round(struct client_app *app)
{
    for (size_t i = 0; i < app->workload->count && !app->host->world->failed; i++) {
        const struct transfer *transfer = &app->workload->transfers[i];
        if (transfer->client == app && transfer->round <= app->round && transfer->started == 0)
            open_transfer(app, i);
    }
}

static void settle(struct client_app *app, struct transfer *transfer)
{
    if (!transfer->in.ended || !transfer->out.finished || transfer->client_done)
        return;
    transfer->client_done = true;
    transfer->done_at = world_now(app->host->world);
    app->workload->bytes_done += transfer->bytes;
    roam_stream_free(transfer->out.stream);
    pump_out_done(&transfer->out);
    transfer->out.stream = transfer->in.stream = NULL;
    client_app_nudge(app);
}

static void progress(struct client_app *app, struct transfer *transfer)
{
    roam_time now = world_now(app->host->world);
    if (now - transfer->last_progress > transfer->longest_stall)
        transfer->longest_stall = now - transfer->last_progress;
    transfer->last_progress = now;
}

static void on_stream(struct client_app *app, const roam_event *event)
{
    struct world *world = app->host->world;
    struct transfer *transfer = transfer_of(app, event->stream);
    if (transfer->client_done)
        return;
    switch (event->type) {
    case ROAM_EVENT_STREAM_READABLE:
        progress(app, transfer);
        if (!transfer->in.ended && !pump_in_run(world, &transfer->in))
            return;
        break;
    case ROAM_EVENT_STREAM_WRITABLE:
    case ROAM_EVENT_STREAM_RETURNED:
        if (!pump_out_run(world, &transfer->out, UINT64_MAX))
            return;
        break;
    case ROAM_EVENT_STREAM_RESET:
    case ROAM_EVENT_STREAM_STOPPED:
    case ROAM_EVENT_STREAM_OPENED:
        world_fail(world, "%s: %s, which nobody asked for", app->host->name, roam_event_name(event->type));
        return;
    default:
        break;
    }
    settle(app, transfer);
}

/* ---- Rounds ---------------------------------------------------------------------------------------------------- */

static bool round_is_done(const struct client_app *app)
{
    for (size_t i = 0; i < app->workload->count; i++) {
        const struct transfer *transfer = &app->workload->transfers[i];
        if (transfer->client == app && transfer->round <= app->round &&
            !(transfer->client_done && transfer->server_done))
            return false;
    }
    return true;
}

static void set_timer(struct client_app *app, roam_time at)
{
    sim_clock_set(&app->host->world->clock, &app->timer, at);
}

void client_app_nudge(struct client_app *app)
{
    if (app->round_running && round_is_done(app))
        set_timer(app, world_now(app->host->world));
}

/* Nothing tells a client that an answer was lost together with the mapping that it came through, if nothing of its own
 * is under way: then it is the application that has to ask. */
static void on_watch(struct sim_event *event)
{
    struct client_app *app = SIM_CONTAINER(event, struct client_app, watch);
    struct world *world = app->host->world;
    if (app->conn == NULL || !app->round_running)
        return;
    roam_time latest = 0;
    for (size_t i = 0; i < app->workload->count; i++) {
        const struct transfer *transfer = &app->workload->transfers[i];
        if (transfer->client == app && transfer->last_progress > latest)
            latest = transfer->last_progress;
    }
    roam_time now = world_now(world);
    sim_clock_set(&world->clock, &app->watch, now + app->patience);
    if (now - latest < app->patience)
        return;
    app->pings++;
    roam_conn_ping(app->conn, host_now(app->host));
    host_turn(app->host);
}

static void begin_round(struct client_app *app)
{
    app->round_running = true;
    if (app->patience != 0)
        sim_clock_set(&app->host->world->clock, &app->watch, world_now(app->host->world) + app->patience);
    open_round(app);
    for (size_t i = 0; i < app->workload->count && !app->host->world->failed; i++) {
        struct transfer *transfer = &app->workload->transfers[i];
        if (transfer->client == app && transfer->started != 0)
            settle(app, transfer);
    }
}

static void on_timer(struct sim_event *event)
{
    struct client_app *app = SIM_CONTAINER(event, struct client_app, timer);
    roam_time now = world_now(app->host->world);
    if (app->conn == NULL && !app->closed) {
        client_app_start(app);
        return;
    }
    if (app->conn == NULL || app->meeting)
        return;
    if (!app->round_running && app->round < app->rounds) {
        begin_round(app);
    } else if (app->round_running && round_is_done(app)) {
        app->round_running = false;
        app->round++;
        if (app->round < app->rounds) {
            set_timer(app, now + (app->round < ROUNDS_MAX ? app->gaps[app->round] : 0));
            return;
        }
        app->finished = true;
        app->finished_at = now;
        if (!app->stay_open)
            set_timer(app, now > app->close_not_before ? now : app->close_not_before);
        return;
    } else if (app->finished && !app->stay_open) {
        roam_conn_close(app->conn, host_now(app->host), APP_CODE, "done");
    }
    host_turn(app->host);
}

/* ---- Datagrams ------------------------------------------------------------------------------------------------- */

static void on_chatter(struct sim_event *event)
{
    struct client_app *app = SIM_CONTAINER(event, struct client_app, chatter.timer);
    struct world *world = app->host->world;
    if (app->conn == NULL || app->finished)
        return;
    said_book_take(&app->workload->said, app->host, app->conn, false);
    chatter_burst(&app->chatter, &app->workload->said, app->host, app->conn);
    if (app->chatter.left > 0)
        sim_clock_set(&world->clock, &app->chatter.timer, world_now(world) + app->chatter.gap);
    host_turn(app->host);
}

static void on_datagram(struct client_app *app, const roam_event *event)
{
    struct said_book *book = &app->workload->said;
    if (event->type == ROAM_EVENT_DATAGRAM_READABLE && !app->chatter.lazy)
        said_book_take(book, app->host, app->conn, false);
    else if (event->type != ROAM_EVENT_DATAGRAM_READABLE && event->type != ROAM_EVENT_DATAGRAM_WRITABLE)
        said_book_on_fate(book, app->host, event);
}

void client_app_more(struct client_app *app, enum transfer_kind kind, uint64_t bytes)
{
    workload_add(app->workload, app, app->round, kind, bytes);
    app->finished = false;
    if (app->conn == NULL || !app->connected)
        return;
    begin_round(app);
    host_turn(app->host);
}

/* ---- The connection -------------------------------------------------------------------------------------------- */

/* Nothing leaves from where it is, and no CID is left with which to go elsewhere. That the socket refused is forgotten
 * with each change of the networks, and comes to light with the next datagram only: then the host knows it. */
static bool is_stranded(const struct client_app *app)
{
    const roam_conn *conn = app->conn;
    if (conn->mobility == NULL || remote_cid_spare(&conn->remote_cids) > 0)
        return false;
    return conn->mobility->waiting || conn->mobility->refused ||
           !host_has_socket(app->host, &path_set_active(&conn->paths)->local);
}

static void on_closed(struct client_app *app)
{
    app->stranded = is_stranded(app);
    app->closed = true;
    app->error = *roam_conn_error(app->conn);
    for (size_t i = 0; i < app->workload->count; i++) {
        struct transfer *transfer = &app->workload->transfers[i];
        if (transfer->client != app)
            continue;
        transfer->out.stream = transfer->in.stream = NULL;
        pump_out_done(&transfer->out);
    }
    said_book_on_closed(&app->workload->said, app->host, app->conn);
    oracle_forget(app->host, app->conn);
    roam_conn_free(app->conn, host_now(app->host));
    app->conn = NULL;
    set_timer(app, ROAM_TIME_NEVER);
}

/* The connection is only there for its session. One that ends without is not missed. */
static void on_meeting_event(struct client_app *app, const roam_event *event)
{
    if (event->type == ROAM_EVENT_NEW_SESSION && event->token_bytes <= sizeof(app->session)) {
        memcpy(app->session, event->token, event->token_bytes);
        app->config.session = app->session;
        app->config.session_bytes = event->token_bytes;
        roam_conn_close(app->conn, host_now(app->host), APP_CODE, "met");
    } else if (event->type == ROAM_EVENT_CLOSED) {
        app->meeting = app->meets_first = false;
        oracle_forget(app->host, app->conn);
        roam_conn_free(app->conn, host_now(app->host));
        app->conn = NULL;
        set_timer(app, world_now(app->host->world));
    }
}

static void on_event(void *context, const roam_event *event)
{
    struct client_app *app = context;
    if (app->meeting) {
        on_meeting_event(app, event);
        return;
    }
    app_history_add(&app->history, event);
    switch (event->type) {
    case ROAM_EVENT_CONNECTED:
        app->connected = true;
        app->early_data = roam_conn_early_data(app->conn);
        if (app->rounds > 0 && !app->round_running)
            set_timer(app, world_now(app->host->world) + app->gaps[0]);
        if (app->chatter.left > 0)
            sim_clock_set(&app->host->world->clock, &app->chatter.timer,
                          world_now(app->host->world) + app->chatter.gap);
        break;
    case ROAM_EVENT_CONFIRMED:
        app->confirmed = true;
        break;
    case ROAM_EVENT_CLOSED:
        on_closed(app);
        break;
    case ROAM_EVENT_STREAMS_AVAILABLE:
        if (app->round_running)
            open_round(app);
        break;
    default:
        if (event->stream != NULL)
            on_stream(app, event);
        else if (roam_event_class_of(event->type) == ROAM_EVENT_CLASS_DATAGRAM)
            on_datagram(app, event);
        break;
    }
}

void client_app_init(struct client_app *app, struct host *host, struct workload *workload, const roam_config *config)
{
    memset(app, 0, sizeof(*app));
    app->host = host;
    app->workload = workload;
    app->config = *config;
    app->meets_first = config->early_data;
    sim_event_init(&app->timer, on_timer);
    sim_event_init(&app->watch, on_watch);
    sim_event_init(&app->chatter.timer, on_chatter);
    host->on_event = on_event;
    host->context = app;
}

void client_app_done(struct client_app *app)
{
    set_timer(app, ROAM_TIME_NEVER);
    sim_clock_set(&app->host->world->clock, &app->watch, ROAM_TIME_NEVER);
    sim_clock_set(&app->host->world->clock, &app->chatter.timer, ROAM_TIME_NEVER);
    app_history_done(&app->history);
}

void client_app_start(struct client_app *app)
{
    char host[ROAM_ADDRESS_TEXT_MAX];
    roam_address ip = *app->config.remote;
    ip.port = 0;
    roam_address_format(&ip, host);
    roam_result result;
    struct world *world = app->host->world;
    app->conn =
        roam_connect(app->host->endpoint, host, app->config.remote->port, &app->config, host_now(app->host), &result);
    if (app->conn == NULL) {
        world_fail(world, "%s: cannot connect: %s", app->host->name, roam_result_name(result));
        return;
    }
    oracle_forget(app->host, app->conn);
    app->meeting = app->meets_first;
    if (!app->meeting && app->rounds > 0 && roam_conn_early_data(app->conn) == ROAM_EARLY_OFFERED)
        begin_round(app);
    host_turn(app->host);
}

static void trace_call(struct client_app *app, const char *what, const roam_address *local, roam_result result)
{
    struct world *world = app->host->world;
    char text[ROAM_ADDRESS_TEXT_MAX];
    trace_text(&world->trace, what);
    trace_address(&world->trace, local);
    trace_word(&world->trace, (uint64_t)(int64_t)result);
    trace_line(&world->trace, world_now(world), "%s: %s %s: %s", app->host->name, what,
               roam_address_format(local, text), roam_result_name(result));
}

roam_result client_app_rebind(struct client_app *app, const roam_address *local)
{
    if (app->conn == NULL)
        return ROAM_ERR_CLOSED;
    roam_path_info active = {0};
    roam_conn_paths(app->conn, &active, 1);
    roam_result result = roam_conn_rebind(app->conn, host_now(app->host), local);
    trace_call(app, "rebinds to", local, result);
    if (result == ROAM_OK) {
        oracle_on_rebind(app->host, app->conn, &active.local, local);
        host_close_other_sockets(app->host, local);
        host_announce(app->host);
    }
    host_turn(app->host);
    return result;
}

roam_result client_app_migrate(struct client_app *app, const roam_address *local)
{
    if (app->conn == NULL)
        return ROAM_ERR_CLOSED;
    roam_result result = roam_conn_migrate(app->conn, host_now(app->host), local);
    trace_call(app, "migrates to", local, result);
    host_turn(app->host);
    return result;
}

roam_result client_app_probe(struct client_app *app, const roam_address *local)
{
    if (app->conn == NULL)
        return ROAM_ERR_CLOSED;
    roam_result result = roam_conn_probe(app->conn, host_now(app->host), local);
    trace_call(app, "probes from", local, result);
    host_turn(app->host);
    return result;
}

void client_app_close(struct client_app *app)
{
    if (app->conn == NULL)
        return;
    roam_conn_close(app->conn, host_now(app->host), APP_CODE, "done");
    host_turn(app->host);
}
