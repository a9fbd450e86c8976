/* Open addressing, at most half full. */
#include "sim/sim_map.h"

#include <stdlib.h>
#include <string.h>

#include "sim/sim_rng.h"

void sim_map_done(struct sim_map *map)
{
    free(map->slots);
    memset(map, 0, sizeof(*map));
}

static size_t slot_of(const struct sim_map *map, uint64_t key)
{
    size_t at = (size_t)sim_mix(key) & (map->capacity - 1);
    while (map->slots[at].key != 0 && map->slots[at].key != key)
        at = (at + 1) & (map->capacity - 1);
    return at;
}

uint64_t *sim_map_find(const struct sim_map *map, uint64_t key)
{
    key = key != 0 ? key : 1;
    if (map->capacity == 0)
        return NULL;
    size_t at = slot_of(map, key);
    return map->slots[at].key != 0 ? &map->slots[at].value : NULL;
}

static void grow(struct sim_map *map)
{
    struct sim_map larger = {.capacity = map->capacity == 0 ? 32 : 2 * map->capacity, .count = map->count};
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL)
        abort();
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].key == 0)
            continue;
        size_t at = slot_of(&larger, map->slots[i].key);
        larger.slots[at].key = map->slots[i].key;
        larger.slots[at].value = map->slots[i].value;
    }
    free(map->slots);
    *map = larger;
}

uint64_t *sim_map_get(struct sim_map *map, uint64_t key, uint64_t initial, bool *ret_added)
{
    key = key != 0 ? key : 1;
    if (2 * map->count >= map->capacity)
        grow(map);
    size_t at = slot_of(map, key);
    *ret_added = map->slots[at].key == 0;
    if (*ret_added) {
        map->slots[at].key = key;
        map->slots[at].value = initial;
        map->count++;
    }
    return &map->slots[at].value;
}

uint64_t sim_hash_address(uint64_t hash, const roam_address *address)
{
    uint64_t words[2];
    memcpy(words, address->ip, sizeof(words));
    hash = sim_mix(hash ^ words[0]);
    hash = sim_mix(hash ^ words[1]);
    return sim_mix(hash ^ ((uint64_t)address->port << 8 | address->family));
}

uint64_t sim_hash_cid(uint64_t hash, const roam_cid *cid)
{
    uint64_t words[3] = {0};
    memcpy(words, cid->bytes, cid->len);
    hash = sim_mix(hash ^ cid->len);
    for (size_t i = 0; i < 3; i++)
        hash = sim_mix(hash ^ words[i]);
    return hash;
}
