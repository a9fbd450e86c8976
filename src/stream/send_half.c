/*
 * The sending half. The buffer is a list of chunks that cover [base, written) without gaps; a chunk goes back to the
 * allocator as soon as all that it holds is acknowledged, so that an idle stream holds none. Chunks grow from 1 KiB to
 * 16 KiB as a stream goes on writing.
 *
 * Octets below `sent` are in flight, acknowledged (below base, or in acked) or waiting to be sent again (lost,
 * lost_rest).
 * Transitions: see send_half.h; each is made where `state` is assigned.
 */
#include "stream/send_half.h"

#include <assert.h>

#include "base/minmax.h"

#define CHUNK_BYTES_MIN 1024
#define CHUNK_BYTES_MAX 16384

struct send_chunk {
    struct send_chunk *next;
    uint64_t offset; /* in the stream, of data[0] */
    size_t used;
    size_t capacity;     /* of own; 0: the octets are lent */
    const uint8_t *data; /* own, or where the application has them */
    uint8_t own[];
};

static uint64_t chunk_end(const struct send_chunk *chunk)
{
    return chunk->offset + chunk->used;
}

static void chunk_free(struct send_half *half, struct send_chunk *chunk)
{
    mem_free(half->allocator, chunk, sizeof(*chunk) + chunk->capacity);
}

void send_half_init(struct send_half *half, const roam_allocator *allocator, uint64_t capacity)
{
    *half = (struct send_half){.allocator = allocator, .capacity = capacity, .state = SEND_OPEN};
    range_set_init(&half->acked, allocator, SEND_ACKED_RANGES_MAX);
    range_set_init(&half->lost, allocator, SEND_LOST_RANGES_MAX);
}

/* Gives the buffer and all that is known of it back. */
static void drop_buffer(struct send_half *half)
{
    while (half->chunks != NULL) {
        struct send_chunk *next = half->chunks->next;
        chunk_free(half, half->chunks);
        half->chunks = next;
    }
    half->last_chunk = half->cursor = NULL;
    half->lent_end = 0;
    range_set_done(&half->acked);
    range_set_done(&half->lost);
    half->lost_rest = (struct range){0, 0};
}

void send_half_done(struct send_half *half)
{
    drop_buffer(half);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static struct send_chunk *append_chunk(struct send_half *half, size_t capacity)
{
    struct send_chunk *chunk = mem_alloc(half->allocator, sizeof(*chunk) + capacity);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct send_chunk){.offset = half->written, .capacity = capacity, .data = chunk->own};
    if (half->last_chunk != NULL)
        half->last_chunk->next = chunk;
    else
        half->chunks = chunk;
    half->last_chunk = chunk;
    return chunk;
}

/* An empty chunk, the larger the more the stream has written at once or without being acknowledged. */
static struct send_chunk *append_own_chunk(struct send_half *half, size_t wanted)
{
    size_t bytes = CHUNK_BYTES_MIN;
    if (half->last_chunk != NULL)
        wanted = max_size(wanted, half->last_chunk->capacity + 1);
    while (bytes < CHUNK_BYTES_MAX && bytes - sizeof(struct send_chunk) < wanted)
        bytes *= 2;
    return append_chunk(half, bytes - sizeof(struct send_chunk));
}

bool send_half_lend(struct send_half *half, const void *data, size_t len)
{
    if (len == 0)
        return true;
    struct send_chunk *chunk = append_chunk(half, 0);
    if (chunk == NULL)
        return false;
    chunk->data = data;
    chunk->used = len;
    half->written += len;
    half->lent_end = half->written;
    return true;
}

bool send_half_end_loans(struct send_half *half)
{
    for (struct send_chunk **link = &half->chunks; *link != NULL && send_half_has_loans(half); link = &(*link)->next) {
        struct send_chunk *lent = *link;
        if (lent->capacity > 0)
            continue;
        /* What is acknowledged at the front of it is not needed any more. */
        size_t gone = (size_t)saturating_sub(half->base, lent->offset);
        struct send_chunk *copy = mem_alloc(half->allocator, sizeof(*copy) + lent->used - gone);
        if (copy == NULL)
            return false;
        *copy = (struct send_chunk){.next = lent->next,
                                    .offset = lent->offset + gone,
                                    .used = lent->used - gone,
                                    .capacity = lent->used - gone,
                                    .data = copy->own};
        memcpy(copy->own, lent->data + gone, copy->used);
        *link = copy;
        if (half->last_chunk == lent)
            half->last_chunk = copy;
        if (half->cursor == lent)
            half->cursor = copy;
        chunk_free(half, lent);
    }
    half->lent_end = 0;
    return true;
}

size_t send_half_room(const struct send_half *half)
{
    if (half->state != SEND_OPEN || half->finished)
        return 0;
    return (size_t)saturating_sub(half->capacity, half->written - half->base);
}

size_t send_half_write(struct send_half *half, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    len = min_size(len, send_half_room(half));
    size_t taken = 0;
    while (taken < len) {
        struct send_chunk *chunk = half->last_chunk;
        if (chunk == NULL || chunk->used >= chunk->capacity)
            chunk = append_own_chunk(half, len - taken);
        if (chunk == NULL)
            break;
        size_t run = min_size(len - taken, chunk->capacity - chunk->used);
        memcpy(chunk->own + chunk->used, bytes + taken, run);
        chunk->used += run;
        half->written += run;
        taken += run;
    }
    return taken;
}

void send_half_finish(struct send_half *half)
{
    if (half->state == SEND_OPEN)
        half->finished = true;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

/* The first octet from `offset` on that was not acknowledged. */
static uint64_t skip_acked(const struct send_half *half, uint64_t offset)
{
    offset = max_u64(offset, half->base);
    const struct range *range = range_set_find(&half->acked, offset);
    return range != NULL && range->start <= offset ? range->end : offset;
}

/* The first run that must be sent again; false where there is none. */
static bool first_lost(const struct send_half *half, struct range *ret)
{
    if (half->lost.count > 0) {
        *ret = half->lost.ranges[0];
        return true;
    }
    uint64_t start = skip_acked(half, half->lost_rest.start), end = half->lost_rest.end;
    if (start >= end)
        return false;
    const struct range *acked = range_set_find(&half->acked, start);
    *ret = (struct range){start, acked != NULL ? min_u64(end, acked->start) : end};
    return true;
}

static bool fin_is_due(const struct send_half *half)
{
    return half->finished && half->sent == half->written && (!half->fin_sent || half->fin_lost);
}

static bool is_sending(const struct send_half *half)
{
    return half->state == SEND_OPEN || half->state == SEND_DATA_SENT;
}

bool send_half_wants(const struct send_half *half, uint64_t limit)
{
    struct range run;
    if (!is_sending(half))
        return false;
    return (half->sent < half->written && half->sent < limit) || fin_is_due(half) || first_lost(half, &run);
}

/* The chunk that holds the octet at `offset`, which must be in the buffer. */
static struct send_chunk *chunk_at(const struct send_half *half, uint64_t offset)
{
    struct send_chunk *chunk = half->cursor;
    if (chunk == NULL || chunk->offset > offset)
        chunk = half->chunks;
    while (chunk != NULL && chunk_end(chunk) <= offset)
        chunk = chunk->next;
    assert(chunk != NULL && chunk->offset <= offset);
    return chunk;
}

bool send_half_next(const struct send_half *half, uint64_t limit, size_t max, uint64_t *ret_offset,
                    const uint8_t **ret_data, size_t *ret_len, bool *ret_fin)
{
    if (!is_sending(half))
        return false;
    //= rfc9000#13.3 Retransmission goes before new data
    struct range run;
    if (!first_lost(half, &run)) {
        run = (struct range){half->sent, min_u64(half->written, max_u64(limit, half->sent))};
        if (run.start == run.end) {
            if (!fin_is_due(half))
                return false;
            *ret_offset = half->written;
            *ret_data = NULL;
            *ret_len = 0;
            *ret_fin = true;
            return true;
        }
    }
    if (max == 0)
        return false;
    const struct send_chunk *chunk = chunk_at(half, run.start);
    uint64_t end = min_u64(min_u64(run.end, chunk_end(chunk)), saturating_add(run.start, max));
    *ret_offset = run.start;
    *ret_data = chunk->data + (run.start - chunk->offset);
    *ret_len = (size_t)(end - run.start);
    *ret_fin = half->finished && end == half->written;
    return true;
}

void send_half_on_sent(struct send_half *half, uint64_t offset, size_t len, bool fin)
{
    uint64_t end = offset + len;
    assert(is_sending(half) && end <= half->written && offset <= half->sent);
    assert(!fin || (half->finished && end == half->written));
    if (len > 0) {
        /* What is sent again starts where a lost range starts, so that none is split and this cannot fail. */
        if (half->lost.count > 0)
            range_set_remove(&half->lost, offset, end);
        else if (half->lost_rest.start < half->lost_rest.end && offset <= skip_acked(half, half->lost_rest.start))
            half->lost_rest.start = min_u64(half->lost_rest.end, max_u64(half->lost_rest.start, end));
        half->cursor = chunk_at(half, end - 1);
        half->sent = max_u64(half->sent, end);
    }
    if (fin) {
        half->fin_sent = true;
        half->fin_lost = false;
        half->state = SEND_DATA_SENT;
    }
}

/* ---- The fate of what was sent ---------------------------------------------------------------------------------- */

/* Marks what of [start, end) was not acknowledged as lost. Returns how many octets. */
static uint64_t mark_lost(struct send_half *half, uint64_t start, uint64_t end)
{
    uint64_t marked = 0;
    start = skip_acked(half, start);
    while (start < end) {
        const struct range *acked = range_set_find(&half->acked, start);
        uint64_t stop = acked != NULL ? min_u64(end, acked->start) : end;
        if (range_set_add(&half->lost, start, stop) != RANGE_SET_OK) {
            bool empty = half->lost_rest.start >= half->lost_rest.end;
            half->lost_rest.start = empty ? start : min_u64(half->lost_rest.start, start);
            half->lost_rest.end = empty ? stop : max_u64(half->lost_rest.end, stop);
        }
        marked += stop - start;
        start = skip_acked(half, stop);
    }
    return marked;
}

/* Moves base to `end` and over what had been acknowledged ahead of it, and frees what lies below. */
static void advance_base(struct send_half *half, uint64_t end)
{
    half->base = end;
    while (half->acked.count > 0 && half->acked.ranges[0].start <= half->base)
        half->base = max_u64(half->base, range_set_pop_lowest(&half->acked).end);

    while (half->chunks != NULL && chunk_end(half->chunks) <= half->base) {
        struct send_chunk *chunk = half->chunks;
        half->chunks = chunk->next;
        if (half->cursor == chunk)
            half->cursor = NULL;
        chunk_free(half, chunk);
    }
    if (half->chunks == NULL) {
        half->last_chunk = NULL;
        /* Nothing is outstanding: an idle stream remembers no ranges either. */
        range_set_done(&half->acked);
        range_set_done(&half->lost);
        half->lost_rest = (struct range){0, 0};
    }
}

static bool remember_acked(struct send_half *half, uint64_t start, uint64_t end)
{
    /* Splitting a lost range may fail; then it stays lost, and this acknowledgement is forgotten. */
    if (half->lost.count > 0 && range_set_remove(&half->lost, start, end) != RANGE_SET_OK)
        return false;
    if (start == half->base) {
        advance_base(half, end);
        return true;
    }
    if (range_set_add(&half->acked, start, end) == RANGE_SET_OK)
        return true;
    mark_lost(half, start, end);
    return false;
}

bool send_half_on_acked(struct send_half *half, uint64_t offset, size_t len, bool fin)
{
    if (!is_sending(half))
        return true;
    uint64_t start = max_u64(offset, half->base), end = offset + len;
    assert(end <= half->sent && (!fin || half->fin_sent));
    bool remembered = start >= end || remember_acked(half, start, end);
    if (fin) {
        half->fin_acked = true;
        half->fin_lost = false;
    }
    if (half->fin_acked && half->base == half->written)
        half->state = SEND_DATA_RECVD;
    return remembered;
}

bool send_half_on_lost(struct send_half *half, uint64_t offset, size_t len, bool fin)
{
    if (!is_sending(half))
        return true;
    assert(offset + len <= half->sent && (!fin || half->fin_sent));
    mark_lost(half, offset, offset + len);
    if (fin && !half->fin_acked)
        half->fin_lost = true;
    return true;
}

size_t send_half_retransmit_oldest(struct send_half *half, size_t max)
{
    if (half->state == SEND_RESET_SENT) {
        half->reset_pending = true;
        return 1;
    }
    if (!is_sending(half) || max == 0)
        return 0;
    uint64_t marked = 0;
    for (uint64_t start = skip_acked(half, half->base); start < half->sent && marked < max;) {
        const struct range *acked = range_set_find(&half->acked, start);
        uint64_t end = min_u64(acked != NULL ? acked->start : half->sent, saturating_add(start, max - marked));
        marked += mark_lost(half, start, end);
        start = skip_acked(half, end);
    }
    if (marked == 0 && half->fin_sent && !half->fin_acked) {
        half->fin_lost = true;
        return 1;
    }
    return (size_t)marked;
}

/* ---- Giving up -------------------------------------------------------------------------------------------------- */

void send_half_reset(struct send_half *half, uint64_t code)
{
    //= rfc9000#13.3 The content of RESET_STREAM does not change when it is sent again
    if (!is_sending(half))
        return;
    drop_buffer(half);
    half->reset_code = code;
    half->reset_final_size = half->sent;
    half->reset_pending = true;
    half->state = SEND_RESET_SENT;
}

void send_half_on_reset_acked(struct send_half *half)
{
    if (half->state != SEND_RESET_SENT)
        return;
    half->reset_pending = false;
    half->state = SEND_RESET_RECVD;
}

void send_half_on_reset_lost(struct send_half *half)
{
    if (half->state == SEND_RESET_SENT)
        half->reset_pending = true;
}

void send_half_restart(struct send_half *half)
{
    assert(half->base == 0 && half->acked.count == 0);
    half->sent = 0;
    half->reset_final_size = 0;
    half->reset_pending = half->state == SEND_RESET_SENT;
    if (!is_sending(half))
        return;
    range_set_done(&half->lost);
    half->lost_rest = (struct range){0, 0};
    half->cursor = NULL;
    half->fin_sent = half->fin_lost = false;
    half->state = SEND_OPEN;
}

bool send_half_is_terminal(const struct send_half *half)
{
    return half->state == SEND_DATA_RECVD || half->state == SEND_RESET_RECVD;
}

void send_half_check(const struct send_half *half)
{
    assert(half->base <= half->sent && half->sent <= half->written);
    assert(!half->reset_pending || half->state == SEND_RESET_SENT);
    assert(!half->fin_sent || half->finished);
    range_set_check(&half->acked);
    range_set_check(&half->lost);
    if (!is_sending(half)) {
        assert(half->chunks == NULL && half->acked.count == 0 && half->lost.count == 0);
        return;
    }
    assert((half->state == SEND_DATA_SENT) == half->fin_sent);
    uint64_t at = half->base;
    bool cursor_found = half->cursor == NULL;
    for (const struct send_chunk *chunk = half->chunks; chunk != NULL; chunk = chunk->next) {
        assert(chunk == half->chunks ? chunk->offset <= at : chunk->offset == at);
        assert(chunk->used > 0 && (chunk->capacity == 0 || chunk->used <= chunk->capacity));
        assert((chunk->data == chunk->own) == (chunk->capacity > 0));
        assert(chunk->capacity > 0 || (send_half_has_loans(half) && chunk_end(chunk) <= half->lent_end));
        assert((chunk == half->last_chunk) == (chunk->next == NULL));
        cursor_found |= chunk == half->cursor;
        at = chunk_end(chunk);
    }
    assert(at == half->written && cursor_found);
    for (size_t i = 0; i < half->acked.count; i++) {
        assert(half->acked.ranges[i].start > half->base && half->acked.ranges[i].end <= half->sent);
        const struct range *lost = range_set_find(&half->lost, half->acked.ranges[i].start);
        assert(lost == NULL || lost->start >= half->acked.ranges[i].end);
    }
    for (size_t i = 0; i < half->lost.count; i++)
        assert(half->lost.ranges[i].start >= half->base && half->lost.ranges[i].end <= half->sent);
    assert(half->lost_rest.start <= half->lost_rest.end && half->lost_rest.end <= half->sent);
}
