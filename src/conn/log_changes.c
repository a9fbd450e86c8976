/* What has changed in a connection since its qlog heard of it: see log.h. */
#include "conn/log.h"

/* ---- The connection */

/* How far it has come, in the drafts' words; NULL before it has an address. */
static const char *stage_of(const roam_conn *conn)
{
    switch (conn->state) {
    case ROAM_CONN_RESOLVING:
        return NULL;
    case ROAM_CONN_CLOSING:
        return "closing";
    case ROAM_CONN_DRAINING:
        return "draining";
    case ROAM_CONN_CLOSED:
        return "closed";
    default:
        break;
    }
    if (conn->confirmed)
        return "handshake_confirmed";
    if (conn->handshake_complete)
        return "handshake_complete";
    return conn->handshake->receive[SPACE_HANDSHAKE].available ? "handshake_started" : "attempted";
}

static void put_versions_and_alpn(roam_conn *conn)
{
    struct qlog *qlog = &conn->log->qlog;
    const char *const *offered = conn->config->alpn;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_VERSION_INFORMATION, QLOG_NO_PATH);
    const uint8_t version[] = {(uint8_t)(conn->version >> 24), (uint8_t)(conn->version >> 16),
                               (uint8_t)(conn->version >> 8), (uint8_t)conn->version};
    json_hex(json, "chosen_version", version, sizeof(version));
    qlog_end(qlog);
    json = qlog_begin(qlog, conn->now, QLOG_ALPN_INFORMATION, QLOG_NO_PATH);
    json_array_begin(json, conn->is_server ? "server_alpns" : "client_alpns");
    for (size_t i = 0; offered[i] != NULL; i++) {
        json_object_begin(json, NULL);
        json_text(json, "string_value", offered[i]);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_begin(json, "chosen_alpn");
    json_text(json, "string_value", conn->alpn);
    json_object_end(json);
    qlog_end(qlog);
}

static void look_at_state(roam_conn *conn, struct log_view *said)
{
    const char *stage = stage_of(conn);
    if (stage == said->stage || stage == NULL)
        return;
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_CONNECTION_STATE_UPDATED, QLOG_NO_PATH);
    if (said->stage != NULL)
        json_text(json, "old", said->stage);
    json_text(json, "new", stage);
    qlog_end(qlog);
    said->stage = stage;
}

static void look_at_handshake(roam_conn *conn, struct log_view *said)
{
    if (said->params_received || !conn->handshake_complete || conn->handshake == NULL)
        return;
    said->params_received = true;
    conn_log_params(conn, &conn->handshake->peer, false);
    put_versions_and_alpn(conn);
}

/* ---- Keys */

static void put_key(roam_conn *conn, enum qlog_event event, bool client, enum packet_space space)
{
    static const char *const types[PACKET_SPACES][2] = {
        {"server_initial_secret", "client_initial_secret"},
        {"server_handshake_secret", "client_handshake_secret"},
        {"server_1rtt_secret", "client_1rtt_secret"},
    };
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, event, QLOG_NO_PATH);
    json_text(json, "key_type", types[space][client]);
    if (space == SPACE_APPLICATION)
        json_number(json, "key_phase", conn->keys.updates);
    if (space != SPACE_APPLICATION || conn->keys.updates == 0)
        json_text(json, "trigger", "tls");
    qlog_end(qlog);
}

static void put_keys(roam_conn *conn, enum qlog_event event, enum packet_space space)
{
    put_key(conn, event, true, space);
    put_key(conn, event, false, space);
}

static bool has_keys(const roam_conn *conn, enum packet_space space)
{
    if (space == SPACE_APPLICATION)
        return conn->keys.receive.available && conn->keys.send.available;
    return conn->handshake != NULL && conn->handshake->receive[space].available &&
           conn->handshake->send[space].available;
}

static bool has_discarded(const roam_conn *conn, enum packet_space space)
{
    return space != SPACE_APPLICATION && (conn->handshake == NULL || conn->handshake->discarded[space]);
}

static void look_at_keys(roam_conn *conn, struct log_view *said)
{
    for (enum packet_space space = SPACE_INITIAL; space < PACKET_SPACES; space++) {
        if (!said->keys[space] && has_keys(conn, space)) {
            said->keys[space] = true;
            put_keys(conn, QLOG_KEY_UPDATED, space);
        }
        if (said->keys[space] && !said->discarded[space] && has_discarded(conn, space)) {
            said->discarded[space] = true;
            put_keys(conn, QLOG_KEY_DISCARDED, space);
        }
    }
    if (conn->keys.updates != said->key_updates) {
        said->key_updates = conn->keys.updates;
        put_keys(conn, QLOG_KEY_UPDATED, SPACE_APPLICATION);
    }
}

/* ---- Paths and connection IDs */

static void put_path(roam_conn *conn, const struct path *path)
{
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PATH_ASSIGNED, path->id);
    qlog_path_id(json, qlog->dialect->path_id, path->id);
    qlog_endpoint_info(json, qlog->dialect->path_local, &path->local);
    qlog_endpoint_info(json, qlog->dialect->path_remote, &path->remote);
    qlog_end(qlog);
}

void conn_log_new_paths(roam_conn *conn)
{
    struct log_view *said = &conn->log->said;
    uint64_t next = said->next_path_id;
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *path = conn->paths.paths[i];
        if (path->id < said->next_path_id)
            continue;
        put_path(conn, path);
        next = max_u64(next, path->id + 1);
    }
    said->next_path_id = next;
}

static void put_cid_change(roam_conn *conn, bool ours, const roam_cid *old, const roam_cid *new)
{
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_CONNECTION_ID_UPDATED, QLOG_NO_PATH);
    json_text(json, qlog->dialect->initiator, ours ? "local" : "remote");
    qlog_cid(json, "old", old);
    qlog_cid(json, "new", new);
    qlog_end(qlog);
}

static void look_at_cids(roam_conn *conn, struct log_view *said, const struct path *active)
{
    const struct remote_cid *remote = remote_cid_of_path(&conn->remote_cids, active->id);
    if (remote != NULL && !roam_cid_equal(&remote->cid, &said->remote_cid)) {
        put_cid_change(conn, false, &said->remote_cid, &remote->cid);
        said->remote_cid = remote->cid;
    }
    if (!roam_cid_equal(&conn->row_cid, &said->local_cid)) {
        put_cid_change(conn, true, &said->local_cid, &conn->row_cid);
        said->local_cid = conn->row_cid;
    }
}

/* A path keeps its id when a client's socket is another one. */
static void look_at_addresses(roam_conn *conn, struct log_view *said, const struct path *active)
{
    bool same = roam_address_equal(&active->local, &said->local) && roam_address_equal(&active->remote, &said->remote);
    if (active->id == said->path_id && !same)
        put_path(conn, active);
    said->path_id = active->id;
    said->local = active->local;
    said->remote = active->remote;
}

/* ---- Recovery, on the active path */

static void put_change(roam_conn *conn, enum qlog_event event, uint64_t path_id, const char *old, const char *new)
{
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, event, path_id);
    if (old != NULL)
        json_text(json, "old", old);
    json_text(json, "new", new);
    qlog_end(qlog);
}

static const char *ecn_state_name(enum roam_ecn_state state)
{
    static const char *const names[] = {
        [ROAM_ECN_STATE_OFF] = "failed",      [ROAM_ECN_STATE_TESTING] = "testing",
        [ROAM_ECN_STATE_UNKNOWN] = "unknown", [ROAM_ECN_STATE_CAPABLE] = "capable",
        [ROAM_ECN_STATE_FAILED] = "failed",
    };
    return names[state];
}

static void look_at_path_state(roam_conn *conn, struct log_view *said, const struct path *active)
{
    const char *congestion = congestion_state_name(&active->recovery.congestion);
    if (congestion != said->congestion)
        put_change(conn, QLOG_CONGESTION_STATE_UPDATED, active->id, said->congestion, congestion);
    said->congestion = congestion;
    if (active->ecn.state != said->ecn)
        put_change(conn, QLOG_ECN_STATE_UPDATED, active->id,
                   said->ecn != ROAM_ECN_STATE_OFF ? ecn_state_name(said->ecn) : NULL,
                   ecn_state_name(active->ecn.state));
    said->ecn = active->ecn.state;
    bool searched = active->pmtud.state == ROAM_PMTUD_SEARCH_COMPLETE;
    if (path_datagram_bytes(active) == said->datagram_bytes && searched == said->searched)
        return;
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_MTU_UPDATED, active->id);
    if (said->datagram_bytes > 0)
        json_number(json, "old", said->datagram_bytes);
    json_number(json, "new", path_datagram_bytes(active));
    json_bool(json, "done", searched);
    qlog_end(qlog);
    said->datagram_bytes = path_datagram_bytes(active);
    said->searched = searched;
}

static uint64_t packets_in_flight(const roam_conn *conn)
{
    uint64_t packets = conn->application.sent.ack_eliciting;
    for (int space = 0; conn->handshake != NULL && space < 2; space++)
        packets += conn->handshake->spaces[space].sent.ack_eliciting;
    return packets;
}

static struct log_metrics metrics_of(const roam_conn *conn, const struct path *active)
{
    const struct path_recovery *recovery = &active->recovery;
    return (struct log_metrics){
        .path_id = active->id,
        .window = recovery->congestion.window,
        .in_flight = recovery->congestion.in_flight,
        .threshold = recovery->congestion.slow_start_threshold,
        .pacing_rate = recovery->congestion.pacing_rate,
        .packets_in_flight = packets_in_flight(conn),
        .min_rtt = recovery->rtt.min,
        .smoothed_rtt = recovery->rtt.smoothed,
        .latest_rtt = recovery->rtt.latest,
        .rtt_variation = recovery->rtt.variation,
        .pto_count = conn->pto_count,
    };
}

static void put_rtt(struct json *json, const struct log_metrics *metrics)
{
    json_ms(json, "min_rtt", metrics->min_rtt);
    json_ms(json, "smoothed_rtt", metrics->smoothed_rtt);
    json_ms(json, "latest_rtt", metrics->latest_rtt);
    json_ms(json, "rtt_variance", metrics->rtt_variation);
}

/* Only what is new; all of it where the path is another one. */
static void look_at_metrics(roam_conn *conn, struct log_view *said, const struct path *active)
{
    struct log_metrics now = metrics_of(conn, active), *last = &said->metrics;
    if (memcmp(&now, last, sizeof(now)) == 0)
        return;
    bool all = now.path_id != last->path_id;
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_METRICS_UPDATED, active->id);
    if (active->recovery.rtt.has_sample && (all || now.latest_rtt != last->latest_rtt || now.min_rtt != last->min_rtt ||
                                            now.smoothed_rtt != last->smoothed_rtt))
        put_rtt(json, &now);
    if (all || now.pto_count != last->pto_count)
        json_number(json, "pto_count", now.pto_count);
    if (all || now.window != last->window)
        json_number(json, "congestion_window", now.window);
    if (all || now.in_flight != last->in_flight)
        json_number(json, "bytes_in_flight", now.in_flight);
    if ((all || now.threshold != last->threshold) && now.threshold != UINT64_MAX)
        json_number(json, "ssthresh", now.threshold);
    if ((all || now.pacing_rate != last->pacing_rate) && now.pacing_rate > 0)
        json_number(json, "pacing_rate", saturating_mul(now.pacing_rate, 8)); /* bits a second */
    if (all || now.packets_in_flight != last->packets_in_flight)
        json_number(json, "packets_in_flight", now.packets_in_flight);
    qlog_end(qlog);
    *last = now;
}

/* ---- The loss timer */

static void put_timer(roam_conn *conn, enum loss_timer timer, enum packet_space space, const char *what, roam_time at)
{
    struct qlog *qlog = &conn->log->qlog;
    bool latest = qlog->sink.names == ROAM_QLOG_NAMES_LATEST;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_TIMER_UPDATED, QLOG_NO_PATH);
    json_text(json, "timer_type", timer == LOSS_TIMER_PTO ? "pto" : latest ? "loss_timeout" : "ack");
    json_text(json, "packet_number_space", qlog_space(space));
    json_text(json, "event_type", what);
    if (at != ROAM_TIME_NEVER)
        json_ms(json, "delta", saturating_sub(at, conn->now));
    qlog_end(qlog);
}

void conn_log_timer_expired(roam_conn *conn, enum loss_timer timer, enum packet_space space)
{
    put_timer(conn, timer, space, "expired", ROAM_TIME_NEVER);
    conn->log->said.timer = LOSS_TIMER_NONE;
}

/* Each packet puts the PTO off: that it is set is said when it was not, or for something else. */
static void look_at_timer(roam_conn *conn, struct log_view *said)
{
    enum packet_space space = SPACE_INITIAL;
    roam_time at = ROAM_TIME_NEVER;
    enum loss_timer timer = conn_is_alive(conn) && conn->state != ROAM_CONN_RESOLVING
                                ? conn_loss_timer(conn, &space, &at)
                                : LOSS_TIMER_NONE;
    if (timer == said->timer && (timer == LOSS_TIMER_NONE || space == said->timer_space))
        return;
    if (timer == LOSS_TIMER_NONE)
        put_timer(conn, said->timer, said->timer_space, "cancelled", ROAM_TIME_NEVER);
    else
        put_timer(conn, timer, space, "set", at);
    said->timer = timer;
    said->timer_space = space;
}

void conn_log_changes(roam_conn *conn)
{
    struct log_view *said = &conn->log->said;
    const struct path *active = path_set_active(&conn->paths);
    conn_log_new_paths(conn);
    look_at_state(conn, said);
    look_at_handshake(conn, said);
    look_at_keys(conn, said);
    look_at_addresses(conn, said, active);
    look_at_cids(conn, said, active);
    look_at_path_state(conn, said, active);
    look_at_metrics(conn, said, active);
    look_at_timer(conn, said);
}
