/*
 * Which connection does a datagram belong to? The CID says; nothing here looks at the address first. Routing finds,
 * it never creates, promotes or challenges.
 */
#include "conn/cids.h"
#include "endpoint/endpoint.h"

/* CIDs from which on the table does not stay in the processor's cache, so that it is worth a hash to ask for a line of
 * it early. */
#define PREFETCH_CIDS_MIN 16384

/* How well a connection without CIDs of its own fits a datagram. One that has ended stays for a while to answer what is
 * late; its peer may long be back from the same port. */
enum address_fit {
    FITS_NOT,
    FITS_SERVER_ONCE, /* the same server, another address of ours; the connection has ended */
    FITS_PAIR_ONCE,
    FITS_SERVER, /* our own address may just have changed */
    FITS_PAIR
};

static enum address_fit address_fit(const roam_conn *conn, const roam_address *local, const roam_address *remote)
{
    const bool alive = conn_is_alive(conn);
    if (conn->local_cids.cid_bytes != 0)
        return FITS_NOT;
    if (path_set_find_address(&conn->paths, local, remote) != NULL)
        return alive ? FITS_PAIR : FITS_PAIR_ONCE;
    if (path_set_find_remote(&conn->paths, remote) != NULL)
        return alive ? FITS_SERVER : FITS_SERVER_ONCE;
    return FITS_NOT;
}

/* With zero-length CIDs the pair of addresses is all there is. A client has few connections, so they are looked
 * through; of those that fit alike, the oldest: who can begin a connection in a peer's name does not get its packets. */
static roam_conn *find_by_addresses(const roam_endpoint *endpoint, const roam_datagram *datagram)
{
    roam_conn *best = NULL;
    enum address_fit best_fit = FITS_NOT;
    const roam_address local = roam_address_unmap(&datagram->local), remote = roam_address_unmap(&datagram->remote);
    LIST_FOR_EACH(node, &endpoint->conns)
    {
        roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        const enum address_fit fit = address_fit(conn, &local, &remote);
        if (fit > best_fit) {
            best_fit = fit;
            best = conn;
        }
        if (fit == FITS_PAIR)
            break;
    }
    return best;
}

static roam_conn *find(const roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                       bool *ret_retired)
{
    *ret_retired = false;
    if (header->dcid_len > ROAM_CID_MAX)
        return NULL;
    //= rfc9000#21.2-1 A packet finds a connection only by a CID that was chosen here (or, where these are empty, by its
    // addresses).
    if (header->dcid.len == 0)
        return endpoint->config.cid_bytes == 0 ? find_by_addresses(endpoint, datagram) : NULL;
    roam_conn *conn = conn_table_find(&endpoint->table, &header->dcid, ret_retired);
    if (conn != NULL || *ret_retired || header->type == PACKET_ONE_RTT)
        return conn;
    const roam_address remote = roam_address_unmap(&datagram->remote);
    return conn_table_find_initial(&endpoint->table, &remote, &header->dcid);
}

//= rfc9000#10.3-9 Treat any packet that ends in a known token as a reset, long header or not.
static bool route_reset(roam_endpoint *endpoint, const roam_datagram *datagram, const uint8_t *data, size_t len)
{
    //= rfc9000#10.3-7 Discard packets too small to be valid QUIC (short header under 21 bytes).
    if (len < RESET_BYTES_MIN)
        return false;
    const uint8_t *token = data + len - RESET_TOKEN_BYTES;
    roam_conn *conn = conn_table_find_reset_token(&endpoint->table, token);
    return conn != NULL && conn_on_stateless_reset(conn, endpoint->now, token, &datagram->remote);
}

/* Where stream data lies in the datagram, it must be copied before that is reclaimed. */
static void deliver(roam_endpoint *endpoint, roam_conn *conn, const roam_datagram *datagram, uint8_t *data, size_t len,
                    size_t segment)
{
    conn_receive(conn, endpoint->now, datagram, data, len, segment);
    if (conn_has_loans(conn) && !list_is_linked(&conn->lent_node))
        list_append(&endpoint->lent, &conn->lent_node);
}

/* A token is used up by the connection that stands on it, not by a damaged Initial that brought it. */
static void on_accepted(roam_endpoint *endpoint, const struct token *token)
{
    endpoint->stats.connections_accepted++;
    if (token->mark != 0)
        endpoint_use_up(endpoint, &endpoint->used_tokens, token);
}

/* A connection that an Initial made exists only if that Initial was authentic: a damaged or forged header must not
 * stand in the way of the client's next try. */
static void route_initial(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                          uint8_t *data, size_t len)
{
    struct token token = {0};
    roam_conn *conn = admit_initial(endpoint, datagram, header, len, &token);
    if (conn == NULL)
        return;
    deliver(endpoint, conn, datagram, data, len, len);
    if (conn->handshake != NULL && !conn->handshake->any_packet)
        endpoint_release(endpoint, conn);
    else
        on_accepted(endpoint, &token);
}

/* Where no connection has said that it takes them, packets without the fixed bit are not QUIC's. Two exceptions, where
 * the peer may remember what was said to it: a client that was given a token when it last was here (whether the token is
 * one, admission sees), and one whose connection is no longer known here, and who is to hear of that. */
static bool may_lack_fixed_bit(const roam_endpoint *endpoint, const struct packet_header *header)
{
    if (endpoint->accept == NULL || !endpoint->accept->grease)
        return false;
    //= rfc9287#3.1 A client may clear the bit in Initials with a token of such a connection.
    return header->type == PACKET_ONE_RTT || (header->type == PACKET_INITIAL && header->token_len > 0);
}

static void route_unknown(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                          uint8_t *data, size_t len)
{
    //= rfc9000#10.3.1-2 Do the check when the first packet of a datagram is unattributable or undecryptable.
    if (route_reset(endpoint, datagram, data, len))
        return;
    if (packet_lacks_fixed_bit(header) && !may_lack_fixed_bit(endpoint, header)) {
        endpoint_count_drop(endpoint, ROAM_DROP_FIXED_BIT_ZERO);
        return;
    }
    if (header->type != PACKET_ONE_RTT && header->type != PACKET_VERSION_NEGOTIATION &&
        !endpoint_accepts_version(endpoint, header->version)) {
        answer_other_version(endpoint, datagram, header, len);
    } else if (header->type == PACKET_ONE_RTT) {
        answer_unknown(endpoint, datagram, header, len);
    } else if (header->type == PACKET_INITIAL) {
        route_initial(endpoint, datagram, header, data, len);
    } else {
        //= rfc9000#5.2.2-8 Server drops every other unattributable packet.
        //= rfc9000#5.2.2-7 Server ignores Handshake packets for which it has no connection.
        endpoint_count_drop(endpoint, ROAM_DROP_UNKNOWN_CONNECTION);
    }
}

void route_prefetch(const roam_endpoint *endpoint, const roam_datagram *datagram)
{
    roam_cid cid = {.len = endpoint->config.cid_bytes};
    if (endpoint->table.by_cid.count < PREFETCH_CIDS_MIN || cid.len == 0 || datagram->len <= cid.len ||
        (datagram->data[0] & LONG_HEADER_BIT) != 0)
        return;
    memcpy(cid.bytes, datagram->data + 1, cid.len);
    conn_table_prefetch(&endpoint->table, &cid);
}

/* Octets from data on that belong to the connection of the first datagram there: what the kernel has put together is
 * mostly one connection's, so that its CID is looked up once. Only short headers are compared, which have one packet. */
static size_t run_of_one_cid(const roam_endpoint *endpoint, const uint8_t *data, size_t len, size_t segment)
{
    const size_t compared = 1 + (size_t)endpoint->config.cid_bytes;
    size_t end = min_size(segment, len);
    if ((data[0] & LONG_HEADER_BIT) != 0 || compared == 1)
        return end;
    while (len - end >= compared && (data[end] & LONG_HEADER_BIT) == 0 &&
           memcmp(data + end + 1, data + 1, compared - 1) == 0)
        end += min_size(segment, len - end);
    return end;
}

/* Routes the datagram at data, and with it those behind that go the same way; returns the octets of all of them. */
static size_t route_run(roam_endpoint *endpoint, const roam_datagram *datagram, uint8_t *data, size_t len,
                        size_t segment)
{
    struct packet_header header;
    bool retired;
    const size_t one = min_size(segment, len);
    roam_drop drop =
        len == 0 ? ROAM_DROP_EMPTY_DATAGRAM : packet_header_parse(&header, data, one, endpoint->config.cid_bytes);
    if (drop != ROAM_DROP_NONE) {
        /* What cannot be parsed may still be a reset: its first octets are random. */
        if (len == 0 || !route_reset(endpoint, datagram, data, one))
            endpoint_count_drop(endpoint, drop);
        return one;
    }
    roam_conn *conn = find(endpoint, datagram, &header, &retired);
    if (conn != NULL) {
        const size_t run = run_of_one_cid(endpoint, data, len, segment);
        deliver(endpoint, conn, datagram, data, run, segment);
        return run;
    }
    if (retired)
        endpoint_count_drop(endpoint, ROAM_DROP_RETIRED_CID);
    else
        route_unknown(endpoint, datagram, &header, data, one);
    return one;
}

void route_datagram(roam_endpoint *endpoint, const roam_datagram *datagram)
{
    const size_t segment = datagram->segment_bytes > 0 ? datagram->segment_bytes : datagram->len;
    size_t at = 0;
    endpoint->stats.bytes_received += datagram->len;
    do {
        size_t bytes = route_run(endpoint, datagram, datagram->data + at, datagram->len - at, segment);
        endpoint->stats.datagrams_received += bytes > segment ? (bytes + segment - 1) / segment : 1;
        at += bytes;
    } while (at < datagram->len);
}
