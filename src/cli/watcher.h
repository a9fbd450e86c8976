/* The other end of a control socket (docs/control.md): asks one server, and waits for what it says. */
#ifndef CLI_WATCHER_H
#define CLI_WATCHER_H

#include <jansson.h>

#include "cli/cli.h"

struct watcher {
    int fd;
    char *buffer;
    size_t len, capacity;
    size_t line;   /* octets of the newest line, which stands at the beginning, with its end */
    bool said_all; /* the server has closed its end */
};

/* Connects to the server that `control` names (a path or the number of a process; NULL: the only one of this user) and reads
 * its greeting. False, which has been said, where there is none. */
bool watcher_open(struct watcher *watcher, const char *control);
void watcher_close(struct watcher *watcher);

/* Takes the request, which may be NULL for want of memory. False, which has been said. */
bool watcher_ask(struct watcher *watcher, json_t *request);

/* The next line, which the caller gives back. NULL, which has been said, where the server has gone, or has said nothing of
 * what it was asked for. */
json_t *watcher_next(struct watcher *watcher);

/* The next line as it came, up to the next call; NULL as above. */
const char *watcher_read(struct watcher *watcher, size_t *ret_len);
/* The newest line once more. */
const char *watcher_line(const struct watcher *watcher, size_t *ret_len);
json_t *watcher_parse(const struct watcher *watcher);
/* From now on the server may keep silent for as long as it likes. */
void watcher_wait_for_ever(struct watcher *watcher);

/* True for an `error`, which is said then; *ret_status is what the command ends with. */
bool watcher_refused(const json_t *line, int *ret_status);

/* What a user calls a connection, ADDR:PORT or a CID: its `connection`, as the newest line too. NULL, which has been said. */
json_t *watcher_find(struct watcher *watcher, const char *name, int *ret_status);

/* ---- Members of objects; "", 0 and false where there is no such member. */

const char *member_text(const json_t *object, const char *key);
uint64_t member_number(const json_t *object, const char *key);
double member_ms(const json_t *object, const char *key);
bool member_bool(const json_t *object, const char *key);

#endif
