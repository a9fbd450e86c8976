/*
 * Frames that no honest peer sends, sealed with real keys: each must end the connection with the error that RFC 9000 names, at the side
 * that got it; and the other side must hear of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/varint.h"
#include "pair.h"
#include "sealed.h"

#define TO_SERVER true
#define TO_CLIENT false

/* A frame as a row of varints. What is below 0x40 is one octet, so that CIDs and the like can stand there too. */
struct bad_frame {
    const char *rule;
    bool to_server;
    uint64_t error;
    uint64_t values[64];
    size_t count;
};
#define VALUES(...)                                                                                                    \
    .values = {__VA_ARGS__}, .count = sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)

#define CID_8 8, 1, 2, 3, 4, 5, 6, 7, 8
#define TOKEN_16 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#define LARGEST VARINT_MAX

static struct pair pair;
static struct pair_config config;

static size_t encode(const struct bad_frame *frame, uint8_t *ret, size_t capacity)
{
    struct writer writer = writer_init(ret, capacity);
    for (size_t i = 0; i < frame->count; i++)
        write_varint(&writer, frame->values[i]);
    assert_false(writer.failed);
    return writer_len(&writer);
}

static void inject(bool to_server, enum packet_type type, const uint8_t *payload, size_t len)
{
    uint8_t packet[DATAGRAM_BYTES_MIN + SEALED_OVERHEAD_MAX] = {0};
    struct sealing sealing = {.from = to_server ? pair.client.conn : pair.server.conn, .type = type, .payload = payload,
                              .payload_len = len};
    assert_true(can_seal(sealing.from, type));
    size_t sealed = seal_by_hand(&sealing, packet);
    if (type == PACKET_INITIAL && sealed < DATAGRAM_BYTES_MIN)
        sealed = DATAGRAM_BYTES_MIN;
    pair_deliver(&pair, to_server, NULL, packet, sealed);
}

static const roam_error *error_at(bool server)
{
    return roam_conn_error(server ? pair.server.conn : pair.client.conn);
}

static void expect_error(const char *rule, bool at_server, uint64_t code)
{
    const roam_error *error = error_at(at_server);
    if (error->cause != ROAM_CLOSE_LOCAL_TRANSPORT || error->code != code)
        fail_msg("%s: %s, %s instead of %s", rule, roam_close_cause_name(error->cause), roam_error_name(error->code),
                 roam_error_name(code));
}

static void expect_told(const char *rule, bool told_server, uint64_t code)
{
    const roam_error *error = error_at(told_server);
    if (error->cause != ROAM_CLOSE_PEER_TRANSPORT || error->code != code)
        fail_msg("%s: the other side was not told, but has %s, %s", rule, roam_close_cause_name(error->cause),
                 roam_error_name(error->code));
}

static void begin(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(200));
}

static void prepare(void)
{
    pair_prepare(&config);
    config.server.initial_max_streams_bidi = config.client.initial_max_streams_bidi = 10;
    config.server.initial_max_streams_uni = config.client.initial_max_streams_uni = 10;
    config.server.initial_max_stream_data = config.client.initial_max_stream_data = 1000;
    config.server.initial_max_data = config.client.initial_max_data = 1500;
}

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
        {"12.4 unknown type", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x1f)},
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
        {"19.15 Retire Prior To above the sequence", TO_SERVER, ROAM_FRAME_ENCODING_ERROR, VALUES(0x18, 9, 10, CID_8, TOKEN_16)},
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
        {"5.1.1 more CIDs than the limit", TO_SERVER, ROAM_CONNECTION_ID_LIMIT_ERROR, VALUES(0x18, 8, 0, CID_8, TOKEN_16)},
        {"5.1.1 more CIDs than the limit", TO_CLIENT, ROAM_CONNECTION_ID_LIMIT_ERROR, VALUES(0x18, 8, 0, CID_8, TOKEN_16)},
    };
    prepare();
    expect_all_in_one_rtt(frames, ARRAY_LENGTH(frames));
}

static void frames_about_streams_keep_to_the_rules(void **state)
{
    (void)state;
    /* Streams 0, 4, ... are the client's, 1, 5, ... the server's; 2 and 3 are their unidirectional ones. */
    static const struct bad_frame frames[] = {
        {"19.4 RESET_STREAM for a stream that only we send on", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x04, 3, 0, 0)},
        {"19.4 RESET_STREAM for a stream that we have not opened", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x04, 1, 0, 0)},
        {"19.5 STOP_SENDING for a stream that only we read", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x05, 2, 0)},
        {"19.5 STOP_SENDING for a stream that we have not opened", TO_CLIENT, ROAM_STREAM_STATE_ERROR, VALUES(0x05, 0, 0)},
        {"19.8 STREAM for a stream that only we send on", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x0a, 3, 1, 0)},
        {"19.8 STREAM for a stream that we have not opened", TO_CLIENT, ROAM_STREAM_STATE_ERROR, VALUES(0x0a, 0, 1, 0)},
        {"19.10 MAX_STREAM_DATA for a stream that only we read", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x11, 2, 9)},
        {"19.10 MAX_STREAM_DATA for a stream that we have not opened", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x11, 1, 9)},
        {"19.13 STREAM_DATA_BLOCKED for a stream that only we send on", TO_SERVER, ROAM_STREAM_STATE_ERROR, VALUES(0x15, 3, 9)},
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
        {"4.5 final sizes too large together", TO_SERVER, ROAM_FLOW_CONTROL_ERROR, VALUES(0x04, 0, 0, 1000, 0x04, 4, 0, 501)},
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
            fail_msg("%s: %s / %s", frames[i].rule, roam_error_name(error_at(true)->code), roam_error_name(error_at(false)->code));
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
    struct sealing sealing = {.from = to_server ? pair.client.conn : pair.server.conn, .type = type, .payload = ping,
                              .payload_len = sizeof(ping), .first_octet = first_octet};
    size_t sealed = seal_by_hand(&sealing, packet);
    pair_deliver(&pair, to_server, NULL, packet, type == PACKET_INITIAL ? DATAGRAM_BYTES_MIN : sealed);
}

static void reserved_bits_must_be_zero(void **state)
{
    (void)state;
    static const struct {
        enum packet_type type;
        uint8_t bit;
    } cases[] = {{PACKET_INITIAL, 0x04}, {PACKET_INITIAL, 0x08},  {PACKET_HANDSHAKE, 0x04},
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
        struct sealing sealing = {.from = pair.client.conn, .type = PACKET_ONE_RTT, .payload = ping, .payload_len = sizeof(ping)};
        size_t sealed = seal_by_hand(&sealing, packet);
        pair_deliver(&pair, TO_SERVER, NULL, packet, sealed);
    }
    expect_error("rfc9001 6.2", true, ROAM_KEY_UPDATE_ERROR);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_cannot_be_read_are_encoding_errors),
        cmocka_unit_test(truncated_frames_are_encoding_errors),
        cmocka_unit_test(frames_that_break_the_protocol_are_violations),
        cmocka_unit_test(frames_about_streams_keep_to_the_rules),
        cmocka_unit_test(what_is_at_the_limit_is_no_error),
        cmocka_unit_test(a_frame_type_in_a_longer_form_is_a_violation),
        cmocka_unit_test(connection_ids_of_zero_length_cannot_be_managed),
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
