/* Requests in early data (0-RTT): taken with the first flight where they may be asked for twice, else when it is safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/h3_pair.h"

static struct h3_pair both;
static uint8_t session[sizeof(both.pair.client.session)];

/* A first connection leaves its session; on the next HTTP/3 begins at the client before anything was heard. */
static void come_back(void)
{
    roam_h3_free(both.client.h3);
    roam_h3_free(both.server.h3);
    both.client.h3 = both.server.h3 = NULL;
    both.client.seen_count = both.server.seen_count = 0;
    memcpy(session, both.pair.client.session, sizeof(session));
    both.config.client.session = session;
    both.config.client.session_bytes = both.pair.client.session_bytes;
    both.pair.server.conn = NULL;
    pair_forget_events(&both.pair);
    pair_connect(&both.pair, &both.config);
    assert_int_equal(roam_conn_early_data(both.pair.client.conn), ROAM_EARLY_OFFERED);
    both.client.h3 = roam_h3_new(both.pair.client.conn, &both.client_config, NULL);
    assert_non_null(both.client.h3);
}

/* One way, and HTTP/3 begins at the server with what came. */
static void reach_server(void)
{
    pair_run(&both.pair, ROAM_MILLISECONDS(7));
    assert_int_equal(pair_count_events(&both.pair.server, ROAM_EVENT_EARLY_DATA_ACCEPTED), 1);
    assert_int_equal(roam_conn_state(both.pair.server.conn), ROAM_CONN_HANDSHAKE);
    both.server.h3 = roam_h3_new(both.pair.server.conn, &both.server_config, NULL);
    assert_non_null(both.server.h3);
    h3_pair_run(&both, 0);
}

static int set_up(void **state)
{
    (void)state;
    h3_pair_prepare(&both);
    pair_give_static_key(&both.config);
    both.config.client.early_data = both.config.server.early_data = true;
    h3_pair_start(&both);
    both.server.on_request = h3_answer;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    h3_pair_stop(&both);
    return 0;
}

static void a_get_is_answered_before_the_handshake_is_complete(void **state)
{
    (void)state;
    come_back();
    uint64_t id = h3_pair_get(&both, "/");
    reach_server();
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, id));
    assert_true(both.server.was_early);
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    const struct h3_seen *response = h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, id);
    assert_non_null(response);
    assert_int_equal(response->status, 200);
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    uint64_t later = h3_pair_get(&both, "/later");
    h3_pair_run(&both, ROAM_MILLISECONDS(100));
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, later));
    assert_false(both.server.was_early);
}

static void a_client_asks_for_nothing_unsafe(void **state)
{
    (void)state;
    const roam_h3_request_head head = {
        .method = "POST", .scheme = "https", .authority = "example.org", .path = "/order"};
    come_back();
    assert_int_equal(roam_h3_request(both.client.h3, &head, NULL, 0, true, NULL), ROAM_ERR_STATE);
    pair_handshake(&both.pair);
    assert_true(roam_h3_request(both.client.h3, &head, NULL, 0, true, NULL) >= 0);
}

static void a_server_answers_what_is_unsafe_with_425(void **state)
{
    (void)state;
    both.client_config.unsafe_early = true;
    come_back();
    uint64_t id = h3_pair_post(&both, "/order", 100);
    reach_server();
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_REQUEST), 0);
    assert_int_equal(h3_end_count(&both.server, ROAM_H3_EVENT_CLOSED), 0);
    const struct h3_seen *response = h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, id);
    assert_non_null(response);
    assert_int_equal(response->status, 425);
    assert_non_null(h3_end_find(&both.client, ROAM_H3_EVENT_CLOSED, id));
    assert_int_equal(roam_h3_open_requests(both.server.h3), 0);
    id = h3_pair_post(&both, "/order", 100);
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    assert_int_equal(h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, id)->status, 200);
}

static void an_application_may_take_what_is_unsafe(void **state)
{
    (void)state;
    both.client_config.unsafe_early = both.server_config.unsafe_early = true;
    come_back();
    uint64_t id = h3_pair_post(&both, "/order", 100);
    reach_server();
    assert_non_null(h3_end_find(&both.server, ROAM_H3_EVENT_REQUEST, id));
    assert_true(both.server.was_early);
    h3_pair_run(&both, ROAM_MILLISECONDS(200));
    assert_int_equal(h3_end_find(&both.client, ROAM_H3_EVENT_RESPONSE, id)->status, 200);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_get_is_answered_before_the_handshake_is_complete),
        TEST(a_client_asks_for_nothing_unsafe),
        TEST(a_server_answers_what_is_unsafe_with_425),
        TEST(an_application_may_take_what_is_unsafe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
