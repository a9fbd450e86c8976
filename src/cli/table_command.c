/* roam table: the table of a server that runs, once, by its control socket. */
#include <string.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/control.h"
#include "cli/show.h"
#include "cli/watch_row.h"
#include "cli/watcher.h"

#define USAGE                                                                                                          \
    "usage: roam table [options]\n\n"                                                                                  \
    "Prints the table of a server on this host: `roam listen` or `roam perf server`. Where several run, --control "    \
    "says "                                                                                                            \
    "which.\n"                                                                                                         \
    "Amounts are sorted from the largest on, texts from the first on.\n"

struct table_options {
    const char *control, *state, *address, *alpn, *cid, *sort, *connection;
    bool reverse, json;
    uint64_t limit;
};

#define OPTION(name, kind, member, argument, help)                                                                     \
    {                                                                                                                  \
        name, 0, kind, offsetof(struct table_options, member), argument, help                                          \
    }

static const struct option_spec specs[] = {
    OPTION("control", OPTION_TEXT, control, "PATH|PID", "the server, by its control socket or its process"),
    OPTION("state", OPTION_TEXT, state, "STATE", "only handshake, established, closing or draining ones"),
    OPTION("address", OPTION_TEXT, address, "ADDR", "only of clients at ADDR, ADDR:PORT or ADDR/BITS"),
    OPTION("alpn", OPTION_TEXT, alpn, "NAME", "only with this application protocol"),
    OPTION("cid", OPTION_TEXT, cid, "HEX", "only those whose connection ID begins so"),
    OPTION("sort", OPTION_TEXT, sort, "COLUMN", "by " WATCH_COLUMN_NAMES),
    OPTION("reverse", OPTION_FLAG, reverse, NULL, "the other way round"),
    OPTION("limit", OPTION_NUMBER, limit, "N", "at most so many"),
    OPTION("connection", OPTION_TEXT, connection, "CID|ADDR:PORT", "this one, with its paths, CIDs and newest moves"),
    OPTION("json", OPTION_FLAG, json, NULL, "a line of JSON for each, and one for the server"),
};

/* ---- What is asked for */

static json_t *filter_of(const struct table_options *options)
{
    return json_pack("{s:s*, s:s*, s:s*, s:s*}", "state", options->state, "address", options->address, "alpn",
                     options->alpn, "cid", options->cid);
}

static json_t *request_of(const struct table_options *options)
{
    json_t *filter = filter_of(options);
    return filter == NULL ? NULL
                          : json_pack("{s:s, s:o, s:s*, s:b, s:I}", "request", "table", "filter", filter, "sort",
                                      options->sort, "reverse", options->reverse, "limit", (json_int_t)options->limit);
}

/* ---- What is shown */

/* So begins a line with rows, as the server writes it where the request has no id. */
#define ROWS_BEGIN "{\"schema\":\"" CONTROL_SCHEMA "\",\"type\":\"rows\",\"rows\":["
#define ROW_BEGIN  "{\"schema\":\"" CONTROL_SCHEMA "\",\"type\":\"row\","

static bool is_rows(const char *line, size_t len)
{
    return len > sizeof(ROWS_BEGIN) && memcmp(line, ROWS_BEGIN, sizeof(ROWS_BEGIN) - 1) == 0;
}

/* The octets of a row, which begins here: it has no object within. */
static size_t row_len(const char *text, const char *end)
{
    bool quoted = false;
    for (const char *pos = text; pos < end; pos++) {
        if (quoted && *pos == '\\')
            pos++;
        else if (*pos == '"')
            quoted = !quoted;
        else if (*pos == '}' && !quoted)
            return (size_t)(pos - text) + 1;
    }
    return (size_t)(end - text);
}

/* A line for each, with the version and what it is. They are not parsed for that: a hundred thousand take their time. */
static void print_rows(const char *line, size_t len)
{
    const char *end = line + len;
    for (const char *pos = line + sizeof(ROWS_BEGIN) - 1; pos < end && *pos == '{'; pos++) {
        size_t row = row_len(pos, end);
        fwrite(ROW_BEGIN, 1, sizeof(ROW_BEGIN) - 1, stdout);
        fwrite(pos + 1, 1, row - 1, stdout);
        putchar('\n');
        pos += row;
    }
}

static bool take_rows(const struct watcher *watcher, struct text_table *table)
{
    json_t *line = watcher_parse(watcher), *row;
    size_t i;
    json_array_foreach(json_object_get(line, "rows"), i, row) show_row(table, row);
    json_decref(line);
    return line != NULL;
}

static void print_line(const struct watcher *watcher)
{
    size_t len;
    const char *line = watcher_line(watcher, &len);
    fwrite(line, 1, len, stdout);
}

/* What ends the answer. */
static int show_end(const struct watcher *watcher, const json_t *line, const struct text_table *table, bool json)
{
    int status;
    if (watcher_refused(line, &status))
        return status;
    if (json) {
        print_line(watcher);
        return EXIT_OK;
    }
    if (!text_table_print(table, stdout, "")) {
        say_error("no memory");
        return EXIT_LOCAL;
    }
    show_totals(stdout, line);
    return EXIT_OK;
}

static int show_table(struct watcher *watcher, const struct table_options *options)
{
    struct text_table table;
    const char *text;
    size_t len;
    int status = EXIT_CONNECTION;
    bool fine = watcher_ask(watcher, request_of(options));
    show_table_init(&table);
    while (fine && (text = watcher_read(watcher, &len)) != NULL && is_rows(text, len)) {
        if (options->json)
            print_rows(text, len);
        else
            fine = take_rows(watcher, &table);
    }
    json_t *line = fine && text != NULL ? watcher_parse(watcher) : NULL;
    if (line != NULL)
        status = show_end(watcher, line, &table, options->json);
    json_decref(line);
    text_table_done(&table);
    return status;
}

static int show_one(struct watcher *watcher, const struct table_options *options)
{
    int status;
    json_t *connection = watcher_find(watcher, options->connection, &status);
    if (connection == NULL)
        return status;
    status = EXIT_OK;
    if (options->json) {
        print_line(watcher);
    } else if (!show_connection(stdout, connection)) {
        say_error("no memory");
        status = EXIT_LOCAL;
    }
    json_decref(connection);
    return status;
}

static bool is_fine(const struct command_line *line, const struct table_options *options)
{
    const bool chosen = options->state != NULL || options->address != NULL || options->alpn != NULL ||
                        options->cid != NULL || options->sort != NULL || options->reverse || options->limit > 0;
    enum watch_column column;
    if (line->positional_count > 0)
        say_error("there is nothing to be said but options; `roam table --help` tells more");
    else if (options->connection != NULL && chosen)
        say_error("--connection is one connection: there is nothing to choose from");
    else if (options->sort != NULL && !watch_column_parse(&column, options->sort))
        say_error("--sort wants a column: " WATCH_COLUMN_NAMES);
    else
        return true;
    return false;
}

int table_main(int argc, char **argv)
{
    struct table_options options = {0};
    struct command_line line = {.command = "roam table", .specs = specs, .spec_count = ARRAY_LENGTH(specs)};
    struct watcher watcher;
    bool help;
    if (!options_parse(&line, argc, argv, USAGE, &options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (!is_fine(&line, &options))
        return EXIT_USAGE;
    if (!watcher_open(&watcher, options.control))
        return EXIT_CONNECTION;
    int status = options.connection != NULL ? show_one(&watcher, &options) : show_table(&watcher, &options);
    watcher_close(&watcher);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    say_error("standard output cannot be written");
    return EXIT_LOCAL;
}
