/*
 * The sent map: slot number & (capacity - 1) of the ring belongs to packet `number`, for numbers in [first, next).
 *
 * Invariants (sent_map_check): next - first <= capacity; the slot of `first` is not empty, or the ring is; a bit of
 * outstanding_bits is set for each committed outstanding packet and for nothing else; `outstanding` and
 * `ack_eliciting` count these; only outstanding packets have frames. A slot that was skipped has the number
 * PACKET_NUMBER_NONE.
 *
 * Each packet:
 *   NONE -> OUTSTANDING   sent_map_add, sent_map_commit
 *   OUTSTANDING -> NONE   sent_map_remove, sent_map_cancel
 *   OUTSTANDING -> LOST   sent_map_mark_lost
 *   LOST -> NONE          sent_map_remove, make_room
 *
 * Lost packets below the first outstanding one stay for late acknowledgements until their slots are needed: before
 * the ring grows, the oldest of them go. So the ring is as large as the outstanding packets ever needed, and no
 * larger.
 */
#include "recovery/sent_map.h"

#include <assert.h>

#include "base/minmax.h"
#include "wire/packet_number.h"

#define CAPACITY_FIRST 16
#define WORD_BITS      64

void sent_map_init(struct sent_map *map, const roam_allocator *allocator, struct pool *frame_pool)
{
    *map = (struct sent_map){.allocator = allocator, .frame_pool = frame_pool};
}

static size_t words_of(size_t capacity)
{
    return (capacity + WORD_BITS - 1) / WORD_BITS;
}

static size_t index_of(const struct sent_map *map, uint64_t number)
{
    return (size_t)(number & (map->capacity - 1));
}

static struct sent_packet *slot_of(const struct sent_map *map, uint64_t number)
{
    return &map->ring[index_of(map, number)];
}

static uint64_t bit_of(size_t index)
{
    return UINT64_C(1) << (index % WORD_BITS);
}

static bool is_counted(const struct sent_map *map, const struct sent_packet *packet)
{
    size_t index = (size_t)(packet - map->ring);
    return (map->outstanding_bits[index / WORD_BITS] & bit_of(index)) != 0;
}

static void free_frames(struct sent_map *map, struct sent_packet *packet)
{
    while (packet->frames != NULL) {
        struct sent_frame *frame = packet->frames;
        packet->frames = frame->next;
        pool_give(map->frame_pool, frame);
    }
}

static void free_ring(struct sent_map *map)
{
    mem_free(map->allocator, map->ring, map->capacity * sizeof(*map->ring));
    mem_free(map->allocator, map->outstanding_bits, words_of(map->capacity) * sizeof(*map->outstanding_bits));
    map->ring = NULL;
    map->outstanding_bits = NULL;
    map->capacity = 0;
}

void sent_map_done(struct sent_map *map)
{
    for (uint64_t number = map->first; number < map->next; number++)
        free_frames(map, slot_of(map, number));
    free_ring(map);
    sent_map_init(map, map->allocator, map->frame_pool);
}

/* Lets `first` pass empty slots. */
static void advance(struct sent_map *map)
{
    while (map->first < map->next && slot_of(map, map->first)->state == SENT_NONE)
        map->first++;
}

/* Forgets lost packets from the lowest on until `number` has a slot, or an outstanding packet is in the way. */
static void make_room(struct sent_map *map, uint64_t number)
{
    while (map->first < map->next && number - map->first >= map->capacity &&
           slot_of(map, map->first)->state == SENT_LOST) {
        slot_of(map, map->first)->state = SENT_NONE;
        advance(map);
    }
    if (map->first == map->next)
        map->first = map->next = number;
}

/* A ring in which `number` has a slot; false, and nothing changed, without memory. */
static bool enlarge(struct sent_map *map, uint64_t number)
{
    size_t capacity = max_size(map->capacity * 2, CAPACITY_FIRST);
    while (number - map->first >= capacity)
        capacity *= 2;
    struct sent_packet *ring = mem_zalloc(map->allocator, capacity * sizeof(*ring));
    uint64_t *bits = mem_zalloc(map->allocator, words_of(capacity) * sizeof(*bits));
    if (ring == NULL || bits == NULL) {
        mem_free(map->allocator, ring, capacity * sizeof(*ring));
        mem_free(map->allocator, bits, words_of(capacity) * sizeof(*bits));
        return false;
    }
    for (uint64_t n = map->first; n < map->next; n++) {
        size_t index = (size_t)(n & (capacity - 1));
        ring[index] = *slot_of(map, n);
        if (is_counted(map, slot_of(map, n)))
            bits[index / WORD_BITS] |= bit_of(index);
    }
    free_ring(map);
    map->ring = ring;
    map->outstanding_bits = bits;
    map->capacity = (uint32_t)capacity;
    return true;
}

struct sent_packet *sent_map_add(struct sent_map *map, uint64_t number)
{
    assert(number >= map->next && number <= PACKET_NUMBER_MAX);
    make_room(map, number);
    if (number - map->first >= map->capacity && !enlarge(map, number))
        return NULL;
    for (; map->next < number; map->next++)
        *slot_of(map, map->next) = (struct sent_packet){.number = PACKET_NUMBER_NONE};
    map->next = number + 1;
    struct sent_packet *packet = slot_of(map, number);
    *packet = (struct sent_packet){.number = number, .state = SENT_OUTSTANDING};
    return packet;
}

void sent_map_commit(struct sent_map *map, struct sent_packet *packet)
{
    assert(packet->state == SENT_OUTSTANDING && !is_counted(map, packet));
    size_t index = index_of(map, packet->number);
    map->outstanding_bits[index / WORD_BITS] |= bit_of(index);
    map->outstanding++;
    if (packet->ack_eliciting && packet->in_flight)
        map->ack_eliciting++;
}

/* No longer outstanding: the counts follow, the frames go. */
static void settle(struct sent_map *map, struct sent_packet *packet)
{
    assert(packet->state == SENT_OUTSTANDING && is_counted(map, packet));
    size_t index = index_of(map, packet->number);
    map->outstanding_bits[index / WORD_BITS] &= ~bit_of(index);
    map->outstanding--;
    if (packet->ack_eliciting && packet->in_flight)
        map->ack_eliciting--;
    free_frames(map, packet);
}

void sent_map_cancel(struct sent_map *map, struct sent_packet *packet)
{
    assert(packet->number == map->next - 1 && packet->state == SENT_OUTSTANDING && !is_counted(map, packet));
    free_frames(map, packet);
    packet->state = SENT_NONE;
    map->next--;
}

bool sent_map_add_frame(struct sent_map *map, struct sent_packet *packet, const struct sent_frame *frame)
{
    struct sent_frame *record = pool_take(map->frame_pool);
    if (record == NULL)
        return false;
    *record = *frame;
    record->next = NULL;
    struct sent_frame **end = &packet->frames;
    while (*end != NULL)
        end = &(*end)->next;
    *end = record;
    return true;
}

struct sent_packet *sent_map_find(struct sent_map *map, uint64_t number)
{
    if (number < map->first || number >= map->next)
        return NULL;
    struct sent_packet *packet = slot_of(map, number);
    return packet->state == SENT_NONE ? NULL : packet;
}

const struct sent_packet *sent_map_recall(const struct sent_map *map, uint64_t number)
{
    if (number < map->first || number >= map->next)
        return NULL;
    const struct sent_packet *packet = slot_of(map, number);
    return packet->number == PACKET_NUMBER_NONE ? NULL : packet;
}

struct sent_packet *sent_map_outstanding_from(struct sent_map *map, uint64_t number)
{
    if (map->outstanding == 0)
        return NULL;
    size_t word_slots = min_size(WORD_BITS, map->capacity);
    number = max_u64(number, map->first);
    while (number < map->next) {
        size_t index = index_of(map, number);
        uint64_t word = map->outstanding_bits[index / WORD_BITS] >> (index % WORD_BITS);
        if (word != 0) {
            /* After the ring's last slot comes its first, so that a bit may stand for a number from before. */
            uint64_t found = number + (uint64_t)__builtin_ctzll(word);
            return found < map->next ? slot_of(map, found) : NULL;
        }
        number += word_slots - index % word_slots;
    }
    return NULL;
}

void sent_map_remove(struct sent_map *map, struct sent_packet *packet)
{
    if (packet->state == SENT_OUTSTANDING)
        settle(map, packet);
    assert(packet->state != SENT_NONE);
    packet->state = SENT_NONE;
    advance(map);
}

void sent_map_mark_lost(struct sent_map *map, struct sent_packet *packet)
{
    settle(map, packet);
    packet->state = SENT_LOST;
}

uint64_t sent_map_in_flight(const struct sent_map *map, uint64_t path_id)
{
    uint64_t bytes = 0;
    for (uint64_t number = map->first; number < map->next; number++) {
        const struct sent_packet *packet = slot_of(map, number);
        if (packet->path_id == path_id && packet->in_flight && is_counted(map, packet))
            bytes += packet->bytes;
    }
    return bytes;
}

void sent_map_trim(struct sent_map *map)
{
    if (map->outstanding > 0)
        return;
    /* A packet that was added and not committed yet still needs its slot. */
    if (map->first < map->next && slot_of(map, map->next - 1)->state == SENT_OUTSTANDING)
        return;
    map->first = map->next;
    free_ring(map);
}

void sent_map_check(const struct sent_map *map)
{
    assert(map->first <= map->next && map->next - map->first <= map->capacity);
    assert((map->capacity & (map->capacity - 1)) == 0);
    assert((map->ring == NULL) == (map->capacity == 0) && (map->outstanding_bits == NULL) == (map->capacity == 0));
    assert(map->first == map->next || slot_of(map, map->first)->state != SENT_NONE);
    uint64_t outstanding = 0, ack_eliciting = 0, bits = 0;
    for (uint64_t number = map->first; number < map->next; number++) {
        const struct sent_packet *packet = slot_of(map, number);
        assert(packet->number == number || (packet->number == PACKET_NUMBER_NONE && packet->state == SENT_NONE));
        assert(packet->state == SENT_OUTSTANDING || packet->frames == NULL);
        if (!is_counted(map, packet)) {
            assert(packet->state != SENT_OUTSTANDING || number == map->next - 1);
            continue;
        }
        assert(packet->state == SENT_OUTSTANDING);
        outstanding++;
        ack_eliciting += packet->ack_eliciting && packet->in_flight;
    }
    for (size_t word = 0; word < words_of(map->capacity); word++)
        bits += (uint64_t)__builtin_popcountll(map->outstanding_bits[word]);
    assert(outstanding == map->outstanding && ack_eliciting == map->ack_eliciting && bits == outstanding);
    (void)outstanding, (void)ack_eliciting, (void)bits;
}
