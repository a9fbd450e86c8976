/*
 * Flat hash map with open addressing from short keys (at most HASH_KEY_MAX octets) to pointers. The hash is keyed
 * (SipHash-2-4), so that strangers who choose keys cannot choose collisions.
 */
#ifndef BASE_HASH_MAP_H
#define BASE_HASH_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

#define HASH_KEY_MAX      55
#define SIPHASH_KEY_BYTES 16

struct hash_key {
    uint8_t len;
    uint8_t bytes[HASH_KEY_MAX];
};

struct hash_slot;

struct hash_map {
    const roam_allocator *allocator;
    struct hash_slot *slots;
    size_t count;
    size_t capacity; /* zero or a power of two */
    uint8_t secret[SIPHASH_KEY_BYTES];
};

void hash_map_init(struct hash_map *map, const roam_allocator *allocator, const uint8_t secret[SIPHASH_KEY_BYTES]);
void hash_map_done(struct hash_map *map);

/* Returns false without memory, and changes nothing then. An equal key must not be in the map. */
bool hash_map_insert(struct hash_map *map, const void *key, size_t len, void *value);

/* NULL where the key is not in the map. */
void *hash_map_find(const struct hash_map *map, const void *key, size_t len);

/* Returns the value that was there, or NULL. */
void *hash_map_remove(struct hash_map *map, const void *key, size_t len);

uint64_t siphash(const uint8_t secret[SIPHASH_KEY_BYTES], const void *data, size_t len);

void hash_map_check(const struct hash_map *map);

#endif
