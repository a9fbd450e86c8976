/* The sockets of an event loop: those of past moves are closed when no path uses them, and a table is looked through for that
 * only where there are such sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "counting_allocator.h"
#include "io/loop.h"

static const char *const alpn[] = {"sockets", NULL};

static struct counting_allocator counting;
static roam_io *io;
static roam_conn *conn;
static roam_address home;

/* A connection to where nobody is, at a socket on loopback. */
static int set_up(void **state)
{
    (void)state;
    roam_endpoint_config endpoint_config;
    roam_config config;
    memset(&counting, 0, sizeof(counting));
    roam_endpoint_config_init(&endpoint_config);
    endpoint_config.allocator = counting_allocator(&counting);
    io = roam_io_new(&endpoint_config, NULL, NULL);
    assert_non_null(io);
    assert_true(roam_address_parse(&home, "127.0.0.1:0"));
    assert_int_equal(roam_io_bind(io, &home, &home), ROAM_OK);
    roam_config_init(&config);
    config.alpn = alpn;
    config.local = &home;
    conn = roam_connect(roam_io_endpoint(io), "127.0.0.1", 9, &config, roam_io_now(io), NULL);
    assert_non_null(conn);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    roam_conn_free(conn, roam_io_now(io));
    roam_io_free(io);
    assert_int_equal(counting.bytes_out, 0);
    return 0;
}

static void a_table_is_not_looked_through_for_nothing(void **state)
{
    (void)state;
    size_t before = counting.allocations;
    io_sweep_sockets(io);
    assert_int_equal(counting.allocations, before);
    assert_non_null(io_socket_find(io, &home));
}

static void a_socket_of_a_past_move_is_closed_and_one_in_use_is_not(void **state)
{
    (void)state;
    roam_address left = {0};
    struct io_socket *socket;
    assert_true(roam_address_parse(&left, "127.0.0.1:0"));
    assert_int_equal(io_socket_open(io, &left, &socket), ROAM_OK);
    left = socket->udp.local;
    socket->moving = true;
    io_socket_find(io, &home)->moving = true;
    io_sweep_sockets(io);
    assert_null(io_socket_find(io, &left));
    assert_non_null(io_socket_find(io, &home));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_table_is_not_looked_through_for_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_of_a_past_move_is_closed_and_one_in_use_is_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
