/*
 * Packet numbers (RFC 9000 section 17.1, appendix A), for all numbers that there are. Decoding gives the one number of
 * those that end in the octets received that is nearest to the next expected one (of two as near, the larger
 * one); so what was encoded for a peer that has at least what it acknowledged is decoded as what it was.
 *
 * cbmc: --unwind 5
 */
#include "proofs/proof.h"

#include "base/reader.h"
#include "wire/packet_number.c"

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void the_nearest_is_decoded(void)
{
    const size_t len = 1 + draw_below(4);
    const uint64_t window = UINT64_C(1) << (8 * len);
    const uint64_t truncated = draw_below(window);
    /* The largest of all is never received before another one. */
    const uint64_t expected = draw_below(PACKET_NUMBER_MAX + 1);
    const uint64_t number = packet_number_decode(truncated, len, expected > 0 ? expected - 1 : PACKET_NUMBER_NONE);
    assert(number <= PACKET_NUMBER_MAX && number % window == truncated);
    if (number >= window)
        assert(distance(number - window, expected) >= distance(number, expected));
    if (number <= PACKET_NUMBER_MAX - window)
        assert(distance(number + window, expected) > distance(number, expected));
}

/* `received`: the largest that the peer has, at least what it acknowledged. */
static void what_is_encoded_is_decoded(void)
{
    uint8_t octets[4];
    const uint64_t number = draw_below(PACKET_NUMBER_MAX + 1);
    const uint64_t ahead = 1 + draw_below(UINT64_C(1) << 31); /* an endpoint must not have more under way */
    const uint64_t acked = ahead <= number ? number - ahead : PACKET_NUMBER_NONE;
    if (acked == PACKET_NUMBER_NONE && number + 1 >= UINT64_C(1) << 31)
        return;
    const uint64_t back = draw_below(ahead <= number ? ahead : number + 2);
    const uint64_t received = back > number ? PACKET_NUMBER_NONE : number - back;
    if (received == number || (acked == PACKET_NUMBER_NONE ? false : received == PACKET_NUMBER_NONE))
        return;
    const size_t len = packet_number_len(number, acked);
    struct writer writer = writer_init(octets, sizeof(octets));
    packet_number_write(&writer, number, len);
    assert(!writer.failed && writer_len(&writer) == len);
    assert(packet_number_decode(reader_load(octets, len), len, received) == number);
}

const bool proof_takes_every_choice = false;

void proof(void)
{
    the_nearest_is_decoded();
    what_is_encoded_is_decoded();
}
