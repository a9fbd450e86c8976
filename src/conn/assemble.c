/*
 * One packet: the header, around the frames that payload.c finds for it; its number and the least length that it may
 * have.
 */
#include "conn/assemble.h"

#include <stddef.h>

#include "conn/ack_frequency.h"
#include "conn/datagrams.h"
#include "conn/early_data.h"
#include "conn/payload.h"

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
        write_zeros(&payload->writer, min_size(wanted - len, payload_room(payload)));
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
    payload_close_span(payload);
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
    payload_put_frames(conn, &payload, number, mode);
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
    payload_put_data(conn, &payload);
    if (ret->frames == 0) {
        abandon_packet(&payload);
        return false;
    }
    end_packet(conn, &payload);
    return true;
}
