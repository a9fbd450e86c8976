/*
 * The connection IDs that we issue, through every sequence of five calls: sequence numbers rise by one and none is there
 * twice, the peer never holds more live ones than its limit, one that it retired is gone, one that it has not retired
 * stays, and what was never sent is never taken for known.
 */
#include "cid/local_cid.h"
#include "proofs/proof.h"
#include "unit/counting_allocator.h"

#define CALLS 5

const bool proof_takes_every_choice = true;

static struct counting_allocator counting;
static roam_allocator allocator;
static uint64_t issued, retired; /* as counts */

static void issue(struct local_cid_set *set)
{
    counting.refuses = draw_bool();
    const bool may = local_cid_wanted(set) > 0 && local_cid_reserve(set, 1);
    counting.refuses = false;
    if (!may)
        return;
    const roam_cid cid = {.len = 8, .bytes = {(uint8_t)issued}};
    const struct local_cid *entry = local_cid_issue(set, &cid);
    assert(entry->sequence == issued && entry->state == LOCAL_CID_PENDING);
    issued++;
}

static void send_next(struct local_cid_set *set)
{
    const struct local_cid *pending = local_cid_next_pending(set);
    if (pending == NULL)
        return;
    const uint64_t sequence = pending->sequence, fate = draw_below(3);
    assert(local_cid_frame_retire_prior_to(set, pending) <= sequence);
    local_cid_on_sent(set, sequence);
    if (fate == 1)
        local_cid_on_acked(set, sequence);
    else if (fate == 2)
        local_cid_on_lost(set, sequence);
}

static void retire(struct local_cid_set *set)
{
    roam_cid gone;
    const uint64_t sequence = draw_below(4), on = draw_bool() ? sequence : UINT64_MAX, count = set->count;
    const uint64_t error = local_cid_on_retire(set, sequence, on, &gone);
    assert((error != ROAM_NO_ERROR) == (sequence >= set->sent_below || on == sequence));
    if (error != ROAM_NO_ERROR || gone.len == UINT8_MAX) {
        assert(set->count == count);
        return;
    }
    retired++;
    assert(set->count == count - 1 && local_cid_find(set, &gone) == NULL);
}

/* Retire Prior To does not rise while an earlier one is not met. */
static void request_retirement(struct local_cid_set *set)
{
    const uint64_t before = set->retire_prior_to;
    const bool unmet = set->count > 0 && set->entries[0].sequence < before;
    const bool granted = local_cid_request_retirement(set, set->next_sequence);
    assert(set->retire_prior_to == (granted ? set->next_sequence : before));
    assert(!granted || !unmet || before == set->next_sequence);
}

static void call(struct local_cid_set *set)
{
    switch (draw_below(6)) {
    case 0:
        issue(set);
        break;
    case 1:
        send_next(set);
        break;
    case 2:
        retire(set);
        break;
    case 3:
        request_retirement(set);
        break;
    case 4:
        local_cid_insist_on_retirement(set);
        break;
    default:
        local_cid_repeat(set);
    }
}

static void compare(const struct local_cid_set *set)
{
    local_cid_set_check(set);
    assert(set->next_sequence == issued && set->count == issued - retired);
    for (size_t i = 0; i < set->count; i++)
        for (size_t j = 0; j < i; j++)
            assert(set->entries[i].sequence != set->entries[j].sequence);
}

void proof(void)
{
    struct local_cid_set set;
    const roam_cid initial = {.len = 8, .bytes = {0}};
    allocator = counting_allocator(&counting);
    issued = 1;
    retired = 0;
    if (!local_cid_set_init(&set, &allocator, &initial))
        return;
    local_cid_set_peer_limit(&set, 2);
    for (int i = 0; i < CALLS; i++) {
        call(&set);
        compare(&set);
    }
    local_cid_set_done(&set);
    assert(counting.bytes_out == 0);
}
