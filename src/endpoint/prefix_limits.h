/*
 * What strangers cost, by the prefix that they come from: Initials a second, and handshakes in progress. A fixed number
 * of accounts: a keyed hash gives each prefix one, which it may share with others.
 */
#ifndef ENDPOINT_PREFIX_LIMITS_H
#define ENDPOINT_PREFIX_LIMITS_H

#include <roam/config.h>

#include "base/alloc.h"
#include "base/hash_map.h"
#include "base/token_bucket.h"

#define PREFIX_ACCOUNTS 1024

/* Bits of an address that are its prefix: what one customer is commonly given. */
#define PREFIX_BITS_IPV4 24
#define PREFIX_BITS_IPV6 56

/* The part of all Retries that one prefix may have. */
#define PREFIX_RETRY_SHARE 16

struct prefix_account {
    struct token_bucket strangers, retries; /* rate 0: no limit */
    uint32_t half_open[2];                  /* of strangers, and of those who have proven their address */
};

struct prefix_limits {
    struct prefix_account *accounts; /* NULL: nobody is let in */
    uint8_t secret[SIPHASH_KEY_BYTES];
};

/* The secret is there already. False without memory. */
bool prefix_limits_init(struct prefix_limits *limits, const roam_allocator *allocator,
                        const roam_endpoint_config *config, roam_time now);
void prefix_limits_done(struct prefix_limits *limits, const roam_allocator *allocator);

/* The account of an address. */
uint16_t prefix_of(const struct prefix_limits *limits, const roam_address *remote);

#endif
