/*
 * The ends of a connection, RFC 9000 section 10.
 *
 *   living -> CLOSING    conn_close_with: we end it; CONNECTION_CLOSE goes out now and in answer to what still comes
 *   living, CLOSING -> DRAINING   conn_drain: the peer ended it, or a Stateless Reset; nothing more is sent
 *   any -> CLOSED        conn_end: at once (idle timeout, no handshake, no path), or when closing or draining is over
 *
 * The application hears of it once, at the first of these; the table keeps the row until CLOSED.
 */
#include "conn/datagrams.h"
#include "conn/paths.h"

const roam_error conn_no_error = {.cause = ROAM_CLOSE_NONE};

#define WITHOUT_MEMORY(CAUSE, CODE) [CAUSE] = {.cause = (CAUSE), .code = (CODE), .reason = "no memory"}

/* For connections whose end there is no memory to tell of. */
static const roam_error errors_without_memory[ROAM_CLOSE_CAUSES] = {
    WITHOUT_MEMORY(ROAM_CLOSE_LOCAL_TRANSPORT, ROAM_INTERNAL_ERROR),
    WITHOUT_MEMORY(ROAM_CLOSE_LOCAL_APPLICATION, 0),
    WITHOUT_MEMORY(ROAM_CLOSE_PEER_TRANSPORT, ROAM_INTERNAL_ERROR),
    WITHOUT_MEMORY(ROAM_CLOSE_PEER_APPLICATION, 0),
    WITHOUT_MEMORY(ROAM_CLOSE_IDLE_TIMEOUT, 0),
    WITHOUT_MEMORY(ROAM_CLOSE_HANDSHAKE_TIMEOUT, 0),
    WITHOUT_MEMORY(ROAM_CLOSE_STATELESS_RESET, 0),
    WITHOUT_MEMORY(ROAM_CLOSE_VERSION_NEGOTIATION, 0),
    WITHOUT_MEMORY(ROAM_CLOSE_NO_VIABLE_PATH, ROAM_NO_VIABLE_PATH),
    WITHOUT_MEMORY(ROAM_CLOSE_RESOLUTION, 0),
    WITHOUT_MEMORY(ROAM_CLOSE_MEMORY, 0),
};

static void set_error(roam_conn *conn, enum roam_close_cause cause, uint64_t code, uint64_t frame_type,
                      const uint8_t *reason, size_t len)
{
    if (conn->error->cause != ROAM_CLOSE_NONE)
        return;
    conn->error = &errors_without_memory[cause];
    conn->end = mem_zalloc(conn->allocator, sizeof(*conn->end));
    if (conn->end == NULL)
        return;
    roam_error *error = &conn->end->error;
    *error = (roam_error){.cause = cause, .code = code, .frame_type = frame_type};
    len = min_size(len, ROAM_REASON_MAX);
    for (size_t i = 0; i < len; i++)
        error->reason[i] = reason[i] >= 0x20 && reason[i] < 0x7f ? (char)reason[i] : '?';
    conn->error = error;
}

static void tell_closed(roam_conn *conn)
{
    if (conn->closed_told)
        return;
    conn->closed_told = true;
    conn->owner->totals->connections_closed++;
    conn->owner->totals->handshakes_failed += !conn->handshake_complete;
    conn->owner->handshake_over(conn->owner->context, conn, false);
    stream_set_close(&conn->streams);
    conn_datagrams_close(conn);
    conn_event(conn, ROAM_EVENT_CLOSED);
}

//= rfc9000#10.3-2 CONNECTION_CLOSE, not a reset, tells the peer of a fatal error while there is state to say so.
void conn_close_with(roam_conn *conn, enum roam_close_cause cause, uint64_t code, uint64_t frame_type,
                     const char *reason)
{
    if (!conn_is_alive(conn))
        return;
    if (conn->state == ROAM_CONN_RESOLVING) {
        set_error(conn, cause, code, frame_type, (const uint8_t *)"", 0);
        conn_end(conn, cause);
        return;
    }
    const char *text = reason != NULL ? reason : "";
    set_error(conn, cause, code, frame_type, (const uint8_t *)text, strlen(text));
    conn_set_state(conn, ROAM_CONN_CLOSING);
    conn->close_pending = true;
    //= rfc9000#10.2 Closing and draining last at least 3 x PTO.
    conn->close_at = saturating_add(conn->now, CLOSE_PTOS * conn_pto(conn));
    tell_closed(conn);
    conn->owner->wake(conn->owner->context, conn);
}

void conn_count_limit(roam_conn *conn, roam_limit limit)
{
    conn->owner->totals->limits[limit]++;
}

/* Which limit of ours that error is about. */
static roam_limit limit_of(const roam_conn *conn, uint64_t error)
{
    switch (error) {
    case ROAM_CONNECTION_ID_LIMIT_ERROR:
        return ROAM_LIMIT_CONNECTION_IDS;
    case ROAM_CRYPTO_BUFFER_EXCEEDED:
        return ROAM_LIMIT_CRYPTO_BUFFER;
    case ROAM_STREAM_LIMIT_ERROR:
        return ROAM_LIMIT_STREAMS;
    case ROAM_FLOW_CONTROL_ERROR:
        return ROAM_LIMIT_FLOW_CONTROL;
    case ROAM_INTERNAL_ERROR:
        return conn->streams.too_many_gaps ? ROAM_LIMIT_STREAM_GAPS : ROAM_LIMIT_NONE;
    default:
        return ROAM_LIMIT_NONE;
    }
}

void conn_fail_for_frame(roam_conn *conn, uint64_t error, uint64_t frame_type)
{
    const roam_limit limit = limit_of(conn, error);
    if (limit != ROAM_LIMIT_NONE)
        conn_count_limit(conn, limit);
    conn_fail(conn, error, frame_type, limit != ROAM_LIMIT_NONE ? roam_limit_name(limit) : "");
}

void conn_drain(roam_conn *conn, enum roam_close_cause cause, uint64_t code, uint64_t frame_type, const uint8_t *reason,
                size_t len)
{
    if (!conn_is_alive(conn) && conn->state != ROAM_CONN_CLOSING)
        return;
    set_error(conn, cause, code, frame_type, reason, len);
    //= rfc9000#10.2.2 Send nothing while draining.
    conn->close_pending = false;
    if (conn->state != ROAM_CONN_CLOSING)
        conn->close_at = saturating_add(conn->now, CLOSE_PTOS * conn_pto(conn));
    conn_set_state(conn, ROAM_CONN_DRAINING);
    tell_closed(conn);
    conn->owner->wake(conn->owner->context, conn);
}

void conn_end(roam_conn *conn, enum roam_close_cause cause)
{
    set_error(conn, cause, ROAM_NO_ERROR, 0, (const uint8_t *)"", 0);
    conn_set_state(conn, ROAM_CONN_CLOSED);
    conn->close_pending = false;
    conn->close_at = ROAM_TIME_NEVER;
    tell_closed(conn);
    conn->owner->wake(conn->owner->context, conn);
}

void conn_on_close_frame(roam_conn *conn, const struct frame *frame)
{
    bool application = frame->type == FRAME_CONNECTION_CLOSE_APPLICATION;
    conn_drain(conn, application ? ROAM_CLOSE_PEER_APPLICATION : ROAM_CLOSE_PEER_TRANSPORT, frame->close.code,
               application ? 0 : frame->close.frame_type, frame->close.reason, frame->close.reason_len);
}

void conn_on_datagram_while_closing(roam_conn *conn, const struct packet_context *context)
{
    //= rfc9000#10.2.1 Rate-limit packets sent while closing: the 1st, 2nd, 4th, 8th, ... datagram is answered.
    struct conn_end *end = conn->end;
    if (end == NULL)
        return;
    end->received++;
    if ((end->received & (end->received - 1)) != 0)
        return;
    const struct path *path = path_set_find_address(&conn->paths, &context->local, &context->remote);
    conn->close_pending = true;
    /* A peer that has moved since hears of the end where it is now. */
    if (path != path_set_active(&conn->paths)) {
        if (path == NULL && conn->is_server)
            path = conn_path_of_same_cid(conn, context);
        //= rfc9000#9.5-3 Not under a CID that was seen elsewhere; where there is no other, we keep silent.
        const struct remote_cid *cid = path != NULL ? remote_cid_of_path(&conn->remote_cids, path->id) : NULL;
        conn->close_pending = cid != NULL;
        if (cid == NULL)
            return;
        end->cid = cid->cid;
        end->local = context->local;
        end->remote = context->remote;
        //= rfc9000#10.2.1 While closing, packets from an unvalidated address are answered within 3x.
        end->allowance = AMPLIFICATION_FACTOR * context->datagram_bytes;
    }
}

bool conn_is_over(const roam_conn *conn)
{
    return conn->state == ROAM_CONN_CLOSED && !conn->app_holds;
}
