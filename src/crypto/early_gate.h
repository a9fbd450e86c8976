/*
 * What lets a server take early data, and take it once (RFC 8446 sections 4.2.10 and 8.1). GnuTLS keeps neither protocol nor
 * transport parameters with a session ticket, so an annex stands behind each ticket that we issue, sealed and bound to it:
 * what the client may rely on, which endpoint said so and when. GnuTLS takes a ticket by its own length and overlooks what
 * follows; where a version of it did not, tickets would not be resumed, and nothing worse.
 *
 * The instance is drawn with the endpoint: nobody else knows which tickets were used, not even another process with the
 * same static key, so nobody else takes early data on them.
 */
#ifndef CRYPTO_EARLY_GATE_H
#define CRYPTO_EARLY_GATE_H

#include <gnutls/gnutls.h>
#include <roam/types.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "crypto/aead.h"

#define EARLY_KEY_BYTES  32
#define EARLY_ALPN_MAX   255
#define EARLY_PARAMS_MAX 128
#define TICKET_ANNEX_MAX 512

struct early_gate {
    const roam_rng *rng;
    uint8_t key[EARLY_KEY_BYTES];
    uint64_t instance;
    gnutls_anti_replay_t asks; /* has GnuTLS ask whether early data is taken; NULL: it is not */
};

/* What a client that has the ticket may rely on. */
struct early_terms {
    roam_time issued; /* by the endpoint's clock */
    uint64_t mark;    /* set by ticket_annex_open: tells this ticket from all others; never 0 */
    uint8_t suite;    /* enum aead_suite */
    uint8_t alpn_len, alpn[EARLY_ALPN_MAX];
    uint8_t params_len, params[EARLY_PARAMS_MAX]; /* encoded transport parameters that a client remembers */
};

/* A key from the endpoint's static one, and an instance of its own. Tickets that are older than it let nothing in. */
void early_gate_init(struct early_gate *gate, const roam_rng *rng, const uint8_t *static_key, size_t len);
void early_gate_done(struct early_gate *gate);

/* Writes the annex of this ticket into ret and returns its length. */
size_t ticket_annex_seal(uint8_t ret[TICKET_ANNEX_MAX], const struct early_gate *gate, const uint8_t *ticket,
                         size_t len, const struct early_terms *terms);

/* Opens the annex at the end of identity[0..len). False where there is none of this instance's, or it is another
 * ticket's. */
bool ticket_annex_open(struct early_terms *ret, const struct early_gate *gate, const uint8_t *identity, size_t len);

#endif
