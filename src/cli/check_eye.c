/* Reading copies of a connection's 1-RTT packets. Kept: the connection is only read; a packet that cannot be opened
 * leaves an entry that says so. */
#include "cli/check_eye.h"

#include "base/minmax.h"
#include "wire/packet_number.h"

#define TLS_NEW_SESSION_TICKET 4
#define TLS_HEADER_BYTES       4

void eye_init(struct eye *eye)
{
    *eye = (struct eye){.allocator = roam_allocator_default(), .largest_received = PACKET_NUMBER_NONE};
    packet_keys_init(&eye->send);
    packet_keys_init(&eye->receive);
}

void eye_done(struct eye *eye)
{
    packet_keys_done(&eye->send);
    packet_keys_done(&eye->receive);
}

/* Keeps our copy of the keys in step with the connection's. False where it has none. */
static bool follow_keys(const struct eye *eye, struct packet_keys *copy, const struct packet_keys *keys)
{
    if (!keys->available)
        return false;
    if (!copy->available || memcmp(copy->secret, keys->secret, sizeof(copy->secret)) != 0) {
        packet_keys_done(copy);
        *copy = *keys;
        copy->allocator = &eye->allocator;
        copy->expanded = NULL;
    }
    return packet_keys_expand(copy);
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

/* Messages are told apart by their headers, as long as these come in order and whole. */
static void look_at_crypto(struct eye *eye, const struct frame *frame)
{
    uint64_t end = frame->crypto.offset + frame->crypto.len;
    while (eye->next_tls_message >= frame->crypto.offset && eye->next_tls_message + TLS_HEADER_BYTES <= end) {
        const uint8_t *message = frame->crypto.data + (eye->next_tls_message - frame->crypto.offset);
        eye->tickets += message[0] == TLS_NEW_SESSION_TICKET;
        eye->next_tls_message +=
            TLS_HEADER_BYTES + ((uint64_t)message[1] << 16 | (uint64_t)message[2] << 8 | message[3]);
    }
}

static void look_at_token(struct eye *eye, const struct frame *frame)
{
    eye->new_tokens++;
    if (frame->new_token.len > sizeof(eye->token))
        return;
    memcpy(eye->token, frame->new_token.token, frame->new_token.len);
    eye->token_bytes = frame->new_token.len;
}

static void look_at_frame(struct eye *eye, const struct frame *frame, struct seen_datagram *entry)
{
    entry->frames |= frame_bit(frame->type);
    switch (frame->type) {
    case FRAME_ACK:
    case FRAME_ACK_ECN:
        entry->has_ack = true;
        entry->acked = frame->ack.largest;
        entry->ack_delay = frame->ack.delay;
        break;
    case FRAME_PATH_CHALLENGE:
        if (entry->challenge_count < SEEN_CHALLENGES_MAX)
            memcpy(entry->challenges[entry->challenge_count++], frame->path_data, PATH_DATA_BYTES);
        break;
    case FRAME_CRYPTO:
        if (!entry->sent)
            look_at_crypto(eye, frame);
        break;
    case FRAME_NEW_TOKEN:
        look_at_token(eye, frame);
        break;
    default:
        if (frame->type >= FRAME_STREAM && frame->type <= FRAME_STREAM_LAST)
            entry->stream_bytes += frame->stream.len;
    }
}

/* ---- Packets ----------------------------------------------------------------------------------------------------- */

static void look_at_one_rtt(struct eye *eye, const roam_conn *conn, const struct packet_header *header, uint8_t *packet,
                            struct seen_datagram *entry)
{
    struct packet_keys *keys = entry->sent ? &eye->send : &eye->receive;
    uint8_t mask[1][HP_MASK_BYTES];
    struct unmasked unmasked;
    if (!follow_keys(eye, keys, entry->sent ? &conn->keys.send : &conn->keys.receive))
        return;
    packet_protection_masks(keys, packet, 0, header->number_offset, 1, mask);
    packet_protection_unmask(packet, header->number_offset, mask[0], &unmasked);
    uint64_t largest = entry->sent ? conn->application.next_number : eye->largest_received;
    uint64_t number = packet_number_decode(unmasked.truncated, unmasked.number_len, largest);
    size_t header_len = header->number_offset + unmasked.number_len;
    ptrdiff_t len = packet_protection_open(keys, number, packet, header_len, header->packet_len);
    if (len < 0)
        return;
    struct reader reader = reader_init(packet + header_len, (size_t)len);
    entry->opened = true;
    entry->number = number;
    entry->dcid = header->dcid;
    if (!entry->sent && (eye->largest_received == PACKET_NUMBER_NONE || number > eye->largest_received))
        eye->largest_received = number;
    while (reader_left(&reader) > 0) {
        struct frame frame;
        if (frame_parse(&frame, &reader) != ROAM_NO_ERROR)
            return;
        look_at_frame(eye, &frame, entry);
    }
}

/* How long a short header's CID is: ours on what comes; on what goes, that CID of the server's which stands there. */
static size_t short_cid_len(const roam_conn *conn, const uint8_t *data, size_t len, bool sent)
{
    if (!sent)
        return conn->local_cids.cid_bytes;
    for (size_t i = 0; i < conn->remote_cids.count; i++) {
        const roam_cid *cid = &conn->remote_cids.entries[i].cid;
        if (len > cid->len && memcmp(data + 1, cid->bytes, cid->len) == 0)
            return cid->len;
    }
    return 0;
}

void eye_look(struct eye *eye, const roam_conn *conn, uint8_t *data, size_t len, struct seen_datagram *entry)
{
    bool first = true;
    while (len > 0) {
        struct packet_header header;
        size_t cid_len = short_cid_len(conn, data, len, entry->sent);
        if (packet_header_parse(&header, data, len, cid_len) != ROAM_DROP_NONE)
            return;
        if (first)
            entry->type = header.type;
        first = false;
        if (header.type == PACKET_RETRY) {
            eye->retries++;
            eye->retry_token_bytes = header.token_len;
        } else if (header.type == PACKET_ONE_RTT) {
            look_at_one_rtt(eye, conn, &header, data, entry);
        }
        data += header.packet_len;
        len -= header.packet_len;
    }
}
