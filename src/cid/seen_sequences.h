/*
 * Which sequence numbers of connection IDs came in NEW_CONNECTION_ID frames, RFC 9000 section 5.1.1: all below one of
 * them, and runs beyond. Flat for ever with a peer that numbers consecutively, as the gaps close; bounded with another.
 */
#ifndef CID_SEEN_SEQUENCES_H
#define CID_SEEN_SEQUENCES_H

#include <roam/types.h>

#include "base/alloc.h"

/* A peer that numbers consecutively and keeps to our limit leaves fewer gaps than it has CIDs alive: at most 16. */
#define SEEN_RUNS_MAX 31

/* Sequences [start, end). */
struct seen_run {
    uint64_t start, end;
};

struct seen_sequences {
    uint64_t below;        /* all of those came */
    struct seen_run *runs; /* those above `below` that came, ascending, apart; there where a gap ever was */
    uint8_t count, capacity;
};

void seen_sequences_done(struct seen_sequences *seen, const roam_allocator *allocator);

bool seen_sequences_contain(const struct seen_sequences *seen, uint64_t sequence);

/* How many below `end` never came. */
uint64_t seen_sequences_missing_below(const struct seen_sequences *seen, uint64_t end);

/* Room for what seen_sequences_add may need. False without memory. */
bool seen_sequences_reserve(struct seen_sequences *seen, const roam_allocator *allocator, uint64_t sequence);

/* The sequence must not have come before, and room be reserved unless it is `below`. False, nothing changed, where it
 * would need one run more than SEEN_RUNS_MAX. */
bool seen_sequences_add(struct seen_sequences *seen, uint64_t sequence);

void seen_sequences_check(const struct seen_sequences *seen);

#endif
