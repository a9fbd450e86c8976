/*
 * Reads from a run of octets and never past its end. Failure is sticky: after the first short read every read returns 0
 * and `failed` stays true, so that a parser may read a whole structure and look once.
 */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

uint8_t read_u8(struct reader *reader);
uint16_t read_u16(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);

/* RFC 9000 section 16. */
uint64_t read_varint(struct reader *reader);

/* Points into the input; NULL (and failed) where fewer than len octets are left. len 0 never fails. */
const uint8_t *read_bytes(struct reader *reader, size_t len);

/* Copies len octets into ret; on failure ret is filled with zeros. */
void read_copy(struct reader *reader, void *ret, size_t len);

#endif
