/*
 * AEAD and header protection with intel-ipsec-mb, whose AES-GCM is several times as fast as libcrypto's for packets.
 * Only its direct calls are used, which keep no state in the manager: one manager serves every thread of the process
 * and is read-only after `start`. The working state of a packet lies in its key, so that it is wiped with it.
 *
 * Header protection is a single block: AES straight from the processor's instructions, since the library has no call
 * for one block of AES-256; ChaCha20 four samples at a time.
 */
#include "crypto/aead.h"

#if defined(ROAM_HAVE_IPSEC_MB) && defined(__x86_64__)

#include <assert.h>
#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <string.h>
#include <wmmintrin.h>

#include "base/rng.h"
#include "wire/packet.h"

#define KEY_ALIGNMENT 64
/* Plaintext of a packet that is put together before it is sealed: more than a packet on Ethernet has. */
#define GATHER_BYTES_MAX   2048
#define AES_ROUND_KEYS_MAX 15

struct ipsec_mb_key {
    struct gcm_key_data gcm; /* wants its alignment */
    uint8_t round_keys[AES_ROUND_KEYS_MAX][16] __attribute__((aligned(16)));
    uint8_t unused_round_keys[AES_ROUND_KEYS_MAX][16] __attribute__((aligned(16)));
    union {
        struct gcm_context_data gcm;
        struct chacha20_poly1305_context_data chacha;
    } state __attribute__((aligned(64)));
    uint8_t chacha_key[32] __attribute__((aligned(16)));
    uint32_t chacha_header_key[8];
    enum aead_suite suite;
    void *allocation;
};

#define ALLOCATION_BYTES (sizeof(struct ipsec_mb_key) + KEY_ALIGNMENT)

static IMB_MGR *manager; /* NULL: not here */
static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start(void)
{
    const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_AVX2;
    IMB_MGR *candidate = alloc_mb_mgr(0);
    if (candidate == NULL)
        return;
    init_mb_mgr_auto(candidate, NULL);
    bool tested =
        (candidate->features & IMB_FEATURE_SELF_TEST) == 0 || (candidate->features & IMB_FEATURE_SELF_TEST_PASS) != 0;
    if (imb_get_errno(candidate) == 0 && (candidate->features & wanted) == wanted && tested)
        manager = candidate;
    else
        free_mb_mgr(candidate);
}

static bool ipsec_mb_supports(enum aead_suite suite)
{
    pthread_once(&started, start);
    return manager != NULL && (unsigned)suite < AEAD_SUITES;
}

static void *ipsec_mb_key_new(const roam_allocator *allocator, enum aead_suite suite, const uint8_t *secret,
                              const uint8_t *hp_secret)
{
    assert(ipsec_mb_supports(suite));
    void *allocation = mem_zalloc(allocator, ALLOCATION_BYTES);
    if (allocation == NULL)
        return NULL;
    uintptr_t aligned = ((uintptr_t)allocation + KEY_ALIGNMENT - 1) & ~(uintptr_t)(KEY_ALIGNMENT - 1);
    struct ipsec_mb_key *key = (struct ipsec_mb_key *)aligned;
    key->allocation = allocation;
    key->suite = suite;
    switch (suite) {
    case AEAD_AES_128_GCM:
        IMB_AES128_GCM_PRE(manager, secret, &key->gcm);
        IMB_AES_KEYEXP_128(manager, hp_secret, key->round_keys, key->unused_round_keys);
        break;
    case AEAD_AES_256_GCM:
        IMB_AES256_GCM_PRE(manager, secret, &key->gcm);
        IMB_AES_KEYEXP_256(manager, hp_secret, key->round_keys, key->unused_round_keys);
        break;
    default:
        memcpy(key->chacha_key, secret, sizeof(key->chacha_key));
        memcpy(key->chacha_header_key, hp_secret, sizeof(key->chacha_header_key));
    }
    return key;
}

static void ipsec_mb_key_free(const roam_allocator *allocator, void *opaque)
{
    if (opaque == NULL)
        return;
    void *allocation = ((struct ipsec_mb_key *)opaque)->allocation;
    wipe(allocation, ALLOCATION_BYTES);
    mem_free(allocator, allocation, ALLOCATION_BYTES);
}

/* One call for a packet that lies in one piece costs less than three for its spans, even with the copy that puts it
 * together, as long as the packet is short. */
static bool gather(const struct aead_seal *job, struct span *ret)
{
    *ret = job->spans[0];
    if (job->span_count == 1)
        return true;
    size_t len = 0;
    for (size_t i = 0; i < job->span_count; i++)
        len += job->spans[i].len;
    if (len > GATHER_BYTES_MAX)
        return false;
    uint8_t *out = job->out;
    for (size_t i = 0; i < job->span_count; out += job->spans[i].len, i++)
        if (job->spans[i].data != out)
            memcpy(out, job->spans[i].data, job->spans[i].len);
    *ret = (struct span){.data = job->out, .len = len};
    return true;
}

static void seal_aes_128(struct ipsec_mb_key *key, const struct aead_seal *job)
{
    struct gcm_context_data *state = &key->state.gcm;
    uint8_t *out = job->out;
    struct span whole;
    if (gather(job, &whole)) {
        IMB_AES128_GCM_ENC(manager, &key->gcm, state, out, whole.data, whole.len, job->nonce, job->aad, job->aad_len,
                           out + whole.len, AEAD_TAG_BYTES);
        return;
    }
    IMB_AES128_GCM_INIT(manager, &key->gcm, state, job->nonce, job->aad, job->aad_len);
    for (size_t i = 0; i < job->span_count; out += job->spans[i].len, i++)
        if (job->spans[i].len > 0)
            IMB_AES128_GCM_ENC_UPDATE(manager, &key->gcm, state, out, job->spans[i].data, job->spans[i].len);
    IMB_AES128_GCM_ENC_FINALIZE(manager, &key->gcm, state, out, AEAD_TAG_BYTES);
}

static void seal_aes_256(struct ipsec_mb_key *key, const struct aead_seal *job)
{
    struct gcm_context_data *state = &key->state.gcm;
    uint8_t *out = job->out;
    struct span whole;
    if (gather(job, &whole)) {
        IMB_AES256_GCM_ENC(manager, &key->gcm, state, out, whole.data, whole.len, job->nonce, job->aad, job->aad_len,
                           out + whole.len, AEAD_TAG_BYTES);
        return;
    }
    IMB_AES256_GCM_INIT(manager, &key->gcm, state, job->nonce, job->aad, job->aad_len);
    for (size_t i = 0; i < job->span_count; out += job->spans[i].len, i++)
        if (job->spans[i].len > 0)
            IMB_AES256_GCM_ENC_UPDATE(manager, &key->gcm, state, out, job->spans[i].data, job->spans[i].len);
    IMB_AES256_GCM_ENC_FINALIZE(manager, &key->gcm, state, out, AEAD_TAG_BYTES);
}

static void seal_chacha(struct ipsec_mb_key *key, const struct aead_seal *job)
{
    struct chacha20_poly1305_context_data *state = &key->state.chacha;
    uint8_t *out = job->out;
    IMB_CHACHA20_POLY1305_INIT(manager, key->chacha_key, state, job->nonce, job->aad, job->aad_len);
    for (size_t i = 0; i < job->span_count; out += job->spans[i].len, i++)
        if (job->spans[i].len > 0)
            IMB_CHACHA20_POLY1305_ENC_UPDATE(manager, key->chacha_key, state, out, job->spans[i].data,
                                             job->spans[i].len);
    IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager, state, out, AEAD_TAG_BYTES);
}

static void ipsec_mb_seal(void *opaque, const struct aead_seal *jobs, size_t n)
{
    struct ipsec_mb_key *key = (struct ipsec_mb_key *)opaque;
    for (size_t i = 0; i < n; i++) {
        if (key->suite == AEAD_AES_128_GCM)
            seal_aes_128(key, &jobs[i]);
        else if (key->suite == AEAD_AES_256_GCM)
            seal_aes_256(key, &jobs[i]);
        else
            seal_chacha(key, &jobs[i]);
    }
}

static bool ipsec_mb_open(void *opaque, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *aad, size_t aad_len,
                          uint8_t *data, size_t len)
{
    struct ipsec_mb_key *key = (struct ipsec_mb_key *)opaque;
    uint8_t tag[AEAD_TAG_BYTES];
    if (len < AEAD_TAG_BYTES)
        return false;
    size_t text_len = len - AEAD_TAG_BYTES;
    if (key->suite == AEAD_AES_128_GCM) {
        IMB_AES128_GCM_DEC(manager, &key->gcm, &key->state.gcm, data, data, text_len, nonce, aad, aad_len, tag,
                           sizeof(tag));
    } else if (key->suite == AEAD_AES_256_GCM) {
        IMB_AES256_GCM_DEC(manager, &key->gcm, &key->state.gcm, data, data, text_len, nonce, aad, aad_len, tag,
                           sizeof(tag));
    } else {
        struct chacha20_poly1305_context_data *state = &key->state.chacha;
        IMB_CHACHA20_POLY1305_INIT(manager, key->chacha_key, state, nonce, aad, aad_len);
        if (text_len > 0)
            IMB_CHACHA20_POLY1305_DEC_UPDATE(manager, key->chacha_key, state, data, data, text_len);
        IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager, state, tag, sizeof(tag));
    }
    return equal_in_constant_time(tag, data + text_len, sizeof(tag));
}

//= rfc9001#5.4.3 The mask is the first octets of AES-ECB(hp_key, sample).
__attribute__((target("aes,sse2"))) static void masks_aes(const struct ipsec_mb_key *key, const uint8_t *const *samples,
                                                          size_t n, uint8_t (*ret)[HP_MASK_BYTES])
{
    const __m128i *round_keys = (const __m128i *)(const void *)key->round_keys;
    const size_t rounds = key->suite == AEAD_AES_128_GCM ? 10 : 14;
    for (size_t i = 0; i < n; i++) {
        uint8_t mask[16];
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)samples[i]);
        block = _mm_xor_si128(block, round_keys[0]);
        for (size_t round = 1; round < rounds; round++)
            block = _mm_aesenc_si128(block, round_keys[round]);
        block = _mm_aesenclast_si128(block, round_keys[rounds]);
        _mm_storeu_si128((__m128i *)(void *)mask, block);
        memcpy(ret[i], mask, HP_MASK_BYTES);
    }
}

/* Four samples side by side: one word of the ChaCha20 state of each. */
typedef uint32_t word4 __attribute__((vector_size(16)));

static inline word4 rotate_left(word4 x, unsigned bits)
{
    return (x << bits) | (x >> (32 - bits));
}

/* RFC 8439 section 2.1. */
#define QUARTER_ROUND(a, b, c, d)                                                                                      \
    do {                                                                                                               \
        (a) += (b), (d) = rotate_left((d) ^ (a), 16);                                                                  \
        (c) += (d), (b) = rotate_left((b) ^ (c), 12);                                                                  \
        (a) += (b), (d) = rotate_left((d) ^ (a), 8);                                                                   \
        (c) += (d), (b) = rotate_left((b) ^ (c), 7);                                                                   \
    } while (0)

//= rfc9001#5.4.4 ChaCha20 with the sample's first four octets as counter and the others as nonce, over zeros.
static void masks_chacha(const struct ipsec_mb_key *key, const uint8_t *const *samples, size_t n,
                         uint8_t (*ret)[HP_MASK_BYTES])
{
    static const uint32_t sigma[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    for (size_t first = 0; first < n; first += 4) {
        size_t lanes = n - first < 4 ? n - first : 4;
        word4 x[16], start0, start1;
        for (int i = 0; i < 4; i++)
            x[i] = (word4){sigma[i], sigma[i], sigma[i], sigma[i]};
        for (int i = 0; i < 8; i++)
            x[4 + i] = (word4){0} + key->chacha_header_key[i];
        for (int i = 12; i < 16; i++)
            x[i] = (word4){0};
        for (size_t lane = 0; lane < lanes; lane++) {
            uint32_t words[4];
            memcpy(words, samples[first + lane], sizeof(words)); /* x86 is little-endian, as ChaCha20 is */
            for (int i = 0; i < 4; i++)
                x[12 + i][lane] = words[i];
        }
        start0 = x[0], start1 = x[1];
        for (int round = 0; round < 10; round++) {
            QUARTER_ROUND(x[0], x[4], x[8], x[12]);
            QUARTER_ROUND(x[1], x[5], x[9], x[13]);
            QUARTER_ROUND(x[2], x[6], x[10], x[14]);
            QUARTER_ROUND(x[3], x[7], x[11], x[15]);
            QUARTER_ROUND(x[0], x[5], x[10], x[15]);
            QUARTER_ROUND(x[1], x[6], x[11], x[12]);
            QUARTER_ROUND(x[2], x[7], x[8], x[13]);
            QUARTER_ROUND(x[3], x[4], x[9], x[14]);
        }
        x[0] += start0, x[1] += start1;
        for (size_t lane = 0; lane < lanes; lane++) {
            uint32_t words[2] = {x[0][lane], x[1][lane]};
            memcpy(ret[first + lane], words, HP_MASK_BYTES);
        }
    }
}

static void ipsec_mb_masks(void *opaque, const uint8_t *const *samples, size_t n, uint8_t (*ret)[HP_MASK_BYTES])
{
    const struct ipsec_mb_key *key = (const struct ipsec_mb_key *)opaque;
    if (key->suite == AEAD_CHACHA20_POLY1305)
        masks_chacha(key, samples, n, ret);
    else
        masks_aes(key, samples, n, ret);
}

const struct crypto_backend crypto_backend_ipsec_mb = {
    .name = "ipsec-mb",
    .supports = ipsec_mb_supports,
    .key_new = ipsec_mb_key_new,
    .key_free = ipsec_mb_key_free,
    .seal = ipsec_mb_seal,
    .open = ipsec_mb_open,
    .masks = ipsec_mb_masks,
};

#else

static bool supports_nothing(enum aead_suite suite)
{
    (void)suite;
    return false;
}

const struct crypto_backend crypto_backend_ipsec_mb = {.name = "ipsec-mb", .supports = supports_nothing};

#endif
