/*
 * Frames in: one table from type to handler. A handler decodes, checks, applies and schedules; it never sends.
 */
#include "conn/ack_frequency.h"
#include "conn/cids.h"
#include "conn/datagrams.h"
#include "conn/versions.h"

typedef uint64_t frame_handler(roam_conn *conn, struct packet_context *context, const struct frame *frame);
typedef uint64_t stream_handler(struct stream_set *set, const struct frame *frame);

/* Either the connection's own, or one of the stream floor's. */
struct handler {
    frame_handler *conn;
    stream_handler *stream;
};

static uint64_t on_nothing(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)conn, (void)context, (void)frame;
    return ROAM_NO_ERROR;
}

static uint64_t on_ack(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    return conn_on_ack(conn, context, &frame->ack);
}

static uint64_t on_crypto(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    return conn_on_crypto(conn, context->space, frame->crypto.offset, frame->crypto.data, frame->crypto.len);
}

static uint64_t on_new_token(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)context;
    conn_tell_token(conn, frame->new_token.token, frame->new_token.len);
    return ROAM_NO_ERROR;
}

static uint64_t on_new_connection_id(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)context;
    return conn_on_new_connection_id(conn, frame);
}

static uint64_t on_retire_connection_id(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    return conn_on_retire_connection_id(conn, context, frame);
}

static uint64_t on_path_challenge(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    return conn_on_path_challenge(conn, context, frame->path_data);
}

static uint64_t on_path_response(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    return conn_on_path_response(conn, context, frame->path_data);
}

static uint64_t on_close(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)context;
    conn_on_close_frame(conn, frame);
    return ROAM_NO_ERROR;
}

static uint64_t on_handshake_done(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)context, (void)frame;
    conn_on_confirmed(conn);
    return ROAM_NO_ERROR;
}

static uint64_t on_datagram(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)context;
    return conn_on_datagram(conn, frame);
}

static uint64_t on_immediate_ack(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)frame;
    context->hurry = true;
    return conn_takes_ack_frequency(conn) ? ROAM_NO_ERROR : ROAM_FRAME_ENCODING_ERROR;
}

static uint64_t on_ack_frequency(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    (void)context;
    return conn_on_ack_frequency(conn, frame);
}

static const struct handler handlers[FRAME_TYPES] = {
    [FRAME_PADDING] = {.conn = on_nothing},
    [FRAME_PING] = {.conn = on_nothing},
    [FRAME_ACK] = {.conn = on_ack},
    [FRAME_ACK_ECN] = {.conn = on_ack},
    [FRAME_RESET_STREAM] = {.stream = stream_on_reset_stream},
    [FRAME_STOP_SENDING] = {.stream = stream_on_stop_sending},
    [FRAME_CRYPTO] = {.conn = on_crypto},
    [FRAME_NEW_TOKEN] = {.conn = on_new_token},
    [FRAME_STREAM... FRAME_STREAM_LAST] = {.stream = stream_on_stream},
    [FRAME_MAX_DATA] = {.stream = stream_on_max_data},
    [FRAME_MAX_STREAM_DATA] = {.stream = stream_on_max_stream_data},
    [FRAME_MAX_STREAMS_BIDI] = {.stream = stream_on_max_streams},
    [FRAME_MAX_STREAMS_UNI] = {.stream = stream_on_max_streams},
    [FRAME_DATA_BLOCKED] = {.stream = stream_on_blocked},
    [FRAME_STREAM_DATA_BLOCKED] = {.stream = stream_on_blocked},
    [FRAME_STREAMS_BLOCKED_BIDI] = {.stream = stream_on_blocked},
    [FRAME_STREAMS_BLOCKED_UNI] = {.stream = stream_on_blocked},
    [FRAME_NEW_CONNECTION_ID] = {.conn = on_new_connection_id},
    [FRAME_RETIRE_CONNECTION_ID] = {.conn = on_retire_connection_id},
    [FRAME_PATH_CHALLENGE] = {.conn = on_path_challenge},
    [FRAME_PATH_RESPONSE] = {.conn = on_path_response},
    [FRAME_CONNECTION_CLOSE] = {.conn = on_close},
    [FRAME_CONNECTION_CLOSE_APPLICATION] = {.conn = on_close},
    [FRAME_HANDSHAKE_DONE] = {.conn = on_handshake_done},
    [FRAME_DATAGRAM... FRAME_DATAGRAM_LEN] = {.conn = on_datagram},
    [FRAME_IMMEDIATE_ACK] = {.conn = on_immediate_ack},
    [FRAME_INDEX_ACK_FREQUENCY] = {.conn = on_ack_frequency},
};

static uint64_t process_frame(roam_conn *conn, struct packet_context *context, const struct frame *frame)
{
    const struct frame_rule *rule = frame_rule_of(frame->type);
    //= rfc9000#12.4 A frame in a forbidden packet type is PROTOCOL_VIOLATION.
    if ((rule->packets & IN_PACKET(context->type)) == 0 || (rule->server_only && conn->is_server))
        return ROAM_PROTOCOL_VIOLATION;
    context->ack_eliciting |= rule->ack_eliciting;
    context->non_probing |= !rule->probing;
    context->frames |= frame_bit(frame->type);
    const struct handler *handler = &handlers[frame_index(frame->type)];
    return handler->stream != NULL ? handler->stream(&conn->streams, frame) : handler->conn(conn, context, frame);
}

uint64_t conn_process_payload(roam_conn *conn, struct packet_context *context, const uint8_t *data, size_t len,
                              uint64_t *ret_frame_type)
{
    struct reader reader = reader_init(data, len);
    //= rfc9000#12.4 No frames is PROTOCOL_VIOLATION.
    if (len == 0)
        return ROAM_PROTOCOL_VIOLATION;
    while (reader_left(&reader) > 0 && conn_is_alive(conn)) {
        struct frame frame;
        frame.type = 0;
        uint64_t error = frame_parse(&frame, &reader);
        *ret_frame_type = frame.type;
        if (error == ROAM_NO_ERROR)
            error = process_frame(conn, context, &frame);
        if (error != ROAM_NO_ERROR)
            return error;
    }
    return ROAM_NO_ERROR;
}
