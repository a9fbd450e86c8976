/* Octets that mean nothing, on their way out and in: see perf.h. */
#include <string.h>

#include "base/minmax.h"
#include "cli/perf.h"

/* What is sent, over and over. */
#define PAYLOAD_BYTES (256 * 1024)
static const uint8_t payload[PAYLOAD_BYTES];

bool perf_send(roam_stream *stream, uint64_t *left)
{
    while (*left > 0) {
        if (roam_stream_unacknowledged(stream) >= PERF_AHEAD_BYTES)
            return false;
        size_t len = (size_t)min_u64(*left, PAYLOAD_BYTES);
        ptrdiff_t taken =
            len <= PERF_COPIED_MAX ? roam_stream_write(stream, payload, len) : roam_stream_lend(stream, payload, len);
        if (taken == ROAM_ERR_MEMORY)
            roam_stream_reset(stream, PERF_NO_MEMORY);
        if (taken < 0)
            return true;
        *left -= (uint64_t)taken;
        if ((size_t)taken < len)
            return false;
    }
    roam_stream_finish(stream);
    return true;
}

bool perf_receive(roam_stream *stream, uint64_t *received, bool *ret_whole)
{
    const uint8_t *data;
    bool end = false;
    ptrdiff_t n;
    while ((n = roam_stream_peek(stream, &data, &end)) > 0) {
        *received += (uint64_t)n;
        roam_stream_consume(stream, (size_t)n);
    }
    *ret_whole = n == 0 && end;
    return n == 0 && !end;
}

void perf_header_write(uint64_t wanted, uint8_t ret[PERF_HEADER_BYTES])
{
    for (size_t i = 0; i < PERF_HEADER_BYTES; i++)
        ret[i] = (uint8_t)(wanted >> (56 - 8 * i));
}

uint64_t perf_header_read(const uint8_t data[PERF_HEADER_BYTES])
{
    uint64_t wanted = 0;
    for (size_t i = 0; i < PERF_HEADER_BYTES; i++)
        wanted = wanted << 8 | data[i];
    return wanted;
}
