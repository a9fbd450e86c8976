/* The networks of a host as they come and go, what its sockets refuse, and its sleep. */
#include <stdlib.h>
#include <string.h>

#include "sim/host.h"

roam_time host_now(const struct host *host)
{
    return (host->asleep ? host->asleep_since : world_now(host->world)) - host->slept;
}

/* ---- Networks -------------------------------------------------------------------------------------------------- */

static roam_network describe(struct interface *interface, size_t index, bool is_default)
{
    roam_network network = {.interface_index = (uint32_t)index + 1,
                            .is_default = is_default,
                            .metered = interface->metered,
                            .preference = interface->preference};
    if (!host_has_socket(interface->host, &interface->local))
        interface->local = host_open_socket(interface->host, interface, 0);
    network.local = interface->local;
    memcpy(network.name, interface->name, sizeof(network.name));
    return network;
}

/* The first interface of a family with a route has the default one. */
static bool has_default_route(const struct host *host, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        const struct interface *earlier = host->interfaces[i];
        if (!earlier->gone && !earlier->no_default &&
            earlier->node.ip.family == host->interfaces[index]->node.ip.family)
            return false;
    }
    return !host->interfaces[index]->no_default;
}

void host_announce(struct host *host)
{
    roam_network networks[HOST_INTERFACES_MAX];
    size_t n = 0;
    if (!host->watches || host->endpoint == NULL)
        return;
    for (size_t i = 0; i < host->interface_count; i++)
        if (!host->interfaces[i]->gone)
            networks[n++] = describe(host->interfaces[i], i, has_default_route(host, i));
    roam_endpoint_networks(host->endpoint, host_now(host), networks, n);
    host_turn(host);
}

void host_watch(struct host *host)
{
    host->watches = true;
    host_announce(host);
}

static void trace_interface(struct interface *interface, uint64_t word, const char *what)
{
    struct world *world = interface->node.world;
    trace_word(&world->trace, UINT64_C(0x1f) << 56 | word);
    trace_line(&world->trace, world_now(world), "%s %s", interface->node.name, what);
}

void interface_lose_address(struct interface *interface)
{
    struct host *host = interface->host;
    trace_interface(interface, 1, "has no address any more");
    interface->gone = true;
    for (size_t i = 0; i < host->socket_count; i++)
        if (roam_address_same_ip(&host->sockets[i].local, &interface->node.ip))
            host->sockets[i].open = false;
    interface->local = (roam_address){0};
    host_announce(host);
}

void interface_get_address(struct interface *interface, uint16_t port)
{
    trace_interface(interface, 2, "has an address");
    interface->gone = false;
    interface->local = host_open_socket(interface->host, interface, port);
    host_announce(interface->host);
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

void host_send_failed(struct host *host, const roam_address *local, const roam_address *remote,
                      enum roam_send_failure why, size_t bytes)
{
    if (!host->watches || host->endpoint == NULL)
        return;
    host->failed++;
    roam_endpoint_send_failed(host->endpoint, host_now(host), local, remote, why, bytes);
}

bool host_hold(struct host *host, const roam_datagram *datagram)
{
    const struct interface *interface = host_interface_of(host, &datagram->local);
    if (interface == NULL || !interface->blocked)
        return false;
    struct waiting_datagram *waiting = malloc(sizeof(*waiting) + datagram->len);
    if (waiting == NULL)
        abort();
    *waiting = (struct waiting_datagram){
        .local = datagram->local, .remote = datagram->remote, .ecn = datagram->ecn, .len = datagram->len};
    memcpy(waiting->data, datagram->data, datagram->len);
    struct waiting_datagram **end = &host->waiting;
    while (*end != NULL)
        end = &(*end)->next;
    *end = waiting;
    return true;
}

void host_forget_waiting(struct host *host)
{
    while (host->waiting != NULL) {
        struct waiting_datagram *first = host->waiting;
        host->waiting = first->next;
        free(first);
    }
}

void interface_set_blocked(struct interface *interface, bool blocked)
{
    struct host *host = interface->host;
    trace_interface(interface, blocked ? 3 : 4, blocked ? "takes nothing" : "takes datagrams again");
    interface->blocked = blocked;
    struct waiting_datagram **at = &host->waiting;
    while (!blocked && *at != NULL) {
        struct waiting_datagram *first = *at;
        if (host_interface_of(host, &first->local) != interface) {
            at = &first->next;
            continue;
        }
        *at = first->next;
        roam_datagram out = {.local = first->local,
                             .remote = first->remote,
                             .data = first->data,
                             .len = first->len,
                             .capacity = first->len,
                             .ecn = first->ecn};
        host_send(host, &out);
        free(first);
    }
    host_turn(host);
}

/* ---- Sleep ------------------------------------------------------------------------------------------------------- */

void host_sleep(struct host *host)
{
    host->asleep = true;
    host->asleep_since = world_now(host->world);
    sim_clock_set(&host->world->clock, &host->wake, ROAM_TIME_NEVER);
    trace_line(&host->world->trace, world_now(host->world), "%s falls asleep", host->name);
}

void host_wake_up(struct host *host, bool clock_stood)
{
    roam_time slept = world_now(host->world) - host->asleep_since;
    host->asleep = false;
    if (clock_stood)
        host->slept += slept;
    trace_line(&host->world->trace, world_now(host->world), "%s wakes up", host->name);
    if (host->endpoint != NULL)
        roam_endpoint_woke(host->endpoint, host_now(host), clock_stood ? slept : 0);
    host_turn(host);
}
