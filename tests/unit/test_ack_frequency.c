/* draft-ietf-quic-ack-frequency between two connections: what is asked, what is done, and what it brings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/ack_frequency.h"
#include "endpoint/endpoint.h"
#include "pair.h"
#include "sealed.h"

#define BULK_BYTES (8 * 1024 * 1024)

static struct pair pair;
static struct pair_config config;

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.server.initial_max_data = config.server.initial_max_stream_data = 2 * BULK_BYTES;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

#define FAR  ROAM_MILLISECONDS(20)
#define NEAR ROAM_MICROSECONDS(100)

static void begin(roam_time one_way)
{
    pair_start(&pair, &config);
    pair.delay = one_way;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
}

static void give_frame(uint64_t sequence, uint64_t threshold, uint64_t max_delay_us, uint64_t reordering)
{
    uint8_t payload[64], packet[128];
    struct writer writer = writer_init(payload, sizeof(payload));
    frame_write_ack_frequency(&writer, sequence, threshold, max_delay_us, reordering);
    struct sealing sealing = {
        .from = pair.client.conn, .type = PACKET_ONE_RTT, .payload = payload, .payload_len = writer_len(&writer)};
    pair_deliver(&pair, true, NULL, packet, seal_by_hand(&sealing, packet));
}

static void the_peers_newest_wish_counts(void **state)
{
    (void)state;
    begin(FAR);
    assert_null(pair.server.conn->ack_frequency);
    give_frame(3, 9, 5000, 4);
    const struct ack_frequency *frequency = pair.server.conn->ack_frequency;
    assert_non_null(frequency);
    assert_int_equal(frequency->policy.eliciting, 10);
    assert_int_equal(frequency->policy.delay, ROAM_MILLISECONDS(5));
    assert_int_equal(frequency->policy.reordering, 4);
    give_frame(2, 1, 1000, 1);
    give_frame(3, 1, 1000, 1);
    assert_int_equal(frequency->policy.eliciting, 10);
    give_frame(4, VARINT_MAX, 1000, VARINT_MAX);
    assert_int_equal(frequency->policy.eliciting, UINT32_MAX);
    assert_int_equal(frequency->policy.reordering, UINT32_MAX);
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_ESTABLISHED);
}

/* Of an upload: how long it took, and how many packets the receiver sent. */
struct outcome {
    roam_time span;
    uint64_t packets;
};

static struct outcome upload(enum roam_congestion congestion, roam_time one_way, bool asks)
{
    static const uint8_t octets[65536];
    pair_prepare(&config);
    config.server.initial_max_data = config.server.initial_max_stream_data = 2 * BULK_BYTES;
    config.client.congestion = congestion;
    config.client.ack_frequency = asks;
    begin(one_way);
    roam_stream *stream = roam_stream_open(pair.client.conn, false, NULL);
    roam_conn_stats stats;
    roam_conn_get_stats(pair.server.conn, &stats);
    struct outcome ret = {.span = pair.now, .packets = stats.packets_sent};
    size_t written = 0;
    while (stats.stream_bytes_received < BULK_BYTES) {
        size_t left = BULK_BYTES - written;
        written += roam_stream_write(stream, octets, left < sizeof(octets) ? left : sizeof(octets));
        pair_run(&pair, ROAM_MILLISECONDS(1));
        roam_conn_get_stats(pair.server.conn, &stats);
        assert_true(pair.now < ret.span + ROAM_SECONDS(60));
    }
    ret.span = pair.now - ret.span;
    ret.packets = stats.packets_sent - ret.packets;
    const struct ack_frequency *frequency = pair.server.conn->ack_frequency;
    assert_int_equal(frequency != NULL && frequency->policy.eliciting > 2, asks && congestion != ROAM_CONGESTION_BBR);
    if (asks && congestion != ROAM_CONGESTION_BBR)
        assert_in_range(frequency->policy.delay, ROAM_MILLISECONDS(1), ROAM_MILLISECONDS(25));
    pair_stop(&pair);
    return ret;
}

static void a_bulk_sender_gets_fewer_acks_and_is_no_slower(void **state)
{
    (void)state;
    static const enum roam_congestion controllers[] = {ROAM_CONGESTION_CUBIC, ROAM_CONGESTION_NEWRENO,
                                                       ROAM_CONGESTION_BBR};
    for (size_t i = 0; i < 3; i++) {
        struct outcome without = upload(controllers[i], FAR, false), with = upload(controllers[i], FAR, true);
        print_message("controller %d: %llu packets in %llu ms, asked %llu in %llu ms\n", (int)controllers[i],
                      (unsigned long long)without.packets, (unsigned long long)(without.span / 1000000),
                      (unsigned long long)with.packets, (unsigned long long)(with.span / 1000000));
        assert_true(with.span <= without.span + without.span / 20);
        if (controllers[i] != ROAM_CONGESTION_BBR)
            assert_true(with.packets < without.packets / 2);
    }
}

/* Where ACKs cannot be as punctual as a part of the round trip. */
static void a_short_path_has_fewer_acks_too_and_is_no_slower(void **state)
{
    (void)state;
    struct outcome without = upload(ROAM_CONGESTION_CUBIC, NEAR, false),
                   with = upload(ROAM_CONGESTION_CUBIC, NEAR, true);
    print_message("%llu packets in %llu ms, asked %llu in %llu ms\n", (unsigned long long)without.packets,
                  (unsigned long long)(without.span / 1000000), (unsigned long long)with.packets,
                  (unsigned long long)(with.span / 1000000));
    assert_true(with.span <= without.span + without.span / 20);
    assert_true(with.packets < without.packets / 2);
}

/* How long it takes until nothing of the client's is outstanding. */
static roam_time answered_after(void)
{
    roam_time from = pair.now;
    conn_ping_of_size(pair.client.conn, pair.now, 1200);
    do
        pair_run(&pair, ROAM_MILLISECONDS(1));
    while (pair.client.conn->application.sent.ack_eliciting > 0);
    return pair.now - from;
}

static void a_question_is_answered_at_once_where_the_peer_takes_the_frame(void **state)
{
    begin(FAR);
    assert_in_range(answered_after(), ROAM_MILLISECONDS(40), ROAM_MILLISECONDS(42));
    tear_down(state);
    set_up(state);
    config.server.ack_frequency = false;
    begin(FAR);
    assert_in_range(answered_after(), ROAM_MILLISECONDS(65), ROAM_MILLISECONDS(67));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_peers_newest_wish_counts, set_up, tear_down),
        cmocka_unit_test(a_bulk_sender_gets_fewer_acks_and_is_no_slower),
        cmocka_unit_test(a_short_path_has_fewer_acks_too_and_is_no_slower),
        cmocka_unit_test_setup_teardown(a_question_is_answered_at_once_where_the_peer_takes_the_frame, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
