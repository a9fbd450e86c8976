/*
 * A set of unsigned 64-bit numbers as ranges [start, end), ascending, never touching, with a cap on their number. What
 * ACK ranges, reassembly and the acknowledged parts of a stream are made of.
 */
#ifndef BASE_RANGE_SET_H
#define BASE_RANGE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

struct range {
    uint64_t start; /* first number in */
    uint64_t end;   /* first number out */
};

struct range_set {
    const roam_allocator *allocator;
    struct range *ranges;
    uint32_t count;
    uint32_t capacity;   /* allocated */
    uint32_t max_ranges; /* cap */
};

/* The allocator must outlive the set. max_ranges: 1..UINT32_MAX. Allocates nothing before the first range. */
void range_set_init(struct range_set *set, const roam_allocator *allocator, size_t max_ranges);
void range_set_done(struct range_set *set);

enum range_set_result {
    RANGE_SET_OK,
    RANGE_SET_FULL, /* one range more than the cap: nothing was changed */
    RANGE_SET_NO_MEMORY,
};

/* Adds [start, end); start < end. Ranges that touch are joined. */
enum range_set_result range_set_add(struct range_set *set, uint64_t start, uint64_t end);

/* Takes [start, end) out. May split a range in two (RANGE_SET_FULL, RANGE_SET_NO_MEMORY: nothing was changed). */
enum range_set_result range_set_remove(struct range_set *set, uint64_t start, uint64_t end);

/* Takes out every number below `start`; never fails. */
void range_set_remove_below(struct range_set *set, uint64_t start);

/* Drops the range with the smallest numbers, and says which. The set must not be empty. */
struct range range_set_pop_lowest(struct range_set *set);

bool range_set_contains(const struct range_set *set, uint64_t number);

/* True where all of [start, end) is in. */
bool range_set_covers(const struct range_set *set, uint64_t start, uint64_t end);

/* The first range that ends above `number`, or NULL. */
const struct range *range_set_find(const struct range_set *set, uint64_t number);

/* How many numbers are in. */
uint64_t range_set_size(const struct range_set *set);

/* Asserts the invariants. */
void range_set_check(const struct range_set *set);

#endif
