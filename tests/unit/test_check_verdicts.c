/* From evidence to verdicts: `roam check` says yes only to what was seen, no only to what was tried, and else that it
 * does not know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/check_verdicts.h"

static struct evidence evidence;
static struct verdict verdicts[VERDICTS_MAX];
static size_t count;

static roam_address address(const char *text)
{
    roam_address ret;
    assert_true(roam_address_parse(&ret, text));
    return ret;
}

/* A move that went as it should. */
static struct move_evidence good_move(void)
{
    return (struct move_evidence){
        .state = PROBE_RAN,
        .from = address("192.0.2.1:1000"),
        .to = address("192.0.2.1:2000"),
        .survived = true,
        .probed = true,
        .stayed_old = true,
        .resumed_bytes = 5000,
        .before_bytes = 1000,
        .facts = {.sent_new = 3,
                  .trigger_bytes = 1200,
                  .received_new = 3,
                  .acked_new = true,
                  .challenges_new = 1,
                  .challenges_old = 1,
                  .challenge_first = true,
                  .first_is_certain = true,
                  .challenge_bytes = 1200,
                  .challenge_room = true,
                  .responses_new = 1,
                  .response_bytes = 1200,
                  .non_probing_new = true,
                  .bytes_in = 1200,
                  .bytes_out = 1200},
    };
}

static int set_up(void **state)
{
    (void)state;
    const struct move_evidence move = good_move();
    evidence = (struct evidence){
        .versions = {.state = PROBE_RAN, .answered = true, .cids_echoed = true, .count = 1, .versions = {1}},
        .alpns = {{.name = "h3", .tried = true, .completed = true}},
        .alpn_count = 1,
        .handshake = {.completed = true,
                      .confirmed = true,
                      .cipher = "AES-128-GCM",
                      .alpn = "h3",
                      .cid_bytes = 8,
                      .cids_given = 3,
                      .cid_limit = 8,
                      .params = {.max_ack_delay_ms = 25,
                                 .max_idle_timeout_ms = 30000,
                                 .active_connection_id_limit = 8,
                                 .has_stateless_reset_token = true,
                                 .initial_max_data = 1,
                                 .initial_max_streams_bidi = 1,
                                 .ack_delay_exponent = 3}},
        .acks = {.state = PROBE_RAN,
                 .sent = 2,
                 .acked = 2,
                 .took = {ROAM_MILLISECONDS(30), ROAM_MILLISECONDS(26)},
                 .rtt_min = ROAM_MILLISECONDS(1)},
        .size = {.state = PROBE_RAN, .bytes = 1452, .acked = true},
        .retry = {.state = PROBE_NOT_APPLICABLE},
        .resumption = {.state = PROBE_RAN, .connected = true, .resumed = true},
        .port = move,
        .small = move,
        .address = move,
        .response = move,
        .migration = move,
        .row = {.state = PROBE_RAN, .tried = CHECK_ROW_MOVES, .survived = CHECK_ROW_MOVES},
        .refill = {.state = PROBE_RAN, .refilled = true},
        .reset = {.state = PROBE_RAN, .sent = 2, .trigger_bytes = 100, .answered = true, .reply_bytes = 40},
        .preferred = {.state = PROBE_NOT_APPLICABLE},
        .end = {.state = PROBE_RAN, .answers = true},
    };
    return 0;
}

static const struct verdict *judge_it(const char *id)
{
    count = verdicts_judge(&evidence, verdicts);
    for (size_t i = 0; i < count; i++)
        if (strcmp(verdicts[i].id, id) == 0)
            return &verdicts[i];
    fail_msg("there is no verdict %s", id);
    return NULL;
}

static void assert_answer(const char *id, enum answer answer)
{
    const struct verdict *verdict = judge_it(id);
    if (verdict->answer != answer)
        fail_msg("%s: %s, not %s: %s", id, answer_name(verdict->answer), answer_name(answer), verdict->evidence);
    assert_true(verdict->evidence[0] != '\0');
}

static void assert_says(const char *id, const char *text)
{
    const struct verdict *verdict = judge_it(id);
    if (strstr(verdict->evidence, text) == NULL)
        fail_msg("%s does not say '%s': %s", id, text, verdict->evidence);
}

static void a_good_server_gets_no_no_that_matters(void **state)
{
    (void)state;
    count = verdicts_judge(&evidence, verdicts);
    for (size_t i = 0; i < count; i++) {
        if (verdicts[i].severity > SEVERITY_INFO && verdicts[i].answer != ANSWER_NOT_APPLICABLE &&
            verdicts[i].answer != ANSWER_YES)
            fail_msg("%s: %s: %s", verdicts[i].id, answer_name(verdicts[i].answer), verdicts[i].evidence);
    }
}

static void every_verdict_has_a_name_of_its_own_and_a_section(void **state)
{
    (void)state;
    count = verdicts_judge(&evidence, verdicts);
    for (size_t i = 0; i < count; i++) {
        assert_true(strncmp(verdicts[i].section, "RFC 900", 7) == 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(verdicts[i].id, verdicts[j].id);
    }
}

static void without_a_handshake_nothing_is_said_about_moves(void **state)
{
    (void)state;
    evidence = (struct evidence){.versions = {.state = PROBE_RAN, .refused = true}};
    assert_answer("handshake", ANSWER_NO);
    assert_says("handshake", "nobody listens");
    assert_int_equal(count, 3);
    evidence.versions.refused = false;
    assert_says("handshake", "nobody answers");
    evidence.handshake.cut = true;
    assert_answer("handshake", ANSWER_UNKNOWN);
}

static void a_handshake_that_is_never_confirmed_is_none(void **state)
{
    (void)state;
    evidence.handshake.confirmed = false;
    assert_answer("handshake", ANSWER_NO);
    assert_says("handshake", "HANDSHAKE_DONE");
}

static void silence_at_the_new_address_is_no(void **state)
{
    (void)state;
    evidence.port.survived = false;
    evidence.port.waited = ROAM_MILLISECONDS(1500);
    evidence.port.facts = (struct move_facts){.sent_new = 9, .received_old = 17};
    assert_answer("port-rebinding", ANSWER_NO);
    assert_says("port-rebinding", "nothing came back there in 1.5 s; 17 went to the old address");
    assert_int_equal(judge_it("port-rebinding")->severity, SEVERITY_SURVIVAL);
}

static void packets_without_an_acknowledgement_are_no(void **state)
{
    (void)state;
    evidence.port.survived = false;
    evidence.port.facts.received_new = 4;
    assert_answer("port-rebinding", ANSWER_NO);
    assert_says("port-rebinding", "4 datagrams came");
}

static void a_move_that_ends_the_connection_is_no_and_says_how(void **state)
{
    (void)state;
    evidence.address.survived = false;
    evidence.address.died = evidence.address.refused = true;
    evidence.address.error = (roam_error){.cause = ROAM_CLOSE_STATELESS_RESET};
    assert_answer("address-rebinding", ANSWER_NO);
    assert_says("address-rebinding", "stateless reset");
}

static void a_network_that_carries_nothing_from_the_second_address_proves_nothing(void **state)
{
    (void)state;
    evidence.address.survived = false;
    evidence.address.control_failed = true;
    evidence.address.facts = (struct move_facts){.sent_new = 9};
    assert_answer("address-rebinding", ANSWER_UNKNOWN);
}

static void a_response_that_stalls_without_a_move_proves_nothing(void **state)
{
    (void)state;
    evidence.response.survived = false;
    evidence.response.control_failed = true;
    assert_answer("rebinding-response", ANSWER_UNKNOWN);
    evidence.response.control_failed = false;
    assert_answer("rebinding-response", ANSWER_NO);
}

static void a_second_connection_is_told_of(void **state)
{
    (void)state;
    evidence.port.attempts = evidence.row.attempts = 2;
    assert_says("port-rebinding", "a first connection did not");
    assert_says("rebinding-row", "a first connection did not");
    evidence.port.survived = false;
    assert_says("port-rebinding", "a first connection fared no better");
    evidence.port = (struct move_evidence){.why_not = "cut short", .attempts = 2};
    assert_answer("port-rebinding", ANSWER_UNKNOWN);
}

static void what_was_not_tried_is_unknown_and_what_cannot_be_is_not_applicable(void **state)
{
    (void)state;
    evidence.port = (struct move_evidence){.state = PROBE_NOT_RUN, .why_not = "out of time"};
    evidence.address = (struct move_evidence){.state = PROBE_NOT_APPLICABLE, .why_not = "one address"};
    assert_answer("port-rebinding", ANSWER_UNKNOWN);
    assert_says("port-rebinding", "out of time");
    assert_answer("address-rebinding", ANSWER_NOT_APPLICABLE);
}

static void a_row_is_survived_whole_or_not_at_all(void **state)
{
    (void)state;
    evidence.row.survived = CHECK_ROW_MOVES - 1;
    assert_answer("rebinding-row", ANSWER_NO);
    evidence.row = (struct row_evidence){.state = PROBE_RAN, .tried = 2, .survived = 2};
    assert_answer("rebinding-row", ANSWER_UNKNOWN);
    evidence.row.died = true;
    assert_answer("rebinding-row", ANSWER_NO);
}

static void one_move_without_a_challenge_is_no(void **state)
{
    (void)state;
    evidence.address.facts.challenges_new = 0;
    assert_answer("challenge-new-path", ANSWER_NO);
    assert_says("challenge-new-path", "the address rebinding");
}

static void where_nothing_came_to_a_new_address_nothing_is_known_of_challenges(void **state)
{
    (void)state;
    struct move_evidence *const moves[] = {&evidence.port, &evidence.small, &evidence.address, &evidence.response,
                                           &evidence.migration};
    for (size_t i = 0; i < 5; i++) {
        moves[i]->facts = (struct move_facts){.sent_new = 9};
        moves[i]->survived = moves[i]->probed = false;
    }
    assert_answer("challenge-new-path", ANSWER_UNKNOWN);
    assert_answer("challenge-first", ANSWER_UNKNOWN);
    assert_answer("challenge-padded", ANSWER_UNKNOWN);
    assert_answer("challenge-data", ANSWER_UNKNOWN);
    assert_answer("amplification", ANSWER_UNKNOWN);
    assert_answer("challenge-old-path", ANSWER_UNKNOWN);
    assert_answer("cid-rotation", ANSWER_UNKNOWN);
    assert_answer("migration", ANSWER_NO);
}

static void an_ack_before_the_challenge_is_advice_not_taken(void **state)
{
    (void)state;
    evidence.response.facts.challenge_first = false;
    evidence.response.facts.first_frames = frame_bit(FRAME_ACK);
    assert_answer("challenge-first", ANSWER_NO);
    assert_says("challenge-first", "ACK");
    assert_int_equal(judge_it("challenge-first")->severity, SEVERITY_SHOULD);
    /* Where a packet is missing, it may have borne the challenge. */
    evidence.response.facts.first_is_certain = false;
    assert_answer("challenge-first", ANSWER_YES);
    /* The answer to a probe is a PATH_RESPONSE. */
    evidence.response.facts.challenge_first = true;
    evidence.migration.facts.challenge_first = false;
    assert_answer("challenge-first", ANSWER_YES);
}

static void a_small_challenge_is_wrong_only_where_a_large_one_was_allowed(void **state)
{
    (void)state;
    evidence.small.facts.challenge_bytes = 90;
    evidence.small.facts.challenge_room = false;
    assert_answer("challenge-padded", ANSWER_YES);
    evidence.small.facts.challenge_room = true;
    assert_answer("challenge-padded", ANSWER_NO);
}

static void one_octet_beyond_three_times_is_no(void **state)
{
    (void)state;
    evidence.small.facts.bytes_beyond = 1;
    assert_answer("amplification", ANSWER_NO);
    assert_int_equal(judge_it("amplification")->severity, SEVERITY_MUST);
}

static void repeated_challenge_data_is_no_and_one_challenge_tells_nothing(void **state)
{
    (void)state;
    evidence.port.facts.challenge_repeated = true;
    assert_answer("challenge-data", ANSWER_NO);
    evidence.port.facts.challenge_repeated = false;
    evidence.small = evidence.address = evidence.response = evidence.migration = (struct move_evidence){0};
    evidence.port.facts.challenges_old = 0;
    assert_answer("challenge-data", ANSWER_UNKNOWN);
}

static void the_old_path_is_judged_only_where_the_move_was_survived(void **state)
{
    (void)state;
    evidence.port.facts.challenges_old = 0;
    assert_answer("challenge-old-path", ANSWER_NO);
    evidence.port.survived = false;
    assert_answer("challenge-old-path", ANSWER_YES);
}

static void one_cid_at_two_addresses_is_no_on_a_migration(void **state)
{
    (void)state;
    evidence.migration.facts.cid_shared = true;
    assert_answer("cid-rotation", ANSWER_NO);
    /* On a rebinding the server may write what it wrote before. */
    evidence.migration.facts.cid_shared = false;
    evidence.port.facts.cid_shared = true;
    assert_answer("cid-rotation", ANSWER_YES);
}

static void a_server_without_spare_cids_cannot_be_migrated_to(void **state)
{
    (void)state;
    evidence.migration = (struct move_evidence){.state = PROBE_RAN, .no_cid = true};
    evidence.handshake.cids_given = 0;
    assert_answer("migration", ANSWER_NO);
    assert_answer("cid-supply", ANSWER_NO);
    evidence.handshake.params.disable_active_migration = true;
    assert_answer("cid-supply", ANSWER_NOT_APPLICABLE);
}

static void who_announces_disable_active_migration_must_not_end_rebound_connections(void **state)
{
    (void)state;
    assert_answer("disable-active-migration", ANSWER_NOT_APPLICABLE);
    evidence.handshake.params.disable_active_migration = true;
    assert_answer("disable-active-migration", ANSWER_YES);
    evidence.port.survived = false;
    evidence.port.refused = evidence.port.died = true;
    assert_answer("disable-active-migration", ANSWER_NO);
}

static void acknowledgements_are_late_only_where_all_of_them_are(void **state)
{
    (void)state;
    evidence.acks.took[0] = ROAM_MILLISECONDS(90);
    assert_answer("ack-delay", ANSWER_YES);
    evidence.acks.took[1] = ROAM_MILLISECONDS(60);
    assert_answer("ack-delay", ANSWER_NO);
    evidence.acks.acked = 0;
    assert_answer("ack-delay", ANSWER_NO);
    evidence.acks = (struct ack_evidence){0};
    assert_answer("ack-delay", ANSWER_UNKNOWN);
}

static void a_session_that_ends_in_a_full_handshake_or_in_none_is_no(void **state)
{
    (void)state;
    assert_answer("session-resumption", ANSWER_YES);
    evidence.resumption.resumed = false;
    assert_answer("session-resumption", ANSWER_NO);
    evidence.resumption.connected = false;
    assert_answer("session-resumption", ANSWER_NO);
    evidence.resumption.state = PROBE_NOT_RUN;
    assert_answer("session-resumption", ANSWER_UNKNOWN);
    evidence.resumption.state = PROBE_NOT_APPLICABLE;
    assert_answer("session-resumption", ANSWER_NOT_APPLICABLE);
}

static void a_retry_token_that_is_taken_though_broken_is_no(void **state)
{
    (void)state;
    assert_answer("retry-token", ANSWER_NOT_APPLICABLE);
    evidence.handshake.retried = true;
    evidence.retry = (struct retry_evidence){.state = PROBE_RAN, .accepted = true};
    assert_answer("retry-token", ANSWER_NO);
    evidence.retry.accepted = false;
    assert_answer("retry-token", ANSWER_YES);
}

static void a_reset_as_large_as_its_cause_is_no(void **state)
{
    (void)state;
    assert_answer("reset-size", ANSWER_YES);
    evidence.reset.too_large = true;
    assert_answer("reset-size", ANSWER_NO);
    evidence.reset = (struct reset_evidence){.state = PROBE_RAN, .sent = 2};
    assert_answer("reset-size", ANSWER_NOT_APPLICABLE);
    assert_answer("stateless-reset", ANSWER_NO);
    assert_int_equal(judge_it("stateless-reset")->severity, SEVERITY_INFO);
}

static void a_reset_with_another_token_is_believed_by_nobody(void **state)
{
    (void)state;
    assert_answer("reset-token", ANSWER_NOT_APPLICABLE);
    evidence.reset.late_tried = evidence.reset.late_answered = true;
    assert_answer("reset-token", ANSWER_NO);
    evidence.reset.token_matches = true;
    assert_answer("reset-token", ANSWER_YES);
}

static void a_preferred_address_where_nobody_answers_is_no(void **state)
{
    (void)state;
    evidence.handshake.params.has_preferred_address = true;
    evidence.handshake.params.preferred_address.ipv4 = address("192.0.2.9:443");
    evidence.preferred.state = PROBE_RAN;
    assert_answer("preferred-address", ANSWER_NO);
    assert_says("preferred-address", "192.0.2.9:443");
    evidence.preferred.to = address("192.0.2.9:443");
    evidence.preferred.answers = true;
    assert_answer("preferred-address", ANSWER_YES);
    evidence.preferred.state = PROBE_NOT_RUN;
    assert_answer("preferred-address", ANSWER_UNKNOWN);
}

static void a_server_that_does_not_outlive_the_exam_is_no(void **state)
{
    (void)state;
    evidence.end.answers = false;
    assert_answer("still-there", ANSWER_NO);
    assert_says("still-there", "nobody answers");
    evidence.end.state = PROBE_NOT_RUN;
    assert_answer("still-there", ANSWER_UNKNOWN);
}

static void a_version_negotiation_that_clients_must_ignore_is_none(void **state)
{
    (void)state;
    assert_says("version-negotiation", "0x00000001");
    evidence.versions.cids_echoed = false;
    assert_answer("version-negotiation", ANSWER_NO);
    evidence.versions = (struct version_evidence){.state = PROBE_RAN};
    assert_answer("version-negotiation", ANSWER_NO);
}

static void what_is_odd_about_parameters_is_named(void **state)
{
    (void)state;
    assert_says("transport-parameters", "nothing odd");
    evidence.handshake.params.max_idle_timeout_ms = 2000;
    evidence.handshake.params.active_connection_id_limit = 2;
    evidence.handshake.params.has_stateless_reset_token = false;
    assert_says("transport-parameters", "2000 ms");
    assert_says("transport-parameters", "active_connection_id_limit 2");
    assert_says("transport-parameters", "no stateless_reset_token");
    char small[16];
    params_describe_odd(&evidence.handshake.params, 8, small, sizeof(small));
    assert_int_equal(strlen(small), sizeof(small) - 1);
}

static void the_longest_texts_are_cut_and_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_ALPNS_MAX; i++) {
        evidence.alpns[i] = (struct alpn_evidence){.tried = true, .error = {.cause = ROAM_CLOSE_PEER_TRANSPORT}};
        memset(evidence.alpns[i].name, 'a', sizeof(evidence.alpns[i].name) - 1);
        memset(evidence.alpns[i].error.reason, 'b', ROAM_REASON_MAX);
    }
    evidence.alpn_count = CHECK_ALPNS_MAX;
    assert_int_equal(strlen(judge_it("alpn")->evidence), VERDICT_TEXT_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_server_gets_no_no_that_matters, set_up),
        cmocka_unit_test_setup(every_verdict_has_a_name_of_its_own_and_a_section, set_up),
        cmocka_unit_test_setup(without_a_handshake_nothing_is_said_about_moves, set_up),
        cmocka_unit_test_setup(a_handshake_that_is_never_confirmed_is_none, set_up),
        cmocka_unit_test_setup(silence_at_the_new_address_is_no, set_up),
        cmocka_unit_test_setup(packets_without_an_acknowledgement_are_no, set_up),
        cmocka_unit_test_setup(a_move_that_ends_the_connection_is_no_and_says_how, set_up),
        cmocka_unit_test_setup(a_network_that_carries_nothing_from_the_second_address_proves_nothing, set_up),
        cmocka_unit_test_setup(a_response_that_stalls_without_a_move_proves_nothing, set_up),
        cmocka_unit_test_setup(a_second_connection_is_told_of, set_up),
        cmocka_unit_test_setup(what_was_not_tried_is_unknown_and_what_cannot_be_is_not_applicable, set_up),
        cmocka_unit_test_setup(a_row_is_survived_whole_or_not_at_all, set_up),
        cmocka_unit_test_setup(one_move_without_a_challenge_is_no, set_up),
        cmocka_unit_test_setup(where_nothing_came_to_a_new_address_nothing_is_known_of_challenges, set_up),
        cmocka_unit_test_setup(an_ack_before_the_challenge_is_advice_not_taken, set_up),
        cmocka_unit_test_setup(a_small_challenge_is_wrong_only_where_a_large_one_was_allowed, set_up),
        cmocka_unit_test_setup(one_octet_beyond_three_times_is_no, set_up),
        cmocka_unit_test_setup(repeated_challenge_data_is_no_and_one_challenge_tells_nothing, set_up),
        cmocka_unit_test_setup(the_old_path_is_judged_only_where_the_move_was_survived, set_up),
        cmocka_unit_test_setup(one_cid_at_two_addresses_is_no_on_a_migration, set_up),
        cmocka_unit_test_setup(a_server_without_spare_cids_cannot_be_migrated_to, set_up),
        cmocka_unit_test_setup(who_announces_disable_active_migration_must_not_end_rebound_connections, set_up),
        cmocka_unit_test_setup(acknowledgements_are_late_only_where_all_of_them_are, set_up),
        cmocka_unit_test_setup(a_session_that_ends_in_a_full_handshake_or_in_none_is_no, set_up),
        cmocka_unit_test_setup(a_retry_token_that_is_taken_though_broken_is_no, set_up),
        cmocka_unit_test_setup(a_reset_as_large_as_its_cause_is_no, set_up),
        cmocka_unit_test_setup(a_reset_with_another_token_is_believed_by_nobody, set_up),
        cmocka_unit_test_setup(a_preferred_address_where_nobody_answers_is_no, set_up),
        cmocka_unit_test_setup(a_server_that_does_not_outlive_the_exam_is_no, set_up),
        cmocka_unit_test_setup(a_version_negotiation_that_clients_must_ignore_is_none, set_up),
        cmocka_unit_test_setup(what_is_odd_about_parameters_is_named, set_up),
        cmocka_unit_test_setup(the_longest_texts_are_cut_and_end, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
