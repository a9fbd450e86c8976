/* One direction of a wire: from its entrance, where all is decided, to its end. */
#include "sim/link.h"

#include <stdlib.h>
#include <string.h>

#include "sim/world.h"

#define QUEUE_BYTES_DEFAULT 65536

/* IPv4 and UDP headers, which a rate carries too. */
#define HEADER_BYTES 28

/* A duplicate follows within this. */
#define DUPLICATE_LAG ROAM_MILLISECONDS(3)

struct link *link_new(struct world *world, const char *node, const char *direction, const struct link_config *config,
                      struct node *to, bool upwards)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        abort();
    snprintf(link->name, sizeof(link->name), "%s.%s", node, direction);
    link->world = world;
    link->config = *config;
    link->to = to;
    link->upwards = upwards;
    sim_rng_init(&link->rng, world->seed, link->name);
    link->next = world->links;
    world->links = link;
    return link;
}

static bool is_lost(struct link *link)
{
    const struct link_config *config = &link->config;
    bool masked = link->drop_mask & 1;
    link->drop_mask >>= 1;
    if (masked)
        return true;
    if (link->in_burst)
        link->in_burst = !sim_rng_chance(&link->rng, config->burst_end_ppm);
    else
        link->in_burst = sim_rng_chance(&link->rng, config->burst_begin_ppm);
    return link->in_burst || sim_rng_chance(&link->rng, config->loss_ppm);
}

/* RFC 9000 section 17.2.1. */
static bool is_version_negotiation(const struct sim_packet *packet)
{
    static const uint8_t version[4];
    return packet->len >= 5 && (packet->data[0] & 0x80) != 0 && memcmp(packet->data + 1, version, 4) == 0;
}

/* The bit that tells a long header from a short one stays: with it, octets that are ciphertext would become lengths,
 * and what a receiver answers would no longer follow from the seed. Version Negotiation is let alone: nothing but UDP
 * protects it, so that to damage it is to forge it, and what that comes to is an attack's test. */
static void corrupt(struct link *link, struct sim_packet *packet)
{
    if (is_version_negotiation(packet))
        return;
    uint64_t flips = sim_rng_between(&link->rng, 1, 3);
    for (uint64_t i = 0; i < flips; i++) {
        uint64_t bit = sim_rng_below(&link->rng, packet->len * 8);
        if (bit != 7)
            packet->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    link->world->stats.corrupted++;
}

static roam_time backlog_of(const struct link *link)
{
    roam_time now = world_now(link->world);
    return link->busy_until > now ? link->busy_until - now : 0;
}

static roam_time time_of(const struct link *link, size_t bytes)
{
    uint64_t rate = link->config.rate_bits_per_s;
    return ROAM_SECONDS(1) * 8 / rate * bytes + ROAM_SECONDS(1) * 8 % rate * bytes / rate;
}

/* `backlog`: what it found waiting. */
static void mark(struct link *link, struct sim_packet *packet, roam_time backlog)
{
    const bool queues = link->config.mark_bytes != 0 && link->config.rate_bits_per_s != 0 &&
                        backlog > time_of(link, link->config.mark_bytes);
    if (link->config.ecn_bleach)
        packet->ecn = ROAM_ECN_NOT_ECT;
    else if (packet->ecn != ROAM_ECN_NOT_ECT && (queues || sim_rng_chance(&link->rng, link->config.ce_ppm)))
        packet->ecn = ROAM_ECN_CE;
}

/* False where the queue is full; else *ret_at is when the last octet has left. */
static bool serialize(struct link *link, size_t len, roam_time *ret_at)
{
    roam_time now = world_now(link->world);
    uint64_t rate = link->config.rate_bits_per_s;
    *ret_at = now;
    if (rate == 0)
        return true;
    size_t queue_bytes = link->config.queue_bytes != 0 ? link->config.queue_bytes : QUEUE_BYTES_DEFAULT;
    roam_time backlog = backlog_of(link);
    if (backlog > time_of(link, queue_bytes))
        return false;
    link->busy_until = now + backlog + ROAM_SECONDS(1) * 8 * (len + HEADER_BYTES) / rate;
    *ret_at = link->busy_until;
    return true;
}

static void schedule(struct link *link, struct sim_packet *packet, roam_time leaves)
{
    const struct link_config *config = &link->config;
    roam_time at = leaves + config->delay;
    if (config->jitter != 0)
        at += sim_rng_below(&link->rng, config->jitter + 1);
    if (sim_rng_chance(&link->rng, config->reorder_ppm)) {
        at += config->reorder_delay;
    } else {
        if (at < link->last_arrival)
            at = link->last_arrival;
        link->last_arrival = at;
    }
    packet->link = link;
    sim_clock_set(&link->world->clock, &packet->arrival, at);
    if (sim_rng_chance(&link->rng, config->duplicate_ppm)) {
        struct sim_packet *copy = world_packet_copy(packet);
        link->world->stats.duplicated++;
        sim_clock_set(&link->world->clock, &copy->arrival, at + sim_rng_below(&link->rng, DUPLICATE_LAG));
    }
}

void link_send(struct link *link, struct sim_packet *packet)
{
    roam_time leaves;
    const roam_time backlog = backlog_of(link);
    if (link->down) {
        world_packet_drop(packet, SIM_DROP_LINK_DOWN, link->name);
    } else if (link->filter != NULL && !link->filter(link->filter_context, packet)) {
        world_packet_drop(packet, SIM_DROP_FILTER, link->name);
    } else if (link->config.mtu_bytes != 0 && packet->len > link->config.mtu_bytes) {
        world_packet_drop(packet, SIM_DROP_MTU, link->name);
    } else if (is_lost(link)) {
        link->lost++;
        world_packet_drop(packet, SIM_DROP_LOSS, link->name);
    } else if (!serialize(link, packet->len, &leaves)) {
        link->overflowed++;
        world_packet_drop(packet, SIM_DROP_QUEUE, link->name);
    } else {
        if (packet->len > 0 && sim_rng_chance(&link->rng, link->config.corrupt_ppm))
            corrupt(link, packet);
        mark(link, packet, backlog);
        link->passed++;
        link->passed_bytes += packet->len + HEADER_BYTES;
        schedule(link, packet, leaves);
    }
}

void link_deliver(struct sim_event *arrival)
{
    struct sim_packet *packet = SIM_CONTAINER(arrival, struct sim_packet, arrival);
    struct link *link = packet->link;
    if (link->upwards)
        link->to->from_below(link->to, packet);
    else
        link->to->from_above(link->to, packet);
}
