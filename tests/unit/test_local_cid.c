/* The connection IDs that we issued. Together with the other side's set: test_remote_cid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cid/local_cid.h"
#include "counting_allocator.h"
#include "scratch_allocator.h"

#define NO_PACKET_CID UINT64_MAX

static roam_cid cid_number(uint64_t number)
{
    roam_cid cid = {.len = 8};
    memcpy(cid.bytes, &number, sizeof(number));
    return cid;
}

/* Issues all that are wanted and puts them on the wire. */
static void fill_up(struct local_cid_set *set)
{
    while (local_cid_wanted(set) > 0) {
        roam_cid cid = cid_number(set->next_sequence);
        assert_true(local_cid_reserve(set, 1));
        local_cid_issue(set, &cid);
        local_cid_set_check(set);
    }
    for (const struct local_cid *entry; (entry = local_cid_next_pending(set)) != NULL;)
        local_cid_on_sent(set, entry->sequence);
    local_cid_set_check(set);
}

static void set_up(struct local_cid_set *set, uint64_t limit)
{
    roam_cid initial = cid_number(0);
    assert_true(local_cid_set_init(set, scratch_allocator(), &initial));
    local_cid_set_peer_limit(set, limit);
    set->spare_used = true; /* it gets as many as it may have */
    fill_up(set);
}

static void nothing_is_issued_before_the_peer_named_its_limit(void **state)
{
    (void)state;
    struct local_cid_set set;
    roam_cid initial = cid_number(0);
    assert_true(local_cid_set_init(&set, scratch_allocator(), &initial));
    assert_int_equal(local_cid_wanted(&set), 0);
    assert_null(local_cid_next_pending(&set));
    assert_non_null(local_cid_find(&set, &initial));
    local_cid_set_peer_limit(&set, 2);
    assert_int_equal(local_cid_wanted(&set), 1);
}

/* B02, 9000-5.1.1-4. */
static void the_peer_gets_as_many_as_its_limit_and_no_more_than_ours(void **state)
{
    //= rfc9000#5.1.1-3 Keep the peer stocked with enough unused CIDs.
    //= rfc9000#5.1.1-4 Never have more live CIDs issued than the peer's active_connection_id_limit allows.
    (void)state;
    for (uint64_t limit = 2; limit <= 20; limit++) {
        struct local_cid_set set;
        set_up(&set, limit);
        assert_int_equal(set.count, limit < LOCAL_CIDS_MAX ? limit : LOCAL_CIDS_MAX);
    }
    struct local_cid_set set;
    set_up(&set, UINT64_MAX);
    assert_int_equal(set.count, LOCAL_CIDS_MAX);
}

static void a_peer_that_has_used_the_first_alone_gets_a_few_and_the_rest_when_it_uses_another(void **state)
{
    //= rfc9000#5.1.1-3 Keep the peer stocked with enough unused CIDs.
    (void)state;
    for (uint64_t limit = 2; limit <= 20; limit++) {
        struct local_cid_set set;
        roam_cid initial = cid_number(0), spare = cid_number(1);
        assert_true(local_cid_set_init(&set, scratch_allocator(), &initial));
        local_cid_set_peer_limit(&set, limit);
        fill_up(&set);
        const uint64_t few = min_u64(limit, LOCAL_CIDS_FIRST);
        assert_int_equal(set.count, few);
        assert_true(local_cid_on_used(&set, local_cid_find(&set, &initial), 1, 1200));
        assert_int_equal(local_cid_wanted(&set), 0);
        assert_true(local_cid_on_used(&set, local_cid_find(&set, &spare), 2, 1200));
        assert_int_equal(local_cid_wanted(&set), min_u64(limit, LOCAL_CIDS_MAX) - few);
    }
}

/* 9000-5.1.1-1. */
static void sequences_are_consecutive_from_one(void **state)
{
    //= rfc9000#5.1.1-1 Number issued CIDs consecutively: each new one has the previous sequence number plus one.
    (void)state;
    struct local_cid_set set;
    set_up(&set, 8);
    for (size_t i = 0; i < set.count; i++)
        assert_int_equal(set.entries[i].sequence, i);
}

/* 9000-19.15-2 and 9000-19.16-4. */
static void a_zero_length_cid_stays_alone_and_is_never_retired(void **state)
{
    (void)state;
    struct local_cid_set set;
    roam_cid initial = {.len = 0}, retired;
    assert_true(local_cid_set_init(&set, scratch_allocator(), &initial));
    local_cid_set_peer_limit(&set, 8);
    assert_int_equal(local_cid_wanted(&set), 0);
    assert_int_equal(local_cid_on_retire(&set, 0, NO_PACKET_CID, &retired), ROAM_PROTOCOL_VIOLATION);
    assert_false(local_cid_request_retirement(&set, 1));
    local_cid_set_check(&set);
}

/* B30, 9000-5.1.1-7. */
static void a_retired_cid_is_replaced_at_once(void **state)
{
    //= rfc9000#5.1.1-7 Replace a CID with a fresh one when the peer retires it.
    (void)state;
    struct local_cid_set set;
    roam_cid zero = cid_number(0), retired;
    set_up(&set, 4);
    assert_int_equal(local_cid_on_retire(&set, 0, 1, &retired), ROAM_NO_ERROR);
    assert_true(roam_cid_equal(&retired, &zero));
    assert_null(local_cid_find(&set, &zero));
    assert_int_equal(local_cid_wanted(&set), 1);
    fill_up(&set);
    assert_int_equal(set.entries[3].sequence, 4);
}

static void a_repeated_retirement_changes_nothing(void **state)
{
    (void)state;
    struct local_cid_set set;
    roam_cid retired;
    set_up(&set, 4);
    assert_int_equal(local_cid_on_retire(&set, 2, 1, &retired), ROAM_NO_ERROR);
    assert_int_equal(retired.len, 8);
    struct local_cid_set before = set;
    assert_int_equal(local_cid_on_retire(&set, 2, 1, &retired), ROAM_NO_ERROR);
    assert_int_equal(retired.len, 255);
    assert_memory_equal(&before, &set, sizeof(set));
}

/* 9000-19.16-1: issued by us is not enough, it must have been on the wire. */
static void retiring_what_was_never_sent_is_a_violation(void **state)
{
    (void)state;
    struct local_cid_set set;
    roam_cid retired = {.len = 77};
    set_up(&set, 4);
    assert_int_equal(local_cid_on_retire(&set, 4, 0, &retired), ROAM_PROTOCOL_VIOLATION);
    assert_int_equal(local_cid_on_retire(&set, 1, 0, &retired), ROAM_NO_ERROR);
    roam_cid next = cid_number(4);
    assert_true(local_cid_reserve(&set, 1));
    local_cid_issue(&set, &next);
    retired.len = 77;
    assert_int_equal(local_cid_on_retire(&set, 4, 0, &retired), ROAM_PROTOCOL_VIOLATION);
    assert_int_equal(retired.len, 77);
    local_cid_on_sent(&set, 4);
    local_cid_on_lost(&set, 4);
    assert_int_equal(local_cid_on_retire(&set, 4, 0, &retired), ROAM_NO_ERROR);
    assert_null(local_cid_next_pending(&set));
}

/* 9000-19.16-2. */
static void retiring_the_cid_of_the_packet_itself_is_a_violation(void **state)
{
    (void)state;
    struct local_cid_set set;
    roam_cid retired;
    set_up(&set, 4);
    assert_int_equal(local_cid_on_retire(&set, 2, 2, &retired), ROAM_PROTOCOL_VIOLATION);
    assert_int_equal(set.count, 4);
}

static void a_lost_frame_goes_out_again_until_some_copy_is_acknowledged(void **state)
{
    (void)state;
    struct local_cid_set set;
    set_up(&set, 3);
    local_cid_on_lost(&set, 2);
    assert_int_equal(local_cid_next_pending(&set)->sequence, 2);
    local_cid_on_sent(&set, 2);
    assert_null(local_cid_next_pending(&set));
    local_cid_on_acked(&set, 2); /* the first copy after all */
    local_cid_on_lost(&set, 2);  /* the second */
    assert_null(local_cid_next_pending(&set));
    local_cid_on_lost(&set, 0);
    local_cid_on_lost(&set, 99);
    local_cid_on_acked(&set, 99);
    local_cid_on_sent(&set, 99);
    assert_null(local_cid_next_pending(&set));
    local_cid_set_check(&set);
}

static void a_frame_lost_after_its_cid_was_retired_is_forgotten(void **state)
{
    (void)state;
    struct local_cid_set set;
    roam_cid retired;
    set_up(&set, 3);
    assert_int_equal(local_cid_on_retire(&set, 2, 0, &retired), ROAM_NO_ERROR);
    local_cid_on_lost(&set, 2);
    assert_null(local_cid_next_pending(&set));
    local_cid_set_check(&set);
}

/* 9000-5.1.1-5: the new ones push the old ones out; 9000-5.1.2-2: which are taken until they are retired. */
static void a_request_to_retire_makes_room_for_new_ones_and_keeps_the_old_ones_routable(void **state)
{
    //= rfc9000#5.1.2-2 Keep accepting CIDs asked to be retired until the peer's RETIRE_CONNECTION_ID actually arrives.
    //= rfc9000#5.1.1-2 Keep accepting packets on every CID you issued until the peer retires it or the connection ends.
    (void)state;
    for (uint64_t limit = 2; limit <= LOCAL_CIDS_MAX; limit++) {
        struct local_cid_set set;
        set_up(&set, limit);
        assert_true(local_cid_request_retirement(&set, limit));
        assert_int_equal(local_cid_wanted(&set), limit);
        fill_up(&set);
        assert_int_equal(set.count, 2 * limit);
        roam_cid old = cid_number(0);
        assert_non_null(local_cid_find(&set, &old));
    }
}

/* 9000-5.1.2-9. */
static void a_second_request_waits_until_the_first_is_met(void **state)
{
    //= rfc9000#5.1.2-9 Do not raise Retire Prior To again before all CIDs covered by the previous value were retired by
    // the peer.
    (void)state;
    struct local_cid_set set;
    roam_cid retired;
    set_up(&set, 3);
    assert_true(local_cid_request_retirement(&set, 2));
    fill_up(&set);
    assert_false(local_cid_request_retirement(&set, 4));
    assert_true(local_cid_request_retirement(&set, 2));
    assert_int_equal(local_cid_on_retire(&set, 0, 2, &retired), ROAM_NO_ERROR);
    assert_false(local_cid_request_retirement(&set, 4));
    assert_int_equal(local_cid_on_retire(&set, 1, 2, &retired), ROAM_NO_ERROR);
    assert_true(local_cid_request_retirement(&set, 4));
    assert_int_equal(set.retire_prior_to, 4);
    local_cid_set_check(&set);
}

/* 9000-19.15-6. */
static void no_frame_asks_to_retire_beyond_its_own_sequence(void **state)
{
    (void)state;
    struct local_cid_set set;
    set_up(&set, 4);
    local_cid_on_lost(&set, 1);
    assert_true(local_cid_request_retirement(&set, 4));
    const struct local_cid *entry = local_cid_next_pending(&set);
    assert_int_equal(entry->sequence, 1);
    assert_int_equal(local_cid_frame_retire_prior_to(&set, entry), 1);
    roam_cid next = cid_number(4);
    assert_true(local_cid_reserve(&set, 1));
    assert_int_equal(local_cid_frame_retire_prior_to(&set, local_cid_issue(&set, &next)), 4);
}

/* B02, B23, B30. */
static void ten_thousand_retirements_leave_the_set_as_it_was(void **state)
{
    (void)state;
    struct local_cid_set set;
    set_up(&set, 8);
    for (uint64_t i = 0; i < 10000; i++) {
        roam_cid retired, expected = cid_number(i);
        assert_int_equal(local_cid_on_retire(&set, i, i + 1, &retired), ROAM_NO_ERROR);
        assert_true(roam_cid_equal(&retired, &expected));
        fill_up(&set);
        assert_int_equal(set.count, 8);
    }
    assert_int_equal(set.next_sequence, 10008);
}

static void insisting_goes_on_as_long_as_twice_the_limit_is_to_be_retired(void **state)
{
    //= rfc9000#5.1.2-9 Not again before all covered by the previous value were retired, but for a peer that cannot
    // answer.
    (void)state;
    struct local_cid_set set;
    set_up(&set, 4);
    assert_true(local_cid_request_retirement(&set, set.next_sequence));
    fill_up(&set);
    assert_false(local_cid_request_retirement(&set, set.next_sequence));
    assert_true(local_cid_insist_on_retirement(&set));
    fill_up(&set);
    assert_int_equal(set.count, 12);
    assert_int_equal(set.retire_prior_to, 8);
    assert_false(local_cid_insist_on_retirement(&set));
    assert_int_equal(set.retire_prior_to, 8);
    /* What was asked for is still taken when it comes. */
    for (uint64_t sequence = 0; sequence < 8; sequence++) {
        roam_cid retired;
        assert_int_equal(local_cid_on_retire(&set, sequence, 9, &retired), ROAM_NO_ERROR);
        assert_int_equal(retired.len, 8);
        local_cid_set_check(&set);
    }
    assert_int_equal(local_cid_wanted(&set), 0);
}

static void what_is_not_acknowledged_can_be_repeated_as_it_was(void **state)
{
    (void)state;
    struct local_cid_set set;
    roam_cid retired;
    set_up(&set, 4);
    local_cid_on_acked(&set, 1);
    assert_int_equal(local_cid_on_retire(&set, 2, 0, &retired), ROAM_NO_ERROR);
    local_cid_repeat(&set);
    const struct local_cid *next = local_cid_next_pending(&set);
    assert_non_null(next);
    assert_int_equal(next->sequence, 3);
    local_cid_on_sent(&set, 3);
    assert_null(local_cid_next_pending(&set));
}

static void what_is_to_be_retired_is_repeated_only_when_it_was_lost(void **state)
{
    (void)state;
    struct local_cid_set set;
    set_up(&set, 4);
    assert_true(local_cid_request_retirement(&set, set.next_sequence));
    fill_up(&set);
    local_cid_repeat(&set);
    for (const struct local_cid *pending; (pending = local_cid_next_pending(&set)) != NULL;) {
        assert_true(pending->sequence >= set.retire_prior_to);
        local_cid_on_sent(&set, pending->sequence);
    }
    local_cid_on_lost(&set, 2);
    assert_non_null(local_cid_next_pending(&set));
    assert_int_equal(local_cid_next_pending(&set)->sequence, 2);
}

static void when_all_sequence_numbers_are_used_none_wraps_around(void **state)
{
    //= rfc9000#5.1.1-1 Number issued CIDs consecutively.
    (void)state;
    struct local_cid_set set;
    roam_cid retired;
    set_up(&set, 4);
    for (uint64_t sequence = 1; sequence < 4; sequence++)
        assert_int_equal(local_cid_on_retire(&set, sequence, 0, &retired), ROAM_NO_ERROR);
    const uint64_t last = UINT64_C(0x3fffffffffffffff);
    set.next_sequence = set.sent_below = last - 1;
    assert_int_equal(local_cid_wanted(&set), 2);
    fill_up(&set);
    assert_int_equal(set.count, 3);
    assert_true(set.entries[2].sequence == last);
    assert_int_equal(local_cid_wanted(&set), 0);
    assert_int_equal(local_cid_on_retire(&set, last, 0, &retired), ROAM_NO_ERROR);
    assert_int_equal(local_cid_wanted(&set), 0);
    local_cid_set_check(&set);
}

static void a_cid_that_is_used_is_known_and_its_frame_not_sent_again(void **state)
{
    (void)state;
    struct local_cid_set set;
    set_up(&set, 4);
    struct local_cid *entry = &set.entries[2];
    memset(entry->reset_token, 0x5a, sizeof(entry->reset_token));
    local_cid_on_lost(&set, 2);
    assert_int_equal(entry->state, LOCAL_CID_PENDING);
    assert_true(local_cid_on_used(&set, entry, 70, 1200));
    assert_false(local_cid_on_used(&set, entry, 80, 100));
    assert_true(entry->used && entry->used_since == 70 && entry->bytes == 1300);
    assert_null(local_cid_next_pending(&set));
    local_cid_on_lost(&set, 2);
    local_cid_repeat(&set);
    for (const struct local_cid *pending; (pending = local_cid_next_pending(&set)) != NULL;) {
        assert_true(pending->sequence != 2);
        local_cid_on_sent(&set, pending->sequence);
    }
    local_cid_set_check(&set);
}

static void an_idle_set_takes_no_more_memory_than_its_cids(void **state)
{
    (void)state;
    struct counting_allocator counting = {.refuses = true};
    roam_allocator allocator = counting_allocator(&counting);
    struct local_cid_set set;
    roam_cid initial = cid_number(0);
    assert_false(local_cid_set_init(&set, &allocator, &initial));
    counting.refuses = false;
    assert_true(local_cid_set_init(&set, &allocator, &initial));
    local_cid_set_peer_limit(&set, 8);
    counting.refuses = true;
    assert_false(local_cid_reserve(&set, 7));
    counting.refuses = false;
    assert_true(local_cid_reserve(&set, 7));
    size_t allocations = counting.allocations;
    fill_up(&set);
    assert_int_equal(counting.allocations, allocations);
    assert_int_equal(counting.bytes_out, 8 * sizeof(struct local_cid));
    assert_true(sizeof(struct local_cid) <= 48);
    local_cid_set_done(&set);
    assert_int_equal(counting.bytes_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_issued_before_the_peer_named_its_limit),
        cmocka_unit_test(the_peer_gets_as_many_as_its_limit_and_no_more_than_ours),
        cmocka_unit_test(a_peer_that_has_used_the_first_alone_gets_a_few_and_the_rest_when_it_uses_another),
        cmocka_unit_test(sequences_are_consecutive_from_one),
        cmocka_unit_test(a_zero_length_cid_stays_alone_and_is_never_retired),
        cmocka_unit_test(a_retired_cid_is_replaced_at_once),
        cmocka_unit_test(a_repeated_retirement_changes_nothing),
        cmocka_unit_test(retiring_what_was_never_sent_is_a_violation),
        cmocka_unit_test(retiring_the_cid_of_the_packet_itself_is_a_violation),
        cmocka_unit_test(a_lost_frame_goes_out_again_until_some_copy_is_acknowledged),
        cmocka_unit_test(a_frame_lost_after_its_cid_was_retired_is_forgotten),
        cmocka_unit_test(a_request_to_retire_makes_room_for_new_ones_and_keeps_the_old_ones_routable),
        cmocka_unit_test(a_second_request_waits_until_the_first_is_met),
        cmocka_unit_test(no_frame_asks_to_retire_beyond_its_own_sequence),
        cmocka_unit_test(insisting_goes_on_as_long_as_twice_the_limit_is_to_be_retired),
        cmocka_unit_test(what_is_not_acknowledged_can_be_repeated_as_it_was),
        cmocka_unit_test(what_is_to_be_retired_is_repeated_only_when_it_was_lost),
        cmocka_unit_test(when_all_sequence_numbers_are_used_none_wraps_around),
        cmocka_unit_test(a_cid_that_is_used_is_known_and_its_frame_not_sent_again),
        cmocka_unit_test(an_idle_set_takes_no_more_memory_than_its_cids),
        cmocka_unit_test(ten_thousand_retirements_leave_the_set_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
