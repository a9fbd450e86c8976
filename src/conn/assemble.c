/*
 * One packet: header, then the frames that are due, in order of urgency. Control frames are written where they will
 * be encrypted; of STREAM frames only the header is, and the payload stays in the stream's buffer until it is
 * sealed. Every frame whose fate matters is recorded with its packet.
 */
#include "conn/assemble.h"

#include <stddef.h>

#include "conn/ack_frequency.h"
#include "conn/datagrams.h"
#include "conn/paths.h"

/* Writing one packet's payload. `open_from` is where the span that is being written began. */
struct payload {
    struct writer writer;
    uint8_t *open_from;
    struct pending_packet *packet;
    struct assembly *assembly;
    struct pn_space *space;
};

static void close_span(struct payload *payload)
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

static size_t room(const struct payload *payload)
{
    return writer_left(&payload->writer);
}

/* ---- Frames */

/* No frame of streams is shorter. */
#define STREAM_FRAME_BYTES_MIN 2

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
    uint64_t offset;
    const uint8_t *data;
    size_t len;
    bool fin;
    while (room(payload) > frame_crypto_header_len(stream->written, room(payload)) &&
           send_half_next(stream, UINT64_MAX, room(payload) - frame_crypto_header_len(stream->written, room(payload)),
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
    while (room(payload) >= 1 + PATH_DATA_BYTES && path_may_respond(path) &&
           path_take_response(path, data, conn->now)) {
        //= rfc9000#8.2.2-1 Echo PATH_CHALLENGE data in a PATH_RESPONSE.
        frame_write_path(&payload->writer, FRAME_PATH_RESPONSE, data);
        note_type(payload, FRAME_PATH_RESPONSE); //= rfc9000#8.2.2-7 No retransmission of PATH_RESPONSE.
        payload->assembly->expand = true;        //= rfc9000#8.2.2-5 Pad datagrams with PATH_RESPONSE to 1200 bytes.
        conn_path_data_event(conn, ROAM_EVENT_PATH_RESPONDED, path, data);
    }
    //= rfc9000#8.2.1-2 At most one PATH_CHALLENGE per packet.
    if (path->validation.challenge_due && room(payload) >= 1 + PATH_DATA_BYTES) {
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
    if (conn->new_token_pending && payload->assembly->path->address_validated && room(payload) > TOKEN_BYTES_MAX + 4) {
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
    close_span(payload);
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
    while (has_spans(payload) && room(payload) >= STREAM_FRAME_BYTES_MIN &&
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
    while (count < PACKET_DATAGRAMS_MAX && has_spans(payload) && room(payload) > 0 &&
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
static void put_data(roam_conn *conn, struct payload *payload)
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
    size_t room_before = room(payload);
    put_streams(conn, payload);
    if (room(payload) < room_before)
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
    if (!owed || room(payload) == 0)
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
    if (conn->peer_min_ack_delay_ms == 0 || !payload->packet->eliciting || room(payload) == 0 ||
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
    put_data(conn, payload);
    if (conn->full_ping_pending) {
        payload->assembly->expand = true;
        payload->assembly->expand_bytes = conn->full_ping_bytes;
    }
}

static void put_frames(roam_conn *conn, struct payload *payload, enum packet_space space, enum assemble_mode mode)
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
    if ((payload->packet->frames & frame_bit(FRAME_PATH_RESPONSE)) != 0 && room(payload) > 0 &&
        (payload->packet->frames & ~(frame_bit(FRAME_PATH_RESPONSE) | frame_bit(FRAME_PATH_CHALLENGE))) == 0) {
        frame_write_ping(&payload->writer);
        record_type(payload, FRAME_PING, 0);
    }
}

/* ---- The packet around them */

static bool has_something(roam_conn *conn, const struct assembly *assembly, enum packet_space number,
                          enum assemble_mode mode)
{
    const struct pn_space *space = conn_space(conn, number);
    const struct path *path = assembly->path;
    bool path_frames = number == SPACE_APPLICATION && (path_may_respond(path) || path->validation.challenge_due);
    if (mode == ASSEMBLE_CLOSE || mode == ASSEMBLE_MTU)
        return true;
    if (path_frames || mode == ASSEMBLE_PROBING)
        return path_frames;
    if (ack_tracker_is_due(&space->received, conn->now))
        return true;
    return mode == ASSEMBLE_NORMAL && (space->probes > 0 || conn_space_wants(conn, number));
}

bool conn_space_wants(roam_conn *conn, enum packet_space space)
{
    if (conn->handshake != NULL && send_half_wants(&conn->handshake->crypto_send[space], UINT64_MAX))
        return true;
    if (space != SPACE_APPLICATION)
        return false;
    uint64_t sequence;
    return conn->handshake_done_pending || conn->ping_pending || conn_wants_ack_frequency(conn) ||
           (conn->new_token_pending && path_set_active(&conn->paths)->address_validated) ||
           local_cid_next_pending(&conn->local_cids) != NULL ||
           remote_cid_next_retirement(&conn->remote_cids, &sequence) || conn_data_waits(conn);
}

static enum packet_type type_of_space(const roam_conn *conn, enum packet_space space)
{
    return space == SPACE_INITIAL     ? PACKET_INITIAL
           : space == SPACE_HANDSHAKE ? PACKET_HANDSHAKE
                                      : conn_application_packet(conn);
}

//= rfc9287#3.1 The fixed bit is set to an unpredictable value. One draw is enough for 63 packets.
static void grease_fixed_bit(const roam_conn *conn, struct assembly *assembly, uint8_t *first_octet)
{
    if (assembly->fixed_bits <= 1)
        assembly->fixed_bits = rng_u64(conn->owner->rng) | UINT64_C(1) << 63;
    if ((assembly->fixed_bits & 1) == 0)
        *first_octet &= (uint8_t)~FIXED_BIT;
    assembly->fixed_bits >>= 1;
}

static void write_header(roam_conn *conn, struct assembly *assembly, struct pending_packet *packet,
                         struct writer *writer, size_t number_len)
{
    if (packet->type == PACKET_ONE_RTT) {
        packet_write_short(writer, assembly->dcid, false, conn->keys.send_phase, number_len);
    } else {
        bool token = packet->type == PACKET_INITIAL && !conn->is_server;
        //= rfc9000#8.1.2-1 Client repeats the Retry token in all later Initials of that attempt.
        //= rfc9000#8.1.3-2 Client puts the token in all its Initials unless a Retry replaces it.
        packet_write_long(writer, packet->type, conn->version, assembly->dcid, &conn->local_cids.entries[0].cid,
                          token ? conn->handshake->token : NULL, token ? conn->handshake->token_bytes : 0, number_len,
                          &packet->length_at);
    }
    if (conn->greases && !writer->failed)
        grease_fixed_bit(conn, assembly, packet->start);
    packet->number_offset = writer_len(writer);
    packet_number_write(writer, packet->number, number_len);
    packet->header_len = writer_len(writer);
}

/* Octets of a packet number on the wire. Beside another path packets overtake each other by all that a busy one carries
 * in the difference of the round-trip times, far more than the acknowledgements let expect (RFC 9000 section 17.1). */
static size_t number_len_of(const roam_conn *conn, const struct pn_space *space, uint64_t number)
{
    return conn->paths.count > 1 ? PACKET_NUMBER_BYTES_MAX : packet_number_len(number, space->largest_acked);
}

/* A packet at `at`, of at most `limit` octets, that has its number and its header. */
static bool start_packet(roam_conn *conn, struct assembly *assembly, enum packet_space number, uint8_t *at,
                         size_t limit, struct pending_packet *packet, struct payload *ret)
{
    struct pn_space *space = conn_space(conn, number);
    memset(packet, 0, offsetof(struct pending_packet, spans));
    packet->space = number;
    packet->type = type_of_space(conn, number);
    packet->start = at;
    if (limit <= AEAD_TAG_BYTES || space->next_number > PACKET_NUMBER_MAX)
        return false;
    struct writer writer = writer_init(at, limit - AEAD_TAG_BYTES);
    packet->number = pn_space_take_number(space, number == SPACE_APPLICATION && conn->confirmed, conn->owner->rng);
    write_header(conn, assembly, packet, &writer, number_len_of(conn, space, packet->number));
    /* A payload of four octets always gives a sample for header protection. */
    if (!writer.failed && writer_left(&writer) >= PACKET_NUMBER_BYTES_MAX)
        packet->sent = sent_map_add(&space->sent, packet->number);
    if (packet->sent == NULL) {
        space->next_number = packet->number;
        return false;
    }
    *ret = (struct payload){
        .writer = writer, .open_from = writer.pos, .packet = packet, .assembly = assembly, .space = space};
    return true;
}

static void pad_to_minimum(const roam_conn *conn, struct payload *payload)
{
    struct pending_packet *packet = payload->packet;
    size_t len = writer_len(&payload->writer);
    size_t wanted = packet->number_offset + PACKET_NUMBER_BYTES_MAX;
    //= rfc9000#10.3-4 Packets are at least 22 bytes longer than the shortest CID asked of the peer.
    // Not ACKs alone: padding would put them in flight.
    if (packet->type == PACKET_ONE_RTT && packet->eliciting)
        wanted = max_size(wanted, SHORT_PACKET_BYTES_MIN(conn->local_cids.cid_bytes) - AEAD_TAG_BYTES);
    if (len < wanted)
        write_zeros(&payload->writer, min_size(wanted - len, room(payload)));
}

static void settle_what_was_owed(roam_conn *conn, struct payload *payload)
{
    struct pending_packet *packet = payload->packet;
    if (packet->eliciting && payload->space->probes > 0)
        payload->space->probes--;
    if (packet->space != SPACE_APPLICATION)
        return;
    if (packet->eliciting) {
        conn->ping_pending = conn->full_ping_pending = false;
        conn->full_ping_bytes = 0;
        conn->ack_only_packets = 0;
    } else {
        conn->ack_only_packets++;
    }
}

/* Takes back a packet that found no frame. */
static void abandon_packet(struct payload *payload)
{
    sent_map_cancel(&payload->space->sent, payload->packet->sent);
    payload->space->next_number = payload->packet->number;
}

static void end_packet(const roam_conn *conn, struct payload *payload)
{
    pad_to_minimum(conn, payload);
    close_span(payload);
    payload->packet->payload_len = writer_len(&payload->writer) - payload->packet->header_len;
}

void assemble_packet(roam_conn *conn, struct assembly *assembly, enum packet_space number, enum assemble_mode mode)
{
    struct packet_keys *keys = conn_send_keys(conn, number);
    struct pending_packet *packet = &assembly->packets[assembly->count];
    struct payload payload;
    /* A goodbye is never in flight. */
    if (keys == NULL || !has_something(conn, assembly, number, mode) || !packet_keys_expand(keys) ||
        (mode != ASSEMBLE_CLOSE && !path_set_rouse(&conn->paths, assembly->path)) ||
        !start_packet(conn, assembly, number, assembly->data + assembly->len, assembly->limit - assembly->len, packet,
                      &payload))
        return;
    put_frames(conn, &payload, number, mode);
    if (packet->frames == 0) {
        abandon_packet(&payload);
        return;
    }
    if (mode == ASSEMBLE_NORMAL || mode == ASSEMBLE_ACK_ONLY)
        settle_what_was_owed(conn, &payload);
    end_packet(conn, &payload);
    assembly->len += pending_packet_bytes(packet);
    assembly->count++;
}

bool assemble_data_packet(roam_conn *conn, struct assembly *assembly, uint8_t *at, size_t limit,
                          struct pending_packet *ret)
{
    struct payload payload;
    if (!start_packet(conn, assembly, SPACE_APPLICATION, at, limit, ret, &payload))
        return false;
    put_data(conn, &payload);
    if (ret->frames == 0) {
        abandon_packet(&payload);
        return false;
    }
    end_packet(conn, &payload);
    return true;
}
