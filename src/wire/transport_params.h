/* Transport parameters, RFC 9000 section 18, RFC 9221 section 3, RFC 9287 section 3, RFC 9368 section 3 and
 * draft-ietf-quic-ack-frequency section 3: octets <-> structure, with every value checked. */
#ifndef WIRE_TRANSPORT_PARAMS_H
#define WIRE_TRANSPORT_PARAMS_H

#include <roam/types.h>

#include "base/reader.h"
#include "base/writer.h"
#include "wire/frame.h"
#include "wire/version.h"

#define ACK_DELAY_EXPONENT_DEFAULT 3
#define MAX_ACK_DELAY_MS_DEFAULT   25
#define ACTIVE_CID_LIMIT_MIN       2
#define MAX_STREAMS_LIMIT          (UINT64_C(1) << 60)
#define UDP_PAYLOAD_DEFAULT        65527
#define MIN_ACK_DELAY_ABSENT       UINT64_MAX

struct preferred_address {
    roam_address ipv4; /* unset: none */
    roam_address ipv6;
    roam_cid cid;
    uint8_t reset_token[RESET_TOKEN_BYTES];
};

/* RFC 9368 section 3. Of the peer's available versions those are kept that are spoken here; `offers_any` says whether it
 * named any at all. */
struct version_information {
    uint32_t chosen; /* 0: the parameter is absent */
    uint32_t available[QUIC_VERSIONS_KNOWN];
    size_t available_count;
    bool offers_any;
    uint32_t reserved; /* written behind the available ones, to be skipped (RFC 9000 section 6.3); 0: none */
};

#define RESERVED_PARAM_BYTES_MAX 16

/* RFC 9000 section 18.1: a parameter to be ignored. Never parsed. */
struct reserved_param {
    bool present;
    uint8_t len;
    uint32_t n; /* its number is 31 * n + 27 */
    uint8_t value[RESERVED_PARAM_BYTES_MAX];
};

struct transport_params {
    bool has_original_destination_cid, has_initial_source_cid, has_retry_source_cid;
    roam_cid original_destination_cid; /* server only */
    roam_cid initial_source_cid;
    roam_cid retry_source_cid;      /* server only */
    bool has_stateless_reset_token; /* server only */
    uint8_t stateless_reset_token[RESET_TOKEN_BYTES];
    bool has_preferred_address; /* server only */
    struct preferred_address preferred_address;
    uint64_t max_idle_timeout_ms; /* 0: none */
    uint64_t max_udp_payload;
    uint64_t initial_max_data;
    uint64_t initial_max_stream_data_bidi_local, initial_max_stream_data_bidi_remote, initial_max_stream_data_uni;
    uint64_t initial_max_streams_bidi, initial_max_streams_uni;
    uint64_t ack_delay_exponent;
    uint64_t max_ack_delay_ms;
    bool disable_active_migration;
    uint64_t active_connection_id_limit;
    uint64_t max_datagram_frame_size; /* octets of a whole DATAGRAM frame; 0: none are taken */
    struct version_information version_information;
    uint64_t min_ack_delay_us; /* MIN_ACK_DELAY_ABSENT: ACK_FREQUENCY and IMMEDIATE_ACK frames are not taken */
    bool grease_quic_bit;
    struct reserved_param reserved;
};

/* The values that an absent parameter means. */
void transport_params_init(struct transport_params *ret);

/* Writes all that differs from an absent parameter's meaning, and initial_source_cid always. */
void transport_params_write(struct writer *writer, const struct transport_params *params);

/* Parses data[0..len). `from_server` says who sent them: a client that sends a server-only parameter, a duplicate, a
 * value out of range, a length that does not fit or anything truncated is an error. Unknown parameters are ignored.
 * Returns ROAM_NO_ERROR or ROAM_TRANSPORT_PARAMETER_ERROR, and then *ret is untouched and *ret_reason is a static
 * text. The CID equalities of section 7.3 are the connection's to check. */
uint64_t transport_params_parse(struct transport_params *ret, const uint8_t *data, size_t len, bool from_server,
                                const char **ret_reason);

/* Clears what a client does not carry over into a later connection, so that *params is what it remembers for 0-RTT (RFC
 * 9000 section 7.4.1). */
void transport_params_remember(struct transport_params *params);

/* NULL where a server with `params` keeps what a client that remembers `remembered` may have relied on in 0-RTT; else the
 * name of a limit that is lower now. */
const char *transport_params_lowered(const struct transport_params *params, const struct transport_params *remembered);

#endif
