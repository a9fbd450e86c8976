/* Transport parameters: round trips, defaults, and each value that RFC 9000 section 18.2 forbids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <roam/error.h>

#include "base/varint.h"
#include "seeded.h"
#include "wire/transport_params.h"

#define CAPACITY        700
#define OCTETS(literal) (literal), sizeof(literal) - 1

static uint64_t parse_copy(struct transport_params *ret, const void *octets, size_t len, bool from_server)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, octets, len);
    const char *reason = NULL;
    uint64_t error = transport_params_parse(ret, copy, len, from_server, &reason);
    free(copy);
    assert_int_equal(reason == NULL, error == ROAM_NO_ERROR);
    return error;
}

static void check_refused(const void *octets, size_t len, bool from_server)
{
    struct transport_params params, before;
    memset(&params, 0xee, sizeof(params));
    memcpy(&before, &params, sizeof(params));
    assert_int_equal(parse_copy(&params, octets, len, from_server), ROAM_TRANSPORT_PARAMETER_ERROR);
    assert_memory_equal(&params, &before, sizeof(params));
}

static struct transport_params parse_good(const void *octets, size_t len, bool from_server)
{
    struct transport_params params;
    memset(&params, 0xee, sizeof(params));
    assert_int_equal(parse_copy(&params, octets, len, from_server), ROAM_NO_ERROR);
    return params;
}

static size_t write_params(uint8_t octets[CAPACITY], const struct transport_params *params)
{
    struct writer writer = writer_init(octets, CAPACITY);
    transport_params_write(&writer, params);
    assert_false(writer.failed);
    return writer_len(&writer);
}

static roam_address address_of(const char *text)
{
    roam_address address;
    assert_true(roam_address_parse(&address, text));
    return address;
}

static struct transport_params full_params(void)
{
    struct transport_params params;
    transport_params_init(&params);
    params.has_original_destination_cid = params.has_initial_source_cid = params.has_retry_source_cid = true;
    params.original_destination_cid = (roam_cid){.len = 8, .bytes = "original"};
    params.initial_source_cid = (roam_cid){.len = 20, .bytes = "initial-source-cid!!"};
    params.retry_source_cid = (roam_cid){.len = 5, .bytes = "retry"};
    params.has_stateless_reset_token = true;
    memcpy(params.stateless_reset_token, "0123456789abcdef", 16);
    params.has_preferred_address = true;
    params.preferred_address.ipv4 = address_of("192.0.2.1:443");
    params.preferred_address.ipv6 = address_of("[2001:db8::1]:444");
    params.preferred_address.cid = (roam_cid){.len = 9, .bytes = "preferred"};
    memcpy(params.preferred_address.reset_token, "fedcba9876543210", 16);
    params.max_idle_timeout_ms = 30000;
    params.max_udp_payload = 1472;
    params.initial_max_data = 1 << 20;
    params.initial_max_stream_data_bidi_local = 1 << 17;
    params.initial_max_stream_data_bidi_remote = 1 << 18;
    params.initial_max_stream_data_uni = 1 << 19;
    params.initial_max_streams_bidi = 100;
    params.initial_max_streams_uni = 3;
    params.ack_delay_exponent = 8;
    params.max_ack_delay_ms = 26;
    params.disable_active_migration = true;
    params.active_connection_id_limit = 8;
    params.max_datagram_frame_size = 65535;
    params.version_information = (struct version_information){.chosen = QUIC_VERSION_2,
                                                              .available = {QUIC_VERSION_2, QUIC_VERSION_1},
                                                              .available_count = 2,
                                                              .offers_any = true};
    params.min_ack_delay_us = 26000;
    params.grease_quic_bit = true;
    return params;
}

static void all_parameters_survive_the_way(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    struct transport_params params = full_params();
    size_t len = write_params(octets, &params);
    struct transport_params again = parse_good(octets, len, true);
    assert_memory_equal(&again, &params, sizeof(params));
}

static void absent_parameters_mean_what_the_rfc_says(void **state)
{
    (void)state;
    struct transport_params params = parse_good("", 0, false), defaults;
    transport_params_init(&defaults);
    assert_memory_equal(&params, &defaults, sizeof(params));
    assert_int_equal(params.max_idle_timeout_ms, 0);
    assert_int_equal(params.max_udp_payload, 65527);
    assert_int_equal(params.initial_max_data, 0);
    assert_int_equal(params.ack_delay_exponent, 3);
    assert_int_equal(params.max_ack_delay_ms, 25);
    assert_int_equal(params.active_connection_id_limit, 2);
    assert_int_equal(params.max_datagram_frame_size, 0);
    assert_int_equal(params.min_ack_delay_us, MIN_ACK_DELAY_ABSENT);
    assert_false(params.grease_quic_bit);
    assert_false(params.disable_active_migration);
    assert_false(params.has_initial_source_cid);
}

static void only_what_differs_from_absence_is_written(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    struct transport_params params;
    transport_params_init(&params);
    assert_int_equal(write_params(octets, &params), 2);
    assert_memory_equal(octets, "\x0f\x00", 2);
    params.initial_max_data = 100;
    assert_int_equal(write_params(octets, &params), 6);
    assert_memory_equal(octets, "\x04\x02\x40\x64\x0f\x00", 6);
}

/* The integers: identifier, smallest and largest legal value. */
static const struct {
    uint8_t id;
    uint64_t min, max;
} integers[] = {
    {0x01, 0, VARINT_MAX}, {0x03, 1200, VARINT_MAX}, {0x04, 0, VARINT_MAX},        {0x05, 0, VARINT_MAX},
    {0x06, 0, VARINT_MAX}, {0x07, 0, VARINT_MAX},    {0x08, 0, UINT64_C(1) << 60}, {0x09, 0, UINT64_C(1) << 60},
    {0x0a, 0, 20},         {0x0b, 0, (1 << 14) - 1}, {0x0e, 2, VARINT_MAX},        {0x20, 0, VARINT_MAX},
};

static size_t make_integer(uint8_t octets[CAPACITY], uint8_t id, uint64_t value, size_t value_len, size_t len)
{
    struct writer writer = writer_init(octets, CAPACITY);
    write_u8(&writer, id);
    write_varint(&writer, len);
    write_varint_sized(&writer, value, value_len);
    if (len > value_len)
        write_zeros(&writer, len - value_len);
    return 2 + len;
}

static void integers_are_held_to_their_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        uint8_t octets[CAPACITY];
        uint64_t min = integers[i].min, max = integers[i].max;
        uint8_t id = integers[i].id;
        parse_good(octets, make_integer(octets, id, min, varint_len(min), varint_len(min)), false);
        parse_good(octets, make_integer(octets, id, max, varint_len(max), varint_len(max)), true);
        if (min > 0)
            check_refused(octets, make_integer(octets, id, min - 1, varint_len(min - 1), varint_len(min - 1)), false);
        if (max < VARINT_MAX)
            check_refused(octets, make_integer(octets, id, max + 1, varint_len(max + 1), varint_len(max + 1)), false);
    }
}

static void integers_fill_their_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        uint8_t octets[CAPACITY];
        uint64_t value = integers[i].min > 2 ? 1200 : 2;
        uint8_t id = integers[i].id;
        for (size_t value_len = varint_len(value); value_len <= 8; value_len *= 2) {
            parse_good(octets, make_integer(octets, id, value, value_len, value_len), false);
            check_refused(octets, make_integer(octets, id, value, value_len, value_len + 1), false);
            check_refused(octets, make_integer(octets, id, value, value_len, value_len - 1), false);
        }
    }
}

static void each_integer_goes_to_its_own_field(void **state)
{
    (void)state;
    struct transport_params p = parse_good(
        OCTETS("\x01\x01\x05\x03\x02\x45\x00\x04\x01\x07\x05\x01\x08\x06\x01\x09\x07\x01\x0a\x08\x01\x0b\x09\x01\x0c"
               "\x0a\x01\x0d\x0b\x01\x0e\x0e\x01\x0f"),
        false);
    assert_int_equal(p.max_idle_timeout_ms, 5);
    assert_int_equal(p.max_udp_payload, 0x500);
    assert_int_equal(p.initial_max_data, 7);
    assert_int_equal(p.initial_max_stream_data_bidi_local, 8);
    assert_int_equal(p.initial_max_stream_data_bidi_remote, 9);
    assert_int_equal(p.initial_max_stream_data_uni, 10);
    assert_int_equal(p.initial_max_streams_bidi, 11);
    assert_int_equal(p.initial_max_streams_uni, 12);
    assert_int_equal(p.ack_delay_exponent, 13);
    assert_int_equal(p.max_ack_delay_ms, 14);
    assert_int_equal(p.active_connection_id_limit, 15);
}

static void a_client_sends_no_server_only_parameter(void **state)
{
    (void)state;
    static const struct {
        const char *octets;
        size_t len;
    } server_only[] = {
        {OCTETS("\x00\x08"
                "original")},
        {OCTETS("\x02\x10"
                "0123456789abcdef")},
        {OCTETS("\x0d\x2a"
                "\xc0\x00\x02\x01\x01\xbb"
                "0123456789abcdef\x01\xbb"
                "\x01"
                "c"
                "0123456789abcdef")},
        {OCTETS("\x10\x05"
                "retry")},
    };
    for (size_t i = 0; i < 4; i++) {
        parse_good(server_only[i].octets, server_only[i].len, true);
        check_refused(server_only[i].octets, server_only[i].len, false);
    }
    parse_good(OCTETS("\x0f\x04"
                      "cid!"),
               false);
    parse_good(OCTETS("\x0c\x00"), false);
}

static void lengths_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    check_refused(OCTETS("\x00\x15"
                         "0123456789abcdef01234"),
                  true);
    check_refused(OCTETS("\x0f\x15"
                         "0123456789abcdef01234"),
                  true);
    check_refused(OCTETS("\x10\x15"
                         "0123456789abcdef01234"),
                  true);
    parse_good(OCTETS("\x0f\x14"
                      "0123456789abcdef0123"),
               true);
    parse_good(OCTETS("\x0f\x00"), true);
    check_refused(OCTETS("\x02\x0f"
                         "0123456789abcde"),
                  true);
    check_refused(OCTETS("\x02\x11"
                         "0123456789abcdefg"),
                  true);
    check_refused(OCTETS("\x0c\x01\x00"), true);
    check_refused(OCTETS("\x04\x00"), true);
}

static void a_preferred_address_may_have_one_family(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    struct transport_params params = full_params();
    params.preferred_address.ipv4 = (roam_address){0};
    struct transport_params again = parse_good(octets, write_params(octets, &params), true);
    assert_false(roam_address_is_set(&again.preferred_address.ipv4));
    assert_true(roam_address_equal(&again.preferred_address.ipv6, &params.preferred_address.ipv6));
    params = full_params();
    params.preferred_address.ipv6 = (roam_address){0};
    again = parse_good(octets, write_params(octets, &params), true);
    assert_false(roam_address_is_set(&again.preferred_address.ipv6));
    assert_true(roam_address_equal(&again.preferred_address.ipv4, &params.preferred_address.ipv4));
}

static void a_preferred_address_is_whole_and_has_a_connection_id(void **state)
{
    (void)state;
    for (unsigned cid_len = 0; cid_len < 30; cid_len++) {
        uint8_t octets[CAPACITY] = {0x0d};
        size_t len = 24 + 1 + cid_len + 16;
        octets[1] = 0x40;
        octets[2] = (uint8_t)len;
        octets[3 + 24] = (uint8_t)cid_len;
        if (cid_len >= 1 && cid_len <= 20)
            parse_good(octets, 3 + len, true);
        else
            check_refused(octets, 3 + len, true);
        for (size_t other = 0; other < 63; other++) {
            octets[2] = (uint8_t)other;
            if (other != len)
                check_refused(octets, 3 + other, true);
        }
    }
}

static void version_information_is_whole_and_without_zeros(void **state)
{
    //= rfc9368#4-3 Too short, of a length that four does not divide, or with a version of zero.
    //= rfc9368#4-4 A client offers the version that it has chosen.
    (void)state;
    static const struct {
        uint8_t len, value[12];
        bool good_of_client, good_of_server;
        size_t available;
    } cases[] = {
        {0, {0}, false, false, 0},
        {3, {0, 0, 0}, false, false, 0},
        {4, {0, 0, 0, 1}, false, true, 0},
        {4, {0, 0, 0, 0}, false, false, 0},
        {7, {0, 0, 0, 1, 0, 0, 0}, false, false, 0},
        {8, {0, 0, 0, 1, 0, 0, 0, 1}, true, true, 1},
        {8, {0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf}, false, true, 1},
        {8, {0, 0, 0, 1, 0x1a, 0x2a, 0x3a, 0x4a}, false, true, 0},
        {8, {0x1a, 0x2a, 0x3a, 0x4a, 0x1a, 0x2a, 0x3a, 0x4a}, true, true, 0},
        {12, {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, true, true, 1},
        {12, {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0}, false, false, 0},
        {12, {0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf, 0, 0, 0, 1}, true, true, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t octets[2 + sizeof(cases[i].value)] = {0x11, cases[i].len};
        memcpy(octets + 2, cases[i].value, cases[i].len);
        for (int from_server = 0; from_server < 2; from_server++) {
            struct transport_params params;
            bool good = parse_copy(&params, octets, 2u + cases[i].len, from_server) == ROAM_NO_ERROR;
            assert_int_equal(good, from_server ? cases[i].good_of_server : cases[i].good_of_client);
            if (good)
                assert_int_equal(params.version_information.available_count, cases[i].available);
            if (good)
                assert_int_equal(params.version_information.offers_any, cases[i].len > 4);
        }
    }
}

static void duplicates_are_refused(void **state)
{
    (void)state;
    uint8_t octets[2 * CAPACITY];
    struct transport_params params = full_params();
    size_t len = write_params(octets, &params);
    struct reader reader = reader_init(octets, len);
    size_t count = 0;
    while (reader_left(&reader) > 0) {
        const uint8_t *start = reader.pos;
        read_varint(&reader);
        read_bytes(&reader, read_varint(&reader));
        uint8_t twice[2 * CAPACITY];
        memcpy(twice, octets, len);
        memcpy(twice + len, start, (size_t)(reader.pos - start));
        check_refused(twice, len + (size_t)(reader.pos - start), true);
        count++;
    }
    assert_int_equal(count, 21);
    check_refused(OCTETS("\x3b\x00\x3b\x00"), true);
    check_refused(OCTETS("\x40\xff\x01x\x3b\x00\x40\xff\x00"), false);
    parse_good(OCTETS("\x3b\x00\x3c\x00"), true);
}

static void grease_quic_bit_is_empty_and_comes_once(void **state)
{
    (void)state;
    //= rfc9287#3 Empty; a value is a TRANSPORT_PARAMETER_ERROR.
    assert_true(parse_good(OCTETS("\x6a\xb2\x00"), false).grease_quic_bit);
    assert_true(parse_good(OCTETS("\x6a\xb2\x00"), true).grease_quic_bit);
    check_refused(OCTETS("\x6a\xb2\x01\x00"), false);
    check_refused(OCTETS("\x6a\xb2\x00\x6a\xb2\x00"), true);
}

static void min_ack_delay_is_at_most_max_ack_delay(void **state)
{
    (void)state;
    /* 25 ms where nothing else is said, before or behind it. */
    assert_int_equal(parse_good(OCTETS("\xc0\0\0\0\xff\x04\xde\x1b\x01\x00"), false).min_ack_delay_us, 0);
    assert_int_equal(parse_good(OCTETS("\xc0\0\0\0\xff\x04\xde\x1b\x04\x80\0\x61\xa8"), true).min_ack_delay_us, 25000);
    check_refused(OCTETS("\xc0\0\0\0\xff\x04\xde\x1b\x04\x80\0\x61\xa9"), true);
    check_refused(OCTETS("\xc0\0\0\0\xff\x04\xde\x1b\x02\x43\xe9\x0b\x01\x01"), false); /* 1,001 us and 1 ms */
    parse_good(OCTETS("\xc0\0\0\0\xff\x04\xde\x1b\x02\x43\xe8\x0b\x01\x01"), false);
    parse_good(OCTETS("\x0b\x01\x01\xc0\0\0\0\xff\x04\xde\x1b\x02\x43\xe8"), false);
    check_refused(OCTETS("\xc0\0\0\0\xff\x04\xde\x1b\x00"), false);
    check_refused(OCTETS("\xc0\0\0\0\xff\x04\xde\x1b\x01\x01\xc0\0\0\0\xff\x04\xde\x1b\x01\x01"), false);
}

static void what_is_reserved_is_written_and_not_read(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY], greased[CAPACITY];
    struct transport_params params = full_params();
    size_t len = write_params(octets, &params);
    struct transport_params with = params;
    with.version_information.reserved = 0x1a2a3a4a;
    with.reserved = (struct reserved_param){.present = true, .n = UINT32_MAX, .len = 3, .value = "abc"};
    size_t greased_len = write_params(greased, &with);
    assert_int_equal(greased_len, len + 4 + 8 + 1 + 3);
    struct transport_params again = parse_good(greased, greased_len, true);
    assert_memory_equal(&again, &params, sizeof(params));
    //= rfc9000#18.1 31 * N + 27.
    struct reader reader = reader_init(greased + len + 4, 8);
    assert_int_equal(read_varint(&reader), UINT64_C(31) * UINT32_MAX + 27);
    with.reserved = (struct reserved_param){.present = true, .n = 0, .len = 0};
    greased_len = write_params(greased, &with);
    assert_memory_equal(greased + greased_len - 2, "\x1b\x00", 2);
    parse_good(greased, greased_len, true);
}

static void unknown_parameters_are_ignored(void **state)
{
    (void)state;
    struct transport_params p = parse_good(OCTETS("\x3b\x03"
                                                  "abc\x04\x01\x07\x7f\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01x"),
                                           false);
    assert_int_equal(p.initial_max_data, 7);
    uint8_t octets[16384];
    struct writer writer = writer_init(octets, sizeof(octets));
    for (uint64_t id = 0x40; id < 0x40 + 5000; id++) {
        write_varint(&writer, id);
        write_varint(&writer, 0);
    }
    assert_false(writer.failed);
    parse_good(octets, writer_len(&writer), false);
}

static void every_truncation_that_cuts_a_parameter_is_refused(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    bool whole[CAPACITY] = {[0] = true};
    struct transport_params params = full_params();
    size_t len = write_params(octets, &params);
    struct reader reader = reader_init(octets, len);
    while (reader_left(&reader) > 0) {
        read_varint(&reader);
        read_bytes(&reader, read_varint(&reader));
        whole[reader.pos - octets] = true;
    }
    for (size_t cut = 0; cut < len; cut++) {
        if (whole[cut])
            parse_good(octets, cut, true);
        else
            check_refused(octets, cut, true);
    }
    check_refused(OCTETS("\x3b\xff\xff\xff\xff\xff\xff\xff\xff"), true);
}

static void what_does_not_fit_leaves_the_writer_failed(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    struct transport_params params = full_params();
    size_t len = write_params(octets, &params);
    for (size_t capacity = 0; capacity < len; capacity++) {
        struct writer writer = writer_init(octets, capacity);
        transport_params_write(&writer, &params);
        assert_true(writer.failed);
    }
}

static void mangled_parameters_are_refused_or_survive_the_way(void **state)
{
    (void)state;
    struct seeded seeded = {.state = 2};
    struct transport_params params = full_params();
    uint8_t good[CAPACITY];
    size_t len = write_params(good, &params);
    for (int i = 0; i < 20000; i++) {
        uint8_t octets[CAPACITY];
        struct transport_params parsed;
        memcpy(octets, good, len);
        for (uint64_t n = 1 + seeded_below(&seeded, 3); n > 0; n--)
            octets[seeded_below(&seeded, len)] = (uint8_t)seeded_u64(&seeded);
        if (parse_copy(&parsed, octets, len, true) != ROAM_NO_ERROR)
            continue;
        struct transport_params again = parse_good(octets, write_params(octets, &parsed), true);
        again.has_initial_source_cid = parsed.has_initial_source_cid;
        /* Versions that nobody speaks are not kept. */
        again.version_information.offers_any = parsed.version_information.offers_any;
        assert_memory_equal(&again, &parsed, sizeof(again));
    }
}

//= rfc9000#7.4.1 A client remembers limits, and nothing that belongs to one connection.
static void what_is_remembered_survives_the_way_without_what_is_of_one_connection(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    struct transport_params params = full_params();
    struct transport_params remembered = params;
    transport_params_remember(&remembered);
    assert_false(remembered.has_original_destination_cid || remembered.has_retry_source_cid ||
                 remembered.has_stateless_reset_token || remembered.has_preferred_address);
    assert_int_equal(remembered.ack_delay_exponent, ACK_DELAY_EXPONENT_DEFAULT);
    assert_int_equal(remembered.max_ack_delay_ms, MAX_ACK_DELAY_MS_DEFAULT);
    assert_null(transport_params_lowered(&remembered, &params));
    assert_null(transport_params_lowered(&params, &remembered));
    struct transport_params parsed = parse_good(octets, write_params(octets, &remembered), true);
    assert_null(transport_params_lowered(&parsed, &remembered));
    assert_int_equal(parsed.max_udp_payload, params.max_udp_payload);
    assert_int_equal(parsed.max_idle_timeout_ms, params.max_idle_timeout_ms);
}

static void expect_promise(size_t offset)
{
    struct transport_params then = full_params(), now = then;
    uint64_t value;
    memcpy(&value, (char *)&then + offset, sizeof(value));
    value++;
    memcpy((char *)&now + offset, &value, sizeof(value));
    assert_null(transport_params_lowered(&now, &then));
    assert_non_null(transport_params_lowered(&then, &now));
}

//= rfc9000#7.4.1 None of the limits that a client may have used is lowered where 0-RTT is accepted.
static void each_lowered_limit_is_found(void **state)
{
    (void)state;
    expect_promise(offsetof(struct transport_params, active_connection_id_limit));
    expect_promise(offsetof(struct transport_params, initial_max_data));
    expect_promise(offsetof(struct transport_params, initial_max_stream_data_bidi_local));
    expect_promise(offsetof(struct transport_params, initial_max_stream_data_bidi_remote));
    expect_promise(offsetof(struct transport_params, initial_max_stream_data_uni));
    expect_promise(offsetof(struct transport_params, initial_max_streams_bidi));
    expect_promise(offsetof(struct transport_params, initial_max_streams_uni));
    expect_promise(offsetof(struct transport_params, max_datagram_frame_size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parameters_survive_the_way),
        cmocka_unit_test(absent_parameters_mean_what_the_rfc_says),
        cmocka_unit_test(only_what_differs_from_absence_is_written),
        cmocka_unit_test(integers_are_held_to_their_bounds),
        cmocka_unit_test(integers_fill_their_length),
        cmocka_unit_test(each_integer_goes_to_its_own_field),
        cmocka_unit_test(a_client_sends_no_server_only_parameter),
        cmocka_unit_test(lengths_that_do_not_fit_are_refused),
        cmocka_unit_test(a_preferred_address_may_have_one_family),
        cmocka_unit_test(a_preferred_address_is_whole_and_has_a_connection_id),
        cmocka_unit_test(version_information_is_whole_and_without_zeros),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(grease_quic_bit_is_empty_and_comes_once),
        cmocka_unit_test(min_ack_delay_is_at_most_max_ack_delay),
        cmocka_unit_test(what_is_reserved_is_written_and_not_read),
        cmocka_unit_test(unknown_parameters_are_ignored),
        cmocka_unit_test(every_truncation_that_cuts_a_parameter_is_refused),
        cmocka_unit_test(what_does_not_fit_leaves_the_writer_failed),
        cmocka_unit_test(mangled_parameters_are_refused_or_survive_the_way),
        cmocka_unit_test(what_is_remembered_survives_the_way_without_what_is_of_one_connection),
        cmocka_unit_test(each_lowered_limit_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
