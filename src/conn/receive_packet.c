/*
 * One packet in: header protection, packet number, AEAD, duplicate, path, payload, ACK, move - in this order (RFC 9000
 * sections 12 and 13.1, RFC 9001 section 5). What is wrong with a packet is a named drop; what is wrong with an
 * authentic one is a connection error.
 */
#include "conn/ack_frequency.h"
#include "conn/cids.h"
#include "conn/log.h"
#include "conn/versions.h"

#define RESERVED_BITS_LONG  0x0c
#define RESERVED_BITS_SHORT 0x18
#define KEY_PHASE_BIT       0x04

/* A packet whose protection is removed. */
struct opened {
    const uint8_t *payload;
    size_t len;
    uint8_t first_octet;
};

/* ---- Protection */

static bool keys_may_come(const roam_conn *conn, enum packet_type type)
{
    if (conn->handshake == NULL || !conn_is_alive(conn))
        return false;
    if (type == PACKET_ONE_RTT)
        return !conn->handshake_complete;
    //= rfc9001#5.7 0-RTT packets that come before the whole ClientHello.
    if (type == PACKET_ZERO_RTT)
        return conn->is_server && conn->config->early_data && !conn->handshake->receive[SPACE_HANDSHAKE].available &&
               !conn->handshake->discarded[SPACE_HANDSHAKE];
    return type == PACKET_HANDSHAKE && !conn->handshake->discarded[SPACE_HANDSHAKE];
}

static struct packet_keys *receive_keys(roam_conn *conn, const struct packet_header *header)
{
    const enum packet_type type = header->type;
    if (type == PACKET_ONE_RTT)
        return conn->keys.receive.available ? &conn->keys.receive : NULL;
    struct handshake *handshake = conn->handshake;
    if (handshake == NULL)
        return NULL;
    if (type == PACKET_ZERO_RTT)
        return conn->is_server && handshake->zero_rtt.available ? &handshake->zero_rtt : NULL;
    struct packet_keys *keys = type == PACKET_INITIAL && header->version != conn->version
                                   ? &handshake->other_receive
                                   : &handshake->receive[packet_space_of(type)];
    return keys->available ? keys : NULL;
}

static void drop_without_keys(roam_conn *conn, const struct packet_header *header, const struct packet_context *context,
                              const uint8_t *data)
{
    if (keys_may_come(conn, header->type))
        conn_keep_early(conn, context, data, header->packet_len);
    else if (header->type == PACKET_ZERO_RTT)
        conn_count_drop(conn, ROAM_DROP_ZERO_RTT_REJECTED);
    else
        conn_count_drop(conn, ROAM_DROP_KEYS_DISCARDED);
}

static ptrdiff_t open_one_rtt(roam_conn *conn, struct packet_context *context, uint8_t first_octet, uint8_t *data,
                              size_t header_len, size_t len)
{
    roam_drop drop = ROAM_DROP_NONE;
    uint64_t error = ROAM_NO_ERROR;
    bool updated = false;
    ptrdiff_t payload = key_update_open(&conn->keys, (first_octet & KEY_PHASE_BIT) != 0, context->number, data,
                                        header_len, len, conn->now, conn_pto(conn), &drop, &error, &updated);
    if (error != ROAM_NO_ERROR)
        conn_fail(conn, error, 0, "");
    if (payload < 0)
        conn_count_drop(conn, drop != ROAM_DROP_NONE ? drop : ROAM_DROP_AUTHENTICATION_FAILED);
    if (updated)
        conn_event(conn, ROAM_EVENT_KEY_UPDATED);
    return payload;
}

/* Removes the protection of data[0..header->packet_len). False where the packet is dropped. */
static bool open_packet(roam_conn *conn, const struct packet_header *header, struct packet_context *context,
                        struct packet_keys *keys, uint8_t *data, struct opened *ret)
{
    const struct pn_space *space = conn_space(conn, context->space);
    uint8_t mask[1][HP_MASK_BYTES];
    struct unmasked unmasked;
    if (!packet_keys_expand(keys)) {
        conn_count_drop(conn, ROAM_DROP_OUT_OF_MEMORY);
        return false;
    }
    if (context->mask == NULL)
        packet_protection_masks(keys, data, 0, header->number_offset, 1, mask);
    packet_protection_unmask(data, header->number_offset, context->mask != NULL ? context->mask : mask[0], &unmasked);
    context->number = packet_number_decode(unmasked.truncated, unmasked.number_len, space->received.largest);
    ret->first_octet = unmasked.first_octet;
    size_t header_len = header->number_offset + unmasked.number_len;
    size_t len = header->packet_len;
    ptrdiff_t payload;
    //= rfc9000#21.1.3.1-2 On-path attacker cannot get an altered authenticated packet accepted.
    //= rfc9000#21.1.3.2-1 Off-path attacker cannot close a connection after the handshake: nothing counts that does not
    // authenticate, but for a reset token, which nobody can guess.
    if (header->type == PACKET_ONE_RTT) {
        payload = open_one_rtt(conn, context, ret->first_octet, data, header_len, len);
    } else {
        payload = packet_protection_open(keys, context->number, data, header_len, len);
        if (payload < 0) {
            //= rfc9001#6.6 Count failed authentications over the connection's life, all keys together.
            if (key_update_count_failure(&conn->keys, keys->suite))
                conn_fail(conn, ROAM_AEAD_LIMIT_REACHED, 0, "");
            conn_count_drop(conn, ROAM_DROP_AUTHENTICATION_FAILED);
        }
    }
    //= rfc9000#21.1.3.1-2 On-path attacker cannot get an altered authenticated packet accepted.
    //= rfc9000#21.1.3.2-1 Nobody else than the peer makes a packet that gets further than this.
    //= rfc9000#21.1.3.3-1 Nor by copies: each packet is processed once.
    if (payload < 0)
        return false;
    ret->payload = data + header_len;
    ret->len = (size_t)payload;
    return true;
}

/* ---- One packet */

static bool reserved_bits_are_zero(const struct packet_header *header, uint8_t first_octet)
{
    return (first_octet & (header->type == PACKET_ONE_RTT ? RESERVED_BITS_SHORT : RESERVED_BITS_LONG)) == 0;
}

static void observe(roam_conn *conn, const struct packet_header *header, const struct packet_context *context)
{
    if (conn->owner->observe == NULL)
        return;
    struct observed_packet packet = {.conn = conn,
                                     .sent = false,
                                     .type = header->type,
                                     .number = context->number,
                                     .path_id = context->path_id,
                                     .local = context->local,
                                     .remote = context->remote,
                                     .dcid = header->dcid,
                                     .bytes = header->packet_len,
                                     .frames = context->frames};
    conn->owner->observe(conn->owner->context, &packet);
}

/* The handshake learns from an authentic packet: the peer's CID, that its address is proven, that old keys can go. */
static void learn_from_handshake_packet(roam_conn *conn, const struct packet_header *header, struct path *path)
{
    struct handshake *handshake = conn->handshake;
    if (handshake == NULL)
        return;
    if (!conn->is_server && !handshake->any_packet && header->type != PACKET_ONE_RTT) {
        //= rfc9000#7.2 Client changes destination CID only for the first Initial or Retry.
        remote_cid_replace_initial(&conn->remote_cids, &header->scid);
        handshake->initial_scid = header->scid;
    }
    if (!conn->is_server && header->type == PACKET_INITIAL && header->version != conn->version)
        conn_follow_version(conn);
    if (conn->is_server && !handshake->any_packet)
        conn_event(conn, ROAM_EVENT_ACCEPTED);
    handshake->any_packet = true;
    if (header->type == PACKET_HANDSHAKE && conn->is_server) {
        //= rfc9000#8.1-2 A Handshake packet that is authentic proves the client's address.
        if (path != NULL)
            path->address_validated = true;
        //= rfc9001#4.9.1 Server drops Initial keys at the first Handshake packet processed.
        conn_discard_space(conn, SPACE_INITIAL);
    }
}

static bool long_header_fits(roam_conn *conn, const struct packet_header *header, const struct packet_context *context)
{
    const struct handshake *handshake = conn->handshake;
    if (header->type == PACKET_ONE_RTT || handshake == NULL)
        return true;
    //= rfc9000#5.2.1-2 Client discards packets of a version other than the one it chose.
    //= rfc9369#4.1-8 So do both with Handshake packets of another version than the negotiated one.
    if (header->version != conn->version && !conn_takes_other_version(conn, header)) {
        conn_count_drop(conn, ROAM_DROP_WRONG_VERSION);
        return false;
    }
    //= rfc9000#7.2 After a valid server Initial, drop packets with another source CID.
    bool known = conn->is_server || handshake->any_packet;
    if (known && !roam_cid_equal(&header->scid, &handshake->initial_scid)) {
        conn_count_drop(conn, ROAM_DROP_CID_MISMATCH);
        return false;
    }
    //= rfc9000#14.1 A server drops Initials in datagrams below 1200 octets, also of connections that it knows.
    //= rfc9000#8.2.1-7 No other packet is too small, whatever it holds.
    if (conn->is_server && header->type == PACKET_INITIAL && context->datagram_bytes < DATAGRAM_BYTES_MIN) {
        conn_count_drop(conn, ROAM_DROP_INITIAL_TOO_SMALL);
        return false;
    }
    //= rfc9000#17.2.2 Server Initials have Token Length 0; a client drops others.
    if (!conn->is_server && header->type == PACKET_INITIAL && header->token_len > 0) {
        conn_count_drop(conn, ROAM_DROP_TOKEN_UNEXPECTED);
        return false;
    }
    return true;
}

/* False without memory. */
static bool note_received(roam_conn *conn, struct pn_space *space, const struct packet_context *context)
{
    const bool application = context->space == SPACE_APPLICATION;
    const struct ack_policy usual = ack_policy_usual(application ? conn->config->max_ack_delay : 0);
    const bool asked = application && conn->ack_frequency != NULL;
    const uint64_t floor = space->received.floor;
    //= rfc9221#5.2-1 ACKs of packets with nothing but DATAGRAM frames are delayed like any others.
    //= rfc9000#13.1 Acknowledge only after unprotecting and processing all frames.
    //= rfc9000#21.10-1 Ignore the ECN mark of an IP packet unless at least one QUIC packet in it was processed
    // (duplicates do not count).
    if (!ack_tracker_on_received(&space->received, context->number, context->ack_eliciting, context->ecn, conn->now,
                                 asked ? &conn->ack_frequency->policy : &usual))
        return false;
    if (space->received.floor != floor)
        conn_count_limit(conn, ROAM_LIMIT_ACK_RANGES);
    return true;
}

static void process_authentic(roam_conn *conn, const struct packet_header *header, struct packet_context *context,
                              const struct opened *opened)
{
    uint64_t frame_type = 0;
    if (conn->log != NULL)
        conn_log_received(conn, header, context, opened->payload, opened->len,
                          (opened->first_octet & KEY_PHASE_BIT) != 0);
    learn_from_handshake_packet(conn, header, path_set_find(&conn->paths, context->path_id));
    if (conn->is_server)
        conn->streams.early = header->type == PACKET_ZERO_RTT;
    uint64_t error = conn_process_payload(conn, context, opened->payload, opened->len, &frame_type);
    observe(conn, header, context);
    //= rfc9000#5.2-2 Whatever protected the packet, what was done of it is not undone: the connection ends.
    //= rfc9000#10.3-2 Use CONNECTION_CLOSE, not reset, for fatal errors if state allows.
    if (error != ROAM_NO_ERROR) {
        conn_fail_for_frame(conn, error, frame_type);
        return;
    }
    struct pn_space *space = conn_space(conn, context->space);
    /* An ACK in this very packet may have let the tracker forget how far back it remembers: then the number counts
     * as received. */
    bool remembered = space != NULL && !ack_tracker_is_duplicate(&space->received, context->number);
    if (remembered && !note_received(conn, space, context)) {
        conn_fail(conn, ROAM_INTERNAL_ERROR, 0, "no memory for an acknowledgement");
        return;
    }
    if (remembered && context->hurry)
        ack_tracker_hurry(&space->received, conn->now);
    conn_on_packet_received_timers(conn, context);
    conn_after_payload(conn, context);
}

/* No path can be made for the address, for lack of room, CIDs or memory: the connection does not move there now, but
 * what an authentic packet says holds wherever it came from, above all that the peer closes. */
static bool is_lack_of_means(roam_drop drop)
{
    return drop == ROAM_DROP_PATH_LIMIT || drop == ROAM_DROP_PATH_RATE_LIMIT || drop == ROAM_DROP_NO_CID_FOR_PATH ||
           drop == ROAM_DROP_OUT_OF_MEMORY;
}

/* Judges an authentic packet before its payload is read: duplicate, reserved bits, path. */
static bool admit(roam_conn *conn, const struct packet_header *header, struct packet_context *context,
                  const struct opened *opened)
{
    //= rfc9000#12.3 Check duplicates only after removing protection.
    if (ack_tracker_is_duplicate(&conn_space(conn, context->space)->received, context->number)) {
        conn_count_drop(conn, ROAM_DROP_DUPLICATE);
        conn_on_duplicate(conn, context);
        return false;
    }
    //= rfc9000#17.2 Non-zero reserved bits after unprotecting are PROTOCOL_VIOLATION.
    if (!reserved_bits_are_zero(header, opened->first_octet)) {
        conn_fail(conn, ROAM_PROTOCOL_VIOLATION, 0, "reserved bits");
        return false;
    }
    roam_drop drop = conn_path_for_packet(conn, context);
    if (drop != ROAM_DROP_NONE)
        conn_count_drop(conn, drop);
    return drop == ROAM_DROP_NONE || is_lack_of_means(drop);
}

bool conn_receive_packet(roam_conn *conn, const struct packet_header *header, struct packet_context *context,
                         uint8_t *data)
{
    context->type = header->type;
    context->space = packet_space_of(header->type);
    context->ack_eliciting = context->non_probing = context->hurry = false;
    context->frames = 0;
    if (!long_header_fits(conn, header, context))
        return false;
    struct packet_keys *keys = receive_keys(conn, header);
    if (keys == NULL) {
        drop_without_keys(conn, header, context, data);
        return false;
    }
    struct opened opened;
    if (!open_packet(conn, header, context, keys, data, &opened))
        return false;
    conn->counters.packets_received++;
    conn->owner->totals->packets_received++;
    struct local_cid *local = local_cid_find(&conn->local_cids, &header->dcid);
    context->local_cid_sequence = local != NULL ? local->sequence : 0;
    if (local != NULL)
        conn_on_cid_used(conn, local, header->packet_len);
    if (admit(conn, header, context, &opened)) {
        conn->row_cid = local != NULL ? header->dcid : conn->row_cid;
        process_authentic(conn, header, context, &opened);
    }
    return true;
}
