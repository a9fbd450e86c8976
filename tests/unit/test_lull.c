/* When a receiver sleeps a little, so as not to be woken for each batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/lull.h"

static struct lull lull;
static roam_time now;
static uint64_t data_packets_sent;

static int set_up(void **state)
{
    (void)state;
    lull = (struct lull){0};
    now = ROAM_SECONDS(1000);
    data_packets_sent = 0;
    return 0;
}

/* So many octets each time, so often, one after the other. */
static void receive(size_t bytes, roam_time every, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        now += every;
        lull_on_received(&lull, now, bytes);
    }
}

static bool begins(roam_time deadline)
{
    return lull_begins(&lull, now, deadline, data_packets_sent);
}

static void a_bulk_transfer_has_lulls(void **state)
{
    (void)state;
    receive(65536, ROAM_MICROSECONDS(25), 100); /* 21 Gbit/s */
    assert_true(begins(ROAM_TIME_NEVER));
}

static void there_is_one_for_each_time_that_something_has_come(void **state)
{
    (void)state;
    receive(65536, ROAM_MICROSECONDS(25), 100);
    assert_true(begins(ROAM_TIME_NEVER));
    assert_false(begins(ROAM_TIME_NEVER));
    receive(65536, ROAM_MICROSECONDS(25), 1);
    assert_true(begins(ROAM_TIME_NEVER));
}

static void what_is_due_soon_is_not_slept_over(void **state)
{
    (void)state;
    receive(65536, ROAM_MICROSECONDS(25), 100);
    assert_false(begins(now + LULL_END - 1));
    receive(65536, ROAM_MICROSECONDS(25), 1);
    assert_true(begins(now + LULL_END));
    receive(65536, ROAM_MICROSECONDS(25), 1);
    assert_false(begins(0));
}

static void answers_that_are_asked_for_one_by_one_are_not_delayed(void **state)
{
    (void)state;
    receive(65536, ROAM_MICROSECONDS(100), 1000); /* 5 Gbit/s */
    assert_false(begins(ROAM_TIME_NEVER));
}

static void nor_are_those_that_come_faster(void **state)
{
    (void)state;
    receive(65536, ROAM_MICROSECONDS(25), 100);
    for (int i = 0; i < 10; i++) {
        receive(65536, ROAM_MICROSECONDS(25), 1);
        data_packets_sent++;
        assert_false(begins(ROAM_TIME_NEVER));
    }
    receive(65536, ROAM_MICROSECONDS(25), 1);
    assert_true(begins(ROAM_TIME_NEVER));
}

static void the_end_of_a_transfer_ends_the_lulls(void **state)
{
    (void)state;
    receive(65536, ROAM_MICROSECONDS(25), 100);
    assert_true(begins(ROAM_TIME_NEVER));
    receive(65536, ROAM_SECONDS(1), 1);
    assert_false(begins(ROAM_TIME_NEVER));
    receive(1200, ROAM_MICROSECONDS(25), 100);
    assert_false(begins(ROAM_TIME_NEVER));
}

static void much_at_once_is_no_bulk_yet(void **state)
{
    (void)state;
    receive(4 * 65536, ROAM_SECONDS(1), 3);
    assert_false(begins(ROAM_TIME_NEVER));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bulk_transfer_has_lulls),          TEST(there_is_one_for_each_time_that_something_has_come),
        TEST(what_is_due_soon_is_not_slept_over), TEST(answers_that_are_asked_for_one_by_one_are_not_delayed),
        TEST(nor_are_those_that_come_faster),     TEST(the_end_of_a_transfer_ends_the_lulls),
        TEST(much_at_once_is_no_bulk_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
