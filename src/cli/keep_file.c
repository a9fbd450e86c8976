/* Tokens and sessions in a file: see the header. Read and written as a whole under a lock, for two connections may begin at once. */
#include "cli/keep_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that is larger is none of ours. */
#define FILE_BYTES_MAX ((off_t)16 << 20)

#define NAME_BYTES_MAX 300

static const struct {
    const char *prefix; /* of its lines */
    size_t bytes_max;
    size_t kept; /* for one server: the newest */
} kinds[KEEPSAKES] = {
    [KEEP_TOKEN] = {"", KEEP_TOKEN_BYTES_MAX, 4},
    [KEEP_SESSION] = {"session ", KEEP_SESSION_BYTES_MAX, 2},
};

struct keep_text {
    int fd;
    char *text; /* NUL-terminated */
};

static bool read_whole(int fd, char *ret, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        ssize_t n = pread(fd, ret + at, bytes - at, (off_t)at);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool open_text(struct keep_text *ret, const char *file)
{
    struct stat status;
    ret->text = NULL;
    ret->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ret->fd < 0)
        return false;
    if (flock(ret->fd, LOCK_EX) == 0 && fstat(ret->fd, &status) == 0) {
        if (status.st_size > FILE_BYTES_MAX)
            errno = EFBIG;
        else if ((ret->text = calloc(1, (size_t)status.st_size + 1)) != NULL &&
                 read_whole(ret->fd, ret->text, (size_t)status.st_size))
            return true;
    }
    int error = errno;
    free(ret->text);
    close(ret->fd);
    errno = error;
    return false;
}

static void close_text(struct keep_text *text)
{
    free(text->text);
    close(text->fd);
}

static bool write_text(const struct keep_text *text, const char *content)
{
    size_t bytes = strlen(content);
    return pwrite(text->fd, content, bytes, 0) == (ssize_t)bytes && ftruncate(text->fd, (off_t)bytes) == 0;
}

//= rfc9000#8.1.3-10 A token is for the server that gave it: the name that was asked for and verified, and the port.
static size_t name_of(char ret[NAME_BYTES_MAX], enum keepsake what, const char *name, uint16_t port)
{
    int n = snprintf(ret, NAME_BYTES_MAX, "%s%s:%u ", kinds[what].prefix, name, port);
    return n > 0 && n < NAME_BYTES_MAX ? (size_t)n : 0;
}

static bool is_of(const char *line, const char *key, size_t key_len)
{
    return key_len > 0 && strncasecmp(line, key, key_len) == 0;
}

static size_t line_length(const char *line)
{
    size_t n = strcspn(line, "\n");
    return n + (line[n] == '\n');
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static size_t read_hex(const char *text, uint8_t *ret, size_t capacity)
{
    size_t n = 0;
    while (n < capacity && digit(text[2 * n]) >= 0 && digit(text[2 * n + 1]) >= 0) {
        ret[n] = (uint8_t)(digit(text[2 * n]) << 4 | digit(text[2 * n + 1]));
        n++;
    }
    return n;
}

/* The last line of this server; NULL: none. */
static char *find_last(char *text, const char *key, size_t key_len)
{
    char *found = NULL;
    for (char *line = text; *line != '\0'; line += line_length(line)) {
        if (is_of(line, key, key_len))
            found = line;
    }
    return found;
}

ptrdiff_t keep_file_take(const char *file, enum keepsake what, const char *name, uint16_t port, uint8_t *ret)
{
    struct keep_text text;
    char key[NAME_BYTES_MAX];
    size_t key_len = name_of(key, what, name, port), len = 0;
    if (!open_text(&text, file))
        return -1;
    //= rfc9000#8.1.3-9 A token that was not used yet is used when there is one.
    char *line = find_last(text.text, key, key_len);
    bool written = true;
    if (line != NULL) {
        len = read_hex(line + key_len, ret, kinds[what].bytes_max);
        size_t line_len = line_length(line);
        memmove(line, line + line_len, strlen(line + line_len) + 1);
        //= rfc9000#8.1.3-12 What cannot be taken out of the file is not used: it would go out again.
        written = write_text(&text, text.text);
    }
    close_text(&text);
    return written ? (ptrdiff_t)len : -1;
}

/* Forgets the oldest ones of this server, until there is room for another. */
static void make_room(char *text, enum keepsake what, const char *key, size_t key_len)
{
    size_t count = 0;
    for (char *line = text; *line != '\0'; line += line_length(line))
        count += is_of(line, key, key_len);
    for (char *line = text; *line != '\0' && count >= kinds[what].kept;) {
        size_t line_len = line_length(line);
        if (!is_of(line, key, key_len)) {
            line += line_len;
            continue;
        }
        memmove(line, line + line_len, strlen(line + line_len) + 1);
        count--;
    }
}

/* `text` with another line behind it, to be freed. NULL without memory. */
static char *append_line(const char *text, const char *key, const uint8_t *data, size_t len)
{
    size_t text_len = strlen(text), key_len = strlen(key);
    char *ret = malloc(text_len + key_len + 2 * len + 2);
    if (ret == NULL)
        return NULL;
    memcpy(ret, text, text_len);
    memcpy(ret + text_len, key, key_len);
    char *at = ret + text_len + key_len;
    for (size_t i = 0; i < len; i++)
        at += sprintf(at, "%02x", data[i]);
    memcpy(at, "\n", 2);
    return ret;
}

bool keep_file_put(const char *file, enum keepsake what, const char *name, uint16_t port, const uint8_t *data,
                   size_t len)
{
    struct keep_text text;
    char key[NAME_BYTES_MAX];
    size_t key_len = name_of(key, what, name, port);
    if (key_len == 0 || len == 0 || len > kinds[what].bytes_max)
        return true;
    if (!open_text(&text, file))
        return false;
    make_room(text.text, what, key, key_len);
    char *content = append_line(text.text, key, data, len);
    bool written = content != NULL && write_text(&text, content);
    free(content);
    close_text(&text);
    return written;
}
