/*
 * The connection IDs that we issued: see the header for states and invariants.
 *
 * Why the peer's limit holds whatever is lost or reordered: live entries are those at or above retire_prior_to, and
 * there are at most peer_limit of them. What was issued after a request to retire carries the request itself. So a peer
 * that has seen any of them counts only live entries, and one that has seen none counts only entries that were within
 * the limit before.
 */
#include "cid/local_cid.h"

#include <assert.h>
#include <string.h>

#include "base/rng.h"
#include "base/varint.h"

static size_t count_live(const struct local_cid_set *set)
{
    size_t live = 0;
    for (size_t i = 0; i < set->count; i++)
        live += set->entries[i].sequence >= set->retire_prior_to;
    return live;
}

static struct local_cid *find_sequence(struct local_cid_set *set, uint64_t sequence)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->entries[i].sequence == sequence)
            return &set->entries[i];
    return NULL;
}

bool local_cid_reserve(struct local_cid_set *set, size_t more)
{
    return mem_reserve(set->allocator, &set->entries, &set->capacity, set->count + more, LOCAL_CIDS_KEPT_MAX,
                       sizeof(*set->entries));
}

bool local_cid_set_init(struct local_cid_set *set, const roam_allocator *allocator, const roam_cid *initial)
{
    *set = (struct local_cid_set){.allocator = allocator};
    if (!local_cid_reserve(set, 1))
        return false;
    set->entries[0] = (struct local_cid){.cid = *initial, .state = LOCAL_CID_KNOWN};
    set->count = 1;
    set->next_sequence = 1;
    set->sent_below = 1;
    set->peer_limit = 1;
    set->cid_bytes = initial->len;
    return true;
}

void local_cid_set_done(struct local_cid_set *set)
{
    if (set->entries != NULL)
        wipe(set->entries, set->capacity * sizeof(*set->entries));
    mem_free(set->allocator, set->entries, set->capacity * sizeof(*set->entries));
    *set = (struct local_cid_set){.allocator = set->allocator};
}

void local_cid_add_preferred(struct local_cid_set *set, const roam_cid *cid)
{
    assert(set->next_sequence == 1 && set->cid_bytes > 0 && set->count < set->capacity);
    set->peer_limit = max_u64(set->peer_limit, 2);
    struct local_cid *entry = &set->entries[set->count++];
    //= rfc9000#5.1.1-1 The CID of the preferred address has the number after the handshake's.
    *entry = (struct local_cid){.sequence = set->next_sequence++, .cid = *cid, .state = LOCAL_CID_KNOWN};
    set->sent_below = set->next_sequence;
}

void local_cid_set_peer_limit(struct local_cid_set *set, uint64_t limit)
{
    set->peer_limit = max_u64(limit, count_live(set));
}

size_t local_cid_wanted(const struct local_cid_set *set)
{
    //= rfc9000#19.15 No NEW_CONNECTION_ID to a peer that sends to zero-length CIDs.
    if (set->cid_bytes == 0)
        return 0;
    //= rfc9000#5.1.1-4 Never more live CIDs than the peer's limit; a retired one is replaced.
    size_t cap = (size_t)min_u64(set->peer_limit, LOCAL_CIDS_MAX);
    if (!set->spare_used)
        cap = min_size(cap, LOCAL_CIDS_FIRST);
    size_t live = count_live(set);
    uint64_t numbers_left = VARINT_MAX + 1 - set->next_sequence;
    return cap > live ? (size_t)min_u64(cap - live, numbers_left) : 0;
}

struct local_cid *local_cid_issue(struct local_cid_set *set, const roam_cid *cid)
{
    assert(local_cid_wanted(set) > 0);
    assert(set->count < set->capacity);
    assert(cid->len == set->cid_bytes);
    assert(local_cid_find(set, cid) == NULL);
    struct local_cid *entry = &set->entries[set->count++];
    //= rfc9000#5.1.1-1 Sequence numbers rise by one.
    *entry = (struct local_cid){.sequence = set->next_sequence++, .cid = *cid, .state = LOCAL_CID_PENDING};
    return entry;
}

const struct local_cid *local_cid_next_pending(const struct local_cid_set *set)
{
    const struct local_cid *to_be_retired = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const struct local_cid *entry = &set->entries[i];
        if (entry->state != LOCAL_CID_PENDING)
            continue;
        if (entry->sequence >= set->retire_prior_to)
            return entry;
        if (to_be_retired == NULL)
            to_be_retired = entry;
    }
    return to_be_retired;
}

void local_cid_on_sent(struct local_cid_set *set, uint64_t sequence)
{
    struct local_cid *entry = find_sequence(set, sequence);
    if (entry == NULL)
        return;
    set->sent_below = max_u64(set->sent_below, sequence + 1);
    if (entry->state == LOCAL_CID_PENDING)
        entry->state = LOCAL_CID_SENT;
}

void local_cid_on_acked(struct local_cid_set *set, uint64_t sequence)
{
    struct local_cid *entry = find_sequence(set, sequence);
    if (entry == NULL)
        return;
    set->sent_below = max_u64(set->sent_below, sequence + 1);
    entry->state = LOCAL_CID_KNOWN;
}

void local_cid_on_lost(struct local_cid_set *set, uint64_t sequence)
{
    struct local_cid *entry = find_sequence(set, sequence);
    //= rfc9000#13.3 NEW_CONNECTION_ID is sent again with the same content, until some copy is acknowledged.
    if (entry != NULL && entry->state == LOCAL_CID_SENT)
        entry->state = LOCAL_CID_PENDING;
}

bool local_cid_on_used(struct local_cid_set *set, struct local_cid *cid, roam_time now, size_t bytes)
{
    const bool first = !cid->used;
    set->spare_used |= cid->sequence > 0;
    if (first) {
        /* What it is used for takes the place of its token: the frame need not be sent again. */
        cid->used = true;
        cid->state = LOCAL_CID_KNOWN;
        cid->used_since = now;
        cid->bytes = 0;
    }
    cid->bytes += bytes;
    return first;
}

void local_cid_repeat(struct local_cid_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->entries[i].state == LOCAL_CID_SENT && set->entries[i].sequence >= set->retire_prior_to)
            set->entries[i].state = LOCAL_CID_PENDING;
}

bool local_cid_request_retirement(struct local_cid_set *set, uint64_t sequence)
{
    assert(sequence <= set->next_sequence);
    if (set->cid_bytes == 0)
        return false;
    if (sequence <= set->retire_prior_to)
        return true;
    //= rfc9000#5.1.2-9 Retire Prior To does not rise again before the peer has met it.
    if (count_live(set) < set->count)
        return false;
    set->retire_prior_to = sequence;
    return true;
}

//= rfc9000#5.1.1-2 Until this happens packets with the CID are taken.
//= rfc9000#5.1.2-2 Keep accepting CIDs asked to be retired until the peer's RETIRE_CONNECTION_ID actually arrives.
bool local_cid_insist_on_retirement(struct local_cid_set *set)
{
    if (set->cid_bytes == 0 || set->count > 2 * min_u64(set->peer_limit, LOCAL_CIDS_MAX))
        return false;
    set->retire_prior_to = set->next_sequence;
    return true;
}

uint64_t local_cid_on_retire(struct local_cid_set *set, uint64_t sequence, uint64_t packet_sequence,
                             roam_cid *ret_retired)
{
    //= rfc9000#19.16 Not from a peer that sends to a zero-length CID, not for what was never sent, not for the packet's
    // own CID.
    if (set->cid_bytes == 0 || sequence >= set->sent_below || sequence == packet_sequence)
        return ROAM_PROTOCOL_VIOLATION;
    struct local_cid *entry = find_sequence(set, sequence);
    if (entry == NULL) {
        *ret_retired = (roam_cid){.len = UINT8_MAX};
        return ROAM_NO_ERROR;
    }
    *ret_retired = entry->cid;
    size_t index = (size_t)(entry - set->entries);
    memmove(entry, entry + 1, (set->count - index - 1) * sizeof(*entry));
    set->count--;
    return ROAM_NO_ERROR;
}

bool local_cid_has_spare(const struct local_cid_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct local_cid *entry = &set->entries[i];
        if (entry->state == LOCAL_CID_KNOWN && !entry->used && entry->sequence >= set->retire_prior_to)
            return true;
    }
    return set->cid_bytes == 0;
}

struct local_cid *local_cid_find(struct local_cid_set *set, const roam_cid *cid)
{
    for (size_t i = 0; i < set->count; i++)
        if (roam_cid_equal(&set->entries[i].cid, cid))
            return &set->entries[i];
    return NULL;
}

void local_cid_set_check(const struct local_cid_set *set)
{
    assert(set->count <= set->capacity && set->capacity <= LOCAL_CIDS_KEPT_MAX);
    assert(count_live(set) <= set->peer_limit && count_live(set) <= LOCAL_CIDS_MAX);
    assert(set->count - count_live(set) <= 2 * LOCAL_CIDS_MAX);
    assert(set->sent_below <= set->next_sequence && set->retire_prior_to <= set->next_sequence);
    assert(set->cid_bytes > 0 || (set->count == 1 && set->next_sequence == 1));
    for (size_t i = 0; i < set->count; i++) {
        const struct local_cid *entry = &set->entries[i];
        assert(entry->sequence < set->next_sequence);
        assert(i == 0 || entry[-1].sequence < entry->sequence);
        assert(entry->state == LOCAL_CID_PENDING || entry->sequence < set->sent_below);
        assert(entry->cid.len == set->cid_bytes);
        assert(!entry->used || entry->state == LOCAL_CID_KNOWN);
        for (size_t j = 0; j < i; j++)
            assert(!roam_cid_equal(&entry->cid, &set->entries[j].cid));
    }
}
