/* Round-trip time estimation: the numbers of RFC 9002 section 5, computed by hand. */
#include "recovery_fixture.h"

#include "recovery/rtt.h"

#define MS(n) ROAM_MILLISECONDS(n)

static void without_samples_the_initial_rtt_counts(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    assert_false(rtt.has_sample);
    assert_int_equal(rtt.smoothed, MS(333));
    assert_int_equal(rtt.variation, MS(333) / 2);
    assert_int_equal(rtt_pto(&rtt, 0), MS(999));
    rtt_init(&rtt, MS(80));
    assert_int_equal(rtt.smoothed, MS(80));
    assert_int_equal(rtt_loss_delay(&rtt), MS(90));
}

static void the_first_sample_replaces_the_guess_whatever_delay_is_reported(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(100), MS(30), MS(25), true);
    assert_true(rtt.has_sample);
    assert_int_equal(rtt.latest, MS(100));
    assert_int_equal(rtt.min, MS(100));
    assert_int_equal(rtt.smoothed, MS(100));
    assert_int_equal(rtt.variation, MS(50));
}

static void later_samples_are_weighed_as_the_rfc_says(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(100), 0, MS(25), true);
    rtt_update(&rtt, MS(180), MS(20), MS(25), true);
    assert_int_equal(rtt.min, MS(100));
    assert_int_equal(rtt.latest, MS(180));
    assert_int_equal(rtt.variation, (3 * MS(50) + MS(60)) / 4);
    assert_int_equal(rtt.smoothed, (7 * MS(100) + MS(160)) / 8);
}

static void the_variation_is_measured_against_the_old_average(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(800), 0, 0, true);
    rtt_update(&rtt, MS(80), 0, 0, true);
    assert_int_equal(rtt.variation, (3 * MS(400) + MS(720)) / 4);
    assert_int_equal(rtt.smoothed, MS(710));
}

static void acknowledgements_of_the_handshake_that_were_lost_for_long_are_forgotten(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(15500), 0, 0, false);
    rtt_update(&rtt, MS(31), 0, MS(25), true);
    assert_int_equal(rtt.smoothed, MS(31));
    assert_int_equal(rtt.variation, MS(31) / 2);
    assert_int_equal(rtt.min, MS(31));
    /* A queue that has emptied is no such thing: there was a sample like it before. */
    rtt_update(&rtt, MS(2000), 0, MS(25), true);
    rtt_update(&rtt, MS(30), 0, MS(25), true);
    assert_true(rtt.smoothed > MS(200));
}

static void a_reported_delay_never_brings_a_sample_below_the_minimum(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(100), 0, MS(25), true);
    rtt_update(&rtt, MS(110), MS(20), MS(25), true);
    assert_int_equal(rtt.smoothed, (7 * MS(100) + MS(110)) / 8);
    /* Exactly down to the minimum is allowed. */
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(100), 0, MS(25), true);
    rtt_update(&rtt, MS(120), MS(20), MS(25), true);
    assert_int_equal(rtt.smoothed, MS(100));
    rtt_update(&rtt, MS(120), UINT64_MAX, MS(25), false);
    assert_int_equal(rtt.smoothed, (7 * MS(100) + MS(120)) / 8);
}

static void max_ack_delay_bounds_the_report_only_once_confirmed(void **state)
{
    (void)state;
    struct rtt before, after;
    rtt_init(&before, 0);
    rtt_update(&before, MS(100), 0, MS(25), false);
    after = before;
    rtt_update(&before, MS(300), MS(200), MS(25), false);
    rtt_update(&after, MS(300), MS(200), MS(25), true);
    assert_int_equal(before.smoothed, MS(100));
    assert_int_equal(after.smoothed, (7 * MS(100) + MS(275)) / 8);
}

static void the_minimum_ignores_reported_delays(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(100), 0, MS(25), true);
    rtt_update(&rtt, MS(90), MS(25), MS(25), true);
    assert_int_equal(rtt.min, MS(90));
}

static void after_persistent_congestion_the_minimum_is_the_newest_sample(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(10), 0, 0, true);
    rtt_update(&rtt, MS(50), 0, 0, true);
    assert_int_equal(rtt.min, MS(10));
    rtt_reset_min(&rtt);
    assert_int_equal(rtt.min, MS(50));
}

static void timers_are_never_shorter_than_the_granularity(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    for (int i = 0; i < 100; i++)
        rtt_update(&rtt, 1000, 0, 0, true);
    assert_true(rtt.variation < 1000);
    assert_int_equal(rtt_loss_delay(&rtt), MS(1));
    assert_int_equal(rtt_pto(&rtt, MS(25)), 1000 + MS(1) + MS(25));
}

static void the_loss_delay_follows_the_larger_of_average_and_newest_sample(void **state)
{
    (void)state;
    struct rtt rtt;
    rtt_init(&rtt, 0);
    rtt_update(&rtt, MS(80), 0, 0, true);
    rtt_update(&rtt, MS(160), 0, 0, true);
    assert_int_equal(rtt_loss_delay(&rtt), MS(180));
    rtt_update(&rtt, MS(80), 0, 0, true);
    assert_int_equal(rtt_loss_delay(&rtt), rtt.smoothed + rtt.smoothed / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_samples_the_initial_rtt_counts),
        cmocka_unit_test(the_first_sample_replaces_the_guess_whatever_delay_is_reported),
        cmocka_unit_test(later_samples_are_weighed_as_the_rfc_says),
        cmocka_unit_test(the_variation_is_measured_against_the_old_average),
        cmocka_unit_test(acknowledgements_of_the_handshake_that_were_lost_for_long_are_forgotten),
        cmocka_unit_test(a_reported_delay_never_brings_a_sample_below_the_minimum),
        cmocka_unit_test(max_ack_delay_bounds_the_report_only_once_confirmed),
        cmocka_unit_test(the_minimum_ignores_reported_delays),
        cmocka_unit_test(after_persistent_congestion_the_minimum_is_the_newest_sample),
        cmocka_unit_test(timers_are_never_shorter_than_the_granularity),
        cmocka_unit_test(the_loss_delay_follows_the_larger_of_average_and_newest_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
