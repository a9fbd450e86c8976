/*
 * TLS 1.3 through GnuTLS's interface for QUIC. A `struct tls` is one handshake: it takes whole messages in, at the
 * level whose secrets it has given out last and at no other, and hands messages, secrets and the peer's transport
 * parameters to its sink.
 *
 * `error` is the state: ROAM_NO_ERROR while all is well, and then the first failure for good. Callbacks that find
 * something wrong set it themselves, since GnuTLS would carry no more than an alert.
 *
 * Here it is made, driven and asked; tls_setup.c makes GnuTLS's session for it, tls_callbacks.c is what GnuTLS calls.
 */
#include "crypto/tls.h"

#include <assert.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "crypto/session.h"
#include "crypto/tls_early.h"
#include "crypto/tls_internal.h"

uint64_t tls_fail(struct tls *tls, uint64_t error, const char *text)
{
    if (tls->error == ROAM_NO_ERROR) {
        tls->error = error;
        snprintf(tls->failure, sizeof(tls->failure), "%s", text);
    }
    return tls->error;
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
        result = tls_set_up(tls, config);
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
    return tls_fail(tls, ROAM_CRYPTO_ERROR + (alert >= 0 ? (unsigned)alert : ALERT_INTERNAL_ERROR),
                    gnutls_strerror(result));
}

static uint64_t handshake(struct tls *tls)
{
    int result = gnutls_handshake(tls->session);
    /* A client that resumes shows no certificate: the one in its ticket must be good today as well. */
    if (result == GNUTLS_E_SUCCESS && tls->is_server && tls->credentials->require_client && tls_is_resumed(tls))
        result = tls_check_certificate(tls->session);
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
        tls_fail(tls, ROAM_CRYPTO_ERROR + ALERT_ILLEGAL_PARAMETER, "early data was taken for another protocol");
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
        return tls_fail(tls, error, why);
    if (tls->gate != NULL && message[0] == GNUTLS_HANDSHAKE_CLIENT_HELLO)
        tls_early_read_hello(tls, tls->config, message, len);
    /* Once the handshake is complete, this also processes the message. */
    error = settle(tls, gnutls_handshake_write(tls->session, levels[level], message, len));
    if (error == ROAM_NO_ERROR && !tls->complete)
        error = handshake(tls);
    /* A client looks for itself: GnuTLS calls its hook before it has read the extensions. */
    if (error == ROAM_NO_ERROR && !tls->is_server && message[0] == GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS &&
        !tls->complete)
        tls_check_extensions(tls);
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
            return tls_fail(tls, ROAM_PROTOCOL_VIOLATION, "handshake octets at the wrong encryption level");
        uint64_t error = message_next(&tls->partial, &tls->allocator, &data, &len, &message, &message_len);
        if (error != ROAM_NO_ERROR)
            return tls_fail(tls, error, error == ROAM_INTERNAL_ERROR ? "no memory" : "TLS message too long");
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
