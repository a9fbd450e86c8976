/* Packet number encoding and decoding. Pure arithmetic; numbers stay at or below PACKET_NUMBER_MAX. */
#include "wire/packet_number.h"

#include <assert.h>

#include "base/minmax.h"
#include "base/rng.h"

size_t packet_number_len(uint64_t number, uint64_t largest_acked)
{
    assert(number <= PACKET_NUMBER_MAX);
    assert(largest_acked == PACKET_NUMBER_NONE || largest_acked < number);
    /* With nothing acknowledged, largest_acked is -1 in this arithmetic, and the difference makes the field hold the
     * full number, as section 17.1 asks before the first acknowledgment. */
    uint64_t unacknowledged = number - largest_acked;
    //= rfc9000#17.1 The packet number length covers more than twice the distance to the largest acknowledged.
    if (unacknowledged < UINT64_C(1) << 7)
        return 1;
    if (unacknowledged < UINT64_C(1) << 15)
        return 2;
    return unacknowledged < UINT64_C(1) << 23 ? 3 : 4;
}

void packet_number_write(struct writer *writer, uint64_t number, size_t len)
{
    switch (len) {
    case 1:
        write_u8(writer, (uint8_t)number);
        break;
    case 2:
        write_u16(writer, (uint16_t)number);
        break;
    case 3: {
        const uint8_t octets[3] = {(uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
        write_bytes(writer, octets, sizeof(octets));
        break;
    }
    default:
        assert(len == 4);
        write_u32(writer, (uint32_t)number);
    }
}

uint64_t packet_number_decode(uint64_t truncated, size_t len, uint64_t largest)
{
    assert(len >= 1 && len <= 4);
    //= rfc9000#17.1 The number nearest to the next expected one is meant (appendix A.3).
    uint64_t expected = largest == PACKET_NUMBER_NONE ? 0 : largest + 1;
    uint64_t window = UINT64_C(1) << (8 * len);
    uint64_t half = window / 2;
    uint64_t candidate = (expected & ~(window - 1)) | truncated;
    //= rfc9001#9.5 The number comes out of the same instructions whatever header protection has hidden.
    uint64_t above = mask_if((candidate + half <= expected) & (candidate <= PACKET_NUMBER_MAX - window));
    uint64_t below = mask_if((candidate > expected + half) & (candidate >= window));
    return candidate + (window & above) - (window & below);
}
