/*
 * From secrets to keys. Everything is a pure function of its arguments: the same secret makes the same keys for ever,
 * which is what lets expanded keys be thrown away and a connection be written down.
 */
#include "crypto/key_schedule.h"

#include <assert.h>
#include <string.h>

#include "base/rng.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"

#define LABEL_PREFIX "tls13 "

/* HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context: the info is length, label with its length, 0. */
static void expand_label(struct hmac_key *secret, const struct label *label)
{
    uint8_t info[HKDF_INFO_MAX];
    size_t prefix_len = sizeof(LABEL_PREFIX) - 1, label_len = strlen(label->text), at = 0;
    assert(prefix_len + label_len + 4 <= sizeof(info) && label->len <= UINT16_MAX);
    info[at++] = (uint8_t)(label->len >> 8);
    info[at++] = (uint8_t)label->len;
    info[at++] = (uint8_t)(prefix_len + label_len);
    memcpy(info + at, LABEL_PREFIX, prefix_len);
    at += prefix_len;
    memcpy(info + at, label->text, label_len);
    at += label_len;
    info[at++] = 0;
    hkdf_expand(secret, info, at, label->ret, label->len);
}

void hkdf_expand_labels(enum aead_suite suite, const uint8_t *secret, const struct label *labels, size_t n)
{
    struct hmac_key key;
    hmac_key_init(&key, suite == AEAD_AES_256_GCM ? HASH_SHA384 : HASH_SHA256, secret,
                  aead_suite_info(suite)->secret_bytes);
    for (size_t i = 0; i < n; i++)
        expand_label(&key, &labels[i]);
    hmac_key_done(&key);
}

void hkdf_expand_label(enum aead_suite suite, const uint8_t *secret, const char *label, uint8_t *ret, size_t len)
{
    hkdf_expand_labels(suite, secret, &(struct label){label, ret, len}, 1);
}

void derive_key(const uint8_t *key, size_t key_len, const char *label, uint8_t *ret, size_t len)
{
    static const uint8_t salt[] = "roam key derivation 1";
    struct hmac_key pseudorandom;
    uint8_t secret[32];
    hmac(HASH_SHA256, salt, sizeof(salt) - 1, key, key_len, secret);
    hmac_key_init(&pseudorandom, HASH_SHA256, secret, sizeof(secret));
    hkdf_expand(&pseudorandom, (const uint8_t *)label, strlen(label), ret, len);
    hmac_key_done(&pseudorandom);
    wipe(secret, sizeof(secret));
}

//= rfc9001#5.2 initial_secret = HKDF-Extract(initial_salt, client_dst_connection_id), with SHA-256.
void initial_secrets(const struct quic_version *version, const roam_cid *client_dcid, uint8_t ret_client[32],
                     uint8_t ret_server[32])
{
    const struct label sides[] = {{"client in", ret_client, 32}, {"server in", ret_server, 32}};
    uint8_t secret[32];
    hmac(HASH_SHA256, version->initial_salt, INITIAL_SALT_BYTES, client_dcid->bytes, client_dcid->len, secret);
    hkdf_expand_labels(AEAD_AES_128_GCM, secret, sides, 2);
}

void next_secret(const struct quic_version *version, enum aead_suite suite, const uint8_t *secret, uint8_t *ret)
{
    hkdf_expand_label(suite, secret, version->update_label, ret, aead_suite_info(suite)->secret_bytes);
}

//= rfc9001#5.8 The tag covers the Retry pseudo-packet: the original DCID with its length, then the packet.
void retry_integrity_tag(const struct quic_version *version, const roam_cid *original_dcid, const uint8_t *retry,
                         size_t len, uint8_t ret[RETRY_TAG_BYTES])
{
    const struct span pseudo_packet[] = {
        {&original_dcid->len, 1},
        {original_dcid->bytes, original_dcid->len},
        {retry, len},
    };
    gcm_seal_once(version->retry_key, sizeof(version->retry_key), version->retry_nonce, pseudo_packet, 3, NULL, 0, ret);
}
