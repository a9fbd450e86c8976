/*
 * Writes JSON (RFC 8259) into a buffer and never past its end. Failure is sticky: after the first thing that did not
 * fit nothing more is written and `failed` stays true; a copy of the structure, taken before, goes back to where it
 * was.
 *
 * Keys are texts of ours and written as they are; values are escaped. Whatever octets a text has, what comes out is
 * valid: control characters are escaped, what is no UTF-8 becomes U+FFFD.
 */
#ifndef OBSERVE_JSON_H
#define OBSERVE_JSON_H

#include <roam/types.h>

struct json {
    char *start, *pos, *end;
    bool comma; /* something stands before, in the same object or array */
    bool failed;
};

static inline struct json json_init(char *data, size_t capacity)
{
    return (struct json){.start = data, .pos = data, .end = data + capacity};
}

static inline size_t json_len(const struct json *json)
{
    return (size_t)(json->pos - json->start);
}

/* key NULL: within an array, or at the beginning. */
void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_text(struct json *json, const char *key, const char *text);
void json_text_n(struct json *json, const char *key, const void *text, size_t len);
void json_hex(struct json *json, const char *key, const void *data, size_t len);
void json_bool(struct json *json, const char *key, bool value);

/* Above 2^53 - 1 as a text of digits, for readers whose numbers are IEEE 754 doubles (RFC 7493 section 2.2). */
void json_number(struct json *json, const char *key, uint64_t value);

/* A number as a text of digits. */
void json_digits(struct json *json, const char *key, uint64_t value);

/* Milliseconds, with as many decimals as it takes: 12.345678. */
void json_ms(struct json *json, const char *key, roam_time ns);

/* "192.0.2.1", without the port. */
void json_ip(struct json *json, const char *key, const roam_address *address);

/* Octets as they are. */
void json_raw(struct json *json, const char *text, size_t len);

#endif
