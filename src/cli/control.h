/*
 * Inside of the control socket of a server (docs/control.md).
 *   control.c          the socket, its clients, what goes to them
 *   control_request.c  what they ask for
 *   control_table.c    answers that walk the table, a slice a turn of the loop
 *   control_json.c     rows, connections and events as JSON
 *   control_path.c     where the socket is
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "cli/cli.h"
#include "cli/control_path.h"
#include "cli/watch_row.h"
#include "observe/json.h"

#define CONTROL_SCHEMA "roam-control/1"

/* Clients at once; the next ones are told so and let go. */
#define CONTROL_CLIENTS_MAX 32

/* Octets of the longest request. */
#define CONTROL_REQUEST_MAX 4096

/* Octets of the longest line that is sent. */
#define CONTROL_LINE_MAX (192 * 1024)

/* An answer goes on while fewer octets wait for their reader; an event is lost to a reader for which more would wait. */
#define CONTROL_ANSWER_AHEAD (256 * 1024)
#define CONTROL_EVENTS_AHEAD (256 * 1024)

/* A reader that takes nothing of an answer for so long is let go. */
#define CONTROL_PATIENCE ROAM_SECONDS(10)

/* Rows that are looked at in one turn of the loop. */
#define CONTROL_SLICE_ROWS 128

/* Rows of a sorted answer, and those that it passes over, together. */
#define CONTROL_SORTED_MAX 131072

/* The text of a request's id, as JSON. */
#define CONTROL_ID_MAX 80

struct control_table; /* control_table.c: an answer under way */

struct control_client {
    struct control_client *next;
    struct control *control;
    uv_pipe_t pipe;
    char request[CONTROL_REQUEST_MAX]; /* what came of lines that are not done */
    size_t request_len;
    size_t waiting;            /* octets that it has not taken */
    roam_time took_at;         /* when it last took some, or was given the first */
    struct control_table *job; /* NULL: none; no request is read meanwhile */
    bool reading, ending;
    bool said_all;  /* it has closed its half */
    uint64_t types; /* of events that it wants, a bit each; 0: none */
    uint64_t lost;  /* events since the last that it was given */
};

struct control {
    roam_io *io;
    char command[32];
    char path[CONTROL_PATH_MAX];
    dev_t device; /* of the socket's file: another in its place is not ours to remove */
    ino_t inode;
    uv_pipe_t listener;
    uv_idle_t turns; /* active while there is something to go on with */
    uv_timer_t patience;
    bool turning;
    unsigned handles; /* that point here */
    struct control_client *clients;
    size_t client_count;
    uint64_t types; /* that any client wants */
    roam_time started;
    int64_t unix_offset; /* from the loop's clock to that of the world */
    void *metrics;       /* for metrics_text */
    char line[CONTROL_LINE_MAX];
};

/* ---- control.c */

/* NULL, which has been said, where there can be no such socket. path NULL: where watchers look. */
struct control *control_start(roam_io *io, const char *path, const char *command, void *metrics);
void control_stop(struct control *control);
void control_on_event(struct control *control, const roam_event *event);

/* A line begins with the version and its type, and with the id of the request where there is one. */
struct json control_line(struct control *control, const char *type, const char *id);
/* Ends the line and sends it. */
void control_send(struct control_client *client, struct json *line);
void control_send_error(struct control_client *client, const char *id, const char *error, const char *message);
/* There is something to go on with, or no more. */
void control_turn(struct control *control);
/* It takes nothing of an answer. Who reads no events just loses them. */
bool control_is_given_up(const struct control_client *client, roam_time now);

/* ---- control_request.c */

void control_request(struct control_client *client, const char *line, size_t len);

/* ---- control_table.c */

struct control_question {
    char id[CONTROL_ID_MAX]; /* "": none */
    struct watch_filter filter;
    enum watch_column sort;
    bool reverse;
    bool detail; /* the first that fits, in detail */
    uint64_t offset, limit;
};

/* NULL without memory. */
struct control_table *control_table_new(struct control *control, const struct control_question *question);
void control_table_free(struct control_table *table);
/* One slice; true where that was the last. */
bool control_table_turn(struct control_table *table, struct control_client *client);

/* ---- control_json.c */

void control_put_row(struct json *json, const struct watch_row *row);
void control_put_connection(struct json *json, const roam_conn *conn, roam_time now);
void control_put_event(struct json *json, const struct control *control, const roam_event *event);
/* The server as a whole: counters, states, memory. */
void control_put_server(struct json *json, const struct control *control);

#endif
