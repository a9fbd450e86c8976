/* The log of requests, in the combined format of Apache and others. */
#ifndef CLI_ACCESS_LOG_H
#define CLI_ACCESS_LOG_H

#include <time.h>

#include <roam/types.h>

struct access_entry {
    const roam_address *remote;
    const char *method, *path, *protocol; /* NULL: "-" */
    const char *referer, *agent;
    int status;
    uint64_t bytes; /* of content, that were sent */
};

/* "ADDRESS - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/3.0" 200 2326 "-" "curl"" and a newline; what is no printable
 * ASCII, quotes and backslashes become \xHH. Returns its length; what is too long is cut. */
size_t access_log_format(const struct access_entry *entry, time_t when, char *ret, size_t cap);

/* To `fd`, in one write, so that lines of several threads stay whole. -1: no log. */
void access_log_write(int fd, const struct access_entry *entry);

#endif
