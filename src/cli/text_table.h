/* A table of texts in aligned columns, for people. */
#ifndef CLI_TEXT_TABLE_H
#define CLI_TEXT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TEXT_COLUMNS_MAX 16
#define TEXT_CELL_MAX    160

struct text_column {
    const char *title;
    bool right; /* numbers stand at the right */
};

struct text_table {
    const struct text_column *columns;
    size_t column_count, next; /* the next cell's column */
    size_t widths[TEXT_COLUMNS_MAX];
    char *cells; /* one after the other, each with its NUL */
    size_t len, capacity;
    bool failed; /* no memory */
};

void text_table_init(struct text_table *table, const struct text_column *columns, size_t column_count);

/* Row by row, column by column. What a terminal would take for something else than a character becomes a '?'. */
void text_table_add(struct text_table *table, const char *text);
void text_table_addf(struct text_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The titles, and the rows below them, with " | " between columns. False without memory for them. */
bool text_table_print(const struct text_table *table, FILE *stream, const char *indent);
void text_table_done(struct text_table *table);

#endif
