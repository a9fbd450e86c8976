/*
 * Packets that come before their keys: kept as they are, a flight's worth, and read when the keys are there (RFC 9001
 * section 5.7).
 */
#include "conn/log.h"

void conn_keep_early(roam_conn *conn, const struct packet_context *context, const uint8_t *data, size_t len)
{
    struct handshake *handshake = conn->handshake;
    //= rfc9000#9-1 Nobody moves before confirmation: what comes from elsewhere is not worth keeping until then.
    if (path_set_find_remote(&conn->paths, &context->remote) == NULL) {
        conn_count_drop(conn,
                        conn->is_server ? ROAM_DROP_ADDRESS_CHANGE_IN_HANDSHAKE : ROAM_DROP_UNKNOWN_SERVER_ADDRESS);
        return;
    }
    if (handshake == NULL || handshake->early_count >= EARLY_PACKETS_MAX || len > EARLY_PACKET_BYTES_MAX) {
        conn_count_drop(conn, handshake == NULL ? ROAM_DROP_KEYS_UNAVAILABLE : ROAM_DROP_BUFFER_FULL);
        return;
    }
    struct early_packet *packet = mem_alloc(conn->allocator, sizeof(*packet) + len);
    if (packet == NULL) {
        conn_count_drop(conn, ROAM_DROP_OUT_OF_MEMORY);
        return;
    }
    *packet = (struct early_packet){.local = context->local,
                                    .remote = context->remote,
                                    .len = len,
                                    .datagram_bytes = context->datagram_bytes,
                                    .ecn = context->ecn,
                                    .type = (uint8_t)context->type};
    memcpy(packet->data, data, len);
    struct early_packet **end = &handshake->early;
    while (*end != NULL)
        end = &(*end)->next;
    *end = packet;
    handshake->early_count++;
    if (conn->log != NULL)
        conn_log_buffered(conn);
}

static bool early_has_keys(const roam_conn *conn, const struct early_packet *packet)
{
    const struct handshake *handshake = conn->handshake;
    if (packet->type == PACKET_ONE_RTT)
        return conn->keys.receive.available;
    /* 0-RTT keys come before these, or not at all: then the packet is dropped. */
    return handshake->receive[SPACE_HANDSHAKE].available ||
           (packet->type == PACKET_ZERO_RTT && handshake->discarded[SPACE_HANDSHAKE]);
}

void conn_replay_early(roam_conn *conn)
{
    /* Each replay may bring keys for another packet, or end the handshake: start again from the front every time. */
    for (bool again = true; again && conn->handshake != NULL;) {
        again = false;
        for (struct early_packet **at = &conn->handshake->early; *at != NULL; at = &(*at)->next) {
            struct early_packet *packet = *at;
            if (!early_has_keys(conn, packet))
                continue;
            *at = packet->next;
            conn->handshake->early_count--;
            struct packet_context context = {.local = packet->local,
                                             .remote = packet->remote,
                                             .ecn = packet->ecn,
                                             .datagram_bytes = packet->datagram_bytes,
                                             .seen_path_id = PATH_ID_NONE,
                                             .path_id = PATH_ID_NONE};
            const bool lending = conn->streams.lending;
            conn->streams.lending = false; /* this copy goes with the packet */
            if (conn_is_alive(conn))
                conn_receive_packets(conn, &context, packet->data, packet->len);
            conn->streams.lending = lending;
            mem_free(conn->allocator, packet, sizeof(*packet) + packet->len);
            conn_settle_handshake(conn);
            again = true;
            break;
        }
    }
}
