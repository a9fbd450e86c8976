/* AES-128 on single blocks, by libcrypto. A block that cannot be computed ends the process, as in libcrypto.c: a CID
 * with another server's name in it would be worse. */
#include "crypto/block_cipher.h"

#include <stdlib.h>

#include "crypto/libcrypto.h"

static EVP_CIPHER_CTX *expand(const uint8_t *key, int encrypt)
{
    const EVP_CIPHER *aes = libcrypto()->header[AEAD_AES_128_GCM];
    EVP_CIPHER_CTX *ctx = aes != NULL ? EVP_CIPHER_CTX_new() : NULL;
    if (ctx != NULL && EVP_CipherInit_ex(ctx, aes, NULL, key, NULL, encrypt) && EVP_CIPHER_CTX_set_padding(ctx, 0))
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

bool block_cipher_init(struct block_cipher *cipher, const uint8_t key[CIPHER_BLOCK_BYTES])
{
    *cipher = (struct block_cipher){.encrypt = expand(key, 1), .decrypt = expand(key, 0)};
    if (cipher->encrypt != NULL && cipher->decrypt != NULL)
        return true;
    block_cipher_done(cipher);
    return false;
}

void block_cipher_done(struct block_cipher *cipher)
{
    EVP_CIPHER_CTX_free(cipher->encrypt);
    EVP_CIPHER_CTX_free(cipher->decrypt);
    *cipher = (struct block_cipher){0};
}

static void run(EVP_CIPHER_CTX *ctx, const uint8_t *in, uint8_t *ret)
{
    int n;
    if (!EVP_CipherUpdate(ctx, ret, &n, in, CIPHER_BLOCK_BYTES) || n != CIPHER_BLOCK_BYTES)
        abort();
}

void block_encrypt(const struct block_cipher *cipher, const uint8_t in[CIPHER_BLOCK_BYTES],
                   uint8_t ret[CIPHER_BLOCK_BYTES])
{
    run(cipher->encrypt, in, ret);
}

void block_decrypt(const struct block_cipher *cipher, const uint8_t in[CIPHER_BLOCK_BYTES],
                   uint8_t ret[CIPHER_BLOCK_BYTES])
{
    run(cipher->decrypt, in, ret);
}
