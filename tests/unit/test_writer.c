/* The byte writer: every width, the varints of RFC 9000 appendix A.1, and sticky failure that writes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/reader.h"
#include "base/varint.h"
#include "base/writer.h"

static void integers_are_written_in_network_order(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe,
                                       0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0,    0,    7};
    uint8_t octets[sizeof(expected)];
    memset(octets, 0xee, sizeof(octets));
    struct writer writer = writer_init(octets, sizeof(octets));
    write_u8(&writer, 0x01);
    write_u16(&writer, 0x2345);
    write_u32(&writer, 0x6789abcd);
    write_u64(&writer, UINT64_C(0xeffedcba98765432));
    write_zeros(&writer, 2);
    write_bytes(&writer, "\7", 1);
    assert_false(writer.failed);
    assert_int_equal(writer_len(&writer), sizeof(expected));
    assert_int_equal(writer_left(&writer), 0);
    assert_memory_equal(octets, expected, sizeof(expected));
}

static void check_varint(uint64_t value, const char *expected, size_t len)
{
    uint8_t octets[8];
    struct writer writer = writer_init(octets, sizeof(octets));
    write_varint(&writer, value);
    assert_false(writer.failed);
    assert_int_equal(writer_len(&writer), len);
    assert_int_equal(varint_len(value), len);
    assert_memory_equal(octets, expected, len);
}

static void varints_of_appendix_a_are_written_in_the_fewest_octets(void **state)
{
    (void)state;
    check_varint(UINT64_C(151288809941952652), "\xc2\x19\x7c\x5e\xff\x14\xe8\x8c", 8);
    check_varint(494878333, "\x9d\x7f\x3e\x7d", 4);
    check_varint(15293, "\x7b\xbd", 2);
    check_varint(37, "\x25", 1);
    check_varint(0, "\0", 1);
    check_varint(63, "\x3f", 1);
    check_varint(64, "\x40\x40", 2);
    check_varint(16383, "\x7f\xff", 2);
    check_varint(16384, "\x80\0\x40\0", 4);
    check_varint(1073741823, "\xbf\xff\xff\xff", 4);
    check_varint(1073741824, "\xc0\0\0\0\x40\0\0\0", 8);
    check_varint(VARINT_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void a_sized_varint_takes_the_octets_it_is_told(void **state)
{
    (void)state;
    for (size_t octets = 1; octets <= 8; octets *= 2) {
        uint8_t buf[8];
        struct writer writer = writer_init(buf, sizeof(buf));
        write_varint_sized(&writer, 37, octets);
        assert_int_equal(writer_len(&writer), octets);
        struct reader reader = reader_init(buf, octets);
        assert_int_equal(read_varint(&reader), 37);
        assert_int_equal(reader_left(&reader), 0);
    }
}

static void what_does_not_fit_is_not_begun_and_nothing_follows_it(void **state)
{
    (void)state;
    uint8_t octets[8];
    memset(octets, 0xee, sizeof(octets));
    struct writer writer = writer_init(octets, 3);
    write_u8(&writer, 1);
    write_u32(&writer, 2);
    assert_true(writer.failed);
    write_u8(&writer, 3);
    write_u16(&writer, 3);
    write_u64(&writer, 3);
    write_varint(&writer, 3);
    write_bytes(&writer, "x", 1);
    write_zeros(&writer, 1);
    assert_true(writer.failed);
    assert_int_equal(writer_len(&writer), 1);
    assert_memory_equal(octets, "\1\xee\xee\xee\xee\xee\xee\xee", 8);
}

static void each_width_fits_exactly_or_not_at_all(void **state)
{
    (void)state;
    static const uint64_t values[] = {1, 100, 100000, UINT64_C(1) << 40};
    for (size_t i = 0; i < 4; i++) {
        uint8_t octets[8];
        struct writer fits = writer_init(octets, (size_t)1 << i);
        write_varint(&fits, values[i]);
        assert_false(fits.failed);
        struct writer short_of_one = writer_init(octets, ((size_t)1 << i) - 1);
        write_varint(&short_of_one, values[i]);
        assert_true(short_of_one.failed);
    }
}

static void nothing_fits_into_nothing_but_nothing(void **state)
{
    (void)state;
    struct writer writer = writer_init(NULL, 0);
    write_bytes(&writer, NULL, 0);
    write_zeros(&writer, 0);
    assert_false(writer.failed);
    write_u8(&writer, 1);
    assert_true(writer.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_written_in_network_order),
        cmocka_unit_test(varints_of_appendix_a_are_written_in_the_fewest_octets),
        cmocka_unit_test(a_sized_varint_takes_the_octets_it_is_told),
        cmocka_unit_test(what_does_not_fit_is_not_begun_and_nothing_follows_it),
        cmocka_unit_test(each_width_fits_exactly_or_not_at_all),
        cmocka_unit_test(nothing_fits_into_nothing_but_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
