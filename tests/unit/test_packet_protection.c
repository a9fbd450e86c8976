/* Sealing and opening packets: appendices A of RFC 9001 and RFC 9369 with each backend, batches, and packets that someone touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/key_schedule.h"
#include "crypto/packet_protection.h"
#include "unit/counting_allocator.h"
#include "unit/hex.h"
#include "unit/rfc9001_appendix_a.h"
#include "unit/rfc9369_appendix_a.h"
#include "unit/seeded.h"

#define PACKET_BYTES 1500

static const struct crypto_backend *const backends[] = {&crypto_backend_libcrypto, &crypto_backend_ipsec_mb};

static struct counting_allocator counting;
static roam_allocator allocator;

static struct unmasked unmask(struct packet_keys *keys, uint8_t *packet, size_t number_offset)
{
    uint8_t mask[1][HP_MASK_BYTES];
    struct unmasked unmasked;
    packet_protection_masks(keys, packet, 0, number_offset, 1, mask);
    packet_protection_unmask(packet, number_offset, mask[0], &unmasked);
    return unmasked;
}

static int count_from_zero(void **state)
{
    (void)state;
    counting = (struct counting_allocator){0};
    allocator = counting_allocator(&counting);
    return 0;
}

static int all_is_given_back(void **state)
{
    (void)state;
    return counting.bytes_out == 0 ? 0 : -1;
}

static void set_keys(struct packet_keys *keys, const struct quic_version *version, enum aead_suite suite,
                     const char *secret_text, const struct crypto_backend *backend)
{
    uint8_t secret[SECRET_BYTES_MAX] = {0};
    hex_read(secret, sizeof(secret), secret_text);
    packet_keys_init(keys);
    packet_keys_set(keys, &allocator, version, suite, secret, backend);
    assert_true(packet_keys_expand(keys));
}

struct sample {
    uint32_t version;
    enum aead_suite suite;
    const char *secret, *header, *payload, *packet;
    size_t payload_bytes; /* beyond the text there is PADDING */
    size_t number_len;
    uint64_t number;
};

static const struct sample samples[] = {
    {QUIC_VERSION_1, AEAD_AES_128_GCM, A1_CLIENT_SECRET, A2_HEADER, A2_FRAME, A2_PACKET, A2_PAYLOAD_BYTES, 4,
     A2_NUMBER},
    {QUIC_VERSION_1, AEAD_AES_128_GCM, A1_SERVER_SECRET, A3_HEADER, A3_PAYLOAD, A3_PACKET, 99, 2, A3_NUMBER},
    {QUIC_VERSION_1, AEAD_CHACHA20_POLY1305, A5_SECRET, A5_HEADER, A5_PAYLOAD, A5_PACKET, 1, 3, A5_NUMBER},
    {QUIC_VERSION_2, AEAD_AES_128_GCM, V2_CLIENT_SECRET, V2_A2_HEADER, A2_FRAME, V2_A2_PACKET, A2_PAYLOAD_BYTES, 4,
     A2_NUMBER},
    {QUIC_VERSION_2, AEAD_AES_128_GCM, V2_SERVER_SECRET, V2_A3_HEADER, A3_PAYLOAD, V2_A3_PACKET, 99, 2, A3_NUMBER},
    {QUIC_VERSION_2, AEAD_CHACHA20_POLY1305, A5_SECRET, A5_HEADER, A5_PAYLOAD, V2_A5_PACKET, 1, 3, A5_NUMBER},
};

static const struct quic_version *version_of(const struct sample *sample)
{
    return quic_version_find(sample->version);
}

static void seal_sample(const struct sample *sample, const struct crypto_backend *backend)
{
    uint8_t packet[PACKET_BYTES], payload[PACKET_BYTES] = {0};
    struct packet_keys keys;
    size_t header_len = hex_read(packet, sizeof(packet), sample->header);
    hex_read(payload, sizeof(payload), sample->payload);
    set_keys(&keys, version_of(sample), sample->suite, sample->secret, backend);
    struct span span = {payload, sample->payload_bytes};
    struct packet_seal job = {packet, header_len, header_len - sample->number_len, sample->number, &span, 1};
    packet_protection_seal(&keys, &job, 1);
    assert_int_equal(strlen(sample->packet) / 2, header_len + sample->payload_bytes + AEAD_TAG_BYTES);
    assert_hex(packet, sample->packet);
    assert_int_equal(keys.packets, 1);
    packet_keys_done(&keys);
}

static void open_sample(const struct sample *sample, const struct crypto_backend *backend)
{
    uint8_t packet[PACKET_BYTES], payload[PACKET_BYTES] = {0};
    struct packet_keys keys;
    size_t len = hex_read(packet, sizeof(packet), sample->packet);
    size_t header_len = strlen(sample->header) / 2, number_offset = header_len - sample->number_len;
    hex_read(payload, sizeof(payload), sample->payload);
    set_keys(&keys, version_of(sample), sample->suite, sample->secret, backend);
    const struct unmasked unmasked = unmask(&keys, packet, number_offset);
    assert_hex(packet, sample->header);
    assert_int_equal(unmasked.first_octet, packet[0]);
    assert_int_equal(unmasked.number_len, sample->number_len);
    assert_int_equal(unmasked.truncated, sample->number & ((UINT64_C(1) << 8 * unmasked.number_len) - 1));
    assert_int_equal(packet_protection_open(&keys, sample->number, packet, header_len, len), sample->payload_bytes);
    assert_memory_equal(packet + header_len, payload, sample->payload_bytes);
    assert_int_equal(keys.packets, 0);
    packet_keys_done(&keys);
}

static void packets_of_appendix_a_are_sealed_and_opened_by_every_backend(void **state)
{
    //= rfc9369#3-1 All else of version 2 is version 1.
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        for (size_t b = 0; b < 2; b++)
            if (backends[b]->supports(samples[i].suite)) {
                seal_sample(&samples[i], backends[b]);
                open_sample(&samples[i], backends[b]);
            }
}

static void every_flipped_bit_of_a_packet_makes_it_fail(void **state)
{
    //= rfc9000#21.1.3.1-2 On-path attacker cannot get an altered authenticated packet accepted.
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        for (size_t b = 0; b < 2; b++) {
            const struct sample *sample = &samples[i];
            uint8_t original[PACKET_BYTES], packet[PACKET_BYTES];
            struct packet_keys keys;
            size_t len = hex_read(original, sizeof(original), sample->packet);
            size_t number_offset = strlen(sample->header) / 2 - sample->number_len;
            if (!backends[b]->supports(sample->suite))
                continue;
            set_keys(&keys, version_of(sample), sample->suite, sample->secret, backends[b]);
            for (size_t bit = 0; bit < 8 * len; bit++) {
                memcpy(packet, original, len);
                packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
                const struct unmasked unmasked = unmask(&keys, packet, number_offset);
                /* As a receiver that expects just this packet: its number differs only in what was sent of it. */
                uint64_t number =
                    (sample->number & ~((UINT64_C(1) << 8 * unmasked.number_len) - 1)) | unmasked.truncated;
                if (packet_protection_open(&keys, number, packet, number_offset + unmasked.number_len, len) >= 0)
                    fail_msg("sample %zu, bit %zu", i, bit);
            }
            assert_int_equal(keys.packets, 8 * len);
            packet_keys_done(&keys);
        }
}

/* Packets of every suite, header form and packet number length, sealed together, come back one by one. */
static void a_batch_is_sealed_like_single_packets(void **state)
{
    (void)state;
    enum { BATCH = 37 };
    static uint8_t packets[BATCH][PACKET_BYTES], payloads[BATCH][1200];
    struct seeded seeded = {1};
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        uint8_t secret[SECRET_BYTES_MAX];
        struct packet_keys send, receive;
        struct packet_seal jobs[BATCH];
        struct span spans[BATCH][2];
        seeded_fill(&seeded, secret, sizeof(secret));
        packet_keys_init(&send);
        packet_keys_init(&receive);
        packet_keys_set(&send, &allocator, &quic_versions[suite % QUIC_VERSIONS_KNOWN], (enum aead_suite)suite, secret,
                        NULL);
        packet_keys_set(&receive, &allocator, &quic_versions[suite % QUIC_VERSIONS_KNOWN], (enum aead_suite)suite,
                        secret, &crypto_backend_libcrypto);
        assert_true(packet_keys_expand(&send));
        assert_true(packet_keys_expand(&receive));
        for (unsigned i = 0; i < BATCH; i++) {
            size_t number_len = 1 + i % 4, len = 4 + seeded_below(&seeded, 1196),
                   first = seeded_below(&seeded, len + 1);
            seeded_fill(&seeded, payloads[i], sizeof(payloads[i]));
            packets[i][0] = (uint8_t)((i % 2 != 0 ? 0xc0 : 0x40) | (number_len - 1));
            seeded_fill(&seeded, packets[i] + 1, 8);
            for (size_t n = 0; n < number_len; n++)
                packets[i][9 + n] = (uint8_t)((1000u + i) >> 8 * (number_len - 1 - n));
            spans[i][0] = (struct span){payloads[i], first};
            spans[i][1] = (struct span){payloads[i] + first, len - first};
            jobs[i] = (struct packet_seal){packets[i], 9 + number_len, 9, 1000 + i, spans[i], 2};
        }
        packet_protection_seal(&send, jobs, BATCH);
        assert_int_equal(send.packets, BATCH);
        uint8_t masks[PACKET_PROTECTION_BATCH][HP_MASK_BYTES];
        for (unsigned i = 0; i < BATCH; i++) {
            size_t len = spans[i][0].len + spans[i][1].len;
            struct unmasked unmasked;
            if (i % PACKET_PROTECTION_BATCH == 0)
                packet_protection_masks(&receive, packets[i], PACKET_BYTES, 9,
                                        BATCH - i < PACKET_PROTECTION_BATCH ? BATCH - i : PACKET_PROTECTION_BATCH,
                                        masks);
            packet_protection_unmask(packets[i], 9, masks[i % PACKET_PROTECTION_BATCH], &unmasked);
            assert_int_equal(unmasked.number_len, 1 + i % 4);
            assert_int_equal(unmasked.truncated, unmasked.number_len == 1 ? (1000 + i) & 0xff : 1000 + i);
            size_t header_len = 9 + unmasked.number_len;
            assert_int_equal(
                packet_protection_open(&receive, 1000 + i, packets[i], header_len, header_len + len + AEAD_TAG_BYTES),
                len);
            assert_memory_equal(packets[i] + header_len, payloads[i], len);
        }
        packet_keys_done(&send);
        packet_keys_done(&receive);
    }
}

static void short_headers_have_five_bits_masked_and_long_ones_four(void **state)
{
    (void)state;
    bool seen = false;
    for (uint64_t number = 0; number < 32; number++)
        for (int is_long = 0; is_long < 2; is_long++) {
            uint8_t packet[64] = {(uint8_t)(is_long ? 0xc0 : 0x40), (uint8_t)number}, payload[8] = {0}, mask[1][5];
            const uint8_t first_octet = packet[0], *sample = packet + 1 + PACKET_NUMBER_BYTES_MAX;
            struct packet_keys keys;
            struct span span = {payload, sizeof(payload)};
            struct packet_seal job = {packet, 2, 1, number, &span, 1};
            set_keys(&keys, &quic_versions[0], AEAD_AES_128_GCM, A1_CLIENT_SECRET, NULL);
            packet_protection_seal(&keys, &job, 1);
            keys.backend->masks(keys.expanded, &sample, 1, mask);
            assert_int_equal(packet[0], first_octet ^ (mask[0][0] & (is_long ? 0x0f : 0x1f)));
            assert_int_equal(packet[1], number ^ mask[0][1]);
            seen = seen || (mask[0][0] & 0x10) != 0;
            packet_keys_done(&keys);
        }
    assert_true(seen); /* the bit that makes the difference was masked at least once */
}

static void next_keys_differ_but_keep_header_protection(void **state)
{
    (void)state;
    struct packet_keys keys, next;
    uint8_t secret[SECRET_BYTES_MAX];
    set_keys(&keys, &quic_versions[0], AEAD_CHACHA20_POLY1305, A5_SECRET, NULL);
    packet_keys_next(&next, &keys);
    hex_read(secret, sizeof(secret), A5_NEXT_SECRET);
    assert_memory_equal(next.secret, secret, 32);
    assert_memory_not_equal(next.secret, keys.secret, 32);
    assert_memory_not_equal(next.iv, keys.iv, AEAD_NONCE_BYTES);
    assert_memory_equal(next.hp_key, keys.hp_key, 32);
    assert_true(next.available);
    assert_non_null(next.expanded);
    packet_keys_done(&keys);
    packet_keys_done(&next);
}

static void shrunk_keys_hold_no_memory_and_come_back(void **state)
{
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        uint8_t packets[2][64] = {{0x40, 1}, {0x40, 1}}, payload[20] = {7};
        struct packet_keys keys;
        struct span span = {payload, sizeof(payload)};
        if (!backends[b]->supports(AEAD_AES_128_GCM))
            continue;
        set_keys(&keys, &quic_versions[0], AEAD_AES_128_GCM, A1_CLIENT_SECRET, backends[b]);
        for (int i = 0; i < 2; i++) {
            struct packet_seal job = {packets[i], 2, 1, 1, &span, 1};
            assert_true(packet_keys_expand(&keys));
            packet_protection_seal(&keys, &job, 1);
            packet_keys_shrink(&keys);
            assert_int_equal(counting.bytes_out, 0);
        }
        assert_memory_equal(packets[0], packets[1], 2 + sizeof(payload) + AEAD_TAG_BYTES);
        packet_keys_done(&keys);
    }
}

static void keys_that_are_done_leave_no_secret(void **state)
{
    (void)state;
    static const struct packet_keys none;
    struct packet_keys keys;
    set_keys(&keys, &quic_versions[0], AEAD_AES_128_GCM, A1_CLIENT_SECRET, NULL);
    packet_keys_done(&keys);
    assert_memory_equal(&keys, &none, sizeof(keys));
}

static void without_memory_keys_do_not_expand(void **state)
{
    (void)state;
    struct packet_keys keys;
    set_keys(&keys, &quic_versions[0], AEAD_AES_128_GCM, A1_CLIENT_SECRET, NULL);
    packet_keys_shrink(&keys);
    counting.refuses = true;
    assert_false(packet_keys_expand(&keys));
    counting.refuses = false;
    assert_true(packet_keys_expand(&keys));
    packet_keys_done(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packets_of_appendix_a_are_sealed_and_opened_by_every_backend, count_from_zero,
                                        all_is_given_back),
        cmocka_unit_test_setup_teardown(every_flipped_bit_of_a_packet_makes_it_fail, count_from_zero,
                                        all_is_given_back),
        cmocka_unit_test_setup_teardown(a_batch_is_sealed_like_single_packets, count_from_zero, all_is_given_back),
        cmocka_unit_test_setup_teardown(short_headers_have_five_bits_masked_and_long_ones_four, count_from_zero,
                                        all_is_given_back),
        cmocka_unit_test_setup_teardown(next_keys_differ_but_keep_header_protection, count_from_zero,
                                        all_is_given_back),
        cmocka_unit_test_setup_teardown(shrunk_keys_hold_no_memory_and_come_back, count_from_zero, all_is_given_back),
        cmocka_unit_test_setup_teardown(keys_that_are_done_leave_no_secret, count_from_zero, all_is_given_back),
        cmocka_unit_test_setup_teardown(without_memory_keys_do_not_expand, count_from_zero, all_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
