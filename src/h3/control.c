/*
 * The three unidirectional streams of each side, RFC 9114 section 6.2 and RFC 9204 section 4.2, and those that nobody knows.
 * Ours: nghttp3 fills them, save that the SETTINGS are our own. The peer's: frames of its control stream are gathered here,
 * and only those that nghttp3 has something to do with are passed on, whole.
 */
#include <string.h>

#include "h3/h3.h"

#define SETTING_QPACK_TABLE      0x01
#define SETTING_SECTION_BYTES    0x06
#define SETTING_BLOCKED_STREAMS  0x07
#define SETTING_CONNECT_PROTOCOL 0x08
#define SETTING_DATAGRAM         0x33
#define SETTING_DATAGRAM_DRAFT04 0xffd277
#define SETTING_WEBTRANSPORT     0x2b603742        /* ENABLE_WEBTRANSPORT, draft-ietf-webtrans-http3-02 */
#define SETTING_SESSIONS         0xc671706a        /* WEBTRANSPORT_MAX_SESSIONS, draft 07 */
#define SETTING_RESERVED         (0x1f * 7 + 0x21) /* means nothing, RFC 9114 section 7.2.4.1 */

/* ---- Ours ------------------------------------------------------------------------------------------------------- */

static size_t put(uint8_t *ret, uint64_t id, uint64_t value)
{
    size_t len = h3_varint_write(ret, id);
    return len + h3_varint_write(ret + len, value);
}

static size_t write_settings(const roam_h3 *h3, uint8_t ret[128])
{
    uint8_t payload[96];
    size_t len = put(payload, SETTING_SECTION_BYTES, h3->config.max_section_bytes);
    len += put(payload + len, SETTING_QPACK_TABLE, h3->config.qpack_table_bytes);
    len += put(payload + len, SETTING_BLOCKED_STREAMS, 0);
    if (h3->server && h3->config.connect_protocol)
        len += put(payload + len, SETTING_CONNECT_PROTOCOL, 1);
    if (h3->config.datagrams)
        len += put(payload + len, SETTING_DATAGRAM, 1);
    if (h3->config.webtransport_sessions > 0) {
        len += put(payload + len, SETTING_DATAGRAM_DRAFT04, 1);
        len += put(payload + len, SETTING_WEBTRANSPORT, 1);
        len += put(payload + len, SETTING_SESSIONS, h3->config.webtransport_sessions);
    }
    len += put(payload + len, SETTING_RESERVED, 0);
    size_t head = h3_varint_write(ret, 0x00); /* the type of a control stream */
    head += put(ret + head, H3_FRAME_SETTINGS, len);
    memcpy(ret + head, payload, len);
    return head + len;
}

/* nghttp3 begins the control stream with settings of its own, of which it knows fewer: they are left out. */
static bool skip_settings(roam_h3 *h3)
{
    nghttp3_vec vec[8];
    int64_t id;
    int fin;
    nghttp3_ssize n = nghttp3_conn_writev_stream(h3->ng, &id, &fin, vec, 8);
    if (n < 0 || id != (int64_t)roam_stream_id(h3->control))
        return false;
    size_t len = (size_t)nghttp3_vec_len(vec, (size_t)n);
    return nghttp3_conn_add_write_offset(h3->ng, id, len) == 0 && nghttp3_conn_add_ack_offset(h3->ng, id, len) == 0;
}

roam_result h3_open_critical(roam_h3 *h3)
{
    roam_result result = ROAM_OK;
    h3->control = roam_stream_open(h3->conn, true, &result);
    if (h3->control != NULL)
        h3->encoder = roam_stream_open(h3->conn, true, &result);
    if (h3->encoder != NULL)
        h3->decoder = roam_stream_open(h3->conn, true, &result);
    if (h3->decoder == NULL)
        return result;
    roam_stream *const critical[] = {h3->control, h3->encoder, h3->decoder};
    for (size_t i = 0; i < 3; i++) // others wait for what they say
        roam_stream_set_priority(critical[i], 0, true);
    uint8_t settings[128];
    size_t len = write_settings(h3, settings);
    if (roam_stream_write(h3->control, settings, len) != (ptrdiff_t)len)
        return ROAM_ERR_MEMORY;
    int64_t encoder = (int64_t)roam_stream_id(h3->encoder), decoder = (int64_t)roam_stream_id(h3->decoder);
    if (nghttp3_conn_bind_control_stream(h3->ng, (int64_t)roam_stream_id(h3->control)) != 0 || !skip_settings(h3) ||
        nghttp3_conn_bind_qpack_streams(h3->ng, encoder, decoder) != 0)
        return ROAM_ERR_MEMORY;
    h3_flush(h3);
    return ROAM_OK;
}

/* ---- The peer's ------------------------------------------------------------------------------------------------- */

static void feed(struct h3_stream *stream, const uint8_t *data, size_t len)
{
    nghttp3_ssize n = nghttp3_conn_read_stream(stream->h3->ng, (int64_t)stream->id, data, len, 0);
    if (n < 0)
        h3_fail_nghttp3(stream->h3, (int)n);
}

static bool apply_setting(roam_h3 *h3, uint64_t id, uint64_t value)
{
    switch (id) {
    case SETTING_QPACK_TABLE:
        h3->peer.qpack_table_bytes = value;
        return true;
    case SETTING_SECTION_BYTES:
        h3->peer.max_section_bytes = value;
        return true;
    case SETTING_BLOCKED_STREAMS:
        h3->peer.qpack_blocked_streams = value;
        return true;
    case SETTING_CONNECT_PROTOCOL:
        h3->peer.connect_protocol = value == 1;
        return value <= 1;
    case SETTING_WEBTRANSPORT:
        if (value == 1 && h3->peer.webtransport_sessions == 0)
            h3->peer.webtransport_sessions = UINT64_MAX;
        return value <= 1;
    case SETTING_SESSIONS:
        h3->peer.webtransport_sessions = value;
        return true;
    case SETTING_DATAGRAM:
    case SETTING_DATAGRAM_DRAFT04:
        h3->peer.datagrams |= value == 1;
        // RFC 9297 section 2.1.1: nobody says so who takes no DATAGRAM frames.
        return value == 0 || (value == 1 && roam_conn_datagram_bytes(h3->conn) > 0);
    default:
        return true;
    }
}

/* RFC 9114 section 7.2.4: no setting comes twice. */
static bool came_before(const uint8_t *data, const uint8_t *end, uint64_t wanted)
{
    uint64_t id, value;
    for (size_t len = (size_t)(end - data);
         h3_varint_parse(&data, &len, &id) && h3_varint_parse(&data, &len, &value);) {
        if (id == wanted)
            return true;
    }
    return false;
}

static void take_settings(roam_h3 *h3, const uint8_t *data, size_t len)
{
    const uint8_t *const start = data;
    while (len > 0) {
        const uint8_t *const here = data;
        uint64_t id, value;
        if (!h3_varint_parse(&data, &len, &id) || !h3_varint_parse(&data, &len, &value)) {
            h3_fail(h3, ROAM_H3_FRAME_ERROR, "SETTINGS is cut short");
            return;
        }
        if (came_before(start, here, id) || !apply_setting(h3, id, value)) {
            h3_fail(h3, ROAM_H3_SETTINGS_ERROR, "a setting that makes no sense, or came twice");
            return;
        }
    }
    h3->peer.received = true;
    LIST_FOR_EACH(node, &h3->all) // some may have waited for it
    h3_wake((struct h3_stream *)((char *)node - offsetof(struct h3_stream, all)));
}

/* nghttp3 keeps a priority for a request that is yet to come. Here it does so only for those near, and not for those that are
 * gone, some of which it has never heard of. */
static bool is_of_no_use(const roam_h3 *h3, const uint8_t *data, size_t len)
{
    uint64_t id;
    if (!h3_varint_parse(&data, &len, &id) || id % 4 != 0)
        return false;
    return id >= h3->next_id + 4 * h3->config.max_requests || (id < h3->next_id && h3_find_request(h3, id) == NULL);
}

/* nghttp3 has taken a PRIORITY_UPDATE. */
static void prioritize(roam_h3 *h3, const uint8_t *data, size_t len)
{
    uint64_t id;
    struct h3_stream *request = h3_varint_parse(&data, &len, &id) ? h3_find_request(h3, id) : NULL;
    if (request != NULL && request->known)
        h3_apply_priority(request);
}

static void take_frame(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    const uint8_t *payload = h3->control_frame;
    if (stream->frame.type == H3_FRAME_PRIORITY_UPDATE && h3->server && h3->peer.received &&
        is_of_no_use(h3, payload, h3->control_len))
        return;
    feed(stream, stream->frame.head, stream->frame.head_len);
    if (h3->failure == 0 && h3->control_len > 0)
        feed(stream, payload, h3->control_len);
    if (h3->failure == 0 && stream->frame.type == H3_FRAME_SETTINGS)
        take_settings(h3, payload, h3->control_len);
    else if (h3->failure == 0 && stream->frame.type == H3_FRAME_PRIORITY_UPDATE)
        prioritize(h3, payload, h3->control_len);
}

/* Frames that nobody knows are skipped, RFC 9114 section 9. Those that must not be there have small numbers, and are
 * nghttp3's affair. */
static bool is_unknown(uint64_t type)
{
    return type > H3_FRAME_MAX_PUSH_ID && type != H3_FRAME_PRIORITY_UPDATE && type != H3_FRAME_PRIORITY_UPDATE + 1;
}

static void begin_control_frame(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    h3->control_len = 0;
    if (!h3->peer.received && stream->frame.type != H3_FRAME_SETTINGS)
        h3_fail(h3, ROAM_H3_MISSING_SETTINGS, "the control stream does not begin with SETTINGS");
    else if (!is_unknown(stream->frame.type) && stream->frame.left > H3_CONTROL_BYTES)
        h3_fail(h3, ROAM_H3_EXCESSIVE_LOAD, "a control frame is too large");
}

static void take_control(struct h3_stream *stream, const uint8_t *data, size_t len)
{
    roam_h3 *h3 = stream->h3;
    struct h3_frame *frame = &stream->frame;
    while (len > 0 && h3->failure == 0) {
        if (!frame->has_length) {
            size_t taken = h3_frame_head(frame, data, len);
            data += taken;
            len -= taken;
            if (!frame->has_length)
                return;
            begin_control_frame(stream);
            if (h3->failure != 0)
                return;
        }
        size_t run = frame->left < len ? (size_t)frame->left : len;
        if (!is_unknown(frame->type)) {
            memcpy(h3->control_frame + h3->control_len, data, run);
            h3->control_len += run;
        }
        data += run;
        len -= run;
        frame->left -= run;
        if (frame->left == 0) {
            if (!is_unknown(frame->type))
                take_frame(stream);
            memset(frame, 0, sizeof(*frame));
        }
    }
}

/* RFC 9114 section 6.2. One of a type that nobody knows is given up without ado; its octets are not even looked at. False
 * where there is nothing more to read of it, now or ever. */
static bool take_type(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    struct h3_frame *frame = &stream->frame;
    enum h3_gathered gathered = h3_gather_type(stream);
    if (gathered == H3_GATHERED_END)
        h3_remove(stream);
    if (gathered != H3_GATHERED_TYPE)
        return false;
    if (h3_webtransport_is_type(stream)) {
        h3_webtransport_begin(stream);
        return false;
    }
    static const enum h3_kind kinds[] = {H3_CONTROL_STREAM, H3_UNTYPED_STREAM, H3_ENCODER_STREAM, H3_DECODER_STREAM};
    bool *const has[] = {&h3->has_control, NULL, &h3->has_encoder, &h3->has_decoder};
    if (frame->type >= sizeof(kinds) / sizeof(kinds[0])) {
        roam_stream_stop(stream->quic, ROAM_H3_STREAM_CREATION_ERROR);
        h3_remove(stream);
        return false;
    }
    if (frame->type == 1) {
        // A push that nobody allowed: RFC 9114 sections 4.6 and 6.2.2.
        h3_fail(h3, h3->server ? ROAM_H3_STREAM_CREATION_ERROR : ROAM_H3_ID_ERROR, "a push stream");
        return false;
    }
    if (*has[frame->type]) {
        h3_fail(h3, ROAM_H3_STREAM_CREATION_ERROR, "a second critical stream of one type");
        return false;
    }
    *has[frame->type] = true;
    stream->kind = kinds[frame->type];
    feed(stream, frame->head, frame->head_len);
    memset(frame, 0, sizeof(*frame));
    return h3->failure == 0;
}

void h3_read_critical(struct h3_stream *stream)
{
    roam_h3 *h3 = stream->h3;
    if (stream->kind == H3_UNTYPED_STREAM && !take_type(stream))
        return;
    while (h3->failure == 0) {
        const uint8_t *data;
        bool end = false;
        ptrdiff_t n = roam_stream_peek(stream->quic, &data, &end);
        if (n < 0 || (n == 0 && end)) {
            h3_fail(h3, ROAM_H3_CLOSED_CRITICAL_STREAM, "a critical stream has ended");
            return;
        }
        if (n == 0)
            return;
        if (stream->kind == H3_CONTROL_STREAM)
            take_control(stream, data, (size_t)n);
        else
            feed(stream, data, (size_t)n);
        roam_stream_consume(stream->quic, (size_t)n);
    }
}
