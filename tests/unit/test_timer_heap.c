/* The timer heap against a linear search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/timer_heap.h"
#include "counting_allocator.h"
#include "seeded.h"

#define NODES 60

static roam_time earliest_of(const struct timer_node nodes[NODES], size_t *ret_waiting)
{
    roam_time earliest = ROAM_TIME_NEVER;
    *ret_waiting = 0;
    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].deadline == ROAM_TIME_NEVER) {
            assert_true(nodes[i].index == TIMER_HEAP_NOWHERE);
            continue;
        }
        ++*ret_waiting;
        if (nodes[i].deadline < earliest)
            earliest = nodes[i].deadline;
    }
    return earliest;
}

static void random_deadlines_agree_with_a_linear_search(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct seeded seeded = {.state = 7};
    struct timer_node nodes[NODES];
    struct timer_heap heap;
    timer_heap_init(&heap, &allocator);
    assert_null(timer_heap_first(&heap));
    assert_true(timer_heap_reserve(&heap, NODES));
    for (size_t i = 0; i < NODES; i++)
        timer_node_init(&nodes[i]);
    size_t allocations = counting.allocations;
    for (int step = 0; step < 20000; step++) {
        size_t i = seeded_below(&seeded, NODES);
        roam_time deadline = seeded_below(&seeded, 4) == 0 ? ROAM_TIME_NEVER : seeded_below(&seeded, 100);
        timer_heap_set(&heap, &nodes[i], deadline);
        timer_heap_check(&heap);
        size_t waiting;
        roam_time earliest = earliest_of(nodes, &waiting);
        assert_int_equal(heap.count, waiting);
        const struct timer_node *first = timer_heap_first(&heap);
        assert_true(waiting == 0 ? first == NULL : first->deadline == earliest);
    }
    assert_int_equal(counting.allocations, allocations);
    timer_heap_done(&heap);
    assert_int_equal(counting.bytes_out, 0);
}

static void nodes_leave_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct seeded seeded = {.state = 8};
    struct timer_node nodes[NODES];
    struct timer_heap heap;
    timer_heap_init(&heap, &allocator);
    for (size_t i = 0; i < NODES; i++) {
        timer_node_init(&nodes[i]);
        assert_true(timer_heap_reserve(&heap, heap.count + 1));
        timer_heap_set(&heap, &nodes[i], seeded_u64(&seeded) >> 1);
    }
    roam_time before = 0;
    for (size_t i = 0; i < NODES; i++) {
        struct timer_node *first = timer_heap_first(&heap);
        assert_true(first->deadline >= before);
        before = first->deadline;
        timer_heap_set(&heap, first, ROAM_TIME_NEVER);
    }
    assert_null(timer_heap_first(&heap));
    timer_heap_done(&heap);
    assert_int_equal(counting.bytes_out, 0);
}

static void without_memory_reserve_says_no_and_keeps_what_is_there(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct timer_node node;
    struct timer_heap heap;
    timer_heap_init(&heap, &allocator);
    timer_node_init(&node);
    counting.refuses = true;
    assert_false(timer_heap_reserve(&heap, 1));
    counting.refuses = false;
    assert_true(timer_heap_reserve(&heap, 1));
    timer_heap_set(&heap, &node, 5);
    counting.refuses = true;
    assert_false(timer_heap_reserve(&heap, 1000));
    assert_true(timer_heap_reserve(&heap, 1));
    assert_ptr_equal(timer_heap_first(&heap), &node);
    timer_heap_set(&heap, &node, ROAM_TIME_NEVER);
    timer_heap_set(&heap, &node, ROAM_TIME_NEVER);
    assert_null(timer_heap_first(&heap));
    timer_heap_done(&heap);
    assert_int_equal(counting.bytes_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_deadlines_agree_with_a_linear_search),
        cmocka_unit_test(nodes_leave_in_the_order_of_their_deadlines),
        cmocka_unit_test(without_memory_reserve_says_no_and_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
