/* Stream sets to test with: small limits, an event log, frames made by hand and frames carried from one set to
 * another. */
#ifndef TESTS_UNIT_STREAM_WORLD_H
#define TESTS_UNIT_STREAM_WORLD_H

#include "unit/stream_testing.h"

#include "stream/stream.h"

#define EVENTS_MAX 4096

struct logged_event {
    roam_event_type type;
    roam_stream *stream;
    uint64_t id, code;
};

struct side {
    struct stream_set set;
    struct logged_event events[EVENTS_MAX];
    size_t first_event, event_count; /* ring */
    unsigned wakes;
};

static inline void on_event(roam_conn *conn, roam_stream *stream, roam_event_type type, uint64_t code)
{
    struct side *side = (void *)conn;
    assert_true(side->event_count < EVENTS_MAX);
    side->events[(side->first_event + side->event_count++) % EVENTS_MAX] =
        (struct logged_event){type, stream, stream != NULL ? roam_stream_id(stream) : UINT64_MAX, code};
}

static inline void on_wake(roam_conn *conn)
{
    ((struct side *)(void *)conn)->wakes++;
}

static const struct stream_sink side_sink = {.event = on_event, .wake = on_wake};

static inline bool poll_event(struct side *side, struct logged_event *ret)
{
    if (side->event_count == 0)
        return false;
    *ret = side->events[side->first_event];
    side->first_event = (side->first_event + 1) % EVENTS_MAX;
    side->event_count--;
    return true;
}

/* The next event must be this one. Returns its stream. */
static inline roam_stream *expect_event(struct side *side, roam_event_type type, uint64_t id, uint64_t code)
{
    struct logged_event event = {0};
    assert_true(poll_event(side, &event));
    assert_int_equal(event.type, type);
    assert_int_equal(event.id, id);
    assert_int_equal(event.code, code);
    return event.stream;
}

static inline void expect_no_event(struct side *side)
{
    assert_int_equal(side->event_count, 0);
}

/* For the key of the hash map alone. */
static inline void fill_with_ones(void *context, void *buf, size_t len)
{
    (void)context;
    memset(buf, 1, len);
}

static const roam_rng side_rng = {.fill = fill_with_ones};

static inline void side_init(struct side *side, const roam_allocator *allocator, bool is_server,
                             const roam_config *config)
{
    memset(side, 0, sizeof(*side));
    stream_set_init(&side->set, allocator, (roam_conn *)(void *)side, is_server, config, &side_rng, &side_sink);
}

/* Tells `side` what the other side's configuration allows it. */
static inline void side_hear(struct side *side, const roam_config *config)
{
    struct transport_params params;
    transport_params_init(&params);
    params.initial_max_data = config->initial_max_data;
    params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote =
        params.initial_max_stream_data_uni = config->initial_max_stream_data;
    params.initial_max_streams_bidi = config->initial_max_streams_bidi;
    params.initial_max_streams_uni = config->initial_max_streams_uni;
    stream_set_peer_params(&side->set, &params);
}

/* Hands every frame in data[0..len) to the set; the first error ends it. */
static inline uint64_t deliver(struct side *side, const uint8_t *data, size_t len)
{
    struct reader reader = reader_init(data, len);
    uint64_t error = ROAM_NO_ERROR;
    while (reader_left(&reader) > 0 && error == ROAM_NO_ERROR) {
        struct frame frame;
        assert_int_equal(frame_parse(&frame, &reader), ROAM_NO_ERROR);
        struct stream_set *set = &side->set;
        if (frame.type >= FRAME_STREAM && frame.type <= FRAME_STREAM_LAST)
            error = stream_on_stream(set, &frame);
        else if (frame.type == FRAME_RESET_STREAM)
            error = stream_on_reset_stream(set, &frame);
        else if (frame.type == FRAME_STOP_SENDING)
            error = stream_on_stop_sending(set, &frame);
        else if (frame.type == FRAME_MAX_DATA)
            error = stream_on_max_data(set, &frame);
        else if (frame.type == FRAME_MAX_STREAM_DATA)
            error = stream_on_max_stream_data(set, &frame);
        else if (frame.type == FRAME_MAX_STREAMS_BIDI || frame.type == FRAME_MAX_STREAMS_UNI)
            error = stream_on_max_streams(set, &frame);
        else
            error = stream_on_blocked(set, &frame);
        if (error == ROAM_NO_ERROR)
            stream_set_check(set);
    }
    return error;
}

#define FRAMES_MAX   64
#define PACKET_BYTES 1200

struct packet {
    uint8_t bytes[PACKET_BYTES];
    size_t len;
    struct stream_frame_out frames[FRAMES_MAX];
    size_t count;
};

/* No time passes here. */
static const struct stream_moment moment = {.now = 0, .rtt = 0};

/* Fills one packet of at most `room` octets; false where there was nothing to send. */
static inline bool fill_packet(struct side *side, struct packet *packet, size_t room)
{
    struct writer writer = writer_init(packet->bytes, room);
    packet->count = 0;
    while (packet->count < FRAMES_MAX) {
        struct stream_frame_out *frame = &packet->frames[packet->count];
        if (!stream_set_fill(&side->set, &moment, &writer, frame))
            break;
        write_bytes(&writer, frame->data.data, frame->data.len);
        assert_false(writer.failed);
        packet->count++;
        stream_set_check(&side->set);
    }
    packet->len = writer_len(&writer);
    return packet->count > 0;
}

static inline void packet_acked(struct side *side, const struct packet *packet)
{
    for (size_t i = 0; i < packet->count; i++) {
        const struct stream_frame_out *frame = &packet->frames[i];
        stream_set_on_acked(&side->set, frame->type, frame->id, frame->offset, frame->len, frame->fin);
        stream_set_check(&side->set);
    }
}

static inline void packet_lost(struct side *side, const struct packet *packet)
{
    for (size_t i = 0; i < packet->count; i++) {
        const struct stream_frame_out *frame = &packet->frames[i];
        stream_set_on_lost(&side->set, frame->type, frame->id, frame->offset, frame->len, frame->fin);
        stream_set_check(&side->set);
    }
}

/* ---- A client and a server with small limits -------------------------------------------------------------------- */

struct fixture {
    struct refusing_allocator memory;
    roam_allocator allocator;
    roam_config config;
    struct side client, server;
};

static inline int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->allocator = refusing_allocator(&fixture->memory);
    fixture->config = (roam_config){.initial_max_data = 10000,
                                    .initial_max_stream_data = 4000,
                                    .initial_max_streams_bidi = 4,
                                    .initial_max_streams_uni = 2,
                                    .stream_buffer_bytes = 20000};
    side_init(&fixture->client, &fixture->allocator, false, &fixture->config);
    side_init(&fixture->server, &fixture->allocator, true, &fixture->config);
    side_hear(&fixture->client, &fixture->config);
    side_hear(&fixture->server, &fixture->config);
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *fixture = *state;
    stream_set_done(&fixture->client.set);
    stream_set_done(&fixture->server.set);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
    free(fixture);
    return 0;
}

/* ---- Frames by hand --------------------------------------------------------------------------------------------- */

static inline uint64_t stream_frame(struct side *side, uint64_t id, uint64_t offset, size_t len, bool fin)
{
    uint8_t data[20000];
    struct writer writer = writer_init(data, sizeof(data));
    frame_write_stream_header(&writer, id, offset, len, fin);
    fill_octets(writer.pos, len, id, offset);
    return deliver(side, data, writer_len(&writer) + len);
}

static inline uint64_t reset_frame(struct side *side, uint64_t id, uint64_t code, uint64_t final_size)
{
    uint8_t data[40];
    struct writer writer = writer_init(data, sizeof(data));
    frame_write_reset_stream(&writer, id, code, final_size);
    return deliver(side, data, writer_len(&writer));
}

static inline uint64_t stop_frame(struct side *side, uint64_t id, uint64_t code)
{
    uint8_t data[40];
    struct writer writer = writer_init(data, sizeof(data));
    frame_write_stop_sending(&writer, id, code);
    return deliver(side, data, writer_len(&writer));
}

static inline uint64_t maximum_frame(struct side *side, enum frame_type type, uint64_t maximum)
{
    uint8_t data[40];
    struct writer writer = writer_init(data, sizeof(data));
    frame_write_maximum(&writer, type, maximum);
    return deliver(side, data, writer_len(&writer));
}

static inline uint64_t stream_maximum_frame(struct side *side, enum frame_type type, uint64_t id, uint64_t maximum)
{
    uint8_t data[40];
    struct writer writer = writer_init(data, sizeof(data));
    frame_write_stream_maximum(&writer, type, id, maximum);
    return deliver(side, data, writer_len(&writer));
}

static inline roam_stream *open_stream(struct side *side, bool unidirectional)
{
    roam_result result;
    roam_stream *stream = stream_open(&side->set, unidirectional, &result);
    assert_non_null(stream);
    assert_int_equal(result, ROAM_OK);
    return stream;
}

static inline ptrdiff_t write_octets(roam_stream *stream, size_t len)
{
    uint8_t data[20000];
    fill_octets(data, len, roam_stream_id(stream), stream->send.written);
    return roam_stream_write(stream, data, len);
}

/* The next frame that the side sends. */
static inline struct stream_frame_out expect_frame(struct side *side, uint8_t type, uint64_t id)
{
    uint8_t data[PACKET_BYTES];
    struct writer writer = writer_init(data, sizeof(data));
    struct stream_frame_out ret;
    assert_true(stream_set_wants(&side->set));
    assert_true(stream_set_fill(&side->set, &moment, &writer, &ret));
    assert_int_equal(ret.type, type);
    assert_int_equal(ret.id, id);
    stream_set_check(&side->set);
    return ret;
}

static inline void expect_no_frame(struct side *side)
{
    uint8_t data[PACKET_BYTES];
    struct writer writer = writer_init(data, sizeof(data));
    struct stream_frame_out ret;
    assert_false(stream_set_wants(&side->set));
    assert_false(stream_set_fill(&side->set, &moment, &writer, &ret));
}

static inline void acked(struct side *side, struct stream_frame_out frame)
{
    stream_set_on_acked(&side->set, frame.type, frame.id, frame.offset, frame.len, frame.fin);
    stream_set_check(&side->set);
}

static inline void lost(struct side *side, struct stream_frame_out frame)
{
    stream_set_on_lost(&side->set, frame.type, frame.id, frame.offset, frame.len, frame.fin);
    stream_set_check(&side->set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
