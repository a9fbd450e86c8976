/*
 * Datagrams in, one by one of a run that came together; their coalesced packets one by one (RFC 9000 section 12.2), what
 * becomes of each of them in receive_packet.c.
 */
#include "base/uninitialized.h"
#include "conn/cids.h"
#include "conn/datagrams.h"
#include "conn/log.h"
#include "conn/preferred.h"
#include "conn/versions.h"

void conn_count_drop(roam_conn *conn, roam_drop reason)
{
    conn->owner->totals->drops[reason]++;
    if (conn->log != NULL)
        conn_log_dropped(conn, reason);
}

/* ---- One datagram */

static bool receive_special(roam_conn *conn, const struct packet_header *header, const struct packet_context *context,
                            const uint8_t *data)
{
    bool special = header->type == PACKET_VERSION_NEGOTIATION || header->type == PACKET_RETRY;
    //= rfc9000#9-7 Client drops packets from unknown server addresses.
    if (special && !conn->is_server && path_set_find_remote(&conn->paths, &context->remote) == NULL) {
        conn_count_drop(conn, ROAM_DROP_UNKNOWN_SERVER_ADDRESS);
        return true;
    }
    if (special && conn->log != NULL)
        conn_log_unprotected(conn, header);
    if (header->type == PACKET_VERSION_NEGOTIATION)
        conn_on_version_negotiation(conn, header);
    //= rfc9369#4.1-1 The client ignores Retry packets of another version than its own.
    else if (header->type == PACKET_OTHER_VERSION || (special && header->version != conn->version))
        conn_count_drop(conn, ROAM_DROP_WRONG_VERSION);
    else if (header->type == PACKET_RETRY)
        conn_on_retry(conn, header, data);
    else
        return false;
    return true;
}

void conn_receive_packets(roam_conn *conn, struct packet_context *context, uint8_t *data, size_t len)
{
    size_t cid_len = conn->local_cids.cid_bytes;
    uint8_t *pos = data;
    size_t left = len;
    bool any_authentic = false;
    roam_cid first_dcid = {0};
    while (left > 0 && conn_is_alive(conn)) {
        struct packet_header header UNINITIALIZED;
        roam_drop drop = packet_header_parse(&header, pos, left, cid_len);
        if (drop == ROAM_DROP_NONE && pos != data && !roam_cid_equal(&header.dcid, &first_dcid))
            drop = ROAM_DROP_CID_MISMATCH; //= rfc9000#12.2 Ignore later packets with another destination CID.
        //= rfc9000#17.2 Packets with a zero fixed bit are not valid and must be discarded.
        //= rfc9000#17.3.1 Short ones too.
        //= rfc9287#3 Unless grease_quic_bit was sent: then both values are accepted.
        if (drop == ROAM_DROP_NONE && packet_lacks_fixed_bit(&header) && !conn->config->grease)
            drop = ROAM_DROP_FIXED_BIT_ZERO;
        if (conn->log != NULL)
            conn_log_incoming(conn, drop == ROAM_DROP_NONE ? &header : NULL, left);
        if (drop != ROAM_DROP_NONE) {
            conn_count_drop(conn, drop);
            break;
        }
        if (header.packet_len < left)
            first_dcid = header.dcid;
        if (receive_special(conn, &header, context, pos))
            break;
        //= rfc9000#12.2 When one fails to decrypt, still try the rest.
        any_authentic |= conn_receive_packet(conn, &header, context, pos);
        if (conn->log != NULL)
            conn_log_changes(conn);
        pos += header.packet_len;
        left -= header.packet_len;
        context->mask = NULL;
    }
    /* The last octets of a datagram that cannot be opened may be a reset token, RFC 9000 section 10.3.1. They are where a
     * packet has its tag, which opening reads and leaves as it is. */
    if (!any_authentic && len >= RESET_BYTES_MIN && conn_is_alive(conn))
        conn_on_stateless_reset(conn, conn->now, data + len - RESET_TOKEN_BYTES, &context->remote);
}

/* Counts what came from an address that we know, also when it cannot be read: RFC 9000 section 8.1. */
static void credit_path(roam_conn *conn, struct packet_context *context, size_t len)
{
    struct path *path = path_set_find_address(&conn->paths, &context->local, &context->remote);
    context->seen_path_id = path != NULL ? path->id : PATH_ID_NONE;
    if (path != NULL)
        path_on_received(path, len, conn->now);
}

/* A client that did not say where it sends from learns it from the first answer: the port for good, the address, which
 * the kernel may change with the network, only to tell it. */
static void learn_local_address(roam_conn *conn, const struct packet_context *context)
{
    struct path *active = path_set_active(&conn->paths);
    if (conn->client == NULL)
        return;
    conn->client->seen_local = context->local;
    if (active->local.port == 0 && roam_address_equal(&active->remote, &context->remote))
        active->local = context->local;
}

/* Which CID of ours a datagram that is not to be opened came to. */
static void note_cid(roam_conn *conn, struct packet_context *context, const uint8_t *data, size_t len)
{
    struct packet_header header;
    if (packet_header_parse(&header, data, len, conn->local_cids.cid_bytes) != ROAM_DROP_NONE)
        return;
    const struct local_cid *local = local_cid_find(&conn->local_cids, &header.dcid);
    context->local_cid_sequence = local != NULL ? local->sequence : 0;
}

/* One datagram of the run. */
static void receive_datagram(roam_conn *conn, struct packet_context *context, uint8_t *data, size_t len)
{
    context->datagram_bytes = len;
    context->path_id = PATH_ID_NONE;
    if (conn->log != NULL)
        conn_log_incoming(conn, NULL, len);
    if (conn->state == ROAM_CONN_CLOSING) {
        /* A peer's CONNECTION_CLOSE would end the closing period sooner; it ends by itself (section 10.2.1). */
        conn_count_drop(conn, ROAM_DROP_CLOSING);
        note_cid(conn, context, data, len);
        conn_on_datagram_while_closing(conn, context);
        return;
    }
    if (!conn_is_alive(conn)) {
        conn_count_drop(conn, ROAM_DROP_DRAINING);
        return;
    }
    conn_receive_packets(conn, context, data, len);
    if (conn->handshake != NULL) {
        conn_settle_handshake(conn);
        conn_replay_early(conn);
    }
    conn_try_preferred(conn);
    if (conn->log != NULL)
        conn_log_changes(conn);
}

/* ---- A run of datagrams */

/* Masks of short packets that lie one behind the other. Made together they take little longer than one, for whose
 * packet number everything else waits. */
struct run_masks {
    uint8_t masks[PACKET_PROTECTION_BATCH][HP_MASK_BYTES];
    size_t next, count;
};

/* The mask of the packet at data, where more follow behind it; else NULL. */
static const uint8_t *next_mask(roam_conn *conn, struct run_masks *masks, const uint8_t *data, size_t len,
                                size_t segment)
{
    const size_t number_offset = 1 + conn->local_cids.cid_bytes;
    const size_t least = number_offset + PACKET_NUMBER_BYTES_MAX + HP_SAMPLE_BYTES;
    if (masks->next == masks->count && segment >= least && len > segment && (data[0] & LONG_HEADER_BIT) == 0 &&
        conn->keys.receive.available && packet_keys_expand(&conn->keys.receive)) {
        masks->next = 0;
        masks->count = min_size(PACKET_PROTECTION_BATCH, len / segment);
        packet_protection_masks(&conn->keys.receive, data, segment, number_offset, masks->count, masks->masks);
    }
    return masks->next < masks->count ? masks->masks[masks->next++] : NULL;
}

void conn_receive(roam_conn *conn, roam_time now, const roam_datagram *datagram, uint8_t *data, size_t len,
                  size_t segment)
{
    struct run_masks masks;
    masks.next = masks.count = 0;
    conn->now = now;
    conn->counters.bytes_received += len;
    struct packet_context context = {.local = roam_address_unmap(&datagram->local),
                                     .remote = roam_address_unmap(&datagram->remote),
                                     .ecn = datagram->ecn};
    learn_local_address(conn, &context);
    credit_path(conn, &context, len);
    const bool may_act = conn_is_alive(conn) || conn->state == ROAM_CONN_CLOSING;
    conn->streams.lending = datagram->lent;
    do {
        size_t bytes = min_size(segment, len);
        context.mask = next_mask(conn, &masks, data, len, segment);
        receive_datagram(conn, &context, data, bytes);
        data += bytes;
        len -= bytes;
    } while (len > 0);
    conn->streams.lending = false;
    if (may_act)
        conn->owner->wake(conn->owner->context, conn);
}

bool conn_has_loans(const roam_conn *conn)
{
    return stream_set_has_loans(&conn->streams) || conn_datagrams_are_lent(conn);
}

void conn_end_loans(roam_conn *conn)
{
    conn_datagrams_end_loans(conn);
    if (!stream_set_end_loans(&conn->streams))
        conn_fail(conn, ROAM_INTERNAL_ERROR, 0, "no memory for stream data");
}
