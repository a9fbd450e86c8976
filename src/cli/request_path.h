/* From the path of a request to a name below the directory that is served, RFC 3986 section 3.3. */
#ifndef CLI_REQUEST_PATH_H
#define CLI_REQUEST_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_PATH_MAX 4096

/* Decodes `path` ("/a%20b/?query") once into a name without a leading slash ("a b/"; "" for the root). 0, or the status
 * of the answer: 414 where it is too long, 400 where it is no path, 404 where it is one of nothing that is served: with
 * empty segments, "." or "..", with names that begin with a dot, .well-known (RFC 8615) apart, or with a slash, a backslash or a
 * control character that was encoded. */
int request_path_decode(const char *path, char ret[REQUEST_PATH_MAX]);

#endif
