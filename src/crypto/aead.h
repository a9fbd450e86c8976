/*
 * AEAD and header protection of RFC 9001 section 5 behind one table of functions, batch-shaped. Two backends fill it:
 * intel-ipsec-mb, where the library and the CPU have it, and libcrypto everywhere. The choice is made at run time, for
 * each suite. Expanded keys are caches: a backend can make them again from the key's octets at any time.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <roam/types.h>

#include "base/alloc.h"

enum aead_suite { AEAD_AES_128_GCM, AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305, AEAD_SUITES };

#define AEAD_KEY_BYTES_MAX 32
#define AEAD_NONCE_BYTES   12
#define SECRET_BYTES_MAX   48
/* RFC 9001 section 5.4.1: for the first octet, and four of the packet number. */
#define HP_MASK_BYTES 5

/* RFC 9001 section 6.6. */
#define CONFIDENTIALITY_LIMIT_AES_GCM (UINT64_C(1) << 23)
#define INTEGRITY_LIMIT_AES_GCM       (UINT64_C(1) << 52)
#define INTEGRITY_LIMIT_CHACHA20      (UINT64_C(1) << 36)

struct aead_suite_info {
    const char *name;                                /* "AES-128-GCM" */
    size_t key_bytes;                                /* also of the header protection key */
    size_t secret_bytes;                             /* of the hash: 32 or 48 */
    uint64_t confidentiality_limit, integrity_limit; /* packets */
};

const struct aead_suite_info *aead_suite_info(enum aead_suite suite);

/* A run of plaintext. Runs are sealed one after the other; a run may lie anywhere, also where its ciphertext goes. */
struct span {
    const uint8_t *data;
    size_t len;
};

/* One packet to seal: `out` gets the sum of the spans and then the tag. */
struct aead_seal {
    uint8_t nonce[AEAD_NONCE_BYTES];
    const uint8_t *aad;
    size_t aad_len;
    const struct span *spans;
    size_t span_count;
    uint8_t *out;
};

struct crypto_backend {
    const char *name; /* "ipsec-mb", "libcrypto" */
    bool (*supports)(enum aead_suite suite);
    /* An expanded key for packets and headers; aligned as it likes, from the allocator. NULL without memory. */
    void *(*key_new)(const roam_allocator *allocator, enum aead_suite suite, const uint8_t *key, const uint8_t *hp_key);
    void (*key_free)(const roam_allocator *allocator, void *key); /* wipes it; NULL is allowed */
    void (*seal)(void *key, const struct aead_seal *jobs, size_t n);
    /* Opens data[0..len) with its tag in place; false where it is not authentic (the content is then indeterminate). */
    bool (*open)(void *key, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *aad, size_t aad_len, uint8_t *data,
                 size_t len);
    /* Header protection masks of n samples of 16 octets: 5 octets each, RFC 9001 section 5.4. */
    void (*masks)(void *key, const uint8_t *const *samples, size_t n, uint8_t (*ret)[HP_MASK_BYTES]);
};

extern const struct crypto_backend crypto_backend_libcrypto;
extern const struct crypto_backend crypto_backend_ipsec_mb; /* supports nothing where the library or the CPU lacks it */

/* The fastest backend here for the suite. */
const struct crypto_backend *crypto_backend_for(enum aead_suite suite);

#endif
