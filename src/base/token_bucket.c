/*
 * The token bucket. Invariant: level_nano never exceeds one second's worth, rate * 1e9. It starts full, and a clock
 * that stands still or steps back adds nothing.
 */
#include "base/token_bucket.h"

#include "base/minmax.h"

#define NANO UINT64_C(1000000000)

void token_bucket_init(struct token_bucket *bucket, uint64_t rate, roam_time now)
{
    *bucket = (struct token_bucket){.rate = rate, .level_nano = saturating_mul(rate, NANO), .updated = now};
}

bool token_bucket_take(struct token_bucket *bucket, roam_time now)
{
    uint64_t gained = saturating_mul(saturating_sub(now, bucket->updated), bucket->rate);
    uint64_t full = saturating_mul(bucket->rate, NANO);
    bucket->level_nano = min_u64(full, saturating_add(bucket->level_nano, gained));
    bucket->updated = max_u64(now, bucket->updated);
    if (bucket->level_nano < NANO)
        return false;
    bucket->level_nano -= NANO;
    return true;
}
