/* TLS for QUIC: what crosses, in what order, and every way in which RFC 9001 lets a handshake fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gnutls/x509.h>
#include <time.h>
#include <unistd.h>

#include "unit/counting_allocator.h"
#include "unit/seeded.h"
#include "unit/tls_pair.h"

#define ALERT(n)     (ROAM_CRYPTO_ERROR + (n))
#define RAW_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE"

static const char *const test_alpn[] = {"test", NULL};
static const char *const names[] = {"server.example", "192.0.2.1", NULL};
static const uint8_t first_ticket_key[64] = {1, 2, 3};
static const uint8_t *ticket_key = first_ticket_key;
static const char *server_name = "server.example";

static struct counting_allocator counting;
static roam_allocator allocator;
static roam_credentials *server_credentials, *client_credentials;
static roam_config server_config, client_config;
static struct tls_end client, server;
#define KEYLOG_TEXT_MAX 8192

static const roam_keylog *keylog; /* of both ends */
static char keylog_path[] = "/tmp/roam-test-keylog-XXXXXX";

static int make_credentials(void **state)
{
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    (void)state;
    counting = (struct counting_allocator){0};
    allocator = counting_allocator(&counting);
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    server_credentials = roam_credentials_new();
    client_credentials = roam_credentials_new();
    assert_int_equal(roam_credentials_generate(server_credentials, names), ROAM_OK);
    assert_int_equal(roam_credentials_fingerprint(server_credentials, fingerprint), ROAM_OK);
    assert_int_equal(roam_credentials_trust_pin(client_credentials, fingerprint), ROAM_OK);
    roam_config_init(&server_config);
    roam_config_init(&client_config);
    server_config.alpn = client_config.alpn = test_alpn;
    server_config.credentials = server_credentials;
    client_config.credentials = client_credentials;
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    tls_end_done(&client);
    tls_end_done(&server);
    roam_credentials_free(server_credentials);
    roam_credentials_free(client_credentials);
    return counting.bytes_out == 0 ? 0 : -1;
}

static void new_client(const uint8_t *session, size_t session_len)
{
    roam_result result = ROAM_OK;
    memset(&client, 0, sizeof(client));
    struct tls_config config = {
        .config = &client_config,
        .server_name = server_name,
        .params = (const uint8_t *)"client's parameters",
        .params_len = 19,
        .session = session,
        .session_len = session_len,
        .keylog = keylog,
        .sink = tls_end_sink(&client),
    };
    client.tls = tls_new(&allocator, &config, &result);
    assert_non_null(client.tls);
}

static void new_server(void)
{
    roam_result result = ROAM_OK;
    memset(&server, 0, sizeof(server));
    struct tls_config config = {
        .is_server = true,
        .config = &server_config,
        .params = (const uint8_t *)"parameters of the server",
        .params_len = 24,
        .ticket_key = ticket_key,
        .keylog = keylog,
        .sink = tls_end_sink(&server),
    };
    server.tls = tls_new(&allocator, &config, &result);
    assert_non_null(server.tls);
}

static void new_ends(void)
{
    new_client(NULL, 0);
    new_server();
}

/* A client that is GnuTLS itself. */
static gnutls_certificate_credentials_t raw_credentials;

static void new_raw_client(struct raw_config config)
{
    gnutls_certificate_allocate_credentials(&raw_credentials);
    config.credentials = raw_credentials;
    raw_end_init(&client, &config);
}

static void free_raw(void)
{
    tls_end_done(&client);
    tls_end_done(&server);
    gnutls_certificate_free_credentials(raw_credentials);
}

static void assert_connected(void)
{
    assert_string_equal(tls_failure(client.tls), "");
    assert_string_equal(tls_failure(server.tls), "");
    assert_true(tls_is_complete(client.tls));
    assert_true(tls_is_complete(server.tls));
}

static void each_cipher_gives_both_ends_the_same_secrets(void **state)
{
    (void)state;
    static const struct {
        unsigned ciphers;
        enum aead_suite suite;
    } cases[] = {
        {ROAM_AES_128_GCM, AEAD_AES_128_GCM},
        {ROAM_AES_256_GCM, AEAD_AES_256_GCM},
        {ROAM_CHACHA20_POLY1305, AEAD_CHACHA20_POLY1305},
        {ROAM_AES_256_GCM | ROAM_CHACHA20_POLY1305, AEAD_AES_256_GCM},
        {0, AEAD_AES_128_GCM},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client_config.ciphers = cases[i].ciphers;
        new_ends();
        tls_handshake(&client, &server);
        assert_connected();
        assert_int_equal(client.suite, cases[i].suite);
        assert_int_equal(server.suite, cases[i].suite);
        size_t bytes = aead_suite_info(client.suite)->secret_bytes;
        for (int level = TLS_HANDSHAKE; level <= TLS_APPLICATION; level++) {
            assert_true(client.has_send[level] && client.has_receive[level]);
            assert_true(server.has_send[level] && server.has_receive[level]);
            assert_memory_equal(client.send[level], server.receive[level], bytes);
            assert_memory_equal(client.receive[level], server.send[level], bytes);
            assert_memory_not_equal(client.send[level], client.receive[level], bytes);
        }
        tls_end_done(&client);
        tls_end_done(&server);
    }
}

static void transport_parameters_cross_once_each(void **state)
{
    (void)state;
    new_ends();
    tls_handshake(&client, &server);
    assert_connected();
    assert_int_equal(client.params_count, 1);
    assert_int_equal(server.params_count, 1);
    assert_int_equal(client.params_len, 24);
    assert_memory_equal(client.params, "parameters of the server", 24);
    assert_int_equal(server.params_len, 19);
    assert_memory_equal(server.params, "client's parameters", 19);
}

static void the_server_prefers_among_common_protocols(void **state)
{
    (void)state;
    static const char *const offered[] = {"one", "two", "three", NULL}, *const spoken[] = {"four", "three", "two",
                                                                                           NULL};
    client_config.alpn = offered;
    server_config.alpn = spoken;
    new_ends();
    assert_string_equal(tls_alpn(client.tls), "");
    tls_handshake(&client, &server);
    assert_connected();
    assert_string_equal(tls_alpn(client.tls), "three");
    assert_string_equal(tls_alpn(server.tls), "three");
}

static void without_a_common_protocol_the_server_says_0x178(void **state)
{
    (void)state;
    static const char *const other[] = {"other", NULL};
    client_config.alpn = other;
    new_ends();
    tls_handshake(&client, &server);
    assert_int_equal(server.error, 0x178);
    assert_false(tls_is_complete(client.tls));
}

static void a_client_without_alpn_is_refused_with_0x178(void **state)
{
    (void)state;
    new_server();
    new_raw_client((struct raw_config){.priority = RAW_PRIORITY, .without_alpn = true});
    tls_handshake(&client, &server);
    assert_int_equal(server.error, 0x178);
    assert_int_equal(server.sent_bytes[TLS_INITIAL], 0); /* found before anything was sent */
    free_raw();
}

static void a_client_without_transport_parameters_is_refused_with_0x16d(void **state)
{
    (void)state;
    new_server();
    new_raw_client((struct raw_config){.priority = RAW_PRIORITY, .without_params = true});
    tls_handshake(&client, &server);
    assert_int_equal(server.error, 0x16d);
    free_raw();
}

/* The raw server takes our server's certificate: credentials are opaque, so it makes one of its own. */
static void raw_server_fails_client(struct raw_config config, uint64_t error)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_init(&certificate);
    gnutls_x509_crt_set_version(certificate, 3);
    gnutls_x509_crt_set_serial(certificate, "\1", 1);
    gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 1);
    gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 1000);
    gnutls_x509_crt_set_key(certificate, key);
    gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
    gnutls_certificate_allocate_credentials(&raw_credentials);
    gnutls_certificate_set_x509_key(raw_credentials, &certificate, 1, key);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);

    roam_credentials_trust_anyone(client_credentials);
    config.is_server = true;
    config.priority = RAW_PRIORITY;
    config.credentials = raw_credentials;
    new_client(NULL, 0);
    raw_end_init(&server, &config);
    tls_handshake(&client, &server);
    assert_int_equal(client.error, error);
    assert_int_equal(tls_is_complete(client.tls), error == ROAM_NO_ERROR);
    if (error != ROAM_NO_ERROR)
        assert_int_equal(client.sent_bytes[TLS_HANDSHAKE], 0); /* no Finished */
    free_raw();
}

static void a_server_that_keeps_the_rules_is_accepted(void **state)
{
    (void)state;
    raw_server_fails_client((struct raw_config){0}, ROAM_NO_ERROR);
}

static void a_server_without_alpn_is_refused_with_0x178(void **state)
{
    (void)state;
    raw_server_fails_client((struct raw_config){.without_alpn = true}, 0x178);
}

static void a_server_without_transport_parameters_is_refused_with_0x16d(void **state)
{
    (void)state;
    raw_server_fails_client((struct raw_config){.without_params = true}, 0x16d);
}

static void a_hello_retry_request_brings_both_ends_together(void **state)
{
    (void)state;
    new_server();
    new_raw_client((struct raw_config){.priority = RAW_PRIORITY ":-GROUP-ALL:+GROUP-SECP384R1:+GROUP-SECP256R1"});
    tls_handshake(&client, &server);
    assert_int_equal(server.error, ROAM_NO_ERROR);
    assert_true(tls_is_complete(server.tls));
    assert_true(client.raw_complete);
    assert_int_equal(server.params_count, 1);
    assert_memory_equal(server.params, "raw", 3);
    size_t hellos = 0;
    for (size_t i = 0; i < server.flight_count; i++)
        hellos += server.flights[i].level == TLS_INITIAL;
    assert_int_equal(hellos, 2); /* HelloRetryRequest and ServerHello */
    free_raw();
}

static void a_p256_only_client_connects(void **state)
{
    (void)state;
    new_server();
    new_raw_client((struct raw_config){.priority = RAW_PRIORITY ":-GROUP-ALL:+GROUP-SECP256R1"});
    tls_handshake(&client, &server);
    assert_true(tls_is_complete(server.tls));
    free_raw();
}

static void a_client_without_a_group_in_common_gets_handshake_failure(void **state)
{
    (void)state;
    new_server();
    new_raw_client((struct raw_config){.priority = RAW_PRIORITY ":-GROUP-ALL:+GROUP-SECP521R1"});
    tls_handshake(&client, &server);
    assert_int_equal(server.error, ALERT(40));
    free_raw();
}

static void a_tls_1_2_client_is_refused(void **state)
{
    (void)state;
    new_server();
    new_raw_client((struct raw_config){.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_TLS13_COMPAT_MODE"});
    tls_handshake(&client, &server);
    /* protocol_version, or, from some versions of GnuTLS, handshake_failure */
    assert_true(server.error == ALERT(70) || server.error == ALERT(40));
    assert_int_equal(server.octet_count, 0);
    free_raw();
}

static void a_legacy_session_id_is_a_protocol_violation(void **state)
{
    (void)state;
    new_server();
    new_raw_client((struct raw_config){.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3"});
    tls_handshake(&client, &server);
    assert_int_equal(server.error, ROAM_PROTOCOL_VIOLATION);
    free_raw();
}

static void our_client_sends_no_legacy_session_id(void **state)
{
    (void)state;
    new_client(NULL, 0);
    tls_end_start(&client);
    assert_int_equal(client.flight_count, 1);
    assert_int_equal(client.octets[0], 1);
    assert_int_equal(client.octets[4 + 2 + 32], 0);
}

static void messages_may_come_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 700; chunk = chunk * 3 - chunk / 2) {
        new_ends();
        tls_handshake_in_chunks(&client, &server, chunk);
        assert_connected();
        tls_end_done(&client);
        tls_end_done(&server);
    }
}

static void messages_may_come_all_together(void **state)
{
    (void)state;
    new_ends();
    tls_end_start(&client);
    tls_carry(&client, &server, SIZE_MAX);
    /* The server's handshake messages, joined. */
    uint8_t octets[8192];
    size_t len = 0;
    for (size_t i = 0; i < server.flight_count; i++) {
        const struct tls_flight *flight = &server.flights[i];
        if (flight->level == TLS_INITIAL) {
            tls_end_receive(&client, TLS_INITIAL, server.octets + flight->at, flight->len);
        } else {
            memcpy(octets + len, server.octets + flight->at, flight->len);
            len += flight->len;
        }
    }
    tls_end_receive(&client, TLS_HANDSHAKE, octets, len);
    server.carried = server.flight_count;
    tls_carry(&client, &server, SIZE_MAX);
    assert_connected();
}

static void octets_at_the_wrong_level_are_a_protocol_violation(void **state)
{
    (void)state;
    for (int level = TLS_EARLY; level <= TLS_APPLICATION; level++) {
        new_ends();
        tls_end_start(&client);
        assert_int_equal(tls_receive(server.tls, (enum tls_level)level, client.octets, client.octet_count),
                         ROAM_PROTOCOL_VIOLATION);
        tls_end_done(&client);
        tls_end_done(&server);
    }
}

static void octets_of_a_level_left_behind_are_a_protocol_violation(void **state)
{
    (void)state;
    new_ends();
    tls_end_start(&client);
    tls_carry(&client, &server, SIZE_MAX);
    /* The server has the client's handshake keys now. */
    assert_int_equal(tls_receive(server.tls, TLS_INITIAL, (const uint8_t *)"\1", 1), ROAM_PROTOCOL_VIOLATION);
    /* And a ServerHello with something behind it. */
    uint8_t octets[512];
    size_t len = server.flights[0].len;
    memcpy(octets, server.octets, len);
    octets[len] = 2;
    assert_int_equal(tls_receive(client.tls, TLS_INITIAL, octets, len + 1), ROAM_PROTOCOL_VIOLATION);
}

static void connect_ends(void)
{
    new_ends();
    tls_handshake(&client, &server);
    assert_connected();
}

static void a_key_update_is_0x10a(void **state)
{
    (void)state;
    static const uint8_t key_update[] = {24, 0, 0, 1, 0};
    connect_ends();
    assert_int_equal(tls_receive(client.tls, TLS_APPLICATION, key_update, sizeof(key_update)), 0x10a);
    assert_int_equal(tls_receive(server.tls, TLS_APPLICATION, key_update, sizeof(key_update)), 0x10a);
    assert_int_equal(tls_receive(server.tls, TLS_APPLICATION, key_update, sizeof(key_update)), 0x10a); /* for good */
}

static void a_key_update_within_the_handshake_is_0x10a(void **state)
{
    (void)state;
    static const uint8_t key_update[] = {24, 0, 0, 1, 0};
    new_ends();
    tls_end_start(&client);
    tls_carry(&client, &server, SIZE_MAX);
    assert_int_equal(tls_receive(server.tls, TLS_HANDSHAKE, key_update, sizeof(key_update)), 0x10a);
}

static void a_late_certificate_request_is_a_protocol_violation(void **state)
{
    (void)state;
    static const uint8_t request[] = {13, 0, 0, 3, 0, 0, 0};
    connect_ends();
    assert_int_equal(tls_receive(client.tls, TLS_APPLICATION, request, sizeof(request)), ROAM_PROTOCOL_VIOLATION);
    assert_int_equal(tls_receive(server.tls, TLS_APPLICATION, request, sizeof(request)), 0x10a);
}

static void a_ticket_with_another_early_data_size_is_a_protocol_violation(void **state)
{
    (void)state;
    uint8_t ticket[] = {4, 0, 0, 23, 0, 0, 0, 9, 0, 0, 0, 0, 1, 0, 0, 1, 7, 0, 8, 0, 42, 0, 4, 0, 0, 0x40, 0};
    connect_ends();
    assert_int_equal(tls_receive(client.tls, TLS_APPLICATION, ticket, sizeof(ticket)), ROAM_PROTOCOL_VIOLATION);
}

static void a_truncated_ticket_is_a_decode_error(void **state)
{
    (void)state;
    uint8_t ticket[] = {4, 0, 0, 13, 0, 0, 0, 9, 0, 0, 0, 0, 1, 0, 0, 9, 7};
    connect_ends();
    assert_int_equal(tls_receive(client.tls, TLS_APPLICATION, ticket, sizeof(ticket)), ALERT(50));
}

static void a_message_that_is_too_long_exceeds_the_buffer(void **state)
{
    (void)state;
    static const uint8_t header[] = {1, 0xff, 0xff, 0xff};
    new_server();
    assert_int_equal(tls_receive(server.tls, TLS_INITIAL, header, 3), ROAM_NO_ERROR);
    assert_int_equal(tls_receive(server.tls, TLS_INITIAL, header + 3, 1), ROAM_CRYPTO_BUFFER_EXCEEDED);
}

static void a_promise_of_length_allocates_little(void **state)
{
    (void)state;
    static const uint8_t header[] = {1, 0, 0xff, 0xf0, 3, 3};
    new_server();
    size_t before = counting.bytes_out;
    assert_int_equal(tls_receive(server.tls, TLS_INITIAL, header, sizeof(header)), ROAM_NO_ERROR);
    assert_true(counting.bytes_out - before <= 64);
}

/* What came with the newest ticket of a handshake that ended well. */
static uint8_t session[SESSION_BYTES_MAX];
static size_t session_len;

static void take_session(void)
{
    assert_connected();
    assert_int_equal(client.session_count, 0);
    assert_int_equal(tls_send_ticket(server.tls, 0), ROAM_NO_ERROR);
    assert_true(server.sent_bytes[TLS_APPLICATION] > 0);
    tls_carry(&server, &client, 7);
    assert_int_equal(client.error, ROAM_NO_ERROR);
    assert_int_equal(client.session_count, 1);
    session_len = client.session_len;
    memcpy(session, client.session, session_len);
    tls_end_done(&client);
    tls_end_done(&server);
}

static void shake_hands_with(const uint8_t *data, size_t len)
{
    new_client(data, len);
    new_server();
    tls_handshake(&client, &server);
}

static void expect_resumed(bool expected)
{
    assert_connected();
    assert_int_equal(tls_is_resumed(client.tls), expected);
    assert_int_equal(tls_is_resumed(server.tls), expected);
    assert_memory_equal(client.send[TLS_APPLICATION], server.receive[TLS_APPLICATION], 32);
    tls_end_done(&client);
    tls_end_done(&server);
}

static void a_session_is_resumed_without_certificates(void **state)
{
    (void)state;
    connect_ends();
    assert_false(tls_is_resumed(client.tls));
    size_t full = server.sent_bytes[TLS_HANDSHAKE];
    take_session();
    shake_hands_with(session, session_len);
    assert_true(server.sent_bytes[TLS_HANDSHAKE] + 200 < full);
    assert_string_equal(tls_alpn(client.tls), "test");
    assert_memory_equal(client.params, "parameters of the server", 24);
    expect_resumed(true);
}

/* Of a ClientHello: where its extensions begin, that is their length. */
static size_t extensions_at(const uint8_t *hello)
{
    size_t at = 4 + 2 + 32;
    at += 1 + (size_t)hello[at];                        /* legacy_session_id */
    at += 2 + ((size_t)hello[at] << 8) + hello[at + 1]; /* cipher_suites */
    return at + 1 + (size_t)hello[at];                  /* legacy_compression_methods */
}

/* Puts the transport parameters last but one: pre_shared_key must be the last. */
static void send_params_late(uint8_t *hello, size_t len)
{
    size_t at = extensions_at(hello) + 2, next;
    uint8_t params[256];
    for (; hello[at] != 0 || hello[at + 1] != 0x39; at = next)
        next = at + 4 + ((size_t)hello[at + 2] << 8) + hello[at + 3];
    size_t bytes = 4 + ((size_t)hello[at + 2] << 8) + hello[at + 3], last = at + bytes;
    memcpy(params, hello + at, bytes);
    while (hello[last] != 0 || hello[last + 1] != 41)
        last += 4 + ((size_t)hello[last + 2] << 8) + hello[last + 3];
    assert_true(last < len);
    memmove(hello + at, hello + at + bytes, last - at - bytes);
    memcpy(hello + last - bytes, params, bytes);
}

static void a_ticket_is_looked_at_wherever_the_parameters_stand(void **state)
{
    (void)state;
    connect_ends();
    take_session();
    new_client(session, session_len);
    new_server();
    tls_start(client.tls);
    send_params_late(client.octets, client.flights[0].len);
    tls_carry(&client, &server, SIZE_MAX);
    /* The binder does not fit any more, which nobody finds who does not look at the ticket. */
    assert_int_equal(server.error, ALERT(47));
    assert_string_equal((const char *)server.params, "client's parameters");
}

static void a_resumed_session_brings_another_one(void **state)
{
    (void)state;
    connect_ends();
    for (int i = 0; i < 3; i++) {
        take_session();
        shake_hands_with(session, session_len);
    }
    expect_resumed(true);
}

static void a_session_of_which_an_octet_is_changed_or_missing_means_a_full_handshake(void **state)
{
    (void)state;
    connect_ends();
    take_session();
    for (size_t at = 0; at < session_len; at += session_len / 16) {
        session[at] ^= 1;
        shake_hands_with(session, session_len);
        expect_resumed(false);
        session[at] ^= 1;
        shake_hands_with(session, at);
        expect_resumed(false);
    }
    shake_hands_with((const uint8_t *)"garbage", 7);
    expect_resumed(false);
    shake_hands_with(session, session_len);
    expect_resumed(true);
}

static void a_session_is_of_use_under_its_servers_name_only(void **state)
{
    (void)state;
    static const char *const both[] = {"server.example", "other.example", NULL};
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    roam_credentials_generate(server_credentials, both);
    roam_credentials_fingerprint(server_credentials, fingerprint);
    roam_credentials_trust_pin(client_credentials, fingerprint);
    connect_ends();
    take_session();
    server_name = "other.example";
    shake_hands_with(session, session_len);
    expect_resumed(false);
    server_name = "server.example";
    shake_hands_with(session, session_len);
    expect_resumed(true);
}

static void a_session_with_a_server_that_is_not_trusted_any_more_is_not_resumed(void **state)
{
    (void)state;
    roam_credentials *anyone = roam_credentials_new(), *impostor = roam_credentials_new();
    roam_credentials_trust_anyone(anyone);
    roam_credentials_generate(impostor, names);
    server_config.credentials = impostor;
    client_config.credentials = anyone;
    connect_ends();
    take_session();
    client_config.credentials = client_credentials; /* which have pinned another key */
    shake_hands_with(session, session_len);
    assert_int_equal(client.error, ALERT(46)); /* the certificate was asked for, and refused */
    assert_false(tls_is_complete(client.tls));
    tls_end_done(&client);
    tls_end_done(&server);
    client_config.credentials = anyone;
    shake_hands_with(session, session_len);
    expect_resumed(true);
    roam_credentials_free(anyone);
    roam_credentials_free(impostor);
}

static void a_server_with_another_ticket_key_makes_a_full_handshake(void **state)
{
    (void)state;
    static const uint8_t other_key[64] = {3, 2, 1};
    connect_ends();
    take_session();
    ticket_key = other_key;
    shake_hands_with(session, session_len);
    ticket_key = first_ticket_key;
    expect_resumed(false);
}

static void a_client_that_resumes_is_held_against_todays_trust(void **state)
{
    (void)state;
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    roam_credentials *strict = roam_credentials_new();
    roam_credentials_generate(client_credentials, names);
    roam_credentials_fingerprint(client_credentials, fingerprint);
    roam_credentials_require_client(server_credentials);
    roam_credentials_trust_pin(server_credentials, fingerprint);
    connect_ends();
    take_session();
    shake_hands_with(session, session_len);
    take_session();
    /* The same server, with another opinion of its clients. */
    roam_credentials_generate(strict, names);
    roam_credentials_require_client(strict);
    fingerprint[0] ^= 1;
    roam_credentials_trust_pin(strict, fingerprint);
    server_config.credentials = strict;
    shake_hands_with(session, session_len);
    assert_int_equal(server.error, ALERT(46));
    assert_false(tls_is_complete(server.tls));
    roam_credentials_free(strict);
}

static void a_server_without_a_ticket_key_has_no_tickets(void **state)
{
    (void)state;
    ticket_key = NULL;
    connect_ends();
    ticket_key = first_ticket_key;
    tls_send_ticket(server.tls, 0);
    tls_carry(&server, &client, SIZE_MAX);
    assert_int_equal(client.session_count, 0);
}

static void configurations_that_cannot_work_are_refused(void **state)
{
    (void)state;
    static const char *const none[] = {NULL}, *const empty[] = {"", NULL};
    roam_result result;
    struct tls_config config = {
        .is_server = true, .config = &server_config, .keylog = keylog, .sink = tls_end_sink(&server)};
    server_config.alpn = none;
    assert_null(tls_new(&allocator, &config, &result));
    assert_int_equal(result, ROAM_ERR_CONFIG);
    server_config.alpn = NULL;
    assert_null(tls_new(&allocator, &config, &result));
    assert_int_equal(result, ROAM_ERR_CONFIG);
    server_config.alpn = empty;
    assert_null(tls_new(&allocator, &config, &result));
    assert_int_equal(result, ROAM_ERR_CONFIG);
    server_config.alpn = test_alpn;
    server_config.credentials = client_credentials; /* without a certificate */
    assert_null(tls_new(&allocator, &config, &result));
    assert_int_equal(result, ROAM_ERR_CREDENTIALS);
    counting.refuses = true;
    assert_null(tls_new(&allocator, &config, &result));
    assert_int_equal(result, ROAM_ERR_MEMORY);
}

static void a_damaged_hello_is_an_alert_and_never_a_crash(void **state)
{
    (void)state;
    struct seeded seeded = {1};
    new_client(NULL, 0);
    tls_end_start(&client);
    size_t failed = 0;
    for (int i = 0; i < 300; i++) {
        uint8_t octets[1024];
        size_t len = client.octet_count;
        memcpy(octets, client.octets, len);
        for (uint64_t n = 1 + seeded_below(&seeded, 3); n > 0; n--)
            octets[4 + seeded_below(&seeded, len - 4)] = (uint8_t)seeded_u64(&seeded);
        new_server();
        uint64_t error = tls_receive(server.tls, TLS_INITIAL, octets, len);
        assert_true(error == ROAM_NO_ERROR || error == ROAM_PROTOCOL_VIOLATION ||
                    (error >= ROAM_CRYPTO_ERROR && error <= ROAM_CRYPTO_ERROR_LAST));
        if (error != ROAM_NO_ERROR) {
            assert_string_not_equal(tls_failure(server.tls), "");
            failed++;
        }
        tls_end_done(&server);
    }
    assert_true(failed > 0);
}

static void a_damaged_flight_of_the_server_is_refused(void **state)
{
    (void)state;
    struct seeded seeded = {2};
    for (int i = 0; i < 60; i++) {
        new_ends();
        tls_end_start(&client);
        tls_carry(&client, &server, SIZE_MAX);
        server.octets[seeded_below(&seeded, server.octet_count)] ^= (uint8_t)(1 + seeded_below(&seeded, 255));
        tls_carry(&server, &client, SIZE_MAX);
        assert_false(tls_is_complete(client.tls));
        tls_end_done(&client);
        tls_end_done(&server);
    }
}

static void on_secret(void *context, const char *line)
{
    char *text = context;
    assert_true(strlen(text) + strlen(line) + 2 < KEYLOG_TEXT_MAX);
    strcat(strcat(text, line), "\n");
}

/* Only who asks is told: GnuTLS by itself would write to the file that the environment names. */
static void secrets_are_told_to_the_keylog_and_not_to_the_environment(void **state)
{
    (void)state;
    static char text[KEYLOG_TEXT_MAX];
    char secret[2 * 32 + 1];
    const roam_keylog log = {.write = on_secret, .context = text};
    keylog = &log;
    connect_ends();
    keylog = NULL;
    for (size_t i = 0; i < 32; i++)
        snprintf(secret + 2 * i, 3, "%02x", client.send[TLS_APPLICATION][i]);
    assert_non_null(strstr(text, "CLIENT_TRAFFIC_SECRET_0 "));
    assert_non_null(strstr(text, "SERVER_HANDSHAKE_TRAFFIC_SECRET "));
    assert_non_null(strstr(text, secret));
    FILE *file = fopen(keylog_path, "r");
    assert_non_null(file);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_credentials, free_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(secrets_are_told_to_the_keylog_and_not_to_the_environment),
        TEST(each_cipher_gives_both_ends_the_same_secrets),
        TEST(transport_parameters_cross_once_each),
        TEST(the_server_prefers_among_common_protocols),
        TEST(without_a_common_protocol_the_server_says_0x178),
        TEST(a_client_without_alpn_is_refused_with_0x178),
        TEST(a_client_without_transport_parameters_is_refused_with_0x16d),
        TEST(a_server_that_keeps_the_rules_is_accepted),
        TEST(a_server_without_alpn_is_refused_with_0x178),
        TEST(a_server_without_transport_parameters_is_refused_with_0x16d),
        TEST(a_hello_retry_request_brings_both_ends_together),
        TEST(a_p256_only_client_connects),
        TEST(a_client_without_a_group_in_common_gets_handshake_failure),
        TEST(a_tls_1_2_client_is_refused),
        TEST(a_legacy_session_id_is_a_protocol_violation),
        TEST(our_client_sends_no_legacy_session_id),
        TEST(messages_may_come_in_pieces_of_any_size),
        TEST(messages_may_come_all_together),
        TEST(octets_at_the_wrong_level_are_a_protocol_violation),
        TEST(octets_of_a_level_left_behind_are_a_protocol_violation),
        TEST(a_key_update_is_0x10a),
        TEST(a_key_update_within_the_handshake_is_0x10a),
        TEST(a_late_certificate_request_is_a_protocol_violation),
        TEST(a_ticket_with_another_early_data_size_is_a_protocol_violation),
        TEST(a_truncated_ticket_is_a_decode_error),
        TEST(a_message_that_is_too_long_exceeds_the_buffer),
        TEST(a_promise_of_length_allocates_little),
        TEST(a_session_is_resumed_without_certificates),
        TEST(a_ticket_is_looked_at_wherever_the_parameters_stand),
        TEST(a_resumed_session_brings_another_one),
        TEST(a_session_of_which_an_octet_is_changed_or_missing_means_a_full_handshake),
        TEST(a_session_is_of_use_under_its_servers_name_only),
        TEST(a_session_with_a_server_that_is_not_trusted_any_more_is_not_resumed),
        TEST(a_server_with_another_ticket_key_makes_a_full_handshake),
        TEST(a_client_that_resumes_is_held_against_todays_trust),
        TEST(a_server_without_a_ticket_key_has_no_tickets),
        TEST(configurations_that_cannot_work_are_refused),
        TEST(a_damaged_hello_is_an_alert_and_never_a_crash),
        TEST(a_damaged_flight_of_the_server_is_refused),
    };
    /* GnuTLS looks for the variable once, at its first secret. */
    int file = mkstemp(keylog_path);
    if (file < 0 || setenv("SSLKEYLOGFILE", keylog_path, 1) != 0)
        return 1;
    close(file);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(keylog_path);
    return result;
}
