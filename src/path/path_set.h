/*
 * The paths of a connection, by stable id. Nobody keeps a pointer to a path across calls; path_set_find may return
 * NULL.
 *
 * Invariants: active_id names a path; fallback_id names a validated path other than none, or PATH_ID_NONE; at most max
 * paths.
 */
#ifndef PATH_PATH_SET_H
#define PATH_PATH_SET_H

#include "base/alloc.h"
#include "path/path.h"

#define PATHS_MAX    16
#define PATH_ID_NONE UINT64_MAX

struct path_set {
    const roam_allocator *allocator;
    struct path **paths; /* `count` of them, in no order: `only`, or memory for `capacity` */
    struct path *only;   /* most connections have one */
    uint8_t count, capacity, max;
    uint64_t next_id;
    uint64_t active_id;
    uint64_t fallback_id; /* last path that was active and validated: where to go back to */
};

void path_set_init(struct path_set *set, const roam_allocator *allocator, size_t max);
void path_set_done(struct path_set *set);

/* NULL without memory or at max (see path_set_evictable). The first path becomes the active one. */
struct path *path_set_add(struct path_set *set, const roam_address *local, const roam_address *remote,
                          const roam_config *config, roam_time now);

/* Before anything leaves on a path that may be at rest. False without memory. */
bool path_set_rouse(struct path_set *set, struct path *path);

/* Nothing leaves for a while: what paths need for that alone is given back. */
void path_set_rest(struct path_set *set, roam_time now);

/* NULL where there is none. */
static inline struct path *path_set_find(const struct path_set *set, uint64_t id)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->paths[i]->id == id)
            return set->paths[i];
    return NULL;
}

/* The same address of ours, as far as the socket tells: without an IP only the port counts. */
bool path_local_matches(const roam_address *a, const roam_address *b);

/* The path leads through another network than before, or is not known to lead anywhere any more: it begins afresh,
 * under another id, so that what was sent there under the old one teaches it nothing (RFC 9000 section 9.4). Returns
 * the old id. */
uint64_t path_set_renew(struct path_set *set, struct path *path, const roam_config *config);

/* By both addresses. A local address without an IP matches any of that port. */
struct path *path_set_find_address(const struct path_set *set, const roam_address *local, const roam_address *remote);

/* By the peer's address alone. */
struct path *path_set_find_remote(const struct path_set *set, const roam_address *remote);

static inline struct path *path_set_active(const struct path_set *set)
{
    return path_set_find(set, set->active_id);
}

/* The path to give up when room is needed: failed ones first; then those never active, the least recently used first;
 * then superseded ones, the least recently used first. Never the active one, never the fallback. NULL where there is
 * none. */
struct path *path_set_evictable(const struct path_set *set);

/* Must be neither active nor, unless `set->fallback_id` was changed first, the fallback. */
void path_set_remove(struct path_set *set, uint64_t id);

void path_set_check(const struct path_set *set);

#endif
