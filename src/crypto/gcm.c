/* See gcm.h. */
#include "crypto/gcm.h"

#include <assert.h>
#include <nettle/aes.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>
#include <string.h>

#include "base/minmax.h"
#include "base/rng.h"
#include "wire/packet.h"

struct gcm {
    union {
        struct aes128_ctx aes128;
        struct aes256_ctx aes256;
    } cipher;
    nettle_cipher_func *encrypt;
    struct gcm_key hash;
    struct gcm_ctx state;
};

static void begin(struct gcm *gcm, const uint8_t *key, size_t key_bytes, const uint8_t *nonce)
{
    assert(key_bytes == AES128_KEY_SIZE || key_bytes == AES256_KEY_SIZE);
    if (key_bytes == AES128_KEY_SIZE)
        aes128_set_encrypt_key(&gcm->cipher.aes128, key);
    else
        aes256_set_encrypt_key(&gcm->cipher.aes256, key);
    gcm->encrypt = (key_bytes == AES128_KEY_SIZE ? &nettle_aes128 : &nettle_aes256)->encrypt;
    gcm_set_key(&gcm->hash, &gcm->cipher, gcm->encrypt);
    gcm_set_iv(&gcm->state, &gcm->hash, AEAD_NONCE_BYTES, nonce);
}

/* nettle wants whole blocks of all calls but the last. */
static void add_spans(struct gcm *gcm, const struct span *spans, size_t count)
{
    uint8_t block[GCM_BLOCK_SIZE];
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < spans[i].len;) {
            const size_t n = min_size(sizeof(block) - filled, spans[i].len - at);
            memcpy(block + filled, spans[i].data + at, n);
            filled += n;
            at += n;
            if (filled < sizeof(block))
                continue;
            gcm_update(&gcm->state, &gcm->hash, sizeof(block), block);
            filled = 0;
        }
    }
    if (filled > 0)
        gcm_update(&gcm->state, &gcm->hash, filled, block);
}

static void end(struct gcm *gcm, uint8_t ret_tag[AEAD_TAG_BYTES])
{
    gcm_digest(&gcm->state, &gcm->hash, &gcm->cipher, gcm->encrypt, AEAD_TAG_BYTES, ret_tag);
    wipe(gcm, sizeof(*gcm));
}

void gcm_seal_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const struct span *aad,
                   size_t aad_count, const uint8_t *text, size_t len, uint8_t *ret)
{
    struct gcm gcm;
    begin(&gcm, key, key_bytes, nonce);
    add_spans(&gcm, aad, aad_count);
    gcm_encrypt(&gcm.state, &gcm.hash, &gcm.cipher, gcm.encrypt, len, ret, text);
    end(&gcm, ret + len);
}

bool gcm_open_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *sealed,
                   size_t len, uint8_t *ret)
{
    if (len < AEAD_TAG_BYTES)
        return false;
    struct gcm gcm;
    uint8_t tag[AEAD_TAG_BYTES];
    const size_t text_len = len - AEAD_TAG_BYTES;
    begin(&gcm, key, key_bytes, nonce);
    gcm_decrypt(&gcm.state, &gcm.hash, &gcm.cipher, gcm.encrypt, text_len, ret, sealed);
    end(&gcm, tag);
    return memeql_sec(tag, sealed + text_len, sizeof(tag)) != 0;
}
