/* Tests of conn/datagram_queue: order, memory that is used again and given back, what lies elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/datagram_queue.h"
#include "unit/counting_allocator.h"

struct fixture {
    struct counting_allocator memory;
    roam_allocator allocator;
    struct datagram_queue queue;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->allocator = counting_allocator(&fixture->memory);
    datagram_queue_init(&fixture->queue, &fixture->allocator);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    datagram_queue_done(&fixture->queue);
    assert_int_equal(fixture->memory.bytes_out, 0);
    free(fixture);
    return 0;
}

/* The octets of number n differ from those of its neighbours. */
static void push(struct datagram_queue *queue, uint64_t n, size_t len)
{
    uint8_t data[4096];
    memset(data, (int)(n % 251), len);
    struct datagram_record *record = datagram_queue_push(queue, data, len, true);
    assert_non_null(record);
    record->tag = n;
    datagram_queue_check(queue);
}

static void pop(struct datagram_queue *queue, uint64_t n, size_t len)
{
    const struct datagram_record *record = datagram_queue_oldest(queue);
    assert_non_null(record);
    assert_int_equal(record->tag, n);
    assert_int_equal(record->len, len);
    datagram_queue_pop(queue);
    datagram_queue_check(queue);
    /* Still there, until the next push. */
    for (size_t i = 0; i < len; i++)
        assert_int_equal(record->data[i], n % 251);
}

static size_t length_of(uint64_t n)
{
    return (size_t)(n * 37 % 2000);
}

static void what_was_first_comes_out_first(void **state)
{
    struct fixture *fixture = *state;
    uint64_t pushed = 0, popped = 0;
    assert_null(datagram_queue_oldest(&fixture->queue));
    /* It grows to hundreds, and shrinks to nothing, over and over. */
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 300; i++, pushed++)
            push(&fixture->queue, pushed, length_of(pushed));
        for (; popped + 100 * (uint64_t)(round % 2) < pushed; popped++)
            pop(&fixture->queue, popped, length_of(popped));
    }
    for (; popped < pushed; popped++)
        pop(&fixture->queue, popped, length_of(popped));
    assert_null(datagram_queue_oldest(&fixture->queue));
    assert_int_equal(fixture->queue.bytes, 0);
}

static void a_queue_in_use_asks_for_no_memory(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t n = 0; n < 200; n++)
        push(&fixture->queue, n, 1000);
    for (uint64_t n = 0; n < 200; n++)
        pop(&fixture->queue, n, 1000);
    size_t before = fixture->memory.allocations;
    for (int round = 0; round < 10; round++) {
        for (uint64_t n = 0; n < 200; n++)
            push(&fixture->queue, n, 1000);
        for (uint64_t n = 0; n < 200; n++)
            pop(&fixture->queue, n, 1000);
    }
    assert_int_equal(fixture->memory.allocations, before);
}

static void what_nothing_waits_in_is_given_back(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t n = 0; n < 200; n++)
        push(&fixture->queue, n, 1000);
    size_t full = fixture->memory.bytes_out;
    for (uint64_t n = 0; n < 190; n++)
        pop(&fixture->queue, n, 1000);
    datagram_queue_trim(&fixture->queue);
    datagram_queue_check(&fixture->queue);
    assert_true(fixture->memory.bytes_out > 0 && fixture->memory.bytes_out < full / 4);
    for (uint64_t n = 190; n < 200; n++)
        pop(&fixture->queue, n, 1000);
    datagram_queue_trim(&fixture->queue);
    assert_int_equal(fixture->memory.bytes_out, 0);
    push(&fixture->queue, 1, 10);
    pop(&fixture->queue, 1, 10);
}

static void one_larger_than_a_block_has_a_block_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t large[65507];
    memset(large, 7, sizeof(large));
    push(&fixture->queue, 1, 100);
    pop(&fixture->queue, 1, 100);
    assert_non_null(datagram_queue_push(&fixture->queue, large, sizeof(large), true));
    datagram_queue_check(&fixture->queue);
    push(&fixture->queue, 2, 100);
    const struct datagram_record *record = datagram_queue_oldest(&fixture->queue);
    assert_int_equal(record->len, sizeof(large));
    assert_memory_equal(record->data, large, sizeof(large));
    datagram_queue_pop(&fixture->queue);
    pop(&fixture->queue, 2, 100);
}

static void what_is_not_copied_stays_where_it_is(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t here[3000];
    struct datagram_record *record = datagram_queue_push(&fixture->queue, here, sizeof(here), false);
    assert_ptr_equal(record->data, here);
    assert_true(fixture->queue.bytes < sizeof(here));
    push(&fixture->queue, 9, 50);
    assert_ptr_equal(datagram_queue_oldest(&fixture->queue)->data, here);
    datagram_queue_pop(&fixture->queue);
    pop(&fixture->queue, 9, 50);
}

static void empty_ones_are_datagrams_too(void **state)
{
    struct fixture *fixture = *state;
    push(&fixture->queue, 3, 0);
    push(&fixture->queue, 4, 0);
    assert_int_equal(fixture->queue.count, 2);
    assert_int_equal(fixture->queue.bytes, 2 * datagram_queue_cost(0));
    pop(&fixture->queue, 3, 0);
    pop(&fixture->queue, 4, 0);
}

static void without_memory_nothing_changes(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t data[100] = {0};
    fixture->memory.refuses = true;
    assert_null(datagram_queue_push(&fixture->queue, data, sizeof(data), true));
    datagram_queue_check(&fixture->queue);
    fixture->memory.refuses = false;
    uint64_t n = 0;
    for (; n < 16; n++)
        push(&fixture->queue, n, 900);
    fixture->memory.refuses = true;
    while (datagram_queue_push(&fixture->queue, data, sizeof(data), true) != NULL)
        continue;
    datagram_queue_check(&fixture->queue);
    pop(&fixture->queue, 0, 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_first_comes_out_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queue_in_use_asks_for_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nothing_waits_in_is_given_back, setup, teardown),
        cmocka_unit_test_setup_teardown(one_larger_than_a_block_has_a_block_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_copied_stays_where_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_ones_are_datagrams_too, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_nothing_changes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
