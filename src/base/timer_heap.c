/*
 * The timer heap. Invariants (timer_heap_check): entries[i].node->index == i; an entry has its node's deadline, which is
 * not earlier than that of its parent entries[(i - 1) / 4]; no node in the heap waits for ROAM_TIME_NEVER. A node enters,
 * moves and leaves in timer_heap_set alone, and that never allocates.
 *
 * Deadlines are compared where the entries are, four children side by side: nodes stand in connections, each in memory
 * of its own, and would have to be fetched for it.
 */
#include "base/timer_heap.h"

#include <assert.h>

#include "base/minmax.h"

#define CAPACITY_FIRST 8
#define CHILDREN       4

void timer_heap_init(struct timer_heap *heap, const roam_allocator *allocator)
{
    *heap = (struct timer_heap){.allocator = allocator};
}

void timer_heap_done(struct timer_heap *heap)
{
    mem_free(heap->allocator, heap->entries, heap->capacity * sizeof(*heap->entries));
    timer_heap_init(heap, heap->allocator);
}

bool timer_heap_reserve(struct timer_heap *heap, size_t count)
{
    if (count <= heap->capacity)
        return true;
    size_t capacity = max_size(count, max_size(CAPACITY_FIRST, heap->capacity * 2));
    struct timer_entry *entries =
        mem_resize(heap->allocator, heap->entries, heap->capacity * sizeof(*entries), capacity * sizeof(*entries));
    if (entries == NULL)
        return false;
    heap->entries = entries;
    heap->capacity = capacity;
    return true;
}

static inline void place(struct timer_heap *heap, struct timer_entry entry, size_t index)
{
    heap->entries[index] = entry;
    entry.node->index = index;
}

/* Moves what is in the way from the free place `index` towards the leaves, and returns the place for `deadline`. */
static size_t sift_up(struct timer_heap *heap, roam_time deadline, size_t index)
{
    while (index > 0) {
        size_t parent = (index - 1) / CHILDREN;
        if (heap->entries[parent].deadline <= deadline)
            break;
        place(heap, heap->entries[parent], index);
        index = parent;
    }
    return index;
}

/* The earliest of the children that begin at `first`. */
static inline size_t earliest_child(const struct timer_heap *heap, size_t first)
{
    const size_t end = min_size(first + CHILDREN, heap->count);
    size_t earliest = first;
    for (size_t child = first + 1; child < end; child++)
        if (heap->entries[child].deadline < heap->entries[earliest].deadline)
            earliest = child;
    return earliest;
}

static size_t sift_down(struct timer_heap *heap, roam_time deadline, size_t index)
{
    for (;;) {
        size_t first = CHILDREN * index + 1;
        if (first >= heap->count)
            return index;
        size_t child = earliest_child(heap, first);
        if (deadline <= heap->entries[child].deadline)
            return index;
        place(heap, heap->entries[child], index);
        index = child;
    }
}

/* Finds the place of `entry`, for which entries[index] is free. */
static void settle(struct timer_heap *heap, struct timer_entry entry, size_t index)
{
    place(heap, entry, sift_down(heap, entry.deadline, sift_up(heap, entry.deadline, index)));
}

static void take_out(struct timer_heap *heap, struct timer_node *node)
{
    struct timer_entry last = heap->entries[--heap->count];
    if (last.node != node)
        settle(heap, last, node->index);
    node->index = TIMER_HEAP_NOWHERE;
}

void timer_heap_set(struct timer_heap *heap, struct timer_node *node, roam_time deadline)
{
    bool inside = node->index != TIMER_HEAP_NOWHERE;
    assert(!inside || (node->index < heap->count && heap->entries[node->index].node == node));
    if (inside && node->deadline == deadline)
        return;
    node->deadline = deadline;
    if (deadline == ROAM_TIME_NEVER) {
        if (inside)
            take_out(heap, node);
        return;
    }
    assert(inside || heap->count < heap->capacity);
    settle(heap, (struct timer_entry){.deadline = deadline, .node = node}, inside ? node->index : heap->count++);
}

struct timer_node *timer_heap_first(const struct timer_heap *heap)
{
    return heap->count > 0 ? heap->entries[0].node : NULL;
}

void timer_heap_check(const struct timer_heap *heap)
{
    assert(heap->count <= heap->capacity);
    for (size_t i = 0; i < heap->count; i++) {
        const struct timer_entry *entry = &heap->entries[i];
        assert(entry->node->index == i && entry->node->deadline == entry->deadline);
        assert(entry->deadline != ROAM_TIME_NEVER);
        assert(i == 0 || heap->entries[(i - 1) / CHILDREN].deadline <= entry->deadline);
    }
}
