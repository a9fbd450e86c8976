/*
 * What comes on a request stream. Octets are taken from the QUIC stream only as the application asks: up to the end of the
 * next header section by roam_h3_next_event, content by roam_h3_read, so that QUIC's flow control is the one that holds.
 */
#include <string.h>

#include "base/minmax.h"
#include "h3/h3.h"

/* RFC 9114 section 7.2.8 and 9: frames that nobody knows are skipped, at any place. Those that must not be there have small
 * numbers, or are PRIORITY_UPDATE; nghttp3 says so. */
static bool is_unknown(uint64_t type)
{
    return type > H3_FRAME_MAX_PUSH_ID && type != H3_FRAME_PRIORITY_UPDATE && type != H3_FRAME_PRIORITY_UPDATE + 1;
}

/* False where the message, or the connection, is not to be read on. */
static bool feed(struct h3_stream *stream, const uint8_t *data, size_t len, bool fin)
{
    roam_h3 *h3 = stream->h3;
    h3->section.too_large = h3->section.out_of_memory = false;
    stream->known = true;
    nghttp3_ssize n = nghttp3_conn_read_stream(h3->ng, (int64_t)stream->id, data, len, fin);
    if (stream->rejected) {
        h3_reject_message(stream, stream->code);
        return false;
    }
    if (n >= 0)
        return true;
    if (n == NGHTTP3_ERR_MALFORMED_HTTP_MESSAGING || n == NGHTTP3_ERR_MALFORMED_HTTP_HEADER)
        h3_reject_message(stream, ROAM_H3_MESSAGE_ERROR);
    else if (n == NGHTTP3_ERR_QPACK_HEADER_TOO_LARGE || h3->section.too_large)
        h3_reject_message(stream, ROAM_H3_EXCESSIVE_LOAD);
    else if (h3->section.out_of_memory)
        h3_reject_message(stream, ROAM_H3_INTERNAL_ERROR);
    else
        h3_fail_nghttp3(h3, (int)n);
    return false;
}

/* Takes the head of a frame, and tells nghttp3 of it where it knows the type. False where the stream is not to be read on. */
static bool take_head(struct h3_stream *stream, const uint8_t *data, size_t len)
{
    roam_h3 *h3 = stream->h3;
    struct h3_frame *frame = &stream->frame;
    size_t taken = h3_frame_head(frame, data, len);
    roam_stream_consume(stream->quic, taken);
    if (!frame->has_length)
        return true;
    if (frame->type == H3_FRAME_WEBTRANSPORT && h3->config.webtransport_sessions > 0) {
        h3_fail(h3, ROAM_H3_FRAME_ERROR, "a stream of a session that begins as something else");
        return false;
    }
    if (frame->type == H3_FRAME_HEADERS && frame->left > h3->config.max_section_bytes) {
        h3_reject_message(stream, ROAM_H3_EXCESSIVE_LOAD);
        return false;
    }
    if (!is_unknown(frame->type) && !feed(stream, frame->head, frame->head_len, false))
        return false;
    if (frame->left == 0)
        memset(frame, 0, sizeof(*frame));
    return true;
}

/* Takes `len` octets of a frame's payload. */
static bool take_payload(struct h3_stream *stream, const uint8_t *data, size_t len)
{
    struct h3_frame *frame = &stream->frame;
    bool goes_on = is_unknown(frame->type) || feed(stream, data, len, false);
    if (!goes_on)
        return false;
    roam_stream_consume(stream->quic, len);
    frame->left -= len;
    if (frame->left == 0)
        memset(frame, 0, sizeof(*frame));
    return true;
}

static bool in_content(const struct h3_stream *stream)
{
    return stream->frame.has_length && stream->frame.type == H3_FRAME_DATA && stream->frame.left > 0;
}

/* ---- Content ---------------------------------------------------------------------------------------------------- */

/* Takes octets until the buffer is full, nothing is there, or something else than content comes. */
static void read_content(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    while (h3->sink_len > 0 && !stream->received && h3->failure == 0) {
        const uint8_t *data;
        bool end = false;
        ptrdiff_t n = roam_stream_peek(stream->quic, &data, &end);
        if (n <= 0) {
            stream->data_told = false;
            stream->readable |= n == 0 && end;
            return;
        }
        bool goes_on;
        if (in_content(stream))
            goes_on = take_payload(stream, data, min_size(min_size((size_t)n, h3->sink_len), stream->frame.left));
        else if (!stream->frame.has_length)
            goes_on = take_head(stream, data, (size_t)n);
        else if (is_unknown(stream->frame.type))
            goes_on = take_payload(stream, data, min_size((size_t)n, stream->frame.left));
        else {
            stream->readable = true; // trailers: roam_h3_next_event takes them
            stream->data_told = false;
            return;
        }
        if (!goes_on)
            return;
    }
}

size_t h3_content_read(struct h3_stream *stream, void *buf, size_t cap)
{
    roam_h3 *h3 = stream->h3;
    h3->sink = buf;
    h3->sink_len = cap;
    read_content(stream);
    size_t taken = cap - h3->sink_len;
    h3->sink = NULL;
    h3->sink_len = 0;
    return taken;
}

ptrdiff_t roam_h3_read(roam_h3 *h3, uint64_t stream_id, void *buf, size_t cap)
{
    struct h3_stream *stream = h3_find_message(h3, stream_id);
    if (stream != NULL && stream->kind == H3_WEBTRANSPORT_STREAM)
        return h3_webtransport_read(stream, buf, cap);
    if (stream == NULL || stream->received || !h3_lives(h3))
        return stream != NULL && stream->complete && h3_lives(h3) ? 0 : ROAM_ERR_CLOSED;
    if (stream->session != NULL)
        return ROAM_ERR_STATE;
    if (!stream->has_head)
        return 0;
    size_t taken = h3_content_read(stream, buf, cap);
    if (stream->readable || stream->reset)
        h3_wake(stream);
    if (taken == 0 && (stream->received || h3->failure != 0))
        return ROAM_ERR_CLOSED;
    return (ptrdiff_t)taken;
}

/* ---- Sections and the end --------------------------------------------------------------------------------------- */

static bool at_end(struct h3_stream *stream)
{
    const uint8_t *data;
    bool end = false;
    return roam_stream_peek(stream->quic, &data, &end) == 0 && end && !stream->frame.head_len;
}

bool h3_is_too_early(const roam_h3 *h3, const char *method)
{
    static const char *const safe[] = {"GET", "HEAD", "OPTIONS", "TRACE"}; // RFC 9110 section 9.2.1
    if (h3->config.unsafe_early || roam_conn_state(h3->conn) != ROAM_CONN_HANDSHAKE)
        return false;
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        if (method != NULL && strcmp(method, safe[i]) == 0)
            return false;
    return true;
}

/* RFC 8470 section 5.2: whoever asked asks again when the handshake is complete. */
static bool refuse_early(struct h3_stream *stream)
{
    stream->shown = true;
    roam_h3_respond(stream->h3, stream->id, 425, NULL, 0, true);
    roam_h3_stop(stream->h3, stream->id, ROAM_H3_NO_ERROR);
    stream->shown = false;
    return false;
}

static bool show_section(struct h3_stream *stream, roam_h3_event *ret)
{
    roam_h3 *h3 = stream->h3;
    h3->section.ended = false;
    h3_section_show(&h3->section, ret);
    if (h3->section.trailers) {
        ret->type = ROAM_H3_EVENT_TRAILERS;
        stream->has_trailers = true;
    } else if (h3->server)
        ret->type = ROAM_H3_EVENT_REQUEST;
    else
        ret->type = ret->status < 200 ? ROAM_H3_EVENT_INFORMATIONAL : ROAM_H3_EVENT_RESPONSE;
    stream->has_head |= ret->type != ROAM_H3_EVENT_INFORMATIONAL;
    if (ret->type == ROAM_H3_EVENT_REQUEST && h3_is_too_early(h3, ret->method))
        return refuse_early(stream);
    if (ret->type == ROAM_H3_EVENT_REQUEST && !h3_session_on_request(stream, ret))
        return false;
    if (ret->type == ROAM_H3_EVENT_REQUEST)
        h3_apply_priority(stream);
    else if (!h3->server && !h3->section.trailers)
        h3_session_on_status(stream, ret->status);
    stream->shown = true;
    ret->early = ret->type == ROAM_H3_EVENT_REQUEST && roam_conn_state(h3->conn) == ROAM_CONN_HANDSHAKE;
    ret->fin = ret->type != ROAM_H3_EVENT_INFORMATIONAL && at_end(stream);
    return true;
}

static bool take_end(struct h3_stream *stream, roam_h3_event *ret)
{
    // RFC 9297 section 2.1: datagrams belong to a request until its end, and those that wait came before it.
    if (stream->h3->datagrams_ready) {
        stream->end_waits = true;
        return false;
    }
    stream->readable = false;
    if (!stream->has_head && stream->frame.head_len == 0) {
        // RFC 9114 section 4.1: it ended before there was a message.
        h3_reject_message(stream, stream->h3->server ? ROAM_H3_REQUEST_INCOMPLETE : ROAM_H3_MESSAGE_ERROR);
        return false;
    }
    if (stream->frame.head_len > 0 && (!stream->frame.has_length || is_unknown(stream->frame.type))) {
        h3_fail(stream->h3, ROAM_H3_FRAME_ERROR, "a frame is cut short by the end of its stream");
        return false;
    }
    if (!feed(stream, NULL, 0, true))
        return false;
    stream->received = true;
    ret->type = ROAM_H3_EVENT_END;
    return true;
}

/* Reads on until there is something to tell. */
bool h3_message_next(struct h3_stream *stream, roam_h3_event *ret)
{
    roam_h3 *h3 = stream->h3;
    // Whether a session may be asked for is said by SETTINGS, and decided before the request is shown.
    bool waits = h3->server && h3->config.webtransport_sessions > 0 && !h3->peer.received;
    while (!waits && stream->readable && !stream->received && h3->failure == 0) {
        const uint8_t *data;
        bool end = false;
        ptrdiff_t n = roam_stream_peek(stream->quic, &data, &end);
        if (n == 0 && end)
            return take_end(stream, ret);
        if (n <= 0) {
            stream->readable = false;
            return false;
        }
        if (!stream->frame.has_length) {
            if (!take_head(stream, data, (size_t)n))
                return false;
            continue;
        }
        if (in_content(stream)) {
            stream->readable = false;
            if (stream->data_told)
                return false;
            stream->data_told = true;
            ret->type = ROAM_H3_EVENT_DATA;
            return true;
        }
        if (!take_payload(stream, data, min_size((size_t)n, stream->frame.left)))
            return false;
        if (h3->section.ended)
            return show_section(stream, ret);
    }
    return false;
}
