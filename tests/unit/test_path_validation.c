/* Has the peer been proven to be on this path? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "path/path_validation.h"

#define MS(n) ROAM_MILLISECONDS(n)

static void fill(void *context, void *buf, size_t len)
{
    uint64_t *next = context;
    uint8_t value[PATH_DATA_BYTES];
    (*next)++;
    memcpy(value, next, sizeof(value));
    assert_int_equal(len, sizeof(value));
    memcpy(buf, value, len);
}

static uint64_t drawn;
static const roam_rng rng = {.fill = fill, .context = &drawn};

typedef struct {
    uint8_t data[PATH_DATA_BYTES];
} challenge;

static challenge challenge_at(struct path_validation *validation, roam_time now, bool full_size)
{
    challenge ret;
    path_validation_on_sent(validation, &rng, now, full_size, ret.data);
    return ret;
}

static enum validation_answer answer(struct path_validation *validation, challenge to, roam_time now)
{
    return path_validation_on_response(validation, to.data, now, NULL);
}

static void begin(struct path_validation *validation)
{
    static struct path_challenge challenges[CHALLENGES_KEPT];
    path_validation_init(validation);
    path_validation_remember(validation, challenges);
}

static void start_at(struct path_validation *validation, roam_time now)
{
    begin(validation);
    path_validation_start(validation, now, MS(100), MS(50));
}

static void an_idle_path_waits_for_nothing(void **state)
{
    (void)state;
    struct path_validation validation;
    begin(&validation);
    assert_int_equal(validation.state, VALIDATION_IDLE);
    assert_false(validation.challenge_due);
    assert_int_equal(path_validation_deadline(&validation), ROAM_TIME_NEVER);
    assert_false(path_validation_expire(&validation, ROAM_TIME_NEVER));
    const challenge zero = {{0}};
    assert_int_equal(answer(&validation, zero, 1), VALIDATION_NO_MATCH);
    assert_false(path_validation_has_succeeded(&validation));
}

static void a_full_size_round_trip_proves_the_path(void **state)
{
    //= rfc9000#8.2.1-5 Pad datagrams with PATH_CHALLENGE to 1200 bytes unless the path's 3x budget forbids it.
    (void)state;
    struct path_validation validation;
    roam_time delay = 0;
    start_at(&validation, MS(10));
    assert_true(validation.challenge_due && validation.needs_full_size);
    challenge sent = challenge_at(&validation, MS(12), true);
    assert_false(validation.challenge_due);
    assert_int_equal(path_validation_on_response(&validation, sent.data, MS(42), &delay), VALIDATION_COMPLETE);
    assert_int_equal(delay, MS(30));
    assert_int_equal(validation.state, VALIDATION_SUCCEEDED);
    assert_true(validation.address_proven);
    assert_false(validation.needs_full_size);
    assert_int_equal(path_validation_deadline(&validation), ROAM_TIME_NEVER);
}

/* 9000-8.2.3-1. */
static void other_data_proves_nothing(void **state)
{
    //= rfc9000#8.2.3-1 Validation succeeds only by a PATH_RESPONSE with matching data; an ACK of the PATH_CHALLENGE is
    // not proof.
    (void)state;
    struct path_validation validation;
    roam_time delay = 77;
    start_at(&validation, 0);
    challenge sent = challenge_at(&validation, 0, true);
    sent.data[7] ^= 1;
    assert_int_equal(path_validation_on_response(&validation, sent.data, MS(5), &delay), VALIDATION_NO_MATCH);
    assert_int_equal(delay, 77);
    assert_int_equal(validation.state, VALIDATION_RUNNING);
    assert_false(validation.address_proven);
}

/* 9000-8.2.1-4. */
static void every_challenge_carries_fresh_data(void **state)
{
    //= rfc9000#8.2.1-4 Use fresh unpredictable data in each PATH_CHALLENGE.
    (void)state;
    struct path_validation validation;
    challenge sent[6];
    start_at(&validation, 0);
    for (size_t i = 0; i < 6; i++) {
        sent[i] = challenge_at(&validation, 0, true);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(sent[i].data, sent[j].data, PATH_DATA_BYTES);
    }
}

static void any_of_the_newest_challenges_may_be_answered_and_older_ones_not(void **state)
{
    (void)state;
    for (size_t which = 0; which < 6; which++) {
        struct path_validation validation;
        challenge sent[6];
        roam_time delay = 0;
        start_at(&validation, 0);
        for (size_t i = 0; i < 6; i++)
            sent[i] = challenge_at(&validation, MS(i), true);
        enum validation_answer got = path_validation_on_response(&validation, sent[which].data, MS(20), &delay);
        assert_int_equal(got, which < 6 - CHALLENGES_KEPT ? VALIDATION_NO_MATCH : VALIDATION_COMPLETE);
        if (got == VALIDATION_COMPLETE)
            assert_int_equal(delay, MS(20 - which)); /* of the challenge that was answered, not of the newest */
    }
}

/* 9000-9.4-4, 9000-9.4-5, 9000-8.2.1-3. */
static void challenges_are_repeated_after_pto_and_twice_and_four_times_that(void **state)
{
    //= rfc9000#8.2.1-3 Do not probe a new path more often than Initials would be sent (i.e. keep PTO/backoff pacing).
    //= rfc9000#9.4-4 A timer for resending PATH_CHALLENGE follows the PTO computation of RFC 9002 section 6.2.1.
    //= rfc9000#9.4-5 That resend timer is never more aggressive than the PTO.
    (void)state;
    struct path_validation validation;
    begin(&validation);
    path_validation_start(&validation, 0, MS(10), MS(100));
    roam_time now = 0, wait = MS(10);
    for (int i = 0; i < 5; i++, wait *= 2) {
        assert_true(validation.challenge_due);
        challenge_at(&validation, now, true);
        assert_int_equal(path_validation_deadline(&validation), now + wait < MS(300) ? now + wait : MS(300));
        if (now + wait >= MS(300))
            break;
        assert_false(path_validation_expire(&validation, now + wait - 1));
        assert_false(validation.challenge_due);
        now += wait;
        assert_false(path_validation_expire(&validation, now));
    }
    assert_int_equal(now, MS(10 + 20 + 40 + 80));
}

/* 9000-8.2.4-2: 3 times the larger of the two. */
static void a_first_rtt_sample_shortens_the_wait_but_never_lengthens_it(void **state)
{
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    roam_time fails = path_validation_deadline(&validation);
    path_validation_on_rtt(&validation, MS(10)); /* nothing was sent yet */
    assert_int_equal(path_validation_deadline(&validation), fails);
    challenge_at(&validation, 0, true);
    assert_int_equal(path_validation_deadline(&validation), MS(10));
    start_at(&validation, 0);
    challenge_at(&validation, 0, true);
    assert_int_equal(path_validation_deadline(&validation), MS(100));
    path_validation_on_rtt(&validation, MS(150));
    assert_int_equal(path_validation_deadline(&validation), MS(100));
    path_validation_on_rtt(&validation, MS(20));
    assert_int_equal(path_validation_deadline(&validation), MS(20));
    assert_false(path_validation_expire(&validation, MS(30)));
    assert_true(validation.challenge_due);
    challenge_at(&validation, MS(30), true);
    assert_int_equal(path_validation_deadline(&validation), MS(70));
    /* And the end comes when it would have come. */
    assert_false(path_validation_expire(&validation, MS(299)));
    assert_true(path_validation_expire(&validation, MS(300)));
    path_validation_on_rtt(&validation, MS(1));
    assert_int_equal(path_validation_deadline(&validation), ROAM_TIME_NEVER);
}

static void nobody_answers_and_the_run_fails_after_three_times_the_larger_pto(void **state)
{
    //= rfc9000#8.2.4-1 Abandon validation by a timer.
    //= rfc9000#8.2.4-2 Use 3 x max(current PTO, new-path PTO from kInitialRtt) for that timer.
    (void)state;
    const roam_time ptos[][2] = {{MS(100), MS(50)}, {MS(50), MS(100)}, {MS(100), MS(100)}};
    for (size_t i = 0; i < 3; i++) {
        struct path_validation validation;
        begin(&validation);
        path_validation_start(&validation, MS(7), ptos[i][0], ptos[i][1]);
        challenge_at(&validation, MS(7), true);
        assert_false(path_validation_expire(&validation, MS(307) - 1));
        assert_true(path_validation_expire(&validation, MS(307)));
        assert_int_equal(validation.state, VALIDATION_FAILED);
        assert_false(validation.challenge_due);
        assert_false(path_validation_expire(&validation, MS(1000))); /* said once */
        assert_int_equal(path_validation_deadline(&validation), ROAM_TIME_NEVER);
    }
}

/* B15, B17: no CID, no allowance, no room in the window. */
static void a_run_whose_challenge_never_could_leave_fails_too(void **state)
{
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    assert_int_equal(path_validation_deadline(&validation), MS(300));
    assert_false(path_validation_expire(&validation, MS(299)));
    assert_true(validation.challenge_due);
    assert_true(path_validation_expire(&validation, MS(300)));
}

/* B05. */
static void a_repeated_response_is_harmless(void **state)
{
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    challenge first = challenge_at(&validation, 0, true), second = challenge_at(&validation, MS(1), true);
    assert_int_equal(answer(&validation, first, MS(5)), VALIDATION_COMPLETE);
    struct path_validation before = validation;
    roam_time delay = 77;
    assert_int_equal(path_validation_on_response(&validation, first.data, MS(6), &delay), VALIDATION_REPEAT);
    assert_int_equal(path_validation_on_response(&validation, second.data, MS(6), &delay), VALIDATION_REPEAT);
    assert_int_equal(delay, 77);
    assert_memory_equal(&before, &validation, sizeof(validation));
}

/* B05: what was answered once must not prove a later run. */
static void an_answer_to_an_earlier_run_does_not_prove_this_one(void **state)
{
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    challenge old = challenge_at(&validation, 0, true);
    assert_true(path_validation_expire(&validation, MS(300)));
    assert_int_equal(answer(&validation, old, MS(301)), VALIDATION_REPEAT);
    assert_int_equal(validation.state, VALIDATION_FAILED);
    path_validation_start(&validation, MS(400), MS(100), MS(100));
    assert_int_equal(answer(&validation, old, MS(401)), VALIDATION_NO_MATCH);
    assert_int_equal(validation.state, VALIDATION_RUNNING);
    assert_false(validation.address_proven);
}

/* B13, 9000-8.2.3-2. */
static void an_answer_to_a_small_challenge_starts_a_full_size_round(void **state)
{
    //= rfc9000#8.2.1-6 If validation ran in small datagrams, run a second full-size validation for the MTU.
    //= rfc9000#8.2.3-2 When the challenge was not full-size, start another expanded validation after success.
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    challenge small = challenge_at(&validation, 0, false);
    assert_int_equal(answer(&validation, small, MS(250)), VALIDATION_ADDRESS);
    assert_int_equal(validation.state, VALIDATION_RUNNING);
    assert_true(validation.address_proven && validation.needs_full_size && validation.challenge_due);

    /* The time starts again, the backoff too, and a repeat of the small answer moves neither. */
    challenge full = challenge_at(&validation, MS(251), true);
    assert_int_equal(path_validation_deadline(&validation), MS(351));
    assert_int_equal(answer(&validation, small, MS(300)), VALIDATION_REPEAT);
    assert_int_equal(path_validation_deadline(&validation), MS(351));
    assert_false(path_validation_expire(&validation, MS(549)));
    assert_int_equal(answer(&validation, full, MS(549)), VALIDATION_COMPLETE);
    assert_int_equal(validation.state, VALIDATION_SUCCEEDED);
    assert_false(validation.needs_full_size);
}

/* B14: the address stays proven where only the size fails. */
static void a_full_size_round_that_fails_leaves_the_address_proven(void **state)
{
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    challenge small = challenge_at(&validation, 0, false);
    assert_int_equal(answer(&validation, small, MS(40)), VALIDATION_ADDRESS);
    challenge_at(&validation, MS(40), true);
    assert_false(path_validation_expire(&validation, MS(339)));
    assert_true(path_validation_expire(&validation, MS(340)));
    assert_int_equal(validation.state, VALIDATION_FAILED);
    assert_true(validation.address_proven && validation.needs_full_size);
}

static void a_full_size_challenge_already_on_its_way_is_not_sent_twice(void **state)
{
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    challenge small = challenge_at(&validation, 0, false);
    assert_false(path_validation_expire(&validation, MS(100)));
    challenge full = challenge_at(&validation, MS(100), true);
    assert_int_equal(answer(&validation, small, MS(110)), VALIDATION_ADDRESS);
    assert_false(validation.challenge_due);
    assert_int_equal(path_validation_deadline(&validation), MS(300)); /* resent then, and no failure before 410 */
    assert_false(path_validation_expire(&validation, MS(300)));
    assert_true(validation.challenge_due);
    assert_int_equal(answer(&validation, full, MS(305)), VALIDATION_COMPLETE);
}

static void a_full_size_answer_ends_the_run_though_a_small_one_is_open(void **state)
{
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    challenge small = challenge_at(&validation, 0, false), full = challenge_at(&validation, MS(1), true);
    assert_int_equal(answer(&validation, full, MS(9)), VALIDATION_COMPLETE);
    assert_int_equal(answer(&validation, small, MS(10)), VALIDATION_REPEAT);
}

/* 9000-9.3-2. */
static void starting_a_running_validation_changes_nothing(void **state)
{
    //= rfc9000#9.3-2 Start validating the new address unless validation is already running.
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    challenge_at(&validation, MS(1), true);
    struct path_validation before = validation;
    path_validation_start(&validation, MS(50), MS(1000), MS(1000));
    assert_memory_equal(&before, &validation, sizeof(validation));
}

/* RFC 9000 section 9.3.3 challenges a path that was proven before. */
static void an_abandoned_check_of_a_proven_path_leaves_it_proven(void **state)
{
    //= rfc9000#9.3-7 After moving, validation of other addresses may be abandoned.
    (void)state;
    struct path_validation validation;
    start_at(&validation, 0);
    path_validation_abandon(&validation);
    assert_int_equal(validation.state, VALIDATION_IDLE);
    assert_int_equal(path_validation_deadline(&validation), ROAM_TIME_NEVER);

    path_validation_start(&validation, 0, MS(100), MS(100));
    assert_false(path_validation_has_succeeded(&validation));
    challenge sent = challenge_at(&validation, 0, true);
    assert_int_equal(answer(&validation, sent, MS(1)), VALIDATION_COMPLETE);
    path_validation_abandon(&validation);
    assert_int_equal(validation.state, VALIDATION_SUCCEEDED);

    for (int again = 0; again < 2; again++) {
        path_validation_start(&validation, MS(10), MS(100), MS(100));
        assert_true(path_validation_has_succeeded(&validation));
        assert_true(validation.needs_full_size && validation.challenge_due);
        path_validation_abandon(&validation);
        assert_int_equal(validation.state, VALIDATION_SUCCEEDED);
        assert_false(validation.needs_full_size || validation.challenge_due);
    }

    path_validation_start(&validation, MS(20), MS(100), MS(100));
    assert_true(path_validation_expire(&validation, MS(320)));
    assert_false(path_validation_has_succeeded(&validation));
    path_validation_start(&validation, MS(400), MS(100), MS(100));
    path_validation_abandon(&validation);
    assert_int_equal(validation.state, VALIDATION_IDLE);
}

static void absurd_ptos_do_not_wrap_around(void **state)
{
    (void)state;
    struct path_validation validation;
    begin(&validation);
    path_validation_start(&validation, MS(5), UINT64_MAX / 2, 1);
    for (int i = 0; i < 300; i++)
        challenge_at(&validation, MS(5), true);
    assert_int_equal(path_validation_deadline(&validation), ROAM_TIME_NEVER);
    assert_false(path_validation_expire(&validation, ROAM_SECONDS(1000000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_path_waits_for_nothing),
        cmocka_unit_test(a_full_size_round_trip_proves_the_path),
        cmocka_unit_test(other_data_proves_nothing),
        cmocka_unit_test(every_challenge_carries_fresh_data),
        cmocka_unit_test(any_of_the_newest_challenges_may_be_answered_and_older_ones_not),
        cmocka_unit_test(challenges_are_repeated_after_pto_and_twice_and_four_times_that),
        cmocka_unit_test(a_first_rtt_sample_shortens_the_wait_but_never_lengthens_it),
        cmocka_unit_test(nobody_answers_and_the_run_fails_after_three_times_the_larger_pto),
        cmocka_unit_test(a_run_whose_challenge_never_could_leave_fails_too),
        cmocka_unit_test(a_repeated_response_is_harmless),
        cmocka_unit_test(an_answer_to_an_earlier_run_does_not_prove_this_one),
        cmocka_unit_test(an_answer_to_a_small_challenge_starts_a_full_size_round),
        cmocka_unit_test(a_full_size_round_that_fails_leaves_the_address_proven),
        cmocka_unit_test(a_full_size_challenge_already_on_its_way_is_not_sent_twice),
        cmocka_unit_test(a_full_size_answer_ends_the_run_though_a_small_one_is_open),
        cmocka_unit_test(starting_a_running_validation_changes_nothing),
        cmocka_unit_test(an_abandoned_check_of_a_proven_path_leaves_it_proven),
        cmocka_unit_test(absurd_ptos_do_not_wrap_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
