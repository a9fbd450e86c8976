/*
 * One packet number space. Invariants: no number is handed out twice; a number left out on purpose was never handed
 * out and is below next_number; is_unsent knows the newest such number only, for an honest peer acknowledges none.
 */
#include "recovery/pn_space.h"

#include <assert.h>

#include "base/minmax.h"

/* The next skip is at most so far away: soon at first, later seldom, for each is a gap in the peer's ACKs. */
#define SKIP_DISTANCE_FIRST 64
#define SKIP_DISTANCE_MAX   1024

void pn_space_init(struct pn_space *space, const roam_allocator *allocator, struct pool *frame_pool)
{
    *space = (struct pn_space){
        .skipped = PACKET_NUMBER_NONE,
        .next_skip = PACKET_NUMBER_NONE,
        .largest_acked = PACKET_NUMBER_NONE,
        .loss_time = ROAM_TIME_NEVER,
    };
    sent_map_init(&space->sent, allocator, frame_pool);
    ack_tracker_init(&space->received, allocator);
}

void pn_space_done(struct pn_space *space)
{
    sent_map_done(&space->sent);
    ack_tracker_done(&space->received);
}

/* The number after `number` that will be left out next. */
static uint64_t draw_skip(uint64_t number, const roam_rng *rng)
{
    uint64_t span = min_u64(max_u64(number, SKIP_DISTANCE_FIRST), SKIP_DISTANCE_MAX);
    return number + 1 + rng_u64(rng) % span;
}

uint64_t pn_space_take_number(struct pn_space *space, bool may_skip, const roam_rng *rng)
{
    if (may_skip && space->next_skip == PACKET_NUMBER_NONE)
        space->next_skip = draw_skip(space->next_number, rng);
    //= rfc9000#21.4-1 Numbers are skipped, so that optimistic acknowledgements give themselves away.
    if (may_skip && space->next_number >= space->next_skip) {
        space->skipped = space->next_number++;
        space->next_skip = draw_skip(space->next_number, rng);
    }
    //= rfc9000#12.3 A packet number is never used twice.
    assert(space->next_number <= PACKET_NUMBER_MAX);
    return space->next_number++;
}

bool pn_space_is_unsent(const struct pn_space *space, uint64_t smallest, uint64_t largest)
{
    //= rfc9000#13.1 An acknowledgement of a packet that was not sent is a PROTOCOL_VIOLATION.
    if (largest >= space->next_number)
        return true;
    return space->skipped != PACKET_NUMBER_NONE && smallest <= space->skipped && space->skipped <= largest;
}
