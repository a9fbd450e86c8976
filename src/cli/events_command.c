/* roam events: what happens at a server that runs, as it happens, by its control socket. */
#include <string.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/show.h"
#include "cli/watcher.h"

#define USAGE                                                                                                          \
    "usage: roam events [options]\n\n"                                                                                 \
    "Prints the events of a server on this host, `roam listen` or `roam perf server`, as they come: a line of JSON "   \
    "for "                                                                                                             \
    "each,\n"                                                                                                          \
    "and on a terminal a line for people. Where several servers run, --control says which.\n"

struct events_options {
    const char *control, *types, *connection;
    uint64_t count;
    bool json;
};

#define OPTION(name, kind, member, argument, help)                                                                     \
    {                                                                                                                  \
        name, 0, kind, offsetof(struct events_options, member), argument, help                                         \
    }

static const struct option_spec specs[] = {
    OPTION("control", OPTION_TEXT, control, "PATH|PID", "the server, by its control socket or its process"),
    OPTION("types", OPTION_TEXT, types, "LIST",
           "events or classes, with commas (connection,path,cid,endpoint; stream and datagram as well)"),
    OPTION("connection", OPTION_TEXT, connection, "CID|ADDR:PORT", "only of this connection, up to its end"),
    OPTION("count", OPTION_NUMBER, count, "N", "end after so many"),
    OPTION("json", OPTION_FLAG, json, NULL, "JSON on a terminal, too"),
};

/* NULL where that is no text. */
static json_t *request_of(const char *types)
{
    json_t *request = json_pack("{s:s}", "request", "events");
    json_t *list = types == NULL ? NULL : json_array();
    for (const char *pos = types; pos != NULL; pos = *pos == '\0' ? NULL : pos + 1) {
        size_t len = strcspn(pos, ",");
        if (json_array_append_new(list, json_stringn(pos, len)) != 0) {
            json_decref(list);
            json_decref(request);
            return NULL;
        }
        pos += len;
    }
    if (list != NULL)
        json_object_set_new(request, "types", list);
    return request;
}

/* The id of the connection that is meant; "": all of them are. */
static bool find_id(struct watcher *watcher, const struct events_options *options, char ret[17], int *ret_status)
{
    ret[0] = '\0';
    if (options->connection == NULL)
        return true;
    json_t *connection = watcher_find(watcher, options->connection, ret_status);
    if (connection == NULL)
        return false;
    snprintf(ret, 17, "%s", member_text(connection, "row_id"));
    json_decref(connection);
    return true;
}

static bool subscribe(struct watcher *watcher, const struct events_options *options, int *ret_status)
{
    *ret_status = EXIT_CONNECTION;
    if (!watcher_ask(watcher, request_of(options->types)))
        return false;
    json_t *line = watcher_next(watcher);
    bool fine = line != NULL && !watcher_refused(line, ret_status);
    json_decref(line);
    watcher_wait_for_ever(watcher);
    return fine;
}

static void show(const struct watcher *watcher, const json_t *line, bool json)
{
    size_t len;
    const char *text = watcher_line(watcher, &len);
    if (json)
        fwrite(text, 1, len, stdout);
    else
        show_event(stdout, line);
    fflush(stdout);
}

/* Up to the last that is wanted. A gap is shown and not counted. */
static int follow(struct watcher *watcher, const struct events_options *options, const char *id)
{
    const bool json = options->json || !isatty(STDOUT_FILENO);
    uint64_t count = 0;
    bool ended = false;
    while (!ended && (options->count == 0 || count < options->count)) {
        json_t *line = watcher_next(watcher);
        if (line == NULL)
            return EXIT_CONNECTION;
        const bool is_event = strcmp(member_text(line, "type"), "event") == 0;
        const bool is_ours = id[0] == '\0' || strcmp(member_text(line, "id"), id) == 0;
        if (!is_event || is_ours)
            show(watcher, line, json);
        count += is_event && is_ours;
        ended = is_event && is_ours && id[0] != '\0' && strcmp(member_text(line, "event"), "closed") == 0;
        json_decref(line);
        if (ferror(stdout)) {
            say_error("standard output cannot be written");
            return EXIT_LOCAL;
        }
    }
    return EXIT_OK;
}

int events_main(int argc, char **argv)
{
    struct events_options options = {0};
    struct command_line line = {.command = "roam events", .specs = specs, .spec_count = ARRAY_LENGTH(specs)};
    struct watcher watcher;
    char id[17];
    int status;
    bool help;
    if (!options_parse(&line, argc, argv, USAGE, &options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (line.positional_count > 0) {
        say_error("there is nothing to be said but options; `roam events --help` tells more");
        return EXIT_USAGE;
    }
    if (!watcher_open(&watcher, options.control))
        return EXIT_CONNECTION;
    if (find_id(&watcher, &options, id, &status) && subscribe(&watcher, &options, &status))
        status = follow(&watcher, &options, id);
    watcher_close(&watcher);
    return status;
}
