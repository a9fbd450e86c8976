/* Stateless reset tokens, RFC 9000 section 10.3.2: HMAC-SHA-256 of the CID under a key from the static key, cut to 16
 * octets. */
#ifndef CRYPTO_RESET_TOKEN_H
#define CRYPTO_RESET_TOKEN_H

#include <roam/types.h>

#define RESET_KEY_BYTES 32

void reset_key_derive(uint8_t ret[RESET_KEY_BYTES], const uint8_t *static_key, size_t len);
/* The key of one part of all CIDs that there are under `key`: those of one server and configuration. An empty scope
 * leaves the key as it is. */
void reset_key_scope(uint8_t ret[RESET_KEY_BYTES], const uint8_t key[RESET_KEY_BYTES], const uint8_t *scope,
                     size_t len);

void reset_token_make(uint8_t ret[16], const uint8_t key[RESET_KEY_BYTES], const roam_cid *cid);

#endif
