/*
 * What the page asks for stands in a request of the control socket, and what that answers is passed on as it is. Kept: as
 * little is read there as the stream takes, so that a slow reader is the control socket's to deal with, as any other.
 */
#include "cli/dashboard.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"

#define LIVE_EVERY_MS 1000

/* Octets of the longest line of the control socket, and some. */
#define HELD_MAX (256 * 1024)

static const char LIVE_EVENTS[] =
    "{\"request\":\"events\",\"types\":[\"path_moved\",\"path_reverted\",\"path_settled\",\"connected\",\"closed\"]}\n";
static const char LIVE_ROWS[] = "{\"request\":\"table\",\"sort\":\"last_move\",\"limit\":200}\n";

struct dashboard_relay {
    struct dashboard_relay *next, **list; /* of those whose stream is there */
    roam_h3 *h3;                          /* NULL: the stream is gone */
    uint64_t stream_id;
    enum dashboard_relay_kind kind;
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_connect_t connecting;
    unsigned holds; /* two handles, and the stream */
    bool connected, reading, ended, responded;
    char request[128]; /* RELAY_CONNECTION */
    size_t held;       /* octets that the stream has not taken */
    char data[HELD_MAX];
};

struct asking {
    uv_write_t write;
    char text[];
};

static const roam_h3_field live_fields[] = {
    DASHBOARD_FIELD("content-type", "application/x-ndjson"),
    DASHBOARD_FIELD("cache-control", "no-store"),
    DASHBOARD_FIELD("x-content-type-options", "nosniff"),
};

static const roam_h3_field json_fields[] = {
    DASHBOARD_FIELD("content-type", "application/json"),
    DASHBOARD_FIELD("cache-control", "no-store"),
    DASHBOARD_FIELD("x-content-type-options", "nosniff"),
};

static void release(struct dashboard_relay *relay)
{
    if (--relay->holds == 0)
        free(relay);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void end(struct dashboard_relay *relay)
{
    if (relay->ended)
        return;
    relay->ended = true;
    uv_close((uv_handle_t *)&relay->pipe, on_closed);
    uv_close((uv_handle_t *)&relay->timer, on_closed);
}

/* ---- To the page */

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct dashboard_relay *relay = handle->data;
    (void)suggested;
    *ret = uv_buf_init(relay->data + relay->held, (unsigned)(sizeof(relay->data) - relay->held));
}

/* Reads on where all was passed on. */
static void set_reading(struct dashboard_relay *relay)
{
    const bool wanted = relay->connected && !relay->ended &&
                        (relay->kind == RELAY_LIVE ? relay->held == 0 : relay->held < sizeof(relay->data));
    if (wanted && !relay->reading)
        uv_read_start((uv_stream_t *)&relay->pipe, give_room, on_read);
    else if (!wanted && relay->reading && !relay->ended)
        uv_read_stop((uv_stream_t *)&relay->pipe);
    relay->reading = wanted;
}

static void pass_on(struct dashboard_relay *relay, bool fin)
{
    if (relay->h3 == NULL)
        return;
    ptrdiff_t taken = roam_h3_write(relay->h3, relay->stream_id, relay->data, relay->held, fin);
    if (taken < 0) {
        end(relay);
        return;
    }
    relay->held -= (size_t)taken;
    memmove(relay->data, relay->data + taken, relay->held);
}

static void give_up(struct dashboard_relay *relay, int status)
{
    if (relay->h3 != NULL && relay->responded)
        roam_h3_reset(relay->h3, relay->stream_id, ROAM_H3_INTERNAL_ERROR);
    else if (relay->h3 != NULL)
        roam_h3_respond(relay->h3, relay->stream_id, status, NULL, 0, true);
    relay->responded = true;
    end(relay);
}

/* The greeting comes first, then the answer: a connection, or an error. */
static void look_for_answer(struct dashboard_relay *relay)
{
    char *greeting = memchr(relay->data, '\n', relay->held);
    char *answer = greeting != NULL ? greeting + 1 : NULL;
    size_t left = answer != NULL ? relay->held - (size_t)(answer - relay->data) : 0;
    char *answered = answer != NULL ? memchr(answer, '\n', left) : NULL;
    if (answered == NULL) {
        if (relay->held == sizeof(relay->data))
            give_up(relay, 500);
        return;
    }
    relay->held = (size_t)(answered - answer);
    memmove(relay->data, answer, relay->held);
    if (memmem(relay->data, relay->held, "\"type\":\"connection\"", 19) == NULL) {
        give_up(relay, 404);
        return;
    }
    roam_h3_respond(relay->h3, relay->stream_id, 200, json_fields, ARRAY_LENGTH(json_fields), false);
    relay->responded = true;
    pass_on(relay, true);
    end(relay);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct dashboard_relay *relay = stream->data;
    (void)buffer;
    if (n < 0 && n != UV_ENOBUFS) {
        give_up(relay, 503);
        return;
    }
    relay->held += n > 0 ? (size_t)n : 0;
    if (relay->h3 == NULL)
        return;
    if (relay->kind == RELAY_CONNECTION)
        look_for_answer(relay);
    else
        pass_on(relay, false);
    if (!relay->ended)
        set_reading(relay);
}

void dashboard_relay_on_writable(struct dashboard_relay *relay)
{
    if (relay->kind == RELAY_CONNECTION || relay->ended)
        return;
    pass_on(relay, false);
    if (!relay->ended)
        set_reading(relay);
}

/* ---- To the control socket */

static void on_asked(uv_write_t *write, int status)
{
    (void)status;
    free(CONTAINER_OF(write, struct asking, write));
}

static void ask(struct dashboard_relay *relay, const char *text)
{
    const size_t len = strlen(text);
    struct asking *asking = malloc(sizeof(*asking) + len);
    if (asking == NULL)
        return;
    memcpy(asking->text, text, len);
    uv_buf_t buffer = uv_buf_init(asking->text, (unsigned)len);
    if (uv_write(&asking->write, (uv_stream_t *)&relay->pipe, &buffer, 1, on_asked) != 0)
        free(asking);
}

/* The next rows are asked for when those before have left. */
static void on_timer(uv_timer_t *timer)
{
    struct dashboard_relay *relay = timer->data;
    if (relay->connected && relay->held == 0)
        ask(relay, LIVE_ROWS);
}

static void on_connected(uv_connect_t *connecting, int status)
{
    struct dashboard_relay *relay = CONTAINER_OF(connecting, struct dashboard_relay, connecting);
    if (relay->ended)
        return;
    if (status < 0) {
        give_up(relay, 503);
        return;
    }
    relay->connected = true;
    if (relay->kind == RELAY_CONNECTION) {
        ask(relay, relay->request);
    } else {
        roam_h3_respond(relay->h3, relay->stream_id, 200, live_fields, ARRAY_LENGTH(live_fields), false);
        relay->responded = true;
        ask(relay, LIVE_EVENTS);
        ask(relay, LIVE_ROWS);
        uv_timer_start(&relay->timer, on_timer, LIVE_EVERY_MS, LIVE_EVERY_MS);
    }
    set_reading(relay);
}

static bool is_cid(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    return len >= 2 && len <= 40 && len % 2 == 0;
}

bool dashboard_relay_start(struct dashboard_relay **list, uv_loop_t *loop, const char *control_path, roam_h3 *h3,
                           uint64_t stream_id, enum dashboard_relay_kind kind, const char *cid)
{
    size_t relays = 0;
    for (const struct dashboard_relay *relay = *list; relay != NULL; relay = relay->next)
        relays++;
    if (relays == DASHBOARD_RELAYS_MAX)
        return false;
    if (kind == RELAY_CONNECTION && !is_cid(cid)) {
        roam_h3_respond(h3, stream_id, 404, NULL, 0, true);
        return true;
    }
    struct dashboard_relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL)
        return false;
    relay->list = list;
    relay->next = *list;
    *list = relay;
    relay->h3 = h3;
    relay->stream_id = stream_id;
    relay->kind = kind;
    if (kind == RELAY_CONNECTION)
        snprintf(relay->request, sizeof(relay->request), "{\"request\":\"connection\",\"cid\":\"%s\"}\n", cid);
    uv_pipe_init(loop, &relay->pipe, 0);
    uv_timer_init(loop, &relay->timer);
    relay->pipe.data = relay->timer.data = relay;
    relay->holds = 3;
    uv_unref((uv_handle_t *)&relay->pipe);
    uv_unref((uv_handle_t *)&relay->timer);
    uv_pipe_connect(&relay->connecting, &relay->pipe, control_path, on_connected);
    roam_h3_set_user(h3, stream_id, relay);
    return true;
}

void dashboard_relay_stop(struct dashboard_relay *relay)
{
    struct dashboard_relay **link = relay->list;
    while (*link != relay)
        link = &(*link)->next;
    *link = relay->next;
    relay->h3 = NULL;
    end(relay);
    release(relay);
}

void dashboard_relays_stop(struct dashboard_relay **list, const roam_h3 *h3)
{
    struct dashboard_relay *next;
    for (struct dashboard_relay *relay = *list; relay != NULL; relay = next) {
        next = relay->next;
        if (h3 == NULL || relay->h3 == h3)
            dashboard_relay_stop(relay);
    }
}
