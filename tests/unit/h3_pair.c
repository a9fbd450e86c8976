/* See h3_pair.h. */
#include "unit/h3_pair.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static uint8_t pattern(uint64_t stream_id, uint64_t offset)
{
    return (uint8_t)(stream_id * 31 + offset * 7 + (offset >> 8) * 13 + (offset >> 16));
}

roam_h3_field h3_field(const char *name, const char *value)
{
    return (roam_h3_field){.name = name, .value = value, .name_len = strlen(name), .value_len = strlen(value)};
}

static void go_on(struct h3_end *end, uint64_t stream_id)
{
    struct h3_sending *sending = &end->sending[stream_id / 4];
    uint8_t buf[20000];
    while (!sending->done) {
        size_t len =
            sending->total - sending->sent < sizeof(buf) ? (size_t)(sending->total - sending->sent) : sizeof(buf);
        for (size_t i = 0; i < len; i++)
            buf[i] = pattern(stream_id, sending->sent + i);
        bool last = sending->sent + len == sending->total;
        ptrdiff_t n = roam_h3_write(end->h3, stream_id, buf, len, last && !sending->trailers);
        if (n < 0)
            return;
        sending->sent += (uint64_t)n;
        if ((size_t)n < len)
            return;
        if (last && sending->trailers) {
            roam_h3_field field = h3_field("checksum", "abc");
            roam_result result = roam_h3_trailers(end->h3, stream_id, &field, 1);
            assert(result == ROAM_OK);
            (void)result;
        }
        sending->done = last;
    }
}

void h3_end_send(struct h3_end *end, uint64_t stream_id, uint64_t bytes)
{
    assert(stream_id / 4 < H3_PAIR_STREAMS);
    end->sending[stream_id / 4].total = bytes;
    go_on(end, stream_id);
}

static void read_all(struct h3_end *end, uint64_t stream_id)
{
    uint8_t buf[5000];
    ptrdiff_t n;
    while ((n = roam_h3_read(end->h3, stream_id, buf, sizeof(buf))) > 0) {
        for (ptrdiff_t i = 0; i < n; i++)
            end->content_wrong |= buf[i] != pattern(stream_id, end->received[stream_id / 4] + (uint64_t)i);
        end->received[stream_id / 4] += (uint64_t)n;
        end->received_in_all += (uint64_t)n;
    }
}

static const char *or_none(const char *text)
{
    return text != NULL ? text : "-";
}

static void write_down(struct h3_end *end, const roam_h3_event *event)
{
    if (end->seen_count == H3_PAIR_EVENTS)
        return;
    struct h3_seen *seen = &end->seen[end->seen_count++];
    *seen = (struct h3_seen){.type = event->type,
                             .stream_id = event->stream_id,
                             .session_id = event->session_id,
                             .code = event->code,
                             .status = event->status,
                             .local = event->local,
                             .fin = event->fin};
    size_t at = 0;
    if (event->type == ROAM_H3_EVENT_WEBTRANSPORT_CLOSED)
        snprintf(seen->text, sizeof(seen->text), "%.*s", (int)event->data_len, (const char *)event->data);
    if (event->type == ROAM_H3_EVENT_REQUEST)
        at = (size_t)snprintf(seen->text, sizeof(seen->text), "%s %s %s %s %s|", or_none(event->method),
                              or_none(event->scheme), or_none(event->authority), or_none(event->path),
                              or_none(event->protocol));
    for (size_t i = 0; i < event->field_count && at < sizeof(seen->text); i++)
        at += (size_t)snprintf(seen->text + at, sizeof(seen->text) - at, "%s=%s;", event->fields[i].name,
                               event->fields[i].value);
}

static void handle(struct h3_end *end, const roam_h3_event *event)
{
    write_down(end, event);
    if (event->type == ROAM_H3_EVENT_REQUEST)
        end->was_early = event->early;
    if (event->type == ROAM_H3_EVENT_REQUEST && end->on_request != NULL)
        end->on_request(end, event);
    else if (event->type == ROAM_H3_EVENT_DATA && !end->does_not_read)
        read_all(end, event->stream_id);
    else if (event->type == ROAM_H3_EVENT_WRITABLE)
        go_on(end, event->stream_id);
    else if (event->type == ROAM_H3_EVENT_DATAGRAM)
        snprintf(end->datagram, sizeof(end->datagram), "%u:%.*s", (unsigned)event->stream_id, (int)event->data_len,
                 (const char *)event->data);
}

static void serve(struct h3_pair *both, struct h3_end *end, struct pair_side *side)
{
    if (end->h3 == NULL)
        return;
    for (size_t i = 0; i < side->event_count; i++)
        roam_h3_on_event(end->h3, both->pair.now, &side->events[i]);
    side->event_count = 0;
    roam_h3_event event;
    while (roam_h3_next_event(end->h3, both->pair.now, &event))
        handle(end, &event);
}

void h3_pair_run(struct h3_pair *both, roam_time span)
{
    for (roam_time end = both->pair.now + span; both->pair.now < end;) {
        serve(both, &both->client, &both->pair.client);
        serve(both, &both->server, &both->pair.server);
        pair_run(&both->pair, ROAM_MILLISECONDS(10));
    }
    serve(both, &both->client, &both->pair.client);
    serve(both, &both->server, &both->pair.server);
}

void h3_pair_prepare(struct h3_pair *both)
{
    memset(both, 0, sizeof(*both));
    pair_prepare(&both->config);
    both->config.client.max_datagram_frame_bytes = both->config.server.max_datagram_frame_bytes = 65535;
    roam_h3_config_init(&both->client_config);
    roam_h3_config_init(&both->server_config);
    both->client_config.datagrams = both->server_config.datagrams = true;
}

static void start(struct h3_pair *both, bool client, bool server)
{
    pair_start(&both->pair, &both->config);
    both->pair.delay = ROAM_MILLISECONDS(5);
    pair_handshake(&both->pair);
    if (client)
        both->client.h3 = roam_h3_new(both->pair.client.conn, &both->client_config, NULL);
    if (server)
        both->server.h3 = roam_h3_new(both->pair.server.conn, &both->server_config, NULL);
    assert((!client || both->client.h3 != NULL) && (!server || both->server.h3 != NULL));
    h3_pair_run(both, ROAM_MILLISECONDS(50));
}

void h3_pair_start(struct h3_pair *both)
{
    start(both, true, true);
}

void h3_pair_start_one(struct h3_pair *both, bool server)
{
    start(both, !server, server);
}

void h3_pair_stop(struct h3_pair *both)
{
    roam_h3_free(both->client.h3);
    roam_h3_free(both->server.h3);
    pair_stop(&both->pair);
}

static uint64_t request(struct h3_pair *both, const char *method, const char *path, bool fin)
{
    roam_h3_request_head head = {.method = method, .scheme = "https", .authority = "example.org", .path = path};
    roam_h3_field field = h3_field("user-agent", "test");
    int64_t id = roam_h3_request(both->client.h3, &head, &field, 1, fin, NULL);
    assert(id >= 0);
    return (uint64_t)id;
}

uint64_t h3_pair_get(struct h3_pair *both, const char *path)
{
    return request(both, "GET", path, true);
}

uint64_t h3_pair_post(struct h3_pair *both, const char *path, uint64_t bytes)
{
    uint64_t id = request(both, "POST", path, false);
    h3_end_send(&both->client, id, bytes);
    return id;
}

size_t h3_end_count(const struct h3_end *end, roam_h3_event_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < end->seen_count; i++)
        count += end->seen[i].type == type;
    return count;
}

const struct h3_seen *h3_end_find(const struct h3_end *end, roam_h3_event_type type, uint64_t stream_id)
{
    for (size_t i = 0; i < end->seen_count; i++) {
        if (end->seen[i].type == type && end->seen[i].stream_id == stream_id)
            return &end->seen[i];
    }
    return NULL;
}

void h3_answer(struct h3_end *end, const roam_h3_event *event)
{
    roam_h3_field field = h3_field("server", "roam");
    roam_result result = roam_h3_respond(end->h3, event->stream_id, 200, &field, 1, end->answer_bytes == 0);
    assert(result == ROAM_OK);
    (void)result;
    if (end->answer_bytes > 0)
        h3_end_send(end, event->stream_id, end->answer_bytes);
}
