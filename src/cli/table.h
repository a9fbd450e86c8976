/* The endpoint's table, as people see it. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/cli.h"

struct table {
    FILE *stream;
    roam_io *io;
    roam_conn_info *rows; /* what was shown last */
    size_t count;
    unsigned lines; /* on a terminal: how many of ours stand above the cursor */
    bool headed;
};

void table_print_head(FILE *stream);
void table_print_row(FILE *stream, const roam_conn_info *row);

/* Shows what has changed: on a terminal the whole table, in place; else a line for each row that is new or other. */
void table_update(struct table *table);
void table_done(struct table *table);

#endif
