/* Writing of frames: the octets, whole or not at all, and what is cut where it may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <roam/error.h>

#include "base/range_set.h"
#include "base/varint.h"
#include "wire/frame.h"

#define CAPACITY 600

struct out {
    uint8_t octets[CAPACITY];
    struct writer writer;
};

static struct writer *out_init(struct out *out, size_t capacity)
{
    memset(out->octets, 0xee, sizeof(out->octets));
    out->writer = writer_init(out->octets, capacity);
    return &out->writer;
}

#define CHECK_OCTETS(out, literal)                                                                                     \
    do {                                                                                                               \
        assert_false((out)->writer.failed);                                                                            \
        assert_int_equal(writer_len(&(out)->writer), sizeof(literal) - 1);                                             \
        assert_memory_equal((out)->octets, literal, sizeof(literal) - 1);                                              \
    } while (0)

static void frames_are_written_as_the_rfc_draws_them(void **state)
{
    (void)state;
    struct out out;
    const roam_cid cid = {.len = 3, .bytes = "cid"};
    frame_write_padding(out_init(&out, CAPACITY), 3);
    CHECK_OCTETS(&out, "\0\0\0");
    frame_write_ping(out_init(&out, CAPACITY));
    CHECK_OCTETS(&out, "\x01");
    frame_write_reset_stream(out_init(&out, CAPACITY), 1, 0x203, 0x405);
    CHECK_OCTETS(&out, "\x04\x01\x42\x03\x44\x05");
    frame_write_datagram_header(out_init(&out, CAPACITY), 300, true);
    CHECK_OCTETS(&out, "\x31\x41\x2c");
    assert_int_equal(frame_datagram_header_len(300, true), 3);
    frame_write_datagram_header(out_init(&out, CAPACITY), 300, false);
    CHECK_OCTETS(&out, "\x30");
    assert_int_equal(frame_datagram_header_len(300, false), 1);
    frame_write_stop_sending(out_init(&out, CAPACITY), 6, 7);
    CHECK_OCTETS(&out, "\x05\x06\x07");
    frame_write_crypto(out_init(&out, CAPACITY), 8, (const uint8_t *)"abc", 3);
    CHECK_OCTETS(&out, "\x06\x08\x03"
                       "abc");
    frame_write_new_token(out_init(&out, CAPACITY), (const uint8_t *)"to", 2);
    CHECK_OCTETS(&out, "\x07\x02to");
    frame_write_maximum(out_init(&out, CAPACITY), FRAME_MAX_DATA, 100);
    CHECK_OCTETS(&out, "\x10\x40\x64");
    frame_write_stream_maximum(out_init(&out, CAPACITY), FRAME_STREAM_DATA_BLOCKED, 11, 12);
    CHECK_OCTETS(&out, "\x15\x0b\x0c");
    frame_write_new_connection_id(out_init(&out, CAPACITY), 5, 4, &cid, (const uint8_t *)"0123456789abcdef");
    CHECK_OCTETS(&out, "\x18\x05\x04\x03"
                       "cid"
                       "0123456789abcdef");
    frame_write_retire_connection_id(out_init(&out, CAPACITY), 13);
    CHECK_OCTETS(&out, "\x19\x0d");
    frame_write_path(out_init(&out, CAPACITY), FRAME_PATH_CHALLENGE, (const uint8_t *)"12345678");
    CHECK_OCTETS(&out, "\x1a"
                       "12345678");
    frame_write_path(out_init(&out, CAPACITY), FRAME_PATH_RESPONSE, (const uint8_t *)"12345678");
    CHECK_OCTETS(&out, "\x1b"
                       "12345678");
    frame_write_close(out_init(&out, CAPACITY), false, ROAM_PROTOCOL_VIOLATION, 0x18, "no", 2);
    CHECK_OCTETS(&out, "\x1c\x0a\x18\x02no");
    frame_write_close(out_init(&out, CAPACITY), true, 10, 0x18, "no", 2);
    CHECK_OCTETS(&out, "\x1d\x0a\x02no");
    frame_write_close(out_init(&out, CAPACITY), true, 10, 0, NULL, 0);
    CHECK_OCTETS(&out, "\x1d\x0a\x00");
    frame_write_handshake_done(out_init(&out, CAPACITY));
    CHECK_OCTETS(&out, "\x1e");
}

static void a_stream_header_has_an_offset_only_where_it_needs_one(void **state)
{
    (void)state;
    struct out out;
    frame_write_stream_header(out_init(&out, CAPACITY), 4, 0, 5, false);
    CHECK_OCTETS(&out, "\x0a\x04\x05");
    frame_write_stream_header(out_init(&out, CAPACITY), 4, 0, 0, true);
    CHECK_OCTETS(&out, "\x0b\x04\x00");
    frame_write_stream_header(out_init(&out, CAPACITY), 4, 65536, 5, false);
    CHECK_OCTETS(&out, "\x0e\x04\x80\x01\x00\x00\x05");
    frame_write_stream_header(out_init(&out, CAPACITY), 4, 65536, 5, true);
    CHECK_OCTETS(&out, "\x0f\x04\x80\x01\x00\x00\x05");
}

static void header_lengths_are_foretold(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 63, 64, 16383, 16384, 1073741823, 1073741824, VARINT_MAX - 70000};
    static const size_t lens[] = {0, 1, 63, 64, 400, 16384};
    for (size_t i = 0; i < 9; i++) {
        for (size_t k = 0; k < 9; k++) {
            for (size_t l = 0; l < 6; l++) {
                struct out out;
                frame_write_stream_header(out_init(&out, CAPACITY), values[i], values[k], lens[l], false);
                assert_int_equal(writer_len(&out.writer), frame_stream_header_len(values[i], values[k], lens[l]));
            }
        }
        static const uint8_t data[400];
        for (size_t l = 0; l < 5; l++) {
            struct out out;
            frame_write_crypto(out_init(&out, CAPACITY), values[i], data, lens[l]);
            assert_int_equal(writer_len(&out.writer), frame_crypto_header_len(values[i], lens[l]) + lens[l]);
        }
    }
}

static void an_ack_is_written_from_the_largest_range_down(void **state)
{
    (void)state;
    static const struct range ranges[] = {{86, 87}, {90, 94}, {95, 101}};
    static const uint64_t ecn[3] = {1, 2, 3};
    struct out out;
    assert_int_equal(frame_write_ack(out_init(&out, CAPACITY), ranges, 3, 10, 7, NULL), 86);
    CHECK_OCTETS(&out, "\x02\x40\x64\x07\x02\x05\x00\x03\x02\x00");
    assert_int_equal(frame_write_ack(out_init(&out, CAPACITY), ranges, 3, 10, 7, ecn), 86);
    CHECK_OCTETS(&out, "\x03\x40\x64\x07\x02\x05\x00\x03\x02\x00\x01\x02\x03");
    assert_int_equal(frame_write_ack(out_init(&out, CAPACITY), ranges, 3, 2, 7, NULL), 90);
    CHECK_OCTETS(&out, "\x02\x40\x64\x07\x01\x05\x00\x03");
    assert_int_equal(frame_write_ack(out_init(&out, CAPACITY), ranges, 3, 1, 7, NULL), 95);
    CHECK_OCTETS(&out, "\x02\x40\x64\x07\x00\x05");
    static const struct range zero[] = {{0, 1}};
    assert_int_equal(frame_write_ack(out_init(&out, CAPACITY), zero, 1, 1, 0, NULL), 0);
    CHECK_OCTETS(&out, "\x02\x00\x00\x00\x00");
}

static void an_ack_has_as_many_ranges_as_fit(void **state)
{
    (void)state;
    static const uint64_t ecn[3] = {1, 20000, 3};
    struct range ranges[100];
    for (size_t i = 0; i < 100; i++)
        ranges[i] = (struct range){.start = i * i * 10, .end = i * i * 10 + 1 + i % 5};
    size_t ranges_before = 0;
    for (size_t capacity = 0; capacity < CAPACITY; capacity++) {
        struct out out;
        uint64_t smallest = frame_write_ack(out_init(&out, capacity), ranges, 100, SIZE_MAX, 1000, ecn);
        if (out.writer.failed) {
            assert_true(capacity < 15);
            continue;
        }
        struct reader reader = reader_init(out.octets, writer_len(&out.writer));
        struct frame frame;
        assert_int_equal(frame_parse(&frame, &reader), ROAM_NO_ERROR);
        assert_int_equal(reader_left(&reader), 0);
        assert_int_equal(frame.ack.ce, 3);
        size_t count = (size_t)frame.ack.range_count + 1;
        assert_true(count >= ranges_before && count <= 100);
        /* No more than the octets of one more range, and of a longer count, are left unused. */
        assert_true(count == 100 || writer_left(&out.writer) < 5);
        ranges_before = count;
        struct ack_walk walk;
        uint64_t low, high;
        ack_walk_begin(&walk, &frame.ack, &low, &high);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(low, ranges[99 - i].start);
            assert_int_equal(high, ranges[99 - i].end - 1);
            assert_int_equal(ack_walk_next(&walk, &low, &high), i + 1 < count);
        }
        assert_int_equal(smallest, low);
    }
    assert_int_equal(ranges_before, 100);
}

static void a_reason_is_cut_to_what_fits(void **state)
{
    (void)state;
    char reason[300];
    memset(reason, 'r', sizeof(reason));
    for (size_t capacity = 0; capacity < 320; capacity++) {
        struct out out;
        frame_write_close(out_init(&out, capacity), false, 1, 2, reason, sizeof(reason));
        assert_int_equal(out.writer.failed, capacity < 4);
        if (capacity < 4)
            continue;
        struct reader reader = reader_init(out.octets, writer_len(&out.writer));
        struct frame frame;
        assert_int_equal(frame_parse(&frame, &reader), ROAM_NO_ERROR);
        assert_int_equal(reader_left(&reader), 0);
        /* One octet may stay free where a longer reason would need a longer length field. */
        assert_true(frame.close.reason_len == 300 || writer_left(&out.writer) <= 1);
    }
}

static void a_reason_is_not_cut_within_a_character(void **state)
{
    (void)state;
    struct out out;
    frame_write_close(out_init(&out, 6), true, 1, 0,
                      "a\xe2\x82\xac"
                      "b",
                      5);
    CHECK_OCTETS(&out, "\x1d\x01\x01"
                       "a");
    frame_write_close(out_init(&out, 7), true, 1, 0,
                      "a\xe2\x82\xac"
                      "b",
                      5);
    CHECK_OCTETS(&out, "\x1d\x01\x04"
                       "a\xe2\x82\xac");
}

static void write_one(struct writer *writer, int which)
{
    const roam_cid cid = {.len = 8, .bytes = "conn-id!"};
    static const struct range range = {95, 101};
    static const uint64_t ecn[3] = {1, 2, 3};
    const uint8_t *token = (const uint8_t *)"0123456789abcdef";
    switch (which) {
    case 0:
        frame_write_padding(writer, 9);
        break;
    case 1:
        frame_write_ping(writer);
        break;
    case 2:
        frame_write_ack(writer, &range, 1, 1, 70, ecn);
        break;
    case 3:
        frame_write_reset_stream(writer, 4, 5, 70);
        break;
    case 4:
        frame_write_stop_sending(writer, 4, 70);
        break;
    case 5:
        frame_write_crypto(writer, 70, token, 16);
        break;
    case 6:
        frame_write_new_token(writer, token, 16);
        break;
    case 7:
        frame_write_stream_header(writer, 4, 70, 100, true);
        break;
    case 8:
        frame_write_maximum(writer, FRAME_MAX_STREAMS_UNI, 70);
        break;
    case 9:
        frame_write_stream_maximum(writer, FRAME_MAX_STREAM_DATA, 4, 70);
        break;
    case 10:
        frame_write_new_connection_id(writer, 5, 4, &cid, token);
        break;
    case 11:
        frame_write_retire_connection_id(writer, 70);
        break;
    case 12:
        frame_write_path(writer, FRAME_PATH_RESPONSE, token);
        break;
    case 13:
        frame_write_handshake_done(writer);
        break;
    default:
        fail();
    }
}

static void a_frame_that_does_not_fit_leaves_the_writer_failed(void **state)
{
    (void)state;
    for (int which = 0; which < 14; which++) {
        struct out out;
        write_one(out_init(&out, CAPACITY), which);
        assert_false(out.writer.failed);
        size_t len = writer_len(&out.writer);
        for (size_t capacity = 0; capacity < len; capacity++) {
            write_one(out_init(&out, capacity), which);
            assert_true(out.writer.failed);
            for (size_t i = capacity; i < CAPACITY; i++)
                assert_int_equal(out.octets[i], 0xee);
        }
        write_one(out_init(&out, len), which);
        assert_false(out.writer.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_written_as_the_rfc_draws_them),
        cmocka_unit_test(a_stream_header_has_an_offset_only_where_it_needs_one),
        cmocka_unit_test(header_lengths_are_foretold),
        cmocka_unit_test(an_ack_is_written_from_the_largest_range_down),
        cmocka_unit_test(an_ack_has_as_many_ranges_as_fit),
        cmocka_unit_test(a_reason_is_cut_to_what_fits),
        cmocka_unit_test(a_reason_is_not_cut_within_a_character),
        cmocka_unit_test(a_frame_that_does_not_fit_leaves_the_writer_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
