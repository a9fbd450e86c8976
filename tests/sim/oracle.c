/* Books of what was on the wire and of what each connection did, and the comparison of both with the library. */
#include "sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_BIT(type) (UINT64_C(1) << (type))

/* Connections per host that are looked at after each turn; worlds here have a handful. */
#define CONNS_MAX 16

/* An address that a server has to do with. */
struct wire_peer {
    const struct host *host;
    roam_address remote;
    uint64_t in, out;     /* UDP payload octets */
    bool challenge_going; /* in the datagrams that are being made */
    bool challenge_seen;  /* a real host has got one of them, and nobody has answered since */
    bool proven;
};

struct oracle {
    struct world *world;
    struct wire_peer *peers;
    size_t peer_count, peer_capacity;
    struct sim_map peer_index;
    size_t going[HOST_BATCH]; /* peers to which challenges are in the datagrams that are being made */
    size_t going_count;
    size_t *asked; /* peers whose challenge was seen */
    size_t asked_count, asked_capacity;
    struct conn_view *views;
    struct linkage *linkage;
    bool recording;
    struct oracle_record *records;
    size_t record_count, record_capacity;
    struct oracle_stats stats;
};

struct oracle *oracle_new(struct world *world)
{
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    if (oracle == NULL)
        abort();
    oracle->world = world;
    oracle->linkage = linkage_new(world);
    return oracle;
}

void oracle_free(struct oracle *oracle)
{
    while (oracle->views != NULL) {
        struct conn_view *view = oracle->views;
        oracle->views = view->next;
        conn_view_done(view);
        free(view);
    }
    linkage_free(oracle->linkage);
    free(oracle->peers);
    free(oracle->asked);
    sim_map_done(&oracle->peer_index);
    free(oracle->records);
    free(oracle);
}

void oracle_record(struct oracle *oracle, bool on)
{
    oracle->recording = on;
}

size_t oracle_records(const struct oracle *oracle, const struct oracle_record **ret)
{
    *ret = oracle->records;
    return oracle->record_count;
}

struct linkage *oracle_linkage(const struct oracle *oracle)
{
    return oracle->linkage;
}

const struct oracle_stats *oracle_stats(const struct oracle *oracle)
{
    return &oracle->stats;
}

static const char *text_of(const roam_address *address)
{
    static char text[ROAM_ADDRESS_TEXT_MAX];
    return roam_address_format(address, text);
}

/* ---- The wire -------------------------------------------------------------------------------------------------- */

static uint64_t peer_key(const struct host *host, const roam_address *remote)
{
    return sim_hash_address(host->id, remote);
}

static struct wire_peer *find_peer(const struct oracle *oracle, const struct host *host, const roam_address *remote)
{
    const uint64_t *index = sim_map_find(&oracle->peer_index, peer_key(host, remote));
    return index != NULL ? &oracle->peers[*index] : NULL;
}

static struct wire_peer *get_peer(struct oracle *oracle, const struct host *host, const roam_address *remote)
{
    bool added;
    uint64_t *index = sim_map_get(&oracle->peer_index, peer_key(host, remote), oracle->peer_count, &added);
    if (!added)
        return &oracle->peers[*index];
    if (oracle->peer_count == oracle->peer_capacity) {
        oracle->peer_capacity = oracle->peer_capacity == 0 ? 16 : 2 * oracle->peer_capacity;
        oracle->peers = realloc(oracle->peers, oracle->peer_capacity * sizeof(*oracle->peers));
        if (oracle->peers == NULL)
            abort();
    }
    struct wire_peer *peer = &oracle->peers[oracle->peer_count++];
    *peer = (struct wire_peer){.host = host, .remote = *remote};
    return peer;
}

static void on_challenge_seen(struct oracle *oracle, struct wire_peer *peer)
{
    if (peer->challenge_seen || peer->proven)
        return;
    peer->challenge_seen = true;
    if (oracle->asked_count == oracle->asked_capacity) {
        oracle->asked_capacity = oracle->asked_capacity == 0 ? 16 : 2 * oracle->asked_capacity;
        oracle->asked = realloc(oracle->asked, oracle->asked_capacity * sizeof(*oracle->asked));
        if (oracle->asked == NULL)
            abort();
    }
    oracle->asked[oracle->asked_count++] = (size_t)(peer - oracle->peers);
}

/* It may come back by another path than the challenge's (RFC 9000 section 8.2.2). */
static void on_response(struct oracle *oracle)
{
    for (size_t i = 0; i < oracle->asked_count; i++) {
        oracle->peers[oracle->asked[i]].challenge_seen = false;
        oracle->peers[oracle->asked[i]].proven = true;
    }
    oracle->asked_count = 0;
    oracle->stats.responses++;
}

/* An Initial that brings a token: the server has chosen to believe it, or it would not have made a connection. */
static bool has_token(const struct sim_packet *packet)
{
    struct packet_header header;
    if (packet->len == 0 || !(packet->data[0] & 0x80))
        return false;
    return packet_header_parse(&header, packet->data, packet->len, 0) == ROAM_DROP_NONE &&
           header.type == PACKET_INITIAL && header.token_len > 0;
}

void oracle_on_datagram_in(struct host *host, const struct sim_packet *packet)
{
    struct oracle *oracle = host->world->oracle;
    if (host->is_server) {
        struct wire_peer *peer = get_peer(oracle, host, &packet->src);
        peer->in += packet->len;
        peer->proven |= has_token(packet);
        return;
    }
    linkage_on_datagram(oracle->linkage, host, packet, false);
    if (!packet->challenge)
        return;
    /* Behind the NATs its destination is another than the server wrote; what was written is what counts. */
    for (const struct host *server = host->world->hosts; server != NULL; server = server->next) {
        struct wire_peer *peer = find_peer(oracle, server, &packet->sent_to);
        if (peer != NULL)
            on_challenge_seen(oracle, peer);
    }
}

void oracle_on_datagram_out(struct host *host, struct sim_packet *packet)
{
    struct world *world = host->world;
    if (!host->is_server) {
        linkage_on_datagram(world->oracle->linkage, host, packet, true);
        return;
    }
    struct wire_peer *peer = get_peer(world->oracle, host, &packet->dst);
    peer->out += packet->len;
    packet->challenge = peer->challenge_going;
    if (peer->proven)
        return;
    world->oracle->stats.spared++;
    if (peer->out > 3 * peer->in)
        world_fail(world, "%s: %llu octets to %s, which is not proven and has sent %llu", host->name,
                   (unsigned long long)peer->out, text_of(&packet->dst), (unsigned long long)peer->in);
}

void oracle_after_transmit(struct host *host)
{
    struct oracle *oracle = host->world->oracle;
    for (size_t i = 0; i < oracle->going_count; i++)
        oracle->peers[oracle->going[i]].challenge_going = false;
    oracle->going_count = 0;
}

bool oracle_wire(const struct host *host, const roam_address *remote, uint64_t *ret_out, uint64_t *ret_in)
{
    const struct wire_peer *peer = find_peer(host->world->oracle, host, remote);
    *ret_out = peer != NULL ? peer->out : 0;
    *ret_in = peer != NULL ? peer->in : 0;
    return peer != NULL && peer->proven;
}

/* ---- Packets --------------------------------------------------------------------------------------------------- */

static struct conn_view *get_view(struct oracle *oracle, const struct host *host, const roam_conn *conn)
{
    for (struct conn_view *view = oracle->views; view != NULL; view = view->next) {
        if (view->conn == conn && view->host == host)
            return view;
    }
    struct conn_view *view = calloc(1, sizeof(*view));
    if (view == NULL)
        abort();
    view->conn = conn;
    view->host = host;
    view->next = oracle->views;
    oracle->views = view;
    return view;
}

void oracle_forget(struct host *host, const roam_conn *conn)
{
    struct oracle *oracle = host->world->oracle;
    for (struct conn_view **at = &oracle->views; *at != NULL; at = &(*at)->next) {
        struct conn_view *view = *at;
        if (view->conn == conn && view->host == host) {
            *at = view->next;
            conn_view_done(view);
            free(view);
            return;
        }
    }
}

void oracle_on_rebind(struct host *host, const roam_conn *conn, const roam_address *from, const roam_address *to)
{
    conn_view_rebind(get_view(host->world->oracle, host, conn), to);
    linkage_on_rebind(host->world->oracle->linkage, host, from, to);
}

static void keep(struct oracle *oracle, const struct host *host, const struct observed_packet *packet)
{
    if (oracle->record_count == oracle->record_capacity) {
        oracle->record_capacity = oracle->record_capacity == 0 ? 1024 : 2 * oracle->record_capacity;
        oracle->records = realloc(oracle->records, oracle->record_capacity * sizeof(*oracle->records));
        if (oracle->records == NULL)
            abort();
    }
    oracle->records[oracle->record_count++] =
        (struct oracle_record){.time = world_now(oracle->world), .host = host, .packet = *packet};
}

static void trace_packet(struct world *world, const struct host *host, const struct observed_packet *packet)
{
    trace_word(&world->trace, (uint64_t)host->id << 32 | (uint64_t)packet->type << 8 | packet->sent);
    trace_word(&world->trace, packet->number);
    trace_word(&world->trace, packet->frames);
    trace_word(&world->trace, (uint64_t)packet->path_id << 32 | packet->bytes);
    trace_cid(&world->trace, &packet->dcid);
    if (world->trace.print == NULL)
        return;
    char frames[256] = "", cid[ROAM_CID_TEXT_MAX];
    size_t at = 0;
    for (uint64_t type = 0; type < FRAME_TYPES && at < sizeof(frames) - 32; type++) {
        if (packet->frames & FRAME_BIT(type))
            at += (size_t)snprintf(frames + at, sizeof(frames) - at, " %s",
                                   frame_rule_of(type != FRAME_INDEX_ACK_FREQUENCY ? type : FRAME_ACK_FREQUENCY)->name);
    }
    trace_line(&world->trace, world_now(world), "    %s %s %s %llu on path %lld to %s cid %s, %zu octets:%s",
               host->name, packet->sent ? "sent" : "got", packet_type_name(packet->type),
               (unsigned long long)packet->number, (long long)packet->path_id,
               text_of(packet->sent ? &packet->remote : &packet->local), roam_cid_format(&packet->dcid, cid),
               packet->bytes, frames);
}

static void on_challenge_sent(struct oracle *oracle, struct wire_peer *peer)
{
    if (peer->challenge_going)
        return;
    peer->challenge_going = true;
    if (oracle->going_count == HOST_BATCH)
        world_fail(oracle->world, "more paths than datagrams are challenged in one transmit");
    else
        oracle->going[oracle->going_count++] = (size_t)(peer - oracle->peers);
}

/* Before the handshake is confirmed the packet may share its datagram, and the padding, with others. */
static void check_size_of_probe(struct host *host, const struct observed_packet *packet)
{
    const struct path *path = path_set_find(&packet->conn->paths, packet->path_id);
    const uint64_t path_frames = FRAME_BIT(FRAME_PATH_CHALLENGE) | FRAME_BIT(FRAME_PATH_RESPONSE);
    bool free_of_limit = path != NULL && path->address_validated && packet->conn->confirmed;
    if ((packet->frames & path_frames) != 0 && free_of_limit && packet->bytes < DATAGRAM_BYTES_MIN)
        world_fail(host->world, "%s: a path is probed with %zu octets", host->name, packet->bytes);
}

static void on_packet_sent(struct oracle *oracle, struct host *host, const struct observed_packet *packet)
{
    struct conn_view *view = get_view(oracle, host, packet->conn);
    enum packet_space space = packet_space_of(packet->type);
    if (packet->number < view->last_sent[space])
        world_fail(oracle->world, "%s: %s packet number %llu was used before", host->name,
                   packet_type_name(packet->type), (unsigned long long)packet->number);
    view->last_sent[space] = packet->number + 1;
    if (packet->type == PACKET_ONE_RTT) {
        const char *wrong = conn_view_sent(view, packet);
        char cid[ROAM_CID_TEXT_MAX];
        if (wrong != NULL)
            world_fail(oracle->world, "%s: %s: %s, now towards %s", host->name, wrong,
                       roam_cid_format(&packet->dcid, cid), text_of(&packet->remote));
    }
    const char *wrong_answer = conn_view_responds(view, packet);
    if (wrong_answer != NULL)
        world_fail(oracle->world, "%s: %s, towards %s", host->name, wrong_answer, text_of(&packet->remote));
    check_size_of_probe(host, packet);
    oracle_check_preferred(host, view, packet);
    if (packet->frames & FRAME_BIT(FRAME_PATH_CHALLENGE)) {
        oracle->stats.challenges++;
        if (host->is_server)
            on_challenge_sent(oracle, get_peer(oracle, host, &packet->remote));
    }
}

static void note_newest(struct conn_view *view, const struct observed_packet *packet)
{
    if (oracle_is_probing(packet->frames) || packet->number < view->newest)
        return;
    view->newest = packet->number + 1;
    view->newest_from = packet->remote;
}

static void on_packet_received(struct oracle *oracle, struct host *host, const struct observed_packet *packet)
{
    struct conn_view *view = get_view(oracle, host, packet->conn);
    bool added;
    view->heard = true;
    sim_map_get(&view->numbers, (packet->number << 2 | packet_space_of(packet->type)) + 1, 0, &added);
    if (!added)
        world_fail(oracle->world, "%s: processes %s packet %llu twice", host->name, packet_type_name(packet->type),
                   (unsigned long long)packet->number);
    conn_view_received(view, packet);
    conn_view_challenged(view, packet);
    if (packet->type == PACKET_ONE_RTT) {
        note_newest(view, packet);
        if (view->oldest == 0 || packet->number < view->oldest - 1)
            view->oldest = packet->number + 1;
    }
    if (!host->is_server)
        return;
    if (packet->type == PACKET_HANDSHAKE)
        get_peer(oracle, host, &packet->remote)->proven = true;
    if (packet->frames & FRAME_BIT(FRAME_PATH_RESPONSE))
        on_response(oracle);
}

void oracle_on_packet(void *context, const struct observed_packet *packet)
{
    struct host *host = context;
    struct oracle *oracle = host->world->oracle;
    if (packet->conn == NULL || packet->type == PACKET_RETRY || packet->type >= PACKET_VERSION_NEGOTIATION)
        return;
    oracle->stats.packets++;
    trace_packet(host->world, host, packet);
    if (packet->sent)
        host_on_sealed(host, packet->bytes, packet->frames);
    if (oracle->recording)
        keep(oracle, host, packet);
    if (packet->sent)
        on_packet_sent(oracle, host, packet);
    else
        on_packet_received(oracle, host, packet);
}

/* What was learnt of one network says nothing about another (RFC 9000 section 9.4). */
static void check_new_path(struct host *host, const roam_event *event)
{
    const struct path_set *set = &event->conn->paths;
    const struct path *path = path_set_find(set, event->path_id);
    if (path == NULL || !path->recovery.rtt.has_sample)
        return;
    for (size_t i = 0; i < set->count; i++) {
        if (set->paths[i] != path && roam_address_same_ip(&set->paths[i]->remote, &path->remote))
            return;
    }
    world_fail(host->world, "%s: the path to %s begins with the RTT of another", host->name, text_of(&path->remote));
}

static void check_story(struct host *host, const roam_event *event)
{
    const char *wrong = event_book_add(&get_view(host->world->oracle, host, event->conn)->events, event);
    if (wrong != NULL)
        world_fail(host->world, "%s: %s: %s, path %llu, CID %llu", host->name, roam_event_name(event->type), wrong,
                   (unsigned long long)event->path_id, (unsigned long long)event->sequence);
}

//= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address toward the
// handshake's.
static void check_immobile(struct host *host, const roam_event *event)
{
    const roam_conn *conn = event->conn;
    bool elsewhere = event->type == ROAM_EVENT_PATH_MOVED ||
                     (event->type == ROAM_EVENT_PATH_CHALLENGED && event->path_id != conn->paths.active_id);
    if (elsewhere && !host->is_server && conn->peer.disable_active_migration &&
        roam_address_equal(&event->remote, &conn->client->handshake_remote))
        world_fail(host->world, "%s: %s to a server that allows no migration", host->name,
                   roam_event_name(event->type));
}

void oracle_on_event(struct host *host, const roam_event *event)
{
    if (event->type == ROAM_EVENT_PATH_MOVED || event->type == ROAM_EVENT_PATH_CHALLENGED)
        check_immobile(host, event);
    if (event->conn != NULL)
        check_story(host, event);
    if (event->type == ROAM_EVENT_PATH_NEW)
        check_new_path(host, event);
    if (!host->is_server && event->type == ROAM_EVENT_PATH_VALIDATED &&
        !roam_address_equal(&event->remote, &event->conn->client->handshake_remote))
        get_view(host->world->oracle, host, event->conn)->validated_server = event->remote;
    if (!host->is_server || (event->type != ROAM_EVENT_PATH_MOVED && event->type != ROAM_EVENT_PATH_REVERTED))
        return;
    struct conn_view *view = get_view(host->world->oracle, host, event->conn);
    oracle_check_move_to_preferred(host, view, event);
    if (event->type == ROAM_EVENT_PATH_MOVED && !roam_address_equal(&view->newest_from, &event->remote))
        world_fail(host->world, "%s: moves to %s, whence the newest non-probing packet did not come", host->name,
                   text_of(&event->remote));
}

/* ---- The library's state --------------------------------------------------------------------------------------- */

static bool is_server_address(const struct world *world, const roam_address *address)
{
    for (const struct host *host = world->hosts; host != NULL; host = host->next) {
        if (host->is_server && host_interface_of(host, address) != NULL)
            return true;
    }
    return false;
}

static void check_server_paths(struct host *host, const roam_conn *conn)
{
    roam_path_info paths[PATHS_MAX];
    size_t n = roam_conn_paths(conn, paths, PATHS_MAX);
    if (n > PATHS_MAX)
        world_fail(host->world, "%s: %zu paths", host->name, n);
    for (size_t i = 0; i < n && i < PATHS_MAX; i++) {
        const struct wire_peer *peer = find_peer(host->world->oracle, host, &paths[i].remote);
        if (paths[i].active && paths[i].state == ROAM_PATH_FAILED && (peer == NULL || !peer->proven))
            world_fail(host->world, "%s: stays at %s, where nobody answers", host->name, text_of(&paths[i].remote));
        if (paths[i].state == ROAM_PATH_VALIDATED && (peer == NULL || !peer->proven))
            world_fail(host->world, "%s: takes %s for validated, where nobody has answered", host->name,
                       text_of(&paths[i].remote));
    }
}

static void check_row(struct host *host, const roam_conn_info *row)
{
    struct world *world = host->world;
    if (row->state != ROAM_CONN_HANDSHAKE && row->state != ROAM_CONN_ESTABLISHED)
        return;
    const struct conn_view *view = get_view(world->oracle, host, row->conn);
    if (view->oldest > 0 && !ack_tracker_is_duplicate(&row->conn->application.received, view->oldest - 1))
        world_fail(world, "%s: would process packet %llu twice, were it to come again", host->name,
                   (unsigned long long)view->oldest - 1);
    if (row->is_server) {
        const struct wire_peer *peer = find_peer(world->oracle, host, &row->remote);
        if (roam_address_is_set(&row->remote) && (peer == NULL || !peer->proven))
            world_fail(world, "%s: takes the address %s for proven", host->name, text_of(&row->remote));
        if (!roam_address_equal(roam_conn_remote_address(row->conn), &row->remote))
            world_fail(world, "%s: shows one address in the row and another beside it", host->name);
        if (row->address_validated == roam_address_is_set(&row->claimed))
            world_fail(world, "%s: shows a claim beside the address in use, or none where that is one", host->name);
        if (!view->heard)
            world_fail(world, "%s: has a connection with %s that nothing authentic made", host->name,
                       text_of(&row->remote));
        check_server_paths(host, row->conn);
    } else if (!is_server_address(world, &row->remote)) {
        world_fail(world, "%s: sends to %s, which is no server", host->name, text_of(&row->remote));
    }
    const char *wrong = conn_cids_wrong(row->conn);
    if (wrong != NULL)
        world_fail(world, "%s: %s", host->name, wrong);
}

void oracle_after_turn(struct host *host)
{
    struct world *world = host->world;
    if (world->failed)
        return;
    roam_conn_info rows[CONNS_MAX];
    size_t n = roam_endpoint_connections(host->endpoint, rows, CONNS_MAX);
    world->oracle->stats.checks++;
    for (size_t i = 0; i < n && i < CONNS_MAX; i++) {
        check_row(host, &rows[i]);
        conn_check(rows[i].conn);
    }
    if (host->alloc.mistakes != 0)
        world_fail(world, "%s: a block came back with another size than it was asked for", host->name);
}
