/*
 * TLS 1.3 as QUIC needs it (RFC 9001 section 4): handshake octets in and out by level, secrets out, transport
 * parameters both ways. Behind this header stands GnuTLS; nothing above knows. The object lives only for the
 * handshake: what outlasts it (secrets, ALPN, verdict) has been handed out by then.
 *
 * Transitions: tls_new -> (tls_start at a client) -> tls_receive... -> complete -> tls_free. After a failure only
 * tls_free.
 */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H

#include <roam/config.h>
#include <roam/log.h>

#include "base/alloc.h"
#include "crypto/aead.h"
#include "crypto/early_gate.h"

enum tls_level { TLS_INITIAL, TLS_EARLY, TLS_HANDSHAKE, TLS_APPLICATION, TLS_LEVELS };

struct tls;

/* What TLS tells while tls_start and tls_receive run. The functions must not call back into TLS, but for what `params` may
 * do at a server. */
struct tls_sink {
    void *context;
    /* Handshake octets to be sent in CRYPTO frames of this level. Copy them. */
    void (*send)(void *context, enum tls_level level, const uint8_t *data, size_t len);
    /* Traffic secrets of a level; either may be NULL (not known yet). */
    void (*secrets)(void *context, enum tls_level level, enum aead_suite suite, const uint8_t *receive,
                    const uint8_t *send);
    /* The peer's transport parameters, as they came in its ClientHello or EncryptedExtensions. At a server the answer
     * (our parameters, which may depend on the client's, and the version) must be in place when this returns:
     * tls_set_params, tls_set_version. */
    void (*params)(void *context, const uint8_t *data, size_t len);
    /* Client: a ticket came, and with this, once, the session can be resumed. Copy it; it is a secret. */
    void (*session)(void *context, const uint8_t *data, size_t len);
    /* Server: is early data taken that relies on these terms? The ticket was ours, and is the client's; asked once, and
     * with true the ticket is used up. Only for a configuration with a gate. */
    bool (*early)(void *context, const struct early_terms *terms);
};

struct tls_config {
    bool is_server;
    const roam_config *config; /* credentials, alpn, server_name, ciphers, resume_without_dh: must outlive the object */
    const char *server_name;   /* client: name to ask for (no SNI for an IP address) and to verify */
    uint32_t version;          /* of QUIC: sessions and tickets are of one version (RFC 9369 section 5) */
    const uint8_t *params;     /* our encoded transport parameters, copied */
    size_t params_len;
    const uint8_t *ticket_key; /* server: 64 octets for session tickets, kept; or NULL: none are sent */
    const uint8_t *session;    /* client: a session to resume, as sink.session told it, or NULL. One that cannot be
                                * used only means a full handshake */
    size_t session_len;
    struct early_gate *gate;   /* server: NULL, or early data may be taken: must outlive the object */
    bool early_data;           /* client: to be offered where the session allows it */
    const roam_keylog *keylog; /* NULL: secrets are told to nobody but the sink */
    struct tls_sink sink;
};

struct tls *tls_new(const roam_allocator *allocator, const struct tls_config *config, roam_result *ret_result);
void tls_free(struct tls *tls);

/* What tls_start and tls_receive answer: ROAM_NO_ERROR or the error to close with (CRYPTO_ERROR plus alert,
 * PROTOCOL_VIOLATION, ...); tls_failure has a text for it, static or living as long as the object. */
uint64_t tls_start(struct tls *tls);
uint64_t tls_receive(struct tls *tls, enum tls_level level, const uint8_t *data, size_t len);
const char *tls_failure(const struct tls *tls);

/* Another version than the one that it began with was negotiated. */
void tls_set_version(struct tls *tls, uint32_t version);

/* Other transport parameters of ours, copied. False without memory. */
bool tls_set_params(struct tls *tls, const uint8_t *params, size_t len);

bool tls_is_complete(const struct tls *tls);

/* False where the beginning of a message has come and its end has not. */
bool tls_is_between_messages(const struct tls *tls);

/* Server, after completion: sends a session ticket (through sink.send at TLS_APPLICATION). */
uint64_t tls_send_ticket(struct tls *tls, roam_time now);

/* Client: what early data may rely on; NULL where none is offered. */
const struct early_terms *tls_early_terms(const struct tls *tls);

/* Server: from the ClientHello on; client: after completion. */
bool tls_early_data_is_accepted(const struct tls *tls);

/* After completion: an earlier session was resumed, without certificates. */
bool tls_is_resumed(const struct tls *tls);

/* After completion: fresh keys were exchanged, which is all but a resumption without (RFC 8446 section 4.2.9). */
bool tls_has_dh(const struct tls *tls);

/* The protocol agreed on, "" before. */
const char *tls_alpn(const struct tls *tls);

/* Credentials: references counted; made and configured by the public calls of roam/config.h. */
roam_credentials *credentials_ref(roam_credentials *credentials);

#endif
