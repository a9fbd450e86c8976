/* Blocks stand in a list behind a header that remembers their size. */
#include "sim/sim_alloc.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MARK UINT64_C(0x726f616d2d626c6b)

struct sim_alloc_block {
    struct sim_alloc_block *next, *previous;
    size_t bytes;
    uint64_t mark;
    max_align_t content[];
};

void sim_alloc_init(struct sim_alloc *alloc)
{
    memset(alloc, 0, sizeof(*alloc));
}

void sim_alloc_done(struct sim_alloc *alloc)
{
    while (alloc->first != NULL) {
        struct sim_alloc_block *block = alloc->first;
        alloc->first = block->next;
        free(block);
    }
}

static struct sim_alloc_block *block_of(void *ptr)
{
    return (struct sim_alloc_block *)((char *)ptr - offsetof(struct sim_alloc_block, content));
}

static void *take(struct sim_alloc *alloc, size_t bytes)
{
    uint64_t index = alloc->allocations++;
    if (index >= alloc->fail_from && index < alloc->fail_to)
        return NULL;
    struct sim_alloc_block *block = malloc(sizeof(*block) + bytes);
    if (block == NULL)
        abort();
    /* Whoever reads before writing shall not find zeroes. */
    memset(block->content, 0xa5, bytes);
    *block = (struct sim_alloc_block){.next = alloc->first, .bytes = bytes, .mark = BLOCK_MARK};
    if (alloc->first != NULL)
        alloc->first->previous = block;
    alloc->first = block;
    alloc->blocks++;
    alloc->bytes += bytes;
    if (alloc->bytes > alloc->bytes_peak)
        alloc->bytes_peak = alloc->bytes;
    return block->content;
}

static void give(struct sim_alloc *alloc, void *ptr)
{
    struct sim_alloc_block *block = block_of(ptr);
    if (block->previous != NULL)
        block->previous->next = block->next;
    else
        alloc->first = block->next;
    if (block->next != NULL)
        block->next->previous = block->previous;
    alloc->blocks--;
    alloc->bytes -= block->bytes;
    block->mark = 0;
    free(block);
}

static void *reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    struct sim_alloc *alloc = context;
    if (ptr == NULL) {
        if (old_bytes != 0)
            alloc->mistakes++;
        return new_bytes == 0 ? NULL : take(alloc, new_bytes);
    }
    if (block_of(ptr)->mark != BLOCK_MARK || block_of(ptr)->bytes != old_bytes)
        alloc->mistakes++;
    if (new_bytes == 0) {
        give(alloc, ptr);
        return NULL;
    }
    void *moved = take(alloc, new_bytes);
    if (moved != NULL) {
        memcpy(moved, ptr, old_bytes < new_bytes ? old_bytes : new_bytes);
        give(alloc, ptr);
    }
    return moved;
}

roam_allocator sim_alloc_adapter(struct sim_alloc *alloc)
{
    return (roam_allocator){.reallocate = reallocate, .context = alloc};
}
