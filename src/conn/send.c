/*
 * Datagrams out: which path, how large, which packets - then padded, sealed, counted. Nothing leaves beyond the 3x
 * limit of a path that is not validated; nothing in flight leaves beyond the window, but for PTO probes (RFC 9002
 * section 7.5).
 */
#include "conn/assemble.h"
#include "conn/cids.h"
#include "conn/log.h"
#include "conn/mobility.h"
#include "conn/mtu.h"

/* ---- Sealing */

/* Padding goes into the last packet, RFC 9000 section 14.1. */
static void expand(struct assembly *assembly)
{
    const size_t wanted = max_size(DATAGRAM_BYTES_MIN, min_size(assembly->expand_bytes, assembly->limit));
    const size_t target = assembly->mtu_probe ? assembly->limit : wanted;
    //= rfc9000#8.2.2-6 Do not pad that datagram beyond the 3x budget.
    // Nor up to it: a smaller datagram proves nothing about the path's size anyway, and what padding would use up is
    // what the next challenge needs, should this one be lost.
    if (!assembly->expand || assembly->limit < target || assembly->len >= target)
        return;
    struct pending_packet *last = &assembly->packets[assembly->count - 1];
    size_t padding = target - assembly->len;
    uint8_t *at = last->start + last->header_len + last->payload_len;
    memset(at, 0, padding);
    struct span *span = &last->spans[last->span_count - 1];
    if (span->data + span->len == at)
        span->len += padding;
    else
        last->spans[last->span_count++] = (struct span){.data = at, .len = padding};
    last->payload_len += padding;
    last->padded = true;
    last->frames |= frame_bit(FRAME_PADDING);
    assembly->len = target;
}

static void seal(roam_conn *conn, const struct pending_packet *packet)
{
    struct packet_seal job = pending_packet_seal(packet);
    if (packet->length_at != NULL)
        packet_length_write(packet->length_at, pending_packet_bytes(packet) - packet->number_offset);
    packet_protection_seal(conn_send_keys(conn, packet->space), &job, 1);
    if (packet->type == PACKET_ONE_RTT)
        key_update_on_sent(&conn->keys, packet->number);
}

bool conn_is_app_limited(roam_conn *conn, const struct path *path)
{
    return congestion_allowance(&path->recovery.congestion) >= 2 * path_datagram_bytes(path) &&
           !conn_space_wants(conn, SPACE_APPLICATION);
}

static bool is_mere_ping(const struct pending_packet *packet)
{
    return (packet->frames & ~(frame_bit(FRAME_PING) | frame_bit(FRAME_IMMEDIATE_ACK) | frame_bit(FRAME_PADDING) |
                               frame_bit(FRAME_ACK))) == 0;
}

void conn_describe_sent(roam_conn *conn, const struct assembly *assembly, const struct pending_packet *packet,
                        size_t datagram_bytes, bool ect)
{
    struct sent_packet *sent = packet->sent;
    sent->sent_at = conn->now;
    sent->path_id = assembly->path->id;
    sent->bytes = (uint32_t)pending_packet_bytes(packet);
    sent->ack_eliciting = packet->eliciting;
    sent->in_flight = packet->eliciting || packet->padded;
    sent->ect = ect;
    sent->probe = assembly->probe;
    sent->mtu_probe = assembly->mtu_probe;
    sent->datagram_bytes = (uint16_t)datagram_bytes;
}

static void enter_sent_packet(roam_conn *conn, const struct assembly *assembly, const struct pending_packet *packet,
                              bool app_limited, bool ect)
{
    struct pn_space *space = conn_space(conn, packet->space);
    struct path *path = assembly->path;
    struct sent_packet *sent = packet->sent;
    conn_describe_sent(conn, assembly, packet, assembly->len, ect);
    sent->app_limited = app_limited;
    if (packet->eliciting && (space->sent.ack_eliciting == 0 || !is_mere_ping(packet)))
        conn->pto_again_from = conn->now;
    sent_map_commit(&space->sent, sent);
    if (sent->in_flight) {
        sent->rate_stamp = congestion_stamp(&path->recovery.congestion, sent->bytes, app_limited, conn->now);
        congestion_on_sent(&path->recovery.congestion, sent->bytes);
        pacer_on_sent(path->recovery.pacer, sent->bytes, conn->now, &path->recovery.congestion, &path->recovery.rtt);
    }
    if (packet->eliciting)
        space->last_eliciting_sent_at = conn->now;
    ecn_on_sent(&path->ecn, ect);
    conn_on_packet_sent_timers(conn, packet->eliciting);
    if (!sent->in_flight && sent->number % ACKS_PER_SWEEP == 0)
        conn_sweep_sent(conn, packet->space);
}

void conn_observe_sent(roam_conn *conn, const struct assembly *assembly, const struct pending_packet *packet)
{
    const bool has_data = (packet->frames & (frame_bit(FRAME_STREAM) | frame_bit(FRAME_DATAGRAM))) != 0;
    conn->counters.packets_sent++;
    conn->owner->totals->packets_sent++;
    conn->owner->totals->data_packets_sent += has_data;
    if (conn->owner->observe == NULL)
        return;
    struct observed_packet observed = {.conn = conn,
                                       .sent = true,
                                       .type = packet->type,
                                       .number = packet->number,
                                       .path_id = assembly->path->id,
                                       .local = assembly->path->local,
                                       .remote = assembly->path->remote,
                                       .dcid = *assembly->dcid,
                                       .bytes = pending_packet_bytes(packet),
                                       .frames = packet->frames};
    conn->owner->observe(conn->owner->context, &observed);
}

static bool datagram_is_eliciting(const struct assembly *assembly)
{
    for (size_t i = 0; i < assembly->count; i++) {
        if (assembly->packets[i].eliciting)
            return true;
    }
    return false;
}

/* Client: Initial keys have done their work when the first Handshake packet goes out (RFC 9001 section 4.9.1). */
static void discard_initial_if_due(roam_conn *conn, const struct assembly *assembly)
{
    for (size_t i = 0; i < assembly->count && !conn->is_server; i++) {
        if (assembly->packets[i].space == SPACE_HANDSHAKE)
            conn_discard_space(conn, SPACE_INITIAL);
    }
}

static bool finish(roam_conn *conn, struct assembly *assembly, roam_datagram *ret)
{
    struct path *path = assembly->path;
    if (assembly->count == 0)
        return false;
    expand(assembly);
    ret->ecn = datagram_is_eliciting(assembly) ? ecn_mark(&path->ecn) : (uint8_t)ROAM_ECN_NOT_ECT;
    bool app_limited = conn_is_app_limited(conn, path);
    for (size_t i = 0; i < assembly->count; i++) {
        enter_sent_packet(conn, assembly, &assembly->packets[i], app_limited, ret->ecn == ROAM_ECN_ECT0);
        if (conn->log != NULL)
            conn_log_sent(conn, assembly, &assembly->packets[i], ret->ecn);
        seal(conn, &assembly->packets[i]);
        conn_observe_sent(conn, assembly, &assembly->packets[i]);
    }
    discard_initial_if_due(conn, assembly);
    if (assembly->mtu_probe)
        pmtud_on_probe_sent(&path->pmtud);
    else
        pmtud_on_sent(&path->pmtud, assembly->len);
    if (!assembly->elsewhere) {
        conn_on_cid_written(conn, path->id, assembly->len);
        path_on_sent(path, assembly->len, conn->now);
    }
    conn->counters.bytes_sent += assembly->len;
    ret->len = assembly->len;
    ret->segment_bytes = 0;
    if (conn->log != NULL)
        conn_log_changes(conn);
    ret->local = path->local;
    ret->remote = path->remote;
    /* Frames that are on no record could never be repaired. Not before the sealing: closing lets go of what the
     * spans point to. */
    if (assembly->out_of_memory)
        conn_fail(conn, ROAM_INTERNAL_ERROR, 0, "no memory");
    return true;
}

/* ---- Starting */

/* Of two PTO probes the second is small: where full datagrams vanish, it is what shows that they do. After more
 * PTOs both are: the first holds the fresh CIDs that a client gives then, without which there may be no answer. */
static bool owes_small_probe(roam_conn *conn)
{
    for (enum packet_space number = SPACE_INITIAL; number < PACKET_SPACES; number++) {
        const struct pn_space *space = conn_space(conn, number);
        if (space != NULL && space->probes > 0 && (space->probes == 1 || conn->pto_count >= PTOS_BEFORE_NEW_CIDS))
            return true;
    }
    return false;
}

/* What path validation finds out is whether 1200 octets pass, whatever is sent there otherwise. */
static uint64_t full_datagram(roam_conn *conn, const struct path *path)
{
    bool path_frames = path_may_respond(path) || path->validation.challenge_due;
    return path_frames || owes_small_probe(conn) ? DATAGRAM_BYTES_MIN : path_datagram_bytes(path);
}

static bool start(roam_conn *conn, struct path *path, roam_datagram *ret, struct assembly *assembly)
{
    struct remote_cid *cid = remote_cid_of_path(&conn->remote_cids, path->id);
    if (cid == NULL || !roam_address_is_set(&path->remote))
        return false;
    uint64_t limit = min_u64(min_u64(full_datagram(conn, path), conn->peer.max_udp_payload), ret->capacity);
    *assembly = (struct assembly){.path = path, .dcid = &cid->cid, .data = ret->data};
    assembly->carries = (size_t)min_u64(min_u64(path_datagram_bytes(path), conn->peer.max_udp_payload), ret->capacity);
    //= rfc9000#8.1-2 Before validation never send more than three times the bytes received.
    assembly->limit = (size_t)min_u64(limit, path_allowance(path));
    return assembly->limit >= SHORT_PACKET_BYTES_MIN(0);
}

/* ---- Closing */

/* To where the last datagram came from, or down the active path. */
static bool start_close(roam_conn *conn, roam_datagram *ret, struct assembly *assembly)
{
    struct path *path = path_set_active(&conn->paths);
    const struct conn_end *end = conn->end;
    if (end == NULL || !roam_address_is_set(&end->remote))
        return start(conn, path, ret, assembly);
    *assembly = (struct assembly){.path = path, .dcid = &end->cid, .data = ret->data, .elsewhere = true};
    assembly->limit = min_size(min_size(end->allowance, ret->capacity), DATAGRAM_BYTES_MIN);
    return true;
}

static bool transmit_close(roam_conn *conn, roam_datagram *ret)
{
    struct assembly assembly;
    conn->close_pending = false;
    if (!start_close(conn, ret, &assembly))
        return false;
    //= rfc9000#10.2.3 Before confirmation, close at every level that the peer may have keys for.
    for (enum packet_space space = SPACE_INITIAL; space < PACKET_SPACES; space++) {
        if (!conn->confirmed || space == SPACE_APPLICATION)
            assemble_packet(conn, &assembly, space, ASSEMBLE_CLOSE);
        assembly.expand |= assembly.count > 0 && assembly.packets[0].space == SPACE_INITIAL && !conn->is_server;
    }
    bool sent = finish(conn, &assembly, ret);
    if (sent && assembly.elsewhere) {
        ret->local = conn->end->local;
        ret->remote = conn->end->remote;
    }
    if (conn->end != NULL)
        conn->end->remote = (roam_address){0};
    return sent;
}

/* ---- Paths that are not active: probing packets only */

static bool transmit_probe(roam_conn *conn, roam_datagram *ret)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *path = conn->paths.paths[i];
        struct assembly assembly;
        bool due = path_may_respond(path) || path->validation.challenge_due;
        if (path->id == conn->paths.active_id || !due || !start(conn, path, ret, &assembly))
            continue;
        //= rfc9000#9.4-1 Losses of probe packets do not lower the rate of the path that was left.
        assembly.probe = true;
        assemble_packet(conn, &assembly, SPACE_APPLICATION, ASSEMBLE_PROBING);
        if (finish(conn, &assembly, ret))
            return true;
    }
    return false;
}

/* ---- The active path */

/* The pacer says when; the deadline remembers. On a path at rest it has nothing against it. */
static bool is_paced(roam_conn *conn, const struct path *path)
{
    if (path->work == NULL)
        return false;
    roam_time next = pacer_next(path->recovery.pacer, conn->now, &path->recovery.congestion, &path->recovery.rtt);
    conn->pacing_until = next > conn->now ? next : 0;
    return next > conn->now;
}

static enum assemble_mode mode_of_space(roam_conn *conn, enum packet_space number, const struct path *path)
{
    const struct pn_space *space = conn_space(conn, number);
    if (space == NULL || space->probes > 0)
        return ASSEMBLE_NORMAL; //= rfc9002#7.5 PTO probes are not blocked by the window.
    if (!conn_space_wants(conn, number))
        return ASSEMBLE_ACK_ONLY;
    /* RFC 9002 section 7.3.2 lets one packet go out beyond the window on entering recovery. The handshake needs it:
     * 1-RTT data that nobody can read before it is complete may fill the window, and no PTO runs for that. */
    if (number != SPACE_APPLICATION && space->sent.ack_eliciting == 0)
        return ASSEMBLE_NORMAL;
    //= rfc9221#5.4-1 DATAGRAM frames wait for the congestion controller like anything else.
    return path_window_is_full(path) || is_paced(conn, path) ? ASSEMBLE_ACK_ONLY : ASSEMBLE_NORMAL;
}

static bool must_expand(const roam_conn *conn, const struct assembly *assembly)
{
    const struct pending_packet *first = &assembly->packets[0];
    if (assembly->count == 0 || first->space != SPACE_INITIAL)
        return false;
    //= rfc9000#8.1-4 Client pads datagrams that hold Initial packets to at least 1200 bytes of UDP payload.
    //= rfc9000#14.1 Client expands every Initial-bearing datagram to 1200, a server those with ack-eliciting Initials.
    return !conn->is_server || first->eliciting;
}

//= rfc9001#6.6 Start an update before the confidentiality limit; stop using keys past it.
/* Whatever path the next packet takes, and whatever it is for. False where nothing more may be sent. */
static bool keep_keys_within_limits(roam_conn *conn)
{
    const struct handshake *handshake = conn->handshake;
    if (conn->confirmed && key_update_needed(&conn->keys) && key_update_allowed(&conn->keys, conn->now) &&
        key_update_begin(&conn->keys, conn->now, conn_pto(conn)))
        conn_event(conn, ROAM_EVENT_KEY_UPDATED);
    bool used_up = key_update_exhausted(&conn->keys);
    if (handshake != NULL)
        used_up |= packet_keys_are_used_up(&handshake->send[SPACE_INITIAL]) ||
                   packet_keys_are_used_up(&handshake->send[SPACE_HANDSHAKE]) ||
                   (!conn->is_server && packet_keys_are_used_up(&handshake->zero_rtt));
    if (used_up)
        conn_fail(conn, ROAM_AEAD_LIMIT_REACHED, 0, "keys are used up");
    return !used_up;
}

/* Beside data that waits, where the window has room for it: RFC 9000 section 14.4. */
static bool transmit_mtu_probe(roam_conn *conn, roam_datagram *ret)
{
    struct path *path = path_set_active(&conn->paths);
    struct assembly assembly;
    size_t bytes = conn_mtu_probe_due(conn, path, ret->capacity);
    if (bytes == 0 || congestion_allowance(&path->recovery.congestion) < bytes || is_paced(conn, path) ||
        !start(conn, path, ret, &assembly))
        return false;
    //= rfc9000#14.2-3 Only probes may exceed the current maximum datagram size.
    assembly.limit = bytes;
    assembly.probe = assembly.mtu_probe = assembly.expand = true;
    assemble_packet(conn, &assembly, SPACE_APPLICATION, ASSEMBLE_MTU);
    return finish(conn, &assembly, ret);
}

static bool transmit_active(roam_conn *conn, roam_datagram *ret)
{
    struct path *path = path_set_active(&conn->paths);
    struct assembly assembly;
    conn_rotate_if_due(conn);
    if (!start(conn, path, ret, &assembly))
        return false;
    for (enum packet_space space = SPACE_INITIAL; space < PACKET_SPACES; space++) {
        if (conn_send_keys(conn, space) != NULL)
            assemble_packet(conn, &assembly, space, mode_of_space(conn, space, path));
        assembly.expand |= must_expand(conn, &assembly);
    }
    return finish(conn, &assembly, ret);
}

bool conn_transmit(roam_conn *conn, roam_time now, roam_datagram *ret)
{
    const bool segmented = ret->segment_bytes > 0;
    conn->now = now;
    if (conn->event_lost)
        conn_fail(conn, ROAM_INTERNAL_ERROR, 0, "no memory");
    if (conn->state == ROAM_CONN_CLOSING)
        return conn->close_pending && transmit_close(conn, ret);
    if (conn->state != ROAM_CONN_HANDSHAKE && conn->state != ROAM_CONN_ESTABLISHED)
        return false;
    conn_mobility_run(conn);
    if (!keep_keys_within_limits(conn))
        return false;
    if (transmit_probe(conn, ret))
        return true;
    if (conn_is_waiting(conn))
        return false;
    if (transmit_mtu_probe(conn, ret))
        return true;
    if (!transmit_active(conn, ret))
        return false;
    if (segmented)
        conn_add_segments(conn, ret);
    return true;
}
