/* Which connection a datagram belongs to, and how long CIDs that are retired are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "counting_allocator.h"
#include "endpoint/conn_table.h"
#include "pair.h"
#include "seeded.h"

static struct counting_allocator counting;
static roam_allocator allocator;
static struct seeded seed;
static struct conn_table table;

static void fill(void *context, void *buf, size_t len)
{
    seeded_fill(context, buf, len);
}

static const roam_rng rng = {.fill = fill, .context = &seed};

static void set_up(void)
{
    counting = (struct counting_allocator){0};
    allocator = counting_allocator(&counting);
    conn_table_init(&table, &allocator, &rng);
}

static void tear_down(void)
{
    conn_table_done(&table);
    assert_int_equal(counting.bytes_out, 0);
}

static roam_cid cid_of(uint32_t number)
{
    roam_cid ret = {.len = 8};
    memcpy(ret.bytes, &number, sizeof(number));
    return ret;
}

/* The table never looks into a connection. */
static roam_conn *conn_of(uintptr_t number)
{
    return (roam_conn *)(0x10000 + number * 64);
}

static void add(uint32_t number)
{
    const roam_cid cid = cid_of(number);
    assert_true(conn_table_add(&table, &cid, conn_of(number)));
}

static void retire(uint32_t number, roam_time now)
{
    const roam_cid cid = cid_of(number);
    conn_table_quarantine(&table, &cid, now);
}

/* Whose it is, or NULL; both ways of asking must agree. */
static roam_conn *find(uint32_t number, bool *ret_retired)
{
    const roam_cid cid = cid_of(number);
    roam_conn *found = conn_table_find(&table, &cid, ret_retired);
    assert_ptr_equal(conn_table_find_hash(&table, conn_table_prefetch(&table, &cid)), found);
    assert_int_equal(conn_table_has(&table, &cid), found != NULL || *ret_retired);
    return found;
}

static void each_cid_leads_to_its_connection(void **state)
{
    (void)state;
    bool retired;
    set_up();
    for (uint32_t i = 0; i < 1000; i++)
        add(i);
    for (uint32_t i = 0; i < 1000; i++)
        assert_ptr_equal(find(i, &retired), conn_of(i));
    assert_null(find(1000, &retired));
    assert_false(retired);
    const roam_cid gone = cid_of(7);
    conn_table_remove(&table, &gone);
    assert_null(find(7, &retired));
    assert_false(retired);
    tear_down();
}

static void a_retired_cid_leads_to_nobody_until_its_time_is_over(void **state)
{
    (void)state;
    bool retired;
    set_up();
    add(1);
    retire(1, ROAM_SECONDS(1));
    retire(2, ROAM_SECONDS(1)); /* which nobody had */
    assert_null(find(1, &retired));
    assert_true(retired);
    assert_null(find(2, &retired));
    assert_false(retired);
    conn_table_expire(&table, ROAM_SECONDS(1) + QUARANTINE_TIME - 1);
    find(1, &retired);
    assert_true(retired);
    conn_table_expire(&table, ROAM_SECONDS(1) + QUARANTINE_TIME);
    assert_null(find(1, &retired));
    assert_false(retired);
    tear_down();
}

static void the_quarantine_is_bounded_and_forgets_the_oldest(void **state)
{
    (void)state;
    bool retired;
    set_up();
    for (uint32_t i = 0; i < QUARANTINE_MAX + 10; i++) {
        add(i);
        retire(i, i);
    }
    for (uint32_t i = 0; i < QUARANTINE_MAX + 10; i++) {
        assert_null(find(i, &retired));
        assert_int_equal(retired, i >= 10);
    }
    tear_down();
}

static void without_memory_a_retired_cid_is_simply_unknown(void **state)
{
    (void)state;
    bool retired;
    set_up();
    add(1);
    counting.refuses = true;
    retire(1, 0);
    counting.refuses = false;
    assert_null(find(1, &retired));
    assert_false(retired);
    tear_down();
}

static void a_batch_longer_than_what_is_asked_for_ahead_arrives_whole(void **state)
{
    (void)state;
    static struct pair pair;
    static struct pair_config config;
    roam_datagram batch[20];
    uint8_t octets[20][40];
    pair_prepare(&config);
    pair_start(&pair, &config);
    pair_handshake(&pair);
    const uint64_t before = pair_drops(&pair.server, ROAM_DROP_UNKNOWN_CONNECTION);
    for (size_t i = 0; i < 20; i++) {
        memset(octets[i], 0x40 + (int)i, sizeof(octets[i]));
        octets[i][0] = 0x40;
        batch[i] = (roam_datagram){
            .local = pair.server_address, .remote = pair.client_address, .data = octets[i], .len = sizeof(octets[i])};
    }
    roam_endpoint_receive(pair.server.endpoint, pair.now, batch, 20);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_UNKNOWN_CONNECTION), before + 20);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cid_leads_to_its_connection),
        cmocka_unit_test(a_retired_cid_leads_to_nobody_until_its_time_is_over),
        cmocka_unit_test(the_quarantine_is_bounded_and_forgets_the_oldest),
        cmocka_unit_test(without_memory_a_retired_cid_is_simply_unknown),
        cmocka_unit_test(a_batch_longer_than_what_is_asked_for_ahead_arrives_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
