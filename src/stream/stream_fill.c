/*
 * What goes into packets, and what becomes of it. One call of stream_set_fill gives one frame; the state moves as if
 * it were sent, and stream_set_on_acked or stream_set_on_lost settles it later by what was recorded: nothing points
 * from a packet to a stream.
 *
 * Frames with a limit (MAX_*, *_BLOCKED) are sent again with the newest value, and only where none newer went out
 * meanwhile.
 */
#include <assert.h>

#include "base/minmax.h"
#include "base/varint.h"
#include "stream/stream_internal.h"

/* ---- Frames of the connection ----------------------------------------------------------------------------------- */

static bool give_maximum(struct writer *writer, struct stream_frame_out *ret, enum frame_type type, uint64_t maximum)
{
    if (writer_left(writer) < 1 + varint_len(maximum))
        return false;
    frame_write_maximum(writer, type, maximum);
    *ret = (struct stream_frame_out){.type = (uint8_t)type, .id = maximum};
    return true;
}

static bool fill_max_data(struct stream_set *set, const struct stream_moment *moment, struct writer *writer,
                          struct stream_frame_out *ret)
{
    struct flow_receive updated = set->receive_flow;
    flow_receive_tune(&updated, moment->now, moment->rtt, set->config->max_window_bytes);
    if (!give_maximum(writer, ret, FRAME_MAX_DATA, flow_receive_advertise(&updated)))
        return false;
    set->receive_flow = updated;
    return true;
}

static bool fill_max_streams(struct stream_set *set, unsigned direction, struct writer *writer,
                             struct stream_frame_out *ret)
{
    uint64_t limit = stream_set_streams_limit(set, direction);
    if (!give_maximum(writer, ret, direction != 0 ? FRAME_MAX_STREAMS_UNI : FRAME_MAX_STREAMS_BIDI, limit))
        return false;
    set->max_streams[direction] = limit;
    set->max_streams_pending[direction] = false;
    return true;
}

static bool fill_streams_blocked(struct stream_set *set, unsigned direction, struct writer *writer,
                                 struct stream_frame_out *ret)
{
    if (!give_maximum(writer, ret, direction != 0 ? FRAME_STREAMS_BLOCKED_UNI : FRAME_STREAMS_BLOCKED_BIDI,
                      set->peer_max_streams[direction]))
        return false;
    set->streams_blocked_pending[direction] = false;
    set->awaiting_credit = true;
    return true;
}

static bool fill_data_blocked(struct stream_set *set, struct writer *writer, struct stream_frame_out *ret)
{
    if (!give_maximum(writer, ret, FRAME_DATA_BLOCKED, set->send_flow.limit))
        return false;
    set->send_flow.blocked_pending = false;
    set->awaiting_credit = true;
    return true;
}

static bool fill_of_connection(struct stream_set *set, const struct stream_moment *moment, struct writer *writer,
                               struct stream_frame_out *ret)
{
    if (set->receive_flow.update_pending && fill_max_data(set, moment, writer, ret))
        return true;
    for (unsigned direction = 0; direction < 2; direction++) {
        if (set->max_streams_pending[direction] && fill_max_streams(set, direction, writer, ret))
            return true;
    }
    if (set->send_flow.blocked_pending && fill_data_blocked(set, writer, ret))
        return true;
    for (unsigned direction = 0; direction < 2; direction++) {
        if (set->streams_blocked_pending[direction] && fill_streams_blocked(set, direction, writer, ret))
            return true;
    }
    return false;
}

/* ---- Frames of a stream ----------------------------------------------------------------------------------------- */

static bool give_stream_maximum(const roam_stream *stream, struct writer *writer, struct stream_frame_out *ret,
                                enum frame_type type, uint64_t maximum)
{
    if (writer_left(writer) < 1 + varint_len(stream->id) + varint_len(maximum))
        return false;
    frame_write_stream_maximum(writer, type, stream->id, maximum);
    *ret = (struct stream_frame_out){.type = (uint8_t)type, .id = stream->id, .offset = maximum};
    return true;
}

static bool fill_reset(roam_stream *stream, struct writer *writer, struct stream_frame_out *ret)
{
    struct send_half *half = &stream->send;
    if (writer_left(writer) <
        1 + varint_len(stream->id) + varint_len(half->reset_code) + varint_len(half->reset_final_size))
        return false;
    frame_write_reset_stream(writer, stream->id, half->reset_code, half->reset_final_size);
    half->reset_pending = false;
    *ret = (struct stream_frame_out){.type = FRAME_RESET_STREAM, .id = stream->id};
    return true;
}

static bool fill_stop(roam_stream *stream, struct writer *writer, struct stream_frame_out *ret)
{
    if (writer_left(writer) < 1 + varint_len(stream->id) + varint_len(stream->stop_code))
        return false;
    frame_write_stop_sending(writer, stream->id, stream->stop_code);
    stream->stop_pending = false;
    stream->stop_sent = true;
    *ret = (struct stream_frame_out){.type = FRAME_STOP_SENDING, .id = stream->id};
    return true;
}

static bool fill_max_stream_data(roam_stream *stream, const struct stream_moment *moment, struct writer *writer,
                                 struct stream_frame_out *ret)
{
    struct flow_receive updated = stream->receive_flow;
    flow_receive_tune(&updated, moment->now, moment->rtt, stream->set->config->max_window_bytes);
    if (!give_stream_maximum(stream, writer, ret, FRAME_MAX_STREAM_DATA, flow_receive_advertise(&updated)))
        return false;
    stream->receive_flow = updated;
    return true;
}

static bool fill_blocked(roam_stream *stream, struct writer *writer, struct stream_frame_out *ret)
{
    if (!give_stream_maximum(stream, writer, ret, FRAME_STREAM_DATA_BLOCKED, stream->send_flow.limit))
        return false;
    stream->send_flow.blocked_pending = false;
    stream->set->awaiting_credit = true;
    return true;
}

/* Counts what went out: only octets that never went out before cost credit. */
static void charge_sent(roam_stream *stream, uint64_t offset, size_t len)
{
    struct stream_set *set = stream->set;
    uint64_t more = saturating_sub(offset + len, stream->send_flow.used);
    stream->send_flow.used += more;
    set->send_flow.used += more;
    set->bytes_sent += more;
    set->bytes_resent += len - more;
    assert(stream->send_flow.used <= stream->send_flow.limit && set->send_flow.used <= set->send_flow.limit);
}

static bool fill_data(roam_stream *stream, struct writer *writer, struct stream_frame_out *ret)
{
    uint64_t offset;
    const uint8_t *data;
    size_t len, left = writer_left(writer);
    bool fin;
    if (!send_half_next(&stream->send, stream_send_limit(stream), left, &offset, &data, &len, &fin))
        return false;
    if (frame_stream_header_len(stream->id, offset, len) + len > left) {
        size_t header = frame_stream_header_len(stream->id, offset, left);
        /* A frame without data that was to carry data says nothing. */
        if (header >= left || len == 0)
            return false;
        len = min_size(len, left - header);
        fin = false;
        if (frame_stream_header_len(stream->id, offset, len + 1) + len + 1 <= left)
            len++;
    }
    frame_write_stream_header(writer, stream->id, offset, len, fin);
    send_half_on_sent(&stream->send, offset, len, fin);
    charge_sent(stream, offset, len);
    *ret = (struct stream_frame_out){.data = {data, len},
                                     .type = FRAME_STREAM,
                                     .id = stream->id,
                                     .offset = offset,
                                     .len = (uint32_t)len,
                                     .fin = fin};
    return true;
}

static bool fill_of_stream(roam_stream *stream, const struct stream_moment *moment, struct writer *writer,
                           struct stream_frame_out *ret)
{
    if (stream->send.reset_pending)
        return fill_reset(stream, writer, ret);
    if (stream_owes_stop(stream))
        return fill_stop(stream, writer, ret);
    if (stream_owes_max_stream_data(stream))
        return fill_max_stream_data(stream, moment, writer, ret);
    if (stream_owes_blocked(stream))
        return fill_blocked(stream, writer, ret);
    return fill_data(stream, writer, ret);
}

/* Streams take turns, each for some packets in a row: what follows on itself costs both sides less to put together and
 * to acknowledge. */
static bool ends_its_turn(struct stream_tables *tables, const roam_stream *stream, uint32_t bytes)
{
    tables->turn_bytes = tables->turn_id == stream->id ? tables->turn_bytes + bytes : bytes;
    tables->turn_id = stream->id;
    if (tables->turn_bytes < STREAM_TURN_BYTES)
        return false;
    tables->turn_bytes = 0;
    return true;
}

bool stream_set_fill(struct stream_set *set, const struct stream_moment *moment, struct writer *writer,
                     struct stream_frame_out *ret)
{
    if (!stream_set_wants(set))
        return false;
    if (fill_of_connection(set, moment, writer, ret))
        return true;
    struct stream_tables *tables = set->tables;
    if (tables == NULL)
        return false;
    struct list_node *head = &tables->sendable;
    if (list_is_empty(head) && flow_send_left(&set->send_flow) > 0)
        head = &tables->fresh;
    if (list_is_empty(head))
        return false;

    roam_stream *stream = CONTAINER_OF(head->next, roam_stream, send_node);
    if (!fill_of_stream(stream, moment, writer, ret))
        return false;
    if (ends_its_turn(tables, stream, ret->len))
        stream_yield(stream);
    stream_settle(stream);
    if (flow_send_left(&set->send_flow) == 0 && !list_is_empty(&tables->fresh))
        flow_send_on_blocked(&set->send_flow);
    return true;
}

/* ---- The fate of frames ----------------------------------------------------------------------------------------- */

static void on_data_acked(roam_stream *stream, uint64_t offset, uint32_t len, bool fin)
{
    struct send_half *half = &stream->send;
    bool lent = send_half_has_loans(half);
    if (!send_half_on_acked(half, offset, len, fin))
        stream->set->acks_forgotten++;
    if (lent && !send_half_has_loans(half))
        stream_tell(stream, ROAM_EVENT_STREAM_RETURNED, 0);
    size_t enough = (size_t)max_u64(1, min_u64(half->capacity / 2, WRITABLE_BYTES_MIN));
    if (stream->write_was_short && send_half_room(half) >= enough) {
        stream->write_was_short = false;
        stream_tell(stream, ROAM_EVENT_STREAM_WRITABLE, 0);
    }
    if (half->state == SEND_DATA_RECVD && !stream->finished_told) {
        stream->finished_told = true;
        stream_tell(stream, ROAM_EVENT_STREAM_FINISHED, 0);
    }
}

void stream_set_on_acked(struct stream_set *set, uint8_t type, uint64_t id, uint64_t offset, uint32_t len, bool fin)
{
    if (set->closed || (type != FRAME_STREAM && type != FRAME_RESET_STREAM))
        return;
    roam_stream *stream = stream_find(set, id);
    if (stream == NULL)
        return;
    if (type == FRAME_STREAM)
        on_data_acked(stream, offset, len, fin);
    else
        send_half_on_reset_acked(&stream->send);
    stream_settle(stream);
}

/* A *_BLOCKED frame was lost: it goes out again while that limit still holds us. */
static void on_blocked_lost(struct flow_send *flow, uint64_t limit)
{
    if (flow->limit == limit && flow->blocked_at == limit && flow_send_left(flow) == 0)
        flow->blocked_pending = true;
}

static void on_connection_frame_lost(struct stream_set *set, uint8_t type, uint64_t maximum)
{
    unsigned direction = type == FRAME_MAX_STREAMS_UNI || type == FRAME_STREAMS_BLOCKED_UNI ? 1 : 0;
    switch (type) {
    case FRAME_MAX_DATA:
        set->receive_flow.update_pending |= maximum == set->receive_flow.limit;
        break;
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
        set->max_streams_pending[direction] |= maximum == set->max_streams[direction];
        break;
    case FRAME_DATA_BLOCKED:
        on_blocked_lost(&set->send_flow, maximum);
        break;
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI:
        set->streams_blocked_pending[direction] |=
            set->open_was_refused[direction] && maximum == set->peer_max_streams[direction];
        break;
    default:
        break;
    }
}

void stream_set_on_lost(struct stream_set *set, uint8_t type, uint64_t id, uint64_t offset, uint32_t len, bool fin)
{
    bool of_stream = type == FRAME_STREAM || type == FRAME_RESET_STREAM || type == FRAME_STOP_SENDING ||
                     type == FRAME_MAX_STREAM_DATA || type == FRAME_STREAM_DATA_BLOCKED;
    if (set->closed)
        return;
    if (!of_stream) {
        on_connection_frame_lost(set, type, id);
        return;
    }
    roam_stream *stream = stream_find(set, id);
    if (stream == NULL)
        return;
    switch (type) {
    case FRAME_STREAM:
        send_half_on_lost(&stream->send, offset, len, fin);
        break;
    case FRAME_RESET_STREAM:
        send_half_on_reset_lost(&stream->send);
        break;
    case FRAME_STOP_SENDING:
        stream->stop_pending = stream->app_holds || !recv_half_is_terminal(&stream->receive);
        break;
    case FRAME_MAX_STREAM_DATA:
        stream->receive_flow.update_pending |= offset == stream->receive_flow.limit;
        break;
    default:
        on_blocked_lost(&stream->send_flow, offset);
        break;
    }
    stream_settle(stream);
}

bool stream_set_retransmit_oldest(struct stream_set *set, size_t max)
{
    size_t marked = 0;
    if (set->closed || set->tables == NULL)
        return false;
    LIST_FOR_EACH_SAFE(node, &set->tables->all)
    {
        roam_stream *stream = CONTAINER_OF(node, roam_stream, all_node);
        if (marked >= max)
            break;
        size_t more = stream->has_send ? send_half_retransmit_oldest(&stream->send, max - marked) : 0;
        marked += more;
        if (more > 0)
            stream_settle(stream);
    }
    return marked > 0;
}
