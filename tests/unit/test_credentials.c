/* Credentials: who is accepted and who is not, told by whole handshakes with certificates made on the spot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "crypto/credentials.h"
#include "unit/certificates.h"
#include "unit/counting_allocator.h"
#include "unit/tls_pair.h"

#define ALERT(n)                (ROAM_CRYPTO_ERROR + (n))
#define BAD_CERTIFICATE         ALERT(42)
#define UNSUPPORTED_CERTIFICATE ALERT(43)
#define CERTIFICATE_EXPIRED     ALERT(45)
#define CERTIFICATE_UNKNOWN     ALERT(46)
#define UNKNOWN_CA              ALERT(48)
#define CERTIFICATE_REQUIRED    ALERT(116)

static const char *const test_alpn[] = {"test", NULL};
static const char *const server_names[] = {"server.example", "*.wild.example", "192.0.2.1", "2001:db8::1", NULL};

static struct made_certificate authority, server_certificate, client_certificate;
static struct counting_allocator counting;
static roam_allocator allocator;
static roam_credentials *ours, *theirs; /* the client's and the server's */
static struct tls_end client, server;

static int make_certificates(void **state)
{
    (void)state;
    make_certificate(&authority, &(struct made_certificate_options){.is_authority = true});
    make_certificate(&server_certificate,
                     &(struct made_certificate_options){.issuer = &authority, .names = server_names});
    make_certificate(&client_certificate,
                     &(struct made_certificate_options){.issuer = &authority, .for_clients_only = true});
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    remove_certificate(&authority);
    remove_certificate(&server_certificate);
    remove_certificate(&client_certificate);
    return 0;
}

static int new_credentials(void **state)
{
    (void)state;
    counting = (struct counting_allocator){0};
    allocator = counting_allocator(&counting);
    ours = roam_credentials_new();
    theirs = roam_credentials_new();
    assert_non_null(ours);
    assert_non_null(theirs);
    return 0;
}

static int free_credentials(void **state)
{
    (void)state;
    tls_end_done(&client);
    tls_end_done(&server);
    roam_credentials_free(ours);
    roam_credentials_free(theirs);
    return counting.bytes_out == 0 ? 0 : -1;
}

/* A whole handshake with `ours` at the client and `theirs` at the server, for this name. */
static void handshake_for(const char *name)
{
    roam_config client_config, server_config;
    roam_config_init(&client_config);
    roam_config_init(&server_config);
    client_config.alpn = server_config.alpn = test_alpn;
    client_config.credentials = ours;
    server_config.credentials = theirs;
    tls_end_done(&client);
    tls_end_done(&server);
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    struct tls_config config = {.config = &client_config,
                                .server_name = name,
                                .params = (const uint8_t *)"p",
                                .params_len = 1,
                                .sink = tls_end_sink(&client)};
    client.tls = tls_new(&allocator, &config, NULL);
    config = (struct tls_config){.is_server = true,
                                 .config = &server_config,
                                 .params = (const uint8_t *)"p",
                                 .params_len = 1,
                                 .sink = tls_end_sink(&server)};
    server.tls = tls_new(&allocator, &config, NULL);
    assert_non_null(client.tls);
    assert_non_null(server.tls);
    tls_handshake(&client, &server);
}

static void assert_accepted(const char *name)
{
    handshake_for(name);
    assert_string_equal(tls_failure(client.tls), "");
    assert_string_equal(tls_failure(server.tls), "");
    assert_true(tls_is_complete(client.tls) && tls_is_complete(server.tls));
}

static void assert_refused(const char *name, uint64_t error, const char *text)
{
    handshake_for(name);
    assert_int_equal(client.error, error);
    assert_string_equal(tls_failure(client.tls), text);
    assert_false(tls_is_complete(client.tls));
    assert_int_equal(client.sent_bytes[TLS_HANDSHAKE], 0);
}

static void use_server_certificate(const struct made_certificate *made)
{
    assert_int_equal(roam_credentials_load(theirs, made->chain_file, made->key_file), ROAM_OK);
}

static void a_certificate_of_a_trusted_authority_is_accepted_for_its_names(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    assert_accepted("server.example");
    assert_accepted("SERVER.example");
    assert_accepted("server.example.");
    assert_accepted("one.wild.example");
    assert_accepted("192.0.2.1");
    assert_accepted("2001:db8::1");
    assert_accepted("2001:db8:0::1");
}

static void another_name_is_refused(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    assert_refused("foo", BAD_CERTIFICATE, "the certificate is not for 'foo'");
    assert_refused("other.server.example", BAD_CERTIFICATE, "the certificate is not for 'other.server.example'");
    assert_refused("two.one.wild.example", BAD_CERTIFICATE, "the certificate is not for 'two.one.wild.example'");
    assert_refused("192.0.2.2", BAD_CERTIFICATE, "the certificate is not for '192.0.2.2'");
    assert_refused("2001:db8::2", BAD_CERTIFICATE, "the certificate is not for '2001:db8::2'");
    assert_refused(NULL, BAD_CERTIFICATE, "there is no name to hold the certificate against");
}

static void an_untrusted_authority_is_refused(void **state)
{
    (void)state;
    struct made_certificate other;
    make_certificate(&other, &(struct made_certificate_options){.is_authority = true});
    use_server_certificate(&server_certificate);
    assert_int_equal(roam_credentials_trust_file(ours, other.chain_file), ROAM_OK);
    assert_refused("server.example", UNKNOWN_CA, "the certificate's authority is not trusted");
    remove_certificate(&other);
}

static void clients_trust_the_authorities_of_the_system_unless_told_otherwise(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    handshake_for("server.example");
    assert_int_equal(client.error, UNKNOWN_CA);
    roam_credentials_free(ours);
    ours = NULL; /* a connection without credentials is no laxer */
    handshake_for("server.example");
    assert_int_equal(client.error, UNKNOWN_CA);
}

static void expired_and_future_certificates_are_refused(void **state)
{
    (void)state;
    struct made_certificate expired, future;
    make_certificate(&expired,
                     &(struct made_certificate_options){
                         .issuer = &authority, .names = server_names, .starts_in_days = -20, .ends_in_days = -2});
    make_certificate(&future,
                     &(struct made_certificate_options){
                         .issuer = &authority, .names = server_names, .starts_in_days = 2, .ends_in_days = 20});
    use_server_certificate(&expired);
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    assert_refused("server.example", CERTIFICATE_EXPIRED, "the certificate has expired");
    roam_credentials_free(theirs);
    theirs = roam_credentials_new();
    use_server_certificate(&future);
    assert_refused("server.example", CERTIFICATE_EXPIRED, "the certificate is not valid yet");
    remove_certificate(&expired);
    remove_certificate(&future);
}

static void a_certificate_for_clients_is_refused_at_a_server(void **state)
{
    (void)state;
    struct made_certificate made;
    make_certificate(&made, &(struct made_certificate_options){
                                .issuer = &authority, .names = server_names, .for_clients_only = true});
    use_server_certificate(&made);
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    handshake_for("server.example");
    assert_true(client.error == UNSUPPORTED_CERTIFICATE || client.error == CERTIFICATE_UNKNOWN);
    remove_certificate(&made);
}

static void rsa_and_ed25519_certificates_work_too(void **state)
{
    (void)state;
    const gnutls_pk_algorithm_t algorithms[] = {GNUTLS_PK_RSA, GNUTLS_PK_EDDSA_ED25519};
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    for (size_t i = 0; i < 2; i++) {
        struct made_certificate made;
        make_certificate(&made, &(struct made_certificate_options){
                                    .issuer = &authority, .names = server_names, .algorithm = algorithms[i]});
        roam_credentials_free(theirs);
        theirs = roam_credentials_new();
        use_server_certificate(&made);
        assert_accepted("server.example");
        remove_certificate(&made);
    }
}

static void a_pinned_key_is_accepted_whatever_else_its_certificate_says(void **state)
{
    (void)state;
    struct made_certificate expired;
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES], other[ROAM_FINGERPRINT_BYTES] = {1};
    make_certificate(&expired,
                     &(struct made_certificate_options){
                         .issuer = &authority, .names = server_names, .starts_in_days = -20, .ends_in_days = -2});
    use_server_certificate(&expired);
    assert_int_equal(roam_credentials_fingerprint(theirs, fingerprint), ROAM_OK);
    assert_int_equal(roam_credentials_trust_pin(ours, other), ROAM_OK);
    assert_int_equal(roam_credentials_trust_pin(ours, fingerprint), ROAM_OK);
    assert_accepted("whoever");
    remove_certificate(&expired);
}

static void a_key_that_is_not_pinned_is_refused(void **state)
{
    (void)state;
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    use_server_certificate(&server_certificate);
    assert_int_equal(roam_credentials_fingerprint(theirs, fingerprint), ROAM_OK);
    fingerprint[31] ^= 1;
    assert_int_equal(roam_credentials_trust_pin(ours, fingerprint), ROAM_OK);
    assert_refused("server.example", CERTIFICATE_UNKNOWN, "the certificate's key is not the pinned one");
}

static void beside_a_pin_the_authorities_of_a_file_count(void **state)
{
    (void)state;
    const uint8_t other[ROAM_FINGERPRINT_BYTES] = {1};
    use_server_certificate(&server_certificate);
    assert_int_equal(roam_credentials_trust_pin(ours, other), ROAM_OK);
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    assert_accepted("server.example");
    assert_refused("foo", BAD_CERTIFICATE, "the certificate is not for 'foo'");
}

static void trusting_anyone_accepts_anyone(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    roam_credentials_trust_anyone(ours);
    assert_accepted("foo");
    assert_accepted(NULL);
}

/* The fingerprint as libcrypto sees it. */
static void fingerprint_of_file(const char *path, uint8_t ret[ROAM_FINGERPRINT_BYTES])
{
    uint8_t *der = NULL;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    SHA256(der, (size_t)len, ret);
    OPENSSL_free(der);
    X509_free(certificate);
}

static void the_fingerprint_is_that_of_the_subject_public_key_info(void **state)
{
    (void)state;
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES] = {0}, expected[ROAM_FINGERPRINT_BYTES];
    assert_int_equal(roam_credentials_fingerprint(theirs, fingerprint), ROAM_ERR_CREDENTIALS);
    use_server_certificate(&server_certificate);
    assert_int_equal(roam_credentials_fingerprint(theirs, fingerprint), ROAM_OK);
    fingerprint_of_file(server_certificate.chain_file, expected);
    assert_memory_equal(fingerprint, expected, sizeof(expected));
}

static void files_that_are_missing_or_do_not_fit_are_refused(void **state)
{
    (void)state;
    assert_int_equal(roam_credentials_load(theirs, "/nonexistent", server_certificate.key_file), ROAM_ERR_CREDENTIALS);
    assert_int_equal(roam_credentials_load(theirs, server_certificate.chain_file, "/nonexistent"),
                     ROAM_ERR_CREDENTIALS);
    assert_int_equal(roam_credentials_load(theirs, server_certificate.chain_file, authority.key_file),
                     ROAM_ERR_CREDENTIALS);
    assert_int_equal(roam_credentials_load(theirs, server_certificate.key_file, server_certificate.chain_file),
                     ROAM_ERR_CREDENTIALS);
    assert_int_equal(roam_credentials_trust_file(theirs, "/nonexistent"), ROAM_ERR_CREDENTIALS);
    assert_int_equal(roam_credentials_trust_file(theirs, server_certificate.key_file), ROAM_ERR_CREDENTIALS);
    assert_int_equal(roam_credentials_generate(theirs, NULL), ROAM_ERR_CONFIG);
}

static void a_generated_certificate_bears_its_names_and_works_by_its_pin(void **state)
{
    (void)state;
    static const char *const names[] = {"made.example", "198.51.100.7", "::1", NULL};
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    assert_int_equal(roam_credentials_generate(theirs, names), ROAM_OK);
    assert_int_equal(roam_credentials_fingerprint(theirs, fingerprint), ROAM_OK);
    assert_int_equal(roam_credentials_trust_pin(ours, fingerprint), ROAM_OK);
    assert_accepted("made.example");

    gnutls_x509_crt_t *chain;
    unsigned count = 0;
    assert_true(gnutls_certificate_get_x509_crt(theirs->x509, 0, &chain, &count) >= 0);
    assert_int_equal(count, 1);
    assert_true(gnutls_x509_crt_check_hostname(chain[0], "made.example"));
    assert_true(gnutls_x509_crt_check_hostname(chain[0], "198.51.100.7"));
    assert_true(gnutls_x509_crt_check_hostname(chain[0], "::1"));
    assert_false(gnutls_x509_crt_check_hostname(chain[0], "other.example"));
    assert_int_equal(gnutls_x509_crt_get_pk_algorithm(chain[0], NULL), GNUTLS_PK_ECDSA);
    time_t now = time(NULL);
    assert_true(gnutls_x509_crt_get_activation_time(chain[0]) <= now);
    assert_true(gnutls_x509_crt_get_expiration_time(chain[0]) > now + 390 * DAY_SECONDS);
    assert_true(gnutls_x509_crt_get_expiration_time(chain[0]) < now + 400 * DAY_SECONDS);
    gnutls_x509_crt_deinit(chain[0]);
    gnutls_free(chain);
}

static void two_generated_certificates_have_different_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"made.example", NULL};
    uint8_t one[ROAM_FINGERPRINT_BYTES], two[ROAM_FINGERPRINT_BYTES];
    assert_int_equal(roam_credentials_generate(theirs, names), ROAM_OK);
    assert_int_equal(roam_credentials_generate(ours, names), ROAM_OK);
    assert_int_equal(roam_credentials_fingerprint(theirs, one), ROAM_OK);
    assert_int_equal(roam_credentials_fingerprint(ours, two), ROAM_OK);
    assert_memory_not_equal(one, two, sizeof(one));
}

static void a_client_without_a_certificate_is_refused_where_one_is_required(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    roam_credentials_trust_file(theirs, authority.chain_file);
    roam_credentials_require_client(theirs);
    roam_credentials_trust_anyone(ours);
    handshake_for("server.example");
    assert_int_equal(server.error, CERTIFICATE_REQUIRED);
    assert_false(tls_is_complete(server.tls));
}

static void a_client_with_a_trusted_certificate_is_let_in(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    roam_credentials_trust_file(theirs, authority.chain_file);
    roam_credentials_require_client(theirs);
    roam_credentials_trust_anyone(ours);
    assert_int_equal(roam_credentials_load(ours, client_certificate.chain_file, client_certificate.key_file), ROAM_OK);
    assert_accepted("server.example");
}

static void a_client_with_another_certificate_is_not(void **state)
{
    (void)state;
    static const char *const names[] = {"client.example", NULL};
    use_server_certificate(&server_certificate);
    roam_credentials_trust_file(theirs, authority.chain_file);
    roam_credentials_require_client(theirs);
    roam_credentials_trust_anyone(ours);
    assert_int_equal(roam_credentials_generate(ours, names), ROAM_OK);
    handshake_for("server.example");
    assert_int_equal(server.error, UNKNOWN_CA);
    assert_false(tls_is_complete(server.tls));
}

static void a_client_can_be_known_by_its_pin(void **state)
{
    (void)state;
    static const char *const names[] = {"client.example", NULL};
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    use_server_certificate(&server_certificate);
    roam_credentials_require_client(theirs);
    roam_credentials_trust_anyone(ours);
    assert_int_equal(roam_credentials_generate(ours, names), ROAM_OK);
    assert_int_equal(roam_credentials_fingerprint(ours, fingerprint), ROAM_OK);
    assert_int_equal(roam_credentials_trust_pin(theirs, fingerprint), ROAM_OK);
    assert_accepted("server.example");
}

static void a_certificate_is_not_sent_unasked(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    roam_credentials_trust_anyone(ours);
    assert_int_equal(roam_credentials_load(ours, client_certificate.chain_file, client_certificate.key_file), ROAM_OK);
    assert_accepted("server.example");
    assert_true(client.sent_bytes[TLS_HANDSHAKE] < 100); /* Finished alone */
}

static void credentials_live_as_long_as_a_handshake_uses_them(void **state)
{
    (void)state;
    use_server_certificate(&server_certificate);
    roam_credentials_trust_anyone(ours);
    roam_config config;
    roam_config_init(&config);
    config.alpn = test_alpn;
    config.credentials = theirs;
    memset(&server, 0, sizeof(server));
    struct tls_config tls_config = {.is_server = true,
                                    .config = &config,
                                    .params = (const uint8_t *)"p",
                                    .params_len = 1,
                                    .sink = tls_end_sink(&server)};
    server.tls = tls_new(&allocator, &tls_config, NULL);
    roam_credentials_free(theirs);
    theirs = NULL;
    config.credentials = ours;
    memset(&client, 0, sizeof(client));
    tls_config = (struct tls_config){
        .config = &config, .params = (const uint8_t *)"p", .params_len = 1, .sink = tls_end_sink(&client)};
    client.tls = tls_new(&allocator, &tls_config, NULL);
    roam_credentials_free(ours);
    ours = NULL;
    tls_handshake(&client, &server);
    assert_true(tls_is_complete(client.tls) && tls_is_complete(server.tls));
    roam_credentials_free(NULL);
}

/* ---- A chain that was accepted in an earlier handshake, as a session keeps it */

static gnutls_datum_t der_of(const struct made_certificate *made)
{
    gnutls_datum_t ret;
    assert_true(gnutls_x509_crt_export2(made->certificate, GNUTLS_X509_FMT_DER, &ret) >= 0);
    return ret;
}

static void assert_again(const gnutls_datum_t *chain, unsigned count, const char *name, const char *text)
{
    struct verdict verdict = {0};
    const bool accepted = credentials_accept_again(ours, chain, count, name, &verdict);
    assert_string_equal(verdict.text, text);
    assert_int_equal(accepted, text[0] == '\0');
}

static void a_kept_chain_is_judged_as_in_a_handshake(void **state)
{
    (void)state;
    struct made_certificate expired, elsewhere;
    make_certificate(&expired,
                     &(struct made_certificate_options){
                         .issuer = &authority, .names = server_names, .starts_in_days = -20, .ends_in_days = -2});
    make_certificate(&elsewhere, &(struct made_certificate_options){.names = server_names});
    gnutls_datum_t good = der_of(&server_certificate), old = der_of(&expired), own = der_of(&elsewhere);
    gnutls_datum_t clients = der_of(&client_certificate);
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    assert_again(&good, 1, "server.example", "");
    assert_again(&good, 1, "192.0.2.1", "");
    assert_again(&good, 1, "other.example", "the certificate is not for 'other.example'");
    assert_again(&good, 1, NULL, "there is no name to hold the certificate against");
    assert_again(&old, 1, "server.example", "the certificate has expired");
    struct verdict verdict;
    assert_false(credentials_accept_again(ours, &own, 1, "server.example", &verdict));
    assert_false(credentials_accept_again(ours, &clients, 1, "server.example", &verdict));
    gnutls_free(good.data), gnutls_free(old.data), gnutls_free(own.data), gnutls_free(clients.data);
    remove_certificate(&expired);
    remove_certificate(&elsewhere);
}

static void a_kept_chain_that_is_none_is_refused(void **state)
{
    (void)state;
    enum { MANY = 100 };
    gnutls_datum_t good = der_of(&server_certificate), chain[MANY];
    gnutls_datum_t cut = {.data = good.data, .size = good.size / 2};
    assert_int_equal(roam_credentials_trust_file(ours, authority.chain_file), ROAM_OK);
    assert_again(NULL, 0, "server.example", "the peer has no X.509 certificate");
    assert_again(&cut, 1, "server.example", "the certificate is malformed");
    chain[0] = good;
    chain[1] = cut;
    assert_again(chain, 2, "server.example", "the certificate cannot be verified");
    for (size_t i = 0; i < MANY; i++)
        chain[i] = good;
    assert_again(chain, MANY, "server.example", "the certificate cannot be verified");
    gnutls_free(good.data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_credentials, free_credentials)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_certificate_of_a_trusted_authority_is_accepted_for_its_names),
        TEST(another_name_is_refused),
        TEST(an_untrusted_authority_is_refused),
        TEST(clients_trust_the_authorities_of_the_system_unless_told_otherwise),
        TEST(expired_and_future_certificates_are_refused),
        TEST(a_certificate_for_clients_is_refused_at_a_server),
        TEST(rsa_and_ed25519_certificates_work_too),
        TEST(a_pinned_key_is_accepted_whatever_else_its_certificate_says),
        TEST(a_key_that_is_not_pinned_is_refused),
        TEST(beside_a_pin_the_authorities_of_a_file_count),
        TEST(trusting_anyone_accepts_anyone),
        TEST(the_fingerprint_is_that_of_the_subject_public_key_info),
        TEST(files_that_are_missing_or_do_not_fit_are_refused),
        TEST(a_generated_certificate_bears_its_names_and_works_by_its_pin),
        TEST(two_generated_certificates_have_different_keys),
        TEST(a_client_without_a_certificate_is_refused_where_one_is_required),
        TEST(a_client_with_a_trusted_certificate_is_let_in),
        TEST(a_client_with_another_certificate_is_not),
        TEST(a_client_can_be_known_by_its_pin),
        TEST(a_certificate_is_not_sent_unasked),
        TEST(credentials_live_as_long_as_a_handshake_uses_them),
        TEST(a_kept_chain_is_judged_as_in_a_handshake),
        TEST(a_kept_chain_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
