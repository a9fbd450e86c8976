/*
 * Early data of a TLS handshake (RFC 8446 section 4.2.10, RFC 9001 section 4.6).
 *
 * A server takes it where the ticket's annex says that nothing has changed for the worse since it was issued, and the
 * connection that the ticket was not used before. A client offers it on a session whose ticket allows it and is not
 * about to expire.
 */
#ifndef CRYPTO_TLS_EARLY_H
#define CRYPTO_TLS_EARLY_H

#include "crypto/session.h"
#include "crypto/tls_internal.h"

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
