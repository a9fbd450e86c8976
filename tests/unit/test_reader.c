/* The byte reader: every width, the varints of RFC 9000 appendix A.1, and sticky failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/varint.h"

static void integers_are_read_in_network_order(void **state)
{
    (void)state;
    const uint8_t octets[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32};
    struct reader reader = reader_init(octets, sizeof(octets));
    assert_int_equal(read_u8(&reader), 0x01);
    assert_int_equal(read_u16(&reader), 0x2345);
    assert_int_equal(read_u32(&reader), 0x6789abcd);
    assert_int_equal(read_u64(&reader), UINT64_C(0xeffedcba98765432));
    assert_int_equal(reader_left(&reader), 0);
    assert_false(reader.failed);
}

static uint64_t varint_of(const void *octets, size_t len)
{
    struct reader reader = reader_init(octets, len);
    uint64_t value = read_varint(&reader);
    assert_false(reader.failed);
    assert_int_equal(reader_left(&reader), 0);
    return value;
}

static void varints_of_appendix_a_are_read(void **state)
{
    (void)state;
    assert_int_equal(varint_of("\xc2\x19\x7c\x5e\xff\x14\xe8\x8c", 8), UINT64_C(151288809941952652));
    assert_int_equal(varint_of("\x9d\x7f\x3e\x7d", 4), 494878333);
    assert_int_equal(varint_of("\x7b\xbd", 2), 15293);
    assert_int_equal(varint_of("\x25", 1), 37);
    assert_int_equal(varint_of("\x40\x25", 2), 37);
    assert_int_equal(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff", 8), VARINT_MAX);
}

static void a_truncated_varint_fails(void **state)
{
    (void)state;
    static const uint8_t starts[] = {0x00, 0x40, 0x80, 0xc0};
    for (size_t i = 0; i < sizeof(starts); i++) {
        uint8_t octets[8] = {starts[i]};
        size_t whole = (size_t)1 << i;
        for (size_t len = 0; len < whole; len++) {
            struct reader reader = reader_init(octets, len);
            assert_int_equal(read_varint(&reader), 0);
            assert_true(reader.failed);
        }
        assert_int_equal(varint_of(octets, whole), 0);
    }
}

static void failure_is_sticky_though_a_shorter_read_would_fit(void **state)
{
    (void)state;
    const uint8_t octets[] = {1, 2, 3};
    struct reader reader = reader_init(octets, sizeof(octets));
    assert_int_equal(read_u32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(read_u8(&reader), 0);
    assert_int_equal(read_u16(&reader), 0);
    assert_int_equal(read_u64(&reader), 0);
    assert_int_equal(read_varint(&reader), 0);
    assert_null(read_bytes(&reader, 1));
    assert_true(reader.failed);
    assert_int_equal(reader_left(&reader), 0);
}

static void bytes_are_shown_where_they_lie(void **state)
{
    (void)state;
    const uint8_t octets[] = {1, 2, 3};
    struct reader reader = reader_init(octets, sizeof(octets));
    assert_ptr_equal(read_bytes(&reader, 2), octets);
    assert_ptr_equal(read_bytes(&reader, 0), octets + 2);
    assert_null(read_bytes(&reader, SIZE_MAX));
    assert_true(reader.failed);
}

static void a_failed_copy_is_zero(void **state)
{
    (void)state;
    const uint8_t octets[] = {1, 2, 3, 4};
    uint8_t copy[3] = {9, 9, 9};
    struct reader reader = reader_init(octets, sizeof(octets));
    read_copy(&reader, copy, 0);
    assert_int_equal(copy[0], 9);
    read_copy(&reader, copy, 3);
    assert_memory_equal(copy, octets, 3);
    read_copy(&reader, copy, 2);
    assert_memory_equal(copy, "\0\0\3", 3);
    assert_true(reader.failed);
}

static void nothing_can_be_read_from_nothing(void **state)
{
    (void)state;
    struct reader reader = reader_init(NULL, 0);
    assert_int_equal(reader_left(&reader), 0);
    read_bytes(&reader, 0);
    assert_false(reader.failed);
    assert_int_equal(read_u8(&reader), 0);
    assert_true(reader.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_in_network_order),
        cmocka_unit_test(varints_of_appendix_a_are_read),
        cmocka_unit_test(a_truncated_varint_fails),
        cmocka_unit_test(failure_is_sticky_though_a_shorter_read_would_fit),
        cmocka_unit_test(bytes_are_shown_where_they_lie),
        cmocka_unit_test(a_failed_copy_is_zero),
        cmocka_unit_test(nothing_can_be_read_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
