/* Sequence numbers that came, against a list that does the same the slow way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cid/seen_sequences.h"
#include "counting_allocator.h"
#include "seeded.h"

#define NUMBERS 150

static void check_against_model(const struct seen_sequences *seen, const bool model[NUMBERS])
{
    uint64_t missing = 0, runs = 0;
    seen_sequences_check(seen);
    for (uint64_t i = 0; i < NUMBERS; i++) {
        assert_int_equal(seen_sequences_contain(seen, i), model[i]);
        assert_int_equal(seen_sequences_missing_below(seen, i), missing);
        missing += !model[i];
        runs += model[i] && missing > 0 && !model[i - 1];
    }
    assert_int_equal(seen->count, runs);
}

/* The order of arrival changes with the seed from nearly that of the numbers to any. */
static void fill_in_some_order(struct seeded *seeded, uint64_t disorder)
{
    struct counting_allocator counting = {0};
    const roam_allocator allocator = counting_allocator(&counting);
    struct seen_sequences seen = {0};
    bool model[NUMBERS] = {false};
    size_t refused = 0;
    for (size_t left = NUMBERS; left > 0;) {
        uint64_t sequence = seen.below + seeded_below(seeded, disorder);
        if (sequence >= NUMBERS || model[sequence])
            continue;
        assert_true(seen_sequences_reserve(&seen, &allocator, sequence));
        if (seen_sequences_add(&seen, sequence)) {
            model[sequence] = true;
            left--;
        } else {
            assert_int_equal(seen.count, SEEN_RUNS_MAX);
            refused++;
        }
        check_against_model(&seen, model);
    }
    assert_int_equal(seen.below, NUMBERS);
    assert_int_equal(seen.count, 0);
    assert_true(disorder > 1 || counting.allocations == 0);
    assert_true(disorder < NUMBERS || refused > 0);
    seen_sequences_done(&seen, &allocator);
    assert_int_equal(counting.bytes_out, 0);
}

static void whatever_the_order_all_have_come_in_the_end(void **state)
{
    (void)state;
    struct seeded seeded = {.state = 1};
    for (int i = 0; i < 20; i++) {
        fill_in_some_order(&seeded, 1);
        fill_in_some_order(&seeded, 4);
        fill_in_some_order(&seeded, 40);
        fill_in_some_order(&seeded, NUMBERS);
    }
}

static void without_memory_for_a_gap_nothing_changes(void **state)
{
    (void)state;
    struct counting_allocator counting = {.refuses = true};
    const roam_allocator allocator = counting_allocator(&counting);
    struct seen_sequences seen = {.below = 3};
    assert_true(seen_sequences_reserve(&seen, &allocator, 3));
    assert_true(seen_sequences_add(&seen, 3));
    assert_false(seen_sequences_reserve(&seen, &allocator, 5));
    assert_int_equal(seen.below, 4);
    assert_int_equal(seen.count, 0);
    seen_sequences_check(&seen);
}

static void up_to_the_largest_number_there_is(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    const roam_allocator allocator = counting_allocator(&counting);
    const uint64_t top = (UINT64_C(1) << 62) - 1;
    struct seen_sequences seen = {.below = 1};
    assert_true(seen_sequences_reserve(&seen, &allocator, top));
    assert_true(seen_sequences_add(&seen, top));
    assert_int_equal(seen_sequences_missing_below(&seen, top + 1), top - 1);
    assert_true(seen_sequences_contain(&seen, top));
    assert_false(seen_sequences_contain(&seen, top - 1));
    seen_sequences_done(&seen, &allocator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_the_order_all_have_come_in_the_end),
        cmocka_unit_test(without_memory_for_a_gap_nothing_changes),
        cmocka_unit_test(up_to_the_largest_number_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
