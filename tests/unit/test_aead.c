/* The AEAD backends: against vectors, and against each other over sizes, spans and suites. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "unit/counting_allocator.h"
#include "unit/hex.h"
#include "unit/rfc9001_appendix_a.h"
#include "unit/seeded.h"

#define TEXT_BYTES_MAX 1500
#define TAG_BYTES      16

static const struct crypto_backend *const backends[] = {&crypto_backend_libcrypto, &crypto_backend_ipsec_mb};

static struct counting_allocator counting;
static roam_allocator allocator;

static int count_from_zero(void **state)
{
    (void)state;
    counting = (struct counting_allocator){0};
    allocator = counting_allocator(&counting);
    return 0;
}

static void libcrypto_supports_every_suite(void **state)
{
    (void)state;
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        assert_true(crypto_backend_libcrypto.supports((enum aead_suite)suite));
        assert_true(crypto_backend_for((enum aead_suite)suite)->supports((enum aead_suite)suite));
    }
}

static void suites_have_the_sizes_and_limits_of_the_rfc(void **state)
{
    (void)state;
    assert_int_equal(aead_suite_info(AEAD_AES_128_GCM)->key_bytes, 16);
    assert_int_equal(aead_suite_info(AEAD_AES_256_GCM)->key_bytes, 32);
    assert_int_equal(aead_suite_info(AEAD_AES_256_GCM)->secret_bytes, 48);
    assert_int_equal(aead_suite_info(AEAD_CHACHA20_POLY1305)->secret_bytes, 32);
    assert_int_equal(aead_suite_info(AEAD_AES_128_GCM)->confidentiality_limit, 8388608);
    assert_int_equal(aead_suite_info(AEAD_CHACHA20_POLY1305)->integrity_limit, UINT64_C(68719476736));
}

/* One key of each backend made of the same octets; NULL where a backend is not here. */
static void make_keys(struct seeded *seeded, enum aead_suite suite, void *ret[2])
{
    uint8_t key[32], hp_key[32];
    seeded_fill(seeded, key, sizeof(key));
    seeded_fill(seeded, hp_key, sizeof(hp_key));
    for (int b = 0; b < 2; b++)
        ret[b] = backends[b]->supports(suite) ? backends[b]->key_new(&allocator, suite, key, hp_key) : NULL;
}

static void free_keys(void *keys[2])
{
    for (int b = 0; b < 2; b++)
        if (keys[b] != NULL)
            backends[b]->key_free(&allocator, keys[b]);
}

/* Cuts text[0..len) into up to 5 spans, some of them empty. */
static size_t cut(struct seeded *seeded, const uint8_t *text, size_t len, struct span ret[5])
{
    size_t n = 1 + seeded_below(seeded, 5), at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t take = i + 1 == n ? len - at : seeded_below(seeded, len - at + 1);
        ret[i] = (struct span){text + at, take};
        at += take;
    }
    return n;
}

static void backends_seal_alike_whatever_the_sizes_and_spans(void **state)
{
    (void)state;
    struct seeded seeded = {1};
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        for (int round = 0; round < 300; round++) {
            uint8_t text[TEXT_BYTES_MAX], aad[64], out[2][TEXT_BYTES_MAX + TAG_BYTES];
            struct span spans[5];
            void *keys[2];
            size_t len = round < 80 ? (size_t)round : seeded_below(&seeded, sizeof(text) + 1);
            make_keys(&seeded, (enum aead_suite)suite, keys);
            seeded_fill(&seeded, text, sizeof(text));
            seeded_fill(&seeded, aad, sizeof(aad));
            struct aead_seal job = {.aad = aad, .aad_len = 1 + seeded_below(&seeded, 64), .spans = spans};
            seeded_fill(&seeded, job.nonce, sizeof(job.nonce));
            for (int b = 0; b < 2; b++) {
                if (keys[b] == NULL)
                    continue;
                job.span_count = cut(&seeded, text, len, spans); /* cut differently each time */
                job.out = out[b];
                backends[b]->seal(keys[b], &job, 1);
            }
            if (keys[1] != NULL)
                assert_memory_equal(out[0], out[1], len + TAG_BYTES);
            for (int b = 0; b < 2; b++) {
                if (keys[b] == NULL)
                    continue;
                assert_true(backends[b]->open(keys[b], job.nonce, aad, job.aad_len, out[b], len + TAG_BYTES));
                assert_memory_equal(out[b], text, len);
            }
            free_keys(keys);
        }
    }
    assert_int_equal(counting.bytes_out, 0);
}

static void text_may_lie_where_its_ciphertext_goes(void **state)
{
    (void)state;
    struct seeded seeded = {2};
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        for (int round = 0; round < 100; round++) {
            uint8_t text[TEXT_BYTES_MAX], buffer[TEXT_BYTES_MAX + TAG_BYTES], out[TEXT_BYTES_MAX + TAG_BYTES], aad[20];
            struct span apart[1], inside[5];
            void *keys[2];
            size_t len = 1 + seeded_below(&seeded, sizeof(text));
            make_keys(&seeded, (enum aead_suite)suite, keys);
            seeded_fill(&seeded, text, sizeof(text));
            seeded_fill(&seeded, aad, sizeof(aad));
            apart[0] = (struct span){text, len};
            for (int b = 0; b < 2; b++) {
                if (keys[b] == NULL)
                    continue;
                memcpy(buffer, text, len);
                struct aead_seal jobs[2] = {
                    {.nonce = {7}, .aad = aad, .aad_len = 20, .spans = apart, .span_count = 1, .out = out},
                    {.nonce = {7}, .aad = aad, .aad_len = 20, .spans = inside, .out = buffer},
                };
                jobs[1].span_count = cut(&seeded, buffer, len, inside);
                backends[b]->seal(keys[b], jobs, 2);
                assert_memory_equal(out, buffer, len + TAG_BYTES);
            }
            free_keys(keys);
        }
    }
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct seeded seeded = {3};
    const size_t len = 61;
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        void *keys[2];
        make_keys(&seeded, (enum aead_suite)suite, keys);
        for (int b = 0; b < 2; b++) {
            if (keys[b] == NULL)
                continue;
            uint8_t text[61], sealed[61 + TAG_BYTES], copy[61 + TAG_BYTES], aad[9], nonce[AEAD_NONCE_BYTES] = {1, 2, 3};
            struct span span = {text, len};
            seeded_fill(&seeded, text, len);
            seeded_fill(&seeded, aad, sizeof(aad));
            struct aead_seal job = {.aad = aad, .aad_len = sizeof(aad), .spans = &span, .span_count = 1, .out = sealed};
            memcpy(job.nonce, nonce, sizeof(nonce));
            backends[b]->seal(keys[b], &job, 1);
            for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
                memcpy(copy, sealed, sizeof(copy));
                copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_false(backends[b]->open(keys[b], nonce, aad, sizeof(aad), copy, sizeof(copy)));
            }
            for (size_t bit = 0; bit < 8 * sizeof(aad); bit++) {
                memcpy(copy, sealed, sizeof(copy));
                aad[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_false(backends[b]->open(keys[b], nonce, aad, sizeof(aad), copy, sizeof(copy)));
                aad[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            nonce[11] ^= 1;
            memcpy(copy, sealed, sizeof(copy));
            assert_false(backends[b]->open(keys[b], nonce, aad, sizeof(aad), copy, sizeof(copy)));
            nonce[11] ^= 1;
            assert_true(backends[b]->open(keys[b], nonce, aad, sizeof(aad), sealed, sizeof(sealed)));
        }
        free_keys(keys);
    }
}

static void what_is_shorter_than_a_tag_is_refused(void **state)
{
    (void)state;
    struct seeded seeded = {4};
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        void *keys[2];
        make_keys(&seeded, (enum aead_suite)suite, keys);
        for (int b = 0; b < 2; b++) {
            uint8_t data[TAG_BYTES] = {0}, nonce[AEAD_NONCE_BYTES] = {0};
            if (keys[b] != NULL)
                for (size_t len = 0; len < TAG_BYTES; len++)
                    assert_false(backends[b]->open(keys[b], nonce, data, 1, data, len));
        }
        free_keys(keys);
    }
}

static void backends_mask_alike_in_batches_of_any_size(void **state)
{
    (void)state;
    struct seeded seeded = {5};
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        for (size_t n = 1; n <= 19; n++) {
            uint8_t octets[19][16], masks[2][19][5], single[1][5];
            const uint8_t *samples[19];
            void *keys[2];
            make_keys(&seeded, (enum aead_suite)suite, keys);
            for (size_t i = 0; i < n; i++) {
                seeded_fill(&seeded, octets[i], 16);
                samples[i] = octets[i];
            }
            for (int b = 0; b < 2; b++)
                if (keys[b] != NULL)
                    backends[b]->masks(keys[b], samples, n, masks[b]);
            if (keys[1] != NULL)
                assert_memory_equal(masks[0], masks[1], n * 5);
            backends[0]->masks(keys[0], &samples[n - 1], 1, single);
            assert_memory_equal(single, masks[0][n - 1], 5);
            free_keys(keys);
        }
    }
}

static void masks_are_those_of_appendix_a(void **state)
{
    (void)state;
    for (int b = 0; b < 2; b++) {
        uint8_t key[32] = {0}, hp_key[32], sample[16], mask[1][5];
        const uint8_t *samples[] = {sample};
        if (!backends[b]->supports(AEAD_AES_128_GCM))
            continue;
        hex_read(hp_key, sizeof(hp_key), A1_CLIENT_HP);
        hex_read(sample, sizeof(sample), "d1b1c98dd7689fb8ec11d242b123dc9b");
        void *aes = backends[b]->key_new(&allocator, AEAD_AES_128_GCM, key, hp_key);
        backends[b]->masks(aes, samples, 1, mask);
        assert_hex(mask, "437b9aec36");
        backends[b]->key_free(&allocator, aes);

        hex_read(hp_key, sizeof(hp_key), A5_HP);
        hex_read(sample, sizeof(sample), A5_SAMPLE);
        void *chacha = backends[b]->key_new(&allocator, AEAD_CHACHA20_POLY1305, key, hp_key);
        backends[b]->masks(chacha, samples, 1, mask);
        assert_hex(mask, A5_MASK);
        backends[b]->key_free(&allocator, chacha);
    }
}

static void without_memory_there_is_no_key(void **state)
{
    (void)state;
    const uint8_t key[32] = {0};
    counting.refuses = true;
    for (int b = 0; b < 2; b++)
        if (backends[b]->supports(AEAD_AES_128_GCM)) {
            assert_null(backends[b]->key_new(&allocator, AEAD_AES_128_GCM, key, key));
            backends[b]->key_free(&allocator, NULL);
        }
}

static void nothing_is_allocated_per_packet(void **state)
{
    (void)state;
    struct seeded seeded = {6};
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        void *keys[2];
        make_keys(&seeded, (enum aead_suite)suite, keys);
        size_t before = counting.allocations;
        for (int b = 0; b < 2; b++) {
            uint8_t text[100] = {0}, out[100 + TAG_BYTES];
            struct span span = {text, sizeof(text)};
            struct aead_seal job = {.aad = text, .aad_len = 10, .spans = &span, .span_count = 1, .out = out};
            if (keys[b] == NULL)
                continue;
            backends[b]->seal(keys[b], &job, 1);
            assert_true(backends[b]->open(keys[b], job.nonce, text, 10, out, sizeof(out)));
        }
        assert_int_equal(counting.allocations, before);
        free_keys(keys);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(libcrypto_supports_every_suite, count_from_zero),
        cmocka_unit_test_setup(suites_have_the_sizes_and_limits_of_the_rfc, count_from_zero),
        cmocka_unit_test_setup(backends_seal_alike_whatever_the_sizes_and_spans, count_from_zero),
        cmocka_unit_test_setup(text_may_lie_where_its_ciphertext_goes, count_from_zero),
        cmocka_unit_test_setup(every_flipped_bit_is_refused, count_from_zero),
        cmocka_unit_test_setup(what_is_shorter_than_a_tag_is_refused, count_from_zero),
        cmocka_unit_test_setup(backends_mask_alike_in_batches_of_any_size, count_from_zero),
        cmocka_unit_test_setup(masks_are_those_of_appendix_a, count_from_zero),
        cmocka_unit_test_setup(without_memory_there_is_no_key, count_from_zero),
        cmocka_unit_test_setup(nothing_is_allocated_per_packet, count_from_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
