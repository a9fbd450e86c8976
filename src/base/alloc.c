/* See alloc.h. */
#include "base/alloc.h"

#include <assert.h>

#include "base/minmax.h"
#include "base/rng.h"

bool mem_reserve(const roam_allocator *allocator, void *ret_items, uint8_t *capacity, size_t count, size_t max,
                 size_t item_bytes)
{
    void *old, *items;
    assert(count <= max && max <= UINT8_MAX);
    if (count <= *capacity)
        return true;
    const size_t larger = min_size(max, max_size(count, 2 * (size_t)*capacity));
    memcpy(&old, ret_items, sizeof(old));
    items = mem_alloc(allocator, larger * item_bytes);
    if (items == NULL)
        return false;
    if (old != NULL) {
        memcpy(items, old, *capacity * item_bytes);
        wipe(old, *capacity * item_bytes);
        mem_free(allocator, old, *capacity * item_bytes);
    }
    memcpy(ret_items, &items, sizeof(items));
    *capacity = (uint8_t)larger;
    return true;
}
