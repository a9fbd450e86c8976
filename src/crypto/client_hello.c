/* See client_hello.h. */
#include "crypto/client_hello.h"

#include <roam/config.h>

#include "base/reader.h"
#include "crypto/tls_messages.h"

/* RFC 8446 sections 4.2 and B.4. */
enum {
    EXTENSION_PRE_SHARED_KEY = 41,
    EXTENSION_EARLY_DATA = 42,
    TLS_AES_128_GCM_SHA256 = 0x1301,
    TLS_AES_256_GCM_SHA384 = 0x1302,
    TLS_CHACHA20_POLY1305_SHA256 = 0x1303,
};

#define RANDOM_BYTES 32

/* The next `len` octets as a reader of their own; empty and failed where they are not there. */
static struct reader take(struct reader *reader, size_t len)
{
    const uint8_t *data = read_bytes(reader, len);
    struct reader part = reader_init(data != NULL ? data : reader->pos, data != NULL ? len : 0);
    part.failed = reader->failed;
    return part;
}

static void read_tickets(struct client_hello *ret, struct reader body)
{
    struct reader identities = take(&body, read_u16(&body));
    while (!identities.failed && reader_left(&identities) > 0) {
        size_t len = read_u16(&identities);
        const uint8_t *identity = read_bytes(&identities, len);
        uint32_t age = read_u32(&identities);
        if (!identities.failed && ret->ticket_count++ == 0) {
            ret->ticket = identity;
            ret->ticket_len = len;
            ret->ticket_age = age;
        }
    }
}

bool client_hello_read(struct client_hello *ret, const uint8_t *message, size_t len)
{
    struct client_hello hello = {0};
    if (len < MESSAGE_HEADER_BYTES)
        return false;
    struct reader reader = reader_init(message + MESSAGE_HEADER_BYTES, len - MESSAGE_HEADER_BYTES);
    read_bytes(&reader, 2 + RANDOM_BYTES); /* legacy version */
    read_bytes(&reader, read_u8(&reader)); /* legacy session id */
    hello.suites_len = read_u16(&reader);
    hello.suites = read_bytes(&reader, hello.suites_len);
    read_bytes(&reader, read_u8(&reader)); /* compression methods */
    struct reader extensions = take(&reader, read_u16(&reader));
    while (!extensions.failed && reader_left(&extensions) > 0) {
        uint16_t type = read_u16(&extensions);
        struct reader body = take(&extensions, read_u16(&extensions));
        hello.early_data |= type == EXTENSION_EARLY_DATA;
        if (type == EXTENSION_PRE_SHARED_KEY && !body.failed)
            read_tickets(&hello, body);
    }
    if (reader.failed || extensions.failed)
        return false;
    *ret = hello;
    return true;
}

static bool suite_of(uint16_t number, unsigned ciphers, enum aead_suite *ret)
{
    static const struct {
        uint16_t number;
        unsigned cipher;
        enum aead_suite suite;
    } suites[] = {
        {TLS_AES_128_GCM_SHA256, ROAM_AES_128_GCM, AEAD_AES_128_GCM},
        {TLS_AES_256_GCM_SHA384, ROAM_AES_256_GCM, AEAD_AES_256_GCM},
        {TLS_CHACHA20_POLY1305_SHA256, ROAM_CHACHA20_POLY1305, AEAD_CHACHA20_POLY1305},
    };
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        if (suites[i].number == number && (ciphers == 0 || (ciphers & suites[i].cipher) != 0)) {
            *ret = suites[i].suite;
            return true;
        }
    }
    return false;
}

bool client_hello_suite(const struct client_hello *hello, unsigned ciphers, enum aead_suite *ret)
{
    struct reader reader = reader_init(hello->suites, hello->suites_len);
    while (reader_left(&reader) >= 2) {
        if (suite_of(read_u16(&reader), ciphers, ret))
            return true;
    }
    return false;
}
