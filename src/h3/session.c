/*
 * WebTransport sessions, draft-ietf-webtrans-http3 sections 3 and 5: an extended CONNECT whose content is capsules (RFC 9297
 * section 3.2), which are read here. The application hears of the two that are WebTransport's; others are skipped.
 */
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "h3/h3.h"

#define CAPSULE_CLOSE UINT64_C(0x2843)
#define CAPSULE_DRAIN UINT64_C(0x78ae)
#define CODE_BYTES    ((size_t)4)

/* ---- Its life --------------------------------------------------------------------------------------------------- */

bool h3_session_new(struct h3_stream *stream)
{
    struct h3_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return false;
    session->stream = stream;
    list_init(&session->streams);
    stream->session = session;
    stream->h3->sessions++;
    return true;
}

/* With its streams, and those that wait for it. */
void h3_session_free(struct h3_stream *stream)
{
    struct h3_session *session = stream->session;
    if (session == NULL)
        return;
    h3_webtransport_drop_streams(session);
    stream->session = NULL;
    stream->h3->sessions--;
    free(session);
}

/* The application gives it up without a word. */
void h3_session_abandon(struct h3_stream *stream)
{
    if (stream->session == NULL)
        return;
    stream->session->over = true;
    h3_webtransport_drop_streams(stream->session);
}

static bool is_webtransport(const roam_h3 *h3, const char *protocol)
{
    return h3->config.webtransport_sessions > 0 && protocol != NULL && strcmp(protocol, ROAM_H3_WEBTRANSPORT) == 0;
}

roam_result h3_session_asked(const roam_h3 *h3, const char *protocol, bool fin, bool *ret)
{
    *ret = is_webtransport(h3, protocol);
    if (!*ret)
        return ROAM_OK;
    if (h3->peer.webtransport_sessions == 0 || !h3->peer.datagrams)
        return ROAM_ERR_UNSUPPORTED;
    if (h3->sessions >= min_u64(h3->config.webtransport_sessions, h3->peer.webtransport_sessions))
        return ROAM_ERR_LIMIT;
    return fin ? ROAM_ERR_CONFIG : ROAM_OK;
}

/* False where the request is not to be shown. */
bool h3_session_on_request(struct h3_stream *stream, const roam_h3_event *request)
{
    roam_h3 *h3 = stream->h3;
    if (!is_webtransport(h3, request->protocol)) {
        h3_webtransport_reject_early(h3, stream->id);
        return true;
    }
    if (h3->peer.webtransport_sessions == 0 || !h3->peer.datagrams) {
        h3_reject_message(stream, ROAM_H3_MESSAGE_ERROR); // as RFC 9220 section 3 has it for what was not agreed on
        return false;
    }
    if (h3->sessions >= h3->config.webtransport_sessions) {
        h3_give_up(stream, ROAM_H3_REQUEST_REJECTED);
        return false;
    }
    if (!h3_session_new(stream)) {
        h3_give_up(stream, ROAM_H3_INTERNAL_ERROR);
        return false;
    }
    for (size_t i = 0; i < request->field_count; i++)
        stream->session->draft02 |= strcmp(request->fields[i].name, H3_DRAFT02_ASKED) == 0;
    return true;
}

bool h3_session_opens(const struct h3_stream *stream, int status)
{
    return stream->session != NULL && status >= 200 && status < 300;
}

static void read_capsules(struct h3_session *session);

void h3_session_on_status(struct h3_stream *stream, int status)
{
    struct h3_session *session = stream->session;
    if (session == NULL || status < 200)
        return;
    if (!h3_session_opens(stream, status)) {
        h3_session_free(stream);
        h3_webtransport_reject_early(stream->h3, stream->id);
        return;
    }
    session->open = true;
    session->ended |= stream->received;
    h3_webtransport_take_early(session);
    if (stream->h3->server) // some may have come before it was open
        read_capsules(session);
    h3_wake(stream);
}

/* ---- Capsules --------------------------------------------------------------------------------------------------- */

static void finish_capsule(struct h3_session *session)
{
    if (session->capsule.type == CAPSULE_CLOSE)
        session->ended = session->close_came = true;
    else if (session->capsule.type == CAPSULE_DRAIN)
        session->draining = true;
    else if (session->capsule.type == 0) // DATAGRAM, RFC 9297 section 3.5: QUIC has frames for these
        session->stream->h3->datagrams_dropped++;
    memset(&session->capsule, 0, sizeof(session->capsule));
}

/* Nothing comes after CLOSE_WEBTRANSPORT_SESSION, and what it says has a code and is not too long. */
static bool is_malformed(const struct h3_session *session)
{
    const struct h3_frame *capsule = &session->capsule;
    return session->close_came || (capsule->has_length && capsule->type == CAPSULE_CLOSE &&
                                   (capsule->left < CODE_BYTES || capsule->left > sizeof(session->said)));
}

static void take_capsules(struct h3_session *session, const uint8_t *data, size_t len)
{
    struct h3_frame *capsule = &session->capsule;
    while (len > 0) {
        if (!capsule->has_length) {
            size_t taken = h3_frame_head(capsule, data, len);
            data += taken;
            len -= taken;
            if (is_malformed(session)) {
                h3_reject_message(session->stream, ROAM_H3_MESSAGE_ERROR);
                return;
            }
            if (!capsule->has_length)
                return;
        }
        size_t run = min_size((size_t)min_u64(capsule->left, SIZE_MAX), len);
        if (capsule->type == CAPSULE_CLOSE && run > 0) {
            memcpy(session->said + session->said_len, data, run);
            session->said_len += run;
        }
        data += run;
        len -= run;
        capsule->left -= run;
        if (capsule->left == 0)
            finish_capsule(session);
    }
}

static void read_capsules(struct h3_session *session)
{
    struct h3_stream *stream = session->stream;
    uint8_t buf[1024];
    size_t n;
    while (!stream->received && (n = h3_content_read(stream, buf, sizeof(buf))) > 0)
        take_capsules(session, buf, n);
}

/* An event of the message is the library's own, not the application's. */
bool h3_session_swallows(struct h3_stream *stream, const roam_h3_event *event)
{
    struct h3_session *session = stream->session;
    if (session == NULL || (event->type != ROAM_H3_EVENT_DATA && event->type != ROAM_H3_EVENT_TRAILERS &&
                            event->type != ROAM_H3_EVENT_END))
        return false;
    if (event->type == ROAM_H3_EVENT_END)
        session->ended = true;
    else if (session->open)
        read_capsules(session);
    return true;
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

static void tell_end(struct h3_session *session, roam_h3_event *ret)
{
    struct h3_stream *stream = session->stream;
    session->over = true;
    ret->type = ROAM_H3_EVENT_WEBTRANSPORT_CLOSED;
    if (session->close_came) {
        for (size_t i = 0; i < CODE_BYTES; i++)
            ret->code = ret->code << 8 | session->said[i];
        ret->data = session->said + CODE_BYTES;
        ret->data_len = session->said_len - CODE_BYTES;
    }
    h3_webtransport_drop_streams(session);
    if (!stream->sent && !stream->ended)
        h3_content_write(stream, NULL, 0, true);
    h3_wake(stream);
}

bool h3_session_next(struct h3_stream *stream, roam_h3_event *ret)
{
    struct h3_session *session = stream->session;
    if (session == NULL || !session->open)
        return false;
    const bool local = stream->reset && stream->reset_locally;
    if (stream->reset || stream->stopped) {
        // Whichever direction was given up, the session is at its end with both.
        stream->reset = stream->stopped = false;
        session->ended = true;
        h3_give_up(stream, ROAM_H3_NO_ERROR);
    }
    if (session->over)
        return false;
    if (session->draining) {
        session->draining = false;
        ret->type = ROAM_H3_EVENT_WEBTRANSPORT_DRAINING;
        return true;
    }
    if (!session->ended)
        return false;
    ret->local = local;
    tell_end(session, ret);
    return true;
}

/* ---- The application's calls ------------------------------------------------------------------------------------ */

roam_result h3_session_find(const roam_h3 *h3, uint64_t id, struct h3_session **ret)
{
    if (!h3_lives(h3))
        return ROAM_ERR_CLOSED;
    struct h3_stream *stream = h3_find_request(h3, id);
    if (stream == NULL || stream->session == NULL)
        return ROAM_ERR_ADDRESS;
    *ret = stream->session;
    return stream->session->open && !stream->session->over && !stream->sent ? ROAM_OK : ROAM_ERR_STATE;
}

static roam_result send_capsule(struct h3_session *session, uint64_t type, const void *payload, size_t len, bool fin)
{
    uint8_t capsule[16 + CODE_BYTES + ROAM_H3_WEBTRANSPORT_REASON_MAX];
    if (session->stream->content_left > 0)
        return ROAM_ERR_LIMIT;
    size_t head = h3_varint_write(capsule, type);
    head += h3_varint_write(capsule + head, len);
    if (len > 0)
        memcpy(capsule + head, payload, len);
    ptrdiff_t n = h3_content_write(session->stream, capsule, head + len, fin);
    return n < 0 ? (roam_result)n : ROAM_OK;
}

roam_result roam_h3_webtransport_close(roam_h3 *h3, uint64_t session_id, uint32_t code, const char *reason)
{
    struct h3_session *session;
    roam_result result = h3_session_find(h3, session_id, &session);
    size_t len = reason != NULL ? strlen(reason) : 0;
    if (result != ROAM_OK)
        return result;
    if (len > ROAM_H3_WEBTRANSPORT_REASON_MAX)
        return ROAM_ERR_TOO_LARGE;
    uint8_t said[CODE_BYTES + ROAM_H3_WEBTRANSPORT_REASON_MAX];
    for (size_t i = 0; i < CODE_BYTES; i++)
        said[i] = (uint8_t)(code >> (24 - 8 * i));
    if (len > 0)
        memcpy(said + CODE_BYTES, reason, len);
    result = send_capsule(session, CAPSULE_CLOSE, said, CODE_BYTES + len, true);
    if (result != ROAM_OK)
        return result;
    h3_session_abandon(session->stream);
    return ROAM_OK;
}

roam_result roam_h3_webtransport_drain(roam_h3 *h3, uint64_t session_id)
{
    struct h3_session *session;
    roam_result result = h3_session_find(h3, session_id, &session);
    return result == ROAM_OK ? send_capsule(session, CAPSULE_DRAIN, NULL, 0, false) : result;
}
