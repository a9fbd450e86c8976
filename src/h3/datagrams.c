/* HTTP datagrams, RFC 9297: DATAGRAM frames that begin with a quarter of the request's stream id. */
#include <string.h>

#include "base/varint.h"
#include "h3/h3.h"

/* The largest that can be sent is one that a UDP datagram carries. */
#define DATAGRAM_MAX 65536

/* A session has datagrams while it is open. */
static bool takes_datagrams(const struct h3_stream *stream)
{
    return stream->session == NULL || (stream->session->open && !stream->session->over);
}

bool h3_datagram_next(roam_h3 *h3, roam_h3_event *ret)
{
    const uint8_t *data;
    size_t len;
    while (h3->failure == 0 && roam_conn_next_datagram(h3->conn, &data, &len)) {
        uint64_t quarter;
        if (!h3_varint_parse(&data, &len, &quarter) || quarter >= UINT64_C(1) << 60) {
            h3_fail(h3, ROAM_H3_DATAGRAM_ERROR, "a datagram without a quarter stream id");
            return false;
        }
        struct h3_stream *stream = h3_find_request(h3, 4 * quarter);
        if (stream == NULL || !stream->shown || stream->received || !h3->config.datagrams || !takes_datagrams(stream)) {
            h3->datagrams_dropped++;
            continue;
        }
        ret->type = ROAM_H3_EVENT_DATAGRAM;
        ret->stream_id = stream->id;
        ret->user = stream->user;
        ret->data = data;
        ret->data_len = len;
        return true;
    }
    h3->datagrams_ready = false;
    return false;
}

size_t roam_h3_datagram_bytes(const roam_h3 *h3, uint64_t stream_id)
{
    size_t bytes = roam_conn_datagram_bytes(h3->conn), head = varint_len(stream_id / 4);
    return h3->config.datagrams && h3->peer.datagrams && bytes > head ? bytes - head : 0;
}

roam_result roam_h3_send_datagram(roam_h3 *h3, roam_time now, uint64_t stream_id, const void *data, size_t len)
{
    if (!h3_lives(h3))
        return ROAM_ERR_CLOSED;
    if (!h3->config.datagrams || !h3->peer.datagrams)
        return ROAM_ERR_UNSUPPORTED;
    struct h3_stream *stream = h3_find_request(h3, stream_id);
    if (stream == NULL || stream->ended)
        return ROAM_ERR_ADDRESS;
    if (!takes_datagrams(stream))
        return ROAM_ERR_STATE;
    uint8_t datagram[DATAGRAM_MAX];
    if (len > roam_h3_datagram_bytes(h3, stream_id) || len > sizeof(datagram) - 8)
        return ROAM_ERR_TOO_LARGE;
    size_t head = h3_varint_write(datagram, stream_id / 4);
    if (len > 0)
        memcpy(datagram + head, data, len);
    return roam_conn_send_datagram(h3->conn, now, datagram, head + len, stream_id);
}

uint64_t roam_h3_datagrams_dropped(const roam_h3 *h3)
{
    return h3->datagrams_dropped;
}
