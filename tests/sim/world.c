/* The tree, the pool of datagrams, and the root that routes. */
#include "sim/world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim/host.h"
#include "sim/oracle.h"

/* Worlds begin some time after zero, so that "never" and "long ago" differ. */
#define WORLD_EPOCH ROAM_SECONDS(1000)

roam_address sim_address(const char *text)
{
    roam_address address;
    if (!roam_address_parse(&address, text))
        abort();
    return address;
}

static void internet_from_below(struct node *node, struct sim_packet *packet)
{
    struct world *world = node->world;
    if (world->intercept != NULL && !world->intercept(world->intercept_context, packet))
        return;
    node_send_down(node, packet);
}

void world_init(struct world *world, uint64_t seed, FILE *print)
{
    memset(world, 0, sizeof(*world));
    world->seed = seed;
    sim_clock_init(&world->clock, WORLD_EPOCH);
    trace_init(&world->trace, print);
    trace_word(&world->trace, seed);
    node_init(&world->internet, world, "internet", NULL);
    world->internet.from_below = internet_from_below;
    world->oracle = oracle_new(world);
}

void world_done(struct world *world)
{
    while (world->hosts != NULL) {
        struct host *host = world->hosts;
        world->hosts = host->next;
        host_free(host);
    }
    while (world->nodes != NULL) {
        struct node *node = world->nodes;
        world->nodes = node->next;
        if (node->done != NULL)
            node->done(node);
    }
    while (world->links != NULL) {
        struct link *link = world->links;
        world->links = link->next;
        free(link);
    }
    while (world->travelling != NULL)
        world_packet_free(world->travelling);
    while (world->pool != NULL) {
        struct sim_packet *packet = world->pool;
        world->pool = packet->next;
        free(packet);
    }
    oracle_free(world->oracle);
    sim_clock_done(&world->clock);
}

void world_fail(struct world *world, const char *format, ...)
{
    if (world->failed)
        return;
    world->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->failure, sizeof(world->failure), format, arguments);
    va_end(arguments);
    trace_line(&world->trace, world_now(world), "FAILED: %s", world->failure);
}

bool world_step(struct world *world)
{
    return !world->failed && sim_clock_step(&world->clock) && !world->failed;
}

bool world_run(struct world *world, roam_time until)
{
    while (!world->failed && sim_clock_next(&world->clock) <= until)
        sim_clock_step(&world->clock);
    if (!world->failed && world->clock.now < until)
        world->clock.now = until;
    return !world->failed;
}

/* ---- Datagrams ------------------------------------------------------------------------------------------------- */

static struct sim_packet *packet_take(struct world *world)
{
    struct sim_packet *packet = world->pool;
    if (packet != NULL)
        world->pool = packet->next;
    else if ((packet = malloc(sizeof(*packet))) == NULL)
        abort();
    packet->world = world;
    packet->previous = NULL;
    packet->next = world->travelling;
    if (packet->next != NULL)
        packet->next->previous = packet;
    world->travelling = packet;
    sim_event_init(&packet->arrival, link_deliver);
    return packet;
}

struct sim_packet *world_packet_new(struct world *world, const roam_address *src, const roam_address *dst, uint8_t ecn,
                                    const void *data, size_t len)
{
    assert(len <= SIM_PACKET_MAX);
    struct sim_packet *packet = packet_take(world);
    packet->link = NULL;
    packet->src = *src;
    packet->dst = *dst;
    packet->sent_to = *dst;
    packet->ecn = ecn;
    packet->challenge = packet->forged = packet->astray = false;
    packet->frames = 0;
    packet->id = world->next_packet_id++;
    packet->len = len;
    memcpy(packet->data, data, len);
    return packet;
}

struct sim_packet *world_packet_copy(const struct sim_packet *packet)
{
    struct sim_packet *copy = packet_take(packet->world);
    copy->link = packet->link;
    copy->src = packet->src;
    copy->dst = packet->dst;
    copy->sent_to = packet->sent_to;
    copy->id = packet->id;
    copy->ecn = packet->ecn;
    copy->challenge = packet->challenge;
    copy->frames = packet->frames;
    copy->forged = packet->forged;
    copy->astray = packet->astray;
    copy->len = packet->len;
    memcpy(copy->data, packet->data, packet->len);
    return copy;
}

void world_packet_free(struct sim_packet *packet)
{
    struct world *world = packet->world;
    if (sim_event_is_set(&packet->arrival))
        sim_clock_set(&world->clock, &packet->arrival, ROAM_TIME_NEVER);
    if (packet->previous != NULL)
        packet->previous->next = packet->next;
    else
        world->travelling = packet->next;
    if (packet->next != NULL)
        packet->next->previous = packet->previous;
    packet->next = world->pool;
    world->pool = packet;
}

const char *sim_drop_name(enum sim_drop reason)
{
    static const char *const names[SIM_DROPS] = {"link down",  "filtered",   "too large", "lost",
                                                 "queue full", "no mapping", "no route",  "no socket"};
    return names[reason];
}

void world_packet_drop(struct sim_packet *packet, enum sim_drop reason, const char *where)
{
    struct world *world = packet->world;
    world->stats.dropped[reason]++;
    trace_word(&world->trace, UINT64_C(0xd0) << 56 | (uint64_t)reason << 48 | packet->id);
    if (world->trace.print != NULL)
        trace_line(&world->trace, world_now(world), "#%llu dropped at %s: %s", (unsigned long long)packet->id, where,
                   sim_drop_name(reason));
    world_packet_free(packet);
}

/* ---- The tree -------------------------------------------------------------------------------------------------- */

void node_init(struct node *node, struct world *world, const char *name, const roam_address *ip)
{
    memset(node, 0, sizeof(*node));
    node->world = world;
    snprintf(node->name, sizeof(node->name), "%s", name);
    if (ip != NULL)
        node->ip = *ip;
    node->ip.port = 0;
    if (node == &world->internet)
        return;
    node->next = world->nodes;
    world->nodes = node;
}

void node_attach(struct node *node, struct node *parent, const struct link_config *up, const struct link_config *down)
{
    node->parent = parent;
    node->up = link_new(node->world, node->name, "up", up, parent, true);
    node->down = link_new(node->world, node->name, "down", down, node, false);
}

bool node_owns(const struct node *node, const roam_address *address)
{
    if (!roam_address_is_set(&node->ip) || node->ip.family != address->family)
        return false;
    size_t octets = node->prefix_octets != 0 ? node->prefix_octets : sizeof(node->ip.ip);
    return memcmp(node->ip.ip, address->ip, octets) == 0;
}

void node_send_down(struct node *node, struct sim_packet *packet)
{
    for (struct node *child = node->world->nodes; child != NULL; child = child->next) {
        if (child->parent == node && node_owns(child, &packet->dst)) {
            link_send(child->down, packet);
            return;
        }
    }
    world_packet_drop(packet, SIM_DROP_NO_ROUTE, node->name);
}
