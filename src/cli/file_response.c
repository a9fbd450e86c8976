/*
 * Answers: see the header. Kept: what is sent of a file is what its validators name. Size and time of change are looked
 * at again before each piece that is read, and what has changed is broken off.
 */
#include "cli/file_response.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/content_type.h"
#include "cli/file_root.h"
#include "cli/http_date.h"
#include "cli/request_path.h"

#define ETAG_TEXT_MAX 64

/* "Not Found" */
static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {412, "Precondition Failed"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "";
}

bool file_response_add(struct file_response *response, const char *name, const char *format, ...)
{
    va_list arguments;
    char *value;
    if (response->field_count == FILE_RESPONSE_FIELDS_MAX)
        return false;
    va_start(arguments, format);
    int len = vasprintf(&value, format, arguments);
    va_end(arguments);
    if (len < 0)
        return false;
    response->fields[response->field_count].name = name;
    response->fields[response->field_count++].value = value;
    return true;
}

static void add_piece(struct file_response *response, bool from_file, uint64_t from, uint64_t len)
{
    if (len == 0)
        return;
    response->pieces[response->piece_count].from_file = from_file;
    response->pieces[response->piece_count].from = from;
    response->pieces[response->piece_count++].len = len;
    response->content_bytes += len;
}

void file_response_set_text(struct file_response *response, char *text, size_t len)
{
    response->text = text;
    response->text_bytes = len;
    add_piece(response, false, 0, len);
}

bool file_response_refuse(struct file_response *ret, int status, bool head)
{
    *ret = (struct file_response){.status = status, .head = head, .fd = -1};
    char *text;
    int len = asprintf(&text, "%d %s\n", status, reason_of(status));
    if (len < 0)
        return false;
    file_response_set_text(ret, text, (size_t)len);
    return file_response_add(ret, "content-type", "text/plain; charset=utf-8") &&
           file_response_add(ret, "content-length", "%d", len) &&
           (status != 405 || file_response_add(ret, "allow", "GET, HEAD")) &&
           (status != 503 || file_response_add(ret, "retry-after", "5"));
}

void file_response_done(struct file_response *response)
{
    for (size_t i = 0; i < response->field_count; i++)
        free(response->fields[i].value);
    free(response->text);
    if (response->fd >= 0)
        close(response->fd);
    *response = (struct file_response){.fd = -1};
}

/* Begins anew, with a refusal. */
static bool refuse_instead(struct file_response *ret, int status)
{
    bool head = ret->head;
    file_response_done(ret);
    return file_response_refuse(ret, status, head);
}

static int status_of_errno(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return 503;
    case EACCES:
    case EPERM:
        return 403;
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
        return 404;
    case ENAMETOOLONG:
        return 414;
    default:
        return 500;
    }
}

/* ---- Content ----------------------------------------------------------------------------------------------------- */

ptrdiff_t file_response_read(const struct file_response *response, uint64_t at, void *buf, size_t cap)
{
    size_t i = 0;
    while (i < response->piece_count && at >= response->pieces[i].len)
        at -= response->pieces[i++].len;
    if (i == response->piece_count)
        return -1;
    uint64_t from = response->pieces[i].from + at, len = response->pieces[i].len - at;
    if (cap > len)
        cap = (size_t)len;
    if (!response->pieces[i].from_file) {
        memcpy(buf, response->text + from, cap);
        return (ptrdiff_t)cap;
    }
    struct stat now;
    ssize_t n = pread(response->fd, buf, cap, (off_t)from);
    if (n <= 0 || fstat(response->fd, &now) != 0 || now.st_size != response->file.st_size ||
        now.st_mtim.tv_sec != response->file.st_mtim.tv_sec || now.st_mtim.tv_nsec != response->file.st_mtim.tv_nsec)
        return -1;
    return n;
}

/* multipart/byteranges, RFC 9110 section 14.6: a head before each range, and a line behind the last. */
static bool add_parts(struct file_response *response, const char *type, const struct byte_range *ranges, size_t n)
{
    uint64_t boundary[2], size = (uint64_t)response->file.st_size;
    size_t from = 0;
    FILE *text = open_memstream(&response->text, &response->text_bytes);
    if (text == NULL || getrandom(boundary, sizeof(boundary), 0) != (ssize_t)sizeof(boundary))
        boundary[0] = boundary[1] = 0;
    if (text == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        fprintf(text,
                "\r\n--%016" PRIx64 "%016" PRIx64 "\r\nContent-Type: %s\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64
                "/%" PRIu64 "\r\n\r\n",
                boundary[0], boundary[1], type, ranges[i].first, ranges[i].first + ranges[i].len - 1, size);
        fflush(text);
        add_piece(response, false, from, response->text_bytes - from);
        add_piece(response, true, ranges[i].first, ranges[i].len);
        from = response->text_bytes;
    }
    fprintf(text, "\r\n--%016" PRIx64 "%016" PRIx64 "--\r\n", boundary[0], boundary[1]);
    if (fclose(text) != 0)
        return false;
    add_piece(response, false, from, response->text_bytes - from);
    return file_response_add(response, "content-type", "multipart/byteranges; boundary=%016" PRIx64 "%016" PRIx64,
                             boundary[0], boundary[1]);
}

static bool add_content(struct file_response *response, const char *type, const char *range)
{
    struct byte_range ranges[BYTE_RANGES_MAX];
    size_t n;
    uint64_t size = (uint64_t)response->file.st_size;
    bool made;
    switch (byte_range_parse(range, size, ranges, &n)) {
    case BYTE_RANGE_UNSATISFIABLE:
        return refuse_instead(response, 416) && file_response_add(response, "content-range", "bytes */%" PRIu64, size);
    case BYTE_RANGE_SATISFIABLE:
        response->status = 206;
        if (n > 1) {
            made = add_parts(response, type, ranges, n);
        } else {
            add_piece(response, true, ranges[0].first, ranges[0].len);
            made = file_response_add(response, "content-type", "%s", type) &&
                   file_response_add(response, "content-range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                                     ranges[0].first, ranges[0].first + ranges[0].len - 1, size);
        }
        break;
    default:
        response->status = 200;
        add_piece(response, true, 0, size);
        made = file_response_add(response, "content-type", "%s", type);
    }
    return made && file_response_add(response, "content-length", "%" PRIu64, response->content_bytes);
}

/* ---- Choosing ---------------------------------------------------------------------------------------------------- */

/* Takes the precompressed neighbour that the client likes best instead of the file, where it is no older. NULL: none. */
static const char *choose_coding(const struct file_site *site, const struct file_request *request, const char *name,
                                 struct file_response *ret, bool *ret_varies)
{
    static const struct {
        const char *coding, *end;
    } codings[] = {{"br", ".br"}, {"gzip", ".gz"}};
    const char *chosen = NULL;
    int best = 0;
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        char path[REQUEST_PATH_MAX + 4];
        struct stat file;
        int weight = http_coding_weight(request->accept_encoding, codings[i].coding);
        snprintf(path, sizeof(path), "%s%s", name, codings[i].end);
        int fd = file_root_open(site->root, path, &file);
        if (fd < 0)
            continue;
        bool fresh = S_ISREG(file.st_mode) && (chosen != NULL || file.st_mtime >= ret->file.st_mtime);
        *ret_varies = *ret_varies || fresh;
        if (fresh && weight > best && weight >= http_coding_weight(request->accept_encoding, "identity")) {
            close(ret->fd);
            ret->fd = fd;
            ret->file = file;
            chosen = codings[i].coding;
            best = weight;
        } else {
            close(fd);
        }
    }
    return chosen;
}

static bool answer_file(const struct file_site *site, const struct file_request *request, const char *name,
                        struct file_response *ret)
{
    char etag[ETAG_TEXT_MAX], date[HTTP_DATE_TEXT_MAX];
    bool varies = false;
    time_t now = time(NULL);
    const char *coding = choose_coding(site, request, name, ret, &varies);
    const struct stat *file = &ret->file;
    snprintf(etag, sizeof(etag), "\"%llx-%llx-%llx\"", (unsigned long long)file->st_size,
             (unsigned long long)file->st_mtim.tv_sec, (unsigned long long)file->st_mtim.tv_nsec);
    const struct http_validators validators = {.etag = etag, .modified = file->st_mtime};
    int status = http_conditions_judge(&request->conditions, &validators, now);
    if (status == 412)
        return refuse_instead(ret, 412);
    if (!file_response_add(ret, "etag", "%s", etag) ||
        !file_response_add(ret, "last-modified", "%s", http_date_format(file->st_mtime, date)) ||
        (varies && !file_response_add(ret, "vary", "accept-encoding")))
        return false;
    ret->status = status;
    if (status == 304)
        return true;
    bool ranged = !ret->head && http_range_applies(&request->conditions, &validators, now);
    return file_response_add(ret, "accept-ranges", "bytes") &&
           (coding == NULL || file_response_add(ret, "content-encoding", "%s", coding)) &&
           add_content(ret, content_type_of(name), ranged ? request->range : NULL);
}

static bool redirect(const struct file_request *request, struct file_response *ret)
{
    size_t len = strcspn(request->path, "?#");
    const char *query = request->path + len;
    return refuse_instead(ret, 301) &&
           file_response_add(ret, "location", "%.*s/%.*s", (int)len, request->path, (int)strcspn(query, "#"), query);
}

static bool answer_directory(const struct file_site *site, const struct file_request *request, char *name,
                             struct file_response *ret)
{
    size_t len = strlen(name);
    struct stat file;
    if (len > 0 && name[len - 1] != '/')
        return redirect(request, ret);
    if (len + sizeof("index.html") > REQUEST_PATH_MAX)
        return refuse_instead(ret, 414);
    memcpy(name + len, "index.html", sizeof("index.html"));
    int fd = file_root_open(site->root, name, &file);
    if (fd >= 0 && S_ISREG(file.st_mode)) {
        close(ret->fd);
        ret->fd = fd;
        ret->file = file;
        return answer_file(site, request, name, ret);
    }
    if (fd >= 0)
        close(fd);
    name[len] = '\0';
    return site->listings ? file_response_list(ret, name) : refuse_instead(ret, 403);
}

bool file_response_make(const struct file_site *site, const struct file_request *request, struct file_response *ret)
{
    char name[REQUEST_PATH_MAX];
    bool head = strcmp(request->method, "HEAD") == 0;
    if (!head && strcmp(request->method, "GET") != 0)
        return file_response_refuse(ret, 405, false);
    int status = request_path_decode(request->path, name);
    if (status != 0)
        return file_response_refuse(ret, status, head);
    *ret = (struct file_response){.head = head, .fd = -1};
    size_t len = strlen(name);
    bool slash = len > 0 && name[len - 1] == '/';
    if (slash)
        name[len - 1] = '\0';
    ret->fd = file_root_open(site->root, name, &ret->file);
    if (ret->fd < 0)
        return file_response_refuse(ret, status_of_errno(errno), head);
    if (slash)
        name[len - 1] = '/';
    if (S_ISDIR(ret->file.st_mode))
        return answer_directory(site, request, name, ret);
    return slash ? refuse_instead(ret, 404) : answer_file(site, request, name, ret);
}
