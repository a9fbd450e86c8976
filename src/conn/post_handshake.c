/*
 * CRYPTO frames after TLS has done its work. Tickets are not wanted any more and are thrown away, acknowledged (RFC
 * 9000 section 7.5); but what TLS must not do over QUIC is an error still (RFC 9001 sections 4.4 and 6). Messages
 * are told apart by their headers, as long as these come in order and whole; when the thread is lost, all is thrown
 * away.
 */
#include "conn/conn.h"

/* RFC 8446 section 4. */
#define TLS_HEADER_BYTES             4
#define TLS_CERTIFICATE_REQUEST      13
#define TLS_KEY_UPDATE               24
#define TLS_ALERT_UNEXPECTED_MESSAGE 10

uint64_t conn_on_late_crypto(roam_conn *conn, uint64_t offset, const uint8_t *data, size_t len)
{
    while (conn->next_tls_message != TLS_MESSAGES_UNKNOWN && conn->next_tls_message >= offset &&
           conn->next_tls_message < offset + len) {
        size_t at = (size_t)(conn->next_tls_message - offset);
        //= rfc9001#6 TLS KeyUpdate received is error 0x010a.
        if (data[at] == TLS_KEY_UPDATE)
            return ROAM_CRYPTO_ERROR + TLS_ALERT_UNEXPECTED_MESSAGE;
        //= rfc9001#4.4 Client treats a post-handshake CertificateRequest as PROTOCOL_VIOLATION.
        if (data[at] == TLS_CERTIFICATE_REQUEST)
            return ROAM_PROTOCOL_VIOLATION;
        if (len - at < TLS_HEADER_BYTES) {
            conn->next_tls_message = TLS_MESSAGES_UNKNOWN;
            return ROAM_NO_ERROR;
        }
        size_t body = (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        conn->next_tls_message += TLS_HEADER_BYTES + body;
    }
    return ROAM_NO_ERROR;
}
