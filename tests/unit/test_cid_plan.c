/* How a CID of ours is laid out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cid/cid_plan.h"

static void fill(void *context, void *buf, size_t len)
{
    uint8_t *next = context;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = ++*next;
}

static void only_zero_and_four_to_twenty_octets_are_lengths(void **state)
{
    (void)state;
    for (unsigned len = 0; len <= UINT8_MAX; len++)
        assert_int_equal(cid_plan_length_is_valid((uint8_t)len), len == 0 || (len >= 4 && len <= 20));
}

static void every_octet_of_a_cid_comes_from_the_source_of_randomness(void **state)
{
    (void)state;
    uint8_t drawn = 0;
    roam_rng rng = {.fill = fill, .context = &drawn};
    roam_cid cid;
    cid_plan_generate(&cid, 8, &rng);
    assert_int_equal(cid.len, 8);
    assert_memory_equal(cid.bytes, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(drawn, 8);
}

/* 9000-5.1-1: nothing of the one is in the other. */
static void two_cids_have_nothing_in_common(void **state)
{
    //= rfc9000#5.1-1 A connection ID must carry nothing that lets an outside observer tie it to another CID of the same
    // connection.
    (void)state;
    uint8_t drawn = 0;
    roam_rng rng = {.fill = fill, .context = &drawn};
    roam_cid a, b;
    cid_plan_generate(&a, 20, &rng);
    cid_plan_generate(&b, 20, &rng);
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
        cid_plan_generate(&cid, len, &rng);
        assert_int_equal(cid.len, len);
        assert_int_equal(drawn, len);
        assert_memory_equal(cid.bytes + len, zero, (size_t)(ROAM_CID_MAX - len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_zero_and_four_to_twenty_octets_are_lengths),
        cmocka_unit_test(every_octet_of_a_cid_comes_from_the_source_of_randomness),
        cmocka_unit_test(two_cids_have_nothing_in_common),
        cmocka_unit_test(octets_past_the_length_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
