/*
 * Flat hash map from octets to pointers, made for millions of entries: a hit looks at one cache line, and no insertion
 * pauses for growth. An entry is 16 octets, of an array that is 3/8 to 3/4 full.
 *
 * The hash is keyed (SipHash-2-4), so that strangers who choose keys cannot choose collisions; that the keys are random
 * would not do, since whoever opens connections keeps those whose connection IDs suit him. Its 64 bits stand for the key,
 * which is not kept: two keys with one hash cannot both be in a map, and a key that is not in the map is taken for one
 * that is with a chance of one in 2^64 for each entry. Where that could do harm, the caller compares what it finds.
 */
#ifndef BASE_HASH_MAP_H
#define BASE_HASH_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

#define SIPHASH_KEY_BYTES 16

struct hash_array {
    void **segments; /* some may be missing: see hash_map.c */
    size_t buckets;  /* zero or a power of two */
};

struct hash_map {
    const roam_allocator *allocator;
    struct hash_array now, old; /* old: empty unless the map is growing */
    size_t moved;               /* home buckets of the old array, from the first, whose entries have moved */
    size_t count;
    uint8_t secret[SIPHASH_KEY_BYTES];
};

void hash_map_init(struct hash_map *map, const roam_allocator *allocator, const uint8_t secret[SIPHASH_KEY_BYTES]);
void hash_map_done(struct hash_map *map);

/* False without memory, or where a key with this hash is in the map, which an equal one is; changes nothing then. */
bool hash_map_insert(struct hash_map *map, const void *key, size_t len, void *value);

/* NULL where the key is not in the map. */
void *hash_map_find(const struct hash_map *map, const void *key, size_t len);

/* Returns the value that was there, or NULL. */
void *hash_map_remove(struct hash_map *map, const void *key, size_t len);

/* A search in three steps, for several at once: the hashes first, then the lines of memory asked for, then looked at. */
uint64_t hash_map_hash(const struct hash_map *map, const void *key, size_t len);
void hash_map_prefetch(const struct hash_map *map, uint64_t hash);
void *hash_map_find_hash(const struct hash_map *map, uint64_t hash);

/* hash_map_remove for who keeps the hash in place of the key. */
void *hash_map_remove_hash(struct hash_map *map, uint64_t hash);

uint64_t siphash(const uint8_t secret[SIPHASH_KEY_BYTES], const void *data, size_t len);

void hash_map_check(const struct hash_map *map);

#endif
