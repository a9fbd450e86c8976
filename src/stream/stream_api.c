/*
 * What the application does with a stream. Each call changes the halves, settles the stream, and wakes the connection
 * where something is to be sent. The set has no clock: when it is sent is the connection's affair.
 */
#include "base/minmax.h"
#include "stream/stream_internal.h"

static void wake_if_wanted(struct stream_set *set)
{
    if (stream_set_wants(set))
        set->sink->wake(set->conn);
}

/* After a call that may have left something to send. The stream may be gone afterwards. */
static void settle_and_wake(roam_stream *stream)
{
    struct stream_set *set = stream->set;
    stream_settle(stream);
    wake_if_wanted(set);
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static bool can_send(const roam_stream *stream)
{
    return !stream->set->closed && (stream->send.state == SEND_OPEN || stream->send.state == SEND_DATA_SENT);
}

ptrdiff_t roam_stream_write(roam_stream *stream, const void *data, size_t len)
{
    if (!stream->has_send)
        return ROAM_ERR_STATE;
    if (!can_send(stream) || stream->send.finished)
        return ROAM_ERR_CLOSED;
    size_t taken = send_half_write(&stream->send, data, len);
    if (taken == 0 && len > 0 && send_half_room(&stream->send) > 0)
        return ROAM_ERR_MEMORY;
    stream->write_was_short = taken < len;
    settle_and_wake(stream);
    return (ptrdiff_t)taken;
}

ptrdiff_t roam_stream_lend(roam_stream *stream, const void *data, size_t len)
{
    if (!stream->has_send)
        return ROAM_ERR_STATE;
    if (!can_send(stream) || stream->send.finished)
        return ROAM_ERR_CLOSED;
    if (!send_half_lend(&stream->send, data, len))
        return ROAM_ERR_MEMORY;
    stream->write_was_short = send_half_room(&stream->send) == 0;
    settle_and_wake(stream);
    return (ptrdiff_t)len;
}

roam_result roam_stream_finish(roam_stream *stream)
{
    if (!stream->has_send)
        return ROAM_ERR_STATE;
    if (stream->set->closed || stream->send.state == SEND_RESET_SENT || stream->send.state == SEND_RESET_RECVD)
        return ROAM_ERR_CLOSED;
    send_half_finish(&stream->send);
    stream->write_was_short = false;
    settle_and_wake(stream);
    return ROAM_OK;
}

void roam_stream_reset(roam_stream *stream, uint64_t code)
{
    if (!stream->has_send || !can_send(stream))
        return;
    send_half_reset(&stream->send, code);
    settle_and_wake(stream);
}

void roam_stream_set_priority(roam_stream *stream, uint8_t urgency, bool incremental)
{
    stream->urgency = urgency < URGENCY_MAX ? urgency : URGENCY_MAX;
    stream->incremental = incremental;
    list_unlink(&stream->send_node);
    stream->queue = STREAM_QUEUE_NONE;
    settle_and_wake(stream);
}

uint64_t roam_stream_unacknowledged(const roam_stream *stream)
{
    const struct send_half *half = &stream->send;
    if (half->state != SEND_OPEN && half->state != SEND_DATA_SENT)
        return 0;
    return half->written - half->base - range_set_size(&half->acked);
}

uint64_t roam_stream_acknowledged(const roam_stream *stream)
{
    return stream->send.base;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* Why nothing can be read, or ROAM_OK. */
static roam_result refuse_read(const roam_stream *stream)
{
    if (!stream->has_receive)
        return ROAM_ERR_STATE;
    if (stream->receive.discarding || stream->receive.state == RECV_RESET_RECVD ||
        stream->receive.state == RECV_RESET_READ)
        return ROAM_ERR_CLOSED;
    /* What came before the connection ended was acknowledged, and is still handed out. */
    if (stream->set->closed && recv_half_readable(&stream->receive) == 0 && !recv_half_at_end(&stream->receive))
        return ROAM_ERR_CLOSED;
    return ROAM_OK;
}

static void take(roam_stream *stream, size_t len)
{
    recv_half_consume(&stream->receive, len);
    flow_receive_consume(&stream->receive_flow, len);
    flow_receive_consume(&stream->set->receive_flow, len);
}

ptrdiff_t roam_stream_read(roam_stream *stream, void *ret, size_t len, bool *ret_end)
{
    roam_result refusal = refuse_read(stream);
    if (refusal != ROAM_OK)
        return refusal;
    uint8_t *bytes = ret;
    const uint8_t *data;
    size_t taken = 0, run;
    if (len > 0 && recv_half_readable(&stream->receive) == 0)
        stream->readable_told = false;
    while (taken < len && (run = recv_half_peek(&stream->receive, &data)) > 0) {
        run = min_size(run, len - taken);
        memcpy(bytes + taken, data, run);
        take(stream, run);
        taken += run;
    }
    bool at_end = recv_half_at_end(&stream->receive);
    if (at_end)
        take(stream, 0);
    if (ret_end != NULL)
        *ret_end = at_end;
    settle_and_wake(stream);
    return (ptrdiff_t)taken;
}

ptrdiff_t roam_stream_peek(roam_stream *stream, const uint8_t **ret, bool *ret_end)
{
    roam_result refusal = refuse_read(stream);
    if (refusal != ROAM_OK)
        return refusal;
    size_t len = recv_half_peek(&stream->receive, ret);
    bool at_end = recv_half_at_end(&stream->receive);
    if (len == 0)
        stream->readable_told = false;
    if (at_end)
        take(stream, 0);
    if (ret_end != NULL)
        *ret_end = at_end;
    return (ptrdiff_t)len;
}

void roam_stream_consume(roam_stream *stream, size_t len)
{
    if (refuse_read(stream) != ROAM_OK)
        return;
    struct stream_set *set = stream->set;
    take(stream, min_size(len, recv_half_readable(&stream->receive)));
    stream_settle_receiving(stream);
    wake_if_wanted(set);
}

void roam_stream_stop(roam_stream *stream, uint64_t code)
{
    struct recv_half *half = &stream->receive;
    if (!stream->has_receive || stream->set->closed || half->discarding)
        return;
    if (half->state == RECV_OPEN || half->state == RECV_SIZE_KNOWN) {
        stream->stop_pending = true;
        stream->stop_code = code;
    }
    stream_discard_received(stream);
    settle_and_wake(stream);
}

/* ---- The handle ------------------------------------------------------------------------------------------------- */

uint64_t roam_stream_id(const roam_stream *stream)
{
    return stream->id;
}

bool roam_stream_is_early(const roam_stream *stream)
{
    return stream->early;
}

roam_conn *roam_stream_conn(const roam_stream *stream)
{
    return stream->conn;
}

void *roam_stream_user(const roam_stream *stream)
{
    return stream->user;
}

void roam_stream_set_user(roam_stream *stream, void *user)
{
    stream->user = user;
}

void roam_stream_free(roam_stream *stream)
{
    if (stream == NULL)
        return;
    bool unsent = stream->has_send && can_send(stream);
    if (unsent && (!stream->send.finished || !send_half_end_loans(&stream->send)))
        send_half_reset(&stream->send, 0);
    if (stream->has_receive && !stream->receive.discarding) {
        bool unfinished = stream->receive.state == RECV_OPEN || stream->receive.state == RECV_SIZE_KNOWN;
        stream->stop_pending = unfinished && !stream->set->closed;
        stream->stop_code = 0;
        stream_discard_received(stream);
    }
    stream->app_holds = false;
    settle_and_wake(stream);
}
