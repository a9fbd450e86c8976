/*
 * Min-heap of deadlines, four children to each parent, one entry per connection, whose node is embedded in what it
 * times. A node that waits for nothing is not in the heap.
 */
#ifndef BASE_TIMER_HEAP_H
#define BASE_TIMER_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/alloc.h"

#define TIMER_HEAP_NOWHERE SIZE_MAX

struct timer_node {
    roam_time deadline;
    size_t index; /* TIMER_HEAP_NOWHERE outside of the heap */
};

struct timer_entry {
    roam_time deadline; /* of the node */
    struct timer_node *node;
};

struct timer_heap {
    const roam_allocator *allocator;
    struct timer_entry *entries;
    size_t count, capacity;
};

void timer_heap_init(struct timer_heap *heap, const roam_allocator *allocator);
void timer_heap_done(struct timer_heap *heap);

static inline void timer_node_init(struct timer_node *node)
{
    node->deadline = ROAM_TIME_NEVER;
    node->index = TIMER_HEAP_NOWHERE;
}

/* Makes room for `count` nodes, so that timer_heap_set cannot fail for so many. */
bool timer_heap_reserve(struct timer_heap *heap, size_t count);

/* Inserts, moves or (deadline ROAM_TIME_NEVER) removes. Room for the node must have been reserved. */
void timer_heap_set(struct timer_heap *heap, struct timer_node *node, roam_time deadline);

/* The node with the earliest deadline, or NULL. */
struct timer_node *timer_heap_first(const struct timer_heap *heap);

void timer_heap_check(const struct timer_heap *heap);

#endif
