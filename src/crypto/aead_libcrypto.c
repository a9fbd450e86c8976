/*
 * AEAD and header protection with libcrypto: everywhere, for every suite. A key holds two cipher contexts that were
 * keyed once; a packet sets only the IV. Nothing here allocates once the key stands.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/libcrypto.h"
#include "wire/packet.h"

struct libcrypto_key {
    EVP_CIPHER_CTX *packet;
    EVP_CIPHER_CTX *header;
    enum aead_suite suite;
};

/* A call that fails with a key that stands is a broken library: a packet must not go out half encrypted. */
static void must(int done)
{
    if (done <= 0)
        abort();
}

static bool libcrypto_supports(enum aead_suite suite)
{
    return libcrypto()->aead[suite] != NULL && libcrypto()->header[suite] != NULL;
}

static void libcrypto_key_free(const roam_allocator *allocator, void *opaque)
{
    struct libcrypto_key *key = (struct libcrypto_key *)opaque;
    if (key == NULL)
        return;
    /* Both wipe what they hold. */
    EVP_CIPHER_CTX_free(key->packet);
    EVP_CIPHER_CTX_free(key->header);
    mem_free(allocator, key, sizeof(*key));
}

static void *libcrypto_key_new(const roam_allocator *allocator, enum aead_suite suite, const uint8_t *secret,
                               const uint8_t *hp_secret)
{
    static const uint8_t zeros[16];
    struct libcrypto_key *key = (struct libcrypto_key *)mem_zalloc(allocator, sizeof(*key));
    if (key == NULL)
        return NULL;
    key->suite = suite;
    key->packet = EVP_CIPHER_CTX_new();
    key->header = EVP_CIPHER_CTX_new();
    const uint8_t *header_iv = suite == AEAD_CHACHA20_POLY1305 ? zeros : NULL;
    if (key->packet == NULL || key->header == NULL ||
        EVP_CipherInit_ex(key->packet, libcrypto()->aead[suite], NULL, secret, zeros, 1) <= 0 ||
        EVP_EncryptInit_ex(key->header, libcrypto()->header[suite], NULL, hp_secret, header_iv) <= 0 ||
        EVP_CIPHER_CTX_set_padding(key->header, 0) <= 0) {
        libcrypto_key_free(allocator, key);
        return NULL;
    }
    return key;
}

static void libcrypto_seal(void *opaque, const struct aead_seal *jobs, size_t count)
{
    EVP_CIPHER_CTX *ctx = ((struct libcrypto_key *)opaque)->packet;
    uint8_t rest[16];
    for (size_t i = 0; i < count; i++) {
        const struct aead_seal *job = &jobs[i];
        uint8_t *out = job->out;
        int n;
        must(EVP_CipherInit_ex(ctx, NULL, NULL, NULL, job->nonce, 1));
        if (job->aad_len > 0)
            must(EVP_EncryptUpdate(ctx, NULL, &n, job->aad, (int)job->aad_len));
        for (size_t s = 0; s < job->span_count; s++) {
            if (job->spans[s].len == 0)
                continue;
            must(EVP_EncryptUpdate(ctx, out, &n, job->spans[s].data, (int)job->spans[s].len));
            out += job->spans[s].len;
        }
        must(EVP_EncryptFinal_ex(ctx, rest, &n));
        must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out));
    }
}

static bool libcrypto_open(void *opaque, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *aad, size_t aad_len,
                           uint8_t *data, size_t len)
{
    EVP_CIPHER_CTX *ctx = ((struct libcrypto_key *)opaque)->packet;
    uint8_t rest[16];
    int n;
    if (len < AEAD_TAG_BYTES)
        return false;
    size_t text_len = len - AEAD_TAG_BYTES;
    must(EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 0));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, data + text_len));
    if (aad_len > 0)
        must(EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len));
    if (text_len > 0)
        must(EVP_DecryptUpdate(ctx, data, &n, data, (int)text_len));
    return EVP_DecryptFinal_ex(ctx, rest, &n) > 0;
}

//= rfc9001#5.4.3 AES: the mask is the encrypted sample.
//= rfc9001#5.4.4 ChaCha20: the sample is counter and nonce, in just the order of libcrypto's IV.
static void libcrypto_masks(void *opaque, const uint8_t *const *samples, size_t count, uint8_t (*ret)[HP_MASK_BYTES])
{
    static const uint8_t zeros[HP_MASK_BYTES];
    struct libcrypto_key *key = (struct libcrypto_key *)opaque;
    for (size_t i = 0; i < count; i++) {
        int n;
        if (key->suite == AEAD_CHACHA20_POLY1305) {
            must(EVP_EncryptInit_ex(key->header, NULL, NULL, NULL, samples[i]));
            must(EVP_EncryptUpdate(key->header, ret[i], &n, zeros, sizeof(zeros)));
        } else {
            uint8_t block[16];
            must(EVP_EncryptUpdate(key->header, block, &n, samples[i], sizeof(block)));
            memcpy(ret[i], block, 5);
        }
    }
}

const struct crypto_backend crypto_backend_libcrypto = {
    .name = "libcrypto",
    .supports = libcrypto_supports,
    .key_new = libcrypto_key_new,
    .key_free = libcrypto_key_free,
    .seal = libcrypto_seal,
    .open = libcrypto_open,
    .masks = libcrypto_masks,
};
