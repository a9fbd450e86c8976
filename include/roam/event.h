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

/* What can happen: ROAM_EVENT_PATH_MOVED and the others of roam/events.def, which says of each what it means. */
typedef enum roam_event_type {
#define ROAM_EVENT_ENTRY(id, text, class, migration) ROAM_EVENT_##id,
#include <roam/events.def>
#undef ROAM_EVENT_ENTRY
    ROAM_EVENT_TYPES
} roam_event_type;

/* What an event is about, and so which of its fields are set. */
typedef enum roam_event_class {
    ROAM_EVENT_CLASS_CONNECTION,
    ROAM_EVENT_CLASS_STREAM,
    ROAM_EVENT_CLASS_DATAGRAM,
    ROAM_EVENT_CLASS_PATH,
    ROAM_EVENT_CLASS_CID,
    ROAM_EVENT_CLASS_ENDPOINT, /* of no connection: `conn` is NULL */
} roam_event_class;

/* The class of a type; that of connections for anything that is no type. */
ROAM_API roam_event_class roam_event_class_of(roam_event_type type);

/* "path_validated", ...: never NULL, static. */
ROAM_API const char *roam_event_name(roam_event_type type);

/* Why a connection sends from, or to, another address. */
enum roam_move_why {
    ROAM_MOVE_PEER,         /* a server's: the client's packets come from there */
    ROAM_MOVE_APPLICATION,  /* roam_conn_migrate */
    ROAM_MOVE_PREFERRED,    /* the server would rather be there (RFC 9000 section 9.6) */
    ROAM_MOVE_ADDRESS_GONE, /* by itself: the host has lost the address */
    ROAM_MOVE_SEND_FAILED,  /* ... the system did not send from there */
    ROAM_MOVE_QUIET,        /* ... the server did not answer there any more */
    ROAM_MOVE_BETTER,       /* ... another network is better, and has been for a while */
    ROAM_MOVE_RULE,         /* ... roam_conn_network_rule says so */
    ROAM_MOVE_WHYS
};

/* "address_gone", ...: never NULL, static. */
ROAM_API const char *roam_move_why_name(enum roam_move_why why);

typedef struct roam_event {
    roam_event_type type;
    roam_time time;        /* the `now` of the call in which it happened */
    roam_conn *conn;       /* valid until roam_conn_free; NULL in events of the endpoint */
    roam_stream *stream;   /* STREAM_*: valid until roam_stream_free; else NULL */
    uint64_t code;         /* STREAM_RESET, STREAM_STOPPED: the peer's application error code */
    uint64_t path_id;      /* PATH_* */
    roam_address local;    /* PATH_*: our address */
    roam_address remote;   /* PATH_*: the peer's */
    bool proven;           /* PATH_*: the peer is at `remote`; false: a packet says so, and may be forged */
    roam_address previous; /* PATH_MOVED, PATH_REVERTED, PATH_SETTLED: the peer's address before */
    roam_cid cid;          /* PATH_*, CID_*, RESET_SENT */
    uint64_t sequence;     /* CID_*: sequence number */
    /* PATH_CHALLENGED, PATH_CHALLENGE_RECEIVED, PATH_RESPONDED, PATH_ANSWERED: the eight octets of the frame, RFC 9000
     * sections 19.17 and 19.18. */
    uint8_t path_data[8];
    const uint8_t *token; /* NEW_TOKEN, NEW_SESSION: valid until the next roam_endpoint_poll */
    size_t token_bytes;
    const roam_error *error; /* CLOSED: valid until roam_conn_free */

    uint64_t datagram_bytes; /* PATH_*: size of full datagrams there */
    enum roam_move_why why;  /* PATH_MOVED */
    uint64_t tag;            /* DATAGRAM_ACKED, DATAGRAM_LOST, DATAGRAM_EXPIRED, DATAGRAM_OUTGROWN */
} roam_event;

#ifdef __cplusplus
}
#endif

#endif
