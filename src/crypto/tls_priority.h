/*
 * What TLS may agree on, in GnuTLS's words: TLS 1.3, the suites that QUIC has header protection for, the groups, and how
 * a session is resumed.
 */
#ifndef CRYPTO_TLS_PRIORITY_H
#define CRYPTO_TLS_PRIORITY_H

#include <gnutls/gnutls.h>
#include <roam/config.h>

/* For roam_config.ciphers and resume_without_dh. False where GnuTLS does not have these. */
bool tls_priority_set(gnutls_session_t session, unsigned ciphers, bool resume_without_dh);

#endif
