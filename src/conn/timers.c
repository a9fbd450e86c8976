/*
 * The clocks of a connection: idle timeout, PTO and loss (RFC 9002 section 6), owed ACKs, pacing, paths, key phases,
 * keep-alive, and the end. One deadline comes out; conn_expire does whatever has come due.
 */
#include "conn/alternates.h"
#include "conn/cids.h"
#include "conn/datagrams.h"
#include "conn/early_data.h"
#include "conn/log.h"
#include "conn/mobility.h"
#include "conn/silence.h"

roam_time conn_pto(const roam_conn *conn)
{
    return rtt_pto(&path_set_active(&conn->paths)->recovery.rtt, conn->confirmed ? conn_peer_max_ack_delay(conn) : 0);
}

/* ---- Idle */

static roam_time idle_timeout(const roam_conn *conn)
{
    roam_time ours = conn->config->max_idle_timeout;
    roam_time theirs = saturating_mul(conn->peer.max_idle_timeout_ms, ROAM_MILLISECONDS(1));
    roam_time timeout = ours == 0 ? theirs : theirs == 0 ? ours : min_u64(ours, theirs);
    if (timeout == 0)
        return ROAM_TIME_NEVER;
    //= rfc9000#10.1 Effective idle timeout is at least 3 x PTO.
    return max_u64(timeout, IDLE_PTOS_MIN * conn_pto(conn));
}

static roam_time idle_deadline(const roam_conn *conn)
{
    roam_time deadline =
        conn->handshake_complete ? saturating_add(conn->idle_from, idle_timeout(conn)) : ROAM_TIME_NEVER;
    //= rfc9000#21.6-1 Who does not complete the handshake does not stay, and beyond so many of them each new one proves
    // its address first.
    if (!conn->handshake_complete && conn->config->handshake_timeout > 0)
        deadline = saturating_add(conn->created, conn->config->handshake_timeout);
    return deadline;
}

static roam_time keep_alive_deadline(const roam_conn *conn)
{
    if (conn->config->keep_alive == 0 || !conn->handshake_complete || conn->ping_pending || conn_is_waiting(conn))
        return ROAM_TIME_NEVER;
    return saturating_add(conn_last_activity(conn), conn->config->keep_alive);
}

/* ---- PTO */

static bool space_has_keys(roam_conn *conn, enum packet_space space)
{
    return conn_send_keys(conn, space) != NULL;
}

static roam_time backed_off(const roam_conn *conn, roam_time pto)
{
    return saturating_mul(pto, UINT64_C(1) << min_u64(conn->pto_count, PTO_BACKOFF_MAX));
}

/* Nothing can be sent until something comes: the 3x limit is reached, the peer has retired the last of its CIDs, or
 * the host has no network. A timer that wants to send would fire for nothing. */
static bool is_muted(roam_conn *conn)
{
    const struct path *active = path_set_active(&conn->paths);
    return conn_is_waiting(conn) || path_allowance(active) < ACK_PACKET_BYTES_MAX ||
           remote_cid_of_path(&conn->remote_cids, active->id) == NULL;
}

//= rfc9002#6.2.2.1 Client arms PTO while its Handshake is unacknowledged and unconfirmed even with nothing in flight.
static bool client_must_probe(const roam_conn *conn)
{
    return !conn->is_server && conn->handshake != NULL && !conn->confirmed &&
           !conn->handshake->peer_completed_address_validation && conn->state == ROAM_CONN_HANDSHAKE;
}

//= rfc9000#8.1-5 A client sends on PTO even with nothing to retransmit, for the server may not be allowed to speak.
//= rfc9000#8.1-6 An Initial where it has no Handshake keys yet, else a Handshake packet.
static roam_time pto_deadline_without_flight(roam_conn *conn, enum packet_space *ret_space)
{
    roam_time pto = rtt_pto(&path_set_active(&conn->paths)->recovery.rtt, 0);
    *ret_space = space_has_keys(conn, SPACE_HANDSHAKE) ? SPACE_HANDSHAKE : SPACE_INITIAL;
    const struct pn_space *space = conn_space(conn, *ret_space);
    roam_time from = space != NULL ? space->last_eliciting_sent_at : conn->now;
    return saturating_add(max_u64(from, conn->last_received_at), backed_off(conn, pto));
}

/* RFC 9002 section 6.2.1 has each ack-eliciting packet restart the timer. A PING does not, once it has expired and
 * nothing was acknowledged since: a keep-alive shorter than the backed-off PTO would put off the next one for ever, and
 * with it the fresh CIDs without which a server that ran out of them cannot answer. */
static roam_time pto_from(roam_conn *conn, enum packet_space number)
{
    if (number != SPACE_APPLICATION)
        return conn_space(conn, number)->last_eliciting_sent_at;
    if (conn->pto_count > 0)
        return conn->pto_again_from;
    /* Nor does each question why a download has stopped: what the first has not brought about is missed after a PTO. */
    roam_time newest = conn->application.last_eliciting_sent_at;
    const struct conn_client *client = conn->client;
    return client != NULL && client->arrivals.asked > 0 ? min_u64(newest, client->arrivals.asked_at) : newest;
}

static roam_time pto_deadline(roam_conn *conn, enum packet_space *ret_space)
{
    roam_time deadline = ROAM_TIME_NEVER;
    const struct rtt *rtt = &path_set_active(&conn->paths)->recovery.rtt;
    bool any = false;
    //= rfc9002#6.2.2.1 Server blocked by the 3x budget does not arm PTO until more bytes come.
    if (is_muted(conn))
        return ROAM_TIME_NEVER;
    for (enum packet_space number = SPACE_INITIAL; number < PACKET_SPACES; number++) {
        const struct pn_space *space = conn_space(conn, number);
        if (space == NULL || space->sent.ack_eliciting == 0)
            continue;
        //= rfc9002#6.2.1 No application-space PTO before confirmation.
        if (number == SPACE_APPLICATION && !conn->confirmed)
            continue;
        any = true;
        roam_time pto = rtt_pto(rtt, number == SPACE_APPLICATION ? conn_peer_max_ack_delay(conn) : 0);
        roam_time at = saturating_add(pto_from(conn, number), backed_off(conn, pto));
        if (at < deadline) {
            deadline = at;
            *ret_space = number;
        }
    }
    if (!any && client_must_probe(conn))
        return pto_deadline_without_flight(conn, ret_space);
    return deadline;
}

static roam_time loss_deadline(roam_conn *conn, enum packet_space *ret_space)
{
    roam_time deadline = ROAM_TIME_NEVER;
    for (enum packet_space number = SPACE_INITIAL; number < PACKET_SPACES; number++) {
        const struct pn_space *space = conn_space(conn, number);
        if (space != NULL && space->loss_time < deadline) {
            deadline = space->loss_time;
            *ret_space = number;
        }
    }
    return deadline;
}

/* Something to put into the probes: the oldest that is unacknowledged, or a PING. */
static void prepare_probe(roam_conn *conn, enum packet_space number)
{
    struct pn_space *space = conn_space(conn, number);
    size_t octets = PTO_PROBES * (size_t)path_datagram_bytes(path_set_active(&conn->paths));
    if (space == NULL)
        return;
    space->probes = PTO_PROBES;
    ack_tracker_say_again(&space->received);
    //= rfc9002#6.2.1 PTO expiry alone marks nothing lost: the data is sent again and stays outstanding as well.
    if (conn->handshake != NULL)
        send_half_retransmit_oldest(&conn->handshake->crypto_send[number], octets);
    if (number == SPACE_APPLICATION && !conn_space_wants(conn, number))
        stream_set_retransmit_oldest(&conn->streams, octets);
    /* Nobody answers: perhaps our address is another one now, and then every octet is one that the server may answer
     * threefold. */
    conn->full_ping_pending |= number == SPACE_APPLICATION && !conn->is_server;
}

enum loss_timer conn_loss_timer(roam_conn *conn, enum packet_space *ret_space, roam_time *ret_at)
{
    *ret_at = loss_deadline(conn, ret_space);
    if (*ret_at != ROAM_TIME_NEVER)
        return LOSS_TIMER_TIME;
    *ret_at = pto_deadline(conn, ret_space);
    return *ret_at != ROAM_TIME_NEVER ? LOSS_TIMER_PTO : LOSS_TIMER_NONE;
}

static void expire_recovery(roam_conn *conn)
{
    enum packet_space space = SPACE_INITIAL;
    if (loss_deadline(conn, &space) <= conn->now) {
        if (conn->log != NULL)
            conn_log_timer_expired(conn, LOSS_TIMER_TIME, space);
        conn_detect_loss(conn, space);
        return;
    }
    //= rfc9002#6.2.1 No PTO while the time-threshold loss timer runs.
    if (loss_deadline(conn, &space) != ROAM_TIME_NEVER || pto_deadline(conn, &space) > conn->now)
        return;
    if (conn->log != NULL)
        conn_log_timer_expired(conn, LOSS_TIMER_PTO, space);
    conn->pto_count++;
    conn->pto_again_from = conn->now;
    conn->counters.ptos++;
    if (space == SPACE_INITIAL)
        conn_try_alternate(conn);
    if (path_set_active(&conn->paths)->recovery.congestion.in_flight > 0)
        conn_mobility_on_pto(conn);
    if (space == SPACE_APPLICATION && !conn->is_server && conn->pto_count >= PTOS_BEFORE_NEW_CIDS)
        conn_renew_cids(conn);
    prepare_probe(conn, space);
    //= rfc9002#6.2.4 Probe other spaces with data in flight too.
    if (space == SPACE_INITIAL && space_has_keys(conn, SPACE_HANDSHAKE))
        prepare_probe(conn, SPACE_HANDSHAKE);
    /* Nor may the server have Handshake keys any more: where only its HANDSHAKE_DONE is lost, because the client's
     * address changed, it is a packet of 1-RTT that takes it there. */
    if (space == SPACE_HANDSHAKE && conn->handshake_complete)
        prepare_probe(conn, SPACE_APPLICATION);
}

/* ---- Rest */

/* Idle costs nothing: what can be made again is given back. */
static roam_time trim_deadline(const roam_conn *conn)
{
    if (conn->trimmed || !conn->confirmed || conn->application.sent.ack_eliciting > 0)
        return ROAM_TIME_NEVER;
    roam_time idle = saturating_add(conn_last_activity(conn), TRIM_AFTER);
    return conn->client != NULL ? max_u64(idle, conn->client->tickets_until) : idle;
}

static void trim(roam_conn *conn)
{
    if (trim_deadline(conn) > conn->now)
        return;
    /* What is outstanding are ACKs, which nobody need acknowledge. */
    struct loss_context context = conn_loss_context(conn);
    loss_discard_space(&conn->application.sent, &context);
    pool_trim(conn->application.sent.frame_pool);
    one_rtt_keys_shrink(&conn->keys);
    conn_settle_handshake(conn);
    stream_set_trim(&conn->streams);
    conn_datagrams_trim(conn);
    path_set_rest(&conn->paths, conn->now);
    conn->trimmed = true;
}

/* ---- ACKs and all together */

static roam_time ack_deadline(roam_conn *conn)
{
    roam_time deadline = ROAM_TIME_NEVER;
    /* An ACK that must not be sent is nothing to wake up for: what comes next wakes us. */
    if (is_muted(conn))
        return ROAM_TIME_NEVER;
    for (enum packet_space number = SPACE_INITIAL; number < PACKET_SPACES; number++) {
        const struct pn_space *space = conn_space(conn, number);
        if (space != NULL && space_has_keys(conn, number))
            deadline = min_u64(deadline, space->received.deadline);
    }
    return deadline;
}

roam_time conn_deadline(roam_conn *conn)
{
    enum packet_space space;
    if (conn->state == ROAM_CONN_CLOSED || conn->state == ROAM_CONN_CLOSING || conn->state == ROAM_CONN_DRAINING)
        return conn->close_at;
    roam_time deadline = idle_deadline(conn);
    if (conn->state == ROAM_CONN_RESOLVING)
        return deadline;
    roam_time loss = loss_deadline(conn, &space);
    deadline = min_u64(deadline, loss != ROAM_TIME_NEVER ? loss : pto_deadline(conn, &space));
    deadline = min_u64(deadline, keep_alive_deadline(conn));
    deadline = min_u64(deadline, conn_silence_deadline(conn));
    deadline = min_u64(deadline, ack_deadline(conn));
    deadline = min_u64(deadline, conn_paths_deadline(conn));
    deadline = min_u64(deadline, conn_mobility_deadline(conn));
    deadline = min_u64(deadline, conn->keys.previous_until);
    deadline = min_u64(deadline, trim_deadline(conn));
    deadline = min_u64(deadline, conn_datagrams_deadline(conn));
    deadline = min_u64(deadline, conn_early_deadline(conn));
    if (conn->pacing_until > 0)
        deadline = min_u64(deadline, conn->pacing_until);
    return deadline;
}

static bool expire_end(roam_conn *conn)
{
    if (conn->state == ROAM_CONN_CLOSING || conn->state == ROAM_CONN_DRAINING) {
        if (conn->close_at <= conn->now)
            conn_end(conn, conn->error->cause);
        return true;
    }
    if (idle_deadline(conn) <= conn->now) {
        conn_end(conn, conn->handshake_complete ? ROAM_CLOSE_IDLE_TIMEOUT : ROAM_CLOSE_HANDSHAKE_TIMEOUT);
        return true;
    }
    return conn->state == ROAM_CONN_RESOLVING || conn->state == ROAM_CONN_CLOSED;
}

static void expire(roam_conn *conn)
{
    const roam_time now = conn->now;
    if (expire_end(conn))
        return;
    expire_recovery(conn);
    conn_expire_paths(conn);
    if (!conn_is_alive(conn))
        return;
    key_update_expire(&conn->keys, now);
    if (keep_alive_deadline(conn) <= now)
        conn->ping_pending = true;
    conn_silence_expire(conn);
    conn_mobility_expire(conn);
    conn_issue_cids(conn);
    conn_datagrams_expire(conn);
    conn_early_expire(conn);
    trim(conn);
    if (conn->pacing_until <= now)
        conn->pacing_until = 0;
}

void conn_expire(roam_conn *conn, roam_time now)
{
    conn->now = now;
    expire(conn);
    if (conn->log != NULL)
        conn_log_changes(conn);
}

void conn_on_woke(roam_conn *conn, roam_time now, roam_time slept)
{
    conn->now = now;
    if (!conn_is_alive(conn))
        return;
    /* RFC 9000 section 10.1: the timer ran on while the host slept, as the peer's did. */
    conn->idle_from = saturating_sub(conn->idle_from, slept);
    if (!expire_end(conn) && !conn->is_server && conn->confirmed) {
        /* Whatever stood between may have forgotten us. The backoff is for the time before: where the window is full,
         * it is a PTO that lets us speak. */
        conn->ping_pending = conn->full_ping_pending = true;
        conn->pto_count = 0;
        conn_mobility_on_silence(conn);
    }
    conn->owner->wake(conn->owner->context, conn);
}

void conn_on_packet_sent_timers(roam_conn *conn, bool eliciting)
{
    conn->trimmed = false;
    /* RFC 9000 section 10.1: the first ack-eliciting packet after something came restarts the idle timer. */
    if (eliciting && !conn->eliciting_since_receive) {
        conn->idle_from = conn->now;
        conn->eliciting_since_receive = true;
    }
}

void conn_on_packet_received_timers(roam_conn *conn, const struct packet_context *context)
{
    conn->received_before = conn->last_received_at;
    conn->idle_from = conn->last_received_at = conn->now;
    conn->eliciting_since_receive = conn->trimmed = false;
    conn_silence_on_packet(conn, context);
    conn_mobility_on_packet(conn);
    if (context->path_id == conn->paths.active_id)
        conn_mobility_on_heard(conn, false);
}
