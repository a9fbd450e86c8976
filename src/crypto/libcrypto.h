/*
 * What this floor takes from libcrypto: its ciphers, fetched once for the process and read-only from then on, and AES-GCM
 * for single texts. A libcrypto that cannot seal, or is out of memory in the middle of it, leaves nothing sensible to go on
 * with: these functions end the process then, they never answer with what is not sealed.
 */
#ifndef CRYPTO_LIBCRYPTO_H
#define CRYPTO_LIBCRYPTO_H

#include <openssl/evp.h>

#include "crypto/aead.h"

struct libcrypto {
    EVP_CIPHER *aead[AEAD_SUITES];   /* packet protection */
    EVP_CIPHER *header[AEAD_SUITES]; /* header protection: a block of AES, or ChaCha20 with the sample as its IV */
};

/* NULL members: this libcrypto lacks the algorithm. */
const struct libcrypto *libcrypto(void);

#endif
