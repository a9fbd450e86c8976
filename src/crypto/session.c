/*
 * See session.h. A session is
 *     format (1) | version of QUIC (4) | name (1 + n) | number of certificates (1) | each of them (2 + n) |
 *     early data allowed (1) | ticket's lifetime (4) | its age_add (4) | suite (1) | ALPN (1 + n) |
 *     the server's parameters (1 + n) | GnuTLS's data | SHA-256 (32)
 * where the hash is over everything before it. What was damaged on its way is found out by it before GnuTLS sees it, which
 * believes whatever it is given here. It is no protection against whoever may write to where the application keeps its
 * sessions: that must be as safe as the application itself.
 */
#include "crypto/session.h"

#include <string.h>

#include "base/reader.h"
#include "base/rng.h"
#include "base/writer.h"
#include "crypto/hash.h"
#include "crypto/key_schedule.h"
#include "wire/version.h"

#define SESSION_FORMAT   2
#define HASH_BYTES       32
#define TICKET_KEY_BYTES 64

//= rfc9369#5-2 Tickets of each version have a key of their own, so that those of another mean a full handshake.
bool session_enable_tickets(gnutls_session_t session, const uint8_t *key, uint32_t version)
{
    uint8_t own[TICKET_KEY_BYTES];
    const char *label = quic_version_like(version)->ticket_label;
    if (label != NULL)
        derive_key(key, sizeof(own), label, own, sizeof(own));
    else
        memcpy(own, key, sizeof(own));
    const gnutls_datum_t datum = {.data = own, .size = sizeof(own)};
    bool enabled = gnutls_session_ticket_enable_server(session, &datum) >= 0;
    wipe(own, sizeof(own));
    return enabled;
}

static void write_certificates(struct writer *writer, gnutls_session_t session)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (chain == NULL || count > SESSION_CERTIFICATES_MAX) {
        writer->failed = true;
        return;
    }
    write_u8(writer, (uint8_t)count);
    for (unsigned i = 0; i < count && !writer->failed; i++) {
        if (chain[i].size > UINT16_MAX)
            writer->failed = true;
        write_u16(writer, (uint16_t)chain[i].size);
        write_bytes(writer, chain[i].data, chain[i].size);
    }
}

static void write_early(struct writer *writer, const struct session_early *early)
{
    write_u8(writer, early->allowed);
    write_u32(writer, early->lifetime);
    write_u32(writer, early->age_add);
    write_u8(writer, early->terms.suite);
    write_u8(writer, early->terms.alpn_len);
    write_bytes(writer, early->terms.alpn, early->terms.alpn_len);
    write_u8(writer, early->terms.params_len);
    write_bytes(writer, early->terms.params, early->terms.params_len);
}

size_t session_write(gnutls_session_t session, const char *name, uint32_t version, const struct session_early *early,
                     uint8_t *ret, size_t capacity)
{
    struct writer writer = writer_init(ret, capacity - HASH_BYTES);
    gnutls_datum_t data;
    size_t name_len = strlen(name);
    /* Without a ticket GnuTLS hands out something that only looks like a session. */
    if ((gnutls_session_get_flags(session) & GNUTLS_SFLAGS_SESSION_TICKET) == 0 || name_len > UINT8_MAX ||
        gnutls_session_get_data2(session, &data) < 0)
        return 0;
    write_u8(&writer, SESSION_FORMAT);
    //= rfc9369#5-1 A session belongs to the version that was negotiated.
    write_u32(&writer, version);
    write_u8(&writer, (uint8_t)name_len);
    write_bytes(&writer, name, name_len);
    write_certificates(&writer, session);
    write_early(&writer, early);
    write_bytes(&writer, data.data, data.size);
    gnutls_memset(data.data, 0, data.size);
    gnutls_free(data.data);
    if (writer.failed)
        return 0;
    sha256(ret, writer_len(&writer), ret + writer_len(&writer));
    return writer_len(&writer) + HASH_BYTES;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static bool is_whole(const uint8_t *data, size_t len)
{
    uint8_t hash[HASH_BYTES];
    if (len < HASH_BYTES || len > SESSION_BYTES_MAX)
        return false;
    sha256(data, len - HASH_BYTES, hash);
    return memcmp(hash, data + len - HASH_BYTES, HASH_BYTES) == 0;
}

static void read_certificates(struct reader *reader, struct session_parts *ret)
{
    ret->count = read_u8(reader);
    if (ret->count > SESSION_CERTIFICATES_MAX)
        reader->failed = true;
    for (unsigned i = 0; i < ret->count && !reader->failed; i++) {
        size_t len = read_u16(reader);
        const uint8_t *bytes = read_bytes(reader, len);
        ret->certificates[i] = (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)bytes, .size = (unsigned)len};
    }
}

static void read_early(struct reader *reader, struct session_early *ret)
{
    struct early_terms *terms = &ret->terms;
    ret->allowed = read_u8(reader) != 0;
    ret->lifetime = read_u32(reader);
    ret->age_add = read_u32(reader);
    terms->suite = read_u8(reader);
    terms->alpn_len = read_u8(reader);
    read_copy(reader, terms->alpn, terms->alpn_len);
    terms->params_len = read_u8(reader);
    if (terms->params_len > EARLY_PARAMS_MAX) {
        reader->failed = true;
        return;
    }
    read_copy(reader, terms->params, terms->params_len);
}

bool session_read(struct session_parts *ret, const uint8_t *data, size_t len)
{
    if (!is_whole(data, len))
        return false;
    struct reader reader = reader_init(data, len - HASH_BYTES);
    if (read_u8(&reader) != SESSION_FORMAT)
        return false;
    ret->version = read_u32(&reader);
    ret->name_len = read_u8(&reader);
    ret->name = read_bytes(&reader, ret->name_len);
    read_certificates(&reader, ret);
    read_early(&reader, &ret->early);
    ret->data = reader.pos;
    ret->data_len = reader_left(&reader);
    return !reader.failed && ret->data_len > 0;
}

bool session_offer(gnutls_session_t session, struct roam_credentials *credentials, const char *name, uint32_t version,
                   const uint8_t *data, size_t len, struct session_early *ret_early)
{
    struct session_parts parts;
    struct verdict ignored;
    //= rfc9369#5-1 One of another version is not offered.
    bool offered = session_read(&parts, data, len) && parts.version == version && parts.name_len == strlen(name) &&
                   memcmp(parts.name, name, parts.name_len) == 0 &&
                   credentials_accept_again(credentials, parts.certificates, parts.count, name, &ignored) &&
                   gnutls_session_set_data(session, parts.data, parts.data_len) >= 0;
    if (offered)
        *ret_early = parts.early;
    return offered;
}
