/* See json_check.h. */
#include "json_check.h"

#include <stdint.h>
#include <string.h>

/* Deeper nesting is none of ours. */
#define DEPTH_MAX 16

struct cursor {
    const uint8_t *at, *end;
    int depth;
};

static bool value(struct cursor *c);

static bool take(struct cursor *c, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0)
        return false;
    c->at += len;
    return true;
}

static bool is_hex(uint8_t o)
{
    return (o >= '0' && o <= '9') || (o >= 'a' && o <= 'f') || (o >= 'A' && o <= 'F');
}

static bool escape(struct cursor *c)
{
    if (c->at == c->end)
        return false;
    uint8_t o = *c->at++;
    if (o != 'u')
        return strchr("\"\\/bfnrt", o) != NULL && o != '\0';
    for (int i = 0; i < 4; i++) {
        if (c->at == c->end || !is_hex(*c->at++))
            return false;
    }
    return true;
}

/* A whole code point of UTF-8, by value. */
static bool code_point(struct cursor *c, uint8_t first)
{
    size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t point = first & (0x3fu >> more);
    if (first < 0xc0 || first > 0xf7 || (size_t)(c->end - c->at) < more)
        return false;
    for (size_t i = 0; i < more; i++) {
        if ((*c->at & 0xc0) != 0x80)
            return false;
        point = point << 6 | (*c->at++ & 0x3f);
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    return point >= least[more] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

static bool string(struct cursor *c)
{
    if (!take(c, "\""))
        return false;
    while (c->at < c->end) {
        uint8_t o = *c->at++;
        if (o == '"')
            return true;
        if (o < 0x20 || (o == '\\' && !escape(c)) || (o >= 0x80 && !code_point(c, o)))
            return false;
    }
    return false;
}

static size_t digits(struct cursor *c)
{
    size_t n = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        n++;
    return n;
}

static bool number(struct cursor *c)
{
    take(c, "-");
    const uint8_t *first = c->at;
    size_t n = digits(c);
    if (n == 0 || (n > 1 && *first == '0'))
        return false;
    return !take(c, ".") || digits(c) > 0;
}

static bool members(struct cursor *c, bool named, const char *close)
{
    if (take(c, close))
        return true;
    do {
        if ((named && !(string(c) && take(c, ":"))) || !value(c))
            return false;
    } while (take(c, ","));
    return take(c, close);
}

static bool value(struct cursor *c)
{
    bool ok;
    if (c->at == c->end || ++c->depth > DEPTH_MAX)
        return false;
    if (take(c, "{"))
        ok = members(c, true, "}");
    else if (take(c, "["))
        ok = members(c, false, "]");
    else if (*c->at == '"')
        ok = string(c);
    else
        ok = take(c, "true") || take(c, "false") || take(c, "null") || number(c);
    c->depth--;
    return ok;
}

bool json_is_valid(const char *text, size_t len)
{
    struct cursor c = {.at = (const uint8_t *)text, .end = (const uint8_t *)text + len};
    return value(&c) && c.at == c.end;
}
