/*
 * Memory that is counted: one allocator per host. It holds the library to its word that every block comes back with the
 * size it was asked for, and at the end of a world nothing may be outstanding. It can run dry at a chosen allocation.
 */
#ifndef SIM_SIM_ALLOC_H
#define SIM_SIM_ALLOC_H

#include <roam/types.h>

struct sim_alloc {
    uint64_t blocks, bytes; /* outstanding */
    uint64_t bytes_peak;
    uint64_t allocations;        /* so far, growth by resizing included */
    uint64_t fail_from, fail_to; /* allocations with an index in [from, to) get nothing; both 0: none */
    uint64_t mistakes;           /* blocks that came back with another size, or broken */
    struct sim_alloc_block *first;
};

void sim_alloc_init(struct sim_alloc *alloc);

/* Frees what was not given back, so that a world that failed leaves nothing behind. */
void sim_alloc_done(struct sim_alloc *alloc);

roam_allocator sim_alloc_adapter(struct sim_alloc *alloc);

#endif
