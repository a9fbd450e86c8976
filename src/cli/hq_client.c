/*
 * Many GETs at once, each on a stream and into a file of its own. Kept: no more requests are open than there are
 * descriptors for; a file that was not fetched whole is said to be so, and what names a file is only the last part of its
 * path, so that nothing is written outside of the directory.
 */
#include "cli/hq_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES      (64 * 1024)
#define OPEN_MAX_AT_ONCE 256
#define PATH_BYTES       1001

struct hq_fetch {
    struct hq_fetch *next;
    const char *url;
    roam_stream *stream;
    int fd;
};

/* ---- URLs -------------------------------------------------------------------------------------------------------- */

/* The last part of the path, inside of the URL; NULL where that is no name of a file. */
static const char *name_of(const char *url)
{
    const char *slash = strrchr(url, '/'), *name = slash != NULL ? slash + 1 : url;
    bool is_name = *name != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strpbrk(name, "?#") == NULL;
    return is_name ? name : NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool are_distinct(const struct text_list *urls)
{
    const char **names = malloc(urls->count * sizeof(*names));
    bool distinct = names != NULL;
    for (size_t i = 0; names != NULL && i < urls->count; i++)
        names[i] = name_of(urls->texts[i]);
    if (names != NULL)
        qsort(names, urls->count, sizeof(*names), compare_names);
    for (size_t i = 1; distinct && i < urls->count; i++) {
        distinct = strcmp(names[i - 1], names[i]) != 0;
        if (!distinct)
            say_error("two URLs would be one file: '%s'", names[i]);
    }
    free(names);
    return distinct;
}

bool hq_client_check(const struct text_list *urls)
{
    char first[256], host[256], path[PATH_BYTES];
    uint16_t first_port = 0, port;
    for (size_t i = 0; i < urls->count; i++) {
        const char *url = urls->texts[i];
        if (!split_url(url, host, &port, path, sizeof(path)) || name_of(url) == NULL) {
            say_error("not a URL like https://HOST[:PORT]/PATH/NAME: '%s'", url);
            return false;
        }
        if (i > 0 && (strcasecmp(host, first) != 0 || port != first_port)) {
            say_error("one connection has one server, and '%s' is of another", url);
            return false;
        }
        memcpy(first, host, sizeof(first));
        first_port = port;
    }
    return are_distinct(urls);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static void end_fetch(struct hq_client *client, struct hq_fetch *fetch)
{
    struct hq_fetch **link = &client->fetches;
    while (*link != fetch)
        link = &(*link)->next;
    *link = fetch->next;
    if (fetch->fd >= 0)
        close(fetch->fd);
    roam_stream_free(fetch->stream);
    free(fetch);
    client->open--;
}

static void fail(struct hq_client *client, const char *url, int error, uint64_t code)
{
    if (client->failed != NULL)
        return;
    client->failed = url;
    client->error = error;
    client->code = code;
}

static bool write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void read_answer(struct hq_client *client, struct hq_fetch *fetch)
{
    bool end = false;
    ptrdiff_t n;
    while ((n = roam_stream_read(fetch->stream, client->chunk, CHUNK_BYTES, &end)) > 0) {
        client->bytes += (uint64_t)n;
        if (!write_all(fetch->fd, client->chunk, (size_t)n)) {
            fail(client, fetch->url, errno, 0);
            end_fetch(client, fetch);
            return;
        }
        if (end)
            break;
    }
    if (!end)
        return;
    int result = close(fetch->fd);
    fetch->fd = -1;
    if (result == 0)
        client->fetched++;
    else
        fail(client, fetch->url, errno, 0);
    end_fetch(client, fetch);
}

/* False where no more can be asked for now. */
static bool ask(struct hq_client *client, roam_conn *conn, const char *url)
{
    char host[256], path[PATH_BYTES], request[PATH_BYTES + 8];
    uint16_t port;
    roam_result result;
    struct hq_fetch *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) {
        fail(client, url, ENOMEM, 0);
        return false;
    }
    fetch->stream = roam_stream_open(conn, false, &result);
    if (fetch->stream == NULL) {
        free(fetch);
        if (result == ROAM_ERR_MEMORY)
            fail(client, url, ENOMEM, 0);
        return false; /* STREAMS_AVAILABLE comes, or the end of the connection */
    }
    fetch->url = url;
    fetch->fd = openat(client->directory, name_of(url), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    fetch->next = client->fetches;
    client->fetches = fetch;
    client->open++;
    roam_stream_set_user(fetch->stream, fetch);
    if (fetch->fd < 0) {
        fail(client, url, errno, 0);
        end_fetch(client, fetch);
        return false;
    }
    split_url(url, host, &port, path, sizeof(path));
    int len = snprintf(request, sizeof(request), "GET %s\r\n", path);
    /* A fresh stream has room for one request. */
    if (roam_stream_write(fetch->stream, request, (size_t)len) != len) {
        fail(client, url, ENOMEM, 0);
        end_fetch(client, fetch);
        return false;
    }
    roam_stream_finish(fetch->stream);
    return true;
}

static void ask_for_more(struct hq_client *client, roam_conn *conn)
{
    while (client->next < client->urls->count && client->open < OPEN_MAX_AT_ONCE && client->failed == NULL &&
           ask(client, conn, client->urls->texts[client->next]))
        client->next++;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

bool hq_client_init(struct hq_client *client, const struct text_list *urls, const char *directory)
{
    *client = (struct hq_client){.urls = urls, .directory = -1};
    if (directory == NULL)
        return true;
    client->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    client->chunk = malloc(CHUNK_BYTES);
    return client->directory >= 0 && client->chunk != NULL;
}

void hq_client_on_event(struct hq_client *client, const roam_event *event)
{
    struct hq_fetch *fetch = event->stream != NULL ? roam_stream_user(event->stream) : NULL;
    switch (event->type) {
    case ROAM_EVENT_EARLY_DATA_READY:
    case ROAM_EVENT_CONNECTED:
    case ROAM_EVENT_STREAMS_AVAILABLE:
        ask_for_more(client, event->conn);
        break;
    case ROAM_EVENT_STREAM_READABLE:
        if (fetch != NULL)
            read_answer(client, fetch);
        ask_for_more(client, event->conn);
        break;
    case ROAM_EVENT_STREAM_RESET:
    case ROAM_EVENT_STREAM_STOPPED:
        if (fetch != NULL) {
            fail(client, fetch->url, 0, event->code);
            end_fetch(client, fetch);
        }
        break;
    default:
        break;
    }
}

bool hq_client_is_over(const struct hq_client *client)
{
    return client->failed != NULL || client->fetched == client->urls->count;
}

void hq_client_done(struct hq_client *client)
{
    while (client->fetches != NULL)
        end_fetch(client, client->fetches);
    if (client->directory >= 0)
        close(client->directory);
    free(client->chunk);
}
