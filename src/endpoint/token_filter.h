/*
 * Tokens that have been used, so that none is believed twice (RFC 9000 section 8.1.4): two generations of marks, each
 * of as many as the configuration allows. When the younger is full the older is forgotten.
 *
 * What that means. Nothing is believed twice by this endpoint while it lives: with a generation goes the time of the
 * newest NEW_TOKEN token in it, and what was issued up to then is not believed any more, used or not. (Its client
 * proves its address like any other.) A Retry token has a short life of its own, and is not refused for that. Another
 * endpoint with the same key, as after a restart, believes each token once more.
 */
#ifndef ENDPOINT_TOKEN_FILTER_H
#define ENDPOINT_TOKEN_FILTER_H

#include "base/alloc.h"
#include "crypto/token.h"

struct token_generation {
    uint64_t *marks; /* open addressing; 0: free */
    size_t count, capacity;
    roam_time newest; /* issue of the newest NEW_TOKEN token, 0: none */
};

struct token_filter {
    const roam_allocator *allocator;
    struct token_generation young, old;
    size_t max;          /* tokens of a generation; 0: all are forgotten at once, and may be used again */
    roam_time forgotten; /* NEW_TOKEN tokens issued up to then are not believed */
};

void token_filter_init(struct token_filter *filter, const roam_allocator *allocator, size_t max);
void token_filter_done(struct token_filter *filter);

/* May it be believed? */
bool token_filter_allows(const struct token_filter *filter, const struct token *token);

/* The next one that is used makes it forget its older generation. */
static inline bool token_filter_is_full(const struct token_filter *filter)
{
    return filter->max > 0 && filter->young.count == filter->max;
}

/* It was. Without memory everything up to now is forgotten. */
void token_filter_on_used(struct token_filter *filter, const struct token *token);

#endif
