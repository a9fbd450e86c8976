/* See balancer.h. */
#include "sim/balancer.h"

#include <string.h>

#include "sim/sim_map.h"
#include "wire/packet.h"

/* What a balancer without a plan does: the same address and port, the same worker. */
static bool worker_by_address(const struct sim_packet *packet)
{
    return sim_hash_address(1, &packet->src) % 2 != 0;
}

static bool worker_by_cid(const struct balancer *balancer, const struct sim_packet *packet)
{
    struct packet_header header;
    roam_cid_parts parts;
    if (packet_header_parse(&header, packet->data, packet->len, roam_cid_plan_length(&balancer->plan)) !=
            ROAM_DROP_NONE ||
        !roam_cid_plan_decode(&balancer->plan, &header.dcid, &parts))
        return worker_by_address(packet);
    return memcmp(parts.server_id, balancer->worker_id, sizeof(parts.server_id)) == 0;
}

static bool is_workers(const struct balancer *balancer, const struct sim_packet *packet)
{
    enum balancing how = balancer->how;
    if (balancer->only_from != NULL && !roam_address_same_ip(balancer->only_from, &packet->src))
        how = BALANCE_TO_SERVER;
    if (how == BALANCE_BY_CID)
        return worker_by_cid(balancer, packet);
    return how == BALANCE_TO_WORKER || (how == BALANCE_BY_ADDRESS && worker_by_address(packet));
}

static bool intercept(void *context, struct sim_packet *packet)
{
    struct balancer *balancer = context;
    const roam_address *server = &balancer->lab->server_address[0];
    if (roam_address_equal(&packet->src, &balancer->lab->worker_address)) {
        packet->src = *server;
    } else if (roam_address_equal(&packet->dst, server)) {
        bool workers = is_workers(balancer, packet);
        balancer->to_worker += workers;
        balancer->to_server += !workers;
        if (workers)
            packet->dst = balancer->lab->worker_address;
    }
    return true;
}

void balancer_start(struct balancer *balancer)
{
    balancer->lab->world.intercept = intercept;
    balancer->lab->world.intercept_context = balancer;
}
