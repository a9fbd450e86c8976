/*
 * See datagram_queue.h. Invariants (datagram_queue_check): records stand one behind the other in blocks from `first` to
 * `last`, those between `taken` and `used` of each wait; no block of these is empty but a first that is also the last;
 * `count` and `bytes` are of what waits.
 */
#include "conn/datagram_queue.h"

#include <assert.h>

#include "base/minmax.h"

/* A dozen full packets. */
#define BLOCK_BYTES (16 * 1024)

struct datagram_block {
    struct datagram_block *next;
    size_t capacity, used, taken; /* of `records`, octets */
    _Alignas(struct datagram_record) uint8_t records[];
};

/* Octets of a record with so many behind it, so that the next one is aligned. */
static size_t record_bytes(size_t behind)
{
    const size_t step = _Alignof(struct datagram_record);
    return sizeof(struct datagram_record) + (behind + step - 1) / step * step;
}

static bool is_copy(const struct datagram_record *record)
{
    return record->data == (const uint8_t *)(record + 1);
}

static size_t bytes_of(const struct datagram_record *record)
{
    return record_bytes(is_copy(record) ? record->len : 0);
}

static const struct datagram_record *record_at(const struct datagram_block *block, size_t at)
{
    return (const struct datagram_record *)(const void *)(block->records + at);
}

static void free_blocks(const roam_allocator *allocator, struct datagram_block *block)
{
    while (block != NULL) {
        struct datagram_block *next = block->next;
        mem_free(allocator, block, sizeof(*block) + block->capacity);
        block = next;
    }
}

void datagram_queue_init(struct datagram_queue *queue, const roam_allocator *allocator)
{
    *queue = (struct datagram_queue){.allocator = allocator};
}

void datagram_queue_done(struct datagram_queue *queue)
{
    free_blocks(queue->allocator, queue->first);
    free_blocks(queue->allocator, queue->spare);
    datagram_queue_init(queue, queue->allocator);
}

size_t datagram_queue_cost(size_t len)
{
    return record_bytes(len);
}

/* An empty block with room for so many octets, from the spare ones where the first of these has it. */
static struct datagram_block *new_block(struct datagram_queue *queue, size_t bytes)
{
    struct datagram_block *block = queue->spare;
    if (block != NULL && block->capacity >= bytes) {
        queue->spare = block->next;
    } else {
        size_t capacity = max_size(bytes, BLOCK_BYTES - sizeof(*block));
        block = mem_alloc(queue->allocator, sizeof(*block) + capacity);
        if (block == NULL)
            return NULL;
        block->capacity = capacity;
    }
    block->next = NULL;
    block->used = block->taken = 0;
    return block;
}

/* The last block, with room for so many octets. */
static struct datagram_block *block_with_room(struct datagram_queue *queue, size_t bytes)
{
    struct datagram_block *last = queue->last;
    if (last != NULL && last->taken == last->used)
        last->taken = last->used = 0;
    if (last != NULL && last->capacity - last->used >= bytes)
        return last;
    struct datagram_block *block = new_block(queue, bytes);
    if (block == NULL)
        return NULL;
    if (last != NULL && last->used == 0) {
        /* It is the only one, and too small. */
        last->next = queue->spare;
        queue->spare = last;
        queue->first = last = NULL;
    }
    if (last != NULL)
        last->next = block;
    else
        queue->first = block;
    queue->last = block;
    return block;
}

struct datagram_record *datagram_queue_push(struct datagram_queue *queue, const uint8_t *data, size_t len, bool copy)
{
    size_t bytes = record_bytes(copy ? len : 0);
    struct datagram_block *block = block_with_room(queue, bytes);
    if (block == NULL)
        return NULL;
    struct datagram_record *record = (struct datagram_record *)(void *)(block->records + block->used);
    uint8_t *behind = (uint8_t *)(record + 1);
    *record = (struct datagram_record){.data = copy ? behind : data, .len = len};
    if (copy && len > 0)
        memcpy(behind, data, len);
    block->used += bytes;
    queue->bytes += bytes;
    queue->count++;
    return record;
}

const struct datagram_record *datagram_queue_oldest(const struct datagram_queue *queue)
{
    return queue->count > 0 ? record_at(queue->first, queue->first->taken) : NULL;
}

void datagram_queue_pop(struct datagram_queue *queue)
{
    struct datagram_block *block = queue->first;
    size_t bytes = bytes_of(record_at(block, block->taken));
    block->taken += bytes;
    queue->bytes -= bytes;
    queue->count--;
    if (block->taken < block->used || block == queue->last)
        return;
    queue->first = block->next;
    block->next = queue->spare;
    queue->spare = block;
}

void datagram_queue_trim(struct datagram_queue *queue)
{
    if (queue->count == 0) {
        datagram_queue_done(queue);
        return;
    }
    free_blocks(queue->allocator, queue->spare);
    queue->spare = NULL;
}

void datagram_queue_check(const struct datagram_queue *queue)
{
    size_t count = 0, bytes = 0;
    for (const struct datagram_block *block = queue->first; block != NULL; block = block->next) {
        assert(block->taken <= block->used && block->used <= block->capacity);
        assert(block->taken < block->used || (block == queue->first && block == queue->last));
        assert((block->next == NULL) == (block == queue->last));
        for (size_t at = block->taken; at < block->used; at += bytes_of(record_at(block, at))) {
            count++;
            bytes += bytes_of(record_at(block, at));
        }
    }
    assert(count == queue->count && bytes == queue->bytes);
    assert((queue->first == NULL) == (queue->last == NULL));
    (void)count, (void)bytes;
}
