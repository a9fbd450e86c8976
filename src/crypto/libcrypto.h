/*
 * What this floor takes from libcrypto: its algorithms, fetched once for the process and read-only from then on, and a
 * few hashes over them. A libcrypto that cannot hash or is out of memory in the middle of a key schedule leaves nothing
 * sensible to go on with: these functions end the process then, they never answer with a wrong key.
 */
#ifndef CRYPTO_LIBCRYPTO_H
#define CRYPTO_LIBCRYPTO_H

#include <openssl/evp.h>

#include "crypto/aead.h"

#define HASH_BYTES_MAX 48

struct libcrypto {
    EVP_CIPHER *aead[AEAD_SUITES];   /* packet protection */
    EVP_CIPHER *header[AEAD_SUITES]; /* header protection: a block of AES, or ChaCha20 with the sample as its IV */
    EVP_MD *sha256, *sha384;
};

/* NULL members: this libcrypto lacks the algorithm. */
const struct libcrypto *libcrypto(void);

/* The hash of a suite. */
const EVP_MD *libcrypto_hash(enum aead_suite suite);

/* HMAC, RFC 2104: ret gets as many octets as the hash has. */
void hmac(const EVP_MD *md, const void *key, size_t key_len, const void *data, size_t len, uint8_t *ret);

/* HKDF-Expand, RFC 5869 section 2.3; info at most HKDF_INFO_MAX octets. */
#define HKDF_INFO_MAX 128
void hkdf_expand(const EVP_MD *md, const uint8_t *secret, const uint8_t *info, size_t info_len, uint8_t *ret,
                 size_t len);

/* AES-GCM for what is sealed once under its own key (Retry, tokens): the tag goes behind the text. `key_bytes` 16
 * or 32. */
void gcm_seal_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const struct span *aad,
                   size_t aad_count, const uint8_t *text, size_t len, uint8_t *ret);
/* The reverse; false where it is not authentic. ret gets len - 16 octets. */
bool gcm_open_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *sealed,
                   size_t len, uint8_t *ret);

#endif
