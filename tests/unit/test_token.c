/* Address validation tokens: bound to address, kind and time, unforgeable, and not to be linked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/token.h"
#include "unit/seeded.h"

#define RETRY_LIFETIME ROAM_SECONDS(10)
#define NEW_LIFETIME   ROAM_SECONDS(86400)
#define ISSUED         ROAM_SECONDS(1000000)

static struct seeded seeded;

static void fill(void *context, void *buf, size_t len)
{
    seeded_fill((struct seeded *)context, buf, len);
}

static const roam_rng rng = {fill, &seeded};
static const roam_address client = {.ip = {192, 168, 1, 10}, .port = 50000, .family = ROAM_FAMILY_IPV4};
static uint8_t key[TOKEN_KEY_BYTES];

static int derive(void **state)
{
    (void)state;
    const uint8_t static_key[32] = {42};
    seeded.state = 1;
    token_key_derive(key, static_key, sizeof(static_key));
    return 0;
}

static const struct token retry = {
    .kind = TOKEN_RETRY,
    .issued = ISSUED,
    .original_dcid = {.len = 20, .bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}},
    .retry_scid = {.len = 8, .bytes = {8, 7, 6, 5, 4, 3, 2, 1}},
};
static const struct token new_token = {.kind = TOKEN_NEW, .issued = ISSUED};

static enum token_verdict open_at(struct token *ret, const uint8_t *data, size_t len, const roam_address *remote,
                                  roam_time now)
{
    return token_open(ret, key, data, len, remote, now, RETRY_LIFETIME, NEW_LIFETIME);
}

static void a_retry_token_brings_back_its_cids(void **state)
{
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    struct token token;
    size_t len = token_seal(data, key, &rng, &retry, &client);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED + ROAM_SECONDS(1)), TOKEN_VALID);
    assert_int_equal(token.kind, TOKEN_RETRY);
    assert_int_equal(token.issued, ISSUED);
    assert_int_equal(token.original_dcid.len, 20);
    assert_memory_equal(token.original_dcid.bytes, retry.original_dcid.bytes, 20);
    assert_int_equal(token.retry_scid.len, 8);
    assert_memory_equal(token.retry_scid.bytes, retry.retry_scid.bytes, 8);
}

static void retry_and_new_token_are_told_apart_whatever_the_verdict(void **state)
{
    //= rfc9000#8.1.1-1 Server can tell a Retry token from a NEW_TOKEN token.
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    struct token token = {0};
    roam_address elsewhere = client;
    elsewhere.ip[3] = 11;
    size_t len = token_seal(data, key, &rng, &new_token, &client);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED), TOKEN_VALID);
    assert_int_equal(token.kind, TOKEN_NEW);
    token.kind = 0;
    assert_int_equal(open_at(&token, data, len, &elsewhere, ISSUED), TOKEN_WRONG_ADDRESS);
    assert_int_equal(token.kind, TOKEN_NEW);
    len = token_seal(data, key, &rng, &retry, &client);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED + ROAM_SECONDS(60)), TOKEN_EXPIRED);
    assert_int_equal(token.kind, TOKEN_RETRY);
}

static void every_flipped_bit_is_refused(void **state)
{
    //= rfc9000#8.1.4-2 Tokens are integrity-protected against change or forging by clients.
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    const struct token *tokens[] = {&retry, &new_token};
    for (size_t t = 0; t < 2; t++) {
        size_t len = token_seal(data, key, &rng, tokens[t], &client);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            struct token token = {.issued = 77};
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(open_at(&token, data, len, &client, ISSUED), TOKEN_UNKNOWN);
            assert_int_equal(token.issued, 77); /* untouched */
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void a_token_cut_short_or_lengthened_is_refused(void **state)
{
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX + 64] = {0};
    struct token token;
    size_t len = token_seal(data, key, &rng, &retry, &client);
    for (size_t other = 0; other <= sizeof(data); other++)
        if (other != len)
            assert_int_equal(open_at(&token, data, other, &client, ISSUED), TOKEN_UNKNOWN);
}

static void a_retry_token_is_bound_to_ip_and_port(void **state)
{
    //= rfc9000#8.1.4-3 Retry tokens bind source IP and port.
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    struct token token;
    roam_address other_port = client, other_ip = client, ipv6 = {.family = ROAM_FAMILY_IPV6, .port = 50000};
    other_port.port++;
    other_ip.ip[0]++;
    memcpy(ipv6.ip, client.ip, 4);
    size_t len = token_seal(data, key, &rng, &retry, &client);
    assert_int_equal(open_at(&token, data, len, &other_port, ISSUED), TOKEN_WRONG_ADDRESS);
    assert_int_equal(open_at(&token, data, len, &other_ip, ISSUED), TOKEN_WRONG_ADDRESS);
    assert_int_equal(open_at(&token, data, len, &ipv6, ISSUED), TOKEN_WRONG_ADDRESS);
}

static void a_new_token_is_bound_to_the_ip_alone(void **state)
{
    //= rfc9000#8.1.4-4 NEW_TOKEN tokens bind the client IP address (so a change is noticed).
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    struct token token;
    roam_address other_port = client, other_ip = client;
    other_port.port++;
    other_ip.ip[3]++;
    size_t len = token_seal(data, key, &rng, &new_token, &client);
    assert_int_equal(open_at(&token, data, len, &other_port, ISSUED), TOKEN_VALID);
    assert_int_equal(open_at(&token, data, len, &other_ip, ISSUED), TOKEN_WRONG_ADDRESS);
}

static void an_ipv4_address_mapped_into_ipv6_is_the_same_address(void **state)
{
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    struct token token;
    roam_address mapped = {.ip = {[10] = 0xff, 0xff, 192, 168, 1, 10}, .port = 50000, .family = ROAM_FAMILY_IPV6};
    size_t len = token_seal(data, key, &rng, &retry, &mapped);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED), TOKEN_VALID);
}

static void a_token_lives_as_long_as_its_kind_may(void **state)
{
    //= rfc9000#8.1.3-5 Tokens expire.
    //= rfc9000#8.1.4-7 Retry tokens live only briefly.
    //= rfc9000#21.3-1 Limit token use and lifetime against spoofed 0-RTT amplification.
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    struct token token;
    size_t len = token_seal(data, key, &rng, &retry, &client);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED + RETRY_LIFETIME), TOKEN_VALID);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED + RETRY_LIFETIME + 1), TOKEN_EXPIRED);
    len = token_seal(data, key, &rng, &new_token, &client);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED + RETRY_LIFETIME + 1), TOKEN_VALID);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED + NEW_LIFETIME + 1), TOKEN_EXPIRED);
}

static void a_token_from_the_future_is_expired_but_for_clocks_that_differ_a_little(void **state)
{
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    struct token token;
    size_t len = token_seal(data, key, &rng, &retry, &client);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED - TOKEN_CLOCK_SKEW), TOKEN_VALID);
    assert_int_equal(open_at(&token, data, len, &client, ISSUED - TOKEN_CLOCK_SKEW - 1), TOKEN_EXPIRED);
}

static void another_key_opens_nothing(void **state)
{
    //= rfc9000#8.1.4-1 Tokens are hard to guess.
    (void)state;
    uint8_t data[TOKEN_BYTES_MAX];
    const uint8_t other_static_key[32] = {43};
    struct token token;
    size_t len = token_seal(data, key, &rng, &retry, &client);
    token_key_derive(key, other_static_key, sizeof(other_static_key));
    assert_int_equal(open_at(&token, data, len, &client, ISSUED), TOKEN_UNKNOWN);
}

static void two_tokens_for_the_same_address_have_nothing_in_common(void **state)
{
    //= rfc9000#8.1.3-6 A NEW_TOKEN value must not let an observer link it to the connection that issued it.
    //= rfc9000#8.1.3-7 Every NEW_TOKEN value is unique across clients, retransmissions aside.
    (void)state;
    uint8_t one[TOKEN_BYTES_MAX], two[TOKEN_BYTES_MAX];
    size_t len = token_seal(one, key, &rng, &new_token, &client);
    assert_int_equal(token_seal(two, key, &rng, &new_token, &client), len);
    for (size_t at = 0; at + 4 <= len; at++)
        assert_memory_not_equal(one + at, two + at, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_retry_token_brings_back_its_cids, derive),
        cmocka_unit_test_setup(retry_and_new_token_are_told_apart_whatever_the_verdict, derive),
        cmocka_unit_test_setup(every_flipped_bit_is_refused, derive),
        cmocka_unit_test_setup(a_token_cut_short_or_lengthened_is_refused, derive),
        cmocka_unit_test_setup(a_retry_token_is_bound_to_ip_and_port, derive),
        cmocka_unit_test_setup(a_new_token_is_bound_to_the_ip_alone, derive),
        cmocka_unit_test_setup(an_ipv4_address_mapped_into_ipv6_is_the_same_address, derive),
        cmocka_unit_test_setup(a_token_lives_as_long_as_its_kind_may, derive),
        cmocka_unit_test_setup(a_token_from_the_future_is_expired_but_for_clocks_that_differ_a_little, derive),
        cmocka_unit_test_setup(another_key_opens_nothing, derive),
        cmocka_unit_test_setup(two_tokens_for_the_same_address_have_nothing_in_common, derive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
