/*
 * Each allocation of a connection's life fails, by its number: at the client, then at the server. The two shake hands,
 * send octets and datagrams both ways, move, update keys, and close. Whatever fails, what arrives is what was sent; who does
 * not get it all has been told why; and all memory comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "counting_allocator.h"
#include "endpoint/endpoint.h"
#include "pair.h"

#define CONTENT_BYTES 40000
#define WRITE_BYTES   7000
#define SLICES_MAX    300
#define SLICE         ROAM_MILLISECONDS(50)

/* What one side does, by nothing but what events tell it. */
struct life {
    struct pair_side *side;
    struct counting_allocator memory;
    roam_stream *stream;
    size_t events_seen, sent, received, datagrams;
    bool finished, at_end, closed, told; /* told: a call said that something is not possible */
};

static struct pair pair;
static struct pair_config config;
static struct life client, server;
static size_t datagram_count;

/* What stands at this place of the content, which differs by direction. */
static uint8_t octet_at(const struct life *sender, size_t at)
{
    return (uint8_t)(at * 31 + at / 251 + (sender == &client ? 1 : 2));
}

static void tell(struct life *life, ptrdiff_t result)
{
    life->told = life->told || result < 0;
}

static void send_more(struct life *life)
{
    uint8_t piece[WRITE_BYTES];
    while (life->stream != NULL && life->sent < CONTENT_BYTES && !life->told) {
        size_t len = CONTENT_BYTES - life->sent < WRITE_BYTES ? CONTENT_BYTES - life->sent : WRITE_BYTES;
        for (size_t i = 0; i < len; i++)
            piece[i] = octet_at(life, life->sent + i);
        ptrdiff_t taken = roam_stream_write(life->stream, piece, len);
        tell(life, taken);
        if (taken <= 0)
            return;
        life->sent += (size_t)taken;
    }
    if (life->stream != NULL && life->sent == CONTENT_BYTES && !life->finished) {
        life->finished = true;
        tell(life, roam_stream_finish(life->stream));
    }
}

static void receive_more(struct life *life, const struct life *sender)
{
    uint8_t piece[3000];
    ptrdiff_t len;
    while (life->stream != NULL && (len = roam_stream_read(life->stream, piece, sizeof(piece), &life->at_end)) != 0) {
        tell(life, len);
        if (len < 0)
            return;
        for (ptrdiff_t i = 0; i < len; i++)
            assert_int_equal(piece[i], octet_at(sender, life->received + (size_t)i));
        life->received += (size_t)len;
    }
}

static void receive_datagrams(struct life *life)
{
    const uint8_t *data;
    size_t len;
    while (roam_conn_next_datagram(life->side->conn, &data, &len)) {
        assert_int_equal(len, 4);
        assert_memory_equal(data, "gram", 4);
        life->datagrams++;
    }
}

static void on_event(struct life *life, const struct life *sender, const roam_event *event)
{
    roam_result result = ROAM_OK;
    switch (event->type) {
    case ROAM_EVENT_CONNECTED:
        tell(life, roam_conn_send_datagram(event->conn, pair.now, "gram", 4, 0));
        if (life == &client && (life->stream = roam_stream_open(event->conn, false, &result)) == NULL)
            tell(life, result);
        send_more(life);
        break;
    case ROAM_EVENT_STREAM_OPENED:
        life->stream = event->stream;
        receive_more(life, sender);
        send_more(life);
        break;
    case ROAM_EVENT_STREAM_READABLE:
        receive_more(life, sender);
        break;
    case ROAM_EVENT_STREAM_WRITABLE:
        send_more(life);
        break;
    case ROAM_EVENT_DATAGRAM_READABLE:
        receive_datagrams(life);
        break;
    case ROAM_EVENT_CLOSED:
        life->closed = true;
        break;
    default:
        break;
    }
}

static void on_events(struct life *life, const struct life *sender)
{
    while (life->events_seen < life->side->event_count)
        on_event(life, sender, &life->side->events[life->events_seen++]);
}

/* What a client does about its place and its keys, each at a time of its own. */
static void move_on(size_t slice)
{
    static const char *const places[] = {"192.168.1.10:50001", "192.168.1.11:50002", "192.168.1.12:50003"};
    roam_address place;
    if (client.closed || !roam_conn_is_confirmed(pair.client.conn))
        return;
    if (slice == 3)
        roam_conn_update_keys(pair.client.conn, pair.now);
    if (slice != 5 && slice != 10 && slice != 20)
        return;
    assert_true(roam_address_parse(&place, places[slice == 5 ? 0 : slice == 10 ? 1 : 2]));
    if (slice == 10)
        roam_conn_rebind(pair.client.conn, pair.now, &place);
    else
        roam_conn_migrate(pair.client.conn, pair.now, &place);
}

static bool all_is_there(void)
{
    return client.received == CONTENT_BYTES && server.received == CONTENT_BYTES && client.at_end && server.at_end;
}

static void live(void)
{
    for (size_t slice = 0; slice < SLICES_MAX && !(client.closed || server.closed); slice++) {
        pair_run(&pair, SLICE);
        on_events(&client, &server);
        on_events(&server, &client);
        move_on(slice);
        if (slice > 25 && (all_is_there() || client.told || server.told))
            break;
    }
    roam_conn_close(pair.client.conn, pair.now, 0, "done");
    pair_run(&pair, ROAM_SECONDS(60));
    on_events(&client, &server);
    on_events(&server, &client);
}

/* ---- Lives of several kinds */

/* A bad network: what is lost has to be remembered, and so has what came too early. */
static bool lose_and_delay(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)to_server, (void)datagram;
    datagram_count++;
    if (datagram_count % 3 == 0)
        of->hold_back = ROAM_MILLISECONDS(35);
    return datagram_count % 7 != 0;
}

static void in_peace(void)
{
}

static void with_losses(void)
{
    pair.hook = lose_and_delay;
}

static void with_every_option(void)
{
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    config.client.mobility = ROAM_MOBILITY_AUTO;
    config.client.pmtud = config.server.pmtud = true;
    assert_true(roam_address_parse(&config.server.preferred_ipv4, "203.0.113.6:443"));
    pair_allow_versions(&config.client, ROAM_QUIC_V1, ROAM_QUIC_V2);
    pair_allow_versions(&config.server, ROAM_QUIC_V2, ROAM_QUIC_V1);
}

struct kind {
    const char *name;
    void (*prepare)(void); /* of the configuration */
    void (*begin)(void);   /* of the pair */
};

static const struct kind kinds[] = {
    {"in peace", in_peace, in_peace},
    {"with losses", in_peace, with_losses},
    {"with every option", with_every_option, in_peace},
};

static void begin_life(struct life *life, struct pair_side *side)
{
    *life = (struct life){.side = side};
}

/* Without the allocation of this number at one side, counted from when both endpoints and the client's connection are there
 * (0: with all), and without `more` behind it. Whether there was such an allocation. */
static bool lives_without(const struct kind *kind, size_t at_client, size_t at_server, size_t more)
{
    pair_prepare(&config);
    config.client.max_datagram_frame_bytes = config.server.max_datagram_frame_bytes = 1200;
    kind->prepare();
    begin_life(&client, &pair.client);
    begin_life(&server, &pair.server);
    datagram_count = 0;
    config.client_endpoint.allocator = counting_allocator(&client.memory);
    config.server_endpoint.allocator = counting_allocator(&server.memory);
    pair_start(&pair, &config);
    kind->begin();
    client.memory.refused_more = server.memory.refused_more = more;
    client.memory.refused = at_client > 0 ? client.memory.allocations + at_client : 0;
    server.memory.refused = at_server > 0 ? server.memory.allocations + at_server : 0;
    live();
    bool was_made =
        client.memory.allocations >= client.memory.refused && server.memory.allocations >= server.memory.refused;
    if (!all_is_there() && !client.told && !server.told && !client.closed && !server.closed)
        fail_msg("%s, allocation %zu: it goes no further, and nobody knows why: %zu and %zu octets", kind->name,
                 at_client + at_server, client.received, server.received);
    pair_stop(&pair);
    assert_int_equal(client.memory.bytes_out, 0);
    assert_int_equal(server.memory.bytes_out, 0);
    return was_made;
}

static void nothing_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        lives_without(&kinds[i], 0, 0, 0);
        assert_true(all_is_there());
        assert_true(client.datagrams + server.datagrams > 0);
        assert_true(pair_count_events(&pair.client, ROAM_EVENT_PATH_MOVED) >= 1);
    }
}

static void each_fails(bool at_server, size_t more)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t n = 1, went_on = 0;
        while (lives_without(&kinds[i], at_server ? 0 : n, at_server ? n : 0, more)) {
            went_on += all_is_there();
            n++;
        }
        print_message("%s, %s: %zu allocations failed, %zu times all arrived\n", at_server ? "server" : "client",
                      kinds[i].name, n - 1, went_on);
        assert_in_range(n, 50, 1000);
        assert_true(went_on > 0 || more > 0);
    }
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    each_fails(false, 0);
    each_fails(true, 0);
}

/* So that it fails once more where the first failure is dealt with. */
static void each_allocation_fails_with_those_behind_it(void **state)
{
    (void)state;
    each_fails(false, 2);
    each_fails(true, 2);
    each_fails(false, 25);
    each_fails(true, 25);
}

static void begin_in_peace(void)
{
    begin_life(&client, &pair.client);
    begin_life(&server, &pair.server);
    pair_prepare(&config);
    config.client_endpoint.allocator = counting_allocator(&client.memory);
    config.server_endpoint.allocator = counting_allocator(&server.memory);
    pair_start(&pair, &config);
}

static void whoever_misses_an_event_is_told_of_the_end(void **state)
{
    (void)state;
    begin_in_peace();
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(1));
    event_queue_done(&pair.client.endpoint->events);
    pair_forget_events(&pair);
    client.memory.refuses = true;
    conn_event(pair.client.conn, ROAM_EVENT_STREAMS_AVAILABLE);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    assert_int_equal(pair.client.event_count, 1);
    assert_int_equal(pair.client.events[0].type, ROAM_EVENT_CLOSED);
    assert_int_equal(pair.client.events[0].error->code, ROAM_INTERNAL_ERROR);
    client.memory.refuses = false;
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(pair_count_events(&pair.server, ROAM_EVENT_CLOSED), 1);
    assert_int_equal(pair_count_events(&pair.client, ROAM_EVENT_CLOSED), 1);
    pair_stop(&pair);
    assert_int_equal(client.memory.bytes_out, 0);
    assert_int_equal(server.memory.bytes_out, 0);
}

static bool refuse_the_servers_events(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)datagram;
    if (to_server && of->server.conn == NULL)
        server.memory.refused = server.memory.allocations + *(size_t *)of->hook_context;
    return true;
}

/* Of whom the application has not heard, it hears nothing: neither its end. */
static void who_was_not_announced_is_not_heard_of(void **state)
{
    (void)state;
    size_t n = 1;
    for (bool more = true; more; n++) {
        begin_in_peace();
        pair.hook = refuse_the_servers_events;
        pair.hook_context = &n;
        server.memory.refused_more = 1;
        pair_run(&pair, ROAM_SECONDS(5));
        bool announced = pair_count_events(&pair.server, ROAM_EVENT_ACCEPTED) > 0;
        assert_true(announced || pair.server.event_count == 0);
        more = server.memory.allocations >= server.memory.refused;
        assert_true(more || announced);
        pair_stop(&pair);
        assert_int_equal(server.memory.bytes_out, 0);
    }
    assert_in_range(n, 10, 1000);
}

static void no_endpoint_and_no_connection_begin_without_memory(void **state)
{
    (void)state;
    struct counting_allocator memory = {0};
    const roam_address local = {.family = ROAM_FAMILY_IPV4, .ip = {192, 0, 2, 1}, .port = 4000};
    size_t n = 1;
    for (bool done = false; !done; n++) {
        pair_prepare(&config);
        roam_credentials *credentials = roam_credentials_new();
        assert_non_null(credentials);
        config.client.credentials = credentials;
        config.client.local = &local;
        config.client_endpoint.allocator = counting_allocator(&memory);
        memory = (struct counting_allocator){.refused = n};
        roam_result result = ROAM_OK;
        roam_conn *conn = NULL;
        roam_endpoint *endpoint = roam_endpoint_new(&config.client_endpoint, ROAM_SECONDS(1), &result);
        if (endpoint != NULL)
            conn = roam_connect(endpoint, "203.0.113.5", 443, &config.client, ROAM_SECONDS(1), &result);
        done = memory.allocations < n;
        assert_true(conn != NULL || !done);
        assert_int_equal(result, conn != NULL ? ROAM_OK : ROAM_ERR_MEMORY);
        roam_endpoint_free(endpoint);
        roam_credentials_free(credentials);
        assert_int_equal(memory.bytes_out, 0);
    }
    assert_in_range(n, 10, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_refused),
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(each_allocation_fails_with_those_behind_it),
        cmocka_unit_test(whoever_misses_an_event_is_told_of_the_end),
        cmocka_unit_test(who_was_not_announced_is_not_heard_of),
        cmocka_unit_test(no_endpoint_and_no_connection_begin_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
