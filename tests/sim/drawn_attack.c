/* An attacker at the root of a drawn world's tree, and what he does with what he sees of each client. He never writes
 * anything that a client has not written. */
#include <string.h>

#include "sim/drawn.h"

static bool is_from_client(const struct lab *lab, size_t index, const struct sim_packet *packet)
{
    const struct lab_client *client = &lab->clients[index];
    for (size_t i = 0; i < lab->config.interfaces; i++) {
        const struct node *outer = client->nats[i] != NULL ? &client->nats[i]->node : &client->interfaces[i]->node;
        if (node_owns(outer, &packet->src))
            return true;
    }
    return false;
}

static void send_as(struct drawn *drawn, struct sim_packet *packet, const roam_address *src)
{
    packet->src = *src;
    packet->forged = true;
    node_send_down(&drawn->lab.world.internet, packet);
}

static roam_address fresh_victim(struct drawn *drawn)
{
    drawn->victim.port++;
    return drawn->victim;
}

/* Always the same for one source, and for no other: who let two places of a client's seem to be one would be the one
 * who links them. */
static roam_address victim_of(const struct sim_packet *packet)
{
    roam_address victim = sim_address(packet->src.family == ROAM_FAMILY_IPV6 ? "2001:db8:bad:1::" : "192.88.0.0");
    victim.port = packet->src.port;
    if (victim.family == ROAM_FAMILY_IPV4)
        memcpy(victim.ip + 2, packet->src.ip + 2, 2);
    for (size_t i = 0; i < 8 && victim.family == ROAM_FAMILY_IPV6; i++)
        victim.ip[8 + i] = packet->src.ip[i] ^ packet->src.ip[8 + i];
    return victim;
}

/* The newest ones are kept for a replay. */
static void keep(struct drawn_attack *attack, const struct sim_packet *packet)
{
    if (attack->seen++ % DRAWN_KEEP_EVERY != 0)
        return;
    size_t at = attack->kept_at++ % DRAWN_KEPT_MAX;
    if (attack->kept[at] != NULL)
        world_packet_free(attack->kept[at]);
    attack->kept[at] = world_packet_copy(packet);
}

/* False where the datagram was taken over. */
static bool attack_one(struct drawn *drawn, struct drawn_attack *attack, struct sim_packet *packet)
{
    roam_address victim;
    switch (attack->kind) {
    case FAULT_SPOOF_COPY:
        victim = fresh_victim(drawn);
        send_as(drawn, world_packet_copy(packet), &victim);
        return true;
    case FAULT_SPOOF_ECHO:
        attack->echo = world_packet_copy(packet);
        attack->echo_src = attack->choice & 1 ? victim_of(packet) : fresh_victim(drawn);
        return true;
    case FAULT_SPOOF_FLIP:
        if (attack->left / (1 + attack->choice % 4) % 2 == 0)
            return true;
        victim = victim_of(packet);
        send_as(drawn, packet, &victim);
        return false;
    case FAULT_NO_RESPONSES:
        if ((packet->frames & frame_bit(FRAME_PATH_RESPONSE)) == 0)
            return true;
        world_packet_drop(packet, SIM_DROP_FILTER, "attacker");
        return false;
    default:
        victim = fresh_victim(drawn);
        send_as(drawn, packet, &victim);
        return false;
    }
}

bool drawn_intercept(void *context, struct sim_packet *packet)
{
    struct drawn *drawn = context;
    for (size_t i = 0; i < drawn->lab.config.clients; i++) {
        struct drawn_attack *attack = &drawn->attacks[i];
        if (packet->forged || !is_from_client(&drawn->lab, i, packet))
            continue;
        if (!drawn->over)
            keep(attack, packet);
        if (attack->left == 0)
            continue;
        attack->left--;
        if (!attack_one(drawn, attack, packet))
            return false;
        if (attack->echo == NULL)
            continue;
        /* The true one first, then the echo. */
        struct sim_packet *echo = attack->echo;
        attack->echo = NULL;
        packet->forged = true;
        node_send_down(&drawn->lab.world.internet, packet);
        send_as(drawn, echo, &attack->echo_src);
        return false;
    }
    return true;
}

static void replay(struct drawn *drawn, struct drawn_attack *attack, bool from_elsewhere)
{
    for (size_t i = 0; i < DRAWN_KEPT_MAX; i++) {
        if (attack->kept[i] == NULL)
            continue;
        struct sim_packet *packet = world_packet_copy(attack->kept[i]);
        roam_address src = from_elsewhere ? fresh_victim(drawn) : packet->src;
        send_as(drawn, packet, &src);
    }
}

void drawn_attack_begin(struct drawn *drawn, const struct fault *fault)
{
    struct drawn_attack *attack = &drawn->attacks[fault->client];
    if (fault->kind == FAULT_REPLAY) {
        replay(drawn, attack, fault->choice & 1);
        return;
    }
    attack->kind = fault->kind;
    attack->choice = fault->choice >> 8;
    attack->left = 1 + fault->choice % (fault->kind == FAULT_SPOOF_FLIP || fault->kind == FAULT_NO_RESPONSES ? 60 : 10);
}

void drawn_attacks_end(struct drawn *drawn)
{
    for (size_t i = 0; i < LAB_CLIENTS_MAX; i++)
        drawn->attacks[i].left = 0;
}
