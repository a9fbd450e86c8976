/* The live table: Connection ID | Client address | State. Kept: a line is printed only where something has changed. */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rows that are shown on a terminal. */
#define ROWS_SHOWN 20

void table_print_head(FILE *stream)
{
    fprintf(stream, "%s%-16s  %-20s  %s%s\n", style(stream, STYLE_BOLD), "Connection ID", "Client address", "State",
            style(stream, STYLE_PLAIN));
}

static void print_row(FILE *stream, const roam_conn_info *row, const char *state)
{
    char cid[ROAM_CID_TEXT_MAX], address[ROAM_ADDRESS_TEXT_MAX];
    roam_cid_format(&row->cid, cid);
    fprintf(stream, "%-16s  %-20s  %s", cid[0] != '\0' ? cid : "-", roam_address_format(&row->remote, address), state);
    /* What nobody has proven does not stand where the address stands. */
    if (roam_address_is_set(&row->claimed))
        fprintf(stream, ", claims %s", roam_address_format(&row->claimed, address));
    fprintf(stream, "\n");
}

void table_print_row(FILE *stream, const roam_conn_info *row)
{
    print_row(stream, row, roam_conn_state_name(row->state));
}

static const roam_conn_info *find_row(const roam_conn_info *rows, size_t n, const roam_conn_info *like)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].conn == like->conn && rows[i].created == like->created)
            return &rows[i];
    return NULL;
}

static bool row_is_same(const roam_conn_info *a, const roam_conn_info *b)
{
    return roam_cid_equal(&a->cid, &b->cid) && roam_address_equal(&a->remote, &b->remote) &&
           roam_address_equal(&a->claimed, &b->claimed) && a->state == b->state;
}

/* Only lines for what has changed. */
static void print_changes(struct table *table, const roam_conn_info *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const roam_conn_info *before = find_row(table->rows, table->count, &rows[i]);
        if (before != NULL && row_is_same(before, &rows[i]))
            continue;
        if (!table->headed)
            table_print_head(table->stream);
        table->headed = true;
        table_print_row(table->stream, &rows[i]);
    }
    for (size_t i = 0; i < table->count; i++)
        if (find_row(rows, n, &table->rows[i]) == NULL)
            print_row(table->stream, &table->rows[i], "forgotten");
}

static bool any_change(const struct table *table, const roam_conn_info *rows, size_t n)
{
    if (n != table->count)
        return true;
    for (size_t i = 0; i < n; i++) {
        const roam_conn_info *before = find_row(table->rows, table->count, &rows[i]);
        if (before == NULL || !row_is_same(before, &rows[i]))
            return true;
    }
    return false;
}

static void redraw(struct table *table, const roam_conn_info *rows, size_t n)
{
    if (table->lines > 0)
        fprintf(table->stream, "\033[%uA\033[J", table->lines);
    table_print_head(table->stream);
    size_t shown = n < ROWS_SHOWN ? n : ROWS_SHOWN;
    for (size_t i = 0; i < shown; i++)
        table_print_row(table->stream, &rows[i]);
    table->lines = (unsigned)shown + 1;
    if (shown < n) {
        fprintf(table->stream, "... and %zu more\n", n - shown);
        table->lines++;
    }
}

void table_update(struct table *table)
{
    size_t n = roam_endpoint_connections(roam_io_endpoint(table->io), NULL, 0);
    roam_conn_info *rows = calloc(n + 1, sizeof(*rows));
    if (rows == NULL)
        return;
    roam_endpoint_connections(roam_io_endpoint(table->io), rows, n);
    if (any_change(table, rows, n)) {
        if (isatty(fileno(table->stream)))
            redraw(table, rows, n);
        else
            print_changes(table, rows, n);
        fflush(table->stream);
    }
    free(table->rows);
    table->rows = rows;
    table->count = n;
}

void table_done(struct table *table)
{
    free(table->rows);
    table->rows = NULL;
    table->count = 0;
}
