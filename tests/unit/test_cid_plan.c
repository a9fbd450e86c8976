/* How a CID of ours is laid out, and what others read out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cid/cid_layout.h"
#include "cid/cid_plan.h"
#include "hex.h"
#include "seeded.h"

static const uint8_t scatter_key[CIPHER_BLOCK_BYTES] = "for nonces only";

static void fill(void *context, void *buf, size_t len)
{
    uint8_t *next = context;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = ++*next;
}

static void fill_seeded(void *context, void *buf, size_t len)
{
    seeded_fill(context, buf, len);
}

static roam_rng seeded_rng(struct seeded *seed)
{
    return (roam_rng){.fill = fill_seeded, .context = seed};
}

/* ---- Random CIDs ------------------------------------------------------------------------------------------------- */

static void only_zero_and_four_to_twenty_octets_are_lengths(void **state)
{
    (void)state;
    for (unsigned len = 0; len <= UINT8_MAX; len++)
        assert_int_equal(cid_plan_length_is_valid((uint8_t)len), len == 0 || (len >= 4 && len <= 20));
}

static void every_octet_of_a_random_cid_comes_from_the_source_of_randomness(void **state)
{
    (void)state;
    uint8_t drawn = 0;
    roam_rng rng = {.fill = fill, .context = &drawn};
    roam_cid cid;
    cid_random(&cid, 8, &rng);
    assert_int_equal(cid.len, 8);
    assert_memory_equal(cid.bytes, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(drawn, 8);
}

static void two_random_cids_have_nothing_in_common(void **state)
{
    //= rfc9000#5.1-1 A connection ID carries nothing that lets an observer tie it to another one.
    (void)state;
    uint8_t drawn = 0;
    roam_rng rng = {.fill = fill, .context = &drawn};
    roam_cid a, b;
    cid_random(&a, 20, &rng);
    cid_random(&b, 20, &rng);
    for (size_t i = 0; i < 20; i++)
        assert_int_not_equal(a.bytes[i], b.bytes[i]);
}

static void octets_past_the_length_are_zero(void **state)
{
    (void)state;
    static const uint8_t zero[ROAM_CID_MAX];
    for (uint8_t len = 0; len <= ROAM_CID_MAX; len++) {
        if (!cid_plan_length_is_valid(len))
            continue;
        uint8_t drawn = 0;
        roam_rng rng = {.fill = fill, .context = &drawn};
        roam_cid cid;
        memset(&cid, 0xee, sizeof(cid));
        cid_random(&cid, len, &rng);
        assert_int_equal(cid.len, len);
        assert_int_equal(drawn, len);
        assert_memory_equal(cid.bytes + len, zero, (size_t)(ROAM_CID_MAX - len));
    }
}

/* ---- The vectors of draft-ietf-quic-load-balancers, appendix "Load Balancer Test Vectors" ------------------------ */

struct vector {
    uint8_t config_id;
    const char *server_id, *nonce, *cid;
};

static roam_cid_plan plan_of(const struct vector *vector, const char *key)
{
    roam_cid_plan plan = {.kind = ROAM_CID_QUIC_LB, .config_id = vector->config_id, .encode_length = true};
    plan.server_id_bytes = (uint8_t)hex_read(plan.server_id, sizeof(plan.server_id), vector->server_id);
    plan.nonce_bytes = (uint8_t)(strlen(vector->nonce) / 2);
    plan.has_key = key != NULL;
    if (key != NULL)
        hex_read(plan.key, sizeof(plan.key), key);
    return plan;
}

static void check_vector(const struct vector *vector, const char *key)
{
    const roam_cid_plan plan = plan_of(vector, key);
    uint8_t nonce[ROAM_CID_MAX], expected[ROAM_CID_MAX];
    struct block_cipher cipher = {0};
    roam_cid cid = {.len = roam_cid_plan_length(&plan)};
    roam_cid_parts parts;
    size_t nonce_len = hex_read(nonce, sizeof(nonce), vector->nonce);
    assert_int_equal(roam_cid_plan_check(&plan, NULL), ROAM_OK);
    assert_int_equal(hex_read(expected, sizeof(expected), vector->cid), cid.len);
    cid_layout_write(&plan, nonce, &cid);
    if (key != NULL) {
        assert_true(block_cipher_init(&cipher, plan.key));
        cid_layout_encrypt(&plan, &cipher, &cid);
        block_cipher_done(&cipher);
    }
    assert_memory_equal(cid.bytes, expected, cid.len);

    assert_true(roam_cid_plan_decode(&plan, &cid, &parts));
    assert_int_equal(parts.config_id, vector->config_id);
    assert_int_equal(parts.server_id_bytes, plan.server_id_bytes);
    assert_memory_equal(parts.server_id, plan.server_id, sizeof(plan.server_id));
    assert_int_equal(parts.nonce_bytes, nonce_len);
    assert_memory_equal(parts.nonce, nonce, nonce_len);
}

static void unencrypted_vectors_come_out(void **state)
{
    (void)state;
    /* The draft prints the second nonce without its last digit; its CID has it. */
    static const struct vector vectors[] = {
        {0, "c4605e", "4504cc4f", "07c4605e4504cc4f"},
        {1, "350d28b420", "3487d970", "29350d28b4203487d970"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        check_vector(&vectors[i], NULL);
}

static void encrypted_vectors_come_out(void **state)
{
    (void)state;
    /* The third has one block, the others take four passes; the last one's first octet is 72, where the draft prints
     * 12: config id 3, 18 octets behind. */
    static const struct vector vectors[] = {
        {0, "ed793a", "ee080dbf", "0720b1d07b359d3c"},
        {1, "ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2"},
        {2, "ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"},
        {3, "ed793a51d49b8f5fab", "ee080dbf48c0d1e55d", "725779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        check_vector(&vectors[i], "8f95f09245765f80256934e50c66207f");
}

static void the_worked_example_of_the_cipher_comes_out(void **state)
{
    (void)state;
    static const struct vector example = {0, "31441a", "9c69c275", "0767947d29be054a"};
    check_vector(&example, "fdf726a9893ec05c0632d3956680baf0");
}

static void four_passes_can_be_undone_at_every_length(void **state)
{
    (void)state;
    struct block_cipher cipher;
    assert_true(block_cipher_init(&cipher, scatter_key));
    for (size_t len = 4; len <= 19; len++) {
        uint8_t text[20], once[20];
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = once[i] = (uint8_t)(7 * i + len);
        cid_feistel_encrypt(&cipher, once, len);
        assert_memory_not_equal(once, text, len);
        assert_memory_equal(once + len, text + len, sizeof(text) - len);
        cid_feistel_decrypt(&cipher, once, len);
        assert_memory_equal(once, text, len);
    }
    block_cipher_done(&cipher);
}

/* ---- Every kind of plan ------------------------------------------------------------------------------------------ */

static const roam_cid_plan plans[] = {
    {.kind = ROAM_CID_QUIC_LB, .config_id = 2, .server_id_bytes = 3, .server_id = {1, 2, 3}, .nonce_bytes = 4},
    {.kind = ROAM_CID_QUIC_LB,
     .config_id = 6,
     .encode_length = true,
     .server_id_bytes = 2,
     .server_id = {0xab, 0xcd},
     .nonce_bytes = 5,
     .has_key = true,
     .key = {1, 2, 3}},
    {.kind = ROAM_CID_QUIC_LB,
     .server_id_bytes = 8,
     .server_id = {9, 8, 7, 6, 5, 4, 3, 2},
     .nonce_bytes = 8,
     .extra_bytes = 2,
     .has_key = true,
     .key = {4, 5, 6}},
    {.kind = ROAM_CID_QUIC_LB,
     .server_id_bytes = 15,
     .server_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
     .nonce_bytes = 4,
     .has_key = true,
     .key = {7}},
    {.kind = ROAM_CID_KATRAN_V1,
     .server_id_bytes = 2,
     .server_id = {0xa5, 0x3c},
     .nonce_bytes = 4,
     .worker = 0xc7,
     .process = true},
    {.kind = ROAM_CID_KATRAN_V2, .server_id_bytes = 3, .server_id = {1, 0xfe, 3}, .nonce_bytes = 4, .worker = 1},
    {.kind = ROAM_CID_KATRAN_V3,
     .server_id_bytes = 4,
     .server_id = {0xff, 0, 1, 2},
     .nonce_bytes = 5,
     .worker = 255,
     .process = true},
    {.kind = ROAM_CID_AWS_NLB, .server_id_bytes = 8, .server_id = {8, 7, 6, 5, 4, 3, 2, 1}, .nonce_bytes = 7},
    {.kind = ROAM_CID_AWS_NLB, .server_id_bytes = 8, .server_id = {8, 7, 6, 5, 4, 3, 2, 1}, .nonce_bytes = 11},
};
#define PLANS (sizeof(plans) / sizeof(plans[0]))

static void what_is_made_to_a_plan_is_read_back(void **state)
{
    (void)state;
    static const uint8_t lengths[PLANS] = {8, 8, 19, 20, 8, 10, 12, 16, 20};
    for (size_t i = 0; i < PLANS; i++) {
        struct seeded seed = {i + 1};
        roam_rng rng = seeded_rng(&seed);
        struct cid_plan plan;
        roam_cid_parts parts;
        const char *why = "";
        if (roam_cid_plan_check(&plans[i], &why) != ROAM_OK)
            fail_msg("plan %zu: %s", i, why);
        assert_true(cid_plan_init(&plan, &plans[i], 0, &rng, scatter_key));
        for (unsigned n = 0; n < 1000; n++) {
            roam_cid cid;
            assert_true(cid_plan_generate(&plan, &cid, &rng));
            assert_int_equal(cid.len, lengths[i]);
            assert_true(roam_cid_plan_decode(&plans[i], &cid, &parts));
            assert_memory_equal(parts.server_id, plans[i].server_id, sizeof(parts.server_id));
            assert_int_equal(parts.worker, plans[i].worker);
            assert_int_equal(parts.process, plans[i].process);
            assert_int_equal(cid_plan_owner(&plan, &cid), CID_OWNER_SELF);
        }
        cid_plan_done(&plan);
    }
}

static void katrans_fields_stand_where_katran_looks_for_them(void **state)
{
    (void)state;
    uint8_t drawn = 0;
    roam_rng rng = {.fill = fill, .context = &drawn};
    struct cid_plan plan;
    roam_cid cid;
    assert_true(cid_plan_init(&plan, &plans[4], 0, &rng, scatter_key));
    cid_plan_generate(&plan, &cid, &rng);
    cid_plan_done(&plan);
    unsigned host = (cid.bytes[0] & 0x3fu) << 10 | cid.bytes[1] << 2 | cid.bytes[2] >> 6;
    unsigned worker = (cid.bytes[2] & 0x3fu) << 2 | cid.bytes[3] >> 6;
    assert_int_equal(cid.bytes[0] >> 6, 1);
    assert_int_equal(host, 0xa53c);
    assert_int_equal(worker, 0xc7);
    assert_int_equal(cid.bytes[3] & 0x20, 0x20);

    assert_true(cid_plan_init(&plan, &plans[6], 0, &rng, scatter_key));
    cid_plan_generate(&plan, &cid, &rng);
    cid_plan_done(&plan);
    assert_int_equal(cid.bytes[0] >> 6, 3);
    assert_memory_equal(cid.bytes + 1, "\xff\x00\x01\x02\xff", 5);
    assert_int_equal(cid.bytes[6] & 0x80, 0x80);
}

static void octets_of_plaintext_nonces_show_no_order(void **state)
{
    //= rfc9000#5.1-1 Whoever sees two CIDs of a plaintext plan learns the server from them, and not which came first.
    (void)state;
    struct seeded seed = {3};
    roam_rng rng = seeded_rng(&seed);
    struct cid_plan plan;
    roam_cid last = {0}, cid;
    unsigned same_high = 0, close = 0;
    assert_true(cid_plan_init(&plan, &plans[0], 0, &rng, scatter_key));
    for (unsigned n = 0; n < 4096; n++, last = cid) {
        cid_plan_generate(&plan, &cid, &rng);
        same_high += memcmp(last.bytes + 4, cid.bytes + 4, 3) == 0;
        close += (uint8_t)(cid.bytes[7] - last.bytes[7]) <= 1;
    }
    cid_plan_done(&plan);
    assert_in_range(same_high, 0, 2);
    assert_in_range(close, 4096 / 128 / 2, 2 * 4096 / 128);
}

static void only_bits_of_no_meaning_are_random(void **state)
{
    (void)state;
    struct seeded seed = {4};
    roam_rng rng = seeded_rng(&seed);
    struct cid_plan plan;
    roam_cid cid;
    uint8_t seen = 0;
    assert_true(cid_plan_init(&plan, &plans[0], 0, &rng, scatter_key));
    for (unsigned n = 0; n < 200; n++) {
        cid_plan_generate(&plan, &cid, &rng);
        assert_int_equal(cid.bytes[0] >> 5, 2);
        seen |= cid.bytes[0] & 0x1f;
    }
    cid_plan_done(&plan);
    assert_int_equal(seen, 0x1f);
}

/* ---- Whose is it? ------------------------------------------------------------------------------------------------ */

static void a_cid_of_another_server_or_worker_is_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLANS; i++) {
        struct seeded seed = {i};
        roam_rng rng = seeded_rng(&seed);
        roam_cid_plan other = plans[i];
        struct cid_plan plan, other_plan;
        roam_cid cid;
        other.server_id[0] ^= 1;
        assert_true(cid_plan_init(&plan, &plans[i], 0, &rng, scatter_key));
        assert_true(cid_plan_init(&other_plan, &other, 0, &rng, scatter_key));
        cid_plan_generate(&other_plan, &cid, &rng);
        assert_int_equal(cid_plan_owner(&plan, &cid), CID_OWNER_OTHER);
        cid_plan_done(&other_plan);
        if (plans[i].kind == ROAM_CID_KATRAN_V1) {
            other = plans[i];
            other.worker++;
            assert_true(cid_plan_init(&other_plan, &other, 0, &rng, scatter_key));
            cid_plan_generate(&other_plan, &cid, &rng);
            assert_int_equal(cid_plan_owner(&plan, &cid), CID_OWNER_OTHER);
            cid_plan_done(&other_plan);
        }
        cid_plan_done(&plan);
    }
}

static void without_the_key_a_cid_names_somebody_else(void **state)
{
    (void)state;
    struct seeded seed = {5};
    roam_rng rng = seeded_rng(&seed);
    roam_cid_plan wrong_key = plans[1];
    roam_cid_parts parts;
    struct cid_plan plan;
    unsigned guessed = 0;
    wrong_key.key[0] ^= 1;
    assert_true(cid_plan_init(&plan, &plans[1], 0, &rng, scatter_key));
    for (unsigned n = 0; n < 200; n++) {
        roam_cid cid;
        cid_plan_generate(&plan, &cid, &rng);
        assert_true(roam_cid_plan_decode(&wrong_key, &cid, &parts));
        guessed += memcmp(parts.server_id, plans[1].server_id, 2) == 0;
    }
    cid_plan_done(&plan);
    assert_in_range(guessed, 0, 1);
}

static void a_cid_of_another_configuration_length_or_version_is_not_read(void **state)
{
    (void)state;
    struct seeded seed = {6};
    roam_rng rng = seeded_rng(&seed);
    for (size_t i = 0; i < PLANS; i++) {
        struct cid_plan plan;
        roam_cid_parts parts = {.worker = 77};
        roam_cid cid;
        assert_true(cid_plan_init(&plan, &plans[i], 0, &rng, scatter_key));
        cid_plan_generate(&plan, &cid, &rng);
        cid_plan_done(&plan);
        roam_cid cut = cid, other = cid;
        cut.len = (uint8_t)(cid.len - plans[i].extra_bytes - 1);
        assert_false(roam_cid_plan_decode(&plans[i], &cut, &parts));
        other.bytes[0] ^= 0x80;
        if (plans[i].kind != ROAM_CID_AWS_NLB)
            assert_false(roam_cid_plan_decode(&plans[i], &other, &parts));
        assert_int_equal(parts.worker, 77);
    }
    const roam_cid_plan random = {0};
    roam_cid_parts parts;
    const roam_cid cid = {.len = 8};
    assert_false(roam_cid_plan_decode(&random, &cid, &parts));
}

static void plans_that_differ_have_different_scopes(void **state)
{
    //= rfc9000#21.11-1 What sets the keys of one server apart from those of another.
    (void)state;
    uint8_t scopes[PLANS + 1][CID_SCOPE_BYTES_MAX] = {0};
    size_t lens[PLANS + 1];
    struct seeded seed = {7};
    roam_rng rng = seeded_rng(&seed);
    roam_cid_plan neighbour = plans[0];
    neighbour.server_id[2]++;
    for (size_t i = 0; i <= PLANS - 1; i++) {
        struct cid_plan plan;
        assert_true(cid_plan_init(&plan, i == PLANS - 1 ? &neighbour : &plans[i], 0, &rng, scatter_key));
        lens[i] = cid_plan_scope(&plan, scopes[i]);
        assert_in_range(lens[i], 1, CID_SCOPE_BYTES_MAX);
        for (size_t j = 0; j < i; j++)
            assert_false(lens[i] == lens[j] && memcmp(scopes[i], scopes[j], lens[i]) == 0);
        cid_plan_done(&plan);
    }
    struct cid_plan plan;
    const roam_cid_plan random = {0};
    assert_true(cid_plan_init(&plan, &random, 8, &rng, scatter_key));
    assert_int_equal(cid_plan_scope(&plan, scopes[0]), 0);
    cid_plan_done(&plan);
}

/* ---- Nonces ------------------------------------------------------------------------------------------------------ */

static int compare_cids(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

static void no_nonce_comes_twice(void **state)
{
    //= rfc9000#5.1-2 Never issue the same CID value twice.
    (void)state;
    enum { N = 50000 };
    static uint8_t cids[N][8];
    for (size_t i = 0; i < 2; i++) {
        struct seeded seed = {8};
        roam_rng rng = seeded_rng(&seed);
        struct cid_plan plan;
        assert_true(cid_plan_init(&plan, &plans[i], 0, &rng, scatter_key));
        for (size_t n = 0; n < N; n++) {
            roam_cid cid;
            cid_plan_generate(&plan, &cid, &rng);
            cid.bytes[0] = 0; /* its random bits do not count */
            memcpy(cids[n], cid.bytes, 8);
        }
        cid_plan_done(&plan);
        qsort(cids, N, 8, compare_cids);
        for (size_t n = 1; n < N; n++)
            assert_memory_not_equal(cids[n - 1], cids[n], 8);
    }
}

static void two_runs_begin_at_different_nonces(void **state)
{
    //= rfc9000#10.3.2-3 Never repeat a (CID, static key) pair.
    (void)state;
    struct seeded seed = {9};
    roam_rng rng = seeded_rng(&seed);
    struct cid_plan first, second;
    roam_cid_parts a, b;
    roam_cid cid;
    assert_true(cid_plan_init(&first, &plans[1], 0, &rng, scatter_key));
    assert_true(cid_plan_init(&second, &plans[1], 0, &rng, scatter_key));
    cid_plan_generate(&first, &cid, &rng);
    assert_true(roam_cid_plan_decode(&plans[1], &cid, &a));
    cid_plan_generate(&second, &cid, &rng);
    assert_true(roam_cid_plan_decode(&plans[1], &cid, &b));
    assert_memory_not_equal(a.nonce, b.nonce, 4);
    cid_plan_done(&first);
    cid_plan_done(&second);
}

static void when_all_nonces_are_given_cids_say_that_they_cannot_be_routed(void **state)
{
    (void)state;
    struct seeded seed = {10};
    roam_rng rng = seeded_rng(&seed);
    struct cid_plan plan;
    roam_cid last, cid;
    roam_cid_parts parts;
    assert_true(cid_plan_init(&plan, &plans[0], 0, &rng, scatter_key));
    plan.issued = UINT64_C(0xffffffff);
    assert_true(cid_plan_generate(&plan, &last, &rng));
    assert_true(roam_cid_plan_decode(&plans[0], &last, &parts));
    for (unsigned n = 0; n < 100; n++) {
        assert_false(cid_plan_generate(&plan, &cid, &rng));
        assert_int_equal(cid.len, 8);
        assert_int_equal(cid.bytes[0], 0xe7);
        assert_int_equal(cid_plan_owner(&plan, &cid), CID_OWNER_UNKNOWN);
    }
    assert_true(plan.issued == UINT64_C(0x100000000));
    cid_plan_done(&plan);
}

static void nonces_of_eight_octets_and_more_do_not_run_out(void **state)
{
    (void)state;
    struct seeded seed = {11};
    roam_rng rng = seeded_rng(&seed);
    struct cid_plan plan;
    roam_cid cid;
    assert_true(cid_plan_init(&plan, &plans[2], 0, &rng, scatter_key));
    plan.issued = UINT64_MAX - 1;
    for (unsigned n = 0; n < 4; n++)
        assert_true(cid_plan_generate(&plan, &cid, &rng));
    cid_plan_done(&plan);
}

static void a_server_without_configuration_says_so_and_tells_the_length(void **state)
{
    (void)state;
    const roam_cid_plan none = {.kind = ROAM_CID_QUIC_LB, .config_id = ROAM_CID_UNROUTABLE, .nonce_bytes = 11};
    struct seeded seed = {12};
    roam_rng rng = seeded_rng(&seed);
    struct cid_plan plan;
    roam_cid cid, other;
    roam_cid_parts parts;
    assert_int_equal(roam_cid_plan_check(&none, NULL), ROAM_OK);
    assert_true(cid_plan_init(&plan, &none, 0, &rng, scatter_key));
    assert_true(cid_plan_generate(&plan, &cid, &rng));
    assert_true(cid_plan_generate(&plan, &other, &rng));
    assert_int_equal(cid.len, 12);
    assert_int_equal(cid.bytes[0], 7 << 5 | 11);
    assert_memory_not_equal(cid.bytes + 1, other.bytes + 1, 11);
    assert_false(roam_cid_plan_decode(&none, &cid, &parts));
    cid_plan_done(&plan);
}

static void a_retrys_cid_uses_up_no_nonce(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLANS; i++) {
        struct seeded seed = {13};
        roam_rng rng = seeded_rng(&seed);
        struct cid_plan plan;
        roam_cid cid;
        roam_cid_parts parts;
        assert_true(cid_plan_init(&plan, &plans[i], 0, &rng, scatter_key));
        cid_plan_stray(&plan, &cid, 8, &rng);
        assert_true(plan.issued == 0);
        if (plans[i].has_key)
            assert_int_equal(cid.bytes[0], 7 << 5 | (cid.len - 1));
        else
            assert_true(roam_cid_plan_decode(&plans[i], &cid, &parts) &&
                        memcmp(parts.server_id, plans[i].server_id, sizeof(parts.server_id)) == 0);
        cid_plan_done(&plan);
    }
}

/* ---- What is refused --------------------------------------------------------------------------------------------- */

static void expect_refused(roam_cid_plan plan, const char *expected)
{
    const char *why = "nothing";
    assert_int_equal(roam_cid_plan_check(&plan, &why), ROAM_ERR_CONFIG);
    assert_string_equal(why, expected);
    assert_int_equal(roam_cid_plan_check(&plan, NULL), ROAM_ERR_CONFIG);
}

static void random_cids_have_nothing_that_can_be_configured(void **state)
{
    (void)state;
    const roam_cid_plan plans_of_one_part[] = {
        {.config_id = 1},   {.encode_length = true}, {.server_id_bytes = 1}, {.nonce_bytes = 4},
        {.extra_bytes = 1}, {.has_key = true},       {.worker = 1},          {.process = true},
    };
    const roam_cid_plan plain = {.kind = ROAM_CID_RANDOM};
    assert_int_equal(roam_cid_plan_check(&plain, NULL), ROAM_OK);
    assert_int_equal(roam_cid_plan_length(&plain), 0);
    for (size_t i = 0; i < sizeof(plans_of_one_part) / sizeof(*plans_of_one_part); i++)
        expect_refused(plans_of_one_part[i], "random CIDs have no parts to configure");
}

static void what_only_quic_lb_has_is_refused_elsewhere(void **state)
{
    (void)state;
    for (size_t i = 4; i < 8; i++) {
        roam_cid_plan plan = plans[i];
        plan.config_id = 1;
        expect_refused(plan, "only QUIC-LB has a config id, an encoded length and a key");
        plan = plans[i];
        plan.encode_length = true;
        expect_refused(plan, "only QUIC-LB has a config id, an encoded length and a key");
    }
    roam_cid_plan plan = plans[0];
    plan.process = true;
    expect_refused(plan, "only Katran's CIDs have a worker and a process bit");
    plan = plans[0];
    plan.config_id = ROAM_CID_UNROUTABLE;
    memset(plan.server_id, 0, sizeof(plan.server_id));
    plan.server_id_bytes = 0;
    plan.nonce_bytes = 7;
    plan.has_key = true;
    expect_refused(plan, "a server without a configuration has no server id and no key");
}

static void a_host_id_has_the_length_of_its_version(void **state)
{
    (void)state;
    static const char *const expected[] = {"a host id of Katran v1 has 2 octets", "a host id of Katran v2 has 3 octets",
                                           "a host id of Katran v3 has 4 octets",
                                           "a server id of AWS's balancer has 8 octets"};
    static const enum roam_cid_plan_kind kinds[] = {ROAM_CID_KATRAN_V1, ROAM_CID_KATRAN_V2, ROAM_CID_KATRAN_V3,
                                                    ROAM_CID_AWS_NLB};
    for (size_t i = 0; i < 4; i++)
        expect_refused((roam_cid_plan){.kind = kinds[i], .server_id_bytes = 5, .nonce_bytes = 5}, expected[i]);
}

static void what_makes_no_sense_is_refused_with_the_reason(void **state)
{
    (void)state;
    roam_cid_plan plan = {.kind = ROAM_CID_PLAN_KINDS};
    expect_refused(plan, "there is no such kind of plan");
    plan = (roam_cid_plan){.nonce_bytes = 4};
    expect_refused(plan, "random CIDs have no parts to configure");
    plan = plans[0];
    plan.config_id = 8;
    expect_refused(plan, "a config id is 0 to 6, or 7 for none");
    plan = plans[0];
    plan.server_id_bytes = 0;
    expect_refused(plan, "the server id is longer than its length says");
    plan = (roam_cid_plan){.kind = ROAM_CID_QUIC_LB, .nonce_bytes = 8};
    expect_refused(plan, "a server id has at least 1 octet");
    plan = plans[0];
    plan.nonce_bytes = 3;
    expect_refused(plan, "a nonce has at least 4 octets");
    plan = plans[0];
    plan.server_id_bytes = 16;
    expect_refused(plan, "a server id has at most 15 octets");
    plan = plans[3];
    plan.nonce_bytes = 5;
    expect_refused(plan, "a connection ID has at most 20 octets");
    plan = plans[0];
    plan.config_id = ROAM_CID_UNROUTABLE;
    expect_refused(plan, "a server without a configuration has no server id and no key");
    plan = (roam_cid_plan){.kind = ROAM_CID_QUIC_LB, .server_id_bytes = 2, .nonce_bytes = 4};
    expect_refused(plan, "a connection ID that names a server has at least 8 octets");
    plan = plans[4];
    plan.server_id_bytes = 3;
    expect_refused(plan, "a host id of Katran v1 has 2 octets");
    plan = plans[7];
    plan.server_id_bytes = 9;
    expect_refused(plan, "a server id of AWS's balancer has 8 octets");
    plan = plans[4];
    plan.has_key = true;
    expect_refused(plan, "only QUIC-LB has a config id, an encoded length and a key");
    plan = plans[0];
    plan.worker = 1;
    expect_refused(plan, "only Katran's CIDs have a worker and a process bit");
    plan = plans[0];
    plan.key[15] = 1;
    expect_refused(plan, "there is a key that is not to be used");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_zero_and_four_to_twenty_octets_are_lengths),
        cmocka_unit_test(every_octet_of_a_random_cid_comes_from_the_source_of_randomness),
        cmocka_unit_test(two_random_cids_have_nothing_in_common),
        cmocka_unit_test(octets_past_the_length_are_zero),
        cmocka_unit_test(unencrypted_vectors_come_out),
        cmocka_unit_test(encrypted_vectors_come_out),
        cmocka_unit_test(the_worked_example_of_the_cipher_comes_out),
        cmocka_unit_test(four_passes_can_be_undone_at_every_length),
        cmocka_unit_test(what_is_made_to_a_plan_is_read_back),
        cmocka_unit_test(katrans_fields_stand_where_katran_looks_for_them),
        cmocka_unit_test(octets_of_plaintext_nonces_show_no_order),
        cmocka_unit_test(only_bits_of_no_meaning_are_random),
        cmocka_unit_test(a_cid_of_another_server_or_worker_is_told_apart),
        cmocka_unit_test(without_the_key_a_cid_names_somebody_else),
        cmocka_unit_test(a_cid_of_another_configuration_length_or_version_is_not_read),
        cmocka_unit_test(plans_that_differ_have_different_scopes),
        cmocka_unit_test(no_nonce_comes_twice),
        cmocka_unit_test(two_runs_begin_at_different_nonces),
        cmocka_unit_test(when_all_nonces_are_given_cids_say_that_they_cannot_be_routed),
        cmocka_unit_test(nonces_of_eight_octets_and_more_do_not_run_out),
        cmocka_unit_test(a_server_without_configuration_says_so_and_tells_the_length),
        cmocka_unit_test(a_retrys_cid_uses_up_no_nonce),
        cmocka_unit_test(random_cids_have_nothing_that_can_be_configured),
        cmocka_unit_test(what_only_quic_lb_has_is_refused_elsewhere),
        cmocka_unit_test(a_host_id_has_the_length_of_its_version),
        cmocka_unit_test(what_makes_no_sense_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
