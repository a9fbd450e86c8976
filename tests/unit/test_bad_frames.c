/*
 * Frames that no honest peer sends, sealed with real keys: each must end the connection with the error that RFC 9000
 * names, at the side that got it; and the other side must hear of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bad_frame.h"

static void expect_all_in_one_rtt(const struct bad_frame *frames, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t payload[256];
        begin();
        inject(frames[i].to_server, PACKET_ONE_RTT, payload, encode(&frames[i], payload, sizeof(payload)));
        expect_error(frames[i].rule, frames[i].to_server, frames[i].error);
        pair_run(&pair, ROAM_MILLISECONDS(100));
        expect_told(frames[i].rule, !frames[i].to_server, frames[i].error);
        pair_stop(&pair);
    }
}

static void frames_that_cannot_be_read_are_encoding_errors(void **state)
{
    (void)state;
    static const struct bad_frame frames[] = {
        {"12.4 unknown type", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x20)},
        {"12.4 unknown type", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR, VALUES(0x21)},
        {"12.4 unknown long type", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(LARGEST)},
        {"19.3 first range below zero", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x02, 3, 0, 0, 4)},
        {"19.3.1 gap below zero", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR, VALUES(0x02, 3, 0, 1, 1, 1, 0)},
        {"19.3.1 range below zero", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR, VALUES(0x02, 5, 0, 1, 1, 0, 3)},
        {"19.6 past the largest offset", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x06, LARGEST, 1, 0)},
        {"19.7 empty token", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR, VALUES(0x07, 0)},
        {"19.8 past the largest offset", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x0e, 0, LARGEST, 1, 0)},
        {"19.11 too many streams", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x12, (UINT64_C(1) << 60) + 1)},
        {"19.11 too many streams", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR, VALUES(0x13, (UINT64_C(1) << 60) + 1)},
        {"19.14 too many streams", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x16, (UINT64_C(1) << 60) + 1)},
        {"19.14 too many streams", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR, VALUES(0x17, (UINT64_C(1) << 60) + 1)},
        {"19.15 empty CID", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x18, 9, 0, 0, TOKEN_16)},
        {"19.15 CID of 21 octets", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR,
         VALUES(0x18, 9, 0, 21, 1, 2, 3, 4, 5, TOKEN_16, TOKEN_16)},
        {"19.15 Retire Prior To above the sequence", TO_SERVER, ROAM_FRAME_ENCODING_ERROR,
         VALUES(0x18, 9, 10, CID_8, TOKEN_16)},
    };
    prepare();
    expect_all_in_one_rtt(frames, ARRAY_LENGTH(frames));
}

/* Each of them is whole; without its last octet it is not. */
static void truncated_frames_are_encoding_errors(void **state)
{
    (void)state;
    static const struct bad_frame frames[] = {
        {"ACK", TO_SERVER, 0, VALUES(0x02, 0, 0, 0, 0)},
        {"ACK with a range", TO_SERVER, 0, VALUES(0x02, 3, 0, 1, 0, 0, 0)},
        {"ACK_ECN", TO_CLIENT, 0, VALUES(0x03, 0, 0, 0, 0, 1, 1, 1)},
        {"RESET_STREAM", TO_SERVER, 0, VALUES(0x04, 0, 0, 0)},
        {"STOP_SENDING", TO_SERVER, 0, VALUES(0x05, 0, 0)},
        {"CRYPTO", TO_SERVER, 0, VALUES(0x06, 0, 2, 1, 1)},
        {"NEW_TOKEN", TO_CLIENT, 0, VALUES(0x07, 2, 1, 1)},
        {"STREAM", TO_SERVER, 0, VALUES(0x0e, 0, 0, 2, 1, 1)},
        {"MAX_DATA", TO_SERVER, 0, VALUES(0x10, 0)},
        {"MAX_STREAM_DATA", TO_SERVER, 0, VALUES(0x11, 0, 0)},
        {"MAX_STREAMS", TO_CLIENT, 0, VALUES(0x12, 0)},
        {"DATA_BLOCKED", TO_SERVER, 0, VALUES(0x14, 0)},
        {"STREAM_DATA_BLOCKED", TO_SERVER, 0, VALUES(0x15, 0, 0)},
        {"STREAMS_BLOCKED", TO_CLIENT, 0, VALUES(0x17, 0)},
        {"NEW_CONNECTION_ID", TO_SERVER, 0, VALUES(0x18, 9, 9, CID_8, TOKEN_16)},
        {"RETIRE_CONNECTION_ID", TO_SERVER, 0, VALUES(0x19, 0)},
        {"PATH_CHALLENGE", TO_SERVER, 0, VALUES(0x1a, 1, 2, 3, 4, 5, 6, 7, 8)},
        {"PATH_RESPONSE", TO_CLIENT, 0, VALUES(0x1b, 1, 2, 3, 4, 5, 6, 7, 8)},
        {"CONNECTION_CLOSE", TO_SERVER, 0, VALUES(0x1c, 0, 0, 2, 0, 0)},
        {"CONNECTION_CLOSE_APPLICATION", TO_CLIENT, 0, VALUES(0x1d, 0, 2, 0, 0)},
        {"DATAGRAM", TO_SERVER, 0, VALUES(0x31, 2, 1, 1)},
        {"ACK_FREQUENCY", TO_SERVER, 0, VALUES(0xaf, 0, 10, 5000, 1)},
    };
    prepare();
    for (size_t i = 0; i < ARRAY_LENGTH(frames); i++) {
        uint8_t payload[256];
        begin();
        inject(frames[i].to_server, PACKET_ONE_RTT, payload, encode(&frames[i], payload, sizeof(payload)) - 1);
        expect_error(frames[i].rule, frames[i].to_server, ROAM_FRAME_ENCODING_ERROR);
        pair_stop(&pair);
    }
}

static void frames_that_break_the_protocol_are_violations(void **state)
{
    //= rfc9000#10.3-2 Use CONNECTION_CLOSE, not reset, for fatal errors if state allows.
    (void)state;
    static const struct bad_frame frames[] = {
        {"12.4 no frame at all", TO_SERVER, ROAM_PROTOCOL_VIOLATION, .count = 0},
        {"12.4 no frame at all", TO_CLIENT, ROAM_PROTOCOL_VIOLATION, .count = 0},
        {"13.1 ACK of what was never sent", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x02, 1 << 20, 0, 0, 0)},
        {"13.1 ACK of what was never sent", TO_CLIENT, ROAM_PROTOCOL_VIOLATION, VALUES(0x02, LARGEST, 0, 0, 0)},
        {"19.7 NEW_TOKEN to a server", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x07, 1, 1)},
        {"19.15 one sequence, two CIDs", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x18, 1, 0, CID_8, TOKEN_16)},
        {"19.15 one CID, two sequences", TO_SERVER, ROAM_PROTOCOL_VIOLATION,
         VALUES(0x18, 8, 1, CID_8, TOKEN_16, 0x18, 9, 2, CID_8, TOKEN_16)},
        {"19.16 never issued", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x19, 1000)},
        {"19.16 never issued", TO_CLIENT, ROAM_PROTOCOL_VIOLATION, VALUES(0x19, LARGEST)},
        {"19.16 the packet's own CID", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x19, 0)},
        {"19.16 the packet's own CID", TO_CLIENT, ROAM_PROTOCOL_VIOLATION, VALUES(0x19, 0)},
        {"19.20 HANDSHAKE_DONE to a server", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x1e)},
        {"5.1.1 more CIDs than the limit", TO_SERVER, ROAM_CONNECTION_ID_LIMIT_ERROR,
         VALUES(0x18, 8, 0, CID_8, TOKEN_16)},
        {"5.1.1 more CIDs than the limit", TO_CLIENT, ROAM_CONNECTION_ID_LIMIT_ERROR,
         VALUES(0x18, 8, 0, CID_8, TOKEN_16)},
    };
    prepare();
    config.server.active_connection_id_limit = config.client.active_connection_id_limit = LOCAL_CIDS_FIRST;
    expect_all_in_one_rtt(frames, ARRAY_LENGTH(frames));
}

static void datagrams_are_of_those_who_asked_for_them(void **state)
{
    (void)state;
    //= rfc9221#3-4 A frame of an endpoint that was told that none are taken is PROTOCOL_VIOLATION.
    static const struct bad_frame frames[] = {
        {"9221 3 not asked for", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x31, 1, 7)},
        {"9221 3 not asked for", TO_CLIENT, ROAM_PROTOCOL_VIOLATION, VALUES(0x30, 7)},
        {"9221 3 not asked for, though it is empty", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x30)},
    };
    //= rfc9221#3-5 ... and so is one that is larger than it was told: type, length field and data together.
    static const struct bad_frame large[] = {
        {"9221 3 too large", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0x31, 3, 7, 7, 7)},
        {"9221 3 too large", TO_CLIENT, ROAM_PROTOCOL_VIOLATION, VALUES(0x30, 7, 7, 7, 7)},
    };
    static const struct bad_frame fit[] = {
        {"as large as may be", TO_SERVER, 0, VALUES(0x31, 2, 7, 7)},
        {"as large as may be", TO_CLIENT, 0, VALUES(0x30, 7, 7, 7)},
    };
    prepare();
    expect_all_in_one_rtt(frames, ARRAY_LENGTH(frames));
    config.server.max_datagram_frame_bytes = config.client.max_datagram_frame_bytes = 4;
    expect_all_in_one_rtt(large, ARRAY_LENGTH(large));
    for (size_t i = 0; i < ARRAY_LENGTH(fit); i++) {
        uint8_t payload[16];
        begin();
        inject(fit[i].to_server, PACKET_ONE_RTT, payload, encode(&fit[i], payload, sizeof(payload)));
        assert_int_equal(error_at(fit[i].to_server)->cause, ROAM_CLOSE_NONE);
        pair_stop(&pair);
    }
}

static void ack_frequency_is_of_those_who_asked_for_it(void **state)
{
    (void)state;
    /* 1 ms, the min_ack_delay, at least; and below 2^14 ms. */
    static const struct bad_frame frames[] = {
        {"ACK_FREQUENCY below min_ack_delay", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0xaf, 0, 10, 999, 1)},
        {"ACK_FREQUENCY below min_ack_delay", TO_CLIENT, ROAM_PROTOCOL_VIOLATION, VALUES(0xaf, 0, 10, 0, 1)},
        {"ACK_FREQUENCY of 2^14 ms", TO_SERVER, ROAM_PROTOCOL_VIOLATION, VALUES(0xaf, 0, 10, 16384000, 1)},
    };
    static const struct bad_frame unasked[] = {
        {"ACK_FREQUENCY not asked for", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0xaf, 0, 10, 5000, 1)},
        {"IMMEDIATE_ACK not asked for", TO_CLIENT, ROAM_FRAME_ENCODING_ERROR, VALUES(0x1f)},
    };
    prepare();
    expect_all_in_one_rtt(frames, ARRAY_LENGTH(frames));
    config.server.ack_frequency = config.client.ack_frequency = false;
    expect_all_in_one_rtt(unasked, ARRAY_LENGTH(unasked));
}

static void frames_about_streams_keep_to_the_rules(void **state)
{
    (void)state;
    /* Streams 0, 4, ... are the client's, 1, 5, ... the server's; 2 and 3 are their unidirectional ones. */
    static const struct bad_frame frames[] = {
        {"19.4 RESET_STREAM for a stream that only we send on", TO_SERVER, ROAM_STREAM_STATE_ERROR,
         VALUES(0x04, 3, 0, 0)},
        {"19.4 RESET_STREAM for a stream that we have not opened", TO_SERVER, ROAM_STREAM_STATE_ERROR,
         VALUES(0x04, 1, 0, 0)},
        {"19.5 STOP_SENDING for a stream that only we read", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x05, 2, 0)},
        {"19.5 STOP_SENDING for a stream that we have not opened", TO_CLIENT, ROAM_STREAM_STATE_ERROR,
         VALUES(0x05, 0, 0)},
        {"19.8 STREAM for a stream that only we send on", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x0a, 3, 1, 0)},
        {"19.8 STREAM for a stream that we have not opened", TO_CLIENT, ROAM_STREAM_STATE_ERROR, VALUES(0x0a, 0, 1, 0)},
        {"19.10 MAX_STREAM_DATA for a stream that only we read", TO_SERVER, ROAM_STREAM_STATE_ERROR,
         VALUES(0x11, 2, 9)},
        {"19.10 MAX_STREAM_DATA for a stream that we have not opened", TO_SERVER, ROAM_STREAM_STATE_ERROR,
         VALUES(0x11, 1, 9)},
        {"19.13 STREAM_DATA_BLOCKED for a stream that only we send on", TO_SERVER, ROAM_STREAM_STATE_ERROR,
         VALUES(0x15, 3, 9)},
        {"4.6 a stream too many", TO_SERVER, ROAM_STREAM_LIMIT_ERROR, VALUES(0x0a, 40, 1, 0)},
        {"4.6 a unidirectional stream too many", TO_SERVER, ROAM_STREAM_LIMIT_ERROR, VALUES(0x0a, 42, 1, 0)},
        {"4.6 a stream too many", TO_CLIENT, ROAM_STREAM_LIMIT_ERROR, VALUES(0x0a, 41, 1, 0)},
        {"4.6 RESET_STREAM for a stream too many", TO_SERVER, ROAM_STREAM_LIMIT_ERROR, VALUES(0x04, 40, 0, 0)},
        {"4.6 STOP_SENDING for a stream too many", TO_SERVER, ROAM_STREAM_LIMIT_ERROR, VALUES(0x05, 40, 0)},
        {"4.6 MAX_STREAM_DATA for a stream too many", TO_SERVER, ROAM_STREAM_LIMIT_ERROR, VALUES(0x11, 40, 0)},
        {"4.6 STREAM_DATA_BLOCKED for a stream too many", TO_SERVER, ROAM_STREAM_LIMIT_ERROR, VALUES(0x15, 40, 0)},
        {"4.1 an octet too many on a stream", TO_SERVER, ROAM_FLOW_CONTROL_ERROR, VALUES(0x0e, 0, 1000, 1, 0)},
        {"4.1 an octet too many on a stream", TO_CLIENT, ROAM_FLOW_CONTROL_ERROR, VALUES(0x0e, 3, 1000, 1, 0)},
        {"4.1 an octet too many on all streams", TO_SERVER, ROAM_FLOW_CONTROL_ERROR,
         VALUES(0x0e, 0, 999, 1, 0, 0x0e, 4, 500, 1, 0)},
        {"4.5 a final size too large", TO_SERVER, ROAM_FLOW_CONTROL_ERROR, VALUES(0x04, 0, 0, 1001)},
        {"4.5 final sizes too large together", TO_SERVER, ROAM_FLOW_CONTROL_ERROR,
         VALUES(0x04, 0, 0, 1000, 0x04, 4, 0, 501)},
        {"4.5 a final size below what came", TO_SERVER, ROAM_FINAL_SIZE_ERROR, VALUES(0x0e, 0, 9, 1, 0, 0x04, 0, 0, 9)},
        {"4.5 an end below what came", TO_SERVER, ROAM_FINAL_SIZE_ERROR, VALUES(0x0e, 0, 9, 1, 0, 0x0f, 0, 8, 1, 0)},
        {"4.5 another end", TO_SERVER, ROAM_FINAL_SIZE_ERROR, VALUES(0x0f, 0, 9, 1, 0, 0x0f, 0, 10, 1, 0)},
        {"4.5 octets after the end", TO_CLIENT, ROAM_FINAL_SIZE_ERROR, VALUES(0x0f, 1, 9, 1, 0, 0x0e, 1, 10, 1, 0)},
        {"4.5 another final size", TO_SERVER, ROAM_FINAL_SIZE_ERROR, VALUES(0x0f, 0, 9, 1, 0, 0x04, 0, 0, 11)},
    };
    prepare();
    expect_all_in_one_rtt(frames, ARRAY_LENGTH(frames));
}

static void what_is_at_the_limit_is_no_error(void **state)
{
    (void)state;
    static const struct bad_frame frames[] = {
        {"the last stream", TO_SERVER, 0, VALUES(0x0a, 36, 1, 0)},
        {"the last octet of a stream", TO_SERVER, 0, VALUES(0x0e, 0, 999, 1, 0)},
        {"the last octet of all streams", TO_SERVER, 0, VALUES(0x0e, 0, 999, 1, 0, 0x0e, 4, 499, 1, 0)},
        {"the same end again", TO_SERVER, 0, VALUES(0x0f, 0, 9, 1, 0, 0x0f, 0, 9, 1, 0)},
        {"the largest stream limits", TO_CLIENT, 0, VALUES(0x12, UINT64_C(1) << 60, 0x13, UINT64_C(1) << 60)},
        {"a response that nobody asked for", TO_SERVER, 0, VALUES(0x1b, 1, 2, 3, 4, 5, 6, 7, 8)},
        {"padding alone", TO_SERVER, 0, VALUES(0, 0, 0)},
    };
    prepare();
    for (size_t i = 0; i < ARRAY_LENGTH(frames); i++) {
        uint8_t payload[256];
        begin();
        inject(frames[i].to_server, PACKET_ONE_RTT, payload, encode(&frames[i], payload, sizeof(payload)));
        pair_run(&pair, ROAM_MILLISECONDS(100));
        if (error_at(true)->cause != ROAM_CLOSE_NONE || error_at(false)->cause != ROAM_CLOSE_NONE)
            fail_msg("%s: %s / %s", frames[i].rule, roam_error_name(error_at(true)->code),
                     roam_error_name(error_at(false)->code));
        pair_stop(&pair);
    }
}

static void a_frame_type_in_a_longer_form_is_a_violation(void **state)
{
    (void)state;
    prepare();
    begin();
    inject(TO_SERVER, PACKET_ONE_RTT, (const uint8_t[]){0x40, 0x01}, 2);
    expect_error("12.4", true, ROAM_PROTOCOL_VIOLATION);
    pair_stop(&pair);
}

static void connection_ids_of_zero_length_cannot_be_managed(void **state)
{
    (void)state;
    static const struct bad_frame given = {"19.15", TO_SERVER, 0, VALUES(0x18, 1, 0, CID_8, TOKEN_16)};
    static const struct bad_frame retired = {"19.16", TO_CLIENT, 0, VALUES(0x19, 0)};
    const struct bad_frame *const frames[] = {&given, &retired};
    for (size_t i = 0; i < ARRAY_LENGTH(frames); i++) {
        uint8_t payload[64];
        prepare();
        config.client_endpoint.cid_bytes = 0;
        begin();
        inject(frames[i]->to_server, PACKET_ONE_RTT, payload, encode(frames[i], payload, sizeof(payload)));
        expect_error(frames[i]->rule, frames[i]->to_server, ROAM_PROTOCOL_VIOLATION);
        pair_stop(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_cannot_be_read_are_encoding_errors),
        cmocka_unit_test(truncated_frames_are_encoding_errors),
        cmocka_unit_test(frames_that_break_the_protocol_are_violations),
        cmocka_unit_test(datagrams_are_of_those_who_asked_for_them),
        cmocka_unit_test(ack_frequency_is_of_those_who_asked_for_it),
        cmocka_unit_test(frames_about_streams_keep_to_the_rules),
        cmocka_unit_test(what_is_at_the_limit_is_no_error),
        cmocka_unit_test(a_frame_type_in_a_longer_form_is_a_violation),
        cmocka_unit_test(connection_ids_of_zero_length_cannot_be_managed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
