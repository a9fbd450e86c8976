/*
 * The versions of QUIC that are spoken here, and all that makes one of them differ from another: RFC 9000 and 9001 for
 * version 1, RFC 9369 section 3 for version 2. Who wants to know something of a version asks its row of this table, and
 * never which one it is.
 */
#ifndef WIRE_VERSION_H
#define WIRE_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIC_VERSION_1 UINT32_C(0x00000001)
#define QUIC_VERSION_2 UINT32_C(0x6b3343cf)

#define LONG_PACKET_TYPES   4
#define INITIAL_SALT_BYTES  20
#define RETRY_KEY_BYTES     16
#define RETRY_NONCE_BYTES   12
#define QUIC_VERSIONS_KNOWN 2

struct quic_version {
    uint32_t number;                      /* in long headers */
    uint8_t type_bits[LONG_PACKET_TYPES]; /* by enum packet_type */
    uint8_t type_of[LONG_PACKET_TYPES];   /* enum packet_type by the type bits of a long header */
    uint8_t initial_salt[INITIAL_SALT_BYTES];
    const char *key_label, *iv_label, *hp_label, *update_label;
    const char *ticket_label; /* makes the key of its session tickets; NULL: the server's own */
    uint8_t retry_key[RETRY_KEY_BYTES], retry_nonce[RETRY_NONCE_BYTES];
};

extern const struct quic_version quic_versions[QUIC_VERSIONS_KNOWN];

/* The version of this number, or NULL where it is not spoken here. */
const struct quic_version *quic_version_find(uint32_t number);

/* The same; what is sent with the number of a version that nobody speaks looks like version 1. */
const struct quic_version *quic_version_like(uint32_t number);

/* RFC 9000 section 15: versions 0x?a?a?a?a exist to provoke Version Negotiation, and nobody speaks them. */
static inline bool quic_version_is_reserved(uint32_t number)
{
    return (number & UINT32_C(0x0f0f0f0f)) == UINT32_C(0x0a0a0a0a);
}

/* One of them, of random octets. */
static inline uint32_t quic_version_reserve(uint32_t random)
{
    return (random & UINT32_C(0xf0f0f0f0)) | UINT32_C(0x0a0a0a0a);
}

#endif
