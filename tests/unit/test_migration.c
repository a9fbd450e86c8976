/* The policy of migration, over all combinations of its facts: each test is one invariant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "path/migration.h"

#define FACTS 21

static struct migration_facts facts_of(unsigned bits)
{
    return (struct migration_facts){
        .is_server = bits & 1,
        .confirmed = bits >> 1 & 1,
        .known_path = bits >> 2 & 1,
        .known_remote = bits >> 3 & 1,
        .active_path = bits >> 4 & 1,
        .path_validated = bits >> 5 & 1,
        .validation_running = bits >> 6 & 1,
        .non_probing = bits >> 7 & 1,
        .highest_numbered = bits >> 8 & 1,
        .same_remote = bits >> 9 & 1,
        .same_ip_as_active = bits >> 10 & 1,
        .cid_changed = bits >> 11 & 1,
        .spare_cid = bits >> 12 & 1,
        .blocked_port = bits >> 13 & 1,
        .room = bits >> 14 & 1,
        .within_budget = bits >> 15 & 1,
        .forbidden_address = bits >> 16 & 1,
        .to_preferred = bits >> 17 & 1,
        .left_behind = bits >> 18 & 1,
        .too_small = bits >> 19 & 1,
        .sways = bits >> 20 & 1,
    };
}

#define FOR_ALL_FACTS(f)                                                                                               \
    for (unsigned bits = 0; bits < 1u << FACTS; bits++)                                                                \
        for (struct migration_facts f = facts_of(bits), *once = &f; once != NULL; once = NULL)

static bool are_equal(struct migration_verdict a, struct migration_verdict b)
{
    return a.drop == b.drop && a.create_path == b.create_path && a.share_cid == b.share_cid && a.move == b.move &&
           a.move_when_valid == b.move_when_valid && a.validate == b.validate &&
           a.validate_previous == b.validate_previous && a.keep_congestion == b.keep_congestion;
}

static bool does_nothing(struct migration_verdict verdict)
{
    return are_equal(verdict, (struct migration_verdict){.drop = ROAM_DROP_NONE});
}

static void the_facts_are_as_many_as_the_bits_that_this_test_draws(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct migration_facts), FACTS * sizeof(bool));
    unsigned seen = 0;
    FOR_ALL_FACTS(f)
    {
        bool values[FACTS];
        memcpy(values, &f, sizeof(values));
        for (unsigned i = 0; i < FACTS; i++)
            assert_int_equal(values[i], bits >> i & 1);
        seen++;
    }
    assert_int_equal(seen, 1 << FACTS);
}

/* ---- Before the payload ------------------------------------------------------------------------------------------ */

static void a_packet_on_a_known_path_is_processed_as_it_is(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    if (f.known_path && !(f.is_server && f.left_behind))
        assert_true(does_nothing(migration_on_packet(&f)));
}

static void what_is_newer_than_the_move_is_dropped_at_the_address_that_the_server_left(void **state)
{
    //= rfc9000#9.6.2-4 Afterward the server drops newer packets arriving at the old address.
    //= rfc9000#9.6.2-5 It may still process delayed packets there.
    (void)state;
    FOR_ALL_FACTS(f)
    assert_int_equal(migration_on_packet(&f).drop == ROAM_DROP_OLD_SERVER_ADDRESS, f.is_server && f.left_behind);
}

static void a_dropped_packet_has_no_other_effect(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict verdict = migration_on_packet(&f);
        if (verdict.drop == ROAM_DROP_NONE)
            continue;
        verdict.drop = ROAM_DROP_NONE;
        assert_true(does_nothing(verdict));
    }
}

/* 9000-9-7. */
static void a_client_drops_all_from_an_unknown_server_address(void **state)
{
    //= rfc9000#9-7 Client drops packets from unknown server addresses.
    //= rfc9000#9.6-1 Client discards packets from a server address it did not migrate to.
    (void)state;
    FOR_ALL_FACTS(f)
    if (!f.is_server && !f.known_path && !f.known_remote)
        assert_int_equal(migration_on_packet(&f).drop, ROAM_DROP_UNKNOWN_SERVER_ADDRESS);
}

static void a_client_reads_the_server_s_packets_at_any_of_its_addresses_and_makes_no_path_of_them(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    if (!f.is_server && (f.known_path || f.known_remote))
        assert_true(does_nothing(migration_on_packet(&f)));
}

/* 9000-9-1. */
static void before_confirmation_nothing_from_an_unknown_address_is_read(void **state)
{
    //= rfc9000#9-1 Do not start migration before the handshake is confirmed.
    (void)state;
    FOR_ALL_FACTS(f)
    if (f.is_server && !f.known_path && !f.confirmed && !f.left_behind)
        assert_int_equal(migration_on_packet(&f).drop, ROAM_DROP_ADDRESS_CHANGE_IN_HANDSHAKE);
}

static void each_reason_to_refuse_a_new_path_has_its_name(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    {
        if (!f.is_server || f.known_path || !f.confirmed || f.left_behind)
            continue;
        roam_drop expected = f.blocked_port                  ? ROAM_DROP_BLOCKED_PORT
                             : f.forbidden_address           ? ROAM_DROP_FORBIDDEN_ADDRESS
                             : f.cid_changed && !f.spare_cid ? ROAM_DROP_NO_CID_FOR_PATH
                             : !f.room                       ? ROAM_DROP_PATH_LIMIT
                             : !f.within_budget              ? ROAM_DROP_PATH_RATE_LIMIT
                                                             : ROAM_DROP_NONE;
        struct migration_verdict verdict = migration_on_packet(&f);
        assert_int_equal(verdict.drop, expected);
        assert_int_equal(verdict.create_path, expected == ROAM_DROP_NONE);
    }
}

/* B15: a new path always has a CID to write on its packets. 9000-9.5-4: shared only where the peer's did not change. */
static void a_new_path_shares_the_cid_on_a_rebinding_and_only_then(void **state)
{
    //= rfc9000#9.5-4 If the peer's source address changed under an unchanged CID, keep using our current destination
    // CID to it from the same local address.
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict verdict = migration_on_packet(&f);
        if (!verdict.create_path)
            assert_false(verdict.share_cid);
        else
            assert_int_equal(verdict.share_cid, !f.cid_changed);
        if (verdict.create_path && !verdict.share_cid)
            assert_true(f.spare_cid);
    }
}

/* B34, B27, B28. */
static void every_new_path_is_challenged_at_once(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict verdict = migration_on_packet(&f);
        assert_int_equal(verdict.validate, verdict.create_path);
    }
}

/* 9000-9.1-2: the payload is not known yet, and must have no say. */
static void nothing_moves_before_the_payload_is_read(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict verdict = migration_on_packet(&f);
        assert_false(verdict.move || verdict.validate_previous);
        struct migration_facts other = f;
        other.non_probing = !f.non_probing;
        other.highest_numbered = !f.highest_numbered;
        struct migration_verdict again = migration_on_packet(&other);
        assert_true(are_equal(verdict, again));
    }
}

/* ---- After the payload ------------------------------------------------------------------------------------------- */

static void nothing_is_dropped_or_created_after_the_payload_was_read(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict verdict = migration_after_payload(&f);
        assert_int_equal(verdict.drop, ROAM_DROP_NONE);
        assert_false(verdict.create_path || verdict.share_cid);
    }
}

static void a_client_never_moves_because_of_a_packet(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    if (!f.is_server)
        assert_true(does_nothing(migration_after_payload(&f)));
}

static void nothing_moves_before_confirmation(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    if (!f.confirmed)
        assert_true(does_nothing(migration_after_payload(&f)));
}

static void a_packet_on_the_active_path_or_on_none_changes_nothing(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    if (f.active_path || !f.known_path)
        assert_true(does_nothing(migration_after_payload(&f)));
}

/* B06 and 9000-9.3-6: to wherever the newest non-probing packet came from, also back. */
static void the_newest_non_probing_packet_moves_the_connection_and_no_other_does(void **state)
{
    //= rfc9000#9.1-2 Only PATH_CHALLENGE, PATH_RESPONSE, NEW_CONNECTION_ID and PADDING are probing frames; any other
    // frame makes the packet non-probing.
    //= rfc9000#9.3-1 On a permitted migration, send subsequent packets to the new peer address.
    //= rfc9000#9.3-6 Only the highest-numbered non-probing packet can move the peer address; reordered old packets
    // cannot.
    //= rfc9000#9.6.2-2 Server keeps sending non-probing packets from the original address until a non-probing packet
    // arrives at the preferred one and that path is validated.
    (void)state;
    FOR_ALL_FACTS(f)
    {
        bool expected =
            f.is_server && f.confirmed && f.known_path && !f.active_path && f.non_probing && f.highest_numbered;
        expected = expected && !f.too_small && !f.sways;
        bool waits = f.to_preferred && !f.path_validated;
        assert_int_equal(migration_after_payload(&f).move, expected && !waits);
        assert_int_equal(migration_after_payload(&f).move_when_valid, expected && waits);
    }
}

//= rfc9000#14.2-4 Stop sending on a path whose PMTU falls under 1200, close if it is the only one.
static void a_path_that_is_too_small_is_asked_again_and_not_moved_to(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    {
        if (!f.too_small)
            continue;
        struct migration_verdict verdict = migration_after_payload(&f), larger;
        f.too_small = false;
        larger = migration_after_payload(&f);
        assert_int_equal(verdict.validate, larger.validate);
        verdict.validate = false;
        assert_true(does_nothing(verdict));
    }
}

/* 9000-9-4, 9000-9.3-2; B28. */
static void a_move_validates_unless_that_was_done_or_is_under_way(void **state)
{
    //= rfc9000#9-4 Run path validation on any detected peer address change unless that address was validated before.
    //= rfc9000#9.3-2 Start validating the new address unless validation is already running.
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict verdict = migration_after_payload(&f);
        if (verdict.move)
            assert_int_equal(verdict.validate, !f.path_validated && !f.validation_running);
    }
}

/* B10, 9000-9.3.3-1. */
static void every_move_of_the_peer_challenges_the_path_that_was_active_and_nothing_else_does(void **state)
{
    //= rfc9000#9.3.3-1 On an apparent migration, also send PATH_CHALLENGE on the previously active path.
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict verdict = migration_after_payload(&f);
        assert_int_equal(verdict.validate_previous, verdict.move && !f.same_remote);
    }
}

static void a_probe_is_validated_again_where_it_failed_and_moves_nothing(void **state)
{
    (void)state;
    FOR_ALL_FACTS(f)
    {
        if (f.non_probing)
            continue;
        struct migration_verdict verdict = migration_after_payload(&f);
        bool elsewhere = f.is_server && f.confirmed && f.known_path && !f.active_path;
        assert_int_equal(verdict.validate, elsewhere && !f.path_validated && !f.validation_running);
        verdict.validate = false;
        assert_true(does_nothing(verdict));
    }
}

static void a_reordered_packet_from_an_old_address_changes_nothing(void **state)
{
    //= rfc9000#9.3-6 Only the highest-numbered non-probing packet can move the peer address; reordered old packets
    // cannot.
    (void)state;
    FOR_ALL_FACTS(f)
    if (f.non_probing && !f.highest_numbered)
        assert_true(does_nothing(migration_after_payload(&f)));
}

/* B08, B33, 9000-9.4-2. */
static void congestion_state_is_kept_where_only_the_port_changed(void **state)
{
    //= rfc9000#9.4-2 Reset CC and RTT to initial values once the new address is confirmed, unless only the port
    // changed.
    //= rfc9000#9.4-3 Keep CC and RTT on a port-only change.
    (void)state;
    FOR_ALL_FACTS(f)
    {
        struct migration_verdict before = migration_on_packet(&f), after = migration_after_payload(&f);
        assert_int_equal(before.keep_congestion, before.create_path && f.same_ip_as_active);
        assert_int_equal(after.keep_congestion, after.move && f.same_ip_as_active);
    }
}

/* The story: a packet from a new address opens a path, and then moves the row to it. */
static void a_rebinding_moves_in_two_steps(void **state)
{
    (void)state;
    struct migration_facts facts = {
        .is_server = true, .confirmed = true, .highest_numbered = true, .room = true, .within_budget = true};
    struct migration_verdict verdict = migration_on_packet(&facts);
    assert_true(verdict.create_path && verdict.share_cid && verdict.validate && !verdict.keep_congestion);
    facts.known_path = facts.known_remote = facts.validation_running = facts.non_probing = true;
    verdict = migration_after_payload(&facts);
    assert_true(verdict.move && verdict.validate_previous && !verdict.validate);
}

/* ---- Ports ------------------------------------------------------------------------------------------------------- */

static void ports_of_other_services_are_blocked_and_all_others_are_not(void **state)
{
    //= rfc9000#21.5.6-4 Do not refuse addresses without specific knowledge of danger.
    //= rfc9000#21.5.6-6 Avoid ports or payload patterns known to be abused (e.g. blocked-port list) before validation.
    (void)state;
    const uint16_t blocked[] = {0,   7,   13,  17,  19,  53,   69,   111,  123,  137,  138,
                                161, 389, 427, 500, 520, 1900, 3702, 5353, 5355, 11211};
    size_t next = 0, count = sizeof(blocked) / sizeof(blocked[0]);
    for (unsigned port = 0; port <= UINT16_MAX; port++) {
        bool expected = next < count && blocked[next] == port;
        next += expected;
        assert_int_equal(migration_port_is_blocked((uint16_t)port), expected);
    }
    assert_int_equal(next, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_facts_are_as_many_as_the_bits_that_this_test_draws),
        cmocka_unit_test(a_packet_on_a_known_path_is_processed_as_it_is),
        cmocka_unit_test(what_is_newer_than_the_move_is_dropped_at_the_address_that_the_server_left),
        cmocka_unit_test(a_dropped_packet_has_no_other_effect),
        cmocka_unit_test(a_client_drops_all_from_an_unknown_server_address),
        cmocka_unit_test(a_client_reads_the_server_s_packets_at_any_of_its_addresses_and_makes_no_path_of_them),
        cmocka_unit_test(before_confirmation_nothing_from_an_unknown_address_is_read),
        cmocka_unit_test(each_reason_to_refuse_a_new_path_has_its_name),
        cmocka_unit_test(a_new_path_shares_the_cid_on_a_rebinding_and_only_then),
        cmocka_unit_test(every_new_path_is_challenged_at_once),
        cmocka_unit_test(nothing_moves_before_the_payload_is_read),
        cmocka_unit_test(nothing_is_dropped_or_created_after_the_payload_was_read),
        cmocka_unit_test(a_client_never_moves_because_of_a_packet),
        cmocka_unit_test(nothing_moves_before_confirmation),
        cmocka_unit_test(a_packet_on_the_active_path_or_on_none_changes_nothing),
        cmocka_unit_test(the_newest_non_probing_packet_moves_the_connection_and_no_other_does),
        cmocka_unit_test(a_path_that_is_too_small_is_asked_again_and_not_moved_to),
        cmocka_unit_test(a_move_validates_unless_that_was_done_or_is_under_way),
        cmocka_unit_test(every_move_of_the_peer_challenges_the_path_that_was_active_and_nothing_else_does),
        cmocka_unit_test(a_probe_is_validated_again_where_it_failed_and_moves_nothing),
        cmocka_unit_test(a_reordered_packet_from_an_old_address_changes_nothing),
        cmocka_unit_test(congestion_state_is_kept_where_only_the_port_changed),
        cmocka_unit_test(a_rebinding_moves_in_two_steps),
        cmocka_unit_test(ports_of_other_services_are_blocked_and_all_others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
