/*
 * The connection IDs that the peer gave us: see the header for the states of a sequence and the invariants.
 *
 * Two things keep the bookkeeping flat for ever. What was seen is kept as runs of sequences, which grow together as
 * gaps close, and not as a list of what was retired. And each entry holds a reserved place in the retirement queue (the
 * sum of both is bounded where a CID comes in, the one place where an error can be answered), so that no CID that we
 * give up is ever forgotten for want of room.
 */
#include "cid/remote_cid.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"
#include "base/rng.h"

_Static_assert(REMOTE_RETIREMENTS_MAX >= 2 * REMOTE_CIDS_MAX + REMOTE_CIDS_MAX,
               "twice the limit may be unacknowledged while all the live ones have their place reserved");

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

/* ---- Sequences seen -------------------------------------------------------------------------------------------- */

static bool is_seen(const struct remote_cid_set *set, uint64_t sequence)
{
    for (size_t i = 0; i < set->seen_count; i++)
        if (sequence >= set->seen[i].start && sequence < set->seen[i].end)
            return true;
    return false;
}

/* How many sequences below `end` never came. */
static uint64_t count_unseen_below(const struct remote_cid_set *set, uint64_t end)
{
    uint64_t unseen = end;
    for (size_t i = 0; i < set->seen_count && set->seen[i].start < end; i++)
        unseen -= min_u64(set->seen[i].end, end) - set->seen[i].start;
    return unseen;
}

static void remove_seen(struct remote_cid_set *set, size_t index)
{
    memmove(&set->seen[index], &set->seen[index + 1], (set->seen_count - index - 1) * sizeof(set->seen[0]));
    set->seen_count--;
}

/* The sequence must be unseen. False where it would need a further run and there is no room for one. */
static bool add_seen(struct remote_cid_set *set, uint64_t sequence)
{
    size_t i = 0;
    while (i < set->seen_count && set->seen[i].end < sequence)
        i++;
    if (i < set->seen_count && set->seen[i].end == sequence) {
        set->seen[i].end++;
        if (i + 1 < set->seen_count && set->seen[i + 1].start == set->seen[i].end) {
            set->seen[i].end = set->seen[i + 1].end;
            remove_seen(set, i + 1);
        }
        return true;
    }
    if (i < set->seen_count && set->seen[i].start == sequence + 1) {
        set->seen[i].start--;
        return true;
    }
    if (set->seen_count == REMOTE_SEEN_RANGES_MAX)
        return false;
    assert(set->seen_count < set->seen_capacity);
    memmove(&set->seen[i + 1], &set->seen[i], (set->seen_count - i) * sizeof(set->seen[0]));
    set->seen[i].start = sequence;
    set->seen[i].end = sequence + 1;
    set->seen_count++;
    return true;
}

/* ---- Retiring -------------------------------------------------------------------------------------------------- */

static void queue_retirement(struct remote_cid_set *set, uint64_t sequence)
{
    assert(set->retirement_count < set->retirement_capacity);
    set->retirements[set->retirement_count].sequence = sequence;
    set->retirements[set->retirement_count].state = RETIREMENT_PENDING;
    set->retirement_count++;
}

//= rfc9000#5.1.2-7 No CID leaves but for the queue of those that are retired on the wire.
/* The entry leaves, its reserved place in the queue is taken. */
//= rfc9000#5.1.2-7 A CID goes by this way alone: whatever leaves the set is retired on the wire.
//= rfc9000#5.1.2-7 A CID goes by this way alone: whatever leaves the set is retired on the wire.
static void retire_entry(struct remote_cid_set *set, struct remote_cid *entry)
{
    size_t index = (size_t)(entry - set->entries);
    uint64_t sequence = entry->sequence;
    wipe(entry->reset_token, sizeof(entry->reset_token));
    memmove(entry, entry + 1, (set->count - index - 1) * sizeof(*entry));
    set->count--;
    queue_retirement(set, sequence);
}

static void remove_assignment(struct remote_cid_set *set, size_t index)
{
    set->assignments[index] = set->assignments[--set->assignment_count];
}

/* Sequences below `end` whose NEW_CONNECTION_ID never came are retired unseen: where it comes later, it is a repeat. */
static void retire_unseen_below(struct remote_cid_set *set, uint64_t end)
{
    while (set->seen[0].end < end) {
        uint64_t gap_end = set->seen_count > 1 ? min_u64(set->seen[1].start, end) : end;
        while (set->seen[0].end < gap_end)
            queue_retirement(set, set->seen[0].end++);
        if (set->seen_count > 1 && set->seen[1].start == set->seen[0].end) {
            set->seen[0].end = set->seen[1].end;
            remove_seen(set, 1);
        }
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

/* Room for so many entries, retirements and runs, so that nothing fails on the way. */
static bool reserve(struct remote_cid_set *set, size_t entries, size_t retirements, size_t runs)
{
    return mem_reserve(set->allocator, &set->entries, &set->entry_capacity, entries, REMOTE_CIDS_MAX,
                       sizeof(*set->entries)) &&
           mem_reserve(set->allocator, &set->retirements, &set->retirement_capacity, retirements,
                       REMOTE_RETIREMENTS_MAX, sizeof(*set->retirements)) &&
           mem_reserve(set->allocator, &set->seen, &set->seen_capacity, runs, REMOTE_SEEN_RANGES_MAX,
                       sizeof(*set->seen));
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
    if (!reserve(set, 1, 1, 1) || !reserve_assignment(set)) {
        remote_cid_set_done(set);
        return false;
    }
    set->entries[0] = (struct remote_cid){.cid = *initial};
    set->count = 1;
    set->seen[0].start = 0;
    set->seen[0].end = 1;
    set->seen_count = 1;
    return true;
}

void remote_cid_set_done(struct remote_cid_set *set)
{
    if (set->entries != NULL)
        wipe(set->entries, set->entry_capacity * sizeof(*set->entries));
    mem_free(set->allocator, set->entries, set->entry_capacity * sizeof(*set->entries));
    mem_free(set->allocator, set->retirements, set->retirement_capacity * sizeof(*set->retirements));
    mem_free(set->allocator, set->assignments, set->assignment_capacity * sizeof(*set->assignments));
    mem_free(set->allocator, set->seen, set->seen_capacity * sizeof(*set->seen));
    *set = (struct remote_cid_set){.allocator = set->allocator};
}

void remote_cid_replace_initial(struct remote_cid_set *set, const roam_cid *cid)
{
    assert(set->count == 1 && set->entries[0].sequence == 0 && set->seen_count == 1 && set->seen[0].end == 1);
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
    memmove(&set->entries[i + 1], &set->entries[i], (set->count - i) * sizeof(set->entries[0]));
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
    bool fresh = !is_seen(set, sequence); /* hence not below `prior`: nothing down there is unseen */
    size_t live = fresh;
    for (size_t i = 0; i < set->count; i++)
        live += set->entries[i].sequence >= prior;
    //= rfc9000#5.1.1-6 After adding and retiring, more than our limit is an error.
    if (live > set->limit)
        return ROAM_CONNECTION_ID_LIMIT_ERROR;
    //= rfc9000#5.1.2-5 Retirements that wait for acknowledgement are bounded, and their overflow is an error.
    const size_t kept = (size_t)set->retirement_count + set->count;
    const size_t room = REMOTE_RETIREMENTS_MAX - kept;
    const uint64_t unseen = count_unseen_below(set, prior);
    if (fresh > room || unseen > room - fresh)
        return ROAM_CONNECTION_ID_LIMIT_ERROR;
    const bool opens_run = fresh && sequence != set->seen[set->seen_count - 1].end;
    if (!reserve(set, min_size(set->count + fresh, REMOTE_CIDS_MAX), kept + fresh + unseen,
                 min_size((size_t)set->seen_count + opens_run, REMOTE_SEEN_RANGES_MAX)))
        return ROAM_INTERNAL_ERROR;

    if (prior > set->retire_prior_to)
        retire_below(set, prior);
    if (fresh) {
        if (!add_seen(set, sequence))
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

bool remote_cid_rotate(struct remote_cid_set *set, uint64_t path_id)
{
    if (is_zero_length(set))
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

static size_t retirement_of(const struct remote_cid_set *set, uint64_t sequence)
{
    size_t i = 0;
    while (i < set->retirement_count && set->retirements[i].sequence != sequence)
        i++;
    return i;
}

bool remote_cid_next_retirement(const struct remote_cid_set *set, uint64_t *ret_sequence)
{
    for (size_t i = 0; i < set->retirement_count; i++) {
        if (set->retirements[i].state == RETIREMENT_PENDING) {
            *ret_sequence = set->retirements[i].sequence;
            return true;
        }
    }
    return false;
}

void remote_cid_on_retirement_sent(struct remote_cid_set *set, uint64_t sequence)
{
    size_t index = retirement_of(set, sequence);
    if (index < set->retirement_count)
        set->retirements[index].state = RETIREMENT_SENT;
}

void remote_cid_on_retirement_acked(struct remote_cid_set *set, uint64_t sequence)
{
    size_t index = retirement_of(set, sequence);
    if (index == set->retirement_count)
        return;
    memmove(&set->retirements[index], &set->retirements[index + 1],
            (set->retirement_count - index - 1) * sizeof(set->retirements[0]));
    set->retirement_count--;
}

void remote_cid_on_retirement_lost(struct remote_cid_set *set, uint64_t sequence)
{
    size_t index = retirement_of(set, sequence);
    //= rfc9000#13.3 RETIRE_CONNECTION_ID is sent again until some copy is acknowledged.
    if (index < set->retirement_count)
        set->retirements[index].state = RETIREMENT_PENDING;
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
    assert(set->count <= set->entry_capacity && set->seen_count <= set->seen_capacity);
    assert(set->count + set->retirement_count <= set->retirement_capacity);
    assert(set->retirement_capacity <= REMOTE_RETIREMENTS_MAX);
    assert(set->seen_count >= 1 && set->seen_count <= REMOTE_SEEN_RANGES_MAX && set->seen[0].start == 0);
    assert(set->seen[0].end >= set->retire_prior_to);
    for (size_t i = 0; i < set->seen_count; i++) {
        assert(set->seen[i].start < set->seen[i].end);
        assert(i == 0 || set->seen[i - 1].end < set->seen[i].start);
    }
    for (size_t i = 0; i < set->count; i++) {
        const struct remote_cid *entry = &set->entries[i];
        assert(is_seen(set, entry->sequence) && entry->sequence >= set->retire_prior_to);
        assert(entry->cid.len > 0 || set->count == 1);
        assert(retirement_of(set, entry->sequence) == set->retirement_count);
        for (size_t j = 0; j < i; j++) {
            assert(set->entries[j].sequence < entry->sequence);
            assert(!roam_cid_equal(&set->entries[j].cid, &entry->cid));
        }
    }
    for (size_t i = 0; i < set->retirement_count; i++) {
        assert(is_seen(set, set->retirements[i].sequence));
        assert(retirement_of(set, set->retirements[i].sequence) == i);
    }
    check_assignments(set);
}
