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
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    uint64_t difference = 0, of_x, of_y;
    /* Of what an asm statement gives out the compiler knows nothing, so that no loop ends early. */
    for (; len >= sizeof(of_x); len -= sizeof(of_x), x += sizeof(of_x), y += sizeof(of_y)) {
        memcpy(&of_x, x, sizeof(of_x));
        memcpy(&of_y, y, sizeof(of_y));
        difference |= of_x ^ of_y;
        __asm__("" : "+r"(difference));
    }
    for (size_t i = 0; i < len; i++) {
        difference |= x[i] ^ y[i];
        __asm__("" : "+r"(difference));
    }
    return difference == 0;
}

/* All ones where it is so, else zero; of what was asked no branch is made. */
static inline uint64_t mask_if(bool so)
{
    uint64_t mask = 0 - (uint64_t)so;
    __asm__("" : "+r"(mask));
    return mask;
}

/* Forgets a secret in a way that the compiler keeps. */
static inline void wipe(void *ptr, size_t len)
{
    explicit_bzero(ptr, len);
}

#endif
