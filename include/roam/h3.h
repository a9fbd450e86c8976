/*
 * roam/h3.h - HTTP/3 (RFC 9114) on a connection of roam: requests and responses, streamed both ways, with trailers,
 * informational responses, priorities (RFC 9218), extended CONNECT (RFC 9220) and HTTP datagrams (RFC 9297).
 *
 * A roam_h3 takes a roam_conn whose ALPN is "h3", from ROAM_EVENT_CONNECTED on (or from ROAM_EVENT_EARLY_DATA_READY and
 * ROAM_EVENT_EARLY_DATA_ACCEPTED on, see roam_h3_config.unsafe_early), and is fed the events of that connection:
 *
 *     while (roam_io_next(io, &event, ROAM_TIME_NEVER)) {
 *         if (event.type == ROAM_EVENT_CONNECTED)
 *             h3 = roam_h3_new(event.conn, NULL, &result);
 *         else if (h3 != NULL && roam_h3_on_event(h3, event.time, &event))
 *             while (roam_h3_next_event(h3, event.time, &h3_event)) { switch (h3_event.type) { ... } }
 *     }
 *
 * The streams and the datagrams of the connection are then its own: the application names a request by its stream id.
 *
 * Nothing is read ahead. Octets of a message stay in the QUIC stream's receive buffer, and use up its flow control, until
 * roam_h3_next_event or roam_h3_read asks for them; at most one header section is decoded at a time. What is written goes
 * to the QUIC stream's send buffer (roam_config.stream_buffer_bytes), and at most one DATA frame of 16 KiB waits before it.
 *
 * Every call may find that the peer has broken the protocol. The connection is then closed with the H3 error code by the
 * next roam_h3_on_event or roam_h3_next_event, and ROAM_EVENT_CLOSED says so.
 */
#ifndef ROAM_H3_H
#define ROAM_H3_H

#include <roam/roam.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What config.alpn says for HTTP/3. */
#define ROAM_H3_ALPN "h3"

/* Error codes, RFC 9114 section 8.1 and RFC 9204 section 6. */
enum roam_h3_error {
    ROAM_H3_NO_ERROR = 0x0100,
    ROAM_H3_GENERAL_PROTOCOL_ERROR = 0x0101,
    ROAM_H3_INTERNAL_ERROR = 0x0102,
    ROAM_H3_STREAM_CREATION_ERROR = 0x0103,
    ROAM_H3_CLOSED_CRITICAL_STREAM = 0x0104,
    ROAM_H3_FRAME_UNEXPECTED = 0x0105,
    ROAM_H3_FRAME_ERROR = 0x0106,
    ROAM_H3_EXCESSIVE_LOAD = 0x0107,
    ROAM_H3_ID_ERROR = 0x0108,
    ROAM_H3_SETTINGS_ERROR = 0x0109,
    ROAM_H3_MISSING_SETTINGS = 0x010a,
    ROAM_H3_REQUEST_REJECTED = 0x010b,
    ROAM_H3_REQUEST_CANCELLED = 0x010c,
    ROAM_H3_REQUEST_INCOMPLETE = 0x010d,
    ROAM_H3_MESSAGE_ERROR = 0x010e,
    ROAM_H3_CONNECT_ERROR = 0x010f,
    ROAM_H3_VERSION_FALLBACK = 0x0110,
    ROAM_H3_DATAGRAM_ERROR = 0x33,
    ROAM_QPACK_DECOMPRESSION_FAILED = 0x0200,
    ROAM_QPACK_ENCODER_STREAM_ERROR = 0x0201,
    ROAM_QPACK_DECODER_STREAM_ERROR = 0x0202,
    ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED = 0x3994bd84, /* draft-ietf-webtrans-http3 */
    ROAM_H3_WEBTRANSPORT_SESSION_GONE = 0x170d7b68,
};

/* "H3_FRAME_ERROR", ...; "H3_UNKNOWN" for what nobody named: never NULL, static. */
ROAM_API const char *roam_h3_error_name(uint64_t code);

/* ---- Making one ------------------------------------------------------------------------------------------------ */

typedef struct roam_h3 roam_h3;

typedef struct roam_h3_config {
    size_t size; /* of this structure: roam_h3_config_init sets it */
    /* The largest header or trailer section that is taken: names and values with 32 octets for each field, as RFC 9114
     * section 4.2.2 counts. The peer is told. A message beyond it is reset with H3_EXCESSIVE_LOAD, and an encoded section
     * of more octets than that is not even read. Default 64 KiB, at most 1 MiB. */
    size_t max_section_bytes;
    size_t max_fields; /* in a section, pseudo-header fields included; default 128 */
    /* Requests that a server serves at a time; those beyond are reset with H3_REQUEST_REJECTED and never shown. Default
     * 100. */
    size_t max_requests;
    size_t qpack_table_bytes; /* of each direction's dynamic table, RFC 9204; default 4096, 0: none */
    bool connect_protocol;    /* a server takes extended CONNECT; default true */
    /* HTTP datagrams both ways. To be set only where the connection was configured to take DATAGRAM frames
     * (roam_config.max_datagram_frame_bytes): a peer ends the connection where HTTP/3 promises what QUIC did not (RFC 9297
     * section 2.1.1). Default false. */
    bool datagrams;
    /* In early data (roam_config.early_data) somebody may ask twice for what was asked once. So before the handshake is
     * complete a client takes requests with safe methods only (GET, HEAD, OPTIONS, TRACE), and a server answers the others
     * with 425 (Too Early, RFC 8470 section 5.2) without showing them. True: they are taken, and the application cares
     * (roam_h3_event.early). Default false. */
    bool unsafe_early;
    /* WebTransport sessions: how many a server serves at a time, those beyond are reset with H3_REQUEST_REJECTED and never
     * shown; for a client, how many it has. Wants `datagrams`, as sessions do. Default 0: no WebTransport. */
    size_t webtransport_sessions;
} roam_h3_config;

ROAM_API void roam_h3_config_init(roam_h3_config *ret);

/* Begins HTTP/3 on a connection whose handshake is complete, or that has early data: client or server as the connection is. `config` NULL: the
 * defaults. On failure NULL, with why in *ret_result (may be NULL): ROAM_ERR_CONFIG, ROAM_ERR_MEMORY, ROAM_ERR_STATE
 * before streams may be used, ROAM_ERR_LIMIT where the peer does not allow the three unidirectional streams that
 * HTTP/3 stands on (RFC 9114 section 6.2). */
ROAM_API roam_h3 *roam_h3_new(roam_conn *conn, const roam_h3_config *config, roam_result *ret_result);

/* Frees it with its handles of streams, to be called before roam_conn_free. Does not close the connection. NULL is
 * allowed. */
ROAM_API void roam_h3_free(roam_h3 *h3);

ROAM_API roam_conn *roam_h3_conn(const roam_h3 *h3);

/* Takes an event of the connection. True where it was HTTP/3's own, that is of a stream or of datagrams: then ask
 * roam_h3_next_event. False for all others, and for those of other connections; ROAM_EVENT_CLOSED, too, is the
 * application's. */
ROAM_API bool roam_h3_on_event(roam_h3 *h3, roam_time now, const roam_event *event);

/* ---- What happens ---------------------------------------------------------------------------------------------- */

/* A field, RFC 9110 section 5: the name in lower case. What the library hands out is also NUL-terminated. */
typedef struct roam_h3_field {
    const char *name, *value;
    size_t name_len, value_len;
    bool sensitive; /* is never put into a compression table, RFC 9204 section 7.1.3 */
} roam_h3_field;

typedef enum roam_h3_event_type {
    ROAM_H3_EVENT_NONE,
    ROAM_H3_EVENT_SETTINGS,      /* the peer's settings came: roam_h3_peer_settings */
    ROAM_H3_EVENT_REQUEST,       /* a server: the header section of a request. It is answered by roam_h3_respond */
    ROAM_H3_EVENT_INFORMATIONAL, /* a client: an informational response, `status` 1xx; others follow */
    ROAM_H3_EVENT_RESPONSE,      /* a client: the header section of the final response */
    ROAM_H3_EVENT_DATA,          /* roam_h3_read has something: once until it has returned 0 */
    ROAM_H3_EVENT_TRAILERS,      /* after the last of the content */
    ROAM_H3_EVENT_END,           /* the message is complete */
    ROAM_H3_EVENT_WRITABLE,      /* a roam_h3_write that was cut short can go on */
    /* The message will not be completed: the peer's stream was reset with `code`, or was malformed and is reset by us with
     * `code` (`local` true). A response may still be sent where the peer reset. */
    ROAM_H3_EVENT_RESET,
    ROAM_H3_EVENT_STOPPED, /* the peer will not read on, with `code`: nothing more can be written */
    /* Both directions are at an end and all that was written was acknowledged or given up. The last of a stream, which is
     * forgotten with the next call: its user pointer may be freed. */
    ROAM_H3_EVENT_CLOSED,
    /* The peer goes away, RFC 9114 section 5.2. A client sends no more requests on this connection; those with ids from
     * `stream_id` on were not processed and may be repeated elsewhere (2^62 - 4: all will be for now). For a server
     * `stream_id` is a push id, and means nothing here. */
    ROAM_H3_EVENT_GOAWAY,
    ROAM_H3_EVENT_DATAGRAM,          /* `data`, `data_len`, of the request `stream_id` */
    ROAM_H3_EVENT_DATAGRAM_WRITABLE, /* roam_h3_send_datagram, which found the queue full, has room again */
    /* roam_h3_request, which was at the peer's limit, can go on; on both sides roam_h3_webtransport_open likewise */
    ROAM_H3_EVENT_REQUESTS_AVAILABLE,
    /* The peer has opened the stream `stream_id` in the session `session_id`. The first of such a stream, DATA, END, WRITABLE,
     * RESET, STOPPED and CLOSED follow as for requests. */
    ROAM_H3_EVENT_WEBTRANSPORT_STREAM,
    ROAM_H3_EVENT_WEBTRANSPORT_DRAINING, /* the peer asks to bring the session `stream_id` to an end */
    /* The peer has ended the session `stream_id`, with `code` and a reason in `data`, `data_len`, which is UTF-8 of at most
     * 1,024 octets (or was not there: 0 and none). Its streams are gone, of each CLOSED is all that still comes. */
    ROAM_H3_EVENT_WEBTRANSPORT_CLOSED,
    ROAM_H3_EVENT_TYPES
} roam_h3_event_type;

/* "request", ...: never NULL, static. */
ROAM_API const char *roam_h3_event_name(roam_h3_event_type type);

/* All pointers are valid until the next call on this roam_h3. */
typedef struct roam_h3_event {
    roam_h3_event_type type;
    uint64_t stream_id; /* 0 too is a stream's: see the type */
    void *user;         /* the pointer of this stream */
    uint64_t code;      /* RESET, STOPPED, WEBTRANSPORT_CLOSED: an application error code */
    bool local;         /* RESET: we found fault with it */
    bool fin;           /* REQUEST, RESPONSE, TRAILERS: nothing follows; END comes nevertheless */
    int status;         /* INFORMATIONAL, RESPONSE */
    /* REQUEST: the pseudo-header fields, NULL where there was none. A request without one that it must have (RFC 9114
     * section 4.3.1) is malformed, and is reset with H3_MESSAGE_ERROR without being shown. */
    const char *method, *scheme, *authority, *path, *protocol;
    const roam_h3_field *fields; /* REQUEST, INFORMATIONAL, RESPONSE, TRAILERS: the others, as they came */
    size_t field_count;
    const uint8_t *data; /* DATAGRAM, WEBTRANSPORT_CLOSED */
    size_t data_len;
    bool early;          /* REQUEST: the handshake is not complete, and who asks may have copied it (RFC 8470) */
    uint64_t session_id; /* of a WebTransport stream: its session's stream */
} roam_h3_event;

/* Takes the next event. Returns false, *ret untouched, where none waits: then more comes with the connection's events.
 * Events of one stream come in order. */
ROAM_API bool roam_h3_next_event(roam_h3 *h3, roam_time now, roam_h3_event *ret);

typedef struct roam_h3_settings {
    bool received;              /* false: the peer has not said yet, and the rest are what holds until then */
    uint64_t max_section_bytes; /* SETTINGS_MAX_FIELD_SECTION_SIZE; UINT64_MAX: no limit */
    uint64_t qpack_table_bytes, qpack_blocked_streams;
    bool connect_protocol; /* SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 9220 */
    bool datagrams;        /* SETTINGS_H3_DATAGRAM, RFC 9297 */
    /* WebTransport sessions that it takes at a time; 0: none; UINT64_MAX: it has named no number (SETTINGS_ENABLE_WEBTRANSPORT
     * alone) */
    uint64_t webtransport_sessions;
} roam_h3_settings;

ROAM_API void roam_h3_peer_settings(const roam_h3 *h3, roam_h3_settings *ret);

/* ---- Sending --------------------------------------------------------------------------------------------------- */

/* What a client asks for. NULL members are left out; `protocol` makes it an extended CONNECT. A plain CONNECT has a
 * method and an authority. */
typedef struct roam_h3_request_head {
    const char *method, *scheme, *authority, *path, *protocol;
} roam_h3_request_head;

/* Sends a request: its head and n fields (all are copied), which is all of it where `fin` is set; else content follows by
 * roam_h3_write. Returns the id of its stream, or ROAM_ERR_LIMIT where the peer allows no more now
 * (ROAM_H3_EVENT_REQUESTS_AVAILABLE tells when it does), ROAM_ERR_STATE on a server or after a GOAWAY either way, or with an unsafe method in early data,
 * ROAM_ERR_CONFIG where a name or a value is not one that a field may have (upper-case names among them) or a pseudo-header
 * field is missing or stands among the fields, ROAM_ERR_UNSUPPORTED for extended CONNECT where the peer's settings have not
 * allowed it, ROAM_ERR_TOO_LARGE beyond the peer's max_section_bytes, ROAM_ERR_CLOSED, ROAM_ERR_MEMORY. */
ROAM_API int64_t roam_h3_request(roam_h3 *h3, const roam_h3_request_head *head, const roam_h3_field *fields, size_t n,
                                 bool fin, void *user);

/* Sends the final response (status 200..999) of a server, or an informational one (100..199 without 101, any number before
 * the final one; `fin` must be false). Errors as of roam_h3_request; ROAM_ERR_STATE where the final one was sent before. */
ROAM_API roam_result roam_h3_respond(roam_h3 *h3, uint64_t stream_id, int status, const roam_h3_field *fields, size_t n,
                                     bool fin);

/* Takes up to len octets of content and returns how many: fewer where the stream's buffer is full, and
 * ROAM_H3_EVENT_WRITABLE tells when to go on. The octets are copied. `fin` ends the message when all were taken; len may
 * then be 0. ROAM_ERR_STATE before the head or after the end, ROAM_ERR_CLOSED after a reset or ROAM_H3_EVENT_STOPPED. */
ROAM_API ptrdiff_t roam_h3_write(roam_h3 *h3, uint64_t stream_id, const void *data, size_t len, bool fin);

/* Ends the message with trailers instead of `fin`. Errors as of roam_h3_respond. */
ROAM_API roam_result roam_h3_trailers(roam_h3 *h3, uint64_t stream_id, const roam_h3_field *fields, size_t n);

/* ---- Receiving ------------------------------------------------------------------------------------------------- */

/* Copies up to `cap` octets of content into buf and returns how many; the peer is given credit for just those. 0 says that
 * nothing is there now: more is told by ROAM_H3_EVENT_DATA, the end by ROAM_H3_EVENT_TRAILERS and ROAM_H3_EVENT_END.
 * ROAM_ERR_CLOSED after a reset by either side, or where this call has found the message malformed: ROAM_H3_EVENT_RESET
 * follows then. */
ROAM_API ptrdiff_t roam_h3_read(roam_h3 *h3, uint64_t stream_id, void *buf, size_t cap);

/* ---- Streams --------------------------------------------------------------------------------------------------- */

/* Gives up both directions: RESET_STREAM, and STOP_SENDING where the peer still sends, with an H3 error code
 * (H3_REQUEST_CANCELLED is a client's usual one). ROAM_H3_EVENT_CLOSED is all that still comes. */
ROAM_API void roam_h3_reset(roam_h3 *h3, uint64_t stream_id, uint64_t code);

/* Reads no more of the message, and asks the peer to send no more (a server that answers early uses H3_NO_ERROR,
 * RFC 9114 section 4.1.1). Sending goes on. */
ROAM_API void roam_h3_stop(roam_h3 *h3, uint64_t stream_id, uint64_t code);

/* The application's own pointer of a stream; NULL for streams that are not there. */
ROAM_API void *roam_h3_user(const roam_h3 *h3, uint64_t stream_id);
ROAM_API void roam_h3_set_user(roam_h3 *h3, uint64_t stream_id, void *user);

/* How urgent a response is, RFC 9218 section 4: 0 (most) to 7, 3 where nobody said; and whether parts of it are of use. A
 * server's octets leave in this order: the urgent before all others, those that are of use only when whole one after the
 * other, the incremental in turns. */
typedef struct roam_h3_priority {
    uint8_t urgency;
    bool incremental;
} roam_h3_priority;

/* The longest value of a priority field, "u=7, i", with its NUL. */
#define ROAM_H3_PRIORITY_BYTES 8

/* The `priority` field by which a client says with its request how urgent the response is; its value is written to `ret`.
 * An urgency beyond 7 is taken for 7. */
ROAM_API roam_h3_field roam_h3_priority_field(const roam_h3_priority *priority, char ret[ROAM_H3_PRIORITY_BYTES]);

/* A server: what the client said in a priority field or a PRIORITY_UPDATE, or what was set here. ROAM_ERR_ADDRESS where
 * there is no such request, ROAM_ERR_STATE on a client. */
ROAM_API roam_result roam_h3_get_priority(const roam_h3 *h3, uint64_t stream_id, roam_h3_priority *ret);

/* A client sends PRIORITY_UPDATE, and orders its own content likewise; a server overrides what the client says. For a
 * WebTransport stream it orders what we send, and nobody is told. ROAM_ERR_ADDRESS, ROAM_ERR_CONFIG. */
ROAM_API roam_result roam_h3_set_priority(roam_h3 *h3, uint64_t stream_id, const roam_h3_priority *priority);

/* Requests of which both directions are not yet at an end. */
ROAM_API size_t roam_h3_open_requests(const roam_h3 *h3);

/* ---- Going away ------------------------------------------------------------------------------------------------ */

/* Sends GOAWAY, RFC 9114 section 5.2. A server calls it twice: first it tells that it will go, and still takes requests
 * that are on their way; then, a round trip or more later, it names the first request that it does not take, and resets
 * such with H3_REQUEST_REJECTED. A client's one call says that it sends no more. The messages under way are completed:
 * when roam_h3_open_requests is 0, close the connection with H3_NO_ERROR. ROAM_ERR_CLOSED, ROAM_ERR_MEMORY. */
ROAM_API roam_result roam_h3_shutdown(roam_h3 *h3);

/* ---- HTTP datagrams, RFC 9297 ---------------------------------------------------------------------------------- */

/* Sends a datagram that belongs to the request `stream_id` (Quarter Stream ID, RFC 9297 section 2.1). ROAM_ERR_UNSUPPORTED
 * where one side has not said that it takes them, ROAM_ERR_ADDRESS where there is no such request or we have ended our message (RFC 9297 section 2.1),
 * ROAM_ERR_TOO_LARGE
 * beyond roam_h3_datagram_bytes, and errors as of roam_conn_send_datagram. */
ROAM_API roam_result roam_h3_send_datagram(roam_h3 *h3, roam_time now, uint64_t stream_id, const void *data,
                                           size_t len);

/* The octets of the largest that can be sent for this request now; 0: none can. */
ROAM_API size_t roam_h3_datagram_bytes(const roam_h3 *h3, uint64_t stream_id);

/* Datagrams that came for no request of ours and were dropped. */
ROAM_API uint64_t roam_h3_datagrams_dropped(const roam_h3 *h3);

/* ---- WebTransport, draft-ietf-webtrans-http3 ---------------------------------------------------------------------
 *
 * As browsers speak it today: drafts 02 to 07. Where roam_h3_config.webtransport_sessions is not 0, a request by CONNECT
 * with the protocol "webtransport" asks for a session: the client sends it by roam_h3_request, ROAM_ERR_UNSUPPORTED where
 * the server's settings have not allowed it, ROAM_ERR_LIMIT where it serves no more; the server answers
 * ROAM_H3_EVENT_REQUEST by roam_h3_respond. A status of 200 to 299 opens the session (`fin` must be false), of which
 * ROAM_H3_EVENT_RESPONSE tells the client; any other is an ordinary response. The fields by which both agree on the draft
 * are added.
 *
 * The id of the request's stream is the session's. Datagrams are HTTP datagrams of that stream. Its content is the
 * library's: roam_h3_write, roam_h3_read and roam_h3_trailers give ROAM_ERR_STATE for it.
 *
 * Streams of a session are written, read, ended and stopped by the same calls as requests, by their own ids; roam_h3_write
 * gives ROAM_ERR_STATE where only the peer sends, roam_h3_read where only we do. Their error codes are the application's, of
 * 32 bits, which the library maps to those of HTTP/3 and back. Streams that come before their session is open wait for it,
 * unread, 16 at most on a connection; those beyond, and those for what is no session, are reset with
 * WEBTRANSPORT_BUFFERED_STREAM_REJECTED.
 *
 * A server that takes sessions looks at no request before the client's SETTINGS came, as they decide on what is asked. */

/* `protocol` of the request. */
#define ROAM_H3_WEBTRANSPORT "webtransport"

/* `code` in RESET and STOPPED where the peer's was no application's, for instance as its session was gone. */
#define ROAM_H3_WEBTRANSPORT_NO_CODE UINT64_MAX

/* The longest reason of roam_h3_webtransport_close. */
#define ROAM_H3_WEBTRANSPORT_REASON_MAX 1024

/* Opens a stream in a session, by either side, and returns its id. ROAM_ERR_LIMIT where the peer allows no more streams now
 * (ROAM_H3_EVENT_REQUESTS_AVAILABLE tells when it does), ROAM_ERR_ADDRESS where there is no such session, ROAM_ERR_STATE
 * before it is open and after its end, ROAM_ERR_CLOSED, ROAM_ERR_MEMORY. */
ROAM_API int64_t roam_h3_webtransport_open(roam_h3 *h3, uint64_t session_id, bool unidirectional, void *user);

/* Gives up sending on a stream of a session, RESET_STREAM with this code; reading goes on. (roam_h3_stop gives up reading,
 * roam_h3_reset both.) */
ROAM_API void roam_h3_webtransport_reset(roam_h3 *h3, uint64_t stream_id, uint32_t code);

/* Ends a session with a code and a reason (UTF-8; NULL: none; ROAM_ERR_TOO_LARGE beyond 1,024 octets). What its streams have
 * not delivered is lost. ROAM_H3_EVENT_CLOSED of each is all that still comes. Errors as of roam_h3_webtransport_open;
 * ROAM_ERR_LIMIT where the stream's buffer is full. */
ROAM_API roam_result roam_h3_webtransport_close(roam_h3 *h3, uint64_t session_id, uint32_t code, const char *reason);

/* Asks the peer to bring the session to an end; nothing is enforced. Errors as of roam_h3_webtransport_close. */
ROAM_API roam_result roam_h3_webtransport_drain(roam_h3 *h3, uint64_t session_id);

/* Streams of sessions that were reset as nobody waited for them. */
ROAM_API uint64_t roam_h3_webtransport_streams_rejected(const roam_h3 *h3);

#ifdef __cplusplus
}
#endif

#endif
