/* URLs: see the header. */
#include "cli/url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/request_path.h"

#define HTTPS "https://"

/* Copies up to a fragment, encoding what a URL may not bear. False: it is too long, or has controls in it. */
static bool copy_path(const char *from, char ret[URL_PATH_MAX])
{
    size_t len = 0;
    if (*from != '/')
        ret[len++] = '/';
    for (; *from != '\0' && *from != '#'; from++) {
        unsigned char c = (unsigned char)*from;
        if (len + 4 > URL_PATH_MAX || c < 0x20 || c == 0x7f)
            return false;
        if (c > 0x7f || strchr(" \"<>\\^`{|}", c) != NULL)
            len += (size_t)snprintf(ret + len, 4, "%%%02X", c);
        else
            ret[len++] = (char)c;
    }
    ret[len] = '\0';
    return true;
}

static bool parse_port(const char *text, uint16_t *ret)
{
    char *end;
    if (*text == '\0') {
        *ret = 443;
        return true;
    }
    unsigned long port = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    if (port == 0 || port > UINT16_MAX || *end != '\0')
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool is_host_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

static bool parse_authority(char *authority, struct url *ret)
{
    char *host = authority, *end;
    if (*host == '[') {
        host++;
        end = strchr(host, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':') ||
            strspn(host, "0123456789abcdefABCDEF:.") != (size_t)(end - host))
            return false;
        *end++ = '\0';
    } else {
        for (end = host; is_host_char(*end); end++)
            ;
        if (*end != '\0' && *end != ':')
            return false;
    }
    const char *port = *end == ':' ? end + 1 : "";
    *end = '\0';
    size_t len = strlen(host);
    if (len == 0 || len >= URL_HOST_MAX || !parse_port(port, &ret->port))
        return false;
    for (size_t i = 0; i <= len; i++)
        ret->host[i] = (char)tolower((unsigned char)host[i]);
    return true;
}

bool url_parse(const char *text, struct url *ret)
{
    char authority[URL_HOST_MAX + 16];
    if (strncasecmp(text, HTTPS, strlen(HTTPS)) != 0)
        return false;
    const char *begin = text + strlen(HTTPS);
    size_t len = strcspn(begin, "/?#");
    if (len >= sizeof(authority))
        return false;
    memcpy(authority, begin, len);
    authority[len] = '\0';
    return parse_authority(authority, ret) && copy_path(begin + len, ret->path);
}

/* RFC 3986 section 5.2.4, in place; the query stays. */
static void remove_dot_segments(char *path)
{
    size_t path_len = strcspn(path, "?"), to = 0, at = 0;
    while (at < path_len) {
        size_t len = 1 + strcspn(path + at + 1, "/?");
        if (at + len > path_len)
            len = path_len - at;
        bool last = at + len == path_len;
        if (len == 2 && path[at + 1] == '.') {
            if (last)
                path[to++] = '/';
        } else if (len == 3 && path[at + 1] == '.' && path[at + 2] == '.') {
            while (to > 0 && path[--to] != '/')
                ;
            if (last)
                path[to++] = '/';
        } else {
            memmove(path + to, path + at, len);
            to += len;
        }
        at += len;
    }
    if (to == 0)
        path[to++] = '/';
    memmove(path + to, path + path_len, strlen(path + path_len) + 1);
}

bool url_resolve(const struct url *base, const char *reference, struct url *ret)
{
    char joined[URL_TEXT_MAX];
    size_t scheme_len = strspn(reference, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (strncmp(reference, "//", 2) == 0) {
        if (snprintf(joined, sizeof(joined), "https:%s", reference) >= (int)sizeof(joined) || !url_parse(joined, ret))
            return false;
    } else if (reference[scheme_len] == ':' && isalpha((unsigned char)reference[0])) {
        if (!url_parse(reference, ret))
            return false;
    } else {
        size_t keep = strcspn(base->path, "?");
        if (reference[0] == '/')
            keep = 0;
        else if (reference[0] == '\0' || reference[0] == '#')
            keep = strlen(base->path);
        else if (reference[0] != '?')
            while (keep > 0 && base->path[keep - 1] != '/')
                keep--;
        if (snprintf(joined, sizeof(joined), "%.*s%s", (int)keep, base->path, reference) >= (int)sizeof(joined))
            return false;
        memcpy(ret->host, base->host, sizeof(ret->host));
        ret->port = base->port;
        if (!copy_path(joined, ret->path))
            return false;
    }
    remove_dot_segments(ret->path);
    return true;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

const char *url_authority(const struct url *url, char ret[URL_HOST_MAX + 16])
{
    bool ipv6 = strchr(url->host, ':') != NULL;
    char port[8] = "";
    if (url->port != 443)
        snprintf(port, sizeof(port), ":%u", url->port);
    snprintf(ret, URL_HOST_MAX + 16, "%s%s%s%s", ipv6 ? "[" : "", url->host, ipv6 ? "]" : "", port);
    return ret;
}

const char *url_format(const struct url *url, char ret[URL_TEXT_MAX])
{
    char authority[URL_HOST_MAX + 16];
    snprintf(ret, URL_TEXT_MAX, HTTPS "%s%s", url_authority(url, authority), url->path);
    return ret;
}

bool url_file_name(const struct url *url, char ret[URL_HOST_MAX])
{
    char decoded[REQUEST_PATH_MAX];
    if (request_path_decode(url->path, decoded) != 0)
        return false;
    const char *slash = strrchr(decoded, '/'), *name = slash != NULL ? slash + 1 : decoded;
    if (*name == '\0' || strlen(name) >= URL_HOST_MAX)
        return false;
    memcpy(ret, name, strlen(name) + 1);
    return true;
}
