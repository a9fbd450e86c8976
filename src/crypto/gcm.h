/* AES-GCM for what is sealed once under its own key: Retry, tokens, what goes with a ticket. By nettle, whose state is on the
 * stack: it takes no memory, and so cannot fail. Packets are crypto/aead.h's. */
#ifndef CRYPTO_GCM_H
#define CRYPTO_GCM_H

#include "crypto/aead.h"

/* The tag goes behind the text: ret gets len + 16 octets. `key_bytes` 16 or 32. */
void gcm_seal_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const struct span *aad,
                   size_t aad_count, const uint8_t *text, size_t len, uint8_t *ret);
/* The reverse; false where it is not authentic. ret gets len - 16 octets. */
bool gcm_open_once(const uint8_t *key, size_t key_bytes, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *sealed,
                   size_t len, uint8_t *ret);

#endif
