/* Builds the usual world and lets time pass in it. */
#include "sim/lab.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim/oracle.h"

#define SETTLE_TIME  ROAM_MILLISECONDS(400)
#define CONNECT_TIME ROAM_SECONDS(60)
#define WAIT_TIME    ROAM_SECONDS(20)

static const char *const alpn[] = {"roam-sim", NULL};

void lab_config_init(struct lab_config *ret, uint64_t seed, const struct sim_certs *certs)
{
    memset(ret, 0, sizeof(*ret));
    ret->seed = seed;
    ret->certs = certs;
    roam_config_init(&ret->client);
    roam_config_init(&ret->server);
    roam_endpoint_config_init(&ret->client_endpoint);
    roam_endpoint_config_init(&ret->server_endpoint);
    ret->client.credentials = certs->client;
    ret->server.credentials = certs->server;
    ret->client.alpn = ret->server.alpn = alpn;
    ret->client.server_name = "sim.roam.test";
    /* Scenarios count packets and octets; those about datagram sizes turn it on. */
    ret->client.pmtud = ret->server.pmtud = false;
    ret->clients = 1;
    ret->interfaces = 2;
    for (size_t i = 0; i < LAB_INTERFACES_MAX; i++) {
        ret->nat[i] = (struct nat_config){.kind = NAT_PORT_RESTRICTED, .inbound_refreshes = true};
        ret->up[i] = ret->down[i] = (struct link_config){.delay = ROAM_MILLISECONDS(20)};
    }
    ret->server_link = (struct link_config){.delay = ROAM_MILLISECONDS(5)};
}

/* ---- Building -------------------------------------------------------------------------------------------------- */

static struct host_config server_config(const struct lab *lab)
{
    struct host_config config = {.is_server = true, .batch = lab->config.batch, .capacity = lab->config.capacity};
    config.endpoint = lab->config.server_endpoint;
    config.qlog = lab->config.qlog;
    config.endpoint.accept = &lab->config.server;
    return config;
}

static bool add_server(struct lab *lab)
{
    const struct host_config config = server_config(lab);
    static const char *const preferred[] = {"203.0.113.6", "2001:db8:5::6"};
    for (size_t i = 0; i < 2; i++) {
        lab->preferred_address[i] = sim_address(preferred[i]);
        lab->preferred_address[i].port = LAB_PREFERRED_PORT;
    }
    if (lab->config.prefers[0])
        lab->config.server.preferred_ipv4 = lab->preferred_address[0];
    if (lab->config.prefers[1])
        lab->config.server.preferred_ipv6 = lab->preferred_address[1];
    lab->server = host_new(&lab->world, "server", &config);
    if (lab->server == NULL)
        return false;
    static const char *const ips[] = {"203.0.113.5", "2001:db8:5::5"};
    for (size_t i = 0; i < 2; i++) {
        struct interface *interface = host_add_interface(lab->server, ips[i], &lab->world.internet,
                                                         &lab->config.server_link, &lab->config.server_link);
        lab->server_address[i] = host_open_socket(lab->server, interface, LAB_PORT);
    }
    for (size_t i = 0; i < 2; i++) {
        if (!lab->config.prefers[i])
            continue;
        struct interface *interface = host_add_interface(lab->server, preferred[i], &lab->world.internet,
                                                         &lab->config.server_link, &lab->config.server_link);
        host_open_socket(lab->server, interface, LAB_PREFERRED_PORT);
    }
    server_app_init(&lab->server_app, lab->server, &lab->workload);
    return true;
}

/* What is at the outside of an interface: its outer NAT, an inner one, or the internet itself. */
static struct node *add_nats(struct lab *lab, size_t client, size_t i, struct lab_client *ret)
{
    static const struct link_config short_link = {.delay = ROAM_MILLISECONDS(1)};
    const struct lab_config *config = &lab->config;
    struct node *parent = &lab->world.internet;
    char name[SIM_NAME_MAX + 1], ip[64], inside[64];
    if (config->no_nat[i])
        return parent;
    if (config->one_nat && client > 0) {
        ret->nats[i] = lab->clients[0].nats[i];
        ret->inner[i] = lab->clients[0].inner[i];
        return ret->inner[i] != NULL ? &ret->inner[i]->node : &ret->nats[i]->node;
    }
    struct nat_config nat = config->nat[i];
    if (config->ipv6[i])
        nat.kind = NAT_PREFIX;
    else if (nat.kind == NAT_PREFIX)
        nat.kind = NAT_PORT_RESTRICTED;
    snprintf(name, sizeof(name), "nat%zu.%zu", client, i);
    if (config->ipv6[i])
        snprintf(ip, sizeof(ip), "2001:db8:%zu:%zu00::", 0x100 + client, i);
    else
        snprintf(ip, sizeof(ip), "198.51.100.%zu", 1 + 20 * i + 60 * client);
    ret->nats[i] = nat_new(&lab->world, name, ip, &nat);
    snprintf(inside, sizeof(inside), "fd00:%zu:%zu::", client, i);
    if (config->ipv6[i])
        nat_set_inside_prefix(ret->nats[i], inside);
    node_attach(&ret->nats[i]->node, parent, &short_link, &short_link);
    if (!config->double_nat || config->ipv6[i])
        return &ret->nats[i]->node;
    snprintf(name, sizeof(name), "inner%zu.%zu", client, i);
    snprintf(ip, sizeof(ip), "100.64.%zu.%zu", client, i + 1);
    ret->inner[i] = nat_new(&lab->world, name, ip, &nat);
    node_attach(&ret->inner[i]->node, &ret->nats[i]->node, &short_link, &short_link);
    return &ret->inner[i]->node;
}

static bool add_client(struct lab *lab, size_t index)
{
    struct lab_client *client = &lab->clients[index];
    struct host_config config = {.batch = lab->config.batch, .capacity = lab->config.capacity};
    config.endpoint = lab->config.client_endpoint;
    config.qlog = lab->config.qlog;
    char name[SIM_NAME_MAX + 1], ip[64];
    snprintf(name, sizeof(name), "client%zu", index);
    client->host = host_new(&lab->world, name, &config);
    if (client->host == NULL)
        return false;
    static const char *const networks[] = {"192.168.1", "10.0.0", "172.16.0"};
    for (size_t i = 0; i < lab->config.interfaces; i++) {
        struct node *parent = add_nats(lab, index, i, client);
        if (lab->config.ipv6[i] && lab->config.no_nat[i])
            snprintf(ip, sizeof(ip), "2001:db8:%zu:%zu00::10", 0x200 + index, i);
        else if (lab->config.ipv6[i])
            snprintf(ip, sizeof(ip), "fd00:%zu:%zu::%zu", lab->config.one_nat ? 0 : index, i, 10 + index);
        else if (lab->config.no_nat[i])
            snprintf(ip, sizeof(ip), "192.0.2.%zu", 1 + 20 * i + 60 * index);
        else
            snprintf(ip, sizeof(ip), "%s.%zu", networks[i], 10 * (i + 1) + index);
        client->interfaces[i] = host_add_interface(client->host, ip, parent, &lab->config.up[i], &lab->config.down[i]);
    }
    client->local = host_open_socket(client->host, client->interfaces[0], 50000);
    client->interfaces[0]->local = client->local;
    client->remote = lab->server_address[lab->config.ipv6[0]];
    client_app_init(&client->app, client->host, &lab->workload, &lab->config.client);
    client->app.config.local = &client->local;
    client->app.config.remote = &client->remote;
    client->app.stay_open = true;
    if (lab->config.watch) {
        client->app.config.mobility = ROAM_MOBILITY_AUTO;
        host_watch(client->host);
    }
    return true;
}

bool lab_open(struct lab *lab)
{
    world_init(&lab->world, lab->config.seed, lab->config.print);
    workload_init(&lab->workload, &lab->world);
    lab->open = true;
    if (!add_server(lab))
        return false;
    for (size_t i = 0; i < lab->config.clients; i++) {
        if (!add_client(lab, i))
            return false;
    }
    return true;
}

void lab_close(struct lab *lab)
{
    if (!lab->open)
        return;
    lab->open = false;
    for (struct host *host = lab->world.hosts; host != NULL; host = host->next)
        host_end(host);
    for (size_t i = 0; i < lab->config.clients; i++) {
        if (lab->clients[i].app.host != NULL)
            client_app_done(&lab->clients[i].app);
    }
    if (lab->server_app.host != NULL)
        server_app_done(&lab->server_app);
    if (lab->worker_app.host != NULL)
        server_app_done(&lab->worker_app);
    workload_done(&lab->workload);
    world_done(&lab->world);
}

bool lab_again(struct lab *lab)
{
    const struct lab_config config = lab->config;
    lab_close(lab);
    if (lab->world.failed)
        return false;
    memset(lab, 0, sizeof(*lab));
    lab->config = config;
    return lab_open(lab);
}

bool lab_restart_server(struct lab *lab)
{
    const struct host_config config = server_config(lab);
    if (!host_restart(lab->server, &config))
        return false;
    server_app_done(&lab->server_app);
    server_app_init(&lab->server_app, lab->server, &lab->workload);
    host_turn(lab->server);
    return true;
}

bool lab_add_worker(struct lab *lab, const char *ip)
{
    const struct host_config config = server_config(lab);
    lab->worker = host_new(&lab->world, "worker", &config);
    if (lab->worker == NULL)
        return false;
    struct interface *interface =
        host_add_interface(lab->worker, ip, &lab->world.internet, &lab->config.server_link, &lab->config.server_link);
    lab->worker_address = host_open_socket(lab->worker, interface, LAB_PORT);
    server_app_init(&lab->worker_app, lab->worker, &lab->workload);
    return true;
}

/* ---- Running --------------------------------------------------------------------------------------------------- */

bool lab_run(struct lab *lab, roam_time span)
{
    return world_run(&lab->world, world_now(&lab->world) + span);
}

static bool all_confirmed(const struct lab *lab)
{
    for (size_t i = 0; i < lab->config.clients; i++) {
        if (!lab->clients[i].app.confirmed)
            return false;
    }
    return true;
}

bool lab_connect(struct lab *lab)
{
    for (size_t i = 0; i < lab->config.clients && !lab->world.failed; i++)
        client_app_start(&lab->clients[i].app);
    roam_time limit = world_now(&lab->world) + CONNECT_TIME;
    while (!all_confirmed(lab) && world_now(&lab->world) < limit && world_step(&lab->world))
        continue;
    if (!all_confirmed(lab))
        world_fail(&lab->world, "no connection within %llu s", (unsigned long long)(CONNECT_TIME / ROAM_SECONDS(1)));
    return lab_run(lab, SETTLE_TIME);
}

bool lab_run_done(struct lab *lab, roam_time limit)
{
    roam_time until = world_now(&lab->world) + limit;
    while (!workload_is_done(&lab->workload) && sim_clock_next(&lab->world.clock) <= until && world_step(&lab->world))
        continue;
    if (!workload_is_done(&lab->workload)) {
        size_t open = 0;
        for (size_t i = 0; i < lab->workload.count; i++)
            open += !(lab->workload.transfers[i].client_done && lab->workload.transfers[i].server_done);
        world_fail(&lab->world, "%zu of %zu transfers are not done after %llu ms", open, lab->workload.count,
                   (unsigned long long)(limit / ROAM_MILLISECONDS(1)));
    }
    return !lab->world.failed;
}

bool lab_wait(struct lab *lab, roam_event_type type, uint64_t count)
{
    roam_time limit = world_now(&lab->world) + WAIT_TIME;
    while (lab_server_count(lab, type) < count && world_now(&lab->world) < limit && world_step(&lab->world))
        continue;
    return lab_server_count(lab, type) >= count;
}

static bool lose(void *context, const struct sim_packet *packet)
{
    struct lab_loss *loss = context;
    if (loss->left == 0 || (packet->frames & loss->frames) == 0)
        return true;
    loss->left--;
    return false;
}

void lab_lose(struct link *link, struct lab_loss *loss)
{
    link->filter = lose;
    link->filter_context = loss;
}

void lab_begin(struct lab *lab, enum transfer_kind kind, uint64_t bytes)
{
    client_app_more(lab_client(lab), kind, bytes);
}

bool lab_transfer(struct lab *lab, enum transfer_kind kind, uint64_t bytes)
{
    lab_begin(lab, kind, bytes);
    return lab_run_done(lab, ROAM_SECONDS(60));
}

static bool all_closed(const struct lab *lab)
{
    for (size_t i = 0; i < lab->config.clients; i++) {
        if (!lab->clients[i].app.closed)
            return false;
    }
    return lab->server_app.closed == lab->server_app.accepted;
}

bool lab_goodbye(struct lab *lab)
{
    for (size_t i = 0; i < lab->config.clients && !lab->world.failed; i++)
        client_app_close(&lab->clients[i].app);
    roam_time limit = world_now(&lab->world) + ROAM_SECONDS(120);
    while (!all_closed(lab) && sim_clock_next(&lab->world.clock) <= limit && world_step(&lab->world))
        continue;
    if (!all_closed(lab))
        world_fail(&lab->world, "the connections do not come to an end");
    for (size_t i = 0; i < lab->config.clients; i++) {
        const roam_error *error = &lab->clients[i].app.error;
        if (error->cause != ROAM_CLOSE_LOCAL_APPLICATION)
            world_fail(&lab->world, "client%zu ends by %s, %s: %s", i, roam_close_cause_name(error->cause),
                       roam_error_name(error->code), error->reason);
    }
    if (lab->server_app.causes[ROAM_CLOSE_PEER_APPLICATION] != lab->server_app.accepted)
        world_fail(&lab->world, "the server ends by %s, %s: %s", roam_close_cause_name(lab->server_app.error.cause),
                   roam_error_name(lab->server_app.error.code), lab->server_app.error.reason);
    return !lab->world.failed;
}

roam_path_info lab_active(const roam_conn *conn)
{
    roam_path_info paths[PATHS_MAX] = {0};
    if (conn != NULL)
        roam_conn_paths(conn, paths, PATHS_MAX);
    return paths[0];
}

void lab_report(struct lab *lab, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(lab->report, sizeof(lab->report), format, arguments);
    va_end(arguments);
}

roam_address lab_socket(struct lab *lab, size_t interface)
{
    return host_open_socket(lab->clients[0].host, lab->clients[0].interfaces[interface], 0);
}

roam_time lab_pto(const roam_path_info *path)
{
    roam_time variation = 4 * path->rtt_variation;
    if (variation < ROAM_MILLISECONDS(1))
        variation = ROAM_MILLISECONDS(1);
    return path->smoothed_rtt + variation + ROAM_MILLISECONDS(25);
}
