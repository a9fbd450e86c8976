/*
 * The byte reader. Invariants: pos <= end, and after a failure pos == end. So a later read of anything fails by the
 * bounds check that it makes anyway, and no read has to look at `failed`.
 */
#include "base/reader.h"

#include <string.h>

static void reader_fail(struct reader *reader)
{
    reader->pos = reader->end;
    reader->failed = true;
}

/* The next len octets, or NULL after a failure. len > 0. */
static inline const uint8_t *take(struct reader *reader, size_t len)
{
    const uint8_t *pos = reader->pos;
    if (__builtin_expect(reader_left(reader) < len, 0)) {
        reader_fail(reader);
        return NULL;
    }
    reader->pos = pos + len;
    return pos;
}

static inline uint64_t load(const uint8_t *pos, size_t octets)
{
    uint64_t value = 0;
    for (size_t i = 0; i < octets; i++)
        value = value << 8 | pos[i];
    return value;
}

uint8_t read_u8(struct reader *reader)
{
    const uint8_t *pos = take(reader, 1);
    return pos != NULL ? *pos : 0;
}

uint16_t read_u16(struct reader *reader)
{
    const uint8_t *pos = take(reader, 2);
    return pos != NULL ? (uint16_t)load(pos, 2) : 0;
}

uint32_t read_u32(struct reader *reader)
{
    const uint8_t *pos = take(reader, 4);
    return pos != NULL ? (uint32_t)load(pos, 4) : 0;
}

uint64_t read_u64(struct reader *reader)
{
    const uint8_t *pos = take(reader, 8);
    return pos != NULL ? load(pos, 8) : 0;
}

uint64_t read_varint(struct reader *reader)
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
    const uint8_t *pos = take(reader, octets);
    if (pos == NULL)
        return 0;
    switch (octets) {
    case 2:
        return load(pos, 2) & 0x3fff;
    case 4:
        return load(pos, 4) & 0x3fffffff;
    default:
        return load(pos, 8) & UINT64_C(0x3fffffffffffffff);
    }
}

const uint8_t *read_bytes(struct reader *reader, size_t len)
{
    return len > 0 ? take(reader, len) : reader->pos;
}

void read_copy(struct reader *reader, void *ret, size_t len)
{
    if (len == 0)
        return;
    const uint8_t *pos = take(reader, len);
    if (pos != NULL)
        memcpy(ret, pos, len);
    else
        memset(ret, 0, len);
}
