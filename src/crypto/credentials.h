/* Inside of roam_credentials: what a handshake asks of them. */
#ifndef CRYPTO_CREDENTIALS_H
#define CRYPTO_CREDENTIALS_H

#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <roam/config.h>

#include "base/alloc.h"
#include "base/rng.h"

/* What makes a peer trusted; pins are looked at besides TRUST_SYSTEM and TRUST_FILE. */
enum trust {
    TRUST_SYSTEM, /* the system's authorities, or, where there are pins, nothing but those */
    TRUST_FILE,   /* the authorities of a file */
    TRUST_ANYONE,
};

struct roam_credentials {
    roam_allocator allocator;
    atomic_uint references;
    gnutls_certificate_credentials_t x509; /* our certificates, and the authorities */
    bool has_certificate;
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES]; /* of the certificate that came last */
    enum trust trust;
    bool require_client;
    uint8_t (*pins)[ROAM_FINGERPRINT_BYTES];
    size_t pin_count;
    pthread_mutex_t system_lock; /* the system's authorities are loaded by the first handshake that needs them */
    bool system_loaded;
};

/* roam_credentials_generate with the day and the randomness handed in. */
roam_result credentials_generate(roam_credentials *credentials, const char *const *names, time_t now,
                                 const roam_rng *rng);

#define VERDICT_TEXT_MAX 384

/* What is wrong with a peer's certificate. */
struct verdict {
    unsigned alert; /* RFC 8446 section 6.2 */
    char text[VERDICT_TEXT_MAX];
};

/* True where the session's peer is trusted, and is `name` (a DNS name or an address; NULL where the peer is a client,
 * which proves no name). Otherwise *ret says why not. */
bool credentials_accept_peer(struct roam_credentials *credentials, gnutls_session_t session, bool peer_is_server,
                             const char *name, struct verdict *ret);

/* The same for a server's certificates, DER, leaf first, that were accepted in an earlier handshake. */
bool credentials_accept_again(struct roam_credentials *credentials, const gnutls_datum_t *chain, unsigned count,
                              const char *name, struct verdict *ret);

#endif
