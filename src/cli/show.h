/* What a control socket tells (docs/control.md), written for people. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <jansson.h>

#include "cli/text_table.h"

/* A row of the table: ConnectionID | ClientIP:Port | State, and the rest. */
void show_table_init(struct text_table *table);
void show_row(struct text_table *table, const json_t *row);

/* The `end` of a table, in two lines. */
void show_totals(FILE *stream, const json_t *end);

/* A `connection`. False without memory. */
bool show_connection(FILE *stream, const json_t *connection);

/* An `event`, or a `gap`, in a line. */
void show_event(FILE *stream, const json_t *event);

/* "12.3 ms", "4 min 5 s", "2 d 3 h". */
#define SPAN_TEXT_MAX 32
const char *format_span(double ms, char ret[SPAN_TEXT_MAX]);

#endif
