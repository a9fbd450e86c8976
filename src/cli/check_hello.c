/* Probes of the beginning: which ALPNs, what the handshake tells, how PINGs are acknowledged, whether a Retry token
 * means anything, whether a session is resumed. */
#include <string.h>

#include "base/minmax.h"
#include "cli/check.h"

#define HANDSHAKE_PATIENCE ROAM_SECONDS(5)
/* Where the host itself says that nobody listens, there is little to wait for. */
#define REFUSED_PATIENCE ROAM_SECONDS(1)
/* What follows a handshake comes with its confirmation or a moment later. */
#define SETTLE_TIME ROAM_MILLISECONDS(60)
/* A UDP payload that fills an IPv6 packet of 1,500 octets. */
#define LARGE_BYTES 1452

bool settle(struct bench *bench)
{
    if (!bench_run(bench, bench_is_confirmed, HANDSHAKE_PATIENCE))
        return false;
    bench_run(bench, NULL, SETTLE_TIME + 2 * bench_rtt(bench));
    return !bench->closed;
}

/* ---- Acknowledgements ------------------------------------------------------------------------------------------- */

static bool is_acked(struct bench *bench)
{
    return log_is_acked(&bench->log, bench->mark, bench->place);
}

static void probe_acks(struct exam *exam, struct bench *bench)
{
    struct ack_evidence *acks = &exam->evidence.acks;
    const uint64_t exponent = bench->conn->peer.ack_delay_exponent;
    acks->state = PROBE_RAN;
    for (unsigned i = 0; i < CHECK_PINGS; i++) {
        bench->mark = bench->log.count;
        bench_ping(bench, 0);
        acks->sent++;
        if (bench_run(bench, is_acked, bench_patience(bench))) {
            const struct seen_datagram *last = &bench->log.entries[bench->log.count - 1];
            acks->took[acks->acked++] = last->time - bench->log.entries[bench->mark].time;
            acks->reported_max = max_u64(acks->reported_max, ROAM_MICROSECONDS(last->ack_delay << exponent));
        }
        bench_run(bench, NULL, ROAM_MILLISECONDS(10) + bench_rtt(bench));
    }
    roam_path_info path;
    roam_conn_paths(bench->conn, &path, 1);
    acks->rtt_min = path.min_rtt;
    if (acks->acked < acks->sent && bench_was_cut(bench))
        acks->state = PROBE_NOT_RUN;
}

/* ---- Size ------------------------------------------------------------------------------------------------------- */

/* The acknowledgement of just that packet: of later ones there is none while the PTO has not sent any. */
static bool is_large_acked(struct bench *bench)
{
    uint64_t number = UINT64_MAX;
    for (size_t i = bench->mark; i < bench->log.count; i++) {
        const struct seen_datagram *entry = &bench->log.entries[i];
        if (entry->sent && entry->opened && entry->bytes > DATAGRAM_BYTES_MIN)
            number = entry->number;
        else if (!entry->sent && entry->has_ack && entry->acked == number)
            return true;
    }
    return false;
}

/* One datagram as large as an Ethernet carries and the server takes. */
static void probe_size(struct exam *exam, struct bench *bench)
{
    struct size_evidence *size = &exam->evidence.size;
    size->state = PROBE_RAN;
    size->bytes = min_u64(bench->conn->peer.max_udp_payload, LARGE_BYTES);
    bench->mark = bench->log.count;
    bench_ping(bench, (uint32_t)size->bytes);
    size->acked = bench_run(bench, is_large_acked, bench_patience(bench));
}

/* ---- Handshakes ------------------------------------------------------------------------------------------------- */

/* Remembers a connection ID that will belong to nobody when this connection has ended. */
static void remember_cid(struct exam *exam, const struct bench *bench)
{
    const struct remote_cid *first = &bench->conn->remote_cids.entries[0];
    if (exam->has_late || bench->conn->remote_cids.count == 0 || !first->has_reset_token || first->cid.len == 0)
        return;
    exam->late_cid = first->cid;
    memcpy(exam->late_token, first->reset_token, sizeof(exam->late_token));
    exam->has_late = true;
}

static void take_handshake(struct exam *exam, struct bench *bench)
{
    struct handshake_evidence *handshake = &exam->evidence.handshake;
    roam_conn_stats stats;
    roam_conn_get_stats(bench->conn, &stats);
    *handshake = (struct handshake_evidence){
        .completed = bench->connected_at != 0,
        .confirmed = bench->confirmed_at != 0,
        .took = bench->connected_at != 0 ? bench->connected_at - bench->started : 0,
        .rtt = bench_rtt(bench),
        .error = bench->error,
        .cut = bench->confirmed_at == 0 && bench_was_cut(bench),
        .cipher = stats.cipher,
        .retried = bench->eye.retries > 0,
        .retry_token_bytes = bench->eye.retry_token_bytes,
        .tickets = bench->eye.tickets,
        .new_tokens = bench->eye.new_tokens,
        .new_token_bytes = bench->eye.token_bytes,
        .cid_bytes = bench->conn->remote_cids.count > 0 ? bench->conn->remote_cids.entries[0].cid.len : 0,
        .cids_given = bench->events[ROAM_EVENT_CID_RECEIVED],
        .cid_limit = bench->config.active_connection_id_limit,
    };
    if (bench->conn->client->server_params != NULL)
        handshake->params = *bench->conn->client->server_params;
    else
        transport_params_init(&handshake->params);
    snprintf(handshake->alpn, sizeof(handshake->alpn), "%s", roam_conn_alpn(bench->conn));
}

/* The one connection that sends a large datagram. */
static void allow_large(roam_config *config, const struct exam *exam)
{
    (void)exam;
    config->datagram_bytes = LARGE_BYTES;
}

/* All that may follow a handshake and usually does, so that a datagram that was lost is waited for. */
static bool has_followed(struct bench *bench)
{
    return bench->eye.tickets > 0 && bench->eye.new_tokens > 0 && bench->events[ROAM_EVENT_CID_RECEIVED] > 0;
}

/* One handshake with one ALPN. The first that succeeds is looked at closely. */
static void try_alpn(struct exam *exam, const char *alpn)
{
    struct alpn_evidence *evidence = &exam->evidence.alpns[exam->evidence.alpn_count++];
    struct bench bench;
    bool first = !exam->evidence.handshake.confirmed;
    snprintf(evidence->name, sizeof(evidence->name), "%s", alpn);
    evidence->tried = true;
    if (bench_init_adjusted(&bench, exam, alpn, &exam->local, 0, first ? allow_large : NULL)) {
        bench_run(&bench, bench_is_confirmed, exam->evidence.versions.refused ? REFUSED_PATIENCE : HANDSHAKE_PATIENCE);
        if (bench.confirmed_at != 0)
            settle(&bench);
        if (bench.confirmed_at != 0 && first)
            bench_run(&bench, has_followed, bench_patience(&bench));
        evidence->completed = bench.confirmed_at != 0;
        evidence->took = bench.connected_at != 0 ? bench.connected_at - bench.started : 0;
        evidence->error = bench.error;
        if (first && evidence->completed) {
            probe_acks(exam, &bench);
            probe_size(exam, &bench);
        }
        if (first)
            take_handshake(exam, &bench);
        if (first && evidence->completed)
            exam->alpn = alpn;
        remember_cid(exam, &bench);
    }
    bench_done(&bench);
}

/* True where another ALPN may fare better: the server answered, and it was the server that said no. */
static bool may_try_another(const struct exam *exam)
{
    const struct alpn_evidence *last = &exam->evidence.alpns[exam->evidence.alpn_count - 1];
    return last->completed || last->error.cause == ROAM_CLOSE_PEER_TRANSPORT ||
           last->error.cause == ROAM_CLOSE_PEER_APPLICATION;
}

static void try_alpns(struct exam *exam)
{
    static const char *const usual[] = {"hq-interop", "h3"};
    const char *asked = exam->options.net.alpn;
    if (asked != NULL)
        try_alpn(exam, asked);
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (asked != NULL && strcmp(asked, usual[i]) == 0)
            continue;
        if (exam->evidence.alpn_count > 0 && !may_try_another(exam))
            return;
        try_alpn(exam, usual[i]);
    }
    /* What roam listen speaks unless told otherwise. */
    if (exam->alpn == NULL && may_try_another(exam) && (asked == NULL || strcmp(asked, "roam") != 0))
        try_alpn(exam, "roam");
}

void probe_handshakes(struct exam *exam)
{
    try_alpns(exam);
}

/* ---- Retry ------------------------------------------------------------------------------------------------------- */

static bool is_connected(struct bench *bench)
{
    return bench->connected_at != 0;
}

void probe_retry(struct exam *exam)
{
    struct retry_evidence *retry = &exam->evidence.retry;
    struct bench bench;
    if (!exam->evidence.handshake.retried) {
        retry->state = PROBE_NOT_APPLICABLE;
        return;
    }
    if (bench_init(&bench, exam, &exam->local, 0)) {
        bench.tamper = true;
        retry->state = PROBE_RAN;
        retry->accepted = bench_run(&bench, is_connected, bench_patience(&bench));
        retry->answered = bench.closed;
        retry->error = bench.error;
        if (!retry->accepted && bench_was_cut(&bench))
            retry->state = PROBE_NOT_RUN;
    }
    bench_done(&bench);
}

/* ---- Resumption -------------------------------------------------------------------------------------------------- */

static void use_session(roam_config *config, const struct exam *exam)
{
    config->session = exam->session;
    config->session_bytes = exam->session_bytes;
}

void probe_resumption(struct exam *exam)
{
    struct resumption_evidence *resumption = &exam->evidence.resumption;
    struct bench bench;
    roam_conn_stats stats;
    if (exam->session_bytes == 0) {
        resumption->state = PROBE_NOT_APPLICABLE;
        return;
    }
    if (bench_init_adjusted(&bench, exam, exam->alpn, &exam->local, 0, use_session)) {
        resumption->connected = bench_run(&bench, is_connected, HANDSHAKE_PATIENCE);
        roam_conn_get_stats(bench.conn, &stats);
        resumption->resumed = stats.resumed;
        resumption->took = resumption->connected ? bench.connected_at - bench.started : 0;
        resumption->error = bench.error;
        resumption->state = resumption->connected || !bench_was_cut(&bench) ? PROBE_RAN : PROBE_NOT_RUN;
    }
    bench_done(&bench);
}

/* ---- The preferred address --------------------------------------------------------------------------------------- */

static void follow_preferred(roam_config *config, const struct exam *exam)
{
    (void)exam;
    config->preferred_policy = ROAM_PREFERRED_ANYWHERE;
}

static bool has_moved(struct bench *bench)
{
    return roam_address_is_set(&bench->moved_to);
}

void probe_preferred(struct exam *exam)
{
    struct preferred_evidence *preferred = &exam->evidence.preferred;
    struct bench bench;
    if (!exam->evidence.handshake.params.has_preferred_address) {
        preferred->state = PROBE_NOT_APPLICABLE;
        return;
    }
    if (bench_init_adjusted(&bench, exam, exam->alpn, &exam->local, 0, follow_preferred) &&
        bench_run(&bench, bench_is_confirmed, HANDSHAKE_PATIENCE)) {
        preferred->state = PROBE_RAN;
        if (bench_run(&bench, has_moved, bench_patience(&bench))) {
            preferred->to = bench.moved_to;
            bench.mark = bench.log.count;
            bench_ping(&bench, 0);
            preferred->answers = bench_run(&bench, is_acked, bench_patience(&bench));
        }
        if (!preferred->answers && bench_was_cut(&bench))
            preferred->state = PROBE_NOT_RUN;
    }
    bench_done(&bench);
}

/* ---- The end ------------------------------------------------------------------------------------------------------ */

/* Is the server still what it was before all that? */
void probe_end(struct exam *exam)
{
    struct end_evidence *end = &exam->evidence.end;
    struct bench bench;
    if (bench_init(&bench, exam, &exam->local, 0)) {
        end->answers = bench_run(&bench, bench_is_confirmed, HANDSHAKE_PATIENCE);
        end->state = end->answers || !bench_was_cut(&bench) ? PROBE_RAN : PROBE_NOT_RUN;
        end->error = bench.error;
    }
    bench_done(&bench);
}
