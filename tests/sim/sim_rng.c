/* xoshiro256** by Blackman and Vigna, seeded through splitmix64. Not for secrets: worlds have none. */
#include "sim/sim_rng.h"

#include <assert.h>
#include <string.h>

uint64_t sim_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void sim_rng_init(struct sim_rng *rng, uint64_t seed, const char *name)
{
    uint64_t x = sim_mix(seed);
    for (const char *c = name; *c != '\0'; c++)
        x = sim_mix(x ^ (uint8_t)*c);
    for (size_t i = 0; i < 4; i++) {
        x = sim_mix(x);
        rng->state[i] = x;
    }
    rng->state[0] |= 1;
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t sim_rng_u64(struct sim_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t sim_rng_below(struct sim_rng *rng, uint64_t n)
{
    assert(n > 0);
    return (uint64_t)(((unsigned __int128)sim_rng_u64(rng) * n) >> 64);
}

uint64_t sim_rng_between(struct sim_rng *rng, uint64_t low, uint64_t high)
{
    assert(low <= high && high - low < UINT64_MAX);
    return low + sim_rng_below(rng, high - low + 1);
}

bool sim_rng_chance(struct sim_rng *rng, uint32_t ppm)
{
    return ppm > 0 && sim_rng_below(rng, 1000000) < ppm;
}

void sim_rng_fill(struct sim_rng *rng, void *buf, size_t len)
{
    uint8_t *at = buf;
    while (len > 0) {
        uint64_t word = sim_rng_u64(rng);
        size_t n = len < sizeof(word) ? len : sizeof(word);
        memcpy(at, &word, n);
        at += n;
        len -= n;
    }
}

static void adapter_fill(void *context, void *buf, size_t len)
{
    sim_rng_fill(context, buf, len);
}

roam_rng sim_rng_adapter(struct sim_rng *rng)
{
    return (roam_rng){.fill = adapter_fill, .context = rng};
}
