/*
 * The control socket. Kept: nothing that a client does, or does not do, holds up the server: what waits for a client is
 * bounded, each turn of the loop does a bounded piece of one answer, and who does not read is let go or loses events, which
 * are counted.
 */
#include "cli/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/minmax.h"

#define BACKLOG 16

/* How often it is looked for those who do not read. */
#define PATIENCE_MS 1000

/* Room behind a line for what closes it. */
#define LINE_END_MAX 64

struct sending {
    uv_write_t request;
    struct control_client *client;
    size_t len;
    char data[];
};

/* ---- Clients go */

static void want_types(struct control *control)
{
    control->types = 0;
    for (struct control_client *client = control->clients; client != NULL; client = client->next)
        control->types |= client->types;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void end_client(struct control_client *client)
{
    struct control *control = client->control;
    if (client->ending)
        return;
    client->ending = true;
    struct control_client **link = &control->clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    control->client_count--;
    control_table_free(client->job);
    client->job = NULL;
    want_types(control);
    control_turn(control);
    uv_close((uv_handle_t *)&client->pipe, on_closed);
}

/* ---- Lines go out */

struct json control_line(struct control *control, const char *type, const char *id)
{
    struct json json = json_init(control->line, sizeof(control->line) - LINE_END_MAX);
    json_object_begin(&json, NULL);
    json_text(&json, "schema", CONTROL_SCHEMA);
    json_text(&json, "type", type);
    if (id != NULL && id[0] != '\0') {
        json_raw(&json, ",\"id\":", 6);
        json_raw(&json, id, strlen(id));
    }
    return json;
}

static void tell_gap(struct control_client *client)
{
    struct json json = control_line(client->control, "gap", NULL);
    json_number(&json, "lost", client->lost);
    client->lost = 0;
    control_send(client, &json);
}

static void on_sent(uv_write_t *request, int status)
{
    struct sending *sending = CONTAINER_OF(request, struct sending, request);
    struct control_client *client = sending->client;
    client->waiting -= sending->len;
    free(sending);
    if (client->ending)
        return;
    if (status < 0) {
        end_client(client);
        return;
    }
    client->took_at = roam_io_now(client->control->io);
    if (client->waiting == 0 && client->lost > 0)
        tell_gap(client);
    struct control *control = client->control;
    if (client->said_all && client->job == NULL && client->waiting == 0)
        end_client(client);
    control_turn(control);
}

void control_send(struct control_client *client, struct json *line)
{
    line->end += LINE_END_MAX;
    json_object_end(line);
    json_raw(line, "\n", 1);
    const size_t len = json_len(line);
    struct sending *sending = line->failed || client->ending ? NULL : malloc(sizeof(*sending) + len);
    if (sending == NULL)
        return;
    sending->client = client;
    sending->len = len;
    memcpy(sending->data, line->start, len);
    uv_buf_t buffer = uv_buf_init(sending->data, (unsigned)len);
    if (uv_write(&sending->request, (uv_stream_t *)&client->pipe, &buffer, 1, on_sent) != 0) {
        free(sending);
        return;
    }
    if (client->waiting == 0)
        client->took_at = roam_io_now(client->control->io);
    client->waiting += len;
}

void control_send_error(struct control_client *client, const char *id, const char *error, const char *message)
{
    struct json json = control_line(client->control, "error", id);
    json_text(&json, "error", error);
    json_text(&json, "message", message);
    control_send(client, &json);
}

/* ---- Answers that take several turns */

static bool can_go_on(const struct control_client *client)
{
    return client->job != NULL && client->waiting < CONTROL_ANSWER_AHEAD;
}

static void take_requests(struct control_client *client);

/* One client's slice in each turn; the one that had it goes to the end of the row. */
static void on_turn(uv_idle_t *handle)
{
    struct control *control = handle->data;
    struct control_client **link = &control->clients;
    while (*link != NULL && !can_go_on(*link))
        link = &(*link)->next;
    struct control_client *client = *link;
    if (client != NULL) {
        *link = client->next;
        client->next = NULL;
        struct control_client **end = &control->clients;
        while (*end != NULL)
            end = &(*end)->next;
        *end = client;
        if (control_table_turn(client->job, client)) {
            control_table_free(client->job);
            client->job = NULL;
            take_requests(client);
        }
    }
    control_turn(control);
}

void control_turn(struct control *control)
{
    bool turning = false;
    for (struct control_client *client = control->clients; client != NULL && !turning; client = client->next)
        turning = can_go_on(client);
    if (turning && !control->turning)
        uv_idle_start(&control->turns, on_turn);
    else if (!turning && control->turning)
        uv_idle_stop(&control->turns);
    control->turning = turning;
}

bool control_is_given_up(const struct control_client *client, roam_time now)
{
    const bool is_answered = client->job != NULL || client->types == 0;
    return client->waiting > 0 && is_answered && now - client->took_at > CONTROL_PATIENCE;
}

static void on_patience(uv_timer_t *timer)
{
    struct control *control = timer->data;
    const roam_time now = roam_io_now(control->io);
    struct control_client *next;
    for (struct control_client *client = control->clients; client != NULL; client = next) {
        next = client->next;
        if (control_is_given_up(client, now))
            end_client(client);
    }
}

/* ---- Requests come in */

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct control_client *client = handle->data;
    (void)suggested;
    *ret =
        uv_buf_init(client->request + client->request_len, (unsigned)(sizeof(client->request) - client->request_len));
}

static void read_on(struct control_client *client)
{
    bool reading = client->job == NULL && !client->ending && !client->said_all;
    if (reading && !client->reading)
        uv_read_start((uv_stream_t *)&client->pipe, on_room, on_read);
    else if (!reading && client->reading && !client->ending)
        uv_read_stop((uv_stream_t *)&client->pipe);
    client->reading = reading;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct control_client *client = stream->data;
    (void)buffer;
    /* Who has closed his half waits for the answer to what he asked; a subscriber is not told from one that is gone. */
    if (n == UV_EOF && (client->job != NULL || client->waiting > 0) && client->types == 0) {
        client->said_all = true;
        read_on(client);
        return;
    }
    if (n < 0 && n != UV_ENOBUFS) {
        end_client(client);
        return;
    }
    client->request_len += n > 0 ? (size_t)n : 0;
    take_requests(client);
}

/* All that can be answered now; what begins an answer of several turns is the last of them. */
static void take_requests(struct control_client *client)
{
    char *end;
    while (client->job == NULL && !client->ending &&
           (end = memchr(client->request, '\n', client->request_len)) != NULL) {
        char line[CONTROL_REQUEST_MAX];
        const size_t len = (size_t)(end - client->request);
        memcpy(line, client->request, len);
        client->request_len -= len + 1;
        memmove(client->request, end + 1, client->request_len);
        control_request(client, line, len);
        /* Who asks and does not read is not answered for ever. */
        if (client->waiting > CONTROL_EVENTS_AHEAD + CONTROL_ANSWER_AHEAD)
            end_client(client);
    }
    if (!client->ending && client->job == NULL && client->request_len == sizeof(client->request)) {
        control_send_error(client, NULL, "too_long", "a request has 4,095 octets at most");
        client->request_len = 0;
    }
    if (client->ending)
        return;
    want_types(client->control);
    read_on(client);
    control_turn(client->control);
}

/* ---- Clients come */

static void say_hello(struct control_client *client)
{
    struct control *control = client->control;
    struct json json = control_line(control, "hello", NULL);
    json_text(&json, "command", control->command);
    json_text(&json, "version", roam_version());
    json_number(&json, "pid", (uint64_t)getpid());
    json_ms(&json, "up_ms", roam_io_now(control->io) - control->started);
    control_send(client, &json);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct control *control = stream->data;
    struct control_client *client = status < 0 ? NULL : calloc(1, sizeof(*client));
    if (client == NULL)
        return;
    client->control = control;
    uv_pipe_init(roam_io_loop(control->io), &client->pipe, 0);
    client->pipe.data = client;
    uv_unref((uv_handle_t *)&client->pipe);
    client->next = control->clients;
    control->clients = client;
    control->client_count++;
    if (uv_accept(stream, (uv_stream_t *)&client->pipe) != 0) {
        end_client(client);
        return;
    }
    if (control->client_count > CONTROL_CLIENTS_MAX) {
        control_send_error(client, NULL, "busy", "too many clients at once");
        end_client(client);
        return;
    }
    say_hello(client);
    read_on(client);
}

/* ---- Events */

static bool is_wanted(const struct control *control, roam_event_type type)
{
    return (control->types >> type & 1) != 0;
}

void control_on_event(struct control *control, const roam_event *event)
{
    if (!is_wanted(control, event->type))
        return;
    struct json json = control_line(control, "event", NULL);
    control_put_event(&json, control, event);
    const size_t len = json_len(&json);
    const struct json line = json;
    struct control_client *next;
    for (struct control_client *client = control->clients; client != NULL; client = next) {
        next = client->next;
        if ((client->types >> event->type & 1) == 0)
            continue;
        if (client->waiting + len > CONTROL_EVENTS_AHEAD) {
            client->lost++;
            continue;
        }
        json = line;
        control_send(client, &json);
    }
}

/* ---- Life */

static int64_t unix_offset(roam_time now)
{
    struct timespec world;
    clock_gettime(CLOCK_REALTIME, &world);
    return (int64_t)(ROAM_SECONDS(world.tv_sec) + (roam_time)world.tv_nsec) - (int64_t)now;
}

static bool remember_file(struct control *control)
{
    struct stat status;
    if (lstat(control->path, &status) != 0)
        return false;
    control->device = status.st_dev;
    control->inode = status.st_ino;
    return true;
}

static bool listen_there(struct control *control)
{
    int fd = control_bind(control->path);
    uv_loop_t *loop = roam_io_loop(control->io);
    if (fd < 0)
        return false;
    uv_pipe_init(loop, &control->listener, 0);
    uv_idle_init(loop, &control->turns);
    uv_timer_init(loop, &control->patience);
    control->handles = 3;
    control->listener.data = control->turns.data = control->patience.data = control;
    uv_timer_start(&control->patience, on_patience, PATIENCE_MS, PATIENCE_MS);
    int status = uv_pipe_open(&control->listener, fd);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&control->listener, BACKLOG, on_connection);
    /* None of them keeps a loop alive that would end. */
    uv_unref((uv_handle_t *)&control->listener);
    uv_unref((uv_handle_t *)&control->turns);
    uv_unref((uv_handle_t *)&control->patience);
    if (status == 0 && remember_file(control))
        return true;
    status = status == 0 ? -errno : status;
    say_error("cannot listen on the control socket %s: %s", control->path, uv_strerror(status));
    return false;
}

struct control *control_start(roam_io *io, const char *path, const char *command, void *metrics)
{
    struct control *control = calloc(1, sizeof(*control));
    if (control == NULL)
        return NULL;
    control->io = io;
    control->metrics = metrics;
    control->started = roam_io_now(io);
    control->unix_offset = unix_offset(control->started);
    snprintf(control->command, sizeof(control->command), "%s", command);
    if (path == NULL ? control_default_path(control->path) : control_path_of(path, control->path)) {
        if (listen_there(control))
            return control;
    }
    if (control->handles > 0)
        control_stop(control);
    else
        free(control);
    return NULL;
}

static void remove_file(const struct control *control)
{
    struct stat status;
    if (control->inode != 0 && lstat(control->path, &status) == 0 && status.st_dev == control->device &&
        status.st_ino == control->inode)
        unlink(control->path);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;
    if (--control->handles == 0)
        free(control);
}

void control_stop(struct control *control)
{
    remove_file(control);
    while (control->clients != NULL)
        end_client(control->clients);
    uv_close((uv_handle_t *)&control->listener, on_handle_closed);
    uv_close((uv_handle_t *)&control->turns, on_handle_closed);
    uv_close((uv_handle_t *)&control->patience, on_handle_closed);
}
