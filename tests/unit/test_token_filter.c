/* Which tokens have been used: what is remembered, and what becomes of what is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "endpoint/token_filter.h"
#include "unit/counting_allocator.h"
#include "unit/seeded.h"

#define MAX 1000

static struct counting_allocator counting;
static const roam_allocator allocator = {counting_reallocate, &counting};
static struct token_filter filter;

static int set_up(void **state)
{
    (void)state;
    counting = (struct counting_allocator){0};
    token_filter_init(&filter, &allocator, MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    token_filter_done(&filter);
    assert_int_equal(counting.bytes_out, 0);
    return 0;
}

static struct token token_at(uint64_t mark, roam_time issued)
{
    return (struct token){.kind = TOKEN_NEW, .issued = issued, .mark = mark};
}

/* Uses it; says whether it was believed. */
static bool use(const struct token token)
{
    if (!token_filter_allows(&filter, &token))
        return false;
    token_filter_on_used(&filter, &token);
    return true;
}

static void a_token_is_believed_once(void **state)
{
    //= rfc9000#8.1.4-8 NEW_TOKEN tokens are not accepted more than once.
    (void)state;
    struct seeded seeded = {7};
    for (uint64_t i = 0; i < 2 * MAX; i++)
        assert_true(use(token_at(seeded_u64(&seeded) | 1, ROAM_SECONDS(1000))));
    seeded.state = 7;
    for (uint64_t i = 0; i < 2 * MAX; i++)
        assert_false(use(token_at(seeded_u64(&seeded) | 1, ROAM_SECONDS(1000))));
    /* Marks that fall into one slot are told apart. */
    assert_true(use(token_at(UINT64_C(1) << 60, ROAM_SECONDS(2000))));
    assert_true(use(token_at(UINT64_C(3) << 60, ROAM_SECONDS(2000))));
    assert_false(use(token_at(UINT64_C(1) << 60, ROAM_SECONDS(2000))));
}

static void what_is_forgotten_is_not_believed_again(void **state)
{
    //= rfc9000#8.1.4-6 Token replay is prevented or bounded.
    (void)state;
    /* Tokens issued one a second, each used at once, until the first are forgotten. */
    for (uint64_t i = 1; i <= 5 * MAX; i++)
        assert_true(use(token_at(i, ROAM_SECONDS(i))));
    for (uint64_t i = 1; i <= 5 * MAX; i++)
        assert_false(use(token_at(i, ROAM_SECONDS(i))));
    /* One that was issued in that time and never used pays for it; one that is newer does not. */
    assert_false(use(token_at(1000000, ROAM_SECONDS(10))));
    assert_true(use(token_at(1000001, ROAM_SECONDS(5 * MAX))));
}

static void memory_is_bounded_and_grows_with_use(void **state)
{
    (void)state;
    assert_int_equal(counting.bytes_out, 0);
    assert_true(use(token_at(1, 1)));
    assert_in_range(counting.bytes_out, 1, 1024);
    for (uint64_t i = 2; i <= 20 * MAX; i++)
        assert_true(use(token_at(i, ROAM_SECONDS(i))));
    assert_in_range(counting.bytes_out, 1, 2 * 4 * MAX * sizeof(uint64_t));
}

static void without_memory_all_tokens_up_to_now_are_refused(void **state)
{
    (void)state;
    assert_true(use(token_at(1, ROAM_SECONDS(10))));
    counting.refuses = true;
    for (uint64_t i = 2; i < MAX; i++)
        token_filter_on_used(&filter, &(struct token){.kind = TOKEN_NEW, .issued = ROAM_SECONDS(10), .mark = i});
    counting.refuses = false;
    assert_false(use(token_at(1, ROAM_SECONDS(10))));
    assert_false(use(token_at(999, ROAM_SECONDS(10))));
    assert_true(use(token_at(1000, ROAM_SECONDS(11))));
}

static void retry_tokens_are_believed_once_and_not_refused_for_their_age(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 5 * MAX; i++)
        assert_true(use(token_at(i, ROAM_SECONDS(1000))) || i > 2 * MAX);
    struct token retry = {.kind = TOKEN_RETRY, .issued = ROAM_SECONDS(1), .mark = UINT64_MAX};
    assert_true(use(retry));
    assert_false(use(retry));
}

static void a_server_may_remember_none(void **state)
{
    (void)state;
    filter.max = 0;
    assert_true(use(token_at(1, 1)) && use(token_at(1, 1)));
    assert_int_equal(counting.bytes_out, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_believed_once),
        TEST(what_is_forgotten_is_not_believed_again),
        TEST(memory_is_bounded_and_grows_with_use),
        TEST(without_memory_all_tokens_up_to_now_are_refused),
        TEST(retry_tokens_are_believed_once_and_not_refused_for_their_age),
        TEST(a_server_may_remember_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
