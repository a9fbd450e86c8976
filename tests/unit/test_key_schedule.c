/* Keys from secrets: appendix A.1, A.4 and A.5 of RFC 9001 and RFC 9369, RFC 5869, and what our own keys must keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "crypto/key_schedule.h"
#include "unit/hex.h"
#include "unit/rfc9001_appendix_a.h"
#include "unit/rfc9369_appendix_a.h"

static roam_cid cid_of(const char *text)
{
    roam_cid cid = {0};
    cid.len = (uint8_t)hex_read(cid.bytes, sizeof(cid.bytes), text);
    return cid;
}

/* What appendix A of the RFC of each version derives. */
struct expected {
    uint32_t version;
    const char *client_secret, *client_key, *client_iv, *client_hp, *server_secret, *server_key, *server_iv, *server_hp;
    const char *key, *iv, *hp, *next_secret, *retry, *retry_tag;
};

static const struct expected expected[] = {
    {QUIC_VERSION_1, A1_CLIENT_SECRET, A1_CLIENT_KEY, A1_CLIENT_IV, A1_CLIENT_HP, A1_SERVER_SECRET, A1_SERVER_KEY,
     A1_SERVER_IV, A1_SERVER_HP, A5_KEY, A5_IV, A5_HP, A5_NEXT_SECRET, A4_RETRY, A4_TAG},
    {QUIC_VERSION_2, V2_CLIENT_SECRET, V2_CLIENT_KEY, V2_CLIENT_IV, V2_CLIENT_HP, V2_SERVER_SECRET, V2_SERVER_KEY,
     V2_SERVER_IV, V2_SERVER_HP, V2_A5_KEY, V2_A5_IV, V2_A5_HP, V2_A5_NEXT_SECRET, V2_A4_RETRY, V2_A4_TAG},
};

static void assert_keys(const struct quic_version *version, enum aead_suite suite, const uint8_t *secret,
                        const char *key, const char *iv, const char *hp)
{
    uint8_t octets[32];
    size_t key_bytes = aead_suite_info(suite)->key_bytes;
    hkdf_expand_label(suite, secret, version->key_label, octets, key_bytes);
    assert_hex(octets, key);
    hkdf_expand_label(suite, secret, version->iv_label, octets, 12);
    assert_hex(octets, iv);
    hkdf_expand_label(suite, secret, version->hp_label, octets, key_bytes);
    assert_hex(octets, hp);
}

static void initial_secrets_are_those_of_appendix_a(void **state)
{
    //= rfc9369#3.3.1-1 Version 2 has an initial salt of its own.
    (void)state;
    for (size_t i = 0; i < QUIC_VERSIONS_KNOWN; i++) {
        const struct quic_version *version = quic_version_find(expected[i].version);
        uint8_t client[32], server[32];
        roam_cid dcid = cid_of(A1_DCID);
        initial_secrets(version, &dcid, client, server);
        assert_hex(client, expected[i].client_secret);
        assert_hex(server, expected[i].server_secret);
        assert_keys(version, AEAD_AES_128_GCM, client, expected[i].client_key, expected[i].client_iv,
                    expected[i].client_hp);
        assert_keys(version, AEAD_AES_128_GCM, server, expected[i].server_key, expected[i].server_iv,
                    expected[i].server_hp);
    }
}

static void chacha20_keys_and_the_next_secret_are_those_of_appendix_a(void **state)
{
    //= rfc9369#3.3.2-1 Labels of keys begin with quicv2.
    (void)state;
    for (size_t i = 0; i < QUIC_VERSIONS_KNOWN; i++) {
        const struct quic_version *version = quic_version_find(expected[i].version);
        uint8_t secret[32], next[32];
        hex_read(secret, sizeof(secret), A5_SECRET);
        assert_keys(version, AEAD_CHACHA20_POLY1305, secret, expected[i].key, expected[i].iv, expected[i].hp);
        next_secret(version, AEAD_CHACHA20_POLY1305, secret, next);
        assert_hex(next, expected[i].next_secret);
    }
}

static void the_retry_tag_is_that_of_appendix_a(void **state)
{
    //= rfc9369#3.3.3-1 Version 2 has a key and a nonce of its own for the Retry Integrity Tag.
    (void)state;
    for (size_t i = 0; i < QUIC_VERSIONS_KNOWN; i++) {
        uint8_t retry[64], tag[RETRY_TAG_BYTES];
        roam_cid original = cid_of(A1_DCID);
        size_t len = hex_read(retry, sizeof(retry), expected[i].retry);
        retry_integrity_tag(quic_version_find(expected[i].version), &original, retry, len, tag);
        assert_hex(tag, expected[i].retry_tag);
    }
}

static void a_reserved_version_is_nobodys_and_looks_like_version_1(void **state)
{
    (void)state;
    assert_true(quic_version_is_reserved(0x1a2a3a4a));
    assert_false(quic_version_is_reserved(QUIC_VERSION_2));
    assert_true(quic_version_is_reserved(quic_version_reserve(0x12345678)));
    assert_null(quic_version_find(0x1a2a3a4a));
    assert_null(quic_version_find(0));
    assert_ptr_equal(quic_version_like(0x1a2a3a4a), quic_version_find(QUIC_VERSION_1));
    assert_ptr_equal(quic_version_like(QUIC_VERSION_2), quic_version_find(QUIC_VERSION_2));
}

static void every_bit_of_a_retry_and_of_the_original_cid_changes_its_tag(void **state)
{
    (void)state;
    uint8_t retry[64], tag[RETRY_TAG_BYTES], other[RETRY_TAG_BYTES];
    roam_cid original = cid_of(A1_DCID);
    size_t len = hex_read(retry, sizeof(retry), A4_RETRY);
    retry_integrity_tag(&quic_versions[0], &original, retry, len, tag);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        retry[bit / 8] ^= (uint8_t)(1u << bit % 8);
        retry_integrity_tag(&quic_versions[0], &original, retry, len, other);
        assert_memory_not_equal(tag, other, sizeof(tag));
        retry[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8u * original.len; bit++) {
        original.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        retry_integrity_tag(&quic_versions[0], &original, retry, len, other);
        assert_memory_not_equal(tag, other, sizeof(tag));
        original.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    original.len = 0;
    retry_integrity_tag(&quic_versions[0], &original, retry, len, other);
    assert_memory_not_equal(tag, other, sizeof(tag));
}

/* RFC 5869 appendix A.1 and A.2; RFC 4231 section 4.7 has a key longer than a block. */
static void hkdf_and_hmac_are_those_of_their_rfcs(void **state)
{
    (void)state;
    struct hmac_key pseudorandom;
    uint8_t salt[13], ikm[22], info[80], secret[48], okm[82], key[131];
    hex_read(salt, sizeof(salt), "000102030405060708090a0b0c");
    hex_read(info, sizeof(info), "f0f1f2f3f4f5f6f7f8f9");
    memset(ikm, 0x0b, sizeof(ikm));
    hmac(HASH_SHA256, salt, sizeof(salt), ikm, sizeof(ikm), secret);
    assert_hex(secret, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    hmac_key_init(&pseudorandom, HASH_SHA256, secret, 32);
    hkdf_expand(&pseudorandom, info, 10, okm, 42);
    assert_hex(okm, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");

    hex_read(secret, sizeof(secret), "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244");
    for (size_t i = 0; i < sizeof(info); i++)
        info[i] = (uint8_t)(0xb0 + i);
    hmac_key_init(&pseudorandom, HASH_SHA256, secret, 32);
    for (int again = 0; again < 2; again++)
        hkdf_expand(&pseudorandom, info, sizeof(info), okm, sizeof(okm));
    assert_hex(okm, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                    "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");

    memset(key, 0xaa, sizeof(key));
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    hmac(HASH_SHA256, key, sizeof(key), text, strlen(text), secret);
    assert_hex(secret, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac(HASH_SHA384, key, sizeof(key), text, strlen(text), secret);
    assert_hex(secret,
               "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952");
}

static void aes_256_hashes_with_sha_384(void **state)
{
    (void)state;
    uint8_t secret[48] = {1}, next[48], again[48];
    next_secret(&quic_versions[0], AEAD_AES_256_GCM, secret, next);
    next_secret(&quic_versions[0], AEAD_AES_256_GCM, secret, again);
    assert_memory_equal(next, again, sizeof(next));
    secret[47] ^= 1; /* the last of 48 octets counts */
    next_secret(&quic_versions[0], AEAD_AES_256_GCM, secret, again);
    assert_memory_not_equal(next, again, sizeof(next));
}

static void derived_keys_differ_by_key_and_by_label(void **state)
{
    (void)state;
    uint8_t static_key[32] = {1}, one[64], same[64], other_label[64], other_key[64];
    derive_key(static_key, sizeof(static_key), "one", one, sizeof(one));
    derive_key(static_key, sizeof(static_key), "one", same, sizeof(same));
    derive_key(static_key, sizeof(static_key), "two", other_label, sizeof(other_label));
    static_key[31] ^= 0x80;
    derive_key(static_key, sizeof(static_key), "one", other_key, sizeof(other_key));
    assert_memory_equal(one, same, sizeof(one));
    assert_memory_not_equal(one, other_label, 32);
    assert_memory_not_equal(one, other_key, 32);
    assert_memory_not_equal(one, one + 32, 32);
}

static void sha256_is_that_of_fips_180(void **state)
{
    (void)state;
    uint8_t hash[32];
    sha256("abc", 3, hash);
    assert_hex(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserved_version_is_nobodys_and_looks_like_version_1),
        cmocka_unit_test(initial_secrets_are_those_of_appendix_a),
        cmocka_unit_test(chacha20_keys_and_the_next_secret_are_those_of_appendix_a),
        cmocka_unit_test(the_retry_tag_is_that_of_appendix_a),
        cmocka_unit_test(every_bit_of_a_retry_and_of_the_original_cid_changes_its_tag),
        cmocka_unit_test(hkdf_and_hmac_are_those_of_their_rfcs),
        cmocka_unit_test(aes_256_hashes_with_sha_384),
        cmocka_unit_test(derived_keys_differ_by_key_and_by_label),
        cmocka_unit_test(sha256_is_that_of_fips_180),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
