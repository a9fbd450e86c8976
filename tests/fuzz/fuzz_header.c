/*
 * Packet headers from any octets. The first octet of the input tells how long a short header's CID is, the rest is the
 * datagram. What is accepted must lie inside of the datagram, and, written again, must be read as the same.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/packet.h"

#define WRITTEN_MAX 70000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(const uint8_t *data, size_t len, const uint8_t *part, size_t part_len)
{
    assert(part == NULL ? part_len == 0 : part >= data && part_len <= len && part + part_len <= data + len);
}

static void check_bounds(const struct packet_header *header, const uint8_t *data, size_t len)
{
    check_inside(data, len, header->dcid_bytes, header->dcid_len);
    check_inside(data, len, header->scid_bytes, header->scid_len);
    check_inside(data, len, header->token, header->token_len);
    check_inside(data, len, header->versions, header->versions_len);
    check_inside(data, len, header->retry_tag, header->retry_tag != NULL ? AEAD_TAG_BYTES : 0);
    assert(header->packet_len > 0 && header->packet_len <= len);
    if (header->number_offset > 0)
        assert(header->number_offset + PACKET_NUMBER_BYTES_MAX + HP_SAMPLE_BYTES <= header->packet_len);
}

/* Writes the header, and zeros for what stands behind it. Returns false for what has no writer, or is too long for
 * one. */
static bool write_again(struct writer *writer, const struct packet_header *header)
{
    size_t behind = header->packet_len - header->number_offset;
    size_t pn_len = 1 + (header->first_octet & 0x03u);
    uint8_t *length_at = NULL;
    uint32_t versions[64];
    switch (header->type) {
    case PACKET_INITIAL:
    case PACKET_ZERO_RTT:
    case PACKET_HANDSHAKE:
        if (behind > 16383)
            return false;
        packet_write_long(writer, header->type, header->version, &header->dcid, &header->scid, header->token,
                          header->token_len, pn_len, &length_at);
        packet_length_write(length_at, behind);
        write_zeros(writer, behind);
        return true;
    case PACKET_RETRY:
        packet_write_retry(writer, header->first_octet, header->version, &header->dcid, &header->scid, header->token,
                           header->token_len);
        write_bytes(writer, header->retry_tag, AEAD_TAG_BYTES);
        return true;
    case PACKET_ONE_RTT:
        packet_write_short(writer, &header->dcid, header->first_octet & 0x20, header->first_octet & 0x04, pn_len);
        write_zeros(writer, behind);
        return true;
    case PACKET_VERSION_NEGOTIATION: {
        size_t n = header->versions_len / 4;
        if (n > 64)
            return false;
        struct reader reader = reader_init(header->versions, header->versions_len);
        for (size_t i = 0; i < n; i++)
            versions[i] = read_u32(&reader);
        packet_write_version_negotiation(writer, header->first_octet, header->dcid_bytes, header->dcid_len,
                                         header->scid_bytes, header->scid_len, versions, n);
        return true;
    }
    default:
        return false;
    }
}

static void check_same(const struct packet_header *a, const struct packet_header *b)
{
    assert(a->type == b->type && a->version == b->version);
    assert(roam_cid_equal(&a->dcid, &b->dcid) && roam_cid_equal(&a->scid, &b->scid));
    assert(a->dcid_len == b->dcid_len && memcmp(a->dcid_bytes, b->dcid_bytes, a->dcid_len) == 0);
    assert(a->token_len == b->token_len && a->versions_len == b->versions_len);
    assert(a->token_len == 0 || memcmp(a->token, b->token, a->token_len) == 0);
    assert(a->versions_len == 0 || memcmp(a->versions, b->versions, a->versions_len) == 0);
    assert((a->retry_tag == NULL) == (b->retry_tag == NULL));
    assert(a->retry_tag == NULL || memcmp(a->retry_tag, b->retry_tag, AEAD_TAG_BYTES) == 0);
    assert(a->packet_len - a->number_offset == b->packet_len - b->number_offset || a->number_offset == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t written[WRITTEN_MAX];
    if (size == 0 || size > WRITTEN_MAX / 2)
        return 0;
    size_t local_cid_len = data[0] % (ROAM_CID_MAX + 1);
    data++;
    size--;
    while (size > 0) {
        struct packet_header header, again;
        if (packet_header_parse(&header, data, size, local_cid_len) != ROAM_DROP_NONE)
            return 0;
        check_bounds(&header, data, size);
        struct writer writer = writer_init(written, sizeof(written));
        if (write_again(&writer, &header)) {
            assert(!writer.failed);
            roam_drop drop = packet_header_parse(&again, written, writer_len(&writer), local_cid_len);
            assert(drop == ROAM_DROP_NONE);
            (void)drop;
            check_same(&header, &again);
        }
        data += header.packet_len;
        size -= header.packet_len;
    }
    return 0;
}
