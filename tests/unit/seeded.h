/* Numbers that look random and are the same in every run (SplitMix64). */
#ifndef TESTS_UNIT_SEEDED_H
#define TESTS_UNIT_SEEDED_H

#include <stddef.h>
#include <stdint.h>

struct seeded {
    uint64_t state;
};

static inline uint64_t seeded_u64(struct seeded *seeded)
{
    uint64_t z = seeded->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Below `bound`, which is not 0. */
static inline uint64_t seeded_below(struct seeded *seeded, uint64_t bound)
{
    return seeded_u64(seeded) % bound;
}

static inline void seeded_fill(struct seeded *seeded, void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)seeded_u64(seeded);
}

#endif
