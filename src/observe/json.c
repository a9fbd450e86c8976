/* See json.h. */
#include "observe/json.h"

#include <string.h>

#include "base/minmax.h"

/* Digits of 2^64 - 1. */
#define DIGITS_MAX 20

#define EXACT_MAX          ((UINT64_C(1) << 53) - 1)
#define NANOSECONDS_PER_MS 1000000
#define DECIMALS           6

void json_raw(struct json *json, const char *text, size_t len)
{
    if (json->failed || (size_t)(json->end - json->pos) < len) {
        json->failed = true;
        return;
    }
    memcpy(json->pos, text, len);
    json->pos += len;
}

static void put(struct json *json, char c)
{
    json_raw(json, &c, 1);
}

/* The comma before it, and the key. */
static void begin_value(struct json *json, const char *key)
{
    if (json->comma)
        put(json, ',');
    json->comma = true;
    if (key == NULL)
        return;
    put(json, '"');
    json_raw(json, key, strlen(key));
    json_raw(json, "\":", 2);
}

void json_object_begin(struct json *json, const char *key)
{
    begin_value(json, key);
    put(json, '{');
    json->comma = false;
}

void json_object_end(struct json *json)
{
    put(json, '}');
    json->comma = true;
}

void json_array_begin(struct json *json, const char *key)
{
    begin_value(json, key);
    put(json, '[');
    json->comma = false;
}

void json_array_end(struct json *json)
{
    put(json, ']');
    json->comma = true;
}

/* ---- Texts */

static bool is_continuation(uint8_t octet)
{
    return (octet & 0xc0) == 0x80;
}

/* Octets of the well-formed UTF-8 sequence at text[0..len), RFC 3629 section 4; 0 where there is none. */
static size_t utf8_sequence(const uint8_t *text, size_t len)
{
    if (text[0] < 0x80)
        return 1;
    size_t n = text[0] >= 0xc2 && text[0] <= 0xdf ? 2 : (text[0] & 0xf0) == 0xe0 ? 3 : text[0] >= 0xf0 ? 4 : 0;
    if (n == 0 || text[0] > 0xf4 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (!is_continuation(text[i]))
            return 0;
    }
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool surrogate = text[0] == 0xed && text[1] > 0x9f;
    bool beyond = text[0] == 0xf4 && text[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : n;
}

static const char hex_digits[] = "0123456789abcdef";

static void put_escaped(struct json *json, uint8_t c)
{
    const char escape[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 0xf]};
    if (c == '"' || c == '\\') {
        put(json, '\\');
        put(json, (char)c);
    } else if (c < 0x20 || c == 0x7f) {
        json_raw(json, escape, sizeof(escape));
    } else {
        put(json, (char)c);
    }
}

void json_text_n(struct json *json, const char *key, const void *text, size_t len)
{
    const uint8_t *at = text;
    begin_value(json, key);
    put(json, '"');
    for (size_t i = 0; i < len && !json->failed;) {
        size_t n = utf8_sequence(at + i, len - i);
        if (n == 1)
            put_escaped(json, at[i]);
        else if (n == 0)
            json_raw(json, "\\ufffd", 6);
        else
            json_raw(json, (const char *)at + i, n);
        i += max_size(n, 1);
    }
    put(json, '"');
}

void json_text(struct json *json, const char *key, const char *text)
{
    json_text_n(json, key, text, strlen(text));
}

void json_hex(struct json *json, const char *key, const void *data, size_t len)
{
    const uint8_t *octets = data;
    begin_value(json, key);
    put(json, '"');
    for (size_t i = 0; i < len && !json->failed; i++) {
        const char digits[2] = {hex_digits[octets[i] >> 4], hex_digits[octets[i] & 0xf]};
        json_raw(json, digits, 2);
    }
    put(json, '"');
}

void json_ip(struct json *json, const char *key, const roam_address *address)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    roam_address_format(address, text);
    /* "192.0.2.1:443" or "[2001:db8::1]:443" */
    bool bracketed = text[0] == '[';
    const char *end = bracketed ? strchr(text, ']') : strchr(text, ':');
    const char *begin = text + bracketed;
    json_text_n(json, key, begin, end != NULL ? (size_t)(end - begin) : strlen(begin));
}

/* ---- Numbers */

static size_t format_digits(uint64_t value, char ret[DIGITS_MAX])
{
    char reversed[DIGITS_MAX];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < n; i++)
        ret[i] = reversed[n - 1 - i];
    return n;
}

void json_digits(struct json *json, const char *key, uint64_t value)
{
    char digits[DIGITS_MAX];
    json_text_n(json, key, digits, format_digits(value, digits));
}

void json_number(struct json *json, const char *key, uint64_t value)
{
    char digits[DIGITS_MAX];
    if (value > EXACT_MAX) {
        json_digits(json, key, value);
        return;
    }
    begin_value(json, key);
    json_raw(json, digits, format_digits(value, digits));
}

void json_ms(struct json *json, const char *key, roam_time ns)
{
    char digits[DIGITS_MAX];
    begin_value(json, key);
    json_raw(json, digits, format_digits(ns / NANOSECONDS_PER_MS, digits));
    uint64_t rest = ns % NANOSECONDS_PER_MS;
    if (rest == 0)
        return;
    char decimals[DECIMALS];
    size_t n = DECIMALS;
    for (size_t i = DECIMALS; i-- > 0; rest /= 10)
        decimals[i] = (char)('0' + rest % 10);
    while (decimals[n - 1] == '0')
        n--;
    put(json, '.');
    json_raw(json, decimals, n);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    json_raw(json, value ? "true" : "false", value ? 4 : 5);
}
