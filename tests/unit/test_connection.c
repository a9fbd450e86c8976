/* A connection from its first packet to its last, and the story of the house: the client's address changes, the row
 * moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "endpoint/endpoint.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_start(&pair, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

static void expect_text(struct pair_side *side, const char *text)
{
    char buf[64] = "";
    assert_non_null(side->stream);
    ptrdiff_t n = roam_stream_read(side->stream, buf, sizeof(buf) - 1, NULL);
    assert_int_equal(n, strlen(text));
    assert_string_equal(buf, text);
}

static void say(struct pair_side *side, const char *text)
{
    assert_int_equal(roam_stream_write(side->stream, text, strlen(text)), strlen(text));
}

static void open_stream_and_greet(void)
{
    pair_handshake(&pair);
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_non_null(pair.client.stream);
    say(&pair.client, "Hello!");
    pair_run(&pair, ROAM_SECONDS(1));
    expect_text(&pair.server, "Hello!");
}

static void the_handshake_completes_and_is_confirmed(void **state)
{
    (void)state;
    pair_handshake(&pair);
    assert_string_equal(roam_conn_alpn(pair.client.conn), "pair");
    assert_string_equal(roam_conn_alpn(pair.server.conn), "pair");
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CONNECTED), 1);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_CONNECTED), 1);
}

static void the_row_moves_and_the_stream_goes_on(void **state)
{
    (void)state;
    open_stream_and_greet();
    roam_conn_info before, after;
    roam_conn_get_info(pair.server.conn, &before);
    roam_address moved;
    assert_true(roam_address_parse(&moved, "10.0.0.20:51000"));
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &moved), ROAM_OK);
    pair_forget_events(&pair);
    say(&pair.client, "Hello again!");
    pair_run(&pair, ROAM_SECONDS(2));
    expect_text(&pair.server, "Hello again!");
    roam_conn_get_info(pair.server.conn, &after);
    assert_true(roam_cid_equal(&before.cid, &after.cid));
    assert_true(roam_address_equal(&after.remote, &moved));
    assert_true(after.address_validated);
    assert_int_equal(after.moves, before.moves + 1);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_PATH_MOVED), 1);
    assert_true(pair_count_events(&pair.server, ROAM_EVENT_PATH_CHALLENGED) >= 1);
    assert_true(pair_count_events(&pair.server, ROAM_EVENT_PATH_VALIDATED) >= 1);
}

static void a_deliberate_move_uses_a_fresh_connection_id(void **state)
{
    //= rfc9000#9.5-2 Never use one destination CID from more than one local address.
    //= rfc9000#9.5-3 Never use one destination CID toward more than one peer address.
    (void)state;
    open_stream_and_greet();
    roam_path_info before, after;
    roam_conn_paths(pair.client.conn, &before, 1);
    roam_address moved;
    assert_true(roam_address_parse(&moved, "10.0.0.20:51000"));
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &moved), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    roam_conn_paths(pair.client.conn, &after, 1);
    assert_true(roam_address_equal(&after.local, &moved));
    assert_false(roam_cid_equal(&before.cid, &after.cid));
    roam_conn_info row;
    roam_conn_get_info(pair.server.conn, &row);
    assert_true(roam_address_equal(&row.remote, &moved));
    say(&pair.client, "Hello again!");
    pair_run(&pair, ROAM_SECONDS(1));
    expect_text(&pair.server, "Hello again!");
}

static void a_path_that_is_given_up_gives_its_connection_id_back(void **state)
{
    (void)state;
    open_stream_and_greet();
    roam_path_info paths[2];
    roam_address standby;
    assert_true(roam_address_parse(&standby, "10.0.0.20:51000"));
    assert_int_equal(roam_conn_probe(pair.client.conn, pair.now, &standby), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_conn_paths(pair.client.conn, paths, 2), 2);
    assert_int_equal(paths[1].state, ROAM_PATH_VALIDATED);
    pair_forget_events(&pair);
    assert_int_equal(roam_conn_forget_path(pair.client.conn, pair.now, paths[0].id), ROAM_ERR_STATE);
    assert_int_equal(roam_conn_forget_path(pair.client.conn, pair.now, 12345), ROAM_ERR_ADDRESS);
    assert_int_equal(roam_conn_forget_path(pair.client.conn, pair.now, paths[1].id), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_conn_paths(pair.client.conn, paths, 2), 1);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_PATH_CLOSED), 1);
    const roam_event *retired = pair_find_event(&pair.server, ROAM_EVENT_CID_RETIRED);
    assert_non_null(retired);
    assert_true(roam_cid_equal(&retired->cid, &paths[1].cid));
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CID_RECEIVED), 1);
    say(&pair.client, "Hello again!");
    pair_run(&pair, ROAM_SECONDS(1));
    expect_text(&pair.server, "Hello again!");
    roam_conn_close(pair.client.conn, pair.now, 0, NULL);
    assert_int_equal(roam_conn_forget_path(pair.client.conn, pair.now, paths[0].id), ROAM_ERR_CLOSED);
}

static size_t largest_to_server;

static bool measure(struct pair *p, bool to_server, roam_datagram *datagram)
{
    (void)p;
    if (to_server && datagram->len > largest_to_server)
        largest_to_server = datagram->len;
    return true;
}

static size_t largest_after_ping(uint32_t bytes)
{
    largest_to_server = 0;
    conn_ping_of_size(pair.client.conn, pair.now, bytes);
    pair_run(&pair, ROAM_SECONDS(1));
    return largest_to_server;
}

static void a_ping_is_as_large_as_asked_for_within_what_the_path_carries(void **state)
{
    (void)state;
    pair_stop(&pair);
    config.client.datagram_bytes = 1400;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(1));
    pair.hook = measure;
    assert_int_equal(largest_after_ping(1300), 1300);
    assert_int_equal(largest_after_ping(0), 1200);
    assert_int_equal(largest_after_ping(9000), 1400);
    /* Asked for once. */
    largest_to_server = 0;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_true(largest_to_server < 100);
}

/* ---- Packet by packet */

static struct {
    uint64_t frames; /* of all packets sent, a bit each */
    size_t smallest_bytes;
    size_t response_bytes;   /* of the newest one with PATH_RESPONSE */
    bool answered_with_more; /* a packet had PATH_RESPONSE and a frame that is not probing */
} watched;

static void watch_packet(void *context, const struct observed_packet *packet)
{
    (void)context;
    const uint64_t probing = frame_bit(FRAME_PATH_CHALLENGE) | frame_bit(FRAME_PATH_RESPONSE) |
                             frame_bit(FRAME_NEW_CONNECTION_ID) | frame_bit(FRAME_PADDING);
    if (!packet->sent)
        return;
    watched.frames |= packet->frames;
    if ((packet->frames & ~(frame_bit(FRAME_ACK) | frame_bit(FRAME_PADDING))) != 0)
        watched.smallest_bytes = min_size(watched.smallest_bytes, packet->bytes);
    if ((packet->frames & frame_bit(FRAME_PATH_RESPONSE)) != 0)
        watched.response_bytes = packet->bytes;
    if ((packet->frames & frame_bit(FRAME_PATH_RESPONSE)) != 0 && (packet->frames & ~probing) != 0)
        watched.answered_with_more = true;
}

static void watch_client(void)
{
    memset(&watched, 0, sizeof(watched));
    watched.smallest_bytes = SIZE_MAX;
    endpoint_set_packet_observer(pair.client.endpoint, watch_packet, NULL);
}

static void a_challenge_on_the_active_path_is_answered_with_more_than_a_probe(void **state)
{
    //= rfc9000#8.2.2-5 Pad datagrams with PATH_RESPONSE to 1200 bytes.
    //= rfc9000#9.3.3-2 Answer a PATH_CHALLENGE received on the active path with a non-probing packet.
    (void)state;
    open_stream_and_greet();
    watch_client();
    struct path *active = path_set_active(&pair.server.conn->paths);
    path_validation_start(&active->validation, pair.now, ROAM_SECONDS(1), ROAM_SECONDS(1));
    roam_conn_ping(pair.server.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_true((watched.frames & frame_bit(FRAME_PATH_RESPONSE)) != 0);
    assert_true(watched.answered_with_more);
    assert_true(watched.response_bytes >= 1200);
}

static void no_packet_is_too_small_for_a_reset_to_hide_among(void **state)
{
    //= rfc9000#10.3-4 All sent packets are at least 22 bytes longer than the minimum CID length asked of the peer.
    (void)state;
    open_stream_and_greet();
    watch_client();
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_true((watched.frames & frame_bit(FRAME_PING)) != 0);
    assert_true(watched.smallest_bytes >= 22 + (size_t)config.client_endpoint.cid_bytes);
    assert_true(watched.smallest_bytes < 100);
}

static void a_megabyte_arrives_whole(void **state)
{
    (void)state;
    open_stream_and_greet();
    size_t size = 1 << 20, sent = 0, received = 0;
    uint8_t buf[4096];
    while (received < size) {
        while (sent < size) {
            for (size_t i = 0; i < sizeof(buf); i++)
                buf[i] = (uint8_t)((sent + i) * 7);
            ptrdiff_t n = roam_stream_write(pair.client.stream, buf, sizeof(buf));
            assert_true(n >= 0);
            sent += (size_t)n;
            if (n < (ptrdiff_t)sizeof(buf))
                break;
        }
        pair_run(&pair, ROAM_MILLISECONDS(5));
        ptrdiff_t n;
        while ((n = roam_stream_read(pair.server.stream, buf, sizeof(buf), NULL)) > 0) {
            for (ptrdiff_t i = 0; i < n; i++)
                assert_int_equal(buf[i], (uint8_t)((received + (size_t)i) * 7));
            received += (size_t)n;
        }
        assert_true(pair.now < ROAM_SECONDS(1100));
    }
}

static void closing_is_told_to_the_other_side(void **state)
{
    (void)state;
    open_stream_and_greet();
    roam_conn_close(pair.client.conn, pair.now, 7, "done");
    pair_run(&pair, ROAM_SECONDS(3));
    const roam_event *closed = pair_find_event(&pair.server, ROAM_EVENT_CLOSED);
    assert_non_null(closed);
    assert_int_equal(closed->error->cause, ROAM_CLOSE_PEER_APPLICATION);
    assert_int_equal(closed->error->code, 7);
    assert_string_equal(closed->error->reason, "done");
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSED);
    assert_int_equal(roam_conn_state(pair.server.conn), ROAM_CONN_CLOSED);
}

static void idle_connections_end_in_silence(void **state)
{
    (void)state;
    open_stream_and_greet();
    pair_run(&pair, ROAM_SECONDS(40));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_IDLE_TIMEOUT);
    assert_int_equal(roam_conn_error(pair.server.conn)->cause, ROAM_CLOSE_IDLE_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_handshake_completes_and_is_confirmed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_row_moves_and_the_stream_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deliberate_move_uses_a_fresh_connection_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_path_that_is_given_up_gives_its_connection_id_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ping_is_as_large_as_asked_for_within_what_the_path_carries, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_challenge_on_the_active_path_is_answered_with_more_than_a_probe, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_packet_is_too_small_for_a_reset_to_hide_among, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_megabyte_arrives_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_is_told_to_the_other_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_connections_end_in_silence, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
