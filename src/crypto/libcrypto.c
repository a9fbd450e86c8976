/*
 * libcrypto's algorithms, fetched once (a fetch costs more than sealing a packet). Invariant: after `fetch` has run the table
 * never changes, so that every thread may read it.
 */
#include "crypto/libcrypto.h"

#include <pthread.h>

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
