/*
 * Range sets. Invariants (range_set_check): every range has start < end; each ends below the start of the next, so that
 * two ranges never touch; count <= capacity <= max_ranges. A call that fails changes nothing.
 *
 * Numbers mostly come in order, so that the search looks at the last range before it halves.
 */
#include "base/range_set.h"

#include <assert.h>

#include "base/minmax.h"

#define CAPACITY_FIRST 1

void range_set_init(struct range_set *set, const roam_allocator *allocator, size_t max_ranges)
{
    assert(max_ranges > 0 && max_ranges <= UINT32_MAX);
    *set = (struct range_set){.allocator = allocator, .max_ranges = (uint32_t)max_ranges};
}

void range_set_done(struct range_set *set)
{
    mem_free(set->allocator, set->ranges, set->capacity * sizeof(*set->ranges));
    set->ranges = NULL;
    set->count = set->capacity = 0;
}

/* Index of the first range that ends at or above `number`; count where there is none. */
static size_t first_ending_from(const struct range_set *set, uint64_t number)
{
    size_t low = 0, high = set->count;
    if (high == 0 || set->ranges[high - 1].end < number)
        return high;
    if (high == 1 || set->ranges[high - 2].end < number)
        return high - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].end < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Index of the first range that ends above `number`. */
static size_t first_ending_above(const struct range_set *set, uint64_t number)
{
    return number == UINT64_MAX ? set->count : first_ending_from(set, number + 1);
}

static enum range_set_result make_room_for_one(struct range_set *set)
{
    if (set->count >= set->max_ranges)
        return RANGE_SET_FULL;
    if (set->count < set->capacity)
        return RANGE_SET_OK;
    size_t capacity = min_size(set->max_ranges, max_size(CAPACITY_FIRST, (size_t)set->capacity * 2));
    struct range *ranges =
        mem_resize(set->allocator, set->ranges, set->capacity * sizeof(*ranges), capacity * sizeof(*ranges));
    if (ranges == NULL)
        return RANGE_SET_NO_MEMORY;
    set->ranges = ranges;
    set->capacity = (uint32_t)capacity;
    return RANGE_SET_OK;
}

static enum range_set_result insert_at(struct range_set *set, size_t index, struct range range)
{
    enum range_set_result result = make_room_for_one(set);
    if (result != RANGE_SET_OK)
        return result;
    memmove(&set->ranges[index + 1], &set->ranges[index], (set->count - index) * sizeof(*set->ranges));
    set->ranges[index] = range;
    set->count++;
    return RANGE_SET_OK;
}

/* Takes the ranges [first, last) out of the array. */
static void erase(struct range_set *set, size_t first, size_t last)
{
    if (first == last)
        return;
    memmove(&set->ranges[first], &set->ranges[last], (set->count - last) * sizeof(*set->ranges));
    set->count -= (uint32_t)(last - first);
}

enum range_set_result range_set_add(struct range_set *set, uint64_t start, uint64_t end)
{
    assert(start < end);
    if (set->count > 0 && set->ranges[set->count - 1].end == start) {
        set->ranges[set->count - 1].end = end;
        return RANGE_SET_OK;
    }
    size_t first = first_ending_from(set, start);
    if (first == set->count || set->ranges[first].start > end)
        return insert_at(set, first, (struct range){.start = start, .end = end});

    size_t last = first + 1;
    while (last < set->count && set->ranges[last].start <= end)
        last++;
    struct range *joined = &set->ranges[first];
    joined->start = min_u64(joined->start, start);
    joined->end = max_u64(set->ranges[last - 1].end, end);
    erase(set, first + 1, last);
    return RANGE_SET_OK;
}

enum range_set_result range_set_remove(struct range_set *set, uint64_t start, uint64_t end)
{
    assert(start < end);
    size_t first = first_ending_above(set, start);
    if (first == set->count || set->ranges[first].start >= end)
        return RANGE_SET_OK;

    struct range *range = &set->ranges[first];
    if (range->start < start) {
        if (range->end > end) {
            enum range_set_result result = insert_at(set, first + 1, (struct range){.start = end, .end = range->end});
            if (result == RANGE_SET_OK)
                set->ranges[first].end = start;
            return result;
        }
        range->end = start;
        first++;
    }
    size_t last = first;
    while (last < set->count && set->ranges[last].end <= end)
        last++;
    if (last < set->count && set->ranges[last].start < end)
        set->ranges[last].start = end;
    erase(set, first, last);
    return RANGE_SET_OK;
}

void range_set_remove_below(struct range_set *set, uint64_t start)
{
    erase(set, 0, first_ending_above(set, start));
    if (set->count > 0 && set->ranges[0].start < start)
        set->ranges[0].start = start;
}

struct range range_set_pop_lowest(struct range_set *set)
{
    assert(set->count > 0);
    struct range lowest = set->ranges[0];
    erase(set, 0, 1);
    return lowest;
}

const struct range *range_set_find(const struct range_set *set, uint64_t number)
{
    size_t index = first_ending_above(set, number);
    return index < set->count ? &set->ranges[index] : NULL;
}

bool range_set_contains(const struct range_set *set, uint64_t number)
{
    const struct range *range = range_set_find(set, number);
    return range != NULL && range->start <= number;
}

bool range_set_covers(const struct range_set *set, uint64_t start, uint64_t end)
{
    if (start >= end)
        return true;
    const struct range *range = range_set_find(set, start);
    return range != NULL && range->start <= start && range->end >= end;
}

uint64_t range_set_size(const struct range_set *set)
{
    uint64_t size = 0;
    for (size_t i = 0; i < set->count; i++)
        size += set->ranges[i].end - set->ranges[i].start;
    return size;
}

void range_set_check(const struct range_set *set)
{
    assert(set->count <= set->capacity && set->capacity <= set->max_ranges);
    assert((set->ranges == NULL) == (set->capacity == 0));
    for (size_t i = 0; i < set->count; i++) {
        assert(set->ranges[i].start < set->ranges[i].end);
        assert(i == 0 || set->ranges[i - 1].end < set->ranges[i].start);
    }
}
