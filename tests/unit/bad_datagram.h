/* A pair of endpoints, what went between them, and which counter a datagram moved: what the tests of bad datagrams
 * share. */
#ifndef TESTS_UNIT_BAD_DATAGRAM_H
#define TESTS_UNIT_BAD_DATAGRAM_H

#include <string.h>

#include "endpoint/endpoint.h"
#include "kept.h"
#include "pair.h"
#include "sealed.h"

#define TO_SERVER true
#define TO_CLIENT false

static struct pair pair;
static struct pair_config config;

static inline bool keep_and_lose(struct pair *of, bool to_server, roam_datagram *datagram)
{
    keep_copies(of, to_server, datagram);
    return false;
}

static inline int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.client.grease = config.server.grease = false; /* so that genuine packets have the fixed bit */
    kept_count = 0;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static inline void begin(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
}

/* ---- What a datagram did */

static inline roam_endpoint_stats stats_of(bool of_server)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(of_server ? pair.server.endpoint : pair.client.endpoint, &stats);
    return stats;
}

static inline void expect_drops(const roam_endpoint_stats *before, bool to_server, roam_drop reason, uint64_t times)
{
    roam_endpoint_stats after = stats_of(to_server);
    for (int i = 0; i < ROAM_DROPS; i++) {
        uint64_t expected = i == (int)reason ? times : 0, got = after.drops[i] - before->drops[i];
        if (got != expected)
            fail_msg("%s: %lu instead of %lu (%s was expected)", roam_drop_name((roam_drop)i), (unsigned long)got,
                     (unsigned long)expected, roam_drop_name(reason));
    }
    assert_int_equal(after.connections_closed, before->connections_closed);
    assert_int_equal(after.connections_accepted, before->connections_accepted);
}

static inline void expect_drop_from(bool to_server, const roam_address *remote, const uint8_t *data, size_t len,
                                    roam_drop reason)
{
    roam_endpoint_stats before = stats_of(to_server);
    pair_deliver(&pair, to_server, remote, data, len);
    expect_drops(&before, to_server, reason, 1);
}

static inline void expect_drop(bool to_server, const uint8_t *data, size_t len, roam_drop reason)
{
    expect_drop_from(to_server, NULL, data, len, reason);
}

/* The connection went through all that and still works. */
static inline void expect_to_live(void)
{
    char buf[8] = "";
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_non_null(pair.client.stream);
    assert_int_equal(roam_stream_write(pair.client.stream, "alive", 5), 5);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(roam_stream_read(pair.server.stream, buf, sizeof(buf), NULL), 5);
    assert_string_equal(buf, "alive");
}

static inline size_t seal_ping(roam_conn *from, enum packet_type type, uint8_t *ret)
{
    static const uint8_t ping[32] = {0x01};
    struct sealing sealing = {.from = from, .type = type, .payload = ping, .payload_len = sizeof(ping)};
    return seal_by_hand(&sealing, ret);
}

/* A long header of any version and CIDs, in a datagram of `len` octets; returns where the header ends. */
static inline size_t long_header(uint8_t *ret, size_t len, uint8_t first_octet, uint32_t version, size_t dcid_len,
                                 size_t scid_len)
{
    struct writer writer = writer_init(ret, len);
    memset(ret, 0, len);
    write_u8(&writer, first_octet);
    write_u32(&writer, version);
    write_u8(&writer, (uint8_t)dcid_len);
    for (size_t i = 0; i < dcid_len; i++)
        write_u8(&writer, (uint8_t)(0xd0 + i));
    write_u8(&writer, (uint8_t)scid_len);
    for (size_t i = 0; i < scid_len; i++)
        write_u8(&writer, (uint8_t)(0x50 + i));
    assert_false(writer.failed);
    return writer_len(&writer);
}

/* An Initial with rubbish behind its header. */
static inline size_t rubbish_initial(uint8_t *ret, size_t len, size_t dcid_len)
{
    size_t at = long_header(ret, len, 0xc3, QUIC_VERSION_1, dcid_len, 8);
    ret[at] = 0;
    packet_length_write(ret + at + 1, len - at - 3);
    return len;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
