/*
 * Addresses and connection IDs as text, and their comparison. Pure: no resolver, no interface names, no locale. What is
 * read is RFC 4291 section 2.2 and dotted decimal without leading zeros; what is written is RFC 5952.
 */
#include <string.h>

#include <roam/types.h>

#include "base/minmax.h"

#define IPV4_BYTES 4
#define IPV6_BYTES 16
#define NO_GAP     SIZE_MAX

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* Reads a number without leading zeros, at most `max`. Moves *text past it. */
static bool parse_decimal(const char **text, uint32_t max, uint32_t *ret)
{
    const char *pos = *text;
    uint64_t value = 0;
    if (*pos < '0' || *pos > '9' || (pos[0] == '0' && pos[1] >= '0' && pos[1] <= '9'))
        return false;
    for (; *pos >= '0' && *pos <= '9'; pos++) {
        value = value * 10 + (uint64_t)(*pos - '0');
        if (value > max)
            return false;
    }
    *text = pos;
    *ret = (uint32_t)value;
    return true;
}

static bool parse_ipv4(const char **text, uint8_t ret[IPV4_BYTES])
{
    const char *pos = *text;
    uint8_t octets[IPV4_BYTES];
    for (size_t i = 0; i < IPV4_BYTES; i++) {
        uint32_t octet;
        if (i > 0 && *pos++ != '.')
            return false;
        if (!parse_decimal(&pos, 255, &octet))
            return false;
        octets[i] = (uint8_t)octet;
    }
    memcpy(ret, octets, IPV4_BYTES);
    *text = pos;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One group of one to four hexadecimal digits. */
static bool parse_group(const char **text, uint8_t ret[2])
{
    const char *pos = *text;
    unsigned value = 0, digits = 0;
    for (int digit; (digit = hex_digit(*pos)) >= 0; pos++) {
        if (++digits > 4)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    if (digits == 0)
        return false;
    ret[0] = (uint8_t)(value >> 8);
    ret[1] = (uint8_t)value;
    *text = pos;
    return true;
}

/* Groups up to the end of the address. Says how many octets they gave, and after how many of them "::" stood (or
 * NO_GAP). */
static bool parse_groups(const char **text, uint8_t octets[IPV6_BYTES], size_t *ret_len, size_t *ret_gap)
{
    const char *pos = *text;
    size_t len = 0, gap = NO_GAP;
    if (pos[0] == ':') {
        if (pos[1] != ':')
            return false;
        gap = 0;
        pos += 2;
    }
    while (len < IPV6_BYTES && !(gap == len && hex_digit(*pos) < 0)) {
        if (len <= IPV6_BYTES - IPV4_BYTES && parse_ipv4(&pos, octets + len)) {
            len += IPV4_BYTES;
            break;
        }
        if (!parse_group(&pos, octets + len))
            return false;
        len += 2;
        if (len == IPV6_BYTES || *pos != ':')
            break;
        pos++;
        if (*pos == ':') {
            if (gap != NO_GAP)
                return false;
            gap = len;
            pos++;
        }
    }
    *text = pos;
    *ret_len = len;
    *ret_gap = gap;
    return true;
}

static bool parse_ipv6(const char **text, roam_address *ret)
{
    const char *pos = *text;
    uint8_t octets[IPV6_BYTES] = {0};
    size_t len, gap;
    uint32_t scope_id = 0;
    if (!parse_groups(&pos, octets, &len, &gap))
        return false;
    /* "::" stands for at least one group. */
    if ((gap == NO_GAP) != (len == IPV6_BYTES))
        return false;
    if (gap != NO_GAP) {
        memmove(octets + IPV6_BYTES - (len - gap), octets + gap, len - gap);
        memset(octets + gap, 0, IPV6_BYTES - len);
    }
    if (*pos == '%') {
        pos++;
        if (!parse_decimal(&pos, UINT32_MAX, &scope_id))
            return false;
    }
    memcpy(ret->ip, octets, IPV6_BYTES);
    ret->scope_id = scope_id;
    ret->family = ROAM_FAMILY_IPV6;
    *text = pos;
    return true;
}

/* ":port" or nothing, and then the end of the text. */
static bool parse_port_and_end(const char *text, uint16_t *ret)
{
    uint32_t port = 0;
    if (*text == ':') {
        text++;
        if (!parse_decimal(&text, UINT16_MAX, &port))
            return false;
    }
    *ret = (uint16_t)port;
    return *text == '\0';
}

bool roam_address_parse(roam_address *ret, const char *text)
{
    roam_address address = {0};
    if (*text == '[') {
        text++;
        if (!parse_ipv6(&text, &address) || *text++ != ']' || !parse_port_and_end(text, &address.port))
            return false;
    } else if (parse_ipv4(&text, address.ip)) {
        address.family = ROAM_FAMILY_IPV4;
        if (!parse_port_and_end(text, &address.port))
            return false;
    } else if (!parse_ipv6(&text, &address) || *text != '\0') {
        return false;
    }
    *ret = address;
    return true;
}

static char *put_char(char *pos, char c)
{
    *pos = c;
    return pos + 1;
}

/* Writes `value` in `base` without leading zeros. */
static char *put_number(char *pos, uint32_t value, uint32_t base)
{
    char digits[10];
    size_t n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    while (n > 0)
        pos = put_char(pos, digits[--n]);
    return pos;
}

static char *put_ipv4(char *pos, const uint8_t ip[IPV4_BYTES])
{
    for (size_t i = 0; i < IPV4_BYTES; i++) {
        if (i > 0)
            pos = put_char(pos, '.');
        pos = put_number(pos, ip[i], 10);
    }
    return pos;
}

static bool group_is_zero(const uint8_t *ip, size_t group)
{
    return ip[2 * group] == 0 && ip[2 * group + 1] == 0;
}

/* The first of the longest runs of zero groups, RFC 5952 section 4.2; a run of one group is not shortened. */
static size_t longest_zero_run(const uint8_t ip[IPV6_BYTES], size_t groups, size_t *ret_start)
{
    size_t longest = 1, start = groups;
    for (size_t i = 0; i < groups; i++) {
        size_t run = 0;
        while (i + run < groups && group_is_zero(ip, i + run))
            run++;
        if (run > longest) {
            longest = run;
            start = i;
        }
        i += run;
    }
    *ret_start = start;
    return start < groups ? longest : 0;
}

static char *put_ipv6(char *pos, const uint8_t ip[IPV6_BYTES])
{
    /* RFC 5952 section 5: where the prefix says that an IPv4 address is embedded, that is written as one. */
    bool mapped = memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
    size_t groups = mapped ? 6 : 8;
    size_t start, run = longest_zero_run(ip, groups, &start);
    for (size_t i = 0; i < groups; i++) {
        if (run > 0 && i == start) {
            pos = put_char(put_char(pos, ':'), ':');
            i += run - 1;
            continue;
        }
        if (i > 0 && !(run > 0 && i == start + run))
            pos = put_char(pos, ':');
        pos = put_number(pos, (uint32_t)ip[2 * i] << 8 | ip[2 * i + 1], 16);
    }
    return mapped ? put_ipv4(put_char(pos, ':'), ip + sizeof(mapped_prefix)) : pos;
}

char *roam_address_format(const roam_address *address, char ret[ROAM_ADDRESS_TEXT_MAX])
{
    char *pos = ret;
    switch (address->family) {
    case ROAM_FAMILY_IPV4:
        pos = put_ipv4(pos, address->ip);
        break;
    case ROAM_FAMILY_IPV6:
        pos = put_ipv6(put_char(pos, '['), address->ip);
        if (address->scope_id != 0)
            pos = put_number(put_char(pos, '%'), address->scope_id, 10);
        pos = put_char(pos, ']');
        break;
    default:
        memcpy(ret, "-", sizeof("-"));
        return ret;
    }
    pos = put_number(put_char(pos, ':'), address->port, 10);
    *pos = '\0';
    return ret;
}

roam_address roam_address_unmap(const roam_address *address)
{
    if (address->family != ROAM_FAMILY_IPV6 || memcmp(address->ip, mapped_prefix, sizeof(mapped_prefix)) != 0)
        return *address;
    roam_address ipv4 = {.family = ROAM_FAMILY_IPV4, .port = address->port};
    memcpy(ipv4.ip, address->ip + sizeof(mapped_prefix), IPV4_BYTES);
    return ipv4;
}

bool roam_address_same_ip(const roam_address *a, const roam_address *b)
{
    if (a->family != b->family) {
        if (a->family == ROAM_FAMILY_NONE || b->family == ROAM_FAMILY_NONE)
            return false;
        roam_address x = roam_address_unmap(a), y = roam_address_unmap(b);
        return x.family == y.family && memcmp(x.ip, y.ip, IPV4_BYTES) == 0;
    }
    switch (a->family) {
    case ROAM_FAMILY_IPV4:
        return memcmp(a->ip, b->ip, IPV4_BYTES) == 0;
    case ROAM_FAMILY_IPV6:
        return memcmp(a->ip, b->ip, IPV6_BYTES) == 0 && a->scope_id == b->scope_id;
    default:
        return true;
    }
}

bool roam_address_equal(const roam_address *a, const roam_address *b)
{
    return a->port == b->port && roam_address_same_ip(a, b);
}

char *roam_cid_format(const roam_cid *cid, char ret[ROAM_CID_TEXT_MAX])
{
    size_t len = min_size(cid->len, ROAM_CID_MAX);
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = "0123456789abcdef"[cid->bytes[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[cid->bytes[i] & 0x0f];
    }
    ret[2 * len] = '\0';
    return ret;
}

bool roam_cid_equal(const roam_cid *a, const roam_cid *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
