/* Packet numbers: RFC 9000 appendix A.2 and A.3, and that what is written can be read by any receiver it is meant
 * for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/reader.h"
#include "seeded.h"
#include "wire/packet_number.h"

static void lengths_of_appendix_a_2(void **state)
{
    (void)state;
    assert_int_equal(packet_number_len(0xac5c02, 0xabe8b3), 2);
    assert_int_equal(packet_number_len(0xace8fe, 0xabe8b3), 3);
}

static void the_number_of_appendix_a_3_is_decoded(void **state)
{
    (void)state;
    assert_int_equal(packet_number_decode(0x9b32, 2, 0xa82f30ea), 0xa82f9b32);
}

static void of_two_numbers_equally_near_the_higher_is_meant(void **state)
{
    (void)state;
    /* 300 is expected: 172 and 428 are 128 away. 400 is expected: 272 and 528 are. */
    assert_int_equal(packet_number_decode(172, 1, 299), 428);
    assert_int_equal(packet_number_decode(16, 1, 399), 528);
}

static void the_field_covers_more_than_twice_the_distance(void **state)
{
    (void)state;
    for (uint64_t distance = 1; distance < UINT64_C(1) << 31; distance += 1 + distance / 100) {
        size_t len = packet_number_len(1000 + distance, 1000);
        assert_true(UINT64_C(1) << (8 * len) > 2 * distance);
        assert_true(len == 1 || UINT64_C(1) << (8 * (len - 1)) <= 2 * distance);
    }
}

static void before_the_first_acknowledgment_numbers_are_whole(void **state)
{
    (void)state;
    assert_int_equal(packet_number_len(0, PACKET_NUMBER_NONE), 1);
    assert_int_equal(packet_number_len(126, PACKET_NUMBER_NONE), 1);
    assert_int_equal(packet_number_len(127, PACKET_NUMBER_NONE), 2);
    assert_int_equal(packet_number_len(UINT32_MAX, PACKET_NUMBER_NONE), 4);
}

static uint64_t low_octets(uint64_t number, size_t len)
{
    return number & ((UINT64_C(1) << (8 * len)) - 1);
}

static void a_number_reaches_a_receiver_that_has_anything_since_the_acknowledged_one(void **state)
{
    (void)state;
    struct seeded seeded = {.state = 1};
    for (int i = 0; i < 200000; i++) {
        uint64_t acked = seeded_u64(&seeded) >> (3 + seeded_below(&seeded, 60));
        uint64_t number = acked + 1 + (seeded_u64(&seeded) >> (33 + seeded_below(&seeded, 31)));
        size_t len = packet_number_len(number, acked);
        /* The receiver's largest is anything from the acknowledged number to a little past this one (reordering). */
        uint64_t largest = acked + seeded_below(&seeded, number - acked + 60);
        if (number <= PACKET_NUMBER_MAX && largest < PACKET_NUMBER_MAX)
            assert_int_equal(packet_number_decode(low_octets(number, len), len, largest), number);
    }
}

static void the_first_packets_are_decoded_without_a_largest(void **state)
{
    (void)state;
    for (uint64_t number = 0; number < 100; number++)
        assert_int_equal(packet_number_decode(number, 1, PACKET_NUMBER_NONE), number);
    assert_int_equal(packet_number_decode(0xffff, 2, PACKET_NUMBER_NONE), 0xffff);
    assert_int_equal(packet_number_decode(0xffffffff, 4, PACKET_NUMBER_NONE), 0xffffffff);
}

static void decoding_stays_within_the_numbers_there_are(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 4; len++) {
        uint64_t window = UINT64_C(1) << (8 * len);
        for (uint64_t truncated = 0; truncated < window; truncated += 1 + window / 257) {
            assert_true(packet_number_decode(truncated, len, PACKET_NUMBER_MAX) <= PACKET_NUMBER_MAX + 1 + truncated);
            assert_true(packet_number_decode(truncated, len, PACKET_NUMBER_MAX - 1) <= PACKET_NUMBER_MAX);
            assert_true(packet_number_decode(truncated, len, 0) < window);
        }
    }
}

static void the_lowest_octets_are_written(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 4; len++) {
        uint8_t octets[4];
        struct writer writer = writer_init(octets, sizeof(octets));
        packet_number_write(&writer, UINT64_C(0x1122334455667788), len);
        assert_false(writer.failed);
        assert_int_equal(writer_len(&writer), len);
        assert_memory_equal(octets, (const uint8_t *)"\x55\x66\x77\x88" + 4 - len, len);
        struct writer small = writer_init(octets, len - 1);
        packet_number_write(&small, 1, len);
        assert_true(small.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_of_appendix_a_2),
        cmocka_unit_test(the_number_of_appendix_a_3_is_decoded),
        cmocka_unit_test(of_two_numbers_equally_near_the_higher_is_meant),
        cmocka_unit_test(the_field_covers_more_than_twice_the_distance),
        cmocka_unit_test(before_the_first_acknowledgment_numbers_are_whole),
        cmocka_unit_test(a_number_reaches_a_receiver_that_has_anything_since_the_acknowledged_one),
        cmocka_unit_test(the_first_packets_are_decoded_without_a_largest),
        cmocka_unit_test(decoding_stays_within_the_numbers_there_are),
        cmocka_unit_test(the_lowest_octets_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
