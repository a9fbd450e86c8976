/* Rows, connections and events as the control socket tells them: docs/control.md has every member. */
#include <inttypes.h>

#include "base/minmax.h"
#include "cli/control.h"
#include "cli/counted_memory.h"

/* Of one connection; there are never as many. */
#define PATHS_MAX 64
#define CIDS_MAX  128

static void put_address(struct json *json, const char *key, const roam_address *address)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    if (roam_address_is_set(address))
        json_text(json, key, roam_address_format(address, text));
}

static void put_cid(struct json *json, const char *key, const roam_cid *cid)
{
    json_hex(json, key, cid->bytes, cid->len);
}

static void put_id(struct json *json, const char *key, uint64_t id)
{
    uint8_t octets[sizeof(id)];
    for (size_t i = sizeof(octets); i-- > 0; id >>= 8)
        octets[i] = (uint8_t)id;
    json_hex(json, key, octets, sizeof(octets));
}

/* What the line itself says as `id` is the request's. */
static void put_row_members(struct json *json, const struct watch_row *row)
{
    put_cid(json, "cid", &row->cid);
    put_address(json, "address", &row->remote);
    put_address(json, "claimed", &row->claimed);
    put_address(json, "local", &row->local);
    json_text(json, "state", roam_conn_state_name(row->state));
    json_text(json, "alpn", row->alpn);
    json_ms(json, "age_ms", row->age);
    json_ms(json, "rtt_ms", row->rtt);
    json_number(json, "window", row->window_bytes);
    json_number(json, "in", row->bytes_received);
    json_number(json, "out", row->bytes_sent);
    json_number(json, "moves", row->moves);
    if (row->moved) {
        json_ms(json, "last_move_ms", row->last_move);
        json_ms(json, "gap_ms", row->gap);
    }
}

void control_put_row(struct json *json, const struct watch_row *row)
{
    json_object_begin(json, NULL);
    put_id(json, "id", row->id);
    put_row_members(json, row);
    json_number(json, "paths", row->paths);
    json_object_end(json);
}

/* ---- One connection */

static void put_stats(struct json *json, const roam_conn *conn)
{
    roam_conn_stats stats;
    roam_conn_get_stats(conn, &stats);
    json_object_begin(json, "stats");
    json_number(json, "packets_sent", stats.packets_sent);
    json_number(json, "packets_received", stats.packets_received);
    json_number(json, "packets_lost", stats.packets_lost);
    json_number(json, "stream_bytes_sent", stats.stream_bytes_sent);
    json_number(json, "stream_bytes_resent", stats.stream_bytes_resent);
    json_number(json, "stream_bytes_received", stats.stream_bytes_received);
    json_number(json, "datagrams_sent", stats.datagrams_sent);
    json_number(json, "datagrams_received", stats.datagrams_received);
    json_number(json, "key_updates", stats.key_updates);
    json_number(json, "ptos", stats.ptos);
    json_number(json, "challenges_sent", stats.challenges_sent);
    json_number(json, "challenges_received", stats.challenges_received);
    json_number(json, "responses_received", stats.responses_received);
    json_text(json, "cipher", stats.cipher);
    json_text(json, "crypto_backend", stats.crypto_backend);
    json_bool(json, "resumed", stats.resumed);
    json_object_end(json);
}

static void put_paths(struct json *json, const roam_conn *conn)
{
    roam_path_info paths[PATHS_MAX];
    size_t n = min_size(roam_conn_paths(conn, paths, PATHS_MAX), PATHS_MAX);
    json_array_begin(json, "paths");
    for (size_t i = 0; i < n; i++) {
        const roam_path_info *path = &paths[i];
        json_object_begin(json, NULL);
        json_number(json, "id", path->id);
        json_bool(json, "active", path->active);
        json_text(json, "state", roam_path_state_name(path->state));
        put_address(json, "local", &path->local);
        put_address(json, "remote", &path->remote);
        put_cid(json, "cid", &path->cid);
        json_number(json, "cid_sequence", path->cid_sequence);
        json_number(json, "in", path->bytes_received);
        json_number(json, "out", path->bytes_sent);
        json_number(json, "window", path->window_bytes);
        json_number(json, "in_flight", path->in_flight_bytes);
        json_ms(json, "rtt_ms", path->smoothed_rtt);
        json_ms(json, "min_rtt_ms", path->min_rtt);
        json_number(json, "datagram_bytes", path->datagram_bytes);
        json_text(json, "pmtud", roam_pmtud_state_name(path->pmtud));
        json_text(json, "ecn", roam_ecn_state_name(path->ecn));
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_cids(struct json *json, const roam_conn *conn)
{
    roam_cid_info cids[CIDS_MAX];
    size_t n = min_size(roam_conn_cids(conn, cids, CIDS_MAX), CIDS_MAX);
    json_array_begin(json, "cids");
    for (size_t i = 0; i < n; i++) {
        json_object_begin(json, NULL);
        json_text(json, "of", cids[i].peers ? "peer" : "server");
        json_number(json, "sequence", cids[i].sequence);
        put_cid(json, "cid", &cids[i].cid);
        json_bool(json, "used", cids[i].used);
        json_bool(json, "in_use", cids[i].in_use);
        json_bool(json, "retiring", cids[i].retiring);
        json_number(json, "bytes", cids[i].bytes);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_move(struct json *json, const char *key, const roam_path_stats *move, roam_time now)
{
    json_object_begin(json, key);
    json_ms(json, "ago_ms", now - min_u64(move->moved_at, now));
    put_address(json, "from", &move->previous_remote);
    put_address(json, "to", &move->remote);
    put_address(json, "local", &move->local);
    json_number(json, "path", move->path_id);
    json_text(json, "why", roam_move_why_name(move->why));
    json_bool(json, "reverted", move->reverted);
    json_bool(json, "validated", move->validated);
    json_bool(json, "settled", move->settled);
    json_ms(json, "gap_ms", move->gap);
    json_ms(json, "validated_after_ms", move->validated_after);
    json_number(json, "packets_lost", move->packets_lost);
    json_number(json, "bytes_resent", move->bytes_resent);
    json_ms(json, "rtt_before_ms", move->rtt_before);
    json_ms(json, "rtt_after_ms", move->rtt_after);
    json_number(json, "window_before", move->window_before);
    json_number(json, "window_after", move->window_after);
    json_object_end(json);
}

void control_put_connection(struct json *json, const roam_conn *conn, roam_time now)
{
    struct watch_row row;
    roam_conn_info info;
    roam_path_stats moves[ROAM_MOVES_KEPT];
    roam_conn_get_info(conn, &info);
    watch_row_fill(&row, &info, now);
    put_id(json, "row_id", row.id);
    put_row_members(json, &row);
    put_stats(json, conn);
    put_paths(json, conn);
    put_cids(json, conn);
    size_t n = roam_conn_path_stats(conn, moves, ROAM_MOVES_KEPT);
    json_array_begin(json, "newest_moves");
    for (size_t i = 0; i < n; i++)
        put_move(json, NULL, &moves[i], now);
    json_array_end(json);
}

/* ---- Events */

static void put_path_event(struct json *json, const roam_event *event)
{
    roam_path_stats move;
    json_number(json, "path", event->path_id);
    put_address(json, "local", &event->local);
    put_address(json, "remote", &event->remote);
    json_bool(json, "proven", event->proven);
    put_cid(json, "cid", &event->cid);
    if (event->type == ROAM_EVENT_PATH_MOVED || event->type == ROAM_EVENT_PATH_REVERTED ||
        event->type == ROAM_EVENT_PATH_SETTLED)
        put_address(json, "previous", &event->previous);
    if (event->type == ROAM_EVENT_PATH_MOVED)
        json_text(json, "why", roam_move_why_name(event->why));
    if (event->type == ROAM_EVENT_PATH_MTU)
        json_number(json, "datagram_bytes", event->datagram_bytes);
    if (event->type == ROAM_EVENT_PATH_SETTLED && roam_conn_path_stats(event->conn, &move, 1) > 0)
        put_move(json, "move", &move, event->time);
}

static void put_end(struct json *json, const roam_event *event)
{
    roam_conn_info info;
    roam_conn_stats stats;
    roam_conn_get_info(event->conn, &info);
    roam_conn_get_stats(event->conn, &stats);
    json_text(json, "cause", roam_close_cause_name(event->error->cause));
    json_number(json, "code", event->error->code);
    if (event->error->cause == ROAM_CLOSE_LOCAL_TRANSPORT || event->error->cause == ROAM_CLOSE_PEER_TRANSPORT)
        json_text(json, "error", roam_error_name(event->error->code));
    json_text(json, "reason", event->error->reason);
    json_bool(json, "established", roam_conn_alpn(event->conn)[0] != '\0');
    json_ms(json, "age_ms", event->time - min_u64(info.created, event->time));
    json_number(json, "in", stats.bytes_received);
    json_number(json, "out", stats.bytes_sent);
    json_number(json, "moves", info.moves);
}

static void put_connection_event(struct json *json, const roam_event *event)
{
    roam_conn_stats stats;
    if (event->type == ROAM_EVENT_CLOSED) {
        put_end(json, event);
    } else if (event->type == ROAM_EVENT_CONNECTED) {
        roam_conn_get_stats(event->conn, &stats);
        json_text(json, "alpn", roam_conn_alpn(event->conn));
        json_text(json, "cipher", stats.cipher);
        json_bool(json, "resumed", stats.resumed);
    }
}

static void put_time(struct json *json, const struct control *control, roam_time time)
{
    json_ms(json, "time_ms", (roam_time)((int64_t)time + control->unix_offset));
}

void control_put_event(struct json *json, const struct control *control, const roam_event *event)
{
    const roam_event_class class = roam_event_class_of(event->type);
    json_text(json, "event", roam_event_name(event->type));
    put_time(json, control, event->time);
    if (event->conn != NULL) {
        roam_conn_info info;
        roam_conn_get_info(event->conn, &info);
        put_id(json, "id", info.id);
        put_cid(json, "connection", &info.cid);
        put_address(json, "address", &info.remote);
    }
    switch (class) {
    case ROAM_EVENT_CLASS_CONNECTION:
        put_connection_event(json, event);
        break;
    case ROAM_EVENT_CLASS_PATH:
        put_path_event(json, event);
        break;
    case ROAM_EVENT_CLASS_CID:
        put_cid(json, "cid", &event->cid);
        json_number(json, "sequence", event->sequence);
        break;
    case ROAM_EVENT_CLASS_ENDPOINT:
        put_address(json, "local", &event->local);
        put_address(json, "remote", &event->remote);
        put_cid(json, "cid", &event->cid);
        break;
    case ROAM_EVENT_CLASS_STREAM:
        if (event->stream != NULL)
            json_number(json, "stream", roam_stream_id(event->stream));
        json_number(json, "code", event->code);
        break;
    case ROAM_EVENT_CLASS_DATAGRAM:
        json_number(json, "tag", event->tag);
        break;
    }
}

/* ---- The server */

void control_put_server(struct json *json, const struct control *control)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(roam_io_endpoint(control->io), &stats);
    uint64_t drops = 0;
    for (size_t i = 0; i < ROAM_DROPS; i++)
        drops += stats.drops[i];
    json_object_begin(json, "server");
    json_text(json, "command", control->command);
    put_time(json, control, roam_io_now(control->io));
    json_ms(json, "up_ms", roam_io_now(control->io) - control->started);
    json_object_begin(json, "states");
    for (unsigned state = ROAM_CONN_HANDSHAKE; state < ROAM_CONN_CLOSED; state++)
        json_number(json, roam_conn_state_name(state), stats.connections[state]);
    json_object_end(json);
    json_number(json, "accepted", stats.connections_accepted);
    json_number(json, "closed", stats.connections_closed);
    json_number(json, "moves", stats.moves);
    json_number(json, "paths_validated", stats.paths_validated);
    json_number(json, "paths_failed", stats.paths_failed);
    json_number(json, "packets_received", stats.packets_received);
    json_number(json, "packets_sent", stats.packets_sent);
    json_number(json, "in", stats.bytes_received);
    json_number(json, "out", stats.bytes_sent);
    json_number(json, "drops", drops);
    json_number(json, "memory", counted_bytes());
    json_number(json, "resident", resident_bytes());
    json_object_end(json);
}
