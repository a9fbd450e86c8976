/* What `roam perf` counts with: durations in buckets, and the accounts that cross a stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/perf.h"

static struct perf_histogram histogram;

static int set_up(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    return 0;
}

static void an_empty_histogram_is_all_zero(void **state)
{
    (void)state;
    assert_int_equal(perf_histogram_at(&histogram, 500000), 0);
    assert_int_equal(perf_histogram_mean(&histogram), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 0; value <= 200; value++)
        perf_histogram_add(&histogram, value);
    assert_int_equal(perf_histogram_at(&histogram, 0), 0);
    assert_int_equal(perf_histogram_at(&histogram, 500000), 100);
    assert_int_equal(perf_histogram_at(&histogram, 1000000), 200);
    assert_int_equal(perf_histogram_mean(&histogram), 100);
    assert_int_equal(histogram.least, 0);
    assert_int_equal(histogram.most, 200);
}

static void a_percentile_is_never_below_and_hardly_above(void **state)
{
    (void)state;
    for (uint64_t value = 1; value < UINT64_MAX / 3; value = value * 3 + 1) {
        set_up(NULL);
        perf_histogram_add(&histogram, value);
        perf_histogram_add(&histogram, UINT64_MAX);
        uint64_t found = perf_histogram_at(&histogram, 500000);
        assert_true(found >= value);
        assert_true(found - value <= value / 128);
    }
}

static void the_largest_value_has_a_bucket(void **state)
{
    (void)state;
    perf_histogram_add(&histogram, UINT64_MAX);
    perf_histogram_add(&histogram, UINT64_MAX);
    assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 2);
    assert_true(perf_histogram_at(&histogram, 999000) == UINT64_MAX);
    assert_true(histogram.sum == UINT64_MAX);
}

static void a_percentile_counts_all_that_are_not_above(void **state)
{
    (void)state;
    for (int i = 0; i < 990; i++)
        perf_histogram_add(&histogram, 10);
    for (int i = 0; i < 10; i++)
        perf_histogram_add(&histogram, 20);
    assert_int_equal(perf_histogram_at(&histogram, 990000), 10);
    assert_int_equal(perf_histogram_at(&histogram, 990001), 20);
    assert_int_equal(perf_histogram_at(&histogram, 999000), 20);
}

static void an_account_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct perf_account account, again;
    uint8_t bytes[PERF_ACCOUNT_BYTES];
    for (size_t i = 0; i < sizeof(account); i++)
        ((uint8_t *)&account)[i] = (uint8_t)(i * 7 + 1);
    perf_account_write(&account, bytes);
    perf_account_read(&again, bytes);
    assert_memory_equal(&again, &account, sizeof(account));
}

static void an_account_is_in_network_order_with_the_cpu_time_first(void **state)
{
    (void)state;
    static const uint8_t begin[] = {0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4};
    struct perf_account account = {.cpu_user_ns = 0x102, .cpu_system_ns = 0x304};
    uint8_t bytes[PERF_ACCOUNT_BYTES];
    perf_account_write(&account, bytes);
    assert_memory_equal(bytes, begin, sizeof(begin));
    assert_int_equal(sizeof(bytes), 23 * 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_histogram_is_all_zero, set_up),
        cmocka_unit_test_setup(small_values_are_exact, set_up),
        cmocka_unit_test_setup(a_percentile_is_never_below_and_hardly_above, set_up),
        cmocka_unit_test_setup(the_largest_value_has_a_bucket, set_up),
        cmocka_unit_test_setup(a_percentile_counts_all_that_are_not_above, set_up),
        cmocka_unit_test(an_account_comes_back_as_it_was_written),
        cmocka_unit_test(an_account_is_in_network_order_with_the_cpu_time_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
