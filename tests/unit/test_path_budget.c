/* New places in a given time: tests/unit/test_migration.c has what follows from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "path/path_budget.h"

#define PTO ROAM_MILLISECONDS(100)

/* Opens as many as are allowed at one moment. */
static unsigned open_all(struct path_budget *budget, roam_time now)
{
    unsigned n = 0;
    while (path_budget_allows(budget, now, PTO)) {
        path_budget_on_opened(budget, now, PTO);
        assert_true(++n < 1000);
    }
    return n;
}

static void each_pto_has_room_for_a_few_new_places(void **state)
{
    (void)state;
    struct path_budget budget = {0};
    const roam_time start = ROAM_SECONDS(1000);
    assert_int_equal(open_all(&budget, start), NEW_PATHS_PER_PTO);
    assert_int_equal(open_all(&budget, start + PTO - 1), 0);
    assert_int_equal(open_all(&budget, start + PTO), NEW_PATHS_PER_PTO);
    assert_int_equal(open_all(&budget, start + 10 * PTO), NEW_PATHS_PER_PTO);
}

static void a_new_place_now_and_then_is_never_refused(void **state)
{
    (void)state;
    struct path_budget budget = {0};
    for (roam_time now = 0; now < ROAM_SECONDS(100); now += PTO / NEW_PATHS_PER_PTO + 1) {
        assert_true(path_budget_allows(&budget, now, PTO));
        path_budget_on_opened(&budget, now, PTO);
        path_budget_on_proven(&budget);
    }
}

static void failures_in_a_row_leave_one_at_a_time(void **state)
{
    (void)state;
    struct path_budget budget = {0};
    roam_time now = ROAM_SECONDS(1000);
    for (unsigned i = 0; i < FAILED_PATHS_MAX; i++)
        path_budget_on_failed(&budget);
    unsigned opened = 0;
    for (roam_time end = now + 300 * PTO; now < end; now += PTO / 10)
        opened += open_all(&budget, now);
    assert_in_range(opened, 99, 101);
}

static void one_success_forgives_all_failures(void **state)
{
    (void)state;
    struct path_budget budget = {0};
    for (unsigned i = 0; i < 10 * FAILED_PATHS_MAX; i++)
        path_budget_on_failed(&budget);
    assert_int_equal(open_all(&budget, PTO), 1);
    path_budget_on_proven(&budget);
    assert_int_equal(open_all(&budget, PTO), NEW_PATHS_PER_PTO - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pto_has_room_for_a_few_new_places),
        cmocka_unit_test(a_new_place_now_and_then_is_never_refused),
        cmocka_unit_test(failures_in_a_row_leave_one_at_a_time),
        cmocka_unit_test(one_success_forgives_all_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
