/* Everything that has a name says it, and what has none is not NULL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include <roam/roam.h>

static void transport_errors_have_the_names_of_the_rfc(void **state)
{
    (void)state;
    assert_string_equal(roam_error_name(ROAM_NO_ERROR), "NO_ERROR");
    assert_string_equal(roam_error_name(ROAM_FLOW_CONTROL_ERROR), "FLOW_CONTROL_ERROR");
    assert_string_equal(roam_error_name(ROAM_NO_VIABLE_PATH), "NO_VIABLE_PATH");
    assert_string_equal(roam_error_name(ROAM_CRYPTO_ERROR + 45), "CRYPTO_ERROR (certificate_expired)");
    assert_string_equal(roam_error_name(ROAM_CRYPTO_ERROR + 120), "CRYPTO_ERROR (no_application_protocol)");
    assert_string_equal(roam_error_name(ROAM_CRYPTO_ERROR), "CRYPTO_ERROR (close_notify)");
    assert_string_equal(roam_error_name(ROAM_CRYPTO_ERROR_LAST), "CRYPTO_ERROR (alert 255)");
    assert_string_equal(roam_error_name(ROAM_VERSION_NEGOTIATION_ERROR + 1), "0x12");
    assert_string_equal(roam_error_name(0x1234), "0x1234");
    assert_string_equal(roam_error_name(UINT64_MAX), "0xffffffffffffffff");
    for (uint64_t code = 0; code <= ROAM_VERSION_NEGOTIATION_ERROR; code++)
        assert_true(isupper((unsigned char)roam_error_name(code)[0]));
}

/* Each of `count` names exists and differs from the others; past the end there is "unknown". */
#define CHECK_NAMES(function, type, first, count, step)                                                                \
    do {                                                                                                               \
        for (int i_ = 0; i_ < (int)(count); i_++) {                                                                    \
            const char *name_ = function((type)((first) + i_ * (step)));                                               \
            assert_non_null(name_);                                                                                    \
            assert_string_not_equal(name_, "unknown");                                                                 \
            for (int k_ = 0; k_ < i_; k_++)                                                                            \
                assert_string_not_equal(name_, function((type)((first) + k_ * (step))));                               \
        }                                                                                                              \
        assert_string_equal(function((type)((first) + (int)(count) * (step))), "unknown");                             \
        assert_string_equal(function((type)((first) - (step))), "unknown");                                            \
    } while (0)

static void every_enumerator_has_a_name_of_its_own(void **state)
{
    (void)state;
    CHECK_NAMES(roam_drop_name, roam_drop, 0, ROAM_DROPS, 1);
    CHECK_NAMES(roam_limit_name, roam_limit, 0, ROAM_LIMITS, 1);
    CHECK_NAMES(roam_close_cause_name, enum roam_close_cause, 0, ROAM_CLOSE_CAUSES, 1);
    CHECK_NAMES(roam_event_name, roam_event_type, 0, ROAM_EVENT_TYPES, 1);
    CHECK_NAMES(roam_result_name, roam_result, 0, 13, -1);
    CHECK_NAMES(roam_conn_state_name, enum roam_conn_state, 0, ROAM_CONN_CLOSED + 1, 1);
    CHECK_NAMES(roam_move_why_name, enum roam_move_why, 0, ROAM_MOVE_WHYS, 1);
    CHECK_NAMES(roam_send_failure_name, enum roam_send_failure, 0, ROAM_SEND_FAILURES, 1);
    CHECK_NAMES(roam_path_state_name, enum roam_path_state, 0, ROAM_PATH_FAILED + 1, 1);
}

static void names_are_those_that_the_headers_promise(void **state)
{
    (void)state;
    assert_string_equal(roam_drop_name(ROAM_DROP_UNKNOWN_CONNECTION), "unknown_connection");
    assert_string_equal(roam_close_cause_name(ROAM_CLOSE_IDLE_TIMEOUT), "idle timeout");
    assert_string_equal(roam_close_cause_name(ROAM_CLOSE_STATELESS_RESET), "stateless reset");
    assert_string_equal(roam_event_name(ROAM_EVENT_PATH_VALIDATED), "path_validated");
    assert_string_equal(roam_result_name(ROAM_ERR_NO_CID), "no spare connection ID");
    assert_string_equal(roam_conn_state_name(ROAM_CONN_ESTABLISHED), "established");
    assert_string_equal(roam_path_state_name(ROAM_PATH_VALIDATED), "validated");
    assert_string_equal(roam_version(), "0.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transport_errors_have_the_names_of_the_rfc),
        cmocka_unit_test(every_enumerator_has_a_name_of_its_own),
        cmocka_unit_test(names_are_those_that_the_headers_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
