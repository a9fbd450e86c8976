/*
 * Range sets, what ACK ranges and reassembly are made of: every call on every set of numbers below 9, with room for one
 * more range, without memory for one, or at its cap. Afterwards the ranges are sorted and neither overlap nor touch, and
 * each number is in exactly where the call says that it should be; a call that fails has changed nothing. Every set is
 * reached here, so that no sequence of calls breaks it either.
 */
#include "base/range_set.h"
#include "proofs/proof.h"
#include "unit/counting_allocator.h"

#define NUMBERS 9

const bool proof_takes_every_choice = true;

static struct counting_allocator counting;
static roam_allocator allocator;

/* The numbers that are in, as bits. */
static unsigned members(const struct range_set *set)
{
    unsigned ret = 0;
    range_set_check(set);
    for (unsigned i = 0; i < NUMBERS; i++)
        ret |= (unsigned)range_set_contains(set, i) << i;
    for (size_t i = 0; i < set->count; i++)
        assert(set->ranges[i].end <= NUMBERS);
    assert(range_set_size(set) == (uint64_t)__builtin_popcount(ret));
    return ret;
}

static unsigned bits_of(uint64_t start, uint64_t end)
{
    return (1u << end) - (1u << start);
}

static void build(struct range_set *set, unsigned bits)
{
    range_set_init(set, &allocator, NUMBERS);
    for (uint64_t i = 0; i < NUMBERS; i++)
        if ((bits >> i & 1) != 0)
            assert(range_set_add(set, i, i + 1) == RANGE_SET_OK);
    assert(members(set) == bits);
    /* As small as it can be, so that one range more needs memory. */
    if (set->count > 0)
        set->ranges = mem_resize(&allocator, set->ranges, set->capacity * sizeof(struct range),
                                 set->count * sizeof(struct range));
    set->capacity = set->count;
}

static void add_or_remove(struct range_set *set, unsigned before)
{
    const bool add = draw_bool();
    const uint64_t start = draw_below(NUMBERS), end = start + 1 + draw_below(NUMBERS - start);
    const uint64_t how = draw_below(3);
    const unsigned touched = bits_of(start, end), after = add ? before | touched : before & ~touched;
    if (how == 1 && set->count > 0)
        set->max_ranges = set->count;
    counting.refuses = how == 2;
    const enum range_set_result result = add ? range_set_add(set, start, end) : range_set_remove(set, start, end);
    counting.refuses = false;
    assert(members(set) == (result == RANGE_SET_OK ? after : before));
    assert(result != RANGE_SET_FULL || how == 1);
    assert(result != RANGE_SET_NO_MEMORY || how == 2);
    if (result == RANGE_SET_OK)
        assert(range_set_covers(set, start, end) == add);
}

static void pop_lowest(struct range_set *set, unsigned before)
{
    if (set->count == 0)
        return;
    const struct range popped = range_set_pop_lowest(set);
    const unsigned bits = bits_of(popped.start, popped.end);
    assert((before & bits) == bits && members(set) == (before & ~bits));
    assert((members(set) & ((2u << popped.end) - 1)) == 0);
}

/* The range found is the first that ends above the number. */
static void find(const struct range_set *set, unsigned before)
{
    const uint64_t number = draw_below(NUMBERS);
    const struct range *found = range_set_find(set, number);
    assert((found == NULL) == (before >> number == 0));
    if (found == NULL)
        return;
    assert(found->end > number && (before >> found->start & 1) != 0);
    assert((before & bits_of(number, found->start > number ? found->start : number)) == 0);
}

void proof(void)
{
    struct range_set set;
    allocator = counting_allocator(&counting);
    const unsigned before = (unsigned)draw_below(1u << NUMBERS);
    build(&set, before);
    const uint64_t call = draw_below(4), start = call == 1 ? draw_below(NUMBERS) : 0;
    if (call == 0) {
        add_or_remove(&set, before);
    } else if (call == 1) {
        range_set_remove_below(&set, start);
        assert(members(&set) == (before & ~bits_of(0, start)));
    } else if (call == 2) {
        pop_lowest(&set, before);
    } else {
        find(&set, before);
    }
    range_set_done(&set);
    assert(counting.bytes_out == 0);
}
