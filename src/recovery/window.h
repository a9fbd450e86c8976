/* How large a congestion window starts and how large it may grow: what the controllers and the pacer must agree on. */
#ifndef RECOVERY_WINDOW_H
#define RECOVERY_WINDOW_H

#include "base/minmax.h"

/* No window grows beyond 1 TiB: products of two windows and a few small factors stay below 2^128. */
#define WINDOW_BYTES_MAX (UINT64_C(1) << 40)

/* RFC 9002 section 7.2: 14,720 octets are ten full Ethernet datagrams. */
#define INITIAL_DATAGRAM_BYTES_MAX 1472

//= rfc9002#7.2 The initial window is ten datagrams, at most the larger of 14,720 octets and two datagrams.
// Whoever configures more or fewer datagrams moves both bounds.
static inline uint64_t initial_window(uint64_t datagram_bytes, uint64_t initial_packets)
{
    uint64_t wanted = saturating_mul(initial_packets, datagram_bytes);
    uint64_t most = saturating_mul(initial_packets, INITIAL_DATAGRAM_BYTES_MAX);
    uint64_t least = 2 * datagram_bytes;
    return min_u64(max_u64(min_u64(wanted, most), least), WINDOW_BYTES_MAX);
}

#endif
