/* ECN on one path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "path/ecn.h"

/* All test packets are out. */
static void set_up(struct ecn *ecn)
{
    ecn_init(ecn, true);
    for (int i = 0; i < ECN_TEST_PACKETS; i++) {
        assert_int_equal(ecn_mark(ecn), ROAM_ECN_ECT0);
        ecn_on_sent(ecn, true);
    }
    assert_int_equal(ecn->state, ROAM_ECN_STATE_UNKNOWN);
}

static void a_path_without_ecn_never_marks(void **state)
{
    (void)state;
    struct ecn ecn;
    ecn_init(&ecn, false);
    assert_int_equal(ecn_mark(&ecn), ROAM_ECN_NOT_ECT);
    assert_false(ecn_on_acked(&ecn, 0, true, 5, 5, 5));
    ecn_on_sent(&ecn, true);
    ecn_on_lost(&ecn, true);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_OFF);
}

static void only_the_first_packets_are_marked_until_the_counts_are_known_to_come(void **state)
{
    (void)state;
    struct ecn ecn;
    set_up(&ecn);
    assert_int_equal(ecn_mark(&ecn), ROAM_ECN_NOT_ECT);
    assert_false(ecn_on_acked(&ecn, 3, true, 3, 0, 0));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_CAPABLE);
    assert_int_equal(ecn_mark(&ecn), ROAM_ECN_ECT0);
}

static void packets_without_mark_do_not_count_as_tests(void **state)
{
    (void)state;
    struct ecn ecn;
    ecn_init(&ecn, true);
    for (int i = 0; i < 3 * ECN_TEST_PACKETS; i++)
        ecn_on_sent(&ecn, false);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_TESTING);
}

static void no_ack_without_a_marked_packet_makes_the_path_capable(void **state)
{
    (void)state;
    struct ecn ecn;
    set_up(&ecn);
    assert_false(ecn_on_acked(&ecn, 0, true, 0, 0, 0));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
    assert_false(ecn_on_acked(&ecn, 0, false, 0, 0, 0));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
}

static void marks_acknowledged_during_the_test_are_remembered_after_it(void **state)
{
    (void)state;
    struct ecn ecn;
    ecn_init(&ecn, true);
    for (int i = 0; i < ECN_TEST_PACKETS - 1; i++)
        ecn_on_sent(&ecn, true);
    assert_false(ecn_on_acked(&ecn, ECN_TEST_PACKETS - 1, true, ECN_TEST_PACKETS - 1, 0, 0));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_TESTING);
    ecn_on_sent(&ecn, true);
    ecn_on_lost(&ecn, true);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
    assert_false(ecn_on_acked(&ecn, 0, true, 0, 0, 0));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_CAPABLE);
}

/* 9000-13.4.2.2-1: no counts, too few counts, counts of a codepoint never sent. */
static void counts_that_do_not_account_for_the_marks_turn_it_off(void **state)
{
    (void)state;
    const struct {
        uint64_t marked;
        bool has_counts;
        uint64_t ect0, ect1, ce;
        bool fails;
    } cases[] = {
        {1, false, 0, 0, 0, true}, {0, false, 0, 0, 0, false},
        {3, true, 2, 0, 0, true},  {3, true, 2, 0, 1, false},
        {3, true, 0, 0, 3, false}, {3, true, 3, 1, 0, true},
        {0, true, 0, 1, 0, true},  {3, true, 9, 0, 0, false},
        {3, true, 0, 3, 0, true},  {3, true, UINT64_MAX, 0, UINT64_MAX, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ecn ecn;
        set_up(&ecn);
        bool congested =
            ecn_on_acked(&ecn, cases[i].marked, cases[i].has_counts, cases[i].ect0, cases[i].ect1, cases[i].ce);
        assert_int_equal(ecn.state == ROAM_ECN_STATE_FAILED, cases[i].fails);
        assert_int_equal(congested, !cases[i].fails && cases[i].ce > 0 && cases[i].ect0 > 0);
    }
}

/* 9000-13.4.2.2-2. */
static void a_capable_path_fails_later_and_stays_so(void **state)
{
    (void)state;
    struct ecn ecn;
    set_up(&ecn);
    ecn_on_acked(&ecn, 1, true, 1, 0, 0);
    assert_true(ecn_on_acked(&ecn, 2, true, 1, 0, 1));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_CAPABLE);
    assert_false(ecn_on_acked(&ecn, 2, true, 1, 0, 0));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_FAILED);
    assert_int_equal(ecn_mark(&ecn), ROAM_ECN_NOT_ECT);
    assert_false(ecn_on_acked(&ecn, 2, true, 2, 0, 1));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_FAILED);
}

static void the_loss_of_all_test_packets_turns_it_off(void **state)
{
    (void)state;
    struct ecn ecn;
    set_up(&ecn);
    ecn_on_lost(&ecn, false);
    for (int i = 0; i < ECN_TEST_PACKETS; i++) {
        assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
        ecn_on_lost(&ecn, true);
    }
    assert_int_equal(ecn.state, ROAM_ECN_STATE_FAILED);
}

static void the_loss_of_the_first_packets_alone_does_not(void **state)
{
    (void)state;
    struct ecn ecn;
    ecn_init(&ecn, true);
    ecn_on_sent(&ecn, true);
    ecn_on_lost(&ecn, true);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_TESTING);
}

static void losses_on_a_capable_path_are_congestion_and_nothing_else(void **state)
{
    (void)state;
    struct ecn ecn;
    set_up(&ecn);
    ecn_on_acked(&ecn, 1, true, 1, 0, 0);
    for (int i = 0; i < 3 * ECN_TEST_PACKETS; i++)
        ecn_on_lost(&ecn, true);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_CAPABLE);
}

/* S083. */
static void ce_on_every_test_packet_is_mangling_and_turns_it_off(void **state)
{
    (void)state;
    struct ecn ecn;
    set_up(&ecn);
    assert_false(ecn_on_acked(&ecn, 4, true, 0, 0, 4));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
    ecn_on_lost(&ecn, true);
    assert_false(ecn_on_acked(&ecn, ECN_TEST_PACKETS - 6, true, 0, 0, ECN_TEST_PACKETS - 6));
    assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
    ecn_on_lost(&ecn, true);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_FAILED);
    set_up(&ecn);
    ecn_on_acked(&ecn, ECN_TEST_PACKETS - 1, true, 0, 0, ECN_TEST_PACKETS - 1);
    ecn_on_acked(&ecn, 1, true, 1, 0, 0);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_CAPABLE);
}

static void what_cannot_be_told_apart_from_another_path_is_tested_again(void **state)
{
    (void)state;
    struct ecn ecn;
    set_up(&ecn);
    ecn_on_unclear(&ecn, 3);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_TESTING);
    for (int i = 0; i < 3; i++)
        ecn_on_sent(&ecn, true);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
    ecn_on_unclear(&ecn, 0);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_UNKNOWN);
    ecn_on_acked(&ecn, 1, true, 1, 0, 0);
    ecn_on_unclear(&ecn, 2);
    assert_int_equal(ecn.state, ROAM_ECN_STATE_CAPABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_without_ecn_never_marks),
        cmocka_unit_test(only_the_first_packets_are_marked_until_the_counts_are_known_to_come),
        cmocka_unit_test(packets_without_mark_do_not_count_as_tests),
        cmocka_unit_test(no_ack_without_a_marked_packet_makes_the_path_capable),
        cmocka_unit_test(marks_acknowledged_during_the_test_are_remembered_after_it),
        cmocka_unit_test(counts_that_do_not_account_for_the_marks_turn_it_off),
        cmocka_unit_test(a_capable_path_fails_later_and_stays_so),
        cmocka_unit_test(the_loss_of_all_test_packets_turns_it_off),
        cmocka_unit_test(the_loss_of_the_first_packets_alone_does_not),
        cmocka_unit_test(ce_on_every_test_packet_is_mangling_and_turns_it_off),
        cmocka_unit_test(what_cannot_be_told_apart_from_another_path_is_tested_again),
        cmocka_unit_test(losses_on_a_capable_path_are_congestion_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
