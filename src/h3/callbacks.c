/* What nghttp3 calls back with. It only notes: who fed nghttp3 looks at the notes when it returns. */
#include <string.h>

#include "h3/h3.h"

static int acked(nghttp3_conn *ng, int64_t id, uint64_t len, void *user, void *stream_user)
{
    (void)ng;
    (void)stream_user;
    struct h3_stream *stream = h3_find(user, (uint64_t)id);
    if (stream != NULL)
        stream->content_left -= len < stream->content_left ? (size_t)len : stream->content_left;
    return 0;
}

static int receive_data(nghttp3_conn *ng, int64_t id, const uint8_t *data, size_t len, void *user, void *stream_user)
{
    (void)ng;
    (void)id;
    (void)stream_user;
    roam_h3 *h3 = user;
    if (len > h3->sink_len)
        return -1;
    memcpy(h3->sink, data, len);
    h3->sink += len;
    h3->sink_len -= len;
    return 0;
}

static int begin_headers(nghttp3_conn *ng, int64_t id, void *user, void *stream_user)
{
    (void)ng;
    (void)id;
    (void)stream_user;
    h3_section_begin(&((roam_h3 *)user)->section, false);
    return 0;
}

static int begin_trailers(nghttp3_conn *ng, int64_t id, void *user, void *stream_user)
{
    (void)ng;
    (void)id;
    (void)stream_user;
    h3_section_begin(&((roam_h3 *)user)->section, true);
    return 0;
}

static int receive_field(nghttp3_conn *ng, int64_t id, int32_t token, nghttp3_rcbuf *name, nghttp3_rcbuf *value,
                         uint8_t flags, void *user, void *stream_user)
{
    (void)ng;
    (void)id;
    (void)token;
    (void)stream_user;
    return h3_section_add(user, name, value, flags);
}

static int end_section(nghttp3_conn *ng, int64_t id, int fin, void *user, void *stream_user)
{
    (void)ng;
    (void)id;
    (void)fin;
    (void)stream_user;
    ((roam_h3 *)user)->section.ended = true;
    return 0;
}

static int end_stream(nghttp3_conn *ng, int64_t id, void *user, void *stream_user)
{
    (void)ng;
    (void)stream_user;
    struct h3_stream *stream = h3_find(user, (uint64_t)id);
    if (stream != NULL)
        stream->complete = true;
    return 0;
}

/* nghttp3 asks for both of these where a message is malformed. */
static int refuse(nghttp3_conn *ng, int64_t id, uint64_t code, void *user, void *stream_user)
{
    (void)ng;
    (void)stream_user;
    struct h3_stream *stream = h3_find(user, (uint64_t)id);
    if (stream != NULL) {
        stream->rejected = true;
        stream->code = code;
    }
    return 0;
}

static int shutdown(nghttp3_conn *ng, int64_t id, void *user)
{
    (void)ng;
    roam_h3 *h3 = user;
    h3->goaway_id = (uint64_t)id;
    h3->goaway_received = true;
    h3->goaway_told = false;
    return 0;
}

const nghttp3_callbacks h3_callbacks = {
    .acked_stream_data = acked,
    .recv_data = receive_data,
    .begin_headers = begin_headers,
    .recv_header = receive_field,
    .end_headers = end_section,
    .begin_trailers = begin_trailers,
    .recv_trailer = receive_field,
    .end_trailers = end_section,
    .stop_sending = refuse,
    .end_stream = end_stream,
    .reset_stream = refuse,
    .shutdown = shutdown,
};
