/*
 * The suites of RFC 9001 section 5.3 and the choice of a backend for each. Invariant: crypto_backend_for answers the
 * same for the whole life of the process, for it depends only on the libraries and the processor.
 */
#include "crypto/aead.h"

#include <assert.h>

//= rfc9001#6.6 For AES-GCM 2^23 packets sealed and 2^52 forgeries, for ChaCha20-Poly1305 2^36 forgeries.
/* The confidentiality limit of ChaCha20-Poly1305 lies beyond any packet number. */
static const struct aead_suite_info suites[AEAD_SUITES] = {
    [AEAD_AES_128_GCM] = {"AES-128-GCM", 16, 32, CONFIDENTIALITY_LIMIT_AES_GCM, INTEGRITY_LIMIT_AES_GCM},
    [AEAD_AES_256_GCM] = {"AES-256-GCM", 32, 48, CONFIDENTIALITY_LIMIT_AES_GCM, INTEGRITY_LIMIT_AES_GCM},
    [AEAD_CHACHA20_POLY1305] = {"CHACHA20-POLY1305", 32, 32, UINT64_MAX, INTEGRITY_LIMIT_CHACHA20},
};

const struct aead_suite_info *aead_suite_info(enum aead_suite suite)
{
    assert((unsigned)suite < AEAD_SUITES);
    return &suites[suite];
}

const struct crypto_backend *crypto_backend_for(enum aead_suite suite)
{
    return crypto_backend_ipsec_mb.supports(suite) ? &crypto_backend_ipsec_mb : &crypto_backend_libcrypto;
}
