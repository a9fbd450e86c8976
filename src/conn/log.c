/* The qlog of a connection from its beginning to its end: see log.h. */
#include "conn/log.h"

#include "conn/move_stats.h"

void conn_log_open(roam_conn *conn, const roam_qlog *sink, const roam_cid *original_dcid)
{
    struct conn_log *log = mem_zalloc(conn->allocator, sizeof(*log));
    if (log == NULL) {
        conn->owner->totals->qlog_failures++;
        return;
    }
    if (!qlog_open(&log->qlog, conn->now, sink, original_dcid, conn->is_server)) {
        mem_free(conn->allocator, log, sizeof(*log));
        return;
    }
    log->said.path_id = log->said.metrics.path_id = log->said.migration_path_id = QLOG_NO_PATH;
    conn->log = log;
}

void conn_log_close(roam_conn *conn)
{
    if (conn->log == NULL)
        return;
    qlog_close(&conn->log->qlog);
    conn->owner->totals->qlog_failures += conn->log->qlog.broken;
    mem_free(conn->allocator, conn->log, sizeof(*conn->log));
    conn->log = NULL;
}

void conn_log_flush(roam_conn *conn)
{
    qlog_flush(&conn->log->qlog);
    if (conn->log->qlog.broken)
        conn_log_close(conn);
}

/* ---- The beginning */

static void put_started(roam_conn *conn, struct json *json)
{
    const struct path *path = path_set_active(&conn->paths);
    if (conn->log->qlog.sink.names == ROAM_QLOG_NAMES_LATEST) {
        qlog_endpoint_info(json, "local", &path->local);
        qlog_endpoint_info(json, "remote", &path->remote);
        return;
    }
    json_text(json, "ip_version", path->remote.family == ROAM_FAMILY_IPV6 ? "ipv6" : "ipv4");
    json_ip(json, "src_ip", &path->local);
    json_ip(json, "dst_ip", &path->remote);
    json_text(json, "protocol", "QUIC");
    json_number(json, "src_port", path->local.port);
    json_number(json, "dst_port", path->remote.port);
    qlog_cid(json, "src_cid", &conn->row_cid);
    const struct remote_cid *cid = remote_cid_of_path(&conn->remote_cids, path->id);
    if (cid != NULL)
        qlog_cid(json, "dst_cid", &cid->cid);
}

static void put_recovery_parameters(const roam_conn *conn, struct json *json)
{
    const struct congestion *congestion = &path_set_active(&conn->paths)->recovery.congestion;
    json_number(json, "reordering_threshold", PACKET_THRESHOLD);
    json_raw(json, ",\"time_threshold\":1.125", 23);
    json_ms(json, "timer_granularity", TIMER_GRANULARITY);
    json_ms(json, "initial_rtt", conn->config->initial_rtt);
    json_number(json, "max_datagram_size", congestion->datagram_bytes);
    json_number(json, "initial_congestion_window", congestion->window);
    json_number(json, "minimum_congestion_window", congestion_minimum_window(congestion));
    json_text(json, "congestion_control", congestion->ops->name);
}

void conn_log_started(roam_conn *conn)
{
    struct qlog *qlog = &conn->log->qlog;
    put_started(conn, qlog_begin(qlog, conn->now, QLOG_CONNECTION_STARTED, QLOG_NO_PATH));
    qlog_end(qlog);
    put_recovery_parameters(conn, qlog_begin(qlog, conn->now, QLOG_RECOVERY_PARAMETERS_SET, QLOG_NO_PATH));
    qlog_end(qlog);
    conn_log_changes(conn);
}

/* ---- Transport parameters */

static void put_preferred_address(struct json *json, const struct preferred_address *address)
{
    json_object_begin(json, "preferred_address");
    if (roam_address_is_set(&address->ipv4)) {
        json_ip(json, "ip_v4", &address->ipv4);
        json_number(json, "port_v4", address->ipv4.port);
    }
    if (roam_address_is_set(&address->ipv6)) {
        json_ip(json, "ip_v6", &address->ipv6);
        json_number(json, "port_v6", address->ipv6.port);
    }
    qlog_cid(json, "connection_id", &address->cid);
    json_object_end(json);
}

static void put_cids(struct json *json, const struct transport_params *params)
{
    if (params->has_original_destination_cid)
        qlog_cid(json, "original_destination_connection_id", &params->original_destination_cid);
    if (params->has_initial_source_cid)
        qlog_cid(json, "initial_source_connection_id", &params->initial_source_cid);
    if (params->has_retry_source_cid)
        qlog_cid(json, "retry_source_connection_id", &params->retry_source_cid);
    if (params->has_preferred_address)
        put_preferred_address(json, &params->preferred_address);
}

void conn_log_params(roam_conn *conn, const struct transport_params *params, bool ours)
{
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PARAMETERS_SET, QLOG_NO_PATH);
    json_text(json, qlog->dialect->initiator, ours ? "local" : "remote");
    put_cids(json, params);
    json_bool(json, "disable_active_migration", params->disable_active_migration);
    json_number(json, "max_idle_timeout", params->max_idle_timeout_ms);
    json_number(json, "max_udp_payload_size", params->max_udp_payload);
    json_number(json, "ack_delay_exponent", params->ack_delay_exponent);
    json_number(json, "max_ack_delay", params->max_ack_delay_ms);
    json_number(json, "active_connection_id_limit", params->active_connection_id_limit);
    json_number(json, "initial_max_data", params->initial_max_data);
    json_number(json, "initial_max_stream_data_bidi_local", params->initial_max_stream_data_bidi_local);
    json_number(json, "initial_max_stream_data_bidi_remote", params->initial_max_stream_data_bidi_remote);
    json_number(json, "initial_max_stream_data_uni", params->initial_max_stream_data_uni);
    json_number(json, "initial_max_streams_bidi", params->initial_max_streams_bidi);
    json_number(json, "initial_max_streams_uni", params->initial_max_streams_uni);
    json_number(json, "max_datagram_frame_size", params->max_datagram_frame_size);
    json_bool(json, "grease_quic_bit", params->grease_quic_bit);
    if (params->min_ack_delay_us != MIN_ACK_DELAY_ABSENT)
        json_number(json, "min_ack_delay", params->min_ack_delay_us);
    qlog_end(qlog);
}

/* ---- What the application is told */

static void put_move(const roam_conn *conn, struct json *json)
{
    roam_path_stats move = move_stats_latest(conn);
    json_digits(json, "previous_path_id", move.previous_path_id);
    json_text(json, "why", roam_move_why_name(move.why));
    json_ms(json, "gap", move.gap);
    json_ms(json, "validated_after", move.validated_after);
    json_number(json, "packets_lost", move.packets_lost);
    json_number(json, "bytes_resent", move.bytes_resent);
    json_ms(json, "smoothed_rtt_before", move.rtt_before);
    json_ms(json, "smoothed_rtt_after", move.rtt_after);
    json_number(json, "congestion_window_before", move.window_before);
    json_number(json, "congestion_window_after", move.window_after);
}

static bool has_path_data(roam_event_type type)
{
    return type == ROAM_EVENT_PATH_CHALLENGED || type == ROAM_EVENT_PATH_CHALLENGE_RECEIVED ||
           type == ROAM_EVENT_PATH_RESPONDED || type == ROAM_EVENT_PATH_ANSWERED;
}

static void put_path_event(const roam_conn *conn, struct json *json, const roam_event *event)
{
    json_digits(json, "path_id", event->path_id);
    qlog_endpoint_info(json, "local", &event->local);
    qlog_endpoint_info(json, "remote", &event->remote);
    if (roam_address_is_set(&event->previous))
        qlog_endpoint_info(json, "previous", &event->previous);
    qlog_cid(json, "cid", &event->cid);
    json_bool(json, "proven", event->proven);
    if (event->type == ROAM_EVENT_PATH_MOVED)
        json_text(json, "why", roam_move_why_name(event->why));
    if (event->type == ROAM_EVENT_PATH_MTU)
        json_number(json, "datagram_bytes", event->datagram_bytes);
    if (has_path_data(event->type))
        json_hex(json, "data", event->path_data, sizeof(event->path_data));
    if (event->type == ROAM_EVENT_PATH_SETTLED)
        put_move(conn, json);
}

static void put_roam_event(const roam_conn *conn, struct json *json, const roam_event *event)
{
    switch (roam_event_class_of(event->type)) {
    case ROAM_EVENT_CLASS_PATH:
        put_path_event(conn, json, event);
        break;
    case ROAM_EVENT_CLASS_CID:
        qlog_cid(json, "cid", &event->cid);
        json_number(json, "sequence_number", event->sequence);
        break;
    default:
        break;
    }
}

/* Where the event says something of a migration, in the draft's words too. */
static void put_migration_state(roam_conn *conn, const roam_event *event)
{
    static const char *const states[ROAM_EVENT_TYPES] = {
#define ROAM_EVENT_ENTRY(id, text, class, migration) [ROAM_EVENT_##id] = migration,
#include <roam/events.def>
#undef ROAM_EVENT_ENTRY
    };
    struct qlog *qlog = &conn->log->qlog;
    struct log_view *said = &conn->log->said;
    const char *state = states[event->type];
    if (state == NULL || (state == said->migration && event->path_id == said->migration_path_id))
        return;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_MIGRATION_STATE_UPDATED, event->path_id);
    if (said->migration != NULL && event->path_id == said->migration_path_id)
        json_text(json, "old", said->migration);
    json_text(json, "new", state);
    qlog_path_id(json, qlog->dialect->path_id, event->path_id);
    qlog_endpoint_info(json, qlog->dialect->path_local, &event->local);
    qlog_endpoint_info(json, qlog->dialect->path_remote, &event->remote);
    qlog_end(qlog);
    said->migration = state;
    said->migration_path_id = event->path_id;
}

/* ---- The end */

static const char *close_trigger(enum roam_close_cause cause)
{
    switch (cause) {
    case ROAM_CLOSE_LOCAL_APPLICATION:
    case ROAM_CLOSE_PEER_APPLICATION:
        return "application";
    case ROAM_CLOSE_LOCAL_TRANSPORT:
    case ROAM_CLOSE_PEER_TRANSPORT:
        return "error";
    case ROAM_CLOSE_IDLE_TIMEOUT:
        return "idle_timeout";
    case ROAM_CLOSE_STATELESS_RESET:
        return "stateless_reset";
    case ROAM_CLOSE_VERSION_NEGOTIATION:
        return "version_mismatch";
    case ROAM_CLOSE_HANDSHAKE_TIMEOUT:
    case ROAM_CLOSE_NO_VIABLE_PATH:
        return "aborted";
    default:
        return "unspecified";
    }
}

static void put_closed(roam_conn *conn)
{
    const roam_error *error = conn->error;
    struct qlog *qlog = &conn->log->qlog;
    char text[QLOG_ERROR_TEXT_MAX];
    bool theirs = error->cause == ROAM_CLOSE_PEER_TRANSPORT || error->cause == ROAM_CLOSE_PEER_APPLICATION ||
                  error->cause == ROAM_CLOSE_STATELESS_RESET;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_CONNECTION_CLOSED, QLOG_NO_PATH);
    json_text(json, qlog->dialect->initiator, theirs ? "remote" : "local");
    if (error->cause == ROAM_CLOSE_LOCAL_TRANSPORT || error->cause == ROAM_CLOSE_PEER_TRANSPORT)
        json_text(json, "connection_error", qlog_error(error->code, text));
    else if (error->cause == ROAM_CLOSE_LOCAL_APPLICATION || error->cause == ROAM_CLOSE_PEER_APPLICATION)
        json_text(json, "application_error", "unknown");
    json_number(json, "error_code", error->code);
    json_text(json, "reason", error->reason);
    json_text(json, "trigger", close_trigger(error->cause));
    json_text(json, "cause", roam_close_cause_name(error->cause));
    qlog_end(qlog);
}

void conn_log_event(roam_conn *conn, const roam_event *event)
{
    struct qlog *qlog = &conn->log->qlog;
    /* Streams and DATAGRAMs are seen in their frames. */
    if (roam_event_class_of(event->type) == ROAM_EVENT_CLASS_STREAM ||
        roam_event_class_of(event->type) == ROAM_EVENT_CLASS_DATAGRAM)
        return;
    if (roam_event_class_of(event->type) == ROAM_EVENT_CLASS_PATH)
        conn_log_new_paths(conn);
    uint64_t path_id =
        roam_event_class_of(event->type) == ROAM_EVENT_CLASS_PATH ? event->path_id : (uint64_t)QLOG_NO_PATH;
    put_roam_event(conn, qlog_begin_roam(qlog, conn->now, roam_event_name(event->type), path_id), event);
    qlog_end(qlog);
    put_migration_state(conn, event);
    if (event->type == ROAM_EVENT_CLOSED)
        put_closed(conn);
}
