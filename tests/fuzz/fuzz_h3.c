/*
 * A live HTTP/3 connection whose peer does with streams and datagrams what it likes. Octet 0: bit 0 says that the server is
 * the victim, else the client, which then has two requests under way; bit 1 that its application reads nothing of itself;
 * bit 2 that it speaks WebTransport, and as a client asks for a session as soon as it may.
 * The rest is a program, two octets a step, the operation and the stream (see `step`), and what the operation wants.
 *
 * After each step the victim takes its events as an application would. Where the connection ends, it must have ended with
 * an error code of HTTP/3 or as the peer closed it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <roam/h3.h>

#include "unit/pair.h"

#define STREAMS   8
#define STEPS_MAX 48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct pair pair;
    struct pair_config config;
    struct pair_side *victim, *peer;
    roam_h3 *h3;
    bool reads, webtransport, asked;
    roam_stream *streams[STREAMS];
    const uint8_t *data;
    size_t size;
};

static struct world world;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint8_t next(void)
{
    if (world.size == 0)
        return 0;
    world.size--;
    return *world.data++;
}

static void read_some(uint64_t stream_id)
{
    uint8_t buf[700];
    for (int i = 0; i < 100 && roam_h3_read(world.h3, stream_id, buf, sizeof(buf)) > 0; i++)
        continue;
}

static void ask_for_session(void)
{
    roam_h3_request_head head = {
        .method = "CONNECT", .scheme = "https", .authority = "a", .path = "/", .protocol = ROAM_H3_WEBTRANSPORT};
    if (!world.asked)
        roam_h3_request(world.h3, &head, NULL, 0, false, NULL);
    world.asked = true;
}

static void check_webtransport(const roam_h3_event *event)
{
    bool closed = event->type == ROAM_H3_EVENT_WEBTRANSPORT_CLOSED;
    require(event->session_id % 4 == 0);
    require(event->type != ROAM_H3_EVENT_WEBTRANSPORT_STREAM || world.webtransport);
    require(!closed || (event->code <= UINT32_MAX && event->data_len <= ROAM_H3_WEBTRANSPORT_REASON_MAX));
    // At its end a session has no streams, and gets none.
    require(!closed || roam_h3_webtransport_open(world.h3, event->stream_id, true, NULL) < 0);
    if (event->type == ROAM_H3_EVENT_SETTINGS && world.webtransport)
        ask_for_session();
}

static void take(const roam_h3_event *event)
{
    require(event->type > ROAM_H3_EVENT_NONE && event->type < ROAM_H3_EVENT_TYPES);
    for (size_t i = 0; i < event->field_count; i++) {
        const roam_h3_field *field = &event->fields[i];
        require(field->name[0] != ':' && strlen(field->name) == field->name_len);
        require(field->value[field->value_len] == '\0');
    }
    check_webtransport(event);
    if (event->type == ROAM_H3_EVENT_REQUEST) {
        require(event->method != NULL);
        roam_h3_respond(world.h3, event->stream_id, 103, NULL, 0, false);
        roam_h3_respond(world.h3, event->stream_id, 200, NULL, 0, false);
    } else if (event->type == ROAM_H3_EVENT_DATA && world.reads)
        read_some(event->stream_id);
}

/* The peer has a handle of each request, from `first` on. */
static void hold_requests(size_t first)
{
    for (size_t i = 0; i < world.peer->event_count; i++) {
        const roam_event *event = &world.peer->events[i];
        if (event->type != ROAM_EVENT_STREAM_OPENED || roam_stream_id(event->stream) % 4 != 0)
            continue;
        while (first < STREAMS && world.streams[first] != NULL)
            first++;
        if (first < STREAMS)
            world.streams[first] = event->stream;
    }
}

/* Both ends work; the victim takes what has happened. */
static void turn(void)
{
    pair_run(&world.pair, ROAM_MILLISECONDS(5));
    if (world.victim == &world.pair.client)
        hold_requests(0);
    for (size_t i = 0; i < world.victim->event_count; i++)
        roam_h3_on_event(world.h3, world.pair.now, &world.victim->events[i]);
    pair_forget_events(&world.pair);
    roam_h3_event event;
    size_t told = 0;
    while (roam_h3_next_event(world.h3, world.pair.now, &event)) {
        take(&event);
        require(++told < 10000); // it comes to an end
    }
    const roam_error *error = roam_conn_error(world.victim->conn);
    if (error->cause == ROAM_CLOSE_LOCAL_APPLICATION)
        require(strcmp(roam_h3_error_name(error->code), "H3_UNKNOWN") != 0);
}

static void act(uint8_t what, uint64_t id)
{
    static const uint8_t content[300000];
    switch (world.webtransport ? what % 11 : what % 6) {
    case 0:
        roam_h3_write(world.h3, id, content, what % 2 ? sizeof(content) : 10, false);
        break;
    case 1:
        roam_h3_write(world.h3, id, "", 0, true);
        break;
    case 2:
        roam_h3_trailers(world.h3, id, NULL, 0);
        break;
    case 3:
        roam_h3_reset(world.h3, id, ROAM_H3_REQUEST_CANCELLED);
        break;
    case 4:
        roam_h3_stop(world.h3, id, ROAM_H3_NO_ERROR);
        break;
    case 6:
    case 7:
        roam_h3_webtransport_open(world.h3, id, what % 2 == 0, NULL);
        break;
    case 8:
        roam_h3_webtransport_close(world.h3, id, what, what > 100 ? "reason" : NULL);
        break;
    case 9:
        roam_h3_webtransport_reset(world.h3, id, what);
        break;
    case 10:
        roam_h3_webtransport_drain(world.h3, id);
        break;
    default:
        roam_h3_shutdown(world.h3);
    }
}

/* 0 opens a unidirectional stream, 1 a bidirectional one; 2 writes, 3 ends, 4 resets, 5 stops; 6 sends a datagram; 7 has the
 * victim's application do something, 8 has it read. */
static void step(void)
{
    uint8_t operation = next() % 9, at = next();
    roam_stream **stream = &world.streams[at % STREAMS];
    // Streams of sessions may have any id.
    uint64_t id = world.webtransport ? at % 32 : (uint64_t)(at % 4) * 4;
    size_t len;
    switch (operation) {
    case 0:
    case 1:
        if (*stream == NULL)
            *stream = roam_stream_open(world.peer->conn, operation == 0, NULL);
        break;
    case 2:
        len = next();
        len = len < world.size ? len : world.size;
        if (*stream != NULL)
            roam_stream_write(*stream, world.data, len);
        world.data += len;
        world.size -= len;
        break;
    case 3:
        if (*stream != NULL)
            roam_stream_finish(*stream);
        break;
    case 4:
        if (*stream != NULL)
            roam_stream_reset(*stream, next());
        break;
    case 5:
        if (*stream != NULL)
            roam_stream_stop(*stream, next());
        break;
    case 6:
        roam_conn_send_datagram(world.peer->conn, world.pair.now, world.data, world.size < 8 ? world.size : 8, 0);
        break;
    case 7:
        act(next(), id);
        break;
    default:
        read_some(id);
    }
}

static void begin(uint8_t how)
{
    bool server = (how & 1) != 0;
    memset(&world.streams, 0, sizeof(world.streams));
    pair_prepare(&world.config);
    world.config.client.max_datagram_frame_bytes = world.config.server.max_datagram_frame_bytes = 65535;
    world.config.client.stream_buffer_bytes = world.config.server.stream_buffer_bytes = 65536;
    pair_start(&world.pair, &world.config);
    world.pair.delay = ROAM_MILLISECONDS(1);
    pair_handshake(&world.pair);
    pair_forget_events(&world.pair);
    world.victim = server ? &world.pair.server : &world.pair.client;
    world.peer = server ? &world.pair.client : &world.pair.server;
    world.reads = (how & 2) == 0;
    world.webtransport = (how & 4) != 0;
    world.asked = server;
    roam_h3_config config;
    roam_h3_config_init(&config);
    config.datagrams = true;
    config.max_section_bytes = 2000;
    config.webtransport_sessions = world.webtransport ? 1 : 0;
    world.h3 = roam_h3_new(world.victim->conn, &config, NULL);
    require(world.h3 != NULL);
    if (server)
        return;
    roam_h3_request_head head = {.method = "GET", .scheme = "https", .authority = "a", .path = "/"};
    require(roam_h3_request(world.h3, &head, NULL, 0, true, NULL) == 0);
    require(roam_h3_request(world.h3, &head, NULL, 0, false, NULL) == 4);
    pair_run(&world.pair, ROAM_MILLISECONDS(10));
    hold_requests(0);
    pair_forget_events(&world.pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    world.data = data + 1;
    world.size = size - 1;
    begin(data[0]);
    for (int i = 0; i < STEPS_MAX && world.size > 0; i++) {
        step();
        turn();
    }
    for (int i = 0; i < 4; i++)
        turn();
    roam_h3_free(world.h3);
    pair_stop(&world.pair);
    return 0;
}
