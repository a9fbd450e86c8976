/* Tests of conn/send_run: several datagrams in one, what they hold, and what ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/pair.h"

/* What stands in one datagram for segmentation offload. */
struct batch {
    uint8_t data[65536];
    roam_datagram datagram;
};

/* One transmit of the client's into so much room; false where it has nothing to send. */
static bool transmit(struct pair *pair, struct batch *batch, size_t capacity, bool segmented)
{
    batch->datagram = (roam_datagram){.data = batch->data, .capacity = capacity, .segment_bytes = segmented};
    return roam_endpoint_transmit(pair->client.endpoint, pair->now, &batch->datagram, 1) == 1;
}

/* Hands all of it to the server, as the kernel does where it has put it together. */
static void deliver(struct pair *pair, struct batch *batch)
{
    roam_datagram in = batch->datagram;
    in.local = batch->datagram.remote;
    in.remote = batch->datagram.local;
    roam_endpoint_receive(pair->server.endpoint, pair->now, &in, 1);
}

static void start(struct pair *pair, struct pair_config *config)
{
    pair_prepare(config);
    config->client.pmtud = config->server.pmtud = false;
    config->client.ecn = false; /* packets that test the path's ECN are single ones */
    config->client.initial_window_packets = 64;
    pair_start(pair, config);
    pair_connect(pair, config);
    pair_handshake(pair);
    pair_run(pair, ROAM_SECONDS(1));
    pair->client.stream = roam_stream_open(pair->client.conn, true, NULL);
    assert_non_null(pair->client.stream);
}

static void write_octets(struct pair *pair, size_t len)
{
    static uint8_t octets[200000];
    for (size_t i = 0; i < len; i++)
        octets[i] = (uint8_t)(i % 251);
    assert_int_equal(roam_stream_write(pair->client.stream, octets, len), len);
}

static void full_datagrams_of_stream_data_stand_behind_each_other(void **state)
{
    (void)state;
    static struct pair pair;
    static struct batch batch;
    struct pair_config config = {0};
    start(&pair, &config);
    write_octets(&pair, 10000);
    assert_int_equal(roam_stream_finish(pair.client.stream), ROAM_OK);
    roam_endpoint_stats before, after;
    roam_endpoint_get_stats(pair.client.endpoint, &before);
    assert_true(transmit(&pair, &batch, sizeof(batch.data), true));
    roam_endpoint_get_stats(pair.client.endpoint, &after);
    assert_int_equal(batch.datagram.segment_bytes, 1200);
    size_t segments = (batch.datagram.len + 1199) / 1200;
    assert_int_equal(segments, 9);
    assert_true(batch.datagram.len % 1200 != 0);
    assert_int_equal(after.datagrams_sent - before.datagrams_sent, segments);
    assert_int_equal(after.bytes_sent - before.bytes_sent, batch.datagram.len);
    assert_false(transmit(&pair, &batch, sizeof(batch.data), true));
    pair_stop(&pair);
}

static void what_came_in_one_is_read_as_if_it_had_come_one_by_one(void **state)
{
    (void)state;
    static struct pair pair;
    static struct batch batch;
    struct pair_config config = {0};
    start(&pair, &config);
    write_octets(&pair, 20000);
    assert_int_equal(roam_stream_finish(pair.client.stream), ROAM_OK);
    while (transmit(&pair, &batch, sizeof(batch.data), true)) {
        deliver(&pair, &batch);
        /* Nothing of it was lent, so that it may become something else at once. */
        memset(batch.data, 0xee, batch.datagram.len);
    }
    roam_conn_stats stats;
    pair_run(&pair, ROAM_MILLISECONDS(100));
    roam_conn_get_stats(pair.server.conn, &stats);
    assert_int_equal(stats.stream_bytes_received, 20000);
    uint8_t data[20001];
    bool end;
    assert_int_equal(roam_stream_read(pair.server.stream, data, sizeof(data), &end), 20000);
    assert_true(end);
    for (size_t i = 0; i < 20000; i++)
        assert_int_equal(data[i], i % 251);
    pair_stop(&pair);
}

static void who_asks_for_single_datagrams_gets_them(void **state)
{
    (void)state;
    static struct pair pair;
    static struct batch batch;
    struct pair_config config = {0};
    start(&pair, &config);
    write_octets(&pair, 5000);
    assert_true(transmit(&pair, &batch, sizeof(batch.data), false));
    assert_int_equal(batch.datagram.len, 1200);
    assert_int_equal(batch.datagram.segment_bytes, 0);
    pair_stop(&pair);
}

static void a_run_ends_with_the_room_and_with_the_window(void **state)
{
    (void)state;
    static struct pair pair;
    static struct batch batch;
    struct pair_config config = {0};
    start(&pair, &config);
    write_octets(&pair, 190000);
    assert_true(transmit(&pair, &batch, 5000, true));
    assert_int_equal(batch.datagram.len, 4 * 1200);
    size_t sent = batch.datagram.len;
    while (transmit(&pair, &batch, sizeof(batch.data), true)) {
        assert_true(batch.datagram.len <= 65507);
        sent += batch.datagram.len;
    }
    roam_path_info path;
    assert_int_equal(roam_conn_paths(pair.client.conn, &path, 1), 1);
    assert_true(sent <= path.window_bytes && path.in_flight_bytes <= path.window_bytes);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_datagrams_of_stream_data_stand_behind_each_other),
        cmocka_unit_test(what_came_in_one_is_read_as_if_it_had_come_one_by_one),
        cmocka_unit_test(who_asks_for_single_datagrams_gets_them),
        cmocka_unit_test(a_run_ends_with_the_room_and_with_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
