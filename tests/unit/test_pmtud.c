/* The search for a path's datagram size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "path/pmtud.h"
#include "seeded.h"
#include "wire/packet.h"

#define MS(n)    ROAM_MILLISECONDS(n)
#define JUMBO    8972
#define ETHERNET 1472

/* A path that carries datagrams of at most `carries`, with one that sends without end. */
struct search {
    struct pmtud pmtud;
    roam_time now;
    size_t carries, limit;
    size_t probes, probe_bytes, data_bytes;
};

static void set_up(struct search *search, size_t carries, size_t limit)
{
    *search = (struct search){.now = MS(1000), .carries = carries, .limit = limit};
    pmtud_init(&search->pmtud, true, ROAM_FAMILY_IPV4, 1200);
}

/* One full datagram and, where it is due, one probe go out, and what becomes of them is known. */
static void step(struct search *search)
{
    struct pmtud *pmtud = &search->pmtud;
    roam_time sent_at = search->now;
    size_t full = pmtud->size, probe = pmtud_next_probe(pmtud, search->limit, search->now);
    if (probe > 0) {
        assert_true(probe > pmtud->size && probe <= search->limit);
        pmtud_on_probe_sent(pmtud);
        assert_int_equal(pmtud_next_probe(pmtud, search->limit, search->now), 0);
        search->probes++;
        search->probe_bytes += probe;
    }
    pmtud_on_sent(pmtud, full);
    search->data_bytes += full;
    search->now += MS(10);
    if (full <= search->carries)
        pmtud_on_acked(pmtud, full, false, sent_at, search->now);
    else
        pmtud_on_lost(pmtud, full, false, sent_at, search->now);
    if (probe > 0 && probe <= search->carries)
        assert_true(pmtud_on_acked(pmtud, probe, true, sent_at, search->now) && pmtud->size == probe);
    else if (probe > 0)
        assert_false(pmtud_on_lost(pmtud, probe, true, sent_at, search->now));
    pmtud_check(pmtud);
}

static void run(struct search *search, int steps)
{
    for (int i = 0; i < steps; i++)
        step(search);
}

static void a_path_without_search_keeps_the_size_that_was_configured(void **state)
{
    (void)state;
    struct pmtud pmtud;
    pmtud_init(&pmtud, false, ROAM_FAMILY_IPV4, 1400);
    for (int i = 0; i < 100; i++) {
        pmtud_on_sent(&pmtud, 1400);
        assert_false(pmtud_on_acked(&pmtud, 1400, false, MS(i), MS(i)));
        assert_int_equal(pmtud_next_probe(&pmtud, JUMBO, MS(i)), 0);
        assert_false(pmtud_on_lost(&pmtud, 1400, false, MS(i), MS(i)));
        assert_false(pmtud_on_too_large(&pmtud, 1400, MS(i)));
    }
    assert_int_equal(pmtud.size, 1400);
    assert_int_equal(pmtud.state, ROAM_PMTUD_OFF);
}

//= rfc9000#14.3-1 BASE_PLPMTU is consistent with 1200.
static void the_search_begins_when_the_base_is_confirmed(void **state)
{
    (void)state;
    struct pmtud pmtud;
    pmtud_init(&pmtud, true, ROAM_FAMILY_IPV4, 500);
    assert_int_equal(pmtud.size, 1200);
    for (int i = 0; i < 100; i++)
        pmtud_on_sent(&pmtud, 1200);
    pmtud_on_acked(&pmtud, 1199, false, MS(1), MS(2));
    assert_int_equal(pmtud.state, ROAM_PMTUD_BASE);
    assert_int_equal(pmtud_next_probe(&pmtud, JUMBO, MS(2)), 0);
    pmtud_on_acked(&pmtud, 1200, false, MS(1), MS(2));
    assert_int_equal(pmtud.state, ROAM_PMTUD_SEARCHING);
    assert_int_equal(pmtud_next_probe(&pmtud, JUMBO, MS(2)), ETHERNET);
}

/* The largest of the sizes that are tried. */
static void every_mtu_of_the_table_is_found(void **state)
{
    (void)state;
    static const uint16_t mtus[] = {1280, 1340, 1400, 1420, 1440, 1460, 1480, 1492, 1500, 9000};
    for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
        struct search search;
        set_up(&search, mtus[i] - 28u, JUMBO);
        run(&search, 2000);
        assert_int_equal(search.pmtud.state, ROAM_PMTUD_SEARCH_COMPLETE);
        assert_int_equal(search.pmtud.size, mtus[i] - 28);
        assert_int_equal(search.pmtud.black_holes, 0);
    }
}

static void between_two_sizes_of_the_table_the_smaller_is_taken(void **state)
{
    (void)state;
    for (size_t carries = 1200; carries < 1600; carries++) {
        struct search search;
        set_up(&search, carries, JUMBO);
        run(&search, 2000);
        assert_int_equal(search.pmtud.state, ROAM_PMTUD_SEARCH_COMPLETE);
        assert_true(search.pmtud.size <= carries);
        assert_true(search.pmtud.size + 130u > carries || carries > ETHERNET);
    }
}

static void the_headers_of_ipv6_leave_twenty_octets_less(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, 1500 - 48, 1500);
    pmtud_init(&search.pmtud, true, ROAM_FAMILY_IPV6, 1200);
    run(&search, 2000);
    assert_int_equal(search.pmtud.size, 1452);
}

static void nothing_above_the_limit_is_tried_and_the_limit_itself_is(void **state)
{
    (void)state;
    static const size_t limits[] = {1200, 1201, 1250, 1471, 1472, 1473, 4000, 65507};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct search search;
        set_up(&search, 65507, limits[i]);
        run(&search, 2000);
        assert_int_equal(search.pmtud.size, limits[i]);
        assert_int_equal(search.pmtud.probes_lost, 0);
    }
}

static void a_search_costs_an_eighth_of_the_data_and_a_handful_of_probes(void **state)
{
    (void)state;
    for (size_t carries = 1200; carries < 9100; carries += 50) {
        struct search search;
        set_up(&search, carries, JUMBO);
        for (int i = 0; i < 3000; i++) {
            step(&search);
            assert_true(search.probe_bytes * PMTUD_COST_FACTOR <= search.data_bytes);
        }
        assert_true(search.probes <= 5 * PMTUD_PROBES_MAX);
        assert_int_equal(search.pmtud.state, ROAM_PMTUD_SEARCH_COMPLETE);
    }
}

static void who_sends_nothing_large_never_probes(void **state)
{
    (void)state;
    struct pmtud pmtud;
    pmtud_init(&pmtud, true, ROAM_FAMILY_IPV4, 1200);
    pmtud_on_acked(&pmtud, 1200, false, 0, 1);
    for (int i = 0; i < 10000; i++) {
        pmtud_on_sent(&pmtud, 600);
        assert_int_equal(pmtud_next_probe(&pmtud, JUMBO, MS(i)), 0);
    }
}

static void a_size_is_given_up_after_three_lost_probes_and_not_before(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, 1472, 1472);
    search.carries = 1250; /* for now */
    while (search.probes < PMTUD_PROBES_MAX - 1)
        step(&search);
    search.carries = 1472;
    run(&search, 100);
    assert_int_equal(search.pmtud.size, 1472);
    assert_int_equal(search.pmtud.probes_lost, PMTUD_PROBES_MAX - 1);
}

static void after_ten_minutes_a_larger_size_is_looked_for_again(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, 1372, ETHERNET);
    run(&search, 2000);
    assert_int_equal(search.pmtud.size, 1372);
    search.carries = ETHERNET;
    run(&search, 2000);
    assert_int_equal(search.pmtud.size, 1372);
    search.now += PMTUD_RAISE_TIME;
    run(&search, 100);
    assert_int_equal(search.pmtud.size, ETHERNET);
}

static void a_black_hole_is_noticed_when_only_small_datagrams_come_through(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, ETHERNET, ETHERNET);
    run(&search, 200);
    struct pmtud *pmtud = &search.pmtud;
    assert_int_equal(pmtud->size, ETHERNET);
    for (int i = 0; i < 10; i++)
        assert_false(pmtud_on_lost(pmtud, ETHERNET, false, search.now + MS(i), search.now + MS(50)));
    assert_true(pmtud_on_acked(pmtud, 1200, false, search.now + MS(11), search.now + MS(60)));
    assert_int_equal(pmtud->size, 1200);
    assert_int_equal(pmtud->state, ROAM_PMTUD_BASE);
    assert_int_equal(pmtud->black_holes, 1);
    /* What is acknowledged late has left before. */
    pmtud_on_acked(pmtud, ETHERNET, false, search.now - MS(1), search.now + MS(70));
    assert_int_equal(pmtud->state, ROAM_PMTUD_BASE);
    search.now += MS(100);
    search.carries = 1300;
    run(&search, 2000);
    assert_int_equal(pmtud->size, 1252);
    assert_int_equal(pmtud->black_holes, 1);
}

static void the_acknowledgement_may_come_before_the_losses_are_found(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, ETHERNET, ETHERNET);
    run(&search, 200);
    roam_time now = search.now;
    assert_false(pmtud_on_acked(&search.pmtud, 1200, false, now + MS(5), now + MS(60)));
    assert_false(pmtud_on_lost(&search.pmtud, ETHERNET, false, now + MS(1), now + MS(60)));
    assert_false(pmtud_on_lost(&search.pmtud, ETHERNET, false, now + MS(2), now + MS(60)));
    assert_true(pmtud_on_lost(&search.pmtud, ETHERNET, false, now + MS(3), now + MS(60)));
}

static void losses_among_full_datagrams_that_pass_are_no_black_hole(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, ETHERNET, ETHERNET);
    run(&search, 200);
    roam_time now = search.now;
    for (int i = 0; i < 1000; i++, now += MS(10)) {
        assert_false(pmtud_on_lost(&search.pmtud, ETHERNET, false, now, now));
        assert_false(pmtud_on_lost(&search.pmtud, ETHERNET, false, now, now));
        assert_false(pmtud_on_acked(&search.pmtud, 60, false, now + 1, now));
        assert_false(pmtud_on_acked(&search.pmtud, ETHERNET, false, now + 2, now));
        /* What left before one that passed says nothing. */
        assert_false(pmtud_on_lost(&search.pmtud, ETHERNET, false, now + 1, now));
        assert_int_equal(pmtud_next_probe(&search.pmtud, ETHERNET, now), 0);
    }
    assert_int_equal(search.pmtud.size, ETHERNET);
}

static void an_outage_in_which_nothing_passes_is_no_black_hole(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, ETHERNET, ETHERNET);
    run(&search, 200);
    roam_time now = search.now;
    for (int i = 0; i < 100; i++)
        assert_false(pmtud_on_lost(&search.pmtud, i % 2 == 0 ? ETHERNET : 1200, false, now + MS(i), now + MS(i)));
    assert_false(pmtud_on_acked(&search.pmtud, 60, false, now - MS(1), now + MS(200)));
    assert_int_equal(search.pmtud.size, ETHERNET);
}

static void what_the_host_refuses_is_not_tried_again(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, ETHERNET, JUMBO);
    while (search.pmtud.size < ETHERNET || search.probes < 2)
        step(&search);
    assert_false(pmtud_on_too_large(&search.pmtud, JUMBO, search.now));
    size_t probes = search.probes;
    run(&search, 1000);
    assert_int_equal(search.probes, probes);
    assert_int_equal(search.pmtud.state, ROAM_PMTUD_SEARCH_COMPLETE);
    /* Its interface has a smaller MTU now. */
    assert_true(pmtud_on_too_large(&search.pmtud, ETHERNET, search.now));
    assert_int_equal(search.pmtud.size, 1200);
}

//= rfc9000#14.2.1-1 Ignore who claims a PMTU below 1200.
//= rfc9000#14.2.1-6 Nor is the size ever raised by such a claim.
static void nobody_makes_the_size_smaller_than_the_base_by_a_claim(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, ETHERNET, ETHERNET);
    run(&search, 200);
    assert_false(pmtud_on_too_large(&search.pmtud, 1200, search.now));
    assert_false(pmtud_on_too_large(&search.pmtud, 576, search.now));
    assert_false(pmtud_on_too_large(&search.pmtud, JUMBO, search.now));
    assert_int_equal(search.pmtud.size, ETHERNET);
}

static void a_path_below_the_base_is_an_error_until_it_is_proven(void **state)
{
    (void)state;
    struct search search;
    set_up(&search, ETHERNET, ETHERNET);
    run(&search, 200);
    pmtud_on_base_failed(&search.pmtud);
    assert_int_equal(search.pmtud.state, ROAM_PMTUD_ERROR);
    assert_int_equal(search.pmtud.size, 1200);
    pmtud_on_acked(&search.pmtud, 1200, false, search.now - 1, search.now);
    assert_int_equal(pmtud_next_probe(&search.pmtud, ETHERNET, search.now), 0);
    pmtud_on_base_proven(&search.pmtud, search.now);
    run(&search, 1);
    assert_int_equal(search.pmtud.state, ROAM_PMTUD_SEARCHING);
}

static void another_mapping_inherits_what_was_found_and_no_probe(void **state)
{
    (void)state;
    struct search search;
    struct pmtud heir;
    set_up(&search, ETHERNET, ETHERNET);
    run(&search, 10);
    assert_int_equal(pmtud_next_probe(&search.pmtud, ETHERNET, search.now), ETHERNET);
    pmtud_on_probe_sent(&search.pmtud);
    pmtud_on_lost(&search.pmtud, 1200, false, search.now, search.now);
    pmtud_inherit(&heir, &search.pmtud);
    search.pmtud = heir;
    run(&search, 200);
    assert_int_equal(search.pmtud.size, ETHERNET);
    pmtud_inherit(&heir, &search.pmtud);
    assert_int_equal(heir.size, ETHERNET);
    assert_int_equal(heir.state, ROAM_PMTUD_SEARCH_COMPLETE);
}

/* Whatever comes, the invariants hold. */
static void chance_does_not_break_it(void **state)
{
    (void)state;
    struct seeded seed = {.state = 7};
    for (int round = 0; round < 300; round++) {
        struct pmtud pmtud;
        roam_time now = MS(1);
        size_t probe = 0;
        pmtud_init(&pmtud, true, seeded_below(&seed, 2) ? ROAM_FAMILY_IPV4 : ROAM_FAMILY_IPV6,
                   1200 + seeded_below(&seed, 400));
        for (int i = 0; i < 1000; i++, now += seeded_below(&seed, 50) == 0 ? PMTUD_RAISE_TIME : MS(3)) {
            size_t size = 1000 + seeded_below(&seed, 9000);
            roam_time sent_at = now - seeded_below(&seed, now);
            switch (seeded_below(&seed, 8)) {
            case 0:
                pmtud_on_too_large(&pmtud, size, now);
                break;
            case 1:
                pmtud_on_lost(&pmtud, size, false, sent_at, now);
                break;
            case 2:
                pmtud_on_acked(&pmtud, size, false, sent_at, now);
                break;
            case 3:
                if (probe > 0 && seeded_below(&seed, 2))
                    pmtud_on_acked(&pmtud, probe, true, sent_at, now);
                else if (probe > 0)
                    pmtud_on_lost(&pmtud, probe, true, sent_at, now);
                probe = 0;
                break;
            case 4:
                if (seeded_below(&seed, 20) == 0)
                    pmtud_on_base_failed(&pmtud);
                pmtud_on_base_proven(&pmtud, now);
                break;
            default:
                pmtud_on_sent(&pmtud, pmtud.size);
                size = pmtud_next_probe(&pmtud, 1200 + seeded_below(&seed, 60000), now);
                if (size > 0) {
                    assert_int_equal(probe, 0);
                    pmtud_on_probe_sent(&pmtud);
                    probe = size;
                }
                break;
            }
            pmtud_check(&pmtud);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_without_search_keeps_the_size_that_was_configured),
        cmocka_unit_test(the_search_begins_when_the_base_is_confirmed),
        cmocka_unit_test(every_mtu_of_the_table_is_found),
        cmocka_unit_test(between_two_sizes_of_the_table_the_smaller_is_taken),
        cmocka_unit_test(the_headers_of_ipv6_leave_twenty_octets_less),
        cmocka_unit_test(nothing_above_the_limit_is_tried_and_the_limit_itself_is),
        cmocka_unit_test(a_search_costs_an_eighth_of_the_data_and_a_handful_of_probes),
        cmocka_unit_test(who_sends_nothing_large_never_probes),
        cmocka_unit_test(a_size_is_given_up_after_three_lost_probes_and_not_before),
        cmocka_unit_test(after_ten_minutes_a_larger_size_is_looked_for_again),
        cmocka_unit_test(a_black_hole_is_noticed_when_only_small_datagrams_come_through),
        cmocka_unit_test(the_acknowledgement_may_come_before_the_losses_are_found),
        cmocka_unit_test(losses_among_full_datagrams_that_pass_are_no_black_hole),
        cmocka_unit_test(an_outage_in_which_nothing_passes_is_no_black_hole),
        cmocka_unit_test(what_the_host_refuses_is_not_tried_again),
        cmocka_unit_test(nobody_makes_the_size_smaller_than_the_base_by_a_claim),
        cmocka_unit_test(a_path_below_the_base_is_an_error_until_it_is_proven),
        cmocka_unit_test(another_mapping_inherits_what_was_found_and_no_probe),
        cmocka_unit_test(chance_does_not_break_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
