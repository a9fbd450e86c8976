/*
 * An answer that walks the table. Kept: a turn looks at CONTROL_SLICE_ROWS rows, or moves as many within the heap of a
 * sorted answer, or writes as many; the server's traffic has its turn in between. A sorted answer keeps the rows that it will
 * show and no others: a heap with the last of them on top, taken apart from the top to stand in order. Rows stay where they
 * are, what moves is their numbers.
 */
#include <stdlib.h>

#include "base/minmax.h"
#include "cli/control.h"

enum phase { PHASE_WALK, PHASE_ORDER, PHASE_SHOW, PHASE_END };

struct control_table {
    struct control *control;
    struct control_question question;
    enum phase phase;
    roam_table_walk *walk;
    roam_time now; /* ages are told as of the beginning */
    uint64_t connections, matching, shown;
    struct watch_row *rows; /* sorted: kept so far */
    uint32_t *order;        /* their numbers */
    size_t count, capacity, most;
    size_t heaped; /* PHASE_ORDER: of these a heap is left; PHASE_SHOW: the next to be shown */
};

struct control_table *control_table_new(struct control *control, const struct control_question *question)
{
    struct control_table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return NULL;
    table->control = control;
    table->question = *question;
    table->now = roam_io_now(control->io);
    table->most = CONTROL_SORTED_MAX;
    if (question->limit > 0 && question->limit < CONTROL_SORTED_MAX - question->offset)
        table->most = (size_t)(question->limit + question->offset);
    table->walk = roam_table_walk_new(roam_io_endpoint(control->io), table->now);
    if (table->walk != NULL)
        return table;
    free(table);
    return NULL;
}

void control_table_free(struct control_table *table)
{
    if (table == NULL)
        return;
    roam_table_walk_free(table->walk);
    free(table->rows);
    free(table->order);
    free(table);
}

/* ---- Lines */

static struct json begin_rows(struct control_table *table)
{
    struct json json = control_line(table->control, "rows", table->question.id);
    json_array_begin(&json, "rows");
    return json;
}

/* What does not fit into this line stands in the next. */
static void put_row(struct control_table *table, struct control_client *client, struct json *json,
                    const struct watch_row *row)
{
    const struct json before = *json;
    control_put_row(json, row);
    if (json->failed) {
        *json = before;
        json_array_end(json);
        control_send(client, json);
        *json = begin_rows(table);
        control_put_row(json, row);
    }
    table->shown++;
}

static void end_rows(struct control_client *client, struct json *json)
{
    json_array_end(json);
    control_send(client, json);
}

static void send_end(struct control_table *table, struct control_client *client)
{
    if (table->question.detail) {
        control_send_error(client, table->question.id, "not_found", "no connection has that");
        return;
    }
    struct json json = control_line(table->control, "end", table->question.id);
    json_number(&json, "connections", table->connections);
    json_number(&json, "matching", table->matching);
    json_number(&json, "shown", table->shown);
    control_put_server(&json, table->control);
    control_send(client, &json);
}

/* ---- The heap */

/* True where `a` stands behind `b` in the answer. */
static bool row_is_behind(const struct control_table *table, const struct watch_row *a, const struct watch_row *b)
{
    int order = watch_row_compare(table->question.sort, a, b);
    return table->question.reverse ? order < 0 : order > 0;
}

/* By places in the order. */
static bool is_behind(const struct control_table *table, size_t a, size_t b)
{
    return row_is_behind(table, &table->rows[table->order[a]], &table->rows[table->order[b]]);
}

static void swap_places(struct control_table *table, size_t a, size_t b)
{
    const uint32_t row = table->order[a];
    table->order[a] = table->order[b];
    table->order[b] = row;
}

static void sift_down(struct control_table *table, size_t n)
{
    for (size_t at = 0, child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_behind(table, child + 1, child))
            child++;
        if (!is_behind(table, child, at))
            return;
        swap_places(table, child, at);
    }
}

static void sift_up(struct control_table *table)
{
    for (size_t at = table->count - 1, parent; at > 0; at = parent) {
        parent = (at - 1) / 2;
        if (!is_behind(table, at, parent))
            return;
        swap_places(table, at, parent);
    }
}

/* Room for one more; without memory there is no more room than there is. */
static void grow(struct control_table *table)
{
    const size_t capacity = min_size(max_size(2 * table->capacity, CONTROL_SLICE_ROWS), table->most);
    struct watch_row *rows = realloc(table->rows, capacity * sizeof(*rows));
    table->rows = rows != NULL ? rows : table->rows;
    uint32_t *order = rows == NULL ? NULL : realloc(table->order, capacity * sizeof(*order));
    table->order = order != NULL ? order : table->order;
    if (order != NULL)
        table->capacity = capacity;
    else
        table->most = table->count;
}

/* Without memory the answer has fewer rows, and says so by their number. */
static void keep_row(struct control_table *table, const struct watch_row *row)
{
    if (table->count == table->capacity && table->count < table->most)
        grow(table);
    if (table->count < table->capacity) {
        table->rows[table->count] = *row;
        table->order[table->count] = (uint32_t)table->count;
        table->count++;
        sift_up(table);
        return;
    }
    if (table->count == 0)
        return;
    struct watch_row *last = &table->rows[table->order[0]];
    if (row_is_behind(table, last, row)) {
        *last = *row;
        sift_down(table, table->count);
    }
}

/* ---- Turns */

/* True where the row is one of those that are shown in the order of the table. */
static bool is_on_page(const struct control_table *table)
{
    const struct control_question *question = &table->question;
    return table->matching > question->offset && (question->limit == 0 || table->shown < question->limit);
}

/* The first that fits, in detail. True where that was it. */
static bool show_detail(struct control_table *table, struct control_client *client, const roam_conn_info *info)
{
    if (!table->question.detail)
        return false;
    struct json json = control_line(table->control, "connection", table->question.id);
    control_put_connection(&json, info->conn, table->now);
    control_send(client, &json);
    table->phase = PHASE_END;
    return true;
}

/* True where the answer is done. */
static bool walk_on(struct control_table *table, struct control_client *client)
{
    static roam_conn_info infos[CONTROL_SLICE_ROWS];
    const bool sorted = table->question.sort != WATCH_UNSORTED;
    size_t n = roam_table_walk_next(table->walk, infos, CONTROL_SLICE_ROWS);
    struct json json = begin_rows(table);
    const uint64_t shown = table->shown;
    for (size_t i = 0; i < n; i++) {
        struct watch_row row;
        table->connections++;
        if (!watch_filter_matches(&table->question.filter, &infos[i]))
            continue;
        table->matching++;
        if (show_detail(table, client, &infos[i]))
            return true;
        if (!sorted && !is_on_page(table))
            continue;
        watch_row_fill(&row, &infos[i], table->now);
        if (sorted)
            keep_row(table, &row);
        else
            put_row(table, client, &json, &row);
    }
    if (table->shown > shown)
        end_rows(client, &json);
    if (n == CONTROL_SLICE_ROWS)
        return false;
    table->phase = sorted ? PHASE_ORDER : PHASE_END;
    table->heaped = table->count;
    return false;
}

/* The last of those that are left goes behind them. */
static void order_on(struct control_table *table)
{
    for (size_t i = 0; i < CONTROL_SLICE_ROWS && table->heaped > 1; i++) {
        table->heaped--;
        swap_places(table, 0, table->heaped);
        sift_down(table, table->heaped);
    }
    if (table->heaped > 1)
        return;
    table->phase = PHASE_SHOW;
    table->heaped = (size_t)min_u64(table->question.offset, table->count);
}

static void show_on(struct control_table *table, struct control_client *client)
{
    struct json json = begin_rows(table);
    const size_t end = min_size(table->heaped + CONTROL_SLICE_ROWS, table->count);
    if (table->heaped < end) {
        for (; table->heaped < end; table->heaped++)
            put_row(table, client, &json, &table->rows[table->order[table->heaped]]);
        end_rows(client, &json);
    }
    if (table->heaped == table->count)
        table->phase = PHASE_END;
}

bool control_table_turn(struct control_table *table, struct control_client *client)
{
    switch (table->phase) {
    case PHASE_WALK:
        return walk_on(table, client);
    case PHASE_ORDER:
        order_on(table);
        return false;
    case PHASE_SHOW:
        show_on(table, client);
        return false;
    case PHASE_END:
        send_end(table, client);
        return true;
    }
    return true;
}
