/*
 * Writes into a buffer and never past its end. Failure is sticky: after the first write that did not fit nothing more
 * is written and `failed` stays true.
 */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

void write_u8(struct writer *writer, uint8_t value);
void write_u16(struct writer *writer, uint16_t value);
void write_u32(struct writer *writer, uint32_t value);
void write_u64(struct writer *writer, uint64_t value);

/* RFC 9000 section 16, in the fewest octets; value must be at most VARINT_MAX. */
void write_varint(struct writer *writer, uint64_t value);

/* A varint in exactly `octets` (1, 2, 4 or 8), which must hold value. */
void write_varint_sized(struct writer *writer, uint64_t value, size_t octets);

void write_bytes(struct writer *writer, const void *data, size_t len);

/* len zero octets. */
void write_zeros(struct writer *writer, size_t len);

#endif
