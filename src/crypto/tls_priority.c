/* Priorities of GnuTLS, read once for each choice: reading costs as much as some of the cryptography. */
#include "crypto/tls_priority.h"

#include <pthread.h>
#include <stdio.h>

#define PRIORITY_MAX   256
#define CIPHER_CHOICES 8 /* sets of enum roam_cipher */

/* An index is resume_without_dh, and enum roam_cipher or-ed. NULL: that was not possible. */
static gnutls_priority_t priorities[2][CIPHER_CHOICES];
static pthread_once_t priorities_read = PTHREAD_ONCE_INIT;

//= rfc9001#4.2 TLS 1.3 and nothing older.
//= rfc9001#5.3 Only suites that have header protection.
static gnutls_priority_t read_priority(bool resume_without_dh, unsigned ciphers)
{
    char text[PRIORITY_MAX];
    gnutls_priority_t ret;
    /* psk_ke first, and psk_dhe_ke with a peer that wants nothing else (RFC 8446 section 4.2.9). */
    snprintf(text, sizeof(text),
             "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL%s%s%s:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1"
             ":%%DISABLE_TLS13_COMPAT_MODE%s",
             (ciphers & ROAM_AES_128_GCM) != 0 ? ":+AES-128-GCM" : "",
             (ciphers & ROAM_AES_256_GCM) != 0 ? ":+AES-256-GCM" : "",
             (ciphers & ROAM_CHACHA20_POLY1305) != 0 ? ":+CHACHA20-POLY1305" : "",
             resume_without_dh ? ":+PSK:+ECDHE-PSK" : "");
    return gnutls_priority_init(&ret, text, NULL) >= 0 ? ret : NULL;
}

static void read_priorities(void)
{
    for (unsigned ciphers = 1; ciphers < CIPHER_CHOICES; ciphers++) {
        priorities[false][ciphers] = read_priority(false, ciphers);
        priorities[true][ciphers] = read_priority(true, ciphers);
    }
}

bool tls_priority_set(gnutls_session_t session, unsigned ciphers, bool resume_without_dh)
{
    pthread_once(&priorities_read, read_priorities);
    if (ciphers >= CIPHER_CHOICES)
        return false;
    gnutls_priority_t priority = priorities[resume_without_dh][ciphers != 0 ? ciphers : CIPHER_CHOICES - 1];
    return priority != NULL && gnutls_priority_set(session, priority) >= 0;
}
