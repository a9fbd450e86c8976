/* Names of errors and events. */
#include "h3/h3.h"

const char *roam_h3_error_name(uint64_t code)
{
    static const struct {
        uint64_t code;
        const char *name;
    } names[] = {
        {ROAM_H3_DATAGRAM_ERROR, "H3_DATAGRAM_ERROR"},
        {ROAM_H3_NO_ERROR, "H3_NO_ERROR"},
        {ROAM_H3_GENERAL_PROTOCOL_ERROR, "H3_GENERAL_PROTOCOL_ERROR"},
        {ROAM_H3_INTERNAL_ERROR, "H3_INTERNAL_ERROR"},
        {ROAM_H3_STREAM_CREATION_ERROR, "H3_STREAM_CREATION_ERROR"},
        {ROAM_H3_CLOSED_CRITICAL_STREAM, "H3_CLOSED_CRITICAL_STREAM"},
        {ROAM_H3_FRAME_UNEXPECTED, "H3_FRAME_UNEXPECTED"},
        {ROAM_H3_FRAME_ERROR, "H3_FRAME_ERROR"},
        {ROAM_H3_EXCESSIVE_LOAD, "H3_EXCESSIVE_LOAD"},
        {ROAM_H3_ID_ERROR, "H3_ID_ERROR"},
        {ROAM_H3_SETTINGS_ERROR, "H3_SETTINGS_ERROR"},
        {ROAM_H3_MISSING_SETTINGS, "H3_MISSING_SETTINGS"},
        {ROAM_H3_REQUEST_REJECTED, "H3_REQUEST_REJECTED"},
        {ROAM_H3_REQUEST_CANCELLED, "H3_REQUEST_CANCELLED"},
        {ROAM_H3_REQUEST_INCOMPLETE, "H3_REQUEST_INCOMPLETE"},
        {ROAM_H3_MESSAGE_ERROR, "H3_MESSAGE_ERROR"},
        {ROAM_H3_CONNECT_ERROR, "H3_CONNECT_ERROR"},
        {ROAM_H3_VERSION_FALLBACK, "H3_VERSION_FALLBACK"},
        {ROAM_QPACK_DECOMPRESSION_FAILED, "QPACK_DECOMPRESSION_FAILED"},
        {ROAM_QPACK_ENCODER_STREAM_ERROR, "QPACK_ENCODER_STREAM_ERROR"},
        {ROAM_QPACK_DECODER_STREAM_ERROR, "QPACK_DECODER_STREAM_ERROR"},
        {ROAM_H3_WEBTRANSPORT_BUFFERED_STREAM_REJECTED, "WEBTRANSPORT_BUFFERED_STREAM_REJECTED"},
        {ROAM_H3_WEBTRANSPORT_SESSION_GONE, "WEBTRANSPORT_SESSION_GONE"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].code == code)
            return names[i].name;
    }
    return "H3_UNKNOWN";
}

const char *roam_h3_event_name(roam_h3_event_type type)
{
    static const char *const names[ROAM_H3_EVENT_TYPES] = {
        [ROAM_H3_EVENT_NONE] = "none",
        [ROAM_H3_EVENT_SETTINGS] = "settings",
        [ROAM_H3_EVENT_REQUEST] = "request",
        [ROAM_H3_EVENT_INFORMATIONAL] = "informational",
        [ROAM_H3_EVENT_RESPONSE] = "response",
        [ROAM_H3_EVENT_DATA] = "data",
        [ROAM_H3_EVENT_TRAILERS] = "trailers",
        [ROAM_H3_EVENT_END] = "end",
        [ROAM_H3_EVENT_WRITABLE] = "writable",
        [ROAM_H3_EVENT_RESET] = "reset",
        [ROAM_H3_EVENT_STOPPED] = "stopped",
        [ROAM_H3_EVENT_CLOSED] = "closed",
        [ROAM_H3_EVENT_GOAWAY] = "goaway",
        [ROAM_H3_EVENT_DATAGRAM] = "datagram",
        [ROAM_H3_EVENT_DATAGRAM_WRITABLE] = "datagram_writable",
        [ROAM_H3_EVENT_REQUESTS_AVAILABLE] = "requests_available",
        [ROAM_H3_EVENT_WEBTRANSPORT_STREAM] = "webtransport_stream",
        [ROAM_H3_EVENT_WEBTRANSPORT_DRAINING] = "webtransport_draining",
        [ROAM_H3_EVENT_WEBTRANSPORT_CLOSED] = "webtransport_closed",
    };
    return (unsigned)type < ROAM_H3_EVENT_TYPES ? names[type] : "none";
}
