/*
 * Acknowledgements in, losses found: every frame that went out is settled by the module that sent it.
 */
#include "conn/ack_frequency.h"
#include "conn/datagrams.h"
#include "conn/log.h"
#include "conn/mobility.h"
#include "conn/move_stats.h"
#include "conn/mtu.h"

/* What an ACK acknowledged anew, path by path: for ECN validation and the one RTT sample. */
struct ack_news {
    uint64_t newest; /* largest number newly acknowledged, PACKET_NUMBER_NONE */
    roam_time newest_sent_at;
    uint64_t newest_path;
    bool any_eliciting;
    uint64_t path_ids[PATHS_MAX];
    uint64_t marked[PATHS_MAX]; /* packets that had left with ECT(0) */
    size_t paths;
    struct sent_frame stream; /* STREAM data of one stream, put together; len 0 and no fin: none */
};

static struct send_half *crypto_stream(roam_conn *conn, enum packet_space space)
{
    return conn->handshake != NULL ? &conn->handshake->crypto_send[space] : NULL;
}

static void settle_acked(roam_conn *conn, enum packet_space space, const struct sent_frame *frame)
{
    struct send_half *crypto = crypto_stream(conn, space);
    switch (frame->type) {
    case FRAME_ACK:
        ack_tracker_on_acked(&conn_space(conn, space)->received, frame->id);
        break;
    case FRAME_CRYPTO:
        if (crypto != NULL)
            send_half_on_acked(crypto, frame->offset, frame->len, false);
        break;
    case FRAME_NEW_CONNECTION_ID:
        local_cid_on_acked(&conn->local_cids, frame->id);
        break;
    case FRAME_RETIRE_CONNECTION_ID:
        remote_cid_on_retirement_acked(&conn->remote_cids, frame->id);
        break;
    case FRAME_HANDSHAKE_DONE:
    case FRAME_NEW_TOKEN:
    case FRAME_PING:
        break;
    case FRAME_DATAGRAM:
        conn_datagram_on_acked(conn, frame);
        break;
    case FRAME_ACK_FREQUENCY:
        conn_ack_frequency_on_settled(conn, frame->id, false);
        break;
    default:
        stream_set_on_acked(&conn->streams, frame->type, frame->id, frame->offset, frame->len, frame->fin);
        break;
    }
}

/* Packet by packet, the data of a stream mostly follows on itself, and is settled in one piece. */
static void settle_stream_acked(roam_conn *conn, struct ack_news *news)
{
    const struct sent_frame *frame = &news->stream;
    if (frame->len > 0 || frame->fin)
        stream_set_on_acked(&conn->streams, FRAME_STREAM, frame->id, frame->offset, frame->len, frame->fin);
    news->stream = (struct sent_frame){0};
    conn->owner->totals->limits[ROAM_LIMIT_ACKED_RANGES] += conn->streams.acks_forgotten;
    conn->streams.acks_forgotten = 0;
}

static void add_stream_acked(roam_conn *conn, struct ack_news *news, const struct sent_frame *frame)
{
    struct sent_frame *sum = &news->stream;
    if (sum->len == 0 || sum->fin || sum->id != frame->id || sum->offset + sum->len != frame->offset ||
        frame->len > UINT32_MAX - sum->len) {
        settle_stream_acked(conn, news);
        *sum = *frame;
        return;
    }
    sum->len += frame->len;
    sum->fin = frame->fin;
}

static void settle_lost(roam_conn *conn, enum packet_space space, const struct sent_frame *frame)
{
    struct send_half *crypto = crypto_stream(conn, space);
    switch (frame->type) {
    case FRAME_ACK:
    case FRAME_PING:
        break;
    case FRAME_CRYPTO:
        if (crypto != NULL)
            send_half_on_lost(crypto, frame->offset, frame->len, false);
        break;
    case FRAME_NEW_CONNECTION_ID:
        local_cid_on_lost(&conn->local_cids, frame->id);
        break;
    case FRAME_RETIRE_CONNECTION_ID:
        remote_cid_on_retirement_lost(&conn->remote_cids, frame->id);
        break;
    case FRAME_HANDSHAKE_DONE:
        //= rfc9000#13.3 Retransmit HANDSHAKE_DONE until acknowledged.
        conn->handshake_done_pending = true;
        break;
    case FRAME_NEW_TOKEN:
        conn->new_token_pending = true;
        break;
    case FRAME_DATAGRAM:
        conn_datagram_on_lost(conn, frame);
        break;
    case FRAME_ACK_FREQUENCY:
        conn_ack_frequency_on_settled(conn, frame->id, true);
        break;
    default:
        stream_set_on_lost(&conn->streams, frame->type, frame->id, frame->offset, frame->len, frame->fin);
        break;
    }
}

static struct path_recovery *find_recovery(void *owner, uint64_t path_id)
{
    roam_conn *conn = owner;
    struct path *path = path_set_find(&conn->paths, path_id);
    return path != NULL ? &path->recovery : NULL;
}

static void on_lost(void *owner, enum packet_space space, struct sent_packet *packet)
{
    roam_conn *conn = owner;
    struct path *path = path_set_find(&conn->paths, packet->path_id);
    conn->counters.packets_lost++;
    if (conn->log != NULL)
        conn_log_lost(conn, space, packet);
    if (conn->move_stats != NULL)
        move_stats_on_lost(conn, packet);
    if (path != NULL)
        path_on_fate(path, true);
    if (path != NULL) {
        ecn_on_lost(&path->ecn, packet->ect);
        conn_mtu_on_lost(conn, path, packet);
    }
    for (const struct sent_frame *frame = packet->frames; frame != NULL; frame = frame->next)
        settle_lost(conn, space, frame);
}

static void on_given_up(void *owner, enum packet_space space, struct sent_packet *packet)
{
    roam_conn *conn = owner;
    conn->counters.packets_lost++;
    if (conn->log != NULL)
        conn_log_lost(conn, space, packet);
    for (const struct sent_frame *frame = packet->frames; frame != NULL; frame = frame->next)
        settle_lost(conn, space, frame);
}

void conn_give_up_early_data(roam_conn *conn)
{
    struct loss_context context = {.owner = conn, .find = find_recovery, .on_lost = on_given_up};
    loss_declare_path(&conn->application.sent, SPACE_APPLICATION, &context, conn->paths.active_id);
}

struct loss_context conn_loss_context(roam_conn *conn)
{
    return (struct loss_context){.owner = conn, .find = find_recovery, .on_lost = on_lost};
}

void conn_detect_loss(roam_conn *conn, enum packet_space number)
{
    struct pn_space *space = conn_space(conn, number);
    struct loss_context context = conn_loss_context(conn);
    if (space != NULL)
        space->loss_time = loss_detect(&space->sent, number, &context, conn->paths.active_id, space->largest_acked,
                                       space->largest_acked_sent_at, conn_peer_max_ack_delay(conn), conn->now);
    conn_mtu_repair(conn);
}

void conn_sweep_sent(roam_conn *conn, enum packet_space number)
{
    struct sent_map *sent = &conn_space(conn, number)->sent;
    struct loss_context context = conn_loss_context(conn);
    roam_time unanswered = saturating_sub(conn->now, saturating_mul(UNANSWERED_PTOS, conn_pto(conn)));
    loss_sweep(sent, number, &context, saturating_sub(sent->next, ACKS_REMEMBERED), unanswered, conn->now);
}

void conn_give_up_path(roam_conn *conn, uint64_t path_id)
{
    struct loss_context context = conn_loss_context(conn);
    loss_declare_path(&conn->application.sent, SPACE_APPLICATION, &context, path_id);
}

void conn_discard_space(roam_conn *conn, enum packet_space number)
{
    struct handshake *handshake = conn->handshake;
    if (number == SPACE_APPLICATION || handshake == NULL || handshake->discarded[number])
        return;
    struct loss_context context = conn_loss_context(conn);
    struct pn_space *space = &handshake->spaces[number];
    //= rfc9002#6.4 On key discard drop recovery state and bytes in flight of that space.
    loss_discard_space(&space->sent, &context);
    space->loss_time = ROAM_TIME_NEVER;
    space->probes = 0;
    packet_keys_done(&handshake->receive[number]);
    packet_keys_done(&handshake->send[number]);
    //= rfc9369#4.1-7 With them, after a Handshake packet at the earliest, go those of the original version.
    packet_keys_done(&handshake->other_receive);
    handshake->discarded[number] = true;
    //= rfc9002#6.2.2 Reset PTO and loss timers on key discard.
    conn->pto_count = 0;
}

static void count_marked(struct ack_news *news, const struct sent_packet *packet)
{
    for (size_t i = 0; i < news->paths; i++) {
        if (news->path_ids[i] == packet->path_id) {
            news->marked[i] += packet->ect;
            return;
        }
    }
    if (news->paths < PATHS_MAX) {
        news->path_ids[news->paths] = packet->path_id;
        news->marked[news->paths++] = packet->ect;
    }
}

static void on_packet_acked(roam_conn *conn, enum packet_space number, struct sent_packet *packet,
                            struct ack_news *news)
{
    struct path *path = path_set_find(&conn->paths, packet->path_id);
    if (news->newest == PACKET_NUMBER_NONE || packet->number > news->newest) {
        news->newest = packet->number;
        news->newest_sent_at = packet->sent_at;
        news->newest_path = packet->path_id;
    }
    news->any_eliciting |= packet->ack_eliciting;
    count_marked(news, packet);
    if (path != NULL) {
        path_on_fate(path, false);
        uint64_t *largest = &path->recovery.largest_acked[number];
        *largest = *largest == PACKET_NUMBER_NONE ? packet->number : max_u64(*largest, packet->number);
        //= rfc9000#9.4-1 Packets sent on the old path never feed CC or RTT of the new path: each feeds its own.
        path_on_acked(path);
        if (packet->in_flight) {
            congestion_on_delivered(&path->recovery.congestion, packet->rate_stamp, packet->bytes, packet->sent_at,
                                    conn->now);
            congestion_on_acked(&path->recovery.congestion, packet->bytes, packet->sent_at, conn->now,
                                &path->recovery.rtt, packet->app_limited);
        }
        conn_mtu_on_acked(conn, path, packet);
    }
    for (const struct sent_frame *frame = packet->frames; frame != NULL; frame = frame->next) {
        if (frame->type == FRAME_STREAM)
            add_stream_acked(conn, news, frame);
        else
            settle_acked(conn, number, frame);
    }
}

static void acknowledge_range(roam_conn *conn, enum packet_space number, uint64_t smallest, uint64_t largest,
                              struct ack_news *news)
{
    struct sent_map *sent = &conn_space(conn, number)->sent;
    struct sent_packet *packet = sent_map_outstanding_from(sent, smallest);
    while (packet != NULL && packet->number <= largest) {
        uint64_t next = packet->number + 1;
        on_packet_acked(conn, number, packet, news);
        sent_map_remove(sent, packet);
        packet = sent_map_outstanding_from(sent, next);
    }
}

static roam_time scaled_ack_delay(const roam_conn *conn, enum packet_space number, uint64_t delay)
{
    /* RFC 9002 section 5.3: Initial and Handshake packets are acknowledged at once; the field is ignored there. */
    if (number != SPACE_APPLICATION)
        return 0;
    return saturating_mul(saturating_mul(delay, UINT64_C(1) << conn->peer.ack_delay_exponent), 1000);
}

static void take_rtt_sample(roam_conn *conn, enum packet_space number, const struct frame_ack *ack,
                            const struct ack_news *news)
{
    struct path *path = path_set_find(&conn->paths, news->newest_path);
    //= rfc9002#5.1 A sample only when the largest acknowledged is new and something ack-eliciting is.
    if (news->newest != ack->largest || !news->any_eliciting || path == NULL || conn->now < news->newest_sent_at)
        return;
    rtt_update(&path->recovery.rtt, conn->now - news->newest_sent_at, scaled_ack_delay(conn, number, ack->delay),
               conn_peer_max_ack_delay(conn), conn->confirmed);
    if (path->recovery.first_sample_at == ROAM_TIME_NEVER) {
        path->recovery.first_sample_at = conn->now;
        path_validation_on_rtt(&path->validation, rtt_pto(&path->recovery.rtt, conn_peer_max_ack_delay(conn)));
    }
}

/* `raised`: the largest number acknowledged did. */
static void validate_ecn(roam_conn *conn, struct pn_space *space, const struct frame_ack *ack,
                         const struct ack_news *news, bool raised)
{
    uint64_t ect0 = saturating_sub(ack->ect0, space->ect0_acked);
    uint64_t ect1 = saturating_sub(ack->ect1, space->ect1_acked);
    uint64_t ce = saturating_sub(ack->ce, space->ce_acked);
    /* Counts are of the space, marks of a path: where one ACK covers several paths, the counts cannot be told apart,
     * and only one that covers a single path judges. */
    //= rfc9000#13.4.2.1-1 Do not fail ECN validation on an ACK that does not raise the largest acknowledged.
    const bool is_clear = raised && news->paths == 1;
    for (size_t i = 0; i < news->paths; i++) {
        struct path *path = path_set_find(&conn->paths, news->path_ids[i]);
        if (path != NULL && !is_clear)
            ecn_on_unclear(&path->ecn, news->marked[i]);
        else if (path != NULL && ecn_on_acked(&path->ecn, news->marked[i], ack->has_ecn, ect0, ect1, ce))
            congestion_on_ce(&path->recovery.congestion, news->newest_sent_at, conn->now);
    }
    if (raised && ack->has_ecn) {
        space->ect0_acked = max_u64(space->ect0_acked, ack->ect0);
        space->ect1_acked = max_u64(space->ect1_acked, ack->ect1);
        space->ce_acked = max_u64(space->ce_acked, ack->ce);
    }
}

static uint64_t acknowledge(roam_conn *conn, enum packet_space number, const struct frame_ack *ack,
                            struct ack_news *news)
{
    struct ack_walk walk;
    uint64_t smallest, largest;
    ack_walk_begin(&walk, ack, &smallest, &largest);
    do {
        //= rfc9000#13.1 ACK of an unsent packet is PROTOCOL_VIOLATION.
        if (pn_space_is_unsent(conn_space(conn, number), smallest, largest))
            return ROAM_PROTOCOL_VIOLATION;
        acknowledge_range(conn, number, smallest, largest, news);
    } while (ack_walk_next(&walk, &smallest, &largest));
    return ROAM_NO_ERROR;
}

static bool covers_active_path(const roam_conn *conn, const struct ack_news *news)
{
    for (size_t i = 0; i < news->paths; i++)
        if (news->path_ids[i] == conn->paths.active_id)
            return true;
    return false;
}

static void end_ack(roam_conn *conn, const struct ack_news *news)
{
    for (size_t i = 0; i < news->paths; i++) {
        struct path *path = path_set_find(&conn->paths, news->path_ids[i]);
        if (path != NULL)
            congestion_on_ack_end(&path->recovery.congestion, &path->recovery.rtt, conn->now);
    }
}

uint64_t conn_on_ack(roam_conn *conn, const struct packet_context *context, const struct frame_ack *ack)
{
    struct pn_space *space = conn_space(conn, context->space);
    struct ack_news news = {.newest = PACKET_NUMBER_NONE};
    uint64_t error = acknowledge(conn, context->space, ack, &news);
    settle_stream_acked(conn, &news);
    if (error != ROAM_NO_ERROR || news.newest == PACKET_NUMBER_NONE)
        return error;
    bool raised = space->largest_acked == PACKET_NUMBER_NONE || ack->largest > space->largest_acked;
    if (raised)
        space->largest_acked = ack->largest;
    if (raised && news.newest == ack->largest)
        space->largest_acked_sent_at = news.newest_sent_at;
    take_rtt_sample(conn, context->space, ack, &news);
    end_ack(conn, &news);
    if (conn->mobility != NULL && covers_active_path(conn, &news))
        conn_mobility_on_heard(conn, true);
    validate_ecn(conn, space, ack, &news, raised);
    if (context->space == SPACE_APPLICATION)
        key_update_on_acked(&conn->keys, news.newest, conn->now, conn_pto(conn));
    //= rfc9002#6.2.1 An ACK resets the backoff, except at a client not sure its address is validated.
    if (context->space == SPACE_HANDSHAKE && conn->handshake != NULL)
        conn->handshake->peer_completed_address_validation = true;
    if (conn->handshake == NULL || conn->handshake->peer_completed_address_validation)
        conn->pto_count = 0;
    conn_detect_loss(conn, context->space);
    if (context->space == SPACE_APPLICATION)
        conn_review_ack_frequency(conn);
    return ROAM_NO_ERROR;
}
