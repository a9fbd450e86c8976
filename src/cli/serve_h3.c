/*
 * HTTP/3 for files. Kept: a file is read no faster than its stream takes it, and every request ends in one line of the
 * log, whatever became of it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/h3_field.h"
#include "cli/http_date.h"
#include "cli/serve.h"

#define CHUNK_BYTES (64 * 1024)

struct serve_h3 {
    struct serve_h3 *next, **link;
    struct server *server;
    roam_conn *conn;
    roam_h3 *h3;
    struct serve_request *first;
};

struct serve_request {
    struct serve_request *next, **link;
    struct serve_h3 *connection;
    uint64_t stream_id, sent;
    struct file_response response;
    char *method, *path, *referer, *agent; /* for the log */
};

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static void end_request(struct serve_request *request)
{
    const struct access_entry entry = {.remote = roam_conn_remote_address(request->connection->conn),
                                       .method = request->method,
                                       .path = request->path,
                                       .protocol = "HTTP/3.0",
                                       .referer = request->referer,
                                       .agent = request->agent,
                                       .status = request->response.status,
                                       .bytes = request->sent};
    access_log_write(request->connection->server->log_fd, &entry);
    *request->link = request->next;
    if (request->next != NULL)
        request->next->link = request->link;
    file_response_done(&request->response);
    free(request->method);
    free(request->path);
    free(request->referer);
    free(request->agent);
    free(request);
}

/* As much of the content as the stream takes. */
static void send_content(struct serve_request *request)
{
    struct server *server = request->connection->server;
    const struct file_response *response = &request->response;
    roam_h3 *h3 = request->connection->h3;
    while (!response->head && request->sent < response->content_bytes) {
        ptrdiff_t n = file_response_read(response, request->sent, server->chunk, CHUNK_BYTES);
        if (n < 0) {
            say_error("%s changed while it was sent", request->path);
            roam_h3_reset(h3, request->stream_id, ROAM_H3_INTERNAL_ERROR);
            return;
        }
        bool last = request->sent + (uint64_t)n == response->content_bytes;
        ptrdiff_t taken = roam_h3_write(h3, request->stream_id, server->chunk, (size_t)n, last);
        if (taken < 0)
            return; /* what ended it is told by an event of its own */
        request->sent += (uint64_t)taken;
        if (taken < n)
            return; /* ROAM_H3_EVENT_WRITABLE comes */
    }
}

static size_t section_bytes(const roam_h3_event *event)
{
    size_t bytes = 0;
    for (size_t i = 0; i < event->field_count; i++)
        bytes += event->fields[i].name_len + event->fields[i].value_len + 32;
    return bytes;
}

/* A field that comes twice is one list, which no cache's validator is: the first one counts. */
static bool make_response(const struct server *server, const roam_h3_event *event, struct file_response *ret)
{
    const struct file_request asked = {
        .method = event->method,
        .path = event->path,
        .range = h3_field_value(event, "range"),
        .accept_encoding = h3_field_value(event, "accept-encoding"),
        .conditions = {.if_match = h3_field_value(event, "if-match"),
                       .if_none_match = h3_field_value(event, "if-none-match"),
                       .if_modified_since = h3_field_value(event, "if-modified-since"),
                       .if_unmodified_since = h3_field_value(event, "if-unmodified-since"),
                       .if_range = h3_field_value(event, "if-range")},
    };
    if (section_bytes(event) > SERVE_FIELDS_BYTES_MAX)
        return file_response_refuse(ret, 431, strcmp(event->method, "HEAD") == 0);
    return file_response_make(&server->site, &asked, ret);
}

static bool respond(const struct serve_request *request)
{
    char date[HTTP_DATE_TEXT_MAX];
    const struct file_response *response = &request->response;
    roam_h3_field fields[FILE_RESPONSE_FIELDS_MAX + 2];
    size_t n = 0;
    http_date_format(time(NULL), date);
    fields[n++] = (roam_h3_field){.name = "date", .value = date};
    fields[n++] = (roam_h3_field){.name = "server", .value = "roam"};
    for (size_t i = 0; i < response->field_count; i++)
        fields[n++] = (roam_h3_field){.name = response->fields[i].name, .value = response->fields[i].value};
    for (size_t i = 0; i < n; i++) {
        fields[i].name_len = strlen(fields[i].name);
        fields[i].value_len = strlen(fields[i].value);
    }
    bool fin = response->head || response->content_bytes == 0;
    return roam_h3_respond(request->connection->h3, request->stream_id, response->status, fields, n, fin) == ROAM_OK;
}

static char *copy(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

static void on_request(struct serve_h3 *connection, const roam_h3_event *event)
{
    struct serve_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        roam_h3_reset(connection->h3, event->stream_id, ROAM_H3_REQUEST_REJECTED);
        return;
    }
    request->connection = connection;
    request->stream_id = event->stream_id;
    request->method = copy(event->method);
    request->path = copy(event->path);
    request->referer = copy(h3_field_value(event, "referer"));
    request->agent = copy(h3_field_value(event, "user-agent"));
    request->link = &connection->first;
    request->next = connection->first;
    if (request->next != NULL)
        request->next->link = &request->next;
    connection->first = request;
    bool made = make_response(connection->server, event, &request->response);
    bool more = !event->fin;
    roam_h3_set_user(connection->h3, request->stream_id, request);
    if (!made || !respond(request)) {
        roam_h3_reset(connection->h3, request->stream_id, ROAM_H3_INTERNAL_ERROR);
        return;
    }
    /* RFC 9114 section 4.1.1: what a client sends besides is not wanted. */
    if (more)
        roam_h3_stop(connection->h3, request->stream_id, ROAM_H3_NO_ERROR);
    send_content(request);
}

static void on_h3_event(struct serve_h3 *connection, const roam_h3_event *event)
{
    struct serve_request *request = event->user;
    switch (event->type) {
    case ROAM_H3_EVENT_REQUEST:
        on_request(connection, event);
        break;
    case ROAM_H3_EVENT_WRITABLE:
        if (request != NULL)
            send_content(request);
        break;
    case ROAM_H3_EVENT_STOPPED:
        roam_h3_reset(connection->h3, event->stream_id, ROAM_H3_REQUEST_CANCELLED);
        break;
    case ROAM_H3_EVENT_CLOSED:
        if (request != NULL)
            end_request(request);
        break;
    default:
        break;
    }
}

/* ---- Connections ------------------------------------------------------------------------------------------------- */

static struct serve_h3 *add_connection(struct server *server, const roam_event *event)
{
    struct serve_h3 *connection = calloc(1, sizeof(*connection));
    roam_h3 *h3 = connection != NULL && server->going_since == 0 ? roam_h3_new(event->conn, NULL, NULL) : NULL;
    if (h3 == NULL) {
        free(connection);
        roam_conn_close(event->conn, event->time, server->going_since != 0 ? ROAM_H3_NO_ERROR : ROAM_H3_INTERNAL_ERROR,
                        NULL);
        return NULL;
    }
    *connection = (struct serve_h3){
        .server = server, .conn = event->conn, .h3 = h3, .next = server->first, .link = &server->first};
    if (server->first != NULL)
        server->first->link = &connection->next;
    server->first = connection;
    roam_conn_set_user(event->conn, connection);
    return connection;
}

static void remove_connection(struct serve_h3 *connection)
{
    while (connection->first != NULL)
        end_request(connection->first);
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    roam_conn_set_user(connection->conn, NULL);
    roam_h3_free(connection->h3);
    free(connection);
}

void serve_h3_on_event(struct server *server, const roam_event *event)
{
    if (event->conn == NULL)
        return;
    struct serve_h3 *connection = roam_conn_user(event->conn);
    /* Early data comes before the handshake is complete; what is served here may be asked for twice. */
    if (connection == NULL && (event->type == ROAM_EVENT_CONNECTED || event->type == ROAM_EVENT_EARLY_DATA_ACCEPTED))
        connection = add_connection(server, event);
    if (event->type == ROAM_EVENT_CLOSED) {
        if (connection != NULL)
            remove_connection(connection);
        roam_conn_free(event->conn, event->time);
    } else if (connection != NULL && roam_h3_on_event(connection->h3, event->time, event)) {
        roam_h3_event told;
        while (roam_h3_next_event(connection->h3, event->time, &told))
            on_h3_event(connection, &told);
    } else if (connection == NULL && event->type == ROAM_EVENT_STREAM_OPENED) {
        roam_stream_free(event->stream);
    }
}

void serve_h3_go_away(struct server *server)
{
    for (struct serve_h3 *connection = server->first; connection != NULL; connection = connection->next)
        roam_h3_shutdown(connection->h3);
}

bool serve_h3_close(struct server *server, bool everything)
{
    for (struct serve_h3 *connection = server->first; connection != NULL; connection = connection->next)
        if (everything || roam_h3_open_requests(connection->h3) == 0)
            roam_conn_close(connection->conn, roam_io_now(server->io), ROAM_H3_NO_ERROR, NULL);
    return server->first == NULL;
}
