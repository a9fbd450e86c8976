/* Frames in the words of qlog, draft-ietf-quic-qlog-quic-events section "QUIC Frames". Not what streams carry, no token
 * of any kind. `length` beside `raw` is for qvis. */
#include <string.h>

#include "base/minmax.h"
#include "observe/qlog.h"

/* What the end of "frames" takes: brackets and "frames_left_out". */
#define FRAMES_END_BYTES 64

typedef void frame_writer(struct json *json, const struct frame *frame);

static void put_length(struct json *json, size_t len)
{
    json_number(json, "length", len);
    json_object_begin(json, "raw");
    json_number(json, "payload_length", len);
    json_object_end(json);
}

static void put_nothing(struct json *json, const struct frame *frame)
{
    (void)json, (void)frame;
}

static void put_padding(struct json *json, const struct frame *frame)
{
    put_length(json, frame->padding);
}

static void put_range(struct json *json, uint64_t smallest, uint64_t largest)
{
    json_array_begin(json, NULL);
    json_number(json, NULL, smallest);
    json_number(json, NULL, largest);
    json_array_end(json);
}

static void put_ack(struct json *json, const struct frame *frame)
{
    struct ack_walk walk;
    uint64_t smallest, largest;
    json_array_begin(json, "acked_ranges");
    ack_walk_begin(&walk, &frame->ack, &smallest, &largest);
    do
        put_range(json, smallest, largest);
    while (!json->failed && ack_walk_next(&walk, &smallest, &largest));
    json_array_end(json);
    if (!frame->ack.has_ecn)
        return;
    json_number(json, "ect0", frame->ack.ect0);
    json_number(json, "ect1", frame->ack.ect1);
    json_number(json, "ce", frame->ack.ce);
}

/* Application error codes have no names here. */
static void put_code(struct json *json, uint64_t code)
{
    json_text(json, "error", "unknown");
    json_number(json, "error_code", code);
}

static void put_reset_stream(struct json *json, const struct frame *frame)
{
    json_number(json, "stream_id", frame->reset_stream.stream_id);
    put_code(json, frame->reset_stream.code);
    json_number(json, "final_size", frame->reset_stream.final_size);
}

static void put_stop_sending(struct json *json, const struct frame *frame)
{
    json_number(json, "stream_id", frame->stop_sending.stream_id);
    put_code(json, frame->stop_sending.code);
}

static void put_crypto(struct json *json, const struct frame *frame)
{
    json_number(json, "offset", frame->crypto.offset);
    put_length(json, frame->crypto.len);
}

static void put_new_token(struct json *json, const struct frame *frame)
{
    json_object_begin(json, "token");
    json_object_begin(json, "raw");
    json_number(json, "length", frame->new_token.len);
    json_object_end(json);
    json_object_end(json);
}

static void put_stream(struct json *json, const struct frame *frame)
{
    json_number(json, "stream_id", frame->stream.stream_id);
    json_number(json, "offset", frame->stream.offset);
    if (frame->stream.fin)
        json_bool(json, "fin", true);
    put_length(json, frame->stream.len);
}

static void put_maximum(struct json *json, const struct frame *frame)
{
    json_number(json, "maximum", frame->maximum);
}

static void put_limit(struct json *json, const struct frame *frame)
{
    json_number(json, "limit", frame->maximum);
}

static void put_max_stream_data(struct json *json, const struct frame *frame)
{
    json_number(json, "stream_id", frame->max_stream_data.stream_id);
    json_number(json, "maximum", frame->max_stream_data.maximum);
}

static void put_stream_data_blocked(struct json *json, const struct frame *frame)
{
    json_number(json, "stream_id", frame->max_stream_data.stream_id);
    json_number(json, "limit", frame->max_stream_data.maximum);
}

static void put_streams(struct json *json, const struct frame *frame)
{
    bool bidirectional = frame->type == FRAME_MAX_STREAMS_BIDI || frame->type == FRAME_STREAMS_BLOCKED_BIDI;
    bool blocked = frame->type == FRAME_STREAMS_BLOCKED_BIDI || frame->type == FRAME_STREAMS_BLOCKED_UNI;
    json_text(json, "stream_type", bidirectional ? "bidirectional" : "unidirectional");
    json_number(json, blocked ? "limit" : "maximum", frame->maximum);
}

/* Without its reset token: who has that can end the connection. */
static void put_new_connection_id(struct json *json, const struct frame *frame)
{
    json_number(json, "sequence_number", frame->new_connection_id.sequence);
    json_number(json, "retire_prior_to", frame->new_connection_id.retire_prior_to);
    json_number(json, "connection_id_length", frame->new_connection_id.cid.len);
    qlog_cid(json, "connection_id", &frame->new_connection_id.cid);
}

static void put_retire_connection_id(struct json *json, const struct frame *frame)
{
    json_number(json, "sequence_number", frame->sequence);
}

static void put_path_data(struct json *json, const struct frame *frame)
{
    json_hex(json, "data", frame->path_data, PATH_DATA_BYTES);
}

static void put_close(struct json *json, const struct frame *frame)
{
    bool transport = frame->type == FRAME_CONNECTION_CLOSE;
    char text[QLOG_ERROR_TEXT_MAX];
    json_text(json, "error_space", transport ? "transport" : "application");
    json_text(json, "error", transport ? qlog_error(frame->close.code, text) : "unknown");
    json_number(json, "error_code", frame->close.code);
    json_text_n(json, "reason", frame->close.reason, min_size(frame->close.reason_len, ROAM_REASON_MAX));
    if (transport)
        json_number(json, "trigger_frame_type", frame->close.frame_type);
}

static void put_datagram(struct json *json, const struct frame *frame)
{
    put_length(json, frame->datagram.len);
}

/* In the words of their draft, for the schema of qlog has none. */
static void put_ack_frequency(struct json *json, const struct frame *frame)
{
    json_number(json, "sequence_number", frame->ack_frequency.sequence);
    json_number(json, "ack_eliciting_threshold", frame->ack_frequency.threshold);
    json_number(json, "requested_max_ack_delay", frame->ack_frequency.max_delay_us);
    json_number(json, "reordering_threshold", frame->ack_frequency.reordering);
}

static const struct {
    const char *name;
    frame_writer *put;
} writers[FRAME_TYPES] = {
    [FRAME_PADDING] = {"padding", put_padding},
    [FRAME_PING] = {"ping", put_nothing},
    [FRAME_ACK] = {"ack", put_ack},
    [FRAME_ACK_ECN] = {"ack", put_ack},
    [FRAME_RESET_STREAM] = {"reset_stream", put_reset_stream},
    [FRAME_STOP_SENDING] = {"stop_sending", put_stop_sending},
    [FRAME_CRYPTO] = {"crypto", put_crypto},
    [FRAME_NEW_TOKEN] = {"new_token", put_new_token},
    [FRAME_STREAM... FRAME_STREAM_LAST] = {"stream", put_stream},
    [FRAME_MAX_DATA] = {"max_data", put_maximum},
    [FRAME_MAX_STREAM_DATA] = {"max_stream_data", put_max_stream_data},
    [FRAME_MAX_STREAMS_BIDI] = {"max_streams", put_streams},
    [FRAME_MAX_STREAMS_UNI] = {"max_streams", put_streams},
    [FRAME_DATA_BLOCKED] = {"data_blocked", put_limit},
    [FRAME_STREAM_DATA_BLOCKED] = {"stream_data_blocked", put_stream_data_blocked},
    [FRAME_STREAMS_BLOCKED_BIDI] = {"streams_blocked", put_streams},
    [FRAME_STREAMS_BLOCKED_UNI] = {"streams_blocked", put_streams},
    [FRAME_NEW_CONNECTION_ID] = {"new_connection_id", put_new_connection_id},
    [FRAME_RETIRE_CONNECTION_ID] = {"retire_connection_id", put_retire_connection_id},
    [FRAME_PATH_CHALLENGE] = {"path_challenge", put_path_data},
    [FRAME_PATH_RESPONSE] = {"path_response", put_path_data},
    [FRAME_CONNECTION_CLOSE] = {"connection_close", put_close},
    [FRAME_CONNECTION_CLOSE_APPLICATION] = {"connection_close", put_close},
    [FRAME_HANDSHAKE_DONE] = {"handshake_done", put_nothing},
    [FRAME_DATAGRAM... FRAME_DATAGRAM_LEN] = {"datagram", put_datagram},
    [FRAME_IMMEDIATE_ACK] = {"immediate_ack", put_nothing},
    [FRAME_INDEX_ACK_FREQUENCY] = {"ack_frequency", put_ack_frequency},
};

static void put_frame(struct json *json, const struct frame *frame, uint64_t ack_delay_exponent)
{
    json_object_begin(json, NULL);
    const uint64_t index = frame_index(frame->type);
    json_text(json, "frame_type", writers[index].name);
    if (frame->type == FRAME_ACK || frame->type == FRAME_ACK_ECN)
        json_ms(json, "ack_delay",
                saturating_mul(saturating_mul(frame->ack.delay, UINT64_C(1) << ack_delay_exponent), 1000));
    writers[index].put(json, frame);
    json_object_end(json);
}

/* What cannot be parsed ends the payload: the connection will say why. */
static void put_unknown(struct json *json, uint64_t type)
{
    json_object_begin(json, NULL);
    json_text(json, "frame_type", "unknown");
    json_number(json, "frame_type_bytes", type);
    json_object_end(json);
}

void qlog_frames(struct json *json, const uint8_t *payload, size_t len, uint64_t ack_delay_exponent)
{
    struct reader reader = reader_init(payload, len);
    uint64_t left_out = 0;
    bool parsed = true;
    json_array_begin(json, "frames");
    json->end -= FRAMES_END_BYTES;
    while (reader_left(&reader) > 0 && parsed) {
        struct frame frame;
        frame.type = 0;
        parsed = frame_parse(&frame, &reader) == ROAM_NO_ERROR;
        struct json before = *json;
        if (parsed)
            put_frame(json, &frame, ack_delay_exponent);
        else
            put_unknown(json, frame.type);
        if (json->failed) {
            *json = before;
            left_out++;
        }
    }
    json->end += FRAMES_END_BYTES;
    json_array_end(json);
    if (left_out > 0)
        json_number(json, "frames_left_out", left_out);
}
