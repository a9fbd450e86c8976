/*
 * Version negotiation, RFC 9368, between QUIC versions 1 and 2, which are compatible (RFC 9369 section 4): a ClientHello
 * of one is good for the other.
 *
 *   compatible     the client begins in its first version and says which others it speaks. The server may answer in
 *                  another of them: conn_choose_version, before TLS has sent anything. The client follows the first
 *                  Initial that it gets in it: conn_follow_version
 *   incompatible   the server does not speak the client's version, and lists those that it speaks. The client begins
 *                  again in one of them, once: conn_on_version_negotiation
 *
 * In either case conn_version_mismatch holds the outcome against what both sides have said under the protection of the
 * handshake, so that nobody on the way can choose for them.
 *
 * While the choice is open, Initials of two versions are read: conn->version, and handshake->other_version with
 * handshake->other_receive. At a server the other one is the client's first version; at a client it is the one that
 * the server may choose.
 */
#include "conn/versions.h"

#include "base/writer.h"
#include "crypto/key_schedule.h"

static const uint32_t versions_by_default[] = {QUIC_VERSION_1, QUIC_VERSION_2};

size_t config_versions(const roam_config *config, const uint32_t **ret)
{
    size_t count = 0;
    while (count < ROAM_VERSIONS_MAX && config->versions[count] != 0)
        count++;
    *ret = count > 0 ? config->versions : versions_by_default;
    return count > 0 ? count : ARRAY_LENGTH(versions_by_default);
}

static bool is_listed(const uint32_t *versions, size_t count, uint32_t version)
{
    for (size_t i = 0; i < count; i++) {
        if (versions[i] == version)
            return true;
    }
    return false;
}

bool config_allows_version(const roam_config *config, uint32_t version)
{
    const uint32_t *versions;
    size_t count = config_versions(config, &versions);
    return is_listed(versions, count, version);
}

bool config_versions_are_valid(const roam_config *config)
{
    const uint32_t *versions;
    size_t count = config_versions(config, &versions);
    for (size_t i = 0; i < count; i++) {
        if (quic_version_find(versions[i]) == NULL || is_listed(versions, i, versions[i]))
            return false;
    }
    return count <= QUIC_VERSIONS_KNOWN;
}

//= rfc9369#4-1 Who speaks version 2 sends version_information.
void conn_versions_describe(const roam_conn *conn, struct version_information *ret)
{
    const uint32_t *versions;
    //= rfc9368#3-2 A client's chosen version is one of those that it offers.
    //= rfc9368#3-1 All that go with this first flight, in order of preference.
    *ret = (struct version_information){.chosen = conn->version,
                                        .available_count = config_versions(conn->config, &versions),
                                        .reserved = ret->reserved};
    memcpy(ret->available, versions, ret->available_count * sizeof(*versions));
}

/* ---- Compatible negotiation */

const roam_cid *conn_initial_keys_cid(const roam_conn *conn)
{
    const struct handshake *handshake = conn->handshake;
    return conn->is_server || handshake->has_retry ? &handshake->retry_scid : &handshake->original_dcid;
}

/* What a server may choose instead of the client's version. */
static uint32_t candidate_of(const roam_conn *conn)
{
    const uint32_t *versions;
    size_t count = config_versions(conn->config, &versions);
    for (size_t i = 0; i < count && quic_version_find(conn->version) != NULL; i++) {
        if (versions[i] != conn->version)
            return versions[i];
    }
    return 0;
}

void conn_set_other_version(roam_conn *conn)
{
    uint8_t client[32], server[32];
    struct handshake *handshake = conn->handshake;
    handshake->other_version = !conn->is_server                               ? candidate_of(conn)
                               : handshake->original_version != conn->version ? handshake->original_version
                                                                              : 0;
    packet_keys_done(&handshake->other_receive);
    if (handshake->other_version == 0)
        return;
    const struct quic_version *version = quic_version_like(handshake->other_version);
    initial_secrets(version, conn_initial_keys_cid(conn), client, server);
    packet_keys_set(&handshake->other_receive, conn->allocator, version, AEAD_AES_128_GCM,
                    conn->is_server ? client : server, NULL);
}

bool conn_takes_other_version(const roam_conn *conn, const struct packet_header *header)
{
    const struct handshake *handshake = conn->handshake;
    if (!handshake->other_receive.available || header->version != handshake->other_version)
        return false;
    //= rfc9369#4.1-8 Handshake packets of another version than the one chosen are dropped. A client that does not know
    // yet keeps them until it does.
    return header->type == PACKET_INITIAL || (!conn->is_server && header->type == PACKET_HANDSHAKE);
}

static void set_version(roam_conn *conn, uint32_t version)
{
    conn->version = version;
    tls_set_version(conn->handshake->tls, version);
    conn_set_initial_keys(conn, conn_initial_keys_cid(conn));
}

void conn_choose_version(roam_conn *conn)
{
    const struct handshake *handshake = conn->handshake;
    const struct version_information *client = &handshake->peer.version_information;
    const uint32_t *versions;
    size_t count = config_versions(conn->config, &versions);
    /* Who has no list is content with what the client began with. What TLS has sent already binds it. */
    if (versions == versions_by_default || client->chosen != conn->version ||
        handshake->crypto_send[SPACE_INITIAL].written > 0)
        return;
    for (size_t i = 0; i < count && versions[i] != conn->version; i++) {
        //= rfc9368#2.3-1 The server chooses among the versions that the client's first flight is compatible with.
        if (is_listed(client->available, client->available_count, versions[i])) {
            //= rfc9369#4.1-5 From here on Initials go out in it.
            set_version(conn, versions[i]);
            return;
        }
    }
}

void conn_follow_version(roam_conn *conn)
{
    uint32_t version = conn->handshake->other_version;
    //= rfc9369#4.1-6 Once a packet of the negotiated version was processed, Initials go out in it.
    set_version(conn, version);
    //= rfc9369#4.1-9 No 0-RTT packet goes out in the negotiated version; what was sent in the other one is not taken.
    packet_keys_done(&conn->handshake->zero_rtt);
    conn_forget_other_version(conn);
}

void conn_forget_other_version(roam_conn *conn)
{
    packet_keys_done(&conn->handshake->other_receive);
}

/* ---- Incompatible negotiation */

/* The best of ours that is in the list, or 0. */
static uint32_t select_version(const roam_conn *conn, const uint32_t *offered, size_t count, uint32_t also)
{
    const uint32_t *versions;
    size_t ours = config_versions(conn->config, &versions);
    for (size_t i = 0; i < ours; i++) {
        if (versions[i] == also || is_listed(offered, count, versions[i]))
            return versions[i];
    }
    return 0;
}

/* Those in a Version Negotiation packet that are known here. */
static size_t read_versions(const struct packet_header *header, uint32_t ret[QUIC_VERSIONS_KNOWN])
{
    struct reader reader = reader_init(header->versions, header->versions_len);
    size_t count = 0;
    while (reader_left(&reader) >= sizeof(uint32_t)) {
        uint32_t version = read_u32(&reader);
        if (quic_version_find(version) != NULL && !is_listed(ret, count, version))
            ret[count++] = version;
    }
    return count;
}

static bool lists_version(const struct packet_header *header, uint32_t version)
{
    struct reader reader = reader_init(header->versions, header->versions_len);
    while (reader_left(&reader) >= sizeof(uint32_t)) {
        if (read_u32(&reader) == version)
            return true;
    }
    return false;
}

/* A new first flight: the old ClientHello says that another version was chosen. Packet numbers go on, and so does the
 * destination CID, which nobody has routed. */
static void begin_again(roam_conn *conn, uint32_t version)
{
    struct handshake *handshake = conn->handshake;
    struct pn_space *space = &handshake->spaces[SPACE_INITIAL];
    struct loss_context context = conn_loss_context(conn);
    loss_discard_space(&space->sent, &context);
    sent_map_done(&space->sent);
    space->loss_time = ROAM_TIME_NEVER;
    space->probes = 0;
    conn->pto_count = 0;
    send_half_done(&handshake->crypto_send[SPACE_INITIAL]);
    send_half_init(&handshake->crypto_send[SPACE_INITIAL], conn->allocator, UINT64_MAX);
    tls_free(handshake->tls);
    handshake->tls = NULL;
    packet_keys_done(&handshake->zero_rtt);
    handshake->has_reacted = true;
    conn->version = version;
    roam_result result;
    if (!conn_take_client_token(conn) || !conn_crypto_start(conn, NULL, &result))
        conn_end(conn, ROAM_CLOSE_VERSION_NEGOTIATION);
    else
        conn_start_tls(conn);
}

void conn_on_version_negotiation(roam_conn *conn, const struct packet_header *header)
{
    const struct handshake *handshake = conn->handshake;
    const struct remote_cid *current = remote_cid_of_path(&conn->remote_cids, conn->paths.active_id);
    uint32_t offered[QUIC_VERSIONS_KNOWN];
    //= rfc9000#6.2 Ignore it once any other packet was processed, or where it lists our version.
    //= rfc9368#2.1-3 A server ignores it always.
    //= rfc9368#4-1 A client ignores one that lists the version that it began with.
    //= rfc9368#4-2 So it does once it has acted on one.
    if (conn->is_server || handshake == NULL || handshake->any_packet || handshake->has_retry ||
        handshake->has_reacted || conn->state != ROAM_CONN_HANDSHAKE || lists_version(header, conn->version) ||
        header->scid_len != current->cid.len || memcmp(header->scid_bytes, current->cid.bytes, header->scid_len) != 0) {
        conn_count_drop(conn, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED);
        return;
    }
    size_t count = read_versions(header, offered);
    //= rfc9368#2.1-1 Search the list for a version of ours, and begin again in it.
    uint32_t version = select_version(conn, offered, count, 0);
    //= rfc9000#6.2 A client without another version abandons the attempt.
    //= rfc9368#2.1-2 Without a version in common the attempt ends.
    if (version == 0)
        conn_end(conn, ROAM_CLOSE_VERSION_NEGOTIATION);
    else
        begin_again(conn, version);
}

/* ---- Was it the right one? */

static const char *mismatch_at_server(const roam_conn *conn)
{
    const struct version_information *client = &conn->handshake->peer.version_information;
    //= rfc9369#4-1 Version 2 is spoken with version_information only.
    if (client->chosen == 0)
        return conn->handshake->original_version == QUIC_VERSION_1 ? NULL : "no version_information";
    //= rfc9368#4-5 The client has chosen the version that its Initials had.
    return client->chosen == conn->handshake->original_version ? NULL : "the client has chosen another version";
}

/* As if the server had been asked before: would the same version have been chosen? */
static const char *downgrade(const roam_conn *conn, const struct version_information *server)
{
    static const char text[] = "Version Negotiation was forged";
    //= rfc9368#4-9 An empty list bears out nothing.
    if (!server->offers_any)
        return text;
    //= rfc9368#4-8 With the server's list, and the version that it chose, the client would have done the same.
    uint32_t wanted = select_version(conn, server->available, server->available_count, server->chosen);
    return wanted == conn->handshake->original_version ? NULL : text;
}

static const char *mismatch_at_client(const roam_conn *conn)
{
    //= rfc9368#8-1 A server of version 1 need not know of all this: it chose version 1, and has no other.
    static const struct version_information of_version_1 = {
        .chosen = QUIC_VERSION_1, .available = {QUIC_VERSION_1}, .available_count = 1, .offers_any = true};
    const struct handshake *handshake = conn->handshake;
    const struct version_information *server = &handshake->peer.version_information;
    //= rfc9368#4-7 Nothing said by a server, after Version Negotiation or in another version: the connection ends.
    //= rfc9369#4-1 Version 2 is spoken with version_information only.
    if (server->chosen == 0 && (conn->version != QUIC_VERSION_1 || handshake->original_version != QUIC_VERSION_1))
        return "no version_information";
    if (server->chosen == 0)
        server = &of_version_1;
    //= rfc9368#4-10 The version of the server's long headers is the one that it has chosen.
    //= rfc9368#4-6 And one that was offered, as conn->version always is.
    if (server->chosen != conn->version)
        return "the server has chosen another version";
    return handshake->has_reacted ? downgrade(conn, server) : NULL;
}

//= rfc9000#21.12-1 Nobody else leads both down to a version that they would not have chosen.
const char *conn_version_mismatch(const roam_conn *conn)
{
    return conn->is_server ? mismatch_at_server(conn) : mismatch_at_client(conn);
}

/* ---- Tokens */

bool conn_take_client_token(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    struct reader reader = reader_init(conn->config->token, conn->config->token_bytes);
    mem_free(conn->allocator, handshake->token, handshake->token_bytes);
    handshake->token = NULL;
    handshake->token_bytes = 0;
    //= rfc9369#5-1 A token of another version is not used.
    if (read_u32(&reader) != conn->version || reader.failed || reader_left(&reader) == 0)
        return true;
    size_t len = reader_left(&reader);
    handshake->token = mem_alloc(conn->allocator, len);
    if (handshake->token == NULL)
        return false;
    memcpy(handshake->token, reader.pos, len);
    handshake->token_bytes = len;
    return true;
}

void conn_tell_token(roam_conn *conn, const uint8_t *token, size_t len)
{
    uint8_t data[CLIENT_TOKEN_BYTES_MAX];
    struct writer writer = writer_init(data, sizeof(data));
    //= rfc9369#5-1 It goes with the version that was negotiated.
    write_u32(&writer, conn->version);
    write_bytes(&writer, token, len);
    if (writer.failed)
        return;
    roam_event event = {.type = ROAM_EVENT_NEW_TOKEN,
                        .time = conn->now,
                        .conn = conn,
                        .token = data,
                        .token_bytes = writer_len(&writer)};
    conn_tell(conn, &event);
}
