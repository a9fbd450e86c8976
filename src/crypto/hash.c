/* See hash.h. */
#include "crypto/hash.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <string.h>

#include "base/rng.h"

size_t hash_bytes(enum hash hash)
{
    return hash == HASH_SHA384 ? SHA384_DIGEST_SIZE : SHA256_DIGEST_SIZE;
}

void sha256(const void *data, size_t len, uint8_t ret[32])
{
    struct sha256_ctx state;
    sha256_init(&state);
    sha256_update(&state, len, data);
    sha256_digest(&state, SHA256_DIGEST_SIZE, ret);
}

void hmac_key_init(struct hmac_key *key, enum hash hash, const void *data, size_t len)
{
    key->hash = hash;
    if (hash == HASH_SHA384)
        hmac_sha384_set_key(&key->state.sha384, len, data);
    else
        hmac_sha256_set_key(&key->state.sha256, len, data);
}

void hmac_key_done(struct hmac_key *key)
{
    wipe(key, sizeof(*key));
}

/* The digest leaves the state as hmac_key_init has made it. */
void hmac_of(struct hmac_key *key, const void *data, size_t len, uint8_t *ret)
{
    if (key->hash == HASH_SHA384) {
        hmac_sha384_update(&key->state.sha384, len, data);
        hmac_sha384_digest(&key->state.sha384, SHA384_DIGEST_SIZE, ret);
    } else {
        hmac_sha256_update(&key->state.sha256, len, data);
        hmac_sha256_digest(&key->state.sha256, SHA256_DIGEST_SIZE, ret);
    }
}

void hmac(enum hash hash, const void *key, size_t key_len, const void *data, size_t len, uint8_t *ret)
{
    struct hmac_key once;
    hmac_key_init(&once, hash, key, key_len);
    hmac_of(&once, data, len, ret);
    hmac_key_done(&once);
}

void hkdf_expand(struct hmac_key *key, const uint8_t *info, size_t info_len, uint8_t *ret, size_t len)
{
    const size_t bytes = hash_bytes(key->hash);
    uint8_t block[HASH_BYTES_MAX], input[HASH_BYTES_MAX + HKDF_INFO_MAX + 1];
    uint8_t counter = 0;
    assert(info_len <= HKDF_INFO_MAX && len <= 255 * bytes);

    for (size_t have = 0; have < len;) {
        size_t before = counter == 0 ? 0 : bytes;
        memcpy(input, block, before);
        memcpy(input + before, info, info_len);
        input[before + info_len] = ++counter;
        hmac_of(key, input, before + info_len + 1, block);
        size_t take = len - have < bytes ? len - have : bytes;
        memcpy(ret + have, block, take);
        have += take;
    }
    wipe(block, sizeof(block));
    wipe(input, sizeof(input));
}
