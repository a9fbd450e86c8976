/*
 * Reads from a run of octets and never past its end. Failure is sticky: after the first short read every read returns 0
 * and `failed` stays true, so that a parser may read a whole structure and look once.
 *
 * Invariants: pos <= end, and after a failure pos == end. So a later read of anything fails by the bounds check that it
 * makes anyway, and no read has to look at `failed`.
 */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_init(const uint8_t *data, size_t len)
{
    return (struct reader){.pos = data, .end = len > 0 ? data + len : data, .failed = false};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->pos);
}

/* The next len octets, or NULL after a failure. len > 0. */
static inline const uint8_t *reader_take(struct reader *reader, size_t len)
{
    const uint8_t *pos = reader->pos;
    if (__builtin_expect(reader_left(reader) < len, 0)) {
        reader->pos = reader->end;
        reader->failed = true;
        return NULL;
    }
    reader->pos = pos + len;
    return pos;
}

static inline uint64_t reader_load(const uint8_t *pos, size_t octets)
{
    uint64_t value = 0;
    for (size_t i = 0; i < octets; i++)
        value = value << 8 | pos[i];
    return value;
}

static inline uint8_t read_u8(struct reader *reader)
{
    const uint8_t *pos = reader_take(reader, 1);
    return pos != NULL ? *pos : 0;
}

static inline uint16_t read_u16(struct reader *reader)
{
    const uint8_t *pos = reader_take(reader, 2);
    return pos != NULL ? (uint16_t)reader_load(pos, 2) : 0;
}

static inline uint32_t read_u32(struct reader *reader)
{
    const uint8_t *pos = reader_take(reader, 4);
    return pos != NULL ? (uint32_t)reader_load(pos, 4) : 0;
}

static inline uint64_t read_u64(struct reader *reader)
{
    const uint8_t *pos = reader_take(reader, 8);
    return pos != NULL ? reader_load(pos, 8) : 0;
}

/* RFC 9000 section 16. */
static inline uint64_t read_varint(struct reader *reader)
{
    if (__builtin_expect(reader->pos == reader->end, 0)) {
        reader->failed = true;
        return 0;
    }
    //= rfc9000#16 The two most significant bits of the first byte encode the base-2 logarithm of the length.
    uint8_t first = *reader->pos;
    if (first < 0x40) {
        reader->pos++;
        return first;
    }
    size_t octets = (size_t)1 << (first >> 6);
    const uint8_t *pos = reader_take(reader, octets);
    if (pos == NULL)
        return 0;
    switch (octets) {
    case 2:
        return reader_load(pos, 2) & 0x3fff;
    case 4:
        return reader_load(pos, 4) & 0x3fffffff;
    default:
        return reader_load(pos, 8) & UINT64_C(0x3fffffffffffffff);
    }
}

/* Points into the input; NULL (and failed) where fewer than len octets are left. len 0 never fails. */
static inline const uint8_t *read_bytes(struct reader *reader, size_t len)
{
    return len > 0 ? reader_take(reader, len) : reader->pos;
}

/* Copies len octets into ret; on failure ret is filled with zeros. */
static inline void read_copy(struct reader *reader, void *ret, size_t len)
{
    if (len == 0)
        return;
    const uint8_t *pos = reader_take(reader, len);
    if (pos != NULL)
        memcpy(ret, pos, len);
    else
        memset(ret, 0, len);
}

#endif
