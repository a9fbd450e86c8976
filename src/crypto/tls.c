/*
 * TLS 1.3 through GnuTLS's interface for QUIC. A `struct tls` is one handshake: it takes whole messages in, at the
 * level whose secrets it has given out last and at no other, and hands messages, secrets and the peer's transport
 * parameters to its sink.
 *
 * `error` is the state: ROAM_NO_ERROR while all is well, and then the first failure for good. Callbacks that find
 * something wrong set it themselves, since GnuTLS would carry no more than an alert.
 */
#include "crypto/tls.h"

#include <assert.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "crypto/session.h"
#include "crypto/tls_early.h"
#include "crypto/tls_priority.h"

/* RFC 9001 section 8.2. */
#define EXTENSION_TRANSPORT_PARAMETERS 0x39

/* RFC 8446 section 6. */
enum {
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_MISSING_EXTENSION = 109,
    ALERT_NO_APPLICATION_PROTOCOL = 120
};

#define ALPN_MAX 32 /* protocols */

static uint64_t fail(struct tls *tls, uint64_t error, const char *text)
{
    if (tls->error == ROAM_NO_ERROR) {
        tls->error = error;
        snprintf(tls->failure, sizeof(tls->failure), "%s", text);
    }
    return tls->error;
}

/* ---- What GnuTLS calls ---- */

static struct tls *tls_of(gnutls_session_t session)
{
    return (struct tls *)gnutls_session_get_ptr(session);
}

static enum tls_level level_of(gnutls_record_encryption_level_t level)
{
    switch (level) {
    case GNUTLS_ENCRYPTION_LEVEL_INITIAL:
        return TLS_INITIAL;
    case GNUTLS_ENCRYPTION_LEVEL_EARLY:
        return TLS_EARLY;
    case GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE:
        return TLS_HANDSHAKE;
    default:
        return TLS_APPLICATION;
    }
}

bool tls_suite_of(gnutls_cipher_algorithm_t cipher, enum aead_suite *ret)
{
    switch (cipher) {
    case GNUTLS_CIPHER_AES_128_GCM:
        *ret = AEAD_AES_128_GCM;
        return true;
    case GNUTLS_CIPHER_AES_256_GCM:
        *ret = AEAD_AES_256_GCM;
        return true;
    case GNUTLS_CIPHER_CHACHA20_POLY1305:
        *ret = AEAD_CHACHA20_POLY1305;
        return true;
    default:
        return false;
    }
}

static int on_secrets(gnutls_session_t session, gnutls_record_encryption_level_t gnutls_level, const void *receive,
                      const void *send, size_t len)
{
    struct tls *tls = tls_of(session);
    enum tls_level level = level_of(gnutls_level);
    enum aead_suite suite;
    /* A second ClientHello brings the client's early secret once more: it is the first that counts. */
    if (tls->trial || (level == TLS_EARLY && tls->early_keyed))
        return 0;
    tls->early_keyed |= level == TLS_EARLY;
    if (!tls_suite_of(level == TLS_EARLY ? gnutls_early_cipher_get(session) : gnutls_cipher_get(session), &suite) ||
        len != aead_suite_info(suite)->secret_bytes) {
        fail(tls, ROAM_CRYPTO_ERROR + ALERT_INTERNAL_ERROR, "TLS negotiated a cipher that it was not offered");
        return GNUTLS_E_INTERNAL_ERROR;
    }
    if (receive != NULL && level != TLS_EARLY)
        tls->receive_level = level;
    tls->sink.secrets(tls->sink.context, level, suite, (const uint8_t *)receive, (const uint8_t *)send);
    return 0;
}

static int on_message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                      gnutls_handshake_description_t type, const void *data, size_t len)
{
    struct tls *tls = tls_of(session);
    if (tls->trial)
        tls_early_look(tls, (const uint8_t *)data, len);
    else if (type == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET && tls->gate != NULL)
        return tls_early_send_ticket(tls, (const uint8_t *)data, len) ? 0 : GNUTLS_E_MEMORY_ERROR;
    else if (type != GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC) /* no handshake message, and unknown to QUIC */
        tls->sink.send(tls->sink.context, level_of(level), (const uint8_t *)data, len);
    return 0;
}

//= rfc9001#4.8 Every alert is fatal here: it becomes a CRYPTO_ERROR.
static int on_alert(gnutls_session_t session, gnutls_record_encryption_level_t level, gnutls_alert_level_t alert_level,
                    gnutls_alert_description_t alert)
{
    (void)level;
    (void)alert_level;
    const char *name = gnutls_alert_get_strname(alert);
    fail(tls_of(session), ROAM_CRYPTO_ERROR + (unsigned)alert, name != NULL ? name : "TLS alert");
    return 0;
}

static int on_params_received(gnutls_session_t session, const unsigned char *data, size_t len)
{
    struct tls *tls = tls_of(session);
    if (tls->params_received)
        return 0; /* the second ClientHello, after a HelloRetryRequest */
    tls->params_received = true;
    if (!tls->is_server)
        tls_early_remember(&tls->next, data, len);
    tls->sink.params(tls->sink.context, data, len);
    /* Now the version is known, and GnuTLS takes one key for a handshake. */
    return tls->ticket_key == NULL || session_enable_tickets(session, tls->ticket_key, tls->version)
               ? 0
               : GNUTLS_E_MEMORY_ERROR;
}

static int on_params_wanted(gnutls_session_t session, gnutls_buffer_t extension)
{
    struct tls *tls = tls_of(session);
    int result = gnutls_buffer_append_data(extension, tls->params, tls->params_len);
    return result < 0 ? result : (int)tls->params_len;
}

/* Every extension of the peer's has been seen: what must be among them? */
static bool check_extensions(struct tls *tls)
{
    gnutls_datum_t alpn;
    //= rfc9001#8.1 Without a common application protocol the connection ends with no_application_protocol, 0x0178.
    if (gnutls_alpn_get_selected_protocol(tls->session, &alpn) < 0 || alpn.size == 0 || alpn.size > ALPN_NAME_MAX) {
        fail(tls, ROAM_CRYPTO_ERROR + ALERT_NO_APPLICATION_PROTOCOL, "no application protocol in common");
        return false;
    }
    //= rfc9001#8.2 The absence of quic_transport_parameters is missing_extension, 0x016d.
    if (!tls->params_received) {
        fail(tls, ROAM_CRYPTO_ERROR + ALERT_MISSING_EXTENSION, "the peer sent no transport parameters");
        return false;
    }
    memcpy(tls->alpn, alpn.data, alpn.size);
    tls->alpn[alpn.size] = '\0';
    return true;
}

static int on_certificate(gnutls_session_t session)
{
    struct tls *tls = tls_of(session);
    struct verdict verdict;
    if (credentials_accept_peer(tls->credentials, session, !tls->is_server, tls->server_name, &verdict))
        return 0;
    fail(tls, ROAM_CRYPTO_ERROR + verdict.alert, verdict.text);
    return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* A server has made its EncryptedExtensions, in answer to all of the ClientHello; nothing has been sent yet. */
static int on_encrypted_extensions(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                                   const gnutls_datum_t *message)
{
    struct tls *tls = tls_of(session);
    (void)type, (void)when, (void)incoming, (void)message;
    return check_extensions(tls) ? 0 : GNUTLS_E_MISSING_EXTENSION;
}

static void tell_session(struct tls *tls, const uint8_t *ticket, size_t ticket_len)
{
    uint8_t data[SESSION_BYTES_MAX];
    struct session_early early;
    tls_early_read_ticket(tls, ticket, ticket_len, &early);
    size_t len = session_write(tls->session, tls->server_name, tls->version, &early, data, sizeof(data));
    if (len > 0)
        tls->sink.session(tls->sink.context, data, len);
    wipe(data, sizeof(data));
}

static size_t put_hex(char *ret, const gnutls_datum_t *data)
{
    for (unsigned i = 0; i < data->size; i++)
        snprintf(ret + 2 * (size_t)i, 3, "%02x", data->data[i]);
    return 2 * (size_t)data->size;
}

/* A line in the format of NSS: label, client random, secret. GnuTLS's own function, which this one replaces, would look
 * at the environment. */
static int on_keylog(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
    struct tls *tls = tls_of(session);
    gnutls_datum_t client_random, server_random;
    char line[ROAM_KEYLOG_LINE_MAX + 1];
    if (tls->keylog.write == NULL || tls->trial)
        return 0;
    gnutls_session_get_random(session, &client_random, &server_random);
    size_t len = strlen(label) + 2 + 2 * (size_t)client_random.size + 2 * (size_t)secret->size;
    if (len >= sizeof(line))
        return 0; /* nothing of TLS 1.3 is so long */
    char *at = line + sprintf(line, "%s ", label);
    at += put_hex(at, &client_random);
    *at++ = ' ';
    put_hex(at, secret);
    tls->keylog.write(tls->keylog.context, line);
    wipe(line, sizeof(line));
    return 0;
}

/* ---- Setting up ---- */

static roam_result set_alpn(gnutls_session_t session, const char *const *names, bool is_server)
{
    gnutls_datum_t protocols[ALPN_MAX];
    unsigned n = 0;
    for (; names != NULL && names[n] != NULL; n++) {
        size_t len = strlen(names[n]);
        if (n == ALPN_MAX || len == 0 || len > ALPN_NAME_MAX)
            return ROAM_ERR_CONFIG;
        protocols[n] = (gnutls_datum_t){.data = (unsigned char *)names[n], .size = (unsigned)len};
    }
    if (n == 0)
        return ROAM_ERR_CONFIG;
    unsigned flags = GNUTLS_ALPN_MANDATORY | (is_server ? GNUTLS_ALPN_SERVER_PRECEDENCE : 0);
    return gnutls_alpn_set_protocols(session, protocols, n, flags) < 0 ? ROAM_ERR_MEMORY : ROAM_OK;
}

static roam_result set_up_client(struct tls *tls, const struct tls_config *config, struct session_early *ret_early)
{
    const char *name = config->server_name != NULL ? config->server_name : config->config->server_name;
    roam_address address;
    size_t len = name != NULL ? strlen(name) : 0;
    if (len > 1 && name[len - 1] == '.')
        len--; /* the root's dot is no part of a server_name, RFC 6066 section 3 */
    if (len > SERVER_NAME_MAX)
        return ROAM_ERR_CONFIG;
    if (len > 0)
        memcpy(tls->server_name, name, len);
    if (len > 0 && !roam_address_parse(&address, tls->server_name) &&
        gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->server_name, len) < 0)
        return ROAM_ERR_CONFIG;
    if (config->session != NULL)
        session_offer(tls->session, tls->credentials, tls->server_name, tls->version, config->session,
                      config->session_len, ret_early);
    return ROAM_OK;
}

static roam_result set_up_server(struct tls *tls, const struct tls_config *config)
{
    if (!tls->credentials->has_certificate)
        return ROAM_ERR_CREDENTIALS;
    gnutls_certificate_server_set_request(tls->session,
                                          tls->credentials->require_client ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE);
    /* Authorities tell a client with a pinned certificate of its own making not to send it. */
    gnutls_certificate_send_x509_rdn_sequence(tls->session, 1);
    tls->ticket_key = config->ticket_key;
    return tls->gate == NULL || tls_early_accept(tls) ? ROAM_OK : ROAM_ERR_MEMORY;
}

static bool set_callbacks(struct tls *tls)
{
    gnutls_session_t session = tls->session;
    gnutls_session_set_ptr(session, tls);
    gnutls_handshake_set_secret_function(session, on_secrets);
    gnutls_handshake_set_read_function(session, on_message);
    gnutls_alert_set_read_function(session, on_alert);
    if (tls->is_server)
        gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS, GNUTLS_HOOK_POST,
                                           on_encrypted_extensions);
    gnutls_session_set_verify_function(session, on_certificate);
    gnutls_session_set_keylog_function(session, on_keylog);
    gnutls_handshake_set_timeout(session, GNUTLS_INDEFINITE_TIMEOUT);
    /* Application: before all that has to do with tickets, wherever the client has put it. Without a key GnuTLS would
     * not look at psk_key_exchange_modes, and so at no ticket either. */
    return gnutls_session_ext_register(session, "QUIC transport parameters", EXTENSION_TRANSPORT_PARAMETERS,
                                       GNUTLS_EXT_APPLICATION, on_params_received, on_params_wanted, NULL, NULL, NULL,
                                       GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE) >= 0;
}

bool tls_set_params(struct tls *tls, const uint8_t *params, size_t len)
{
    uint8_t *copy = (uint8_t *)mem_alloc(&tls->allocator, len + 1);
    if (copy == NULL)
        return false;
    if (len > 0)
        memcpy(copy, params, len);
    if (tls->params != NULL)
        mem_free(&tls->allocator, tls->params, tls->params_len + 1);
    tls->params = copy;
    tls->params_len = len;
    return true;
}

void tls_set_version(struct tls *tls, uint32_t version)
{
    tls->version = version;
}

static unsigned flags_of(const struct tls *tls)
{
    //= rfc9001#8.3 No EndOfEarlyData message.
    const unsigned common = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_END_OF_EARLY_DATA;
    if (tls->is_server)
        return common | GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET | (tls->gate != NULL ? GNUTLS_ENABLE_EARLY_DATA : 0);
    /* Two shares leave a server no reason for a HelloRetryRequest, after which GnuTLS would offer early data again. */
    return common | GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT |
           (tls->early_offered ? GNUTLS_ENABLE_EARLY_DATA | GNUTLS_KEY_SHARE_TOP2 : GNUTLS_KEY_SHARE_TOP);
}

static roam_result make_session(struct tls *tls, const struct tls_config *config, struct session_early *ret_early)
{
    if (gnutls_init(&tls->session, flags_of(tls)) < 0 || !set_callbacks(tls) ||
        !tls_priority_set(tls->session, config->config->ciphers, config->config->resume_without_dh) ||
        gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials->x509) < 0)
        return ROAM_ERR_MEMORY;
    roam_result result = set_alpn(tls->session, config->config->alpn, config->is_server);
    if (result != ROAM_OK)
        return result;
    return config->is_server ? set_up_server(tls, config) : set_up_client(tls, config, ret_early);
}

/* GnuTLS would make early keys of nothing where it finds the ticket too old. So a ClientHello is made first that offers
 * no early data, and shows how old the ticket is. */
static roam_result try_early(struct tls *tls, const struct tls_config *config)
{
    struct session_early early = {.allowed = false};
    tls->trial = true;
    roam_result result = make_session(tls, config, &early);
    if (result == ROAM_OK && early.allowed) {
        gnutls_handshake(tls->session);
        tls->early_offered = tls_early_may_offer(tls, &early, config->config);
        tls->terms = early.terms;
    }
    tls->trial = false;
    if (tls->session != NULL)
        gnutls_deinit(tls->session);
    tls->session = NULL;
    return result;
}

static roam_result set_up(struct tls *tls, const struct tls_config *config)
{
    struct session_early ignored;
    if (!tls_set_params(tls, config->params, config->params_len))
        return ROAM_ERR_MEMORY;
    tls->credentials =
        config->config->credentials != NULL ? credentials_ref(config->config->credentials) : roam_credentials_new();
    if (tls->credentials == NULL)
        return ROAM_ERR_MEMORY;
    /* A client's certificate is judged when the handshake is complete: before that nothing of it is taken. */
    if (config->is_server && config->gate != NULL && config->gate->asks != NULL && !tls->credentials->require_client)
        tls->gate = config->gate;
    if (!config->is_server && config->early_data && config->session != NULL) {
        roam_result result = try_early(tls, config);
        if (result != ROAM_OK)
            return result;
    }
    return make_session(tls, config, &ignored);
}

struct tls *tls_new(const roam_allocator *allocator, const struct tls_config *config, roam_result *ret_result)
{
    struct tls *tls = (struct tls *)mem_zalloc(allocator, sizeof(*tls));
    roam_result result = ROAM_ERR_MEMORY;
    if (tls != NULL) {
        tls->allocator = *allocator;
        tls->is_server = config->is_server;
        tls->sink = config->sink;
        tls->config = config->config;
        tls->version = config->version;
        if (config->keylog != NULL)
            tls->keylog = *config->keylog;
        tls->receive_level = TLS_INITIAL;
        result = set_up(tls, config);
        if (result == ROAM_OK)
            return tls;
    }
    tls_free(tls);
    if (ret_result != NULL)
        *ret_result = result;
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    roam_allocator allocator = tls->allocator;
    if (tls->session != NULL)
        gnutls_deinit(tls->session);
    roam_credentials_free(tls->credentials);
    partial_message_done(&tls->partial, &allocator);
    mem_free(&allocator, tls->params, tls->params_len + 1);
    wipe(tls, sizeof(*tls));
    mem_free(&allocator, tls, sizeof(*tls));
}

/* ---- Driving it ---- */

/* A fatal answer of GnuTLS's becomes an error, if no callback has made one. */
static uint64_t settle(struct tls *tls, int result)
{
    if (tls->error != ROAM_NO_ERROR)
        return tls->error;
    if (result >= 0 || !gnutls_error_is_fatal(result))
        return ROAM_NO_ERROR;
    int level;
    int alert = gnutls_error_to_alert(result, &level);
    return fail(tls, ROAM_CRYPTO_ERROR + (alert >= 0 ? (unsigned)alert : ALERT_INTERNAL_ERROR),
                gnutls_strerror(result));
}

static uint64_t handshake(struct tls *tls)
{
    int result = gnutls_handshake(tls->session);
    /* A client that resumes shows no certificate: the one in its ticket must be good today as well. */
    if (result == GNUTLS_E_SUCCESS && tls->is_server && tls->credentials->require_client && tls_is_resumed(tls))
        result = on_certificate(tls->session);
    uint64_t error = settle(tls, result);
    if (error == ROAM_NO_ERROR && result == GNUTLS_E_SUCCESS)
        tls->complete = true;
    return error;
}

uint64_t tls_start(struct tls *tls)
{
    if (tls->error != ROAM_NO_ERROR || tls->is_server)
        return tls->error;
    return handshake(tls);
}

//= rfc8446#4.2.10 Early data is of the protocol that it was sent for, or the server must not take it.
static void check_early(struct tls *tls)
{
    if (tls_early_data_is_accepted(tls) &&
        (strlen(tls->alpn) != tls->terms.alpn_len || memcmp(tls->alpn, tls->terms.alpn, tls->terms.alpn_len) != 0))
        fail(tls, ROAM_CRYPTO_ERROR + ALERT_ILLEGAL_PARAMETER, "early data was taken for another protocol");
}

static uint64_t take_message(struct tls *tls, enum tls_level level, const uint8_t *message, size_t len)
{
    static const gnutls_record_encryption_level_t levels[TLS_LEVELS] = {
        [TLS_INITIAL] = GNUTLS_ENCRYPTION_LEVEL_INITIAL,
        [TLS_EARLY] = GNUTLS_ENCRYPTION_LEVEL_EARLY,
        [TLS_HANDSHAKE] = GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE,
        [TLS_APPLICATION] = GNUTLS_ENCRYPTION_LEVEL_APPLICATION,
    };
    const char *why = "";
    uint64_t error = message_check(tls->is_server, level, message, len, &why);
    if (error != ROAM_NO_ERROR)
        return fail(tls, error, why);
    if (tls->gate != NULL && message[0] == GNUTLS_HANDSHAKE_CLIENT_HELLO)
        tls_early_read_hello(tls, tls->config, message, len);
    /* Once the handshake is complete, this also processes the message. */
    error = settle(tls, gnutls_handshake_write(tls->session, levels[level], message, len));
    if (error == ROAM_NO_ERROR && !tls->complete)
        error = handshake(tls);
    /* A client looks for itself: GnuTLS calls its hook before it has read the extensions. */
    if (error == ROAM_NO_ERROR && !tls->is_server && message[0] == GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS &&
        !tls->complete)
        check_extensions(tls);
    if (error == ROAM_NO_ERROR && tls->error == ROAM_NO_ERROR && !tls->is_server && tls->complete)
        check_early(tls);
    if (error == ROAM_NO_ERROR && !tls->is_server && message[0] == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET)
        tell_session(tls, message, len);
    return tls->error;
}

uint64_t tls_receive(struct tls *tls, enum tls_level level, const uint8_t *data, size_t len)
{
    while (tls->error == ROAM_NO_ERROR && len > 0) {
        const uint8_t *message;
        size_t message_len;
        //= rfc9001#4.1.3 Octets of a level whose keys were replaced, or of a message that the replacement cut in two.
        //= rfc9001#8.3 CRYPTO frames in 0-RTT packets.
        if (level != tls->receive_level)
            return fail(tls, ROAM_PROTOCOL_VIOLATION, "handshake octets at the wrong encryption level");
        uint64_t error = message_next(&tls->partial, &tls->allocator, &data, &len, &message, &message_len);
        if (error != ROAM_NO_ERROR)
            return fail(tls, error, error == ROAM_INTERNAL_ERROR ? "no memory" : "TLS message too long");
        if (message != NULL)
            take_message(tls, level, message, message_len);
    }
    return tls->error;
}

const char *tls_failure(const struct tls *tls)
{
    return tls->failure;
}

bool tls_is_between_messages(const struct tls *tls)
{
    return tls->partial.len == 0;
}

bool tls_is_complete(const struct tls *tls)
{
    return tls->complete;
}

uint64_t tls_send_ticket(struct tls *tls, roam_time now)
{
    assert(tls->is_server && tls->complete);
    tls->next.issued = now;
    return settle(tls, gnutls_session_ticket_send(tls->session, 1, 0));
}

bool tls_is_resumed(const struct tls *tls)
{
    return gnutls_session_is_resumed(tls->session) != 0;
}

const struct early_terms *tls_early_terms(const struct tls *tls)
{
    return tls->early_offered ? &tls->terms : NULL;
}

bool tls_early_data_is_accepted(const struct tls *tls)
{
    return tls->is_server ? tls->early_keyed : (gnutls_session_get_flags(tls->session) & GNUTLS_SFLAGS_EARLY_DATA) != 0;
}

bool tls_has_dh(const struct tls *tls)
{
    return gnutls_group_get(tls->session) != GNUTLS_GROUP_INVALID;
}

const char *tls_alpn(const struct tls *tls)
{
    return tls->alpn;
}
