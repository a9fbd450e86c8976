/* What an attacker on the way does with the datagrams of clients. */
#include "sim/attacker.h"

#include <stdlib.h>

/* How much faster than the true path a forwarder is. */
#define HEAD_START ROAM_MILLISECONDS(3)

static void send_from_victim(struct attacker *attacker, struct sim_packet *packet)
{
    packet->src = attacker->victim;
    packet->forged = true;
    if (attacker->fresh_port)
        attacker->victim.port++;
    node_send_down(&attacker->lab->world.internet, packet);
}

static bool intercept(void *context, struct sim_packet *packet)
{
    struct attacker *attacker = context;
    struct lab *lab = attacker->lab;
    bool to_server = host_interface_of(lab->server, &packet->dst) != NULL;
    if (packet->forged || !to_server || attacker->attack == ATTACK_NONE || attacker->left == 0)
        return true;
    attacker->left--;
    switch (attacker->attack) {
    case ATTACK_MOVE:
        send_from_victim(attacker, packet);
        return false;
    case ATTACK_COPY:
        send_from_victim(attacker, world_packet_copy(packet));
        return true;
    case ATTACK_KEEP:
        if (attacker->kept_count < ATTACKER_KEPT_MAX)
            attacker->kept[attacker->kept_count++] = world_packet_copy(packet);
        return true;
    case ATTACK_FORWARD:
        attacker->client = packet->src;
        attacker->victim = attacker->node.ip;
        attacker->victim.port = packet->src.port;
        send_from_victim(attacker, world_packet_copy(packet));
        /* The true one comes a little later, by the attacker's own link. */
        packet->forged = true;
        link_send(attacker->node.up, packet);
        return false;
    case ATTACK_NONE:
        break;
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
    struct attacker *attacker = calloc(1, sizeof(*attacker));
    if (attacker == NULL)
        abort();
    attacker->lab = lab;
    roam_address address = sim_address(ip);
    node_init(&attacker->node, &lab->world, "attacker", &address);
    attacker->node.from_above = from_above;
    attacker->node.done = done;
    node_attach(&attacker->node, &lab->world.internet, &head_start, &at_once);
    attacker->victim = address;
    attacker->victim.port = 30000;
    lab->world.intercept = intercept;
    lab->world.intercept_context = attacker;
    return attacker;
}

void attacker_start(struct attacker *attacker, enum attack attack, uint64_t n)
{
    attacker->attack = attack;
    attacker->left = n;
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
