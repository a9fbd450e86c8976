/*
 * GET /metrics. libmicrohttpd polls its sockets by an epoll descriptor of its own, which the server's loop watches like any
 * other descriptor: no thread, and nothing runs but when something has come. Kept: what it does is bounded by its number of
 * connections and their time.
 */
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/metrics.h"
#include "io/sockaddr.h"

#define CONNECTIONS_MAX 8u
#define PATIENCE_S      10u

struct metrics_http {
    struct metrics *metrics;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
};

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type, char *text,
                               size_t len)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
    char *text = strdup(why);
    return text == NULL ? MHD_NO : respond(connection, status, "text/plain", text, strlen(text));
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes, void **request)
{
    struct metrics_http *http = context;
    static char seen;
    size_t len;
    (void)version;
    (void)upload;
    /* The first call is for the headers alone: an answer to it would end the connection. */
    if (*request == NULL) {
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
    if (strcmp(url, "/metrics") != 0)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "there is /metrics\n");
    char *text = metrics_text(http->metrics, &len);
    return text == NULL ? MHD_NO : respond(connection, MHD_HTTP_OK, METRICS_CONTENT_TYPE, text, len);
}

/* ---- On the loop */

static void on_timer(uv_timer_t *timer);

static void go_on(struct metrics_http *http)
{
    MHD_UNSIGNED_LONG_LONG wait;
    MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &wait) == MHD_YES)
        uv_timer_start(&http->timer, on_timer, wait, 0);
    else
        uv_timer_stop(&http->timer);
}

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    go_on(poll->data);
}

/* ---- Life */

/* -1 with errno. *address becomes where it really is. */
static int listen_on(roam_address *address)
{
    struct sockaddr_storage where;
    int yes = 1;
    socklen_t len = sockaddr_from_address(&where, address);
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&where, len) == 0 && listen(fd, (int)CONNECTIONS_MAX) == 0) {
        len = sizeof(where);
        if (getsockname(fd, (struct sockaddr *)&where, &len) == 0) {
            address_from_sockaddr(address, (struct sockaddr *)&where);
            return fd;
        }
    }
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static bool watch_daemon(struct metrics_http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_loop_t *loop = roam_io_loop(http->metrics->io);
    if (info == NULL || uv_poll_init(loop, &http->poll, info->epoll_fd) != 0)
        return false;
    uv_timer_init(loop, &http->timer);
    http->handles = 2;
    http->poll.data = http->timer.data = http;
    uv_unref((uv_handle_t *)&http->timer);
    bool watched = uv_poll_start(&http->poll, UV_READABLE, on_ready) == 0;
    uv_unref((uv_handle_t *)&http->poll);
    return watched;
}

struct metrics_http *metrics_http_start(struct metrics *metrics, const roam_address *address)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    roam_address where = *address;
    if (!address_is_loopback(address)) {
        say_error("metrics are for this host: --metrics wants a loopback address, not %s",
                  roam_address_format(address, text));
        return NULL;
    }
    struct metrics_http *http = calloc(1, sizeof(*http));
    int fd = http == NULL ? -1 : listen_on(&where);
    if (fd < 0) {
        say_error("cannot listen for metrics on %s: %s", roam_address_format(address, text), strerror(errno));
        free(http);
        return NULL;
    }
    http->metrics = metrics;
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
                                    MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                    PATIENCE_S, MHD_OPTION_END);
    if (http->daemon == NULL)
        close(fd);
    if (http->daemon == NULL || !watch_daemon(http)) {
        say_error("cannot serve metrics on %s", roam_address_format(&where, text));
        metrics_http_stop(http);
        return NULL;
    }
    fprintf(stderr, "metrics on http://%s/metrics\n", roam_address_format(&where, text));
    return http;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct metrics_http *http = handle->data;
    if (--http->handles == 0)
        free(http);
}

void metrics_http_stop(struct metrics_http *http)
{
    if (http == NULL)
        return;
    if (http->handles == 0) {
        if (http->daemon != NULL)
            MHD_stop_daemon(http->daemon);
        free(http);
        return;
    }
    /* The descriptor is let go of before it is closed. */
    uv_poll_stop(&http->poll);
    MHD_stop_daemon(http->daemon);
    uv_close((uv_handle_t *)&http->poll, on_handle_closed);
    uv_close((uv_handle_t *)&http->timer, on_handle_closed);
}
