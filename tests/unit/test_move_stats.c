/* What a move has cost, as roam_conn_path_stats tells it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;

static bool cut; /* nothing arrives at the server any more */

/* The NAT's outside: packets to the server come from there, and what does not go there is lost. */
static roam_address outside;

static bool translate(struct pair *p, bool to_server, roam_datagram *datagram)
{
    if (to_server && cut)
        return false;
    if (to_server)
        datagram->remote = outside;
    else if (!roam_address_equal(&datagram->local, &outside))
        return false;
    else
        datagram->local = p->client_address;
    return true;
}

static void nat_moves_to(const char *address)
{
    assert_true(roam_address_parse(&outside, address));
}

static int set_up(void **state)
{
    (void)state;
    cut = false;
    pair_prepare(&config);
    nat_moves_to("198.51.100.1:40000");
    pair_start(&pair, &config);
    pair.hook = translate;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static roam_path_stats latest(const roam_conn *conn)
{
    roam_path_stats stats[ROAM_MOVES_KEPT] = {{0}};
    roam_conn_path_stats(conn, stats, ROAM_MOVES_KEPT);
    return stats[0];
}

static void nothing_is_told_before_the_first_move(void **state)
{
    (void)state;
    roam_conn_info row;
    roam_conn_get_info(pair.server.conn, &row);
    assert_int_equal(row.latest.moved_at, 0);
    assert_int_equal(roam_conn_path_stats(pair.server.conn, &row.latest, 1), 0);
}

static void a_rebinding_after_silence_tells_the_gap_and_when_it_was_proven(void **state)
{
    (void)state;
    roam_path_info before;
    roam_conn_paths(pair.server.conn, &before, 1);
    roam_time last = pair.server.conn->last_received_at;
    nat_moves_to("198.51.100.1:40001");
    pair_run(&pair, ROAM_MILLISECONDS(700));
    pair_forget_events(&pair);
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(1));
    roam_path_stats move = latest(pair.server.conn);
    assert_true(move.settled && move.validated && !move.reverted);
    assert_true(move.last_before == last && move.first_after == move.moved_at);
    assert_true(move.gap == move.first_after - last && move.gap > ROAM_MILLISECONDS(700));
    /* A small first packet: one round trip proves the address, another one its size. */
    assert_in_range(move.validated_after, 2 * pair.delay, 5 * pair.delay);
    assert_true(move.path_id != move.previous_path_id && roam_address_equal(&move.remote, &outside));
    assert_int_equal(move.previous_remote.port, 40000);
    /* Only the port is new: what was known of the network is kept (RFC 9000 section 9.4). */
    assert_int_equal(move.rtt_before, before.smoothed_rtt);
    assert_int_equal(move.window_before, before.window_bytes);
    assert_in_range(move.window_after, before.window_bytes, UINT64_MAX);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_PATH_SETTLED), 1);
    roam_conn_info row;
    roam_conn_get_info(pair.server.conn, &row);
    assert_memory_equal(&row.latest, &move, sizeof(move));
}

static void what_was_lost_with_the_mapping_is_counted_once(void **state)
{
    (void)state;
    static const uint8_t data[8000];
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_int_equal(roam_stream_write(pair.client.stream, "x", 1), 1);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    roam_conn_stats stats;
    roam_conn_get_stats(pair.server.conn, &stats);
    uint64_t resent = stats.stream_bytes_resent;
    nat_moves_to("198.51.100.1:40001");
    assert_int_equal(roam_stream_write(pair.server.stream, data, sizeof(data)), sizeof(data));
    pair_run(&pair, ROAM_MILLISECONDS(10));
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(2));
    roam_path_stats move = latest(pair.server.conn);
    roam_conn_get_stats(pair.server.conn, &stats);
    assert_true(move.settled);
    assert_int_equal(move.bytes_resent, sizeof(data));
    assert_in_range(move.packets_lost, sizeof(data) / 1200, 2 * sizeof(data) / 1200);
    assert_in_range(stats.stream_bytes_resent - resent, sizeof(data), 2 * sizeof(data));
}

static void a_new_host_begins_with_another_window_and_the_move_says_so(void **state)
{
    (void)state;
    pair.server.conn->paths.paths[0]->recovery.congestion.window = 100000;
    nat_moves_to("203.0.113.77:40001");
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(1));
    roam_path_stats move = latest(pair.server.conn);
    assert_true(move.settled);
    assert_int_equal(move.window_before, 100000);
    assert_in_range(move.window_after, 10000, 30000);
}

static void a_client_that_is_rebound_waits_for_the_first_packet(void **state)
{
    (void)state;
    roam_address local = pair.client_address;
    local.port++;
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &local), ROAM_OK);
    pair.client_address = local;
    roam_path_stats move = latest(pair.client.conn);
    assert_true(move.moved_at == pair.now && move.validated && !move.settled && move.first_after == 0);
    assert_int_equal(move.path_id, move.previous_path_id);
    assert_true(roam_address_equal(&move.local, &local));
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(1));
    move = latest(pair.client.conn);
    assert_true(move.settled && move.gap == move.first_after - move.last_before);
    /* The PING's acknowledgement, perhaps as late as acknowledgements may be. */
    assert_in_range(move.first_after - move.moved_at, 2 * pair.delay, 2 * pair.delay + ROAM_MILLISECONDS(26));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_PATH_SETTLED), 1);
}

static void a_move_that_nobody_proves_is_reverted_and_both_are_kept(void **state)
{
    (void)state;
    /* A forger copies one packet from elsewhere; nobody is there. */
    roam_conn_ping(pair.client.conn, pair.now);
    nat_moves_to("203.0.113.99:40001");
    pair_run(&pair, ROAM_MILLISECONDS(5));
    cut = true;
    pair_run(&pair, ROAM_SECONDS(6));
    roam_path_stats moves[ROAM_MOVES_KEPT];
    assert_int_equal(roam_conn_path_stats(pair.server.conn, moves, ROAM_MOVES_KEPT), 2);
    assert_true(moves[0].reverted && moves[0].validated);
    assert_true(!moves[1].reverted && !moves[1].validated && !moves[1].settled);
    assert_int_equal(moves[0].previous_path_id, moves[1].path_id);
    assert_int_equal(moves[0].path_id, moves[1].previous_path_id);
}

static void the_newest_moves_are_kept_and_the_others_forgotten(void **state)
{
    (void)state;
    char address[32];
    for (unsigned i = 1; i <= 10; i++) {
        snprintf(address, sizeof(address), "198.51.100.1:%u", 41000 + i);
        nat_moves_to(address);
        roam_conn_ping(pair.client.conn, pair.now);
        pair_run(&pair, ROAM_SECONDS(2));
    }
    roam_path_stats moves[2 * ROAM_MOVES_KEPT];
    assert_int_equal(roam_conn_path_stats(pair.server.conn, moves, 2 * ROAM_MOVES_KEPT), ROAM_MOVES_KEPT);
    for (unsigned i = 0; i < ROAM_MOVES_KEPT; i++) {
        assert_int_equal(moves[i].remote.port, 41010 - i);
        assert_int_equal(moves[i].previous_remote.port, 41010 - i - 1);
        assert_true(moves[i].settled);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_told_before_the_first_move),
        TEST(a_rebinding_after_silence_tells_the_gap_and_when_it_was_proven),
        TEST(what_was_lost_with_the_mapping_is_counted_once),
        TEST(a_new_host_begins_with_another_window_and_the_move_says_so),
        TEST(a_client_that_is_rebound_waits_for_the_first_packet),
        TEST(a_move_that_nobody_proves_is_reverted_and_both_are_kept),
        TEST(the_newest_moves_are_kept_and_the_others_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
