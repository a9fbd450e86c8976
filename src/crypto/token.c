/*
 * Address validation tokens. A token is
 *     random (16) | AES-256-GCM of { kind (1), version (4), issued (8), address (19) [, original DCID, our SCID] } | tag (16)
 * where the key is made for this token from the endpoint's token key and the random octets: any number of tokens may be
 * issued under one static key, none resembles another, and every octet of a token is authenticated, the random ones by
 * way of the key.
 *
 * A NEW_TOKEN token does not carry the port: NATs change it between connections. A Retry token does: it comes back at
 * once.
 */
#include "crypto/token.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"
#include "base/reader.h"
#include "base/writer.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "crypto/key_schedule.h"

#define RANDOM_BYTES   16
#define TAG_BYTES      16
#define IP_BYTES       16
#define TEXT_BYTES_MAX (1 + 4 + 8 + 1 + IP_BYTES + 2 + 2 * (1 + ROAM_CID_MAX))

_Static_assert(RANDOM_BYTES + TEXT_BYTES_MAX + TAG_BYTES <= TOKEN_BYTES_MAX, "a token fits");

/* The key serves for one token, so its nonce may be fixed. */
static const uint8_t nonce[AEAD_NONCE_BYTES];

void token_key_derive(uint8_t ret[TOKEN_KEY_BYTES], const uint8_t *static_key, size_t len)
{
    derive_key(static_key, len, "roam address validation token", ret, TOKEN_KEY_BYTES);
}

static void key_of_token(uint8_t ret[32], const uint8_t key[TOKEN_KEY_BYTES], const uint8_t random[RANDOM_BYTES])
{
    hmac(HASH_SHA256, key, TOKEN_KEY_BYTES, random, RANDOM_BYTES, ret);
}

static void write_cid(struct writer *writer, const roam_cid *cid)
{
    write_u8(writer, cid->len);
    write_bytes(writer, cid->bytes, cid->len);
}

static void read_cid(struct reader *reader, roam_cid *ret)
{
    *ret = (roam_cid){.len = read_u8(reader)};
    if (ret->len > ROAM_CID_MAX)
        reader->failed = true;
    else
        read_copy(reader, ret->bytes, ret->len);
}

/* Seals what was written into a token of its own key. */
static size_t seal(uint8_t ret[TOKEN_BYTES_MAX], const uint8_t key[TOKEN_KEY_BYTES], const roam_rng *rng,
                   const uint8_t *text, size_t len)
{
    uint8_t token_key[32];
    //= rfc9000#8.1.4-1 A token is hard to guess and covered by integrity protection; different ones cannot be linked.
    //= rfc9000#8.1.3-6 Nothing in a token tells whose connection it came from.
    //= rfc9000#8.1.3-7 The random octets make each token another one.
    rng_fill(rng, ret, RANDOM_BYTES);
    key_of_token(token_key, key, ret);
    gcm_seal_once(token_key, sizeof(token_key), nonce, NULL, 0, text, len, ret + RANDOM_BYTES);
    wipe(token_key, sizeof(token_key));
    return RANDOM_BYTES + len + TAG_BYTES;
}

size_t token_seal(uint8_t ret[TOKEN_BYTES_MAX], const uint8_t key[TOKEN_KEY_BYTES], const roam_rng *rng,
                  const struct token *token, const roam_address *remote)
{
    uint8_t text[TEXT_BYTES_MAX];
    struct writer writer = writer_init(text, sizeof(text));
    roam_address address = roam_address_unmap(remote);
    assert(token->kind == TOKEN_RETRY || token->kind == TOKEN_NEW);

    //= rfc9000#8.1.1-1 A Retry token and one of NEW_TOKEN are told apart.
    write_u8(&writer, (uint8_t)token->kind);
    //= rfc9369#5-2 A token tells of which version the connection was.
    write_u32(&writer, token->version);
    write_u64(&writer, token->issued);
    write_u8(&writer, address.family);
    write_bytes(&writer, address.ip, IP_BYTES);
    //= rfc9000#8.1.4-3 Retry tokens bind source IP and port.
    write_u16(&writer, token->kind == TOKEN_RETRY ? address.port : 0);
    if (token->kind == TOKEN_RETRY) {
        write_cid(&writer, &token->original_dcid);
        write_cid(&writer, &token->retry_scid);
    }
    assert(!writer.failed);
    return seal(ret, key, rng, text, writer_len(&writer));
}

/* True where the text is whole and of a kind that we know. */
static bool parse(struct token *ret, roam_address *ret_address, const uint8_t *text, size_t len)
{
    struct reader reader = reader_init(text, len);
    uint8_t kind = read_u8(&reader);
    if (kind != TOKEN_RETRY && kind != TOKEN_NEW)
        return false;
    ret->kind = (enum token_kind)kind;
    ret->version = read_u32(&reader);
    ret->issued = read_u64(&reader);
    ret_address->family = read_u8(&reader);
    read_copy(&reader, ret_address->ip, IP_BYTES);
    ret_address->port = read_u16(&reader);
    if (kind == TOKEN_RETRY) {
        read_cid(&reader, &ret->original_dcid);
        read_cid(&reader, &ret->retry_scid);
    }
    return !reader.failed && reader_left(&reader) == 0;
}

/* Opens a token under its key: false where it was not sealed under it. Its text is *ret_len octets long. */
static bool open_text(uint8_t ret[TEXT_BYTES_MAX], size_t *ret_len, const uint8_t key[TOKEN_KEY_BYTES],
                      const uint8_t *data, size_t len)
{
    uint8_t token_key[32];
    if (len < RANDOM_BYTES + TAG_BYTES || len > RANDOM_BYTES + TEXT_BYTES_MAX + TAG_BYTES)
        return false;
    key_of_token(token_key, key, data);
    //= rfc9000#8.1.4-2 Tokens are integrity-protected against change or forging by clients.
    bool ours = gcm_open_once(token_key, sizeof(token_key), nonce, data + RANDOM_BYTES, len - RANDOM_BYTES, ret);
    wipe(token_key, sizeof(token_key));
    *ret_len = len - RANDOM_BYTES - TAG_BYTES;
    return ours;
}

/* The random octets tell it from all others. */
static uint64_t mark_of(const uint8_t *data)
{
    struct reader random = reader_init(data, RANDOM_BYTES);
    return max_u64(1, read_u64(&random));
}

enum token_verdict token_open(struct token *ret, const uint8_t key[TOKEN_KEY_BYTES], const uint8_t *data, size_t len,
                              const roam_address *remote, roam_time now, roam_time retry_lifetime,
                              roam_time new_lifetime)
{
    uint8_t text[TEXT_BYTES_MAX];
    size_t text_len;
    struct token token = {0};
    roam_address issued_to = {0}, address = roam_address_unmap(remote);
    if (!open_text(text, &text_len, key, data, len) || !parse(&token, &issued_to, text, text_len))
        return TOKEN_UNKNOWN;
    token.mark = mark_of(data);
    *ret = token;

    //= rfc9000#8.1.4-4 A token is bound to the address that it was given to.
    if (issued_to.family != address.family || memcmp(issued_to.ip, address.ip, IP_BYTES) != 0 ||
        (token.kind == TOKEN_RETRY && issued_to.port != address.port))
        return TOKEN_WRONG_ADDRESS;
    roam_time lifetime = token.kind == TOKEN_RETRY ? retry_lifetime : new_lifetime;
    //= rfc9000#8.1.3-5 Tokens expire.
    //= rfc9000#8.1.4-7 Retry tokens live only briefly.
    //= rfc9000#21.3-1 Limit token use and lifetime against spoofed 0-RTT amplification.
    if (token.issued > saturating_add(now, TOKEN_CLOCK_SKEW) || saturating_sub(now, token.issued) > lifetime)
        return TOKEN_EXPIRED;
    return TOKEN_VALID;
}

/* ---- Invitations: random (16) | AES-256-GCM of { kind (1), made (8), destination CID } | tag (16) ---- */

void invitation_key_derive(uint8_t ret[TOKEN_KEY_BYTES], const uint8_t shared_key[ROAM_STATIC_KEY_BYTES])
{
    derive_key(shared_key, ROAM_STATIC_KEY_BYTES, "roam invitation", ret, TOKEN_KEY_BYTES);
}

size_t invitation_seal(uint8_t ret[TOKEN_BYTES_MAX], const uint8_t key[TOKEN_KEY_BYTES], const roam_rng *rng,
                       const roam_cid *dcid, roam_time now)
{
    uint8_t text[TEXT_BYTES_MAX];
    struct writer writer = writer_init(text, sizeof(text));
    write_u8(&writer, TOKEN_INVITATION);
    write_u64(&writer, now);
    write_cid(&writer, dcid);
    assert(!writer.failed);
    return seal(ret, key, rng, text, writer_len(&writer));
}

bool invitation_open(struct token *ret, const uint8_t key[TOKEN_KEY_BYTES], const uint8_t *data, size_t len,
                     const roam_cid *dcid, roam_time now)
{
    uint8_t text[TEXT_BYTES_MAX];
    size_t text_len;
    if (!open_text(text, &text_len, key, data, len))
        return false;
    struct reader reader = reader_init(text, text_len);
    *ret = (struct token){.kind = TOKEN_INVITATION, .mark = mark_of(data)};
    bool is_one = read_u8(&reader) == TOKEN_INVITATION;
    ret->issued = read_u64(&reader);
    read_cid(&reader, &ret->original_dcid);
    return is_one && !reader.failed && reader_left(&reader) == 0 && roam_cid_equal(&ret->original_dcid, dcid) &&
           saturating_sub(ret->issued, now) <= INVITATION_WINDOW &&
           saturating_sub(now, ret->issued) <= INVITATION_WINDOW;
}
