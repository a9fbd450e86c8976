/*
 * Two ends of a TLS handshake in one process: what either end sends waits in order, with its level, until it is carried
 * to the other. An end is a `struct tls`, or, for peers that break rules which ours does not, a bare GnuTLS session.
 */
#ifndef TESTS_UNIT_TLS_PAIR_H
#define TESTS_UNIT_TLS_PAIR_H

#include <assert.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/session.h"
#include "crypto/tls.h"

#define TLS_PAIR_FLIGHTS 32
#define TLS_PAIR_OCTETS  32768

struct tls_flight {
    enum tls_level level;
    size_t at, len; /* in octets */
};

struct tls_end {
    struct tls *tls;
    gnutls_session_t raw; /* instead of tls */
    uint64_t error;
    struct tls_flight flights[TLS_PAIR_FLIGHTS];
    size_t flight_count, carried;
    uint8_t octets[TLS_PAIR_OCTETS];
    size_t octet_count;
    bool has_receive[TLS_LEVELS], has_send[TLS_LEVELS];
    uint8_t receive[TLS_LEVELS][SECRET_BYTES_MAX], send[TLS_LEVELS][SECRET_BYTES_MAX];
    enum aead_suite suite;
    uint8_t params[256];
    size_t params_len;
    unsigned params_count;
    uint8_t session[SESSION_BYTES_MAX]; /* the newest */
    size_t session_len, session_count;
    size_t sent_bytes[TLS_LEVELS];
    bool raw_complete;
};

static inline void tls_end_send(void *context, enum tls_level level, const uint8_t *data, size_t len)
{
    struct tls_end *end = context;
    assert(end->flight_count < TLS_PAIR_FLIGHTS && end->octet_count + len <= TLS_PAIR_OCTETS);
    end->flights[end->flight_count++] = (struct tls_flight){level, end->octet_count, len};
    memcpy(end->octets + end->octet_count, data, len);
    end->octet_count += len;
    end->sent_bytes[level] += len;
}

static inline void tls_end_secrets(void *context, enum tls_level level, enum aead_suite suite, const uint8_t *receive,
                                   const uint8_t *send)
{
    struct tls_end *end = context;
    size_t bytes = aead_suite_info(suite)->secret_bytes;
    end->suite = suite;
    if (receive != NULL) {
        end->has_receive[level] = true;
        memcpy(end->receive[level], receive, bytes);
    }
    if (send != NULL) {
        end->has_send[level] = true;
        memcpy(end->send[level], send, bytes);
    }
}

static inline void tls_end_params(void *context, const uint8_t *data, size_t len)
{
    struct tls_end *end = context;
    assert(len <= sizeof(end->params));
    memcpy(end->params, data, len);
    end->params_len = len;
    end->params_count++;
}

static inline void tls_end_session(void *context, const uint8_t *data, size_t len)
{
    struct tls_end *end = context;
    assert(len <= sizeof(end->session));
    memcpy(end->session, data, len);
    end->session_len = len;
    end->session_count++;
}

static inline struct tls_sink tls_end_sink(struct tls_end *end)
{
    return (struct tls_sink){end, tls_end_send, tls_end_secrets, tls_end_params, tls_end_session, NULL};
}

/* ---- Bare GnuTLS ---- */

static inline int raw_on_message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                                 gnutls_handshake_description_t type, const void *data, size_t len)
{
    if (type != GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC)
        tls_end_send(gnutls_session_get_ptr(session), (enum tls_level)level, data, len);
    return 0;
}

static inline int raw_on_alert(gnutls_session_t session, gnutls_record_encryption_level_t level,
                               gnutls_alert_level_t alert_level, gnutls_alert_description_t alert)
{
    (void)session, (void)level, (void)alert_level, (void)alert;
    return 0;
}

static inline int raw_on_secrets(gnutls_session_t session, gnutls_record_encryption_level_t level, const void *receive,
                                 const void *send, size_t len)
{
    (void)session, (void)level, (void)receive, (void)send, (void)len;
    return 0;
}

static inline int raw_params_received(gnutls_session_t session, const unsigned char *data, size_t len)
{
    tls_end_params(gnutls_session_get_ptr(session), data, len);
    return 0;
}

static inline int raw_params_wanted(gnutls_session_t session, gnutls_buffer_t extension)
{
    (void)session;
    gnutls_buffer_append_data(extension, "raw", 3);
    return 3;
}

struct raw_config {
    bool is_server;
    const char *priority;
    bool without_alpn, without_params;
    gnutls_certificate_credentials_t credentials;
};

static inline void raw_end_init(struct tls_end *end, const struct raw_config *config)
{
    const char *error;
    gnutls_datum_t alpn = {(unsigned char *)"test", 4};
    memset(end, 0, sizeof(*end));
    gnutls_init(&end->raw, (config->is_server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT) |
                               GNUTLS_NONBLOCK | GNUTLS_KEY_SHARE_TOP);
    int result = gnutls_priority_set_direct(end->raw, config->priority, &error);
    assert(result >= 0);
    gnutls_session_set_ptr(end->raw, end);
    gnutls_handshake_set_read_function(end->raw, raw_on_message);
    gnutls_alert_set_read_function(end->raw, raw_on_alert);
    gnutls_handshake_set_secret_function(end->raw, raw_on_secrets);
    gnutls_credentials_set(end->raw, GNUTLS_CRD_CERTIFICATE, config->credentials);
    if (!config->without_alpn)
        gnutls_alpn_set_protocols(end->raw, &alpn, 1, 0);
    if (!config->without_params)
        gnutls_session_ext_register(end->raw, "transport parameters", 0x39, GNUTLS_EXT_TLS, raw_params_received,
                                    raw_params_wanted, NULL, NULL, NULL,
                                    GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE);
}

/* ---- Carrying ---- */

static inline void tls_end_start(struct tls_end *end)
{
    if (end->tls != NULL)
        end->error = tls_start(end->tls);
    else
        gnutls_handshake(end->raw);
}

static inline void tls_end_receive(struct tls_end *end, enum tls_level level, const uint8_t *data, size_t len)
{
    if (end->tls != NULL) {
        end->error = tls_receive(end->tls, level, data, len);
        return;
    }
    gnutls_handshake_write(end->raw, (gnutls_record_encryption_level_t)level, data, len);
    if (!end->raw_complete)
        end->raw_complete = gnutls_handshake(end->raw) == GNUTLS_E_SUCCESS;
}

/* Carries what `from` has sent to `to`, at most `chunk` octets at a time; true where there was something. */
static inline bool tls_carry(struct tls_end *from, struct tls_end *to, size_t chunk)
{
    bool moved = false;
    while (from->carried < from->flight_count && to->error == ROAM_NO_ERROR) {
        const struct tls_flight *flight = &from->flights[from->carried++];
        for (size_t at = 0; at < flight->len && to->error == ROAM_NO_ERROR; at += chunk) {
            size_t len = flight->len - at < chunk ? flight->len - at : chunk;
            /* In memory of its exact size, so that a read beyond it is seen. */
            uint8_t *copy = malloc(len);
            memcpy(copy, from->octets + flight->at + at, len);
            tls_end_receive(to, flight->level, copy, len);
            free(copy);
        }
        moved = true;
    }
    return moved;
}

static inline void tls_handshake_in_chunks(struct tls_end *client, struct tls_end *server, size_t chunk)
{
    tls_end_start(client);
    for (bool moved = true; moved;) {
        moved = tls_carry(client, server, chunk);
        moved = tls_carry(server, client, chunk) || moved;
    }
}

static inline void tls_handshake(struct tls_end *client, struct tls_end *server)
{
    tls_handshake_in_chunks(client, server, SIZE_MAX);
}

static inline void tls_end_done(struct tls_end *end)
{
    tls_free(end->tls);
    if (end->raw != NULL)
        gnutls_deinit(end->raw);
    end->tls = NULL;
    end->raw = NULL;
}

#endif
