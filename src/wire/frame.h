/*
 * Frames, RFC 9000 section 19, RFC 9221 section 4 and draft-ietf-quic-ack-frequency: octets <-> structures, and the one table of rules for them: which
 * packet types may carry each, is it ack-eliciting, is it probing (section 9.1), which side may send it.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <roam/types.h>

#include "base/reader.h"
#include "base/writer.h"
#include "wire/packet.h"

enum frame_type {
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x01,
    FRAME_ACK = 0x02,
    FRAME_ACK_ECN = 0x03,
    FRAME_RESET_STREAM = 0x04,
    FRAME_STOP_SENDING = 0x05,
    FRAME_CRYPTO = 0x06,
    FRAME_NEW_TOKEN = 0x07,
    FRAME_STREAM = 0x08, /* 0x08..0x0f: OFF 0x04, LEN 0x02, FIN 0x01 */
    FRAME_STREAM_LAST = 0x0f,
    FRAME_MAX_DATA = 0x10,
    FRAME_MAX_STREAM_DATA = 0x11,
    FRAME_MAX_STREAMS_BIDI = 0x12,
    FRAME_MAX_STREAMS_UNI = 0x13,
    FRAME_DATA_BLOCKED = 0x14,
    FRAME_STREAM_DATA_BLOCKED = 0x15,
    FRAME_STREAMS_BLOCKED_BIDI = 0x16,
    FRAME_STREAMS_BLOCKED_UNI = 0x17,
    FRAME_NEW_CONNECTION_ID = 0x18,
    FRAME_RETIRE_CONNECTION_ID = 0x19,
    FRAME_PATH_CHALLENGE = 0x1a,
    FRAME_PATH_RESPONSE = 0x1b,
    FRAME_CONNECTION_CLOSE = 0x1c,
    FRAME_CONNECTION_CLOSE_APPLICATION = 0x1d,
    FRAME_HANDSHAKE_DONE = 0x1e,
    FRAME_IMMEDIATE_ACK = 0x1f, /* draft-ietf-quic-ack-frequency section 5 */
    FRAME_DATAGRAM = 0x30,      /* to the end of the packet; 0x31: with a length. RFC 9221 section 4 */
    FRAME_DATAGRAM_LEN = 0x31,
    FRAME_ACK_FREQUENCY = 0xaf, /* draft-ietf-quic-ack-frequency section 4 */
};

/* Frame types in a row, for tables: most are their own index; those between 0x1f and 0x30 are nobody's. */
enum { FRAME_INDEX_ACK_FREQUENCY = FRAME_DATAGRAM_LEN + 1, FRAME_TYPES };

/* FRAME_TYPES or more for what has no row. */
static inline uint64_t frame_index(uint64_t type)
{
    if (type == FRAME_ACK_FREQUENCY)
        return FRAME_INDEX_ACK_FREQUENCY;
    return type != FRAME_INDEX_ACK_FREQUENCY ? type : (uint64_t)FRAME_TYPES;
}

#define FRAME_STREAM_FIN 0x01
#define FRAME_STREAM_LEN 0x02
#define FRAME_STREAM_OFF 0x04

#define RESET_TOKEN_BYTES 16
/* A Stateless Reset, section 10.3: five octets of an unpredictable header and the token. Nothing shorter is a packet. */
#define RESET_BYTES_MIN 21
#define PATH_DATA_BYTES 8

/* Bit of a packet type in frame_rule.packets. */
#define IN_PACKET(type) (1u << (type))

struct frame_rule {
    const char *name; /* "PATH_CHALLENGE" */
    uint8_t packets;  /* or of IN_PACKET(...): where it may stand, RFC 9000 section 12.4 table 3, RFC 9221 section 4 */
    bool ack_eliciting; /* RFC 9000 section 1.2 */
    bool probing;       /* RFC 9000 section 9.1 */
    bool server_only;   /* only a server sends it */
};

/* The rule of a frame type, or NULL for an unknown one. All STREAM types share a rule; so do both of DATAGRAM. */
const struct frame_rule *frame_rule_of(uint64_t type);

/* A frame type's bit in a set of types; all STREAM types share one, and both of DATAGRAM. */
static inline uint64_t frame_bit(uint64_t type)
{
    bool stream = type >= FRAME_STREAM && type <= FRAME_STREAM_LAST;
    bool datagram = type == FRAME_DATAGRAM_LEN;
    return UINT64_C(1) << (stream ? (uint64_t)FRAME_STREAM : datagram ? (uint64_t)FRAME_DATAGRAM : frame_index(type));
}

struct frame_ack {
    uint64_t largest;
    uint64_t delay;       /* as sent: to be scaled by 2^ack_delay_exponent, microseconds */
    uint64_t range_count; /* ranges after the first */
    uint64_t first_range;
    const uint8_t *ranges; /* the encoded (gap, length) pairs, already checked; walk with ack_range_next */
    size_t ranges_len;
    bool has_ecn;
    uint64_t ect0, ect1, ce;
};

struct frame {
    uint64_t type;
    union {
        struct frame_ack ack;
        struct {
            uint64_t stream_id, code, final_size;
        } reset_stream;
        struct {
            uint64_t stream_id, code;
        } stop_sending;
        struct {
            uint64_t offset;
            const uint8_t *data;
            size_t len;
        } crypto;
        struct {
            const uint8_t *token;
            size_t len;
        } new_token;
        struct {
            uint64_t stream_id, offset;
            const uint8_t *data;
            size_t len;
            bool fin;
        } stream;
        uint64_t maximum; /* MAX_DATA, MAX_STREAMS, *_BLOCKED without a stream */
        struct {
            uint64_t stream_id, maximum;
        } max_stream_data; /* and STREAM_DATA_BLOCKED */
        struct {
            uint64_t sequence, retire_prior_to;
            roam_cid cid;
            uint8_t reset_token[RESET_TOKEN_BYTES];
        } new_connection_id;
        uint64_t sequence;                  /* RETIRE_CONNECTION_ID */
        uint8_t path_data[PATH_DATA_BYTES]; /* PATH_CHALLENGE, PATH_RESPONSE */
        struct {
            uint64_t code, frame_type;
            const uint8_t *reason;
            size_t reason_len;
        } close; /* frame_type 0 in 0x1d */
        struct {
            const uint8_t *data;
            size_t len;
            size_t frame_len; /* with type and length field, as they came */
        } datagram;
        struct {
            uint64_t sequence;
            uint64_t threshold;    /* ack-eliciting packets that may come without an ACK */
            uint64_t max_delay_us; /* of an ACK */
            uint64_t reordering;   /* 0: order does not matter; 1: what is out of order is acknowledged at once */
        } ack_frequency;
        size_t padding; /* how many PADDING octets were taken together */
    };
};

/* Parses the frame at reader->pos. Returns ROAM_NO_ERROR, or the transport error to close with: FRAME_ENCODING_ERROR
 * for anything malformed, an unknown type, a type not in its shortest form (PROTOCOL_VIOLATION, RFC 9000 section
 * 12.4), a CID length outside 1..20, retire_prior_to > sequence, an ACK range below 0, stream counts above 2^60,
 * offsets that end above 2^62-1, an empty NEW_TOKEN. *ret is untouched on failure, but type is set as far as it is
 * known. Whether the frame may stand where it stands is judged by the caller with frame_rule_of. */
uint64_t frame_parse(struct frame *ret, struct reader *reader);

/* Walks the ranges of a parsed ACK, from the largest down: begin gives the first, next returns false at the end.
 * Numbers are inclusive. */
struct ack_walk {
    struct reader reader;
    uint64_t smallest;
};
void ack_walk_begin(struct ack_walk *walk, const struct frame_ack *ack, uint64_t *ret_smallest, uint64_t *ret_largest);
bool ack_walk_next(struct ack_walk *walk, uint64_t *ret_smallest, uint64_t *ret_largest);

/* Writers: each writes one whole frame or leaves the writer failed. */
void frame_write_padding(struct writer *writer, size_t len);
void frame_write_ping(struct writer *writer);

/* `ranges` ascending [start, end) as in a range_set; only the highest `max_ranges` (at least 1) are written, and
 * fewer where they do not fit. ecn: counts ect0, ect1, ce or NULL. Returns the smallest packet number written. */
struct range;
uint64_t frame_write_ack(struct writer *writer, const struct range *ranges, size_t count, size_t max_ranges,
                         uint64_t delay, const uint64_t ecn[3]);
void frame_write_reset_stream(struct writer *writer, uint64_t stream_id, uint64_t code, uint64_t final_size);
void frame_write_stop_sending(struct writer *writer, uint64_t stream_id, uint64_t code);
void frame_write_crypto(struct writer *writer, uint64_t offset, const uint8_t *data, size_t len);
void frame_write_new_token(struct writer *writer, const uint8_t *token, size_t len);

/* Octets of a STREAM frame's header with an explicit length field that holds len. */
size_t frame_stream_header_len(uint64_t stream_id, uint64_t offset, size_t len);
/* Octets of a CRYPTO frame's header. */
size_t frame_crypto_header_len(uint64_t offset, size_t len);
/* Only the header, with LEN set: `len` octets of data are to follow. */
void frame_write_stream_header(struct writer *writer, uint64_t stream_id, uint64_t offset, size_t len, bool fin);
void frame_write_maximum(struct writer *writer, enum frame_type type, uint64_t maximum); /* type, one varint */
void frame_write_stream_maximum(struct writer *writer, enum frame_type type, uint64_t stream_id, uint64_t maximum);
void frame_write_new_connection_id(struct writer *writer, uint64_t sequence, uint64_t retire_prior_to,
                                   const roam_cid *cid, const uint8_t reset_token[RESET_TOKEN_BYTES]);
void frame_write_retire_connection_id(struct writer *writer, uint64_t sequence);
void frame_write_path(struct writer *writer, enum frame_type type, const uint8_t data[PATH_DATA_BYTES]);
/* The reason is cut to what fits. */
void frame_write_close(struct writer *writer, bool application, uint64_t code, uint64_t frame_type, const char *reason,
                       size_t reason_len);
void frame_write_handshake_done(struct writer *writer);
void frame_write_immediate_ack(struct writer *writer);
void frame_write_ack_frequency(struct writer *writer, uint64_t sequence, uint64_t threshold, uint64_t max_delay_us,
                               uint64_t reordering);

/* Octets of a DATAGRAM frame's header; with_length false: type 0x30, whose data ends with the packet. */
size_t frame_datagram_header_len(size_t len, bool with_length);
/* Only the header: `len` octets of data are to follow. */
void frame_write_datagram_header(struct writer *writer, size_t len, bool with_length);

#endif
