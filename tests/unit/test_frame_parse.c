/* Parsing of frames: each field in its place, every truncation, every value that RFC 9000 section 19 forbids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <roam/error.h>

#include "base/varint.h"
#include "frame_again.h"
#include "seeded.h"

/* Parses a copy that ends where the heap block ends, so that a read past it is found. */
static uint64_t parse_octets(struct frame *ret, const void *octets, size_t len, size_t *ret_left)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(len + 1);
    assert_non_null(copy);
    uint8_t *start = copy + 1;
    memcpy(start, octets, len);
    struct reader reader = reader_init(start, len);
    uint64_t error = frame_parse(ret, &reader);
    *ret_left = reader_left(&reader);
    return error;
}

/* A literal without its NUL. */
#define OCTETS(literal) literal, sizeof(literal) - 1

static struct frame parse_good(const char *octets, size_t len)
{
    struct frame frame;
    size_t left;
    memset(&frame, 0xee, sizeof(frame));
    assert_int_equal(parse_octets(&frame, octets, len, &left), ROAM_NO_ERROR);
    assert_int_equal(left, 0);
    struct reader type = reader_init((const uint8_t *)octets, len);
    assert_int_equal(frame.type, read_varint(&type));
    return frame;
}

static void check_bad(const char *octets, size_t len, uint64_t error)
{
    struct frame frame, before;
    size_t left;
    memset(&frame, 0xee, sizeof(frame));
    before = frame;
    assert_int_equal(parse_octets(&frame, octets, len, &left), error);
    before.type = frame.type;
    assert_memory_equal(&frame, &before, sizeof(frame));
}

static void every_field_is_where_the_rfc_puts_it(void **state)
{
    (void)state;
    struct frame f = parse_good(OCTETS("\x04\x01\x42\x03\x44\x05"));
    assert_int_equal(f.reset_stream.stream_id, 1);
    assert_int_equal(f.reset_stream.code, 0x203);
    assert_int_equal(f.reset_stream.final_size, 0x405);
    f = parse_good(OCTETS("\x05\x06\x07"));
    assert_int_equal(f.stop_sending.stream_id, 6);
    assert_int_equal(f.stop_sending.code, 7);
    f = parse_good(OCTETS("\x06\x08\x03"
                          "abc"));
    assert_int_equal(f.crypto.offset, 8);
    assert_int_equal(f.crypto.len, 3);
    assert_memory_equal(f.crypto.data, "abc", 3);
    f = parse_good(OCTETS("\x07\x02"
                          "to"));
    assert_int_equal(f.new_token.len, 2);
    assert_memory_equal(f.new_token.token, "to", 2);
    f = parse_good(OCTETS("\x11\x09\x0a"));
    assert_int_equal(f.max_stream_data.stream_id, 9);
    assert_int_equal(f.max_stream_data.maximum, 10);
    f = parse_good(OCTETS("\x15\x0b\x0c"));
    assert_int_equal(f.max_stream_data.stream_id, 11);
    assert_int_equal(f.max_stream_data.maximum, 12);
    f = parse_good(OCTETS("\x18\x05\x04\x03"
                          "cid"
                          "0123456789abcdef"));
    assert_int_equal(f.new_connection_id.sequence, 5);
    assert_int_equal(f.new_connection_id.retire_prior_to, 4);
    assert_int_equal(f.new_connection_id.cid.len, 3);
    assert_memory_equal(f.new_connection_id.cid.bytes, "cid", 3);
    assert_memory_equal(f.new_connection_id.reset_token, "0123456789abcdef", 16);
    f = parse_good(OCTETS("\x19\x0d"));
    assert_int_equal(f.sequence, 13);
    f = parse_good(OCTETS("\x1a"
                          "12345678"));
    assert_memory_equal(f.path_data, "12345678", 8);
    f = parse_good(OCTETS("\x1b"
                          "12345678"));
    assert_memory_equal(f.path_data, "12345678", 8);
    f = parse_good(OCTETS("\x1c\x0a\x18\x02no"));
    assert_int_equal(f.close.code, ROAM_PROTOCOL_VIOLATION);
    assert_int_equal(f.close.frame_type, FRAME_NEW_CONNECTION_ID);
    assert_int_equal(f.close.reason_len, 2);
    assert_memory_equal(f.close.reason, "no", 2);
    f = parse_good(OCTETS("\x1d\x0a\x02no"));
    assert_int_equal(f.close.code, 10);
    assert_int_equal(f.close.frame_type, 0);
    assert_memory_equal(f.close.reason, "no", 2);
    f = parse_good(OCTETS("\x31\x40\x02no"));
    assert_int_equal(f.datagram.len, 2);
    assert_int_equal(f.datagram.frame_len, 5);
    assert_memory_equal(f.datagram.data, "no", 2);
    f = parse_good(OCTETS("\x30no"));
    assert_int_equal(f.datagram.len, 2);
    assert_int_equal(f.datagram.frame_len, 3);
    assert_memory_equal(f.datagram.data, "no", 2);
    assert_int_equal(parse_good(OCTETS("\x30")).datagram.len, 0);
    assert_int_equal(parse_good(OCTETS("\x31\x00")).datagram.len, 0);
    parse_good(OCTETS("\x01"));
    parse_good(OCTETS("\x1e"));
    static const uint8_t maxima[] = {0x10, 0x12, 0x13, 0x14, 0x16, 0x17};
    for (size_t i = 0; i < sizeof(maxima); i++) {
        const char octets[] = {(char)maxima[i], 0x4f, (char)0xff};
        assert_int_equal(parse_good(octets, sizeof(octets)).maximum, 0xfff);
    }
}

static void stream_flags_say_which_fields_are_there(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 8; flags++) {
        char octets[] = {(char)(FRAME_STREAM | flags), 4, 0, 0, 'a', 'b'};
        size_t len = 2;
        if (flags & FRAME_STREAM_OFF)
            octets[len++] = 9;
        if (flags & FRAME_STREAM_LEN)
            octets[len++] = 1;
        octets[len++] = 'a';
        octets[len++] = 'b';
        struct frame frame;
        size_t left;
        assert_int_equal(parse_octets(&frame, octets, len, &left), ROAM_NO_ERROR);
        assert_int_equal(frame.type, FRAME_STREAM | flags);
        assert_int_equal(frame.stream.stream_id, 4);
        assert_int_equal(frame.stream.offset, flags & FRAME_STREAM_OFF ? 9 : 0);
        assert_int_equal(frame.stream.len, flags & FRAME_STREAM_LEN ? 1 : 2);
        assert_int_equal(frame.stream.data[0], 'a');
        assert_int_equal(frame.stream.fin, (flags & FRAME_STREAM_FIN) != 0);
        assert_int_equal(left, flags & FRAME_STREAM_LEN ? 1 : 0);
    }
    struct frame empty = parse_good(OCTETS("\x08\x04"));
    assert_int_equal(empty.stream.len, 0);
}

static void a_run_of_padding_is_taken_together(void **state)
{
    (void)state;
    for (size_t run = 1; run < 40; run++) {
        uint8_t octets[64] = {0};
        struct frame frame;
        size_t left;
        octets[run] = FRAME_PING;
        assert_int_equal(parse_octets(&frame, octets, run + 5, &left), ROAM_NO_ERROR);
        assert_int_equal(frame.padding, run);
        assert_int_equal(left, 5);
        assert_int_equal(parse_octets(&frame, octets, run, &left), ROAM_NO_ERROR);
        assert_int_equal(frame.padding, run);
        assert_int_equal(left, 0);
    }
}

static void ack_ranges_are_walked_from_the_largest_down(void **state)
{
    (void)state;
    /* 95..100, then a gap of one number (94) and 90..93, then a gap of three (87..89) and 86 alone. */
    struct frame f = parse_good(OCTETS("\x03\x40\x64\x07\x02\x05\x00\x03\x02\x00\x01\x02\x03"));
    uint64_t smallest, largest;
    struct ack_walk walk;
    assert_int_equal(f.ack.delay, 7);
    assert_true(f.ack.has_ecn);
    assert_int_equal(f.ack.ect0, 1);
    assert_int_equal(f.ack.ect1, 2);
    assert_int_equal(f.ack.ce, 3);
    ack_walk_begin(&walk, &f.ack, &smallest, &largest);
    assert_int_equal(largest, 100);
    assert_int_equal(smallest, 95);
    assert_true(ack_walk_next(&walk, &smallest, &largest));
    assert_int_equal(largest, 93);
    assert_int_equal(smallest, 90);
    assert_true(ack_walk_next(&walk, &smallest, &largest));
    assert_int_equal(largest, 86);
    assert_int_equal(smallest, 86);
    assert_false(ack_walk_next(&walk, &smallest, &largest));
    f = parse_good(OCTETS("\x02\x00\x00\x00\x00"));
    assert_false(f.ack.has_ecn);
    ack_walk_begin(&walk, &f.ack, &smallest, &largest);
    assert_int_equal(smallest, 0);
    assert_int_equal(largest, 0);
    assert_false(ack_walk_next(&walk, &smallest, &largest));
}

static void ack_ranges_below_zero_are_refused(void **state)
{
    (void)state;
    check_bad(OCTETS("\x02\x04\x00\x00\x05"), ROAM_FRAME_ENCODING_ERROR);
    parse_good(OCTETS("\x02\x04\x00\x00\x04"));
    parse_good(OCTETS("\x02\x04\x00\x01\x02\x00\x00"));
    check_bad(OCTETS("\x02\x04\x00\x01\x02\x00\x01"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x02\x04\x00\x01\x02\x01\x00"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x02\x04\x00\x01\x04\x00\x00"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x02\x04\x00\x01\x03\x00\x00"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x02\x04\x00\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\x00"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x02\x04\x00\x01\x02\x00\xff\xff\xff\xff\xff\xff\xff\xff"), ROAM_FRAME_ENCODING_ERROR);
}

static void a_huge_range_count_is_refused_at_once(void **state)
{
    (void)state;
    check_bad(OCTETS("\x02\xff\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"),
              ROAM_FRAME_ENCODING_ERROR);
}

static void forbidden_values_are_frame_encoding_errors(void **state)
{
    (void)state;
    check_bad(OCTETS(""), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x07\x00"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x0e\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x0c\x00\xff\xff\xff\xff\xff\xff\xff\xffx"), ROAM_FRAME_ENCODING_ERROR);
    parse_good(OCTETS("\x06\xff\xff\xff\xff\xff\xff\xff\xfe\x01x"));
    parse_good(OCTETS("\x0e\x00\xff\xff\xff\xff\xff\xff\xff\xfe\x01x"));
    parse_good(OCTETS("\x0c\x00\xff\xff\xff\xff\xff\xff\xff\xff"));
    /* A CID of 0 and of 21 octets. */
    check_bad(OCTETS("\x18\x05\x04\x00"
                     "0123456789abcdef"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x18\x05\x04\x15"
                     "0123456789abcdefghijk"
                     "0123456789abcdef"),
              ROAM_FRAME_ENCODING_ERROR);
    parse_good(OCTETS("\x18\x05\x04\x14"
                      "0123456789abcdefghij"
                      "0123456789abcdef"));
    /* Retire Prior To above the sequence number. */
    check_bad(OCTETS("\x18\x05\x06\x01x"
                     "0123456789abcdef"),
              ROAM_FRAME_ENCODING_ERROR);
    parse_good(OCTETS("\x18\x05\x05\x01x"
                      "0123456789abcdef"));
    static const uint8_t stream_counts[] = {0x12, 0x13, 0x16, 0x17};
    for (size_t i = 0; i < sizeof(stream_counts); i++) {
        char octets[9] = {(char)stream_counts[i], (char)0xd0};
        parse_good(octets, sizeof(octets));
        octets[8] = 1;
        check_bad(octets, sizeof(octets), ROAM_FRAME_ENCODING_ERROR);
    }
    parse_good(OCTETS("\x10\xff\xff\xff\xff\xff\xff\xff\xff"));
    parse_good(OCTETS("\x14\xff\xff\xff\xff\xff\xff\xff\xff"));
}

static void lengths_past_the_end_are_refused(void **state)
{
    (void)state;
    check_bad(OCTETS("\x06\x00\x04"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x06\x00\xff\xff\xff\xff\xff\xff\xff\xff"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x07\x04"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x0a\x00\x04"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x1c\x00\x00\x04"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x1d\x00\x04"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x31\x04"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
}

static void unknown_types_and_long_forms_of_types_are_refused(void **state)
{
    (void)state;
    check_bad(OCTETS("\x20"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x32\x00\x00\x00\x00"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x40\xae\x00\x00\x00\x00"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x80\x00\x00\xaf\x00\x00\x00\x00"), ROAM_PROTOCOL_VIOLATION);
    check_bad(OCTETS("\x3f"
                     "abc"),
              ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x40\x40"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x40"), ROAM_FRAME_ENCODING_ERROR);
    check_bad(OCTETS("\x40\x01"), ROAM_PROTOCOL_VIOLATION);
    check_bad(OCTETS("\x80\x00\x00\x01"), ROAM_PROTOCOL_VIOLATION);
    check_bad(OCTETS("\xc0\x00\x00\x00\x00\x00\x00\x06\x00\x00"), ROAM_PROTOCOL_VIOLATION);
    struct frame frame;
    size_t left;
    parse_octets(&frame, OCTETS("\x40\x06"), &left);
    assert_int_equal(frame.type, FRAME_CRYPTO);
}

/* One of each type, no field of which may be missing at its end. */
static const struct {
    const char *octets;
    size_t len;
} samples[] = {
    {OCTETS("\x01")},
    {OCTETS("\x02\x40\x64\x07\x02\x05\x00\x03\x02\x00")},
    {OCTETS("\x03\x40\x64\x07\x02\x05\x00\x03\x02\x00\x01\x40\x02\x80\x00\x00\x03")},
    {OCTETS("\x04\x01\x42\x03\x80\x00\x44\x05")},
    {OCTETS("\x05\x06\xc0\x00\x00\x00\x00\x00\x00\x07")},
    {OCTETS("\x06\x40\x80\x05hello")},
    {OCTETS("\x07\x05token")},
    {OCTETS("\x0a\x04\x05hello")},
    {OCTETS("\x0b\x04\x05hello")},
    {OCTETS("\x0e\x04\x80\x01\x00\x00\x05hello")},
    {OCTETS("\x0f\x04\x80\x01\x00\x00\x05hello")},
    {OCTETS("\x10\x80\x01\x00\x00")},
    {OCTETS("\x11\x04\x80\x01\x00\x00")},
    {OCTETS("\x12\x40\x64")},
    {OCTETS("\x13\x40\x64")},
    {OCTETS("\x14\x80\x01\x00\x00")},
    {OCTETS("\x15\x04\x80\x01\x00\x00")},
    {OCTETS("\x16\x40\x64")},
    {OCTETS("\x17\x40\x64")},
    {OCTETS("\x18\x05\x04\x08"
            "conn-id!"
            "0123456789abcdef")},
    {OCTETS("\x19\x05")},
    {OCTETS("\x1a"
            "12345678")},
    {OCTETS("\x1b"
            "12345678")},
    {OCTETS("\x1c\x0a\x18\x05sorry")},
    {OCTETS("\x1d\x0a\x05sorry")},
    {OCTETS("\x1e")},
    {OCTETS("\x1f")},
    {OCTETS("\x40\xaf\x07\x40\x64\x80\x00\x61\xa8\x03")},
    {OCTETS("\x31\x05hello")},
};

static void every_truncation_of_every_frame_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        parse_good(samples[i].octets, samples[i].len);
        for (size_t len = 0; len < samples[i].len; len++)
            check_bad(samples[i].octets, len, ROAM_FRAME_ENCODING_ERROR);
    }
}

static void what_follows_a_frame_is_left_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char octets[100];
        struct frame frame;
        size_t left;
        memcpy(octets, samples[i].octets, samples[i].len);
        memset(octets + samples[i].len, 0xff, 10);
        assert_int_equal(parse_octets(&frame, octets, samples[i].len + 10, &left), ROAM_NO_ERROR);
        assert_int_equal(left, 10);
    }
}

static void what_was_parsed_is_the_same_when_written_and_parsed_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct frame frame = parse_good(samples[i].octets, samples[i].len), again;
        uint8_t octets[200];
        struct writer writer = writer_init(octets, sizeof(octets));
        frame_write_again(&writer, &frame);
        assert_false(writer.failed);
        struct reader reader = reader_init(octets, writer_len(&writer));
        assert_int_equal(frame_parse(&again, &reader), ROAM_NO_ERROR);
        assert_int_equal(reader_left(&reader), 0);
        assert_true(frame_equal(&frame, &again));
    }
}

/* Octets that are mostly a frame, with some of them changed: nothing may be read past the end, and what is accepted
 * must survive the round trip. */
static void mangled_frames_never_lead_past_their_end(void **state)
{
    (void)state;
    struct seeded seeded = {.state = 5};
    for (int i = 0; i < 50000; i++) {
        size_t sample = seeded_below(&seeded, sizeof(samples) / sizeof(samples[0]));
        uint8_t octets[64], written[600];
        struct frame frame, again;
        size_t len = samples[sample].len, left;
        memcpy(octets, samples[sample].octets, len);
        for (uint64_t n = 1 + seeded_below(&seeded, 3); n > 0; n--)
            octets[seeded_below(&seeded, len)] = (uint8_t)seeded_u64(&seeded);
        if (parse_octets(&frame, octets, len, &left) != ROAM_NO_ERROR)
            continue;
        struct writer writer = writer_init(written, sizeof(written));
        frame_write_again(&writer, &frame);
        assert_false(writer.failed);
        struct reader reader = reader_init(written, writer_len(&writer));
        assert_int_equal(frame_parse(&again, &reader), ROAM_NO_ERROR);
        assert_true(frame_equal(&frame, &again));
    }
    struct frame last;
    size_t left;
    parse_octets(&last, OCTETS("\x01"), &left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_where_the_rfc_puts_it),
        cmocka_unit_test(stream_flags_say_which_fields_are_there),
        cmocka_unit_test(a_run_of_padding_is_taken_together),
        cmocka_unit_test(ack_ranges_are_walked_from_the_largest_down),
        cmocka_unit_test(ack_ranges_below_zero_are_refused),
        cmocka_unit_test(a_huge_range_count_is_refused_at_once),
        cmocka_unit_test(forbidden_values_are_frame_encoding_errors),
        cmocka_unit_test(lengths_past_the_end_are_refused),
        cmocka_unit_test(unknown_types_and_long_forms_of_types_are_refused),
        cmocka_unit_test(every_truncation_of_every_frame_is_refused),
        cmocka_unit_test(what_follows_a_frame_is_left_alone),
        cmocka_unit_test(what_was_parsed_is_the_same_when_written_and_parsed_again),
        cmocka_unit_test(mangled_frames_never_lead_past_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
