/* The rules of frames against RFC 9000 table 3, written down here a second time as the RFC prints it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "wire/frame.h"

/* Type, the columns Pkts and Spec of table 3: N not ack-eliciting, P probing. */
static const struct {
    uint64_t first, last;
    const char *packets, *spec;
} table_3[] = {
    {0x00, 0x00, "IH01", "NP"},
    {0x01, 0x01, "IH01", ""},
    {0x02, 0x03, "IH_1", "N"},
    {0x04, 0x04, "__01", ""},
    {0x05, 0x05, "__01", ""},
    {0x06, 0x06, "IH_1", ""},
    {0x07, 0x07, "___1", ""},
    {0x08, 0x0f, "__01", ""},
    {0x10, 0x10, "__01", ""},
    {0x11, 0x11, "__01", ""},
    {0x12, 0x13, "__01", ""},
    {0x14, 0x14, "__01", ""},
    {0x15, 0x15, "__01", ""},
    {0x16, 0x17, "__01", ""},
    {0x18, 0x18, "__01", "P"},
    {0x19, 0x19, "__01", ""},
    {0x1a, 0x1a, "__01", "P"},
    {0x1b, 0x1b, "___1", "P"},
    {0x1c, 0x1c, "IH01", "N"},
    {0x1d, 0x1d, "__01", "N"},
    {0x1e, 0x1e, "___1", ""},
    //= rfc9221#5-4 DATAGRAM frames are protected with 0-RTT or 1-RTT keys.
    //= rfc9221#5.2-4 They are ack-eliciting.
    {0x30, 0x31, "__01", ""},
};

/* draft-ietf-quic-ack-frequency: not in 0-RTT, ack-eliciting, non-probing. */
static void ack_frequency_has_rules_of_its_own(void **state)
{
    (void)state;
    static const uint64_t types[] = {0x1f, 0xaf};
    for (size_t i = 0; i < 2; i++) {
        const struct frame_rule *rule = frame_rule_of(types[i]);
        assert_non_null(rule);
        assert_int_equal(rule->packets, IN_PACKET(PACKET_ONE_RTT));
        assert_true(rule->ack_eliciting);
        assert_false(rule->probing);
        assert_false(rule->server_only);
        assert_true(frame_index(types[i]) < FRAME_TYPES);
        assert_int_equal(frame_bit(types[i]), UINT64_C(1) << frame_index(types[i]));
    }
    assert_string_equal(frame_rule_of(0x1f)->name, "IMMEDIATE_ACK");
    assert_string_equal(frame_rule_of(0xaf)->name, "ACK_FREQUENCY");
}

static void every_frame_has_the_rule_of_table_3(void **state)
{
    (void)state;
    uint64_t expected = 0;
    for (size_t i = 0; i < sizeof(table_3) / sizeof(table_3[0]); i++) {
        /* Between 0x1f and 0x30 nothing is defined. */
        for (expected += expected == 0x1f; expected > 0x1f && expected < 0x30; expected++)
            assert_null(frame_rule_of(expected));
        for (uint64_t type = table_3[i].first; type <= table_3[i].last; type++, expected++) {
            assert_int_equal(type, expected);
            const struct frame_rule *rule = frame_rule_of(type);
            assert_non_null(rule);
            unsigned packets = 0;
            if (strchr(table_3[i].packets, 'I'))
                packets |= IN_PACKET(PACKET_INITIAL);
            if (strchr(table_3[i].packets, 'H'))
                packets |= IN_PACKET(PACKET_HANDSHAKE);
            if (strchr(table_3[i].packets, '0'))
                packets |= IN_PACKET(PACKET_ZERO_RTT);
            if (strchr(table_3[i].packets, '1'))
                packets |= IN_PACKET(PACKET_ONE_RTT);
            assert_int_equal(rule->packets, packets);
            assert_int_equal(rule->ack_eliciting, strchr(table_3[i].spec, 'N') == NULL);
            assert_int_equal(rule->probing, strchr(table_3[i].spec, 'P') != NULL);
            assert_int_equal(rule->server_only, type == FRAME_NEW_TOKEN || type == FRAME_HANDSHAKE_DONE);
            assert_non_null(rule->name);
        }
    }
    assert_int_equal(expected, FRAME_INDEX_ACK_FREQUENCY);
}

static void unknown_types_have_no_rule(void **state)
{
    (void)state;
    assert_null(frame_rule_of(FRAME_TYPES));
    assert_null(frame_rule_of(0x32));
    assert_null(frame_rule_of(0xae));
    assert_null(frame_rule_of(0xb0));
    assert_null(frame_rule_of(UINT64_MAX));
}

static void all_stream_types_share_a_rule(void **state)
{
    (void)state;
    for (uint64_t type = FRAME_STREAM; type <= FRAME_STREAM_LAST; type++)
        assert_ptr_equal(frame_rule_of(type), frame_rule_of(FRAME_STREAM));
    assert_ptr_not_equal(frame_rule_of(FRAME_STREAM_LAST + 1), frame_rule_of(FRAME_STREAM));
    assert_string_equal(frame_rule_of(0x0f)->name, "STREAM");
    assert_ptr_equal(frame_rule_of(FRAME_DATAGRAM), frame_rule_of(FRAME_DATAGRAM_LEN));
    assert_string_equal(frame_rule_of(0x31)->name, "DATAGRAM");
    assert_string_equal(frame_rule_of(FRAME_PATH_CHALLENGE)->name, "PATH_CHALLENGE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_has_the_rule_of_table_3),
        cmocka_unit_test(ack_frequency_has_rules_of_its_own),
        cmocka_unit_test(unknown_types_have_no_rule),
        cmocka_unit_test(all_stream_types_share_a_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
