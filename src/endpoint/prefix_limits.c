/* See prefix_limits.h. */
#include "endpoint/prefix_limits.h"

#include <string.h>

bool prefix_limits_init(struct prefix_limits *limits, const roam_allocator *allocator,
                        const roam_endpoint_config *config, roam_time now)
{
    const uint32_t retries = (config->retries_per_second + PREFIX_RETRY_SHARE - 1) / PREFIX_RETRY_SHARE;
    limits->accounts = mem_zalloc(allocator, PREFIX_ACCOUNTS * sizeof(*limits->accounts));
    for (size_t i = 0; limits->accounts != NULL && i < PREFIX_ACCOUNTS; i++) {
        token_bucket_init(&limits->accounts[i].strangers, config->strangers_per_prefix, now);
        token_bucket_init(&limits->accounts[i].retries, retries, now);
    }
    return limits->accounts != NULL;
}

void prefix_limits_done(struct prefix_limits *limits, const roam_allocator *allocator)
{
    mem_free(allocator, limits->accounts, PREFIX_ACCOUNTS * sizeof(*limits->accounts));
    limits->accounts = NULL;
}

uint16_t prefix_of(const struct prefix_limits *limits, const roam_address *remote)
{
    const roam_address address = roam_address_unmap(remote);
    const size_t bits = address.family == ROAM_FAMILY_IPV4 ? PREFIX_BITS_IPV4 : PREFIX_BITS_IPV6;
    uint8_t prefix[1 + PREFIX_BITS_IPV6 / 8] = {address.family};
    memcpy(prefix + 1, address.ip, bits / 8);
    return (uint16_t)(siphash(limits->secret, prefix, sizeof(prefix)) % PREFIX_ACCOUNTS);
}
