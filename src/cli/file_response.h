/* What is answered to a request for a file, whatever carries it: status, fields, and content that is read piece by
 * piece. */
#ifndef CLI_FILE_RESPONSE_H
#define CLI_FILE_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cli/byte_range.h"
#include "cli/http_conditions.h"

struct file_request {
    const char *method, *path; /* as they came; NULL where there was none */
    const char *range, *accept_encoding;
    struct http_conditions conditions;
};

struct file_site {
    int root; /* the directory */
    bool listings;
};

#define FILE_RESPONSE_FIELDS_MAX 12
#define FILE_RESPONSE_PIECES_MAX (2 * BYTE_RANGES_MAX + 1)

struct file_response {
    int status;
    bool head; /* the content is not sent */
    struct {
        const char *name; /* in lower case */
        char *value;
    } fields[FILE_RESPONSE_FIELDS_MAX];
    size_t field_count;
    uint64_t content_bytes; /* what is sent of content unless `head` */
    /* The content, in order: octets of `text`, or of the file where `from_file` is set. */
    struct {
        bool from_file;
        uint64_t from, len;
    } pieces[FILE_RESPONSE_PIECES_MAX];
    size_t piece_count;
    char *text;
    size_t text_bytes;
    int fd; /* -1: none */
    struct stat file;
};

/* Makes the answer; false without memory. To be freed with file_response_done in any case. */
bool file_response_make(const struct file_site *site, const struct file_request *request, struct file_response *ret);

/* The answer that something else than a file is the matter. */
bool file_response_refuse(struct file_response *ret, int status, bool head);

/* Reads content at `at`, which is below content_bytes. -1: the file is another one than when the answer was begun, or
 * cannot be read; nothing that comes after would fit. */
ptrdiff_t file_response_read(const struct file_response *response, uint64_t at, void *buf, size_t cap);

void file_response_done(struct file_response *response);

/* For file_listing.c, too. False without memory. */
bool file_response_add(struct file_response *response, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void file_response_set_text(struct file_response *response, char *text, size_t len);

/* file_listing.c: a page that lists the directory response->fd, which is closed. False without memory. */
bool file_response_list(struct file_response *response, const char *name);

#endif
