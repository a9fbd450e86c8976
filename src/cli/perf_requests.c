/*
 * Requests: a stream each, so many under way at once, the next as soon as one is answered. Kept: a request's latency is
 * the time from just before its stream is opened until the end of its answer was read.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/perf.h"

struct request {
    roam_stream *stream;
    roam_time began;
    uint64_t left, received;
    bool sent;
    struct request *next; /* of those that are free */
};

struct requests {
    struct request *all, *free;
    uint64_t started, under_way, wanted;
};

static void end_request(struct requests *requests, struct request *request)
{
    roam_stream_free(request->stream);
    request->stream = NULL;
    request->next = requests->free;
    requests->free = request;
    requests->under_way--;
}

/* False where the server allows no more at the moment: ROAM_EVENT_STREAMS_AVAILABLE says when it does. */
static bool start_request(struct perf_client *client)
{
    const struct perf_options *options = client->options;
    struct requests *requests = client->state;
    struct request *request = requests->free;
    uint8_t header[PERF_HEADER_BYTES];
    roam_result result;
    roam_time now = roam_io_now(client->io);
    roam_stream *stream = roam_stream_open(client->conn, false, &result);
    if (stream == NULL) {
        if (result != ROAM_ERR_LIMIT)
            perf_client_fail(client, "no stream: %s", roam_result_name(result));
        return false;
    }
    requests->free = request->next;
    requests->started++;
    requests->under_way++;
    *request = (struct request){.stream = stream, .began = now, .left = options->request_bytes};
    roam_stream_set_user(stream, request);
    perf_header_write(options->response_bytes, header);
    if (roam_stream_write(stream, header, sizeof(header)) != sizeof(header)) {
        perf_client_fail(client, "no memory");
        return false;
    }
    request->sent = perf_send(stream, &request->left);
    return true;
}

static void start_requests(struct perf_client *client)
{
    struct requests *requests = client->state;
    while (requests->free != NULL && requests->started < requests->wanted && start_request(client))
        continue;
    if (requests->under_way == 0 && requests->started == requests->wanted)
        perf_client_finish(client);
}

static bool requests_start(struct perf_client *client)
{
    uint64_t streams = client->options->streams;
    struct requests *requests = calloc(1, sizeof(*requests));
    client->state = requests;
    if (requests != NULL)
        requests->all = calloc(streams, sizeof(*requests->all));
    if (requests == NULL || requests->all == NULL) {
        say_error("no memory for %" PRIu64 " requests at once", streams);
        return false;
    }
    for (uint64_t i = streams; i-- > 0;) {
        requests->all[i].next = requests->free;
        requests->free = &requests->all[i];
    }
    requests->wanted = client->options->requests;
    start_requests(client);
    return true;
}

static void read_answer(struct perf_client *client, struct request *request)
{
    struct perf_result *result = &client->result;
    bool whole;
    if (perf_receive(request->stream, &request->received, &whole))
        return;
    if (whole && request->received == client->options->response_bytes) {
        perf_histogram_add(&result->latency, roam_io_now(client->io) - request->began);
        result->operations++;
        result->bytes_down += request->received;
        result->bytes_up += client->options->request_bytes;
    } else {
        result->failed++;
    }
    end_request(client->state, request);
    start_requests(client);
}

static void requests_on_event(struct perf_client *client, const roam_event *event)
{
    struct request *request = event->stream != NULL ? roam_stream_user(event->stream) : NULL;
    if (event->type == ROAM_EVENT_STREAMS_AVAILABLE)
        start_requests(client);
    else if (request == NULL)
        return;
    else if (event->type == ROAM_EVENT_STREAM_READABLE || event->type == ROAM_EVENT_STREAM_RESET)
        read_answer(client, request);
    else if (event->type == ROAM_EVENT_STREAM_WRITABLE && !request->sent)
        request->sent = perf_send(request->stream, &request->left);
}

/* Those that are under way are waited for. */
static void requests_on_time(struct perf_client *client)
{
    struct requests *requests = client->state;
    requests->wanted = requests->started;
    start_requests(client);
}

static void requests_done(struct perf_client *client)
{
    struct requests *requests = client->state;
    if (requests != NULL)
        free(requests->all);
    free(requests);
}

const struct perf_mode perf_requests = {.name = "requests",
                                        .start = requests_start,
                                        .on_event = requests_on_event,
                                        .on_time = requests_on_time,
                                        .done = requests_done};
