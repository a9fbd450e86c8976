/*
 * An allocator that counts what is out, checks that sizes are given back as they were asked for, and says no when told
 * to.
 */
#ifndef TESTS_UNIT_COUNTING_ALLOCATOR_H
#define TESTS_UNIT_COUNTING_ALLOCATOR_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <roam/types.h>

struct counting_allocator {
    size_t bytes_out;    /* allocated and not yet given back */
    size_t allocations;  /* calls that asked for memory */
    size_t refused;      /* this one of them gets nothing, from 1; 0: none */
    size_t refused_more; /* ... and so many behind it */
    bool refuses;
};

/* In front of each block stands its size. */
#define COUNTING_HEADER_BYTES 16

static inline bool counting_is_refused(const struct counting_allocator *counting)
{
    return counting->refused > 0 && counting->allocations >= counting->refused &&
           counting->allocations <= counting->refused + counting->refused_more;
}

static inline void *counting_reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    struct counting_allocator *counting = context;
    unsigned char *old_block = ptr != NULL ? (unsigned char *)ptr - COUNTING_HEADER_BYTES : NULL;
    if (old_block != NULL) {
        size_t asked;
        memcpy(&asked, old_block, sizeof(asked));
        assert(asked == old_bytes);
    } else {
        assert(old_bytes == 0);
    }
    unsigned char *block = NULL;
    if (new_bytes > 0) {
        counting->allocations++;
        if (counting->refuses || counting_is_refused(counting))
            return NULL;
        block = malloc(COUNTING_HEADER_BYTES + new_bytes);
        if (block == NULL)
            return NULL;
        memcpy(block, &new_bytes, sizeof(new_bytes));
        if (old_block != NULL)
            memcpy(block + COUNTING_HEADER_BYTES, ptr, old_bytes < new_bytes ? old_bytes : new_bytes);
    }
    counting->bytes_out += new_bytes;
    counting->bytes_out -= old_bytes;
    free(old_block);
    return block != NULL ? block + COUNTING_HEADER_BYTES : NULL;
}

static inline roam_allocator counting_allocator(struct counting_allocator *counting)
{
    return (roam_allocator){.reallocate = counting_reallocate, .context = counting};
}

#endif
