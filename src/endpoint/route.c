/*
 * Which connection does a datagram belong to? The CID says; nothing here looks at the address first. Routing finds,
 * it never creates, promotes or challenges.
 */
#include "conn/cids.h"
#include "endpoint/endpoint.h"

/* Octets below which nothing can be a QUIC packet or a Stateless Reset, RFC 9000 section 10.3. */
#define SHORT_PACKET_MIN 21

/* With zero-length CIDs the pair of addresses is all there is. A client has few connections, so they are looked
 * through: first for the pair, then, as its own address may just have changed, for the server's address alone. */
static roam_conn *find_by_addresses(const roam_endpoint *endpoint, const roam_datagram *datagram)
{
    roam_conn *by_remote = NULL;
    const roam_address local = roam_address_unmap(&datagram->local), remote = roam_address_unmap(&datagram->remote);
    LIST_FOR_EACH(node, &endpoint->conns)
    {
        roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        if (conn->local_cids.cid_bytes != 0)
            continue;
        if (path_set_find_address(&conn->paths, &local, &remote) != NULL)
            return conn;
        if (path_set_find_remote(&conn->paths, &remote) != NULL)
            by_remote = conn;
    }
    return by_remote;
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
    if (len < SHORT_PACKET_MIN)
        return false;
    const uint8_t *token = data + len - RESET_TOKEN_BYTES;
    roam_conn *conn = conn_table_find_reset_token(&endpoint->table, token);
    return conn != NULL && conn_on_stateless_reset(conn, endpoint->now, token, &datagram->remote);
}

/* A token is used up by the connection that stands on it, not by a damaged Initial that brought it. */
static void on_accepted(roam_endpoint *endpoint, const struct token *token)
{
    endpoint->stats.connections_accepted++;
    if (token->mark != 0)
        token_filter_on_used(&endpoint->used_tokens, token);
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
    conn_receive(conn, endpoint->now, datagram, data, len);
    if (conn->handshake != NULL && !conn->handshake->any_packet)
        endpoint_release(endpoint, conn);
    else
        on_accepted(endpoint, &token);
}

static void route_unknown(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                          uint8_t *data, size_t len)
{
    //= rfc9000#10.3.1-2 Do the check when the first packet of a datagram is unattributable or undecryptable.
    if (route_reset(endpoint, datagram, data, len))
        return;
    if (header->type == PACKET_OTHER_VERSION) {
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

/* Where stream data lies in the datagram, it must be copied before that is reclaimed. */
static void deliver(roam_endpoint *endpoint, roam_conn *conn, const roam_datagram *datagram, uint8_t *data, size_t len)
{
    conn_receive(conn, endpoint->now, datagram, data, len);
    if (!list_is_empty(&conn->streams.lent) && !list_is_linked(&conn->lent_node))
        list_append(&endpoint->lent, &conn->lent_node);
}

/* What the kernel has put together has mostly one CID: it is looked up once. */
static bool is_like_the_last(const roam_endpoint *endpoint, const uint8_t *data, size_t len)
{
    size_t cid_bytes = endpoint->config.cid_bytes;
    return endpoint->recent.conn != NULL && len > cid_bytes && (data[0] & 0x80) == 0 &&
           memcmp(data + 1, endpoint->recent.cid, cid_bytes) == 0;
}

static void note_recent(roam_endpoint *endpoint, roam_conn *conn, const struct packet_header *header)
{
    endpoint->recent.conn = header->type == PACKET_ONE_RTT && header->dcid.len > 0 ? conn : NULL;
    memcpy(endpoint->recent.cid, header->dcid.bytes, sizeof(endpoint->recent.cid));
}

void route_datagram(roam_endpoint *endpoint, const roam_datagram *datagram, uint8_t *data, size_t len)
{
    struct packet_header header;
    bool retired;
    endpoint->stats.datagrams_received++;
    endpoint->stats.bytes_received += len;
    if (is_like_the_last(endpoint, data, len)) {
        deliver(endpoint, endpoint->recent.conn, datagram, data, len);
        return;
    }
    roam_drop drop =
        len == 0 ? ROAM_DROP_EMPTY_DATAGRAM : packet_header_parse(&header, data, len, endpoint->config.cid_bytes);
    if (drop != ROAM_DROP_NONE) {
        /* What cannot be parsed may still be a reset: its first octets are random. */
        if (len == 0 || !route_reset(endpoint, datagram, data, len))
            endpoint_count_drop(endpoint, drop);
        return;
    }
    roam_conn *conn = find(endpoint, datagram, &header, &retired);
    if (conn != NULL) {
        note_recent(endpoint, conn, &header);
        deliver(endpoint, conn, datagram, data, len);
    } else if (retired) {
        endpoint_count_drop(endpoint, ROAM_DROP_RETIRED_CID);
    } else {
        route_unknown(endpoint, datagram, &header, data, len);
    }
}
