/*
 * The timer heap. Invariants (timer_heap_check): nodes[i]->index == i; no node has an earlier deadline than its parent
 * nodes[(i - 1) / 2]; no node in the heap waits for ROAM_TIME_NEVER. A node enters, moves and leaves in timer_heap_set
 * alone, and that never allocates.
 */
#include "base/timer_heap.h"

#include <assert.h>

#include "base/minmax.h"

#define CAPACITY_FIRST 8

void timer_heap_init(struct timer_heap *heap, const roam_allocator *allocator)
{
    *heap = (struct timer_heap){.allocator = allocator};
}

void timer_heap_done(struct timer_heap *heap)
{
    mem_free(heap->allocator, heap->nodes, heap->capacity * sizeof(struct timer_node *));
    timer_heap_init(heap, heap->allocator);
}

bool timer_heap_reserve(struct timer_heap *heap, size_t count)
{
    if (count <= heap->capacity)
        return true;
    size_t capacity = max_size(count, max_size(CAPACITY_FIRST, heap->capacity * 2));
    struct timer_node **nodes =
        mem_resize(heap->allocator, heap->nodes, heap->capacity * sizeof(*nodes), capacity * sizeof(*nodes));
    if (nodes == NULL)
        return false;
    heap->nodes = nodes;
    heap->capacity = capacity;
    return true;
}

static void place(struct timer_heap *heap, struct timer_node *node, size_t index)
{
    heap->nodes[index] = node;
    node->index = index;
}

/* Moves `node` from the free place `index` towards the root and returns where it could stand. */
static size_t sift_up(struct timer_heap *heap, const struct timer_node *node, size_t index)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (heap->nodes[parent]->deadline <= node->deadline)
            break;
        place(heap, heap->nodes[parent], index);
        index = parent;
    }
    return index;
}

static size_t sift_down(struct timer_heap *heap, const struct timer_node *node, size_t index)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            return index;
        if (child + 1 < heap->count && heap->nodes[child + 1]->deadline < heap->nodes[child]->deadline)
            child++;
        if (node->deadline <= heap->nodes[child]->deadline)
            return index;
        place(heap, heap->nodes[child], index);
        index = child;
    }
}

/* Finds the place of `node`, for which nodes[index] is free. */
static void settle(struct timer_heap *heap, struct timer_node *node, size_t index)
{
    place(heap, node, sift_down(heap, node, sift_up(heap, node, index)));
}

static void take_out(struct timer_heap *heap, struct timer_node *node)
{
    struct timer_node *last = heap->nodes[--heap->count];
    if (last != node)
        settle(heap, last, node->index);
    node->index = TIMER_HEAP_NOWHERE;
}

void timer_heap_set(struct timer_heap *heap, struct timer_node *node, roam_time deadline)
{
    bool inside = node->index != TIMER_HEAP_NOWHERE;
    assert(!inside || (node->index < heap->count && heap->nodes[node->index] == node));
    if (inside && node->deadline == deadline)
        return;
    node->deadline = deadline;
    if (deadline == ROAM_TIME_NEVER) {
        if (inside)
            take_out(heap, node);
        return;
    }
    assert(inside || heap->count < heap->capacity);
    settle(heap, node, inside ? node->index : heap->count++);
}

struct timer_node *timer_heap_first(const struct timer_heap *heap)
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}

void timer_heap_check(const struct timer_heap *heap)
{
    assert(heap->count <= heap->capacity);
    for (size_t i = 0; i < heap->count; i++) {
        assert(heap->nodes[i]->index == i);
        assert(heap->nodes[i]->deadline != ROAM_TIME_NEVER);
        assert(i == 0 || heap->nodes[(i - 1) / 2]->deadline <= heap->nodes[i]->deadline);
    }
}
