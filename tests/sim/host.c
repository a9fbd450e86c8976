/* A host between its wires and its endpoint. */
#include "sim/host.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/oracle.h"

/* Rounds in which an endpoint may go on finding something to do at one moment. */
#define TURN_ROUNDS_MAX 2000

/* Wakes in a row that bring forth nothing. */
#define FRUITLESS_WAKES_MAX 100

#define EPHEMERAL_FIRST 49152
#define EPHEMERAL_LAST  65535

static void host_wake(struct sim_event *event)
{
    struct host *host = SIM_CONTAINER(event, struct host, wake);
    if (host->asleep)
        return;
    host->wakes++;
    uint64_t before = host->datagrams_out;
    uint64_t events = host->world->trace.hash;
    roam_endpoint_expire(host->endpoint, host_now(host));
    host_turn(host);
    if (host->datagrams_out != before || host->world->trace.hash != events)
        host->fruitless_wakes = 0;
    else if (++host->fruitless_wakes > FRUITLESS_WAKES_MAX)
        world_fail(host->world, "%s: %u deadlines in a row without any work done", host->name, host->fruitless_wakes);
}

static bool open_endpoint(struct host *host, const struct host_config *config)
{
    roam_endpoint_config endpoint = config->endpoint;
    endpoint.allocator = sim_alloc_adapter(&host->alloc);
    endpoint.rng = sim_rng_adapter(&host->rng);
    roam_result result;
    host->endpoint = roam_endpoint_new(&endpoint, world_now(host->world), &result);
    if (host->endpoint == NULL) {
        world_fail(host->world, "%s: no endpoint: %s", host->name, roam_result_name(result));
        return false;
    }
    roam_endpoint_set_qlog(host->endpoint, config->qlog);
    endpoint_set_packet_observer(host->endpoint, oracle_on_packet, host);
    return true;
}

struct host *host_new(struct world *world, const char *name, const struct host_config *config)
{
    struct host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        abort();
    host->world = world;
    snprintf(host->name, sizeof(host->name), "%s", name);
    host->is_server = config->is_server;
    sim_rng_init(&host->rng, world->seed, host->name);
    char ports[SIM_NAME_MAX + 8];
    snprintf(ports, sizeof(ports), "%s.ports", name);
    sim_rng_init(&host->ports, world->seed, ports);
    sim_alloc_init(&host->alloc);
    sim_event_init(&host->wake, host_wake);
    host->batch = config->batch != 0 ? config->batch : 1;
    host->capacity = config->capacity != 0 ? config->capacity : 1500;
    host->buffer = malloc(HOST_BATCH * host->capacity);
    if (host->buffer == NULL)
        abort();
    host->id = world->hosts == NULL ? 1 : world->hosts->id + 1;
    host->next = world->hosts;
    world->hosts = host;

    return open_endpoint(host, config) ? host : NULL;
}

/* Where the trace is printed: what the endpoint has dropped. */
static void trace_drops(struct host *host)
{
    roam_endpoint_stats stats;
    if (host->world->trace.print == NULL)
        return;
    roam_endpoint_get_stats(host->endpoint, &stats);
    for (size_t i = 0; i < ROAM_DROPS; i++) {
        if (stats.drops[i] != 0)
            trace_line(&host->world->trace, world_now(host->world), "%s dropped %llu: %s", host->name,
                       (unsigned long long)stats.drops[i], roam_drop_name((roam_drop)i));
    }
}

void host_reclaim(struct host *host)
{
    if (host->endpoint != NULL)
        roam_endpoint_reclaim(host->endpoint);
    for (; host->lent_count > 0; host->lent_count--) {
        struct sim_packet *packet = host->lent[host->lent_count - 1];
        memset(packet->data, 0xee, sizeof(packet->data));
        world_packet_free(packet);
    }
}

void host_end(struct host *host)
{
    if (host->endpoint == NULL)
        return;
    trace_drops(host);
    sim_clock_set(&host->world->clock, &host->wake, ROAM_TIME_NEVER);
    roam_endpoint_free(host->endpoint);
    host->endpoint = NULL;
    host_reclaim(host);
    if (host->alloc.blocks != 0)
        world_fail(host->world, "%s: %llu blocks with %llu octets were never given back", host->name,
                   (unsigned long long)host->alloc.blocks, (unsigned long long)host->alloc.bytes);
    if (host->alloc.mistakes != 0)
        world_fail(host->world, "%s: %llu blocks came back with another size than they were asked for", host->name,
                   (unsigned long long)host->alloc.mistakes);
}

bool host_restart(struct host *host, const struct host_config *config)
{
    host_end(host);
    trace_line(&host->world->trace, world_now(host->world), "%s restarts", host->name);
    return open_endpoint(host, config);
}

void host_free(struct host *host)
{
    host_end(host);
    sim_alloc_done(&host->alloc);
    host_forget_waiting(host);
    free(host->sockets);
    free(host->buffer);
    free(host);
}

/* ---- Interfaces and sockets ------------------------------------------------------------------------------------ */

static void interface_from_above(struct node *node, struct sim_packet *packet)
{
    host_receive(((struct interface *)node)->host, packet);
}

static void interface_done(struct node *node)
{
    free(node);
}

struct interface *host_add_interface(struct host *host, const char *ip, struct node *parent,
                                     const struct link_config *up, const struct link_config *down)
{
    assert(host->interface_count < HOST_INTERFACES_MAX);
    struct interface *interface = calloc(1, sizeof(*interface));
    if (interface == NULL)
        abort();
    char name[SIM_NAME_MAX + 8];
    snprintf(name, sizeof(name), "%s.%zu", host->name, host->interface_count);
    roam_address address = sim_address(ip);
    node_init(&interface->node, host->world, name, &address);
    interface->node.from_above = interface_from_above;
    interface->node.done = interface_done;
    interface->host = host;
    snprintf(interface->name, sizeof(interface->name), "if%zu", host->interface_count);
    node_attach(&interface->node, parent, up, down);
    host->interfaces[host->interface_count++] = interface;
    return interface;
}

static struct host_socket *find_socket(const struct host *host, const roam_address *local)
{
    for (size_t i = 0; i < host->socket_count; i++) {
        if (roam_address_equal(&host->sockets[i].local, local))
            return &host->sockets[i];
    }
    return NULL;
}

roam_address host_open_socket(struct host *host, const struct interface *interface, uint16_t port)
{
    roam_address local = interface->node.ip;
    local.port = port;
    while (local.port == 0) {
        local.port = (uint16_t)sim_rng_between(&host->ports, EPHEMERAL_FIRST, EPHEMERAL_LAST);
        if (find_socket(host, &local) != NULL)
            local.port = 0;
    }
    struct host_socket *known = find_socket(host, &local);
    if (known != NULL) {
        known->open = true;
        return local;
    }
    if (host->socket_count == host->socket_capacity) {
        host->socket_capacity = host->socket_capacity == 0 ? 8 : 2 * host->socket_capacity;
        host->sockets = realloc(host->sockets, host->socket_capacity * sizeof(*host->sockets));
        if (host->sockets == NULL)
            abort();
    }
    host->sockets[host->socket_count++] = (struct host_socket){.local = local, .open = true};
    return local;
}

bool host_has_socket(const struct host *host, const roam_address *local)
{
    const struct host_socket *socket = find_socket(host, local);
    return socket != NULL && socket->open;
}

void host_close_other_sockets(struct host *host, const roam_address *local)
{
    for (size_t i = 0; i < host->socket_count; i++) {
        if (!roam_address_equal(&host->sockets[i].local, local))
            host->sockets[i].open = false;
    }
}

void interface_set_down(struct interface *interface, bool down)
{
    struct world *world = interface->node.world;
    interface->node.up->down = interface->node.down->down = down;
    trace_word(&world->trace, down);
    trace_line(&world->trace, world_now(world), "%s %s", interface->node.name, down ? "down" : "up");
}

struct interface *host_interface_of(const struct host *host, const roam_address *local)
{
    for (size_t i = 0; i < host->interface_count; i++) {
        if (roam_address_same_ip(&host->interfaces[i]->node.ip, local))
            return host->interfaces[i];
    }
    return NULL;
}

/* ---- Datagrams ------------------------------------------------------------------------------------------------- */

static roam_address to_mapped(const roam_address *address)
{
    roam_address mapped = *address;
    if (address->family != ROAM_FAMILY_IPV4)
        return mapped;
    mapped.family = ROAM_FAMILY_IPV6;
    memset(mapped.ip, 0, 10);
    memset(mapped.ip + 10, 0xff, 2);
    memcpy(mapped.ip + 12, address->ip, 4);
    return mapped;
}

/* A packet whose octets the endpoint may look at until it gives them back: at the latest when there is no more room, and
 * then something else stands there. */
static void lend(struct host *host, struct sim_packet *packet)
{
    host->lent[host->lent_count++] = packet;
    if (host->lent_count == HOST_LENT_MAX)
        host_reclaim(host);
}

void host_receive(struct host *host, struct sim_packet *packet)
{
    struct world *world = host->world;
    struct host_socket *socket = find_socket(host, &packet->dst);
    const struct interface *at = host_interface_of(host, &packet->dst);
    if (socket == NULL || !socket->open || host->endpoint == NULL || host->asleep || (at != NULL && at->gone)) {
        world_packet_drop(packet, SIM_DROP_NO_SOCKET, host->name);
        return;
    }
    world->stats.delivered++;
    host->datagrams_in++;
    host->fruitless_wakes = 0;
    trace_word(&world->trace, UINT64_C(0x1d) << 56 | packet->id);
    trace_word(&world->trace, world_now(world));
    trace_word(&world->trace, (uint64_t)host->id << 32 | (uint64_t)packet->ecn << 16 | packet->len);
    trace_address(&world->trace, &packet->src);
    if (world->trace.print != NULL) {
        char src[ROAM_ADDRESS_TEXT_MAX];
        trace_line(&world->trace, world_now(world), "#%llu %s receives %zu octets from %s",
                   (unsigned long long)packet->id, host->name, packet->len, roam_address_format(&packet->src, src));
    }
    oracle_on_datagram_in(host, packet);
    roam_datagram in = {.local = packet->dst,
                        .remote = host->ipv4_mapped ? to_mapped(&packet->src) : packet->src,
                        .data = packet->data,
                        .len = packet->len,
                        .capacity = sizeof(packet->data),
                        .ecn = packet->ecn,
                        .lent = host->capacity > SIM_PACKET_MAX};
    roam_endpoint_receive(host->endpoint, host_now(host), &in, 1);
    if (in.lent)
        lend(host, packet);
    else
        world_packet_free(packet);
    host_turn(host);
}

void host_on_sealed(struct host *host, size_t bytes, uint64_t frames)
{
    if (host->sealed_count == HOST_SEALED_MAX)
        return;
    host->sealed[host->sealed_count].bytes = bytes;
    host->sealed[host->sealed_count++].frames = frames;
}

/* What stands in a datagram of so many octets: the next packets that make up its length. No packets, and it is one of
 * the endpoint's own answers. */
static uint64_t frames_in(struct host *host, size_t len)
{
    uint64_t frames = 0;
    size_t at = host->sealed_at, sum = 0;
    for (; at < host->sealed_count && sum < len; at++) {
        sum += host->sealed[at].bytes;
        frames |= host->sealed[at].frames;
    }
    if (sum != len)
        return 0;
    host->sealed_at = at;
    return frames;
}

static void send_one(struct host *host, const roam_datagram *out, const uint8_t *data, size_t len)
{
    struct world *world = host->world;
    struct interface *interface = host_interface_of(host, &out->local);
    struct host_socket *socket = find_socket(host, &out->local);
    world->stats.sent++;
    host->datagrams_out++;
    roam_address remote = roam_address_unmap(&out->remote);
    struct sim_packet *packet = world_packet_new(world, &out->local, &remote, out->ecn, data, len);
    packet->frames = frames_in(host, len);
    trace_word(&world->trace, UINT64_C(0x05) << 56 | packet->id);
    trace_word(&world->trace, world_now(world));
    trace_word(&world->trace, (uint64_t)host->id << 32 | (uint64_t)packet->ecn << 16 | packet->len);
    trace_address(&world->trace, &packet->dst);
    if (world->trace.print != NULL) {
        char src[ROAM_ADDRESS_TEXT_MAX], dst[ROAM_ADDRESS_TEXT_MAX];
        trace_line(&world->trace, world_now(world), "#%llu %s sends %zu octets, %s to %s",
                   (unsigned long long)packet->id, host->name, len, roam_address_format(&packet->src, src),
                   roam_address_format(&packet->dst, dst));
    }
    oracle_on_datagram_out(host, packet);
    if (interface == NULL || interface->gone || socket == NULL || !socket->open) {
        host->refused++;
        world_packet_drop(packet, SIM_DROP_NO_SOCKET, host->name);
        host_send_failed(host, &out->local, &out->remote, ROAM_SEND_ADDRESS_GONE, len);
        return;
    }
    if (interface->fails || (interface->send_bytes_max != 0 && len > interface->send_bytes_max)) {
        world_packet_drop(packet, SIM_DROP_NO_SOCKET, host->name);
        host_send_failed(host, &out->local, &out->remote, interface->fails ? interface->why : ROAM_SEND_TOO_LARGE, len);
        return;
    }
    link_send(interface->node.up, packet);
}

void host_inject(struct host *host, const roam_address *local, const roam_address *remote, const uint8_t *data,
                 size_t len)
{
    const roam_datagram out = {.local = *local, .remote = *remote};
    host->sealed_count = host->sealed_at = 0;
    send_one(host, &out, data, len);
}

void host_send(struct host *host, const roam_datagram *out)
{
    if (out->len == 0 || out->len > out->capacity) {
        world_fail(host->world, "%s: transmits a datagram of %zu octets in a buffer of %zu", host->name, out->len,
                   out->capacity);
        return;
    }
    size_t step = out->segment_bytes != 0 ? out->segment_bytes : out->len;
    for (size_t at = 0; at < out->len; at += step) {
        size_t len = out->len - at < step ? out->len - at : step;
        if (len > SIM_PACKET_MAX) {
            world_fail(host->world, "%s: transmits a datagram of %zu octets", host->name, len);
            return;
        }
        send_one(host, out, out->data + at, len);
    }
}

static bool transmit(struct host *host)
{
    roam_datagram out[HOST_BATCH];
    memset(out, 0, sizeof(out));
    for (size_t i = 0; i < host->batch; i++) {
        out[i].data = host->buffer + i * host->capacity;
        out[i].capacity = host->capacity;
        out[i].segment_bytes = host->capacity > SIM_PACKET_MAX; /* such a host knows segmentation offload */
    }
    host->sealed_count = host->sealed_at = 0;
    size_t n = roam_endpoint_transmit(host->endpoint, host_now(host), out, host->batch);
    if (n > host->batch) {
        world_fail(host->world, "%s: transmit returns %zu datagrams of %zu", host->name, n, host->batch);
        return false;
    }
    for (size_t i = 0; i < n && !host->world->failed; i++)
        if (!host_hold(host, &out[i]))
            host_send(host, &out[i]);
    oracle_after_transmit(host);
    return n > 0;
}

/* ---- The endpoint's turn --------------------------------------------------------------------------------------- */

static bool poll(struct host *host)
{
    struct world *world = host->world;
    roam_event event;
    bool any = false;
    while (!world->failed && roam_endpoint_poll(host->endpoint, &event)) {
        any = true;
        trace_word(&world->trace, UINT64_C(0xe7) << 56 | (uint64_t)host->id << 32 | (uint64_t)event.type);
        if (world->trace.print != NULL) {
            char remote[ROAM_ADDRESS_TEXT_MAX] = "";
            if (roam_address_is_set(&event.remote))
                roam_address_format(&event.remote, remote);
            char local[ROAM_ADDRESS_TEXT_MAX] = "";
            if (event.type == ROAM_EVENT_PATH_MOVED)
                roam_address_format(&event.local, local);
            trace_line(&world->trace, world_now(world), "%s: %s %s%s%s%s%s", host->name, roam_event_name(event.type),
                       remote, *local != '\0' ? " from " : "", local, *local != '\0' ? ", why: " : "",
                       *local != '\0' ? roam_move_why_name(event.why) : "");
        }
        if (event.time > host_now(host))
            world_fail(world, "%s: event %s comes from the future", host->name, roam_event_name(event.type));
        oracle_on_event(host, &event);
        if (host->on_event != NULL)
            host->on_event(host->context, &event);
    }
    return any;
}

void host_turn(struct host *host)
{
    struct world *world = host->world;
    assert(!host->in_turn);
    if (host->endpoint == NULL || host->asleep)
        return;
    host->in_turn = true;
    for (unsigned round = 0; !world->failed; round++) {
        bool busy = poll(host);
        busy |= transmit(host);
        roam_time deadline = roam_endpoint_deadline(host->endpoint);
        if (deadline <= host_now(host)) {
            roam_endpoint_expire(host->endpoint, host_now(host));
            busy = true;
        }
        /* A transmit that sends nothing may have something to tell. */
        if (!busy && !poll(host))
            break;
        if (round == TURN_ROUNDS_MAX)
            world_fail(world, "%s: does not come to rest: after %u rounds its deadline is %lld ns from now", host->name,
                       round, (long long)(deadline - host_now(host)));
    }
    host->in_turn = false;
    oracle_after_turn(host);
    roam_time wake = roam_endpoint_deadline(host->endpoint);
    sim_clock_set(&world->clock, &host->wake, wake == ROAM_TIME_NEVER ? wake : wake + host->slept);
}
