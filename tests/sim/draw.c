/* What a seed chooses: hosts and their configuration, wires and boxes, what is transferred, and what goes wrong. */
#include <string.h>

#include "sim/drawn.h"

#define KIB 1024

static uint64_t between(struct drawn *drawn, uint64_t low, uint64_t high)
{
    return sim_rng_between(&drawn->rng, low, high);
}

/* One case in n. */
static bool one_in(struct drawn *drawn, uint64_t n)
{
    return sim_rng_below(&drawn->rng, n) == 0;
}

/* Sizes of all magnitudes alike. */
static uint64_t magnitude(struct drawn *drawn, unsigned low_bits, unsigned high_bits)
{
    uint64_t top = UINT64_C(1) << between(drawn, low_bits, high_bits);
    return top / 2 + sim_rng_below(&drawn->rng, top / 2 + 1);
}

static void draw_limits(struct drawn *drawn, roam_config *config)
{
    config->active_connection_id_limit = between(drawn, 3, 8);
    config->max_paths = (uint32_t)between(drawn, 3, 8);
    config->initial_max_stream_data = magnitude(drawn, 13, 20);
    config->initial_max_data = config->initial_max_stream_data + magnitude(drawn, 13, 20);
    config->max_window_bytes = one_in(drawn, 2) ? 0 : magnitude(drawn, 16, 22);
    config->initial_max_streams_bidi = one_in(drawn, 4) ? between(drawn, 1, 3) : 100;
    config->initial_max_streams_uni = one_in(drawn, 4) ? between(drawn, 1, 3) : 100;
    config->stream_buffer_bytes = (size_t)magnitude(drawn, 12, 20);
    if (one_in(drawn, 3))
        config->max_ack_delay = ROAM_MILLISECONDS(between(drawn, 1, 100));
    config->congestion = one_in(drawn, 3)   ? ROAM_CONGESTION_BBR
                         : one_in(drawn, 2) ? ROAM_CONGESTION_CUBIC
                                            : ROAM_CONGESTION_NEWRENO;
    config->ecn = !one_in(drawn, 4);
    config->pmtud = one_in(drawn, 2);
    config->max_datagram_bytes = between(drawn, 1300, SIM_PACKET_MAX);
    config->handshake_timeout = ROAM_SECONDS(60);
    if (one_in(drawn, 6))
        config->initial_window_packets = between(drawn, 2, 20);
    if (one_in(drawn, 6))
        config->initial_rtt = ROAM_MILLISECONDS(between(drawn, 50, 500));
}

static uint8_t draw_cid_bytes(struct drawn *drawn)
{
    if (one_in(drawn, 2))
        return 8;
    uint64_t bytes = between(drawn, 3, 20);
    return bytes == 3 ? 0 : (uint8_t)bytes;
}

/* CIDs that name a server, of one kind or another. */
static void draw_plan(struct drawn *drawn, roam_endpoint_config *config)
{
    static const struct {
        enum roam_cid_plan_kind kind;
        uint8_t server_id_bytes;
    } plans[] = {{ROAM_CID_QUIC_LB, 3},   {ROAM_CID_QUIC_LB, 8},   {ROAM_CID_QUIC_LB, 1},
                 {ROAM_CID_KATRAN_V1, 2}, {ROAM_CID_KATRAN_V2, 3}, {ROAM_CID_AWS_NLB, 8}};
    size_t n = (size_t)sim_rng_below(&drawn->rng, sizeof(plans) / sizeof(plans[0]));
    roam_cid_plan plan = {.kind = plans[n].kind, .server_id_bytes = plans[n].server_id_bytes, .server_id = {7}};
    plan.nonce_bytes = (uint8_t)between(drawn, plan.server_id_bytes == 1 ? 6 : 4, 8);
    if (plan.kind == ROAM_CID_QUIC_LB) {
        plan.config_id = (uint8_t)between(drawn, 0, 6);
        plan.encode_length = one_in(drawn, 2);
        plan.has_key = !one_in(drawn, 3);
        plan.key[0] = plan.has_key;
    }
    config->cid_plan = plan;
    config->cid_bytes = roam_cid_plan_length(&plan);
}

static void draw_rotation(struct drawn *drawn, roam_config *config)
{
    if (one_in(drawn, 4))
        config->cid_rotate_bytes = magnitude(drawn, 12, 18);
    if (one_in(drawn, 4))
        config->cid_rotate_after = ROAM_MILLISECONDS(between(drawn, 500, 10000));
    if (one_in(drawn, 4))
        config->cid_rotate_idle = ROAM_SECONDS(between(drawn, 1, 20));
}

static void draw_config(struct drawn *drawn)
{
    struct lab_config *config = &drawn->lab.config;
    draw_limits(drawn, &config->client);
    draw_limits(drawn, &config->server);
    config->client_endpoint.cid_bytes = draw_cid_bytes(drawn);
    config->server_endpoint.cid_bytes = draw_cid_bytes(drawn);
    if (config->server_endpoint.cid_bytes > 0 && one_in(drawn, 3))
        draw_plan(drawn, &config->server_endpoint);
    draw_rotation(drawn, &config->client);
    draw_rotation(drawn, &config->server);
    if (one_in(drawn, 8))
        config->server_endpoint.retry = ROAM_RETRY_ALWAYS;
    /* As long as a client may go on trying. */
    config->server_endpoint.retry_token_lifetime = ROAM_SECONDS(60);
    static const unsigned ciphers[] = {0, ROAM_AES_128_GCM, ROAM_AES_256_GCM, ROAM_CHACHA20_POLY1305};
    config->client.ciphers = ciphers[sim_rng_below(&drawn->rng, 4)];
    static const uint64_t idle_s[] = {30, 30, 40, 60};
    config->client.max_idle_timeout = ROAM_SECONDS(idle_s[sim_rng_below(&drawn->rng, 4)]);
    config->server.max_idle_timeout = ROAM_SECONDS(idle_s[sim_rng_below(&drawn->rng, 4)]);
    if (one_in(drawn, 6))
        config->client.keep_alive = ROAM_SECONDS(between(drawn, 2, 10));
    if (one_in(drawn, 12))
        config->server.disable_active_migration = true;
    if (one_in(drawn, 3)) {
        config->client.datagram_bytes = between(drawn, 1200, 1452);
        config->server.datagram_bytes = between(drawn, 1200, 1452);
    }
    config->batch = (size_t)between(drawn, 1, HOST_BATCH);
    config->capacity = one_in(drawn, 2) ? 1500 : (size_t)between(drawn, 1500, 16000);
}

/* With dice of their own, so that the rest of a world is what it was before there were versions. */
static void draw_versions(struct drawn *drawn)
{
    static const uint32_t lists[][2] = {
        {0}, {0}, {ROAM_QUIC_V1}, {ROAM_QUIC_V2}, {ROAM_QUIC_V1, ROAM_QUIC_V2}, {ROAM_QUIC_V2, ROAM_QUIC_V1}};
    struct lab_config *config = &drawn->lab.config;
    struct sim_rng dice;
    sim_rng_init(&dice, config->seed, "versions");
    const uint32_t *client = lists[sim_rng_below(&dice, sizeof(lists) / sizeof(lists[0]))];
    const uint32_t *server = lists[sim_rng_below(&dice, sizeof(lists) / sizeof(lists[0]))];
    /* One in common there must be. */
    if (client[0] == server[0] || client[1] != 0 || server[1] != 0 || client[0] == 0 || server[0] == 0) {
        memcpy(config->client.versions, client, sizeof(lists[0]));
        memcpy(config->server.versions, server, sizeof(lists[0]));
    }
    if (sim_rng_below(&dice, 8) == 0)
        config->client_endpoint.force_version = 0x1a2a3a4a;
}

/* Likewise: what either side does or leaves that both may do. */
static void draw_extensions(struct drawn *drawn)
{
    struct lab_config *config = &drawn->lab.config;
    struct sim_rng dice;
    sim_rng_init(&dice, config->seed, "extensions");
    config->client.grease = sim_rng_below(&dice, 4) != 0;
    config->server.grease = sim_rng_below(&dice, 4) != 0;
    config->client.ack_frequency = sim_rng_below(&dice, 4) != 0;
    config->server.ack_frequency = sim_rng_below(&dice, 4) != 0;
}

/* The smallest MTU, as a UDP payload, that the configurations can live with. */
static size_t draw_mtu(struct drawn *drawn)
{
    const roam_config *sides[] = {&drawn->lab.config.client, &drawn->lab.config.server};
    uint64_t least = 1200;
    for (size_t i = 0; i < 2; i++)
        if (!sides[i]->pmtud && sides[i]->datagram_bytes > least)
            least = sides[i]->datagram_bytes;
    return (size_t)between(drawn, least, 1500);
}

static struct link_config draw_link(struct drawn *drawn)
{
    struct link_config link = {.delay = ROAM_MICROSECONDS(magnitude(drawn, 9, 17))};
    if (one_in(drawn, 2))
        link.jitter = ROAM_MICROSECONDS(magnitude(drawn, 6, 14));
    if (one_in(drawn, 3)) {
        link.rate_bits_per_s = between(drawn, 1, 40) * 1000000;
        link.queue_bytes = (size_t)between(drawn, 16, 128) * KIB;
    }
    if (one_in(drawn, 2))
        link.loss_ppm = (uint32_t)between(drawn, 100, 40000);
    if (one_in(drawn, 5)) {
        link.burst_begin_ppm = (uint32_t)between(drawn, 100, 10000);
        link.burst_end_ppm = (uint32_t)between(drawn, 100000, 500000);
    }
    if (one_in(drawn, 3)) {
        link.reorder_ppm = (uint32_t)between(drawn, 100, 50000);
        link.reorder_delay = ROAM_MICROSECONDS(magnitude(drawn, 6, 14));
    }
    if (one_in(drawn, 4))
        link.duplicate_ppm = (uint32_t)between(drawn, 100, 50000);
    if (one_in(drawn, 6))
        link.corrupt_ppm = (uint32_t)between(drawn, 100, 20000);
    if (one_in(drawn, 6))
        link.ce_ppm = (uint32_t)between(drawn, 1000, 50000);
    link.ecn_bleach = one_in(drawn, 8);
    return link;
}

/* What one side takes, and how much may wait there. */
static void draw_taking(struct sim_rng *rng, roam_config *config)
{
    uint64_t choice = sim_rng_below(rng, 8);
    config->max_datagram_frame_bytes = choice == 0 ? 0 : choice < 3 ? sim_rng_between(rng, 2, 1500) : 65535;
    config->datagram_queue_bytes = (size_t)1 << sim_rng_between(rng, 10, 17);
    config->datagram_fates = true;
    if (sim_rng_below(rng, 3) == 0)
        config->datagram_lifetime = ROAM_MILLISECONDS(sim_rng_between(rng, 10, 1000));
}

/* In half of the worlds. */
static void draw_datagrams(struct drawn *drawn)
{
    struct sim_rng *rng = &drawn->chatter;
    if (sim_rng_below(rng, 2) == 0)
        return;
    draw_taking(rng, &drawn->lab.config.client);
    draw_taking(rng, &drawn->lab.config.server);
}

/* In a quarter of the worlds clients meet the server first, and come back with early data; of these one in four servers
 * then takes none. */
static void draw_early_data(struct drawn *drawn)
{
    struct lab_config *config = &drawn->lab.config;
    /* Without CIDs two connections cannot follow on each other from one socket. */
    if (sim_rng_below(&drawn->early, 4) != 0 || config->client_endpoint.cid_bytes == 0)
        return;
    config->client.early_data = config->server.early_data = true;
    if (sim_rng_below(&drawn->early, 4) == 0)
        config->server_endpoint.tokens_remembered = 0;
}

void draw_world(struct drawn *drawn)
{
    struct lab_config *config = &drawn->lab.config;
    draw_config(drawn);
    draw_datagrams(drawn);
    draw_early_data(drawn);
    draw_versions(drawn);
    draw_extensions(drawn);
    bool immobile = config->server_endpoint.cid_bytes == 0;
    config->clients = one_in(drawn, 5) ? 2 : 1;
    config->interfaces = (size_t)between(drawn, 1, 3);
    bool ipv6 = one_in(drawn, 3);
    config->watch = one_in(drawn, 3);
    config->double_nat = one_in(drawn, 6);
    config->one_nat = config->clients > 1 && one_in(drawn, 2);
    for (size_t i = 0; i < LAB_INTERFACES_MAX; i++) {
        config->ipv6[i] = ipv6;
        config->no_nat[i] = one_in(drawn, 4);
        config->nat[i] = (struct nat_config){.kind = (enum nat_kind)sim_rng_below(&drawn->rng, NAT_PREFIX),
                                             .port_preserving = one_in(drawn, 3),
                                             .inbound_refreshes = one_in(drawn, 2)};
        /* A handshake does not survive another address, so that no mapping may end in it; a server without CIDs does
         * not know who comes from somewhere else. */
        if (one_in(drawn, 3) && !immobile)
            config->nat[i].timeout = ROAM_SECONDS(between(drawn, 20, 60));
        config->up[i] = draw_link(drawn);
        config->down[i] = draw_link(drawn);
        if (one_in(drawn, 4)) {
            config->up[i].mtu_bytes = draw_mtu(drawn);
            config->down[i].mtu_bytes = one_in(drawn, 2) ? config->up[i].mtu_bytes : draw_mtu(drawn);
        }
    }
    config->server_link = (struct link_config){.delay = ROAM_MICROSECONDS(magnitude(drawn, 9, 15))};
    if (!immobile && one_in(drawn, 3)) {
        config->prefers[ipv6] = true;
        config->prefers[!ipv6] = one_in(drawn, 2);
        config->client.preferred_policy = one_in(drawn, 8) ? ROAM_PREFERRED_IGNORE : ROAM_PREFERRED_FOLLOW;
    }
}

static void draw_chatter(struct drawn *drawn, struct chatter *chatter)
{
    struct sim_rng *rng = &drawn->chatter;
    if (!drawn->lab.config.client.datagram_fates)
        return;
    chatter->left = sim_rng_between(rng, 1, 150);
    chatter->burst = (size_t)sim_rng_between(rng, 1, 20);
    chatter->gap = ROAM_MILLISECONDS(sim_rng_between(rng, 1, 300));
    chatter->lazy = sim_rng_below(rng, 4) == 0;
}

void draw_workload(struct drawn *drawn)
{
    struct lab *lab = &drawn->lab;
    uint64_t budget = 300 * KIB;
    for (size_t i = 0; i < lab->config.clients; i++) {
        struct client_app *app = &lab->clients[i].app;
        size_t rounds = (size_t)between(drawn, 1, 4);
        for (size_t round = 0; round < rounds; round++) {
            app->gaps[round] = one_in(drawn, 3) ? ROAM_MILLISECONDS(magnitude(drawn, 4, 13)) : ROAM_MILLISECONDS(round);
            size_t n = (size_t)between(drawn, 1, 4);
            for (size_t t = 0; t < n; t++) {
                uint64_t bytes = one_in(drawn, 12) ? 0 : magnitude(drawn, 1, 17);
                bytes = bytes < budget ? bytes : budget;
                budget -= bytes;
                enum transfer_kind kind = (enum transfer_kind)sim_rng_below(&drawn->rng, TRANSFER_KINDS);
                workload_add(&lab->workload, app, round, kind, bytes);
            }
        }
        app->stay_open = false;
        app->patience = ROAM_SECONDS(8);
        draw_chatter(drawn, &app->chatter);
    }
}

static bool moves_addresses(enum fault_kind kind)
{
    return kind != FAULT_LINK_DOWN && kind != FAULT_LOSS && kind != FAULT_KEY_UPDATE && kind != FAULT_PING &&
           kind != FAULT_CID_PLAN && kind != FAULT_PROBE && kind != FAULT_MTU && kind != FAULT_SLEEP &&
           kind != FAULT_SEND_FAILS;
}

static bool needs_watch(enum fault_kind kind)
{
    return kind == FAULT_ADDRESS_GONE || kind == FAULT_SEND_FAILS;
}

void draw_faults(struct drawn *drawn)
{
    const struct lab_config *config = &drawn->lab.config;
    bool immobile = config->server_endpoint.cid_bytes == 0;
    drawn->fault_span = ROAM_MILLISECONDS(magnitude(drawn, 9, 14));
    size_t n = one_in(drawn, 8) ? 0 : (size_t)between(drawn, 1, one_in(drawn, 3) ? FAULTS_MAX : 8);
    for (size_t i = 0; i < n; i++) {
        struct fault *fault = &drawn->faults[drawn->fault_count];
        fault->kind = (enum fault_kind)sim_rng_below(&drawn->rng, FAULT_KINDS);
        fault->client = (size_t)sim_rng_below(&drawn->rng, config->clients);
        fault->interface = (size_t)sim_rng_below(&drawn->rng, config->interfaces);
        fault->choice = sim_rng_u64(&drawn->rng);
        fault->span = ROAM_MILLISECONDS(magnitude(drawn, 4, 11));
        fault->event.at = sim_rng_below(&drawn->rng, drawn->fault_span);
        if (fault->kind == FAULT_MTU)
            fault->choice = draw_mtu(drawn);
        if (needs_watch(fault->kind) && !config->watch)
            continue;
        if (!immobile || !moves_addresses(fault->kind))
            drawn->fault_count++;
    }
}
