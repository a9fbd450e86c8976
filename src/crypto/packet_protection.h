/*
 * The keys of one direction at one level, and what they do to packets: seal (AEAD, then header protection) and open
 * (header protection, packet number, AEAD), RFC 9001 sections 5.3 and 5.4. Removing protection follows one path
 * whatever is wrong with the packet (section 9.5).
 */
#ifndef CRYPTO_PACKET_PROTECTION_H
#define CRYPTO_PACKET_PROTECTION_H

#include "crypto/aead.h"
#include "wire/packet.h"

/* Packets whose protection is made or removed together. */
#define PACKET_PROTECTION_BATCH 16

/* Plain data: octets, and `expanded`, a cache that is made with them and again when it is called for. The packet key comes
 * from the secret and is in the expanded form only. */
struct packet_keys {
    const roam_allocator *allocator;
    const struct crypto_backend *backend;
    void *expanded;   /* NULL: forgotten, or there was no memory */
    uint64_t packets; /* sealed with these keys, or failed to open with them */
    uint8_t iv[AEAD_NONCE_BYTES];
    uint8_t suite; /* enum aead_suite */
    bool available;
    uint8_t version; /* whose labels make the keys: a row of quic_versions */
    uint8_t secret[SECRET_BYTES_MAX];
    uint8_t hp_key[AEAD_KEY_BYTES_MAX];
};

/* No keys. */
void packet_keys_init(struct packet_keys *keys);

/* Keys from a traffic secret. backend NULL: the fastest. */
void packet_keys_set(struct packet_keys *keys, const roam_allocator *allocator, const struct quic_version *version,
                     enum aead_suite suite, const uint8_t *secret, const struct crypto_backend *backend);

/* The keys of the next phase: a new key and IV; header protection stays, RFC 9001 section 6.1. *ret must be without
 * keys. */
void packet_keys_next(struct packet_keys *ret, const struct packet_keys *keys);

/* Wipes and frees; available is false afterwards. */
void packet_keys_done(struct packet_keys *keys);

/* Forgets the expanded form: an idle connection holds none. */
void packet_keys_shrink(struct packet_keys *keys);

/* For packet_keys_expand. */
bool packet_keys_make(struct packet_keys *keys);

/* Makes the expanded form where it is not there; false without memory. Must have been called (since they were made, or shrunk) before seal and open. */
static inline bool packet_keys_expand(struct packet_keys *keys)
{
    return keys->expanded != NULL || packet_keys_make(keys);
}

/* One packet to seal. The header up to and with the packet number stands at packet[0..header_len) in plain;
 * ciphertext and tag go behind it. */
struct packet_seal {
    uint8_t *packet;
    size_t header_len;
    size_t number_offset; /* of the packet number field */
    uint64_t number;
    const struct span *spans; /* payload, at least 4 - packet number octets long (RFC 9001 section 5.4.2) */
    size_t span_count;
};

/* Seals and protects the headers of n packets; header_len + payload + 16 octets each. */
void packet_protection_seal(struct packet_keys *keys, const struct packet_seal *jobs, size_t n);

/* The header protection masks of n packets, PACKET_PROTECTION_BATCH at most, which begin `stride` octets apart; each must
 * hold number_offset + 4 + 16 octets. */
void packet_protection_masks(struct packet_keys *keys, const uint8_t *packets, size_t stride, size_t number_offset,
                             size_t n, uint8_t (*ret)[HP_MASK_BYTES]);

/* What was under a mask: the first octet, and the packet number field's octets and truncated value. */
struct unmasked {
    uint8_t first_octet;
    size_t number_len;
    uint64_t truncated;
};

/* Removes header protection in place. */
void packet_protection_unmask(uint8_t *packet, size_t number_offset, const uint8_t mask[HP_MASK_BYTES],
                              struct unmasked *ret);

/* Opens in place: the header is packet[0..header_len), plaintext ends up at packet + header_len. Returns its length,
 * or -1 where the packet is not authentic (keys->packets counts it). */
ptrdiff_t packet_protection_open(struct packet_keys *keys, uint64_t number, uint8_t *packet, size_t header_len,
                                 size_t len);

#endif
