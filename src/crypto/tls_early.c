/* See tls_early.h. */
#include "crypto/tls_early.h"

#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "crypto/client_hello.h"
#include "wire/transport_params.h"

/* RFC 8446 section 4. */
enum { MESSAGE_CLIENT_HELLO = 1, EXTENSION_EARLY_DATA = 42 };

/* RFC 9001 section 4.6.1: what is allowed is all or nothing. */
#define EARLY_DATA_SIZE UINT32_C(0xffffffff)

/* A ticket that expires sooner brings no early data: its age is looked at a little before it is used. */
#define LIFETIME_LEFT_SECONDS 60

void tls_early_remember(struct early_terms *ret, const uint8_t *params, size_t len)
{
    struct transport_params parsed;
    const char *ignored;
    struct writer writer = writer_init(ret->params, sizeof(ret->params));
    ret->params_len = 0;
    if (transport_params_parse(&parsed, params, len, true, &ignored) != ROAM_NO_ERROR)
        return;
    transport_params_remember(&parsed);
    transport_params_write(&writer, &parsed);
    ret->params_len = (uint8_t)(writer.failed ? 0 : writer_len(&writer));
}

static bool note_agreement(struct tls *tls, struct early_terms *ret)
{
    enum aead_suite suite;
    if (!tls_suite_of(gnutls_cipher_get(tls->session), &suite))
        return false;
    ret->suite = (uint8_t)suite;
    ret->alpn_len = (uint8_t)strlen(tls->alpn);
    memcpy(ret->alpn, tls->alpn, ret->alpn_len);
    return ret->params_len > 0;
}

/* ---- A server */

/* What GnuTLS asks when the ticket has proved to be the client's, instead of looking into a window of its own. */
static int on_early_data(void *context, time_t expires, const gnutls_datum_t *key, const gnutls_datum_t *entry)
{
    struct tls *tls = (struct tls *)context;
    gnutls_datum_t alpn;
    (void)expires, (void)key, (void)entry;
    bool same_protocol = gnutls_alpn_get_selected_protocol(tls->session, &alpn) >= 0 &&
                         alpn.size == tls->terms.alpn_len && memcmp(alpn.data, tls->terms.alpn, alpn.size) == 0;
    bool taken = tls->early_fits && same_protocol && tls->sink.early(tls->sink.context, &tls->terms);
    tls->early_fits = false;
    return taken ? 0 : GNUTLS_E_DB_ENTRY_EXISTS;
}

bool tls_early_accept(struct tls *tls)
{
    gnutls_anti_replay_set_add_function(tls->gate->asks, on_early_data);
    gnutls_anti_replay_enable(tls->session, tls->gate->asks);
    return gnutls_record_set_max_early_data_size(tls->session, EARLY_DATA_SIZE) >= 0;
}

void tls_early_read_hello(struct tls *tls, const roam_config *config, const uint8_t *message, size_t len)
{
    struct client_hello hello;
    enum aead_suite suite;
    gnutls_anti_replay_set_ptr(tls->gate->asks, tls);
    //= rfc8446#4.2.10 Early data is of the first ticket, and of the suite that this was issued with.
    tls->early_fits = client_hello_read(&hello, message, len) && hello.early_data && hello.ticket_count == 1 &&
                      ticket_annex_open(&tls->terms, tls->gate, hello.ticket, hello.ticket_len) &&
                      client_hello_suite(&hello, config->ciphers, &suite) && suite == tls->terms.suite;
}

/* The fields of a NewSessionTicket, RFC 8446 section 4.6.1. */
struct ticket_message {
    const uint8_t *head; /* lifetime, age_add and nonce */
    size_t head_len;
    const uint8_t *ticket;
    size_t ticket_len;
    const uint8_t *extensions; /* with their length */
    size_t extensions_len;
    uint32_t lifetime, age_add;
};

static bool read_ticket_message(struct ticket_message *ret, const uint8_t *message, size_t len)
{
    if (len < MESSAGE_HEADER_BYTES)
        return false;
    struct reader reader = reader_init(message + MESSAGE_HEADER_BYTES, len - MESSAGE_HEADER_BYTES);
    ret->head = reader.pos;
    ret->lifetime = read_u32(&reader);
    ret->age_add = read_u32(&reader);
    read_bytes(&reader, read_u8(&reader));
    ret->head_len = (size_t)(reader.pos - ret->head);
    ret->ticket_len = read_u16(&reader);
    ret->ticket = read_bytes(&reader, ret->ticket_len);
    ret->extensions = reader.pos;
    ret->extensions_len = reader_left(&reader);
    return !reader.failed;
}

bool tls_early_send_ticket(struct tls *tls, const uint8_t *message, size_t len)
{
    struct ticket_message parts;
    uint8_t annex[TICKET_ANNEX_MAX];
    tls_early_remember(&tls->next, tls->params, tls->params_len);
    if (!read_ticket_message(&parts, message, len) || !note_agreement(tls, &tls->next)) {
        tls->sink.send(tls->sink.context, TLS_APPLICATION, message, len);
        return true;
    }
    size_t annex_len = ticket_annex_seal(annex, tls->gate, parts.ticket, parts.ticket_len, &tls->next);
    uint8_t *whole = (uint8_t *)mem_alloc(&tls->allocator, len + annex_len);
    if (whole == NULL)
        return false;
    const size_t body_len = len + annex_len - MESSAGE_HEADER_BYTES;
    struct writer writer = writer_init(whole, len + annex_len);
    write_u8(&writer, message[0]);
    write_u8(&writer, (uint8_t)(body_len >> 16));
    write_u16(&writer, (uint16_t)body_len);
    write_bytes(&writer, parts.head, parts.head_len);
    write_u16(&writer, (uint16_t)(parts.ticket_len + annex_len));
    write_bytes(&writer, parts.ticket, parts.ticket_len);
    write_bytes(&writer, annex, annex_len);
    write_bytes(&writer, parts.extensions, parts.extensions_len);
    tls->sink.send(tls->sink.context, TLS_APPLICATION, whole, len + annex_len);
    mem_free(&tls->allocator, whole, len + annex_len);
    return true;
}

/* ---- A client */

void tls_early_look(struct tls *tls, const uint8_t *message, size_t len)
{
    struct client_hello hello;
    if (message[0] != MESSAGE_CLIENT_HELLO || !client_hello_read(&hello, message, len) || hello.ticket_count != 1)
        return;
    tls->trial_has_ticket = true;
    tls->trial_age = hello.ticket_age;
}

static bool offers_protocol(const roam_config *config, const struct early_terms *terms)
{
    for (const char *const *alpn = config->alpn; *alpn != NULL; alpn++) {
        if (strlen(*alpn) == terms->alpn_len && memcmp(*alpn, terms->alpn, terms->alpn_len) == 0)
            return true;
    }
    return false;
}

static bool offers_suite(const roam_config *config, uint8_t suite)
{
    const unsigned cipher = suite == AEAD_AES_128_GCM   ? ROAM_AES_128_GCM
                            : suite == AEAD_AES_256_GCM ? ROAM_AES_256_GCM
                                                        : ROAM_CHACHA20_POLY1305;
    return config->ciphers == 0 || (config->ciphers & cipher) != 0;
}

bool tls_early_may_offer(const struct tls *tls, const struct session_early *early, const roam_config *config)
{
    struct transport_params ignored;
    const char *reason;
    const uint32_t age_seconds = (tls->trial_age - early->age_add) / 1000;
    return tls->trial_has_ticket && early->lifetime > LIFETIME_LEFT_SECONDS &&
           age_seconds < early->lifetime - LIFETIME_LEFT_SECONDS && offers_protocol(config, &early->terms) &&
           offers_suite(config, early->terms.suite) &&
           transport_params_parse(&ignored, early->terms.params, early->terms.params_len, true, &reason) ==
               ROAM_NO_ERROR;
}

void tls_early_read_ticket(struct tls *tls, const uint8_t *message, size_t len, struct session_early *ret)
{
    struct ticket_message parts;
    bool allowed = false;
    *ret = (struct session_early){.allowed = false};
    if (!read_ticket_message(&parts, message, len) || !note_agreement(tls, &tls->next))
        return;
    struct reader reader = reader_init(parts.extensions, parts.extensions_len);
    read_u16(&reader); /* octets of extensions; each was looked at when the message came */
    while (!reader.failed && reader_left(&reader) > 0) {
        allowed |= read_u16(&reader) == EXTENSION_EARLY_DATA;
        read_bytes(&reader, read_u16(&reader));
    }
    ret->allowed = allowed;
    ret->lifetime = parts.lifetime;
    ret->age_add = parts.age_add;
    ret->terms = tls->next;
}
