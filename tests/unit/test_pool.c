/* Object pools: reuse, growth, alignment, and slabs that go back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#include "base/pool.h"
#include "counting_allocator.h"

#define OBJECTS 50

static void objects_do_not_overlap_and_are_aligned(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 8, 13, 16, 100};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct counting_allocator counting = {0};
        roam_allocator allocator = counting_allocator(&counting);
        unsigned char *objects[OBJECTS];
        struct pool pool;
        pool_init(&pool, &allocator, sizes[s], 7);
        for (int i = 0; i < OBJECTS; i++) {
            objects[i] = pool_take(&pool);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % alignof(max_align_t), 0);
            memset(objects[i], i, sizes[s]);
        }
        assert_int_equal(pool.in_use, OBJECTS);
        for (int i = 0; i < OBJECTS; i++) {
            for (size_t k = 0; k < sizes[s]; k++)
                assert_int_equal(objects[i][k], i);
            pool_give(&pool, objects[i]);
        }
        pool_done(&pool);
        assert_int_equal(counting.bytes_out, 0);
    }
}

static void what_was_given_back_is_taken_again_without_the_allocator(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct pool pool;
    pool_init(&pool, &allocator, 24, 4);
    assert_int_equal(counting.allocations, 0);
    for (int round = 0; round < 100; round++) {
        void *objects[4];
        for (int i = 0; i < 4; i++)
            objects[i] = pool_take(&pool);
        for (int i = 0; i < 4; i++)
            pool_give(&pool, objects[i]);
    }
    assert_int_equal(counting.allocations, 1);
    pool_done(&pool);
    assert_int_equal(counting.bytes_out, 0);
}

static void trimming_waits_until_nothing_is_in_use(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct pool pool;
    pool_init(&pool, &allocator, 24, 1);
    void *a = pool_take(&pool);
    void *b = pool_take(&pool);
    pool_give(&pool, a);
    pool_trim(&pool);
    assert_true(counting.bytes_out > 0);
    memset(b, 1, 24);
    pool_give(&pool, b);
    pool_trim(&pool);
    assert_int_equal(counting.bytes_out, 0);
    a = pool_take(&pool);
    assert_non_null(a);
    memset(a, 1, 24);
    pool_done(&pool);
    assert_int_equal(counting.bytes_out, 0);
}

static void without_memory_there_is_no_object(void **state)
{
    (void)state;
    struct counting_allocator counting = {.refuses = true};
    roam_allocator allocator = counting_allocator(&counting);
    struct pool pool;
    pool_init(&pool, &allocator, 24, 2);
    assert_null(pool_take(&pool));
    assert_int_equal(pool.in_use, 0);
    counting.refuses = false;
    assert_non_null(pool_take(&pool));
    counting.refuses = true;
    assert_non_null(pool_take(&pool));
    assert_null(pool_take(&pool));
    pool_done(&pool);
    assert_int_equal(counting.bytes_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_do_not_overlap_and_are_aligned),
        cmocka_unit_test(what_was_given_back_is_taken_again_without_the_allocator),
        cmocka_unit_test(trimming_waits_until_nothing_is_in_use),
        cmocka_unit_test(without_memory_there_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
