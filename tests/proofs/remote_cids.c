/*
 * The connection IDs that a peer gave us, through every sequence of four calls on two paths and CIDs with the numbers 1
 * to 4, each allocation granted or not: no sequence is there twice, none that went comes back, none is forgotten before
 * its RETIRE_CONNECTION_ID was acknowledged, a path only ever has a live one, and paths that did not ask to share one never do.
 */
#include "cid/remote_cid.h"
#include "proofs/proof.h"
#include "unit/counting_allocator.h"

#define CALLS     4
#define SEQUENCES 5
#define PATHS     2

const bool proof_takes_every_choice = true;

/* A sequence's state only ever rises. */
enum fate { UNSEEN, LIVE, GONE, RETIRED };

static struct counting_allocator counting;
static enum fate fates[SEQUENCES];
static bool shares;

static void *reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    counting.refuses = new_bytes > 0 && draw_bool();
    return counting_reallocate(context, ptr, old_bytes, new_bytes);
}

static const roam_allocator allocator = {.reallocate = reallocate, .context = &counting};

/* How often a sequence is there, live or being retired. */
static unsigned occurrences(const struct remote_cid_set *set, uint64_t sequence, bool *ret_live)
{
    unsigned found = 0;
    for (size_t i = 0; i < (size_t)set->count + set->retirement_count; i++) {
        if (set->entries[i].sequence != sequence)
            continue;
        *ret_live = i < set->count;
        found++;
    }
    return found;
}

static void compare(const struct remote_cid_set *set)
{
    remote_cid_set_check(set);
    for (uint64_t sequence = 0; sequence < SEQUENCES; sequence++) {
        bool live = false;
        const unsigned found = occurrences(set, sequence, &live);
        const enum fate before = fates[sequence];
        assert(found <= 1);
        assert(found == 1 || before == UNSEEN || before == RETIRED);
        if (found == 1) {
            fates[sequence] = live ? LIVE : GONE;
            assert(fates[sequence] >= before);
        }
    }
    const struct remote_cid *first = remote_cid_of_path(set, 0), *second = remote_cid_of_path(set, 1);
    assert(first == NULL || first != second || shares);
    assert(first == NULL || fates[first->sequence] == LIVE);
}

static void give(struct remote_cid_set *set)
{
    const uint64_t sequence = 1 + draw_below(SEQUENCES - 1), prior = draw_below(3);
    struct frame frame = {.type = FRAME_NEW_CONNECTION_ID};
    bool added = false;
    frame.new_connection_id.sequence = sequence;
    frame.new_connection_id.retire_prior_to = sequence > prior ? sequence - prior : 0;
    frame.new_connection_id.cid = (roam_cid){.len = 8, .bytes = {(uint8_t)sequence}};
    frame.new_connection_id.reset_token[0] = (uint8_t)sequence;
    const bool fresh = fates[sequence] == UNSEEN;
    const uint64_t error = remote_cid_on_new(set, &frame, &added);
    assert(error == ROAM_NO_ERROR || error == ROAM_CONNECTION_ID_LIMIT_ERROR || error == ROAM_INTERNAL_ERROR);
    assert(!added || fresh);
}

static void settle_retirement(struct remote_cid_set *set)
{
    uint64_t sequence;
    if (!remote_cid_next_retirement(set, &sequence))
        return;
    assert(fates[sequence] == GONE);
    remote_cid_on_retirement_sent(set, sequence);
    if (draw_bool()) {
        remote_cid_on_retirement_acked(set, sequence);
        fates[sequence] = RETIRED;
    } else {
        uint64_t again;
        remote_cid_on_retirement_lost(set, sequence);
        assert(remote_cid_next_retirement(set, &again));
    }
}

static void call(struct remote_cid_set *set)
{
    const uint64_t what = draw_below(6), path = what > 1 && what < 6 && what != 5 ? draw_below(PATHS) : 0;
    switch (what) {
    case 0:
        give(set);
        break;
    case 1:
        settle_retirement(set);
        break;
    case 2:
        if (remote_cid_assign(set, path))
            assert(remote_cid_of_path(set, path) != NULL);
        break;
    case 3:
        remote_cid_release(set, path);
        assert(remote_cid_of_path(set, path) == NULL);
        break;
    case 4:
        remote_cid_rotate(set, path);
        break;
    default:
        if (remote_cid_assignment(set, 0) != NULL) {
            remote_cid_share(set, 1, 0);
            shares = true;
        }
    }
}

void proof(void)
{
    struct remote_cid_set set;
    const roam_cid initial = {.len = 8, .bytes = {0xff}};
    memset(fates, 0, sizeof(fates));
    shares = false;
    if (!remote_cid_set_init(&set, &allocator, &initial, 2))
        return;
    for (int i = 0; i < CALLS; i++) {
        call(&set);
        compare(&set);
    }
    remote_cid_set_done(&set);
    assert(counting.bytes_out == 0);
}
