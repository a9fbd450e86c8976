/*
 * AES-128 on single blocks of 16 octets, both ways, under one expanded key: what connection IDs that name a server are
 * made with. Not for packets, which have packet_protection, nor for anything longer than a block.
 */
#ifndef CRYPTO_BLOCK_CIPHER_H
#define CRYPTO_BLOCK_CIPHER_H

#include <stdbool.h>
#include <stdint.h>

#define CIPHER_BLOCK_BYTES 16

struct block_cipher {
    struct evp_cipher_ctx_st *encrypt, *decrypt; /* libcrypto's */
};

/* False without memory, or where libcrypto lacks AES; then nothing is to be freed. */
bool block_cipher_init(struct block_cipher *cipher, const uint8_t key[CIPHER_BLOCK_BYTES]);

/* Harmless on one that is all zero. */
void block_cipher_done(struct block_cipher *cipher);

/* ret may be the same as in. */
void block_encrypt(const struct block_cipher *cipher, const uint8_t in[CIPHER_BLOCK_BYTES],
                   uint8_t ret[CIPHER_BLOCK_BYTES]);
void block_decrypt(const struct block_cipher *cipher, const uint8_t in[CIPHER_BLOCK_BYTES],
                   uint8_t ret[CIPHER_BLOCK_BYTES]);

#endif
