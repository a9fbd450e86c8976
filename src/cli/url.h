/* https URLs of a client, RFC 3986 and RFC 9110 section 4.2.2. */
#ifndef CLI_URL_H
#define CLI_URL_H

#include <stdbool.h>
#include <stdint.h>

#define URL_HOST_MAX 256
#define URL_PATH_MAX 8192
#define URL_TEXT_MAX (URL_HOST_MAX + URL_PATH_MAX + 32)

struct url {
    char host[URL_HOST_MAX]; /* without the brackets of an IPv6 address, in lower case */
    uint16_t port;
    char path[URL_PATH_MAX]; /* with the query, never the fragment; begins with a slash */
};

/* "https://HOST[:PORT][/PATH]". What a URL may not bear is encoded where people write it all the same: blanks, and
 * octets beyond ASCII. False: it is none, or has user information in it. */
bool url_parse(const char *text, struct url *ret);

/* Where `reference`, of a Location field, leads from `base`, RFC 3986 section 5.2. False: nowhere that we can go. */
bool url_resolve(const struct url *base, const char *reference, struct url *ret);

bool url_same_origin(const struct url *a, const struct url *b);

/* "host", "host:8443", "[::1]:8443". */
const char *url_authority(const struct url *url, char ret[URL_HOST_MAX + 16]);
const char *url_format(const struct url *url, char ret[URL_TEXT_MAX]);

/* The last segment of its path, decoded, as a name for a file of ours. False: there is none, or it is no name for a
 * file here. */
bool url_file_name(const struct url *url, char ret[URL_HOST_MAX]);

#endif
