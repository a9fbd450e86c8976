/* An allocator for tests that look at something else: what they leave stays reachable until the program ends. */
#ifndef TESTS_UNIT_SCRATCH_ALLOCATOR_H
#define TESTS_UNIT_SCRATCH_ALLOCATOR_H

#include <stdlib.h>
#include <string.h>

#include <roam/types.h>

struct scratch_block {
    struct scratch_block *next, *previous;
};

static inline void *scratch_reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    struct scratch_block *list = context, *block = NULL;
    if (new_bytes > 0) {
        block = malloc(sizeof(*block) + new_bytes);
        if (block == NULL)
            return NULL;
        *block = (struct scratch_block){.next = list->next, .previous = list};
        if (list->next != NULL)
            list->next->previous = block;
        list->next = block;
        if (ptr != NULL)
            memcpy(block + 1, ptr, old_bytes < new_bytes ? old_bytes : new_bytes);
    }
    if (ptr != NULL) {
        struct scratch_block *old = (struct scratch_block *)ptr - 1;
        old->previous->next = old->next;
        if (old->next != NULL)
            old->next->previous = old->previous;
        free(old);
    }
    return block != NULL ? block + 1 : NULL;
}

static inline const roam_allocator *scratch_allocator(void)
{
    static struct scratch_block list;
    static const roam_allocator allocator = {.reallocate = scratch_reallocate, .context = &list};
    return &allocator;
}

#endif
