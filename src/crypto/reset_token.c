/* Stateless reset tokens: a pure function of key and CID, so that a server that lost everything but its static key
 * still knows the token of every CID that it ever issued. */
#include "crypto/reset_token.h"

#include <string.h>

#include "base/rng.h"
#include "crypto/hash.h"
#include "crypto/key_schedule.h"

void reset_key_derive(uint8_t ret[RESET_KEY_BYTES], const uint8_t *static_key, size_t len)
{
    derive_key(static_key, len, "roam stateless reset", ret, RESET_KEY_BYTES);
}

void reset_key_scope(uint8_t ret[RESET_KEY_BYTES], const uint8_t key[RESET_KEY_BYTES], const uint8_t *scope, size_t len)
{
    if (len == 0)
        memcpy(ret, key, RESET_KEY_BYTES);
    else
        hmac(HASH_SHA256, key, RESET_KEY_BYTES, scope, len, ret);
}

//= rfc9000#10.3.2-1 HMAC of a static key and the connection ID, truncated to 16 octets.
void reset_token_make(uint8_t ret[16], const uint8_t key[RESET_KEY_BYTES], const roam_cid *cid)
{
    uint8_t mac[32];
    //= rfc9000#10.3.2-5 One token never serves several CIDs.
    hmac(HASH_SHA256, key, RESET_KEY_BYTES, cid->bytes, cid->len, mac);
    memcpy(ret, mac, 16);
    wipe(mac, sizeof(mac));
}
