/*
 * Handshake messages in the octets of CRYPTO frames. TLS gets whole messages, one at a time, however the peer cut them,
 * and QUIC's own rules for messages (RFC 9001) are held here before TLS sees them.
 */
#ifndef CRYPTO_TLS_MESSAGES_H
#define CRYPTO_TLS_MESSAGES_H

#include "base/alloc.h"
#include "crypto/tls.h"

/* RFC 8446 section 4: type and length. */
#define MESSAGE_HEADER_BYTES 4

/* The longest message that we take: a chain of certificates. */
#define MESSAGE_BYTES_MAX 65536

/* The beginning of a message whose end has not come. */
struct partial_message {
    uint8_t *data;
    size_t len, capacity;
};

void partial_message_done(struct partial_message *partial, const roam_allocator *allocator);

/* Takes octets from *data until a message is whole. Returns ROAM_NO_ERROR with the message in *ret (NULL: more octets
 * are wanted, all are taken), or the error to close with. *ret is valid until the next call. */
uint64_t message_next(struct partial_message *partial, const roam_allocator *allocator, const uint8_t **data,
                      size_t *len, const uint8_t **ret, size_t *ret_len);

/* ROAM_NO_ERROR where QUIC lets this side receive this message at this level; else the error, and why. */
uint64_t message_check(bool is_server, enum tls_level level, const uint8_t *message, size_t len, const char **ret_why);

#endif
