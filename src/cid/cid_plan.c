/*
 * CIDs made to a plan, and taken apart again: see the header. Octets past the length are zero, so that equal CIDs are
 * equal in memory.
 *
 * The public layout is checked in cid_layout.c; where which octet stands is said there too.
 */
#include "cid/cid_plan.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"
#include "cid/cid_layout.h"

_Static_assert(CID_BYTES_MIN <= CID_BYTES_DEFAULT && CID_BYTES_DEFAULT <= ROAM_CID_MAX,
               "the default is a valid length");

bool cid_plan_length_is_valid(uint8_t len)
{
    return len == 0 || (len >= CID_BYTES_MIN && len <= ROAM_CID_MAX);
}

bool cid_plan_init(struct cid_plan *plan, const roam_cid_plan *layout, uint8_t len, const roam_rng *rng,
                   const uint8_t scatter_key[CIPHER_BLOCK_BYTES])
{
    assert(roam_cid_plan_check(layout, NULL) == ROAM_OK);
    *plan = (struct cid_plan){.layout = *layout};
    plan->len = layout->kind == ROAM_CID_RANDOM ? len : roam_cid_plan_length(layout);
    assert(cid_plan_length_is_valid(plan->len));
    rng_fill(rng, plan->start, layout->nonce_bytes);
    if (layout->kind == ROAM_CID_RANDOM || cid_layout_is_unroutable(layout))
        return true;
    return layout->has_key ? block_cipher_init(&plan->cipher, layout->key)
                           : block_cipher_init(&plan->scatter, scatter_key);
}

void cid_plan_done(struct cid_plan *plan)
{
    block_cipher_done(&plan->cipher);
    block_cipher_done(&plan->scatter);
    wipe(plan->layout.key, sizeof(plan->layout.key));
}

/* ---- Nonces ------------------------------------------------------------------------------------------------------ */

/* Those of eight octets and more do not run out. */
static bool is_exhausted(const struct cid_plan *plan)
{
    return plan->layout.nonce_bytes < sizeof(plan->issued) && plan->issued >> (8 * plan->layout.nonce_bytes) != 0;
}

static void next_nonce(struct cid_plan *plan, uint8_t *ret)
{
    size_t len = plan->layout.nonce_bytes;
    uint64_t carry = plan->issued++;
    for (size_t i = len; i-- > 0;) {
        carry += plan->start[i];
        ret[i] = (uint8_t)carry;
        carry >>= 8;
    }
    /* Where the plan's own cipher does not hide the counter, another one must: plaintext nonces must not show which
     * CIDs were made one after the other. */
    if (!plan->layout.has_key)
        cid_feistel_encrypt(&plan->scatter, ret, len);
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

void cid_random(roam_cid *ret, uint8_t len, const roam_rng *rng)
{
    assert(cid_plan_length_is_valid(len));
    memset(ret, 0, sizeof(*ret));
    ret->len = len;
    //= rfc9000#5.1-1 Nothing in a CID ties it to another one of the same connection.
    if (len > 0)
        rng_fill(rng, ret->bytes, len);
}

bool cid_plan_generate(struct cid_plan *plan, roam_cid *ret, const roam_rng *rng)
{
    const roam_cid_plan *layout = &plan->layout;
    cid_random(ret, plan->len, rng);
    if (layout->kind == ROAM_CID_RANDOM)
        return true;
    if (cid_layout_is_unroutable(layout) || is_exhausted(plan)) {
        cid_layout_mark_unroutable(ret);
        return cid_layout_is_unroutable(layout);
    }
    uint8_t nonce[ROAM_CID_MAX];
    next_nonce(plan, nonce);
    cid_layout_write(layout, nonce, ret);
    if (layout->has_key)
        cid_layout_encrypt(layout, &plan->cipher, ret);
    return true;
}

void cid_plan_stray(const struct cid_plan *plan, roam_cid *ret, uint8_t min_len, const roam_rng *rng)
{
    const roam_cid_plan *layout = &plan->layout;
    uint8_t nonce[ROAM_CID_MAX];
    cid_random(ret, (uint8_t)max_u64(plan->len, min_len), rng);
    if (layout->kind == ROAM_CID_RANDOM)
        return;
    rng_fill(rng, nonce, sizeof(nonce));
    if (layout->has_key || cid_layout_is_unroutable(layout))
        cid_layout_mark_unroutable(ret);
    else
        cid_layout_write(layout, nonce, ret);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

bool roam_cid_plan_decode(const roam_cid_plan *plan, const roam_cid *cid, roam_cid_parts *ret)
{
    struct block_cipher cipher = {0};
    if (roam_cid_plan_check(plan, NULL) != ROAM_OK || (plan->has_key && !block_cipher_init(&cipher, plan->key)))
        return false;
    bool decoded = cid_layout_read(plan, &cipher, cid, ret);
    block_cipher_done(&cipher);
    return decoded;
}

enum cid_owner cid_plan_owner(const struct cid_plan *plan, const roam_cid *cid)
{
    roam_cid_parts parts;
    if (cid->len != plan->len || !cid_layout_read(&plan->layout, &plan->cipher, cid, &parts))
        return CID_OWNER_UNKNOWN;
    bool ours = memcmp(parts.server_id, plan->layout.server_id, sizeof(parts.server_id)) == 0 &&
                parts.worker == plan->layout.worker && parts.process == plan->layout.process;
    return ours ? CID_OWNER_SELF : CID_OWNER_OTHER;
}

size_t cid_plan_scope(const struct cid_plan *plan, uint8_t ret[CID_SCOPE_BYTES_MAX])
{
    const roam_cid_plan *layout = &plan->layout;
    if (layout->kind == ROAM_CID_RANDOM)
        return 0;
    ret[0] = (uint8_t)layout->kind;
    ret[1] = layout->config_id;
    ret[2] = layout->worker;
    ret[3] = layout->process;
    ret[4] = layout->server_id_bytes;
    memcpy(ret + 5, layout->server_id, layout->server_id_bytes);
    return 5 + (size_t)layout->server_id_bytes;
}
