/* Packet headers: every type, every truncation, and the reason for each refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "wire/packet.h"

#define CAPACITY 1500
#define PAYLOAD  40

static const roam_cid dcid = {.len = 8, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
static const roam_cid scid = {.len = 5, .bytes = {11, 12, 13, 14, 15}};
static const roam_cid no_cid = {.len = 0};

/* Parses a copy that starts and ends where its heap block does. Pointers in the header are dead then, save for
 * lengths. */
static roam_drop parse_copy(struct packet_header *ret, const uint8_t *octets, size_t len, size_t local_cid_len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, octets, len);
    roam_drop drop = packet_header_parse(ret, copy, len, local_cid_len);
    free(copy);
    return drop;
}

static void check_dropped(const uint8_t *octets, size_t len, roam_drop expected)
{
    struct packet_header header, before;
    memset(&header, 0xee, sizeof(header));
    before = header;
    assert_int_equal(parse_copy(&header, octets, len, 8), expected);
    assert_memory_equal(&header, &before, sizeof(header));
}

/* A long header with PAYLOAD octets behind it, number included. */
static size_t make_long(uint8_t octets[CAPACITY], enum packet_type type, const roam_cid *to, const roam_cid *from,
                        size_t token_len)
{
    static const uint8_t token[CAPACITY] = "token";
    uint8_t *length_at = NULL;
    struct writer writer = writer_init(octets, CAPACITY);
    packet_write_long(&writer, type, QUIC_VERSION_1, to, from, token, token_len, 3, &length_at);
    assert_false(writer.failed);
    assert_ptr_equal(length_at, writer.pos - 2);
    write_zeros(&writer, PAYLOAD);
    packet_length_write(length_at, PAYLOAD);
    return writer_len(&writer);
}

static void long_headers_are_read_as_they_were_written(void **state)
{
    (void)state;
    static const enum packet_type types[] = {PACKET_INITIAL, PACKET_ZERO_RTT, PACKET_HANDSHAKE};
    static const size_t token_lens[] = {0, 5, 63, 64, 700};
    for (size_t t = 0; t < 3; t++) {
        for (size_t k = 0; k < (types[t] == PACKET_INITIAL ? 5 : 1); k++) {
            uint8_t octets[CAPACITY];
            struct packet_header header;
            size_t len = make_long(octets, types[t], &dcid, k % 2 ? &no_cid : &scid, token_lens[k]);
            assert_int_equal(packet_header_parse(&header, octets, len, 0), ROAM_DROP_NONE);
            assert_int_equal(header.type, types[t]);
            assert_int_equal(header.first_octet, 0xc2 | types[t] << 4);
            assert_int_equal(header.version, QUIC_VERSION_1);
            assert_true(roam_cid_equal(&header.dcid, &dcid));
            assert_true(roam_cid_equal(&header.scid, k % 2 ? &no_cid : &scid));
            assert_ptr_equal(header.dcid_bytes, octets + 6);
            assert_int_equal(header.dcid_len, 8);
            assert_int_equal(header.token_len, token_lens[k]);
            if (token_lens[k] >= 5)
                assert_memory_equal(header.token, "token", 5);
            assert_int_equal(header.number_offset, len - PAYLOAD);
            assert_int_equal(header.packet_len, len);
        }
    }
}

static void types_of_version_2_are_other_bits(void **state)
{
    //= rfc9369#3.2-1 Initial 0b01, 0-RTT 0b10, Handshake 0b11, Retry 0b00.
    (void)state;
    static const uint8_t first_octets[] = {
        [PACKET_INITIAL] = 0xd2, [PACKET_ZERO_RTT] = 0xe2, [PACKET_HANDSHAKE] = 0xf2};
    for (unsigned type = PACKET_INITIAL; type <= PACKET_HANDSHAKE; type++) {
        uint8_t octets[CAPACITY], *length_at = NULL;
        struct packet_header header;
        struct writer writer = writer_init(octets, CAPACITY);
        packet_write_long(&writer, (enum packet_type)type, QUIC_VERSION_2, &dcid, &scid, (const uint8_t *)"token", 5, 3,
                          &length_at);
        write_zeros(&writer, PAYLOAD);
        packet_length_write(length_at, PAYLOAD);
        assert_int_equal(octets[0], first_octets[type]);
        assert_memory_equal(octets + 1, "\x6b\x33\x43\xcf", 4);
        assert_int_equal(packet_header_parse(&header, octets, writer_len(&writer), 0), ROAM_DROP_NONE);
        assert_int_equal(header.type, type);
        assert_int_equal(header.token_len, type == PACKET_INITIAL ? 5 : 0);
        assert_int_equal(header.number_offset, writer_len(&writer) - PAYLOAD);
    }
    uint8_t octets[CAPACITY];
    struct packet_header header;
    struct writer writer = writer_init(octets, CAPACITY);
    packet_write_retry(&writer, 0x0f, QUIC_VERSION_2, &dcid, &scid, (const uint8_t *)"token", 5);
    write_zeros(&writer, AEAD_TAG_BYTES);
    assert_int_equal(octets[0], 0xcf);
    assert_int_equal(packet_header_parse(&header, octets, writer_len(&writer), 0), ROAM_DROP_NONE);
    assert_int_equal(header.type, PACKET_RETRY);
}

static void the_client_initial_of_rfc_9001_appendix_a_is_read(void **state)
{
    (void)state;
    uint8_t octets[1200] = {0xc3, 0, 0, 0, 1, 8, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08, 0, 0, 0x44, 0x9e};
    struct packet_header header;
    assert_int_equal(packet_header_parse(&header, octets, sizeof(octets), 0), ROAM_DROP_NONE);
    assert_int_equal(header.type, PACKET_INITIAL);
    assert_int_equal(header.number_offset, 18);
    assert_int_equal(header.packet_len, 1200);
    assert_int_equal(header.scid.len, 0);
    char text[ROAM_CID_TEXT_MAX];
    assert_string_equal(roam_cid_format(&header.dcid, text), "8394c8f03e515708");
}

static void every_truncation_of_a_long_header_is_refused(void **state)
{
    (void)state;
    static const enum packet_type types[] = {PACKET_INITIAL, PACKET_ZERO_RTT, PACKET_HANDSHAKE};
    uint8_t octets[CAPACITY] = {0};
    check_dropped(octets, 0, ROAM_DROP_EMPTY_DATAGRAM);
    for (size_t t = 0; t < 3; t++) {
        size_t len = make_long(octets, types[t], &dcid, &scid, 5);
        for (size_t cut = 1; cut < len; cut++)
            check_dropped(octets, cut, cut < len - PAYLOAD ? ROAM_DROP_TOO_SHORT : ROAM_DROP_HEADER_INVALID);
    }
}

static void coalesced_packets_end_where_their_length_says(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY + 100] = {0};
    struct packet_header header;
    size_t len = make_long(octets, PACKET_HANDSHAKE, &dcid, &scid, 0);
    assert_int_equal(packet_header_parse(&header, octets, len + 100, 0), ROAM_DROP_NONE);
    assert_int_equal(header.packet_len, len);
}

static void a_packet_too_short_for_its_sample_is_refused(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    struct packet_header header;
    size_t len = make_long(octets, PACKET_HANDSHAKE, &dcid, &scid, 0);
    uint8_t *length_at = octets + len - PAYLOAD - 2;
    packet_length_write(length_at, 19);
    check_dropped(octets, len, ROAM_DROP_TOO_SHORT);
    packet_length_write(length_at, 20);
    assert_int_equal(parse_copy(&header, octets, len, 0), ROAM_DROP_NONE);
    octets[0] = 0x41;
    check_dropped(octets, 1 + 8 + 19, ROAM_DROP_TOO_SHORT);
    assert_int_equal(parse_copy(&header, octets, 1 + 8 + 20, 8), ROAM_DROP_NONE);
}

static void a_length_or_token_past_the_datagram_is_refused(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    size_t len = make_long(octets, PACKET_INITIAL, &dcid, &scid, 0);
    packet_length_write(octets + len - PAYLOAD - 2, PAYLOAD + 1);
    check_dropped(octets, len, ROAM_DROP_HEADER_INVALID);
    packet_length_write(octets + len - PAYLOAD - 2, 16383);
    check_dropped(octets, len, ROAM_DROP_HEADER_INVALID);
    /* A token that claims 2^62-1 octets. */
    memset(octets + len - PAYLOAD - 3, 0xff, 8);
    check_dropped(octets, len, ROAM_DROP_TOO_SHORT);
}

static void a_zero_fixed_bit_is_told(void **state)
{
    (void)state;
    static const enum packet_type types[] = {PACKET_INITIAL, PACKET_ZERO_RTT, PACKET_HANDSHAKE};
    uint8_t octets[CAPACITY] = {0};
    struct packet_header header;
    for (size_t t = 0; t < 3; t++) {
        size_t len = make_long(octets, types[t], &dcid, &scid, 0);
        assert_int_equal(parse_copy(&header, octets, len, 8), ROAM_DROP_NONE);
        assert_false(packet_lacks_fixed_bit(&header));
        octets[0] &= 0xbf;
        assert_int_equal(parse_copy(&header, octets, len, 8), ROAM_DROP_NONE);
        assert_true(packet_lacks_fixed_bit(&header));
        assert_int_equal(header.type, types[t]);
        check_dropped(octets, len - 1, ROAM_DROP_FIXED_BIT_ZERO); /* no packet anyhow */
    }
    octets[0] = 0x3f;
    assert_int_equal(parse_copy(&header, octets, 100, 8), ROAM_DROP_NONE);
    assert_true(packet_lacks_fixed_bit(&header));
    check_dropped(octets, 28, ROAM_DROP_FIXED_BIT_ZERO);
}

static void version_1_has_connection_ids_of_at_most_20_octets(void **state)
{
    (void)state;
    for (unsigned len = 0; len < 256; len++) {
        uint8_t octets[CAPACITY] = {0xe0, 0, 0, 0, 1, (uint8_t)len};
        struct packet_header header;
        octets[6 + len] = 0;
        packet_length_write(octets + 7 + len, 100);
        assert_int_equal(parse_copy(&header, octets, 600, 0), len <= 20 ? ROAM_DROP_NONE : ROAM_DROP_CID_TOO_LONG);
        uint8_t swapped[CAPACITY] = {0xe0, 0, 0, 0, 1, 0, (uint8_t)len};
        packet_length_write(swapped + 7 + len, 100);
        assert_int_equal(parse_copy(&header, swapped, 600, 0), len <= 20 ? ROAM_DROP_NONE : ROAM_DROP_CID_TOO_LONG);
    }
}

static void short_headers_are_read_as_they_were_written(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        uint8_t octets[CAPACITY];
        struct packet_header header;
        struct writer writer = writer_init(octets, CAPACITY);
        bool spin = bits & 1, key_phase = bits & 2;
        size_t pn_len = 1 + (bits >> 2);
        packet_write_short(&writer, &dcid, spin, key_phase, pn_len);
        assert_int_equal(writer_len(&writer), 9);
        write_zeros(&writer, 50);
        assert_int_equal(packet_header_parse(&header, octets, writer_len(&writer), 8), ROAM_DROP_NONE);
        assert_int_equal(header.type, PACKET_ONE_RTT);
        assert_int_equal(header.first_octet, 0x40 | (spin ? 0x20 : 0) | (key_phase ? 0x04 : 0) | (pn_len - 1));
        assert_true(roam_cid_equal(&header.dcid, &dcid));
        assert_ptr_equal(header.dcid_bytes, octets + 1);
        assert_int_equal(header.number_offset, 9);
        assert_int_equal(header.packet_len, 59);
        assert_int_equal(packet_header_parse(&header, octets, writer_len(&writer), 0), ROAM_DROP_NONE);
        assert_int_equal(header.dcid.len, 0);
        assert_int_equal(header.number_offset, 1);
        for (size_t cut = 1; cut < 1 + 8 + 20; cut++)
            check_dropped(octets, cut, ROAM_DROP_TOO_SHORT);
    }
}

static void a_retry_is_read_as_it_was_written(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY];
    struct packet_header header;
    struct writer writer = writer_init(octets, CAPACITY);
    packet_write_retry(&writer, 0xff, QUIC_VERSION_1, &dcid, &scid, (const uint8_t *)"token", 5);
    write_bytes(&writer, "0123456789abcdef", 16);
    size_t len = writer_len(&writer);
    assert_int_equal(octets[0], 0xff);
    assert_int_equal(packet_header_parse(&header, octets, len, 8), ROAM_DROP_NONE);
    assert_int_equal(header.type, PACKET_RETRY);
    assert_true(roam_cid_equal(&header.dcid, &dcid));
    assert_true(roam_cid_equal(&header.scid, &scid));
    assert_int_equal(header.token_len, 5);
    assert_memory_equal(header.token, "token", 5);
    assert_memory_equal(header.retry_tag, "0123456789abcdef", 16);
    assert_int_equal(header.packet_len, len);
    /* An empty token, then less than a tag, then less than the CIDs. */
    check_dropped(octets, len - 5, ROAM_DROP_HEADER_INVALID);
    for (size_t cut = 1; cut < len - 5; cut++)
        check_dropped(octets, cut, ROAM_DROP_TOO_SHORT);
    octets[0] = 0xbf;
    assert_int_equal(packet_header_parse(&header, octets, len, 8), ROAM_DROP_NONE);
    assert_true(packet_lacks_fixed_bit(&header));
}

static void version_negotiation_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const uint32_t versions[] = {QUIC_VERSION_1, 0x6b3343cf, 0x1a2a3a4a};
    uint8_t octets[CAPACITY], long_cid[255];
    struct packet_header header;
    struct writer writer = writer_init(octets, CAPACITY);
    memset(long_cid, 7, sizeof(long_cid));
    packet_write_version_negotiation(&writer, 0x15, long_cid, 255, scid.bytes, scid.len, versions, 3);
    assert_false(writer.failed);
    size_t len = writer_len(&writer);
    assert_int_equal(octets[0], 0xd5);
    assert_int_equal(packet_header_parse(&header, octets, len, 8), ROAM_DROP_NONE);
    assert_int_equal(header.type, PACKET_VERSION_NEGOTIATION);
    assert_int_equal(header.dcid_len, 255);
    assert_memory_equal(header.dcid_bytes, long_cid, 255);
    assert_true(roam_cid_equal(&header.scid, &scid));
    assert_int_equal(header.versions_len, 12);
    assert_memory_equal(header.versions, "\0\0\0\1\x6b\x33\x43\xcf\x1a\x2a\x3a\x4a", 12);
    assert_int_equal(header.packet_len, len);
    /* The other bits of the first octet mean nothing. */
    octets[0] = 0x80;
    assert_int_equal(parse_copy(&header, octets, len, 8), ROAM_DROP_NONE);
    for (size_t cut = 1; cut < len; cut++) {
        if (cut < len - 12)
            check_dropped(octets, cut, ROAM_DROP_TOO_SHORT);
        else if ((len - cut) % 4 != 0 || cut == len - 12)
            check_dropped(octets, cut, ROAM_DROP_HEADER_INVALID);
        else
            assert_int_equal(parse_copy(&header, octets, cut, 8), ROAM_DROP_NONE);
    }
}

static void of_other_versions_only_the_invariants_are_known(void **state)
{
    (void)state;
    uint8_t octets[600] = {0x80, 0x1a, 0x2a, 0x3a, 0x4a, 255};
    struct packet_header header;
    octets[6 + 255] = 30;
    size_t invariants = 6 + 255 + 1 + 30;
    assert_int_equal(packet_header_parse(&header, octets, sizeof(octets), 8), ROAM_DROP_NONE);
    assert_int_equal(header.type, PACKET_OTHER_VERSION);
    assert_int_equal(header.version, 0x1a2a3a4a);
    assert_int_equal(header.dcid_len, 255);
    assert_int_equal(header.scid_len, 30);
    assert_ptr_equal(header.scid_bytes, octets + 6 + 255 + 1);
    assert_int_equal(header.packet_len, sizeof(octets));
    assert_int_equal(parse_copy(&header, octets, invariants, 8), ROAM_DROP_NONE);
    for (size_t cut = 1; cut < invariants; cut++)
        check_dropped(octets, cut, ROAM_DROP_TOO_SHORT);
}

static void a_header_that_does_not_fit_leaves_the_writer_failed(void **state)
{
    (void)state;
    uint8_t octets[CAPACITY], *length_at = NULL;
    struct writer whole = writer_init(octets, CAPACITY);
    packet_write_long(&whole, PACKET_INITIAL, QUIC_VERSION_1, &dcid, &scid, (const uint8_t *)"token", 5, 2, &length_at);
    assert_false(whole.failed);
    const size_t len = writer_len(&whole);
    length_at = NULL;
    for (size_t capacity = 0; capacity < len; capacity++) {
        struct writer writer = writer_init(octets, capacity);
        packet_write_long(&writer, PACKET_INITIAL, QUIC_VERSION_1, &dcid, &scid, (const uint8_t *)"token", 5, 2,
                          &length_at);
        assert_true(writer.failed);
        assert_null(length_at);
    }
}

static void packet_types_have_names_and_spaces(void **state)
{
    (void)state;
    assert_string_equal(packet_type_name(PACKET_INITIAL), "initial");
    for (unsigned type = 0; type < PACKET_TYPES; type++)
        assert_non_null(packet_type_name((enum packet_type)type));
    assert_int_equal(packet_space_of(PACKET_INITIAL), SPACE_INITIAL);
    assert_int_equal(packet_space_of(PACKET_HANDSHAKE), SPACE_HANDSHAKE);
    assert_int_equal(packet_space_of(PACKET_ZERO_RTT), SPACE_APPLICATION);
    assert_int_equal(packet_space_of(PACKET_ONE_RTT), SPACE_APPLICATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_headers_are_read_as_they_were_written),
        cmocka_unit_test(types_of_version_2_are_other_bits),
        cmocka_unit_test(the_client_initial_of_rfc_9001_appendix_a_is_read),
        cmocka_unit_test(every_truncation_of_a_long_header_is_refused),
        cmocka_unit_test(coalesced_packets_end_where_their_length_says),
        cmocka_unit_test(a_packet_too_short_for_its_sample_is_refused),
        cmocka_unit_test(a_length_or_token_past_the_datagram_is_refused),
        cmocka_unit_test(a_zero_fixed_bit_is_told),
        cmocka_unit_test(version_1_has_connection_ids_of_at_most_20_octets),
        cmocka_unit_test(short_headers_are_read_as_they_were_written),
        cmocka_unit_test(a_retry_is_read_as_it_was_written),
        cmocka_unit_test(version_negotiation_is_read_as_it_was_written),
        cmocka_unit_test(of_other_versions_only_the_invariants_are_known),
        cmocka_unit_test(a_header_that_does_not_fit_leaves_the_writer_failed),
        cmocka_unit_test(packet_types_have_names_and_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
