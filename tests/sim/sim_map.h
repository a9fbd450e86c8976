/* A growing map from 64-bit hashes to numbers. Two keys of one hash would be one entry; among thousands that does not
 * happen. */
#ifndef SIM_SIM_MAP_H
#define SIM_SIM_MAP_H

#include <roam/types.h>

struct sim_map {
    struct {
        uint64_t key; /* 0: empty */
        uint64_t value;
    } * slots;
    size_t count, capacity;
};

void sim_map_done(struct sim_map *map);

/* NULL where the key is not there. Valid until the next call that adds. */
uint64_t *sim_map_find(const struct sim_map *map, uint64_t key);

/* The value of the key; where it is not there yet it is added with `initial`, and *ret_added says so. */
uint64_t *sim_map_get(struct sim_map *map, uint64_t key, uint64_t initial, bool *ret_added);

/* Hashes to make keys of: start with any number and mix in one after the other. */
uint64_t sim_hash_address(uint64_t hash, const roam_address *address);
uint64_t sim_hash_cid(uint64_t hash, const roam_cid *cid);

#endif
