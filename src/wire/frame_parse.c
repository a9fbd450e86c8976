/*
 * Frames from octets. Each parser reads its fields into locals, judges them, and only then writes the one member of the
 * union that its type names: a failure leaves the frame as it was, and nothing is cleared that nobody reads.
 * Pointers in a frame are into the packet.
 */
#include "wire/frame.h"

#include <string.h>

#include "base/varint.h"

#define STREAMS_MAX (UINT64_C(1) << 60)

/* The error of a frame whose fields were read and found good, unless the octets ran out. */
static inline uint64_t verdict(const struct reader *reader)
{
    return reader->failed ? ROAM_FRAME_ENCODING_ERROR : ROAM_NO_ERROR;
}

/* Takes the run of PADDING that the first octet of began. */
static uint64_t parse_padding(struct frame *ret, struct reader *reader)
{
    const uint8_t *pos = reader->pos;
    uint64_t word;
    while ((size_t)(reader->end - pos) >= sizeof(word)) {
        memcpy(&word, pos, sizeof(word));
        if (word != 0)
            break;
        pos += sizeof(word);
    }
    while (pos < reader->end && *pos == 0)
        pos++;
    ret->padding = 1 + (size_t)(pos - reader->pos);
    reader->pos = pos;
    return ROAM_NO_ERROR;
}

/* Checks `count` (gap, length) pairs below `smallest`. */
static bool ack_ranges_are_valid(struct reader *reader, uint64_t count, uint64_t smallest)
{
    /* Each pair takes two octets at least, so that a huge count is refused before the walk. */
    if (count > reader_left(reader) / 2)
        return false;
    for (; count > 0; count--) {
        uint64_t gap = read_varint(reader);
        uint64_t length = read_varint(reader);
        //= rfc9000#19.3.1 A computed packet number below zero is a FRAME_ENCODING_ERROR.
        if (reader->failed || smallest < gap + 2 || smallest - gap - 2 < length)
            return false;
        smallest -= gap + 2 + length;
    }
    return true;
}

static uint64_t parse_ack(struct frame *ret, struct reader *reader, bool has_ecn)
{
    uint64_t largest = read_varint(reader);
    uint64_t delay = read_varint(reader);
    uint64_t range_count = read_varint(reader);
    uint64_t first_range = read_varint(reader);
    const uint8_t *ranges = reader->pos;
    if (reader->failed || first_range > largest || !ack_ranges_are_valid(reader, range_count, largest - first_range))
        return ROAM_FRAME_ENCODING_ERROR;
    size_t ranges_len = (size_t)(reader->pos - ranges);
    uint64_t ect0 = 0, ect1 = 0, ce = 0;
    if (has_ecn) {
        ect0 = read_varint(reader);
        ect1 = read_varint(reader);
        ce = read_varint(reader);
        if (reader->failed)
            return ROAM_FRAME_ENCODING_ERROR;
    }
    ret->ack = (struct frame_ack){
        .largest = largest,
        .delay = delay,
        .range_count = range_count,
        .first_range = first_range,
        .ranges = ranges,
        .ranges_len = ranges_len,
        .has_ecn = has_ecn,
        .ect0 = ect0,
        .ect1 = ect1,
        .ce = ce,
    };
    return ROAM_NO_ERROR;
}

static uint64_t parse_reset_stream(struct frame *ret, struct reader *reader)
{
    uint64_t stream_id = read_varint(reader);
    uint64_t code = read_varint(reader);
    uint64_t final_size = read_varint(reader);
    if (!reader->failed) {
        ret->reset_stream.stream_id = stream_id;
        ret->reset_stream.code = code;
        ret->reset_stream.final_size = final_size;
    }
    return verdict(reader);
}

static uint64_t parse_stop_sending(struct frame *ret, struct reader *reader)
{
    uint64_t stream_id = read_varint(reader);
    uint64_t code = read_varint(reader);
    if (!reader->failed) {
        ret->stop_sending.stream_id = stream_id;
        ret->stop_sending.code = code;
    }
    return verdict(reader);
}

/* Octets that a length field in front of them counts; NULL where fewer are there. */
static const uint8_t *read_counted(struct reader *reader, size_t *ret_len)
{
    uint64_t len = read_varint(reader);
    /* Compared before the cast, which might cut it where size_t has 32 bits. */
    if (reader->failed || len > reader_left(reader))
        return NULL;
    *ret_len = (size_t)len;
    return read_bytes(reader, (size_t)len);
}

static uint64_t parse_crypto(struct frame *ret, struct reader *reader)
{
    uint64_t offset = read_varint(reader);
    size_t len;
    const uint8_t *data = read_counted(reader, &len);
    //= rfc9000#19.6 Data past 2^62-1 is a FRAME_ENCODING_ERROR or CRYPTO_BUFFER_EXCEEDED.
    if (data == NULL || offset + len > VARINT_MAX)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->crypto.offset = offset;
    ret->crypto.data = data;
    ret->crypto.len = len;
    return ROAM_NO_ERROR;
}

static uint64_t parse_new_token(struct frame *ret, struct reader *reader)
{
    size_t len;
    const uint8_t *token = read_counted(reader, &len);
    //= rfc9000#19.7 An empty token is a FRAME_ENCODING_ERROR.
    if (token == NULL || len == 0)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->new_token.token = token;
    ret->new_token.len = len;
    return ROAM_NO_ERROR;
}

static uint64_t parse_stream(struct frame *ret, struct reader *reader, uint64_t type)
{
    uint64_t stream_id = read_varint(reader);
    uint64_t offset = (type & FRAME_STREAM_OFF) != 0 ? read_varint(reader) : 0;
    const uint8_t *data;
    size_t len;
    if ((type & FRAME_STREAM_LEN) != 0) {
        data = read_counted(reader, &len);
    } else {
        len = reader_left(reader);
        data = read_bytes(reader, len);
    }
    //= rfc9000#19.8 Data past 2^62-1 is a FRAME_ENCODING_ERROR or FLOW_CONTROL_ERROR.
    if (reader->failed || data == NULL || offset + len > VARINT_MAX)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->stream.stream_id = stream_id;
    ret->stream.offset = offset;
    ret->stream.data = data;
    ret->stream.len = len;
    ret->stream.fin = (type & FRAME_STREAM_FIN) != 0;
    return ROAM_NO_ERROR;
}

/* MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED: one number, at most `limit`. */
static uint64_t parse_maximum(struct frame *ret, struct reader *reader, uint64_t limit)
{
    uint64_t maximum = read_varint(reader);
    if (reader->failed || maximum > limit)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->maximum = maximum;
    return ROAM_NO_ERROR;
}

static uint64_t parse_stream_maximum(struct frame *ret, struct reader *reader)
{
    uint64_t stream_id = read_varint(reader);
    uint64_t maximum = read_varint(reader);
    if (!reader->failed) {
        ret->max_stream_data.stream_id = stream_id;
        ret->max_stream_data.maximum = maximum;
    }
    return verdict(reader);
}

static uint64_t parse_new_connection_id(struct frame *ret, struct reader *reader)
{
    uint64_t sequence = read_varint(reader);
    uint64_t retire_prior_to = read_varint(reader);
    uint8_t len = read_u8(reader);
    //= rfc9000#19.15 A length outside 1..20, or Retire Prior To above the sequence number, is a FRAME_ENCODING_ERROR.
    if (reader->failed || len < 1 || len > ROAM_CID_MAX || retire_prior_to > sequence)
        return ROAM_FRAME_ENCODING_ERROR;
    const uint8_t *bytes = read_bytes(reader, len);
    const uint8_t *token = read_bytes(reader, RESET_TOKEN_BYTES);
    if (reader->failed)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->new_connection_id.sequence = sequence;
    ret->new_connection_id.retire_prior_to = retire_prior_to;
    ret->new_connection_id.cid = (roam_cid){.len = len};
    memcpy(ret->new_connection_id.cid.bytes, bytes, len);
    memcpy(ret->new_connection_id.reset_token, token, RESET_TOKEN_BYTES);
    return ROAM_NO_ERROR;
}

static uint64_t parse_retire_connection_id(struct frame *ret, struct reader *reader)
{
    uint64_t sequence = read_varint(reader);
    if (!reader->failed)
        ret->sequence = sequence;
    return verdict(reader);
}

static uint64_t parse_path(struct frame *ret, struct reader *reader)
{
    const uint8_t *data = read_bytes(reader, PATH_DATA_BYTES);
    if (data != NULL)
        memcpy(ret->path_data, data, PATH_DATA_BYTES);
    return verdict(reader);
}

static uint64_t parse_close(struct frame *ret, struct reader *reader, bool application)
{
    uint64_t code = read_varint(reader);
    uint64_t frame_type = application ? 0 : read_varint(reader);
    size_t reason_len;
    const uint8_t *reason = read_counted(reader, &reason_len);
    if (reason == NULL)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->close.code = code;
    ret->close.frame_type = frame_type;
    ret->close.reason = reason;
    ret->close.reason_len = reason_len;
    return ROAM_NO_ERROR;
}

/* `start`: where the frame began. */
static uint64_t parse_datagram(struct frame *ret, struct reader *reader, bool with_length, const uint8_t *start)
{
    const uint8_t *data;
    size_t len;
    if (with_length) {
        data = read_counted(reader, &len);
    } else {
        len = reader_left(reader);
        data = read_bytes(reader, len);
    }
    if (data == NULL)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->datagram.data = data;
    ret->datagram.len = len;
    ret->datagram.frame_len = (size_t)(reader->pos - start);
    return ROAM_NO_ERROR;
}

static uint64_t parse_ack_frequency(struct frame *ret, struct reader *reader)
{
    uint64_t sequence = read_varint(reader);
    uint64_t threshold = read_varint(reader);
    uint64_t max_delay_us = read_varint(reader);
    uint64_t reordering = read_varint(reader);
    if (reader->failed)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->ack_frequency.sequence = sequence;
    ret->ack_frequency.threshold = threshold;
    ret->ack_frequency.max_delay_us = max_delay_us;
    ret->ack_frequency.reordering = reordering;
    return ROAM_NO_ERROR;
}

/* MAX_DATA to STREAMS_BLOCKED. */
static uint64_t parse_limit(struct frame *ret, struct reader *reader, uint64_t type)
{
    if (type == FRAME_MAX_STREAM_DATA || type == FRAME_STREAM_DATA_BLOCKED)
        return parse_stream_maximum(ret, reader);
    if (type == FRAME_MAX_DATA || type == FRAME_DATA_BLOCKED)
        return parse_maximum(ret, reader, VARINT_MAX);
    //= rfc9000#19.11 More than 2^60 streams is a FRAME_ENCODING_ERROR, in STREAMS_BLOCKED too (section 19.14).
    return parse_maximum(ret, reader, STREAMS_MAX);
}

static uint64_t parse_body(struct frame *ret, struct reader *reader, uint64_t type, const uint8_t *start)
{
    switch (type) {
    case FRAME_PADDING:
        return parse_padding(ret, reader);
    case FRAME_PING:
    case FRAME_HANDSHAKE_DONE:
    case FRAME_IMMEDIATE_ACK:
        return ROAM_NO_ERROR;
    case FRAME_ACK:
    case FRAME_ACK_ECN:
        return parse_ack(ret, reader, type == FRAME_ACK_ECN);
    case FRAME_RESET_STREAM:
        return parse_reset_stream(ret, reader);
    case FRAME_STOP_SENDING:
        return parse_stop_sending(ret, reader);
    case FRAME_CRYPTO:
        return parse_crypto(ret, reader);
    case FRAME_NEW_TOKEN:
        return parse_new_token(ret, reader);
    case FRAME_STREAM ... FRAME_STREAM_LAST:
        return parse_stream(ret, reader, type);
    case FRAME_MAX_DATA ... FRAME_STREAMS_BLOCKED_UNI:
        return parse_limit(ret, reader, type);
    case FRAME_NEW_CONNECTION_ID:
        return parse_new_connection_id(ret, reader);
    case FRAME_RETIRE_CONNECTION_ID:
        return parse_retire_connection_id(ret, reader);
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
        return parse_path(ret, reader);
    case FRAME_CONNECTION_CLOSE:
    case FRAME_CONNECTION_CLOSE_APPLICATION:
        return parse_close(ret, reader, type == FRAME_CONNECTION_CLOSE_APPLICATION);
    case FRAME_DATAGRAM ... FRAME_DATAGRAM_LEN:
        return parse_datagram(ret, reader, type == FRAME_DATAGRAM_LEN, start);
    case FRAME_ACK_FREQUENCY:
        return parse_ack_frequency(ret, reader);
    default:
        //= rfc9000#12.4 A frame of unknown type is a FRAME_ENCODING_ERROR.
        return ROAM_FRAME_ENCODING_ERROR;
    }
}

uint64_t frame_parse(struct frame *ret, struct reader *reader)
{
    const uint8_t *start = reader->pos;
    uint64_t type = read_varint(reader);
    if (reader->failed)
        return ROAM_FRAME_ENCODING_ERROR;
    ret->type = type;
    //= rfc9000#12.4 Frame types are encoded in the shortest form; a longer one may be a PROTOCOL_VIOLATION.
    if ((size_t)(reader->pos - start) != varint_len(type))
        return ROAM_PROTOCOL_VIOLATION;
    return parse_body(ret, reader, type, start);
}

void ack_walk_begin(struct ack_walk *walk, const struct frame_ack *ack, uint64_t *ret_smallest, uint64_t *ret_largest)
{
    walk->reader = reader_init(ack->ranges, ack->ranges_len);
    walk->smallest = ack->largest - ack->first_range;
    *ret_smallest = walk->smallest;
    *ret_largest = ack->largest;
}

bool ack_walk_next(struct ack_walk *walk, uint64_t *ret_smallest, uint64_t *ret_largest)
{
    if (reader_left(&walk->reader) == 0)
        return false;
    uint64_t largest = walk->smallest - read_varint(&walk->reader) - 2;
    walk->smallest = largest - read_varint(&walk->reader);
    *ret_smallest = walk->smallest;
    *ret_largest = largest;
    return true;
}
