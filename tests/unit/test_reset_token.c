/* Stateless reset tokens: the same for ever, different for every CID and every key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/reset_token.h"

static void the_same_key_and_cid_make_the_same_token(void **state)
{
    (void)state;
    const uint8_t static_key[32] = {1, 2, 3};
    uint8_t key[RESET_KEY_BYTES], key_after_restart[RESET_KEY_BYTES], one[16], two[16];
    const roam_cid cid = {.len = 8, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
    reset_key_derive(key, static_key, sizeof(static_key));
    reset_key_derive(key_after_restart, static_key, sizeof(static_key));
    reset_token_make(one, key, &cid);
    reset_token_make(two, key_after_restart, &cid);
    assert_memory_equal(one, two, sizeof(one));
}

static void every_bit_of_the_cid_and_of_the_key_changes_the_token(void **state)
{
    //= rfc9000#10.3.2-1 Tokens are hard to guess.
    //= rfc9000#10.3.2-5 One token never serves several CIDs.
    (void)state;
    uint8_t static_key[32] = {9}, key[RESET_KEY_BYTES], token[16], other[16];
    roam_cid cid = {.len = 8, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
    reset_key_derive(key, static_key, sizeof(static_key));
    reset_token_make(token, key, &cid);
    for (size_t bit = 0; bit < 64; bit++) {
        cid.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        reset_token_make(other, key, &cid);
        assert_memory_not_equal(token, other, sizeof(token));
        cid.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 256; bit++) {
        static_key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        reset_key_derive(key, static_key, sizeof(static_key));
        reset_token_make(other, key, &cid);
        assert_memory_not_equal(token, other, sizeof(token));
        static_key[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_cid_and_its_extension_by_zeros_have_different_tokens(void **state)
{
    (void)state;
    const uint8_t key[RESET_KEY_BYTES] = {5};
    uint8_t tokens[ROAM_CID_MAX + 1][16];
    for (uint8_t len = 0; len <= ROAM_CID_MAX; len++) {
        const roam_cid cid = {.len = len};
        reset_token_make(tokens[len], key, &cid);
        for (uint8_t shorter = 0; shorter < len; shorter++)
            assert_memory_not_equal(tokens[shorter], tokens[len], 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_key_and_cid_make_the_same_token),
        cmocka_unit_test(every_bit_of_the_cid_and_of_the_key_changes_the_token),
        cmocka_unit_test(a_cid_and_its_extension_by_zeros_have_different_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
