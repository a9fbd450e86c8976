/* Varints and the heads of frames, RFC 9114 section 7.1, as far as they must be known before nghttp3 sees them. */
#include <string.h>

#include "base/varint.h"
#include "h3/h3.h"

static size_t whole(uint8_t first)
{
    return (size_t)1 << (first >> 6);
}

static uint64_t value_of(const uint8_t *bytes, size_t len)
{
    uint64_t value = bytes[0] & 0x3f;
    for (size_t i = 1; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

bool h3_varint_parse(const uint8_t **data, size_t *len, uint64_t *ret)
{
    if (*len == 0 || *len < whole(**data))
        return false;
    size_t took = whole(**data);
    *ret = value_of(*data, took);
    *data += took;
    *len -= took;
    return true;
}

size_t h3_varint_write(uint8_t *ret, uint64_t value)
{
    static const uint8_t marks[9] = {[1] = 0x00, [2] = 0x40, [4] = 0x80, [8] = 0xc0};
    size_t len = varint_len(value);
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    ret[0] |= marks[len];
    return len;
}

/* Takes octets for the head, and returns how many; then has_length says whether it is complete. */
size_t h3_frame_head(struct h3_frame *frame, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    size_t start = 0;
    while (!frame->has_length && taken < len) {
        frame->head[frame->head_len++] = data[taken++];
        start = frame->has_type ? whole(frame->head[0]) : 0;
        if (frame->head_len - start < whole(frame->head[start]))
            continue;
        uint64_t value = value_of(frame->head + start, frame->head_len - start);
        if (!frame->has_type) {
            frame->type = value;
            frame->has_type = true;
        } else {
            frame->left = value;
            frame->has_length = true;
        }
    }
    return taken;
}
