/* The texts of everything that has a name: each function has one table, and answers "unknown" to what is not in it. */
#include <stdio.h>

#include <roam/roam.h>

#include "base/minmax.h"

#define TLS_ALERTS 256

static const char *name_of(const char *const *names, size_t count, uint64_t index)
{
    return index < count && names[index] != NULL ? names[index] : "unknown";
}

const char *roam_version(void)
{
    return "0.1.0";
}

/* RFC 8446 section 6. */
static const char *const alert_names[TLS_ALERTS] = {
    [0] = "close_notify",
    [10] = "unexpected_message",
    [20] = "bad_record_mac",
    [22] = "record_overflow",
    [40] = "handshake_failure",
    [42] = "bad_certificate",
    [43] = "unsupported_certificate",
    [44] = "certificate_revoked",
    [45] = "certificate_expired",
    [46] = "certificate_unknown",
    [47] = "illegal_parameter",
    [48] = "unknown_ca",
    [49] = "access_denied",
    [50] = "decode_error",
    [51] = "decrypt_error",
    [70] = "protocol_version",
    [71] = "insufficient_security",
    [80] = "internal_error",
    [86] = "inappropriate_fallback",
    [90] = "user_canceled",
    [109] = "missing_extension",
    [110] = "unsupported_extension",
    [112] = "unrecognized_name",
    [113] = "bad_certificate_status_response",
    [115] = "unknown_psk_identity",
    [116] = "certificate_required",
    [120] = "no_application_protocol",
};

/* RFC 9000 section 20.1. */
static const char *const error_names[] = {
    [ROAM_NO_ERROR] = "NO_ERROR",
    [ROAM_INTERNAL_ERROR] = "INTERNAL_ERROR",
    [ROAM_CONNECTION_REFUSED] = "CONNECTION_REFUSED",
    [ROAM_FLOW_CONTROL_ERROR] = "FLOW_CONTROL_ERROR",
    [ROAM_STREAM_LIMIT_ERROR] = "STREAM_LIMIT_ERROR",
    [ROAM_STREAM_STATE_ERROR] = "STREAM_STATE_ERROR",
    [ROAM_FINAL_SIZE_ERROR] = "FINAL_SIZE_ERROR",
    [ROAM_FRAME_ENCODING_ERROR] = "FRAME_ENCODING_ERROR",
    [ROAM_TRANSPORT_PARAMETER_ERROR] = "TRANSPORT_PARAMETER_ERROR",
    [ROAM_CONNECTION_ID_LIMIT_ERROR] = "CONNECTION_ID_LIMIT_ERROR",
    [ROAM_PROTOCOL_VIOLATION] = "PROTOCOL_VIOLATION",
    [ROAM_INVALID_TOKEN] = "INVALID_TOKEN",
    [ROAM_APPLICATION_ERROR] = "APPLICATION_ERROR",
    [ROAM_CRYPTO_BUFFER_EXCEEDED] = "CRYPTO_BUFFER_EXCEEDED",
    [ROAM_KEY_UPDATE_ERROR] = "KEY_UPDATE_ERROR",
    [ROAM_AEAD_LIMIT_REACHED] = "AEAD_LIMIT_REACHED",
    [ROAM_NO_VIABLE_PATH] = "NO_VIABLE_PATH",
    [ROAM_VERSION_NEGOTIATION_ERROR] = "VERSION_NEGOTIATION_ERROR",
};

const char *roam_error_name(uint64_t transport_error_code)
{
    static _Thread_local char text[64];
    if (transport_error_code < ARRAY_LENGTH(error_names))
        return error_names[transport_error_code];
    if (transport_error_code >= ROAM_CRYPTO_ERROR && transport_error_code <= ROAM_CRYPTO_ERROR_LAST) {
        unsigned alert = (unsigned)(transport_error_code - ROAM_CRYPTO_ERROR);
        if (alert_names[alert] != NULL)
            snprintf(text, sizeof(text), "CRYPTO_ERROR (%s)", alert_names[alert]);
        else
            snprintf(text, sizeof(text), "CRYPTO_ERROR (alert %u)", alert);
    } else {
        snprintf(text, sizeof(text), "0x%llx", (unsigned long long)transport_error_code);
    }
    return text;
}

const char *roam_close_cause_name(enum roam_close_cause cause)
{
    static const char *const names[ROAM_CLOSE_CAUSES] = {
        [ROAM_CLOSE_NONE] = "none",
        [ROAM_CLOSE_LOCAL_TRANSPORT] = "transport error",
        [ROAM_CLOSE_LOCAL_APPLICATION] = "closed",
        [ROAM_CLOSE_PEER_TRANSPORT] = "transport error found by the peer",
        [ROAM_CLOSE_PEER_APPLICATION] = "closed by the peer",
        [ROAM_CLOSE_IDLE_TIMEOUT] = "idle timeout",
        [ROAM_CLOSE_HANDSHAKE_TIMEOUT] = "handshake timeout",
        [ROAM_CLOSE_STATELESS_RESET] = "stateless reset",
        [ROAM_CLOSE_VERSION_NEGOTIATION] = "no version in common",
        [ROAM_CLOSE_NO_VIABLE_PATH] = "no viable path",
        [ROAM_CLOSE_RESOLUTION] = "host name not resolved",
        [ROAM_CLOSE_MEMORY] = "made room in memory",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)cause);
}

const char *roam_drop_name(roam_drop reason)
{
    static const char *const names[ROAM_DROPS] = {
#define ROAM_DROP_ENTRY(id, text) [ROAM_DROP_##id] = text,
#include <roam/drops.def>
#undef ROAM_DROP_ENTRY
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)reason);
}

const char *roam_limit_name(roam_limit limit)
{
    static const char *const names[ROAM_LIMITS] = {
#define ROAM_LIMIT_ENTRY(id, text) [ROAM_LIMIT_##id] = text,
#include <roam/limits.def>
#undef ROAM_LIMIT_ENTRY
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)limit);
}

const char *roam_result_name(roam_result result)
{
    static const char *const names[] = {
        [-ROAM_OK] = "ok",
        [-ROAM_ERR_MEMORY] = "out of memory",
        [-ROAM_ERR_STATE] = "not possible in this state",
        [-ROAM_ERR_LIMIT] = "limit reached",
        [-ROAM_ERR_ADDRESS] = "not a usable address",
        [-ROAM_ERR_NO_CID] = "no spare connection ID",
        [-ROAM_ERR_DISABLED] = "migration disabled by the peer",
        [-ROAM_ERR_CREDENTIALS] = "certificate, key or trust file missing or wrong",
        [-ROAM_ERR_SYSTEM] = "system call failed",
        [-ROAM_ERR_CONFIG] = "configuration makes no sense",
        [-ROAM_ERR_CLOSED] = "connection or stream has ended",
        [-ROAM_ERR_UNSUPPORTED] = "not supported by the peer",
        [-ROAM_ERR_TOO_LARGE] = "too large",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)(-(int64_t)result));
}

const char *roam_event_name(roam_event_type type)
{
    static const char *const names[ROAM_EVENT_TYPES] = {
#define ROAM_EVENT_ENTRY(id, text, class, migration) [ROAM_EVENT_##id] = text,
#include <roam/events.def>
#undef ROAM_EVENT_ENTRY
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)type);
}

roam_event_class roam_event_class_of(roam_event_type type)
{
    static const uint8_t classes[ROAM_EVENT_TYPES] = {
#define ROAM_EVENT_ENTRY(id, text, class, migration) [ROAM_EVENT_##id] = ROAM_EVENT_CLASS_##class,
#include <roam/events.def>
#undef ROAM_EVENT_ENTRY
    };
    return (uint64_t)type < ARRAY_LENGTH(classes) ? (roam_event_class)classes[type] : ROAM_EVENT_CLASS_CONNECTION;
}

const char *roam_move_why_name(enum roam_move_why why)
{
    static const char *const names[ROAM_MOVE_WHYS] = {
        [ROAM_MOVE_PEER] = "peer",
        [ROAM_MOVE_APPLICATION] = "application",
        [ROAM_MOVE_PREFERRED] = "preferred",
        [ROAM_MOVE_ADDRESS_GONE] = "address_gone",
        [ROAM_MOVE_SEND_FAILED] = "send_failed",
        [ROAM_MOVE_QUIET] = "quiet",
        [ROAM_MOVE_BETTER] = "better",
        [ROAM_MOVE_RULE] = "rule",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)why);
}

const char *roam_send_failure_name(enum roam_send_failure why)
{
    static const char *const names[ROAM_SEND_FAILURES] = {
        [ROAM_SEND_ADDRESS_GONE] = "address_gone", [ROAM_SEND_UNREACHABLE] = "unreachable",
        [ROAM_SEND_NETWORK_DOWN] = "network_down", [ROAM_SEND_TOO_LARGE] = "too_large",
        [ROAM_SEND_REFUSED] = "refused",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)why);
}

const char *roam_conn_state_name(enum roam_conn_state state)
{
    static const char *const names[] = {
        [ROAM_CONN_RESOLVING] = "resolving",     [ROAM_CONN_HANDSHAKE] = "handshake",
        [ROAM_CONN_ESTABLISHED] = "established", [ROAM_CONN_CLOSING] = "closing",
        [ROAM_CONN_DRAINING] = "draining",       [ROAM_CONN_CLOSED] = "closed",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)state);
}

const char *roam_path_state_name(enum roam_path_state state)
{
    static const char *const names[] = {
        [ROAM_PATH_UNVALIDATED] = "unvalidated",
        [ROAM_PATH_VALIDATING] = "validating",
        [ROAM_PATH_VALIDATED] = "validated",
        [ROAM_PATH_FAILED] = "failed",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)state);
}

const char *roam_pmtud_state_name(enum roam_pmtud_state state)
{
    static const char *const names[] = {
        [ROAM_PMTUD_OFF] = "off",
        [ROAM_PMTUD_BASE] = "base",
        [ROAM_PMTUD_SEARCHING] = "searching",
        [ROAM_PMTUD_SEARCH_COMPLETE] = "search_complete",
        [ROAM_PMTUD_ERROR] = "error",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)state);
}

const char *roam_ecn_state_name(enum roam_ecn_state state)
{
    static const char *const names[] = {
        [ROAM_ECN_STATE_OFF] = "off",         [ROAM_ECN_STATE_TESTING] = "testing",
        [ROAM_ECN_STATE_UNKNOWN] = "unknown", [ROAM_ECN_STATE_CAPABLE] = "capable",
        [ROAM_ECN_STATE_FAILED] = "failed",
    };
    return name_of(names, ARRAY_LENGTH(names), (uint64_t)state);
}
