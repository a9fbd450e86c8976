/* Transport parameters of a connection: ours as the configuration says, the peer's checked against what really
 * happened in the handshake (RFC 9000 section 7.3) and put to work. */
#include "conn/ack_frequency.h"
#include "conn/cids.h"
#include "conn/early_data.h"
#include "conn/log.h"
#include "conn/preferred.h"
#include "conn/versions.h"

static void grease(const roam_conn *conn, struct transport_params *ret)
{
    struct reserved_param *reserved = &ret->reserved;
    uint32_t random[3];
    rng_fill(conn->owner->rng, random, sizeof(random));
    //= rfc9287#3 Says that packets are taken without the fixed bit.
    ret->grease_quic_bit = true;
    //= rfc9000#18.1 A reserved parameter, so that unknown ones are ignored everywhere.
    *reserved = (struct reserved_param){.present = true, .n = random[0], .len = random[1] % sizeof(reserved->value)};
    rng_fill(conn->owner->rng, reserved->value, reserved->len);
    ret->version_information.reserved = quic_version_reserve(random[2]);
}

/* Those that a client remembers for its next connection, RFC 9000 section 7.4.1. */
static void promise(const roam_conn *conn, struct transport_params *ret)
{
    const roam_config *config = conn->config;
    ret->max_idle_timeout_ms = config->max_idle_timeout / ROAM_MILLISECONDS(1);
    ret->max_udp_payload = config->max_udp_payload;
    ret->initial_max_data = config->initial_max_data;
    ret->initial_max_stream_data_bidi_local = ret->initial_max_stream_data_bidi_remote =
        ret->initial_max_stream_data_uni = config->initial_max_stream_data;
    ret->initial_max_streams_bidi = config->initial_max_streams_bidi;
    ret->initial_max_streams_uni = config->initial_max_streams_uni;
    ret->active_connection_id_limit = config->active_connection_id_limit;
    ret->max_datagram_frame_size = config->max_datagram_frame_bytes;
}

bool conn_params_keep(const roam_conn *conn, const struct early_terms *terms)
{
    struct transport_params now, then;
    const char *ignored;
    transport_params_init(&now);
    promise(conn, &now);
    return transport_params_parse(&then, terms->params, terms->params_len, true, &ignored) == ROAM_NO_ERROR &&
           transport_params_lowered(&now, &then) == NULL;
}

void conn_params_make(roam_conn *conn, const struct conn_create *create)
{
    const roam_config *config = conn->config;
    const roam_cid ours = conn->local_cids.entries[0].cid;
    struct transport_params params;
    transport_params_init(&params);
    //= rfc9000#7.3 CID transport parameters equal the CIDs really used in the handshake.
    params.has_initial_source_cid = true;
    params.initial_source_cid = ours;
    if (conn->is_server) {
        params.has_original_destination_cid = true;
        params.original_destination_cid = conn->handshake->original_dcid;
        //= rfc9369#4.1-4 Also where another version than that of the Retry is chosen.
        params.has_retry_source_cid = create->retried;
        params.retry_source_cid = conn->handshake->retry_scid;
        //= rfc9000#18.2 Client does not send stateless_reset_token.
        if (ours.len > 0) {
            params.has_stateless_reset_token = true;
            conn->owner->cid_reset_token(conn->owner->context, &ours, params.stateless_reset_token);
        }
        conn_offer_preferred(conn, &create->local, &params);
    }
    promise(conn, &params);
    params.max_ack_delay_ms = config->max_ack_delay / ROAM_MILLISECONDS(1);
    //= rfc9000#5.2.3-1 Without CIDs a packet from a new address finds no connection: say so.
    //= rfc9000#9-3 A request, no rule: who moves in spite of it is validated and followed like anybody (migration.c).
    params.disable_active_migration = config->disable_active_migration || (conn->is_server && ours.len == 0);
    if (config->ack_frequency)
        params.min_ack_delay_us = min_ack_delay_us(params.max_ack_delay_ms);
    if (config->grease)
        grease(conn, &params);
    if (conn->log != NULL)
        conn_log_params(conn, &params, true);
    conn->handshake->ours = params;
}

size_t conn_params_write(roam_conn *conn, uint8_t *ret, size_t capacity)
{
    struct transport_params *params = &conn->handshake->ours;
    conn_versions_describe(conn, &params->version_information);
    struct writer writer = writer_init(ret, capacity);
    transport_params_write(&writer, params);
    return writer.failed ? 0 : writer_len(&writer);
}

void conn_on_params(roam_conn *conn, const uint8_t *data, size_t len)
{
    struct handshake *handshake = conn->handshake;
    handshake->params_error =
        transport_params_parse(&handshake->peer, data, len, !conn->is_server, &handshake->params_reason);
    handshake->params_received = true;
    //= rfc9287#3.1 Once the peer's parameters have come, and never before: nothing of it is remembered.
    conn->greases = handshake->params_error == ROAM_NO_ERROR && conn->config->grease && handshake->peer.grease_quic_bit;
}

//= rfc9000#7.3 Endpoints check that equality.
static const char *cid_mismatch(const roam_conn *conn)
{
    const struct handshake *handshake = conn->handshake;
    const struct transport_params *peer = &handshake->peer;
    if (!peer->has_initial_source_cid || !roam_cid_equal(&peer->initial_source_cid, &handshake->initial_scid))
        return "initial_source_connection_id does not match";
    if (conn->is_server)
        return NULL;
    if (!peer->has_original_destination_cid ||
        !roam_cid_equal(&peer->original_destination_cid, &handshake->original_dcid))
        return "original_destination_connection_id does not match";
    if (peer->has_retry_source_cid != handshake->has_retry)
        return "retry_source_connection_id without Retry, or Retry without it";
    if (handshake->has_retry && !roam_cid_equal(&peer->retry_source_cid, &handshake->retry_scid))
        return "retry_source_connection_id does not match";
    return NULL;
}

static uint64_t take_server_cids(roam_conn *conn)
{
    const struct transport_params *peer = &conn->handshake->peer;
    conn->client->server_params = mem_alloc(conn->allocator, sizeof(*peer));
    if (conn->client->server_params == NULL)
        return ROAM_INTERNAL_ERROR;
    *conn->client->server_params = *peer;
    if (peer->has_stateless_reset_token)
        remote_cid_set_initial_token(&conn->remote_cids, peer->stateless_reset_token);
    if (!peer->has_preferred_address)
        return ROAM_NO_ERROR;
    /* The preferred address brings the CID with sequence 1, RFC 9000 section 5.1.1; it may be used on any path. */
    struct frame frame = {.type = FRAME_NEW_CONNECTION_ID};
    frame.new_connection_id.sequence = 1;
    frame.new_connection_id.retire_prior_to = 0;
    frame.new_connection_id.cid = peer->preferred_address.cid;
    memcpy(frame.new_connection_id.reset_token, peer->preferred_address.reset_token, RESET_TOKEN_BYTES);
    conn_learn_preferred(conn);
    return conn_on_new_connection_id(conn, &frame);
}

static void keep_peer_params(roam_conn *conn)
{
    const struct transport_params *peer = &conn->handshake->peer;
    conn->peer = (struct peer_params){
        .max_idle_timeout_ms = peer->max_idle_timeout_ms,
        .active_connection_id_limit = peer->active_connection_id_limit,
        .max_udp_payload = (uint16_t)min_u64(peer->max_udp_payload, UINT16_MAX),
        .max_datagram_frame_bytes = (uint16_t)min_u64(peer->max_datagram_frame_size, DATAGRAM_FRAME_BYTES_MAX),
        .max_ack_delay_ms = (uint16_t)peer->max_ack_delay_ms,
        .ack_delay_exponent = (uint8_t)peer->ack_delay_exponent,
        .disable_active_migration = peer->disable_active_migration,
    };
    conn_keep_min_ack_delay(conn, peer->min_ack_delay_us);
}

uint64_t conn_params_apply(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    if (!handshake->params_received) {
        conn_fail(conn, ROAM_CRYPTO_ERROR + 109, 0, "no transport parameters");
        return ROAM_CRYPTO_ERROR + 109;
    }
    if (handshake->params_error != ROAM_NO_ERROR) {
        conn_fail(conn, handshake->params_error, 0, handshake->params_reason);
        return handshake->params_error;
    }
    const char *mismatch = cid_mismatch(conn);
    if (mismatch != NULL) {
        conn_fail(conn, ROAM_TRANSPORT_PARAMETER_ERROR, 0, mismatch);
        return ROAM_TRANSPORT_PARAMETER_ERROR;
    }
    mismatch = conn_version_mismatch(conn);
    if (mismatch != NULL) {
        conn_fail(conn, ROAM_VERSION_NEGOTIATION_ERROR, 0, mismatch);
        return ROAM_VERSION_NEGOTIATION_ERROR;
    }
    if (!conn_early_judge(conn))
        return ROAM_PROTOCOL_VIOLATION;
    keep_peer_params(conn);
    uint64_t error = conn->is_server ? (uint64_t)ROAM_NO_ERROR : take_server_cids(conn);
    if (error != ROAM_NO_ERROR) {
        bool no_memory = error == ROAM_INTERNAL_ERROR;
        error = no_memory ? ROAM_INTERNAL_ERROR : ROAM_TRANSPORT_PARAMETER_ERROR;
        conn_fail(conn, error, 0, no_memory ? "no memory" : "preferred_address");
        return error;
    }
    local_cid_set_peer_limit(&conn->local_cids, conn->peer.active_connection_id_limit);
    stream_set_peer_params(&conn->streams, &handshake->peer);
    conn_sync_reset_tokens(conn);
    return ROAM_NO_ERROR;
}
