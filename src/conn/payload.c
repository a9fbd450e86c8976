/*
 * The frames that are due, in order of urgency. Control frames are written where they will be encrypted; of STREAM frames
 * only the header is, and the payload stays in the stream's buffer until it is sealed. Every frame whose fate matters is
 * recorded with its packet.
 */
#include "conn/payload.h"

#include "conn/ack_frequency.h"
#include "conn/datagrams.h"
#include "conn/paths.h"

/* No frame of streams is shorter. */
#define STREAM_FRAME_BYTES_MIN 2

void payload_close_span(struct payload *payload)
{
    struct pending_packet *packet = payload->packet;
    size_t len = (size_t)(payload->writer.pos - payload->open_from);
    if (len > 0)
        packet->spans[packet->span_count++] = (struct span){.data = payload->open_from, .len = len};
    payload->open_from = payload->writer.pos;
}

/* A frame was written: records it. `type` as struct sent_frame has it. */
static void record(struct payload *payload, const struct sent_frame *frame)
{
    const struct frame_rule *rule = frame_rule_of(frame->type);
    payload->packet->frames |= frame_bit(frame->type);
    payload->packet->eliciting |= rule->ack_eliciting;
    if (!sent_map_add_frame(&payload->space->sent, payload->packet->sent, frame))
        payload->assembly->out_of_memory = true;
}

static void record_type(struct payload *payload, uint8_t type, uint64_t id)
{
    record(payload, &(struct sent_frame){.type = type, .id = id});
}

/* Frames whose fate does not matter, or is judged by something else than an acknowledgement. */
static void note_type(struct payload *payload, uint8_t type)
{
    payload->packet->frames |= frame_bit(type);
    payload->packet->eliciting |= frame_rule_of(type)->ack_eliciting;
}

static void put_ack(roam_conn *conn, struct payload *payload)
{
    struct ack_tracker *received = &payload->space->received;
    const uint64_t counts[3] = {received->ect0, received->ect1, received->ce};
    bool marked = (received->ect0 | received->ect1 | received->ce) != 0;
    struct writer before = payload->writer;
    if (received->received.count == 0)
        return;
    //= rfc9000#13.2.5 Report the true delay.
    uint64_t delay = saturating_sub(conn->now, received->largest_at) / 1000 >> ACK_DELAY_EXPONENT_DEFAULT;
    frame_write_ack(&payload->writer, received->received.ranges, received->received.count, ACK_RANGES_SENT_MAX, delay,
                    marked ? counts : NULL); //= rfc9000#13.4.1-1 Report received ECN marks.
    if (payload->writer.failed) {
        payload->writer = before;
        return;
    }
    record_type(payload, FRAME_ACK, received->largest);
    ack_tracker_on_sent(received);
    if (payload->packet->space == SPACE_APPLICATION)
        conn_ack_frequency_on_ack_sent(conn, received->largest);
}

static void put_crypto(roam_conn *conn, struct payload *payload, enum packet_space space)
{
    if (conn->handshake == NULL)
        return;
    struct send_half *stream = &conn->handshake->crypto_send[space];
    //= rfc9002#6.2.4 Both probes carry the data where one has room for all of it: it is what the peer waits for.
    if (space != SPACE_APPLICATION && payload->space->probes > 0 && !send_half_wants(stream, UINT64_MAX))
        send_half_retransmit_oldest(stream, payload_room(payload));
    uint64_t offset;
    const uint8_t *data;
    size_t len;
    bool fin;
    while (payload_room(payload) > frame_crypto_header_len(stream->written, payload_room(payload)) &&
           send_half_next(stream, UINT64_MAX,
                          payload_room(payload) - frame_crypto_header_len(stream->written, payload_room(payload)),
                          &offset, &data, &len, &fin)) {
        frame_write_crypto(&payload->writer, offset, data, len);
        send_half_on_sent(stream, offset, len, false);
        record(payload, &(struct sent_frame){.type = FRAME_CRYPTO, .offset = offset, .len = (uint32_t)len});
    }
}

/* RFC 9000 section 8.2: the first thing on a path that has to be proven, in a datagram as large as may be. */
static void put_path_frames(roam_conn *conn, struct payload *payload)
{
    struct path *path = payload->assembly->path;
    uint8_t data[PATH_DATA_BYTES];
    while (payload_room(payload) >= 1 + PATH_DATA_BYTES && path_may_respond(path) &&
           path_take_response(path, data, conn->now)) {
        //= rfc9000#8.2.2-1 Echo PATH_CHALLENGE data in a PATH_RESPONSE.
        frame_write_path(&payload->writer, FRAME_PATH_RESPONSE, data);
        note_type(payload, FRAME_PATH_RESPONSE); //= rfc9000#8.2.2-7 No retransmission of PATH_RESPONSE.
        payload->assembly->expand = true;        //= rfc9000#8.2.2-5 Pad datagrams with PATH_RESPONSE to 1200 bytes.
        conn_path_data_event(conn, ROAM_EVENT_PATH_RESPONDED, path, data);
    }
    //= rfc9000#8.2.1-2 At most one PATH_CHALLENGE per packet.
    if (path->validation.challenge_due && payload_room(payload) >= 1 + PATH_DATA_BYTES) {
        path_validation_on_sent(&path->validation, conn->owner->rng, conn->now,
                                payload->assembly->limit >= DATAGRAM_BYTES_MIN, data);
        frame_write_path(&payload->writer, FRAME_PATH_CHALLENGE, data);
        note_type(payload, FRAME_PATH_CHALLENGE);
        payload->assembly->expand = true; //= rfc9000#8.2.1-5 Pad datagrams with PATH_CHALLENGE to 1200 bytes.
        conn->counters.challenges_sent++;
        path->heard_when_asked = path->heard_at;
        conn_path_data_event(conn, ROAM_EVENT_PATH_CHALLENGED, path, data);
    }
}

/* Writes through `before`, so that a frame that does not fit leaves no trace. */
static bool keep_if_it_fits(struct payload *payload, struct writer before)
{
    if (!payload->writer.failed)
        return true;
    payload->writer = before;
    return false;
}

static void put_handshake_frames(roam_conn *conn, struct payload *payload)
{
    struct writer before = payload->writer;
    if (conn->handshake_done_pending) {
        frame_write_handshake_done(&payload->writer);
        if (keep_if_it_fits(payload, before)) {
            conn->handshake_done_pending = false;
            record_type(payload, FRAME_HANDSHAKE_DONE, 0);
        }
    }
    if (conn->new_token_pending && payload->assembly->path->address_validated &&
        payload_room(payload) > TOKEN_BYTES_MAX + 4) {
        uint8_t token[TOKEN_BYTES_MAX];
        size_t len =
            conn->owner->new_token(conn->owner->context, conn->version, &payload->assembly->path->remote, token);
        conn->new_token_pending = false;
        payload->assembly->path->token_given = true;
        if (len > 0) {
            frame_write_new_token(&payload->writer, token, len);
            record_type(payload, FRAME_NEW_TOKEN, 0);
        }
    }
}

static void put_cid_frames(roam_conn *conn, struct payload *payload)
{
    const struct local_cid *local;
    while ((local = local_cid_next_pending(&conn->local_cids)) != NULL) {
        struct writer before = payload->writer;
        frame_write_new_connection_id(&payload->writer, local->sequence,
                                      local_cid_frame_retire_prior_to(&conn->local_cids, local), &local->cid,
                                      local->reset_token);
        if (!keep_if_it_fits(payload, before))
            return;
        uint64_t sequence = local->sequence;
        local_cid_on_sent(&conn->local_cids, sequence);
        record_type(payload, FRAME_NEW_CONNECTION_ID, sequence);
    }
    uint64_t sequence;
    while (remote_cid_next_retirement(&conn->remote_cids, &sequence)) {
        struct writer before = payload->writer;
        frame_write_retire_connection_id(&payload->writer, sequence);
        if (!keep_if_it_fits(payload, before))
            return;
        remote_cid_on_retirement_sent(&conn->remote_cids, sequence);
        record_type(payload, FRAME_RETIRE_CONNECTION_ID, sequence);
    }
}

/* Octets that stay where they are until they are sealed; the ciphertext goes to where the writer is. */
static void put_span(struct payload *payload, const uint8_t *data, size_t len)
{
    payload_close_span(payload);
    payload->packet->spans[payload->packet->span_count++] = (struct span){.data = data, .len = len};
    payload->writer.pos += len;
    payload->open_from = payload->writer.pos;
}

static bool has_spans(const struct payload *payload)
{
    return payload->packet->span_count + 3 <= PACKET_SPANS_MAX;
}

static void put_streams(roam_conn *conn, struct payload *payload)
{
    struct stream_frame_out out;
    const struct stream_moment moment = {.now = conn->now, .rtt = payload->assembly->path->recovery.rtt.smoothed};
    while (has_spans(payload) && payload_room(payload) >= STREAM_FRAME_BYTES_MIN &&
           stream_set_fill(&conn->streams, &moment, &payload->writer, &out)) {
        if (out.data.len > 0)
            put_span(payload, out.data.data, out.data.len);
        record(payload, &(struct sent_frame){
                            .type = out.type, .id = out.id, .offset = out.offset, .len = out.len, .fin = out.fin});
    }
}

/* Returns how many. */
static size_t put_datagrams(roam_conn *conn, struct payload *payload)
{
    struct datagram_out out;
    size_t count = 0;
    while (count < PACKET_DATAGRAMS_MAX && has_spans(payload) && payload_room(payload) > 0 &&
           conn_datagram_fill(conn, payload->assembly->carries, &payload->writer, &out)) {
        if (out.len > DATAGRAM_COPIED_MAX)
            put_span(payload, out.data, out.len);
        else
            write_bytes(&payload->writer, out.data, out.len);
        record(payload, &(struct sent_frame){.type = FRAME_DATAGRAM, .id = out.tag, .len = (uint32_t)out.len});
        if (out.padded)
            note_type(payload, FRAME_PADDING);
        count++;
    }
    return count;
}

/* Packets are begun with datagrams and with stream data in turn, while both wait. A datagram whose turn it is is not
 * overtaken for having no room behind an ACK: the packet leaves as it is, and the next one takes it. */
void payload_put_data(roam_conn *conn, struct payload *payload)
{
    const struct pending_packet *packet = payload->packet;
    size_t room_of_packet = (size_t)(payload->writer.end - (packet->start + packet->header_len));
    bool both = conn_datagrams_wait(conn) && stream_set_wants(&conn->streams);
    if (conn_datagrams_go_first(conn)) {
        if (put_datagrams(conn, payload) > 0)
            conn_datagrams_had_turn(conn, both);
        else if (packet->frames != 0 && conn_datagram_fits(conn, room_of_packet))
            return;
        put_streams(conn, payload);
        return;
    }
    size_t room_before = payload_room(payload);
    put_streams(conn, payload);
    if (payload_room(payload) < room_before)
        conn_datagrams_had_turn(conn, false);
    put_datagrams(conn, payload);
}

static void put_ping(roam_conn *conn, struct payload *payload, enum assemble_mode mode)
{
    bool owed =
        mode == ASSEMBLE_NORMAL && (payload->space->probes > 0 || conn->ping_pending) && !payload->packet->eliciting;
    //= rfc9000#13.2.7 Besides ACK send something ack-eliciting from time to time.
    owed |=
        !payload->packet->eliciting && payload->packet->frames != 0 && conn->ack_only_packets >= ACK_ONLY_PACKETS_MAX;
    if (!owed || payload_room(payload) == 0)
        return;
    frame_write_ping(&payload->writer);
    record_type(payload, FRAME_PING, 0);
}

static void put_ack_frequency(roam_conn *conn, struct payload *payload)
{
    struct writer before = payload->writer;
    const struct ack_frequency *frequency = conn->ack_frequency;
    if (!conn_wants_ack_frequency(conn))
        return;
    const uint64_t sequence = frequency->next_sent;
    frame_write_ack_frequency(&payload->writer, sequence, frequency->wish.threshold, frequency->wish.max_delay_us, 1);
    if (!keep_if_it_fits(payload, before))
        return;
    conn_ack_frequency_on_sent(conn);
    record_type(payload, FRAME_ACK_FREQUENCY, sequence);
}

/* What is to be answered at once, where the peer can be told so: PTO probes, the question whether the peer still finds
 * us, and the first packet on a path that nothing was acknowledged on yet. That is how a move is noticed, and how it is
 * known to be done with. */
static void put_immediate_ack(roam_conn *conn, struct payload *payload)
{
    const struct path_recovery *recovery = &payload->assembly->path->recovery;
    const bool is_first = conn->moves > 0 && recovery->congestion.in_flight == 0 &&
                          recovery->largest_acked[SPACE_APPLICATION] == PACKET_NUMBER_NONE;
    if (conn->peer_min_ack_delay_ms == 0 || !payload->packet->eliciting || payload_room(payload) == 0 ||
        (payload->space->probes == 0 && !conn->full_ping_pending && !is_first))
        return;
    frame_write_immediate_ack(&payload->writer);
    note_type(payload, FRAME_IMMEDIATE_ACK);
}

static void put_close(roam_conn *conn, struct payload *payload, enum packet_type type)
{
    const roam_error *error = conn->error;
    bool application = error->cause == ROAM_CLOSE_LOCAL_APPLICATION;
    if (type != PACKET_ONE_RTT && application) {
        //= rfc9000#10.2.3 Turn an application close into 0x1c, APPLICATION_ERROR, with a blank reason.
        frame_write_close(&payload->writer, false, ROAM_APPLICATION_ERROR, 0, "", 0);
        application = false;
    } else {
        frame_write_close(&payload->writer, application, error->code, error->frame_type, error->reason,
                          strlen(error->reason));
    }
    if (!payload->writer.failed)
        payload->packet->frames |= frame_bit(application ? FRAME_CONNECTION_CLOSE_APPLICATION : FRAME_CONNECTION_CLOSE);
}

static void put_application_frames(roam_conn *conn, struct payload *payload)
{
    put_handshake_frames(conn, payload);
    put_cid_frames(conn, payload);
    put_ack_frequency(conn, payload);
    payload_put_data(conn, payload);
    if (conn->full_ping_pending) {
        payload->assembly->expand = true;
        payload->assembly->expand_bytes = conn->full_ping_bytes;
    }
}

void payload_put_frames(roam_conn *conn, struct payload *payload, enum packet_space space, enum assemble_mode mode)
{
    if (mode == ASSEMBLE_CLOSE) {
        put_close(conn, payload, payload->packet->type);
        return;
    }
    if (mode == ASSEMBLE_MTU) {
        //= rfc9000#14.4 PING and PADDING: nothing that a loss would delay.
        frame_write_ping(&payload->writer);
        record_type(payload, FRAME_PING, 0);
        return;
    }
    if (space == SPACE_APPLICATION)
        put_path_frames(conn, payload);
    if (mode == ASSEMBLE_PROBING)
        return;
    if (payload->space->received.pending && (ack_tracker_is_due(&payload->space->received, conn->now) ||
                                             mode == ASSEMBLE_NORMAL || payload->packet->eliciting))
        put_ack(conn, payload);
    if (mode == ASSEMBLE_NORMAL) {
        put_crypto(conn, payload, space);
        if (space == SPACE_APPLICATION)
            put_application_frames(conn, payload);
    }
    put_ping(conn, payload, mode);
    if (mode == ASSEMBLE_NORMAL && space == SPACE_APPLICATION)
        put_immediate_ack(conn, payload);
    //= rfc9000#9.3.3-2 A PATH_CHALLENGE on the active path is answered with a non-probing packet.
    if ((payload->packet->frames & frame_bit(FRAME_PATH_RESPONSE)) != 0 && payload_room(payload) > 0 &&
        (payload->packet->frames & ~(frame_bit(FRAME_PATH_RESPONSE) | frame_bit(FRAME_PATH_CHALLENGE))) == 0) {
        frame_write_ping(&payload->writer);
        record_type(payload, FRAME_PING, 0);
    }
}
