/*
 * Datagrams of the application, DATAGRAM frames, RFC 9221: what waits to be sent and to be taken, and what has become of
 * them. Nothing of it is there before the first one. Waiting ones belong to no path, so that they survive a move; what
 * has left is the sent map's, which knows its path, and is never sent again.
 */
#ifndef CONN_DATAGRAMS_H
#define CONN_DATAGRAMS_H

#include "conn/conn.h"
#include "conn/datagram_queue.h"

struct datagrams {
    struct datagram_queue out;  /* to be sent */
    struct datagram_queue in;   /* to be taken */
    struct datagram_queue lent; /* ... from buffers that are lent to us */
    bool send_was_refused;      /* for want of room: ROAM_EVENT_DATAGRAM_WRITABLE is owed */
    bool readable_told;
    bool streams_next; /* the next packet is begun with stream data, if there is any */
    uint64_t sent, acked, lost, expired, outgrown, received, dropped;
    uint64_t bytes_sent, bytes_received;
};

/* ---- Out */

/* What is to be written behind a frame's header. */
struct datagram_out {
    const uint8_t *data; /* stays where it is until the packet is sealed */
    size_t len;
    uint64_t tag;
    bool padded; /* PADDING was written before the frame, which ends its packet */
};

static inline bool conn_datagrams_wait(const roam_conn *conn)
{
    return conn->datagrams != NULL && conn->datagrams->out.count > 0;
}

/* Streams or datagrams have something to send. */
static inline bool conn_data_waits(const roam_conn *conn)
{
    return stream_set_wants(&conn->streams) || conn_datagrams_wait(conn);
}

/* One waits, and the frame of the oldest has at most so many octets. */
bool conn_datagram_fits(const roam_conn *conn, size_t bytes);

/* Writes the header of the next frame, for data to follow, and takes the datagram from the queue. False, with nothing
 * written, where none waits that has room. Those whose time is over are let go, and those that are too large for any
 * UDP datagram of `carries` octets. */
bool conn_datagram_fill(roam_conn *conn, size_t carries, struct writer *writer, struct datagram_out *ret);

/* Whether the packet begins with datagrams or with stream data, while both wait. */
static inline bool conn_datagrams_go_first(const roam_conn *conn)
{
    return conn_datagrams_wait(conn) && !conn->datagrams->streams_next;
}
/* It began with datagrams, and both have waited; or it has given streams their turn. */
static inline void conn_datagrams_had_turn(roam_conn *conn, bool streams_next)
{
    if (conn->datagrams != NULL)
        conn->datagrams->streams_next = streams_next;
}

void conn_datagram_on_acked(roam_conn *conn, const struct sent_frame *frame);
void conn_datagram_on_lost(roam_conn *conn, const struct sent_frame *frame);

/* When the time of one that waits is over, and what is to be done then. */
roam_time conn_datagrams_deadline(const roam_conn *conn);
void conn_datagrams_expire(roam_conn *conn);

/* ---- In */

uint64_t conn_on_datagram(roam_conn *conn, const struct frame *frame);
bool conn_datagrams_are_lent(const roam_conn *conn);
/* What lies in lent buffers and was not taken is copied, as far as there is room. */
void conn_datagrams_end_loans(roam_conn *conn);

/* ---- Both */

void conn_datagrams_describe(const roam_conn *conn, roam_conn_stats *ret);
/* Memory that nothing waits in is given back. */
void conn_datagrams_trim(roam_conn *conn);
/* The connection ends: nothing is sent any more. */
void conn_datagrams_close(roam_conn *conn);
void conn_datagrams_delete(roam_conn *conn);
void conn_datagrams_check(const roam_conn *conn);

#endif
