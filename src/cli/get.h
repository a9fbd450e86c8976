/* What the parts of `roam get` share. A transfer is one URL of the command line, wherever redirects lead it; an origin is
 * one connection, on which any number of them run. */
#ifndef CLI_GET_H
#define CLI_GET_H

#include <roam/h3.h>

#include "cli/cli.h"
#include "cli/url.h"

/* Exit statuses, as of curl. */
enum get_status {
    GET_OK = 0,
    GET_USAGE = 2,
    GET_URL = 3,
    GET_RESOLVE = 6,
    GET_CONNECT = 7,
    GET_PARTIAL = 18,
    GET_HTTP = 22,
    GET_WRITE = 23,
    GET_TIMEOUT = 28,
    GET_TLS = 35,
    GET_REDIRECTS = 47,
    GET_CERTIFICATE = 60,
};

enum get_progress { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_JSON, PROGRESS_NONE };

struct get_options {
    struct net_options net;
    struct text_list outputs, headers; /* GET_HEADERS_MAX of these */
    const char *method, *data;
    bool remote_name, resume, head, include, follow, fail, parallel;
    unsigned progress; /* enum get_progress */
    uint64_t retry, max_redirects;
    roam_time max_time;
};

#define VALIDATOR_TEXT_MAX 256

/* --header, at most. */
#define GET_HEADERS_MAX 16

/* Where content goes: standard output or a special file as it comes; a file under the name FILE.part until it is
 * whole, with FILE.part.meta beside it, which says by what it can be gone on with. */
struct get_output {
    const char *name; /* NULL: standard output */
    char *part, *meta;
    int fd;                             /* -1: not open */
    uint64_t at;                        /* octets of content that are there */
    char validator[VALIDATOR_TEXT_MAX]; /* what If-Range is given; "": it cannot be gone on with */
};

struct get_origin {
    struct get_origin *next;
    struct url url; /* its host and port */
    roam_conn *conn;
    roam_h3 *h3; /* once the handshake is complete */
    bool closed, has_session;
    bool full;        /* it takes no more requests now */
    roam_error error; /* then */
};

enum transfer_state { TRANSFER_WAITING, TRANSFER_CONNECTING, TRANSFER_RUNNING, TRANSFER_DONE };

struct transfer {
    struct url url;
    const char *text; /* as it was written */
    enum transfer_state state;
    int status; /* DONE: enum get_status */
    struct get_origin *origin;
    uint64_t stream_id;
    int http_status;
    uint64_t total; /* octets of the whole content, UINT64_MAX where nobody said */
    uint64_t sent;  /* of our content */
    uint64_t redirects, attempts;
    roam_time not_before, began;
    uint64_t began_at; /* out.at then */
    bool discards;     /* what comes is not wanted */
    bool asked_range, crossed, as_get;
    bool too_early; /* it was asked for in early data, which the server did not want */
    bool blocked;   /* the output takes no more now */
    struct get_output out;
};

struct getter {
    struct get_options options;
    roam_config config;
    roam_io *io;
    struct signals signals;
    uv_timer_t rebind, migrate, key_update;
    struct get_origin *origins;
    struct transfer *transfers;
    char (*names)[URL_HOST_MAX]; /* of their files, by --remote-name */
    size_t count;
    int data_fd; /* --data @FILE, -1: none */
    uint64_t data_bytes;
    roam_time started, progress_at;
    bool progress_shown;
};

/* ---- get_transfer.c */

/* Goes on with everything that can go on; false where all transfers are done. */
bool transfers_step(struct getter *getter);
/* Takes what HTTP/3 has to tell. */
void transfers_take_events(struct getter *getter, struct get_origin *origin, roam_time now);
/* Reads what is there; where the connection has ended, the transfer ends when there is no more. */
void transfer_drain(struct getter *getter, struct transfer *transfer);
/* `status` is the one to end with unless it is tried again. `why` is said. */
void transfer_fail(struct getter *getter, struct transfer *transfer, int status, bool again, const char *why);

/* ---- get_output.c: false with errno */

bool output_open(struct get_output *out, bool resume);
bool output_write(struct get_output *out, const void *data, size_t len);
/* True where a write would not wait. */
bool output_takes(const struct get_output *out);
/* Begins anew; false where what is written cannot be taken back. */
bool output_restart(struct get_output *out);
/* Remembers by what it can be gone on with. */
bool output_remember(struct get_output *out, const char *url, const char *validator);
/* The file gets its name where it is whole. */
bool output_close(struct get_output *out, bool whole);

/* ---- get_report.c */

void report_progress(struct getter *getter, bool last);

#endif
