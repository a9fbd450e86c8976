/*
 * The byte writer. Invariants: start <= pos <= end, and after a failure pos == end: the room that was left is given up,
 * so that a later write of anything fails by the bounds check that it makes anyway.
 */
#include "base/writer.h"

#include <assert.h>
#include <string.h>

#include "base/varint.h"

/* Where the next len octets go, or NULL after a failure. len > 0. */
static inline uint8_t *give(struct writer *writer, size_t len)
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

static inline void store(uint8_t *pos, uint64_t value, size_t octets)
{
    for (size_t i = octets; i-- > 0; value >>= 8)
        pos[i] = (uint8_t)value;
}

void write_u8(struct writer *writer, uint8_t value)
{
    uint8_t *pos = give(writer, 1);
    if (pos != NULL)
        *pos = value;
}

void write_u16(struct writer *writer, uint16_t value)
{
    uint8_t *pos = give(writer, 2);
    if (pos != NULL)
        store(pos, value, 2);
}

void write_u32(struct writer *writer, uint32_t value)
{
    uint8_t *pos = give(writer, 4);
    if (pos != NULL)
        store(pos, value, 4);
}

void write_u64(struct writer *writer, uint64_t value)
{
    uint8_t *pos = give(writer, 8);
    if (pos != NULL)
        store(pos, value, 8);
}

void write_varint(struct writer *writer, uint64_t value)
{
    write_varint_sized(writer, value, varint_len(value));
}

void write_varint_sized(struct writer *writer, uint64_t value, size_t octets)
{
    assert(value <= VARINT_MAX && varint_len(value) <= octets);
    uint8_t *pos = give(writer, octets);
    if (pos == NULL)
        return;
    switch (octets) {
    case 1:
        *pos = (uint8_t)value;
        break;
    case 2:
        store(pos, value | 0x4000, 2);
        break;
    case 4:
        store(pos, value | 0x80000000, 4);
        break;
    default:
        assert(octets == 8);
        store(pos, value | UINT64_C(0xc000000000000000), 8);
    }
}

void write_bytes(struct writer *writer, const void *data, size_t len)
{
    if (len == 0)
        return;
    uint8_t *pos = give(writer, len);
    if (pos != NULL)
        memcpy(pos, data, len);
}

void write_zeros(struct writer *writer, size_t len)
{
    if (len == 0)
        return;
    uint8_t *pos = give(writer, len);
    if (pos != NULL)
        memset(pos, 0, len);
}
