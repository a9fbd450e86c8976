/* Lets through at most `rate` events a second, with bursts of up to one second's worth. */
#ifndef BASE_TOKEN_BUCKET_H
#define BASE_TOKEN_BUCKET_H

#include <stdbool.h>

#include <roam/types.h>

struct token_bucket {
    uint64_t rate;       /* tokens a second; 0 lets nothing through */
    uint64_t level_nano; /* tokens times 1e9 */
    roam_time updated;
};

void token_bucket_init(struct token_bucket *bucket, uint64_t rate, roam_time now);

/* Takes one token; false where none is left. */
bool token_bucket_take(struct token_bucket *bucket, roam_time now);

#endif
