/* What the tests of src/stream share: an allocator that refuses now and then, and octets that are known by their
 * place. */
#ifndef TESTS_UNIT_STREAM_TESTING_H
#define TESTS_UNIT_STREAM_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <roam/types.h>

#include "unit/counting_allocator.h"
#include "unit/seeded.h"

/* The counting allocator, which says no now and then. */
struct refusing_allocator {
    struct counting_allocator counting;
    uint64_t refuse_one_in; /* 0: never refuses; 1: always */
    struct seeded seeded;
};

static inline void *refusing_reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    struct refusing_allocator *refusing = context;
    refusing->counting.refuses =
        refusing->refuse_one_in != 0 && seeded_below(&refusing->seeded, refusing->refuse_one_in) == 0;
    return counting_reallocate(&refusing->counting, ptr, old_bytes, new_bytes);
}

static inline roam_allocator refusing_allocator(struct refusing_allocator *refusing)
{
    return (roam_allocator){.reallocate = refusing_reallocate, .context = refusing};
}

/* The octet at a place of a stream. */
static inline uint8_t octet_at(uint64_t stream, uint64_t offset)
{
    uint64_t mixed = (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (stream + 1) * UINT64_C(0xff51afd7ed558ccd);
    return (uint8_t)(mixed >> 56 ^ mixed >> 20);
}

static inline void fill_octets(uint8_t *data, size_t len, uint64_t stream, uint64_t offset)
{
    for (size_t i = 0; i < len; i++)
        data[i] = octet_at(stream, offset + i);
}

static inline void assert_octets(const uint8_t *data, size_t len, uint64_t stream, uint64_t offset)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != octet_at(stream, offset + i))
            fail_msg("octet %llu of stream %llu is wrong", (unsigned long long)(offset + i),
                     (unsigned long long)stream);
    }
}

#endif
