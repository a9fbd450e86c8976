/* What the two ends of bench/soak have in common: what a stream carries, and the limits of both. */
#ifndef BENCH_SOAK_H
#define BENCH_SOAK_H

#include <inttypes.h>
#include <string.h>

#include <roam/roam.h>

#include "figures.h"

/* A stream begins with its seed; every octet behind that follows from it and from its offset. */
#define SEED_BYTES  8
#define PIECE_BYTES 4096

/* A client that dies without a word is gone from the server after so long; one that lives is never silent so long. */
#define IDLE_TIMEOUT ROAM_SECONDS(60)
#define KEEP_ALIVE   ROAM_SECONDS(8)

/* All begin at once, and none of them may be lost for that. */
#define HANDSHAKE_TIMEOUT ROAM_SECONDS(60)

static const char *const soak_alpn[] = {"soak", NULL};

/* The octets [offset, offset + len) of the stream. */
static inline void soak_fill(uint8_t *ret, uint64_t seed, uint64_t offset, size_t len)
{
    for (size_t done = 0; done < len;) {
        const uint64_t at = offset + done, index = at / 8;
        const uint64_t word = index == 0 ? seed : scatter(seed + index);
        const size_t skip = (size_t)(at % 8), count = len - done < 8 - skip ? len - done : 8 - skip;
        memcpy(ret + done, (const uint8_t *)&word + skip, count);
        done += count;
    }
}

/* How many of the octets are not what they should be. */
static inline uint64_t soak_wrong(const uint8_t *data, uint64_t seed, uint64_t offset, size_t len)
{
    uint8_t right[PIECE_BYTES];
    uint64_t wrong = 0;
    for (size_t done = 0; done < len;) {
        const size_t count = len - done < sizeof(right) ? len - done : sizeof(right);
        soak_fill(right, seed, offset + done, count);
        if (memcmp(right, data + done, count) != 0)
            for (size_t i = 0; i < count; i++)
                wrong += right[i] != data[done + i];
        done += count;
    }
    return wrong;
}

#endif
