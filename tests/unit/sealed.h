/*
 * Packets sealed by hand with the keys of a real connection, so that what lies behind the decryption can be given
 * anything at all: for unit tests and the fuzz target alike. A number that is used here is taken from the connection,
 * which will never use it again.
 */
#ifndef TESTS_UNIT_SEALED_H
#define TESTS_UNIT_SEALED_H

#include <string.h>

#include "conn/conn.h"

/* A header takes at most that, without a token; then come the payload and the tag. */
#define SEALED_OVERHEAD_MAX 96

struct sealing {
    roam_conn *from;       /* whose keys, CIDs and numbers */
    enum packet_type type; /* INITIAL, HANDSHAKE or ONE_RTT */
    const uint8_t *payload;
    size_t payload_len;
    uint8_t first_octet;  /* exclusive-or: reserved bits, key phase */
    const roam_cid *dcid; /* NULL: that of the active path */
    const roam_cid *scid; /* NULL: the connection's */
    const uint8_t *token; /* Initial */
    size_t token_len;
    bool has_number;
    uint64_t number; /* used where has_number says so, and not taken */
};

/* True where the connection has keys to send such packets, and somebody to send them to. */
static inline bool can_seal(roam_conn *conn, enum packet_type type)
{
    return (conn->state == ROAM_CONN_HANDSHAKE || conn->state == ROAM_CONN_ESTABLISHED) &&
           conn_send_keys(conn, packet_space_of(type)) != NULL &&
           remote_cid_of_path(&conn->remote_cids, conn->paths.active_id) != NULL;
}

/* Writes the packet, payload_len + token_len + SEALED_OVERHEAD_MAX octets at most, and returns its length; 0 without
 * memory. */
static inline size_t seal_by_hand(const struct sealing *sealing, uint8_t *ret)
{
    roam_conn *conn = sealing->from;
    const enum packet_space space = packet_space_of(sealing->type);
    const roam_cid *dcid = sealing->dcid;
    if (dcid == NULL)
        dcid = &remote_cid_of_path(&conn->remote_cids, conn->paths.active_id)->cid;
    const roam_cid *scid = sealing->scid != NULL ? sealing->scid : &conn->local_cids.entries[0].cid;
    struct writer writer = writer_init(ret, SEALED_OVERHEAD_MAX + sealing->token_len);
    struct packet_keys *keys = conn_send_keys(conn, space);
    uint8_t *length_at = NULL;
    if (!packet_keys_expand(keys))
        return 0;
    uint64_t number =
        sealing->has_number ? sealing->number : pn_space_take_number(conn_space(conn, space), false, conn->owner->rng);
    if (sealing->type == PACKET_ONE_RTT)
        packet_write_short(&writer, dcid, false, conn->keys.send_phase, PACKET_NUMBER_BYTES_MAX);
    else
        packet_write_long(&writer, sealing->type, conn->version, dcid, scid, sealing->token, sealing->token_len,
                          PACKET_NUMBER_BYTES_MAX, &length_at);
    size_t number_offset = writer_len(&writer);
    ret[0] ^= sealing->first_octet;
    write_u32(&writer, (uint32_t)number);
    if (length_at != NULL)
        packet_length_write(length_at, PACKET_NUMBER_BYTES_MAX + sealing->payload_len + AEAD_TAG_BYTES);
    const struct span span = {.data = sealing->payload, .len = sealing->payload_len};
    const struct packet_seal job = {.packet = ret,
                                    .header_len = writer_len(&writer),
                                    .number_offset = number_offset,
                                    .number = number,
                                    .spans = &span,
                                    .span_count = 1};
    packet_protection_seal(keys, &job, 1);
    if (sealing->type == PACKET_ONE_RTT && !sealing->has_number)
        key_update_on_sent(&conn->keys, number);
    return job.header_len + sealing->payload_len + AEAD_TAG_BYTES;
}

#endif
