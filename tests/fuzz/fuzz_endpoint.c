/*
 * A whole endpoint as an attacker who holds the keys would treat it. Each input makes a client and a server of its
 * own, lets them shake hands as far as the first octet says, and is then a program that turns them: see `step`. What
 * is sealed is sealed with the real keys, so that frames and packet numbers are fuzzed behind the decryption; what is
 * not is cut, repeated, reordered or raw.
 *
 * After every step all invariants are checked, and that no endpoint asks to be woken for nothing. In the end
 * everything is freed, and the allocator must have got back all that it gave; a step may also run without memory.
 * Where the input has an odd number of octets, both endpoints write qlogs, of which each record must be JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <roam/roam.h>

#include "endpoint/endpoint.h"
#include "fuzz/checked_log.h"
#include "fuzz/composed_frames.h"
#include "unit/counting_allocator.h"
#include "unit/sealed.h"

#define STREAMS_HELD      4
#define DATAGRAMS_HELD    8
#define DATAGRAM_CAPACITY 2048
#define STEPS_MAX         64
#define TURNS_MAX         24

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A genuine datagram that is on its way. */
struct held {
    roam_address local, remote; /* as the receiver sees them */
    size_t len;
    uint8_t data[DATAGRAM_CAPACITY];
};

struct side {
    roam_endpoint *endpoint;
    roam_conn *conn;
    roam_stream *streams[STREAMS_HELD];
    struct held held[DATAGRAMS_HELD]; /* what it sent, a ring */
    size_t held_count;
    uint64_t left_out; /* a packet number that was never used, or 0 */
    bool keeps_closed; /* does not give back a connection that has ended */
};

struct world {
    roam_time now;
    uint64_t random;
    struct counting_allocator counting;
    struct side client, server;
    const uint8_t *data; /* the rest of the program */
    size_t size;
    struct checked_log log;
};

static roam_credentials *server_credentials, *client_credentials;
static roam_address places[4], server_place;

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const names[] = {"localhost", NULL};
    (void)argc, (void)argv;
    server_credentials = roam_credentials_new();
    client_credentials = roam_credentials_new();
    require(roam_credentials_generate(server_credentials, names) == ROAM_OK);
    roam_credentials_trust_anyone(client_credentials);
    require(roam_address_parse(&places[0], "192.168.1.10:50000") &&
            roam_address_parse(&places[1], "192.168.1.10:50001") && roam_address_parse(&places[2], "10.0.0.20:51000") &&
            roam_address_parse(&places[3], "[2001:db8::1]:53") && roam_address_parse(&server_place, "203.0.113.5:443"));
    return 0;
}

static void fill_random(void *context, void *buf, size_t len)
{
    struct world *world = context;
    for (size_t i = 0; i < len; i++) {
        world->random = world->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)buf)[i] = (uint8_t)(world->random >> 56);
    }
}

/* ---- The program's octets; after its end come zeros */

static uint8_t take(struct world *world)
{
    if (world->size == 0)
        return 0;
    world->size--;
    return *world->data++;
}

/* Copies up to `max` octets that a length in front of them counts. */
static size_t take_octets(struct world *world, uint8_t *ret, size_t max)
{
    size_t len = (size_t)take(world) * 6;
    len = len < max ? len : max;
    len = len < world->size ? len : world->size;
    if (len > 0)
        memcpy(ret, world->data, len);
    world->data += len;
    world->size -= len;
    return len;
}

static struct side *take_side(struct world *world, uint8_t choice)
{
    return (choice & 1) != 0 ? &world->client : &world->server;
}

/* ---- Turning the endpoints */

static void forget_streams(struct side *side)
{
    memset(side->streams, 0, sizeof(side->streams));
}

static void hold_stream(struct side *side, roam_stream *stream)
{
    for (size_t i = 0; i < STREAMS_HELD; i++) {
        if (side->streams[i] == NULL) {
            side->streams[i] = stream;
            return;
        }
    }
    roam_stream_free(stream);
}

static void poll_all(struct world *world, struct side *side)
{
    roam_event event;
    while (roam_endpoint_poll(side->endpoint, &event)) {
        if (event.type == ROAM_EVENT_ACCEPTED && side->conn == NULL)
            side->conn = event.conn;
        if (event.type == ROAM_EVENT_STREAM_OPENED && event.conn == side->conn)
            hold_stream(side, event.stream);
        if (event.type != ROAM_EVENT_CLOSED || (event.conn == side->conn && side->keeps_closed))
            continue;
        if (event.conn == side->conn) {
            forget_streams(side);
            side->conn = NULL;
        }
        roam_conn_free(event.conn, world->now);
    }
}

static void deliver(struct world *world, struct side *to, const roam_address *local, const roam_address *remote,
                    const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of just this size, so that a read beyond it is seen */
    if (len > 0)
        memcpy(copy, data, len);
    roam_datagram datagram = {.local = *local, .remote = *remote, .data = copy, .len = len, .ecn = (uint8_t)(len & 3)};
    roam_endpoint_receive(to->endpoint, world->now, &datagram, 1);
    free(copy);
}

static bool transmit_one(struct world *world, struct side *side, struct held *ret)
{
    roam_datagram datagram = {.data = ret->data, .capacity = sizeof(ret->data)};
    if (roam_endpoint_transmit(side->endpoint, world->now, &datagram, 1) == 0)
        return false;
    ret->local = datagram.remote;
    ret->remote = datagram.local;
    ret->len = datagram.len;
    return true;
}

/* What the side sends is held back: the program delivers it, or not. */
static void transmit_to_hold(struct world *world, struct side *side)
{
    for (int i = 0; i < TURNS_MAX && transmit_one(world, side, &side->held[side->held_count % DATAGRAMS_HELD]); i++)
        side->held_count++;
}

static bool deliver_next(struct world *world, struct side *side)
{
    struct held *held = &side->held[side->held_count % DATAGRAMS_HELD];
    if (!transmit_one(world, side, held))
        return false;
    side->held_count++;
    deliver(world, side == &world->client ? &world->server : &world->client, &held->local, &held->remote, held->data,
            held->len);
    return true;
}

static void check(struct world *world)
{
    poll_all(world, &world->client);
    poll_all(world, &world->server);
    endpoint_check(world->client.endpoint);
    endpoint_check(world->server.endpoint);
}

/* Datagrams go to and fro, at most `turns` of them. */
static void turn(struct world *world, int turns)
{
    while (turns-- > 0) {
        roam_endpoint_expire(world->client.endpoint, world->now);
        roam_endpoint_expire(world->server.endpoint, world->now);
        bool moved = deliver_next(world, turns % 2 == 0 ? &world->client : &world->server) ||
                     deliver_next(world, turns % 2 == 0 ? &world->server : &world->client);
        check(world);
        if (!moved)
            return;
        world->now += ROAM_MILLISECONDS(1);
    }
}

/* A real loop would spin on an endpoint that has nothing to send and yet wants to be called at once. */
static void require_rest(struct world *world, struct side *side)
{
    struct held ignored;
    for (int i = 0; i < 1000; i++) {
        roam_endpoint_expire(side->endpoint, world->now);
        while (transmit_one(world, side, &ignored))
            ;
        if (roam_endpoint_deadline(side->endpoint) > world->now)
            return;
    }
    abort();
}

/* ---- Steps */

static size_t take_composed(struct world *world, roam_conn *to, uint8_t *ret, size_t capacity)
{
    struct writer writer = writer_init(ret, capacity);
    for (int left = take(world) % 8; left > 0; left--) {
        uint8_t kind = take(world);
        struct writer before = writer;
        compose_frame(&writer, to, kind, take(world));
        if (writer.failed)
            writer = before;
    }
    return writer_len(&writer);
}

/* A number left out is a gap for the receiver; the first of them can come later after all. */
static void leave_number_out(struct side *from)
{
    uint64_t number = pn_space_take_number(&from->conn->application, false, from->conn->owner->rng);
    if (from->left_out == 0)
        from->left_out = number;
}

/* Which CID, an odd number, odd bits. */
static void apply_flags(struct side *from, uint8_t flags, struct sealing *sealing)
{
    const struct remote_cid_set *cids = &from->conn->remote_cids;
    size_t cid = flags >> 2 & 3;
    if (cid > 0 && cid < cids->count && sealing->type == PACKET_ONE_RTT)
        sealing->dcid = &cids->entries[cid].cid;
    if ((flags & 0xc0) == 0x40) {
        leave_number_out(from);
    } else if ((flags & 0xd0) == 0xd0) {
        sealing->has_number = from->left_out != 0;
        sealing->number = from->left_out;
        from->left_out = 0;
    } else if ((flags & 0xd0) == 0xc0) {
        sealing->has_number = true;
        sealing->number = conn_space(from->conn, packet_space_of(sealing->type))->next_number +
                          (UINT64_C(1) << (sealing->payload_len % 20));
    } else if ((flags & 0xc0) == 0x80) {
        sealing->first_octet = (flags & 0x10) != 0 ? 0x04 : 0x08;
    }
}

/* A packet sealed by the other side, with frames of the program: flags, then octets as they are or what to compose. */
static void inject(struct world *world, enum packet_type type, struct side *from, struct side *to, bool composed)
{
    uint8_t payload[1200];
    uint8_t flags = take(world);
    struct held *held = &from->held[from->held_count % DATAGRAMS_HELD];
    size_t len = composed ? (to->conn != NULL ? take_composed(world, to->conn, payload, sizeof(payload)) : 0)
                          : take_octets(world, payload, sizeof(payload));
    if (from->conn == NULL || !can_seal(from->conn, type))
        return;
    struct sealing sealing = {.from = from->conn, .type = type, .payload = payload, .payload_len = len};
    apply_flags(from, flags, &sealing);
    held->len = seal_by_hand(&sealing, held->data);
    if (held->len > 0 && type == PACKET_INITIAL && held->len < DATAGRAM_BYTES_MIN) {
        memset(held->data + held->len, 0, DATAGRAM_BYTES_MIN - held->len);
        held->len = DATAGRAM_BYTES_MIN;
    }
    held->local = from == &world->client ? server_place : *roam_conn_remote_address(from->conn);
    held->remote = from == &world->client ? places[flags & 3] : server_place;
    from->held_count++;
    if ((flags & 0x20) == 0)
        deliver(world, to, &held->local, &held->remote, held->data, held->len);
}

static void deliver_raw(struct world *world, struct side *to)
{
    uint8_t raw[1400];
    uint8_t flags = take(world);
    size_t len = take_octets(world, raw, sizeof(raw));
    if ((flags & 0x80) != 0 && len < DATAGRAM_BYTES_MIN) {
        memset(raw + len, 0, DATAGRAM_BYTES_MIN - len);
        len = DATAGRAM_BYTES_MIN;
    }
    if (to == &world->server)
        deliver(world, to, &server_place, &places[flags & 3], raw, len);
    else
        deliver(world, to, &places[flags & 3], &server_place, raw, len);
}

/* One of the datagrams held: late, again, cut, damaged, from elsewhere. */
static void deliver_held(struct world *world, struct side *from, struct side *to)
{
    uint8_t flags = take(world);
    size_t kept = from->held_count < DATAGRAMS_HELD ? from->held_count : DATAGRAMS_HELD;
    if (kept == 0)
        return;
    struct held copy = from->held[(from->held_count - 1 - flags % kept) % DATAGRAMS_HELD];
    if ((flags & 0x80) != 0)
        copy.len = take(world) * copy.len / 256;
    if ((flags & 0x40) != 0 && copy.len > 0)
        copy.data[take(world) * copy.len / 256] ^= (uint8_t)(1 + take(world));
    if ((flags & 0x20) != 0 && from == &world->client)
        copy.remote = places[take(world) & 3];
    deliver(world, to, &copy.local, &copy.remote, copy.data, copy.len);
}

static void use_stream(struct world *world, struct side *side, uint8_t choice)
{
    uint8_t octets[2048];
    roam_stream **stream = &side->streams[choice >> 4 & 3];
    memset(octets, choice, sizeof(octets));
    if (*stream == NULL)
        *stream = roam_stream_open(side->conn, (choice & 8) != 0, NULL);
    if (*stream == NULL)
        return;
    bool end;
    switch (choice & 7) {
    case 0:
    case 1:
        roam_stream_write(*stream, octets, (choice & 1) != 0 ? sizeof(octets) : 10);
        break;
    case 2:
        roam_stream_finish(*stream);
        break;
    case 3:
        while (roam_stream_read(*stream, octets, sizeof(octets), &end) > 0)
            ;
        break;
    case 4:
        roam_stream_reset(*stream, choice);
        break;
    case 5:
        roam_stream_stop(*stream, choice);
        break;
    default:
        roam_stream_free(*stream);
        *stream = NULL;
    }
    (void)world;
}

/* Takes what came, and sends one of some size. */
static void use_datagrams(struct world *world, struct side *side, uint8_t choice)
{
    static const uint8_t octets[1500];
    const uint8_t *data;
    size_t len;
    while (roam_conn_next_datagram(side->conn, &data, &len))
        require(len == 0 || data[len - 1] + 1 > 0);
    roam_conn_send_datagram(side->conn, world->now, octets, (size_t)(choice & 0xf8) * 6, choice);
}

static void use_conn(struct world *world, struct side *side, uint8_t choice)
{
    const roam_address *place = &places[choice >> 4 & 3];
    switch (choice & 7) {
    case 0:
        roam_conn_rebind(side->conn, world->now, place);
        break;
    case 1:
        roam_conn_migrate(side->conn, world->now, place);
        break;
    case 2:
        roam_conn_probe(side->conn, world->now, place);
        break;
    case 3:
        if ((choice & 8) != 0)
            use_datagrams(world, side, choice);
        else
            roam_conn_ping(side->conn, world->now);
        break;
    case 4:
        roam_conn_update_keys(side->conn, world->now);
        break;
    case 5:
        side->keeps_closed = !side->keeps_closed;
        break;
    case 6:
        roam_conn_close(side->conn, world->now, choice, "fuzz");
        break;
    default:
        forget_streams(side);
        roam_conn_free(side->conn, world->now);
        side->conn = NULL;
    }
}

static void step(struct world *world)
{
    uint8_t op = take(world);
    struct side *to = take_side(world, op >> 6), *from = to == &world->server ? &world->client : &world->server;
    world->counting.refuses = (op & 0x80) != 0;
    switch (op & 0x0f) {
    case 0:
        world->now += ROAM_MICROSECONDS(1) << (take(world) % 28);
        break;
    case 1:
        turn(world, TURNS_MAX);
        break;
    case 2:
        transmit_to_hold(world, from);
        break;
    case 3:
        deliver_held(world, from, to);
        break;
    case 4:
        deliver_raw(world, to);
        break;
    case 5:
        inject(world, PACKET_INITIAL, from, to, false);
        break;
    case 6:
        inject(world, PACKET_HANDSHAKE, from, to, false);
        break;
    case 7:
        turn(world, 1 + take(world) % 8);
        break;
    case 8:
    case 9:
        if (to->conn != NULL)
            use_stream(world, to, take(world));
        break;
    case 10:
        if (to->conn != NULL)
            use_conn(world, to, take(world));
        break;
    case 11:
        inject(world, PACKET_ONE_RTT, from, to, false);
        break;
    default:
        inject(world, PACKET_ONE_RTT, from, to, true);
    }
    world->counting.refuses = false;
}

/* One octet has been taken when this looks at the size. */
static void start_logs(struct world *world)
{
    if ((world->size & 1) != 0)
        return;
    world->log.refuse_every = (world->size >> 2) % 8;
    const roam_qlog qlog =
        checked_log_sink(&world->log, (world->size & 2) != 0 ? ROAM_QLOG_NAMES_LATEST : ROAM_QLOG_NAMES_QVIS);
    roam_endpoint_set_qlog(world->client.endpoint, &qlog);
    roam_endpoint_set_qlog(world->server.endpoint, &qlog);
}

/* ---- A world */

static void start(struct world *world, uint8_t choice)
{
    static const char *const alpn[] = {"fuzz", NULL};
    static const uint8_t cid_bytes[] = {8, 0, 4, 20};
    roam_endpoint_config client, server;
    roam_config connection;
    roam_endpoint_config_init(&client);
    roam_endpoint_config_init(&server);
    roam_config_init(&connection);
    client.allocator = server.allocator = counting_allocator(&world->counting);
    client.rng = server.rng = (roam_rng){.fill = fill_random, .context = world};
    connection.alpn = alpn;
    connection.credentials = server_credentials;
    connection.initial_max_streams_bidi = connection.initial_max_streams_uni = 4;
    connection.initial_max_stream_data = 4096;
    connection.initial_max_data = 10000;
    connection.max_datagram_frame_bytes = 1000;
    connection.datagram_queue_bytes = 4096;
    connection.datagram_fates = true;
    server.accept = &connection;
    server.cid_bytes = cid_bytes[choice >> 3 & 3];
    server.retry = (choice & 0x40) != 0 ? ROAM_RETRY_ALWAYS : ROAM_RETRY_NEVER;
    client.cid_bytes = (choice & 0x20) != 0 ? 0 : 8;
    client.force_version = (choice & 0x80) != 0 ? UINT32_C(0x1a2a3a4a) : 0;
    world->server.endpoint = roam_endpoint_new(&server, world->now, NULL);
    world->client.endpoint = roam_endpoint_new(&client, world->now, NULL);
    start_logs(world);
    connection.credentials = client_credentials;
    connection.local = &places[0];
    connection.remote = &server_place;
    world->client.conn = roam_connect(world->client.endpoint, "localhost", 443, &connection, world->now, NULL);
    require(world->server.endpoint != NULL && world->client.conn != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    world.now = ROAM_SECONDS(1000);
    world.random = 42;
    world.data = data;
    world.size = size;
    uint8_t choice = take(&world);
    start(&world, choice);
    turn(&world, (choice & 7) == 7 ? 2 * TURNS_MAX : choice & 7);
    for (int i = 0; i < STEPS_MAX && world.size > 0; i++) {
        step(&world);
        check(&world);
    }
    require_rest(&world, &world.client);
    require_rest(&world, &world.server);
    check(&world);
    roam_endpoint_free(world.client.endpoint);
    roam_endpoint_free(world.server.endpoint);
    require(world.counting.bytes_out == 0);
    return 0;
}
