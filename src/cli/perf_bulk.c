/*
 * Bulk transfer: each stream asks for its part of what is to come down, and brings its part of what is to go up. Kept:
 * all parts together are what was asked for. A run is over when the last octet down was read and the last one up
 * acknowledged.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/minmax.h"
#include "cli/perf.h"

struct transfer {
    roam_stream *stream;
    uint64_t wanted, received; /* octets down */
    uint64_t given, left;      /* octets up, and those of them that are not written yet */
    bool sent, read, acknowledged;
};

struct bulk {
    struct transfer *transfers;
    uint64_t opened, over;
};

/* The part of the stream with this index. */
static uint64_t part_of(uint64_t total, uint64_t streams, uint64_t index)
{
    return total / streams + (index < total % streams);
}

static void settle(struct perf_client *client, struct transfer *transfer)
{
    struct bulk *bulk = client->state;
    if (!transfer->read || !transfer->acknowledged)
        return;
    client->result.bytes_up += transfer->given;
    roam_stream_free(transfer->stream);
    transfer->stream = NULL;
    bulk->over++;
    if (bulk->over == client->options->streams)
        perf_client_finish(client);
}

/* Opens as many as the server allows at the moment; ROAM_EVENT_STREAMS_AVAILABLE says when there are more. */
static void open_streams(struct perf_client *client)
{
    const struct perf_options *options = client->options;
    struct bulk *bulk = client->state;
    while (bulk->opened < options->streams) {
        struct transfer *transfer = &bulk->transfers[bulk->opened];
        uint8_t header[PERF_HEADER_BYTES];
        roam_result result;
        transfer->stream = roam_stream_open(client->conn, false, &result);
        if (transfer->stream == NULL) {
            if (result != ROAM_ERR_LIMIT)
                perf_client_fail(client, "no stream: %s", roam_result_name(result));
            return;
        }
        transfer->wanted = part_of(options->download, options->streams, bulk->opened);
        transfer->given = transfer->left = part_of(options->upload, options->streams, bulk->opened);
        bulk->opened++;
        roam_stream_set_user(transfer->stream, transfer);
        perf_header_write(transfer->wanted, header);
        if (roam_stream_write(transfer->stream, header, sizeof(header)) != sizeof(header)) {
            perf_client_fail(client, "no memory");
            return;
        }
        transfer->sent = perf_send(transfer->stream, &transfer->left);
    }
}

static bool bulk_start(struct perf_client *client)
{
    struct bulk *bulk = calloc(1, sizeof(*bulk));
    client->state = bulk;
    if (bulk != NULL)
        bulk->transfers = calloc(client->options->streams, sizeof(*bulk->transfers));
    if (bulk == NULL || bulk->transfers == NULL) {
        say_error("no memory for %" PRIu64 " streams", client->options->streams);
        return false;
    }
    open_streams(client);
    return true;
}

static void read_answer(struct perf_client *client, struct transfer *transfer)
{
    bool whole;
    uint64_t before = transfer->received;
    bool more = perf_receive(transfer->stream, &transfer->received, &whole);
    client->result.bytes_down += transfer->received - before;
    if (more || transfer->read)
        return;
    transfer->read = true;
    if (!whole || transfer->received != transfer->wanted)
        perf_client_fail(client, "the server sent %" PRIu64 " octets where %" PRIu64 " were wanted", transfer->received,
                         transfer->wanted);
    else
        settle(client, transfer);
}

static void bulk_on_event(struct perf_client *client, const roam_event *event)
{
    if (event->type == ROAM_EVENT_STREAMS_AVAILABLE) {
        open_streams(client);
        return;
    }
    struct transfer *transfer = event->stream != NULL ? roam_stream_user(event->stream) : NULL;
    if (transfer == NULL)
        return;
    switch (event->type) {
    case ROAM_EVENT_STREAM_READABLE:
        read_answer(client, transfer);
        break;
    case ROAM_EVENT_STREAM_WRITABLE:
        if (!transfer->sent)
            transfer->sent = perf_send(transfer->stream, &transfer->left);
        break;
    case ROAM_EVENT_STREAM_FINISHED:
        transfer->acknowledged = true;
        settle(client, transfer);
        break;
    case ROAM_EVENT_STREAM_RESET:
    case ROAM_EVENT_STREAM_STOPPED:
        perf_client_fail(client, "the server gave up a stream (code %" PRIu64 ")", event->code);
        break;
    default:
        break;
    }
}

/* What was acknowledged counts, and the rest is given up. */
static void bulk_on_time(struct perf_client *client)
{
    struct bulk *bulk = client->state;
    for (uint64_t i = 0; i < bulk->opened; i++) {
        struct transfer *transfer = &bulk->transfers[i];
        if (transfer->stream == NULL)
            continue;
        uint64_t arrived = PERF_HEADER_BYTES + transfer->given - transfer->left;
        arrived -= min_u64(arrived, roam_stream_unacknowledged(transfer->stream));
        client->result.bytes_up += arrived - min_u64(arrived, PERF_HEADER_BYTES);
        roam_stream_free(transfer->stream);
        transfer->stream = NULL;
    }
    perf_client_finish(client);
}

static void bulk_done(struct perf_client *client)
{
    struct bulk *bulk = client->state;
    if (bulk != NULL)
        free(bulk->transfers);
    free(bulk);
}

const struct perf_mode perf_bulk = {
    .name = "bulk", .start = bulk_start, .on_event = bulk_on_event, .on_time = bulk_on_time, .done = bulk_done};
