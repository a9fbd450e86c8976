/*
 * Paths of requests: see the header. Kept: what comes out has no segment that leads up, elsewhere or to something
 * hidden, whatever the file system makes of it, and nothing is decoded twice.
 */
#include "cli/request_path.h"

#include <string.h>

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* The next octet of the path, decoded; -1 where the encoding is broken. */
static int take_octet(const char **at, bool *ret_encoded)
{
    *ret_encoded = **at == '%';
    if (!*ret_encoded)
        return (unsigned char)*(*at)++;
    int high = hex_digit((*at)[1]), low = high >= 0 ? hex_digit((*at)[2]) : -1;
    *at += 3;
    return low < 0 ? -1 : high << 4 | low;
}

/* An empty one is allowed at the end alone: a directory's. */
static bool may_be_served(const char *segment, size_t len, bool last)
{
    if (len == 0)
        return last;
    return segment[0] != '.' || (len == 11 && memcmp(segment, ".well-known", 11) == 0);
}

int request_path_decode(const char *path, char ret[REQUEST_PATH_MAX])
{
    size_t len = 0, segment = 0;
    if (path == NULL || path[0] != '/')
        return 400;
    for (const char *at = path + 1; *at != '\0' && *at != '?' && *at != '#';) {
        bool encoded;
        int octet = take_octet(&at, &encoded);
        if (octet <= 0)
            return 400;
        if (octet == '\\' || octet < 0x20 || octet == 0x7f || (encoded && octet == '/'))
            return 404;
        if (len + 1 == REQUEST_PATH_MAX)
            return 414;
        if (octet == '/' && !may_be_served(ret + segment, len - segment, false))
            return 404;
        ret[len++] = (char)octet;
        if (octet == '/')
            segment = len;
    }
    ret[len] = '\0';
    return may_be_served(ret + segment, len - segment, true) ? 0 : 404;
}
