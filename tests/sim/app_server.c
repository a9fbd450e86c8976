/* The server: takes each stream for the transfer that it says it is, and serves it. */
#include <stdlib.h>
#include <string.h>

#include "sim/app.h"
#include "sim/oracle.h"

struct server_stream {
    struct server_stream *next, *previous;
    struct server_app *app;
    roam_conn *conn;
    roam_stream *stream;
    uint8_t prefix[PUMP_PREFIX_MAX];
    size_t prefix_len;
    bool begun; /* the prefix is read: `index` says which transfer it is */
    size_t index;
    struct pump_in in;
    struct pump_out out;
};

static uint64_t get_u64(const uint8_t *data)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++)
        value = value << 8 | data[i];
    return value;
}

static void stream_new(struct server_app *app, const roam_event *event)
{
    struct server_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        abort();
    stream->app = app;
    stream->conn = event->conn;
    stream->stream = event->stream;
    stream->next = app->streams;
    if (stream->next != NULL)
        stream->next->previous = stream;
    app->streams = stream;
    roam_stream_set_user(event->stream, stream);
}

static void stream_delete(struct server_stream *stream)
{
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        stream->app->streams = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    pump_out_done(&stream->out);
    free(stream);
}

static void begin_transfer(struct server_stream *stream)
{
    struct workload *workload = stream->app->workload;
    struct world *world = workload->world;
    uint64_t word = get_u64(stream->prefix);
    uint64_t index = get_u64(stream->prefix + 8);
    if (index >= workload->count ||
        word != (UINT64_C(0x726f616d00000000) | (uint64_t)workload->transfers[index].kind)) {
        world_fail(world, "%s: a stream begins with %016llx %016llx", stream->app->host->name, (unsigned long long)word,
                   (unsigned long long)index);
        return;
    }
    const struct transfer *transfer = &workload->transfers[index];
    stream->index = (size_t)index;
    if (transfer->server_done) {
        world_fail(world, "%s: transfer %llu comes twice", stream->app->host->name, (unsigned long long)index);
        return;
    }
    stream->in = (struct pump_in){.stream = stream->stream, .key = transfer->key, .by_peeking = transfer->key & 2};
    stream->in.end = transfer->kind == TRANSFER_DOWNLOAD ? 0 : transfer->bytes;
    stream->out = (struct pump_out){.stream = stream->stream, .lends = (transfer->key & 12) == 8, .key = transfer->key};
    stream->out.end = transfer->kind == TRANSFER_UPLOAD ? PUMP_PREFIX_MAX : transfer->bytes;
    if (transfer->kind == TRANSFER_UNI_UPLOAD) {
        stream->out.end = 0;
        stream->out.finished = true;
    }
    stream->begun = true;
}

/* False where it is not yet whole, or wrong. */
static bool read_prefix(struct server_stream *stream)
{
    struct world *world = stream->app->workload->world;
    while (stream->prefix_len < PUMP_PREFIX_MAX) {
        bool end;
        ptrdiff_t n = roam_stream_read(stream->stream, stream->prefix + stream->prefix_len,
                                       PUMP_PREFIX_MAX - stream->prefix_len, &end);
        if (n < 0 || (n == 0 && end))
            world_fail(world, "%s: a stream ends in its prefix: %td", stream->app->host->name, n);
        if (n <= 0)
            return false;
        stream->prefix_len += (size_t)n;
    }
    if (!stream->begun)
        begin_transfer(stream);
    return !world->failed;
}

/* How far the answer may go with what has come. */
static uint64_t answer_limit(const struct server_stream *stream, const struct transfer *transfer)
{
    switch (transfer->kind) {
    case TRANSFER_ECHO:
        return stream->in.at;
    case TRANSFER_DOWNLOAD:
        return UINT64_MAX;
    default:
        return stream->in.ended ? UINT64_MAX : 0;
    }
}

/* Reads what came, and notes for uploads how long nothing did. */
static bool serve_in(struct server_stream *stream, struct transfer *transfer)
{
    struct world *world = stream->app->workload->world;
    uint64_t before = stream->in.at;
    if (!stream->in.ended && !pump_in_run(world, &stream->in))
        return false;
    if (stream->in.at != before && transfer->kind != TRANSFER_ECHO) {
        roam_time now = world_now(world);
        if (now - transfer->last_progress > transfer->longest_stall)
            transfer->longest_stall = now - transfer->last_progress;
        transfer->last_progress = now;
    }
    return true;
}

/* Writes what may be written; an echo that is still growing must not be finished by accident. */
static bool serve_out(struct server_stream *stream, const struct transfer *transfer)
{
    struct pump_out *out = &stream->out;
    uint64_t limit = answer_limit(stream, transfer);
    bool may_end = transfer->kind == TRANSFER_DOWNLOAD || stream->in.ended;
    if (out->finished || (out->at >= limit && !may_end))
        return true;
    uint64_t end = out->end;
    if (!may_end)
        out->end = UINT64_MAX;
    bool well = pump_out_run(stream->app->workload->world, out, limit);
    out->end = end;
    return well;
}

static void serve(struct server_stream *stream)
{
    struct server_app *app = stream->app;
    if (!read_prefix(stream))
        return;
    struct transfer *transfer = &app->workload->transfers[stream->index];
    if (!serve_in(stream, transfer) || !serve_out(stream, transfer))
        return;
    if (stream->in.ended && stream->out.finished) {
        transfer->server_done = true;
        roam_stream_free(stream->stream);
        stream_delete(stream);
        client_app_nudge(transfer->client);
    }
}

static void on_closed(struct server_app *app, const roam_event *event)
{
    roam_endpoint_stats stats;
    app->closed++;
    app->error = *roam_conn_error(event->conn);
    app->causes[app->error.cause]++;
    roam_endpoint_get_stats(app->host->endpoint, &stats);
    app->starved |= app->error.cause == ROAM_CLOSE_IDLE_TIMEOUT && stats.drops[ROAM_DROP_NO_CID_FOR_PATH] > 0 &&
                    remote_cid_spare(&event->conn->remote_cids) == 0;
    for (struct server_stream *stream = app->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->conn == event->conn)
            stream_delete(stream);
    }
    if (app->newest == event->conn)
        app->newest = NULL;
    said_book_on_closed(&app->workload->said, app->host, event->conn);
    oracle_forget(app->host, event->conn);
    roam_conn_free(event->conn, host_now(app->host));
}

static void on_datagram(struct server_app *app, const roam_event *event)
{
    if (event->type == ROAM_EVENT_DATAGRAM_READABLE)
        said_book_take(&app->workload->said, app->host, event->conn, true);
    else if (event->type != ROAM_EVENT_DATAGRAM_WRITABLE)
        said_book_on_fate(&app->workload->said, app->host, event);
}

static void on_event(void *context, const roam_event *event)
{
    struct server_app *app = context;
    app_history_add(&app->history, event);
    switch (event->type) {
    case ROAM_EVENT_ACCEPTED:
        app->accepted++;
        app->newest = event->conn;
        break;
    case ROAM_EVENT_CONNECTED:
        app->connected++;
        break;
    case ROAM_EVENT_CLOSED:
        on_closed(app, event);
        break;
    case ROAM_EVENT_STREAM_OPENED:
        stream_new(app, event);
        break;
    case ROAM_EVENT_STREAM_READABLE:
    case ROAM_EVENT_STREAM_WRITABLE:
    case ROAM_EVENT_STREAM_RETURNED:
        serve(roam_stream_user(event->stream));
        break;
    case ROAM_EVENT_STREAM_RESET:
    case ROAM_EVENT_STREAM_STOPPED:
        /* What a client that closed early leaves behind; the transfer never gets done. */
        break;
    default:
        if (roam_event_class_of(event->type) == ROAM_EVENT_CLASS_DATAGRAM)
            on_datagram(app, event);
        break;
    }
}

void server_app_init(struct server_app *app, struct host *host, struct workload *workload)
{
    memset(app, 0, sizeof(*app));
    app->host = host;
    app->workload = workload;
    host->on_event = on_event;
    host->context = app;
}

void server_app_done(struct server_app *app)
{
    while (app->streams != NULL)
        stream_delete(app->streams);
    app_history_done(&app->history);
}
