/* Writes a parsed frame again, and compares two frames by what they say: for unit tests and the fuzz target alike. */
#ifndef TESTS_UNIT_FRAME_AGAIN_H
#define TESTS_UNIT_FRAME_AGAIN_H

#include <assert.h>
#include <string.h>

#include "base/range_set.h"
#include "wire/frame.h"

#define FRAME_AGAIN_RANGES_MAX 4096

static inline bool is_stream_type(uint64_t type)
{
    return type >= FRAME_STREAM && type <= FRAME_STREAM_LAST;
}

static inline void ack_write_again(struct writer *writer, const struct frame_ack *ack)
{
    static struct range ranges[FRAME_AGAIN_RANGES_MAX];
    size_t at = FRAME_AGAIN_RANGES_MAX;
    struct ack_walk walk;
    uint64_t smallest, largest;
    assert(ack->range_count < FRAME_AGAIN_RANGES_MAX);
    ack_walk_begin(&walk, ack, &smallest, &largest);
    do
        ranges[--at] = (struct range){.start = smallest, .end = largest + 1};
    while (ack_walk_next(&walk, &smallest, &largest));
    assert(FRAME_AGAIN_RANGES_MAX - at == ack->range_count + 1);
    const uint64_t ecn[3] = {ack->ect0, ack->ect1, ack->ce};
    frame_write_ack(writer, &ranges[at], FRAME_AGAIN_RANGES_MAX - at, SIZE_MAX, ack->delay, ack->has_ecn ? ecn : NULL);
}

static inline void frame_write_again(struct writer *writer, const struct frame *frame)
{
    enum frame_type type = (enum frame_type)frame->type;
    switch (type) {
    case FRAME_PADDING:
        frame_write_padding(writer, frame->padding);
        break;
    case FRAME_PING:
        frame_write_ping(writer);
        break;
    case FRAME_ACK:
    case FRAME_ACK_ECN:
        ack_write_again(writer, &frame->ack);
        break;
    case FRAME_RESET_STREAM:
        frame_write_reset_stream(writer, frame->reset_stream.stream_id, frame->reset_stream.code,
                                 frame->reset_stream.final_size);
        break;
    case FRAME_STOP_SENDING:
        frame_write_stop_sending(writer, frame->stop_sending.stream_id, frame->stop_sending.code);
        break;
    case FRAME_CRYPTO:
        frame_write_crypto(writer, frame->crypto.offset, frame->crypto.data, frame->crypto.len);
        break;
    case FRAME_NEW_TOKEN:
        frame_write_new_token(writer, frame->new_token.token, frame->new_token.len);
        break;
    case FRAME_MAX_DATA:
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
    case FRAME_DATA_BLOCKED:
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI:
        frame_write_maximum(writer, type, frame->maximum);
        break;
    case FRAME_MAX_STREAM_DATA:
    case FRAME_STREAM_DATA_BLOCKED:
        frame_write_stream_maximum(writer, type, frame->max_stream_data.stream_id, frame->max_stream_data.maximum);
        break;
    case FRAME_NEW_CONNECTION_ID:
        frame_write_new_connection_id(writer, frame->new_connection_id.sequence,
                                      frame->new_connection_id.retire_prior_to, &frame->new_connection_id.cid,
                                      frame->new_connection_id.reset_token);
        break;
    case FRAME_RETIRE_CONNECTION_ID:
        frame_write_retire_connection_id(writer, frame->sequence);
        break;
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
        frame_write_path(writer, type, frame->path_data);
        break;
    case FRAME_CONNECTION_CLOSE:
    case FRAME_CONNECTION_CLOSE_APPLICATION:
        frame_write_close(writer, type == FRAME_CONNECTION_CLOSE_APPLICATION, frame->close.code,
                          frame->close.frame_type, (const char *)frame->close.reason, frame->close.reason_len);
        break;
    case FRAME_HANDSHAKE_DONE:
        frame_write_handshake_done(writer);
        break;
    case FRAME_IMMEDIATE_ACK:
        frame_write_immediate_ack(writer);
        break;
    case FRAME_ACK_FREQUENCY:
        frame_write_ack_frequency(writer, frame->ack_frequency.sequence, frame->ack_frequency.threshold,
                                  frame->ack_frequency.max_delay_us, frame->ack_frequency.reordering);
        break;
    case FRAME_DATAGRAM:
    case FRAME_DATAGRAM_LEN:
        frame_write_datagram_header(writer, frame->datagram.len, type == FRAME_DATAGRAM_LEN);
        write_bytes(writer, frame->datagram.data, frame->datagram.len);
        break;
    default:
        assert(is_stream_type(frame->type));
        frame_write_stream_header(writer, frame->stream.stream_id, frame->stream.offset, frame->stream.len,
                                  frame->stream.fin);
        write_bytes(writer, frame->stream.data, frame->stream.len);
    }
}

static inline bool same_octets(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static inline bool ack_equal(const struct frame_ack *a, const struct frame_ack *b)
{
    struct ack_walk x, y;
    uint64_t a_smallest, a_largest, b_smallest, b_largest;
    bool more;
    if (a->largest != b->largest || a->delay != b->delay || a->range_count != b->range_count ||
        a->first_range != b->first_range || a->has_ecn != b->has_ecn || a->ect0 != b->ect0 || a->ect1 != b->ect1 ||
        a->ce != b->ce)
        return false;
    ack_walk_begin(&x, a, &a_smallest, &a_largest);
    ack_walk_begin(&y, b, &b_smallest, &b_largest);
    do {
        if (a_smallest != b_smallest || a_largest != b_largest)
            return false;
        more = ack_walk_next(&x, &a_smallest, &a_largest);
        if (more != ack_walk_next(&y, &b_smallest, &b_largest))
            return false;
    } while (more);
    return true;
}

static inline bool frame_equal(const struct frame *a, const struct frame *b)
{
    if (is_stream_type(a->type) && is_stream_type(b->type))
        return a->stream.stream_id == b->stream.stream_id && a->stream.offset == b->stream.offset &&
               a->stream.fin == b->stream.fin &&
               same_octets(a->stream.data, a->stream.len, b->stream.data, b->stream.len);
    if (a->type != b->type)
        return false;
    switch ((enum frame_type)a->type) {
    case FRAME_PADDING:
        return a->padding == b->padding;
    case FRAME_PING:
    case FRAME_HANDSHAKE_DONE:
    case FRAME_IMMEDIATE_ACK:
        return true;
    case FRAME_ACK_FREQUENCY:
        return a->ack_frequency.sequence == b->ack_frequency.sequence &&
               a->ack_frequency.threshold == b->ack_frequency.threshold &&
               a->ack_frequency.max_delay_us == b->ack_frequency.max_delay_us &&
               a->ack_frequency.reordering == b->ack_frequency.reordering;
    case FRAME_ACK:
    case FRAME_ACK_ECN:
        return ack_equal(&a->ack, &b->ack);
    case FRAME_RESET_STREAM:
        return a->reset_stream.stream_id == b->reset_stream.stream_id && a->reset_stream.code == b->reset_stream.code &&
               a->reset_stream.final_size == b->reset_stream.final_size;
    case FRAME_STOP_SENDING:
        return a->stop_sending.stream_id == b->stop_sending.stream_id && a->stop_sending.code == b->stop_sending.code;
    case FRAME_CRYPTO:
        return a->crypto.offset == b->crypto.offset &&
               same_octets(a->crypto.data, a->crypto.len, b->crypto.data, b->crypto.len);
    case FRAME_NEW_TOKEN:
        return same_octets(a->new_token.token, a->new_token.len, b->new_token.token, b->new_token.len);
    case FRAME_MAX_STREAM_DATA:
    case FRAME_STREAM_DATA_BLOCKED:
        return a->max_stream_data.stream_id == b->max_stream_data.stream_id &&
               a->max_stream_data.maximum == b->max_stream_data.maximum;
    case FRAME_NEW_CONNECTION_ID:
        return a->new_connection_id.sequence == b->new_connection_id.sequence &&
               a->new_connection_id.retire_prior_to == b->new_connection_id.retire_prior_to &&
               roam_cid_equal(&a->new_connection_id.cid, &b->new_connection_id.cid) &&
               memcmp(a->new_connection_id.reset_token, b->new_connection_id.reset_token, RESET_TOKEN_BYTES) == 0;
    case FRAME_RETIRE_CONNECTION_ID:
        return a->sequence == b->sequence;
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
        return memcmp(a->path_data, b->path_data, PATH_DATA_BYTES) == 0;
    case FRAME_CONNECTION_CLOSE:
    case FRAME_CONNECTION_CLOSE_APPLICATION:
        return a->close.code == b->close.code && a->close.frame_type == b->close.frame_type &&
               same_octets(a->close.reason, a->close.reason_len, b->close.reason, b->close.reason_len);
    case FRAME_DATAGRAM:
    case FRAME_DATAGRAM_LEN:
        return same_octets(a->datagram.data, a->datagram.len, b->datagram.data, b->datagram.len);
    default:
        return a->maximum == b->maximum;
    }
}

#endif
