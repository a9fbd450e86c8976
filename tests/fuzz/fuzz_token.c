/*
 * Address validation tokens as an attacker would send them. The input is taken twice: as a token that came from
 * anywhere, which must be refused; and as instructions for damaging a token of ours, sealed with the real key, so that
 * what lies behind the seal is reached too. Only the undamaged token may open.
 *
 * Instructions: octet 0 chooses kind and address; the next 8 are the time that passes; then pairs of (position, value
 * to exclusive-or), and a last single octet cuts the token to that length.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/token.h"

#define RETRY_LIFETIME    ROAM_SECONDS(10)
#define NEW_LIFETIME      ROAM_SECONDS(86400)
#define ISSUED            ROAM_SECONDS(1000000)
#define INSTRUCTION_BYTES 9

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t drawn;

/* Need not be unpredictable here. */
static void fill(void *context, void *buf, size_t len)
{
    (void)context;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(++drawn * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static const roam_rng rng = {fill, NULL};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static enum token_verdict open_exactly(struct token *ret, const uint8_t *key, const uint8_t *data, size_t len,
                                       const roam_address *remote, roam_time now)
{
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of just this size, so that a read beyond it is seen */
    if (len > 0)
        memcpy(copy, data, len);
    enum token_verdict verdict = token_open(ret, key, copy, len, remote, now, RETRY_LIFETIME, NEW_LIFETIME);
    free(copy);
    return verdict;
}

static enum token_verdict expected_verdict(enum token_kind kind, bool moved, roam_time passed)
{
    if (moved)
        return TOKEN_WRONG_ADDRESS;
    return passed > (kind == TOKEN_RETRY ? RETRY_LIFETIME : NEW_LIFETIME) ? TOKEN_EXPIRED : TOKEN_VALID;
}

static void damage_one_of_ours(const uint8_t *key, const uint8_t *data, size_t size)
{
    const roam_address client = {.ip = {192, 0, 2, 1}, .port = 50000, .family = ROAM_FAMILY_IPV4};
    roam_address remote = client;
    struct token token = {.kind = (data[0] & 1) != 0 ? TOKEN_RETRY : TOKEN_NEW, .issued = ISSUED}, opened = {0};
    uint8_t sealed[TOKEN_BYTES_MAX], damaged[TOKEN_BYTES_MAX];
    roam_time passed;

    token.original_dcid.len = data[0] >> 1 & 15;
    token.retry_scid.len = data[0] >> 2 & 15;
    memset(token.original_dcid.bytes, data[1], token.original_dcid.len);
    memset(token.retry_scid.bytes, data[2], token.retry_scid.len);
    memcpy(&passed, data + 1, sizeof(passed));
    passed %= 2 * NEW_LIFETIME;
    bool moved = (data[0] & 0x80) != 0;
    remote.ip[3] ^= moved;

    size_t len = token_seal(sealed, key, &rng, &token, &client), damaged_len = len;
    require(len <= TOKEN_BYTES_MAX);
    memcpy(damaged, sealed, len);
    data += INSTRUCTION_BYTES, size -= INSTRUCTION_BYTES;
    for (; size >= 2; data += 2, size -= 2)
        damaged[data[0] % len] ^= data[1];
    if (size == 1 && data[0] < len)
        damaged_len = data[0];

    enum token_verdict verdict = open_exactly(&opened, key, damaged, damaged_len, &remote, ISSUED + passed);
    if (damaged_len != len || memcmp(damaged, sealed, len) != 0) {
        require(verdict == TOKEN_UNKNOWN);
        return;
    }
    require(verdict == expected_verdict(token.kind, moved, passed));
    require(opened.kind == token.kind && opened.issued == token.issued);
    if (token.kind == TOKEN_RETRY)
        require(roam_cid_equal(&opened.original_dcid, &token.original_dcid) &&
                roam_cid_equal(&opened.retry_scid, &token.retry_scid));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Two keys: a fuzzer that watches comparisons learns whole tokens of the one, which the other must refuse as well.
     */
    static const uint8_t static_key[32] = {1, 2, 3, 4}, other_static_key[32] = {5, 6, 7, 8};
    const roam_address remote = {.ip = {198, 51, 100, 1}, .port = 1, .family = ROAM_FAMILY_IPV4};
    uint8_t key[TOKEN_KEY_BYTES];
    struct token token;
    token_key_derive(key, other_static_key, sizeof(other_static_key));
    require(open_exactly(&token, key, data, size, &remote, ISSUED) == TOKEN_UNKNOWN);
    token_key_derive(key, static_key, sizeof(static_key));
    if (size >= INSTRUCTION_BYTES)
        damage_one_of_ours(key, data, size);
    return 0;
}
