/* The memory of earlier networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "path/path_memory.h"

static roam_address address(const char *text)
{
    roam_address ret;
    assert_true(roam_address_parse(&ret, text));
    return ret;
}

static void save(struct path_memory *memory, const char *local, const char *remote, uint64_t window, roam_time now)
{
    roam_address from = address(local), to = address(remote);
    path_memory_save(memory, &from, &to, window, ROAM_MILLISECONDS(20), now);
}

/* The window that is known; 0: none. */
static uint64_t known(const struct path_memory *memory, const char *local, const char *remote, roam_time now)
{
    roam_address from = address(local), to = address(remote);
    const struct path_memory_entry *entry = path_memory_find(memory, &from, &to, now);
    return entry != NULL ? entry->window_bytes : 0;
}

static void a_network_is_known_by_any_of_its_addresses_and_ports(void **state)
{
    (void)state;
    struct path_memory memory = {0};
    save(&memory, "203.0.113.5:443", "198.51.100.7:1000", 90000, 5);
    assert_int_equal(known(&memory, "203.0.113.5:443", "198.51.100.7:1000", 5), 90000);
    assert_int_equal(known(&memory, "203.0.113.5:443", "198.51.100.250:2000", 6), 90000);
    assert_int_equal(known(&memory, "203.0.113.5:443", "[::ffff:198.51.100.9]:1", 6), 90000);
    assert_int_equal(known(&memory, "203.0.113.5:443", "198.51.101.7:1000", 6), 0);
    assert_int_equal(known(&memory, "203.0.112.5:443", "198.51.100.7:1000", 6), 0);
    save(&memory, "[2001:db8::1]:443", "[2001:db8:1:2::3]:4", 80000, 7);
    assert_int_equal(known(&memory, "[2001:db8::9]:443", "[2001:db8:1:2:ffff::]:4", 7), 80000);
    assert_int_equal(known(&memory, "[2001:db8::9]:443", "[2001:db8:1:3::3]:4", 7), 0);
}

static void the_newest_observation_of_a_network_takes_the_place_of_the_older(void **state)
{
    (void)state;
    struct path_memory memory = {0};
    save(&memory, "203.0.113.5", "198.51.100.7", 90000, 5);
    save(&memory, "203.0.113.5", "198.51.100.8", 30000, 6);
    assert_int_equal(memory.count, 1);
    assert_int_equal(known(&memory, "203.0.113.5", "198.51.100.7", 6), 30000);
}

static void it_is_bounded_and_the_oldest_goes(void **state)
{
    (void)state;
    struct path_memory memory = {0};
    char text[32];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "10.0.%u.1", i);
        save(&memory, "203.0.113.5", text, 1000 + i, i);
        save(&memory, "203.0.113.5", "192.0.2.1", 7, i); /* used again and again, it stays */
        assert_true(memory.count <= PATH_MEMORY_MAX);
        assert_int_equal(known(&memory, "203.0.113.5", "192.0.2.1", i), 7);
        for (unsigned old = 0; old <= i; old++) {
            snprintf(text, sizeof(text), "10.0.%u.1", old);
            bool kept = old + PATH_MEMORY_MAX - 1 > i;
            assert_int_equal(known(&memory, "203.0.113.5", text, i), kept ? 1000 + old : 0);
        }
    }
}

static void what_is_old_is_known_no_more(void **state)
{
    (void)state;
    struct path_memory memory = {0};
    save(&memory, "203.0.113.5", "198.51.100.7", 90000, 5);
    assert_int_equal(known(&memory, "203.0.113.5", "198.51.100.7", 5 + PATH_MEMORY_LIFETIME), 90000);
    assert_int_equal(known(&memory, "203.0.113.5", "198.51.100.7", 6 + PATH_MEMORY_LIFETIME), 0);
}

static void an_address_that_names_no_network_is_not_remembered(void **state)
{
    (void)state;
    struct path_memory memory = {0};
    roam_address none = {0}, to = address("198.51.100.7:1");
    save(&memory, "0.0.0.0:50000", "198.51.100.7", 90000, 5);
    save(&memory, "[::]:50000", "[2001:db8::1]:443", 90000, 5);
    path_memory_save(&memory, &none, &to, 90000, 1, 5);
    assert_int_equal(memory.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_is_known_by_any_of_its_addresses_and_ports),
        cmocka_unit_test(the_newest_observation_of_a_network_takes_the_place_of_the_older),
        cmocka_unit_test(it_is_bounded_and_the_oldest_goes),
        cmocka_unit_test(what_is_old_is_known_no_more),
        cmocka_unit_test(an_address_that_names_no_network_is_not_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
