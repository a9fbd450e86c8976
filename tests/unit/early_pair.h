/*
 * A pair whose client has met the server before, and may send early data when it connects again: what the tests of it
 * share. Either side asks for early data, and the server's key is the same from one to the next.
 */
#ifndef TESTS_UNIT_EARLY_PAIR_H
#define TESTS_UNIT_EARLY_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/endpoint.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;
static uint8_t session[sizeof(pair.client.session)];

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_give_static_key(&config);
    config.client.early_data = config.server.early_data = true;
    config.client.max_datagram_frame_bytes = config.server.max_datagram_frame_bytes = 65535;
    config.client.datagram_fates = true;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

/* A first connection, whose session the next one takes. */
static inline void meet(void)
{
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_true(pair.client.session_bytes > 0);
    memcpy(session, pair.client.session, sizeof(session));
    config.client.session = session;
    config.client.session_bytes = pair.client.session_bytes;
}

static inline void connect_again(void)
{
    pair_forget_events(&pair);
    pair.server.conn = NULL;
    pair.server.stream = pair.client.stream = NULL;
    pair_connect(&pair, &config);
}

/* Opens a stream on the new connection before anything is sent. */
static inline void send_early(const char *text)
{
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_OFFERED);
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_non_null(pair.client.stream);
    assert_true(roam_stream_is_early(pair.client.stream));
    assert_int_equal(roam_stream_write(pair.client.stream, text, strlen(text)), strlen(text));
    roam_stream_finish(pair.client.stream);
}

static inline void assert_server_reads(const char *text)
{
    char buf[16] = "";
    bool end = false;
    assert_non_null(pair.server.stream);
    assert_int_equal(roam_stream_read(pair.server.stream, buf, sizeof(buf) - 1, &end), strlen(text));
    assert_string_equal(buf, text);
    assert_true(end);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_STREAM_OPENED), 1);
}

static inline void assert_accepted(void)
{
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_ACCEPTED);
    assert_int_equal(roam_conn_early_data(pair.server.conn), ROAM_EARLY_ACCEPTED);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_EARLY_DATA_ACCEPTED), 1);
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_EARLY_DATA_ACCEPTED), 1);
}

/* The handshake ends in another round trip, and what was sent is there once. */
static inline void assert_rejected_and_repeated(const char *text)
{
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_REJECTED);
    assert_int_equal(roam_conn_early_data(pair.server.conn), ROAM_EARLY_NONE);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_EARLY_DATA_REJECTED), 1);
    assert_false(roam_stream_is_early(pair.server.stream));
    assert_server_reads(text);
}

#endif
