/* Of a program's unit tests it runs one, or counts them. See inject.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inject.h"

typedef int run_group(const char *, const struct CMUnitTest *, size_t, CMFixtureFunction, CMFixtureFunction);

int _cmocka_run_group_tests(const char *name, const struct CMUnitTest *const tests, const size_t count,
                            CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
    const char *one = getenv("ROAM_INJECT_TEST");
    run_group *next = (run_group *)inject_next("_cmocka_run_group_tests");
    if (inject_book != NULL)
        inject_book->tests = count;
    if (one == NULL)
        return next(name, tests, count, set_up, tear_down);
    size_t place = strtoul(one, NULL, 10);
    return place < count ? next(name, &tests[place], 1, set_up, tear_down) : 0;
}
