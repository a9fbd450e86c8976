/* Its life: made on a connection, fed with events, asked for what happened, and going away. */
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "h3/h3.h"

#define MAX_SECTION_BYTES ((size_t)1 << 20)

void roam_h3_config_init(roam_h3_config *ret)
{
    *ret = (roam_h3_config){.size = sizeof(*ret),
                            .max_section_bytes = 65536,
                            .max_fields = 128,
                            .max_requests = 100,
                            .qpack_table_bytes = 4096,
                            .connect_protocol = true};
}

/* ---- Making one ------------------------------------------------------------------------------------------------- */

static bool take_config(roam_h3 *h3, const roam_h3_config *config)
{
    roam_h3_config_init(&h3->config);
    if (config != NULL) {
        memcpy(&h3->config, config, min_size(config->size, sizeof(h3->config)));
        h3->config.size = sizeof(h3->config);
    }
    const roam_h3_config *c = &h3->config;
    return c->max_section_bytes >= 128 && c->max_section_bytes <= MAX_SECTION_BYTES && c->max_fields >= 4 &&
           c->max_requests >= 1 && c->max_requests <= UINT32_MAX && c->qpack_table_bytes <= MAX_SECTION_BYTES &&
           (c->webtransport_sessions == 0 || (c->datagrams && (!h3->server || c->connect_protocol)));
}

static roam_result make_nghttp3(roam_h3 *h3)
{
    nghttp3_settings settings;
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = h3->config.max_section_bytes;
    settings.qpack_max_dtable_capacity = settings.qpack_encoder_max_dtable_capacity = h3->config.qpack_table_bytes;
    // No section ever waits for the encoder stream, so that none is kept in memory encoded.
    settings.qpack_blocked_streams = 0;
    settings.enable_connect_protocol = h3->server && h3->config.connect_protocol;
    int error = h3->server ? nghttp3_conn_server_new(&h3->ng, &h3_callbacks, &settings, NULL, h3)
                           : nghttp3_conn_client_new(&h3->ng, &h3_callbacks, &settings, NULL, h3);
    if (error != 0) {
        h3->ng = NULL;
        return ROAM_ERR_MEMORY;
    }
    if (h3->server) {
        nghttp3_conn_set_max_concurrent_streams(h3->ng, h3->config.max_requests);
        // QUIC holds the peer to the limit that it was given.
        nghttp3_conn_set_max_client_streams_bidi(h3->ng, UINT64_C(1) << 60);
    }
    return h3_open_critical(h3);
}

static roam_h3 *fail_new(roam_h3 *h3, roam_result result, roam_result *ret_result)
{
    if (ret_result != NULL)
        *ret_result = result;
    roam_h3_free(h3);
    return NULL;
}

static bool may_begin(const roam_conn *conn)
{
    enum roam_early_data early = roam_conn_early_data(conn);
    return roam_conn_state(conn) == ROAM_CONN_ESTABLISHED ||
           (roam_conn_state(conn) == ROAM_CONN_HANDSHAKE &&
            (early == ROAM_EARLY_OFFERED || early == ROAM_EARLY_ACCEPTED));
}

roam_h3 *roam_h3_new(roam_conn *conn, const roam_h3_config *config, roam_result *ret_result)
{
    roam_h3 *h3 = calloc(1, sizeof(*h3));
    if (h3 == NULL)
        return fail_new(NULL, ROAM_ERR_MEMORY, ret_result);
    uint8_t secret[SIPHASH_KEY_BYTES];
    roam_rng rng = roam_rng_default();
    rng.fill(rng.context, secret, sizeof(secret));
    h3->allocator = roam_allocator_default();
    hash_map_init(&h3->streams, &h3->allocator, secret);
    list_init(&h3->all);
    list_init(&h3->ready);
    list_init(&h3->early);
    h3->conn = conn;
    h3->server = roam_conn_is_server(conn);
    h3->first_refused = UINT64_MAX;
    h3->peer.max_section_bytes = UINT64_MAX;
    h3->goaway_told = true;
    h3->datagrams_ready = true; // some may have come before this was made
    if (!take_config(h3, config))
        return fail_new(h3, ROAM_ERR_CONFIG, ret_result);
    if (!may_begin(conn))
        return fail_new(h3, ROAM_ERR_STATE, ret_result);
    roam_result result = make_nghttp3(h3);
    if (result != ROAM_OK)
        return fail_new(h3, result, ret_result);
    if (ret_result != NULL)
        *ret_result = ROAM_OK;
    return h3;
}

void roam_h3_free(roam_h3 *h3)
{
    if (h3 == NULL)
        return;
    while (!list_is_empty(&h3->all))
        h3_remove((struct h3_stream *)((char *)h3->all.next - offsetof(struct h3_stream, all)));
    roam_stream_free(h3->control);
    roam_stream_free(h3->encoder);
    roam_stream_free(h3->decoder);
    if (h3->ng != NULL)
        nghttp3_conn_del(h3->ng);
    h3_section_done(&h3->section);
    hash_map_done(&h3->streams);
    free(h3);
}

roam_conn *roam_h3_conn(const roam_h3 *h3)
{
    return h3->conn;
}

void roam_h3_peer_settings(const roam_h3 *h3, roam_h3_settings *ret)
{
    *ret = h3->peer;
}

/* ---- Failing ---------------------------------------------------------------------------------------------------- */

bool h3_lives(const roam_h3 *h3)
{
    return h3->failure == 0 && !h3->closed;
}

void h3_fail(roam_h3 *h3, uint64_t code, const char *reason)
{
    if (h3->failure != 0)
        return;
    h3->failure = code;
    h3->failure_reason = reason;
}

void h3_fail_nghttp3(roam_h3 *h3, int error)
{
    h3_fail(h3, nghttp3_err_infer_quic_app_error_code(error), nghttp3_strerror(error));
}

static void close_if_failed(roam_h3 *h3, roam_time now)
{
    if (h3->failure == 0 || h3->closed)
        return;
    h3->closed = true;
    roam_conn_close(h3->conn, now, h3->failure, h3->failure_reason);
}

/* ---- Events of the connection ----------------------------------------------------------------------------------- */

static bool is_ours(const roam_h3 *h3, const roam_stream *quic)
{
    return quic == h3->control || quic == h3->encoder || quic == h3->decoder;
}

static void on_writable(roam_h3 *h3, roam_stream *quic, struct h3_stream *stream)
{
    if (stream != NULL)
        stream->blocked = false;
    bool nghttp3_knows = stream == NULL || stream->kind != H3_WEBTRANSPORT_STREAM;
    if (nghttp3_knows && nghttp3_conn_unblock_stream(h3->ng, (int64_t)roam_stream_id(quic)) != 0)
        h3_fail(h3, ROAM_H3_INTERNAL_ERROR, NULL);
    h3_flush(h3);
    if (stream != NULL && stream->write_was_short && stream->content_left == 0 && !stream->sent) {
        stream->write_was_short = false;
        stream->writable = true;
        h3_wake(stream);
    }
}

static void on_request_event(struct h3_stream *stream, const roam_event *event)
{
    roam_h3 *h3 = stream->h3;
    switch (event->type) {
    case ROAM_EVENT_STREAM_READABLE:
        stream->readable = !stream->received;
        break;
    case ROAM_EVENT_STREAM_RESET:
        if (stream->received)
            break;
        stream->reset = true;
        stream->reset_code = event->code;
        stream->code = event->code;
        stream->received = true;
        stream->readable = false;
        if (stream->known)
            nghttp3_conn_shutdown_stream_read(h3->ng, (int64_t)stream->id);
        h3_flush(h3);
        break;
    case ROAM_EVENT_STREAM_STOPPED:
        if (stream->sent)
            break;
        stream->stopped = true;
        stream->stop_code = event->code;
        stream->sent = stream->ended = true;
        stream->writable = false;
        if (stream->known)
            nghttp3_conn_shutdown_stream_write(h3->ng, (int64_t)stream->id);
        break;
    case ROAM_EVENT_STREAM_FINISHED:
        stream->sent = true;
        // Both know of a session's end now. Some peers do not end their direction of it.
        if (stream->session != NULL && stream->session->over)
            h3_shut_receiving(stream, ROAM_H3_NO_ERROR);
        break;
    default:
        return;
    }
    h3_wake(stream);
}

static void on_stream_event(roam_h3 *h3, const roam_event *event)
{
    roam_stream *quic = event->stream;
    if (event->type == ROAM_EVENT_STREAM_OPENED) {
        h3_opened(h3, quic);
        return;
    }
    if (is_ours(h3, quic)) {
        if (event->type == ROAM_EVENT_STREAM_STOPPED)
            h3_fail(h3, ROAM_H3_CLOSED_CRITICAL_STREAM, "a critical stream was stopped");
        else if (event->type == ROAM_EVENT_STREAM_WRITABLE)
            on_writable(h3, quic, NULL);
        return;
    }
    uint64_t id = roam_stream_id(quic);
    struct h3_stream *stream = h3_find(h3, id);
    if (stream == NULL || stream == h3->doomed)
        return;
    bool messages = stream->kind == H3_REQUEST_STREAM || stream->kind == H3_WEBTRANSPORT_STREAM;
    bool comes = event->type == ROAM_EVENT_STREAM_READABLE || event->type == ROAM_EVENT_STREAM_RESET;
    if (messages && event->type == ROAM_EVENT_STREAM_WRITABLE)
        on_writable(h3, quic, stream);
    else if (messages || (!comes && !h3_is_unidirectional(stream)))
        on_request_event(stream, event);
    else if (!h3_is_unidirectional(stream)) {
        h3_read_untyped(stream);
        stream = h3_find_request(h3, id);
        if (stream != NULL && event->type == ROAM_EVENT_STREAM_RESET)
            on_request_event(stream, event);
    } else if (comes) {
        h3_read_critical(stream);
        h3_flush(h3);
    }
}

bool roam_h3_on_event(roam_h3 *h3, roam_time now, const roam_event *event)
{
    if (event->conn != h3->conn)
        return false;
    if (event->type == ROAM_EVENT_CLOSED) {
        h3->closed = true;
        return false;
    }
    roam_event_class class = roam_event_class_of(event->type);
    if (class != ROAM_EVENT_CLASS_STREAM && class != ROAM_EVENT_CLASS_DATAGRAM)
        return false;
    if (event->type == ROAM_EVENT_DATAGRAM_READABLE)
        h3->datagrams_ready = true;
    else if (event->type == ROAM_EVENT_DATAGRAM_WRITABLE)
        h3->datagram_writable = true;
    else if (event->type == ROAM_EVENT_STREAMS_AVAILABLE)
        h3->requests_available = !h3->server || h3->config.webtransport_sessions > 0;
    else if (event->stream != NULL && h3_lives(h3))
        on_stream_event(h3, event);
    close_if_failed(h3, now);
    return true;
}

/* ---- Events of ours --------------------------------------------------------------------------------------------- */

static bool tell_flag(bool *flag, roam_h3_event_type type, roam_h3_event *ret)
{
    if (!*flag)
        return false;
    *flag = false;
    ret->type = type;
    return true;
}

static bool connection_next(roam_h3 *h3, roam_h3_event *ret)
{
    if (h3->peer.received && !h3->settings_told) {
        h3->settings_told = true;
        ret->type = ROAM_H3_EVENT_SETTINGS;
        return true;
    }
    if (h3->goaway_received && !h3->goaway_told) {
        h3->goaway_told = true;
        ret->type = ROAM_H3_EVENT_GOAWAY;
        ret->stream_id = h3->goaway_id;
        return true;
    }
    return tell_flag(&h3->datagram_writable, ROAM_H3_EVENT_DATAGRAM_WRITABLE, ret) ||
           tell_flag(&h3->requests_available, ROAM_H3_EVENT_REQUESTS_AVAILABLE, ret);
}

static uint64_t code_for_application(const struct h3_stream *stream, uint64_t code)
{
    return stream->kind == H3_WEBTRANSPORT_STREAM ? h3_webtransport_from_http(code) : code;
}

static bool end_next(struct h3_stream *stream, roam_h3_event *ret)
{
    if (tell_flag(&stream->reset, ROAM_H3_EVENT_RESET, ret)) {
        ret->code = code_for_application(stream, stream->reset_code);
        ret->local = stream->reset_locally;
        return true;
    }
    if (tell_flag(&stream->stopped, ROAM_H3_EVENT_STOPPED, ret)) {
        ret->code = code_for_application(stream, stream->stop_code);
        return true;
    }
    if (tell_flag(&stream->writable, ROAM_H3_EVENT_WRITABLE, ret))
        return true;
    if (!h3_is_over(stream))
        return false;
    ret->type = ROAM_H3_EVENT_CLOSED;
    stream->h3->doomed = stream;
    stream->h3->open_requests -= stream->kind == H3_REQUEST_STREAM;
    list_unlink(&stream->ready);
    return true;
}

/* The next of a stream. What it says of itself comes before its end. */
static bool stream_next(struct h3_stream *stream, roam_h3_event *ret)
{
    bool webtransport = stream->kind == H3_WEBTRANSPORT_STREAM;
    if (webtransport && h3_webtransport_next(stream, ret))
        return true;
    while (!webtransport && h3_message_next(stream, ret)) {
        if (!h3_session_swallows(stream, ret))
            return true;
        *ret = (roam_h3_event){.stream_id = stream->id, .user = stream->user};
    }
    if (stream->h3->failure != 0 || !stream->shown)
        return false;
    return h3_session_next(stream, ret) || end_next(stream, ret);
}

/* A request that ended before it was shown, or was answered unseen: nobody waits to hear of it. */
static void forget_unseen(struct h3_stream *stream)
{
    if (stream->received && !stream->sent && !stream->head_sent)
        h3_give_up(stream, stream->code != 0 ? stream->code : ROAM_H3_REQUEST_CANCELLED);
    if (h3_is_over(stream))
        h3_remove(stream);
}

static bool ready_next(roam_h3 *h3, roam_h3_event *ret)
{
    while (h3_lives(h3) && !list_is_empty(&h3->ready)) {
        struct h3_stream *stream = (struct h3_stream *)((char *)h3->ready.next - offsetof(struct h3_stream, ready));
        *ret = (roam_h3_event){.stream_id = stream->id, .user = stream->user};
        if (stream_next(stream, ret))
            return true;
        list_unlink(&stream->ready);
        if (!stream->shown)
            forget_unseen(stream);
    }
    return false;
}

static void wake_ends(roam_h3 *h3)
{
    LIST_FOR_EACH(node, &h3->all)
    {
        struct h3_stream *stream = (struct h3_stream *)((char *)node - offsetof(struct h3_stream, all));
        if (stream->end_waits)
            h3_wake(stream);
        stream->end_waits = false;
    }
}

bool roam_h3_next_event(roam_h3 *h3, roam_time now, roam_h3_event *ret)
{
    roam_h3_event event = {.type = ROAM_H3_EVENT_NONE};
    if (h3->doomed != NULL)
        h3_remove(h3->doomed);
    close_if_failed(h3, now);
    bool found = !h3->closed && (connection_next(h3, &event) || ready_next(h3, &event));
    // Datagrams come after the head of the request that they belong to, and before its end.
    if (!found && h3_lives(h3) && h3->datagrams_ready) {
        event = (roam_h3_event){.type = ROAM_H3_EVENT_NONE};
        found = h3_datagram_next(h3, &event);
        if (!found) {
            wake_ends(h3);
            found = ready_next(h3, &event);
        }
    }
    close_if_failed(h3, now);
    if (found)
        *ret = event;
    return found;
}

/* ---- Going away ------------------------------------------------------------------------------------------------- */

roam_result roam_h3_shutdown(roam_h3 *h3)
{
    if (!h3_lives(h3))
        return ROAM_ERR_CLOSED;
    bool notice = h3->server && h3->shutdowns == 0;
    int error = notice ? nghttp3_conn_submit_shutdown_notice(h3->ng) : 0;
    if (!notice && h3->shutdowns < (h3->server ? 2 : 1)) {
        error = nghttp3_conn_shutdown(h3->ng);
        h3->first_refused = h3->server ? h3->next_id : UINT64_MAX;
    }
    if (error != 0)
        return ROAM_ERR_MEMORY;
    h3->shutdowns++;
    h3_flush(h3);
    return ROAM_OK;
}
