/*
 * What GnuTLS calls while a handshake runs: secrets, messages, alerts and transport parameters come from here to the sink,
 * and what the peer has shown is judged.
 */
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "crypto/session.h"
#include "crypto/tls_early.h"
#include "crypto/tls_internal.h"

/* RFC 9001 section 8.2. */
#define EXTENSION_TRANSPORT_PARAMETERS 0x39

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
        tls_fail(tls, ROAM_CRYPTO_ERROR + ALERT_INTERNAL_ERROR, "TLS negotiated a cipher that it was not offered");
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
    tls_fail(tls_of(session), ROAM_CRYPTO_ERROR + (unsigned)alert, name != NULL ? name : "TLS alert");
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

bool tls_check_extensions(struct tls *tls)
{
    gnutls_datum_t alpn;
    //= rfc9001#8.1 Without a common application protocol the connection ends with no_application_protocol, 0x0178.
    if (gnutls_alpn_get_selected_protocol(tls->session, &alpn) < 0 || alpn.size == 0 || alpn.size > ALPN_NAME_MAX) {
        tls_fail(tls, ROAM_CRYPTO_ERROR + ALERT_NO_APPLICATION_PROTOCOL, "no application protocol in common");
        return false;
    }
    //= rfc9001#8.2 The absence of quic_transport_parameters is missing_extension, 0x016d.
    if (!tls->params_received) {
        tls_fail(tls, ROAM_CRYPTO_ERROR + ALERT_MISSING_EXTENSION, "the peer sent no transport parameters");
        return false;
    }
    memcpy(tls->alpn, alpn.data, alpn.size);
    tls->alpn[alpn.size] = '\0';
    return true;
}

int tls_check_certificate(gnutls_session_t session)
{
    struct tls *tls = tls_of(session);
    struct verdict verdict;
    if (credentials_accept_peer(tls->credentials, session, !tls->is_server, tls->server_name, &verdict))
        return 0;
    tls_fail(tls, ROAM_CRYPTO_ERROR + verdict.alert, verdict.text);
    return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* A server has made its EncryptedExtensions, in answer to all of the ClientHello; nothing has been sent yet. */
static int on_encrypted_extensions(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                                   const gnutls_datum_t *message)
{
    struct tls *tls = tls_of(session);
    (void)type, (void)when, (void)incoming, (void)message;
    return tls_check_extensions(tls) ? 0 : GNUTLS_E_MISSING_EXTENSION;
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

bool tls_set_callbacks(struct tls *tls)
{
    gnutls_session_t session = tls->session;
    gnutls_session_set_ptr(session, tls);
    gnutls_handshake_set_secret_function(session, on_secrets);
    gnutls_handshake_set_read_function(session, on_message);
    gnutls_alert_set_read_function(session, on_alert);
    if (tls->is_server)
        gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS, GNUTLS_HOOK_POST,
                                           on_encrypted_extensions);
    gnutls_session_set_verify_function(session, tls_check_certificate);
    gnutls_session_set_keylog_function(session, on_keylog);
    gnutls_handshake_set_timeout(session, GNUTLS_INDEFINITE_TIMEOUT);
    /* Application: before all that has to do with tickets, wherever the client has put it. Without a key GnuTLS would
     * not look at psk_key_exchange_modes, and so at no ticket either. */
    return gnutls_session_ext_register(session, "QUIC transport parameters", EXTENSION_TRANSPORT_PARAMETERS,
                                       GNUTLS_EXT_APPLICATION, on_params_received, on_params_wanted, NULL, NULL, NULL,
                                       GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE) >= 0;
}
