/*
 * Objects of one size, kept on a free list between uses: nothing on the per-packet path goes to the allocator. Slabs
 * are returned when the pool is done.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/alloc.h"

struct pool_slab;

struct pool {
    const roam_allocator *allocator;
    struct pool_slab *slabs;
    void *free_list;
    size_t object_bytes; /* rounded up for alignment */
    size_t objects_per_slab;
    size_t in_use;
};

void pool_init(struct pool *pool, const roam_allocator *allocator, size_t object_bytes, size_t objects_per_slab);

/* All objects must have been given back, or be about to be forgotten. */
void pool_done(struct pool *pool);

/* An object with indeterminate content, or NULL without memory. */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *object);

/* Gives all slabs back when nothing is in use: an idle endpoint holds none. */
void pool_trim(struct pool *pool);

#endif
