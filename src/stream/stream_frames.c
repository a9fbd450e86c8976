/*
 * What the peer says about streams: each handler finds the stream (and opens it where the frame does, with all lower
 * ones of its type), checks, applies, and tells the application. Nothing is sent here.
 *
 * find_for_frame is the one place where a stream ID is judged, RFC 9000 sections 2.1, 3 and 19.4 to 19.14.
 */
#include <assert.h>

#include "base/minmax.h"
#include "stream/stream_internal.h"

/* The half of ours that a frame is about. */
enum half_kind { SENDING_HALF, RECEIVING_HALF };

/* Opens the streams of the peer's up to `id`, the lower ones first. */
static uint64_t open_up_to(struct stream_set *set, uint64_t id)
{
    unsigned direction = stream_direction(id);
    //= rfc9000#4.6 A stream ID beyond the limit that we gave is STREAM_LIMIT_ERROR
    if (id / 4 >= set->max_streams[direction])
        return ROAM_STREAM_LIMIT_ERROR;
    //= rfc9000#3.2 Opening a stream opens all lower-numbered streams of its type
    while (set->opened_by_peer[direction] <= id / 4) {
        roam_stream *stream = stream_new(set, set->opened_by_peer[direction] * 4 + id % 4);
        if (stream == NULL)
            return ROAM_INTERNAL_ERROR;
        set->opened_by_peer[direction]++;
        stream_tell(stream, ROAM_EVENT_STREAM_OPENED, 0);
    }
    stream_set_renew_streams(set, direction);
    return ROAM_NO_ERROR;
}

/* *ret gets the stream, or NULL where it is over and forgotten (the frame is late and ignored). */
static uint64_t find_for_frame(struct stream_set *set, uint64_t id, enum half_kind kind, roam_stream **ret)
{
    bool local = stream_is_local(set, id);
    *ret = NULL;
    if (set->closed)
        return ROAM_NO_ERROR;
    //= rfc9000#19.8 A frame about a half that the stream does not have is STREAM_STATE_ERROR
    if ((id & STREAM_UNIDIRECTIONAL) != 0 && local != (kind == SENDING_HALF))
        return ROAM_STREAM_STATE_ERROR;
    //= rfc9000#19.5 A frame for a stream of ours that we have not opened is STREAM_STATE_ERROR
    if (local && id >= set->next_id[stream_direction(id)])
        return ROAM_STREAM_STATE_ERROR;
    if (!local && id / 4 >= set->opened_by_peer[stream_direction(id)]) {
        uint64_t error = open_up_to(set, id);
        if (error != ROAM_NO_ERROR)
            return error;
    }
    *ret = stream_find(set, id);
    return ROAM_NO_ERROR;
}

/* The peer has sent up to `end` on the stream: within its limit and the connection's? */
static bool is_within_limits(const roam_stream *stream, uint64_t end)
{
    //= rfc9000#4.1 Data beyond a limit that we gave is FLOW_CONTROL_ERROR
    const struct flow_receive *own = &stream->receive_flow, *of_connection = &stream->set->receive_flow;
    uint64_t more = saturating_sub(end, stream->receive.highest);
    return more <= own->limit - own->received && more <= of_connection->limit - of_connection->received;
}

/* `more` octets than before came, within the limits. */
static void charge(roam_stream *stream, uint64_t more)
{
    bool within = flow_receive_add(&stream->receive_flow, more) && flow_receive_add(&stream->set->receive_flow, more);
    assert(within);
    (void)within;
}

uint64_t stream_on_stream(struct stream_set *set, const struct frame *frame)
{
    roam_stream *stream;
    uint64_t error = find_for_frame(set, frame->stream.stream_id, RECEIVING_HALF, &stream);
    if (error != ROAM_NO_ERROR || stream == NULL)
        return error;
    stream->early |= set->early;
    if (!is_within_limits(stream, frame->stream.offset + frame->stream.len))
        return ROAM_FLOW_CONTROL_ERROR;

    uint64_t more;
    error = (set->lending ? recv_half_push_lent : recv_half_push)(
        &stream->receive, frame->stream.offset, frame->stream.data, frame->stream.len, frame->stream.fin, &more);
    set->too_many_gaps = stream->receive.too_many_gaps;
    if (error != ROAM_NO_ERROR)
        return error;
    if (recv_loans_oldest(&stream->receive.loans) != NULL && !list_is_linked(&stream->lent_node))
        list_append(&set->tables->lent, &stream->lent_node);
    charge(stream, more);
    set->bytes_received += more;
    if (stream->receive.discarding) {
        flow_receive_consume(&stream->receive_flow, more);
        flow_receive_consume(&set->receive_flow, more);
    }
    stream_tell_readable(stream);
    stream_settle_receiving(stream);
    return ROAM_NO_ERROR;
}

uint64_t stream_on_reset_stream(struct stream_set *set, const struct frame *frame)
{
    roam_stream *stream;
    uint64_t error = find_for_frame(set, frame->reset_stream.stream_id, RECEIVING_HALF, &stream);
    if (error != ROAM_NO_ERROR || stream == NULL)
        return error;
    //= rfc9000#4.5 The final size is charged to the connection's flow control, whatever came of the stream
    if (!is_within_limits(stream, frame->reset_stream.final_size))
        return ROAM_FLOW_CONTROL_ERROR;

    uint64_t more;
    error = recv_half_on_reset(&stream->receive, frame->reset_stream.code, frame->reset_stream.final_size, &more);
    if (error != ROAM_NO_ERROR)
        return error;
    charge(stream, more);
    if (stream->receive.state == RECV_RESET_RECVD) {
        stream_discard_received(stream);
        stream_tell(stream, ROAM_EVENT_STREAM_RESET, frame->reset_stream.code);
        recv_half_on_reset_told(&stream->receive);
    }
    stream_settle(stream);
    return ROAM_NO_ERROR;
}

uint64_t stream_on_stop_sending(struct stream_set *set, const struct frame *frame)
{
    roam_stream *stream;
    uint64_t error = find_for_frame(set, frame->stop_sending.stream_id, SENDING_HALF, &stream);
    if (error != ROAM_NO_ERROR || stream == NULL)
        return error;
    if (stream->send.state != SEND_OPEN && stream->send.state != SEND_DATA_SENT)
        return ROAM_NO_ERROR;
    //= rfc9000#3.5 STOP_SENDING is answered with RESET_STREAM and the same code
    send_half_reset(&stream->send, frame->stop_sending.code);
    stream_tell(stream, ROAM_EVENT_STREAM_STOPPED, frame->stop_sending.code);
    stream_settle(stream);
    return ROAM_NO_ERROR;
}

uint64_t stream_on_max_data(struct stream_set *set, const struct frame *frame)
{
    if (flow_send_raise(&set->send_flow, frame->maximum))
        set->awaiting_credit = false;
    return ROAM_NO_ERROR;
}

uint64_t stream_on_max_stream_data(struct stream_set *set, const struct frame *frame)
{
    roam_stream *stream;
    uint64_t error = find_for_frame(set, frame->max_stream_data.stream_id, SENDING_HALF, &stream);
    if (error != ROAM_NO_ERROR || stream == NULL)
        return error;
    if (flow_send_raise(&stream->send_flow, frame->max_stream_data.maximum)) {
        set->awaiting_credit = false;
        stream_settle(stream);
    }
    return ROAM_NO_ERROR;
}

/* The peer waits for credit: it gets what there is by now, be it little. */
static void on_streams_blocked(struct stream_set *set, const struct frame *frame)
{
    unsigned direction = frame->type == FRAME_STREAMS_BLOCKED_UNI ? 1 : 0;
    if (frame->maximum >= set->max_streams[direction] &&
        stream_set_streams_limit(set, direction) > set->max_streams[direction])
        set->max_streams_pending[direction] = true;
}

static bool has_credit(const struct flow_receive *flow, uint64_t blocked_at)
{
    return blocked_at >= flow->limit && saturating_add(flow->consumed, flow->window) > flow->limit;
}

uint64_t stream_on_blocked(struct stream_set *set, const struct frame *frame)
{
    if (frame->type == FRAME_STREAMS_BLOCKED_BIDI || frame->type == FRAME_STREAMS_BLOCKED_UNI) {
        //= rfc9000#19.14 A limit above 2^60 is FRAME_ENCODING_ERROR
        if (frame->maximum > MAX_STREAMS_LIMIT)
            return ROAM_FRAME_ENCODING_ERROR;
        on_streams_blocked(set, frame);
        return ROAM_NO_ERROR;
    }
    if (frame->type == FRAME_DATA_BLOCKED) {
        set->receive_flow.update_pending |= has_credit(&set->receive_flow, frame->maximum);
        return ROAM_NO_ERROR;
    }
    roam_stream *stream;
    uint64_t error = find_for_frame(set, frame->max_stream_data.stream_id, RECEIVING_HALF, &stream);
    if (error != ROAM_NO_ERROR || stream == NULL)
        return error;
    stream->receive_flow.update_pending |= has_credit(&stream->receive_flow, frame->max_stream_data.maximum);
    stream_settle(stream);
    return ROAM_NO_ERROR;
}
