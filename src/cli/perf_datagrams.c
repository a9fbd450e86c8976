/*
 * Datagrams, as fast as congestion control lets them go: so many octets up, or down, where a stream asks the server for
 * them and ends when it has done. Kept: a side has done when it knows of each datagram what has become of it; what has
 * arrived is counted by the side that took it.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/minmax.h"
#include "cli/perf.h"

struct datagrams {
    struct perf_datagrams up;
    roam_stream *ask; /* for those that come down; NULL: for none, or it is over */
};

/* ---- Both sides -------------------------------------------------------------------------------------------------- */

bool perf_datagrams_send(struct perf_datagrams *datagrams, roam_conn *conn, roam_time now)
{
    static const uint8_t payload[PERF_PAYLOAD_MAX];
    while (datagrams->left > 0) {
        uint64_t bytes = datagrams->payload_bytes > 0 ? datagrams->payload_bytes : roam_conn_datagram_bytes(conn);
        size_t len = (size_t)min_u64(min_u64(bytes, datagrams->left), sizeof(payload));
        /* The tag comes back with its fate, and says then how long that has taken. */
        roam_result result =
            len > 0 ? roam_conn_send_datagram(conn, now, payload, len, now) : (roam_result)ROAM_ERR_UNSUPPORTED;
        if (result != ROAM_OK) {
            datagrams->refused = result;
            return result == ROAM_ERR_LIMIT;
        }
        datagrams->left -= len;
        datagrams->under_way++;
    }
    return true;
}

void perf_datagrams_settle(struct perf_datagrams *datagrams, const roam_event *event, struct perf_histogram *latency)
{
    if (event->type == ROAM_EVENT_DATAGRAM_READABLE || event->type == ROAM_EVENT_DATAGRAM_WRITABLE)
        return;
    if (datagrams->under_way > 0)
        datagrams->under_way--;
    if (event->type == ROAM_EVENT_DATAGRAM_ACKED)
        perf_histogram_add(latency, event->time - event->tag);
}

uint64_t perf_datagrams_take(roam_conn *conn)
{
    const uint8_t *data;
    uint64_t bytes = 0;
    size_t len;
    while (roam_conn_next_datagram(conn, &data, &len))
        bytes += len;
    return bytes;
}

/* ---- A client ---------------------------------------------------------------------------------------------------- */

static void finish_if_done(struct perf_client *client)
{
    const struct datagrams *datagrams = client->state;
    if (datagrams->ask == NULL && datagrams->up.left == 0 && datagrams->up.under_way == 0)
        perf_client_finish(client);
}

static void send_up(struct perf_client *client)
{
    struct datagrams *datagrams = client->state;
    if (!perf_datagrams_send(&datagrams->up, client->conn, roam_io_now(client->io)))
        perf_client_fail(client, "no datagram could be sent: %s", roam_result_name(datagrams->up.refused));
}

static void ask_for_them(struct perf_client *client)
{
    struct datagrams *datagrams = client->state;
    uint8_t header[2 * PERF_HEADER_BYTES];
    roam_result result;
    datagrams->ask = roam_stream_open(client->conn, false, &result);
    if (datagrams->ask == NULL) {
        perf_client_fail(client, "no stream: %s", roam_result_name(result));
        return;
    }
    perf_header_write(PERF_WANT_DATAGRAMS | client->options->download, header);
    perf_header_write(client->options->payload_bytes, header + PERF_HEADER_BYTES);
    if (roam_stream_write(datagrams->ask, header, sizeof(header)) != sizeof(header))
        perf_client_fail(client, "no memory");
    roam_stream_finish(datagrams->ask);
}

static bool datagrams_start(struct perf_client *client)
{
    struct datagrams *datagrams = calloc(1, sizeof(*datagrams));
    client->state = datagrams;
    if (datagrams == NULL) {
        say_error("no memory for datagrams");
        return false;
    }
    //= rfc9221#3-10 Without max_datagram_frame_size there is nothing to measure: the run fails, and says so.
    if (roam_conn_datagram_bytes(client->conn) == 0) {
        perf_client_fail(client, "%s takes no datagrams", client->host);
        return true;
    }
    datagrams->up =
        (struct perf_datagrams){.left = client->options->upload, .payload_bytes = client->options->payload_bytes};
    if (client->options->download > 0)
        ask_for_them(client);
    send_up(client);
    return true;
}

/* The stream on which the server was asked has something to say: that it has done, or that it cannot. */
static void read_answer(struct perf_client *client)
{
    struct datagrams *datagrams = client->state;
    uint64_t received = 0;
    bool whole;
    if (perf_receive(datagrams->ask, &received, &whole))
        return;
    roam_stream_free(datagrams->ask);
    datagrams->ask = NULL;
    if (!whole)
        perf_client_fail(client, "the server could not send datagrams");
}

static void datagrams_on_event(struct perf_client *client, const roam_event *event)
{
    struct datagrams *datagrams = client->state;
    if (event->conn != client->conn)
        return;
    if (roam_event_class_of(event->type) == ROAM_EVENT_CLASS_DATAGRAM)
        perf_datagrams_settle(&datagrams->up, event, &client->result.latency);
    if (event->type == ROAM_EVENT_DATAGRAM_READABLE)
        perf_datagrams_take(client->conn);
    else if (event->type == ROAM_EVENT_DATAGRAM_WRITABLE)
        send_up(client);
    else if (event->stream != NULL && event->stream == datagrams->ask)
        read_answer(client);
    finish_if_done(client);
}

/* What was not handed over yet is left out, and what is under way is waited for. */
static void datagrams_on_time(struct perf_client *client)
{
    struct datagrams *datagrams = client->state;
    datagrams->up.left = 0;
    if (datagrams->ask != NULL) {
        roam_stream_stop(datagrams->ask, 0);
        roam_stream_free(datagrams->ask);
        datagrams->ask = NULL;
    }
    finish_if_done(client);
}

/* What has arrived. */
static void datagrams_count(struct perf_client *client)
{
    struct perf_result *result = &client->result;
    result->bytes_up =
        result->server[PERF_AT_END].dgram_bytes_received - result->server[PERF_AT_BEGIN].dgram_bytes_received;
    result->bytes_down =
        result->client[PERF_AT_END].dgram_bytes_received - result->client[PERF_AT_BEGIN].dgram_bytes_received;
}

static void datagrams_done(struct perf_client *client)
{
    free(client->state);
}

const struct perf_mode perf_datagrams_mode = {.name = "datagrams",
                                              .start = datagrams_start,
                                              .on_event = datagrams_on_event,
                                              .on_time = datagrams_on_time,
                                              .count = datagrams_count,
                                              .done = datagrams_done};
