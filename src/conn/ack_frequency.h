/* How often ACKs go, as the other side would have it (draft-ietf-quic-ack-frequency): what the peer has asked of us, and
 * what we ask of the peer. See ack_frequency.c. */
#ifndef CONN_ACK_FREQUENCY_H
#define CONN_ACK_FREQUENCY_H

#include "conn/conn.h"

/* What is asked of the peer. */
struct ack_wish {
    uint32_t threshold; /* ack-eliciting packets that may come without an ACK; RFC 9000: 1 */
    uint32_t max_delay_us;
};

struct ack_frequency {
    struct ack_policy policy; /* the peer's wish, or what RFC 9000 says */
    uint64_t next_taken;      /* the peer's frames with lower numbers are old */
    uint64_t next_sent;       /* number of our next frame */
    struct ack_wish wish;     /* our newest */
    bool pending;             /* it is to be sent */
    bool outstanding;         /* it was sent, and nobody knows whether it came */
};

/* We have said so (min_ack_delay). */
static inline bool conn_takes_ack_frequency(const roam_conn *conn)
{
    return conn->config->ack_frequency;
}

/* The min_ack_delay that goes with a max_ack_delay, microseconds. */
static inline uint64_t min_ack_delay_us(uint64_t max_ack_delay_ms)
{
    return min_u64(max_ack_delay_ms * 1000, MIN_ACK_DELAY / ROAM_MICROSECONDS(1));
}

/* What the peer's min_ack_delay says, for as long as the connection lasts. */
void conn_keep_min_ack_delay(roam_conn *conn, uint64_t min_ack_delay_us);

/* An ACK_FREQUENCY frame of the peer's. */
uint64_t conn_on_ack_frequency(roam_conn *conn, const struct frame *frame);

/* An ACK with this Largest Acknowledged went out in the application space. */
static inline void conn_ack_frequency_on_ack_sent(roam_conn *conn, uint64_t largest)
{
    if (conn->ack_frequency != NULL)
        conn->ack_frequency->policy.largest_sent = largest;
}

/* The window may have changed, or the path: what is wanted now? */
void conn_review_ack_frequency(roam_conn *conn);

static inline bool conn_wants_ack_frequency(const roam_conn *conn)
{
    return conn->ack_frequency != NULL && conn->ack_frequency->pending;
}

/* Our frame with this number was sent, acknowledged, lost. */
void conn_ack_frequency_on_sent(roam_conn *conn);
void conn_ack_frequency_on_settled(roam_conn *conn, uint64_t sequence, bool lost);

#endif
