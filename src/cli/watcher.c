/* See watcher.h. */
#include "cli/watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/control.h"

/* A server that has its turn answers within milliseconds. */
#define PATIENCE_SECONDS 10

#define BUFFER_MIN 65536

/* ---- There and back */

static void set_patience(const struct watcher *watcher, time_t seconds)
{
    const struct timeval patience = {.tv_sec = seconds};
    setsockopt(watcher->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static bool greet(struct watcher *watcher)
{
    int status;
    json_t *hello = watcher_next(watcher);
    bool greeted =
        hello != NULL && !watcher_refused(hello, &status) && strcmp(member_text(hello, "type"), "hello") == 0;
    json_decref(hello);
    return greeted;
}

bool watcher_open(struct watcher *watcher, const char *control)
{
    char path[CONTROL_PATH_MAX];
    *watcher = (struct watcher){.fd = -1};
    if (!control_path_of(control, path))
        return false;
    watcher->fd = control_connect(path);
    if (watcher->fd < 0) {
        say_error(errno == ECONNREFUSED ? "nobody listens on %s any more: %s" : "no server can be asked by %s: %s",
                  path, strerror(errno));
        return false;
    }
    set_patience(watcher, PATIENCE_SECONDS);
    if (greet(watcher))
        return true;
    watcher_close(watcher);
    return false;
}

void watcher_close(struct watcher *watcher)
{
    if (watcher->fd >= 0)
        close(watcher->fd);
    free(watcher->buffer);
    *watcher = (struct watcher){.fd = -1};
}

void watcher_wait_for_ever(struct watcher *watcher)
{
    set_patience(watcher, 0);
}

bool watcher_ask(struct watcher *watcher, json_t *request)
{
    char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
    const size_t len = text == NULL ? 0 : strlen(text);
    json_decref(request);
    if (text == NULL) {
        say_error("this cannot be asked: it is no UTF-8");
        return false;
    }
    text[len] = '\n';
    /* A request is shorter than any socket's buffer: it goes at once, or not at all. */
    bool gone = send(watcher->fd, text, len + 1, MSG_NOSIGNAL) == (ssize_t)(len + 1);
    if (!gone)
        say_error("the server cannot be asked: %s", strerror(errno));
    free(text);
    return gone;
}

/* More of what the server says. */
static bool read_more(struct watcher *watcher)
{
    if (watcher->len == watcher->capacity) {
        size_t capacity = watcher->capacity == 0 ? BUFFER_MIN : 2 * watcher->capacity;
        char *buffer = capacity > 2 * CONTROL_LINE_MAX + BUFFER_MIN ? NULL : realloc(watcher->buffer, capacity);
        if (buffer == NULL) {
            say_error("what the server says has no end");
            return false;
        }
        watcher->buffer = buffer;
        watcher->capacity = capacity;
    }
    ssize_t n;
    do
        n = read(watcher->fd, watcher->buffer + watcher->len, watcher->capacity - watcher->len);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        watcher->len += (size_t)n;
    else if (n == 0)
        say_error("the server has gone");
    else if (errno == EAGAIN)
        say_error("the server has not answered for %d seconds", PATIENCE_SECONDS);
    else
        say_error("the server cannot be heard: %s", strerror(errno));
    return n > 0;
}

const char *watcher_read(struct watcher *watcher, size_t *ret_len)
{
    char *end;
    size_t looked_at = 0;
    if (watcher->line > 0)
        memmove(watcher->buffer, watcher->buffer + watcher->line, watcher->len - watcher->line);
    watcher->len -= watcher->line;
    watcher->line = 0;
    while (watcher->len == 0 || (end = memchr(watcher->buffer + looked_at, '\n', watcher->len - looked_at)) == NULL) {
        looked_at = watcher->len;
        if (!read_more(watcher))
            return NULL;
    }
    *ret_len = watcher->line = (size_t)(end - watcher->buffer) + 1;
    return watcher->buffer;
}

json_t *watcher_next(struct watcher *watcher)
{
    size_t len;
    return watcher_read(watcher, &len) == NULL ? NULL : watcher_parse(watcher);
}

json_t *watcher_parse(const struct watcher *watcher)
{
    json_error_t error;
    json_t *line = json_loadb(watcher->buffer, watcher->line, JSON_ALLOW_NUL, &error);
    if (json_is_object(line) && strcmp(member_text(line, "schema"), CONTROL_SCHEMA) == 0)
        return line;
    say_error("what the server says is no " CONTROL_SCHEMA "%s%s", line == NULL ? ": " : "",
              line == NULL ? error.text : "");
    json_decref(line);
    return NULL;
}

const char *watcher_line(const struct watcher *watcher, size_t *ret_len)
{
    *ret_len = watcher->line;
    return watcher->buffer;
}

bool watcher_refused(const json_t *line, int *ret_status)
{
    if (strcmp(member_text(line, "type"), "error") != 0)
        return false;
    *ret_status = strcmp(member_text(line, "error"), "bad_request") == 0 ? EXIT_USAGE : EXIT_CONNECTION;
    say_error("%s", member_text(line, "message"));
    return true;
}

/* ---- A connection by its name */

static json_t *ask_for(struct watcher *watcher, const char *key, const char *name)
{
    return watcher_ask(watcher, json_pack("{s:s, s:s}", "request", "connection", key, name)) ? watcher_next(watcher)
                                                                                             : NULL;
}

json_t *watcher_find(struct watcher *watcher, const char *name, int *ret_status)
{
    const bool is_hex = strspn(name, "0123456789abcdefABCDEF") == strlen(name);
    *ret_status = EXIT_CONNECTION;
    json_t *line = ask_for(watcher, is_hex ? "cid" : "address", name);
    /* Sixteen digits may be the `id` of a row as well. */
    if (is_hex && strlen(name) == 16 && line != NULL && strcmp(member_text(line, "error"), "not_found") == 0) {
        json_decref(line);
        line = ask_for(watcher, "row_id", name);
    }
    if (line == NULL || !watcher_refused(line, ret_status))
        return line;
    json_decref(line);
    return NULL;
}

/* ---- Members */

const char *member_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* What is more than 2^53 is a text of digits. */
uint64_t member_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? strtoull(json_string_value(value), NULL, 10) : (uint64_t)json_integer_value(value);
}

double member_ms(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

bool member_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}
