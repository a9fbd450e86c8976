/* Where a client should send from: one test for each rule of the policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "path/mobility.h"

//= rfc9000#9-1 Do not start migration before the handshake is confirmed.
//= rfc9000#9-6 Wait for a new path before discarding.
//= rfc9000#9.1-1 Probe reachability from a new local address before migrating.
//= rfc9000#9.5-2 Never use one destination CID from more than one local address.
//= rfc9000#9.5-5 Do not start migration toward a peer that uses zero-length CIDs.
//= rfc9000#9.5-6 Change addresses rarely.
//= rfc9000#5.1.1-11 Before migrating, the initiator makes sure the peer has a spare CID.

#define NOW      ROAM_SECONDS(1000)
#define ACTIVE   0
#define OTHER    1
#define THIRD    2
#define BIT(i)   (UINT32_C(1) << (i))
#define LONG_AGO (NOW - ROAM_SECONDS(600))

/* A host with up to three networks. The connection is on the first, which is the default one. */
struct situation {
    struct mobility_facts facts;
    struct mobility_way ways[3];
};

static struct situation at_home(size_t count)
{
    struct situation situation = {
        .facts =
            {.now = NOW, .confirmed = true, .spare_cids = 4, .peer_can_answer = true, .in_use = true, .count = count},
    };
    for (size_t i = 0; i < 3; i++)
        situation.ways[i] = (struct mobility_way){.reachable = true, .rtt = ROAM_MILLISECONDS(40)};
    situation.ways[ACTIVE].active = situation.ways[ACTIVE].has_path = situation.ways[ACTIVE].is_default = true;
    return situation;
}

/* The way was asked, and answered, so long ago. */
static void prove(struct mobility_way *way, roam_time ago)
{
    way->has_path = way->proven = true;
    way->asked_at = way->proven_at = NOW - ago;
    way->proven_since = NOW - ago < LONG_AGO ? NOW - ago : LONG_AGO;
}

static void fall_quiet(struct situation *situation)
{
    situation->facts.ptos = 1;
    situation->facts.doubted_at = NOW - ROAM_MILLISECONDS(100);
    situation->facts.quiet_at = NOW;
}

static struct mobility_verdict decide(struct situation *situation)
{
    situation->facts.ways = situation->ways;
    return mobility_decide(&situation->facts);
}

static void assert_moves(const struct mobility_verdict *verdict, size_t target, enum roam_move_why why)
{
    assert_int_equal(verdict->action, MOBILITY_MOVE);
    assert_int_equal(verdict->target, target);
    assert_int_equal(verdict->why, why);
}

static void assert_stays(const struct mobility_verdict *verdict)
{
    assert_int_equal(verdict->action, MOBILITY_STAY);
}

/* ---- Before ------------------------------------------------------------------------------------------------------ */

static void nothing_is_done_before_the_handshake_is_confirmed(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.facts.confirmed = false;
    here.facts.gone = here.facts.refused = true;
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.ask | verdict.keep, 0);
    assert_true(verdict.next_at == ROAM_TIME_NEVER);
}

static void a_host_with_one_network_does_nothing_at_all(void **state)
{
    (void)state;
    struct situation here = at_home(1);
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.ask | verdict.keep, 0);
    assert_true(verdict.next_at == ROAM_TIME_NEVER);
    assert_false(verdict.on_packet);
}

/* ---- Standbys ---------------------------------------------------------------------------------------------------- */

static void other_networks_are_asked_ahead_of_need(void **state)
{
    (void)state;
    struct situation here = at_home(3);
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.ask, BIT(OTHER) | BIT(THIRD));
    assert_int_equal(verdict.keep, BIT(OTHER) | BIT(THIRD));
}

static void no_more_than_two_standbys_are_kept_the_best(void **state)
{
    (void)state;
    struct mobility_way ways[5];
    struct situation here = at_home(3);
    for (size_t i = 0; i < 5; i++)
        ways[i] = here.ways[i == 0 ? ACTIVE : OTHER];
    ways[1].metered = true;
    ways[2].preference = 5;
    ways[4].rtt = ROAM_MILLISECONDS(10);
    here.facts.ways = ways;
    here.facts.count = 5;
    struct mobility_verdict verdict = mobility_decide(&here.facts);
    assert_int_equal(verdict.keep, BIT(2) | BIT(4));
    assert_int_equal(verdict.ask, BIT(2) | BIT(4));
}

static void a_standby_that_is_being_asked_is_not_asked_twice(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[OTHER].has_path = here.ways[OTHER].asking = true;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    assert_int_equal(verdict.keep, BIT(OTHER));
}

static void a_standby_is_asked_again_before_a_nat_forgets_it(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    prove(&here.ways[OTHER], MOBILITY_REFRESH - 1);
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    assert_true(verdict.next_at == NOW + 1);
    prove(&here.ways[OTHER], MOBILITY_REFRESH);
    verdict = decide(&here);
    assert_int_equal(verdict.ask, BIT(OTHER));
    assert_true(MOBILITY_REFRESH < ROAM_SECONDS(30));
}

static void an_idle_connection_lets_its_standbys_rest_until_it_is_used_again(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    prove(&here.ways[OTHER], MOBILITY_REFRESH);
    here.facts.in_use = false;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    assert_int_equal(verdict.keep, BIT(OTHER));
    assert_true(verdict.next_at == ROAM_TIME_NEVER);
    assert_true(verdict.on_packet);
}

static void a_metered_standby_is_proven_once_and_then_costs_nothing(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[OTHER].metered = true;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask, BIT(OTHER));
    prove(&here.ways[OTHER], 10 * MOBILITY_REFRESH);
    verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    assert_int_equal(verdict.keep, BIT(OTHER));
    assert_true(verdict.next_at == ROAM_TIME_NEVER);
}

static void a_network_that_failed_is_left_alone_for_a_while(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[OTHER].retry_at = NOW + ROAM_SECONDS(2);
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    assert_true(verdict.next_at == NOW + ROAM_SECONDS(2));
    here.ways[OTHER].retry_at = NOW;
    verdict = decide(&here);
    assert_int_equal(verdict.ask, BIT(OTHER));
}

static void a_standby_needs_a_cid_and_leaves_one_for_need(void **state)
{
    (void)state;
    struct situation here = at_home(3);
    here.facts.spare_cids = 2;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask, BIT(OTHER));
    assert_true(verdict.on_packet);
    here.facts.spare_cids = MOBILITY_CIDS_RESERVED;
    verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    assert_true(verdict.on_packet);
    /* In need the last one serves. */
    here.facts.doubted = true;
    here.facts.doubted_at = NOW;
    verdict = decide(&here);
    assert_int_equal(verdict.ask, BIT(OTHER));
}

static void nobody_is_asked_who_has_no_cid_to_answer_with(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.facts.peer_can_answer = false;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    assert_true(verdict.on_packet);
}

static void a_forbidden_unreachable_or_refused_network_is_no_standby(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[OTHER].rule = ROAM_NETWORK_FORBID;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.ask | verdict.keep, 0);
    here.ways[OTHER].rule = ROAM_NETWORK_NEUTRAL;
    here.ways[OTHER].reachable = false;
    verdict = decide(&here);
    assert_int_equal(verdict.ask | verdict.keep, 0);
    here.ways[OTHER].reachable = true;
    here.ways[OTHER].refused = true;
    here.ways[OTHER].retry_at = NOW + ROAM_SECONDS(3);
    verdict = decide(&here);
    assert_int_equal(verdict.ask | verdict.keep, 0);
    assert_true(verdict.next_at == NOW + ROAM_SECONDS(3));
}

/* ---- Doubt and silence ------------------------------------------------------------------------------------------- */

static void doubt_asks_all_standbys_again_whatever_they_cost_but_not_twice_in_a_second(void **state)
{
    (void)state;
    struct situation here = at_home(3);
    prove(&here.ways[OTHER], ROAM_SECONDS(2));
    prove(&here.ways[THIRD], ROAM_SECONDS(100));
    here.ways[THIRD].metered = true;
    here.facts.ptos = 1;
    here.facts.doubted_at = NOW;
    here.facts.quiet_at = NOW + ROAM_MILLISECONDS(50);
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_false(verdict.quiet);
    assert_int_equal(verdict.ask, BIT(OTHER) | BIT(THIRD));
    assert_true(verdict.next_at == NOW + ROAM_MILLISECONDS(50));
    /* Once is enough. */
    here.ways[OTHER].asked_at = here.ways[THIRD].asked_at = here.ways[OTHER].proven_at = here.ways[THIRD].proven_at =
        NOW;
    verdict = decide(&here);
    assert_int_equal(verdict.ask, 0);
    /* A path that is in doubt time and again is no reason to flood the others. */
    here.ways[OTHER].proven_at = here.ways[OTHER].asked_at = NOW - ROAM_MILLISECONDS(900);
    here.facts.doubted_at = NOW;
    verdict = decide(&here);
    assert_int_equal(verdict.ask & BIT(OTHER), 0);
    assert_true(verdict.next_at <= NOW + ROAM_MILLISECONDS(100));
}

static void a_quiet_path_is_left_for_the_best_that_is_proven(void **state)
{
    (void)state;
    struct situation here = at_home(3);
    fall_quiet(&here);
    prove(&here.ways[OTHER], ROAM_MILLISECONDS(500));
    prove(&here.ways[THIRD], ROAM_MILLISECONDS(500));
    here.ways[THIRD].rtt = ROAM_MILLISECONDS(20);
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, THIRD, ROAM_MOVE_QUIET);
    assert_true(verdict.quiet);
    /* Who has spoken since is surer than who is better. */
    here.ways[OTHER].proven_at = NOW - ROAM_MILLISECONDS(10);
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_QUIET);
}

static void a_quiet_path_is_not_left_for_one_that_is_not_proven_or_overdue(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    fall_quiet(&here);
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_true(verdict.quiet);
    assert_int_equal(verdict.ask, BIT(OTHER));
    prove(&here.ways[OTHER], ROAM_MILLISECONDS(500));
    here.ways[OTHER].asking = true;
    here.ways[OTHER].answer_by = NOW;
    verdict = decide(&here);
    assert_stays(&verdict);
    here.ways[OTHER].answer_by = NOW + 1;
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_QUIET);
}

/* ---- Where one cannot stay --------------------------------------------------------------------------------------- */

static void an_address_that_is_gone_is_left_at_once_for_a_standby(void **state)
{
    (void)state;
    struct situation here = at_home(3);
    here.facts.gone = true;
    here.ways[ACTIVE] = here.ways[THIRD];
    here.ways[ACTIVE].rtt = ROAM_MILLISECONDS(1); /* the best by far, were it proven */
    prove(&here.ways[OTHER], ROAM_SECONDS(20));
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_ADDRESS_GONE);
}

static void an_address_that_is_gone_is_left_even_for_an_unproven_network(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.facts.gone = true;
    here.ways[ACTIVE].reachable = false;
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_ADDRESS_GONE);
    /* ... or one that failed of late, where there is no other. */
    here.ways[OTHER].retry_at = NOW + ROAM_SECONDS(30);
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_ADDRESS_GONE);
    here.ways[THIRD].rtt = ROAM_SECONDS(1);
    here.facts.count = 3;
    verdict = decide(&here);
    assert_moves(&verdict, THIRD, ROAM_MOVE_ADDRESS_GONE);
}

static void without_any_network_the_connection_waits(void **state)
{
    (void)state;
    struct situation here = at_home(0);
    here.facts.gone = true;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.action, MOBILITY_WAIT);
    assert_true(verdict.next_at == ROAM_TIME_NEVER);
}

static void without_a_cid_for_the_new_address_the_connection_waits(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.facts.gone = true;
    here.ways[ACTIVE].reachable = false;
    here.facts.spare_cids = 0;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.action, MOBILITY_WAIT);
    here.ways[OTHER].has_path = true;
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_ADDRESS_GONE);
}

static void a_server_that_allows_no_migration_is_waited_for_at_the_old_address(void **state)
{
    (void)state;
    //= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address.
    struct situation here = at_home(2);
    here.facts.gone = true;
    here.ways[ACTIVE].reachable = here.ways[OTHER].reachable = false;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.action, MOBILITY_WAIT);
    assert_int_equal(verdict.ask, 0);
}

static void another_address_of_the_servers_must_be_proven_even_in_need(void **state)
{
    (void)state;
    //= rfc9000#9.6.2-1 The client validates the preferred address before migrating to it.
    struct situation here = at_home(2);
    here.facts.gone = true;
    here.ways[ACTIVE].reachable = false;
    here.ways[OTHER].must_be_proven = true;
    struct mobility_verdict verdict = decide(&here);
    assert_int_equal(verdict.action, MOBILITY_WAIT);
    assert_int_equal(verdict.ask, BIT(OTHER));
    prove(&here.ways[OTHER], 0);
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_ADDRESS_GONE);
}

static void a_network_that_does_not_send_is_left_at_once(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.facts.refused = true;
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_SEND_FAILED);
    /* Not for one that failed just now: both may work again. */
    here.ways[OTHER].retry_at = NOW + 1;
    verdict = decide(&here);
    assert_stays(&verdict);
    assert_true(verdict.next_at == NOW + 1);
}

static void toward_zero_length_cids_only_need_moves(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.facts.peer_has_no_cids = true;
    here.facts.spare_cids = 0;
    here.ways[OTHER].preference = 10;
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.ask | verdict.keep, 0);
    prove(&here.ways[OTHER], ROAM_MILLISECONDS(500));
    fall_quiet(&here);
    verdict = decide(&here);
    assert_stays(&verdict);
    here.facts.gone = true;
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_ADDRESS_GONE);
}

/* ---- A choice ---------------------------------------------------------------------------------------------------- */

/* The connection is on a network that is worse by far than the other, which has been good for long. */
static struct situation abroad(void)
{
    struct situation here = at_home(2);
    here.ways[ACTIVE].is_default = false;
    here.ways[ACTIVE].metered = true;
    here.ways[OTHER].is_default = true;
    prove(&here.ways[OTHER], ROAM_MILLISECONDS(500));
    here.ways[OTHER].proven_since = LONG_AGO;
    here.ways[OTHER].better_since = LONG_AGO;
    here.facts.moved_at = LONG_AGO;
    return here;
}

static void a_connection_returns_to_the_better_network(void **state)
{
    (void)state;
    struct situation here = abroad();
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_BETTER);
    assert_int_equal(verdict.better, BIT(OTHER));
}

static void it_does_not_return_before_the_network_has_been_good_for_a_while(void **state)
{
    (void)state;
    struct situation here = abroad();
    here.ways[OTHER].proven_since = NOW - ROAM_SECONDS(1);
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_true(verdict.next_at == NOW - ROAM_SECONDS(1) + MOBILITY_SETTLE);
    /* Longer where it has failed before. */
    here.ways[OTHER].proven_since = NOW - 2 * MOBILITY_SETTLE;
    here.ways[OTHER].settle = 4 * MOBILITY_SETTLE;
    verdict = decide(&here);
    assert_stays(&verdict);
    assert_true(verdict.next_at == NOW + 2 * MOBILITY_SETTLE);
}

static void it_does_not_return_before_the_network_has_been_better_for_a_while(void **state)
{
    (void)state;
    struct situation here = abroad();
    here.ways[OTHER].better_since = 0;
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.better, BIT(OTHER));
    assert_true(verdict.next_at == NOW + MOBILITY_SETTLE);
}

static void it_does_not_move_again_right_after_a_move(void **state)
{
    (void)state;
    struct situation here = abroad();
    here.facts.moved_at = NOW - ROAM_SECONDS(2);
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_true(verdict.next_at == NOW - ROAM_SECONDS(2) + MOBILITY_SETTLE);
}

static void it_asks_once_more_where_the_last_answer_is_old(void **state)
{
    (void)state;
    struct situation here = abroad();
    prove(&here.ways[OTHER], MOBILITY_FRESH + 1);
    here.facts.in_use = false;
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.ask, BIT(OTHER));
}

static void a_little_better_is_not_worth_a_move(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[ACTIVE].rtt = ROAM_MILLISECONDS(100);
    here.ways[OTHER].is_default = true;
    here.ways[OTHER].rtt = ROAM_MILLISECONDS(20);
    here.ways[OTHER].better_since = LONG_AGO;
    prove(&here.ways[OTHER], ROAM_MILLISECONDS(500));
    here.ways[OTHER].proven_since = LONG_AGO;
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.better, 0);
    here.ways[ACTIVE].rtt = ROAM_MILLISECONDS(200);
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_BETTER);
}

static void loss_makes_even_the_default_network_worth_leaving(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[OTHER].better_since = LONG_AGO;
    prove(&here.ways[OTHER], ROAM_MILLISECONDS(500));
    here.ways[OTHER].proven_since = LONG_AGO;
    here.ways[ACTIVE].loss_ppm = 20000;
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    here.ways[ACTIVE].loss_ppm = 100000;
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_BETTER);
}

static void costs_are_as_written_down(void **state)
{
    (void)state;
    struct mobility_way way = {.is_default = true, .rtt = ROAM_MILLISECONDS(60)};
    assert_true(mobility_cost(&way) == ROAM_MILLISECONDS(60));
    way.loss_ppm = 40000; /* 4 % of half of 60 + 40 ms each */
    assert_true(mobility_cost(&way) == ROAM_MILLISECONDS(60 + 4 * 50));
    way.metered = true;
    assert_true(mobility_cost(&way) == ROAM_MILLISECONDS(260) + MOBILITY_METERED_COST);
    way.is_default = false;
    assert_true(mobility_cost(&way) == ROAM_MILLISECONDS(260) + MOBILITY_METERED_COST + MOBILITY_NOT_DEFAULT_COST);
    way = (struct mobility_way){.is_default = true};
    assert_true(mobility_cost(&way) == MOBILITY_RTT_UNKNOWN);
    way.rtt = ROAM_TIME_NEVER - 1;
    way.loss_ppm = UINT32_MAX;
    way.metered = true;
    assert_true(mobility_cost(&way) > ROAM_SECONDS(1000000));
}

static void the_users_preference_comes_before_any_cost(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[OTHER] = (struct mobility_way){
        .reachable = true, .preference = 1, .metered = true, .rtt = ROAM_SECONDS(1), .better_since = LONG_AGO};
    prove(&here.ways[OTHER], ROAM_MILLISECONDS(500));
    here.ways[OTHER].proven_since = LONG_AGO;
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_BETTER);
    here.ways[ACTIVE].preference = 2;
    verdict = decide(&here);
    assert_stays(&verdict);
}

/* ---- The application's rules ------------------------------------------------------------------------------------- */

static void a_preferred_network_is_taken_as_soon_as_it_is_proven(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[OTHER].rule = ROAM_NETWORK_PREFER;
    here.ways[ACTIVE].preference = 100;
    struct mobility_verdict verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.ask, BIT(OTHER));
    prove(&here.ways[OTHER], 0);
    verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_RULE);
    /* ... but not at once where it has failed before. */
    here.ways[OTHER].settle = MOBILITY_SETTLE;
    here.ways[OTHER].proven_since = NOW - 1;
    verdict = decide(&here);
    assert_stays(&verdict);
}

static void a_forbidden_network_is_left_at_once(void **state)
{
    (void)state;
    struct situation here = at_home(2);
    here.ways[ACTIVE].rule = ROAM_NETWORK_FORBID;
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, OTHER, ROAM_MOVE_RULE);
    here.facts.count = 1;
    verdict = decide(&here);
    assert_int_equal(verdict.action, MOBILITY_WAIT);
}

static void a_forced_network_is_the_only_one(void **state)
{
    (void)state;
    struct situation here = at_home(3);
    here.facts.forced = true;
    here.ways[THIRD].rule = ROAM_NETWORK_FORCE;
    struct mobility_verdict verdict = decide(&here);
    assert_moves(&verdict, THIRD, ROAM_MOVE_RULE);
    here.ways[THIRD].active = true;
    here.ways[ACTIVE].active = false;
    verdict = decide(&here);
    assert_stays(&verdict);
    assert_int_equal(verdict.ask | verdict.keep, 0);
    /* It is waited for. */
    here.facts.count = 2;
    here.facts.gone = true;
    verdict = decide(&here);
    assert_int_equal(verdict.action, MOBILITY_WAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_done_before_the_handshake_is_confirmed),
        cmocka_unit_test(a_host_with_one_network_does_nothing_at_all),
        cmocka_unit_test(other_networks_are_asked_ahead_of_need),
        cmocka_unit_test(no_more_than_two_standbys_are_kept_the_best),
        cmocka_unit_test(a_standby_that_is_being_asked_is_not_asked_twice),
        cmocka_unit_test(a_standby_is_asked_again_before_a_nat_forgets_it),
        cmocka_unit_test(an_idle_connection_lets_its_standbys_rest_until_it_is_used_again),
        cmocka_unit_test(a_metered_standby_is_proven_once_and_then_costs_nothing),
        cmocka_unit_test(a_network_that_failed_is_left_alone_for_a_while),
        cmocka_unit_test(a_standby_needs_a_cid_and_leaves_one_for_need),
        cmocka_unit_test(nobody_is_asked_who_has_no_cid_to_answer_with),
        cmocka_unit_test(a_forbidden_unreachable_or_refused_network_is_no_standby),
        cmocka_unit_test(doubt_asks_all_standbys_again_whatever_they_cost_but_not_twice_in_a_second),
        cmocka_unit_test(a_quiet_path_is_left_for_the_best_that_is_proven),
        cmocka_unit_test(a_quiet_path_is_not_left_for_one_that_is_not_proven_or_overdue),
        cmocka_unit_test(an_address_that_is_gone_is_left_at_once_for_a_standby),
        cmocka_unit_test(an_address_that_is_gone_is_left_even_for_an_unproven_network),
        cmocka_unit_test(without_any_network_the_connection_waits),
        cmocka_unit_test(without_a_cid_for_the_new_address_the_connection_waits),
        cmocka_unit_test(a_server_that_allows_no_migration_is_waited_for_at_the_old_address),
        cmocka_unit_test(another_address_of_the_servers_must_be_proven_even_in_need),
        cmocka_unit_test(a_network_that_does_not_send_is_left_at_once),
        cmocka_unit_test(toward_zero_length_cids_only_need_moves),
        cmocka_unit_test(a_connection_returns_to_the_better_network),
        cmocka_unit_test(it_does_not_return_before_the_network_has_been_good_for_a_while),
        cmocka_unit_test(it_does_not_return_before_the_network_has_been_better_for_a_while),
        cmocka_unit_test(it_does_not_move_again_right_after_a_move),
        cmocka_unit_test(it_asks_once_more_where_the_last_answer_is_old),
        cmocka_unit_test(a_little_better_is_not_worth_a_move),
        cmocka_unit_test(loss_makes_even_the_default_network_worth_leaving),
        cmocka_unit_test(costs_are_as_written_down),
        cmocka_unit_test(the_users_preference_comes_before_any_cost),
        cmocka_unit_test(a_preferred_network_is_taken_as_soon_as_it_is_proven),
        cmocka_unit_test(a_forbidden_network_is_left_at_once),
        cmocka_unit_test(a_forced_network_is_the_only_one),
    };
    return cmocka_run_group_tests_name("mobility", tests, NULL, NULL);
}
