/*
 * The beginning and the end of a connection's memory: conn_new at both sides, conn_start when a client knows where
 * to go, conn_handshake_free when the handshake has been settled, conn_delete.
 */
#include <assert.h>

#include "conn/ack_frequency.h"
#include "conn/config_copy.h"
#include "conn/datagrams.h"
#include "conn/log.h"
#include "conn/mobility.h"
#include "conn/move_stats.h"
#include "conn/paths.h"
#include "conn/preferred.h"
#include "conn/versions.h"

void conn_tell(roam_conn *conn, const roam_event *event)
{
    if (conn->log != NULL)
        conn_log_event(conn, event);
    conn->owner->event(conn->owner->context, event);
}

static void stream_event(roam_conn *conn, roam_stream *stream, roam_event_type type, uint64_t code)
{
    roam_event event = {.type = type, .time = conn->now, .conn = conn, .stream = stream, .code = code};
    conn_tell(conn, &event);
}

static void stream_wake(roam_conn *conn)
{
    conn->owner->wake(conn->owner->context, conn);
}

static const struct stream_sink sink = {.event = stream_event, .wake = stream_wake};

void conn_event(roam_conn *conn, roam_event_type type)
{
    roam_event event = {.type = type, .time = conn->now, .conn = conn};
    if (type == ROAM_EVENT_CLOSED)
        event.error = conn->error;
    conn_tell(conn, &event);
}

void conn_cid_event(roam_conn *conn, roam_event_type type, const roam_cid *cid, uint64_t sequence)
{
    roam_event event = {.type = type, .time = conn->now, .conn = conn, .cid = *cid, .sequence = sequence};
    conn_tell(conn, &event);
}

struct pn_space *conn_space(roam_conn *conn, enum packet_space space)
{
    if (space == SPACE_APPLICATION)
        return &conn->application;
    if (conn->handshake == NULL || conn->handshake->discarded[space])
        return NULL;
    return &conn->handshake->spaces[space];
}

static void init_handshake(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    for (int space = 0; space < 2; space++) {
        pn_space_init(&handshake->spaces[space], conn->allocator, conn->application.sent.frame_pool);
        packet_keys_init(&handshake->receive[space]);
        packet_keys_init(&handshake->send[space]);
    }
    for (int space = 0; space < PACKET_SPACES; space++) {
        send_half_init(&handshake->crypto_send[space], conn->allocator, UINT64_MAX);
        recv_half_init(&handshake->crypto_receive[space], conn->allocator);
    }
    packet_keys_init(&handshake->zero_rtt);
    /* A server's address needs no proof; a client's is proven when the server may stop asking (RFC 9002 appendix
     * A.8). */
    handshake->peer_completed_address_validation = conn->is_server;
}

static void free_early_packets(roam_conn *conn)
{
    while (conn->handshake->early != NULL) {
        struct early_packet *packet = conn->handshake->early;
        conn->handshake->early = packet->next;
        mem_free(conn->allocator, packet, sizeof(*packet) + packet->len);
    }
}

void conn_handshake_free(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    if (handshake == NULL)
        return;
    tls_free(handshake->tls);
    for (int space = 0; space < 2; space++) {
        pn_space_done(&handshake->spaces[space]);
        packet_keys_done(&handshake->receive[space]);
        packet_keys_done(&handshake->send[space]);
    }
    for (int space = 0; space < PACKET_SPACES; space++) {
        send_half_done(&handshake->crypto_send[space]);
        recv_half_done(&handshake->crypto_receive[space]);
    }
    packet_keys_done(&handshake->zero_rtt);
    packet_keys_done(&handshake->other_receive);
    free_early_packets(conn);
    mem_free(conn->allocator, handshake->token, handshake->token_bytes);
    wipe(handshake->receive_secret, sizeof(handshake->receive_secret));
    wipe(handshake->send_secret, sizeof(handshake->send_secret));
    mem_free(conn->allocator, handshake, sizeof(*handshake));
    conn->handshake = NULL;
}

/* The CIDs that both sides start with: ours, new and routed; the peer's, at a client a random one for the server to
 * replace (RFC 9000 section 7.2). */
static bool init_cids(roam_conn *conn, const struct conn_create *create)
{
    roam_cid ours;
    if (!conn->owner->cid_new(conn->owner->context, conn, &ours))
        return false;
    if (!local_cid_set_init(&conn->local_cids, conn->allocator, &ours)) {
        conn->owner->cid_gone(conn->owner->context, conn, &ours);
        return false;
    }
    conn->row_cid = ours;
    roam_cid theirs = create->client_scid;
    if (create->is_server) {
        conn->handshake->original_dcid = create->original_dcid;
        conn->handshake->initial_scid = create->client_scid;
        conn->handshake->has_retry = create->retried;
        conn->handshake->retry_scid = create->client_dcid;
    } else {
        //= rfc9000#7.2 First destination CID is at least 8 unpredictable bytes.
        theirs.len = 18;
        rng_fill(conn->owner->rng, theirs.bytes, theirs.len);
        conn->handshake->original_dcid = theirs;
    }
    return remote_cid_set_init(&conn->remote_cids, conn->allocator, &theirs,
                               (size_t)conn->config->active_connection_id_limit);
}

static bool init_first_path(roam_conn *conn, const roam_address *local, const roam_address *remote)
{
    struct path *path = path_set_add(&conn->paths, local, remote, conn->config, conn->now);
    if (path == NULL)
        return false;
    path->was_active = true;
    bool assigned = remote_cid_assign(&conn->remote_cids, path->id);
    assert(assigned);
    (void)assigned;
    return true;
}

static void init_modules(roam_conn *conn, const struct conn_create *create)
{
    pn_space_init(&conn->application, conn->allocator, create->frame_pool);
    one_rtt_keys_init(&conn->keys);
    path_set_init(&conn->paths, conn->allocator, conn->config->max_paths);
    packet_keys_init(&conn->handshake->other_receive);
    transport_params_init(&conn->handshake->peer);
    /* What an absent parameter means, until they are known. */
    conn->peer = (struct peer_params){.active_connection_id_limit = ACTIVE_CID_LIMIT_MIN,
                                      .max_udp_payload = UDP_PAYLOAD_DEFAULT,
                                      .max_ack_delay_ms = MAX_ACK_DELAY_MS_DEFAULT,
                                      .ack_delay_exponent = ACK_DELAY_EXPONENT_DEFAULT};
    stream_set_init(&conn->streams, conn->allocator, conn, conn->is_server, conn->config, conn->owner->rng, &sink);
    timer_node_init(&conn->timer);
    list_init(&conn->endpoint_node);
    list_init(&conn->ready_node);
    list_init(&conn->lent_node);
    init_handshake(conn);
}

static bool make_client(roam_conn *conn, const struct conn_create *create)
{
    struct conn_client *client = mem_zalloc(conn->allocator, sizeof(*client));
    conn->client = client;
    if (client == NULL)
        return false;
    client->config = config_copy(conn->allocator, create->config);
    conn->config = client->config;
    size_t host_bytes = strlen(create->host) + 1;
    client->host = mem_alloc(conn->allocator, host_bytes);
    if (client->host != NULL)
        memcpy(client->host, create->host, host_bytes);
    client->port = create->port;
    client->handshake_remote = create->remote;
    return client->config != NULL && client->host != NULL;
}

static void free_client(roam_conn *conn)
{
    struct conn_client *client = conn->client;
    if (client == NULL)
        return;
    config_copy_free(conn->allocator, client->config);
    if (client->host != NULL)
        mem_free(conn->allocator, client->host, strlen(client->host) + 1);
    mem_free(conn->allocator, client->server_params, sizeof(*client->server_params));
    mem_free(conn->allocator, client, sizeof(*client));
}

static void free_shell(roam_conn *conn)
{
    free_client(conn);
    mem_free(conn->allocator, conn->handshake, sizeof(*conn->handshake));
    mem_free(conn->allocator, conn, sizeof(*conn));
}

static roam_conn *new_shell(const struct conn_create *create)
{
    roam_conn *conn = mem_zalloc(create->allocator, sizeof(*conn));
    if (conn == NULL)
        return NULL;
    conn->owner = create->owner;
    conn->allocator = create->allocator;
    conn->config = create->config;
    conn->user = create->config->user;
    conn->is_server = create->is_server;
    conn->version = create->version;
    conn->now = conn->created = conn->idle_from = conn->last_received_at = create->now;
    conn->largest_non_probing = PACKET_NUMBER_NONE;
    conn->close_at = ROAM_TIME_NEVER;
    conn->error = &conn_no_error;
    conn->alpn = "";
    conn->app_holds = true;
    conn->state = create->is_server ? ROAM_CONN_HANDSHAKE : ROAM_CONN_RESOLVING;
    conn->handshake = mem_zalloc(create->allocator, sizeof(*conn->handshake));
    if (conn->handshake == NULL || (!create->is_server && !make_client(conn, create))) {
        free_shell(conn);
        return NULL;
    }
    conn->owner->totals->connections[conn->state]++;
    if (conn->version == 0) {
        const uint32_t *versions;
        config_versions(conn->config, &versions);
        conn->version = versions[0];
    }
    return conn;
}

roam_conn *conn_new(const struct conn_create *create, roam_result *ret_result)
{
    roam_conn *conn = new_shell(create);
    *ret_result = ROAM_ERR_MEMORY;
    if (conn == NULL)
        return NULL;
    init_modules(conn, create);
    if (!init_cids(conn, create) || !conn_take_client_token(conn)) {
        conn_delete(conn);
        return NULL;
    }
    if (create->qlog != NULL)
        conn_log_open(conn, create->qlog, &conn->handshake->original_dcid);
    conn_params_make(conn, create);
    conn->handshake->keylog = create->keylog;
    if (!conn_crypto_start(conn, create, ret_result)) {
        conn_delete(conn);
        return NULL;
    }
    /* A client that waits for its address has a path without addresses: nothing is sent before conn_start. */
    if (!init_first_path(conn, &create->local, &create->remote)) {
        conn_delete(conn);
        return NULL;
    }
    if (!conn_mobility_start(conn)) {
        conn_delete(conn);
        return NULL;
    }
    if (create->is_server)
        path_set_active(&conn->paths)->address_validated = create->address_validated;
    if (create->is_server && conn->log != NULL)
        conn_log_started(conn);
    *ret_result = ROAM_OK;
    return conn;
}

void conn_start(roam_conn *conn, const roam_address *remote)
{
    struct path *path = path_set_active(&conn->paths);
    assert(!conn->is_server && conn->state == ROAM_CONN_RESOLVING);
    path->remote = conn->client->handshake_remote = *remote;
    path->local.family = path->local.family == ROAM_FAMILY_NONE ? remote->family : path->local.family;
    path->address_validated = true; /* the limit is a server's, RFC 9000 section 8.1 */
    conn_set_state(conn, ROAM_CONN_HANDSHAKE);
    if (conn->log != NULL)
        conn_log_started(conn);
    conn_start_tls(conn);
}

static void give_up_cids(roam_conn *conn)
{
    for (size_t i = 0; i < conn->local_cids.count; i++)
        conn->owner->cid_gone(conn->owner->context, conn, &conn->local_cids.entries[i].cid);
    for (size_t i = 0; i < conn->token_count; i++)
        conn->owner->reset_token_remove(conn->owner->context, conn, conn->tokens_known[i].token);
}

void conn_delete(roam_conn *conn)
{
    if (conn == NULL)
        return;
    conn_log_close(conn);
    conn->owner->totals->connections[conn->state]--;
    give_up_cids(conn);
    local_cid_set_done(&conn->local_cids);
    remote_cid_set_done(&conn->remote_cids);
    conn_mobility_end(conn);
    conn_handshake_free(conn);
    stream_set_done(&conn->streams);
    conn_datagrams_delete(conn);
    pn_space_done(&conn->application);
    path_set_done(&conn->paths);
    conn_forget_networks(conn);
    one_rtt_keys_done(&conn->keys);
    mem_free(conn->allocator, conn->sway, sizeof(*conn->sway));
    mem_free(conn->allocator, conn->move_stats, sizeof(*conn->move_stats));
    mem_free(conn->allocator, conn->tokens_known, conn->token_capacity * sizeof(*conn->tokens_known));
    mem_free(conn->allocator, conn->home, sizeof(*conn->home));
    mem_free(conn->allocator, conn->ack_frequency, sizeof(*conn->ack_frequency));
    mem_free(conn->allocator, conn->end, sizeof(*conn->end));
    free_shell(conn);
}
