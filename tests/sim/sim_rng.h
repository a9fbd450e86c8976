/*
 * Seeded streams of randomness: each node and each link of a world draws from a stream of its own, derived from the
 * world's seed and its name, so that one more draw in one place changes nothing anywhere else.
 */
#ifndef SIM_SIM_RNG_H
#define SIM_SIM_RNG_H

#include <roam/types.h>

struct sim_rng {
    uint64_t state[4]; /* never all zero */
};

void sim_rng_init(struct sim_rng *rng, uint64_t seed, const char *name);

uint64_t sim_rng_u64(struct sim_rng *rng);

/* 0 .. n - 1; n at least 1. */
uint64_t sim_rng_below(struct sim_rng *rng, uint64_t n);

/* low .. high, both included. */
uint64_t sim_rng_between(struct sim_rng *rng, uint64_t low, uint64_t high);

/* True in `ppm` of a million cases. Draws nothing where ppm is 0. */
bool sim_rng_chance(struct sim_rng *rng, uint32_t ppm);

void sim_rng_fill(struct sim_rng *rng, void *buf, size_t len);

/* What an endpoint takes its randomness from. */
roam_rng sim_rng_adapter(struct sim_rng *rng);

/* A good mixing of one word (the finalizer of splitmix64). */
uint64_t sim_mix(uint64_t x);

#endif
