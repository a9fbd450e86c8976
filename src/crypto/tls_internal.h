/* Inside of a struct tls: what the files of crypto/tls.h share. */
#ifndef CRYPTO_TLS_INTERNAL_H
#define CRYPTO_TLS_INTERNAL_H

#include <gnutls/gnutls.h>

#include "crypto/credentials.h"
#include "crypto/tls.h"
#include "crypto/tls_messages.h"

#define ALPN_NAME_MAX   255
#define SERVER_NAME_MAX 255
#define FAILURE_MAX     VERDICT_TEXT_MAX

struct tls {
    roam_allocator allocator;
    bool is_server;
    bool complete;
    bool params_received;
    uint32_t version;             /* of QUIC */
    const uint8_t *ticket_key;    /* server: of the endpoint's; NULL: none */
    enum tls_level receive_level; /* of the last receive secret: handshake octets come at this level only */
    uint64_t error;
    char failure[FAILURE_MAX];
    gnutls_session_t session;
    roam_credentials *credentials;
    roam_keylog keylog; /* write NULL: none */
    struct tls_sink sink;
    const roam_config *config;
    struct partial_message partial;
    uint8_t *params;
    size_t params_len;
    char server_name[SERVER_NAME_MAX + 1];
    char alpn[ALPN_NAME_MAX + 1];
    /* Early data. */
    struct early_gate *gate;  /* server: NULL: none is taken */
    struct early_terms terms; /* what the client relies on: of the session, or of its ticket's annex */
    struct early_terms next;  /* ... and may rely on with the ticket that comes next */
    bool early_offered;       /* client: it goes with the ClientHello */
    bool early_fits;          /* server: the ClientHello's ticket is ours and suits it */
    bool early_keyed;         /* its secret is out */
    bool trial;               /* client: the ClientHello is made to be looked at, not to be sent */
    bool trial_has_ticket;
    uint32_t trial_age; /* as it stands there */
};

/* RFC 8446 section 6. */
enum {
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_MISSING_EXTENSION = 109,
    ALERT_NO_APPLICATION_PROTOCOL = 120
};

/* ---- tls.c */

/* The first failure is the one that counts; returns it. */
uint64_t tls_fail(struct tls *tls, uint64_t error, const char *text);

/* ---- tls_setup.c */

/* Makes the session; tls_free undoes what was done where it fails. */
roam_result tls_set_up(struct tls *tls, const struct tls_config *config);

/* ---- tls_callbacks.c */

/* False without memory. */
bool tls_set_callbacks(struct tls *tls);

/* Every extension of the peer's has been seen: what must be among them? */
bool tls_check_extensions(struct tls *tls);

/* Judges the peer's certificates. Returns 0 or what GnuTLS makes of it, and the error is set. */
int tls_check_certificate(gnutls_session_t session);

/* False for a cipher that QUIC does not have. */
bool tls_suite_of(gnutls_cipher_algorithm_t cipher, enum aead_suite *ret);

#endif
