/*
 * The hash map: open addressing, linear probing, at most 3/4 full. Invariants (hash_map_check): a slot is empty exactly
 * where its value is NULL; every entry is reached from the slot of its hash without passing an empty slot. Removal
 * keeps that by shifting later entries back, so that there are no tombstones and a table never ages.
 */
#include "base/hash_map.h"

#include <assert.h>

#include "base/minmax.h"

#define CAPACITY_FIRST 16

/* The hash is kept, so that growth and removal need not compute it again and a probe rarely compares keys. */
struct hash_slot {
    void *value;
    uint64_t hash;
    struct hash_key key;
};

static inline uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline uint64_t load_le64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

uint64_t siphash(const uint8_t secret[SIPHASH_KEY_BYTES], const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t k0 = load_le64(secret), k1 = load_le64(secret + 8);
    uint64_t v[4] = {
        k0 ^ UINT64_C(0x736f6d6570736575),
        k1 ^ UINT64_C(0x646f72616e646f6d),
        k0 ^ UINT64_C(0x6c7967656e657261),
        k1 ^ UINT64_C(0x7465646279746573),
    };
    uint64_t last = (uint64_t)len << 56;
    for (; len >= 8; len -= 8, bytes += 8)
        sip_word(v, load_le64(bytes));
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t)bytes[i] << (8 * i);
    sip_word(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void hash_map_init(struct hash_map *map, const roam_allocator *allocator, const uint8_t secret[SIPHASH_KEY_BYTES])
{
    *map = (struct hash_map){.allocator = allocator};
    memcpy(map->secret, secret, SIPHASH_KEY_BYTES);
}

void hash_map_done(struct hash_map *map)
{
    mem_free(map->allocator, map->slots, map->capacity * sizeof(struct hash_slot));
    map->slots = NULL;
    map->count = map->capacity = 0;
}

static inline size_t next_slot(const struct hash_map *map, size_t index)
{
    return (index + 1) & (map->capacity - 1);
}

/* The slot where a search for `hash` starts. */
static inline size_t home_of(const struct hash_map *map, uint64_t hash)
{
    return (size_t)hash & (map->capacity - 1);
}

static inline bool slot_has(const struct hash_slot *slot, uint64_t hash, const void *key, size_t len)
{
    return slot->hash == hash && slot->key.len == len && (len == 0 || memcmp(slot->key.bytes, key, len) == 0);
}

/* The slot that holds the key, or NULL. */
static struct hash_slot *find_slot(const struct hash_map *map, const void *key, size_t len)
{
    if (map->count == 0 || len > HASH_KEY_MAX)
        return NULL;
    uint64_t hash = siphash(map->secret, key, len);
    size_t index = home_of(map, hash);
    for (; map->slots[index].value != NULL; index = next_slot(map, index)) {
        if (slot_has(&map->slots[index], hash, key, len))
            return &map->slots[index];
    }
    return NULL;
}

/* The empty slot in which an entry with `hash` belongs. */
static struct hash_slot *empty_slot_for(const struct hash_map *map, uint64_t hash)
{
    size_t index = home_of(map, hash);
    while (map->slots[index].value != NULL)
        index = next_slot(map, index);
    return &map->slots[index];
}

static bool grow(struct hash_map *map)
{
    struct hash_map bigger = *map;
    bigger.capacity = max_size(CAPACITY_FIRST, map->capacity * 2);
    bigger.slots = mem_alloc(map->allocator, bigger.capacity * sizeof(struct hash_slot));
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < bigger.capacity; i++)
        bigger.slots[i].value = NULL;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].value != NULL)
            *empty_slot_for(&bigger, map->slots[i].hash) = map->slots[i];
    }
    mem_free(map->allocator, map->slots, map->capacity * sizeof(struct hash_slot));
    *map = bigger;
    return true;
}

bool hash_map_insert(struct hash_map *map, const void *key, size_t len, void *value)
{
    assert(len <= HASH_KEY_MAX && value != NULL);
    assert(find_slot(map, key, len) == NULL);
    if ((map->count + 1) * 4 > map->capacity * 3 && !grow(map))
        return false;
    uint64_t hash = siphash(map->secret, key, len);
    struct hash_slot *slot = empty_slot_for(map, hash);
    slot->value = value;
    slot->hash = hash;
    slot->key.len = (uint8_t)len;
    if (len > 0)
        memcpy(slot->key.bytes, key, len);
    memset(slot->key.bytes + len, 0, HASH_KEY_MAX - len);
    map->count++;
    return true;
}

void *hash_map_find(const struct hash_map *map, const void *key, size_t len)
{
    const struct hash_slot *slot = find_slot(map, key, len);
    return slot != NULL ? slot->value : NULL;
}

void *hash_map_remove(struct hash_map *map, const void *key, size_t len)
{
    struct hash_slot *slot = find_slot(map, key, len);
    if (slot == NULL)
        return NULL;
    void *value = slot->value;
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(slot - map->slots);
    for (size_t i = next_slot(map, hole); map->slots[i].value != NULL; i = next_slot(map, i)) {
        /* An entry may fill the hole where the hole lies between its home and its place. */
        size_t distance = (i - home_of(map, map->slots[i].hash)) & mask;
        if (distance >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].value = NULL;
    map->count--;
    return value;
}

void hash_map_check(const struct hash_map *map)
{
    assert((map->capacity & (map->capacity - 1)) == 0);
    assert(map->count * 4 <= map->capacity * 3);
    size_t count = 0;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct hash_slot *slot = &map->slots[i];
        if (slot->value == NULL)
            continue;
        count++;
        assert(slot->hash == siphash(map->secret, slot->key.bytes, slot->key.len));
        assert(find_slot(map, slot->key.bytes, slot->key.len) == slot);
    }
    assert(count == map->count);
}
