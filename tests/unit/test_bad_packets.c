/*
 * Packets that no honest peer sends, sealed with real keys: frames in packet types that may not carry them, CRYPTO
 * beyond what is kept, reserved bits, keys before their time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bad_frame.h"

/* ---- Packet types */

static uint64_t client_datagrams;

static bool only_the_first_of_the_client(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of, (void)datagram;
    return !to_server || client_datagrams++ == 0;
}

/* Both have Initial keys (before_handshake_keys), or both have Handshake keys and the client's answer is lost. */
static void begin_handshake(bool before_handshake_keys)
{
    client_datagrams = 0;
    pair_start(&pair, &config);
    pair.hook = only_the_first_of_the_client;
    pair_run(&pair, before_handshake_keys ? ROAM_MILLISECONDS(25) : ROAM_MILLISECONDS(50));
    assert_non_null(pair.server.conn);
}

static const struct bad_frame every_frame[] = {
    {"PADDING", 0, 0, VALUES(0x00)},
    {"PING", 0, 0, VALUES(0x01)},
    {"ACK", 0, 0, VALUES(0x02, 0, 0, 0, 0)},
    {"ACK_ECN", 0, 0, VALUES(0x03, 0, 0, 0, 0, 0, 0, 0)},
    {"RESET_STREAM", 0, 0, VALUES(0x04, 0, 0, 0)},
    {"STOP_SENDING", 0, 0, VALUES(0x05, 0, 0)},
    {"CRYPTO", 0, 0, VALUES(0x06, 0, 0)},
    {"NEW_TOKEN", 0, 0, VALUES(0x07, 1, 0)},
    {"STREAM", 0, 0, VALUES(0x08, 0)},
    {"STREAM with everything", 0, 0, VALUES(0x0f, 0, 0, 0)},
    {"MAX_DATA", 0, 0, VALUES(0x10, 0)},
    {"MAX_STREAM_DATA", 0, 0, VALUES(0x11, 0, 0)},
    {"MAX_STREAMS_BIDI", 0, 0, VALUES(0x12, 0)},
    {"MAX_STREAMS_UNI", 0, 0, VALUES(0x13, 0)},
    {"DATA_BLOCKED", 0, 0, VALUES(0x14, 0)},
    {"STREAM_DATA_BLOCKED", 0, 0, VALUES(0x15, 0, 0)},
    {"STREAMS_BLOCKED_BIDI", 0, 0, VALUES(0x16, 0)},
    {"STREAMS_BLOCKED_UNI", 0, 0, VALUES(0x17, 0)},
    {"NEW_CONNECTION_ID", 0, 0, VALUES(0x18, 1, 0, CID_8, TOKEN_16)},
    {"RETIRE_CONNECTION_ID", 0, 0, VALUES(0x19, 0)},
    {"PATH_CHALLENGE", 0, 0, VALUES(0x1a, 1, 2, 3, 4, 5, 6, 7, 8)},
    {"PATH_RESPONSE", 0, 0, VALUES(0x1b, 1, 2, 3, 4, 5, 6, 7, 8)},
    {"CONNECTION_CLOSE", 0, 0, VALUES(0x1c, 0, 0, 0)},
    {"CONNECTION_CLOSE_APPLICATION", 0, 0, VALUES(0x1d, 0, 0)},
    {"HANDSHAKE_DONE", 0, 0, VALUES(0x1e)},
};

static bool may_stand_in_handshake(uint64_t type)
{
    return type <= 0x03 || type == 0x06 || type == 0x1c;
}

static void expect_frame_rules(enum packet_type type, bool to_server)
{
    for (size_t i = 0; i < ARRAY_LENGTH(every_frame); i++) {
        uint8_t payload[64];
        begin_handshake(type == PACKET_INITIAL);
        inject(to_server, type, payload, encode(&every_frame[i], payload, sizeof(payload)));
        if (!may_stand_in_handshake(every_frame[i].values[0]))
            expect_error(every_frame[i].rule, to_server, ROAM_PROTOCOL_VIOLATION);
        else if (error_at(to_server)->cause == ROAM_CLOSE_LOCAL_TRANSPORT)
            fail_msg("%s is allowed: %s", every_frame[i].rule, roam_error_name(error_at(to_server)->code));
        pair_stop(&pair);
    }
}

static void initial_packets_carry_only_what_they_may(void **state)
{
    //= rfc9000#5.2-2 If part of such a packet was processed before the fault was seen, either close with an error or
    // roll every effect back.
    (void)state;
    prepare();
    expect_frame_rules(PACKET_INITIAL, TO_SERVER);
    expect_frame_rules(PACKET_INITIAL, TO_CLIENT);
}

static void handshake_packets_carry_only_what_they_may(void **state)
{
    (void)state;
    prepare();
    expect_frame_rules(PACKET_HANDSHAKE, TO_SERVER);
    expect_frame_rules(PACKET_HANDSHAKE, TO_CLIENT);
}

static void empty_handshake_packets_are_violations(void **state)
{
    (void)state;
    static const enum packet_type types[] = {PACKET_INITIAL, PACKET_HANDSHAKE};
    prepare();
    for (size_t i = 0; i < 4; i++) {
        begin_handshake(types[i / 2] == PACKET_INITIAL);
        inject(i % 2 == 0, types[i / 2], NULL, 0);
        expect_error("12.4 no frame at all", i % 2 == 0, ROAM_PROTOCOL_VIOLATION);
        pair_stop(&pair);
    }
}

static void crypto_beyond_the_buffer_is_an_error(void **state)
{
    (void)state;
    static const struct bad_frame far = {"7.5", 0, 0, VALUES(0x06, 1 << 20, 1, 0)};
    static const enum packet_type types[] = {PACKET_INITIAL, PACKET_HANDSHAKE};
    uint8_t payload[64];
    prepare();
    for (size_t i = 0; i < 4; i++) {
        begin_handshake(types[i / 2] == PACKET_INITIAL);
        inject(i % 2 == 0, types[i / 2], payload, encode(&far, payload, sizeof(payload)));
        expect_error(far.rule, i % 2 == 0, ROAM_CRYPTO_BUFFER_EXCEEDED);
        pair_stop(&pair);
    }
}

static void four_thousand_octets_of_crypto_ahead_are_kept(void **state)
{
    (void)state;
    uint8_t payload[64];
    static const struct bad_frame ahead = {"7.5", 0, 0, VALUES(0x06, 4095, 1, 0)};
    prepare();
    begin_handshake(false);
    inject(TO_SERVER, PACKET_HANDSHAKE, payload, encode(&ahead, payload, sizeof(payload)));
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_NONE);
    pair_stop(&pair);
}

static void tls_that_is_none_is_a_crypto_error(void **state)
{
    (void)state;
    static const struct bad_frame rubbish = {"rfc9001 4.8", 0, 0, VALUES(0x06, 0, 8, 20, 0, 0, 4, 1, 2, 3, 4)};
    uint8_t payload[64];
    prepare();
    begin_handshake(false);
    inject(TO_SERVER, PACKET_HANDSHAKE, payload, encode(&rubbish, payload, sizeof(payload)));
    pair_run(&pair, ROAM_MILLISECONDS(10));
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_LOCAL_TRANSPORT);
    assert_in_range(error_at(true)->code, ROAM_CRYPTO_ERROR, ROAM_CRYPTO_ERROR_LAST);
    pair_stop(&pair);
}

static void crypto_of_an_earlier_level_that_goes_further_is_a_violation(void **state)
{
    (void)state;
    static const struct bad_frame more = {"rfc9001 4.1.3", 0, 0, VALUES(0x06, 4000, 1, 1)};
    uint8_t payload[64];
    prepare();
    begin_handshake(true);
    inject(TO_SERVER, PACKET_INITIAL, payload, encode(&more, payload, sizeof(payload)));
    expect_error(more.rule, true, ROAM_PROTOCOL_VIOLATION);
    pair_stop(&pair);
}

/* ---- Reserved bits and keys */

static void inject_marked(bool to_server, enum packet_type type, uint8_t first_octet)
{
    static const uint8_t ping[32] = {0x01};
    uint8_t packet[DATAGRAM_BYTES_MIN + SEALED_OVERHEAD_MAX] = {0};
    struct sealing sealing = {.from = to_server ? pair.client.conn : pair.server.conn,
                              .type = type,
                              .payload = ping,
                              .payload_len = sizeof(ping),
                              .first_octet = first_octet};
    size_t sealed = seal_by_hand(&sealing, packet);
    pair_deliver(&pair, to_server, NULL, packet, type == PACKET_INITIAL ? DATAGRAM_BYTES_MIN : sealed);
}

static void reserved_bits_must_be_zero(void **state)
{
    (void)state;
    static const struct {
        enum packet_type type;
        uint8_t bit;
    } cases[] = {{PACKET_INITIAL, 0x04},   {PACKET_INITIAL, 0x08}, {PACKET_HANDSHAKE, 0x04},
                 {PACKET_HANDSHAKE, 0x08}, {PACKET_ONE_RTT, 0x08}, {PACKET_ONE_RTT, 0x10}};
    prepare();
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(cases); i++) {
        bool to_server = i % 2 == 0;
        if (cases[i / 2].type == PACKET_ONE_RTT)
            begin();
        else
            begin_handshake(cases[i / 2].type == PACKET_INITIAL);
        inject_marked(to_server, cases[i / 2].type, cases[i / 2].bit);
        expect_error("17.2, 17.3.1 reserved bits", to_server, ROAM_PROTOCOL_VIOLATION);
        pair_stop(&pair);
    }
}

static void the_spin_bit_is_nobodys_business(void **state)
{
    (void)state;
    prepare();
    begin();
    inject_marked(TO_SERVER, PACKET_ONE_RTT, 0x20);
    assert_int_equal(error_at(true)->cause, ROAM_CLOSE_NONE);
    pair_stop(&pair);
}

/* RFC 9001 section 6.2: a second update before the first was acknowledged. */
static void a_key_update_before_its_time_is_an_error(void **state)
{
    (void)state;
    prepare();
    begin();
    static const uint8_t ping[32] = {0x01};
    for (int i = 0; i < 2; i++) {
        uint8_t packet[128];
        /* The client itself would not: its state is bent. */
        pair.client.conn->keys.acked = true;
        pair.client.conn->keys.next_allowed = 0;
        pair.client.conn->keys.receive_phase = pair.client.conn->keys.send_phase;
        assert_true(key_update_begin(&pair.client.conn->keys, pair.now, 0));
        struct sealing sealing = {
            .from = pair.client.conn, .type = PACKET_ONE_RTT, .payload = ping, .payload_len = sizeof(ping)};
        size_t sealed = seal_by_hand(&sealing, packet);
        pair_deliver(&pair, TO_SERVER, NULL, packet, sealed);
    }
    expect_error("rfc9001 6.2", true, ROAM_KEY_UPDATE_ERROR);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_packets_carry_only_what_they_may),
        cmocka_unit_test(handshake_packets_carry_only_what_they_may),
        cmocka_unit_test(empty_handshake_packets_are_violations),
        cmocka_unit_test(crypto_beyond_the_buffer_is_an_error),
        cmocka_unit_test(four_thousand_octets_of_crypto_ahead_are_kept),
        cmocka_unit_test(tls_that_is_none_is_a_crypto_error),
        cmocka_unit_test(crypto_of_an_earlier_level_that_goes_further_is_a_violation),
        cmocka_unit_test(reserved_bits_must_be_zero),
        cmocka_unit_test(the_spin_bit_is_nobodys_business),
        cmocka_unit_test(a_key_update_before_its_time_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
