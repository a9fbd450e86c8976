/*
 * Packet headers: the one place that knows how they lie in octets. A parse reads nothing past the datagram, and
 * whatever it points at lies inside of it; lengths that it hands out have been checked against the datagram's.
 */
#include "wire/packet.h"

#include <assert.h>
#include <string.h>

#include "base/varint.h"

#define LONG_TYPE_SHIFT    4
#define SPIN_SHIFT         5
#define KEY_PHASE_SHIFT    2
#define LENGTH_FIELD_BYTES 2

/* What must follow the start of the packet number field: the longest one, and a sample behind it. */
#define PROTECTED_BYTES_MIN (PACKET_NUMBER_BYTES_MAX + HP_SAMPLE_BYTES)

const char *packet_type_name(enum packet_type type)
{
    static const char *const names[PACKET_TYPES] = {
        [PACKET_INITIAL] = "initial",       [PACKET_ZERO_RTT] = "0RTT",
        [PACKET_HANDSHAKE] = "handshake",   [PACKET_RETRY] = "retry",
        [PACKET_ONE_RTT] = "1RTT",          [PACKET_VERSION_NEGOTIATION] = "version_negotiation",
        [PACKET_OTHER_VERSION] = "unknown",
    };
    assert(type < PACKET_TYPES);
    return names[type];
}

enum packet_space packet_space_of(enum packet_type type)
{
    switch (type) {
    case PACKET_INITIAL:
        return SPACE_INITIAL;
    case PACKET_HANDSHAKE:
        return SPACE_HANDSHAKE;
    default:
        assert(type == PACKET_ZERO_RTT || type == PACKET_ONE_RTT);
        return SPACE_APPLICATION;
    }
}

static void cid_set(roam_cid *ret, const uint8_t *bytes, size_t len)
{
    ret->len = (uint8_t)len;
    if (len > 0)
        memcpy(ret->bytes, bytes, len);
}

static roam_drop parse_short(struct packet_header *ret, const uint8_t *data, size_t len, size_t local_cid_len)
{
    if (len < 1 + local_cid_len + PROTECTED_BYTES_MIN)
        return (data[0] & FIXED_BIT) == 0 ? ROAM_DROP_FIXED_BIT_ZERO : ROAM_DROP_TOO_SHORT;
    /* One by one: nearly every packet comes here, and clearing all first costs more than what is read of it. */
    ret->type = PACKET_ONE_RTT;
    ret->first_octet = data[0];
    ret->version = 0;
    cid_set(&ret->dcid, data + 1, local_cid_len);
    ret->scid.len = 0;
    ret->dcid_bytes = data + 1;
    ret->scid_bytes = NULL;
    ret->dcid_len = (uint8_t)local_cid_len;
    ret->scid_len = 0;
    ret->token = ret->versions = ret->retry_tag = NULL;
    ret->token_len = ret->versions_len = 0;
    ret->number_offset = 1 + local_cid_len;
    ret->packet_len = len;
    return ROAM_DROP_NONE;
}

/* RFC 8999 section 5.1: what all versions share. */
static bool parse_invariants(struct packet_header *header, struct reader *reader)
{
    header->first_octet = read_u8(reader);
    header->version = read_u32(reader);
    header->dcid_len = read_u8(reader);
    header->dcid_bytes = read_bytes(reader, header->dcid_len);
    header->scid_len = read_u8(reader);
    header->scid_bytes = read_bytes(reader, header->scid_len);
    if (reader->failed)
        return false;
    if (header->dcid_len <= ROAM_CID_MAX)
        cid_set(&header->dcid, header->dcid_bytes, header->dcid_len);
    if (header->scid_len <= ROAM_CID_MAX)
        cid_set(&header->scid, header->scid_bytes, header->scid_len);
    return true;
}

static roam_drop parse_version_negotiation(struct packet_header *header, struct reader *reader)
{
    header->type = PACKET_VERSION_NEGOTIATION;
    header->versions_len = reader_left(reader);
    header->versions = read_bytes(reader, header->versions_len);
    //= rfc8999#6 A Version Negotiation packet with no version or a truncated one is ignored.
    return header->versions_len > 0 && header->versions_len % 4 == 0 ? ROAM_DROP_NONE : ROAM_DROP_HEADER_INVALID;
}

static roam_drop parse_retry(struct packet_header *header, struct reader *reader)
{
    if (reader_left(reader) < AEAD_TAG_BYTES)
        return ROAM_DROP_TOO_SHORT;
    header->token_len = reader_left(reader) - AEAD_TAG_BYTES;
    header->token = read_bytes(reader, header->token_len);
    header->retry_tag = read_bytes(reader, AEAD_TAG_BYTES);
    //= rfc9000#17.2.5.2 A Retry with an empty token is dropped.
    return header->token_len > 0 ? ROAM_DROP_NONE : ROAM_DROP_HEADER_INVALID;
}

static roam_drop parse_known_version(struct packet_header *header, const struct quic_version *version,
                                     struct reader *reader, const uint8_t *data)
{
    //= rfc9000#17.2 Long headers with CIDs of more than 20 octets are dropped.
    if (header->dcid_len > ROAM_CID_MAX || header->scid_len > ROAM_CID_MAX)
        return ROAM_DROP_CID_TOO_LONG;
    header->type = (enum packet_type)version->type_of[(header->first_octet >> LONG_TYPE_SHIFT) & 0x03];
    if (header->type == PACKET_RETRY)
        return parse_retry(header, reader);
    if (header->type == PACKET_INITIAL) {
        uint64_t token_len = read_varint(reader);
        if (token_len > reader_left(reader))
            return ROAM_DROP_TOO_SHORT;
        header->token_len = (size_t)token_len;
        header->token = read_bytes(reader, header->token_len);
    }
    uint64_t length = read_varint(reader);
    if (reader->failed)
        return ROAM_DROP_TOO_SHORT;
    if (length > reader_left(reader))
        return ROAM_DROP_HEADER_INVALID;
    if (length < PROTECTED_BYTES_MIN)
        return ROAM_DROP_TOO_SHORT;
    header->number_offset = (size_t)(reader->pos - data);
    header->packet_len = header->number_offset + (size_t)length;
    return ROAM_DROP_NONE;
}

static roam_drop parse_long(struct packet_header *ret, const uint8_t *data, size_t len)
{
    struct reader reader = reader_init(data, len);
    struct packet_header header = {.packet_len = len};
    if (!parse_invariants(&header, &reader))
        return ROAM_DROP_TOO_SHORT;
    roam_drop drop = ROAM_DROP_NONE;
    const struct quic_version *version = quic_version_find(header.version);
    if (header.version == 0)
        drop = parse_version_negotiation(&header, &reader);
    else if (version != NULL)
        drop = parse_known_version(&header, version, &reader, data);
    else
        header.type = PACKET_OTHER_VERSION;
    if (drop == ROAM_DROP_NONE)
        *ret = header;
    else if (version != NULL && (data[0] & FIXED_BIT) == 0)
        drop = ROAM_DROP_FIXED_BIT_ZERO;
    return drop;
}

roam_drop packet_header_parse(struct packet_header *ret, const uint8_t *data, size_t len, size_t local_cid_len)
{
    assert(local_cid_len <= ROAM_CID_MAX);
    if (len == 0)
        return ROAM_DROP_EMPTY_DATAGRAM;
    return (data[0] & LONG_HEADER_BIT) == 0 ? parse_short(ret, data, len, local_cid_len) : parse_long(ret, data, len);
}

static void write_cid(struct writer *writer, const uint8_t *bytes, size_t len)
{
    write_u8(writer, (uint8_t)len);
    write_bytes(writer, bytes, len);
}

static unsigned type_bits(uint32_t version, enum packet_type type)
{
    return (unsigned)quic_version_like(version)->type_bits[type] << LONG_TYPE_SHIFT;
}

void packet_write_long(struct writer *writer, enum packet_type type, uint32_t version, const roam_cid *dcid,
                       const roam_cid *scid, const uint8_t *token, size_t token_len, size_t pn_len,
                       uint8_t **ret_length_at)
{
    assert(type == PACKET_INITIAL || type == PACKET_ZERO_RTT || type == PACKET_HANDSHAKE);
    assert(pn_len >= 1 && pn_len <= PACKET_NUMBER_BYTES_MAX);
    //= rfc9000#17.2 Reserved bits are sent as 0.
    write_u8(writer, (uint8_t)(LONG_HEADER_BIT | FIXED_BIT | type_bits(version, type) | (pn_len - 1)));
    write_u32(writer, version);
    write_cid(writer, dcid->bytes, dcid->len);
    write_cid(writer, scid->bytes, scid->len);
    if (type == PACKET_INITIAL) {
        write_varint(writer, token_len);
        write_bytes(writer, token, token_len);
    }
    uint8_t *length_at = writer->pos;
    write_varint_sized(writer, 0, LENGTH_FIELD_BYTES);
    if (!writer->failed)
        *ret_length_at = length_at;
}

void packet_length_write(uint8_t *length_at, size_t len)
{
    assert(len < 16384);
    length_at[0] = (uint8_t)(0x40 | len >> 8);
    length_at[1] = (uint8_t)len;
}

void packet_write_short(struct writer *writer, const roam_cid *dcid, bool spin, bool key_phase, size_t pn_len)
{
    assert(pn_len >= 1 && pn_len <= PACKET_NUMBER_BYTES_MAX);
    //= rfc9000#17.3.1 Reserved bits are sent as 0.
    write_u8(writer, (uint8_t)(FIXED_BIT | (unsigned)spin << SPIN_SHIFT | (unsigned)key_phase << KEY_PHASE_SHIFT |
                               (pn_len - 1)));
    write_bytes(writer, dcid->bytes, dcid->len);
}

void packet_write_version_negotiation(struct writer *writer, uint8_t random_octet, const uint8_t *dcid, size_t dcid_len,
                                      const uint8_t *scid, size_t scid_len, const uint32_t *versions, size_t n)
{
    assert(dcid_len <= UINT8_MAX && scid_len <= UINT8_MAX && n > 0);
    //= rfc9000#17.2.1 Servers set 0x40 where QUIC may share its port with other protocols.
    write_u8(writer, (uint8_t)(LONG_HEADER_BIT | FIXED_BIT | random_octet));
    write_u32(writer, 0);
    write_cid(writer, dcid, dcid_len);
    write_cid(writer, scid, scid_len);
    for (size_t i = 0; i < n; i++)
        write_u32(writer, versions[i]);
}

void packet_write_retry(struct writer *writer, uint8_t random_octet, uint32_t version, const roam_cid *dcid,
                        const roam_cid *scid, const uint8_t *token, size_t token_len)
{
    write_u8(writer, (uint8_t)(LONG_HEADER_BIT | FIXED_BIT | type_bits(version, PACKET_RETRY) | (random_octet & 0x0f)));
    write_u32(writer, version);
    write_cid(writer, dcid->bytes, dcid->len);
    write_cid(writer, scid->bytes, scid->len);
    write_bytes(writer, token, token_len);
}
