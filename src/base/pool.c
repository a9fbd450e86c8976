/*
 * Object pools. Invariants: every object of every slab is either in use or on the free list; the free list's links
 * stand in the first octets of the free objects. Slabs come one by one in pool_take and go all at once in pool_trim or
 * pool_done. Under AddressSanitizer a free object is poisoned but for its link, so that a use after pool_give is found.
 */
#include "base/pool.h"

#include <assert.h>
#include <stdalign.h>

#include "base/minmax.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POOL_POISONS 1
#endif

#ifdef POOL_POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(ptr, bytes)   ((void)(ptr), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(ptr, bytes) ((void)(ptr), (void)(bytes))
#endif

struct pool_slab {
    struct pool_slab *next;
    alignas(max_align_t) unsigned char objects[];
};

static size_t slab_bytes(const struct pool *pool)
{
    return sizeof(struct pool_slab) + pool->object_bytes * pool->objects_per_slab;
}

void pool_init(struct pool *pool, const roam_allocator *allocator, size_t object_bytes, size_t objects_per_slab)
{
    assert(object_bytes > 0 && objects_per_slab > 0);
    size_t alignment = alignof(max_align_t);
    *pool = (struct pool){
        .allocator = allocator,
        .object_bytes = (object_bytes + alignment - 1) / alignment * alignment,
        .objects_per_slab = objects_per_slab,
    };
}

static void push_free(struct pool *pool, void *object)
{
    *(void **)object = pool->free_list;
    pool->free_list = object;
    ASAN_POISON_MEMORY_REGION((unsigned char *)object + sizeof(void *), pool->object_bytes - sizeof(void *));
}

static bool add_slab(struct pool *pool)
{
    struct pool_slab *slab = mem_alloc(pool->allocator, slab_bytes(pool));
    if (slab == NULL)
        return false;
    slab->next = pool->slabs;
    pool->slabs = slab;
    for (size_t i = pool->objects_per_slab; i-- > 0;)
        push_free(pool, slab->objects + i * pool->object_bytes);
    return true;
}

static void free_slabs(struct pool *pool)
{
    while (pool->slabs != NULL) {
        struct pool_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        ASAN_UNPOISON_MEMORY_REGION(slab, slab_bytes(pool));
        mem_free(pool->allocator, slab, slab_bytes(pool));
    }
    pool->free_list = NULL;
    pool->in_use = 0;
}

void pool_done(struct pool *pool)
{
    free_slabs(pool);
}

void *pool_take(struct pool *pool)
{
    if (pool->free_list == NULL && !add_slab(pool))
        return NULL;
    void *object = pool->free_list;
    pool->free_list = *(void **)object;
    pool->in_use++;
    ASAN_UNPOISON_MEMORY_REGION(object, pool->object_bytes);
    return object;
}

void pool_give(struct pool *pool, void *object)
{
    assert(pool->in_use > 0);
    pool->in_use--;
    push_free(pool, object);
}

void pool_trim(struct pool *pool)
{
    if (pool->in_use == 0)
        free_slabs(pool);
}
