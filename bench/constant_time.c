/*
 * Whether the time that a packet takes tells what its sender must not learn (RFC 9001 section 9.5): dudect's question, put to
 * header unprotection, packet number recovery and authentication. Two classes of input, drawn at random one after the other,
 * are timed; Welch's t over all measurements, and over those below each of twenty percentiles, says whether their means
 * differ. |t| below 4.5 is what two equal things show, more than 10 is a difference; where in memory keys and packets lie
 * makes one of a few thousandths, which is told and let be. The last line is one that must be found.
 *
 *   build/bench/constant-time [MEASUREMENTS]
 *
 * Ends with 1 where a difference was seen twice, or the one that is there was not.
 */
#include <math.h>

#include "figures.h"

#include "base/minmax.h"
#include "base/rng.h"
#include "crypto/key_update.h"
#include "wire/frame.h"
#include "wire/packet_number.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define BATCH        2000
#define CROPS        20
#define SUSPICIOUS   4.5
#define DIFFERENT    10.0
#define PLACEMENT    0.01 /* of the time; less is a matter of addresses */
#define HEADER_BYTES 13   /* first octet, a CID of eight, four of packet number */
#define CID_BYTES    8
#define PACKET_BYTES 1200
#define NOW          ROAM_SECONDS(1)
#define PTO          ROAM_MILLISECONDS(100)

struct mean {
    double count, mean, squares;
};

/* One way of looking at the measurements: all, or those below a percentile. */
struct view {
    struct mean classes[2];
    uint64_t below;
};

struct trial {
    const char *name;
    enum aead_suite suite;
    /* Makes an input of the class in packet[PACKET_BYTES], and does to it what is timed. */
    void (*prepare)(const struct trial *trial, unsigned class, uint8_t *packet);
    unsigned (*run)(const struct trial *trial, uint8_t *packet);
    bool must_differ;
};

static struct one_rtt_keys ours, theirs; /* they send, we receive */
static struct packet_keys header_keys;
static volatile unsigned sink;
static uint64_t drawn;

static void draw(void *ret, size_t len)
{
    uint8_t *octets = ret;
    for (size_t i = 0; i < len; i++)
        octets[i] = (uint8_t)(scatter(drawn++) >> 11);
}

static uint64_t ticks(void)
{
#if defined(__x86_64__)
    unsigned ignored;
    _mm_lfence();
    uint64_t now = __rdtscp(&ignored);
    _mm_lfence();
    return now;
#else
    return now_ns();
#endif
}

/* ---- Statistics -------------------------------------------------------------------------------------------------- */

static void mean_add(struct mean *mean, double value)
{
    double delta = value - mean->mean;
    mean->count++;
    mean->mean += delta / mean->count;
    mean->squares += delta * (value - mean->mean);
}

static double welch_t(const struct view *view)
{
    const struct mean *a = &view->classes[0], *b = &view->classes[1];
    if (a->count < BATCH || b->count < BATCH)
        return 0;
    double spread = a->squares / (a->count - 1) / a->count + b->squares / (b->count - 1) / b->count;
    return spread > 0 ? (a->mean - b->mean) / sqrt(spread) : 0;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

/* The percentiles of the first batch; dudect's, which lie close where measurements do. */
static void set_crops(struct view *views, const uint64_t *times)
{
    uint64_t sorted[BATCH];
    memcpy(sorted, times, sizeof(sorted));
    qsort(sorted, BATCH, sizeof(*sorted), by_size);
    for (size_t i = 0; i < CROPS; i++)
        views[i].below = sorted[(size_t)((1 - pow(0.5, 10.0 * (double)(i + 1) / CROPS)) * (BATCH - 1))];
    views[CROPS].below = UINT64_MAX;
}

static void measure_batch(const struct trial *trial, uint64_t *times, unsigned *classes)
{
    static uint8_t packets[BATCH][PACKET_BYTES];
    uint8_t packet[PACKET_BYTES];
    for (size_t i = 0; i < BATCH; i++) {
        classes[i] = scatter(drawn++) >> 13 & 1;
        trial->prepare(trial, classes[i], packets[i]);
    }
    for (size_t i = 0; i < BATCH; i++) {
        memcpy(packet, packets[i], sizeof(packet));
        uint64_t began = ticks();
        unsigned result = trial->run(trial, packet);
        times[i] = ticks() - began;
        sink = result;
    }
}

struct finding {
    double t, share; /* the largest |t| of all views, and by how much the means of that one differ */
};

static struct finding try(const struct trial *trial, size_t measurements)
{
    struct view views[CROPS + 1] = {0};
    uint64_t times[BATCH];
    unsigned classes[BATCH];
    measure_batch(trial, times, classes); /* warm */
    for (size_t done = 0; done < measurements; done += BATCH) {
        measure_batch(trial, times, classes);
        if (done == 0)
            set_crops(views, times);
        for (size_t i = 0; i < BATCH; i++)
            for (size_t v = 0; v <= CROPS; v++)
                if (times[i] < views[v].below)
                    mean_add(&views[v].classes[classes[i]], (double)times[i]);
    }
    const struct view *worst = &views[CROPS];
    for (size_t v = 0; v <= CROPS; v++)
        if (fabs(welch_t(&views[v])) > fabs(welch_t(worst)))
            worst = &views[v];
    printf("%-52s %-18s %8.1f %8.1f %8.1f\n", trial->name, aead_suite_info(trial->suite)->name, worst->classes[0].mean,
           worst->classes[1].mean, fabs(welch_t(worst)));
    fflush(stdout);
    return (struct finding){fabs(welch_t(worst)),
                            fabs(worst->classes[0].mean - worst->classes[1].mean) / worst->classes[0].mean};
}

/* ---- What is tried ----------------------------------------------------------------------------------------------- */

/* A packet of theirs with its header protection removed already, of the phase that they send in. */
static void seal(uint8_t *packet, uint64_t number, uint8_t first_octet)
{
    uint8_t text[PACKET_BYTES - HEADER_BYTES - AEAD_TAG_BYTES];
    uint8_t mask[1][HP_MASK_BYTES];
    struct unmasked unmasked;
    draw(text, sizeof(text));
    struct span span = {text, sizeof(text)};
    struct packet_seal job = {packet, HEADER_BYTES, 1 + CID_BYTES, number, &span, 1};
    packet[0] = first_octet;
    memset(packet + 1, 7, CID_BYTES);
    for (int i = 0; i < 4; i++)
        packet[1 + CID_BYTES + i] = (uint8_t)(number >> (24 - 8 * i));
    packet_protection_seal(&theirs.send, &job, 1);
    packet_protection_masks(&theirs.send, packet, 0, 1 + CID_BYTES, 1, mask);
    packet_protection_unmask(packet, 1 + CID_BYTES, mask[0], &unmasked);
}

/* Header protection: the same packet every time, or another one. */
static void prepare_header(const struct trial *trial, unsigned class, uint8_t *packet)
{
    (void)trial;
    memset(packet, 0x5a, PACKET_BYTES);
    packet[0] = 0x40;
    if (class == 1) {
        draw(packet, HEADER_BYTES + HP_SAMPLE_BYTES);
        packet[0] = (uint8_t)(0x40 | (packet[0] & 0x3f));
    }
}

static unsigned run_header(const struct trial *trial, uint8_t *packet)
{
    uint8_t mask[1][HP_MASK_BYTES];
    struct unmasked unmasked;
    (void)trial;
    packet_protection_masks(&header_keys, packet, 0, 1 + CID_BYTES, 1, mask);
    packet_protection_unmask(packet, 1 + CID_BYTES, mask[0], &unmasked);
    return (unsigned)packet_number_decode(unmasked.truncated, unmasked.number_len, 0x123456);
}

/* Tags that are wrong at their first octet, or at their last. */
static void prepare_tag(const struct trial *trial, unsigned class, uint8_t *packet)
{
    (void)trial;
    seal(packet, 7, 0x43);
    packet[PACKET_BYTES - (class == 0 ? AEAD_TAG_BYTES : 1)] ^= 1;
}

/* A packet of theirs that was changed, or one that has nothing to do with them. */
static void prepare_forgery(const struct trial *trial, unsigned class, uint8_t *packet)
{
    (void)trial;
    seal(packet, 7, 0x43);
    if (class == 0)
        packet[PACKET_BYTES - 1] ^= 1;
    else
        draw(packet + HEADER_BYTES, PACKET_BYTES - HEADER_BYTES);
}

/* Forgeries of this key phase, or of the next, for which its keys are needed. */
static void prepare_phase(const struct trial *trial, unsigned class, uint8_t *packet)
{
    (void)trial;
    seal(packet, 7, 0x43);
    packet[PACKET_BYTES - 1] ^= 1;
    packet[0] ^= class == 0 ? 0 : 0x04;
}

static unsigned run_open(const struct trial *trial, uint8_t *packet)
{
    roam_drop drop;
    uint64_t error;
    bool updated;
    (void)trial;
    return (unsigned)key_update_open(&ours, (packet[0] & 0x04) != 0, 7, packet, HEADER_BYTES, PACKET_BYTES, NOW, PTO,
                                     &drop, &error, &updated);
}

static const uint8_t token[RESET_TOKEN_BYTES] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};

/* Stateless reset tokens that are wrong at their first octet, or at their last. */
static void prepare_token(const struct trial *trial, unsigned class, uint8_t *packet)
{
    memset(packet, 0, PACKET_BYTES);
    for (size_t i = 0; trial->must_differ && i + sizeof(token) <= PACKET_BYTES; i += sizeof(token))
        memcpy(packet + i, token, sizeof(token));
    memcpy(packet, token, sizeof(token));
    packet[class == 0 ? 0 : trial->must_differ ? PACKET_BYTES - 1 : RESET_TOKEN_BYTES - 1] ^= 1;
}

static unsigned run_token(const struct trial *trial, uint8_t *packet)
{
    (void)trial;
    return equal_in_constant_time(packet, token, sizeof(token));
}

/* Ends at the first octet that differs. */
static unsigned run_leak(const struct trial *trial, uint8_t *packet)
{
    size_t i = 0;
    (void)trial;
    while (i < PACKET_BYTES / RESET_TOKEN_BYTES * RESET_TOKEN_BYTES && packet[i] == token[i % RESET_TOKEN_BYTES])
        i++;
    return (unsigned)i;
}

static void take_keys(const roam_allocator *allocator, enum aead_suite suite)
{
    const uint8_t send[SECRET_BYTES_MAX] = {1}, receive[SECRET_BYTES_MAX] = {2};
    one_rtt_keys_done(&ours);
    one_rtt_keys_done(&theirs);
    packet_keys_done(&header_keys);
    one_rtt_keys_init(&ours);
    one_rtt_keys_init(&theirs);
    one_rtt_keys_set(&ours, allocator, &quic_versions[0], suite, send, receive);
    one_rtt_keys_set(&theirs, allocator, &quic_versions[0], suite, receive, send);
    packet_keys_set(&header_keys, allocator, &quic_versions[0], suite, receive, NULL);
    if (!packet_keys_expand(&theirs.send) || !packet_keys_expand(&header_keys))
        exit(1);
}

static bool is_different(const struct finding *finding)
{
    return finding->t > DIFFERENT && finding->share > PLACEMENT;
}

/* Twice, before it counts: the machine has moods. */
static bool is_as_it_should_be(const struct trial *trial, const roam_allocator *allocator, size_t measurements)
{
    take_keys(allocator, trial->suite);
    struct finding finding = try(trial, measurements);
    if (trial->must_differ)
        return is_different(&finding);
    if (is_different(&finding))
        finding = try(trial, measurements);
    const char *verdict = is_different(&finding)   ? "^ they differ"
                          : finding.t > DIFFERENT  ? "^ by less than a hundredth"
                          : finding.t > SUSPICIOUS ? "^ not sure: with more measurements?"
                                                   : NULL;
    if (verdict != NULL)
        printf("%-52s %s\n", "", verdict);
    return !is_different(&finding);
}

int main(int argc, char **argv)
{
    static const struct trial kinds[] = {
        {"header and number: one packet, or any", 0, prepare_header, run_header, false},
        {"forged tag: wrong at the first octet, or at the last", 0, prepare_tag, run_open, false},
        {"forged packet: one bit, or everything", 0, prepare_forgery, run_open, false},
        {"forged key phase: this one, or the next", 0, prepare_phase, run_open, false},
        {"reset token: wrong at the first octet, or at the last", 0, prepare_token, run_token, false},
        {"a comparison that ends early (has to be seen)", 0, prepare_token, run_leak, true},
    };
    const size_t measurements = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;
    const roam_allocator allocator = roam_allocator_default();
    bool right = true;
    printf("%-52s %-18s %8s %8s %8s\n", "classes", "cipher", "ticks", "ticks", "|t|");
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        /* What has no cipher in it is tried once. */
        const bool ciphered = kinds[i].run == run_header || kinds[i].run == run_open;
        for (unsigned suite = 0; suite < (ciphered ? AEAD_SUITES : 1); suite++) {
            struct trial trial = kinds[i];
            trial.suite = (enum aead_suite)suite;
            right &= is_as_it_should_be(&trial, &allocator, measurements);
        }
    }
    one_rtt_keys_done(&ours);
    one_rtt_keys_done(&theirs);
    packet_keys_done(&header_keys);
    return right ? 0 : 1;
}
