/* How a CID of ours is laid out. Today: random octets of the configured length, so that nobody can link two of one
 * connection (RFC 9000 section 5.1). */
#ifndef CID_CID_PLAN_H
#define CID_CID_PLAN_H

#include <roam/types.h>

#include "base/rng.h"

/* Lengths that a server may choose: 0, or enough octets to be unpredictable. */
#define CID_BYTES_MIN     4
#define CID_BYTES_DEFAULT 8

bool cid_plan_length_is_valid(uint8_t len);
void cid_plan_generate(roam_cid *ret, uint8_t len, const roam_rng *rng);

#endif
