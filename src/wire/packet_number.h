/* Packet number encoding and decoding, RFC 9000 section 17.1 and appendix A. */
#ifndef WIRE_PACKET_NUMBER_H
#define WIRE_PACKET_NUMBER_H

#include "base/writer.h"

/* RFC 9000 section 12.3. */
#define PACKET_NUMBER_MAX ((UINT64_C(1) << 62) - 1)

/* No packet number: none acknowledged, none received. */
#define PACKET_NUMBER_NONE UINT64_MAX

/* Octets (1..4) that a packet number takes when `largest_acked` (or PACKET_NUMBER_NONE) is the largest that the peer is
 * known to have. */
size_t packet_number_len(uint64_t number, uint64_t largest_acked);

/* The lowest `len` octets of number. */
void packet_number_write(struct writer *writer, uint64_t number, size_t len);

/* The full number that `truncated` of `len` octets stands for, when `largest` (or PACKET_NUMBER_NONE) is the largest
 * received so far. */
uint64_t packet_number_decode(uint64_t truncated, size_t len, uint64_t largest);

#endif
