/* Ranges of octets: see the header. */
#include "cli/byte_range.h"

#include <string.h>
#include <strings.h>

/* Digits up to what is none; false where there are none, or too many. */
static bool take_number(const char **at, uint64_t *ret)
{
    const char *from = *at;
    *ret = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (*ret > (UINT64_MAX - digit) / 10)
            return false;
        *ret = *ret * 10 + digit;
    }
    return *at > from;
}

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

/* One of a set. False: malformed. ret->len is 0 where it is not satisfiable. */
static bool take_range(const char **at, uint64_t total, struct byte_range *ret)
{
    uint64_t first, last = UINT64_MAX;
    *ret = (struct byte_range){0};
    if (**at == '-') {
        ++*at;
        if (!take_number(at, &last))
            return false;
        ret->len = last < total ? last : total;
        ret->first = total - ret->len;
        return true;
    }
    if (!take_number(at, &first) || *(*at)++ != '-')
        return false;
    if (**at >= '0' && **at <= '9' && !take_number(at, &last))
        return false;
    // RFC 9110 section 14.1.1: A range whose last position is before its first is invalid.
    if (last < first)
        return false;
    if (first >= total)
        return true;
    ret->first = first;
    ret->len = (last < total - 1 ? last : total - 1) - first + 1;
    return true;
}

/* Joins it with one that is there, or puts it behind them. False: there are too many. */
static bool add_range(struct byte_range *ranges, size_t *count, struct byte_range range)
{
    for (size_t i = 0; i < *count; i++) {
        struct byte_range *other = &ranges[i];
        if (range.first > other->first + other->len || other->first > range.first + range.len)
            continue;
        uint64_t end = other->first + other->len, new_end = range.first + range.len;
        struct byte_range joined = {.first = other->first < range.first ? other->first : range.first};
        joined.len = (end > new_end ? end : new_end) - joined.first;
        /* What has become larger may now touch a third one. */
        memmove(other, other + 1, (--*count - i) * sizeof(*other));
        return add_range(ranges, count, joined);
    }
    if (*count == BYTE_RANGES_MAX)
        return false;
    ranges[(*count)++] = range;
    return true;
}

enum byte_range_verdict byte_range_parse(const char *field, uint64_t total, struct byte_range ret[BYTE_RANGES_MAX],
                                         size_t *ret_count)
{
    size_t asked = 0;
    *ret_count = 0;
    // RFC 9110 section 14.2: A Range field of an unknown unit is ignored.
    if (field == NULL || strncasecmp(field, "bytes=", 6) != 0)
        return BYTE_RANGE_IGNORED;
    for (const char *at = field + 6;; at++) {
        struct byte_range range;
        skip_blanks(&at);
        if (*at != ',' && *at != '\0') {
            if (++asked > BYTE_RANGES_MAX || !take_range(&at, total, &range))
                return BYTE_RANGE_IGNORED;
            if (range.len > 0)
                add_range(ret, ret_count, range);
            skip_blanks(&at);
        }
        if (*at == '\0')
            break;
        if (*at != ',')
            return BYTE_RANGE_IGNORED;
    }
    if (asked == 0)
        return BYTE_RANGE_IGNORED;
    return *ret_count > 0 ? BYTE_RANGE_SATISFIABLE : BYTE_RANGE_UNSATISFIABLE;
}

bool byte_range_parse_content(const char *field, struct byte_range *ret, uint64_t *ret_total)
{
    uint64_t last;
    if (strncasecmp(field, "bytes ", 6) != 0)
        return false;
    const char *at = field + 6;
    if (!take_number(&at, &ret->first) || *at++ != '-' || !take_number(&at, &last) || *at++ != '/' ||
        last < ret->first || last == UINT64_MAX)
        return false;
    ret->len = last - ret->first + 1;
    *ret_total = UINT64_MAX;
    if (strcmp(at, "*") == 0)
        return true;
    return take_number(&at, ret_total) && *at == '\0' && last < *ret_total;
}
