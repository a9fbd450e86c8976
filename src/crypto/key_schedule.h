/* From secrets to keys: HKDF of RFC 8446 with the labels of RFC 9001 sections 5.1, 5.2 and 6.1 or of another
 * version, and the integrity of Retry, section 5.8. */
#ifndef CRYPTO_KEY_SCHEDULE_H
#define CRYPTO_KEY_SCHEDULE_H

#include "crypto/aead.h"
#include "wire/version.h"

#define RETRY_TAG_BYTES 16

/* HKDF-Expand-Label(secret, label, "", len) with the hash of the suite. */
void hkdf_expand_label(enum aead_suite suite, const uint8_t *secret, const char *label, uint8_t *ret, size_t len);

/* The same for several labels of one secret, which is hashed once for all of them. */
struct label {
    const char *text;
    uint8_t *ret;
    size_t len;
};
void hkdf_expand_labels(enum aead_suite suite, const uint8_t *secret, const struct label *labels, size_t n);

/* HKDF-Extract-and-Expand with SHA-256 for keys of our own: ret[0..len) from a key and a text. */
void derive_key(const uint8_t *key, size_t key_len, const char *label, uint8_t *ret, size_t len);

/* RFC 9001 section 5.2, both directions, 32 octets each. */
void initial_secrets(const struct quic_version *version, const roam_cid *client_dcid, uint8_t ret_client[32],
                     uint8_t ret_server[32]);

/* RFC 9001 section 6.1: the secret of the next key phase. */
void next_secret(const struct quic_version *version, enum aead_suite suite, const uint8_t *secret, uint8_t *ret);

/* RFC 9001 section 5.8: the tag over a Retry packet without its tag. */
void retry_integrity_tag(const struct quic_version *version, const roam_cid *original_dcid, const uint8_t *retry,
                         size_t len, uint8_t ret[RETRY_TAG_BYTES]);

#endif
