/* Keys whose signatures libcrypto makes: GnuTLS verifies each, and keeps those that are none of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/signer.h"

#define P256 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
#define P384 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1)

static gnutls_x509_privkey_t new_key(gnutls_pk_algorithm_t algorithm, unsigned bits)
{
    gnutls_x509_privkey_t key;
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(key, algorithm, bits, 0), 0);
    return key;
}

static gnutls_pubkey_t public_key_of(gnutls_x509_privkey_t key)
{
    gnutls_privkey_t private_key;
    gnutls_pubkey_t public_key;
    gnutls_privkey_init(&private_key);
    gnutls_pubkey_init(&public_key);
    assert_int_equal(gnutls_privkey_import_x509(private_key, key, GNUTLS_PRIVKEY_IMPORT_COPY), 0);
    assert_int_equal(gnutls_pubkey_import_privkey(public_key, private_key, 0, 0), 0);
    gnutls_privkey_deinit(private_key);
    return public_key;
}

/* The text is signed twice, so that nothing of the first signature is left over in the second. */
static void expect_signatures(gnutls_x509_privkey_t key, gnutls_sign_algorithm_t algorithm)
{
    const gnutls_datum_t text = {(unsigned char *)"what was signed", 15}, other = {(unsigned char *)"what was not", 12};
    gnutls_privkey_t signer = signer_new(key);
    gnutls_pubkey_t public_key = public_key_of(key);
    assert_non_null(signer);
    for (int i = 0; i < 2; i++) {
        gnutls_datum_t signature;
        assert_int_equal(gnutls_privkey_sign_data2(signer, algorithm, 0, &text, &signature), 0);
        assert_true(gnutls_pubkey_verify_data2(public_key, algorithm, 0, &text, &signature) >= 0);
        assert_true(gnutls_pubkey_verify_data2(public_key, algorithm, 0, &other, &signature) < 0);
        gnutls_free(signature.data);
    }
    gnutls_pubkey_deinit(public_key);
    gnutls_privkey_deinit(signer);
}

static void ecdsa_p256_signatures_verify(void **state)
{
    (void)state;
    gnutls_x509_privkey_t key = new_key(GNUTLS_PK_ECDSA, P256);
    expect_signatures(key, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256);
    expect_signatures(key, GNUTLS_SIGN_ECDSA_SHA256);
    gnutls_x509_privkey_deinit(key);
}

static void rsa_signatures_of_both_paddings_verify(void **state)
{
    (void)state;
    gnutls_x509_privkey_t key = new_key(GNUTLS_PK_RSA, 2048);
    expect_signatures(key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256);
    expect_signatures(key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384);
    expect_signatures(key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512);
    expect_signatures(key, GNUTLS_SIGN_RSA_SHA256);
    gnutls_x509_privkey_deinit(key);
}

static void a_key_is_known_by_its_kind_and_size(void **state)
{
    (void)state;
    unsigned bits;
    gnutls_x509_privkey_t key = new_key(GNUTLS_PK_ECDSA, P256);
    gnutls_privkey_t signer = signer_new(key);
    assert_int_equal(gnutls_privkey_get_pk_algorithm(signer, &bits), GNUTLS_PK_ECDSA);
    assert_int_equal(bits, 256);
    gnutls_privkey_deinit(signer);
    gnutls_x509_privkey_deinit(key);
    key = new_key(GNUTLS_PK_RSA, 2048);
    signer = signer_new(key);
    assert_int_equal(gnutls_privkey_get_pk_algorithm(signer, &bits), GNUTLS_PK_RSA);
    assert_int_equal(bits, 2048);
    gnutls_privkey_deinit(signer);
    gnutls_x509_privkey_deinit(key);
}

static void what_a_key_does_not_sign_with_is_refused(void **state)
{
    (void)state;
    const gnutls_datum_t text = {(unsigned char *)"text", 4};
    gnutls_datum_t signature;
    gnutls_x509_privkey_t key = new_key(GNUTLS_PK_ECDSA, P256);
    gnutls_privkey_t signer = signer_new(key);
    assert_true(gnutls_privkey_sign_data2(signer, GNUTLS_SIGN_ECDSA_SHA512, 0, &text, &signature) < 0);
    assert_true(gnutls_privkey_sign_data2(signer, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, 0, &text, &signature) < 0);
    gnutls_privkey_deinit(signer);
    gnutls_x509_privkey_deinit(key);
}

static void keys_of_other_kinds_stay_with_gnutls(void **state)
{
    (void)state;
    gnutls_x509_privkey_t p384 = new_key(GNUTLS_PK_ECDSA, P384),
                          ed25519 = new_key(GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519));
    assert_null(signer_new(p384));
    assert_null(signer_new(ed25519));
    gnutls_x509_privkey_deinit(p384);
    gnutls_x509_privkey_deinit(ed25519);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecdsa_p256_signatures_verify),
        cmocka_unit_test(rsa_signatures_of_both_paddings_verify),
        cmocka_unit_test(a_key_is_known_by_its_kind_and_size),
        cmocka_unit_test(what_a_key_does_not_sign_with_is_refused),
        cmocka_unit_test(keys_of_other_kinds_stay_with_gnutls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
