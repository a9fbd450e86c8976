/* Unpredictable octets from the application's source. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <string.h>

#include <roam/types.h>

static inline void rng_fill(const roam_rng *rng, void *buf, size_t len)
{
    rng->fill(rng->context, buf, len);
}

static inline uint64_t rng_u64(const roam_rng *rng)
{
    uint64_t value;
    rng_fill(rng, &value, sizeof(value));
    return value;
}

/* Compares without telling where the difference is. */
static inline bool equal_in_constant_time(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = (const volatile uint8_t *)a;
    const volatile uint8_t *y = (const volatile uint8_t *)b;
    uint8_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= (uint8_t)(x[i] ^ y[i]);
    return difference == 0;
}

/* Forgets a secret in a way that the compiler keeps. */
static inline void wipe(void *ptr, size_t len)
{
    explicit_bzero(ptr, len);
}

#endif
