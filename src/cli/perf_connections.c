/*
 * Connections beside the one whose accounts are taken: `handshakes` closes each as soon as it is confirmed, `idle`
 * keeps them all, and looks how they are when they have been left alone for a while. Kept: so many handshakes are under
 * way at once; the latency of one is the time from just before roam_io_connect to ROAM_EVENT_CONNECTED.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/minmax.h"
#include "cli/perf.h"

struct opening {
    roam_time began;
    struct opening *next; /* of those that are free */
};

struct connections {
    struct opening *all, *free;
    roam_config config;
    roam_address remote;
    bool keep;
    uint64_t started, under_way, wanted;
};

static bool open_one(struct perf_client *client)
{
    struct connections *connections = client->state;
    struct opening *opening = connections->free;
    roam_result result;
    opening->began = roam_io_now(client->io);
    connections->config.user = opening;
    if (roam_io_connect(client->io, client->host, client->port, &connections->config, &result) == NULL) {
        perf_client_fail(client, "no connection: %s", roam_result_name(result));
        return false;
    }
    connections->free = opening->next;
    connections->started++;
    connections->under_way++;
    return true;
}

static void open_more(struct perf_client *client)
{
    struct connections *connections = client->state;
    while (connections->free != NULL && connections->started < connections->wanted && open_one(client))
        continue;
    if (connections->under_way > 0 || connections->started < connections->wanted)
        return;
    if (connections->keep)
        perf_client_midway(client);
    else
        perf_client_finish(client);
}

static bool start(struct perf_client *client, uint64_t wanted, bool keep)
{
    uint64_t parallel = client->options->parallel;
    struct connections *connections = calloc(1, sizeof(*connections));
    client->state = connections;
    if (connections != NULL)
        connections->all = calloc(parallel, sizeof(*connections->all));
    if (connections == NULL || connections->all == NULL) {
        say_error("no memory for %" PRIu64 " handshakes at once", parallel);
        return false;
    }
    for (uint64_t i = parallel; i-- > 0;) {
        connections->all[i].next = connections->free;
        connections->free = &connections->all[i];
    }
    /* The server is where it was found, and need not be looked for again. */
    connections->remote = *roam_conn_remote_address(client->conn);
    connections->config = *client->config;
    connections->config.remote = &connections->remote;
    if (client->options->resume) {
        connections->config.session = client->session;
        connections->config.session_bytes = client->session_bytes;
    }
    connections->keep = keep;
    connections->wanted = wanted;
    open_more(client);
    return true;
}

/* Its handshake came to an end, good or bad. */
static void settle(struct perf_client *client, roam_conn *conn)
{
    struct connections *connections = client->state;
    struct opening *opening = roam_conn_user(conn);
    roam_conn_set_user(conn, NULL);
    opening->next = connections->free;
    connections->free = opening;
    connections->under_way--;
}

/* A full handshake where one was to be resumed is none of those that were asked for. */
static void count(struct perf_client *client, const roam_conn *conn)
{
    roam_conn_stats stats;
    roam_conn_get_stats(conn, &stats);
    if (client->options->resume && !stats.resumed)
        client->result.failed++;
    else
        client->result.operations++;
}

static void on_event(struct perf_client *client, const roam_event *event)
{
    struct connections *connections = client->state;
    struct opening *opening = event->conn != NULL && event->conn != client->conn ? roam_conn_user(event->conn) : NULL;
    if (event->conn == client->conn)
        return;
    if (event->type == ROAM_EVENT_CONNECTED && opening != NULL) {
        perf_histogram_add(&client->result.latency, event->time - min_u64(opening->began, event->time));
    } else if (event->type == ROAM_EVENT_CONFIRMED && opening != NULL) {
        count(client, event->conn);
        settle(client, event->conn);
        if (!connections->keep)
            roam_conn_free(event->conn, event->time);
        open_more(client);
    } else if (event->type == ROAM_EVENT_CLOSED) {
        client->result.failed++;
        if (opening != NULL)
            settle(client, event->conn);
        roam_conn_free(event->conn, event->time);
        open_more(client);
    }
}

static void on_time(struct perf_client *client)
{
    struct connections *connections = client->state;
    connections->wanted = connections->started;
    open_more(client);
}

static void done(struct perf_client *client)
{
    struct connections *connections = client->state;
    if (connections != NULL)
        free(connections->all);
    free(connections);
}

/* ---- Handshakes */

static bool handshakes_start(struct perf_client *client)
{
    return start(client, client->options->handshakes, false);
}

const struct perf_mode perf_handshakes = {
    .name = "handshakes", .start = handshakes_start, .on_event = on_event, .on_time = on_time, .done = done};

/* ---- Idle connections */

static bool idle_start(struct perf_client *client)
{
    return start(client, client->options->idle, true);
}

static void on_held(uv_timer_t *timer)
{
    perf_client_finish(timer->data);
}

static void idle_on_midway(struct perf_client *client)
{
    uv_timer_start(&client->timer, on_held, client->options->hold / ROAM_MILLISECONDS(1), 0);
}

const struct perf_mode perf_idle = {.name = "idle",
                                    .start = idle_start,
                                    .on_event = on_event,
                                    .on_midway = idle_on_midway,
                                    .on_time = on_time,
                                    .done = done};
