/*
 * Early data of a TLS handshake (RFC 8446 section 4.2.10, RFC 9001 section 4.6), and what tls.c and tls_early.c share.
 *
 * A server takes it where the ticket's annex says that nothing has changed for the worse since it was issued, and the
 * connection that the ticket was not used before. A client offers it on a session whose ticket allows it and is not
 * about to expire.
 */
#ifndef CRYPTO_TLS_EARLY_H
#define CRYPTO_TLS_EARLY_H

#include <gnutls/gnutls.h>

#include "crypto/client_hello.h"
#include "crypto/credentials.h"
#include "crypto/session.h"
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

bool tls_suite_of(gnutls_cipher_algorithm_t cipher, enum aead_suite *ret);

/* Server: a new session takes early data. False without memory. */
bool tls_early_accept(struct tls *tls);
/* Server: a ClientHello, before GnuTLS reads it. */
void tls_early_read_hello(struct tls *tls, const roam_config *config, const uint8_t *message, size_t len);
/* Server: a NewSessionTicket on its way out: with an annex behind its ticket. False without memory. */
bool tls_early_send_ticket(struct tls *tls, const uint8_t *message, size_t len);

/* Client: looks at the ClientHello of a trial. */
void tls_early_look(struct tls *tls, const uint8_t *message, size_t len);
/* Client: true where the trial showed that early data may go with the session. */
bool tls_early_may_offer(const struct tls *tls, const struct session_early *early, const roam_config *config);
/* Client: what a NewSessionTicket says of early data. */
void tls_early_read_ticket(struct tls *tls, const uint8_t *message, size_t len, struct session_early *ret);

/* The terms' parameters from those of the server. */
void tls_early_remember(struct early_terms *ret, const uint8_t *params, size_t len);

#endif
