/*
 * The reader never reads past the end, how often it is read: whatever state a reader may be in (pos is at or before the
 * end, and after a failure at the end), any one read leaves it in such a state and touches nothing beyond the last octet,
 * behind which there is nobody's memory. Failure is sticky, and gives zeros.
 *
 * cbmc: --unwind 11
 */
#include "proofs/proof.h"

#include "base/reader.h"

#define LEN_MAX 9

/* One read of any kind, and what it gave; of several octets, two of them. */
static uint64_t read_something(struct reader *reader)
{
    uint8_t copy[LEN_MAX + 1];
    const size_t len = draw_below(LEN_MAX + 2);
    const uint8_t *bytes;
    switch (draw_below(7)) {
    case 0:
        return read_u8(reader);
    case 1:
        return read_u16(reader);
    case 2:
        return read_u32(reader);
    case 3:
        return read_u64(reader);
    case 4:
        return read_varint(reader);
    case 5:
        bytes = read_bytes(reader, len);
        return bytes != NULL && len > 0 ? (uint64_t)bytes[0] + bytes[len - 1] : 0;
    default:
        memset(copy, 0, sizeof(copy));
        read_copy(reader, copy, len < sizeof(copy) ? len : sizeof(copy));
        return copy[draw_below(sizeof(copy))];
    }
}

const bool proof_takes_every_choice = false;

void proof(void)
{
    const size_t len = draw_below(LEN_MAX + 1);
    uint8_t *octets = malloc(len > 0 ? len : 1);
    if (octets == NULL)
        return;
    for (size_t i = 0; i < len; i++)
        octets[i] = draw_u8();
    struct reader reader = reader_init(octets, len);
    reader.pos += draw_below(len + 1);
    reader.failed = reader.pos == reader.end && draw_bool();
    const struct reader before = reader;
    const uint64_t value = read_something(&reader);
    assert(reader.pos >= before.pos && reader.pos <= reader.end && reader.end == before.end);
    assert(!before.failed || reader.failed);
    assert(!reader.failed || (reader.pos == reader.end && value == 0));
    free(octets);
}
