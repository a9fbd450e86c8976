/* What an attacker on the way does with the datagrams of clients. */
#include "sim/attacker.h"

#include <stdlib.h>

/* How much faster than the true path a forwarder is. */
#define HEAD_START ROAM_MILLISECONDS(3)

/* The two ways of a twin differ by so much at most, one time the one before the other, one time behind it. */
#define TWIN_JITTER ROAM_MILLISECONDS(2)

static void send_from_victim(struct attacker *attacker, struct sim_packet *packet)
{
    packet->src = attacker->victim;
    packet->forged = true;
    if (attacker->fresh_port)
        attacker->victim.port++;
    node_send_down(&attacker->lab->world.internet, packet);
}

static void keep(struct attacker *attacker, const struct sim_packet *packet)
{
    if (attacker->kept_count < ATTACKER_KEPT_MAX)
        attacker->kept[attacker->kept_count++] = world_packet_copy(packet);
}

/* The datagram goes on by the attacker's own wire, and comes to the root once more, where it is left alone. */
static void detour(struct link *link, struct sim_packet *packet)
{
    packet->forged = true;
    link_send(link, packet);
}

static void forward(struct attacker *attacker, struct sim_packet *packet, bool twin)
{
    struct sim_packet *copy = world_packet_copy(packet);
    attacker->client = packet->src;
    copy->src = attacker->node.ip;
    copy->src.port = packet->src.port;
    if (twin)
        detour(attacker->twin, copy);
    else
        node_send_down(&attacker->lab->world.internet, copy);
    detour(attacker->node.up, packet);
}

static bool is_wanted(const struct attacker *attacker, const struct sim_packet *packet)
{
    const roam_address *from = &attacker->only_from;
    if (packet->forged || attacker->attack == ATTACK_NONE || attacker->left == 0)
        return false;
    if (host_interface_of(attacker->lab->server, &packet->dst) == NULL)
        return false;
    if (attacker->only != 0 && (packet->frames & attacker->only) == 0)
        return false;
    if (!roam_address_is_set(from))
        return true;
    return from->port == 0 ? roam_address_same_ip(from, &packet->src) : roam_address_equal(from, &packet->src);
}

/* False where the datagram was taken over. */
static bool intercept(void *context, struct sim_packet *packet)
{
    struct attacker *attacker = context;
    if (!is_wanted(attacker, packet))
        return true;
    attacker->left--;
    attacker->seen++;
    struct sim_packet *copy;
    switch (attacker->attack) {
    case ATTACK_NONE:
        return true;
    case ATTACK_FLIP:
        if (attacker->seen / attacker->turn % 2 == 0)
            return true;
        send_from_victim(attacker, packet);
        return false;
    case ATTACK_MOVE:
        send_from_victim(attacker, packet);
        return false;
    case ATTACK_COPY:
        send_from_victim(attacker, world_packet_copy(packet));
        return true;
    case ATTACK_ECHO:
        copy = world_packet_copy(packet);
        copy->src = attacker->victim;
        detour(attacker->node.up, copy);
        return true;
    case ATTACK_KEEP:
        keep(attacker, packet);
        return true;
    case ATTACK_HOLD:
        keep(attacker, packet);
        world_packet_drop(packet, SIM_DROP_FILTER, attacker->node.name);
        return false;
    case ATTACK_DROP:
        world_packet_drop(packet, SIM_DROP_FILTER, attacker->node.name);
        return false;
    case ATTACK_FORWARD:
    case ATTACK_TWIN:
        forward(attacker, packet, attacker->attack == ATTACK_TWIN);
        return false;
    }
    return true;
}

/* The server answers to the attacker's address: on to the client, as if it came from the server. */
static void from_above(struct node *node, struct sim_packet *packet)
{
    struct attacker *attacker = (struct attacker *)node;
    if (!roam_address_is_set(&attacker->client)) {
        world_packet_drop(packet, SIM_DROP_NO_SOCKET, node->name);
        return;
    }
    packet->dst = attacker->client;
    packet->forged = true;
    node_send_down(&attacker->lab->world.internet, packet);
}

static void done(struct node *node)
{
    free(node);
}

struct attacker *attacker_new(struct lab *lab, const char *ip)
{
    static const struct link_config head_start = {.delay = HEAD_START}, at_once;
    static const struct link_config jittery = {.delay = HEAD_START - TWIN_JITTER, .jitter = 2 * TWIN_JITTER};
    struct attacker *attacker = calloc(1, sizeof(*attacker));
    if (attacker == NULL)
        abort();
    attacker->lab = lab;
    roam_address address = sim_address(ip);
    node_init(&attacker->node, &lab->world, "attacker", &address);
    attacker->node.from_above = from_above;
    attacker->node.done = done;
    node_attach(&attacker->node, &lab->world.internet, &head_start, &at_once);
    attacker->twin = link_new(&lab->world, "attacker", "twin", &jittery, &lab->world.internet, true);
    attacker->victim = address;
    attacker->victim.port = 30000;
    attacker->turn = 1;
    lab->world.intercept = intercept;
    lab->world.intercept_context = attacker;
    return attacker;
}

void attacker_start(struct attacker *attacker, enum attack attack, uint64_t n)
{
    attacker->attack = attack;
    attacker->left = n;
    attacker->seen = 0;
}

void attacker_stop(struct attacker *attacker)
{
    attacker->attack = ATTACK_NONE;
    attacker->only = 0;
    attacker->only_from = attacker->client = (roam_address){0};
}

void attacker_replay(struct attacker *attacker, bool from_victim)
{
    for (size_t i = 0; i < attacker->kept_count; i++) {
        struct sim_packet *packet = world_packet_copy(attacker->kept[i]);
        packet->forged = true;
        if (from_victim)
            send_from_victim(attacker, packet);
        else
            node_send_down(&attacker->lab->world.internet, packet);
    }
}

void attacker_forget(struct attacker *attacker)
{
    while (attacker->kept_count > 0)
        world_packet_free(attacker->kept[--attacker->kept_count]);
}
