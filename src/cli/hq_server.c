/*
 * GET /path in, the file's octets out, one request a stream. Kept: only regular files below the directory are served:
 * no "..", no symbolic links, neither at the end of a path nor on the way; a file is read no faster than its stream
 * takes it. What cannot be served is a reset stream, for HTTP/0.9 has no other way to say so.
 */
#include "cli/hq_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES    (64 * 1024)
#define REQUEST_MAX    2048
#define PATH_PARTS_MAX 64

/* Application error codes on streams. */
enum { HQ_BAD_REQUEST = 400, HQ_NOT_FOUND = 404, HQ_INTERNAL_ERROR = 500 };

struct hq_request {
    struct hq_request *next; /* of the same connection */
    roam_stream *stream;
    int fd; /* -1 until there is a file */
    off_t at;
    bool answered; /* the end of the answer is written, or it is given up */
    size_t len;
    char line[REQUEST_MAX + 1];
};

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

static int open_part(int directory, const char *part, bool last)
{
    if (strcmp(part, "..") == 0 || strcmp(part, ".") == 0)
        return -1;
    return openat(directory, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK | O_NOCTTY : O_DIRECTORY));
}

/* Opens a regular file below root, walking down name by name; -1 where there is none. */
static int open_below(int root, char *path)
{
    int at = dup(root);
    char *rest = path, *part = strsep(&rest, "/");
    for (int parts = 0; at >= 0 && part != NULL && parts < PATH_PARTS_MAX; parts++) {
        char *next = strsep(&rest, "/");
        int below = *part == '\0' ? -1 : open_part(at, part, next == NULL);
        close(at);
        at = below;
        part = next;
    }
    struct stat status;
    if (at >= 0 && part == NULL && fstat(at, &status) == 0 && S_ISREG(status.st_mode))
        return at;
    if (at >= 0)
        close(at);
    return -1;
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static void give_up(struct hq_request *request, uint64_t code)
{
    request->answered = true;
    roam_stream_stop(request->stream, code);
    roam_stream_reset(request->stream, code);
}

static void send_file(struct hq_server *server, struct hq_request *request)
{
    while (!request->answered && request->fd >= 0) {
        ssize_t n = pread(request->fd, server->chunk, CHUNK_BYTES, request->at);
        if (n < 0) {
            give_up(request, HQ_NOT_FOUND);
            return;
        }
        if (n == 0) {
            roam_stream_finish(request->stream);
            request->answered = true;
            return;
        }
        ptrdiff_t taken = roam_stream_write(request->stream, server->chunk, (size_t)n);
        if (taken < 0) {
            give_up(request, HQ_INTERNAL_ERROR);
            return;
        }
        request->at += taken;
        if (taken < n)
            return; /* STREAM_WRITABLE comes */
    }
}

static void answer(struct hq_server *server, struct hq_request *request)
{
    char *end = request->line + strcspn(request->line, "\r\n");
    *end = '\0';
    if (strncmp(request->line, "GET /", 5) != 0) {
        give_up(request, HQ_BAD_REQUEST);
        return;
    }
    char *path = request->line + 5;
    path[strcspn(path, " ?#")] = '\0';
    if (server->verbose)
        fprintf(stderr, "GET /%s\n", path);
    request->fd = open_below(server->root, path);
    if (request->fd < 0)
        give_up(request, HQ_NOT_FOUND);
    else
        send_file(server, request);
}

static void read_request(struct hq_server *server, struct hq_request *request)
{
    char scrap[256];
    bool end = false, asked = request->answered || request->fd >= 0;
    ptrdiff_t n;
    do {
        char *to = asked || request->len == REQUEST_MAX ? scrap : request->line + request->len;
        size_t room = to == scrap ? sizeof(scrap) : REQUEST_MAX - request->len;
        n = roam_stream_read(request->stream, to, room, &end);
        if (n > 0 && to != scrap)
            request->len += (size_t)n;
    } while (n > 0);
    if (asked || n < 0)
        return;
    request->line[request->len] = '\0';
    if (memchr(request->line, '\n', request->len) != NULL || end)
        answer(server, request);
    else if (request->len == REQUEST_MAX)
        give_up(request, HQ_BAD_REQUEST);
}

static struct hq_request *add_request(const roam_event *event)
{
    struct hq_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        roam_stream_free(event->stream);
        return NULL;
    }
    request->stream = event->stream;
    request->fd = -1;
    request->next = roam_conn_user(event->conn);
    roam_conn_set_user(event->conn, request);
    roam_stream_set_user(event->stream, request);
    return request;
}

static void remove_request(roam_conn *conn, struct hq_request *request)
{
    struct hq_request *first = roam_conn_user(conn), **link = &first;
    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    roam_conn_set_user(conn, first);
    if (request->fd >= 0)
        close(request->fd);
    roam_stream_free(request->stream);
    free(request);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

bool hq_server_init(struct hq_server *server, roam_io *io, const char *directory, bool verbose)
{
    *server = (struct hq_server){.io = io, .verbose = verbose};
    server->root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (server->root < 0)
        return false;
    server->chunk = malloc(CHUNK_BYTES);
    return server->chunk != NULL;
}

static void on_stream_event(struct hq_server *server, const roam_event *event)
{
    struct hq_request *request = roam_stream_user(event->stream);
    if (request == NULL && event->type == ROAM_EVENT_STREAM_OPENED)
        request = add_request(event);
    if (request == NULL)
        return;
    switch (event->type) {
    case ROAM_EVENT_STREAM_READABLE:
        read_request(server, request);
        break;
    case ROAM_EVENT_STREAM_WRITABLE:
        send_file(server, request);
        break;
    case ROAM_EVENT_STREAM_RESET:
    case ROAM_EVENT_STREAM_STOPPED:
    case ROAM_EVENT_STREAM_FINISHED:
        remove_request(event->conn, request);
        return;
    default:
        break;
    }
    if (request->answered && request->fd < 0)
        remove_request(event->conn, request);
}

void hq_server_on_event(struct hq_server *server, const roam_event *event)
{
    if (event->stream != NULL) {
        on_stream_event(server, event);
    } else if (event->type == ROAM_EVENT_CLOSED) {
        while (roam_conn_user(event->conn) != NULL)
            remove_request(event->conn, roam_conn_user(event->conn));
    }
}

void hq_server_done(struct hq_server *server)
{
    if (server->root >= 0)
        close(server->root);
    free(server->chunk);
}
