/*
 * libcrypto's algorithms, fetched once (a fetch costs more than sealing a packet), and AES-GCM over them. Invariant:
 * after `fetch` has run the table never changes, so that every thread may read it.
 */
#include "crypto/libcrypto.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "wire/packet.h"

static struct libcrypto algorithms;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    algorithms.aead[AEAD_AES_128_GCM] = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    algorithms.aead[AEAD_AES_256_GCM] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    algorithms.aead[AEAD_CHACHA20_POLY1305] = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    algorithms.header[AEAD_AES_128_GCM] = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    algorithms.header[AEAD_AES_256_GCM] = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    algorithms.header[AEAD_CHACHA20_POLY1305] = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
}

const struct libcrypto *libcrypto(void)
{
    pthread_once(&fetched, fetch);
    return &algorithms;
}

/* A wrong key would be worse than the end. */
static void must(bool done)
{
    if (!done)
        abort();
}

static EVP_CIPHER_CTX *gcm_begin(const uint8_t *key, size_t key_bytes, const uint8_t *nonce, int encrypt)
{
    assert(key_bytes == 16 || key_bytes == 32);
    const EVP_CIPHER *cipher = libcrypto()->aead[key_bytes == 16 ? AEAD_AES_128_GCM : AEAD_AES_256_GCM];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    must(ctx != NULL && cipher != NULL && EVP_CipherInit_ex(ctx, cipher, NULL, key, nonce, encrypt));
    return ctx;
}

void gcm_seal_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const struct span *aad,
                   size_t aad_count, const uint8_t *text, size_t len, uint8_t *ret)
{
    EVP_CIPHER_CTX *ctx = gcm_begin(key, key_bytes, nonce, 1);
    uint8_t rest[16];
    int n;
    for (size_t i = 0; i < aad_count; i++)
        if (aad[i].len > 0)
            must(EVP_EncryptUpdate(ctx, NULL, &n, aad[i].data, (int)aad[i].len));
    if (len > 0)
        must(EVP_EncryptUpdate(ctx, ret, &n, text, (int)len));
    must(EVP_EncryptFinal_ex(ctx, rest, &n) &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, ret + len));
    EVP_CIPHER_CTX_free(ctx);
}

bool gcm_open_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *sealed,
                   size_t len, uint8_t *ret)
{
    if (len < AEAD_TAG_BYTES)
        return false;
    size_t text_len = len - AEAD_TAG_BYTES;
    uint8_t tag[AEAD_TAG_BYTES], rest[16];
    int n;
    EVP_CIPHER_CTX *ctx = gcm_begin(key, key_bytes, nonce, 0);
    memcpy(tag, sealed + text_len, sizeof(tag));
    bool ok = text_len == 0 || EVP_DecryptUpdate(ctx, ret, &n, sealed, (int)text_len);
    ok = ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) &&
         EVP_DecryptFinal_ex(ctx, rest, &n) > 0;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}
