/*
 * Streams of WebTransport sessions, draft-ietf-webtrans-http3 sections 4.1 to 4.3: a mark, the id of the session, and then
 * the application's octets, of which nghttp3 never hears. Those that come before their session is open wait unread, so that
 * QUIC's flow control holds the peer.
 */
#include <string.h>

#include "h3/h3.h"

/* Streams of one connection that wait for their sessions. */
#define EARLY_STREAMS 16

/* The codes that stand for those of applications; each 31st is one that HTTP/3 has reserved (RFC 9114 section 8.1). */
#define FIRST_CODE UINT64_C(0x52e4a40fa8db)
#define LAST_CODE  UINT64_C(0x52e5ac983162)

/* ---- Codes ------------------------------------------------------------------------------------------------------ */

uint64_t h3_webtransport_to_http(uint32_t code)
{
    return FIRST_CODE + code + code / 0x1e;
}

uint64_t h3_webtransport_from_http(uint64_t code)
{
    if (code < FIRST_CODE || code > LAST_CODE || (code - 0x21) % 0x1f == 0)
        return ROAM_H3_WEBTRANSPORT_NO_CODE;
    uint64_t shifted = code - FIRST_CODE;
    return shifted - shifted / 0x1f;
}

/* ---- Those that come -------------------------------------------------------------------------------------------- */

bool h3_webtransport_is_type(const struct h3_stream *stream)
{
    uint64_t type = h3_is_unidirectional(stream) ? H3_STREAM_WEBTRANSPORT : H3_FRAME_WEBTRANSPORT;
    return stream->h3->config.webtransport_sessions > 0 && stream->frame.has_type && stream->frame.type == type;
}

void h3_webtransport_reject(struct h3_stream *stream, uint64_t code)
{
    stream->h3->streams_rejected++;
    roam_stream_reset(stream->quic, code);
    roam_stream_stop(stream->quic, code);
    h3_remove(stream);
}

static void attach(struct h3_stream *stream, struct h3_session *session)
{
    list_unlink(&stream->sibling);
    list_append(&session->streams, &stream->sibling);
    stream->of = session;
}

/* The session may still come, or be opened. */
static bool may_come(const roam_h3 *h3, uint64_t id, const struct h3_stream *owner)
{
    if (owner == NULL)
        return h3->server && id >= h3->next_id;
    if (owner->kind == H3_UNTYPED_STREAM || (owner->kind == H3_REQUEST_STREAM && h3->server && !owner->has_head))
        return true;
    return owner->session != NULL && !owner->session->open && !owner->sent;
}

static void wait_for_session(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    if (h3->early_count == EARLY_STREAMS) {
        h3_webtransport_reject(stream, ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
        return;
    }
    list_append(&h3->early, &stream->sibling);
    h3->early_count++;
}

void h3_webtransport_begin(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    stream->kind = H3_WEBTRANSPORT_STREAM;
    stream->session_id = stream->frame.left;
    memset(&stream->frame, 0, sizeof(stream->frame));
    if (stream->session_id % 4 != 0) {
        h3_fail(h3, ROAM_H3_ID_ERROR, "a stream of a session that cannot be");
        return;
    }
    stream->sent |= h3_is_unidirectional(stream);
    stream->readable = true;
    struct h3_stream *owner = h3_find(h3, stream->session_id);
    struct h3_session *session = owner != NULL && owner != h3->doomed ? owner->session : NULL;
    if (session != NULL && session->over)
        h3_webtransport_reject(stream, ROAM_H3_WEBTRANSPORT_SESSION_GONE);
    else if (session != NULL && session->open) {
        attach(stream, session);
        h3_wake(stream);
    } else if (may_come(h3, stream->session_id, owner))
        wait_for_session(stream);
    else
        h3_webtransport_reject(stream, ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
}

static struct h3_stream *of_sibling(struct list_node *node)
{
    return (struct h3_stream *)((char *)node - offsetof(struct h3_stream, sibling));
}

void h3_webtransport_reject_early(roam_h3 *h3, uint64_t session_id)
{
    LIST_FOR_EACH_SAFE(node, &h3->early)
    {
        if (of_sibling(node)->session_id == session_id)
            h3_webtransport_reject(of_sibling(node), ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
    }
}

void h3_webtransport_take_early(struct h3_session *session)
{
    roam_h3 *h3 = session->stream->h3;
    LIST_FOR_EACH_SAFE(node, &h3->early)
    {
        struct h3_stream *stream = of_sibling(node);
        if (stream->session_id != session->stream->id)
            continue;
        h3->early_count--;
        attach(stream, session);
        h3_wake(stream);
    }
}

/* What was not told yet is told to nobody any more. */
void h3_webtransport_drop_streams(struct h3_session *session)
{
    while (!list_is_empty(&session->streams)) {
        struct h3_stream *stream = of_sibling(session->streams.next);
        list_unlink(&stream->sibling);
        stream->of = NULL;
        stream->reset = stream->stopped = false;
        h3_give_up(stream, ROAM_H3_WEBTRANSPORT_SESSION_GONE);
    }
}

void h3_webtransport_forget(struct h3_stream *stream)
{
    stream->h3->early_count -= stream->of == NULL && list_is_linked(&stream->sibling);
    list_unlink(&stream->sibling);
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

bool h3_webtransport_next(struct h3_stream *stream, roam_h3_event *ret)
{
    ret->session_id = stream->session_id;
    if (!stream->shown) {
        stream->shown = stream->of != NULL;
        ret->type = ROAM_H3_EVENT_WEBTRANSPORT_STREAM;
        return stream->shown;
    }
    if (!stream->readable || stream->received)
        return false;
    const uint8_t *data;
    bool end = false;
    ptrdiff_t n = roam_stream_peek(stream->quic, &data, &end);
    stream->readable = false;
    if (n == 0 && end) {
        stream->received = stream->complete = true;
        ret->type = ROAM_H3_EVENT_END;
        return true;
    }
    ret->type = ROAM_H3_EVENT_DATA;
    bool news = n > 0 && !stream->data_told;
    stream->data_told |= news;
    return news;
}

/* ---- The application's calls ------------------------------------------------------------------------------------ */

static bool is_ours(const struct h3_stream *stream)
{
    return ((stream->id & 1) != 0) == stream->h3->server;
}

ptrdiff_t h3_webtransport_read(struct h3_stream *stream, void *buf, size_t cap)
{
    if (h3_is_unidirectional(stream) && is_ours(stream))
        return ROAM_ERR_STATE;
    if (stream->received || !h3_lives(stream->h3))
        return stream->complete && h3_lives(stream->h3) ? 0 : ROAM_ERR_CLOSED;
    bool end = false;
    ptrdiff_t n = cap > 0 ? roam_stream_read(stream->quic, buf, cap, &end) : 0;
    if (n < 0)
        return ROAM_ERR_CLOSED;
    if (n == 0 && cap > 0)
        stream->data_told = false;
    if (end) {
        stream->readable = true;
        h3_wake(stream);
    }
    return n;
}

ptrdiff_t h3_webtransport_write(struct h3_stream *stream, const void *data, size_t len, bool fin)
{
    if (h3_is_unidirectional(stream) && !is_ours(stream))
        return ROAM_ERR_STATE;
    if (stream->sent || !h3_lives(stream->h3))
        return ROAM_ERR_CLOSED;
    if (stream->ended)
        return ROAM_ERR_STATE;
    ptrdiff_t n = len > 0 ? roam_stream_write(stream->quic, data, len) : 0;
    if (n < 0)
        return n;
    stream->write_was_short = (size_t)n < len;
    if (fin && (size_t)n == len) {
        stream->ended = true;
        roam_stream_finish(stream->quic);
    }
    return n;
}

static bool write_start(struct h3_stream *stream)
{
    uint8_t start[16];
    size_t len = h3_varint_write(start, h3_is_unidirectional(stream) ? H3_STREAM_WEBTRANSPORT : H3_FRAME_WEBTRANSPORT);
    len += h3_varint_write(start + len, stream->session_id);
    return roam_stream_write(stream->quic, start, len) == (ptrdiff_t)len;
}

int64_t roam_h3_webtransport_open(roam_h3 *h3, uint64_t session_id, bool unidirectional, void *user)
{
    struct h3_session *session;
    roam_result result = h3_session_find(h3, session_id, &session);
    if (result != ROAM_OK)
        return result;
    roam_stream *quic = roam_stream_open(h3->conn, unidirectional, &result);
    if (quic == NULL)
        return result;
    struct h3_stream *stream = h3_add(h3, quic, H3_WEBTRANSPORT_STREAM);
    if (stream == NULL) {
        roam_stream_free(quic);
        return ROAM_ERR_MEMORY;
    }
    stream->user = user;
    stream->session_id = session_id;
    stream->shown = true;
    stream->received = unidirectional;
    attach(stream, session);
    if (!write_start(stream)) {
        h3_remove(stream);
        return ROAM_ERR_MEMORY;
    }
    return (int64_t)stream->id;
}

void roam_h3_webtransport_reset(roam_h3 *h3, uint64_t stream_id, uint32_t code)
{
    struct h3_stream *stream = h3_find(h3, stream_id);
    if (stream == NULL || stream == h3->doomed || stream->kind != H3_WEBTRANSPORT_STREAM || !stream->shown ||
        !h3_lives(h3))
        return;
    stream->stopped = false;
    h3_shut_sending(stream, h3_webtransport_to_http(code));
    h3_wake(stream);
}

uint64_t roam_h3_webtransport_streams_rejected(const roam_h3 *h3)
{
    return h3->streams_rejected;
}
