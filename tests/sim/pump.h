/*
 * What flows through streams: octets that follow from a key and an offset alone, so that the reader knows each of them
 * without having been told. A pump writes or reads one half of one stream, as far as it goes at the moment.
 */
#ifndef SIM_PUMP_H
#define SIM_PUMP_H

#include <roam/roam.h>

#include "sim/world.h"

#define PUMP_PREFIX_MAX 16

/* Octets lent to a stream. */
struct pump_loan;

struct pump_out {
    roam_stream *stream;
    bool lends; /* instead of writing */
    struct pump_loan *loans;
    uint8_t prefix[PUMP_PREFIX_MAX];
    size_t prefix_len;
    uint64_t key;
    uint64_t at, end; /* of prefix and content together */
    bool finished;    /* the end is written too */
};

struct pump_in {
    roam_stream *stream;
    uint64_t key;
    uint64_t at, end;
    bool by_peeking; /* read where it lies instead of copying */
    bool ended;      /* the end came, just where it had to */
};

/* The content with this key at offset .. offset + len. */
void content_fill(uint64_t key, uint64_t offset, uint8_t *ret, size_t len);

/* Writes what the stream takes, up to `limit` (of prefix and content together), and the end behind the last octet.
 * False, with the world failed, where the library behaves strangely. */
bool pump_out_run(struct world *world, struct pump_out *out, uint64_t limit);

/* The stream is given back, or its connection has ended: what it was lent becomes something else. */
void pump_out_done(struct pump_out *out);

/* Reads and compares all there is. */
bool pump_in_run(struct world *world, struct pump_in *in);

#endif
