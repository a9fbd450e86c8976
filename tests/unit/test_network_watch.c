/* The host's addresses: what follows from a list of them, the two ways to get one, and a watch's life. What happens
 * when networks change is seen in tests/cli/test-networks.py, where there are some that may be changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/network_watch.h"
#include "unit/counting_allocator.h"

static struct host_address address_of(const char *text, const char *name, uint64_t route_rank)
{
    struct host_address address = {.usable = true, .route_rank = route_rank};
    assert_true(roam_address_parse(&address.ip, text));
    snprintf(address.name, sizeof(address.name), "%s", name);
    return address;
}

static void the_better_default_route_is_the_default(void **state)
{
    (void)state;
    struct host_address entries[] = {
        address_of("192.0.2.1", "wlan0", 600),
        address_of("192.0.2.2", "eth0", 100),
        address_of("192.0.2.3", "docker0", NO_DEFAULT_ROUTE),
        address_of("2001:db8::1", "wlan0", 1024),
    };
    const struct host_addresses list = {.entries = entries, .count = 4};
    assert_false(host_address_is_default(&list, &entries[0]));
    assert_true(host_address_is_default(&list, &entries[1]));
    assert_false(host_address_is_default(&list, &entries[2]));
    /* Each family has its own. */
    assert_true(host_address_is_default(&list, &entries[3]));
    /* What cannot be used leads nowhere. */
    entries[1].usable = false;
    assert_true(host_address_is_default(&list, &entries[0]));
    assert_false(host_address_is_default(&list, &entries[1]));
}

static bool has(const struct host_addresses *list, const struct host_address *wanted)
{
    for (size_t i = 0; i < list->count; i++)
        if (roam_address_same_ip(&list->entries[i].ip, &wanted->ip) &&
            list->entries[i].interface_index == wanted->interface_index &&
            strcmp(list->entries[i].name, wanted->name) == 0)
            return true;
    return false;
}

static void both_sources_list_the_same_addresses(void **state)
{
    (void)state;
    roam_allocator allocator = roam_allocator_default();
    struct host_addresses netlink = {.allocator = &allocator}, polling = {.allocator = &allocator};
    if (!network_source_netlink.list(&netlink))
        skip();
    assert_true(network_source_polling.list(&polling));
    assert_int_equal(netlink.count, polling.count);
    for (size_t i = 0; i < netlink.count; i++) {
        assert_true(has(&polling, &netlink.entries[i]));
        assert_int_not_equal(netlink.entries[i].ip.ip[0], 127);
    }
    host_addresses_done(&netlink);
    host_addresses_done(&polling);
}

static void nothing(void *context)
{
    (void)context;
}

static void count(void *context)
{
    ++*(int *)context;
}

static void live_and_die(const struct network_source *source)
{
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    uv_loop_t loop;
    int stopped = 0;
    uv_loop_init(&loop);
    struct network_watch *watch = network_watch_start(&loop, &allocator, source, nothing, NULL);
    if (watch != NULL) {
        assert_true(source == NULL || strcmp(network_watch_source(watch), source->name) == 0);
        for (size_t i = 0; i < network_watch_list(watch)->count; i++)
            assert_true(roam_address_is_set(&network_watch_list(watch)->entries[i].ip));
        uv_run(&loop, UV_RUN_NOWAIT);
        network_watch_stop(watch, count, &stopped);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(stopped, 1);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(counting.bytes_out, 0);
}

static void a_watch_leaves_nothing_behind(void **state)
{
    (void)state;
    live_and_die(NULL);
    live_and_die(&network_source_netlink);
    live_and_die(&network_source_polling);
}

static void nothing_leads_to_the_other_family(void **state)
{
    (void)state;
    roam_allocator allocator = roam_allocator_default();
    uv_loop_t loop;
    const struct host_address ipv4 = address_of("192.0.2.1", "eth0", 0);
    roam_address ipv6;
    roam_address_parse(&ipv6, "2001:db8::1");
    uv_loop_init(&loop);
    struct network_watch *watch = network_watch_start(&loop, &allocator, NULL, nothing, NULL);
    if (watch != NULL) {
        assert_false(network_watch_leads(watch, &ipv4, &ipv6));
        network_watch_stop(watch, NULL, NULL);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_better_default_route_is_the_default),
        cmocka_unit_test(both_sources_list_the_same_addresses),
        cmocka_unit_test(a_watch_leaves_nothing_behind),
        cmocka_unit_test(nothing_leads_to_the_other_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
