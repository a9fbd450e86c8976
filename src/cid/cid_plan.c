/* How a CID of ours is laid out: see the header. Octets past the length are zero, so that equal CIDs are equal in
 * memory. */
#include "cid/cid_plan.h"

#include <assert.h>
#include <string.h>

_Static_assert(CID_BYTES_MIN <= CID_BYTES_DEFAULT && CID_BYTES_DEFAULT <= ROAM_CID_MAX,
               "the default is a valid length");

bool cid_plan_length_is_valid(uint8_t len)
{
    return len == 0 || (len >= CID_BYTES_MIN && len <= ROAM_CID_MAX);
}

void cid_plan_generate(roam_cid *ret, uint8_t len, const roam_rng *rng)
{
    assert(cid_plan_length_is_valid(len));
    memset(ret, 0, sizeof(*ret));
    ret->len = len;
    //= rfc9000#5.1-1 Nothing in a CID ties it to another one of the same connection.
    if (len > 0)
        rng_fill(rng, ret->bytes, len);
}
