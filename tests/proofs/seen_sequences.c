/*
 * Sequence numbers of connection IDs that came: whichever of those below 10 have come, one more that comes is in
 * afterwards, no other one comes or goes, the runs stay sorted and apart, and as many are missing as are. So a repeat is
 * known as one for ever. Where there is no memory nothing changes.
 */
#include "cid/seen_sequences.h"
#include "proofs/proof.h"
#include "unit/counting_allocator.h"

#define NUMBERS 10

const bool proof_takes_every_choice = true;

static struct counting_allocator counting;
static roam_allocator allocator;

/* Those that came, as bits. */
static unsigned members(const struct seen_sequences *seen)
{
    unsigned ret = 0;
    seen_sequences_check(seen);
    for (unsigned i = 0; i < NUMBERS; i++) {
        ret |= (unsigned)seen_sequences_contain(seen, i) << i;
        assert(seen_sequences_missing_below(seen, i) == i - (unsigned)__builtin_popcount(ret & ((1u << i) - 1)));
    }
    return ret;
}

static bool add(struct seen_sequences *seen, uint64_t sequence)
{
    return seen_sequences_reserve(seen, &allocator, sequence) && seen_sequences_add(seen, sequence);
}

void proof(void)
{
    struct seen_sequences seen = {0};
    allocator = counting_allocator(&counting);
    const unsigned before = (unsigned)draw_below(1u << NUMBERS);
    const bool descending = draw_bool();
    for (unsigned i = 0; i < NUMBERS; i++) {
        const unsigned sequence = descending ? NUMBERS - 1 - i : i;
        if ((before >> sequence & 1) != 0)
            assert(add(&seen, sequence));
    }
    assert(members(&seen) == before);
    const uint64_t next = draw_below(NUMBERS);
    counting.refuses = draw_bool();
    if (!seen_sequences_contain(&seen, next)) {
        const bool added = add(&seen, next);
        assert(added || counting.refuses);
        assert(members(&seen) == (before | (added ? 1u << next : 0)));
    }
    counting.refuses = false;
    seen_sequences_done(&seen, &allocator);
    assert(counting.bytes_out == 0);
}
