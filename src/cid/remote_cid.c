/*
 * The connection IDs that the peer gave us: see the header for the states of a sequence and the invariants.
 *
 * Two things keep the bookkeeping flat for ever. What was seen is kept as runs of sequences, which grow together as
 * gaps close, and not as a list of what was retired. And a CID that we give up keeps its place in the array until the
 * peer has acknowledged that (how many places there are is bounded where a CID comes in, the one place where an error
 * can be answered), so that none is ever forgotten for want of room.
 */
#include "cid/remote_cid.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"
#include "base/rng.h"

//= rfc9000#5.1.2-6 Be able to track at least 2 x active_connection_id_limit outstanding RETIRE_CONNECTION_ID frames.
_Static_assert(REMOTE_ENTRIES_MAX >= 2 * REMOTE_CIDS_MAX + REMOTE_CIDS_MAX,
               "twice the limit may be unacknowledged while all the live ones are there");

/* NEW_CONNECTION_ID never carries an empty CID, so that only the initial one can be empty; and such a one is never
 * retired. */
static bool is_zero_length(const struct remote_cid_set *set)
{
    return set->count > 0 && set->entries[0].cid.len == 0;
}

static struct remote_cid *find_sequence(const struct remote_cid_set *set, uint64_t sequence)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->entries[i].sequence == sequence)
            return &set->entries[i];
    return NULL;
}

/* ---- Retiring -------------------------------------------------------------------------------------------------- */

/* The entry goes behind the live ones. */
//= rfc9000#5.1.2-7 A CID goes by this way alone: whatever leaves the live ones is retired on the wire.
static void retire_entry(struct remote_cid_set *set, struct remote_cid *entry)
{
    const uint64_t sequence = entry->sequence;
    struct remote_cid *last = &set->entries[--set->count];
    memmove(entry, entry + 1, (size_t)(last - entry) * sizeof(*entry));
    wipe(last, sizeof(*last));
    last->sequence = sequence;
    last->retirement = RETIREMENT_PENDING;
    set->retirement_count++;
}

static void retire_unseen(struct remote_cid_set *set, uint64_t sequence)
{
    assert(set->count + set->retirement_count < set->entry_capacity);
    remote_cid_retirements(set)[set->retirement_count++] =
        (struct remote_cid){.sequence = sequence, .retirement = RETIREMENT_PENDING};
}

static void remove_assignment(struct remote_cid_set *set, size_t index)
{
    set->assignments[index] = set->assignments[--set->assignment_count];
}

/* Sequences below `end` whose NEW_CONNECTION_ID never came are retired unseen: where it comes later, it is a repeat. */
static void retire_unseen_below(struct remote_cid_set *set, uint64_t end)
{
    while (set->seen.below < end) {
        retire_unseen(set, set->seen.below);
        seen_sequences_add(&set->seen, set->seen.below);
    }
}

//= rfc9000#5.1.2-4 When Retire Prior To rises, stop using what it covers, and retire that before the new CID becomes
// active.
//= rfc9000#19.15 What comes later and is already covered is retired at once, unless that has been done: here it has.
static void retire_below(struct remote_cid_set *set, uint64_t end)
{
    for (size_t i = set->assignment_count; i-- > 0;)
        if (set->assignments[i].sequence < end)
            remove_assignment(set, i);
    while (set->count > 0 && set->entries[0].sequence < end)
        retire_entry(set, &set->entries[0]);
    retire_unseen_below(set, end);
    set->retire_prior_to = end;
}

/* ---- What the peer gives ---------------------------------------------------------------------------------------- */

static bool reserve_entries(struct remote_cid_set *set, size_t entries)
{
    return mem_reserve(set->allocator, &set->entries, &set->entry_capacity, entries, REMOTE_ENTRIES_MAX,
                       sizeof(*set->entries));
}

static bool reserve_assignment(struct remote_cid_set *set)
{
    return mem_reserve(set->allocator, &set->assignments, &set->assignment_capacity, set->assignment_count + 1u,
                       REMOTE_ASSIGNMENTS_MAX, sizeof(*set->assignments));
}

bool remote_cid_set_init(struct remote_cid_set *set, const roam_allocator *allocator, const roam_cid *initial,
                         size_t limit)
{
    assert(limit >= 2 && limit <= REMOTE_CIDS_MAX);
    *set = (struct remote_cid_set){.allocator = allocator, .limit = (uint8_t)limit};
    if (!reserve_entries(set, 1) || !reserve_assignment(set)) {
        remote_cid_set_done(set);
        return false;
    }
    set->entries[0] = (struct remote_cid){.cid = *initial};
    set->count = 1;
    set->seen.below = 1;
    return true;
}

void remote_cid_set_done(struct remote_cid_set *set)
{
    if (set->entries != NULL)
        wipe(set->entries, set->entry_capacity * sizeof(*set->entries));
    mem_free(set->allocator, set->entries, set->entry_capacity * sizeof(*set->entries));
    mem_free(set->allocator, set->assignments, set->assignment_capacity * sizeof(*set->assignments));
    seen_sequences_done(&set->seen, set->allocator);
    *set = (struct remote_cid_set){.allocator = set->allocator};
}

void remote_cid_replace_initial(struct remote_cid_set *set, const roam_cid *cid)
{
    assert(set->count == 1 && set->entries[0].sequence == 0 && set->seen.below == 1 && set->seen.count == 0);
    set->entries[0].cid = *cid;
    set->entries[0].used = false;
}

void remote_cid_set_initial_token(struct remote_cid_set *set, const uint8_t token[RESET_TOKEN_BYTES])
{
    struct remote_cid *entry = find_sequence(set, 0);
    if (entry == NULL)
        return;
    memcpy(entry->reset_token, token, RESET_TOKEN_BYTES);
    entry->has_reset_token = true;
}

//= rfc9000#19.15 An exact repeat is no error; the same sequence, CID or token for something else is.
static bool contradicts(const struct remote_cid_set *set, const struct frame *frame)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct remote_cid *entry = &set->entries[i];
        bool same_cid = roam_cid_equal(&entry->cid, &frame->new_connection_id.cid);
        bool same_token =
            entry->has_reset_token &&
            equal_in_constant_time(entry->reset_token, frame->new_connection_id.reset_token, RESET_TOKEN_BYTES);
        bool same_sequence = entry->sequence == frame->new_connection_id.sequence;
        if (same_cid != same_sequence || same_token != same_sequence)
            return true;
    }
    return false;
}

static void add_entry(struct remote_cid_set *set, const struct frame *frame)
{
    size_t i = set->count;
    while (i > 0 && set->entries[i - 1].sequence > frame->new_connection_id.sequence)
        i--;
    memmove(&set->entries[i + 1], &set->entries[i], (set->count + set->retirement_count - i) * sizeof(set->entries[0]));
    struct remote_cid *entry = &set->entries[i];
    memset(entry, 0, sizeof(*entry));
    entry->sequence = frame->new_connection_id.sequence;
    entry->cid = frame->new_connection_id.cid;
    entry->has_reset_token = true;
    memcpy(entry->reset_token, frame->new_connection_id.reset_token, RESET_TOKEN_BYTES);
    set->count++;
}

uint64_t remote_cid_on_new(struct remote_cid_set *set, const struct frame *frame, bool *ret_added)
{
    uint64_t sequence = frame->new_connection_id.sequence;
    assert(frame->new_connection_id.retire_prior_to <= sequence);
    //= rfc9000#19.15 A peer that uses a zero-length CID has no other.
    if (is_zero_length(set) || contradicts(set, frame))
        return ROAM_PROTOCOL_VIOLATION;

    //= rfc9000#19.15 A Retire Prior To that does not rise is ignored.
    uint64_t prior = max_u64(set->retire_prior_to, frame->new_connection_id.retire_prior_to);
    bool fresh =
        !seen_sequences_contain(&set->seen, sequence); /* hence not below `prior`: nothing down there is unseen */
    size_t live = fresh;
    for (size_t i = 0; i < set->count; i++)
        live += set->entries[i].sequence >= prior;
    //= rfc9000#5.1.1-6 After adding and retiring, more than our limit is an error.
    if (live > set->limit)
        return ROAM_CONNECTION_ID_LIMIT_ERROR;
    //= rfc9000#5.1.2-5 Retirements that wait for acknowledgement are bounded, and their overflow is an error.
    const size_t kept = (size_t)set->retirement_count + set->count;
    const size_t room = REMOTE_ENTRIES_MAX - kept;
    const uint64_t unseen = seen_sequences_missing_below(&set->seen, prior);
    if (fresh > room || unseen > room - fresh)
        return ROAM_CONNECTION_ID_LIMIT_ERROR;
    if (!reserve_entries(set, kept + fresh + unseen) ||
        (fresh && !seen_sequences_reserve(&set->seen, set->allocator, sequence)))
        return ROAM_INTERNAL_ERROR;

    if (prior > set->retire_prior_to)
        retire_below(set, prior);
    if (fresh) {
        if (!seen_sequences_add(&set->seen, sequence))
            return ROAM_CONNECTION_ID_LIMIT_ERROR;
        add_entry(set, frame);
    }
    *ret_added = fresh;
    return ROAM_NO_ERROR;
}

/* ---- Which path uses which --------------------------------------------------------------------------------------- */

/* Index of the path's assignment, or assignment_count. */
static size_t assignment_of(const struct remote_cid_set *set, uint64_t path_id)
{
    size_t i = 0;
    while (i < set->assignment_count && set->assignments[i].path_id != path_id)
        i++;
    return i;
}

static bool is_assigned(const struct remote_cid_set *set, uint64_t sequence)
{
    for (size_t i = 0; i < set->assignment_count; i++)
        if (set->assignments[i].sequence == sequence)
            return true;
    return false;
}

/* What no path uses was never used: what a path gave up left the entries. */
static const struct remote_cid *find_unused(const struct remote_cid_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (!is_assigned(set, set->entries[i].sequence))
            return &set->entries[i];
    return NULL;
}

static void add_assignment(struct remote_cid_set *set, uint64_t path_id, uint64_t sequence)
{
    assert(set->assignment_count < set->assignment_capacity);
    set->assignments[set->assignment_count++] = (struct remote_assignment){.path_id = path_id, .sequence = sequence};
}

size_t remote_cid_spare(const struct remote_cid_set *set)
{
    size_t spare = 0;
    if (is_zero_length(set))
        return 0;
    for (size_t i = 0; i < set->count; i++)
        spare += !is_assigned(set, set->entries[i].sequence);
    return spare;
}

bool remote_cid_assign(struct remote_cid_set *set, uint64_t path_id)
{
    if (is_zero_length(set) || assignment_of(set, path_id) < set->assignment_count)
        return true;
    return remote_cid_rotate(set, path_id);
}

void remote_cid_share(struct remote_cid_set *set, uint64_t path_id, uint64_t from_path_id)
{
    if (is_zero_length(set))
        return;
    size_t from = assignment_of(set, from_path_id);
    assert(from < set->assignment_count);
    struct remote_assignment shared = set->assignments[from];
    if (path_id == from_path_id)
        return;
    size_t own = assignment_of(set, path_id);
    if (own < set->assignment_count && set->assignments[own].sequence == shared.sequence)
        return;
    remote_cid_release(set, path_id);
    //= rfc9000#9.5-4 The peer's address changed under an unchanged CID: ours may stay as well.
    if (!reserve_assignment(set))
        return;
    shared.path_id = path_id;
    set->assignments[set->assignment_count++] = shared;
}

/* So many retirements wait for acknowledgement that what the peer sends in their place, up to twice our limit, would soon
 * find no room. The peer cannot be blamed for that, and who moves on through a network that answers after tens of seconds
 * comes here. */
static bool has_given_up_enough(const struct remote_cid_set *set)
{
    return set->retirement_count + 2 * (size_t)set->limit >= REMOTE_ENTRIES_MAX;
}

bool remote_cid_rotate(struct remote_cid_set *set, uint64_t path_id)
{
    if (is_zero_length(set) || has_given_up_enough(set))
        return false;
    const struct remote_cid *unused = find_unused(set);
    const bool has_one = assignment_of(set, path_id) < set->assignment_count;
    if (unused == NULL || (!has_one && !reserve_assignment(set)))
        return false;
    uint64_t sequence = unused->sequence;
    remote_cid_release(set, path_id);
    add_assignment(set, path_id, sequence);
    return true;
}

void remote_cid_release(struct remote_cid_set *set, uint64_t path_id)
{
    size_t index = assignment_of(set, path_id);
    if (index == set->assignment_count)
        return;
    uint64_t sequence = set->assignments[index].sequence;
    remove_assignment(set, index);
    if (is_zero_length(set) || is_assigned(set, sequence))
        return;
    //= rfc9000#5.1.2-1 A CID whose addresses are no longer in use is retired.
    retire_entry(set, find_sequence(set, sequence));
}

struct remote_cid *remote_cid_of_path(const struct remote_cid_set *set, uint64_t path_id)
{
    if (is_zero_length(set))
        return &set->entries[0];
    size_t index = assignment_of(set, path_id);
    return index < set->assignment_count ? find_sequence(set, set->assignments[index].sequence) : NULL;
}

struct remote_assignment *remote_cid_assignment(const struct remote_cid_set *set, uint64_t path_id)
{
    size_t index = assignment_of(set, path_id);
    return index < set->assignment_count ? &set->assignments[index] : NULL;
}

/* ---- RETIRE_CONNECTION_ID on the wire ------------------------------------------------------------ */

static struct remote_cid *find_retirement(const struct remote_cid_set *set, uint64_t sequence)
{
    struct remote_cid *retirements = remote_cid_retirements(set);
    for (size_t i = 0; i < set->retirement_count; i++)
        if (retirements[i].sequence == sequence)
            return &retirements[i];
    return NULL;
}

bool remote_cid_next_retirement(const struct remote_cid_set *set, uint64_t *ret_sequence)
{
    const struct remote_cid *retirements = remote_cid_retirements(set);
    size_t i = 0;
    while (i < set->retirement_count && retirements[i].retirement != RETIREMENT_PENDING)
        i++;
    if (i < set->retirement_count)
        *ret_sequence = retirements[i].sequence;
    return i < set->retirement_count;
}

void remote_cid_on_retirement_sent(struct remote_cid_set *set, uint64_t sequence)
{
    struct remote_cid *entry = find_retirement(set, sequence);
    if (entry != NULL)
        entry->retirement = RETIREMENT_SENT;
}

void remote_cid_on_retirement_acked(struct remote_cid_set *set, uint64_t sequence)
{
    struct remote_cid *entry = find_retirement(set, sequence);
    if (entry != NULL)
        *entry = remote_cid_retirements(set)[--set->retirement_count];
}

void remote_cid_on_retirement_lost(struct remote_cid_set *set, uint64_t sequence)
{
    struct remote_cid *entry = find_retirement(set, sequence);
    //= rfc9000#13.3 RETIRE_CONNECTION_ID is sent again until some copy is acknowledged.
    if (entry != NULL)
        entry->retirement = RETIREMENT_PENDING;
}

const struct remote_cid *remote_cid_of_token(const struct remote_cid_set *set, const uint8_t token[RESET_TOKEN_BYTES])
{
    const struct remote_cid *found = NULL;
    //= rfc9000#10.3.1-4 Compared in constant time.
    //= rfc9000#10.3.1-3 Not with tokens of CIDs never used or already retired.
    for (size_t i = 0; i < set->count; i++) {
        const struct remote_cid *entry = &set->entries[i];
        if (entry->used && entry->has_reset_token &&
            equal_in_constant_time(entry->reset_token, token, RESET_TOKEN_BYTES))
            found = entry;
    }
    return found;
}

static void check_assignments(const struct remote_cid_set *set)
{
    assert(set->assignment_count <= set->assignment_capacity);
    for (size_t i = 0; i < set->assignment_count; i++) {
        bool named = false;
        for (size_t j = 0; j < set->count; j++)
            named |= set->entries[j].sequence == set->assignments[i].sequence;
        assert(named);
        for (size_t j = 0; j < i; j++)
            assert(set->assignments[i].path_id != set->assignments[j].path_id);
    }
}

void remote_cid_set_check(const struct remote_cid_set *set)
{
    assert(set->count <= set->limit && set->limit <= REMOTE_CIDS_MAX);
    assert(set->count + set->retirement_count <= set->entry_capacity);
    assert(set->entry_capacity <= REMOTE_ENTRIES_MAX);
    assert(set->seen.below >= set->retire_prior_to);
    seen_sequences_check(&set->seen);
    for (size_t i = 0; i < set->count; i++) {
        const struct remote_cid *entry = &set->entries[i];
        assert(seen_sequences_contain(&set->seen, entry->sequence) && entry->sequence >= set->retire_prior_to);
        assert(entry->cid.len > 0 || set->count == 1);
        assert(find_retirement(set, entry->sequence) == NULL);
        for (size_t j = 0; j < i; j++) {
            assert(set->entries[j].sequence < entry->sequence);
            assert(!roam_cid_equal(&set->entries[j].cid, &entry->cid));
        }
    }
    const struct remote_cid *retirements = remote_cid_retirements(set);
    for (size_t i = 0; i < set->retirement_count; i++) {
        assert(seen_sequences_contain(&set->seen, retirements[i].sequence));
        assert(find_retirement(set, retirements[i].sequence) == &retirements[i]);
    }
    check_assignments(set);
}
