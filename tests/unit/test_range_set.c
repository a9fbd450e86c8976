/* Range sets against a bitmap that does the same the slow way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/range_set.h"
#include "counting_allocator.h"
#include "seeded.h"

#define NUMBERS 200

struct world {
    struct counting_allocator counting;
    roam_allocator allocator;
    struct range_set set;
    bool model[NUMBERS];
};

static void world_init(struct world *world, size_t max_ranges)
{
    memset(world, 0, sizeof(*world));
    world->allocator = counting_allocator(&world->counting);
    range_set_init(&world->set, &world->allocator, max_ranges);
}

static void world_done(struct world *world)
{
    range_set_done(&world->set);
    assert_int_equal(world->counting.bytes_out, 0);
}

static size_t model_ranges(const bool model[NUMBERS])
{
    size_t count = 0;
    for (size_t i = 0; i < NUMBERS; i++)
        count += model[i] && (i == 0 || !model[i - 1]);
    return count;
}

static void check_against_model(const struct world *world)
{
    range_set_check(&world->set);
    assert_int_equal(world->set.count, model_ranges(world->model));
    uint64_t size = 0;
    for (uint64_t i = 0; i < NUMBERS; i++) {
        assert_int_equal(range_set_contains(&world->set, i), world->model[i]);
        size += world->model[i];
        const struct range *range = range_set_find(&world->set, i);
        uint64_t next = i;
        while (next < NUMBERS && !world->model[next])
            next++;
        if (next == NUMBERS)
            assert_null(range);
        else
            assert_true(range->end > i && (range->start == next || (range->start < i && next == i)));
    }
    assert_int_equal(range_set_size(&world->set), size);
}

/* Adds or removes in set and model; where the set says full, the model must say so too and stays as it is. */
static void change(struct world *world, bool add, uint64_t start, uint64_t end)
{
    bool after[NUMBERS];
    memcpy(after, world->model, sizeof(after));
    for (uint64_t i = start; i < end; i++)
        after[i] = add;
    enum range_set_result result =
        add ? range_set_add(&world->set, start, end) : range_set_remove(&world->set, start, end);
    if (model_ranges(after) > world->set.max_ranges) {
        assert_int_equal(result, RANGE_SET_FULL);
    } else {
        assert_int_equal(result, RANGE_SET_OK);
        memcpy(world->model, after, sizeof(after));
    }
}

static void random_step(struct world *world, struct seeded *seeded)
{
    uint64_t start = seeded_below(seeded, NUMBERS);
    uint64_t longest = seeded_below(seeded, 8) == 0 ? NUMBERS : 12;
    uint64_t end = start + 1 + seeded_below(seeded, longest);
    if (end > NUMBERS)
        end = NUMBERS;
    switch (seeded_below(seeded, 16)) {
    case 0:
        start = seeded_below(seeded, 20);
        range_set_remove_below(&world->set, start);
        memset(world->model, 0, start * sizeof(bool));
        break;
    case 1:
        if (world->set.count > 0) {
            struct range lowest = range_set_pop_lowest(&world->set);
            assert_true(world->model[lowest.start]);
            memset(world->model, 0, lowest.end * sizeof(bool));
        }
        break;
    case 2: {
        bool covered = true;
        for (uint64_t i = start; i < end; i++)
            covered = covered && world->model[i];
        assert_int_equal(range_set_covers(&world->set, start, end), covered);
        break;
    }
    case 3 ... 8:
        change(world, false, start, end);
        break;
    default:
        change(world, true, start, end);
    }
}

static void random_operations_agree_with_a_bitmap(void **state)
{
    (void)state;
    static const size_t caps[] = {1, 2, 5, 16, 1000};
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct world world;
        struct seeded seeded = {.state = i};
        world_init(&world, caps[i]);
        for (int step = 0; step < 4000; step++) {
            random_step(&world, &seeded);
            check_against_model(&world);
        }
        world_done(&world);
    }
}

static void touching_ranges_are_joined(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    assert_int_equal(range_set_add(&world.set, 10, 20), RANGE_SET_OK);
    assert_int_equal(range_set_add(&world.set, 30, 40), RANGE_SET_OK);
    assert_int_equal(world.set.count, 2);
    assert_int_equal(range_set_add(&world.set, 20, 30), RANGE_SET_OK);
    assert_int_equal(world.set.count, 1);
    assert_true(range_set_covers(&world.set, 10, 40));
    assert_false(range_set_covers(&world.set, 9, 40));
    assert_false(range_set_covers(&world.set, 10, 41));
    world_done(&world);
}

static void a_full_set_still_takes_what_needs_no_new_range(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    assert_int_equal(range_set_add(&world.set, 10, 20), RANGE_SET_OK);
    assert_int_equal(range_set_add(&world.set, 30, 40), RANGE_SET_OK);
    assert_int_equal(range_set_add(&world.set, 50, 60), RANGE_SET_FULL);
    assert_int_equal(range_set_remove(&world.set, 12, 14), RANGE_SET_FULL);
    assert_int_equal(range_set_size(&world.set), 20);
    assert_int_equal(range_set_add(&world.set, 40, 45), RANGE_SET_OK);
    assert_int_equal(range_set_remove(&world.set, 10, 14), RANGE_SET_OK);
    assert_int_equal(range_set_size(&world.set), 21);
    range_set_check(&world.set);
    world_done(&world);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100);
    world.counting.refuses = true;
    assert_int_equal(range_set_add(&world.set, 1, 2), RANGE_SET_NO_MEMORY);
    assert_int_equal(world.set.count, 0);
    range_set_check(&world.set);
    world.counting.refuses = false;
    assert_int_equal(range_set_add(&world.set, 0, 100), RANGE_SET_OK);
    world.counting.refuses = true;
    uint64_t number = 1;
    while (range_set_remove(&world.set, number, number + 1) == RANGE_SET_OK)
        number += 2;
    assert_true(world.set.count == world.set.capacity);
    assert_true(range_set_contains(&world.set, number));
    assert_int_equal(range_set_size(&world.set), 100 - (number - 1) / 2);
    range_set_check(&world.set);
    world_done(&world);
}

static void nothing_is_allocated_before_the_first_range(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 100);
    assert_false(range_set_contains(&world.set, 0));
    assert_null(range_set_find(&world.set, 0));
    range_set_remove_below(&world.set, 1000);
    assert_int_equal(range_set_remove(&world.set, 0, UINT64_MAX), RANGE_SET_OK);
    assert_int_equal(world.counting.allocations, 0);
    world_done(&world);
}

static void the_largest_numbers_fit(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    assert_int_equal(range_set_add(&world.set, UINT64_MAX - 2, UINT64_MAX), RANGE_SET_OK);
    assert_int_equal(range_set_add(&world.set, 0, 1), RANGE_SET_OK);
    assert_true(range_set_contains(&world.set, UINT64_MAX - 1));
    assert_false(range_set_contains(&world.set, UINT64_MAX));
    assert_null(range_set_find(&world.set, UINT64_MAX));
    range_set_remove_below(&world.set, UINT64_MAX - 1);
    assert_int_equal(range_set_size(&world.set), 1);
    range_set_remove_below(&world.set, UINT64_MAX);
    assert_int_equal(world.set.count, 0);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_bitmap),
        cmocka_unit_test(touching_ranges_are_joined),
        cmocka_unit_test(a_full_set_still_takes_what_needs_no_new_range),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(nothing_is_allocated_before_the_first_range),
        cmocka_unit_test(the_largest_numbers_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
