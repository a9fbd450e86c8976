/*
 * The control socket as `roam top` uses it. Kept: of each kind one question at most waits for its answer, so that a slow
 * server is not asked faster than it answers, and answers need no names: they come in the order of the questions.
 */
#include "cli/top_link.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/control.h"

/* A line of a server's, and room to see that it is too long. */
#define BUFFER_BYTES (2 * CONTROL_LINE_MAX)

/* ---- Lines come in */

static void answered(struct top_link *link)
{
    if (link->asked_count == 0)
        return;
    link->asked_count--;
    memmove(link->asked, link->asked + 1, link->asked_count * sizeof(link->asked[0]));
    link->asked_at = uv_hrtime();
}

static bool take_line(struct top_link *link, size_t len)
{
    const bool of_table = link->asked_count > 0 && link->asked[0] == TOP_ASK_TABLE;
    switch (top_read_line(link->model, link->buffer, len, of_table, uv_hrtime())) {
    case TOP_LINE_BAD:
        return false;
    case TOP_LINE_ERROR:
        /* Said without being asked: it lets nobody in. */
        if (link->asked_count == 0) {
            link->on_gone(link->context, link->model->message);
            return true;
        }
        answered(link);
        break;
    case TOP_LINE_ANSWER:
        answered(link);
        break;
    case TOP_LINE_NEWS:
    case TOP_LINE_PART:
        break;
    }
    return true;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct top_link *link = handle->data;
    (void)suggested;
    *ret = uv_buf_init(link->buffer + link->len, (unsigned)(BUFFER_BYTES - link->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct top_link *link = stream->data;
    char *end;
    (void)buffer;
    if (n < 0) {
        link->on_gone(link->context, n == UV_EOF || n == UV_ECONNRESET ? "the server has ended" : uv_strerror((int)n));
        return;
    }
    link->len += (size_t)n;
    while (!link->closed && (end = memchr(link->buffer, '\n', link->len)) != NULL) {
        const size_t len = (size_t)(end - link->buffer);
        if (!take_line(link, len)) {
            link->on_gone(link->context, "what listens there is no roam server, or one of another version");
            return;
        }
        link->len -= len + 1;
        memmove(link->buffer, end + 1, link->len);
    }
    if (link->len == BUFFER_BYTES && !link->closed)
        link->on_gone(link->context, "the server says a line without an end");
    else if (!link->closed)
        link->on_news(link->context);
}

/* ---- Questions go out */

struct sending {
    uv_write_t request;
    char text[CONTROL_REQUEST_MAX];
};

static void on_sent(uv_write_t *request, int status)
{
    (void)status; /* reading says so, too */
    free(CONTAINER_OF(request, struct sending, request));
}

static void put_text(json_t *object, const char *key, const char *text)
{
    if (text[0] != '\0')
        json_object_set_new(object, key, json_string(text));
}

static json_t *table_question(struct top_model *model)
{
    json_t *object = json_object(), *filter = json_object();
    put_text(object, "request", "table");
    put_text(filter, "state", model->filter.state);
    put_text(filter, "address", model->filter.address);
    put_text(filter, "alpn", model->filter.alpn);
    put_text(filter, "cid", model->filter.cid);
    json_object_set_new(object, "filter", filter);
    if (model->sort != WATCH_UNSORTED)
        put_text(object, "sort", watch_column_name(model->sort));
    json_object_set_new(object, "reverse", json_boolean(model->reverse));
    json_object_set_new(object, "offset", json_integer((json_int_t)model->offset));
    json_object_set_new(object, "limit", json_integer((json_int_t)model->lines));
    model->coming_first = model->offset;
    model->coming_count = 0;
    return object;
}

static json_t *detail_question(const struct top_model *model)
{
    json_t *object = json_object();
    put_text(object, "request", "connection");
    if (model->detail.by_id)
        put_text(object, "row_id", model->detail.row.key);
    else
        put_text(object, "cid", model->detail.row.cid);
    return object;
}

/* For the table what moves; of one connection all that happens to its paths and CIDs, which is told of every other one, too,
 * and passed over. */
static json_t *events_question(const struct top_model *model)
{
    static const char *const of_table[] = {"path_moved", "path_reverted", "path_settled", NULL};
    static const char *const of_detail[] = {"path", "cid", "key_updated", "closed", NULL};
    json_t *object = json_object(), *types = json_array();
    for (const char *const *name = model->page == TOP_DETAIL ? of_detail : of_table; *name != NULL; name++)
        json_array_append_new(types, json_string(*name));
    put_text(object, "request", "events");
    json_object_set_new(object, "types", types);
    return object;
}

static void send_object(struct top_link *link, json_t *object)
{
    struct sending *sending = calloc(1, sizeof(*sending));
    size_t len = sending == NULL ? 0 : json_dumpb(object, sending->text, sizeof(sending->text) - 1, JSON_COMPACT);
    json_decref(object);
    if (len > 0 && len < sizeof(sending->text)) {
        sending->text[len] = '\n';
        uv_buf_t buffer = uv_buf_init(sending->text, (unsigned)len + 1);
        if (uv_write(&sending->request, (uv_stream_t *)&link->pipe, &buffer, 1, on_sent) == 0)
            return;
    }
    free(sending);
}

bool top_link_ask(struct top_link *link, enum top_question question)
{
    for (size_t i = 0; i < link->asked_count; i++)
        if (link->asked[i] == question)
            return false;
    if (link->asked_count == 0)
        link->asked_at = uv_hrtime();
    link->asked[link->asked_count++] = question;
    switch (question) {
    case TOP_ASK_TABLE:
        send_object(link, table_question(link->model));
        break;
    case TOP_ASK_DETAIL:
        send_object(link, detail_question(link->model));
        break;
    default:
        send_object(link, events_question(link->model));
    }
    return true;
}

/* ---- Life */

bool top_link_open(struct top_link *link, uv_loop_t *loop, int fd)
{
    link->buffer = malloc(BUFFER_BYTES);
    if (link->buffer == NULL)
        return false;
    uv_pipe_init(loop, &link->pipe, 0);
    link->pipe.data = link;
    uv_pipe_open(&link->pipe, fd);
    uv_read_start((uv_stream_t *)&link->pipe, on_room, on_read);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct top_link *link = handle->data;
    free(link->buffer);
    link->buffer = NULL;
}

void top_link_close(struct top_link *link)
{
    if (!link->closed)
        uv_close((uv_handle_t *)&link->pipe, on_closed);
    link->closed = true;
}
