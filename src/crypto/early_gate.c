/*
 * See early_gate.h. An annex is
 *     random (16) | AES-256-GCM of { instance (8), ticket's SHA-256 (32), issued (8), suite (1), ALPN (1 + n),
 *     parameters (1 + n) } | tag (16) | length of all before (2)
 * with a key of its own, made from the gate's key and the random octets as for address validation tokens.
 */
#include "crypto/early_gate.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "base/minmax.h"
#include "base/reader.h"
#include "base/writer.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "crypto/key_schedule.h"

#define RANDOM_BYTES   16
#define TAG_BYTES      16
#define LENGTH_BYTES   2
#define SHA256_BYTES   32
#define TEXT_BYTES_MAX (8 + SHA256_BYTES + 8 + 1 + 1 + EARLY_ALPN_MAX + 1 + EARLY_PARAMS_MAX)

_Static_assert(RANDOM_BYTES + TEXT_BYTES_MAX + TAG_BYTES + LENGTH_BYTES <= TICKET_ANNEX_MAX, "an annex fits");

/* The key serves for one annex, so its nonce may be fixed. */
static const uint8_t nonce[AEAD_NONCE_BYTES];

void early_gate_init(struct early_gate *gate, const roam_rng *rng, const uint8_t *static_key, size_t len)
{
    gate->rng = rng;
    gate->instance = rng_u64(rng);
    derive_key(static_key, len, "roam early data", gate->key, EARLY_KEY_BYTES);
    /* GnuTLS would forget what it has seen with each window, and whatever is older with it. Here each ticket is known
     * again for itself, so that its window need never end. */
    gate->asks = NULL;
    if (gnutls_anti_replay_init(&gate->asks) < 0)
        gate->asks = NULL;
    else
        gnutls_anti_replay_set_window(gate->asks, UINT_MAX);
}

void early_gate_done(struct early_gate *gate)
{
    if (gate->asks != NULL)
        gnutls_anti_replay_deinit(gate->asks);
    gate->asks = NULL;
    wipe(gate->key, sizeof(gate->key));
}

size_t ticket_annex_seal(uint8_t ret[TICKET_ANNEX_MAX], const struct early_gate *gate, const uint8_t *ticket,
                         size_t len, const struct early_terms *terms)
{
    uint8_t text[TEXT_BYTES_MAX], key[32], hash[SHA256_BYTES];
    struct writer writer = writer_init(text, sizeof(text));
    sha256(ticket, len, hash);
    write_u64(&writer, gate->instance);
    write_bytes(&writer, hash, sizeof(hash));
    write_u64(&writer, terms->issued);
    write_u8(&writer, terms->suite);
    write_u8(&writer, terms->alpn_len);
    write_bytes(&writer, terms->alpn, terms->alpn_len);
    write_u8(&writer, terms->params_len);
    write_bytes(&writer, terms->params, terms->params_len);
    assert(!writer.failed);
    rng_fill(gate->rng, ret, RANDOM_BYTES);
    hmac(HASH_SHA256, gate->key, EARLY_KEY_BYTES, ret, RANDOM_BYTES, key);
    gcm_seal_once(key, sizeof(key), nonce, NULL, 0, text, writer_len(&writer), ret + RANDOM_BYTES);
    wipe(key, sizeof(key));
    size_t sealed = RANDOM_BYTES + writer_len(&writer) + TAG_BYTES;
    ret[sealed] = (uint8_t)(sealed >> 8);
    ret[sealed + 1] = (uint8_t)sealed;
    return sealed + LENGTH_BYTES;
}

/* True where the text is whole, of this instance and of the ticket with this hash. */
static bool parse(struct early_terms *ret, const struct early_gate *gate, const uint8_t *hash, const uint8_t *text,
                  size_t len)
{
    struct reader reader = reader_init(text, len);
    uint64_t instance = read_u64(&reader);
    const uint8_t *of_ticket = read_bytes(&reader, SHA256_BYTES);
    ret->issued = read_u64(&reader);
    ret->suite = read_u8(&reader);
    ret->alpn_len = read_u8(&reader);
    read_copy(&reader, ret->alpn, ret->alpn_len);
    ret->params_len = read_u8(&reader);
    if (ret->params_len > EARLY_PARAMS_MAX)
        return false;
    read_copy(&reader, ret->params, ret->params_len);
    return !reader.failed && reader_left(&reader) == 0 && instance == gate->instance &&
           memcmp(of_ticket, hash, SHA256_BYTES) == 0;
}

bool ticket_annex_open(struct early_terms *ret, const struct early_gate *gate, const uint8_t *identity, size_t len)
{
    uint8_t text[TEXT_BYTES_MAX], key[32], hash[SHA256_BYTES];
    if (len < LENGTH_BYTES)
        return false;
    size_t sealed = (size_t)identity[len - 2] << 8 | identity[len - 1];
    if (sealed < RANDOM_BYTES + TAG_BYTES || sealed > RANDOM_BYTES + sizeof(text) + TAG_BYTES ||
        sealed > len - LENGTH_BYTES)
        return false;
    const uint8_t *annex = identity + (len - LENGTH_BYTES - sealed);
    hmac(HASH_SHA256, gate->key, EARLY_KEY_BYTES, annex, RANDOM_BYTES, key);
    bool ours = gcm_open_once(key, sizeof(key), nonce, annex + RANDOM_BYTES, sealed - RANDOM_BYTES, text);
    wipe(key, sizeof(key));
    sha256(identity, (size_t)(annex - identity), hash);
    struct early_terms terms;
    if (!ours || !parse(&terms, gate, hash, text, sealed - RANDOM_BYTES - TAG_BYTES))
        return false;
    struct reader random = reader_init(annex, RANDOM_BYTES);
    terms.mark = max_u64(1, read_u64(&random));
    *ret = terms;
    return true;
}
