/*
 * Runs many drawn worlds, in several processes: a world in which the library ends the process is one failed seed, and
 * the rest goes on in another process.
 */
#ifndef SIM_RUNNER_H
#define SIM_RUNNER_H

#include "sim/drawn.h"

struct runner_config {
    uint64_t first, last;
    unsigned jobs;
    unsigned failures_max; /* stop after so many */
    const struct sim_certs *certs;
};

/* Prints each failing seed and how to replay it, then the totals. Returns how many failed. */
unsigned runner_run(const struct runner_config *config);

#endif
