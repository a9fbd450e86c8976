/*
 * What the peer has opened. A unidirectional stream says what it is by its first varint, RFC 9114 section 6.2. So does a
 * bidirectional one where WebTransport is spoken: it begins with the frame of a request, or with a mark and the id of a
 * session.
 */
#include <string.h>

#include "h3/h3.h"

/* A request beyond what we serve at a time, or after the second GOAWAY: RFC 9114 sections 4.1.1 and 5.2. */
static void reject(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    nghttp3_conn_close_stream(h3->ng, (int64_t)stream->id, ROAM_H3_REQUEST_REJECTED); // known by a PRIORITY_UPDATE
    roam_stream_reset(stream->quic, ROAM_H3_REQUEST_REJECTED);
    roam_stream_stop(stream->quic, ROAM_H3_REQUEST_REJECTED);
    h3_webtransport_reject_early(h3, stream->id);
    h3_remove(stream);
}

static void become_request(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    if (!h3->server) {
        h3_fail(h3, ROAM_H3_STREAM_CREATION_ERROR,
                "a server may not open bidirectional streams"); // RFC 9114 section 6.1
        h3_remove(stream);
        return;
    }
    if (h3->open_requests >= h3->config.max_requests || stream->id >= h3->first_refused) {
        reject(stream);
        return;
    }
    stream->kind = H3_REQUEST_STREAM;
    h3->open_requests++;
}

void h3_opened(roam_h3 *h3, roam_stream *quic)
{
    struct h3_stream *stream = h3_add(h3, quic, H3_UNTYPED_STREAM);
    if (stream == NULL) {
        h3_fail(h3, ROAM_H3_INTERNAL_ERROR, NULL);
        roam_stream_free(quic);
        return;
    }
    if (h3_is_unidirectional(stream))
        return;
    if (h3->server && stream->id >= h3->next_id)
        h3->next_id = stream->id + 4;
    if (h3->config.webtransport_sessions == 0)
        become_request(stream);
}

enum h3_gathered h3_gather_type(struct h3_stream *stream)
{
    struct h3_frame *frame = &stream->frame;
    while (!frame->has_type || (h3_webtransport_is_type(stream) && !frame->has_length)) {
        const uint8_t *data;
        bool end = false;
        ptrdiff_t n = roam_stream_peek(stream->quic, &data, &end);
        if (n <= 0)
            return n < 0 || end ? H3_GATHERED_END : H3_GATHERED_PART;
        h3_frame_head(frame, data, 1);
        roam_stream_consume(stream->quic, 1);
    }
    return H3_GATHERED_TYPE;
}

void h3_read_untyped(struct h3_stream *stream)
{
    enum h3_gathered gathered = h3_gather_type(stream);
    if (gathered == H3_GATHERED_PART)
        return;
    if (h3_webtransport_is_type(stream)) {
        if (gathered == H3_GATHERED_TYPE)
            h3_webtransport_begin(stream);
        else
            h3_webtransport_reject(stream, ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED);
        return;
    }
    // Whatever is wrong with it, as a request it is answered for.
    roam_h3 *h3 = stream->h3;
    uint64_t id = stream->id;
    become_request(stream);
    stream = h3_find_request(h3, id);
    if (stream == NULL)
        return;
    stream->readable = true;
    h3_wake(stream);
}
