/*
 * Who gets in: Initials of no connection. In this order: a version that we speak, a datagram large enough, a
 * destination CID long enough, a token if there is one, where the server is silent the right to be answered, Retry if
 * the policy asks for one or the client's prefix has had its share, room. No state is kept before all that.
 */
#include "conn/versions.h"
#include "crypto/key_schedule.h"
#include "crypto/packet_protection.h"
#include "endpoint/endpoint.h"

/* A CONNECTION_CLOSE in an Initial: header, frame and tag. */
#define REFUSAL_BYTES_MAX 128

/* ---- Version Negotiation, RFC 9000 section 6.1 */

bool endpoint_accepts_version(const roam_endpoint *endpoint, uint32_t version)
{
    return endpoint->accept != NULL ? config_allows_version(endpoint->accept, version)
                                    : quic_version_find(version) != NULL;
}

void answer_other_version(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                          size_t len)
{
    endpoint_count_drop(endpoint, ROAM_DROP_UNSUPPORTED_VERSION);
    //= rfc9000#5.2.2-3 Drop unsupported-version packets in datagrams too small to start a connection.
    if (endpoint->accept == NULL || len < DATAGRAM_BYTES_MIN || endpoint_is_silent(endpoint))
        return;
    //= rfc9000#5.2.2-1 Answer an unsupported version in a large enough datagram with Version Negotiation.
    //= rfc9000#5.2.2-4 Nothing of the packet beyond the invariant header was looked at.
    if (!token_bucket_take(&endpoint->stateless, endpoint->now)) {
        endpoint_count_drop(endpoint, ROAM_DROP_RESET_RATE_LIMIT);
        return;
    }
    /* Behind ours one of the reserved versions (section 15), so that clients learn to skip what they do not know. */
    const uint64_t random = rng_u64(&endpoint->rng);
    const uint32_t *ours;
    uint32_t versions[QUIC_VERSIONS_KNOWN + 1];
    size_t count = config_versions(endpoint->accept, &ours);
    memcpy(versions, ours, count * sizeof(*ours));
    versions[count++] = quic_version_reserve((uint32_t)random);
    size_t capacity = 7 + (size_t)header->scid_len + header->dcid_len + count * sizeof(*versions);
    struct reply *reply = reply_new(endpoint, datagram, capacity);
    if (reply == NULL)
        return;
    struct writer writer = writer_init(reply->data, capacity);
    packet_write_version_negotiation(&writer, (uint8_t)(random >> 32), header->scid_bytes, header->scid_len,
                                     header->dcid_bytes, header->dcid_len, versions, count);
    reply->len = writer.failed ? 0 : writer_len(&writer);
    endpoint->stats.version_negotiations_sent++;
}

/* ---- Refusal: CONNECTION_CLOSE in an Initial, without a connection */

static void refuse(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                   uint64_t error)
{
    struct reply *reply = reply_new(endpoint, datagram, REFUSAL_BYTES_MAX);
    const struct quic_version *version = quic_version_like(header->version);
    uint8_t client[32], server[32], payload[16];
    uint8_t *length_at;
    if (reply == NULL)
        return;
    struct writer writer = writer_init(reply->data, REFUSAL_BYTES_MAX);
    struct writer frames = writer_init(payload, sizeof(payload));
    frame_write_close(&frames, false, error, 0, "", 0);
    packet_write_long(&writer, PACKET_INITIAL, header->version, &header->scid, &header->dcid, NULL, 0, 1, &length_at);
    size_t number_offset = writer_len(&writer);
    write_u8(&writer, 0);
    packet_length_write(length_at, 1 + writer_len(&frames) + AEAD_TAG_BYTES);
    struct packet_keys keys;
    packet_keys_init(&keys);
    initial_secrets(version, &header->dcid, client, server);
    packet_keys_set(&keys, &endpoint->allocator, version, AEAD_AES_128_GCM, server, NULL);
    if (packet_keys_expand(&keys)) {
        struct span span = {.data = payload, .len = writer_len(&frames)};
        struct packet_seal job = {.packet = reply->data,
                                  .header_len = writer_len(&writer),
                                  .number_offset = number_offset,
                                  .number = 0,
                                  .spans = &span,
                                  .span_count = 1};
        packet_protection_seal(&keys, &job, 1);
        reply->len = job.header_len + span.len + AEAD_TAG_BYTES;
    }
    packet_keys_done(&keys);
}

/* ---- Retry, RFC 9000 section 8.1.2 */

static void send_retry(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header)
{
    //= rfc9369#4.1-2 A Retry is of the version of the Initial, and says so in its token.
    struct token token = {.kind = TOKEN_RETRY,
                          .version = header->version,
                          .issued = endpoint_unix_time(endpoint),
                          .original_dcid = header->dcid};
    uint8_t sealed[TOKEN_BYTES_MAX];
    endpoint_retry_cid(endpoint, &token.retry_scid);
    const roam_address remote = roam_address_unmap(&datagram->remote);
    size_t len = token_seal(sealed, endpoint->token_key, &endpoint->rng, &token, &remote);
    struct reply *reply = reply_new(endpoint, datagram, 64 + TOKEN_BYTES_MAX + RETRY_TAG_BYTES);
    if (reply == NULL)
        return;
    struct writer writer = writer_init(reply->data, reply->capacity - RETRY_TAG_BYTES);
    packet_write_retry(&writer, (uint8_t)rng_u64(&endpoint->rng), header->version, &header->scid, &token.retry_scid,
                       sealed, len);
    if (writer.failed)
        return;
    reply->len = writer_len(&writer) + RETRY_TAG_BYTES;
    retry_integrity_tag(quic_version_like(header->version), &header->dcid, reply->data, writer_len(&writer),
                        reply->data + writer_len(&writer));
    endpoint->stats.retries_sent++;
}

/* A rate of 0 is no limit. */
static bool rate_allows(struct token_bucket *bucket, roam_time now)
{
    return bucket->rate == 0 || token_bucket_take(bucket, now);
}

/* Retries are cheap, but not free: under a flood they leave the processor to the connections that there are. */
static void ask_for_proof(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                          struct prefix_account *account)
{
    if (rate_allows(&account->retries, endpoint->now) && rate_allows(&endpoint->retries, endpoint->now))
        send_retry(endpoint, datagram, header);
    else
        endpoint_count_drop(endpoint, ROAM_DROP_RETRY_RATE_LIMIT);
}

static bool is_busy(const roam_endpoint *endpoint)
{
    return endpoint->config.retry == ROAM_RETRY_WHEN_BUSY && endpoint->half_open >= endpoint->config.retry_half_open;
}

static bool has_room(const roam_endpoint *endpoint, const struct prefix_account *account, bool proven)
{
    const uint32_t max = endpoint->config.half_open_per_prefix;
    return max == 0 || account->half_open[proven] < max;
}

/* True where a handshake may begin; otherwise the Initial has been answered or dropped. */
static bool prefix_allows(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                          struct prefix_account *account, bool proven)
{
    const bool room = has_room(endpoint, account, proven);
    if (proven) {
        if (!room)
            endpoint_count_drop(endpoint, ROAM_DROP_HALF_OPEN_LIMIT);
        return room;
    }
    const bool always = endpoint->config.retry == ROAM_RETRY_ALWAYS;
    if (!always && !is_busy(endpoint) && room && rate_allows(&account->strangers, endpoint->now) &&
        rate_allows(&endpoint->strangers, endpoint->now))
        return true;
    if (endpoint->config.retry != ROAM_RETRY_NEVER)
        ask_for_proof(endpoint, datagram, header, account);
    else
        endpoint_count_drop(endpoint, room ? ROAM_DROP_STRANGERS_RATE_LIMIT : ROAM_DROP_HALF_OPEN_LIMIT);
    return false;
}

/* ---- Tokens */

struct credit {
    bool validated, retried, invited;
    struct token token; /* where validated or invited */
    roam_cid original_dcid;
};

static bool is_invited(roam_endpoint *endpoint, const struct packet_header *header, struct credit *ret)
{
    struct token token;
    if (!endpoint_is_silent(endpoint) ||
        !invitation_open(&token, endpoint->invitation_key, header->token, header->token_len, &header->dcid,
                         endpoint_unix_time(endpoint)) ||
        !token_filter_allows(&endpoint->used_tokens, &token))
        return false;
    ret->invited = true;
    ret->token = token;
    return true;
}

/* A silent server hears nobody else. */
static bool is_heard(roam_endpoint *endpoint, const struct credit *credit)
{
    if (!endpoint_is_silent(endpoint) || credit->validated || credit->invited)
        return true;
    endpoint_count_drop(endpoint, ROAM_DROP_UNINVITED);
    return false;
}

/* False where the Initial has been answered or dropped. */
static bool judge_token(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                        struct credit *ret)
{
    struct token token;
    *ret = (struct credit){.original_dcid = header->dcid};
    if (header->token_len == 0 || is_invited(endpoint, header, ret))
        return is_heard(endpoint, ret);
    const roam_address remote = roam_address_unmap(&datagram->remote);
    //= rfc9000#8.1.3-13 Server tries to validate a token in an Initial unless the address is validated already.
    enum token_verdict verdict =
        token_open(&token, endpoint->token_key, header->token, header->token_len, &remote, endpoint_unix_time(endpoint),
                   endpoint->config.retry_token_lifetime, endpoint->config.new_token_lifetime);
    //= rfc9287#3.1 Only with a NEW_TOKEN token of ours may the first Initial lack the fixed bit.
    if (packet_lacks_fixed_bit(header) && (verdict == TOKEN_UNKNOWN || token.kind != TOKEN_NEW)) {
        endpoint_count_drop(endpoint, ROAM_DROP_FIXED_BIT_ZERO);
        return false;
    }
    bool is_retry = verdict != TOKEN_UNKNOWN && token.kind == TOKEN_RETRY;
    //= rfc9369#5-2 A token of a connection of another version proves nothing.
    bool of_version = verdict != TOKEN_VALID || token.version == header->version;
    bool is_unused = verdict != TOKEN_VALID || token_filter_allows(&endpoint->used_tokens, &token);
    if (verdict == TOKEN_VALID && of_version && is_unused &&
        (!is_retry || roam_cid_equal(&token.retry_scid, &header->dcid))) {
        //= rfc9000#8.1.3-15 A valid token lets the handshake go on.
        ret->validated = true;
        ret->retried = is_retry;
        ret->token = token;
        if (is_retry)
            ret->original_dcid = token.original_dcid;
        return true;
    }
    if (!is_heard(endpoint, ret))
        return false;
    //= rfc9000#8.1.4-5 Also a token for another address: the client stays unvalidated, and the limit applies.
    endpoint_count_drop(endpoint, is_unused ? ROAM_DROP_TOKEN_INVALID : ROAM_DROP_TOKEN_REPLAYED);
    if (is_retry) {
        //= rfc9000#8.1.2-2 Server closes at once with INVALID_TOKEN on an invalid Retry token.
        refuse(endpoint, datagram, header, ROAM_INVALID_TOKEN);
        return false;
    }
    //= rfc9000#8.1.3-14 An invalid NEW_TOKEN token means: carry on as unvalidated.
    return true;
}

/* ---- A new connection */

static roam_conn *accept_connection(roam_endpoint *endpoint, const roam_datagram *datagram,
                                    const struct packet_header *header, const struct credit *credit, uint16_t prefix)
{
    roam_result result;
    struct conn_create create = {
        .owner = &endpoint->owner,
        .allocator = &endpoint->allocator,
        .config = endpoint->accept,
        .frame_pool = &endpoint->frame_pool,
        .qlog = endpoint->qlog.open != NULL ? &endpoint->qlog : NULL,
        .keylog = endpoint->keylog.write != NULL ? &endpoint->keylog : NULL,
        .is_server = true,
        .version = header->version,
        .now = endpoint->now,
        .local = roam_address_unmap(&datagram->local),
        .remote = roam_address_unmap(&datagram->remote),
        .client_dcid = header->dcid,
        .client_scid = header->scid,
        .retried = credit->retried,
        .original_dcid = credit->original_dcid,
        .address_validated = credit->validated,
        .ticket_key = endpoint->ticket_key,
        .gate = endpoint->accept->early_data ? &endpoint->gate : NULL,
    };
    roam_conn *conn = conn_new(&create, &result);
    if (conn == NULL || !endpoint_adopt(endpoint, conn)) {
        conn_delete(conn);
        endpoint_count_drop(endpoint, ROAM_DROP_OUT_OF_MEMORY);
        return NULL;
    }
    conn->initial_routed =
        conn_table_add_initial(&endpoint->table, &create.remote, &header->dcid, conn, &conn->initial_hash);
    conn->half_open = true;
    conn->proven_at_start = credit->validated;
    conn->prefix = prefix;
    endpoint->half_open++;
    endpoint->prefixes.accounts[prefix].half_open[credit->validated]++;
    return conn;
}

roam_conn *admit_initial(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                         size_t len, struct token *ret_token)
{
    struct credit credit;
    roam_drop drop = endpoint->accept == NULL                           ? ROAM_DROP_NOT_ACCEPTING
                     : len < DATAGRAM_BYTES_MIN                         ? ROAM_DROP_INITIAL_TOO_SMALL //= rfc9000#14.1
                     : header->dcid.len < INITIAL_DCID_BYTES_MIN        ? ROAM_DROP_INITIAL_DCID_TOO_SHORT
                     : migration_port_is_blocked(datagram->remote.port) ? ROAM_DROP_BLOCKED_PORT
                                                                        : ROAM_DROP_NONE;
    if (drop != ROAM_DROP_NONE) {
        endpoint_count_drop(endpoint, drop);
        return NULL;
    }
    if (!judge_token(endpoint, datagram, header, &credit))
        return NULL;
    const uint16_t prefix = prefix_of(&endpoint->prefixes, &datagram->remote);
    if (!prefix_allows(endpoint, datagram, header, &endpoint->prefixes.accounts[prefix], credit.validated))
        return NULL;
    if (endpoint->config.max_half_open != 0 && endpoint->half_open >= endpoint->config.max_half_open) {
        endpoint_count_drop(endpoint, ROAM_DROP_HALF_OPEN_LIMIT);
        return NULL;
    }
    if (endpoint_memory_is_short(endpoint)) {
        endpoint_count_drop(endpoint, ROAM_DROP_OUT_OF_MEMORY);
        return NULL;
    }
    if (endpoint->conn_count >= endpoint->config.max_connections) {
        endpoint_count_drop(endpoint, ROAM_DROP_CONNECTION_LIMIT);
        //= rfc9000#5.2.2-5 Refuse a new connection with an Initial carrying CONNECTION_CLOSE(CONNECTION_REFUSED).
        refuse(endpoint, datagram, header, ROAM_CONNECTION_REFUSED);
        return NULL;
    }
    *ret_token = credit.token;
    return accept_connection(endpoint, datagram, header, &credit, prefix);
}
