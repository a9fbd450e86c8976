/*
 * The receiving half. What came lies in chunks whose places are fixed by the stream offset (1, 3, 12 KiB, then 16 KiB
 * each), in a list by offset; a chunk goes back to the allocator when it has been read, and all of them when nothing
 * unread is left.
 *
 * Invariants: octets below `read` came and are gone; received covers exactly what lies in the chunks at or above
 * `read` and in the loans, which were in order when they came; highest is at least all of these; final_size, once known, never changes and highest never passes it. While
 * discarding, and after a reset, there are no chunks.
 */
#include "stream/recv_half.h"

#include <assert.h>

#include "base/minmax.h"

/* Memory for ranges that an idle half may keep. */
#define IDLE_RANGES 8

struct recv_chunk {
    struct recv_chunk *next;
    uint64_t start, end;
    uint8_t data[];
};

void recv_half_init(struct recv_half *half, const roam_allocator *allocator)
{
    *half = (struct recv_half){.allocator = allocator, .state = RECV_OPEN, .final_size = FINAL_SIZE_UNKNOWN};
    range_set_init(&half->received, allocator, RECV_GAPS_MAX + 1);
}

/* Frees the chunks that end at or below `offset`. */
static void free_chunks_below(struct recv_half *half, uint64_t offset)
{
    while (half->chunks != NULL && half->chunks->end <= offset) {
        struct recv_chunk *chunk = half->chunks;
        half->chunks = chunk->next;
        mem_free(half->allocator, chunk, sizeof(*chunk) + (size_t)(chunk->end - chunk->start));
    }
    if (half->chunks == NULL)
        half->last_chunk = NULL;
}

static void drop_buffer(struct recv_half *half)
{
    free_chunks_below(half, UINT64_MAX);
    recv_loans_done(&half->loans, half->allocator);
    range_set_done(&half->received);
}

void recv_half_done(struct recv_half *half)
{
    drop_buffer(half);
}

/* ---- What comes ------------------------------------------------------------------------------------------------- */

/* The place of the chunk that holds `offset`: small at the start of a stream, for most streams are short. */
static void chunk_place(uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
    if (offset >= RECV_CHUNK_BYTES) {
        *ret_start = offset - offset % RECV_CHUNK_BYTES;
        *ret_end = *ret_start + RECV_CHUNK_BYTES;
        return;
    }
    *ret_start = offset < 1024 ? 0 : offset < 4096 ? 1024 : 4096;
    *ret_end = offset < 1024 ? 1024 : offset < 4096 ? 4096 : RECV_CHUNK_BYTES;
}

/* The chunk for `offset`, made where there is none; NULL without memory. Looks at the last chunk first: data comes in
 * order, and what was lost comes again near the front. */
static struct recv_chunk *chunk_for(struct recv_half *half, uint64_t offset)
{
    struct recv_chunk **link = &half->chunks;
    if (half->last_chunk != NULL && offset >= half->last_chunk->start) {
        if (offset < half->last_chunk->end)
            return half->last_chunk;
        link = &half->last_chunk->next;
    }
    while (*link != NULL && (*link)->end <= offset)
        link = &(*link)->next;
    if (*link != NULL && (*link)->start <= offset)
        return *link;

    uint64_t start, end;
    chunk_place(offset, &start, &end);
    struct recv_chunk *chunk = mem_alloc(half->allocator, sizeof(*chunk) + (size_t)(end - start));
    if (chunk == NULL)
        return NULL;
    chunk->next = *link;
    chunk->start = start;
    chunk->end = end;
    *link = chunk;
    if (chunk->next == NULL)
        half->last_chunk = chunk;
    return chunk;
}

/* Copies data for [start, end) into the chunks. */
static bool store(struct recv_half *half, uint64_t start, uint64_t end, const uint8_t *data)
{
    while (start < end) {
        struct recv_chunk *chunk = chunk_for(half, start);
        if (chunk == NULL)
            return false;
        size_t run = (size_t)(min_u64(end, chunk->end) - start);
        memcpy(chunk->data + (start - chunk->start), data, run);
        start += run;
        data += run;
    }
    return true;
}

/* Stores what of [start, end) has not come yet: data at an offset never changes once it is there. */
static bool store_missing(struct recv_half *half, uint64_t start, uint64_t end, const uint8_t *data)
{
    while (start < end) {
        const struct range *range = range_set_find(&half->received, start);
        uint64_t stop = range != NULL ? min_u64(end, max_u64(range->start, start)) : end;
        if (!store(half, start, stop, data))
            return false;
        if (range != NULL && stop < end)
            stop = min_u64(end, range->end);
        data += stop - start;
        start = stop;
    }
    return true;
}

/* One past the last octet that can be read. */
static uint64_t contiguous_end(const struct recv_half *half)
{
    const struct range *range = range_set_find(&half->received, half->read);
    return range != NULL && range->start <= half->read ? range->end : half->read;
}

static bool is_receiving(const struct recv_half *half)
{
    return half->state == RECV_OPEN || half->state == RECV_SIZE_KNOWN;
}

/* RFC 9000 section 4.5: data up to `end`, which is the end of the stream where is_final. */
static bool size_is_consistent(const struct recv_half *half, uint64_t end, bool is_final)
{
    //= rfc9000#4.5 A final size that changes, or data at or beyond it, is FINAL_SIZE_ERROR
    if (half->final_size != FINAL_SIZE_UNKNOWN)
        return is_final ? end == half->final_size : end <= half->final_size;
    return !is_final || end >= half->highest;
}

/* Nothing is missing below `highest`, and the data follows there. */
static bool is_next(const struct recv_half *half, uint64_t offset)
{
    return offset == half->highest && contiguous_end(half) == half->highest;
}

static bool take(struct recv_half *half, uint64_t start, uint64_t end, const uint8_t *data, bool lent)
{
    bool stays = lent && is_next(half, start) && recv_loans_add(&half->loans, half->allocator, start, end, data);
    return stays || store_missing(half, start, end, data);
}

static uint64_t push(struct recv_half *half, uint64_t offset, const uint8_t *data, size_t len, bool fin, bool lent,
                     uint64_t *ret_new_highest)
{
    uint64_t end = offset + len, start = max_u64(offset, half->read);
    if (!size_is_consistent(half, end, fin))
        return ROAM_FINAL_SIZE_ERROR;
    if (is_receiving(half) && !half->discarding && start < end) {
        if (!take(half, start, end, data + (start - offset), lent))
            return ROAM_INTERNAL_ERROR;
        enum range_set_result result = range_set_add(&half->received, start, end);
        half->too_many_gaps = result == RANGE_SET_FULL;
        if (result != RANGE_SET_OK)
            return ROAM_INTERNAL_ERROR;
    }
    *ret_new_highest = saturating_sub(end, half->highest);
    half->highest = max_u64(half->highest, end);
    if (half->discarding)
        half->read = half->highest;
    if (!is_receiving(half))
        return ROAM_NO_ERROR;
    if (fin) {
        half->final_size = end;
        half->state = RECV_SIZE_KNOWN;
    }
    if (half->state == RECV_SIZE_KNOWN && !half->discarding && contiguous_end(half) == half->final_size)
        half->state = RECV_DATA_RECVD;
    return ROAM_NO_ERROR;
}

uint64_t recv_half_push(struct recv_half *half, uint64_t offset, const uint8_t *data, size_t len, bool fin,
                        uint64_t *ret_new_highest)
{
    return push(half, offset, data, len, fin, false, ret_new_highest);
}

uint64_t recv_half_push_lent(struct recv_half *half, uint64_t offset, const uint8_t *data, size_t len, bool fin,
                             uint64_t *ret_new_highest)
{
    return push(half, offset, data, len, fin, true, ret_new_highest);
}

bool recv_half_end_loans(struct recv_half *half)
{
    bool stored = true;
    const struct recv_loan *loan;
    while ((loan = recv_loans_oldest(&half->loans)) != NULL) {
        uint64_t start = max_u64(loan->start, half->read), end = loan->end;
        stored &= store(half, start, end, loan->data + (start - loan->start));
        recv_loans_forget_below(&half->loans, half->allocator, end);
    }
    return stored;
}

uint64_t recv_half_on_reset(struct recv_half *half, uint64_t code, uint64_t final_size, uint64_t *ret_new_highest)
{
    if (!size_is_consistent(half, final_size, true))
        return ROAM_FINAL_SIZE_ERROR;
    *ret_new_highest = final_size - half->highest;
    half->highest = half->final_size = final_size;
    if (!is_receiving(half))
        return ROAM_NO_ERROR;
    drop_buffer(half);
    half->reset_code = code;
    half->state = RECV_RESET_RECVD;
    return ROAM_NO_ERROR;
}

void recv_half_on_reset_told(struct recv_half *half)
{
    if (half->state == RECV_RESET_RECVD)
        half->state = RECV_RESET_READ;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

size_t recv_half_readable(const struct recv_half *half)
{
    return (size_t)(contiguous_end(half) - half->read);
}

size_t recv_half_peek(const struct recv_half *half, const uint8_t **ret)
{
    size_t readable = recv_half_readable(half);
    if (readable == 0)
        return 0;
    const struct recv_loan *loan = recv_loans_oldest(&half->loans);
    if (loan != NULL && loan->start <= half->read) {
        *ret = loan->data + (half->read - loan->start);
        return (size_t)(loan->end - half->read);
    }
    const struct recv_chunk *chunk = half->chunks;
    assert(chunk != NULL && chunk->start <= half->read && half->read < chunk->end);
    *ret = chunk->data + (half->read - chunk->start);
    uint64_t end = loan != NULL ? min_u64(chunk->end, loan->start) : chunk->end;
    return min_size(readable, (size_t)(end - half->read));
}

void recv_half_consume(struct recv_half *half, size_t len)
{
    assert(len <= recv_half_readable(half));
    half->read += len;
    recv_loans_forget_below(&half->loans, half->allocator, half->read);
    if (half->read == half->highest) {
        free_chunks_below(half, UINT64_MAX);
        if (half->received.capacity > IDLE_RANGES)
            range_set_done(&half->received);
    } else {
        free_chunks_below(half, half->read);
    }
    if (half->state == RECV_DATA_RECVD && half->read == half->final_size)
        half->state = RECV_DATA_READ;
}

bool recv_half_at_end(const struct recv_half *half)
{
    return (half->state == RECV_DATA_RECVD || half->state == RECV_DATA_READ) && half->read == half->final_size;
}

uint64_t recv_half_discard(struct recv_half *half)
{
    uint64_t waiting = half->highest - half->read;
    drop_buffer(half);
    half->read = half->highest;
    half->discarding = true;
    return waiting;
}

bool recv_half_is_terminal(const struct recv_half *half)
{
    if (half->discarding)
        return half->final_size != FINAL_SIZE_UNKNOWN;
    return half->state == RECV_DATA_READ || half->state == RECV_RESET_READ;
}

void recv_half_check(const struct recv_half *half)
{
    range_set_check(&half->received);
    assert(half->read <= half->highest && half->highest <= half->final_size);
    assert((half->state == RECV_OPEN) == (half->final_size == FINAL_SIZE_UNKNOWN));
    if (half->state == RECV_DATA_READ)
        assert(half->read == half->final_size);
    if (half->discarding || half->state == RECV_RESET_RECVD || half->state == RECV_RESET_READ)
        assert(half->chunks == NULL && half->received.count == 0);
    for (size_t i = 0; i < half->loans.count; i++) {
        const struct recv_loan *loan = &half->loans.entries[half->loans.first + i];
        assert(loan->start < loan->end && loan->end > half->read && loan->end <= half->highest);
        assert(i == 0 || loan->start >= loan[-1].end);
    }
    uint64_t at = half->read;
    for (const struct recv_chunk *chunk = half->chunks; chunk != NULL; chunk = chunk->next) {
        assert(chunk->start < chunk->end && chunk->end > half->read);
        assert(chunk == half->chunks || chunk->start >= at);
        assert((chunk->next == NULL) == (chunk == half->last_chunk));
        at = chunk->end;
    }
    if (half->received.count > 0)
        assert(half->received.ranges[half->received.count - 1].end <= half->highest);
}
