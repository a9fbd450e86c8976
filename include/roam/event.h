/*
 * roam/event.h - what happened. Events wait in the endpoint's queue until roam_endpoint_poll takes them; nothing ever
 * calls back into the application. Events of one connection come in the order in which things happened.
 */
#ifndef ROAM_EVENT_H
#define ROAM_EVENT_H

#include <roam/error.h>
#include <roam/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum roam_event_type {
    ROAM_EVENT_NONE = 0,

    /* Connections. */
    ROAM_EVENT_RESOLVE,     /* roam_connect was given a name: answer with roam_conn_resolved (roam/io.h does so) */
    ROAM_EVENT_ACCEPTED,    /* a client's first Initial made a connection; its handshake goes on */
    ROAM_EVENT_CONNECTED,   /* handshake complete: the peer is authenticated, ALPN known, streams may be used */
    ROAM_EVENT_CONFIRMED,   /* handshake confirmed, RFC 9001 section 4.1.2: from here on the connection can move */
    ROAM_EVENT_CLOSED,      /* the end, for whatever reason: `error`. The last event; call roam_conn_free */
    ROAM_EVENT_NEW_TOKEN,   /* a client got an address validation token for later: `token`, until the next poll */
    ROAM_EVENT_KEY_UPDATED, /* the 1-RTT keys changed, by either side */

    /* Streams. `stream` is valid until the application calls roam_stream_free. */
    ROAM_EVENT_STREAM_OPENED,     /* the peer opened it */
    ROAM_EVENT_STREAM_READABLE,   /* there is data, or the end, to read: once until roam_stream_read finds nothing */
    ROAM_EVENT_STREAM_WRITABLE,   /* a write that was cut short can go on */
    ROAM_EVENT_STREAM_RESET,      /* the peer gave up sending: `code` (RFC 9000 section 19.4) */
    ROAM_EVENT_STREAM_STOPPED,    /* the peer will not read on: `code`; our sending half was reset (section 19.5) */
    ROAM_EVENT_STREAM_FINISHED,   /* everything that we wrote, and the end, was acknowledged */
    ROAM_EVENT_STREAMS_AVAILABLE, /* the peer raised a limit that stopped roam_stream_open */

    /* Paths, RFC 9000 sections 8.2 and 9: the connection and its address. `path_id`, `local` and `remote` say which;
     * `cid` is the destination CID used on it, for MOVED also the row's own name. */
    ROAM_EVENT_PATH_NEW,        /* an authenticated packet came from an address that this connection did not know */
    ROAM_EVENT_PATH_MOVED,      /* the row moved: packets now go to `remote`, no longer to `previous` */
    ROAM_EVENT_PATH_CHALLENGED, /* PATH_CHALLENGE sent */
    ROAM_EVENT_PATH_ANSWERED,   /* a PATH_RESPONSE that fits came */
    ROAM_EVENT_PATH_VALIDATED,  /* the peer is there; the 3x limit is off */
    ROAM_EVENT_PATH_FAILED,     /* nobody answered */
    ROAM_EVENT_PATH_REVERTED,   /* the row went back to the last validated address, `remote` */
    ROAM_EVENT_PATH_CLOSED,     /* forgotten: superseded, evicted or failed */

    /* Connection IDs, RFC 9000 section 5.1. `cid` and `sequence`. */
    ROAM_EVENT_CID_ISSUED,   /* a CID of ours was given to the peer */
    ROAM_EVENT_CID_RETIRED,  /* the peer retired a CID of ours: packets that carry it reach nobody now */
    ROAM_EVENT_CID_RECEIVED, /* the peer gave us one */
    ROAM_EVENT_CID_CHANGED,  /* we changed to another of the peer's CIDs */
    ROAM_EVENT_TYPES
} roam_event_type;

/* "path_validated", ...: never NULL, static. */
ROAM_API const char *roam_event_name(roam_event_type type);

typedef struct roam_event {
    roam_event_type type;
    roam_time time;        /* the `now` of the call in which it happened */
    roam_conn *conn;       /* valid until roam_conn_free */
    roam_stream *stream;   /* STREAM_*: valid until roam_stream_free; else NULL */
    uint64_t code;         /* STREAM_RESET, STREAM_STOPPED: the peer's application error code */
    uint64_t path_id;      /* PATH_* */
    roam_address local;    /* PATH_*: our address */
    roam_address remote;   /* PATH_*: the peer's */
    roam_address previous; /* PATH_MOVED, PATH_REVERTED: the peer's address before */
    roam_cid cid;          /* PATH_*, CID_* */
    uint64_t sequence;     /* CID_*: sequence number */
    const uint8_t *token;  /* NEW_TOKEN: valid until the next roam_endpoint_poll */
    size_t token_bytes;
    const roam_error *error; /* CLOSED: valid until roam_conn_free */
} roam_event;

#ifdef __cplusplus
}
#endif

#endif
