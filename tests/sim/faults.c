/*
 * What goes wrong in a drawn world, at the times that were drawn. What moves an address waits until the client's
 * handshake is confirmed, for before that a connection cannot move (RFC 9000 section 9). At the end of all faults the
 * network is sane again: links are up, nothing is lost or corrupted, nobody forges sources.
 */
#include <stdio.h>
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/drawn.h"

/* How soon a fault that came too early is tried again. */
#define FAULT_RETRY ROAM_MILLISECONDS(150)

#define STORM_LOSS_PPM 400000

/* No client closes sooner after the last fault: one that has just woken up has no socket yet to say so through. */
#define LAST_WORD ROAM_MILLISECONDS(500)

static struct world *world_of(struct drawn *drawn)
{
    return &drawn->lab.world;
}

/* ---- The faults ------------------------------------------------------------------------------------------------ */

static void change_nat_address(struct drawn *drawn, const struct fault *fault, struct nat *nat)
{
    char text[64];
    (void)drawn;
    unsigned host = (unsigned)(fault->choice % 200) + 20;
    if (nat->config.kind == NAT_PREFIX)
        snprintf(text, sizeof(text), "2001:db8:9%02x:%x::", (unsigned)fault->client * 16 + (unsigned)fault->interface,
                 host);
    else
        snprintf(text, sizeof(text), "198.18.%u.%u", (unsigned)fault->client * 16 + (unsigned)fault->interface, host);
    nat_change_address(nat, text, fault->choice & 0x10000);
}

/* Networks come back with another socket, except where the server wants nobody to come from one. */
static void set_network(struct fault *fault, bool on)
{
    const struct lab *lab = &fault->drawn->lab;
    const struct lab_client *client = &lab->clients[fault->client];
    struct interface *interface = client->interfaces[fault->interface];
    roam_address local = {0};
    if (client->app.conn != NULL)
        local = *roam_conn_local_address(client->app.conn);
    bool same = (fault->choice & 1) != 0 || lab->config.server.disable_active_migration;
    if (fault->kind == FAULT_ADDRESS_GONE && on && !interface->gone)
        interface_lose_address(interface);
    if (fault->kind == FAULT_ADDRESS_GONE && !on && interface->gone)
        interface_get_address(interface, same && roam_address_same_ip(&local, &interface->node.ip) ? local.port : 0);
    if (fault->kind == FAULT_SEND_FAILS) {
        interface->fails = on;
        interface->why = fault->choice % 4 == 3 ? ROAM_SEND_REFUSED : (enum roam_send_failure)(fault->choice % 4);
    }
}

static void set_sleep(struct fault *fault, bool on)
{
    struct host *host = fault->drawn->lab.clients[fault->client].host;
    if (on && !host->asleep)
        host_sleep(host);
    else if (!on && host->asleep)
        host_wake_up(host, fault->choice & 1);
}

static void set_trouble(struct fault *fault, bool on)
{
    struct lab_client *client = &fault->drawn->lab.clients[fault->client];
    if (client->nats[fault->interface] != NULL && fault->kind == FAULT_NAT_PORT_STORM)
        client->nats[fault->interface]->port_for_every_packet = on;
    if (fault->kind == FAULT_LINK_DOWN)
        interface_set_down(client->interfaces[fault->interface], on);
    if (fault->kind == FAULT_ADDRESS_GONE || fault->kind == FAULT_SEND_FAILS)
        set_network(fault, on);
    if (fault->kind == FAULT_SLEEP)
        set_sleep(fault, on);
    if (fault->kind == FAULT_LOSS) {
        struct node *node = &client->interfaces[fault->interface]->node;
        node->up->config.loss_ppm = on ? STORM_LOSS_PPM : fault->drawn->lab.config.up[fault->interface].loss_ppm;
        node->down->config.loss_ppm = on ? STORM_LOSS_PPM : fault->drawn->lab.config.down[fault->interface].loss_ppm;
    }
}

static void move_client(struct drawn *drawn, const struct fault *fault)
{
    struct lab_client *client = &drawn->lab.clients[fault->client];
    roam_address local = host_open_socket(client->host, client->interfaces[fault->interface], 0);
    roam_result result;
    if (fault->kind == FAULT_REBIND) {
        result = client_app_rebind(&client->app, &local);
        drawn->totals.rebound += result == ROAM_OK;
    } else if (fault->kind == FAULT_MIGRATE) {
        result = client_app_migrate(&client->app, &local);
        drawn->totals.migrated += result == ROAM_OK;
    } else {
        result = client_app_probe(&client->app, &local);
    }
    if (result == ROAM_ERR_ADDRESS || result == ROAM_ERR_MEMORY || result == ROAM_ERR_CONFIG)
        world_fail(world_of(drawn), "client%zu cannot move: %s", fault->client, roam_result_name(result));
}

static void use_connection(struct drawn *drawn, const struct fault *fault)
{
    struct lab_client *client = &drawn->lab.clients[fault->client];
    bool at_server = fault->choice & 1;
    struct host *host = at_server ? drawn->lab.server : client->host;
    roam_conn *conn = at_server ? drawn->lab.server_app.newest : client->app.conn;
    if (conn == NULL || !client->app.confirmed)
        return;
    if (fault->kind == FAULT_PING)
        roam_conn_ping(conn, host_now(host));
    else
        roam_conn_update_keys(conn, host_now(host));
    host_turn(host);
}

static void change_mtu(struct drawn *drawn, const struct fault *fault)
{
    struct node *node = &drawn->lab.clients[fault->client].interfaces[fault->interface]->node;
    node->up->config.mtu_bytes = node->down->config.mtu_bytes = (size_t)fault->choice;
}

static void change_plan(struct drawn *drawn, const struct fault *fault)
{
    roam_endpoint *endpoint = drawn->lab.server->endpoint;
    roam_cid_plan plan = endpoint->plans[0].plan.layout;
    if (plan.has_key)
        plan.key[1] = (uint8_t)fault->choice;
    if (plan.kind == ROAM_CID_QUIC_LB)
        plan.config_id = (uint8_t)(fault->choice >> 8) % ROAM_CID_UNROUTABLE;
    if (roam_endpoint_set_cid_plan(endpoint, world_now(world_of(drawn)), &plan) != ROAM_OK)
        world_fail(world_of(drawn), "the server cannot change its plan");
    host_turn(drawn->lab.server);
}

static void happen(struct drawn *drawn, struct fault *fault)
{
    struct nat *nat = drawn->lab.clients[fault->client].nats[fault->interface];
    switch (fault->kind) {
    case FAULT_NAT_PORTS:
        if (nat != NULL)
            nat_change_ports(nat, fault->choice & 1);
        break;
    case FAULT_NAT_REBOOT:
        if (nat != NULL)
            nat_reboot(nat);
        break;
    case FAULT_NAT_ADDRESS:
        if (nat != NULL)
            change_nat_address(drawn, fault, nat);
        break;
    case FAULT_NAT_PORT_STORM:
    case FAULT_LINK_DOWN:
    case FAULT_LOSS:
    case FAULT_ADDRESS_GONE:
    case FAULT_SEND_FAILS:
    case FAULT_SLEEP:
        fault->running = true;
        set_trouble(fault, true);
        sim_clock_set(&world_of(drawn)->clock, &fault->event, world_now(world_of(drawn)) + fault->span);
        break;
    case FAULT_REBIND:
    case FAULT_MIGRATE:
    case FAULT_PROBE:
        move_client(drawn, fault);
        break;
    case FAULT_SPOOF_MOVE:
    case FAULT_SPOOF_COPY:
    case FAULT_SPOOF_ECHO:
    case FAULT_SPOOF_FLIP:
    case FAULT_NO_RESPONSES:
    case FAULT_REPLAY:
        drawn_attack_begin(drawn, fault);
        break;
    case FAULT_KEY_UPDATE:
    case FAULT_PING:
        use_connection(drawn, fault);
        break;
    case FAULT_CID_PLAN:
        change_plan(drawn, fault);
        break;
    case FAULT_MTU:
        change_mtu(drawn, fault);
        break;
    case FAULT_KINDS:
        break;
    }
}

static bool needs_confirmation(enum fault_kind kind)
{
    return kind != FAULT_LINK_DOWN && kind != FAULT_LOSS && kind != FAULT_MTU && kind != FAULT_SLEEP &&
           kind != FAULT_CID_PLAN;
}

static bool nat_is_shared_with_an_unconfirmed(const struct drawn *drawn)
{
    for (size_t i = 0; i < drawn->lab.config.clients; i++) {
        if (!drawn->lab.clients[i].app.confirmed)
            return true;
    }
    return false;
}

static void on_fault(struct sim_event *event)
{
    struct fault *fault = SIM_CONTAINER(event, struct fault, event);
    struct drawn *drawn = fault->drawn;
    if (fault->running) {
        fault->running = false;
        set_trouble(fault, false);
    } else if (drawn->over) {
        return;
    } else if (needs_confirmation(fault->kind) && nat_is_shared_with_an_unconfirmed(drawn)) {
        sim_clock_set(&world_of(drawn)->clock, event, world_now(world_of(drawn)) + FAULT_RETRY);
    } else {
        trace_word(&world_of(drawn)->trace, UINT64_C(0xfa) << 56 | (uint64_t)fault->kind);
        trace_line(&world_of(drawn)->trace, world_now(world_of(drawn)), "fault %d on client%zu.%zu", (int)fault->kind,
                   fault->client, fault->interface);
        drawn->totals.faults[fault->kind]++;
        happen(drawn, fault);
    }
}

static void heal(struct link *link)
{
    link->config.loss_ppm = link->config.corrupt_ppm = link->config.burst_begin_ppm = 0;
    link->in_burst = false;
    link->down = false;
}

static void on_end(struct sim_event *event)
{
    struct drawn *drawn = SIM_CONTAINER(event, struct drawn, end);
    drawn->over = true;
    trace_line(&world_of(drawn)->trace, world_now(world_of(drawn)), "all faults are over");
    for (size_t i = 0; i < drawn->fault_count; i++) {
        struct fault *fault = &drawn->faults[i];
        if (fault->running) {
            fault->running = false;
            set_trouble(fault, false);
        }
        sim_clock_set(&world_of(drawn)->clock, &fault->event, ROAM_TIME_NEVER);
    }
    drawn_attacks_end(drawn);
    for (struct link *link = world_of(drawn)->links; link != NULL; link = link->next)
        heal(link);
}

void faults_start(struct drawn *drawn)
{
    struct world *world = world_of(drawn);
    roam_time start = world_now(world);
    world->intercept = drawn_intercept;
    world->intercept_context = drawn;
    drawn->victim = sim_address(drawn->lab.config.ipv6[0] ? "[2001:db8:bad::1]:30000" : "203.0.113.200:30000");
    for (size_t i = 0; i < drawn->fault_count; i++) {
        struct fault *fault = &drawn->faults[i];
        roam_time at = start + fault->event.at;
        sim_event_init(&fault->event, on_fault);
        fault->drawn = drawn;
        sim_clock_set(&world->clock, &fault->event, at);
    }
    sim_event_init(&drawn->end, on_end);
    sim_clock_set(&world->clock, &drawn->end, start + drawn->fault_span);
    for (size_t i = 0; i < drawn->lab.config.clients; i++)
        drawn->lab.clients[i].app.close_not_before = start + drawn->fault_span + LAST_WORD;
}
