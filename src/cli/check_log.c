/* The lines of the log, and what they say about a move. Pure: no socket, no clock, no connection. */
#include "cli/check_log.h"

#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"

#define CAPACITY_FIRST 64

/* RFC 9000 section 8. Not the one by which we send: that is what is examined where the server is ours. */
#define ALLOWED_FACTOR 3

void log_init(struct check_log *log)
{
    *log = (struct check_log){0};
}

void log_done(struct check_log *log)
{
    free(log->entries);
    log_init(log);
}

struct seen_datagram *log_add(struct check_log *log)
{
    if (log->count == log->capacity) {
        size_t capacity = log->capacity > 0 ? 2 * log->capacity : CAPACITY_FIRST;
        struct seen_datagram *entries = realloc(log->entries, capacity * sizeof(*entries));
        if (entries == NULL)
            return NULL;
        log->entries = entries;
        log->capacity = capacity;
    }
    struct seen_datagram *entry = &log->entries[log->count++];
    *entry = (struct seen_datagram){0};
    return entry;
}

static bool has(const struct seen_datagram *entry, enum frame_type type)
{
    return (entry->frames & frame_bit(type)) != 0;
}

/* RFC 9000 section 9.1. */
static bool is_probing(const struct seen_datagram *entry)
{
    const uint64_t probing = frame_bit(FRAME_PATH_CHALLENGE) | frame_bit(FRAME_PATH_RESPONSE) |
                             frame_bit(FRAME_NEW_CONNECTION_ID) | frame_bit(FRAME_PADDING);
    return (entry->frames & ~probing) == 0;
}

bool log_is_acked(const struct check_log *log, size_t begin, unsigned place)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = begin; i < log->count; i++) {
        const struct seen_datagram *entry = &log->entries[i];
        if (entry->place != place || !entry->opened)
            continue;
        if (entry->sent)
            first = min_u64(first, entry->number);
        else if (entry->has_ack && first != UINT64_MAX && entry->acked >= first)
            return true;
    }
    return false;
}

/* ---- A move ------------------------------------------------------------------------------------------------------ */

struct walk {
    const struct check_log *log;
    size_t begin;
    unsigned old_place, new_place;
    struct move_facts *facts;
    uint64_t first_number;  /* of ours from the new place */
    uint64_t lowest_number; /* of the server's to the new place */
};

static void on_sent_new(struct walk *walk, const struct seen_datagram *entry)
{
    struct move_facts *facts = walk->facts;
    if (facts->sent_new++ == 0) {
        facts->moved_at = entry->time;
        facts->trigger_bytes = entry->bytes;
    }
    if (entry->opened)
        walk->first_number = min_u64(walk->first_number, entry->number);
    if (facts->answered_after == 0 && has(entry, FRAME_PATH_RESPONSE))
        facts->answered_after = max_u64(entry->time - facts->moved_at, 1);
    if (facts->answered_after == 0)
        facts->bytes_out += entry->bytes;
}

static void note_challenge(struct walk *walk, const struct seen_datagram *entry)
{
    struct move_facts *facts = walk->facts;
    facts->challenges_new += entry->challenge_count;
    facts->challenge_bytes = max_size(facts->challenge_bytes, entry->bytes);
    uint64_t before = facts->bytes_in - min_u64(facts->bytes_in, entry->bytes);
    facts->challenge_room |=
        facts->answered_after != 0 || ALLOWED_FACTOR * facts->bytes_out >= before + DATAGRAM_BYTES_MIN;
}

static void on_received_new(struct walk *walk, const struct seen_datagram *entry)
{
    struct move_facts *facts = walk->facts;
    if (facts->answered_after == 0) {
        facts->bytes_in += entry->bytes;
        uint64_t allowed = ALLOWED_FACTOR * facts->bytes_out;
        facts->bytes_beyond = max_u64(facts->bytes_beyond, facts->bytes_in - min_u64(facts->bytes_in, allowed));
    }
    if (!entry->opened)
        return;
    if (facts->received_new++ == 0)
        facts->first_after = entry->time - facts->moved_at;
    if (entry->number < walk->lowest_number) {
        walk->lowest_number = entry->number;
        facts->challenge_first = entry->challenge_count > 0;
        facts->first_frames = entry->frames;
    }
    if (entry->challenge_count > 0)
        note_challenge(walk, entry);
    if (has(entry, FRAME_PATH_RESPONSE)) {
        facts->responses_new++;
        facts->response_bytes = max_size(facts->response_bytes, entry->bytes);
    }
    facts->non_probing_new |= !is_probing(entry);
    facts->stream_bytes_new += entry->stream_bytes;
    facts->cid_new = entry->dcid;
    if (!facts->acked_new && entry->has_ack && walk->first_number != UINT64_MAX && entry->acked >= walk->first_number) {
        facts->acked_new = true;
        facts->acked_after = entry->time - facts->moved_at;
    }
}

static void on_received_old(struct walk *walk, const struct seen_datagram *entry)
{
    walk->facts->received_old++;
    walk->facts->challenges_old += entry->challenge_count;
}

/* RFC 9000 section 9.5: whoever sees both places must not see one CID in both. */
static void compare_cids(struct walk *walk)
{
    const struct check_log *log = walk->log;
    struct move_facts *facts = walk->facts;
    for (size_t i = 0; i < log->count; i++) {
        const struct seen_datagram *entry = &log->entries[i];
        if (entry->sent || !entry->opened || entry->place != walk->old_place)
            continue;
        facts->cid_old = entry->dcid;
        for (size_t j = walk->begin; j < log->count; j++) {
            const struct seen_datagram *other = &log->entries[j];
            facts->cid_shared |= !other->sent && other->opened && other->place == walk->new_place &&
                                 entry->dcid.len > 0 && roam_cid_equal(&entry->dcid, &other->dcid);
        }
    }
}

static bool was_received(const struct check_log *log, uint64_t number)
{
    for (size_t i = 0; i < log->count; i++)
        if (!log->entries[i].sent && log->entries[i].opened && log->entries[i].number == number)
            return true;
    return false;
}

/* A packet number comes once from a server; a second time it comes from the network, whose doing is not judged. */
static bool is_copy(const struct check_log *log, size_t at)
{
    const struct seen_datagram *entry = &log->entries[at];
    for (size_t i = 0; i < at && !entry->sent && entry->opened; i++) {
        const struct seen_datagram *other = &log->entries[i];
        if (!other->sent && other->opened && other->number == entry->number)
            return true;
    }
    return false;
}

/* RFC 9000 section 8.2.1: unpredictable, so never twice. */
static bool data_repeats(const struct check_log *log, size_t begin)
{
    for (size_t i = begin; i < log->count; i++) {
        const struct seen_datagram *entry = &log->entries[i];
        for (size_t j = begin; !entry->sent && j < i; j++) {
            const struct seen_datagram *other = &log->entries[j];
            for (unsigned a = 0; a < entry->challenge_count && !other->sent && other->number != entry->number; a++)
                for (unsigned b = 0; b < other->challenge_count; b++)
                    if (memcmp(entry->challenges[a], other->challenges[b], PATH_DATA_BYTES) == 0)
                        return true;
        }
    }
    return false;
}

void log_move_facts(const struct check_log *log, size_t begin, unsigned old_place, unsigned new_place,
                    struct move_facts *ret)
{
    *ret = (struct move_facts){0};
    struct walk walk = {.log = log,
                        .begin = begin,
                        .old_place = old_place,
                        .new_place = new_place,
                        .facts = ret,
                        .first_number = UINT64_MAX,
                        .lowest_number = UINT64_MAX};
    for (size_t i = begin; i < log->count; i++) {
        const struct seen_datagram *entry = &log->entries[i];
        if (is_copy(log, i))
            continue;
        if (entry->sent && entry->place == new_place)
            on_sent_new(&walk, entry);
        else if (!entry->sent && entry->place == new_place)
            on_received_new(&walk, entry);
        else if (!entry->sent && entry->place == old_place && ret->sent_new > 0)
            on_received_old(&walk, entry);
    }
    ret->first_is_certain = was_received(log, walk.lowest_number - 1);
    compare_cids(&walk);
    ret->challenge_repeated = data_repeats(log, begin);
}
