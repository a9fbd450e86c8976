/* Tokens in a file: see the header. Read and written as a whole under a lock, for two connections may begin at once. */
#include "cli/token_file.h"

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
#define FILE_BYTES_MAX ((off_t)1 << 20)

#define NAME_BYTES_MAX 300
#define LINE_BYTES_MAX (NAME_BYTES_MAX + 2 + 2 * TOKEN_FILE_BYTES_MAX + 2)

struct token_text {
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

static bool open_text(struct token_text *ret, const char *file)
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

static void close_text(struct token_text *text)
{
    free(text->text);
    close(text->fd);
}

static bool write_text(const struct token_text *text, const char *content)
{
    size_t bytes = strlen(content);
    return pwrite(text->fd, content, bytes, 0) == (ssize_t)bytes && ftruncate(text->fd, (off_t)bytes) == 0;
}

//= rfc9000#8.1.3-10 A token is for the server that gave it: the name that was asked for and verified, and the port.
static size_t name_of(char ret[NAME_BYTES_MAX], const char *name, uint16_t port)
{
    int n = snprintf(ret, NAME_BYTES_MAX, "%s:%u ", name, port);
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

static size_t read_hex(const char *text, uint8_t ret[TOKEN_FILE_BYTES_MAX])
{
    size_t n = 0;
    while (n < TOKEN_FILE_BYTES_MAX && digit(text[2 * n]) >= 0 && digit(text[2 * n + 1]) >= 0) {
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

ptrdiff_t token_file_take(const char *file, const char *name, uint16_t port, uint8_t ret[TOKEN_FILE_BYTES_MAX])
{
    struct token_text text;
    char key[NAME_BYTES_MAX];
    size_t key_len = name_of(key, name, port), len = 0;
    if (!open_text(&text, file))
        return -1;
    //= rfc9000#8.1.3-9 A token that was not used yet is used when there is one.
    char *line = find_last(text.text, key, key_len);
    bool written = true;
    if (line != NULL) {
        len = read_hex(line + key_len, ret);
        size_t line_len = line_length(line);
        memmove(line, line + line_len, strlen(line + line_len) + 1);
        //= rfc9000#8.1.3-12 What cannot be taken out of the file is not used: it would go out again.
        written = write_text(&text, text.text);
    }
    close_text(&text);
    return written ? (ptrdiff_t)len : -1;
}

/* Forgets the oldest ones of this server, until there is room for another. */
static void make_room(char *text, const char *key, size_t key_len)
{
    size_t count = 0;
    for (char *line = text; *line != '\0'; line += line_length(line))
        count += is_of(line, key, key_len);
    for (char *line = text; *line != '\0' && count >= TOKENS_KEPT;) {
        size_t line_len = line_length(line);
        if (!is_of(line, key, key_len)) {
            line += line_len;
            continue;
        }
        memmove(line, line + line_len, strlen(line + line_len) + 1);
        count--;
    }
}

bool token_file_put(const char *file, const char *name, uint16_t port, const uint8_t *token, size_t len)
{
    struct token_text text;
    char key[NAME_BYTES_MAX], line[LINE_BYTES_MAX];
    size_t key_len = name_of(key, name, port);
    if (key_len == 0 || len == 0 || len > TOKEN_FILE_BYTES_MAX)
        return true;
    if (!open_text(&text, file))
        return false;
    make_room(text.text, key, key_len);
    memcpy(line, key, key_len);
    size_t at = key_len;
    for (size_t i = 0; i < len; i++)
        at += (size_t)snprintf(line + at, sizeof(line) - at, "%02x", token[i]);
    memcpy(line + at, "\n", 2);
    size_t old_len = strlen(text.text);
    char *content = malloc(old_len + at + 2);
    bool written = content != NULL;
    if (written) {
        memcpy(content, text.text, old_len);
        memcpy(content + old_len, line, at + 2);
        written = write_text(&text, content);
    }
    free(content);
    close_text(&text);
    return written;
}
