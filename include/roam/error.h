/*
 * roam/error.h - three kinds of failure, three types. A roam_error ends a connection (RFC 9000 section 20), a roam_drop
 * is the fate of one packet, a roam_result is what a call of this library answers. Each has names.
 */
#ifndef ROAM_ERROR_H
#define ROAM_ERROR_H

#include <roam/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Transport error codes, RFC 9000 section 20.1. CRYPTO_ERROR is 0x0100 plus the TLS alert (RFC 9001 section 4.8). */
enum roam_transport_error {
    ROAM_NO_ERROR = 0x00,
    ROAM_INTERNAL_ERROR = 0x01,
    ROAM_CONNECTION_REFUSED = 0x02,
    ROAM_FLOW_CONTROL_ERROR = 0x03,
    ROAM_STREAM_LIMIT_ERROR = 0x04,
    ROAM_STREAM_STATE_ERROR = 0x05,
    ROAM_FINAL_SIZE_ERROR = 0x06,
    ROAM_FRAME_ENCODING_ERROR = 0x07,
    ROAM_TRANSPORT_PARAMETER_ERROR = 0x08,
    ROAM_CONNECTION_ID_LIMIT_ERROR = 0x09,
    ROAM_PROTOCOL_VIOLATION = 0x0a,
    ROAM_INVALID_TOKEN = 0x0b,
    ROAM_APPLICATION_ERROR = 0x0c,
    ROAM_CRYPTO_BUFFER_EXCEEDED = 0x0d,
    ROAM_KEY_UPDATE_ERROR = 0x0e,
    ROAM_AEAD_LIMIT_REACHED = 0x0f,
    ROAM_NO_VIABLE_PATH = 0x10,
    ROAM_VERSION_NEGOTIATION_ERROR = 0x11, /* RFC 9368 section 10.2 */
    ROAM_CRYPTO_ERROR = 0x0100,
    ROAM_CRYPTO_ERROR_LAST = 0x01ff,
};

/* Who ended the connection, and how. */
enum roam_close_cause {
    ROAM_CLOSE_NONE = 0,            /* it lives */
    ROAM_CLOSE_LOCAL_TRANSPORT,     /* we found an error: code is a transport error */
    ROAM_CLOSE_LOCAL_APPLICATION,   /* roam_conn_close: code is the application's */
    ROAM_CLOSE_PEER_TRANSPORT,      /* CONNECTION_CLOSE 0x1c came */
    ROAM_CLOSE_PEER_APPLICATION,    /* CONNECTION_CLOSE 0x1d came */
    ROAM_CLOSE_IDLE_TIMEOUT,        /* RFC 9000 section 10.1 */
    ROAM_CLOSE_HANDSHAKE_TIMEOUT,   /* no handshake within the configured time */
    ROAM_CLOSE_STATELESS_RESET,     /* RFC 9000 section 10.3 */
    ROAM_CLOSE_VERSION_NEGOTIATION, /* no version in common, RFC 9000 section 6.2 */
    ROAM_CLOSE_NO_VIABLE_PATH,      /* no validated path left, RFC 9000 section 9.3.2 */
    ROAM_CLOSE_RESOLUTION,          /* the host name did not resolve */
    ROAM_CLOSE_MEMORY,              /* a handshake that made room: roam_endpoint_config.max_memory_bytes */
    ROAM_CLOSE_CAUSES
};

/* Longest reason phrase that is kept, NUL excluded; a longer one is cut. */
#define ROAM_REASON_MAX 127

/* Why a connection ended. */
typedef struct roam_error {
    enum roam_close_cause cause;
    uint64_t code;                    /* transport or application error code, by cause */
    uint64_t frame_type;              /* the frame that provoked a transport error, 0 where none or unknown */
    char reason[ROAM_REASON_MAX + 1]; /* UTF-8, NUL-terminated; octets that are not printable ASCII are shown as '?' */
} roam_error;

/* "FLOW_CONTROL_ERROR", "CRYPTO_ERROR (certificate_expired)", "0x1234" for what nobody named: never NULL, static or
 * thread-local storage that the next call on the same thread overwrites. */
ROAM_API const char *roam_error_name(uint64_t transport_error_code);

/* "idle timeout", "stateless reset", ... : never NULL, static. */
ROAM_API const char *roam_close_cause_name(enum roam_close_cause cause);

/* Why a packet or datagram was dropped: every reason has a name and a counter (roam_endpoint_stats). */
typedef enum roam_drop {
#define ROAM_DROP_ENTRY(id, text) ROAM_DROP_##id,
#include <roam/drops.def>
#undef ROAM_DROP_ENTRY
    ROAM_DROPS
} roam_drop;

/* "unknown_connection", ... : never NULL, static. */
ROAM_API const char *roam_drop_name(roam_drop reason);

/* What a peer was kept from having more of, where no packet is dropped for it: the connection ends, with this name as the
 * reason that the peer is told, or the oldest of what is kept is forgotten. docs/limits.md says which. Each has a counter
 * (roam_endpoint_stats). */
typedef enum roam_limit {
#define ROAM_LIMIT_ENTRY(id, text) ROAM_LIMIT_##id,
#include <roam/limits.def>
#undef ROAM_LIMIT_ENTRY
    ROAM_LIMITS
} roam_limit;

/* "connection_ids", ... : never NULL, static. */
ROAM_API const char *roam_limit_name(roam_limit limit);

/* What a call answers. Zero is success, everything else is negative. */
typedef enum roam_result {
    ROAM_OK = 0,
    ROAM_ERR_MEMORY = -1,       /* the allocator said no */
    ROAM_ERR_STATE = -2,        /* not possible in this state: see the call */
    ROAM_ERR_LIMIT = -3,        /* a limit of ours or of the peer's is reached, try later */
    ROAM_ERR_ADDRESS = -4,      /* not an address, or not one of ours */
    ROAM_ERR_NO_CID = -5,       /* the peer has given no spare connection ID (RFC 9000 section 9.5) */
    ROAM_ERR_DISABLED = -6,     /* the peer sent disable_active_migration */
    ROAM_ERR_CREDENTIALS = -7,  /* a certificate, key or trust file is missing or wrong */
    ROAM_ERR_SYSTEM = -8,       /* a system call failed; errno tells */
    ROAM_ERR_CONFIG = -9,       /* a value in a configuration makes no sense */
    ROAM_ERR_CLOSED = -10,      /* the connection or the stream has ended */
    ROAM_ERR_UNSUPPORTED = -11, /* the peer has not said that it takes such */
    ROAM_ERR_TOO_LARGE = -12,   /* more octets than can be sent in one piece */
} roam_result;

/* "no spare connection ID", ... : never NULL, static. */
ROAM_API const char *roam_result_name(roam_result result);

#ifdef __cplusplus
}
#endif

#endif
