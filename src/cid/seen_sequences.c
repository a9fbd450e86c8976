/* Sequence numbers that came: see the header. Looked up by walking the runs, of which there is mostly none. */
#include "cid/seen_sequences.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"

void seen_sequences_done(struct seen_sequences *seen, const roam_allocator *allocator)
{
    mem_free(allocator, seen->runs, seen->capacity * sizeof(*seen->runs));
    *seen = (struct seen_sequences){0};
}

bool seen_sequences_contain(const struct seen_sequences *seen, uint64_t sequence)
{
    bool found = sequence < seen->below;
    for (size_t i = 0; i < seen->count; i++)
        found |= sequence >= seen->runs[i].start && sequence < seen->runs[i].end;
    return found;
}

uint64_t seen_sequences_missing_below(const struct seen_sequences *seen, uint64_t end)
{
    uint64_t missing = saturating_sub(end, seen->below);
    for (size_t i = 0; i < seen->count && seen->runs[i].start < end; i++)
        missing -= min_u64(seen->runs[i].end, end) - seen->runs[i].start;
    return missing;
}

/* Whether it prolongs what is there at its end: the way of a peer that numbers consecutively. */
static bool follows_the_newest(const struct seen_sequences *seen, uint64_t sequence)
{
    return sequence == (seen->count == 0 ? seen->below : seen->runs[seen->count - 1].end);
}

bool seen_sequences_reserve(struct seen_sequences *seen, const roam_allocator *allocator, uint64_t sequence)
{
    const size_t runs = seen->count + !follows_the_newest(seen, sequence);
    return mem_reserve(allocator, &seen->runs, &seen->capacity, min_size(runs, SEEN_RUNS_MAX), SEEN_RUNS_MAX,
                       sizeof(*seen->runs));
}

static void remove_run(struct seen_sequences *seen, size_t index)
{
    seen->count--;
    memmove(&seen->runs[index], &seen->runs[index + 1], (seen->count - index) * sizeof(seen->runs[0]));
}

static bool insert_run(struct seen_sequences *seen, size_t index, uint64_t sequence)
{
    if (seen->count == SEEN_RUNS_MAX)
        return false;
    assert(seen->count < seen->capacity);
    memmove(&seen->runs[index + 1], &seen->runs[index], (seen->count - index) * sizeof(seen->runs[0]));
    seen->runs[index] = (struct seen_run){.start = sequence, .end = sequence + 1};
    seen->count++;
    return true;
}

bool seen_sequences_add(struct seen_sequences *seen, uint64_t sequence)
{
    size_t i = 0; /* the first run that ends above it */
    while (i < seen->count && seen->runs[i].end <= sequence)
        i++;
    uint64_t *end_before = i == 0 ? &seen->below : &seen->runs[i - 1].end;
    const bool prolongs = *end_before == sequence;
    const bool precedes = i < seen->count && seen->runs[i].start == sequence + 1;
    if (prolongs && precedes) {
        *end_before = seen->runs[i].end;
        remove_run(seen, i);
    } else if (prolongs) {
        *end_before = sequence + 1;
    } else if (precedes) {
        seen->runs[i].start = sequence;
    } else {
        return insert_run(seen, i, sequence);
    }
    return true;
}

void seen_sequences_check(const struct seen_sequences *seen)
{
    assert(seen->count <= seen->capacity && seen->capacity <= SEEN_RUNS_MAX);
    for (size_t i = 0; i < seen->count; i++) {
        assert(seen->runs[i].start < seen->runs[i].end);
        assert(seen->runs[i].start > (i == 0 ? seen->below : seen->runs[i - 1].end));
    }
}
