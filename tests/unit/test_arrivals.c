/* When the absence of packets is news: after how long, how often it is asked about, and what that may cost. */
#include "recovery_fixture.h"

#include "base/minmax.h"
#include "recovery/arrivals.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define US(n)    ROAM_MICROSECONDS(n)
#define DATAGRAM 1400

struct world {
    struct arrivals arrivals;
    struct rtt rtt;
    roam_time now;
    uint64_t received, asked;
};

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world = (struct world){.now = ROAM_SECONDS(1)};
    rtt_init(&world.rtt, 0);
    rtt_update(&world.rtt, MS(20), 0, 0, true);
    return 0;
}

static roam_time ask_at(void)
{
    return arrivals_ask_at(&world.arrivals, &world.rtt);
}

static void receive(void)
{
    arrivals_on_received(&world.arrivals, world.now, DATAGRAM, &world.rtt);
    world.received += DATAGRAM;
}

/* Time passes, and whatever is to be asked is. */
static void pass(roam_time span)
{
    const roam_time until = world.now + span;
    while (ask_at() <= until) {
        world.now = max_u64(world.now, ask_at());
        arrivals_on_asked(&world.arrivals, world.now);
        world.asked++;
    }
    world.now = until;
}

/* So many packets, one after each `gap`. */
static void flow(unsigned packets, roam_time gap)
{
    for (unsigned i = 0; i < packets; i++) {
        pass(gap);
        receive();
    }
}

static void a_busy_flow_that_stops_is_news_after_three_milliseconds(void **state)
{
    (void)state;
    flow(1000, US(50));
    assert_int_equal(world.asked, 0);
    assert_int_equal(ask_at(), world.now + ARRIVALS_SILENCE_MIN);
}

static void on_a_long_path_it_is_news_after_an_eighth_of_a_round_trip(void **state)
{
    (void)state;
    rtt_init(&world.rtt, 0);
    rtt_update(&world.rtt, MS(80), 0, 0, true);
    flow(1000, US(50));
    assert_int_equal(ask_at(), world.now + MS(10));
}

static void what_happens_twice_is_usual(void **state)
{
    (void)state;
    flow(200, US(50));
    flow(1, MS(6));
    flow(200, US(50));
    const uint64_t once = world.asked;
    assert_true(once > 0);
    flow(1, MS(6));
    flow(200, US(50));
    assert_true(world.asked > once);
    assert_int_equal(ask_at(), world.now + MS(9));
}

static void a_sender_of_bursts_is_never_asked(void **state)
{
    (void)state;
    /* The first silences are met without credit, as a slow start begins with few octets. */
    for (unsigned burst = 0; burst < 500; burst++) {
        flow(1, MS(13));
        flow(min_u64(burst + 5, 200), 0);
    }
    assert_int_equal(world.asked, 0);
}

static void what_was_usual_is_forgotten_after_some_round_trips(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        flow(1, MS(6));
    flow(200, US(50));
    assert_int_equal(ask_at(), world.now + MS(9));
    flow((unsigned)(2 * ARRIVALS_PERIOD_RTTS * MS(20) / US(50)) + 1, US(50));
    assert_int_equal(ask_at(), world.now + ARRIVALS_SILENCE_MIN);
}

static void a_silence_is_asked_about_again_whenever_it_has_grown_by_half(void **state)
{
    (void)state;
    flow(10000, US(50));
    roam_time silence = ARRIVALS_SILENCE_MIN;
    for (unsigned i = 0; i < ARRIVALS_QUESTIONS_MAX; i++) {
        assert_int_equal(ask_at(), world.now + silence);
        arrivals_on_asked(&world.arrivals, world.now);
        silence += silence / 2;
    }
    assert_int_equal(ask_at(), ROAM_TIME_NEVER);
    world.now += MS(40);
    flow(1000, US(50));
    assert_int_equal(ask_at(), world.now + ARRIVALS_SILENCE_MIN);
}

static void where_little_came_nothing_is_asked(void **state)
{
    (void)state;
    assert_int_equal(ask_at(), ROAM_TIME_NEVER);
    flow(ARRIVALS_QUESTION_BYTES * ARRIVALS_SHARE / DATAGRAM, US(50));
    assert_int_equal(ask_at(), ROAM_TIME_NEVER);
    flow(1, US(50));
    assert_int_equal(ask_at(), world.now + ARRIVALS_SILENCE_MIN);
}

static void whatever_comes_the_questions_are_a_small_share_of_it(void **state)
{
    struct seeded seeded = {.state = 1};
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        /* Bursts and silences of any length, such as an application makes that sends when it likes. */
        flow((unsigned)seeded_below(&seeded, 60), US(20));
        flow(1, US(seeded_below(&seeded, 30000)));
        assert_true(world.asked * ARRIVALS_QUESTION_BYTES * ARRIVALS_SHARE <= world.received);
    }
    assert_true(world.asked > 0);
}

static void what_a_pto_says_as_well_is_not_asked(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        flow(1, MS(14));
    assert_int_equal(ask_at(), ROAM_TIME_NEVER);
    assert_int_equal(world.asked, 0);
}

static void a_silence_after_a_challenge_is_no_news_and_nothing_usual(void **state)
{
    (void)state;
    flow(1000, US(50));
    world.now += MS(30);
    arrivals_excuse(&world.arrivals, world.now, &world.rtt);
    receive();
    assert_int_equal(ask_at(), world.now + MS(40) + ARRIVALS_SILENCE_MIN);
    world.now += MS(20);
    receive();
    world.now += MS(19);
    receive();
    flow(1000, US(50));
    assert_int_equal(ask_at(), world.now + ARRIVALS_SILENCE_MIN);
}

static void where_nothing_is_to_come_nobody_asks_until_something_does(void **state)
{
    (void)state;
    flow(1000, US(50));
    arrivals_expect_none(&world.arrivals);
    assert_int_equal(ask_at(), ROAM_TIME_NEVER);
    flow(1, US(50));
    assert_int_equal(ask_at(), world.now + ARRIVALS_SILENCE_MIN);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_busy_flow_that_stops_is_news_after_three_milliseconds),
        TEST(on_a_long_path_it_is_news_after_an_eighth_of_a_round_trip),
        TEST(what_happens_twice_is_usual),
        TEST(a_sender_of_bursts_is_never_asked),
        TEST(what_was_usual_is_forgotten_after_some_round_trips),
        TEST(a_silence_is_asked_about_again_whenever_it_has_grown_by_half),
        TEST(where_little_came_nothing_is_asked),
        TEST(whatever_comes_the_questions_are_a_small_share_of_it),
        TEST(what_a_pto_says_as_well_is_not_asked),
        TEST(a_silence_after_a_challenge_is_no_news_and_nothing_usual),
        TEST(where_nothing_is_to_come_nobody_asks_until_something_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
