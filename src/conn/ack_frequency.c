/*
 * How often ACKs go, as the other side would have it: draft-ietf-quic-ack-frequency. Either side may speak of it to a
 * peer that has sent min_ack_delay.
 *
 *   receiver  conn_on_ack_frequency keeps what the peer asks; recovery/ack_tracker does as the policy says
 *   sender    conn_review_ack_frequency asks for fewer ACKs where the window is large: always ACKS_PER_WINDOW of them at
 *             least, which slow start and loss detection live on, and none later than a part of a round trip, or than the
 *             peer can tell time. That is late on a path of a millisecond, but only the last ACK of a flight ever is, and
 *             sooner than RFC 9000 has it
 *
 * The delay that is asked for is never beyond the peer's max_ack_delay, which the PTO reckons with all the time. An
 * IMMEDIATE_ACK goes with what must be answered at once, see put_immediate_ack in payload.c.
 */
#include "conn/ack_frequency.h"

#define ACKS_PER_WINDOW   16
#define THRESHOLD_MAX     256
#define DELAYS_PER_RTT    8
#define MAX_ACK_DELAY_END ROAM_MILLISECONDS(1 << 14) /* RFC 9000 section 18.2 */

static const struct ack_wish usual = {.threshold = 1};

static struct ack_frequency *get(roam_conn *conn)
{
    if (conn->ack_frequency != NULL)
        return conn->ack_frequency;
    struct ack_frequency *ret = mem_alloc(conn->allocator, sizeof(*ret));
    if (ret != NULL)
        *ret = (struct ack_frequency){.policy = ack_policy_usual(conn->config->max_ack_delay), .wish = usual};
    conn->ack_frequency = ret;
    return ret;
}

/* ---- Receiver */

uint64_t conn_on_ack_frequency(roam_conn *conn, const struct frame *frame)
{
    const uint64_t delay_us = frame->ack_frequency.max_delay_us;
    const uint64_t least = min_ack_delay_us(conn->config->max_ack_delay / ROAM_MILLISECONDS(1));
    //= rfc9000#12.4 Who has not said that it takes the frame does not know its type.
    if (!conn_takes_ack_frequency(conn))
        return ROAM_FRAME_ENCODING_ERROR;
    if (delay_us < least || delay_us >= MAX_ACK_DELAY_END / ROAM_MICROSECONDS(1))
        return ROAM_PROTOCOL_VIOLATION;
    /* It is a wish: without memory things stay as they are. */
    struct ack_frequency *frequency = get(conn);
    if (frequency == NULL || frame->ack_frequency.sequence < frequency->next_taken)
        return ROAM_NO_ERROR;
    frequency->next_taken = frame->ack_frequency.sequence + 1;
    frequency->policy.eliciting = (uint32_t)min_u64(frame->ack_frequency.threshold, UINT32_MAX - 1) + 1;
    frequency->policy.delay = ROAM_MICROSECONDS(delay_us);
    frequency->policy.reordering = (uint32_t)min_u64(frame->ack_frequency.reordering, UINT32_MAX);
    return ROAM_NO_ERROR;
}

/* ---- Sender */

void conn_keep_min_ack_delay(roam_conn *conn, uint64_t min_ack_delay_us)
{
    const bool takes = conn->config->ack_frequency && min_ack_delay_us <= UINT8_MAX * UINT64_C(1000);
    conn->peer_min_ack_delay_ms = takes ? (uint8_t)max_u64(1, (min_ack_delay_us + 999) / 1000) : 0;
}

static struct ack_wish wish_for(const roam_conn *conn, const struct path *path)
{
    const struct rtt *rtt = &path->recovery.rtt;
    const roam_time least = ROAM_MILLISECONDS(conn->peer_min_ack_delay_ms);
    const roam_time delay = min_u64(max_u64(rtt->smoothed / DELAYS_PER_RTT, least), conn_peer_max_ack_delay(conn));
    const uint64_t packets = path->recovery.congestion.window / path_datagram_bytes(path);
    struct ack_wish wish = usual;
    /* BBR measures by its ACKs: of fewer it makes less. */
    if (conn->config->congestion != ROAM_CONGESTION_BBR && rtt->has_sample) {
        /* Powers of two, so that not every change of the window is one of the wish. */
        while (wish.threshold < THRESHOLD_MAX && 2 * wish.threshold * ACKS_PER_WINDOW <= packets)
            wish.threshold *= 2;
    }
    wish.max_delay_us = (uint32_t)((wish.threshold > 1 ? delay : conn_peer_max_ack_delay(conn)) / ROAM_MICROSECONDS(1));
    return wish;
}

void conn_review_ack_frequency(roam_conn *conn)
{
    if (conn->peer_min_ack_delay_ms == 0 || (conn->ack_frequency != NULL && conn->ack_frequency->outstanding))
        return;
    const struct ack_wish wish = wish_for(conn, path_set_active(&conn->paths));
    const struct ack_wish *before = conn->ack_frequency != NULL ? &conn->ack_frequency->wish : &usual;
    /* Another delay alone is worth a frame where the old one is too long by far: after a move to a shorter path. */
    if (wish.threshold == before->threshold &&
        (wish.threshold == usual.threshold || 2 * wish.max_delay_us >= before->max_delay_us))
        return;
    struct ack_frequency *frequency = get(conn);
    if (frequency == NULL)
        return;
    frequency->wish = wish;
    frequency->pending = true;
}

void conn_ack_frequency_on_sent(roam_conn *conn)
{
    conn->ack_frequency->next_sent++;
    conn->ack_frequency->pending = false;
    conn->ack_frequency->outstanding = true;
}

void conn_ack_frequency_on_settled(roam_conn *conn, uint64_t sequence, bool lost)
{
    struct ack_frequency *frequency = conn->ack_frequency;
    if (sequence + 1 != frequency->next_sent || !frequency->outstanding)
        return;
    frequency->outstanding = false;
    frequency->pending = lost;
}
