/* The paths of a connection: see the header for the invariants. Looked up by walking them: there are at most
 * PATHS_MAX. */
#include "path/path_set.h"

#include <assert.h>
#include <string.h>

void path_set_init(struct path_set *set, const roam_allocator *allocator, size_t max)
{
    assert(max >= 1 && max <= PATHS_MAX);
    memset(set, 0, sizeof(*set));
    set->allocator = allocator;
    set->paths = &set->only;
    set->capacity = 1;
    set->max = (uint8_t)max;
    set->active_id = PATH_ID_NONE;
    set->fallback_id = PATH_ID_NONE;
}

static void free_path(struct path_set *set, struct path *path)
{
    mem_free(set->allocator, path->work, sizeof(*path->work));
    mem_free(set->allocator, path, path->bytes);
}

static bool reserve(struct path_set *set)
{
    if (set->count < set->capacity)
        return true;
    struct path **paths = set->paths == &set->only ? NULL : set->paths;
    uint8_t capacity = paths == NULL ? 0 : set->capacity;
    if (!mem_reserve(set->allocator, &paths, &capacity, set->count + 1u, PATHS_MAX, sizeof(*paths)))
        return false;
    if (set->paths == &set->only)
        paths[0] = set->only;
    set->paths = paths;
    set->capacity = capacity;
    return true;
}

/* There is one path at most: the array is given back. */
static void keep_only(struct path_set *set)
{
    if (set->paths == &set->only)
        return;
    set->only = set->paths[0];
    mem_free(set->allocator, set->paths, set->capacity * sizeof(*set->paths));
    set->paths = &set->only;
    set->capacity = 1;
}

void path_set_done(struct path_set *set)
{
    while (set->count > 0) {
        free_path(set, set->paths[--set->count]);
    }
    keep_only(set);
    set->active_id = PATH_ID_NONE;
    set->fallback_id = PATH_ID_NONE;
}

struct path *path_set_add(struct path_set *set, const roam_address *local, const roam_address *remote,
                          const roam_config *config, roam_time now)
{
    if (set->count == set->max || !reserve(set))
        return NULL;
    struct path *path = mem_alloc(set->allocator, path_bytes_wanted(config));
    if (path == NULL)
        return NULL;
    path_init(path, set->next_id, local, remote, config, now);
    if (!path_set_rouse(set, path)) {
        free_path(set, path);
        return NULL;
    }
    set->next_id++;
    if (set->count == 0) {
        set->active_id = path->id;
        path->was_active = true;
    }
    set->paths[set->count++] = path;
    return path;
}

bool path_set_rouse(struct path_set *set, struct path *path)
{
    if (path->work != NULL)
        return true;
    struct path_work *work = mem_alloc(set->allocator, sizeof(*work));
    if (work == NULL)
        return false;
    path_begin_work(path, work);
    return true;
}

void path_set_rest(struct path_set *set, roam_time now)
{
    for (size_t i = 0; i < set->count; i++) {
        if (path_may_rest(set->paths[i], now))
            mem_free(set->allocator, path_rest(set->paths[i]), sizeof(struct path_work));
    }
    if (set->count == 1)
        keep_only(set);
}

uint64_t path_set_renew(struct path_set *set, struct path *path, const roam_config *config)
{
    const uint64_t old_id = path->id;
    path->id = set->next_id++;
    if (set->active_id == old_id)
        set->active_id = path->id;
    if (set->fallback_id == old_id)
        set->fallback_id = path->id;
    path_begin_afresh(path, config);
    return old_id;
}

/* The socket did not tell to which of our addresses it came. */
static bool has_no_ip(const roam_address *address)
{
    static const uint8_t zero[sizeof(address->ip)];
    return !roam_address_is_set(address) || memcmp(address->ip, zero, sizeof(zero)) == 0;
}

bool path_local_matches(const roam_address *a, const roam_address *b)
{
    if (has_no_ip(a) || has_no_ip(b))
        return a->port == b->port;
    return roam_address_equal(a, b);
}

struct path *path_set_find_address(const struct path_set *set, const roam_address *local, const roam_address *remote)
{
    struct path *found = NULL;
    for (size_t i = 0; i < set->count; i++) {
        struct path *path = set->paths[i];
        if (!roam_address_equal(&path->remote, remote) || !path_local_matches(&path->local, local))
            continue;
        if (!has_no_ip(local) && !has_no_ip(&path->local))
            return path;
        /* Several may fit where an IP is missing: the active one is the likeliest. */
        if (found == NULL || path->id == set->active_id)
            found = path;
    }
    return found;
}

struct path *path_set_find_remote(const struct path_set *set, const roam_address *remote)
{
    struct path *found = NULL;
    for (size_t i = 0; i < set->count; i++)
        if (roam_address_equal(&set->paths[i]->remote, remote) &&
            (found == NULL || set->paths[i]->id == set->active_id))
            found = set->paths[i];
    return found;
}

enum eviction_class { EVICT_FAILED, EVICT_NEVER_ACTIVE, EVICT_SUPERSEDED };

static enum eviction_class eviction_class_of(const struct path *path)
{
    if (path->validation.state == VALIDATION_FAILED)
        return EVICT_FAILED;
    return path->was_active ? EVICT_SUPERSEDED : EVICT_NEVER_ACTIVE;
}

static bool goes_before(const struct path *a, const struct path *b)
{
    enum eviction_class class_a = eviction_class_of(a), class_b = eviction_class_of(b);
    if (class_a != class_b)
        return class_a < class_b;
    return a->last_used != b->last_used ? a->last_used < b->last_used : a->id < b->id;
}

struct path *path_set_evictable(const struct path_set *set)
{
    struct path *victim = NULL;
    for (size_t i = 0; i < set->count; i++) {
        struct path *path = set->paths[i];
        if (path->id == set->active_id || path->id == set->fallback_id)
            continue;
        if (victim == NULL || goes_before(path, victim))
            victim = path;
    }
    return victim;
}

void path_set_remove(struct path_set *set, uint64_t id)
{
    assert(id != set->active_id && id != set->fallback_id);
    for (size_t i = 0; i < set->count; i++) {
        if (set->paths[i]->id != id)
            continue;
        free_path(set, set->paths[i]);
        set->paths[i] = set->paths[--set->count];
        return;
    }
}

void path_set_check(const struct path_set *set)
{
    assert(set->count <= set->max && set->count <= set->capacity && set->max <= PATHS_MAX);
    assert(set->count == 0 || path_set_active(set) != NULL);
    assert(set->fallback_id == PATH_ID_NONE || path_set_find(set, set->fallback_id) != NULL);
    for (size_t i = 0; i < set->count; i++) {
        const struct path *path = set->paths[i];
        path_check(path);
        assert(path->id < set->next_id);
        assert(path->id != set->fallback_id || path->address_validated);
        assert(path->id != set->active_id || path->was_active);
        for (size_t j = 0; j < i; j++)
            assert(set->paths[j]->id != path->id);
    }
}
