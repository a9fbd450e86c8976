/*
 * Random octets drawn ahead: a handshake asks for a few of them fifteen times, and each question to the kernel costs a
 * system call. Kept: no octet is handed out twice, and none stays here that was.
 */
#ifndef BASE_RNG_BUFFER_H
#define BASE_RNG_BUFFER_H

#include "base/rng.h"

/* What getrandom gives whole at once. */
#define RNG_BUFFER_BYTES 256

struct rng_buffer {
    roam_rng source;
    size_t used; /* octets[0..used) are gone */
    uint8_t octets[RNG_BUFFER_BYTES];
};

/* Empty: the first question fills it. */
void rng_buffer_init(struct rng_buffer *buffer, const roam_rng *source);
void rng_buffer_done(struct rng_buffer *buffer);

/* A source that draws from the buffer, which must not move. */
roam_rng rng_buffer_source(struct rng_buffer *buffer);

#endif
