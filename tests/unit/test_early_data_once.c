/* Early data is taken once (RFC 8446 section 8): of tickets that were used, or may have been, none is, and a copy delivers
 * nothing. */
#include "early_pair.h"

static void a_session_brings_early_data_once(void **state)
{
    (void)state;
    meet();
    connect_again();
    send_early("first");
    pair_handshake(&pair);
    assert_accepted();
    connect_again();
    send_early("second");
    assert_rejected_and_repeated("second");
    assert_int_equal(pair.server.endpoint->stats.early_data_refused, 1);
    assert_int_equal(pair.server.endpoint->stats.early_data_accepted, 1);
}

/* With the oldest of the used tickets goes the trust in all that are as old. */
static void what_may_have_been_used_brings_none(void **state)
{
    (void)state;
    static uint8_t oldest[sizeof(session)];
    config.server_endpoint.tokens_remembered = 1;
    meet();
    memcpy(oldest, session, sizeof(oldest));
    const size_t oldest_bytes = config.client.session_bytes;
    for (int i = 0; i < 3; i++) {
        config.client.session = NULL;
        config.client.session_bytes = 0;
        connect_again();
        pair_handshake(&pair);
        pair_run(&pair, ROAM_MILLISECONDS(500));
        memcpy(session, pair.client.session, sizeof(session));
        config.client.session = session;
        config.client.session_bytes = pair.client.session_bytes;
        connect_again();
        send_early("early");
        pair_handshake(&pair);
        assert_accepted();
    }
    config.client.session = oldest;
    config.client.session_bytes = oldest_bytes;
    connect_again();
    send_early("old");
    assert_rejected_and_repeated("old");
}

static void a_server_that_remembers_no_tickets_takes_none(void **state)
{
    (void)state;
    config.server_endpoint.tokens_remembered = 0;
    meet();
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
}

/* The session is resumed, as its key is the same; what was used of it before nobody knows. */
static void a_server_that_was_started_again_takes_none_of_before(void **state)
{
    (void)state;
    meet();
    pair_replace_server(&pair, &config);
    connect_again();
    send_early("early");
    assert_rejected_and_repeated("early");
}

static struct pair_datagram kept[8];
static size_t kept_count;

static bool keep_first_flight(struct pair *at, bool to_server, roam_datagram *datagram)
{
    (void)at;
    if (to_server && kept_count < 8) {
        kept[kept_count].datagram = *datagram;
        memcpy(kept[kept_count].data, datagram->data, datagram->len);
        kept_count++;
    }
    return true;
}

/* What somebody has recorded and sends once more makes no stream, from wherever it comes. */
static void a_copy_of_the_first_flight_delivers_nothing(void **state)
{
    (void)state;
    meet();
    connect_again();
    kept_count = 0;
    pair.hook = keep_first_flight;
    send_early("early");
    pair_run(&pair, pair.delay + ROAM_MILLISECONDS(1));
    pair.hook = NULL;
    assert_server_reads("early");
    pair_handshake(&pair);
    roam_address elsewhere = pair.client_address;
    elsewhere.port++;
    for (int from = 0; from < 2; from++) {
        for (size_t i = 0; i < kept_count; i++)
            pair_deliver(&pair, true, from == 0 ? &elsewhere : NULL, kept[i].data, kept[i].datagram.len);
        pair_run(&pair, ROAM_MILLISECONDS(500));
    }
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_STREAM_OPENED), 1);
    assert_int_equal(pair.server.endpoint->stats.early_data_accepted, 1);
    assert_true(pair.server.endpoint->stats.early_data_refused >= 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_brings_early_data_once),
        TEST(what_may_have_been_used_brings_none),
        TEST(a_server_that_remembers_no_tickets_takes_none),
        TEST(a_server_that_was_started_again_takes_none_of_before),
        TEST(a_copy_of_the_first_flight_delivers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
