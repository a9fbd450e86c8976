/*
 * A stream: two halves, their flow control and what the application holds of it. And the streams of a connection: by
 * ID, limits, opening, who wants to send in which order.
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include <roam/roam.h>

#include "base/hash_map.h"
#include "base/list.h"
#include "base/rng.h"
#include "stream/flow_control.h"
#include "stream/recv_half.h"
#include "stream/send_half.h"
#include "wire/frame.h"
#include "wire/transport_params.h"

/* RFC 9000 section 2.1. */
#define STREAM_INITIATED_BY_SERVER 0x1
#define STREAM_UNIDIRECTIONAL      0x2

struct stream_set;

/* Where a stream waits for its turn to send. */
enum stream_queue {
    STREAM_QUEUE_NONE,   /* nothing to send, or its own flow control forbids */
    STREAM_QUEUE_URGENT, /* set->sendable: lost data, an end without data, RESET_STREAM, ...: no credit needed */
    STREAM_QUEUE_FRESH,  /* set->fresh: only data that was never sent: goes as far as MAX_DATA allows */
};

struct roam_stream {
    struct stream_set *set;
    roam_conn *conn;
    void *user;
    uint64_t id;
    bool has_send, has_receive;
    struct send_half send;
    struct recv_half receive;
    struct flow_send send_flow;
    struct flow_receive receive_flow;
    bool app_holds;   /* the application has the handle */
    bool incremental; /* takes turns with those as urgent */
    uint8_t urgency;
    bool readable_told;   /* READABLE is out and was not answered by a read that found nothing */
    bool write_was_short; /* WRITABLE is owed when there is room */
    bool finished_told;
    bool early;                   /* see roam_stream_is_early */
    bool stop_pending, stop_sent; /* STOP_SENDING must go out (again) / went out */
    uint64_t stop_code;
    enum stream_queue queue;
    struct list_node send_node; /* on set->sendable or set->fresh, as `queue` says */
    struct list_node all_node;  /* on set->all */
    struct list_node lent_node; /* on set->lent, while it has loans that may be called back */
};

/* What the set tells its owner. The stream is valid for the call. */
struct stream_sink {
    /* stream is NULL in STREAMS_AVAILABLE. */
    void (*event)(roam_conn *conn, roam_stream *stream, roam_event_type type, uint64_t code);
    /* A call of the application has left something to send. */
    void (*wake)(roam_conn *conn);
};

/* Where the streams stand: made with the first, given back where an idle connection has none. */
struct stream_tables {
    struct hash_map by_id;
    struct list_node all;
    struct list_node sendable; /* round robin: what goes before new data */
    struct list_node fresh;    /* new data: the urgent before the others, and as stream.c orders those as urgent */
    struct list_node lent;     /* streams with data that lies where it came in */
    roam_stream *recent;       /* found last; NULL */
    uint64_t turn_id;          /* the stream whose turn it is to send, */
    uint32_t turn_bytes;       /* and what it has sent in it */
};

struct stream_set {
    const roam_allocator *allocator;
    const roam_rng *rng;
    const roam_config *config; /* our own limits */
    roam_conn *conn;
    const struct stream_sink *sink;
    struct stream_tables *tables; /* NULL: there are no streams */
    bool is_server;
    bool too_many_gaps;      /* the data of a stream was refused for that */
    uint32_t acks_forgotten; /* for want of ranges: what was acknowledged is sent again */
    bool lending;            /* what comes now stays where it lies until stream_set_end_loans */
    bool closed;             /* stream_set_close */
    bool early;              /* what comes, and what is opened, belongs to early data */
    bool max_streams_pending[2];
    bool streams_blocked_pending[2], open_was_refused[2];
    bool holds_back;            /* some stream of ours is beyond peer_max_streams */
    bool awaiting_credit;       /* a *_BLOCKED frame went out, and no credit has come since */
    struct flow_send send_flow; /* of the connection */
    struct flow_receive receive_flow;
    struct {
        uint64_t initial_max_stream_data_bidi_local, initial_max_stream_data_bidi_remote, initial_max_stream_data_uni;
    } peer;                       /* limits as the peer gave them */
    uint64_t next_id[2];          /* ID of the next stream that we open: bidi, uni */
    uint64_t peer_max_streams[2]; /* how many we may open */
    uint64_t opened_by_peer[2];   /* how many the peer has opened (the highest, with all lower ones) */
    uint64_t max_streams[2];      /* how many we let the peer open */
    uint64_t closed_by_peer[2];   /* peer's streams that are done */
    uint64_t bytes_sent, bytes_resent, bytes_received; /* stream octets */
};

static inline bool stream_set_is_empty(const struct stream_set *set)
{
    return set->tables == NULL || list_is_empty(&set->tables->all);
}

/* Some stream has data that lies where it came in. */
static inline bool stream_set_has_loans(const struct stream_set *set)
{
    return set->tables != NULL && !list_is_empty(&set->tables->lent);
}

/* Our own limits come from the config, which must live as long; the peer's by stream_set_peer_params when they are
 * known. */
void stream_set_init(struct stream_set *set, const roam_allocator *allocator, roam_conn *conn, bool is_server,
                     const roam_config *config, const roam_rng *rng, const struct stream_sink *sink);
void stream_set_done(struct stream_set *set);
void stream_set_peer_params(struct stream_set *set, const struct transport_params *params);

/* Client: nothing that was sent so far has reached anybody, and these are the peer's limits now, be they lower. All of it
 * is to be sent again; what is beyond the limits waits for better ones. Only where nothing was acknowledged. */
void stream_set_restart(struct stream_set *set, const struct transport_params *params);

/* NULL: ROAM_ERR_LIMIT (STREAMS_BLOCKED is then owed) or ROAM_ERR_MEMORY. */
roam_stream *stream_open(struct stream_set *set, bool unidirectional, roam_result *ret_result);
roam_stream *stream_find(struct stream_set *set, uint64_t id);

/* Frame handlers: decode, check, apply, schedule. Each returns ROAM_NO_ERROR or the transport error to close with.
 * Frames for streams that are closed and forgotten are ignored. */
uint64_t stream_on_stream(struct stream_set *set, const struct frame *frame);
uint64_t stream_on_reset_stream(struct stream_set *set, const struct frame *frame);
uint64_t stream_on_stop_sending(struct stream_set *set, const struct frame *frame);
uint64_t stream_on_max_data(struct stream_set *set, const struct frame *frame);
uint64_t stream_on_max_stream_data(struct stream_set *set, const struct frame *frame);
uint64_t stream_on_max_streams(struct stream_set *set, const struct frame *frame);
/* DATA_BLOCKED, STREAM_DATA_BLOCKED, STREAMS_BLOCKED. */
uint64_t stream_on_blocked(struct stream_set *set, const struct frame *frame);

/* True where any stream or the set itself has a frame to send (flow control considered). */
bool stream_set_wants(const struct stream_set *set);

/* One frame for a packet. */
struct stream_frame_out {
    /* STREAM: payload where it lies, not written to the writer. */
    struct span_out {
        const uint8_t *data;
        size_t len;
    } data;
    uint8_t type; /* enum frame_type, for the sent map */
    /* As struct sent_frame has them: of frames without a stream, id is the maximum; of MAX_STREAM_DATA and
     * STREAM_DATA_BLOCKED, offset is. */
    uint64_t id, offset;
    uint32_t len;
    bool fin;
};

/* When a packet is filled, and the smoothed RTT of its path: a set has no clock of its own. */
struct stream_moment {
    roam_time now, rtt;
};

/* Writes the next frame that is due (control frames of the set, then RESET_STREAM, STOP_SENDING, MAX_STREAM_DATA,
 * *_BLOCKED, then STREAM data, lost data first, streams in turn). Of a STREAM frame only the header goes to the
 * writer, and the payload (which fits behind it: at most writer_left then) is pointed to by ret->data. The state is
 * moved as if sent. False where nothing is left to send or nothing more fits. */
bool stream_set_fill(struct stream_set *set, const struct stream_moment *moment, struct writer *writer,
                     struct stream_frame_out *ret);

/* The fate of a frame that stream_set_fill gave: type, id, offset, len, fin as recorded. */
void stream_set_on_acked(struct stream_set *set, uint8_t type, uint64_t id, uint64_t offset, uint32_t len, bool fin);
void stream_set_on_lost(struct stream_set *set, uint8_t type, uint64_t id, uint64_t offset, uint32_t len, bool fin);

/* PTO: with nothing else to send, up to max of the oldest unacknowledged octets are to be sent again. True where there
 * are any. */
bool stream_set_retransmit_oldest(struct stream_set *set, size_t max);

/* Copies what lies in lent buffers and was not read. False without memory: acknowledged octets are lost. */
bool stream_set_end_loans(struct stream_set *set);

/* Gives back what is only needed while there are streams. */
void stream_set_trim(struct stream_set *set);

/* Of some stream octets came, more are to come, and no limit of ours is what holds them up. */
bool stream_set_is_receiving(const struct stream_set *set);

/* The application's calls (the public roam_stream_* functions are thin over these; implement both here). */

/* Every stream is dead (connection closed): writes answer ROAM_ERR_CLOSED, reads too once what had come in order is
 * read, for it was acknowledged; handles stay valid. Nothing is sent, no event comes. */
void stream_set_close(struct stream_set *set);

void stream_set_check(const struct stream_set *set);

#endif
