/*
 * Packet headers, RFC 9000 section 17 and RFC 8999: octets <-> structures. No state, no allocation, no keys: what
 * stands under header protection is left to crypto/packet_protection.
 */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <roam/error.h>
#include <roam/types.h>

#include "base/reader.h"
#include "base/writer.h"
#include "wire/version.h"

/* RFC 9000 section 14: the smallest datagram that every path must carry. */
#define DATAGRAM_BYTES_MIN 1200

/* RFC 9000 section 7.2: octets of a client's first destination CID. */
#define INITIAL_DCID_BYTES_MIN 8

#define AEAD_TAG_BYTES  16
#define HP_SAMPLE_BYTES 16
/* Of the first octet, RFC 8999 section 5: a long header. */
#define LONG_HEADER_BIT 0x80
/* ... and in QUIC versions 1 and 2 the fixed bit, which is 0 only where both sides know better (RFC 9287). */
#define FIXED_BIT 0x40

/* The packet number field may be up to 4 octets, and the sample starts as if it were, RFC 9001 section 5.4.2. */
#define PACKET_NUMBER_BYTES_MAX 4

enum packet_type {
    PACKET_INITIAL, /* up to PACKET_RETRY: those with a long header of a version that we speak */
    PACKET_ZERO_RTT,
    PACKET_HANDSHAKE,
    PACKET_RETRY,
    PACKET_ONE_RTT,
    PACKET_VERSION_NEGOTIATION,
    PACKET_OTHER_VERSION, /* long header of a version that we do not speak: only the invariants are known */
    PACKET_TYPES
};

/* "initial", ... */
const char *packet_type_name(enum packet_type type);

/* RFC 9000 section 12.3. */
enum packet_space { SPACE_INITIAL, SPACE_HANDSHAKE, SPACE_APPLICATION, PACKET_SPACES };

/* The space of a packet type that has packet numbers. */
enum packet_space packet_space_of(enum packet_type type);

/* What can be read of a packet before its protection is removed. Pointers are into the datagram. */
struct packet_header {
    enum packet_type type;
    uint8_t first_octet;
    uint32_t version; /* long headers */
    roam_cid dcid; /* for PACKET_OTHER_VERSION and VERSION_NEGOTIATION see dcid_bytes: may be longer than a roam_cid */
    roam_cid scid; /* long headers */
    const uint8_t *dcid_bytes, *scid_bytes; /* where they stand in the datagram, 0..255 octets */
    uint8_t dcid_len, scid_len;
    const uint8_t *token; /* Initial and Retry */
    size_t token_len;
    const uint8_t *versions; /* Version Negotiation: list of supported versions, 4 octets each */
    size_t versions_len;
    size_t number_offset;     /* octets from the packet's start to the packet number field */
    size_t packet_len;        /* octets of this packet in the datagram; what follows is coalesced */
    const uint8_t *retry_tag; /* Retry: 16 octets */
};

/* Parses the header of the packet at the start of data[0..len). `local_cid_len` tells how long a short header's DCID
 * is. Returns ROAM_DROP_NONE or why the rest of the datagram must be dropped; never reads past len. Long headers of
 * versions that are not spoken here parse to PACKET_OTHER_VERSION with packet_len = len. Any other with a CID over 20 octets is
 * ROAM_DROP_CID_TOO_LONG. A protected packet too short for a header protection sample is ROAM_DROP_TOO_SHORT. Whether
 * the fixed bit may be 0 is the receiver's to say: packet_lacks_fixed_bit. What is no packet anyhow and has none is
 * ROAM_DROP_FIXED_BIT_ZERO, for then it never was QUIC. */
roam_drop packet_header_parse(struct packet_header *ret, const uint8_t *data, size_t len, size_t local_cid_len);

/* True for a packet that only somebody who has sent grease_quic_bit takes (RFC 9287 section 3). The bit means nothing in
 * Version Negotiation and other versions. */
static inline bool packet_lacks_fixed_bit(const struct packet_header *header)
{
    return (header->first_octet & FIXED_BIT) == 0 && header->type != PACKET_VERSION_NEGOTIATION &&
           header->type != PACKET_OTHER_VERSION;
}

/* Writes a long header up to where the packet number starts, with the length field left as two octets at *ret_length_at
 * (to be filled by packet_length_write) and pn_len in the first octet. type is INITIAL, ZERO_RTT or HANDSHAKE. A version
 * that nobody speaks may be written too. */
void packet_write_long(struct writer *writer, enum packet_type type, uint32_t version, const roam_cid *dcid,
                       const roam_cid *scid, const uint8_t *token, size_t token_len, size_t pn_len,
                       uint8_t **ret_length_at);

/* Fills the length field: octets of packet number, payload and tag; at most 16383. */
void packet_length_write(uint8_t *length_at, size_t len);

/* Writes a short header up to where the packet number starts. */
void packet_write_short(struct writer *writer, const roam_cid *dcid, bool spin, bool key_phase, size_t pn_len);

/* A whole Version Negotiation packet in answer to a packet with these CIDs (swapped by the caller: dcid is where it
 * goes). */
void packet_write_version_negotiation(struct writer *writer, uint8_t random_octet, const uint8_t *dcid, size_t dcid_len,
                                      const uint8_t *scid, size_t scid_len, const uint32_t *versions, size_t n);

/* A Retry packet without its integrity tag. */
void packet_write_retry(struct writer *writer, uint8_t random_octet, uint32_t version, const roam_cid *dcid,
                        const roam_cid *scid, const uint8_t *token, size_t token_len);

#endif
