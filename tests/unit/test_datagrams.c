/* Tests of conn/datagrams: what may be sent, how it leaves, what becomes of it, and who takes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/datagrams.h"
#include "endpoint/endpoint.h"
#include "unit/pair.h"

static struct pair pair;
static struct pair_config config;

static void prepare(void)
{
    //= rfc9221#3-1 65535 takes any datagram that fits into a packet.
    memset(&config, 0, sizeof(config));
    pair_prepare(&config);
    config.client.max_datagram_frame_bytes = config.server.max_datagram_frame_bytes = 65535;
    config.client.datagram_fates = config.server.datagram_fates = true;
    config.client.ecn = config.server.ecn = false;
}

static void begin(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    pair_forget_events(&pair);
}

static roam_result send_one(size_t len, uint64_t tag)
{
    static uint8_t data[65536];
    memset(data, (int)(tag % 251), len);
    return roam_conn_send_datagram(pair.client.conn, pair.now, data, len, tag);
}

/* Takes the next one of the server's; asserts that its octets are those of send_one. */
static bool take_one(size_t *ret_len, uint8_t *ret_octet)
{
    const uint8_t *data;
    if (!roam_conn_next_datagram(pair.server.conn, &data, ret_len))
        return false;
    *ret_octet = *ret_len > 0 ? data[0] : 0;
    for (size_t i = 0; i < *ret_len; i++)
        assert_int_equal(data[i], *ret_octet);
    return true;
}

static size_t take_all(void)
{
    size_t count = 0, len;
    uint8_t octet;
    while (take_one(&len, &octet))
        count++;
    return count;
}

static roam_conn_stats stats_of(const struct pair_side *side)
{
    roam_conn_stats stats;
    roam_conn_get_stats(side->conn, &stats);
    return stats;
}

static void who_has_not_asked_for_them_is_sent_none(void **state)
{
    (void)state;
    //= rfc9221#3-2 None is sent before max_datagram_frame_size has come, with a value that is not zero.
    prepare();
    config.server.max_datagram_frame_bytes = 0;
    pair_start(&pair, &config);
    assert_int_equal(send_one(10, 1), ROAM_ERR_STATE);
    pair_handshake(&pair);
    assert_int_equal(roam_conn_datagram_bytes(pair.client.conn), 0);
    assert_int_equal(send_one(10, 1), ROAM_ERR_UNSUPPORTED);
    /* The other way they may go. */
    assert_int_equal(roam_conn_send_datagram(pair.server.conn, pair.now, "yes", 3, 1), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    const uint8_t *data;
    size_t len;
    assert_true(roam_conn_next_datagram(pair.client.conn, &data, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(data, "yes", 3);
    roam_conn_close(pair.client.conn, pair.now, 0, NULL);
    assert_int_equal(send_one(10, 1), ROAM_ERR_CLOSED);
    pair_stop(&pair);
}

static void a_datagram_arrives_whole_and_its_sender_hears_of_it(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 63, 64, 256, 257, 1000};
    prepare();
    begin();
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++)
        assert_int_equal(send_one(lengths[i], 100 + i), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    //= rfc9221#5-3 It is the application's at once.
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_DATAGRAM_READABLE), 1);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        size_t len;
        uint8_t octet;
        assert_true(take_one(&len, &octet));
        assert_int_equal(len, lengths[i]);
        assert_int_equal(octet, len > 0 ? 100 + i : 0);
    }
    assert_int_equal(take_all(), 0);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_ACKED), ARRAY_LENGTH(lengths));
    assert_int_equal(pair_find_event(&pair.client, ROAM_EVENT_DATAGRAM_ACKED)->tag, 100);
    roam_conn_stats sent = stats_of(&pair.client), received = stats_of(&pair.server);
    assert_int_equal(sent.datagrams_sent, ARRAY_LENGTH(lengths));
    assert_int_equal(sent.datagrams_acked, ARRAY_LENGTH(lengths));
    assert_int_equal(received.datagrams_received, ARRAY_LENGTH(lengths));
    assert_int_equal(sent.datagram_bytes_sent, received.datagram_bytes_received);
    /* Having found none, it is told again. */
    assert_int_equal(send_one(1, 1), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_DATAGRAM_READABLE), 2);
    pair_stop(&pair);
}

static void nothing_is_told_that_nobody_asked_for(void **state)
{
    (void)state;
    prepare();
    config.client.datagram_fates = false;
    begin();
    assert_int_equal(send_one(100, 1), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_ACKED), 0);
    assert_int_equal(stats_of(&pair.client).datagrams_acked, 1);
    pair_stop(&pair);
}

static void the_largest_that_is_said_to_fit_does(void **state)
{
    (void)state;
    prepare();
    begin();
    size_t largest = roam_conn_datagram_bytes(pair.client.conn);
    assert_true(largest > 1100 && largest < 1200);
    assert_int_equal(send_one(largest + 1, 1), ROAM_ERR_TOO_LARGE);
    /* The room that shorter packet numbers leave goes to a length field, or to PADDING in front. */
    for (uint64_t tag = 0; tag < 300; tag++) {
        size_t len, want = largest - tag % 4;
        uint8_t octet;
        assert_int_equal(send_one(want, tag), ROAM_OK);
        pair_run(&pair, ROAM_MILLISECONDS(50));
        assert_true(take_one(&len, &octet));
        assert_int_equal(len, want);
        assert_int_equal(octet, tag % 251);
    }
    assert_int_equal(stats_of(&pair.client).datagrams_outgrown, 0);
    pair_stop(&pair);
}

static void no_frame_is_larger_than_the_peer_takes(void **state)
{
    (void)state;
    //= rfc9221#3-3 No frame is larger than the peer's max_datagram_frame_size.
    for (uint64_t limit = 1; limit < 200; limit += limit < 8 ? 1 : 61) {
        prepare();
        config.server.max_datagram_frame_bytes = limit;
        begin();
        size_t largest = roam_conn_datagram_bytes(pair.client.conn);
        assert_true(largest < limit);
        assert_int_equal(send_one(largest + 1, 1), ROAM_ERR_TOO_LARGE);
        /* An empty frame has two octets where others may follow. */
        assert_int_equal(send_one(largest, 2), limit < 2 ? ROAM_ERR_TOO_LARGE : ROAM_OK);
        pair_run(&pair, ROAM_MILLISECONDS(100));
        assert_int_equal(stats_of(&pair.client).datagrams_acked, limit < 2 ? 0 : 1);
        assert_int_equal(roam_conn_error(pair.server.conn)->cause, ROAM_CLOSE_NONE);
        pair_stop(&pair);
    }
}

static void a_full_queue_says_when_it_has_room(void **state)
{
    (void)state;
    prepare();
    config.client.datagram_queue_bytes = 20000;
    begin();
    uint64_t taken = 0;
    roam_result result;
    while ((result = send_one(1000, taken)) == ROAM_OK)
        taken++;
    assert_int_equal(result, ROAM_ERR_LIMIT);
    assert_true(taken >= 19 && taken * 1000 <= 20000);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_WRITABLE), 1);
    assert_int_equal(take_all(), taken);
    assert_int_equal(send_one(1000, taken), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_WRITABLE), 1);
    pair_stop(&pair);
}

static void what_nobody_takes_is_dropped_and_counted(void **state)
{
    (void)state;
    //= rfc9221#5.3-1 What there is no room for is dropped.
    prepare();
    config.server.datagram_queue_bytes = 10000;
    begin();
    for (uint64_t tag = 0; tag < 40; tag++)
        assert_int_equal(send_one(500, tag), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    roam_conn_stats stats = stats_of(&pair.server);
    roam_endpoint_stats totals;
    roam_endpoint_get_stats(pair.server.endpoint, &totals);
    assert_int_equal(stats.datagrams_received, 40);
    assert_true(stats.datagrams_dropped > 0);
    assert_int_equal(totals.drops[ROAM_DROP_DATAGRAM_QUEUE_FULL], stats.datagrams_dropped);
    assert_int_equal(take_all(), 40 - stats.datagrams_dropped);
    /* They were acknowledged all the same, and streams are as before: no flow control is theirs. */
    assert_int_equal(stats_of(&pair.client).datagrams_acked, 40);
    //= rfc9221#5.3-2 Datagrams count for no limit of flow control.
    assert_true(pair_carries(&pair, "streams", ROAM_SECONDS(1)));
    pair_stop(&pair);
}

/* Drops what the client sends while `hook_context` is set. */
static bool drop_to_server(struct pair *p, bool to_server, roam_datagram *datagram)
{
    (void)datagram;
    return !to_server || p->hook_context == NULL;
}

static void what_is_lost_is_told_once_and_not_sent_again(void **state)
{
    (void)state;
    //= rfc9221#5.2-2 The application may be told that a datagram is lost.
    prepare();
    begin();
    pair.hook = drop_to_server;
    pair.hook_context = &pair;
    assert_int_equal(send_one(300, 7), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    pair.hook_context = NULL;
    for (uint64_t tag = 10; tag < 14; tag++) {
        assert_int_equal(send_one(1000, tag), ROAM_OK);
        pair_run(&pair, ROAM_MILLISECONDS(1));
    }
    pair_run(&pair, ROAM_SECONDS(2));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_LOST), 1);
    assert_int_equal(pair_find_event(&pair.client, ROAM_EVENT_DATAGRAM_LOST)->tag, 7);
    //= rfc9221#5.2-3 ... and that it was acknowledged.
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_ACKED), 4);
    //= rfc9221#5.2-5 DATAGRAM frames are not retransmitted.
    assert_int_equal(take_all(), 4);
    assert_int_equal(stats_of(&pair.client).datagrams_sent, 5);
    assert_int_equal(stats_of(&pair.client).datagrams_lost, 1);
    pair_stop(&pair);
}

static void a_lone_one_is_acknowledged_within_the_delay(void **state)
{
    (void)state;
    //= rfc9221#5.2-1 ACKs of packets with nothing but DATAGRAM frames are delayed, by max_ack_delay at most.
    prepare();
    begin();
    uint64_t before = pair.sent_to_client;
    //= rfc9221#5-1 It is sent as soon as it may be.
    assert_int_equal(send_one(300, 1), ROAM_OK);
    pair_run(&pair, 0);
    assert_int_equal(stats_of(&pair.client).datagrams_sent, 1);
    pair_run(&pair, pair.delay + ROAM_MILLISECONDS(20));
    assert_int_equal(pair.sent_to_client, before);
    pair_run(&pair, ROAM_MILLISECONDS(10));
    assert_true(pair.sent_to_client > before);
    pair_stop(&pair);
}

static void what_has_waited_too_long_is_not_sent(void **state)
{
    (void)state;
    //= rfc9221#5.4-2 The application may be told that one was not sent.
    prepare();
    config.client.datagram_lifetime = ROAM_MILLISECONDS(30);
    config.client.initial_window_packets = 2;
    begin();
    for (uint64_t tag = 0; tag < 100; tag++)
        assert_int_equal(send_one(1100, tag), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    roam_conn_stats stats = stats_of(&pair.client);
    assert_true(stats.datagrams_expired > 50 && stats.datagrams_sent > 0);
    assert_int_equal(stats.datagrams_sent + stats.datagrams_expired, 100);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_EXPIRED), stats.datagrams_expired);
    assert_int_equal(take_all(), stats.datagrams_sent);
    pair_stop(&pair);
}

static void congestion_control_holds_them_back(void **state)
{
    (void)state;
    //= rfc9221#5.4-1 A datagram is delayed, or dropped, until the congestion controller allows it.
    prepare();
    begin();
    for (uint64_t tag = 0; tag < 500; tag++)
        assert_int_equal(send_one(1000, tag), ROAM_OK);
    for (int i = 0; i < 400; i++) {
        roam_path_info path;
        pair_run(&pair, ROAM_MILLISECONDS(2));
        roam_conn_paths(pair.client.conn, &path, 1);
        assert_true(path.in_flight_bytes <= path.window_bytes);
    }
    assert_int_equal(take_all(), 500);
    assert_int_equal(stats_of(&pair.client).datagrams_acked, 500);
    pair_stop(&pair);
}

static void neither_datagrams_nor_streams_starve(void **state)
{
    (void)state;
    static uint8_t octets[1024 * 1024];
    prepare();
    begin();
    roam_stream *stream = roam_stream_open(pair.client.conn, true, NULL);
    assert_int_equal(roam_stream_write(stream, octets, sizeof(octets)), sizeof(octets));
    size_t largest = roam_conn_datagram_bytes(pair.client.conn);
    for (uint64_t tag = 0; tag < 400; tag++)
        assert_int_equal(send_one(largest, tag), ROAM_OK);
    for (int i = 0; i < 20; i++) {
        pair_run(&pair, ROAM_MILLISECONDS(10));
        roam_conn_stats stats = stats_of(&pair.client);
        int64_t more = (int64_t)stats.stream_bytes_sent - (int64_t)stats.datagram_bytes_sent;
        /* In turn, packet by packet. */
        assert_true(more > -3000 && more < 3000);
    }
    assert_true(stats_of(&pair.client).datagrams_sent > 20);
    pair_stop(&pair);
}

/* One transmit of the client's; false where it has nothing to send. */
static bool transmit(roam_datagram *ret, uint8_t *data, size_t capacity)
{
    *ret = (roam_datagram){.data = data, .capacity = capacity, .segment_bytes = 1};
    return roam_endpoint_transmit(pair.client.endpoint, pair.now, ret, 1) == 1;
}

static void datagrams_of_one_size_leave_in_runs(void **state)
{
    (void)state;
    static uint8_t data[65536];
    static const size_t lengths[] = {300, 700, 1100};
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        prepare();
        config.client.initial_window_packets = 64;
        config.client.ack_frequency = false; /* a frame of that would make the first datagram another size */
        begin();
        for (uint64_t tag = 0; tag < 20; tag++)
            assert_int_equal(send_one(lengths[i], tag), ROAM_OK);
        roam_datagram out;
        size_t runs = 0;
        while (transmit(&out, data, sizeof(data))) {
            runs += out.segment_bytes > 0;
            roam_datagram in = {.local = out.remote, .remote = out.local, .data = data, .len = out.len};
            in.segment_bytes = out.segment_bytes;
            roam_endpoint_receive(pair.server.endpoint, pair.now, &in, 1);
            memset(data, 0xee, out.len);
        }
        assert_int_equal(runs, 1);
        assert_int_equal(take_all(), 20);
        pair_stop(&pair);
    }
}

static void what_lies_in_lent_buffers_is_read_there_or_copied(void **state)
{
    (void)state;
    static uint8_t buffer[2048];
    prepare();
    begin();
    for (uint64_t tag = 1; tag <= 3; tag++)
        assert_int_equal(send_one(300, tag), ROAM_OK);
    roam_datagram out = {.data = buffer, .capacity = sizeof(buffer)}, in;
    assert_int_equal(roam_endpoint_transmit(pair.client.endpoint, pair.now, &out, 1), 1);
    in = (roam_datagram){.local = out.remote, .remote = out.local, .data = buffer, .len = out.len, .lent = true};
    roam_endpoint_receive(pair.server.endpoint, pair.now, &in, 1);
    const uint8_t *data;
    size_t len;
    uint8_t octet;
    assert_true(roam_conn_next_datagram(pair.server.conn, &data, &len));
    assert_true(data > buffer && data < buffer + sizeof(buffer));
    assert_int_equal(data[0], 1);
    roam_endpoint_reclaim(pair.server.endpoint);
    memset(buffer, 0xee, sizeof(buffer));
    endpoint_check(pair.server.endpoint);
    for (unsigned tag = 2; tag <= 3; tag++) {
        assert_true(take_one(&len, &octet));
        assert_int_equal(octet, tag);
    }
    assert_false(take_one(&len, &octet));
    pair_stop(&pair);
}

static void what_the_path_does_not_carry_any_more_is_not_sent(void **state)
{
    (void)state;
    prepare();
    config.client.initial_window_packets = 2;
    config.client.datagram_bytes = 1400;
    config.client.pmtud = true;
    begin();
    size_t largest = roam_conn_datagram_bytes(pair.client.conn);
    assert_true(largest > 1300);
    for (uint64_t tag = 0; tag < 10; tag++)
        assert_int_equal(send_one(largest, tag), ROAM_OK);
    assert_int_equal(send_one(1000, 10), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    uint64_t sent = stats_of(&pair.client).datagrams_sent;
    assert_true(sent > 0 && sent < 10);
    /* The host itself refuses those of 1,400. */
    roam_endpoint_send_failed(pair.client.endpoint, pair.now, &pair.client_address, &pair.server_address,
                              ROAM_SEND_TOO_LARGE, 1400);
    assert_true(roam_conn_datagram_bytes(pair.client.conn) < largest);
    pair_run(&pair, ROAM_SECONDS(2));
    roam_conn_stats stats = stats_of(&pair.client);
    assert_int_equal(stats.datagrams_outgrown, 10 - sent);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_DATAGRAM_OUTGROWN), 10 - sent);
    assert_int_equal(pair_find_event(&pair.client, ROAM_EVENT_DATAGRAM_OUTGROWN)->tag, sent);
    assert_int_equal(stats.datagrams_sent, sent + 1);
    assert_int_equal(stats.datagrams_acked + stats.datagrams_lost, stats.datagrams_sent);
    pair_stop(&pair);
}

static void they_can_be_taken_after_the_end(void **state)
{
    (void)state;
    prepare();
    begin();
    assert_int_equal(send_one(300, 5), ROAM_OK);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    roam_conn_close(pair.client.conn, pair.now, 0, NULL);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_CLOSED), 1);
    assert_int_equal(take_all(), 1);
    pair_stop(&pair);
}

static void an_idle_connection_gives_their_memory_back(void **state)
{
    (void)state;
    prepare();
    begin();
    assert_null(pair.client.conn->datagrams);
    for (uint64_t tag = 0; tag < 100; tag++)
        assert_int_equal(send_one(1000, tag), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_non_null(pair.client.conn->datagrams->out.spare);
    assert_int_equal(take_all(), 100);
    pair_run(&pair, ROAM_SECONDS(5));
    assert_null(pair.client.conn->datagrams->out.spare);
    assert_null(pair.client.conn->datagrams->out.first);
    assert_null(pair.server.conn->datagrams->in.spare);
    assert_null(pair.server.conn->datagrams->in.first);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_not_asked_for_them_is_sent_none),
        cmocka_unit_test(a_datagram_arrives_whole_and_its_sender_hears_of_it),
        cmocka_unit_test(nothing_is_told_that_nobody_asked_for),
        cmocka_unit_test(the_largest_that_is_said_to_fit_does),
        cmocka_unit_test(no_frame_is_larger_than_the_peer_takes),
        cmocka_unit_test(a_full_queue_says_when_it_has_room),
        cmocka_unit_test(what_nobody_takes_is_dropped_and_counted),
        cmocka_unit_test(what_is_lost_is_told_once_and_not_sent_again),
        cmocka_unit_test(a_lone_one_is_acknowledged_within_the_delay),
        cmocka_unit_test(what_has_waited_too_long_is_not_sent),
        cmocka_unit_test(congestion_control_holds_them_back),
        cmocka_unit_test(neither_datagrams_nor_streams_starve),
        cmocka_unit_test(datagrams_of_one_size_leave_in_runs),
        cmocka_unit_test(what_lies_in_lent_buffers_is_read_there_or_copied),
        cmocka_unit_test(what_the_path_does_not_carry_any_more_is_not_sent),
        cmocka_unit_test(they_can_be_taken_after_the_end),
        cmocka_unit_test(an_idle_connection_gives_their_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
