/*
 * Writes into a buffer and never past its end. Failure is sticky: after the first write that did not fit nothing more
 * is written and `failed` stays true.
 *
 * Invariants: start <= pos <= end, and after a failure pos == end: the room that was left is given up, so that a later
 * write of anything fails by the bounds check that it makes anyway.
 */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/varint.h"

struct writer {
    uint8_t *start;
    uint8_t *pos;
    uint8_t *end;
    bool failed;
};

static inline struct writer writer_init(uint8_t *data, size_t capacity)
{
    return (struct writer){.start = data, .pos = data, .end = capacity > 0 ? data + capacity : data, .failed = false};
}

static inline size_t writer_len(const struct writer *writer)
{
    return (size_t)(writer->pos - writer->start);
}

static inline size_t writer_left(const struct writer *writer)
{
    return (size_t)(writer->end - writer->pos);
}

/* Where the next len octets go, or NULL after a failure. len > 0. */
static inline uint8_t *writer_give(struct writer *writer, size_t len)
{
    uint8_t *pos = writer->pos;
    if (__builtin_expect(writer_left(writer) < len, 0)) {
        writer->end = pos;
        writer->failed = true;
        return NULL;
    }
    writer->pos = pos + len;
    return pos;
}

static inline void writer_store(uint8_t *pos, uint64_t value, size_t octets)
{
    for (size_t i = octets; i-- > 0; value >>= 8)
        pos[i] = (uint8_t)value;
}

static inline void write_u8(struct writer *writer, uint8_t value)
{
    uint8_t *pos = writer_give(writer, 1);
    if (pos != NULL)
        *pos = value;
}

static inline void write_u16(struct writer *writer, uint16_t value)
{
    uint8_t *pos = writer_give(writer, 2);
    if (pos != NULL)
        writer_store(pos, value, 2);
}

static inline void write_u32(struct writer *writer, uint32_t value)
{
    uint8_t *pos = writer_give(writer, 4);
    if (pos != NULL)
        writer_store(pos, value, 4);
}

static inline void write_u64(struct writer *writer, uint64_t value)
{
    uint8_t *pos = writer_give(writer, 8);
    if (pos != NULL)
        writer_store(pos, value, 8);
}

/* A varint in exactly `octets` (1, 2, 4 or 8), which must hold value. */
static inline void write_varint_sized(struct writer *writer, uint64_t value, size_t octets)
{
    assert(value <= VARINT_MAX && varint_len(value) <= octets);
    uint8_t *pos = writer_give(writer, octets);
    if (pos == NULL)
        return;
    switch (octets) {
    case 1:
        *pos = (uint8_t)value;
        break;
    case 2:
        writer_store(pos, value | 0x4000, 2);
        break;
    case 4:
        writer_store(pos, value | 0x80000000, 4);
        break;
    default:
        assert(octets == 8);
        writer_store(pos, value | UINT64_C(0xc000000000000000), 8);
    }
}

/* RFC 9000 section 16, in the fewest octets; value must be at most VARINT_MAX. */
static inline void write_varint(struct writer *writer, uint64_t value)
{
    write_varint_sized(writer, value, varint_len(value));
}

static inline void write_bytes(struct writer *writer, const void *data, size_t len)
{
    if (len == 0)
        return;
    uint8_t *pos = writer_give(writer, len);
    if (pos != NULL)
        memcpy(pos, data, len);
}

/* len zero octets. */
static inline void write_zeros(struct writer *writer, size_t len)
{
    if (len == 0)
        return;
    uint8_t *pos = writer_give(writer, len);
    if (pos != NULL)
        memset(pos, 0, len);
}

#endif
