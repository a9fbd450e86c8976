/* Who looks at the table: walks that take their time, the way from a CID to its connection and back, and the id of a
 * connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/minmax.h"
#include "conn/conn.h"
#include "counting_allocator.h"
#include "pair.h"

#define CONNECTIONS 10
#define ROWS_MAX    32
#define CIDS_MAX    32

static struct pair pair;
static struct pair_config config;
static roam_conn_info rows[ROWS_MAX];

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    pair_start(&pair, &config);
    for (size_t i = 1; i < CONNECTIONS; i++) {
        pair_run(&pair, ROAM_MILLISECONDS(1));
        pair_connect(&pair, &config);
    }
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, rows, ROWS_MAX), CONNECTIONS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

/* The rest of a walk, n rows at a time. */
static size_t walk_on(roam_table_walk *walk, size_t n, roam_conn_info *ret)
{
    size_t count = 0, got;
    do {
        assert_true(count + n <= ROWS_MAX);
        got = roam_table_walk_next(walk, ret + count, n);
        count += got;
    } while (got == n);
    return count;
}

/* The server forgets the connection, and has told its peer. */
static void drop(roam_conn *conn)
{
    size_t before = roam_endpoint_connections(pair.server.endpoint, NULL, 0);
    roam_conn_free(conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(2));
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), before - 1);
}

/* ---- Walks */

static void a_walk_comes_past_each_once_the_oldest_first(void **state)
{
    (void)state;
    for (size_t n = 1; n <= CONNECTIONS + 1; n++) {
        roam_conn_info found[ROWS_MAX];
        roam_table_walk *walk = roam_table_walk_new(pair.server.endpoint, pair.now);
        assert_int_equal(walk_on(walk, n, found), CONNECTIONS);
        for (size_t i = 0; i < CONNECTIONS; i++)
            assert_ptr_equal(found[i].conn, rows[i].conn);
        assert_int_equal(roam_table_walk_next(walk, found, 1), 0);
        roam_table_walk_free(walk);
    }
    roam_table_walk_free(NULL);
}

static void what_comes_after_it_began_is_not_on_its_way(void **state)
{
    (void)state;
    roam_conn_info found[ROWS_MAX];
    roam_table_walk *walk = roam_table_walk_new(pair.server.endpoint, pair.now);
    assert_int_equal(roam_table_walk_next(walk, found, 3), 3);
    pair_run(&pair, ROAM_MILLISECONDS(1));
    pair_connect(&pair, &config);
    pair_handshake(&pair);
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, NULL, 0), CONNECTIONS + 1);
    assert_int_equal(walk_on(walk, 4, found + 3), CONNECTIONS - 3);
    assert_ptr_equal(found[CONNECTIONS - 1].conn, rows[CONNECTIONS - 1].conn);
    roam_table_walk_free(walk);
}

static void those_that_go_take_no_walk_with_them(void **state)
{
    (void)state;
    roam_conn_info found[ROWS_MAX];
    roam_table_walk *walk = roam_table_walk_new(pair.server.endpoint, pair.now);
    roam_table_walk *behind = roam_table_walk_new(pair.server.endpoint, pair.now);
    assert_int_equal(roam_table_walk_next(walk, found, 3), 3);
    /* One that it has passed, the two that it would come to next, and the last. */
    drop(rows[1].conn);
    drop(rows[3].conn);
    drop(rows[4].conn);
    drop(rows[CONNECTIONS - 1].conn);
    assert_int_equal(walk_on(walk, 2, found), CONNECTIONS - 6);
    for (size_t i = 0; i < CONNECTIONS - 6; i++)
        assert_ptr_equal(found[i].conn, rows[i + 5].conn);
    assert_int_equal(walk_on(behind, 3, found), CONNECTIONS - 4);
    assert_ptr_equal(found[0].conn, rows[0].conn);
    assert_ptr_equal(found[1].conn, rows[2].conn);
    roam_table_walk_free(behind);
    /* At its end there is nothing to come to. */
    drop(rows[CONNECTIONS - 2].conn);
    assert_int_equal(roam_table_walk_next(walk, found, 1), 0);
    roam_table_walk_free(walk);
}

static void a_walk_whose_last_goes_is_at_its_end(void **state)
{
    (void)state;
    roam_conn_info found[ROWS_MAX];
    roam_table_walk *walk = roam_table_walk_new(pair.server.endpoint, pair.now);
    assert_int_equal(roam_table_walk_next(walk, found, CONNECTIONS - 1), CONNECTIONS - 1);
    drop(rows[CONNECTIONS - 1].conn);
    assert_int_equal(roam_table_walk_next(walk, found, 1), 0);
    roam_table_walk_free(walk);
}

static void without_memory_there_is_no_walk(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_endpoint_config endpoint_config = config.client_endpoint;
    endpoint_config.allocator = counting_allocator(&counting);
    roam_endpoint *endpoint = roam_endpoint_new(&endpoint_config, pair.now, NULL);
    counting.refuses = true;
    assert_null(roam_table_walk_new(endpoint, pair.now));
    counting.refuses = false;
    roam_table_walk *walk = roam_table_walk_new(endpoint, pair.now);
    assert_int_equal(roam_table_walk_next(walk, rows, 1), 0);
    roam_table_walk_free(walk);
    roam_endpoint_free(endpoint);
    assert_int_equal(counting.bytes_out, 0);
}

/* ---- CIDs */

static void each_cid_of_ours_leads_to_its_connection_and_no_other_does(void **state)
{
    (void)state;
    roam_cid_info cids[CIDS_MAX];
    for (size_t i = 0; i < CONNECTIONS; i++) {
        size_t n = roam_conn_cids(rows[i].conn, cids, CIDS_MAX), ours = 0;
        for (size_t j = 0; j < n; j++) {
            const roam_conn *found = roam_endpoint_find(pair.server.endpoint, &cids[j].cid);
            assert_ptr_equal(found, cids[j].peers ? NULL : rows[i].conn);
            ours += !cids[j].peers;
        }
        assert_true(ours >= 2);
    }
    assert_null(roam_endpoint_find(pair.server.endpoint, &(roam_cid){0}));
    roam_cid unknown = rows[0].cid;
    unknown.bytes[0] ^= 1;
    assert_null(roam_endpoint_find(pair.server.endpoint, &unknown));
    const roam_cid gone = rows[0].cid;
    drop(rows[0].conn);
    assert_null(roam_endpoint_find(pair.server.endpoint, &gone));
}

static void cids_are_listed_ours_first_with_those_in_use(void **state)
{
    (void)state;
    roam_cid_info cids[CIDS_MAX], few[2];
    size_t n = roam_conn_cids(rows[0].conn, cids, CIDS_MAX), in_use[2] = {0};
    assert_in_range(n, 4, CIDS_MAX);
    assert_int_equal(roam_conn_cids(rows[0].conn, few, 2), n);
    assert_true(roam_cid_equal(&few[1].cid, &cids[1].cid));
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || cids[i - 1].peers < cids[i].peers || cids[i - 1].sequence < cids[i].sequence);
        assert_int_equal(cids[i].in_use, cids[i].sequence == 0);
        assert_int_equal(cids[i].used, cids[i].sequence == 0);
        assert_int_equal(cids[i].bytes > 0, cids[i].in_use);
        in_use[cids[i].peers] += cids[i].in_use;
    }
    assert_int_equal(in_use[0], 1);
    assert_int_equal(in_use[1], 1);
}

/* ---- Ids */

static uint64_t id_of(const roam_conn *conn)
{
    roam_conn_info info;
    roam_conn_get_info(conn, &info);
    return info.id;
}

static void an_id_is_of_one_connection_and_stays(void **state)
{
    (void)state;
    uint64_t ids[CONNECTIONS];
    roam_address elsewhere = pair.client_address;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        ids[i] = rows[i].id;
        for (size_t j = 0; j < i; j++)
            assert_true(ids[i] != ids[j]);
    }
    elsewhere.ip[3] ^= 9;
    elsewhere.port = 50009;
    const roam_conn_info before = rows[CONNECTIONS - 1];
    assert_int_equal(roam_conn_migrate(pair.client.conn, pair.now, &elsewhere), ROAM_OK);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(roam_endpoint_connections(pair.server.endpoint, rows, ROWS_MAX), CONNECTIONS);
    const roam_conn_info *after = &rows[CONNECTIONS - 1];
    assert_ptr_equal(after->conn, before.conn);
    assert_false(roam_cid_equal(&after->cid, &before.cid));
    assert_false(roam_address_equal(&after->remote, &before.remote));
    for (size_t i = 0; i < CONNECTIONS; i++)
        assert_true(rows[i].id == ids[i]);
}

/* The allocator gives the memory of one that has gone to the next. */
static void an_id_is_not_that_of_the_place_in_memory(void **state)
{
    (void)state;
    roam_conn conn = *rows[0].conn;
    const uint64_t here = id_of(&conn);
    assert_true(here != rows[0].id);
    conn.created++;
    assert_true(id_of(&conn) != here);
    conn.created--;
    assert_true(id_of(&conn) == here);
    /* Nor can it be computed by who knows both: each endpoint has a key of its own. */
    conn.owner = pair.client.conn->owner;
    assert_true(id_of(&conn) != here);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_walk_comes_past_each_once_the_oldest_first),
        TEST(what_comes_after_it_began_is_not_on_its_way),
        TEST(those_that_go_take_no_walk_with_them),
        TEST(a_walk_whose_last_goes_is_at_its_end),
        TEST(without_memory_there_is_no_walk),
        TEST(each_cid_of_ours_leads_to_its_connection_and_no_other_does),
        TEST(cids_are_listed_ours_first_with_those_in_use),
        TEST(an_id_is_of_one_connection_and_stays),
        TEST(an_id_is_not_that_of_the_place_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
