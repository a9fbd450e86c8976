/*
 * A session that a client may resume (RFC 8446 section 2.2), in octets for its application to keep. It names the server
 * and has its certificates: a resumed handshake shows none, so that they are held against today's trust, name and day
 * once more before the session is used.
 */
#ifndef CRYPTO_SESSION_H
#define CRYPTO_SESSION_H

#include <gnutls/gnutls.h>

#include "crypto/credentials.h"
#include "crypto/early_gate.h"

/* Longest session that is made or taken: a long chain of certificates, twice, and a ticket. */
#define SESSION_BYTES_MAX 16384

/* What early data on a session needs, RFC 8446 section 4.2.10 and RFC 9000 section 7.4.1. */
struct session_early {
    bool allowed;               /* the ticket says so */
    uint32_t lifetime, age_add; /* the ticket's: seconds, and what hides its age */
    struct early_terms terms;   /* suite, ALPN and parameters */
};

/* Writes down the session of a client that has received a ticket from the server called `name` over QUIC of this version.
 * Returns its length; 0
 * where there is nothing to resume, or more than capacity, which is 32 at least. */
size_t session_write(gnutls_session_t session, const char *name, uint32_t version, const struct session_early *early,
                     uint8_t *ret, size_t capacity);

/* Server: session tickets from now on, under a key for this version of QUIC that comes from `key` of 64 octets. Once for a
 * handshake. */
bool session_enable_tickets(gnutls_session_t session, const uint8_t *key, uint32_t version);

#define SESSION_CERTIFICATES_MAX 16

/* What stands in a session; all of it points into its octets. */
struct session_parts {
    const uint8_t *name; /* of the server */
    size_t name_len;
    uint32_t version;                                      /* of QUIC */
    gnutls_datum_t certificates[SESSION_CERTIFICATES_MAX]; /* DER, leaf first */
    unsigned count;
    struct session_early early;
    const uint8_t *data; /* GnuTLS's */
    size_t data_len;
};

/* False where these are not the octets that session_write has made, whole and undamaged. */
bool session_read(struct session_parts *ret, const uint8_t *data, size_t len);

/* Offers the session data[0..len) to the server called `name`. False, and nothing is offered, where it cannot be read,
 * is another server's or version's, or the server would not be accepted today. *ret_early is what early data on it
 * needs. */
bool session_offer(gnutls_session_t session, struct roam_credentials *credentials, const char *name, uint32_t version,
                   const uint8_t *data, size_t len, struct session_early *ret_early);

#endif
