/* Packets in a connection's qlog: sent, received, dropped, kept for later, lost. See log.h. */
#include "conn/log.h"

static const char *ecn_name(uint8_t ecn)
{
    static const char *const names[] = {
        [ROAM_ECN_NOT_ECT] = "Not-ECT",
        [ROAM_ECN_ECT1] = "ECT(1)",
        [ROAM_ECN_ECT0] = "ECT(0)",
        [ROAM_ECN_CE] = "CE",
    };
    return names[ecn & 3];
}

static void put_version(struct json *json, const char *key, uint32_t version)
{
    const uint8_t octets[] = {(uint8_t)(version >> 24), (uint8_t)(version >> 16), (uint8_t)(version >> 8),
                              (uint8_t)version};
    json_hex(json, key, octets, sizeof(octets));
}

static void put_raw(struct json *json, size_t len, size_t payload_len)
{
    json_object_begin(json, "raw");
    json_number(json, "length", len);
    json_number(json, "payload_length", payload_len);
    json_object_end(json);
}

static void put_token_length(struct json *json, size_t len)
{
    json_object_begin(json, "token");
    json_object_begin(json, "raw");
    json_number(json, "length", len);
    json_object_end(json);
    json_object_end(json);
}

static void put_long_header(struct json *json, uint32_t version, const roam_cid *scid, const roam_cid *dcid)
{
    put_version(json, "version", version);
    json_number(json, "scil", scid->len);
    json_number(json, "dcil", dcid->len);
    qlog_cid(json, "scid", scid);
}

/* ---- Out */

void conn_log_sent(roam_conn *conn, const struct assembly *assembly, const struct pending_packet *packet, uint8_t ecn)
{
    struct qlog *qlog = &conn->log->qlog;
    conn_log_changes(conn);
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PACKET_SENT, assembly->path->id);
    json_object_begin(json, "header");
    json_text(json, "packet_type", qlog_packet_type(packet->type));
    json_number(json, "packet_number", packet->number);
    json_number(json, "packet_number_length", packet->header_len - packet->number_offset);
    if (packet->type == PACKET_ONE_RTT)
        json_number(json, "key_phase", conn->keys.updates);
    else
        put_long_header(json, conn->version, &conn->local_cids.entries[0].cid, assembly->dcid);
    if (packet->type == PACKET_INITIAL && !conn->is_server && conn->handshake->token_bytes > 0)
        put_token_length(json, conn->handshake->token_bytes);
    qlog_cid(json, "dcid", assembly->dcid);
    json_object_end(json);
    put_raw(json, packet->header_len + packet->payload_len + AEAD_TAG_BYTES, packet->payload_len);
    json_text(json, "ecn", ecn_name(ecn));
    if (assembly->mtu_probe)
        json_bool(json, "is_mtu_probe_packet", true);
    qlog_frames(json, packet->start + packet->header_len, packet->payload_len, ACK_DELAY_EXPONENT_DEFAULT);
    qlog_end(qlog);
}

/* ---- In */

void conn_log_incoming(roam_conn *conn, const struct packet_header *header, size_t bytes)
{
    conn->log->incoming.known = header != NULL;
    conn->log->incoming.bytes = header != NULL ? header->packet_len : bytes;
    if (header == NULL)
        return;
    conn->log->incoming.type = header->type;
    conn->log->incoming.dcid = header->dcid;
}

static void put_incoming(const roam_conn *conn, struct json *json)
{
    const struct conn_log *log = conn->log;
    json_object_begin(json, "header");
    json_text(json, "packet_type", log->incoming.known ? qlog_packet_type(log->incoming.type) : "unknown");
    if (log->incoming.known)
        qlog_cid(json, "dcid", &log->incoming.dcid);
    json_object_end(json);
    json_object_begin(json, "raw");
    json_number(json, "length", log->incoming.bytes);
    json_object_end(json);
}

/* The drafts know few reasons; "details" has ours. */
static const char *drop_trigger(roam_drop reason)
{
    switch (reason) {
    case ROAM_DROP_DUPLICATE:
        return "duplicate";
    case ROAM_DROP_AUTHENTICATION_FAILED:
        return "decryption_failure";
    case ROAM_DROP_KEYS_UNAVAILABLE:
    case ROAM_DROP_KEYS_DISCARDED:
        return "key_unavailable";
    case ROAM_DROP_UNKNOWN_CONNECTION:
        return "connection_unknown";
    case ROAM_DROP_UNSUPPORTED_VERSION:
    case ROAM_DROP_WRONG_VERSION:
        return "unsupported";
    case ROAM_DROP_OUT_OF_MEMORY:
        return "internal_error";
    case ROAM_DROP_TOO_SHORT:
    case ROAM_DROP_HEADER_INVALID:
    case ROAM_DROP_FIXED_BIT_ZERO:
    case ROAM_DROP_CID_TOO_LONG:
    case ROAM_DROP_CID_MISMATCH:
        return "invalid";
    default:
        return "rejected";
    }
}

void conn_log_dropped(roam_conn *conn, roam_drop reason)
{
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PACKET_DROPPED, QLOG_NO_PATH);
    put_incoming(conn, json);
    json_text(json, "trigger", drop_trigger(reason));
    json_object_begin(json, "details");
    json_text(json, "reason", roam_drop_name(reason));
    json_object_end(json);
    qlog_end(qlog);
}

void conn_log_buffered(roam_conn *conn)
{
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PACKET_BUFFERED, QLOG_NO_PATH);
    put_incoming(conn, json);
    json_text(json, "trigger", "keys_unavailable");
    qlog_end(qlog);
}

void conn_log_received(roam_conn *conn, const struct packet_header *header, const struct packet_context *context,
                       const uint8_t *payload, size_t len, bool key_phase)
{
    struct qlog *qlog = &conn->log->qlog;
    conn_log_changes(conn);
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PACKET_RECEIVED, context->path_id);
    json_object_begin(json, "header");
    json_text(json, "packet_type", qlog_packet_type(header->type));
    json_number(json, "packet_number", context->number);
    if (header->type == PACKET_ONE_RTT)
        json_bool(json, "key_phase_bit", key_phase);
    else
        put_long_header(json, header->version, &header->scid, &header->dcid);
    if (header->type == PACKET_INITIAL && header->token_len > 0)
        put_token_length(json, header->token_len);
    qlog_cid(json, "dcid", &header->dcid);
    json_object_end(json);
    put_raw(json, header->packet_len, len);
    json_text(json, "ecn", ecn_name(context->ecn));
    qlog_frames(json, payload, len, conn->peer.ack_delay_exponent);
    qlog_end(qlog);
}

void conn_log_unprotected(roam_conn *conn, const struct packet_header *header)
{
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PACKET_RECEIVED, QLOG_NO_PATH);
    json_object_begin(json, "header");
    json_text(json, "packet_type", qlog_packet_type(header->type));
    put_version(json, "version", header->version);
    json_hex(json, "scid", header->scid_bytes, header->scid_len);
    json_hex(json, "dcid", header->dcid_bytes, header->dcid_len);
    if (header->type == PACKET_RETRY)
        put_token_length(json, header->token_len);
    json_object_end(json);
    if (header->type == PACKET_VERSION_NEGOTIATION) {
        json_array_begin(json, "supported_versions");
        for (size_t i = 0; i + 4 <= header->versions_len; i += 4)
            json_hex(json, NULL, header->versions + i, 4);
        json_array_end(json);
    }
    put_raw(json, header->packet_len, 0);
    qlog_end(qlog);
}

/* ---- Lost */

static void put_lost_frame(struct json *json, const struct sent_frame *frame)
{
    static const char *const names[FRAME_TYPES] = {
        [FRAME_PING] = "ping",
        [FRAME_ACK] = "ack",
        [FRAME_RESET_STREAM] = "reset_stream",
        [FRAME_STOP_SENDING] = "stop_sending",
        [FRAME_CRYPTO] = "crypto",
        [FRAME_NEW_TOKEN] = "new_token",
        [FRAME_STREAM] = "stream",
        [FRAME_MAX_DATA] = "max_data",
        [FRAME_MAX_STREAM_DATA] = "max_stream_data",
        [FRAME_MAX_STREAMS_BIDI] = "max_streams",
        [FRAME_MAX_STREAMS_UNI] = "max_streams",
        [FRAME_DATA_BLOCKED] = "data_blocked",
        [FRAME_STREAM_DATA_BLOCKED] = "stream_data_blocked",
        [FRAME_STREAMS_BLOCKED_BIDI] = "streams_blocked",
        [FRAME_STREAMS_BLOCKED_UNI] = "streams_blocked",
        [FRAME_NEW_CONNECTION_ID] = "new_connection_id",
        [FRAME_RETIRE_CONNECTION_ID] = "retire_connection_id",
        [FRAME_HANDSHAKE_DONE] = "handshake_done",
        [FRAME_DATAGRAM] = "datagram",
        [FRAME_INDEX_ACK_FREQUENCY] = "ack_frequency",
    };
    const uint64_t index = frame_index(frame->type);
    const char *name = index < FRAME_TYPES ? names[index] : NULL;
    json_object_begin(json, NULL);
    json_text(json, "frame_type", name != NULL ? name : "unknown");
    if (frame->type == FRAME_STREAM)
        json_number(json, "stream_id", frame->id);
    if (frame->type == FRAME_NEW_CONNECTION_ID || frame->type == FRAME_RETIRE_CONNECTION_ID)
        json_number(json, "sequence_number", frame->id);
    if (frame->type == FRAME_STREAM || frame->type == FRAME_CRYPTO) {
        json_number(json, "offset", frame->offset);
        json_number(json, "length", frame->len);
    }
    if (frame->type == FRAME_DATAGRAM)
        json_number(json, "length", frame->len);
    json_object_end(json);
}

void conn_log_lost(roam_conn *conn, enum packet_space space, const struct sent_packet *packet)
{
    static const enum packet_type types[PACKET_SPACES] = {PACKET_INITIAL, PACKET_HANDSHAKE, PACKET_ONE_RTT};
    struct qlog *qlog = &conn->log->qlog;
    struct json *json = qlog_begin(qlog, conn->now, QLOG_PACKET_LOST, packet->path_id);
    json_object_begin(json, "header");
    json_text(json, "packet_type", qlog_packet_type(types[space]));
    json_number(json, "packet_number", packet->number);
    json_object_end(json);
    json_array_begin(json, "frames");
    for (const struct sent_frame *frame = packet->frames; frame != NULL; frame = frame->next)
        put_lost_frame(json, frame);
    json_array_end(json);
    qlog_end(qlog);
}
