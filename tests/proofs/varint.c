/*
 * Variable-length integers (RFC 9000 section 16): every value is written in the fewest octets and read back as itself,
 * whatever came after it, and in every longer form too; and every run of octets that holds a whole one is a value that
 * may be written.
 *
 * cbmc: --unwind 9
 */
#include "proofs/proof.h"

#include "base/reader.h"
#include "base/writer.h"

#define OCTETS_MAX 8

static void what_is_written_is_read(void)
{
    uint8_t octets[OCTETS_MAX];
    const uint64_t value = draw_below(VARINT_MAX + 1);
    const size_t capacity = draw_below(OCTETS_MAX + 1);
    struct writer writer = writer_init(octets, capacity);
    write_varint(&writer, value);
    assert(writer.failed == (varint_len(value) > capacity));
    assert(writer.pos >= octets && writer.pos <= octets + capacity);
    if (writer.failed)
        return;
    assert(writer_len(&writer) == varint_len(value));
    struct reader reader = reader_init(octets, writer_len(&writer));
    assert(read_varint(&reader) == value && !reader.failed && reader_left(&reader) == 0);
}

static void longer_forms_are_read(void)
{
    uint8_t octets[OCTETS_MAX];
    const uint64_t value = draw_below(VARINT_MAX + 1);
    const size_t len = (size_t)1 << draw_below(4);
    if (varint_len(value) > len)
        return;
    struct writer writer = writer_init(octets, len);
    write_varint_sized(&writer, value, len);
    assert(!writer.failed && writer_len(&writer) == len);
    struct reader reader = reader_init(octets, len);
    assert(read_varint(&reader) == value && !reader.failed && reader_left(&reader) == 0);
}

static void what_is_read_is_a_value(void)
{
    const size_t len = draw_below(OCTETS_MAX + 1);
    uint8_t *octets = malloc(len > 0 ? len : 1);
    if (octets == NULL)
        return;
    for (size_t i = 0; i < len; i++)
        octets[i] = draw_u8();
    struct reader reader = reader_init(octets, len);
    const uint64_t value = read_varint(&reader);
    const size_t wanted = len > 0 ? (size_t)1 << (octets[0] >> 6) : 1;
    assert(reader.failed == (wanted > len));
    assert(value <= VARINT_MAX && (!reader.failed || value == 0));
    assert(reader.failed || (reader_left(&reader) == len - wanted && varint_len(value) <= wanted));
    free(octets);
}

const bool proof_takes_every_choice = false;

void proof(void)
{
    what_is_written_is_read();
    longer_forms_are_read();
    what_is_read_is_a_value();
}
