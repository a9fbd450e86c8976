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

/* Room for `count` items of an array that grows, in place of the *capacity that there is: at least twice as many, and
 * `max` at most. What stood in the old memory is wiped, as it may be secret. False, nothing changed, without memory. */
bool mem_reserve(const roam_allocator *allocator, void *ret_items, uint8_t *capacity, size_t count, size_t max,
                 size_t item_bytes);

static inline void mem_free(const roam_allocator *allocator, void *ptr, size_t bytes)
{
    if (ptr != NULL)
        allocator->reallocate(allocator->context, ptr, bytes, 0);
}

#endif
