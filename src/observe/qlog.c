/* See qlog.h. */
#include "observe/qlog.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"

#define RECORD_SEPARATOR 0x1e

_Static_assert(QLOG_RECORD_BYTES_MAX + QLOG_RECORD_END_BYTES <= QLOG_BUFFER_BYTES, "an empty buffer takes any record");

static const struct qlog_dialect dialects[] = {
    [ROAM_QLOG_NAMES_QVIS] = {.path = "path",
                              .path_id = "path_id",
                              .path_local = "path_local",
                              .path_remote = "path_remote",
                              .initiator = "owner",
                              .events_uri = "urn:ietf:params:qlog:events:quic-08"},
    [ROAM_QLOG_NAMES_LATEST] = {.path = "tuple",
                                .path_id = "tuple_id",
                                .path_local = "tuple_local",
                                .path_remote = "tuple_remote",
                                .initiator = "initiator",
                                .events_uri = "urn:ietf:params:qlog:events:quic-13"},
};

/* ---- Records */

static void begin_record(struct qlog *qlog)
{
    if (QLOG_BUFFER_BYTES - qlog->len < QLOG_RECORD_BYTES_MAX + QLOG_RECORD_END_BYTES)
        qlog_flush(qlog);
    qlog->json = json_init(qlog->buffer + qlog->len, QLOG_RECORD_BYTES_MAX);
    const char separator = RECORD_SEPARATOR;
    json_raw(&qlog->json, &separator, 1);
}

static void end_record(struct qlog *qlog)
{
    qlog->json.end = qlog->json.start + QLOG_RECORD_BYTES_MAX + QLOG_RECORD_END_BYTES;
    json_object_end(&qlog->json);
    json_raw(&qlog->json, "\n", 1);
    if (qlog->json.failed)
        qlog->left_out++;
    else
        qlog->len += json_len(&qlog->json);
}

static struct json *begin_event(struct qlog *qlog, roam_time now, const char *name, uint64_t path_id)
{
    struct json *json = &qlog->json;
    begin_record(qlog);
    json_object_begin(json, NULL);
    json_ms(json, "time", now);
    json_text(json, "name", name);
    if (path_id != QLOG_NO_PATH)
        json_digits(json, qlog->dialect->path, path_id);
    json_object_begin(json, "data");
    return json;
}

struct json *qlog_begin(struct qlog *qlog, roam_time now, enum qlog_event event, uint64_t path_id)
{
    static const char *const names[QLOG_EVENTS][2] = {
#define QLOG_EVENT(id, qvis, latest) [QLOG_##id] = {qvis, latest},
#include "observe/qlog_events.def"
#undef QLOG_EVENT
    };
    return begin_event(qlog, now, names[event][qlog->sink.names], path_id);
}

struct json *qlog_begin_roam(struct qlog *qlog, roam_time now, const char *name, uint64_t path_id)
{
    char full[48];
    snprintf(full, sizeof(full), "roam:%s", name);
    return begin_event(qlog, now, full, path_id);
}

void qlog_end(struct qlog *qlog)
{
    json_object_end(&qlog->json);
    end_record(qlog);
}

/* ---- The file around them */

/* Days since 1970 to a date: the algorithm of the proleptic Gregorian calendar, with years that begin in March. */
static void format_date(uint64_t unix_ns, char ret[40])
{
    uint64_t seconds = unix_ns / 1000000000, days = seconds / 86400, shifted = days + 719468;
    uint64_t era = shifted / 146097, day_of_era = shifted % 146097;
    uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    unsigned month = (unsigned)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    unsigned year = (unsigned)(era * 400 + year_of_era + (month <= 2));
    snprintf(ret, 40, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day, (unsigned)(seconds / 3600 % 24),
             (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60), (unsigned)(unix_ns / 1000000 % 1000));
}

static void write_reference_time(const struct qlog *qlog, struct json *json, roam_time now)
{
    char date[40];
    json_object_begin(json, "reference_time");
    json_text(json, "clock_type", "monotonic");
    json_text(json, "epoch", "unknown");
    if (qlog->sink.unix_epoch_ns != 0) {
        format_date(saturating_add(qlog->sink.unix_epoch_ns, now), date);
        json_text(json, "wall_clock_time", date);
    }
    json_object_end(json);
}

/* qlog_version and qlog_format are of older drafts: qvis asks for them. */
static void write_header(struct qlog *qlog, roam_time now, const roam_cid *original_dcid, bool is_server)
{
    struct json *json = &qlog->json;
    begin_record(qlog);
    json_object_begin(json, NULL);
    json_text(json, "qlog_version", "0.3");
    json_text(json, "qlog_format", "JSON-SEQ");
    json_text(json, "file_schema", "urn:ietf:params:qlog:file:sequential");
    json_text(json, "serialization_format", "application/qlog+json-seq");
    json_text(json, "title", is_server ? "roam server" : "roam client");
    json_object_begin(json, "trace");
    json_object_begin(json, "vantage_point");
    json_text(json, "name", "roam");
    json_text(json, "type", is_server ? "server" : "client");
    json_object_end(json);
    json_array_begin(json, "event_schemas");
    json_text(json, NULL, qlog->dialect->events_uri);
    json_text(json, NULL, "urn:roam:qlog:events:roam");
    json_array_end(json);
    json_object_begin(json, "common_fields");
    qlog_cid(json, "group_id", original_dcid);
    qlog_cid(json, "ODCID", original_dcid);
    json_text(json, "time_format", "relative_to_epoch");
    write_reference_time(qlog, json, now);
    json_object_end(json);
    json_object_end(json);
    end_record(qlog);
}

bool qlog_open(struct qlog *qlog, roam_time now, const roam_qlog *sink, const roam_cid *original_dcid, bool is_server)
{
    assert((size_t)sink->names < ARRAY_LENGTH(dialects));
    qlog->sink = *sink;
    qlog->dialect = &dialects[sink->names];
    qlog->broken = false;
    qlog->left_out = 0;
    qlog->len = 0;
    qlog->log = sink->open(sink->context, original_dcid, is_server);
    if (qlog->log != NULL)
        write_header(qlog, now, original_dcid, is_server);
    return qlog->log != NULL;
}

void qlog_flush(struct qlog *qlog)
{
    if (qlog->len > 0 && !qlog->broken)
        qlog->broken = !qlog->sink.write(qlog->sink.context, qlog->log, qlog->buffer, qlog->len);
    qlog->len = 0;
}

void qlog_close(struct qlog *qlog)
{
    qlog_flush(qlog);
    qlog->sink.close(qlog->sink.context, qlog->log);
}

/* ---- Parts of records */

const char *qlog_packet_type(enum packet_type type)
{
    static const char *const names[PACKET_TYPES] = {
        [PACKET_INITIAL] = "initial",       [PACKET_ZERO_RTT] = "0RTT",
        [PACKET_HANDSHAKE] = "handshake",   [PACKET_RETRY] = "retry",
        [PACKET_ONE_RTT] = "1RTT",          [PACKET_VERSION_NEGOTIATION] = "version_negotiation",
        [PACKET_OTHER_VERSION] = "unknown",
    };
    return names[type];
}

const char *qlog_space(enum packet_space space)
{
    static const char *const names[PACKET_SPACES] = {"initial", "handshake", "application_data"};
    return names[space];
}

void qlog_endpoint_info(struct json *json, const char *key, const roam_address *address)
{
    bool ipv4 = address->family != ROAM_FAMILY_IPV6;
    json_object_begin(json, key);
    json_ip(json, ipv4 ? "ip_v4" : "ip_v6", address);
    json_number(json, ipv4 ? "port_v4" : "port_v6", address->port);
    json_object_end(json);
}

void qlog_cid(struct json *json, const char *key, const roam_cid *cid)
{
    json_hex(json, key, cid->bytes, cid->len);
}

void qlog_path_id(struct json *json, const char *key, uint64_t path_id)
{
    json_digits(json, key, path_id);
}

const char *qlog_error(uint64_t code, char ret[QLOG_ERROR_TEXT_MAX])
{
    if (code >= ROAM_CRYPTO_ERROR && code <= ROAM_CRYPTO_ERROR_LAST) {
        snprintf(ret, QLOG_ERROR_TEXT_MAX, "crypto_error_0x%03x", (unsigned)code);
        return ret;
    }
    if (code > ROAM_VERSION_NEGOTIATION_ERROR)
        return "unknown";
    snprintf(ret, QLOG_ERROR_TEXT_MAX, "%s", roam_error_name(code));
    for (char *c = ret; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return ret;
}
