/*
 * Sealing and opening packets with the keys of one direction. The octets in struct packet_keys are the truth;
 * `expanded` can be dropped at any time (packet_keys_shrink) and comes back by packet_keys_expand.
 *
 * Transitions: init -> set (or next, from other keys) -> shrink <-> expand -> done.
 */
#include "crypto/packet_protection.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/rng.h"
#include "crypto/key_schedule.h"

/* RFC 9001 section 5.4.1: bits of the first octet that are masked. */
#define MASKED_BITS_LONG  0x0f
#define MASKED_BITS_SHORT 0x1f

void packet_keys_init(struct packet_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
}

static const struct quic_version *version_of(const struct packet_keys *keys)
{
    return &quic_versions[keys->version];
}

/* All that a secret makes, in one go: whoever sets keys is about to use them. The header protection key only where it is
 * wanted. Without memory for the expanded key, packet_keys_expand tries again. */
static void derive(struct packet_keys *keys, bool header)
{
    uint8_t key[AEAD_KEY_BYTES_MAX];
    const size_t key_bytes = aead_suite_info(keys->suite)->key_bytes;
    const struct label labels[] = {{version_of(keys)->iv_label, keys->iv, sizeof(keys->iv)},
                                   {version_of(keys)->key_label, key, key_bytes},
                                   {version_of(keys)->hp_label, keys->hp_key, key_bytes}};
    hkdf_expand_labels(keys->suite, keys->secret, labels, header ? 3 : 2);
    keys->expanded = keys->backend->key_new(keys->allocator, keys->suite, key, keys->hp_key);
    wipe(key, sizeof(key));
}

void packet_keys_set(struct packet_keys *keys, const roam_allocator *allocator, const struct quic_version *version,
                     enum aead_suite suite, const uint8_t *secret, const struct crypto_backend *backend)
{
    packet_keys_done(keys);
    keys->allocator = allocator;
    keys->suite = (uint8_t)suite;
    keys->version = (uint8_t)(version - quic_versions);
    keys->backend = backend != NULL ? backend : crypto_backend_for(suite);
    memcpy(keys->secret, secret, aead_suite_info(suite)->secret_bytes);
    derive(keys, true);
    keys->available = true;
}

//= rfc9001#6.1 The header protection key is not updated.
void packet_keys_next(struct packet_keys *ret, const struct packet_keys *keys)
{
    assert(keys->available && ret != keys);
    packet_keys_init(ret);
    ret->allocator = keys->allocator;
    ret->backend = keys->backend;
    ret->suite = keys->suite;
    ret->version = keys->version;
    next_secret(version_of(keys), keys->suite, keys->secret, ret->secret);
    memcpy(ret->hp_key, keys->hp_key, sizeof(ret->hp_key));
    derive(ret, false);
    ret->available = true;
}

void packet_keys_shrink(struct packet_keys *keys)
{
    if (keys->expanded != NULL)
        keys->backend->key_free(keys->allocator, keys->expanded);
    keys->expanded = NULL;
}

void packet_keys_done(struct packet_keys *keys)
{
    packet_keys_shrink(keys);
    wipe(keys, sizeof(*keys));
}

bool packet_keys_make(struct packet_keys *keys)
{
    uint8_t key[AEAD_KEY_BYTES_MAX];
    assert(keys->available && keys->expanded == NULL);
    hkdf_expand_label(keys->suite, keys->secret, version_of(keys)->key_label, key,
                      aead_suite_info(keys->suite)->key_bytes);
    keys->expanded = keys->backend->key_new(keys->allocator, keys->suite, key, keys->hp_key);
    wipe(key, sizeof(key));
    return keys->expanded != NULL;
}

//= rfc9001#5.3 The nonce is the IV, exclusive-ored with the packet number in network order.
static void make_nonce(uint8_t ret[AEAD_NONCE_BYTES], const struct packet_keys *keys, uint64_t number)
{
    uint64_t low;
    memcpy(&low, keys->iv + AEAD_NONCE_BYTES - sizeof(low), sizeof(low));
    low ^= htobe64(number);
    memcpy(ret, keys->iv, AEAD_NONCE_BYTES - sizeof(low));
    memcpy(ret + AEAD_NONCE_BYTES - sizeof(low), &low, sizeof(low));
}

static uint8_t masked_bits(uint8_t first_octet)
{
    return (first_octet & LONG_HEADER_BIT) != 0 ? MASKED_BITS_LONG : MASKED_BITS_SHORT;
}

static void seal_batch(struct packet_keys *keys, const struct packet_seal *jobs, size_t n)
{
    struct aead_seal seals[PACKET_PROTECTION_BATCH];
    const uint8_t *samples[PACKET_PROTECTION_BATCH];
    uint8_t masks[PACKET_PROTECTION_BATCH][HP_MASK_BYTES];
    assert(n > 0 && n <= PACKET_PROTECTION_BATCH);

    for (size_t i = 0; i < n; i++) {
        const struct packet_seal *job = &jobs[i];
        assert(job->header_len > job->number_offset && job->header_len - job->number_offset <= PACKET_NUMBER_BYTES_MAX);
        make_nonce(seals[i].nonce, keys, job->number);
        //= rfc9001#5.3 The associated data is the header, up to and with the unprotected packet number.
        seals[i].aad = job->packet;
        seals[i].aad_len = job->header_len;
        seals[i].spans = job->spans;
        seals[i].span_count = job->span_count;
        seals[i].out = job->packet + job->header_len;
        //= rfc9001#5.4.2 The sample is taken as if the packet number had four octets.
        samples[i] = job->packet + job->number_offset + PACKET_NUMBER_BYTES_MAX;
    }
    keys->backend->seal(keys->expanded, seals, n);
    keys->backend->masks(keys->expanded, samples, n, masks);
    for (size_t i = 0; i < n; i++) {
        uint8_t *packet = jobs[i].packet;
        packet[0] ^= masks[i][0] & masked_bits(packet[0]);
        for (size_t at = jobs[i].number_offset, m = 1; at < jobs[i].header_len; at++, m++)
            packet[at] ^= masks[i][m];
    }
}

void packet_protection_seal(struct packet_keys *keys, const struct packet_seal *jobs, size_t n)
{
    assert(keys->expanded != NULL);
    for (size_t first = 0; first < n; first += PACKET_PROTECTION_BATCH)
        seal_batch(keys, jobs + first, n - first < PACKET_PROTECTION_BATCH ? n - first : PACKET_PROTECTION_BATCH);
    keys->packets += n;
}

void packet_protection_masks(struct packet_keys *keys, const uint8_t *packets, size_t stride, size_t number_offset,
                             size_t n, uint8_t (*ret)[HP_MASK_BYTES])
{
    const uint8_t *samples[PACKET_PROTECTION_BATCH];
    assert(keys->expanded != NULL && n <= PACKET_PROTECTION_BATCH);
    for (size_t i = 0; i < n; i++)
        samples[i] = packets + i * stride + number_offset + PACKET_NUMBER_BYTES_MAX;
    keys->backend->masks(keys->expanded, samples, n, ret);
}

//= rfc9001#9.5 No branch here depends on what the mask uncovers.
void packet_protection_unmask(uint8_t *packet, size_t number_offset, const uint8_t mask[HP_MASK_BYTES],
                              struct unmasked *ret)
{
    uint32_t number_mask, whole;
    memcpy(&number_mask, mask + 1, sizeof(number_mask));
    memcpy(&whole, packet + number_offset, sizeof(whole));
    packet[0] ^= mask[0] & masked_bits(packet[0]);
    unsigned number_len = (packet[0] & 0x03u) + 1, bits_behind = 8 * (PACKET_NUMBER_BYTES_MAX - number_len);
    whole ^= number_mask & htobe32(UINT32_MAX << bits_behind);
    memcpy(packet + number_offset, &whole, sizeof(whole));
    *ret = (struct unmasked){packet[0], number_len, be32toh(whole) >> bits_behind};
}

ptrdiff_t packet_protection_open(struct packet_keys *keys, uint64_t number, uint8_t *packet, size_t header_len,
                                 size_t len)
{
    uint8_t nonce[AEAD_NONCE_BYTES];
    assert(keys->expanded != NULL && len >= header_len + AEAD_TAG_BYTES);
    make_nonce(nonce, keys, number);
    if (!keys->backend->open(keys->expanded, nonce, packet, header_len, packet + header_len, len - header_len)) {
        keys->packets++;
        return -1;
    }
    return (ptrdiff_t)(len - header_len - AEAD_TAG_BYTES);
}
