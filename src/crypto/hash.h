/*
 * SHA-2, HMAC and HKDF-Expand, by nettle, on which GnuTLS stands: a handshake makes some thirty short MACs, for which
 * libcrypto's general interface takes twice the time of the hashing. Nothing here can fail.
 */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include <nettle/hmac.h>
#include <stddef.h>
#include <stdint.h>

enum hash { HASH_SHA256, HASH_SHA384 };

#define HASH_BYTES_MAX 48
#define HKDF_INFO_MAX  128

/* Octets of a hash. */
size_t hash_bytes(enum hash hash);

void sha256(const void *data, size_t len, uint8_t ret[32]);

/* A key that is hashed already, for any number of messages. A secret: wipe it by hmac_key_done. */
struct hmac_key {
    enum hash hash;
    union {
        struct hmac_sha256_ctx sha256;
        struct hmac_sha512_ctx sha384;
    } state;
};

void hmac_key_init(struct hmac_key *key, enum hash hash, const void *data, size_t len);
void hmac_key_done(struct hmac_key *key);

/* HMAC, RFC 2104: ret gets hash_bytes octets. */
void hmac_of(struct hmac_key *key, const void *data, size_t len, uint8_t *ret);

/* The same with a key that serves once. */
void hmac(enum hash hash, const void *key, size_t key_len, const void *data, size_t len, uint8_t *ret);

/* HKDF-Expand, RFC 5869 section 2.3, under a pseudorandom key; info at most HKDF_INFO_MAX octets. */
void hkdf_expand(struct hmac_key *key, const uint8_t *info, size_t info_len, uint8_t *ret, size_t len);

#endif
