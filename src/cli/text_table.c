/* See text_table.h. */
#include "cli/text_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/cli.h"

#define CAPACITY_MIN 4096

void text_table_init(struct text_table *table, const struct text_column *columns, size_t column_count)
{
    *table = (struct text_table){.columns = columns, .column_count = column_count};
    for (size_t i = 0; i < column_count; i++)
        table->widths[i] = strlen(columns[i].title);
}

void text_table_add(struct text_table *table, const char *text)
{
    const size_t len = strlen(text);
    if (table->capacity - table->len < len + 1) {
        size_t capacity = 2 * table->capacity + len + CAPACITY_MIN;
        char *cells = table->failed ? NULL : realloc(table->cells, capacity);
        table->failed = cells == NULL;
        if (table->failed)
            return;
        table->cells = cells;
        table->capacity = capacity;
    }
    for (size_t i = 0; i < len; i++)
        table->cells[table->len + i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    table->cells[table->len + len] = '\0';
    table->len += len + 1;
    if (table->widths[table->next] < len)
        table->widths[table->next] = len;
    table->next = (table->next + 1) % table->column_count;
}

void text_table_addf(struct text_table *table, const char *format, ...)
{
    char text[TEXT_CELL_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    text_table_add(table, text);
}

/* A hundred thousand rows have more than a million cells: this does without printf. */
static void print_cell(const struct text_table *table, size_t column, const char *text, FILE *stream)
{
    const bool last = column + 1 == table->column_count, right = table->columns[column].right;
    const size_t len = strlen(text), space = max_size(table->widths[column], len) - len;
    for (size_t i = 0; right && i < space; i++)
        putc_unlocked(' ', stream);
    fwrite_unlocked(text, 1, len, stream);
    /* Nothing stands at the end of a line that nobody sees. */
    for (size_t i = 0; !right && !last && i < space; i++)
        putc_unlocked(' ', stream);
    fputs_unlocked(last ? "\n" : " | ", stream);
}

bool text_table_print(const struct text_table *table, FILE *stream, const char *indent)
{
    fprintf(stream, "%s%s", indent, style(stream, STYLE_BOLD));
    for (size_t i = 0; i < table->column_count; i++) {
        if (i + 1 == table->column_count && !table->columns[i].right)
            fprintf(stream, "%s%s\n", table->columns[i].title, style(stream, STYLE_PLAIN));
        else
            print_cell(table, i, table->columns[i].title, stream);
    }
    fputs(style(stream, STYLE_PLAIN), stream);
    size_t column = 0;
    for (const char *cell = table->cells; !table->failed && cell != NULL && cell < table->cells + table->len;
         cell += strlen(cell) + 1) {
        if (column == 0)
            fputs(indent, stream);
        print_cell(table, column, cell, stream);
        column = (column + 1) % table->column_count;
    }
    return !table->failed;
}

void text_table_done(struct text_table *table)
{
    free(table->cells);
    table->cells = NULL;
}
