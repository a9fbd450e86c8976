/* Octets by key and offset, in and out of streams. */
#include "sim/pump.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 4096

/* Lent and not acknowledged at most. */
#define LENT_BYTES_MAX 65536

struct pump_loan {
    struct pump_loan *next; /* an older one */
    uint64_t end;           /* in the stream */
    size_t len;
    uint8_t data[];
};

void content_fill(uint64_t key, uint64_t offset, uint8_t *ret, size_t len)
{
    while (len > 0) {
        uint64_t word = sim_mix(key + offset / 8 * UINT64_C(0x9e3779b97f4a7c15));
        size_t skip = offset % 8;
        size_t n = 8 - skip < len ? 8 - skip : len;
        memcpy(ret, (const uint8_t *)&word + skip, n);
        ret += n;
        offset += n;
        len -= n;
    }
}

static size_t produce(const struct pump_out *out, uint8_t *ret, size_t len)
{
    if (out->at < out->prefix_len) {
        size_t n = out->prefix_len - (size_t)out->at;
        n = n < len ? n : len;
        memcpy(ret, out->prefix + out->at, n);
        return n;
    }
    content_fill(out->key, out->at - out->prefix_len, ret, len);
    return len;
}

/* Takes back what is acknowledged up to `offset`, and writes over it. */
static void take_back(struct pump_out *out, uint64_t offset)
{
    struct pump_loan **link = &out->loans;
    while (*link != NULL) {
        struct pump_loan *loan = *link;
        if (loan->end > offset) {
            link = &loan->next;
            continue;
        }
        *link = loan->next;
        memset(loan->data, 0xdd, loan->len);
        free(loan);
    }
}

void pump_out_done(struct pump_out *out)
{
    take_back(out, UINT64_MAX);
}

static ptrdiff_t lend(struct pump_out *out, const uint8_t *chunk, size_t len)
{
    take_back(out, roam_stream_acknowledged(out->stream));
    if (out->loans != NULL && roam_stream_unacknowledged(out->stream) >= LENT_BYTES_MAX)
        return 0; /* ROAM_EVENT_STREAM_RETURNED tells when to go on */
    struct pump_loan *loan = malloc(sizeof(*loan) + len);
    if (loan == NULL)
        abort();
    *loan = (struct pump_loan){.next = out->loans, .end = out->at + len, .len = len};
    memcpy(loan->data, chunk, len);
    ptrdiff_t n = roam_stream_lend(out->stream, loan->data, len);
    if (n != (ptrdiff_t)len) {
        free(loan);
        return n < 0 ? n : -1;
    }
    out->loans = loan;
    return n;
}

bool pump_out_run(struct world *world, struct pump_out *out, uint64_t limit)
{
    uint8_t chunk[CHUNK_BYTES];
    if (limit > out->end)
        limit = out->end;
    while (out->at < limit) {
        size_t len = limit - out->at < sizeof(chunk) ? (size_t)(limit - out->at) : sizeof(chunk);
        len = produce(out, chunk, len);
        ptrdiff_t n = out->lends ? lend(out, chunk, len) : roam_stream_write(out->stream, chunk, len);
        if (n < 0 || (size_t)n > len) {
            world_fail(world, "stream %llu: writing %zu octets at %llu gives %td",
                       (unsigned long long)roam_stream_id(out->stream), len, (unsigned long long)out->at, n);
            return false;
        }
        out->at += (uint64_t)n;
        if ((size_t)n < len)
            return true;
    }
    if (out->at == out->end && !out->finished) {
        out->finished = true;
        roam_result result = roam_stream_finish(out->stream);
        if (result != ROAM_OK)
            world_fail(world, "stream %llu: cannot be finished: %s", (unsigned long long)roam_stream_id(out->stream),
                       roam_result_name(result));
    }
    return !world->failed;
}

static bool compare(struct world *world, struct pump_in *in, const uint8_t *data, size_t len)
{
    uint8_t expected[CHUNK_BYTES];
    unsigned long long id = roam_stream_id(in->stream);
    if (len > in->end - in->at) {
        world_fail(world, "stream %llu: %zu octets at %llu go beyond its end at %llu", id, len,
                   (unsigned long long)in->at, (unsigned long long)in->end);
        return false;
    }
    while (len > 0) {
        size_t n = len < sizeof(expected) ? len : sizeof(expected);
        content_fill(in->key, in->at, expected, n);
        if (memcmp(data, expected, n) != 0) {
            world_fail(world, "stream %llu: wrong octets between %llu and %llu", id, (unsigned long long)in->at,
                       (unsigned long long)in->at + n);
            return false;
        }
        in->at += n;
        data += n;
        len -= n;
    }
    return true;
}

static ptrdiff_t read_some(struct world *world, struct pump_in *in, bool *ret_end)
{
    uint8_t chunk[CHUNK_BYTES];
    const uint8_t *data = chunk;
    ptrdiff_t n = in->by_peeking ? roam_stream_peek(in->stream, &data, ret_end)
                                 : roam_stream_read(in->stream, chunk, sizeof(chunk), ret_end);
    if (n < 0) {
        world_fail(world, "stream %llu: reading at %llu gives %td", (unsigned long long)roam_stream_id(in->stream),
                   (unsigned long long)in->at, n);
        return -1;
    }
    if (n > 0 && !compare(world, in, data, (size_t)n))
        return -1;
    if (n > 0 && in->by_peeking)
        roam_stream_consume(in->stream, (size_t)n);
    return n;
}

bool pump_in_run(struct world *world, struct pump_in *in)
{
    bool end = false;
    while (!in->ended) {
        ptrdiff_t n = read_some(world, in, &end);
        if (n < 0)
            return false;
        if (n > 0)
            continue;
        if (end && in->at != in->end)
            world_fail(world, "stream %llu: ends at %llu, not at %llu", (unsigned long long)roam_stream_id(in->stream),
                       (unsigned long long)in->at, (unsigned long long)in->end);
        in->ended = end;
        break;
    }
    return !world->failed;
}
