/*
 * Early data, RFC 9001 section 4.6: what a client sends with its first flight on a session that it resumes, and what a server
 * takes of it.
 *
 *   client: NONE -> OFFERED                 conn_early_offer: with the server's remembered limits (RFC 9000 section 7.4.1)
 *           OFFERED -> ACCEPTED, REJECTED   conn_early_judge, when the handshake is complete
 *   server: NONE -> ACCEPTED                conn_early_take, at the ClientHello: the client's parameters count from there
 *                                           on, and the answer leaves in 1-RTT packets before the client has finished
 *
 * 0-RTT and 1-RTT packets share a packet number space. Rejected early data was never sent, as far as streams and flow
 * control go: it goes out again under whatever the limits are now.
 */
#include "conn/early_data.h"

/* After completion a server still opens 0-RTT packets that were overtaken, RFC 9001 section 4.9.3. */
#define ZERO_RTT_PTOS 3

enum packet_type conn_application_packet(const roam_conn *conn)
{
    return conn->keys.send.available ? PACKET_ONE_RTT : PACKET_ZERO_RTT;
}

void conn_early_on_secret(roam_conn *conn, enum aead_suite suite, const uint8_t *receive, const uint8_t *send)
{
    struct handshake *handshake = conn->handshake;
    packet_keys_set(&handshake->zero_rtt, conn->allocator, quic_version_like(conn->version), suite,
                    conn->is_server ? receive : send, NULL);
    handshake->zero_rtt_until = ROAM_TIME_NEVER;
}

/* ---- A client */

void conn_early_offer(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    const struct early_terms *terms = tls_early_terms(handshake->tls);
    struct transport_params *promised = &handshake->relied_on;
    const char *ignored;
    if (terms == NULL ||
        transport_params_parse(promised, terms->params, terms->params_len, true, &ignored) != ROAM_NO_ERROR)
        return;
    //= rfc9000#7.4.1 0-RTT packets keep to the remembered parameters.
    conn->peer.max_idle_timeout_ms = promised->max_idle_timeout_ms;
    conn->peer.max_udp_payload = (uint16_t)min_u64(promised->max_udp_payload, UINT16_MAX);
    conn->peer.max_datagram_frame_bytes =
        (uint16_t)min_u64(promised->max_datagram_frame_size, DATAGRAM_FRAME_BYTES_MAX);
    stream_set_peer_params(&conn->streams, promised);
    conn->streams.early = true;
    conn->early_data = ROAM_EARLY_OFFERED;
}

void conn_early_ready(roam_conn *conn)
{
    if (conn->early_data == ROAM_EARLY_OFFERED && conn->handshake->zero_rtt.available)
        conn_event(conn, ROAM_EVENT_EARLY_DATA_READY);
}

static bool judge_accepted(roam_conn *conn)
{
    const struct handshake *handshake = conn->handshake;
    //= rfc9221#3-8 A client that stored max_datagram_frame_size looks whether the new one is smaller,
    //= rfc9221#3-9 ... and ends the connection then.
    //= rfc9000#7.4.1 A client treats a limit that is lower than what it relied on as PROTOCOL_VIOLATION.
    const char *lowered = transport_params_lowered(&handshake->peer, &handshake->relied_on);
    if (lowered != NULL) {
        conn_fail(conn, ROAM_PROTOCOL_VIOLATION, 0, lowered);
        return false;
    }
    conn->early_data = ROAM_EARLY_ACCEPTED;
    conn_event(conn, ROAM_EVENT_EARLY_DATA_ACCEPTED);
    return true;
}

bool conn_early_judge(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    if (conn->early_data != ROAM_EARLY_OFFERED)
        return true;
    conn->streams.early = false;
    if (tls_early_data_is_accepted(handshake->tls))
        return judge_accepted(conn);
    //= rfc9001#4.6.2 Rejected: what was sent is lost, streams start anew, and nothing is remembered of the limits.
    conn_give_up_early_data(conn);
    stream_set_restart(&conn->streams, &handshake->peer);
    conn->early_data = ROAM_EARLY_REJECTED;
    conn_event(conn, ROAM_EVENT_EARLY_DATA_REJECTED);
    return true;
}

/* ---- A server */

bool conn_early_may_take(roam_conn *conn, const struct early_terms *terms)
{
    const struct handshake *handshake = conn->handshake;
    return handshake->params_received && handshake->params_error == ROAM_NO_ERROR && conn_params_keep(conn, terms) &&
           conn->owner->early_once(conn->owner->context, terms);
}

void conn_early_take(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    if (!conn->is_server || !handshake->zero_rtt.available || handshake->params_applied || !handshake->has_send_secret)
        return;
    if (conn_params_apply(conn) != ROAM_NO_ERROR)
        return;
    handshake->params_applied = true;
    //= rfc9001#5.7 1-RTT packets may be sent before the handshake is complete; none is opened.
    one_rtt_keys_set(&conn->keys, conn->allocator, quic_version_like(conn->version), handshake->suite,
                     handshake->send_secret, NULL);
    conn_learn_alpn(conn);
    conn->early_data = ROAM_EARLY_ACCEPTED;
    conn->owner->totals->early_data_accepted++;
    conn_event(conn, ROAM_EVENT_EARLY_DATA_ACCEPTED);
}

/* ---- Both */

void conn_early_end(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    //= rfc9001#4.9.3 A client discards 0-RTT keys when it has 1-RTT keys, a server a while later.
    if (conn->is_server)
        handshake->zero_rtt_until = saturating_add(conn->now, ZERO_RTT_PTOS * conn_pto(conn));
    else
        packet_keys_done(&handshake->zero_rtt);
}

roam_time conn_early_deadline(const roam_conn *conn)
{
    const struct handshake *handshake = conn->handshake;
    return conn->is_server && handshake != NULL && handshake->zero_rtt.available ? handshake->zero_rtt_until
                                                                                 : ROAM_TIME_NEVER;
}

void conn_early_expire(roam_conn *conn)
{
    if (conn_early_deadline(conn) > conn->now)
        return;
    packet_keys_done(&conn->handshake->zero_rtt);
    conn_settle_handshake(conn);
}
