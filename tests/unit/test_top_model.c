/* What roam top makes of a server's lines and of keys: rows, moves, rates, the place in the table, one connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/minmax.h"
#include "cli/top_model.h"

#define NOW ROAM_SECONDS(1000)
#define ID  "00112233445566aa"

static struct top_model *model;

static int set_up(void **state)
{
    (void)state;
    model = calloc(1, sizeof(*model));
    assert_non_null(model);
    top_model_init(model);
    top_model_resize(model, 4);
    model->stale = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(model);
    return 0;
}

/* ---- Lines */

static enum top_line say_at(roam_time now, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static enum top_line say_at(roam_time now, const char *format, va_list arguments)
{
    char text[4096], line[4200];
    vsnprintf(text, sizeof(text), format, arguments);
    int len = snprintf(line, sizeof(line), "{\"schema\":\"roam-control/1\",%s}", text);
    return top_read_line(model, line, (size_t)len, true, now);
}

static enum top_line say(roam_time now, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum top_line say(roam_time now, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum top_line what = say_at(now, format, arguments);
    va_end(arguments);
    return what;
}

static void say_row(const char *id, const char *address, double age_ms, unsigned in, const char *rest)
{
    assert_int_equal(say(NOW,
                         "\"type\":\"rows\",\"rows\":[{\"id\":\"%s\",\"cid\":\"c1%s\",\"address\":\"%s\","
                         "\"state\":\"established\",\"alpn\":\"roam\",\"age_ms\":%f,\"rtt_ms\":1.5,\"in\":%u,"
                         "\"out\":\"9007199254740993\",\"moves\":1%s}]",
                         id, id, address, age_ms, in, rest),
                     TOP_LINE_PART);
}

static void say_end(double up_ms, unsigned connections, unsigned in)
{
    assert_int_equal(say(NOW,
                         "\"type\":\"end\",\"connections\":%u,\"matching\":%u,\"server\":{\"command\":\"roam listen\","
                         "\"time_ms\":1700000000000,\"up_ms\":%f,\"states\":{\"established\":%u},\"moves\":4,"
                         "\"in\":%u,\"out\":0,\"memory\":5}",
                         connections, connections, up_ms, connections, in),
                     TOP_LINE_ANSWER);
}

static void say_event(roam_time now, const char *name, const char *previous, const char *remote, const char *proven)
{
    assert_int_equal(say(now,
                         "\"type\":\"event\",\"event\":\"%s\",\"time_ms\":1700000000001.5,\"id\":\"" ID
                         "\",\"remote\":\"%s\",\"previous\":\"%s\",\"proven\":%s,\"why\":\"peer\"",
                         name, remote, previous, proven),
                     TOP_LINE_NEWS);
}

static void say_table_of(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[TOP_KEY_MAX];
        snprintf(id, sizeof(id), "%016x", i + (unsigned)model->coming_first);
        say_row(id, "192.0.2.1:4000", 1000, 0, "");
    }
}

static void test_rates_come_of_two_answers(void **state)
{
    (void)state;
    say_row(ID, "192.0.2.1:4000", 1000, 500, "");
    say_end(5000, 1, 1000);
    assert_int_equal(model->count, 1);
    assert_string_equal(model->rows[0].key, ID);
    assert_string_equal(model->rows[0].cid, "c1" ID);
    assert_true(model->rows[0].out == UINT64_C(9007199254740993));
    assert_false(model->rows[0].rates.known);
    assert_false(model->server.rates.known);
    say_row(ID, "192.0.2.1:4000", 3000, 2500, "");
    say_end(9000, 1, 5000);
    assert_true(model->rows[0].rates.known);
    assert_true(model->rows[0].rates.in > 999.9 && model->rows[0].rates.in < 1000.1);
    assert_true(model->server.rates.in > 999.9 && model->server.rates.in < 1000.1);
    /* What comes at once leaves them as they are, and is not lost to the next. */
    say_row(ID, "192.0.2.1:4000", 3100, 9500, "");
    say_end(9000, 1, 5000);
    assert_true(model->rows[0].rates.in > 999.9 && model->rows[0].rates.in < 1000.1);
    say_row(ID, "192.0.2.1:4000", 4000, 9500, "");
    say_end(9999, 1, 5000);
    assert_true(model->rows[0].rates.in > 6999.9 && model->rows[0].rates.in < 7000.1);
    assert_int_equal(model->server.states[ROAM_CONN_ESTABLISHED], 1);
}

static void test_what_a_server_says_is_printable(void **state)
{
    (void)state;
    say_row(ID, "\\u001b[2J\\u00e4", 1, 1, ",\"alpn\":7,\"last_move_ms\":1e300");
    say_end(1, 1, 1);
    assert_string_equal(model->rows[0].address, "?[2J??");
    assert_string_equal(model->rows[0].alpn, "");
    assert_int_equal(model->rows[0].moved_at, 0);
    assert_int_equal(top_read_line(model, "{}", 2, true, NOW), TOP_LINE_BAD);
    assert_int_equal(top_read_line(model, "[", 1, true, NOW), TOP_LINE_BAD);
    assert_int_equal(say(NOW, "\"type\":\"rows\",\"rows\":[7,{}]"), TOP_LINE_PART);
    assert_int_equal(say(NOW, "\"type\":\"connection\""), TOP_LINE_ANSWER);
    assert_int_equal(say(NOW, "\"type\":\"event\""), TOP_LINE_NEWS);
    assert_int_equal(say(NOW, "\"type\":\"gap\",\"lost\":3"), TOP_LINE_NEWS);
    assert_int_equal(model->events_lost, 3);
    assert_int_equal(say(NOW, "\"type\":\"error\",\"error\":\"busy\",\"message\":\"no\""), TOP_LINE_ERROR);
    assert_string_equal(model->message, "no");
    assert_int_equal(model->coming_count, 0);
}

/* ---- Moves */

static void test_a_claim_and_its_proof(void **state)
{
    (void)state;
    say_row(ID, "192.0.2.1:4000", 1000, 0, "");
    say_end(1, 1, 0);
    const struct top_row *row = &model->rows[0];
    assert_false(top_row_flashes(row, NOW));
    assert_int_equal(top_model_next_change(model, NOW), 0);
    say_event(NOW, "path_moved", "192.0.2.1:4000", "192.0.2.1:5000", "false");
    assert_string_equal(row->address, "192.0.2.1:4000");
    assert_string_equal(row->claimed, "192.0.2.1:5000");
    assert_int_equal(row->moves, 2);
    say_event(NOW + 7, "path_settled", "192.0.2.1:4000", "192.0.2.1:5000", "true");
    assert_string_equal(row->address, "192.0.2.1:5000");
    assert_string_equal(row->claimed, "");
    assert_string_equal(row->old, "192.0.2.1:4000");
    assert_int_equal(row->moves, 2);
    assert_int_equal(row->moved_at, NOW);
    assert_int_equal(top_model_next_change(model, NOW + 7), NOW + TOP_FLASH_LOUD);
    assert_int_equal(top_model_next_change(model, NOW + TOP_FLASH_LOUD), NOW + TOP_FLASH);
    assert_true(top_row_flashes(row, NOW + TOP_FLASH - 1));
    assert_false(top_row_flashes(row, NOW + TOP_FLASH));
    assert_int_equal(top_model_next_change(model, NOW + TOP_FLASH), 0);
    /* The next answer has the move, and where it was is not forgotten. */
    say_row(ID, "192.0.2.1:5000", 2000, 0, ",\"last_move_ms\":250");
    say_end(2, 1, 0);
    assert_string_equal(row->old, "192.0.2.1:4000");
    assert_int_equal(row->moved_at, NOW - ROAM_MILLISECONDS(250));
    /* Back again, as the event says. */
    say_event(NOW + 9, "path_reverted", "192.0.2.1:5000", "192.0.2.1:4000", "true");
    assert_string_equal(row->address, "192.0.2.1:4000");
    assert_string_equal(row->old, "192.0.2.1:5000");
}

static void test_moves_without_events_and_off_the_page(void **state)
{
    (void)state;
    say_row("00000000000000bb", "192.0.2.9:1", 1000, 0, "");
    say_end(1, 2, 0);
    /* Of another connection, which comes to the page later. */
    say_event(NOW, "path_moved", "192.0.2.1:4000", "192.0.2.1:5000", "true");
    say_row(ID, "192.0.2.1:5000", 1000, 0, ",\"last_move_ms\":100");
    say_row("00000000000000bb", "192.0.2.9:2", 2000, 0, ",\"last_move_ms\":10");
    say_end(2, 2, 0);
    assert_string_equal(model->rows[0].old, "192.0.2.1:4000");
    assert_string_equal(model->rows[1].old, "192.0.2.9:1");
    assert_true(top_row_flashes(&model->rows[1], NOW));
    /* A pause stops the fading. */
    top_key(model, 'p', NOW);
    assert_int_equal(top_model_now(model, NOW + ROAM_SECONDS(60)), NOW);
    assert_int_equal(top_model_next_change(model, NOW), 0);
    say_event(NOW, "path_moved", "192.0.2.1:5000", "192.0.2.1:6000", "true");
    assert_string_equal(model->rows[0].address, "192.0.2.1:5000");
    top_key(model, 'p', NOW + ROAM_SECONDS(60));
    assert_true(model->stale);
}

/* ---- The place in the table */

static void test_keys_go_through_the_table(void **state)
{
    (void)state;
    say_table_of(4);
    say_end(1, 10, 0);
    assert_int_equal(top_model_chosen(model) - model->rows, 0);
    top_model_go(model, 3);
    assert_false(model->stale);
    assert_string_equal(model->chosen, "0000000000000003");
    top_model_go(model, 1);
    assert_true(model->stale);
    assert_int_equal(model->offset, 1);
    assert_null(top_model_chosen(model));
    model->coming_first = model->offset;
    say_table_of(4);
    say_end(1, 10, 0);
    assert_string_equal(top_model_chosen(model)->key, "0000000000000004");
    top_model_go(model, INT64_MAX / 2);
    assert_int_equal(model->at, 9);
    assert_int_equal(model->offset, 6);
    top_model_go(model, -(INT64_MAX / 2));
    assert_int_equal(model->at, 0);
    assert_int_equal(model->offset, 0);
    top_model_go(model, INT64_MAX / 2);
    /* The table became shorter meanwhile. */
    model->coming_first = model->offset;
    model->stale = false;
    say_end(1, 5, 0);
    assert_int_equal(model->at, 4);
    assert_int_equal(model->offset, 1);
    assert_true(model->stale);
    say_end(1, 0, 0);
    assert_int_equal(model->at, 0);
    assert_null(top_model_chosen(model));
}

static void test_who_is_chosen_stays_so(void **state)
{
    (void)state;
    say_table_of(2);
    say_row(ID, "192.0.2.1:4000", 1000, 0, "");
    say_end(1, 3, 0);
    top_model_go(model, 2);
    say_row(ID, "192.0.2.1:4001", 1000, 0, "");
    say_table_of(2);
    say_end(1, 3, 0);
    assert_string_equal(top_model_chosen(model)->key, ID);
    assert_int_equal(model->at, 0);
    say_table_of(3);
    say_end(1, 3, 0);
    assert_string_equal(top_model_chosen(model)->key, "0000000000000000");
    /* In a pause there is no page but this one. */
    model->matching = 100;
    top_key(model, 'p', NOW);
    top_model_go(model, 50);
    assert_int_equal(model->at, 2);
    assert_int_equal(model->offset, 0);
}

static void test_keys_sort(void **state)
{
    (void)state;
    top_key(model, 'm', NOW);
    assert_int_equal(model->sort, WATCH_MOVES);
    assert_true(model->stale && !model->reverse);
    top_key(model, 'r', NOW);
    assert_true(model->reverse);
    top_key(model, 'c', NOW);
    assert_int_equal(model->sort, WATCH_CID);
    assert_false(model->reverse);
    unsigned seen = 0;
    for (unsigned i = 0; i < WATCH_COLUMNS - 1; i++) {
        seen |= 1u << model->sort;
        top_key(model, '>', NOW);
    }
    assert_int_equal(seen, (1u << WATCH_COLUMNS) - 2);
    assert_int_equal(model->sort, WATCH_CID);
    top_key(model, '<', NOW);
    assert_int_equal(model->sort, WATCH_GAP);
    top_key(model, 'u', NOW);
    assert_int_equal(model->sort, WATCH_UNSORTED);
    top_key(model, '?', NOW);
    assert_int_equal(model->page, TOP_HELP);
    top_key(model, 'q', NOW);
    assert_int_equal(model->page, TOP_TABLE);
    assert_false(model->quit);
    top_key(model, 'q', NOW);
    assert_true(model->quit);
}

/* ---- Filters */

static void type(const char *text)
{
    for (; *text != '\0'; text++)
        top_key(model, *text, NOW);
}

static void test_filters_say_what_they_are(void **state)
{
    (void)state;
    static const char *const wrong[] = {"10.0.0.0/33", "state=gone", "cid=abc",     "cid=", "address=x",
                                        "h3 alpn=h2",  "1.2.3.4.5",  "abcd cid=12", "[::1", "alpn="};
    struct top_filter filter;
    const char *why;
    assert_true(top_filter_parse(&filter, "  draining 10.0.0.0/8  http/1.1 c1ff ", &why));
    assert_string_equal(filter.state, "draining");
    assert_string_equal(filter.address, "10.0.0.0/8");
    assert_string_equal(filter.alpn, "http/1.1");
    assert_string_equal(filter.cid, "c1ff");
    assert_true(top_filter_parse(&filter, "alpn=abcd [2001:db8::1]:443", &why));
    assert_string_equal(filter.alpn, "abcd");
    assert_string_equal(filter.address, "[2001:db8::1]:443");
    assert_string_equal(filter.cid, "");
    assert_true(top_filter_parse(&filter, " ", &why));
    assert_string_equal(filter.text, "");
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        why = NULL;
        if (top_filter_parse(&filter, wrong[i], &why) || why == NULL)
            fail_msg("'%s' is taken for a filter", wrong[i]);
    }
}

static void test_a_filter_is_typed(void **state)
{
    (void)state;
    type("/qp\bq");
    assert_string_equal(model->typed, "qq");
    assert_false(model->quit || model->paused);
    type("\02510.0.0.0/99\r");
    assert_true(model->typing);
    assert_true(model->message[0] != '\0');
    type("\b\b8\r");
    assert_false(model->typing);
    assert_string_equal(model->filter.address, "10.0.0.0/8");
    assert_true(model->stale);
    type("/");
    assert_string_equal(model->typed, "10.0.0.0/8");
    type("9\033");
    assert_string_equal(model->filter.text, "10.0.0.0/8");
    type("/\025\r");
    assert_string_equal(model->filter.address, "");
    type("/");
    for (unsigned i = 0; i < 2 * TOP_MESSAGE_MAX; i++)
        top_key(model, 'x', NOW);
    assert_int_equal(strlen(model->typed), TOP_MESSAGE_MAX - 1);
}

/* ---- One connection */

static void say_connection(unsigned age_ms)
{
    assert_int_equal(
        say(NOW,
            "\"type\":\"connection\",\"row_id\":\"" ID "\",\"cid\":\"c1ff\",\"address\":\"192.0.2.1:4000\","
            "\"age_ms\":%u,\"in\":%u,\"stats\":{\"packets_lost\":3},"
            "\"paths\":[{\"id\":1,\"active\":true,\"remote\":\"192.0.2.1:4000\"}],"
            "\"cids\":[{\"of\":\"server\",\"sequence\":2,\"cid\":\"c1ff\",\"in_use\":true},{\"of\":\"peer\"}],"
            "\"newest_moves\":[{\"ago_ms\":1000,\"from\":\"a:1\",\"to\":\"a:2\",\"why\":\"peer\",\"settled\":true,"
            "\"validated\":true,\"validated_after_ms\":2,\"gap_ms\":3,\"packets_lost\":4,\"bytes_resent\":2048},"
            "{\"ago_ms\":3000,\"from\":\"a:0\",\"to\":\"a:1\",\"why\":\"peer\",\"reverted\":true}]",
            age_ms, age_ms),
        TOP_LINE_ANSWER);
}

static void open_connection(void)
{
    say_row(ID, "192.0.2.1:4000", 1000, 1000, "");
    say_end(1, 1, 0);
    model->subscribe = false;
    top_key(model, '\r', NOW);
}

static void test_a_connection_and_its_timeline(void **state)
{
    (void)state;
    open_connection();
    struct top_detail *detail = &model->detail;
    assert_int_equal(model->page, TOP_DETAIL);
    assert_true(model->subscribe && model->ask_detail);
    /* What is told before the answer stands in the answer. */
    say_event(NOW, "path_moved", "a:1", "a:2", "true");
    say_connection(2000);
    assert_int_equal(detail->entry_count, 3);
    assert_string_equal(top_detail_entry(detail, 0)->text, "reverted a:0 -> a:1 (peer)");
    assert_string_equal(top_detail_entry(detail, 1)->text, "moved a:1 -> a:2 (peer)");
    assert_string_equal(top_detail_entry(detail, 2)->text,
                        "settled: gap 3.00ms, proof 2.00ms, lost 4, again 2.0K, RTT 0.00ms -> 0.00ms");
    assert_true(top_detail_entry(detail, 1)->unix_ms > 1699999998999 &&
                top_detail_entry(detail, 1)->unix_ms < 1699999999001);
    assert_int_equal(detail->path_count, 1);
    assert_int_equal(detail->cid_count, 2);
    assert_true(detail->cids[1].peers && !detail->cids[0].peers);
    assert_int_equal(detail->packets_lost, 3);
    assert_true(detail->row.rates.in > 999 && detail->row.rates.in < 1001);
    model->ask_detail = false;
    say_event(NOW, "path_moved", "a:2", "a:3", "false");
    assert_string_equal(top_detail_entry(detail, 3)->text, "moved a:2 -> a:3 (peer), claimed");
    assert_true(top_detail_entry(detail, 3)->is_move && model->ask_detail);
    say(NOW, "\"type\":\"event\",\"event\":\"path_moved\",\"id\":\"00000000000000bb\",\"remote\":\"a:3\"");
    say_connection(3000);
    assert_int_equal(detail->entry_count, 4);
    top_key(model, 'q', NOW);
    assert_int_equal(model->page, TOP_TABLE);
    assert_false(model->quit);
}

static void test_a_timeline_is_bounded_and_scrolls(void **state)
{
    (void)state;
    char text[TOP_CELL_MAX];
    open_connection();
    struct top_detail *detail = &model->detail;
    top_detail_scroll(detail, -5);
    assert_int_equal(detail->back, 0);
    for (unsigned i = 0; i < TOP_TIMELINE_MAX + 10; i++) {
        snprintf(text, sizeof(text), "%u", i);
        top_detail_add(detail, i, false, text);
    }
    assert_int_equal(detail->entry_count, TOP_TIMELINE_MAX);
    assert_string_equal(top_detail_entry(detail, 0)->text, "10");
    assert_string_equal(top_detail_entry(detail, TOP_TIMELINE_MAX - 1)->text, "265");
    top_key(model, 'k', NOW);
    assert_int_equal(detail->back, 1);
    top_detail_add(detail, 0, false, "new");
    assert_int_equal(detail->back, 2);
    top_detail_scroll(detail, -(INT64_MAX / 2));
    assert_int_equal(detail->back, TOP_TIMELINE_MAX - 1);
    top_detail_scroll(detail, INT64_MAX / 2);
    assert_int_equal(detail->back, 0);
}

static void test_a_connection_that_is_gone(void **state)
{
    (void)state;
    static const char gone[] = "{\"schema\":\"roam-control/1\",\"type\":\"error\",\"error\":\"not_found\"}";
    open_connection();
    say_connection(2000);
    /* Its CID may have been retired: by its id it is looked for once more. */
    model->ask_detail = false;
    assert_int_equal(top_read_line(model, gone, strlen(gone), false, NOW), TOP_LINE_ERROR);
    assert_true(model->detail.by_id && model->ask_detail && !model->detail.gone);
    say_connection(3000);
    assert_false(model->detail.by_id);
    top_read_line(model, gone, strlen(gone), false, NOW);
    top_read_line(model, gone, strlen(gone), false, NOW);
    assert_true(model->detail.gone && !model->ask_detail);
    model->detail.gone = false;
    say(NOW, "\"type\":\"event\",\"event\":\"closed\",\"id\":\"" ID "\",\"cause\":\"closed\",\"reason\":\"bye\"");
    assert_true(model->detail.gone);
    assert_string_equal(top_detail_entry(&model->detail, model->detail.entry_count - 1)->text, "closed: closed: bye");
}

/* ---- Text */

static void test_amounts_and_times_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *amount, *span, *ago;
    } cases[] = {
        {0, "0", "0.00ms", "0.0s"},
        {9.994, "10", "9.99ms", "0.0s"},
        {9.996, "10", "10.0ms", "0.0s"},
        {99.96, "100", "100ms", "0.1s"},
        {999.6, "1000", "1.0s", "1.0s"},
        {1023.6, "1.0K", "1.0s", "1.0s"},
        {9949, "9.7K", "9.9s", "9.9s"},
        {9951, "9.7K", "10s", "10s"},
        {59501, "58K", "1m00s", "1m00s"},
        {599999, "586K", "9m59s", "9m59s"},
        {3599999, "3.4M", "59m", "59m"},
        {3600000 * 5. + 180000, "17M", "5h03m", "5h03m"},
        {3600000 * 99., "340M", "99h", "99h"},
        {3600000 * 240., "824M", "10d", "10d"},
    };
    char text[TOP_CELL_MAX];
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_string_equal(top_amount_text(cases[i].value, text), cases[i].amount);
        assert_string_equal(top_span_text(cases[i].value, text), cases[i].span);
        assert_true(strlen(text) <= 6);
        assert_string_equal(top_ago_text(cases[i].value, text), cases[i].ago);
        assert_true(strlen(text) <= 5);
    }
}

/* The titles of the columns that there are, and that they fit and do not touch. */
static const char *titles(unsigned columns, char ret[256])
{
    struct top_layout layout;
    unsigned end = 0;
    ret[0] = '\0';
    top_layout_choose(&layout, model, columns);
    for (size_t i = 0; i < TOP_COLUMNS; i++) {
        if (layout.width[i] == 0)
            continue;
        assert_true(layout.x[i] > end || (end == 0 && layout.x[i] == 1));
        end = layout.x[i] + layout.width[i];
        snprintf(ret + strlen(ret), 256 - strlen(ret), "%s ", top_columns[i].title);
    }
    assert_true(end <= columns || columns < 2);
    return ret;
}

static void test_columns_go_as_the_screen_narrows(void **state)
{
    (void)state;
    char text[256];
    assert_string_equal(titles(80, text), "CID ADDRESS STATE RTT IN/s OUT/s MOVES MOVED ");
    assert_string_equal(titles(79, text), "CID ADDRESS STATE RTT OUT/s MOVES MOVED ");
    assert_string_equal(titles(45, text), "CID ADDRESS MOVES ");
    assert_string_equal(titles(38, text), "ADDRESS ");
    assert_string_equal(titles(5, text), "ADDRESS ");
    assert_string_equal(titles(1, text), "ADDRESS ");
    assert_string_equal(titles(200, text),
                        "CID ADDRESS STATE ALPN AGE RTT IN/s OUT/s IN OUT WINDOW PATHS MOVES MOVED GAP LOCAL ");
    say_row(ID, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", 1000, 0, "");
    say_end(1, 1, 0);
    assert_string_equal(titles(80, text), "CID ADDRESS MOVES MOVED ");
    for (unsigned columns = 1; columns < 300; columns++)
        titles(columns, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rates_come_of_two_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_server_says_is_printable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_claim_and_its_proof, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_moves_without_events_and_off_the_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_go_through_the_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_is_chosen_stays_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_sort, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_filters_say_what_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_filter_is_typed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_and_its_timeline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_timeline_is_bounded_and_scrolls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_amounts_and_times_are_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_columns_go_as_the_screen_narrows, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
