/* Frames written down as numbers, and a pair of endpoints to give them to: what the tests of bad frames and of bad
 * packets share. */
#ifndef TESTS_UNIT_BAD_FRAME_H
#define TESTS_UNIT_BAD_FRAME_H

#include <string.h>

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
#define VALUES(...) .values = {__VA_ARGS__}, .count = sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)

#define CID_8    8, 1, 2, 3, 4, 5, 6, 7, 8
#define TOKEN_16 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#define LARGEST  VARINT_MAX

static struct pair pair;
static struct pair_config config;

static inline size_t encode(const struct bad_frame *frame, uint8_t *ret, size_t capacity)
{
    struct writer writer = writer_init(ret, capacity);
    for (size_t i = 0; i < frame->count; i++)
        write_varint(&writer, frame->values[i]);
    assert_false(writer.failed);
    return writer_len(&writer);
}

static inline void inject(bool to_server, enum packet_type type, const uint8_t *payload, size_t len)
{
    uint8_t packet[DATAGRAM_BYTES_MIN + SEALED_OVERHEAD_MAX] = {0};
    struct sealing sealing = {
        .from = to_server ? pair.client.conn : pair.server.conn, .type = type, .payload = payload, .payload_len = len};
    assert_true(can_seal(sealing.from, type));
    size_t sealed = seal_by_hand(&sealing, packet);
    if (type == PACKET_INITIAL && sealed < DATAGRAM_BYTES_MIN)
        sealed = DATAGRAM_BYTES_MIN;
    pair_deliver(&pair, to_server, NULL, packet, sealed);
}

static inline const roam_error *error_at(bool server)
{
    return roam_conn_error(server ? pair.server.conn : pair.client.conn);
}

static inline void expect_error(const char *rule, bool at_server, uint64_t code)
{
    const roam_error *error = error_at(at_server);
    if (error->cause != ROAM_CLOSE_LOCAL_TRANSPORT || error->code != code)
        fail_msg("%s: %s, %s instead of %s", rule, roam_close_cause_name(error->cause), roam_error_name(error->code),
                 roam_error_name(code));
}

static inline void expect_told(const char *rule, bool told_server, uint64_t code)
{
    const roam_error *error = error_at(told_server);
    if (error->cause != ROAM_CLOSE_PEER_TRANSPORT || error->code != code)
        fail_msg("%s: the other side was not told, but has %s, %s", rule, roam_close_cause_name(error->cause),
                 roam_error_name(error->code));
}

static inline void begin(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(200));
}

static inline void prepare(void)
{
    pair_prepare(&config);
    config.server.initial_max_streams_bidi = config.client.initial_max_streams_bidi = 10;
    config.server.initial_max_streams_uni = config.client.initial_max_streams_uni = 10;
    config.server.initial_max_stream_data = config.client.initial_max_stream_data = 1000;
    config.server.initial_max_data = config.client.initial_max_data = 1500;
}

#endif
