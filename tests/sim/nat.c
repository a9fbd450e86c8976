/* A NAT box: mappings in an array, looked up by walking; a world has few of them. */
#include "sim/nat.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_PORT 20000
#define LAST_PORT  60000

/* No hash of an address. */
#define OWNED_BY_SEVERAL 0

static bool is_expired(const struct nat *nat, const struct nat_mapping *mapping)
{
    return nat->config.timeout != 0 && world_now(nat->node.world) - mapping->last_used > nat->config.timeout;
}

static struct nat_mapping *by_port(struct nat *nat, uint16_t port)
{
    for (size_t i = nat->count; i-- > 0;) {
        if (nat->mappings[i].port == port && !is_expired(nat, &nat->mappings[i]))
            return &nat->mappings[i];
    }
    return NULL;
}

static struct nat_mapping *by_inside(const struct nat *nat, const roam_address *inside, const roam_address *peer)
{
    for (size_t i = nat->count; i-- > 0;) {
        struct nat_mapping *mapping = &nat->mappings[i];
        if (!mapping->open || is_expired(nat, mapping) || !roam_address_equal(&mapping->inside, inside))
            continue;
        if (peer == NULL || nat->config.kind != NAT_SYMMETRIC || roam_address_equal(&mapping->peer, peer))
            return mapping;
    }
    return NULL;
}

static uint16_t fresh_port(struct nat *nat)
{
    do {
        nat->next_port = (uint16_t)(nat->next_port + 1 + sim_rng_below(&nat->rng, 16));
        if (nat->next_port < FIRST_PORT || nat->next_port > LAST_PORT)
            nat->next_port = FIRST_PORT;
    } while (by_port(nat, nat->next_port) != NULL);
    return nat->next_port;
}

static void forget_expired(struct nat *nat)
{
    size_t kept = 0;
    for (size_t i = 0; i < nat->count; i++) {
        if (!is_expired(nat, &nat->mappings[i]))
            nat->mappings[kept++] = nat->mappings[i];
    }
    nat->count = kept;
}

static struct nat_mapping *map(struct nat *nat, const roam_address *inside, const roam_address *peer, uint16_t port)
{
    if (nat->count == nat->capacity) {
        forget_expired(nat);
        if (nat->count * 2 >= nat->capacity)
            nat->capacity = nat->capacity == 0 ? 8 : 2 * nat->capacity;
        nat->mappings = realloc(nat->mappings, nat->capacity * sizeof(*nat->mappings));
        if (nat->mappings == NULL)
            abort();
    }
    struct nat_mapping *mapping = &nat->mappings[nat->count++];
    *mapping =
        (struct nat_mapping){.inside = *inside, .port = port, .open = true, .last_used = world_now(nat->node.world)};
    if (peer != NULL)
        mapping->peer = *peer;
    nat->mapped++;
    return mapping;
}

static void remember_peer(struct nat_mapping *mapping, const roam_address *peer)
{
    size_t i = 0;
    while (i < mapping->peer_count && !roam_address_equal(&mapping->peers[i], peer))
        i++;
    if (i == mapping->peer_count && mapping->peer_count < NAT_PEERS_MAX)
        mapping->peer_count++;
    if (i == NAT_PEERS_MAX)
        i--;
    memmove(&mapping->peers[1], &mapping->peers[0], i * sizeof(mapping->peers[0]));
    mapping->peers[0] = *peer;
}

static bool lets_in(const struct nat *nat, const struct nat_mapping *mapping, const roam_address *from)
{
    if (nat->config.kind == NAT_FULL_CONE)
        return true;
    for (size_t i = 0; i < mapping->peer_count; i++) {
        const roam_address *peer = &mapping->peers[i];
        bool same = nat->config.kind == NAT_ADDRESS_RESTRICTED ? roam_address_same_ip(peer, from)
                                                               : roam_address_equal(peer, from);
        if (same)
            return true;
    }
    return false;
}

/* Whoever writes to an outside address means the one who had it then, and reaches the one who has it now. False where
 * these may be two. */
static bool claim(struct nat *nat, const roam_address *outside, const roam_address *inside)
{
    bool added;
    const uint64_t claimant = sim_hash_address(1, inside);
    uint64_t *owner = sim_map_get(&nat->owners, sim_hash_address(1, outside), claimant, &added);
    if (*owner != claimant)
        *owner = OWNED_BY_SEVERAL;
    return *owner == claimant;
}

static void nat_from_below(struct node *node, struct sim_packet *packet)
{
    struct nat *nat = (struct nat *)node;
    if (nat->config.kind == NAT_PREFIX) {
        memcpy(packet->src.ip, node->ip.ip, node->prefix_octets);
        link_send(node->up, packet);
        return;
    }
    struct nat_mapping *mapping = by_inside(nat, &packet->src, &packet->dst);
    if (mapping != NULL && nat->port_for_every_packet) {
        mapping->open = false;
        mapping = map(nat, &packet->src, &packet->dst, fresh_port(nat));
    }
    if (mapping == NULL) {
        bool preserve = nat->config.port_preserving && by_port(nat, packet->src.port) == NULL;
        uint16_t port = preserve ? packet->src.port : fresh_port(nat);
        mapping = map(nat, &packet->src, &packet->dst, port);
    }
    mapping->last_used = world_now(node->world);
    remember_peer(mapping, &packet->dst);
    packet->src = node->ip;
    packet->src.port = mapping->port;
    (void)claim(nat, &packet->src, &mapping->inside);
    link_send(node->up, packet);
}

static void nat_from_above(struct node *node, struct sim_packet *packet)
{
    struct nat *nat = (struct nat *)node;
    if (nat->config.kind == NAT_PREFIX) {
        memcpy(packet->dst.ip, nat->inside_prefix, node->prefix_octets);
        node_send_down(node, packet);
        return;
    }
    struct nat_mapping *mapping = by_port(nat, packet->dst.port);
    if (mapping == NULL || !lets_in(nat, mapping, &packet->src)) {
        world_packet_drop(packet, SIM_DROP_NAT, node->name);
        return;
    }
    if (nat->config.inbound_refreshes)
        mapping->last_used = world_now(node->world);
    packet->astray |= !claim(nat, &packet->dst, &mapping->inside);
    packet->dst = mapping->inside;
    node_send_down(node, packet);
}

static void nat_done(struct node *node)
{
    struct nat *nat = (struct nat *)node;
    free(nat->mappings);
    sim_map_done(&nat->owners);
    free(nat);
}

struct nat *nat_new(struct world *world, const char *name, const char *outside_ip, const struct nat_config *config)
{
    struct nat *nat = calloc(1, sizeof(*nat));
    if (nat == NULL)
        abort();
    roam_address ip = sim_address(outside_ip);
    node_init(&nat->node, world, name, &ip);
    nat->node.from_above = nat_from_above;
    nat->node.from_below = nat_from_below;
    nat->node.done = nat_done;
    nat->node.prefix_octets = config->kind == NAT_PREFIX ? sizeof(nat->inside_prefix) : 0;
    nat->config = *config;
    sim_rng_init(&nat->rng, world->seed, nat->node.name);
    nat->next_port = (uint16_t)sim_rng_between(&nat->rng, FIRST_PORT, LAST_PORT);
    return nat;
}

void nat_set_inside_prefix(struct nat *nat, const char *inside_ip)
{
    roam_address ip = sim_address(inside_ip);
    memcpy(nat->inside_prefix, ip.ip, sizeof(nat->inside_prefix));
}

static void trace_nat(struct nat *nat, const char *what)
{
    struct world *world = nat->node.world;
    trace_text(&world->trace, what);
    trace_text(&world->trace, nat->node.name);
    trace_word(&world->trace, world_now(world));
    trace_line(&world->trace, world_now(world), "%s %s", nat->node.name, what);
}

void nat_reboot(struct nat *nat)
{
    trace_nat(nat, "reboots");
    nat->count = 0;
}

void nat_change_ports(struct nat *nat, bool keep_old)
{
    trace_nat(nat, keep_old ? "maps to other ports, and keeps the old" : "maps to other ports");
    forget_expired(nat);
    size_t count = nat->count;
    for (size_t i = 0; i < count; i++) {
        struct nat_mapping old = nat->mappings[i];
        if (!old.open)
            continue;
        nat->mappings[i].open = false;
        struct nat_mapping *mapping = map(nat, &old.inside, &old.peer, fresh_port(nat));
        memcpy(mapping->peers, old.peers, sizeof(mapping->peers));
        mapping->peer_count = old.peer_count;
    }
    size_t kept = 0;
    for (size_t i = 0; i < nat->count; i++) {
        if (nat->mappings[i].open || keep_old)
            nat->mappings[kept++] = nat->mappings[i];
    }
    nat->count = kept;
}

void nat_change_address(struct nat *nat, const char *outside_ip, bool keep_ports)
{
    trace_nat(nat, "has another address");
    nat->node.ip = sim_address(outside_ip);
    if (!keep_ports)
        nat_change_ports(nat, false);
}

void nat_swap_ports(struct nat *nat, const roam_address *a, const roam_address *b)
{
    struct nat_mapping *first = by_inside(nat, a, NULL);
    struct nat_mapping *second = by_inside(nat, b, NULL);
    trace_nat(nat, "swaps two ports");
    if (first != NULL && second != NULL) {
        uint16_t port = first->port;
        first->port = second->port;
        second->port = port;
    }
}

void nat_set_port(struct nat *nat, const roam_address *inside, uint16_t port)
{
    struct nat_mapping *mapping = by_inside(nat, inside, NULL);
    trace_nat(nat, "assigns a port");
    if (mapping != NULL)
        mapping->port = port;
}

roam_address nat_outside(const struct nat *nat, const roam_address *inside)
{
    const struct nat_mapping *mapping = by_inside(nat, inside, NULL);
    if (mapping == NULL)
        return (roam_address){0};
    roam_address outside = nat->node.ip;
    outside.port = mapping->port;
    return outside;
}
