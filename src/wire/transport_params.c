/*
 * Transport parameters. The integers are one table: where each lives, what it means when absent and what values are
 * legal; init, write and parse all walk it. A parse works on a copy and hands it out only when everything was good.
 */
#include "wire/transport_params.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"
#include "base/varint.h"

/* RFC 9000 section 18.2. */
enum param_id {
    PARAM_ORIGINAL_DESTINATION_CID = 0x00,
    PARAM_MAX_IDLE_TIMEOUT = 0x01,
    PARAM_STATELESS_RESET_TOKEN = 0x02,
    PARAM_MAX_UDP_PAYLOAD_SIZE = 0x03,
    PARAM_INITIAL_MAX_DATA = 0x04,
    PARAM_INITIAL_MAX_STREAM_DATA_BIDI_LOCAL = 0x05,
    PARAM_INITIAL_MAX_STREAM_DATA_BIDI_REMOTE = 0x06,
    PARAM_INITIAL_MAX_STREAM_DATA_UNI = 0x07,
    PARAM_INITIAL_MAX_STREAMS_BIDI = 0x08,
    PARAM_INITIAL_MAX_STREAMS_UNI = 0x09,
    PARAM_ACK_DELAY_EXPONENT = 0x0a,
    PARAM_MAX_ACK_DELAY = 0x0b,
    PARAM_DISABLE_ACTIVE_MIGRATION = 0x0c,
    PARAM_PREFERRED_ADDRESS = 0x0d,
    PARAM_ACTIVE_CONNECTION_ID_LIMIT = 0x0e,
    PARAM_INITIAL_SOURCE_CID = 0x0f,
    PARAM_RETRY_SOURCE_CID = 0x10,
    PARAM_VERSION_INFORMATION = 0x11,     /* RFC 9368 section 3 */
    PARAM_MAX_DATAGRAM_FRAME_SIZE = 0x20, /* RFC 9221 section 3 */
    PARAM_GREASE_QUIC_BIT = 0x2ab2,       /* RFC 9287 section 3 */
    PARAM_MIN_ACK_DELAY = 0xff04de1b,     /* draft-ietf-quic-ack-frequency section 3 */
};

#define UDP_PAYLOAD_MIN        1200
#define ACK_DELAY_EXPONENT_MAX 20
#define MAX_ACK_DELAY_MS_MAX   ((1 << 14) - 1)
#define IPV4_BYTES             4
#define IPV6_BYTES             16
#define PORT_BYTES             2

/* So many unknown parameters are remembered to find duplicates among them; more are taken on trust, so that a peer
 * cannot make the search long. */
#define UNKNOWN_REMEMBERED 32

struct integer_param {
    uint32_t id;
    size_t offset;
    uint64_t absent, min, max;
    const char *reason;
};

#define INTEGER(param, field, absent, min, max)                                                                        \
    {                                                                                                                  \
        param, offsetof(struct transport_params, field), absent, min, max, #field " out of range"                      \
    }

static const struct integer_param integers[] = {
    INTEGER(PARAM_MAX_IDLE_TIMEOUT, max_idle_timeout_ms, 0, 0, VARINT_MAX),
    INTEGER(PARAM_MAX_UDP_PAYLOAD_SIZE, max_udp_payload, UDP_PAYLOAD_DEFAULT, UDP_PAYLOAD_MIN, VARINT_MAX),
    INTEGER(PARAM_INITIAL_MAX_DATA, initial_max_data, 0, 0, VARINT_MAX),
    INTEGER(PARAM_INITIAL_MAX_STREAM_DATA_BIDI_LOCAL, initial_max_stream_data_bidi_local, 0, 0, VARINT_MAX),
    INTEGER(PARAM_INITIAL_MAX_STREAM_DATA_BIDI_REMOTE, initial_max_stream_data_bidi_remote, 0, 0, VARINT_MAX),
    INTEGER(PARAM_INITIAL_MAX_STREAM_DATA_UNI, initial_max_stream_data_uni, 0, 0, VARINT_MAX),
    //= rfc9000#4.6 A stream limit above 2^60 is a TRANSPORT_PARAMETER_ERROR.
    INTEGER(PARAM_INITIAL_MAX_STREAMS_BIDI, initial_max_streams_bidi, 0, 0, MAX_STREAMS_LIMIT),
    INTEGER(PARAM_INITIAL_MAX_STREAMS_UNI, initial_max_streams_uni, 0, 0, MAX_STREAMS_LIMIT),
    INTEGER(PARAM_ACK_DELAY_EXPONENT, ack_delay_exponent, ACK_DELAY_EXPONENT_DEFAULT, 0, ACK_DELAY_EXPONENT_MAX),
    INTEGER(PARAM_MAX_ACK_DELAY, max_ack_delay_ms, MAX_ACK_DELAY_MS_DEFAULT, 0, MAX_ACK_DELAY_MS_MAX),
    //= rfc9000#18.2 An active_connection_id_limit under 2 is a TRANSPORT_PARAMETER_ERROR.
    INTEGER(PARAM_ACTIVE_CONNECTION_ID_LIMIT, active_connection_id_limit, ACTIVE_CID_LIMIT_MIN, ACTIVE_CID_LIMIT_MIN,
            VARINT_MAX),
    // RFC 9221 section 3: absent is 0, no DATAGRAM frames.
    INTEGER(PARAM_MAX_DATAGRAM_FRAME_SIZE, max_datagram_frame_size, 0, 0, VARINT_MAX),
    INTEGER(PARAM_MIN_ACK_DELAY, min_ack_delay_us, MIN_ACK_DELAY_ABSENT, 0, MAX_ACK_DELAY_MS_MAX * 1000),
};

static uint64_t integer_get(const struct transport_params *params, const struct integer_param *integer)
{
    uint64_t value;
    memcpy(&value, (const char *)params + integer->offset, sizeof(value));
    return value;
}

static void integer_set(struct transport_params *params, const struct integer_param *integer, uint64_t value)
{
    memcpy((char *)params + integer->offset, &value, sizeof(value));
}

void transport_params_init(struct transport_params *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < ARRAY_LENGTH(integers); i++)
        integer_set(ret, &integers[i], integers[i].absent);
}

static void write_param(struct writer *writer, enum param_id id, const void *value, size_t len)
{
    write_varint(writer, id);
    write_varint(writer, len);
    write_bytes(writer, value, len);
}

static void write_preferred_address(struct writer *writer, const struct preferred_address *preferred)
{
    //= rfc9000#18.2 preferred_address has no zero-length CID.
    assert(preferred->cid.len >= 1 && preferred->cid.len <= ROAM_CID_MAX);
    write_varint(writer, PARAM_PREFERRED_ADDRESS);
    write_varint(writer,
                 IPV4_BYTES + PORT_BYTES + IPV6_BYTES + PORT_BYTES + 1u + preferred->cid.len + RESET_TOKEN_BYTES);
    write_bytes(writer, preferred->ipv4.ip, IPV4_BYTES);
    write_u16(writer, preferred->ipv4.port);
    write_bytes(writer, preferred->ipv6.ip, IPV6_BYTES);
    write_u16(writer, preferred->ipv6.port);
    write_u8(writer, preferred->cid.len);
    write_bytes(writer, preferred->cid.bytes, preferred->cid.len);
    write_bytes(writer, preferred->reset_token, RESET_TOKEN_BYTES);
}

//= rfc9368#3-1 The version that is in use, and behind it those that are offered, the best first.
static void write_version_information(struct writer *writer, const struct version_information *information)
{
    size_t count = 1 + information->available_count + (information->reserved != 0);
    write_varint(writer, PARAM_VERSION_INFORMATION);
    write_varint(writer, count * sizeof(uint32_t));
    write_u32(writer, information->chosen);
    for (size_t i = 0; i < information->available_count; i++)
        write_u32(writer, information->available[i]);
    //= rfc9000#6.3 Reserved versions may stand wherever unknown ones are ignored.
    if (information->reserved != 0)
        write_u32(writer, information->reserved);
}

//= rfc9000#18.1 Parameters of the form 31 * N + 27 have no meaning and any value.
static void write_reserved(struct writer *writer, const struct reserved_param *reserved)
{
    assert(reserved->len <= sizeof(reserved->value));
    write_varint(writer, UINT64_C(31) * reserved->n + 27);
    write_varint(writer, reserved->len);
    write_bytes(writer, reserved->value, reserved->len);
}

void transport_params_write(struct writer *writer, const struct transport_params *params)
{
    for (size_t i = 0; i < ARRAY_LENGTH(integers); i++) {
        uint64_t value = integer_get(params, &integers[i]);
        if (value == integers[i].absent)
            continue;
        assert(value >= integers[i].min && value <= integers[i].max);
        write_varint(writer, integers[i].id);
        write_varint(writer, varint_len(value));
        write_varint(writer, value);
    }
    write_param(writer, PARAM_INITIAL_SOURCE_CID, params->initial_source_cid.bytes, params->initial_source_cid.len);
    if (params->has_original_destination_cid)
        write_param(writer, PARAM_ORIGINAL_DESTINATION_CID, params->original_destination_cid.bytes,
                    params->original_destination_cid.len);
    if (params->has_retry_source_cid)
        write_param(writer, PARAM_RETRY_SOURCE_CID, params->retry_source_cid.bytes, params->retry_source_cid.len);
    if (params->has_stateless_reset_token)
        write_param(writer, PARAM_STATELESS_RESET_TOKEN, params->stateless_reset_token, RESET_TOKEN_BYTES);
    if (params->disable_active_migration)
        write_param(writer, PARAM_DISABLE_ACTIVE_MIGRATION, NULL, 0);
    if (params->has_preferred_address)
        write_preferred_address(writer, &params->preferred_address);
    if (params->version_information.chosen != 0)
        write_version_information(writer, &params->version_information);
    //= rfc9287#3 It is sent with an empty value.
    if (params->grease_quic_bit)
        write_param(writer, PARAM_GREASE_QUIC_BIT, NULL, 0);
    if (params->reserved.present)
        write_reserved(writer, &params->reserved);
}

/* The parsers below return NULL, or the reason why the value is no good. `value` holds the parameter's octets and no
 * more. */

static const char *parse_cid(roam_cid *ret, bool *ret_has, struct reader *value)
{
    size_t len = reader_left(value);
    if (len > ROAM_CID_MAX)
        return "connection ID too long";
    *ret = (roam_cid){.len = (uint8_t)len};
    read_copy(value, ret->bytes, len);
    *ret_has = true;
    return NULL;
}

static const char *parse_reset_token(struct transport_params *params, struct reader *value)
{
    if (reader_left(value) != RESET_TOKEN_BYTES)
        return "stateless_reset_token of wrong length";
    read_copy(value, params->stateless_reset_token, RESET_TOKEN_BYTES);
    params->has_stateless_reset_token = true;
    return NULL;
}

/* An address of one family; all zeros says that there is none. */
static void read_address(struct reader *value, roam_address *ret, enum roam_family family, size_t ip_len)
{
    static const uint8_t zeros[IPV6_BYTES];
    roam_address address = {0};
    read_copy(value, address.ip, ip_len);
    address.port = read_u16(value);
    if (address.port != 0 || memcmp(address.ip, zeros, ip_len) != 0)
        address.family = (uint8_t)family;
    *ret = address;
}

static const char *parse_preferred_address(struct transport_params *params, struct reader *value)
{
    struct preferred_address *preferred = &params->preferred_address;
    read_address(value, &preferred->ipv4, ROAM_FAMILY_IPV4, IPV4_BYTES);
    read_address(value, &preferred->ipv6, ROAM_FAMILY_IPV6, IPV6_BYTES);
    uint8_t cid_len = read_u8(value);
    //= rfc9000#18.2 A preferred_address with a zero-length CID is a TRANSPORT_PARAMETER_ERROR.
    if (value->failed || cid_len < 1 || cid_len > ROAM_CID_MAX)
        return "preferred_address malformed";
    preferred->cid = (roam_cid){.len = cid_len};
    read_copy(value, preferred->cid.bytes, cid_len);
    read_copy(value, preferred->reset_token, RESET_TOKEN_BYTES);
    if (value->failed || reader_left(value) > 0)
        return "preferred_address malformed";
    params->has_preferred_address = true;
    return NULL;
}

static bool is_available(const struct version_information *information, uint32_t version)
{
    for (size_t i = 0; i < information->available_count; i++) {
        if (information->available[i] == version)
            return true;
    }
    return false;
}

static const char *parse_version_information(struct version_information *ret, struct reader *value, bool from_server)
{
    static const char malformed[] = "version_information malformed";
    struct version_information information = {.chosen = read_u32(value)};
    bool chosen_available = from_server;
    //= rfc9368#4-3 Too short, a length that four does not divide, or a version of zero: a parsing failure.
    if (value->failed || information.chosen == 0 || reader_left(value) % sizeof(uint32_t) != 0)
        return malformed;
    while (reader_left(value) > 0) {
        uint32_t version = read_u32(value);
        if (version == 0)
            return malformed;
        information.offers_any = true;
        chosen_available |= version == information.chosen;
        if (quic_version_find(version) != NULL && !is_available(&information, version))
            information.available[information.available_count++] = version;
    }
    //= rfc9368#4-4 A client's chosen version that is not among its available ones is a parsing failure.
    if (!chosen_available)
        return malformed;
    *ret = information;
    return NULL;
}

static const char *parse_integer(struct transport_params *params, uint64_t id, struct reader *value)
{
    const struct integer_param *integer = integers;
    while (integer->id != id)
        integer++;
    uint64_t number = read_varint(value);
    if (value->failed || reader_left(value) > 0)
        return "transport parameter of wrong length";
    if (number < integer->min || number > integer->max)
        return integer->reason;
    integer_set(params, integer, number);
    return NULL;
}

static bool is_known(uint64_t id)
{
    return id <= PARAM_VERSION_INFORMATION || id == PARAM_MAX_DATAGRAM_FRAME_SIZE || id == PARAM_GREASE_QUIC_BIT ||
           id == PARAM_MIN_ACK_DELAY;
}

static bool is_server_only(uint64_t id)
{
    return id == PARAM_ORIGINAL_DESTINATION_CID || id == PARAM_STATELESS_RESET_TOKEN || id == PARAM_PREFERRED_ADDRESS ||
           id == PARAM_RETRY_SOURCE_CID;
}

static const char *parse_known(struct transport_params *params, uint64_t id, struct reader *value, bool from_server)
{
    //= rfc9000#18.2 A server treats a server-only parameter from a client as TRANSPORT_PARAMETER_ERROR.
    if (!from_server && is_server_only(id))
        return "server-only transport parameter from a client";
    switch (id) {
    case PARAM_ORIGINAL_DESTINATION_CID:
        return parse_cid(&params->original_destination_cid, &params->has_original_destination_cid, value);
    case PARAM_INITIAL_SOURCE_CID:
        return parse_cid(&params->initial_source_cid, &params->has_initial_source_cid, value);
    case PARAM_RETRY_SOURCE_CID:
        return parse_cid(&params->retry_source_cid, &params->has_retry_source_cid, value);
    case PARAM_STATELESS_RESET_TOKEN:
        return parse_reset_token(params, value);
    case PARAM_DISABLE_ACTIVE_MIGRATION:
        params->disable_active_migration = true;
        return reader_left(value) > 0 ? "disable_active_migration is not empty" : NULL;
    case PARAM_PREFERRED_ADDRESS:
        return parse_preferred_address(params, value);
    case PARAM_VERSION_INFORMATION:
        return parse_version_information(&params->version_information, value, from_server);
    case PARAM_GREASE_QUIC_BIT:
        //= rfc9287#3 A value that is not empty is a TRANSPORT_PARAMETER_ERROR.
        params->grease_quic_bit = true;
        return reader_left(value) > 0 ? "grease_quic_bit is not empty" : NULL;
    default:
        return parse_integer(params, id, value);
    }
}

/* Which parameters have come. */
struct seen {
    uint64_t known; /* a bit for each that is known, see place_of */
    uint64_t unknown[UNKNOWN_REMEMBERED];
    size_t unknown_count;
};

/* Parameters below this are counted by their number, those that are known beyond it behind them. */
#define SEEN_BY_NUMBER 62

static uint64_t place_of(uint64_t id)
{
    return id == PARAM_GREASE_QUIC_BIT ? SEEN_BY_NUMBER : id == PARAM_MIN_ACK_DELAY ? SEEN_BY_NUMBER + 1 : id;
}

/* Says whether id came before, and remembers it. */
static bool seen_before(struct seen *seen, uint64_t id)
{
    if (id < SEEN_BY_NUMBER || is_known(id)) {
        bool before = (seen->known >> place_of(id) & 1) != 0;
        seen->known |= UINT64_C(1) << place_of(id);
        return before;
    }
    for (size_t i = 0; i < seen->unknown_count; i++) {
        if (seen->unknown[i] == id)
            return true;
    }
    if (seen->unknown_count < UNKNOWN_REMEMBERED)
        seen->unknown[seen->unknown_count++] = id;
    return false;
}

static const char *parse_all(struct transport_params *params, struct reader *reader, bool from_server)
{
    struct seen seen = {.known = 0};
    while (reader_left(reader) > 0) {
        uint64_t id = read_varint(reader);
        uint64_t len = read_varint(reader);
        if (reader->failed || len > reader_left(reader))
            return "transport parameters truncated";
        struct reader value = reader_init(read_bytes(reader, (size_t)len), (size_t)len);
        //= rfc9000#7.4 A duplicate transport parameter is a TRANSPORT_PARAMETER_ERROR.
        if (seen_before(&seen, id))
            return "duplicate transport parameter";
        //= rfc9000#7.4.2 Unknown transport parameters are ignored.
        const char *reason = is_known(id) ? parse_known(params, id, &value, from_server) : NULL;
        if (reason != NULL)
            return reason;
    }
    return NULL;
}

uint64_t transport_params_parse(struct transport_params *ret, const uint8_t *data, size_t len, bool from_server,
                                const char **ret_reason)
{
    struct transport_params params;
    struct reader reader = reader_init(data, len);
    transport_params_init(&params);
    const char *reason = parse_all(&params, &reader, from_server);
    // draft-ietf-quic-ack-frequency section 3: a min_ack_delay above max_ack_delay is a TRANSPORT_PARAMETER_ERROR.
    if (reason == NULL && params.min_ack_delay_us != MIN_ACK_DELAY_ABSENT &&
        params.min_ack_delay_us > params.max_ack_delay_ms * 1000)
        reason = "min_ack_delay above max_ack_delay";
    if (reason != NULL) {
        *ret_reason = reason;
        return ROAM_TRANSPORT_PARAMETER_ERROR;
    }
    *ret = params;
    return ROAM_NO_ERROR;
}

/* ---- 0-RTT, RFC 9000 section 7.4.1 */

void transport_params_remember(struct transport_params *params)
{
    struct transport_params kept;
    transport_params_init(&kept);
    //= rfc9000#7.4.1 Acknowledgement delays, CIDs, reset token and preferred address are not carried over.
    //= rfc9000#7.4.1 A client remembers all others that it can process.
    kept.max_idle_timeout_ms = params->max_idle_timeout_ms;
    kept.max_udp_payload = params->max_udp_payload;
    kept.initial_max_data = params->initial_max_data;
    kept.initial_max_stream_data_bidi_local = params->initial_max_stream_data_bidi_local;
    kept.initial_max_stream_data_bidi_remote = params->initial_max_stream_data_bidi_remote;
    kept.initial_max_stream_data_uni = params->initial_max_stream_data_uni;
    kept.initial_max_streams_bidi = params->initial_max_streams_bidi;
    kept.initial_max_streams_uni = params->initial_max_streams_uni;
    kept.disable_active_migration = params->disable_active_migration;
    kept.active_connection_id_limit = params->active_connection_id_limit;
    kept.max_datagram_frame_size = params->max_datagram_frame_size;
    *params = kept;
}

#define PROMISE(field)                                                                                                 \
    {                                                                                                                  \
        offsetof(struct transport_params, field), #field                                                               \
    }

const char *transport_params_lowered(const struct transport_params *params, const struct transport_params *remembered)
{
    //= rfc9000#7.4.1 A server that accepts 0-RTT lowers none of the limits that the client may have used.
    //= rfc9221#3-7 ... nor max_datagram_frame_size.
    static const struct {
        size_t offset;
        const char *name;
    } promises[] = {
        PROMISE(active_connection_id_limit),
        PROMISE(initial_max_data),
        PROMISE(initial_max_stream_data_bidi_local),
        PROMISE(initial_max_stream_data_bidi_remote),
        PROMISE(initial_max_stream_data_uni),
        PROMISE(initial_max_streams_bidi),
        PROMISE(initial_max_streams_uni),
        PROMISE(max_datagram_frame_size),
    };
    for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
        uint64_t now, then;
        memcpy(&now, (const char *)params + promises[i].offset, sizeof(now));
        memcpy(&then, (const char *)remembered + promises[i].offset, sizeof(then));
        if (now < then)
            return promises[i].name;
    }
    return NULL;
}
