/*
 * Frames to octets. Each writer writes one whole frame in its shortest form or leaves the writer failed.
 */
#include "wire/frame.h"

#include <assert.h>

#include "base/minmax.h"
#include "base/range_set.h"
#include "base/varint.h"

//= rfc9000#12.4 Frame types are encoded in the shortest form.
static void write_type(struct writer *writer, enum frame_type type)
{
    write_varint(writer, type);
}

static void write_counted(struct writer *writer, const void *data, size_t len)
{
    write_varint(writer, len);
    write_bytes(writer, data, len);
}

void frame_write_padding(struct writer *writer, size_t len)
{
    write_zeros(writer, len);
}

void frame_write_ping(struct writer *writer)
{
    write_type(writer, FRAME_PING);
}

/* Missing numbers between a range and the next lower one, as the field Gap counts them. */
static uint64_t ack_gap(const struct range *upper, const struct range *lower)
{
    return upper->start - lower->end - 1;
}

/* The field ACK Range Length. */
static uint64_t ack_length(const struct range *range)
{
    return range->end - range->start - 1;
}

/* How many of the ranges below ranges[top], at most `most`, can be written into `room` octets with their count. */
static size_t ack_ranges_that_fit(const struct range *ranges, size_t top, size_t most, size_t room)
{
    size_t pairs_len = 0, n = 0;
    while (n < most) {
        const struct range *lower = &ranges[top - n - 1];
        pairs_len += varint_len(ack_gap(lower + 1, lower)) + varint_len(ack_length(lower));
        if (pairs_len + varint_len(n + 1) > room)
            break;
        n++;
    }
    return n;
}

uint64_t frame_write_ack(struct writer *writer, const struct range *ranges, size_t count, size_t max_ranges,
                         uint64_t delay, const uint64_t ecn[3])
{
    assert(count > 0 && max_ranges > 0);
    size_t top = count - 1;
    const struct range *range = &ranges[top];
    size_t fixed_len = 1 + varint_len(range->end - 1) + varint_len(delay) + varint_len(ack_length(range));
    for (size_t i = 0; ecn != NULL && i < 3; i++)
        fixed_len += varint_len(ecn[i]);
    size_t room = (size_t)saturating_sub(writer_left(writer), fixed_len);
    size_t n = ack_ranges_that_fit(ranges, top, min_size(top, max_ranges - 1), room);

    write_type(writer, ecn != NULL ? FRAME_ACK_ECN : FRAME_ACK);
    write_varint(writer, range->end - 1);
    write_varint(writer, delay);
    write_varint(writer, n);
    write_varint(writer, ack_length(range));
    for (; n > 0; n--) {
        range--;
        write_varint(writer, ack_gap(range + 1, range));
        write_varint(writer, ack_length(range));
    }
    for (size_t i = 0; ecn != NULL && i < 3; i++)
        write_varint(writer, ecn[i]);
    return range->start;
}

void frame_write_reset_stream(struct writer *writer, uint64_t stream_id, uint64_t code, uint64_t final_size)
{
    write_type(writer, FRAME_RESET_STREAM);
    write_varint(writer, stream_id);
    write_varint(writer, code);
    write_varint(writer, final_size);
}

void frame_write_stop_sending(struct writer *writer, uint64_t stream_id, uint64_t code)
{
    write_type(writer, FRAME_STOP_SENDING);
    write_varint(writer, stream_id);
    write_varint(writer, code);
}

void frame_write_crypto(struct writer *writer, uint64_t offset, const uint8_t *data, size_t len)
{
    write_type(writer, FRAME_CRYPTO);
    write_varint(writer, offset);
    write_counted(writer, data, len);
}

void frame_write_new_token(struct writer *writer, const uint8_t *token, size_t len)
{
    assert(len > 0);
    write_type(writer, FRAME_NEW_TOKEN);
    write_counted(writer, token, len);
}

size_t frame_stream_header_len(uint64_t stream_id, uint64_t offset, size_t len)
{
    return 1 + varint_len(stream_id) + (offset > 0 ? varint_len(offset) : 0) + varint_len(len);
}

size_t frame_crypto_header_len(uint64_t offset, size_t len)
{
    return 1 + varint_len(offset) + varint_len(len);
}

void frame_write_stream_header(struct writer *writer, uint64_t stream_id, uint64_t offset, size_t len, bool fin)
{
    unsigned type = FRAME_STREAM | FRAME_STREAM_LEN;
    if (offset > 0)
        type |= FRAME_STREAM_OFF;
    if (fin)
        type |= FRAME_STREAM_FIN;
    write_u8(writer, (uint8_t)type);
    write_varint(writer, stream_id);
    if (offset > 0)
        write_varint(writer, offset);
    write_varint(writer, len);
}

void frame_write_maximum(struct writer *writer, enum frame_type type, uint64_t maximum)
{
    assert(type == FRAME_MAX_DATA || type == FRAME_MAX_STREAMS_BIDI || type == FRAME_MAX_STREAMS_UNI ||
           type == FRAME_DATA_BLOCKED || type == FRAME_STREAMS_BLOCKED_BIDI || type == FRAME_STREAMS_BLOCKED_UNI);
    write_type(writer, type);
    write_varint(writer, maximum);
}

void frame_write_stream_maximum(struct writer *writer, enum frame_type type, uint64_t stream_id, uint64_t maximum)
{
    assert(type == FRAME_MAX_STREAM_DATA || type == FRAME_STREAM_DATA_BLOCKED);
    write_type(writer, type);
    write_varint(writer, stream_id);
    write_varint(writer, maximum);
}

void frame_write_new_connection_id(struct writer *writer, uint64_t sequence, uint64_t retire_prior_to,
                                   const roam_cid *cid, const uint8_t reset_token[RESET_TOKEN_BYTES])
{
    assert(cid->len >= 1 && cid->len <= ROAM_CID_MAX && retire_prior_to <= sequence);
    write_type(writer, FRAME_NEW_CONNECTION_ID);
    write_varint(writer, sequence);
    write_varint(writer, retire_prior_to);
    write_u8(writer, cid->len);
    write_bytes(writer, cid->bytes, cid->len);
    write_bytes(writer, reset_token, RESET_TOKEN_BYTES);
}

void frame_write_retire_connection_id(struct writer *writer, uint64_t sequence)
{
    write_type(writer, FRAME_RETIRE_CONNECTION_ID);
    write_varint(writer, sequence);
}

void frame_write_path(struct writer *writer, enum frame_type type, const uint8_t data[PATH_DATA_BYTES])
{
    assert(type == FRAME_PATH_CHALLENGE || type == FRAME_PATH_RESPONSE);
    write_type(writer, type);
    write_bytes(writer, data, PATH_DATA_BYTES);
}

/* The most octets of the reason that fit into `room` with their length field, no UTF-8 character cut in two. */
static size_t reason_that_fits(const char *reason, size_t len, size_t room)
{
    if (varint_len(len) + len <= room)
        return len;
    size_t fits = min_size(len, room);
    while (fits > 0 && varint_len(fits) + fits > room)
        fits--;
    while (fits > 0 && ((unsigned char)reason[fits] & 0xc0) == 0x80)
        fits--;
    return fits;
}

void frame_write_close(struct writer *writer, bool application, uint64_t code, uint64_t frame_type, const char *reason,
                       size_t reason_len)
{
    write_type(writer, application ? FRAME_CONNECTION_CLOSE_APPLICATION : FRAME_CONNECTION_CLOSE);
    write_varint(writer, code);
    if (!application)
        write_varint(writer, frame_type);
    write_counted(writer, reason, reason_that_fits(reason, reason_len, writer_left(writer)));
}

void frame_write_handshake_done(struct writer *writer)
{
    write_type(writer, FRAME_HANDSHAKE_DONE);
}

void frame_write_immediate_ack(struct writer *writer)
{
    write_type(writer, FRAME_IMMEDIATE_ACK);
}

void frame_write_ack_frequency(struct writer *writer, uint64_t sequence, uint64_t threshold, uint64_t max_delay_us,
                               uint64_t reordering)
{
    write_type(writer, FRAME_ACK_FREQUENCY);
    write_varint(writer, sequence);
    write_varint(writer, threshold);
    write_varint(writer, max_delay_us);
    write_varint(writer, reordering);
}

size_t frame_datagram_header_len(size_t len, bool with_length)
{
    return 1 + (with_length ? varint_len(len) : 0);
}

void frame_write_datagram_header(struct writer *writer, size_t len, bool with_length)
{
    write_type(writer, with_length ? FRAME_DATAGRAM_LEN : FRAME_DATAGRAM);
    if (with_length)
        write_varint(writer, len);
}
