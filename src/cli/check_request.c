/*
 * What a request looks like: HTTP/0.9 for hq-interop, and the least that HTTP/3 (RFC 9114) and QPACK (RFC 9204) ask of
 * a client that reads no answer but counts its octets: a control stream with empty SETTINGS, a GET of static table
 * entries and literals without Huffman coding.
 */
#include "cli/check_request.h"

#include <string.h>

#include "base/varint.h"
#include "base/writer.h"

#define HTTP3_STREAM_CONTROL 0x00
#define HTTP3_FRAME_HEADERS  0x01
#define HTTP3_FRAME_SETTINGS 0x04

/* RFC 9204 appendix A. */
#define QPACK_AUTHORITY  0
#define QPACK_PATH       1
#define QPACK_METHOD_GET 17
#define QPACK_HTTPS      23
#define QPACK_USER_AGENT 95

#define USER_AGENT "roam-check"

enum check_request_kind check_request_kind(const char *alpn)
{
    if (strncmp(alpn, "hq-", 3) == 0 || strcmp(alpn, "hq") == 0)
        return CHECK_REQUEST_HQ;
    if (strcmp(alpn, "h3") == 0 || strncmp(alpn, "h3-", 3) == 0)
        return CHECK_REQUEST_H3;
    return CHECK_REQUEST_NONE;
}

/* RFC 7541 section 5.1: an integer behind a prefix of so many bits, whose octet begins with `first`. */
static void write_prefixed(struct writer *writer, uint8_t first, unsigned bits, size_t value)
{
    const size_t max = ((size_t)1 << bits) - 1;
    if (value < max) {
        write_u8(writer, (uint8_t)(first | value));
        return;
    }
    write_u8(writer, (uint8_t)(first | max));
    for (value -= max; value >= 0x80; value >>= 7)
        write_u8(writer, (uint8_t)(0x80 | (value & 0x7f)));
    write_u8(writer, (uint8_t)value);
}

/* Indexed field line, static table: RFC 9204 section 4.5.2. */
static void write_indexed(struct writer *writer, size_t index)
{
    write_prefixed(writer, 0xc0, 6, index);
}

/* Literal field line with a name of the static table: section 4.5.4. */
static void write_literal(struct writer *writer, size_t name, const char *value)
{
    write_prefixed(writer, 0x50, 4, name);
    write_prefixed(writer, 0x00, 7, strlen(value));
    write_bytes(writer, value, strlen(value));
}

size_t check_request_control(uint8_t *ret, size_t capacity)
{
    static const uint8_t opening[] = {HTTP3_STREAM_CONTROL, HTTP3_FRAME_SETTINGS, 0};
    if (capacity < sizeof(opening))
        return 0;
    memcpy(ret, opening, sizeof(opening));
    return sizeof(opening);
}

static size_t write_h3(const char *authority, const char *path, uint8_t *ret, size_t capacity)
{
    uint8_t fields[CHECK_REQUEST_MAX];
    struct writer block = writer_init(fields, sizeof(fields));
    write_u8(&block, 0); /* Required Insert Count 0, Base 0 */
    write_u8(&block, 0);
    write_indexed(&block, QPACK_METHOD_GET);
    write_indexed(&block, QPACK_HTTPS);
    write_literal(&block, QPACK_AUTHORITY, authority);
    write_literal(&block, QPACK_PATH, path);
    write_literal(&block, QPACK_USER_AGENT, USER_AGENT);
    struct writer writer = writer_init(ret, capacity);
    write_varint(&writer, HTTP3_FRAME_HEADERS);
    write_varint(&writer, writer_len(&block));
    write_bytes(&writer, fields, writer_len(&block));
    return writer.failed || block.failed ? 0 : writer_len(&writer);
}

size_t check_request_write(enum check_request_kind kind, const char *authority, const char *path, uint8_t *ret,
                           size_t capacity)
{
    if (kind == CHECK_REQUEST_H3)
        return write_h3(authority, path, ret, capacity);
    struct writer writer = writer_init(ret, capacity);
    write_bytes(&writer, "GET ", 4);
    write_bytes(&writer, path, strlen(path));
    write_bytes(&writer, "\r\n", 2);
    return writer.failed ? 0 : writer_len(&writer);
}
