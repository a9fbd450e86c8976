/* Certificates for tests, made on the spot in a directory of their own: authorities, leaves, expired ones, of any key.
 */
#ifndef TESTS_UNIT_CERTIFICATES_H
#define TESTS_UNIT_CERTIFICATES_H

#include <assert.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <roam/types.h>

#define DAY_SECONDS (24 * 3600)

struct made_certificate {
    char directory[64], chain_file[96], key_file[96];
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
};

struct made_certificate_options {
    const struct made_certificate *issuer; /* NULL: itself */
    const char *const *names;              /* DNS names and addresses; NULL: none */
    gnutls_pk_algorithm_t algorithm;       /* 0: P-256 */
    bool is_authority;
    bool for_clients_only;
    int starts_in_days, ends_in_days; /* both 0: valid now */
};

static inline void write_pem(const char *path, const gnutls_datum_t *pem)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    fwrite(pem->data, 1, pem->size, file);
    fclose(file);
    gnutls_free(pem->data);
}

static inline void make_certificate(struct made_certificate *ret, const struct made_certificate_options *options)
{
    static unsigned char serial = 1;
    gnutls_datum_t pem;
    gnutls_pk_algorithm_t algorithm = options->algorithm != 0 ? options->algorithm : GNUTLS_PK_ECDSA;
    unsigned bits = algorithm == GNUTLS_PK_ECDSA ? GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
                    : algorithm == GNUTLS_PK_RSA ? 2048
                                                 : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519);
    bool now = options->starts_in_days == 0 && options->ends_in_days == 0;
    strcpy(ret->directory, "/tmp/roam-test-XXXXXX");
    char *made = mkdtemp(ret->directory);
    assert(made != NULL);
    snprintf(ret->chain_file, sizeof(ret->chain_file), "%s/chain.pem", ret->directory);
    snprintf(ret->key_file, sizeof(ret->key_file), "%s/key.pem", ret->directory);

    gnutls_x509_privkey_init(&ret->key);
    gnutls_x509_privkey_generate(ret->key, algorithm, bits, 0);
    gnutls_x509_crt_init(&ret->certificate);
    gnutls_x509_crt_set_version(ret->certificate, 3);
    serial++;
    gnutls_x509_crt_set_serial(ret->certificate, &serial, 1);
    gnutls_x509_crt_set_activation_time(ret->certificate,
                                        time(NULL) + (now ? -1 : options->starts_in_days) * DAY_SECONDS);
    gnutls_x509_crt_set_expiration_time(ret->certificate,
                                        time(NULL) + (now ? 30 : options->ends_in_days) * DAY_SECONDS);
    char common_name[32];
    snprintf(common_name, sizeof(common_name), "roam test %d", serial);
    gnutls_x509_crt_set_dn_by_oid(ret->certificate, GNUTLS_OID_X520_COMMON_NAME, 0, common_name,
                                  (unsigned)strlen(common_name));
    for (size_t i = 0; options->names != NULL && options->names[i] != NULL; i++) {
        roam_address address;
        if (roam_address_parse(&address, options->names[i]))
            gnutls_x509_crt_set_subject_alt_name(ret->certificate, GNUTLS_SAN_IPADDRESS, address.ip,
                                                 address.family == ROAM_FAMILY_IPV4 ? 4 : 16, GNUTLS_FSAN_APPEND);
        else
            gnutls_x509_crt_set_subject_alt_name(ret->certificate, GNUTLS_SAN_DNSNAME, options->names[i],
                                                 (unsigned)strlen(options->names[i]), GNUTLS_FSAN_APPEND);
    }
    gnutls_x509_crt_set_basic_constraints(ret->certificate, options->is_authority, -1);
    gnutls_x509_crt_set_key_usage(ret->certificate,
                                  options->is_authority ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (options->for_clients_only)
        gnutls_x509_crt_set_key_purpose_oid(ret->certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    gnutls_x509_crt_set_key(ret->certificate, ret->key);
    const struct made_certificate *issuer = options->issuer != NULL ? options->issuer : ret;
    int signed_well = gnutls_x509_crt_sign2(ret->certificate, issuer->certificate, issuer->key,
                                            gnutls_x509_privkey_get_pk_algorithm(issuer->key) == GNUTLS_PK_EDDSA_ED25519
                                                ? GNUTLS_DIG_SHA512
                                                : GNUTLS_DIG_SHA256,
                                            0);
    assert(signed_well >= 0);

    gnutls_x509_crt_export2(ret->certificate, GNUTLS_X509_FMT_PEM, &pem);
    write_pem(ret->chain_file, &pem);
    gnutls_x509_privkey_export2_pkcs8(ret->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);
    write_pem(ret->key_file, &pem);
}

static inline void remove_certificate(struct made_certificate *made)
{
    unlink(made->chain_file);
    unlink(made->key_file);
    rmdir(made->directory);
    gnutls_x509_crt_deinit(made->certificate);
    gnutls_x509_privkey_deinit(made->key);
}

#endif
