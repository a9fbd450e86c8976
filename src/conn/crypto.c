/*
 * The handshake: CRYPTO octets to and from TLS, secrets to keys, and the two moments that matter afterwards.
 *
 *   HANDSHAKE -> ESTABLISHED   conn_on_handshake_complete: TLS is complete, the peer's parameters are checked
 *   confirmed                  conn_on_confirmed: at a server at the same moment, at a client by HANDSHAKE_DONE
 *   settled                    conn_settle_handshake: the memory of the handshake is given back, at a client when it
 *                              has waited for session tickets
 */
#include "base/minmax.h"
#include "conn/cids.h"
#include "conn/early_data.h"
#include "conn/mobility.h"
#include "conn/preferred.h"
#include "conn/versions.h"
#include "crypto/key_schedule.h"

/* Our encoded transport parameters: twenty small ones and four CIDs. */
#define PARAMS_BYTES_MAX 512

static const enum tls_level level_of_space[PACKET_SPACES] = {
    [SPACE_INITIAL] = TLS_INITIAL,
    [SPACE_HANDSHAKE] = TLS_HANDSHAKE,
    [SPACE_APPLICATION] = TLS_APPLICATION,
};

static enum packet_space space_of_level(enum tls_level level)
{
    return level == TLS_INITIAL ? SPACE_INITIAL : level == TLS_HANDSHAKE ? SPACE_HANDSHAKE : SPACE_APPLICATION;
}

static void on_tls_send(void *context, enum tls_level level, const uint8_t *data, size_t len)
{
    roam_conn *conn = context;
    if (send_half_write(&conn->handshake->crypto_send[space_of_level(level)], data, len) < len)
        conn->handshake->out_of_memory = true;
}

static void on_tls_secrets(void *context, enum tls_level level, enum aead_suite suite, const uint8_t *receive,
                           const uint8_t *send)
{
    roam_conn *conn = context;
    struct handshake *handshake = conn->handshake;
    const struct quic_version *version = quic_version_like(conn->version);
    size_t bytes = aead_suite_info(suite)->secret_bytes;
    if (level == TLS_EARLY)
        conn_early_on_secret(conn, suite, receive, send);
    if (level == TLS_HANDSHAKE) {
        if (receive != NULL)
            packet_keys_set(&handshake->receive[SPACE_HANDSHAKE], conn->allocator, version, suite, receive, NULL);
        if (send != NULL)
            packet_keys_set(&handshake->send[SPACE_HANDSHAKE], conn->allocator, version, suite, send, NULL);
    } else if (level == TLS_APPLICATION) {
        //= rfc9001#5.7 No 1-RTT decryption before the handshake completes: the secrets wait.
        handshake->suite = suite;
        if (receive != NULL)
            memcpy(handshake->receive_secret, receive, bytes);
        if (send != NULL)
            memcpy(handshake->send_secret, send, bytes);
        handshake->has_receive_secret |= receive != NULL;
        handshake->has_send_secret |= send != NULL;
    }
}

static bool on_tls_early(void *context, const struct early_terms *terms)
{
    return conn_early_may_take(context, terms);
}

static void on_tls_params(void *context, const uint8_t *data, size_t len)
{
    roam_conn *conn = context;
    uint8_t params[PARAMS_BYTES_MAX];
    conn_on_params(conn, data, len);
    if (!conn->is_server)
        return;
    conn_choose_version(conn);
    if (!tls_set_params(conn->handshake->tls, params, conn_params_write(conn, params, sizeof(params))))
        conn->handshake->out_of_memory = true;
}

static void on_tls_session(void *context, const uint8_t *data, size_t len)
{
    roam_conn *conn = context;
    roam_event event = {
        .type = ROAM_EVENT_NEW_SESSION, .time = conn->now, .conn = conn, .token = data, .token_bytes = len};
    conn_tell(conn, &event);
}

bool conn_crypto_start(roam_conn *conn, const struct conn_create *create, roam_result *ret_result)
{
    struct handshake *handshake = conn->handshake;
    uint8_t params[PARAMS_BYTES_MAX];
    struct tls_config config = {
        .is_server = conn->is_server,
        .config = conn->config,
        .version = conn->version,
        .server_name = conn->config->server_name != NULL ? conn->config->server_name
                       : conn->client != NULL            ? conn->client->host
                                                         : NULL,
        .params = params,
        .params_len = conn_params_write(conn, params, sizeof(params)),
        .ticket_key = create != NULL ? create->ticket_key : NULL,
        .session = conn->is_server ? NULL : conn->config->session,
        .session_len = conn->config->session_bytes,
        .gate = create != NULL ? create->gate : NULL,
        .early_data = conn->config->early_data,
        .keylog = handshake->keylog,
        .sink = {.context = conn,
                 .send = on_tls_send,
                 .secrets = on_tls_secrets,
                 .params = on_tls_params,
                 .session = on_tls_session,
                 .early = on_tls_early},
    };
    handshake->original_version = conn->version;
    handshake->tls = tls_new(conn->allocator, &config, ret_result);
    conn_set_initial_keys(conn, conn_initial_keys_cid(conn));
    if (handshake->tls != NULL && !conn->is_server)
        conn_early_offer(conn);
    return handshake->tls != NULL;
}

void conn_start_tls(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    uint64_t error = tls_start(handshake->tls);
    if (error == ROAM_NO_ERROR && handshake->out_of_memory)
        error = ROAM_INTERNAL_ERROR;
    if (error != ROAM_NO_ERROR)
        conn_fail(conn, error, 0, tls_failure(handshake->tls));
    else
        conn_early_ready(conn);
    conn->owner->wake(conn->owner->context, conn);
}

void conn_set_initial_keys(roam_conn *conn, const roam_cid *dcid)
{
    uint8_t client[32], server[32];
    struct handshake *handshake = conn->handshake;
    const struct quic_version *version = quic_version_like(conn->version);
    initial_secrets(version, dcid, client, server);
    packet_keys_done(&handshake->receive[SPACE_INITIAL]);
    packet_keys_done(&handshake->send[SPACE_INITIAL]);
    packet_keys_set(&handshake->receive[SPACE_INITIAL], conn->allocator, version, AEAD_AES_128_GCM,
                    conn->is_server ? client : server, NULL);
    packet_keys_set(&handshake->send[SPACE_INITIAL], conn->allocator, version, AEAD_AES_128_GCM,
                    conn->is_server ? server : client, NULL);
    conn_set_other_version(conn);
}

struct packet_keys *conn_send_keys(roam_conn *conn, enum packet_space space)
{
    struct packet_keys *keys = NULL;
    if (space == SPACE_APPLICATION)
        keys = conn_application_packet(conn) == PACKET_ONE_RTT ? &conn->keys.send
               : conn->handshake != NULL && !conn->is_server   ? &conn->handshake->zero_rtt
                                                               : NULL;
    else if (conn->handshake != NULL && !conn->handshake->discarded[space])
        keys = &conn->handshake->send[space];
    return keys != NULL && keys->available ? keys : NULL;
}

static uint64_t feed_tls(roam_conn *conn, enum packet_space space)
{
    struct handshake *handshake = conn->handshake;
    struct recv_half *stream = &handshake->crypto_receive[space];
    const uint8_t *data;
    size_t len;
    while ((len = recv_half_peek(stream, &data)) > 0) {
        uint64_t error = tls_receive(handshake->tls, level_of_space[space], data, len);
        recv_half_consume(stream, len);
        if (error == ROAM_NO_ERROR && handshake->out_of_memory)
            error = ROAM_INTERNAL_ERROR;
        if (error != ROAM_NO_ERROR) {
            conn_fail(conn, error, FRAME_CRYPTO, tls_failure(handshake->tls));
            return error;
        }
    }
    conn_early_take(conn);
    return ROAM_NO_ERROR;
}

uint64_t conn_on_crypto(roam_conn *conn, enum packet_space space, uint64_t offset, const uint8_t *data, size_t len)
{
    struct handshake *handshake = conn->handshake;
    uint64_t ignored;
    if (handshake == NULL || handshake->tls == NULL)
        return space == SPACE_APPLICATION ? conn_on_late_crypto(conn, offset, data, len) : (uint64_t)ROAM_NO_ERROR;
    struct recv_half *stream = &handshake->crypto_receive[space];
    if (offset + len > stream->read + CRYPTO_BUFFER_BYTES_MAX)
        return ROAM_CRYPTO_BUFFER_EXCEEDED;
    //= rfc9001#4.1.3 Data of an earlier level never extends past what was received.
    if (space == SPACE_INITIAL && handshake->receive[SPACE_HANDSHAKE].available && offset + len > stream->highest)
        return ROAM_PROTOCOL_VIOLATION;
    /* The server has begun to answer: it stays with this version. */
    if (!conn->is_server && space == SPACE_INITIAL)
        conn_forget_other_version(conn);
    uint64_t error = recv_half_push(stream, offset, data, len, false, &ignored);
    //= rfc9000#7.5 What cannot be buffered, for its size or for its gaps, is CRYPTO_BUFFER_EXCEEDED.
    if (stream->too_many_gaps)
        return ROAM_CRYPTO_BUFFER_EXCEEDED;
    return error != ROAM_NO_ERROR ? error : feed_tls(conn, space);
}

static void take_one_rtt_keys(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    one_rtt_keys_set(&conn->keys, conn->allocator, quic_version_like(conn->version), handshake->suite,
                     conn->keys.send.available ? NULL : handshake->send_secret, handshake->receive_secret);
    wipe(handshake->receive_secret, sizeof(handshake->receive_secret));
    wipe(handshake->send_secret, sizeof(handshake->send_secret));
    handshake->has_receive_secret = handshake->has_send_secret = false;
}

void conn_learn_alpn(roam_conn *conn)
{
    for (const char *const *alpn = conn->config->alpn; *alpn != NULL; alpn++)
        if (strcmp(*alpn, tls_alpn(conn->handshake->tls)) == 0)
            conn->alpn = *alpn;
}

static void on_handshake_complete(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    if (!handshake->has_receive_secret || !handshake->has_send_secret) {
        conn_fail(conn, ROAM_INTERNAL_ERROR, 0, "no 1-RTT secrets");
        return;
    }
    if (!handshake->params_applied && conn_params_apply(conn) != ROAM_NO_ERROR)
        return;
    take_one_rtt_keys(conn);
    conn_learn_alpn(conn);
    conn_early_end(conn);
    conn->handshake_complete = true;
    conn->resumed = tls_is_resumed(handshake->tls);
    conn->forward_secrecy = tls_has_dh(handshake->tls);
    conn_set_state(conn, ROAM_CONN_ESTABLISHED);
    conn->owner->totals->handshakes_completed++;
    conn->owner->totals->handshakes_resumed += conn->resumed;
    conn->owner->handshake_over(conn->owner->context, conn);
    conn_event(conn, ROAM_EVENT_CONNECTED);
    conn_tell_preferred_cid(conn);
    //= rfc9000#9.5-7 Issue fresh CIDs before the peer migrates.
    conn_issue_cids(conn);
    if (!conn->is_server)
        return;
    //= rfc9001#4.1.2 Server sends HANDSHAKE_DONE as soon as the handshake completes.
    conn->handshake_done_pending = true;
    conn->new_token_pending = true;
    if (tls_send_ticket(handshake->tls, conn->now) == ROAM_NO_ERROR)
        conn->ticket_sent = true;
    conn_on_confirmed(conn);
}

void conn_on_confirmed(roam_conn *conn)
{
    if (conn->confirmed || !conn->handshake_complete)
        return;
    conn->confirmed = true;
    if (conn->client != NULL)
        conn->client->tickets_until = saturating_add(conn->now, TICKETS_PATIENCE);
    //= rfc9001#4.9.2 Drop Handshake keys at confirmation.
    conn_discard_space(conn, SPACE_INITIAL);
    conn_discard_space(conn, SPACE_HANDSHAKE);
    conn->handshake->peer_completed_address_validation = true;
    //= rfc9000#8.1-2 The client's address is validated by its Handshake packets.
    path_set_active(&conn->paths)->address_validated = true;
    conn_event(conn, ROAM_EVENT_CONFIRMED);
    conn_mobility_on_confirmed(conn);
}

void conn_settle_handshake(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    if (handshake == NULL || !conn_is_alive(conn))
        return;
    if (handshake->tls != NULL && !conn->handshake_complete && tls_is_complete(handshake->tls))
        on_handshake_complete(conn);
    if (!conn->confirmed || !conn_is_alive(conn))
        return;
    /* Early data that was overtaken. */
    if (conn->now < conn_early_deadline(conn) && conn_early_deadline(conn) != ROAM_TIME_NEVER)
        return;
    /* A server's tickets come when it likes, most often with the end of the handshake. */
    if (conn->client != NULL && conn->now < conn->client->tickets_until)
        return;
    /* TLS is done as soon as tickets are written; the rest waits for them to be acknowledged. */
    if (handshake->tls != NULL)
        conn->next_tls_message = tls_is_between_messages(handshake->tls)
                                     ? handshake->crypto_receive[SPACE_APPLICATION].read
                                     : TLS_MESSAGES_UNKNOWN;
    tls_free(handshake->tls);
    handshake->tls = NULL;
    const struct send_half *tickets = &handshake->crypto_send[SPACE_APPLICATION];
    if (tickets->base == tickets->written)
        conn_handshake_free(conn);
}

/* Everything of the first flight is sent again, under the new CID or version; packet numbers go on (RFC 9000 section
 * 17.2.5.3). */
void conn_send_first_flight_again(roam_conn *conn)
{
    struct loss_context context = conn_loss_context(conn);
    loss_declare_path(&conn->handshake->spaces[SPACE_INITIAL].sent, SPACE_INITIAL, &context, conn->paths.active_id);
    //= rfc9000#17.2.5.2 0-RTT packets too: their contents go to the new CID.
    conn_give_up_early_data(conn);
    conn->pto_count = 0;
    conn->handshake->spaces[SPACE_INITIAL].probes = 0;
}

void conn_on_retry(roam_conn *conn, const struct packet_header *header, const uint8_t *packet)
{
    struct handshake *handshake = conn->handshake;
    const struct remote_cid *current = remote_cid_of_path(&conn->remote_cids, conn->paths.active_id);
    //= rfc9000#17.2.5.2 Client takes at most one Retry, and none after an Initial or Retry was processed.
    if (conn->is_server || handshake == NULL || handshake->any_packet || handshake->has_retry ||
        conn->state != ROAM_CONN_HANDSHAKE) {
        conn_count_drop(conn, ROAM_DROP_RETRY_UNEXPECTED);
        return;
    }
    uint8_t tag[RETRY_TAG_BYTES];
    retry_integrity_tag(quic_version_like(conn->version), &handshake->original_dcid, packet,
                        header->packet_len - RETRY_TAG_BYTES, tag);
    //= rfc9000#17.2.5.2 Drop Retry with a bad integrity tag or an empty token.
    //= rfc9000#17.2.5.1 Client drops a Retry whose source CID is its own destination CID.
    if (header->token_len == 0 || header->token_len > RETRY_TOKEN_BYTES_MAX ||
        roam_cid_equal(&header->scid, &current->cid) ||
        !equal_in_constant_time(tag, header->retry_tag, RETRY_TAG_BYTES)) {
        conn_count_drop(conn, ROAM_DROP_RETRY_INTEGRITY);
        return;
    }
    uint8_t *token = mem_alloc(conn->allocator, header->token_len);
    if (token == NULL) {
        conn_count_drop(conn, ROAM_DROP_OUT_OF_MEMORY);
        return;
    }
    memcpy(token, header->token, header->token_len);
    mem_free(conn->allocator, handshake->token, handshake->token_bytes);
    //= rfc9000#8.1.3-3 It goes with the handshake, and nobody else ever sees it.
    //= rfc9000#8.1.3-11 Retry tokens are used at once and only in that attempt.
    handshake->token = token;
    handshake->token_bytes = header->token_len;
    //= rfc9369#4.1-3 The version stays: it goes back in the one that the Retry came in.
    handshake->has_retry = true;
    handshake->retry_scid = header->scid;
    remote_cid_replace_initial(&conn->remote_cids, &header->scid);
    conn_set_initial_keys(conn, &header->scid);
    conn_send_first_flight_again(conn);
}
