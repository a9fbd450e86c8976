/* Sleep, as two clocks show it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/suspend.h"

static roam_time slept(struct suspend_watch *watch, roam_time monotonic, roam_time boottime)
{
    const struct suspend_reading reading = {.before = monotonic, .boottime = boottime, .after = monotonic + 100};
    return suspend_slept(watch, &reading);
}

static void what_was_slept_before_we_looked_does_not_count(void **state)
{
    (void)state;
    struct suspend_watch watch = {0};
    assert_int_equal(slept(&watch, ROAM_SECONDS(10), ROAM_SECONDS(5000)), 0);
    assert_int_equal(slept(&watch, ROAM_SECONDS(20), ROAM_SECONDS(5010)), 0);
}

static void a_sleep_is_told_of_once(void **state)
{
    (void)state;
    struct suspend_watch watch = {0};
    slept(&watch, ROAM_SECONDS(10), ROAM_SECONDS(10));
    assert_int_equal(slept(&watch, ROAM_SECONDS(11), ROAM_SECONDS(71)), ROAM_SECONDS(60));
    assert_int_equal(slept(&watch, ROAM_SECONDS(12), ROAM_SECONDS(72)), 0);
    assert_int_equal(slept(&watch, ROAM_SECONDS(13), ROAM_SECONDS(75)), ROAM_SECONDS(2));
}

static void naps_add_up(void **state)
{
    (void)state;
    struct suspend_watch watch = {0};
    slept(&watch, 0, 0);
    assert_int_equal(slept(&watch, 1000, 1000 + SUSPEND_MIN / 2), 0);
    assert_int_equal(slept(&watch, 2000, 2000 + SUSPEND_MIN), SUSPEND_MIN);
    assert_int_equal(slept(&watch, 3000, 3000 + SUSPEND_MIN), 0);
}

static void a_reading_that_took_long_says_nothing(void **state)
{
    (void)state;
    struct suspend_watch watch = {0};
    slept(&watch, 0, 0);
    /* Stopped for a minute between two of the clocks: that looks like a minute's sleep. */
    const struct suspend_reading torn = {.before = 1000, .boottime = ROAM_SECONDS(60), .after = ROAM_SECONDS(60)};
    assert_int_equal(suspend_slept(&watch, &torn), 0);
    assert_int_equal(slept(&watch, ROAM_SECONDS(61), ROAM_SECONDS(61)), 0);
}

static void the_clocks_of_this_host_can_be_read(void **state)
{
    (void)state;
    struct suspend_watch watch = {0};
    struct suspend_reading reading = suspend_read();
    assert_true(reading.before > 0 && reading.after >= reading.before);
    assert_true(reading.boottime >= reading.before);
    suspend_slept(&watch, &reading);
    reading = suspend_read();
    assert_int_equal(suspend_slept(&watch, &reading), 0);
}

static void the_descriptor_rests_until_the_host_wakes(void **state)
{
    (void)state;
    int fd = suspend_fd_open();
    uint64_t expirations;
    assert_true(fd >= 0);
    assert_true(read(fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN);
    suspend_fd_drain(fd);
    assert_true(read(fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_slept_before_we_looked_does_not_count),
        cmocka_unit_test(a_sleep_is_told_of_once),
        cmocka_unit_test(naps_add_up),
        cmocka_unit_test(a_reading_that_took_long_says_nothing),
        cmocka_unit_test(the_clocks_of_this_host_can_be_read),
        cmocka_unit_test(the_descriptor_rests_until_the_host_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
