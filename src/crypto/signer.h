/*
 * A private key whose signatures libcrypto makes: it takes 15 us for ECDSA P-256 where GnuTLS takes 39, and 220 for
 * RSA-2048 where GnuTLS takes 1,080. TLS stays with GnuTLS, which asks through its interface for external keys.
 */
#ifndef CRYPTO_SIGNER_H
#define CRYPTO_SIGNER_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

/* A copy of `key` that signs by libcrypto, for any number of threads at a time; the caller's. NULL for a key that
 * GnuTLS had better keep: of another kind than RSA and ECDSA P-256, or one that libcrypto does not read. */
gnutls_privkey_t signer_new(gnutls_x509_privkey_t key);

#endif
