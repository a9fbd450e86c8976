/* What a connection may be configured with; a client between its name and its first packet; what its log says of what it
 * was told at first, and of its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cid/remote_cid.h"
#include "conn/limits.h"
#include "pair.h"
#include "path/path_set.h"
#include "wire/transport_params.h"

static struct pair pair;
static struct pair_config config;

/* ---- Configurations */

static roam_result connect_with(const roam_config *with)
{
    roam_result result = ROAM_OK;
    roam_config named = *with;
    named.local = &pair.client_address;
    roam_conn *conn = roam_connect(pair.client.endpoint, "203.0.113.5", 443, &named, pair.now, &result);
    assert_int_equal(conn == NULL, result != ROAM_OK);
    roam_conn_free(conn, pair.now);
    return result;
}

#define REFUSED(member, value)                                                                                         \
    do {                                                                                                               \
        roam_config wrong = config.client;                                                                             \
        wrong.member = (value);                                                                                        \
        if (connect_with(&wrong) != ROAM_ERR_CONFIG)                                                                   \
            fail_msg("%s may be what it must not be", #member);                                                        \
    } while (0)
#define TAKEN(member, value)                                                                                           \
    do {                                                                                                               \
        roam_config right = config.client;                                                                             \
        right.member = (value);                                                                                        \
        if (connect_with(&right) != ROAM_OK)                                                                           \
            fail_msg("%s may not be what it may be", #member);                                                         \
    } while (0)

static void what_a_peer_could_not_be_told_is_refused(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_start(&pair, &config);
    REFUSED(active_connection_id_limit, 1);
    TAKEN(active_connection_id_limit, 2);
    TAKEN(active_connection_id_limit, REMOTE_CIDS_MAX);
    REFUSED(active_connection_id_limit, REMOTE_CIDS_MAX + 1);
    TAKEN(initial_max_streams_bidi, MAX_STREAMS_LIMIT);
    REFUSED(initial_max_streams_bidi, MAX_STREAMS_LIMIT + 1);
    TAKEN(initial_max_streams_uni, MAX_STREAMS_LIMIT);
    REFUSED(initial_max_streams_uni, MAX_STREAMS_LIMIT + 1);
    TAKEN(initial_max_data, VARINT_MAX);
    REFUSED(initial_max_data, VARINT_MAX + 1);
    TAKEN(initial_max_stream_data, VARINT_MAX);
    REFUSED(initial_max_stream_data, VARINT_MAX + 1);
    TAKEN(max_ack_delay, ROAM_MILLISECONDS((1 << 14) - 1));
    REFUSED(max_ack_delay, ROAM_MILLISECONDS(1 << 14));
    REFUSED(max_udp_payload, 1199);
    TAKEN(max_udp_payload, 1200);
    TAKEN(max_udp_payload, 65527);
    REFUSED(max_udp_payload, 65528);
    TAKEN(max_datagram_frame_bytes, DATAGRAM_FRAME_BYTES_MAX);
    REFUSED(max_datagram_frame_bytes, DATAGRAM_FRAME_BYTES_MAX + 1);
    pair_stop(&pair);
}

static void what_a_connection_could_not_keep_to_is_refused(void **state)
{
    (void)state;
    const roam_address without_port = {.ip = {192, 0, 2, 1}, .family = ROAM_FAMILY_IPV4};
    pair_prepare(&config);
    pair_start(&pair, &config);
    REFUSED(max_paths, CONN_PATHS_MIN - 1);
    TAKEN(max_paths, CONN_PATHS_MIN);
    TAKEN(max_paths, PATHS_MAX);
    REFUSED(max_paths, PATHS_MAX + 1);
    REFUSED(max_window_bytes, VARINT_MAX + 1);
    REFUSED(datagram_bytes, 1199);
    TAKEN(datagram_bytes, 1200);
    REFUSED(datagram_bytes, 16001);
    REFUSED(max_datagram_bytes, 1199);
    REFUSED(max_datagram_bytes, UINT64_MAX);
    REFUSED(initial_window_packets, 1);
    TAKEN(initial_window_packets, 2);
    REFUSED(initial_rtt, 0);
    REFUSED(token_bytes, 1);
    REFUSED(session_bytes, 1);
    REFUSED(preferred_ipv4, without_port);
    REFUSED(preferred_ipv6, without_port);
    REFUSED(alpn, NULL);
    REFUSED(size, 0);
    pair_stop(&pair);
}

/* ---- Before the first packet */

static void connect_by_name(void)
{
    roam_config named = config.client;
    named.local = &pair.client_address;
    roam_conn_free(pair.client.conn, pair.now);
    pair.client.conn = roam_connect(pair.client.endpoint, "localhost", 443, &named, pair.now, NULL);
    assert_non_null(pair.client.conn);
}

static void a_name_without_addresses_ends_the_connection(void **state)
{
    (void)state;
    uint16_t port = 0;
    pair_prepare(&config);
    pair_start(&pair, &config);
    connect_by_name();
    assert_string_equal(roam_conn_host(pair.client.conn, &port), "localhost");
    assert_int_equal(port, 443);
    roam_conn_set_user(pair.client.conn, &port);
    assert_ptr_equal(roam_conn_user(pair.client.conn), &port);
    roam_conn_resolved(pair.client.conn, pair.now, NULL, 0);
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_RESOLUTION);
    assert_int_equal(roam_conn_update_keys(pair.client.conn, pair.now), ROAM_ERR_CLOSED);
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &pair.client_address), ROAM_ERR_CLOSED);
    pair_stop(&pair);
}

static void a_client_whose_name_is_unknown_yet_begins_where_it_is_moved_to(void **state)
{
    (void)state;
    const roam_address nowhere = {0};
    pair_prepare(&config);
    pair_start(&pair, &config);
    connect_by_name();
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &nowhere), ROAM_ERR_ADDRESS);
    pair.client_address.port++;
    assert_int_equal(roam_conn_rebind(pair.client.conn, pair.now, &pair.client_address), ROAM_OK);
    roam_conn_resolved(pair.client.conn, pair.now, &pair.server_address, 1);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_non_null(pair.server.conn);
    assert_true(roam_address_equal(roam_conn_remote_address(pair.server.conn), &pair.client_address));
    uint16_t port = 1;
    assert_string_equal(roam_conn_host(pair.server.conn, &port), "");
    assert_int_equal(port, 0);
    pair_stop(&pair);
}

/* ---- What the log says */

static const char *wanted;
static unsigned found;

static void *open_log(void *context, const roam_cid *original_dcid, bool is_server)
{
    (void)original_dcid;
    return is_server ? NULL : context;
}

static bool write_log(void *context, void *log, const char *text, size_t len)
{
    (void)context, (void)log;
    found += memmem(text, len, wanted, strlen(wanted)) != NULL;
    return true;
}

static void close_log(void *context, void *log)
{
    (void)context, (void)log;
}

static const roam_qlog qlog = {
    .open = open_log, .write = write_log, .close = close_log, .context = &found, .names = ROAM_QLOG_NAMES_LATEST};

static bool nothing_arrives(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of, (void)to_server, (void)datagram;
    return false;
}

static void begin_logged(const char *trigger)
{
    found = 0;
    wanted = trigger;
    pair_prepare(&config);
    config.qlog = &qlog;
    pair_start(&pair, &config);
}

static void the_log_shows_the_preferred_address(void **state)
{
    (void)state;
    begin_logged("\"preferred_address\":{\"ip_v4\":\"203.0.113.77\",\"port_v4\":4433,\"ip_v6\":\"2001:db8::77\",\"port_"
                 "v6\":4434");
    pair_stop(&pair);
    assert_true(roam_address_parse(&config.server.preferred_ipv4, "203.0.113.77:4433") &&
                roam_address_parse(&config.server.preferred_ipv6, "[2001:db8::77]:4434"));
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_stop(&pair);
    assert_int_equal(found, 1);
}

static void the_log_says_that_nobody_answered_in_time(void **state)
{
    (void)state;
    begin_logged("\"trigger\":\"aborted\"");
    pair.hook = nothing_arrives;
    pair_run(&pair, ROAM_SECONDS(12));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_HANDSHAKE_TIMEOUT);
    pair_stop(&pair);
    assert_int_equal(found, 1);
}

static void the_log_says_that_it_was_silent_for_too_long(void **state)
{
    (void)state;
    begin_logged("\"trigger\":\"idle_timeout\"");
    pair_handshake(&pair);
    pair.hook = nothing_arrives;
    pair_run(&pair, ROAM_SECONDS(40));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_IDLE_TIMEOUT);
    pair_stop(&pair);
    assert_int_equal(found, 1);
}

static void the_log_says_that_the_server_knows_it_no_more(void **state)
{
    (void)state;
    begin_logged("\"trigger\":\"stateless_reset\"");
    pair_stop(&pair);
    pair_give_static_key(&config);
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(200));
    pair_replace_server(&pair, &config);
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(2));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_STATELESS_RESET);
    pair_stop(&pair);
    assert_int_equal(found, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_peer_could_not_be_told_is_refused),
        cmocka_unit_test(what_a_connection_could_not_keep_to_is_refused),
        cmocka_unit_test(a_name_without_addresses_ends_the_connection),
        cmocka_unit_test(a_client_whose_name_is_unknown_yet_begins_where_it_is_moved_to),
        cmocka_unit_test(the_log_shows_the_preferred_address),
        cmocka_unit_test(the_log_says_that_nobody_answered_in_time),
        cmocka_unit_test(the_log_says_that_it_was_silent_for_too_long),
        cmocka_unit_test(the_log_says_that_the_server_knows_it_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
