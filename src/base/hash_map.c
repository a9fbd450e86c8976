/*
 * The hash map: buckets of four slots, one cache line each, linear probing from bucket to bucket, at most 3/4 full, so
 * that nearly every search looks at one line. The array grows to twice its size little by little: each insertion moves
 * the entries of a few home buckets, and while that goes on the home of a hash in the old array says where its entry is, so
 * that no search looks into both. Arrays are made of segments, which come when entries reach them and go when the last
 * has left: no insertion allocates, clears or frees more than two of them.
 *
 * Invariants (hash_map_check): the slots in use of a bucket come first; an entry is in the old array exactly where its
 * home there is not below `moved`; every entry is reached from its home without passing a bucket with a free slot; no
 * two have the same hash. Removal keeps that by shifting later entries back, so that there are no tombstones and a table
 * never ages.
 */
#include "base/hash_map.h"

#include <assert.h>
#include <endian.h>

#include "base/minmax.h"

#define BUCKET_SLOTS  4
#define LINE_BYTES    64
#define FIRST_BUCKETS 4

/* 64 KiB: some microseconds to clear. */
#define SEGMENT_BUCKETS 1024

/* Home buckets that move with each insertion. What is left in the old array grows fuller meanwhile: to 13/16. */
#define HOMES_PER_STEP 4

/* Buckets that an entry may be away from its home. Chance does not get that far, and who does not know the secret has
 * nothing but chance. */
#define PROBES_MAX (SEGMENT_BUCKETS / 2)

struct hash_bucket {
    uint64_t hashes[BUCKET_SLOTS];
    void *values[BUCKET_SLOTS]; /* NULL: free */
};

_Static_assert(sizeof(struct hash_bucket) == LINE_BYTES, "one line");

static inline uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* In one piece: octet by octet, the key alone takes so many instructions that no second search fits into what the
 * processor looks ahead while the first one waits for memory. */
static inline uint64_t load_le64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
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

uint64_t hash_map_hash(const struct hash_map *map, const void *key, size_t len)
{
    return siphash(map->secret, key, len);
}

/* ---- Arrays ------------------------------------------------------------------------------------------------------ */

static size_t segment_count(const struct hash_array *array)
{
    return (array->buckets + SEGMENT_BUCKETS - 1) / SEGMENT_BUCKETS;
}

/* Room to begin on a line. */
static size_t segment_bytes(const struct hash_array *array)
{
    return min_size(array->buckets, SEGMENT_BUCKETS) * LINE_BYTES + LINE_BYTES - 1;
}

static inline struct hash_bucket *bucket_at(const struct hash_array *array, size_t index)
{
    uintptr_t segment = (uintptr_t)array->segments[index / SEGMENT_BUCKETS];
    uintptr_t aligned = (segment + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1);
    return (struct hash_bucket *)aligned + index % SEGMENT_BUCKETS;
}

static inline size_t home_of(const struct hash_array *array, uint64_t hash)
{
    return (size_t)hash & (array->buckets - 1);
}

static inline size_t next_bucket(const struct hash_array *array, size_t index)
{
    return (index + 1) & (array->buckets - 1);
}

static inline bool is_full(const struct hash_bucket *bucket)
{
    return bucket->values[BUCKET_SLOTS - 1] != NULL;
}

static bool make_segment(const struct hash_map *map, struct hash_array *array, size_t index)
{
    if (array->segments[index] == NULL)
        array->segments[index] = mem_zalloc(map->allocator, segment_bytes(array));
    return array->segments[index] != NULL;
}

static void free_segment(const struct hash_map *map, struct hash_array *array, size_t index)
{
    mem_free(map->allocator, array->segments[index], segment_bytes(array));
    array->segments[index] = NULL;
}

/* Without segments yet. */
static bool make_array(const struct hash_map *map, struct hash_array *ret, size_t buckets)
{
    struct hash_array array = {.buckets = buckets};
    array.segments = mem_zalloc(map->allocator, segment_count(&array) * sizeof(*array.segments));
    if (array.segments == NULL)
        return false;
    *ret = array;
    return true;
}

static void free_array(const struct hash_map *map, struct hash_array *array)
{
    for (size_t i = 0; i < segment_count(array); i++)
        free_segment(map, array, i);
    mem_free(map->allocator, array->segments, segment_count(array) * sizeof(*array->segments));
    *array = (struct hash_array){0};
}

/* ---- Within one array -------------------------------------------------------------------------------------------- */

struct place {
    struct hash_bucket *bucket;
    size_t index; /* of the bucket */
    unsigned slot;
};

/* Which slots have the hash, as bits. Without a branch for each, which nobody could predict: so the processor begins with
 * the next search while this one waits for memory. */
static inline unsigned slots_with(const struct hash_bucket *bucket, uint64_t hash)
{
    unsigned slots = 0;
    for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
        slots |= (unsigned)(bucket->hashes[slot] == hash) << slot;
    return slots;
}

static inline bool find_in(const struct hash_array *array, uint64_t hash, struct place *ret)
{
    if (array->buckets == 0)
        return false;
    for (size_t index = home_of(array, hash);; index = next_bucket(array, index)) {
        struct hash_bucket *bucket = bucket_at(array, index);
        const unsigned slots = slots_with(bucket, hash);
        if (slots != 0) {
            /* A free slot may still have a hash; but those in use come first. */
            const unsigned slot = (unsigned)__builtin_ctz(slots);
            *ret = (struct place){.bucket = bucket, .index = index, .slot = slot};
            if (bucket->values[slot] != NULL)
                return true;
        }
        if (!is_full(bucket))
            return false;
    }
}

static bool put_in(const struct hash_array *array, uint64_t hash, void *value)
{
    size_t index = home_of(array, hash);
    struct hash_bucket *bucket = bucket_at(array, index);
    for (size_t probes = 0; is_full(bucket); bucket = bucket_at(array, index)) {
        if (++probes >= PROBES_MAX)
            return false;
        index = next_bucket(array, index);
    }
    unsigned slot = 0;
    while (bucket->values[slot] != NULL)
        slot++;
    bucket->hashes[slot] = hash;
    bucket->values[slot] = value;
    return true;
}

/* The first entry behind the bucket that may stand in it, since its home is there or before: false where there is
 * none. */
static bool find_successor(const struct hash_array *array, size_t hole, struct place *ret)
{
    const size_t mask = array->buckets - 1;
    const struct hash_bucket *bucket;
    size_t index = hole;
    do {
        index = next_bucket(array, index);
        bucket = bucket_at(array, index);
        for (unsigned slot = 0; slot < BUCKET_SLOTS && bucket->values[slot] != NULL; slot++) {
            if (((index - home_of(array, bucket->hashes[slot])) & mask) >= ((index - hole) & mask)) {
                *ret = (struct place){.bucket = bucket_at(array, index), .index = index, .slot = slot};
                return true;
            }
        }
    } while (is_full(bucket));
    return false;
}

static void take_out(const struct hash_array *array, struct place place)
{
    for (;;) {
        struct hash_bucket *bucket = place.bucket;
        const bool was_full = is_full(bucket);
        unsigned last = BUCKET_SLOTS - 1;
        while (bucket->values[last] == NULL)
            last--;
        bucket->hashes[place.slot] = bucket->hashes[last];
        bucket->values[place.slot] = bucket->values[last];
        bucket->values[last] = NULL;
        struct place successor;
        if (!was_full || !find_successor(array, place.index, &successor))
            return;
        bucket->hashes[last] = successor.bucket->hashes[successor.slot];
        bucket->values[last] = successor.bucket->values[successor.slot];
        place = successor;
    }
}

/* ---- Growth ------------------------------------------------------------------------------------------------------ */

static inline bool is_growing(const struct hash_map *map)
{
    return map->old.buckets > 0;
}

/* The array in which an entry with this hash is, or belongs. */
static inline const struct hash_array *array_of(const struct hash_map *map, uint64_t hash)
{
    return is_growing(map) && home_of(&map->old, hash) >= map->moved ? &map->old : &map->now;
}

/* The segments of the new array that what comes from the old bucket may be put in, in either half of it. */
static bool make_room_for(struct hash_map *map, size_t home)
{
    const size_t half = map->old.buckets;
    const size_t farthest = min_size(home + PROBES_MAX, half - 1);
    return make_segment(map, &map->now, farthest / SEGMENT_BUCKETS) &&
           make_segment(map, &map->now, (half + farthest) / SEGMENT_BUCKETS);
}

/* Moves what is left of one home. The run behind it holds entries of others too, and these close up. */
static void move_home(struct hash_map *map, size_t home)
{
    struct hash_bucket *bucket;
    size_t index = home;
    do {
        bucket = bucket_at(&map->old, index);
        for (unsigned slot = 0; slot < BUCKET_SLOTS && bucket->values[slot] != NULL;) {
            if (home_of(&map->old, bucket->hashes[slot]) != home) {
                slot++;
                continue;
            }
            bool put = put_in(&map->now, bucket->hashes[slot], bucket->values[slot]);
            assert(put);
            (void)put;
            take_out(&map->old, (struct place){.bucket = bucket, .index = index, .slot = slot});
        }
        index = next_bucket(&map->old, index);
    } while (is_full(bucket));
}

/* One step of the growth. A segment of the old array goes when all homes in it have moved; but for the first, where
 * runs that pass the end go on. */
static bool go_on_growing(struct hash_map *map)
{
    for (unsigned i = 0; i < HOMES_PER_STEP && is_growing(map); i++) {
        if (!make_room_for(map, map->moved))
            return false;
        move_home(map, map->moved++);
        if (map->moved == map->old.buckets)
            free_array(map, &map->old);
        else if (map->moved % SEGMENT_BUCKETS == 0 && map->moved > SEGMENT_BUCKETS)
            free_segment(map, &map->old, map->moved / SEGMENT_BUCKETS - 1);
    }
    return true;
}

static bool begin_to_grow(struct hash_map *map)
{
    struct hash_array larger;
    const bool first = map->now.buckets == 0;
    if (!make_array(map, &larger, first ? FIRST_BUCKETS : 2 * map->now.buckets))
        return false;
    if (first && !make_segment(map, &larger, 0)) {
        free_array(map, &larger);
        return false;
    }
    map->old = map->now;
    map->now = larger;
    map->moved = 0;
    return true;
}

/* Growing is over long before the new array is 3/4 full. */
static bool prepare_insertion(struct hash_map *map)
{
    if (!is_growing(map) && map->count + 1 > map->now.buckets * BUCKET_SLOTS / 4 * 3 && !begin_to_grow(map))
        return false;
    return !is_growing(map) || go_on_growing(map);
}

/* ---- The map ----------------------------------------------------------------------------------------------------- */

void hash_map_init(struct hash_map *map, const roam_allocator *allocator, const uint8_t secret[SIPHASH_KEY_BYTES])
{
    *map = (struct hash_map){.allocator = allocator};
    memcpy(map->secret, secret, SIPHASH_KEY_BYTES);
}

void hash_map_done(struct hash_map *map)
{
    free_array(map, &map->now);
    free_array(map, &map->old);
    map->count = 0;
}

bool hash_map_insert(struct hash_map *map, const void *key, size_t len, void *value)
{
    struct place place;
    const uint64_t hash = hash_map_hash(map, key, len);
    assert(value != NULL);
    if (!prepare_insertion(map))
        return false;
    const struct hash_array *array = array_of(map, hash);
    if (find_in(array, hash, &place) || !put_in(array, hash, value))
        return false;
    map->count++;
    return true;
}

void *hash_map_find_hash(const struct hash_map *map, uint64_t hash)
{
    struct place place;
    return find_in(array_of(map, hash), hash, &place) ? place.bucket->values[place.slot] : NULL;
}

void *hash_map_find(const struct hash_map *map, const void *key, size_t len)
{
    return map->count > 0 ? hash_map_find_hash(map, hash_map_hash(map, key, len)) : NULL;
}

void hash_map_prefetch(const struct hash_map *map, uint64_t hash)
{
    const struct hash_array *array = array_of(map, hash);
    if (array->buckets == 0)
        return;
    /* The line behind it as well: up to a tenth of the entries have found their home full. */
    const struct hash_bucket *home = bucket_at(array, home_of(array, hash));
    __builtin_prefetch(home);
    __builtin_prefetch(home + 1);
}

void *hash_map_remove(struct hash_map *map, const void *key, size_t len)
{
    return hash_map_remove_hash(map, hash_map_hash(map, key, len));
}

void *hash_map_remove_hash(struct hash_map *map, uint64_t hash)
{
    struct place place;
    const struct hash_array *array = array_of(map, hash);
    if (!find_in(array, hash, &place))
        return NULL;
    void *value = place.bucket->values[place.slot];
    take_out(array, place);
    map->count--;
    return value;
}

/* ---- Invariants -------------------------------------------------------------------------------------------------- */

static size_t check_bucket(const struct hash_map *map, const struct hash_array *array, struct hash_bucket *bucket)
{
    size_t count = 0;
    for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
        if (bucket->values[slot] == NULL)
            continue;
        struct place place;
        assert(slot == 0 || bucket->values[slot - 1] != NULL);
        assert(array_of(map, bucket->hashes[slot]) == array);
        bool found = find_in(array, bucket->hashes[slot], &place);
        assert(found && place.bucket == bucket && place.slot == slot);
        (void)found;
        count++;
    }
    return count;
}

static size_t check_array(const struct hash_map *map, const struct hash_array *array)
{
    size_t count = 0;
    assert((array->buckets & (array->buckets - 1)) == 0);
    for (size_t i = 0; i < array->buckets; i++) {
        if (array->segments[i / SEGMENT_BUCKETS] != NULL)
            count += check_bucket(map, array, bucket_at(array, i));
    }
    return count;
}

void hash_map_check(const struct hash_map *map)
{
    assert(map->count <= map->now.buckets * BUCKET_SLOTS / 4 * 3);
    assert(map->old.buckets == 0 || (map->old.buckets * 2 == map->now.buckets && map->moved < map->old.buckets));
    size_t count = check_array(map, &map->now) + check_array(map, &map->old);
    assert(count == map->count);
    (void)count;
}
