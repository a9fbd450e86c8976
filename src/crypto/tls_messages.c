/* Cutting handshake octets into messages, and QUIC's rules for them. A message is copied only where it came in pieces.
 */
#include "crypto/tls_messages.h"

#include <string.h>

#include <roam/error.h>

#include "base/minmax.h"
#include "base/reader.h"

/* RFC 8446 section 4. */
enum {
    MESSAGE_CLIENT_HELLO = 1,
    MESSAGE_NEW_SESSION_TICKET = 4,
    MESSAGE_CERTIFICATE_REQUEST = 13,
};

#define ALERT_UNEXPECTED_MESSAGE 10
#define ALERT_DECODE_ERROR       50
#define EXTENSION_EARLY_DATA     42
#define EARLY_DATA_SIZE          UINT32_C(0xffffffff)

void partial_message_done(struct partial_message *partial, const roam_allocator *allocator)
{
    mem_free(allocator, partial->data, partial->capacity);
    *partial = (struct partial_message){0};
}

/* Length of the message that begins with this header. */
static size_t message_len(const uint8_t *header)
{
    return MESSAGE_HEADER_BYTES + ((size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3]);
}

static bool reserve(struct partial_message *partial, const roam_allocator *allocator, size_t capacity)
{
    if (capacity <= partial->capacity)
        return true;
    capacity = max_size(capacity, 2 * partial->capacity);
    void *data = mem_resize(allocator, partial->data, partial->capacity, capacity);
    if (data == NULL)
        return false;
    partial->data = (uint8_t *)data;
    partial->capacity = capacity;
    return true;
}

/* Moves octets from *data into the partial message until it has `until`. */
static bool fill(struct partial_message *partial, const roam_allocator *allocator, const uint8_t **data, size_t *len,
                 size_t until)
{
    size_t n = min_size(until - partial->len, *len);
    if (n == 0)
        return true;
    /* As much as came, not as much as was promised: a header is cheap. */
    if (!reserve(partial, allocator, partial->len + n))
        return false;
    memcpy(partial->data + partial->len, *data, n);
    partial->len += n;
    *data += n;
    *len -= n;
    return true;
}

uint64_t message_next(struct partial_message *partial, const roam_allocator *allocator, const uint8_t **data,
                      size_t *len, const uint8_t **ret, size_t *ret_len)
{
    *ret = NULL;
    if (partial->len == 0 && *len >= MESSAGE_HEADER_BYTES && message_len(*data) <= *len) {
        *ret = *data;
        *ret_len = message_len(*data);
        *data += *ret_len;
        *len -= *ret_len;
        return *ret_len <= MESSAGE_BYTES_MAX ? ROAM_NO_ERROR : ROAM_CRYPTO_BUFFER_EXCEEDED;
    }
    if (partial->len < MESSAGE_HEADER_BYTES) {
        if (!fill(partial, allocator, data, len, MESSAGE_HEADER_BYTES))
            return ROAM_INTERNAL_ERROR;
        if (partial->len < MESSAGE_HEADER_BYTES)
            return ROAM_NO_ERROR;
    }
    size_t whole = message_len(partial->data);
    //= rfc9000#7.5 A message that is longer than what we would buffer.
    if (whole > MESSAGE_BYTES_MAX)
        return ROAM_CRYPTO_BUFFER_EXCEEDED;
    if (!fill(partial, allocator, data, len, whole))
        return ROAM_INTERNAL_ERROR;
    if (partial->len == whole) {
        *ret = partial->data;
        *ret_len = whole;
        partial->len = 0;
    }
    return ROAM_NO_ERROR;
}

//= rfc9001#8.4 QUIC has no use for TLS's compatibility mode: a ClientHello with a legacy_session_id is refused.
static uint64_t check_client_hello(const uint8_t *message, size_t len, const char **ret_why)
{
    const size_t session_id_len_at = MESSAGE_HEADER_BYTES + 2 + 32;
    if (len <= session_id_len_at || message[session_id_len_at] == 0)
        return ROAM_NO_ERROR; /* what is cut short TLS finds */
    *ret_why = "ClientHello with a legacy_session_id";
    return ROAM_PROTOCOL_VIOLATION;
}

//= rfc9001#4.6.1 The early_data extension of a ticket allows 2^32-1 octets or is not there.
static uint64_t check_ticket(const uint8_t *message, size_t len, const char **ret_why)
{
    struct reader reader = reader_init(message + MESSAGE_HEADER_BYTES, len - MESSAGE_HEADER_BYTES);
    read_bytes(&reader, 8);                 /* lifetime, age_add */
    read_bytes(&reader, read_u8(&reader));  /* nonce */
    read_bytes(&reader, read_u16(&reader)); /* ticket */
    read_u16(&reader);                      /* octets of extensions */
    while (!reader.failed && reader_left(&reader) > 0) {
        uint16_t type = read_u16(&reader), bytes = read_u16(&reader);
        struct reader body = reader_init(reader.pos, 0);
        const uint8_t *data = read_bytes(&reader, bytes);
        if (data != NULL)
            body = reader_init(data, bytes);
        if (type == EXTENSION_EARLY_DATA && !reader.failed && read_u32(&body) != EARLY_DATA_SIZE) {
            *ret_why = "session ticket with a max_early_data_size other than 2^32-1";
            return ROAM_PROTOCOL_VIOLATION;
        }
    }
    if (!reader.failed)
        return ROAM_NO_ERROR;
    *ret_why = "malformed session ticket";
    return ROAM_CRYPTO_ERROR + ALERT_DECODE_ERROR;
}

uint64_t message_check(bool is_server, enum tls_level level, const uint8_t *message, size_t len, const char **ret_why)
{
    if (level == TLS_INITIAL && is_server && message[0] == MESSAGE_CLIENT_HELLO)
        return check_client_hello(message, len, ret_why);
    if (level != TLS_APPLICATION)
        return ROAM_NO_ERROR; /* TLS knows the order of its own handshake */
    if (!is_server && message[0] == MESSAGE_NEW_SESSION_TICKET)
        return check_ticket(message, len, ret_why);
    //= rfc9001#4.4 No authentication of clients after the handshake.
    if (!is_server && message[0] == MESSAGE_CERTIFICATE_REQUEST) {
        *ret_why = "CertificateRequest after the handshake";
        return ROAM_PROTOCOL_VIOLATION;
    }
    //= rfc9001#6 A TLS KeyUpdate is a connection error of type 0x010a; nothing else comes after the handshake either.
    *ret_why = "unexpected TLS message after the handshake";
    return ROAM_CRYPTO_ERROR + ALERT_UNEXPECTED_MESSAGE;
}
