/* See rng_buffer.h. */
#include "base/rng_buffer.h"

#include <string.h>

#include "base/minmax.h"

static void fill(void *context, void *buf, size_t len)
{
    struct rng_buffer *buffer = context;
    uint8_t *at = buf;
    while (len > 0) {
        if (buffer->used == sizeof(buffer->octets)) {
            rng_fill(&buffer->source, buffer->octets, sizeof(buffer->octets));
            buffer->used = 0;
        }
        size_t take = min_size(len, sizeof(buffer->octets) - buffer->used);
        memcpy(at, buffer->octets + buffer->used, take);
        wipe(buffer->octets + buffer->used, take);
        buffer->used += take;
        at += take;
        len -= take;
    }
}

void rng_buffer_init(struct rng_buffer *buffer, const roam_rng *source)
{
    *buffer = (struct rng_buffer){.source = *source, .used = sizeof(buffer->octets)};
}

void rng_buffer_done(struct rng_buffer *buffer)
{
    wipe(buffer, sizeof(*buffer));
}

roam_rng rng_buffer_source(struct rng_buffer *buffer)
{
    return (roam_rng){.fill = fill, .context = buffer};
}
