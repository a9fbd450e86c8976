/*
 * GnuTLS's session for a handshake, as the configuration wants it: ciphers, protocols, names and credentials, the session
 * that is resumed, and whether there is early data.
 */
#include <gnutls/gnutls.h>
#include <string.h>

#include "crypto/session.h"
#include "crypto/tls_early.h"
#include "crypto/tls_internal.h"
#include "crypto/tls_priority.h"

#define ALPN_MAX 32 /* protocols */

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
    if (gnutls_init(&tls->session, flags_of(tls)) < 0 || !tls_set_callbacks(tls) ||
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

roam_result tls_set_up(struct tls *tls, const struct tls_config *config)
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
