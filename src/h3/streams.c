/* The table of streams, and how they end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h3/h3.h"

struct h3_stream *h3_find(const roam_h3 *h3, uint64_t id)
{
    return hash_map_find(&h3->streams, &id, sizeof(id));
}

struct h3_stream *h3_find_request(const roam_h3 *h3, uint64_t id)
{
    struct h3_stream *stream = h3_find(h3, id);
    return stream != NULL && stream->kind == H3_REQUEST_STREAM && stream != h3->doomed ? stream : NULL;
}

/* One that the application knows by its id: a request, or a stream of a session. */
struct h3_stream *h3_find_message(const roam_h3 *h3, uint64_t id)
{
    struct h3_stream *stream = h3_find(h3, id);
    if (stream == NULL || stream == h3->doomed)
        return NULL;
    return stream->kind == H3_REQUEST_STREAM || (stream->kind == H3_WEBTRANSPORT_STREAM && stream->shown) ? stream
                                                                                                          : NULL;
}

struct h3_stream *h3_add(roam_h3 *h3, roam_stream *quic, enum h3_kind kind)
{
    struct h3_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    stream->h3 = h3;
    stream->quic = quic;
    stream->id = roam_stream_id(quic);
    stream->kind = kind;
    list_init(&stream->all);
    list_init(&stream->ready);
    list_init(&stream->sibling);
    if (!hash_map_insert(&h3->streams, &stream->id, sizeof(stream->id), stream)) {
        free(stream);
        return NULL;
    }
    list_append(&h3->all, &stream->all);
    h3->open_requests += kind == H3_REQUEST_STREAM;
    return stream;
}

void h3_remove(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    h3_session_free(stream);
    h3_webtransport_forget(stream);
    if (stream->kind == H3_REQUEST_STREAM)
        h3_webtransport_reject_early(h3, stream->id);
    if (h3->doomed == stream)
        h3->doomed = NULL;
    else
        h3->open_requests -= stream->kind == H3_REQUEST_STREAM;
    if (stream->kind == H3_REQUEST_STREAM) // it may know it by a PRIORITY_UPDATE alone
        nghttp3_conn_close_stream(h3->ng, (int64_t)stream->id, stream->code);
    hash_map_remove(&h3->streams, &stream->id, sizeof(stream->id));
    list_unlink(&stream->all);
    list_unlink(&stream->ready);
    roam_stream_free(stream->quic);
    free(stream->content);
    free(stream);
}

void h3_wake(struct h3_stream *stream)
{
    if (!list_is_linked(&stream->ready))
        list_append(&stream->h3->ready, &stream->ready);
}

bool h3_is_over(const struct h3_stream *stream)
{
    return stream->received && stream->sent;
}

void h3_shut_receiving(struct h3_stream *stream, uint64_t code)
{
    if (stream->received)
        return;
    roam_stream_stop(stream->quic, code);
    stream->received = true;
    stream->readable = false;
    // Tells the peer's QPACK encoder that sections of this stream will not be acknowledged: RFC 9204 section 4.4.2.
    if (stream->known && nghttp3_conn_shutdown_stream_read(stream->h3->ng, (int64_t)stream->id) != 0)
        h3_fail(stream->h3, ROAM_H3_INTERNAL_ERROR, NULL);
}

void h3_shut_sending(struct h3_stream *stream, uint64_t code)
{
    if (stream->sent)
        return;
    roam_stream_reset(stream->quic, code);
    stream->sent = stream->ended = true;
    stream->writable = false;
    if (stream->known)
        nghttp3_conn_shutdown_stream_write(stream->h3->ng, (int64_t)stream->id);
}

/* Both directions, RFC 9114 section 4.1.1. */
void h3_give_up(struct h3_stream *stream, uint64_t code)
{
    h3_shut_sending(stream, code);
    h3_shut_receiving(stream, code);
    stream->code = code;
    h3_wake(stream);
    h3_flush(stream->h3);
}

/* We found fault with the message, which is an error of the stream: RFC 9114 section 4.1.2. */
void h3_reject_message(struct h3_stream *stream, uint64_t code)
{
    stream->rejected = false;
    stream->reset = stream->reset_locally = true;
    stream->reset_code = code;
    h3_give_up(stream, code);
}

static uint64_t code_for_peer(const struct h3_stream *stream, uint64_t code)
{
    return stream->kind == H3_WEBTRANSPORT_STREAM ? h3_webtransport_to_http((uint32_t)code) : code;
}

void roam_h3_reset(roam_h3 *h3, uint64_t stream_id, uint64_t code)
{
    struct h3_stream *stream = h3_find_message(h3, stream_id);
    if (stream == NULL || !h3_lives(h3))
        return;
    stream->reset = stream->stopped = false;
    h3_session_abandon(stream);
    h3_give_up(stream, code_for_peer(stream, code));
}

void roam_h3_stop(roam_h3 *h3, uint64_t stream_id, uint64_t code)
{
    struct h3_stream *stream = h3_find_message(h3, stream_id);
    if (stream == NULL || !h3_lives(h3))
        return;
    h3_shut_receiving(stream, code_for_peer(stream, code));
    h3_wake(stream);
    h3_flush(h3);
}

void *roam_h3_user(const roam_h3 *h3, uint64_t stream_id)
{
    struct h3_stream *stream = h3_find(h3, stream_id);
    return stream != NULL ? stream->user : NULL;
}

void roam_h3_set_user(roam_h3 *h3, uint64_t stream_id, void *user)
{
    struct h3_stream *stream = h3_find(h3, stream_id);
    if (stream != NULL)
        stream->user = user;
}

roam_result roam_h3_get_priority(const roam_h3 *h3, uint64_t stream_id, roam_h3_priority *ret)
{
    nghttp3_pri priority;
    if (!h3->server)
        return ROAM_ERR_STATE;
    struct h3_stream *stream = h3_find_request(h3, stream_id);
    if (stream == NULL || !stream->known ||
        nghttp3_conn_get_stream_priority(h3->ng, &priority, (int64_t)stream_id) != 0)
        return ROAM_ERR_ADDRESS;
    *ret = (roam_h3_priority){.urgency = (uint8_t)priority.urgency, .incremental = priority.inc != 0};
    return ROAM_OK;
}

/* What nghttp3 knows of it holds for the QUIC stream, too: there are more octets in its buffer than nghttp3 orders. */
void h3_apply_priority(struct h3_stream *stream)
{
    nghttp3_pri priority;
    if (stream->h3->server && nghttp3_conn_get_stream_priority(stream->h3->ng, &priority, (int64_t)stream->id) == 0)
        roam_stream_set_priority(stream->quic, (uint8_t)priority.urgency, priority.inc != 0);
}

roam_result roam_h3_set_priority(roam_h3 *h3, uint64_t stream_id, const roam_h3_priority *priority)
{
    if (priority->urgency > NGHTTP3_URGENCY_LOW)
        return ROAM_ERR_CONFIG;
    struct h3_stream *stream = h3_find_message(h3, stream_id);
    bool request = stream != NULL && stream->kind == H3_REQUEST_STREAM;
    if (stream == NULL || (request && !stream->known))
        return ROAM_ERR_ADDRESS;
    nghttp3_pri to = {.urgency = priority->urgency, .inc = priority->incremental};
    if (request && nghttp3_conn_set_stream_priority(h3->ng, (int64_t)stream_id, &to) != 0)
        return ROAM_ERR_MEMORY;
    roam_stream_set_priority(stream->quic, priority->urgency, priority->incremental);
    h3_flush(h3);
    return ROAM_OK;
}

roam_h3_field roam_h3_priority_field(const roam_h3_priority *priority, char ret[ROAM_H3_PRIORITY_BYTES])
{
    unsigned urgency = priority->urgency < NGHTTP3_URGENCY_LOW ? priority->urgency : NGHTTP3_URGENCY_LOW;
    int len = snprintf(ret, ROAM_H3_PRIORITY_BYTES, "u=%u%s", urgency, priority->incremental ? ", i" : "");
    return (roam_h3_field){.name = "priority", .value = ret, .name_len = 8, .value_len = (size_t)len};
}

size_t roam_h3_open_requests(const roam_h3 *h3)
{
    return h3->open_requests;
}
