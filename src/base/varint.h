/* Variable-length integers, RFC 9000 section 16. */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* Octets that value takes: 1, 2, 4 or 8; value must be at most VARINT_MAX. */
static inline size_t varint_len(uint64_t value)
{
    return value < 64 ? 1 : value < 16384 ? 2 : value < 1073741824 ? 4 : 8;
}

#endif
