/*
 * What the files of the stream set share and nobody else needs. Whoever changes a stream calls stream_settle
 * afterwards: it puts the stream on the queue where it belongs, and frees it when it is over.
 */
#ifndef STREAM_STREAM_INTERNAL_H
#define STREAM_STREAM_INTERNAL_H

#include "stream/stream.h"

/* Octets of free buffer, or half of it, that are worth a WRITABLE event. */
#define WRITABLE_BYTES_MIN 65536

/* Of a stream whose urgency nobody has set: RFC 9218 section 4.1. */
#define URGENCY_DEFAULT 3
#define URGENCY_MAX     7

/* Octets that a stream sends before it is another's turn: a dozen packets. */
#define STREAM_TURN_BYTES 16384

/* Index of a stream's type in the set's arrays. */
static inline unsigned stream_direction(uint64_t id)
{
    return (id & STREAM_UNIDIRECTIONAL) != 0 ? 1 : 0;
}

static inline bool stream_is_local(const struct stream_set *set, uint64_t id)
{
    return ((id & STREAM_INITIATED_BY_SERVER) != 0) == set->is_server;
}

/* False without memory. */
bool stream_set_make_tables(struct stream_set *set);

/* A new stream, in the tables of the set; NULL without memory. */
roam_stream *stream_new(struct stream_set *set, uint64_t id);

/* Takes it out of the tables and frees it with its buffers. */
void stream_delete(roam_stream *stream);

/* Requeues the stream, or deletes it when both halves are over and the application has given it back: false then. */
bool stream_settle(roam_stream *stream);

/* The same where only the receiving half has changed, which mostly leaves the stream where it is. */
static inline void stream_settle_receiving(roam_stream *stream)
{
    if (stream->receive_flow.update_pending || stream->receive.state != RECV_OPEN || stream->receive.discarding)
        stream_settle(stream);
}

/* Its turn is over: another goes on, if there is one as urgent. */
void stream_yield(roam_stream *stream);

/* Where the stream would have to be queued. */
enum stream_queue stream_queue_wanted(const roam_stream *stream);

/* Each says whether that frame is to be sent. */
bool stream_owes_stop(const roam_stream *stream);
bool stream_owes_max_stream_data(const roam_stream *stream);
bool stream_owes_blocked(const roam_stream *stream);

/* What the peer's parameters say that may be sent on it. */
uint64_t stream_initial_limit(const roam_stream *stream);

/* The offset up to which the stream may send: its own limit and what the connection has left. */
uint64_t stream_send_limit(const roam_stream *stream);

/* Tells the application, if it still holds the stream. */
void stream_tell(roam_stream *stream, roam_event_type type, uint64_t code);
void stream_tell_readable(roam_stream *stream);

/* Throws away what was received and not read, and what will come: it counts as consumed. */
void stream_discard_received(roam_stream *stream);

/* Looks whether the peer must be given more streams of a direction (0: bidirectional, 1: unidirectional). */
void stream_set_renew_streams(struct stream_set *set, unsigned direction);

/* What MAX_STREAMS would say now. */
uint64_t stream_set_streams_limit(const struct stream_set *set, unsigned direction);

#endif
