/*
 * Memory comes from outside, through struct roam_allocator. Every allocation is given back with the size that was asked
 * for, so that an allocator can count. Nothing here fails loudly: NULL means no memory.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <string.h>

#include <roam/types.h>

static inline void *mem_alloc(const roam_allocator *allocator, size_t bytes)
{
    return allocator->reallocate(allocator->context, NULL, 0, bytes);
}

static inline void *mem_zalloc(const roam_allocator *allocator, size_t bytes)
{
    void *ptr = mem_alloc(allocator, bytes);
    if (ptr != NULL)
        memset(ptr, 0, bytes);
    return ptr;
}

/* On failure returns NULL and leaves ptr as it was. */
static inline void *mem_resize(const roam_allocator *allocator, void *ptr, size_t old_bytes, size_t new_bytes)
{
    return allocator->reallocate(allocator->context, ptr, old_bytes, new_bytes);
}

static inline void mem_free(const roam_allocator *allocator, void *ptr, size_t bytes)
{
    if (ptr != NULL)
        allocator->reallocate(allocator->context, ptr, bytes, 0);
}

#endif
