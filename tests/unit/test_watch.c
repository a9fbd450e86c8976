/* What those who watch a server get: which rows, in which order, as what text, and how long they are waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/control.h"
#include "cli/show.h"
#include "cli/watch_row.h"

/* ---- Filters */

static void what_is_no_filter_is_none(void **state)
{
    (void)state;
    struct watch_filter filter = {0};
    enum roam_conn_state conn_state;
    enum watch_column column;
    roam_cid cid;
    static const char *const bad_addresses[] = {
        "",        "x",  "192.0.2.1/33", "192.0.2.1/", "192.0.2.1/x", "10.0.0/8", "10.0.0.1:80/8",
        "::1/129", "/8", "10.0.0.0/-1"};
    static const char *const bad_cids[] = {"", "a", "0g", "0102030405060708090a0b0c0d0e0f101112131415"};
    static const char *const bad_ids[] = {"", "0102030405060708090a", "01020304050607", "0102030405060708x"};
    for (size_t i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++)
        assert_false(watch_address_parse(&filter, bad_addresses[i]));
    for (size_t i = 0; i < sizeof(bad_cids) / sizeof(bad_cids[0]); i++)
        assert_false(watch_cid_parse(&cid, bad_cids[i]));
    for (size_t i = 0; i < sizeof(bad_ids) / sizeof(bad_ids[0]); i++)
        assert_false(watch_id_parse(&filter, bad_ids[i]));
    assert_false(filter.has_id);
    assert_false(watch_state_parse(&conn_state, "open"));
    assert_false(watch_column_parse(&column, "none"));
    assert_false(watch_column_parse(&column, "CID"));
}

static bool lets_through(const char *wanted, const char *address)
{
    struct watch_filter filter = {0};
    roam_conn_info info = {0};
    assert_true(watch_address_parse(&filter, wanted));
    assert_true(roam_address_parse(&info.remote, address));
    return watch_filter_matches(&filter, &info);
}

static void addresses_are_compared_by_prefix_and_port(void **state)
{
    (void)state;
    assert_true(lets_through("192.0.2.129", "192.0.2.129:1"));
    assert_false(lets_through("192.0.2.129", "192.0.2.128:1"));
    assert_true(lets_through("192.0.2.128/25", "192.0.2.255:1"));
    assert_false(lets_through("192.0.2.128/25", "192.0.2.127:1"));
    assert_true(lets_through("0.0.0.0/0", "203.0.113.1:1"));
    assert_false(lets_through("0.0.0.0/0", "[2001:db8::1]:1"));
    assert_true(lets_through("192.0.2.129:7", "192.0.2.129:7"));
    assert_false(lets_through("192.0.2.129:7", "192.0.2.129:8"));
    assert_true(lets_through("192.0.2.0/24", "[::ffff:192.0.2.9]:1"));
    assert_true(lets_through("2001:db8::/33", "[2001:db8:7fff::1]:1"));
    assert_false(lets_through("2001:db8::/33", "[2001:db8:8000::1]:1"));
}

static void states_cids_and_ids_are_compared(void **state)
{
    (void)state;
    struct watch_filter filter = {0};
    roam_conn_info info = {
        .cid = {.len = 4, .bytes = {1, 2, 3, 4}}, .state = ROAM_CONN_ESTABLISHED, .id = UINT64_C(0x0102030405060708)};
    assert_true(watch_filter_matches(&filter, &info));
    assert_true(watch_cid_parse(&filter.cid, "0102") && watch_filter_matches(&filter, &info));
    assert_true(watch_cid_parse(&filter.cid, "0103") && !watch_filter_matches(&filter, &info));
    assert_true(watch_cid_parse(&filter.cid, "0102030405") && !watch_filter_matches(&filter, &info));
    filter = (struct watch_filter){0};
    assert_true(watch_id_parse(&filter, "0102030405060708") && watch_filter_matches(&filter, &info));
    assert_true(watch_id_parse(&filter, "0102030405060709") && !watch_filter_matches(&filter, &info));
    filter = (struct watch_filter){.has_state = true};
    assert_true(watch_state_parse(&filter.state, "established") && watch_filter_matches(&filter, &info));
    assert_true(watch_state_parse(&filter.state, "draining") && !watch_filter_matches(&filter, &info));
}

/* ---- Order */

static void each_column_has_its_order(void **state)
{
    (void)state;
    struct watch_row low = {.alpn = "a", .cid = {.len = 1, .bytes = {1}}, .state = ROAM_CONN_HANDSHAKE};
    struct watch_row high = {.alpn = "b",
                             .cid = {.len = 2, .bytes = {1, 0}},
                             .state = ROAM_CONN_ESTABLISHED,
                             .age = 2,
                             .rtt = 2,
                             .window_bytes = 2,
                             .bytes_received = 2,
                             .bytes_sent = 2,
                             .paths = 2,
                             .moves = 2,
                             .moved = true,
                             .last_move = 5,
                             .gap = 2};
    assert_true(roam_address_parse(&low.remote, "192.0.2.1:9") && roam_address_parse(&high.remote, "192.0.2.1:10"));
    for (unsigned column = WATCH_UNSORTED + 1; column < WATCH_COLUMNS; column++) {
        enum watch_column parsed;
        assert_true(watch_column_parse(&parsed, watch_column_name(column)) && parsed == column);
        assert_non_null(strstr(WATCH_COLUMN_NAMES, watch_column_name(column)));
        /* Texts ascend, amounts descend. */
        const bool ascends = column <= WATCH_ALPN;
        assert_true(watch_row_compare(column, ascends ? &low : &high, ascends ? &high : &low) < 0);
        assert_true(watch_row_compare(column, ascends ? &high : &low, ascends ? &low : &high) > 0);
        assert_int_equal(watch_row_compare(column, &low, &low), 0);
    }
    struct watch_row newer = high;
    newer.last_move = 4;
    assert_true(watch_row_compare(WATCH_LAST_MOVE, &newer, &high) < 0);
}

/* ---- Texts */

static void spans_are_rounded_for_people(void **state)
{
    (void)state;
    static const struct {
        double ms;
        const char *text;
    } spans[] = {{0, "0.000 ms"},        {1.23456, "1.235 ms"}, {12.34, "12.3 ms"},   {999, "999.0 ms"},
                 {1000, "1.0 s"},        {59900, "59.9 s"},     {60000, "1 min 0 s"}, {3599000, "59 min 59 s"},
                 {7260000, "2 h 1 min"}, {90000000, "1 d 1 h"}};
    char text[SPAN_TEXT_MAX];
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        assert_string_equal(format_span(spans[i].ms, text), spans[i].text);
}

static void columns_are_as_wide_as_their_widest_and_nothing_but_text(void **state)
{
    (void)state;
    static const struct text_column columns[] = {{"A", false}, {"Number", true}, {"Last", false}};
    struct text_table table;
    char *text;
    size_t len;
    FILE *stream = open_memstream(&text, &len);
    text_table_init(&table, columns, 3);
    text_table_add(&table, "longer");
    text_table_addf(&table, "%d", 7);
    text_table_add(&table, "\033[2J\x9b");
    text_table_add(&table, "");
    text_table_add(&table, "12345678");
    text_table_add(&table, "x");
    assert_true(text_table_print(&table, stream, "> "));
    fclose(stream);
    assert_string_equal(text, "> A      |   Number | Last\n"
                              "> longer |        7 | ?[2J?\n"
                              ">        | 12345678 | x\n");
    text_table_done(&table);
    free(text);
}

/* ---- Patience */

static void only_who_takes_nothing_of_an_answer_is_given_up(void **state)
{
    (void)state;
    const roam_time then = ROAM_SECONDS(100), late = then + CONTROL_PATIENCE + 1;
    struct control_client client = {.waiting = 1, .took_at = then};
    assert_false(control_is_given_up(&client, then + CONTROL_PATIENCE));
    assert_true(control_is_given_up(&client, late));
    client.types = 1;
    assert_false(control_is_given_up(&client, late));
    client.job = (struct control_table *)&client;
    assert_true(control_is_given_up(&client, late));
    client.waiting = 0;
    assert_false(control_is_given_up(&client, late));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_filter_is_none),
        cmocka_unit_test(addresses_are_compared_by_prefix_and_port),
        cmocka_unit_test(states_cids_and_ids_are_compared),
        cmocka_unit_test(each_column_has_its_order),
        cmocka_unit_test(spans_are_rounded_for_people),
        cmocka_unit_test(columns_are_as_wide_as_their_widest_and_nothing_but_text),
        cmocka_unit_test(only_who_takes_nothing_of_an_answer_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
