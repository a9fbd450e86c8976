/* A server's name leads to several addresses, and the first does not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conn/conn.h"
#include "unit/pair.h"

//= rfc9000#9.5-3 Never use one destination CID toward more than one peer address.

static struct pair pair;
static struct pair_config config;

/* Which addresses of the server's nobody is at, and what went there. */
static struct world {
    const char *dead;
    roam_time dead_until;
    roam_cid dcids[2]; /* of the newest Initial to the dead one, and to the other */
    uint64_t to_dead;
} world;

static roam_address address_of(const char *text)
{
    roam_address address;
    assert_true(roam_address_parse(&address, text));
    return address;
}

static bool only_some_are_there(struct pair *moved, bool to_server, roam_datagram *datagram)
{
    if (!to_server)
        return true;
    roam_address dead = address_of(world.dead);
    bool lost = roam_address_equal(&datagram->local, &dead);
    if ((datagram->data[0] & 0xf0) == 0xc0) {
        roam_cid *dcid = &world.dcids[lost ? 0 : 1];
        dcid->len = datagram->data[5];
        memcpy(dcid->bytes, datagram->data + 6, dcid->len);
    }
    world.to_dead += lost;
    return !lost || moved->now >= world.dead_until;
}

static roam_result resolve(const char *const *texts, const roam_address *local)
{
    roam_address addresses[3];
    size_t n = 0;
    roam_config client = config.client;
    client.local = local;
    pair.hook = only_some_are_there;
    for (; texts[n] != NULL; n++)
        addresses[n] = address_of(texts[n]);
    roam_result result;
    pair.client.conn =
        roam_connect(pair.client.endpoint, "localhost", pair.server_address.port, &client, pair.now, &result);
    assert_non_null(pair.client.conn);
    roam_conn_resolved(pair.client.conn, pair.now, addresses, n);
    return result;
}

static void start(const char *dead, roam_time for_so_long)
{
    pair_prepare(&config);
    pair_start(&pair, &config);
    world = (struct world){.dead = dead, .dead_until = for_so_long == 0 ? ROAM_TIME_NEVER : pair.now + for_so_long};
}

static void the_next_address_is_asked_when_the_first_is_silent(void **state)
{
    (void)state;
    start("203.0.113.77:443", 0);
    roam_time begun = pair.now;
    resolve((const char *const[]){"203.0.113.77", "203.0.113.5", NULL}, &pair.client_address);
    pair_handshake(&pair);
    assert_true(roam_address_equal(roam_conn_remote_address(pair.client.conn), &pair.server_address));
    assert_true(pair.now - begun < ROAM_MILLISECONDS(1500));
    assert_false(roam_cid_equal(&world.dcids[0], &world.dcids[1]));
    assert_true(world.to_dead <= 2);
    assert_true(pair_carries(&pair, "hello", ROAM_SECONDS(1)));
    pair_stop(&pair);
}

static void the_addresses_are_asked_in_turn_until_one_answers(void **state)
{
    (void)state;
    start("203.0.113.5:443", ROAM_SECONDS(2));
    resolve((const char *const[]){"203.0.113.5", "203.0.113.5", NULL}, &pair.client_address);
    pair_handshake(&pair);
    assert_true(roam_address_equal(roam_conn_remote_address(pair.client.conn), &pair.server_address));
    pair_stop(&pair);
}

static void the_next_address_may_be_of_the_other_family(void **state)
{
    (void)state;
    start("[2001:db8::77]:443", 0);
    roam_address port_only = {.port = 50000};
    resolve((const char *const[]){"2001:db8::77", "203.0.113.5", NULL}, &port_only);
    pair_handshake(&pair);
    assert_true(roam_address_equal(roam_conn_remote_address(pair.client.conn), &pair.server_address));
    assert_int_equal(roam_conn_local_address(pair.client.conn)->family, ROAM_FAMILY_IPV4);
    pair_stop(&pair);
}

/* A socket that is bound to an address of one family sends to no other. */
static void an_address_that_the_socket_cannot_reach_is_passed_over(void **state)
{
    (void)state;
    start("203.0.113.77:443", 0);
    resolve((const char *const[]){"203.0.113.77", "2001:db8::5", "203.0.113.5", NULL}, &pair.client_address);
    pair_handshake(&pair);
    assert_true(roam_address_equal(roam_conn_remote_address(pair.client.conn), &pair.server_address));
    pair_stop(&pair);
}

static bool answers_are_lost(struct pair *moved, bool to_server, roam_datagram *datagram)
{
    (void)datagram;
    return to_server || moved->now < world.dead_until;
}

static void who_has_answered_once_is_the_server(void **state)
{
    (void)state;
    start("203.0.113.77:443", ROAM_MILLISECONDS(30));
    resolve((const char *const[]){"203.0.113.5", "203.0.113.77", NULL}, &pair.client_address);
    /* The first flight of the server's comes through, and then nothing more. */
    pair.hook = answers_are_lost;
    pair_run(&pair, ROAM_SECONDS(8));
    assert_true(roam_address_equal(roam_conn_remote_address(pair.client.conn), &pair.server_address));
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_address_is_asked_when_the_first_is_silent),
        cmocka_unit_test(the_addresses_are_asked_in_turn_until_one_answers),
        cmocka_unit_test(the_next_address_may_be_of_the_other_family),
        cmocka_unit_test(an_address_that_the_socket_cannot_reach_is_passed_over),
        cmocka_unit_test(who_has_answered_once_is_the_server),
    };
    return cmocka_run_group_tests_name("alternates", tests, NULL, NULL);
}
