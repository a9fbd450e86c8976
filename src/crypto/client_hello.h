/*
 * What a server looks for in a ClientHello before TLS reads it (RFC 8446 sections 4.1.2, 4.2.10 and 4.2.11): whether early data
 * comes, on which ticket, and which cipher suite will be agreed on. GnuTLS tells none of that in time. Nothing of it is
 * authentic until GnuTLS has accepted the ticket.
 */
#ifndef CRYPTO_CLIENT_HELLO_H
#define CRYPTO_CLIENT_HELLO_H

#include "crypto/aead.h"

struct client_hello {
    const uint8_t *suites; /* two octets each, by the client's preference */
    size_t suites_len;
    bool early_data;
    size_t ticket_count;
    const uint8_t *ticket; /* the first, NULL: none */
    size_t ticket_len;
    uint32_t ticket_age; /* of the first: milliseconds, plus the ticket's age_add */
};

/* Reads the message, its header included; pointers are into it. False where it is malformed: TLS will find out too. */
bool client_hello_read(struct client_hello *ret, const uint8_t *message, size_t len);

/* The first of the client's suites that is among `ciphers` (enum roam_cipher, or-ed; 0: all). False where none is. */
bool client_hello_suite(const struct client_hello *hello, unsigned ciphers, enum aead_suite *ret);

#endif
