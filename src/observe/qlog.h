/*
 * A qlog being written: records into a buffer, and the buffer to a sink (roam/log.h). Nothing is allocated after
 * qlog_open.
 *
 * Kept: what the sink gets is whole records, each an RS, a JSON text and a newline (RFC 7464); a record that does not
 * fit RECORD_BYTES_MAX is left out and counted; after the sink's first refusal nothing is written (`broken`).
 */
#ifndef OBSERVE_QLOG_H
#define OBSERVE_QLOG_H

#include <roam/log.h>
#include <roam/roam.h>

#include "base/alloc.h"
#include "observe/json.h"
#include "wire/frame.h"
#include "wire/packet.h"

#define QLOG_BUFFER_BYTES 16384

/* Largest record: a datagram's worth of small frames is cut short before that. */
#define QLOG_RECORD_BYTES_MAX 8192

/* What a record's own end takes at most: closing brackets, a count of what was left out, and the newline. */
#define QLOG_RECORD_END_BYTES 64

enum qlog_event {
#define QLOG_EVENT(id, qvis, latest) QLOG_##id,
#include "observe/qlog_events.def"
#undef QLOG_EVENT
    QLOG_EVENTS
};

/* Keys that the drafts have renamed. */
struct qlog_dialect {
    const char *path; /* of an event: which path it is about */
    const char *path_id, *path_local, *path_remote;
    const char *initiator; /* whose doing it was: "local" or "remote" */
    const char *events_uri;
};

struct qlog {
    roam_qlog sink;
    void *log;
    const struct qlog_dialect *dialect;
    bool broken;
    uint64_t left_out; /* records that were too long */
    struct json json;  /* of the record that is being written */
    size_t len;        /* of whole records in the buffer */
    char buffer[QLOG_BUFFER_BYTES];
};

/* Asks the sink for a log; false where it wants none. Writes the header. */
bool qlog_open(struct qlog *qlog, roam_time now, const roam_qlog *sink, const roam_cid *original_dcid, bool is_server);
/* Writes out what is buffered and closes the log. */
void qlog_close(struct qlog *qlog);
/* Hands the buffer to the sink. */
void qlog_flush(struct qlog *qlog);

/* Begins a record; the members of its "data" are to be written. path_id UINT64_MAX: of no path. */
#define QLOG_NO_PATH UINT64_MAX
struct json *qlog_begin(struct qlog *qlog, roam_time now, enum qlog_event event, uint64_t path_id);
/* The same for an event of ours: "roam:name". */
struct json *qlog_begin_roam(struct qlog *qlog, roam_time now, const char *name, uint64_t path_id);
void qlog_end(struct qlog *qlog);

/* ---- Parts of records */

const char *qlog_packet_type(enum packet_type type);
const char *qlog_space(enum packet_space space);

/* {"ip_v4": ..., "port_v4": ...} */
void qlog_endpoint_info(struct json *json, const char *key, const roam_address *address);
void qlog_cid(struct json *json, const char *key, const roam_cid *cid);
void qlog_path_id(struct json *json, const char *key, uint64_t path_id);

/* "no_error", "crypto_error_0x12a", "unknown". */
#define QLOG_ERROR_TEXT_MAX 40
const char *qlog_error(uint64_t transport_error_code, char ret[QLOG_ERROR_TEXT_MAX]);

/* ---- qlog_frames.c */

/* Writes "frames": all of the payload's, or as many as fit, and then "frames_left_out". Reads headers only: what stream
 * and CRYPTO frames carry need not be there yet. ack_delay_exponent as the ACKs' sender has it. */
void qlog_frames(struct json *json, const uint8_t *payload, size_t len, uint64_t ack_delay_exponent);

#endif
