/* Tests of the simulated world itself: a network that does not do what it says proves nothing about who runs in it. */
#include "sim/self_test.h"

#include <stdlib.h>
#include <string.h>

#include "sim/nat.h"
#include "sim/pump.h"
#include "sim/sim_alloc.h"

static const char *failure;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition) && failure == NULL)                                                                           \
            failure = #condition;                                                                                      \
    } while (0)

/* A leaf that keeps what comes. */
#define SINK_MAX 1024

struct sink {
    struct node node;
    size_t count;
    struct {
        roam_time time;
        roam_address src, dst;
        size_t len;
        uint8_t ecn, first;
    } got[SINK_MAX];
};

static void sink_from_above(struct node *node, struct sim_packet *packet)
{
    struct sink *sink = (struct sink *)node;
    if (sink->count < SINK_MAX) {
        sink->got[sink->count].time = world_now(node->world);
        sink->got[sink->count].src = packet->src;
        sink->got[sink->count].dst = packet->dst;
        sink->got[sink->count].len = packet->len;
        sink->got[sink->count].ecn = packet->ecn;
        sink->got[sink->count].first = packet->data[0];
    }
    sink->count++;
    world_packet_free(packet);
}

static void sink_init(struct sink *sink, struct world *world, const char *name, const char *ip, struct node *parent,
                      const struct link_config *link)
{
    memset(sink, 0, sizeof(*sink));
    roam_address address = sim_address(ip);
    node_init(&sink->node, world, name, &address);
    sink->node.from_above = sink_from_above;
    node_attach(&sink->node, parent, link, link);
}

static void send(struct sink *from, const char *src, const char *dst, size_t len)
{
    uint8_t data[SIM_PACKET_MAX];
    memset(data, 0x55, sizeof(data));
    roam_address s = sim_address(src), d = sim_address(dst);
    link_send(from->node.up, world_packet_new(from->node.world, &s, &d, ROAM_ECN_ECT0, data, len));
}

static void run_all(struct world *world)
{
    while (world_step(world))
        continue;
    sim_clock_check(&world->clock);
}

/* ---- Randomness, memory, time ---------------------------------------------------------------------------------- */

static void streams_of_randomness_repeat_and_differ_by_name(void)
{
    struct sim_rng a, b, c;
    sim_rng_init(&a, 7, "x");
    sim_rng_init(&b, 7, "x");
    sim_rng_init(&c, 7, "y");
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t word = sim_rng_u64(&a);
        CHECK(word == sim_rng_u64(&b));
        same += word == sim_rng_u64(&c);
    }
    CHECK(same == 0);
    unsigned counts[10] = {0};
    for (int i = 0; i < 100000; i++)
        counts[sim_rng_below(&a, 10)]++;
    for (int i = 0; i < 10; i++)
        CHECK(counts[i] > 9500 && counts[i] < 10500);
    CHECK(!sim_rng_chance(&a, 0) && sim_rng_chance(&a, 1000000));
}

static void memory_is_counted_and_wrong_sizes_are_noticed(void)
{
    struct sim_alloc alloc;
    sim_alloc_init(&alloc);
    roam_allocator adapter = sim_alloc_adapter(&alloc);
    void *a = adapter.reallocate(adapter.context, NULL, 0, 100);
    void *b = adapter.reallocate(adapter.context, NULL, 0, 50);
    CHECK(alloc.blocks == 2 && alloc.bytes == 150 && alloc.mistakes == 0);
    memset(a, 1, 100);
    a = adapter.reallocate(adapter.context, a, 100, 200);
    CHECK(alloc.bytes == 250 && ((uint8_t *)a)[99] == 1 && alloc.mistakes == 0);
    adapter.reallocate(adapter.context, b, 51, 0);
    CHECK(alloc.mistakes == 1 && alloc.blocks == 1);
    alloc.fail_from = alloc.allocations;
    alloc.fail_to = alloc.fail_from + 1;
    CHECK(adapter.reallocate(adapter.context, a, 200, 300) == NULL && alloc.bytes == 200);
    adapter.reallocate(adapter.context, a, 200, 0);
    CHECK(alloc.blocks == 0 && alloc.bytes == 0 && alloc.bytes_peak == 350);
    sim_alloc_done(&alloc);
}

struct noted {
    struct sim_event event;
    int number;
};
static int noted_order[8], noted_count;

static void note(struct sim_event *event)
{
    noted_order[noted_count++] = SIM_CONTAINER(event, struct noted, event)->number;
}

static void events_fire_in_order_of_time_and_then_of_setting(void)
{
    struct sim_clock clock;
    struct noted events[5];
    sim_clock_init(&clock, 0);
    noted_count = 0;
    for (int i = 0; i < 5; i++) {
        sim_event_init(&events[i].event, note);
        events[i].number = i;
    }
    sim_clock_set(&clock, &events[0].event, 30);
    sim_clock_set(&clock, &events[1].event, 10);
    sim_clock_set(&clock, &events[2].event, 10);
    sim_clock_set(&clock, &events[3].event, 20);
    sim_clock_set(&clock, &events[4].event, 5);
    sim_clock_set(&clock, &events[4].event, 40);
    sim_clock_set(&clock, &events[3].event, ROAM_TIME_NEVER);
    sim_clock_check(&clock);
    while (sim_clock_step(&clock))
        sim_clock_check(&clock);
    const int expected[] = {1, 2, 0, 4};
    CHECK(noted_count == 4 && memcmp(noted_order, expected, sizeof(expected)) == 0 && clock.now == 40);
    sim_clock_done(&clock);
}

static void content_follows_from_key_and_offset(void)
{
    uint8_t whole[100], parts[100];
    content_fill(9, 1000, whole, 100);
    for (size_t at = 0; at < 100; at += 7)
        content_fill(9, 1000 + at, parts + at, at + 7 <= 100 ? 7 : 100 - at);
    CHECK(memcmp(whole, parts, 100) == 0);
    content_fill(10, 1000, parts, 100);
    CHECK(memcmp(whole, parts, 100) != 0);
}

/* ---- Links ----------------------------------------------------------------------------------------------------- */

struct two {
    struct world world;
    struct sink a, b;
};

static struct two *two_new(const struct link_config *link, uint64_t seed)
{
    static const struct link_config free_link;
    struct two *two = calloc(1, sizeof(*two));
    if (two == NULL)
        abort();
    world_init(&two->world, seed, NULL);
    sink_init(&two->a, &two->world, "a", "192.0.2.1", &two->world.internet, link);
    sink_init(&two->b, &two->world, "b", "192.0.2.2", &two->world.internet, &free_link);
    return two;
}

static void two_free(struct two *two)
{
    world_done(&two->world);
    free(two);
}

static size_t two_run(struct two *two, size_t n, size_t len)
{
    for (size_t i = 0; i < n; i++)
        send(&two->a, "192.0.2.1:1000", "192.0.2.2:2000", len);
    run_all(&two->world);
    return two->b.count;
}

static void a_link_delays(void)
{
    struct two *two = two_new(&(struct link_config){.delay = ROAM_MILLISECONDS(7)}, 1);
    roam_time start = world_now(&two->world);
    CHECK(two_run(two, 1, 100) == 1);
    CHECK(two->b.got[0].time == start + ROAM_MILLISECONDS(7) && two->b.got[0].len == 100);
    CHECK(two->b.got[0].src.port == 1000 && two->b.got[0].ecn == ROAM_ECN_ECT0);
    two_free(two);
}

static void a_rate_spaces_and_a_full_queue_drops(void)
{
    /* 1000 octets with 28 of headers at 8.224 Mbit/s: 1 ms each. */
    struct two *two = two_new(&(struct link_config){.rate_bits_per_s = 8224000, .queue_bytes = 10280}, 1);
    roam_time start = world_now(&two->world);
    size_t n = two_run(two, 100, 1000);
    CHECK(n >= 10 && n <= 12);
    CHECK(two->b.got[0].time == start + ROAM_MILLISECONDS(1) && two->b.got[9].time == start + ROAM_MILLISECONDS(10));
    CHECK(two->world.stats.dropped[SIM_DROP_QUEUE] == 100 - n);
    two_free(two);
}

static void a_link_loses_as_often_as_it_says(void)
{
    struct two *two = two_new(&(struct link_config){.loss_ppm = 100000}, 1);
    size_t n = two_run(two, 10000, 10);
    CHECK(n > 8800 && n < 9200);
    two_free(two);
    two = two_new(&(struct link_config){.burst_begin_ppm = 10000, .burst_end_ppm = 200000}, 1);
    n = two_run(two, 10000, 10);
    CHECK(n > 9000 && n < 9800);
    two_free(two);
    two = two_new(&(struct link_config){0}, 1);
    two->a.node.up->drop_mask = 5;
    CHECK(two_run(two, 4, 10) == 2);
    two_free(two);
}

static void a_link_reorders_only_where_told(void)
{
    struct two *two = two_new(&(struct link_config){.delay = 1000, .jitter = ROAM_MILLISECONDS(50)}, 1);
    for (size_t i = 1; i <= 200; i++)
        send(&two->a, "192.0.2.1:1000", "192.0.2.2:2000", i);
    run_all(&two->world);
    for (size_t i = 0; i < 200; i++)
        CHECK(two->b.got[i].len == i + 1);
    two_free(two);
    two = two_new(&(struct link_config){.reorder_ppm = 100000, .reorder_delay = 1000}, 1);
    for (size_t i = 1; i <= 200; i++)
        send(&two->a, "192.0.2.1:1000", "192.0.2.2:2000", i);
    run_all(&two->world);
    size_t swaps = 0;
    for (size_t i = 1; i < 200; i++)
        swaps += two->b.got[i].len < two->b.got[i - 1].len;
    CHECK(two->b.count == 200 && swaps > 0);
    two_free(two);
}

static void a_link_duplicates_corrupts_marks_and_has_a_largest_size(void)
{
    struct two *two = two_new(&(struct link_config){.duplicate_ppm = 1000000}, 1);
    CHECK(two_run(two, 10, 10) == 20);
    two_free(two);
    two = two_new(&(struct link_config){.corrupt_ppm = 1000000}, 1);
    CHECK(two_run(two, 200, 1) == 200);
    size_t changed = 0;
    for (size_t i = 0; i < 200; i++) {
        changed += two->b.got[i].first != 0x55;
        CHECK((two->b.got[i].first & 0x80) == 0);
    }
    CHECK(changed > 100);
    two_free(two);
    two = two_new(&(struct link_config){.mtu_bytes = 1300, .ce_ppm = 1000000}, 1);
    send(&two->a, "192.0.2.1:1000", "192.0.2.2:2000", 1301);
    CHECK(two_run(two, 1, 1300) == 1 && two->b.got[0].ecn == ROAM_ECN_CE);
    two_free(two);
    two = two_new(&(struct link_config){.ecn_bleach = true}, 1);
    CHECK(two_run(two, 1, 10) == 1 && two->b.got[0].ecn == ROAM_ECN_NOT_ECT);
    two->a.node.up->down = true;
    CHECK(two_run(two, 1, 10) == 1);
    two_free(two);
}

static void equal_seeds_have_equal_traces(void)
{
    uint64_t hashes[3];
    for (int i = 0; i < 3; i++) {
        struct two *two = two_new(&(struct link_config){.loss_ppm = 300000, .jitter = 1000}, i == 2 ? 6 : 5);
        two_run(two, 100, 10);
        hashes[i] = two->world.trace.hash;
        two_free(two);
    }
    CHECK(hashes[0] == hashes[1] && hashes[0] != hashes[2]);
}

/* ---- NATs ------------------------------------------------------------------------------------------------------ */

struct natted {
    struct world world;
    struct nat *outer, *inner;
    struct sink in, server, stranger;
};

static struct natted *natted_new(const struct nat_config *config, bool twice)
{
    static const struct link_config link;
    struct natted *net = calloc(1, sizeof(*net));
    if (net == NULL)
        abort();
    world_init(&net->world, 3, NULL);
    net->outer = nat_new(&net->world, "outer", "198.51.100.1", config);
    node_attach(&net->outer->node, &net->world.internet, &link, &link);
    struct node *parent = &net->outer->node;
    if (twice) {
        net->inner = nat_new(&net->world, "inner", "100.64.0.1", config);
        node_attach(&net->inner->node, parent, &link, &link);
        parent = &net->inner->node;
    }
    sink_init(&net->in, &net->world, "in", "192.168.1.10", parent, &link);
    sink_init(&net->server, &net->world, "server", "203.0.113.5", &net->world.internet, &link);
    sink_init(&net->stranger, &net->world, "stranger", "203.0.113.9", &net->world.internet, &link);
    return net;
}

static void natted_free(struct natted *net)
{
    world_done(&net->world);
    free(net);
}

/* Out to the server, and what it saw as the source. */
static roam_address go_out(struct natted *net, const char *to)
{
    struct sink *sink = strncmp(to, "203.0.113.5", 11) == 0 ? &net->server : &net->stranger;
    size_t before = sink->count;
    send(&net->in, "192.168.1.10:50000", to, 10);
    run_all(&net->world);
    CHECK(sink->count == before + 1);
    return sink->got[sink->count - 1].src;
}

/* Whether what `from` sends to that address gets in. */
static bool gets_in(struct natted *net, struct sink *from, const char *src, const roam_address *to)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    size_t before = net->in.count;
    send(from, src, roam_address_format(to, text), 10);
    run_all(&net->world);
    bool in = net->in.count == before + 1;
    CHECK(!in || net->in.got[before].dst.port == 50000);
    return in;
}

static void each_kind_of_nat_lets_in_whom_it_should(void)
{
    static const struct {
        bool same_port_for_all, other_port, stranger;
    } expected[] = {
        [NAT_FULL_CONE] = {true, true, true},
        [NAT_ADDRESS_RESTRICTED] = {true, true, false},
        [NAT_PORT_RESTRICTED] = {true, false, false},
        [NAT_SYMMETRIC] = {false, false, false},
    };
    for (size_t kind = NAT_FULL_CONE; kind <= NAT_SYMMETRIC; kind++) {
        for (int twice = 0; twice < 2; twice++) {
            struct natted *net = natted_new(&(struct nat_config){.kind = (enum nat_kind)kind}, twice == 1);
            roam_address seen = go_out(net, "203.0.113.5:443");
            CHECK(roam_address_same_ip(&seen, &net->outer->node.ip) && seen.port != 50000);
            CHECK(gets_in(net, &net->server, "203.0.113.5:443", &seen));
            CHECK(gets_in(net, &net->server, "203.0.113.5:444", &seen) == expected[kind].other_port);
            CHECK(gets_in(net, &net->stranger, "203.0.113.9:443", &seen) == expected[kind].stranger);
            roam_address again = go_out(net, "203.0.113.5:443");
            CHECK(roam_address_equal(&seen, &again));
            roam_address other = go_out(net, "203.0.113.9:443");
            CHECK(roam_address_equal(&seen, &other) == expected[kind].same_port_for_all);
            natted_free(net);
        }
    }
}

static void a_nat_forgets_by_time_and_by_reboot(void)
{
    struct natted *net = natted_new(&(struct nat_config){.kind = NAT_FULL_CONE, .timeout = ROAM_SECONDS(30)}, false);
    roam_address first = go_out(net, "203.0.113.5:443");
    world_run(&net->world, world_now(&net->world) + ROAM_SECONDS(31));
    CHECK(!gets_in(net, &net->server, "203.0.113.5:443", &first));
    roam_address second = go_out(net, "203.0.113.5:443");
    CHECK(!roam_address_equal(&first, &second));
    nat_reboot(net->outer);
    CHECK(!gets_in(net, &net->server, "203.0.113.5:443", &second));
    natted_free(net);
    net = natted_new(&(struct nat_config){.kind = NAT_FULL_CONE, .port_preserving = true}, false);
    CHECK(go_out(net, "203.0.113.5:443").port == 50000);
    nat_reboot(net->outer);
    CHECK(go_out(net, "203.0.113.5:443").port == 50000);
    natted_free(net);
}

static void a_nat_changes_ports_and_addresses(void)
{
    struct natted *net = natted_new(&(struct nat_config){.kind = NAT_PORT_RESTRICTED}, false);
    roam_address first = go_out(net, "203.0.113.5:443");
    nat_change_ports(net->outer, true);
    roam_address second = go_out(net, "203.0.113.5:443");
    CHECK(first.port != second.port && gets_in(net, &net->server, "203.0.113.5:443", &first));
    nat_change_ports(net->outer, false);
    roam_address third = go_out(net, "203.0.113.5:443");
    CHECK(second.port != third.port && !gets_in(net, &net->server, "203.0.113.5:443", &second));
    nat_change_address(net->outer, "198.51.100.2", true);
    roam_address fourth = go_out(net, "203.0.113.5:443");
    CHECK(fourth.port == third.port && !roam_address_same_ip(&third, &fourth));
    CHECK(!gets_in(net, &net->server, "203.0.113.5:443", &third));
    CHECK(gets_in(net, &net->server, "203.0.113.5:443", &fourth));
    roam_address inside = sim_address("192.168.1.10:50000");
    nat_set_port(net->outer, &inside, 53);
    CHECK(go_out(net, "203.0.113.5:443").port == 53);
    CHECK(nat_outside(net->outer, &inside).port == 53);
    net->outer->port_for_every_packet = true;
    roam_address fifth = go_out(net, "203.0.113.5:443");
    CHECK(go_out(net, "203.0.113.5:443").port != fifth.port);
    natted_free(net);
}

static void a_prefix_translation_keeps_ports_and_hosts(void)
{
    static const struct link_config link;
    struct natted *net = calloc(1, sizeof(*net));
    if (net == NULL)
        abort();
    world_init(&net->world, 3, NULL);
    net->outer = nat_new(&net->world, "outer", "2001:db8:1::", &(struct nat_config){.kind = NAT_PREFIX});
    nat_set_inside_prefix(net->outer, "fd00::");
    node_attach(&net->outer->node, &net->world.internet, &link, &link);
    sink_init(&net->in, &net->world, "in", "fd00::10", &net->outer->node, &link);
    sink_init(&net->server, &net->world, "server", "2001:db8:5::5", &net->world.internet, &link);
    send(&net->in, "[fd00::10]:50000", "[2001:db8:5::5]:443", 10);
    run_all(&net->world);
    roam_address expected = sim_address("[2001:db8:1::10]:50000");
    CHECK(net->server.count == 1 && roam_address_equal(&net->server.got[0].src, &expected));
    send(&net->server, "[2001:db8:5::5]:443", "[2001:db8:1::10]:50000", 10);
    run_all(&net->world);
    CHECK(net->in.count == 1);
    nat_change_address(net->outer, "2001:db8:2::", true);
    send(&net->in, "[fd00::10]:50000", "[2001:db8:5::5]:443", 10);
    run_all(&net->world);
    expected = sim_address("[2001:db8:2::10]:50000");
    CHECK(net->server.count == 2 && roam_address_equal(&net->server.got[1].src, &expected));
    natted_free(net);
}

int self_test_run(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
#define TEST(function) {#function, function}
        TEST(streams_of_randomness_repeat_and_differ_by_name),
        TEST(memory_is_counted_and_wrong_sizes_are_noticed),
        TEST(events_fire_in_order_of_time_and_then_of_setting),
        TEST(content_follows_from_key_and_offset),
        TEST(a_link_delays),
        TEST(a_rate_spaces_and_a_full_queue_drops),
        TEST(a_link_loses_as_often_as_it_says),
        TEST(a_link_reorders_only_where_told),
        TEST(a_link_duplicates_corrupts_marks_and_has_a_largest_size),
        TEST(equal_seeds_have_equal_traces),
        TEST(each_kind_of_nat_lets_in_whom_it_should),
        TEST(a_nat_forgets_by_time_and_by_reboot),
        TEST(a_nat_changes_ports_and_addresses),
        TEST(a_prefix_translation_keeps_ports_and_hosts),
#undef TEST
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        failure = NULL;
        tests[i].run();
        printf("%-4s %s%s%s\n", failure == NULL ? "ok" : "FAIL", tests[i].name, failure == NULL ? "" : ": ",
               failure == NULL ? "" : failure);
        failed += failure != NULL;
    }
    printf("%zu passed, %d failed\n", sizeof(tests) / sizeof(tests[0]) - (size_t)failed, failed);
    return failed;
}
