/*
 * HTTP/3 on one connection: nghttp3 knows frames, QPACK and the rules of messages; this floor moves octets between it and
 * the streams of roam, and says when.
 *
 * nghttp3 takes whatever it is given. So that nothing is read ahead, the frames of request streams are recognized here
 * first (struct h3_frame), and nghttp3 is given them piece by piece: a header section when the application asks for the next
 * event, content when it reads. SETTINGS are written and read here, as nghttp3 0.8 does not know all of them.
 */
#ifndef H3_H3_H
#define H3_H3_H

#include <nghttp3/nghttp3.h>
#include <roam/h3.h>

#include "base/hash_map.h"
#include "base/list.h"

/* One DATA frame: what of a write may wait before the stream's own buffer. */
#define H3_CONTENT_BYTES ((size_t)16384)

/* A frame of the control stream that we understand is never larger, GOAWAY and PRIORITY_UPDATE by far. */
#define H3_CONTROL_BYTES ((size_t)1024)

#define H3_FRAME_DATA            0x00
#define H3_FRAME_HEADERS         0x01
#define H3_FRAME_CANCEL_PUSH     0x03
#define H3_FRAME_SETTINGS        0x04
#define H3_FRAME_PUSH_PROMISE    0x05
#define H3_FRAME_GOAWAY          0x07
#define H3_FRAME_MAX_PUSH_ID     0x0d
#define H3_FRAME_PRIORITY_UPDATE 0xf0700

/* How streams of WebTransport begin, draft-ietf-webtrans-http3 sections 4.1 and 4.2: before the id of their session. */
#define H3_FRAME_WEBTRANSPORT  0x41
#define H3_STREAM_WEBTRANSPORT 0x54

/* The fields by which both ends of a session agree on draft 02, which later drafts have no use for. */
#define H3_DRAFT02_ASKED "sec-webtransport-http3-draft02"
#define H3_DRAFT_TAKEN   "sec-webtransport-http3-draft"

/* Where in its frames a stream is. */
struct h3_frame {
    uint8_t head[16]; /* type and length as they came */
    uint8_t head_len;
    bool has_type, has_length;
    uint64_t type, left; /* left: of the payload */
};

enum h3_kind {
    H3_REQUEST_STREAM,
    H3_UNTYPED_STREAM,
    H3_CONTROL_STREAM,
    H3_ENCODER_STREAM,
    H3_DECODER_STREAM,
    H3_WEBTRANSPORT_STREAM,
};

struct h3_stream {
    roam_h3 *h3;
    roam_stream *quic;
    uint64_t id;
    enum h3_kind kind;
    void *user;
    struct list_node all, ready;
    struct h3_frame frame;

    /* What is to be told, in the order in which h3_stream_next looks. */
    bool readable, writable, reset, reset_locally, stopped;
    bool shown; /* the application knows of it */
    bool known; /* nghttp3 does */
    bool data_told;
    bool has_head, has_trailers;
    bool received; /* the receiving direction is at its end */
    bool sent;     /* the sending one is */
    bool head_sent, ended, trailers_sent;
    bool blocked; /* roam's buffer was full */
    bool write_was_short;
    bool rejected;  /* nghttp3 found fault with the message */
    bool complete;  /* nghttp3 has seen the end of the message */
    bool end_waits; /* for the datagrams that came before it */
    uint64_t reset_code, stop_code, code;

    uint8_t *content; /* what nghttp3 was given to send and has not passed on */
    size_t content_len, content_left;
    bool content_offered;

    struct h3_session *session; /* a request's: the session that it asks for, or is; else NULL */
    uint64_t session_id;        /* a WebTransport stream's: it belongs to that session, */
    struct h3_session *of;      /* which is not there yet, or any more: NULL */
    struct list_node sibling;   /* on its session's list, or on h3->early while it waits for it */
};

/* The longest CLOSE_WEBTRANSPORT_SESSION: a code and a reason. */
#define H3_CLOSE_BYTES (4 + ROAM_H3_WEBTRANSPORT_REASON_MAX)

struct h3_session {
    struct h3_stream *stream; /* the request */
    struct list_node streams;
    bool draft02; /* the client has asked for it */
    bool open;
    bool draining;          /* to be told */
    bool close_came, ended; /* by the peer: with a capsule, and in any way */
    bool over;              /* the application knows of its end: there are no streams */
    struct h3_frame capsule;
    uint8_t said[H3_CLOSE_BYTES];
    size_t said_len;
};

/* The header or trailer section that is being decoded. */
struct h3_section {
    char *bytes;
    size_t len, capacity;
    roam_h3_field *fields;
    size_t count, field_capacity;
    size_t counted; /* as RFC 9114 section 4.2.2 counts */
    bool begun, ended, too_large, out_of_memory;
    bool trailers;
};

struct roam_h3 {
    roam_conn *conn;
    roam_h3_config config;
    nghttp3_conn *ng;
    bool server;
    roam_time now;
    struct hash_map streams; /* by id */
    roam_allocator allocator;
    struct list_node all, ready;
    struct h3_stream *doomed; /* told as closed; forgotten by the next call */
    roam_stream *control, *encoder, *decoder;
    bool has_control, has_encoder, has_decoder; /* the peer's */
    size_t open_requests;
    uint64_t next_id;       /* the first request that was not looked at yet */
    uint64_t first_refused; /* requests from here on are not served; UINT64_MAX: all are */
    unsigned shutdowns;

    uint64_t failure; /* an H3 error code for CONNECTION_CLOSE; 0: none */
    const char *failure_reason;
    bool closed;

    roam_h3_settings peer;
    bool settings_told, goaway_told, goaway_received, datagrams_ready, datagram_writable, requests_available;
    uint64_t goaway_id;
    uint64_t datagrams_dropped;
    size_t sessions, early_count;
    struct list_node early; /* WebTransport streams that wait for their session */
    uint64_t streams_rejected;
    uint8_t control_frame[H3_CONTROL_BYTES];
    size_t control_len;

    struct h3_section section;
    uint8_t *sink; /* where roam_h3_read wants content */
    size_t sink_len;
    bool would_block;
};

/* connection.c. The first failure counts. */
void h3_fail(roam_h3 *h3, uint64_t code, const char *reason);
void h3_fail_nghttp3(roam_h3 *h3, int error);
bool h3_lives(const roam_h3 *h3);

/* streams.c */
struct h3_stream *h3_find(const roam_h3 *h3, uint64_t id);
struct h3_stream *h3_find_request(const roam_h3 *h3, uint64_t id);
struct h3_stream *h3_find_message(const roam_h3 *h3, uint64_t id);
struct h3_stream *h3_add(roam_h3 *h3, roam_stream *quic, enum h3_kind kind);
void h3_remove(struct h3_stream *stream);
void h3_wake(struct h3_stream *stream);
void h3_give_up(struct h3_stream *stream, uint64_t code);
void h3_reject_message(struct h3_stream *stream, uint64_t code);
bool h3_is_over(const struct h3_stream *stream);

void h3_shut_receiving(struct h3_stream *stream, uint64_t code);
void h3_shut_sending(struct h3_stream *stream, uint64_t code);
void h3_apply_priority(struct h3_stream *stream);

static inline bool h3_is_unidirectional(const struct h3_stream *stream)
{
    return (stream->id & 2) != 0;
}

/* untyped.c */
enum h3_gathered {
    H3_GATHERED_PART,
    H3_GATHERED_TYPE, /* stream->frame has it; a WebTransport stream's is followed by the session's id */
    H3_GATHERED_END,  /* it ended or was reset before */
};
void h3_opened(roam_h3 *h3, roam_stream *quic);
enum h3_gathered h3_gather_type(struct h3_stream *stream);
void h3_read_untyped(struct h3_stream *stream);

/* webtransport.c */
bool h3_webtransport_is_type(const struct h3_stream *stream);
void h3_webtransport_begin(struct h3_stream *stream);
void h3_webtransport_reject(struct h3_stream *stream, uint64_t code);
void h3_webtransport_reject_early(roam_h3 *h3, uint64_t session_id);
void h3_webtransport_take_early(struct h3_session *session);
void h3_webtransport_drop_streams(struct h3_session *session);
void h3_webtransport_forget(struct h3_stream *stream);
bool h3_webtransport_next(struct h3_stream *stream, roam_h3_event *ret);
ptrdiff_t h3_webtransport_read(struct h3_stream *stream, void *buf, size_t cap);
ptrdiff_t h3_webtransport_write(struct h3_stream *stream, const void *data, size_t len, bool fin);
uint64_t h3_webtransport_to_http(uint32_t code);
uint64_t h3_webtransport_from_http(uint64_t code);

/* session.c */
bool h3_session_new(struct h3_stream *stream);
void h3_session_free(struct h3_stream *stream);
roam_result h3_session_asked(const roam_h3 *h3, const char *protocol, bool fin, bool *ret);
bool h3_session_on_request(struct h3_stream *stream, const roam_h3_event *request);
void h3_session_abandon(struct h3_stream *stream);
bool h3_session_opens(const struct h3_stream *stream, int status);
void h3_session_on_status(struct h3_stream *stream, int status);
bool h3_session_swallows(struct h3_stream *stream, const roam_h3_event *event);
bool h3_session_next(struct h3_stream *stream, roam_h3_event *ret);
roam_result h3_session_find(const roam_h3 *h3, uint64_t id, struct h3_session **ret);

/* frames.c */
bool h3_varint_parse(const uint8_t **data, size_t *len, uint64_t *ret);
size_t h3_varint_write(uint8_t *ret, uint64_t value);
size_t h3_frame_head(struct h3_frame *frame, const uint8_t *data, size_t len);

/* section.c */
void h3_section_begin(struct h3_section *section, bool trailers);
int h3_section_add(roam_h3 *h3, nghttp3_rcbuf *name, nghttp3_rcbuf *value, uint8_t flags);
void h3_section_done(struct h3_section *section);
void h3_section_show(struct h3_section *section, roam_h3_event *ret);

/* callbacks.c */
extern const nghttp3_callbacks h3_callbacks;

/* control.c */
roam_result h3_open_critical(roam_h3 *h3);
void h3_read_critical(struct h3_stream *stream);

/* receive.c */
/* A request that nobody may take before the handshake is complete. */
bool h3_is_too_early(const roam_h3 *h3, const char *method);
bool h3_message_next(struct h3_stream *stream, roam_h3_event *ret);
size_t h3_content_read(struct h3_stream *stream, void *buf, size_t cap);

/* send.c */
void h3_flush(roam_h3 *h3);
ptrdiff_t h3_content_write(struct h3_stream *stream, const void *data, size_t len, bool fin);

/* datagrams.c */
bool h3_datagram_next(roam_h3 *h3, roam_h3_event *ret);

#endif
