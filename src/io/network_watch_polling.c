/*
 * The host's addresses where nothing tells of changes: getifaddrs, and where a datagram to anybody would leave from.
 * Kept: nothing of Linux is needed here. What it cannot see is whether an IPv6 address is still tentative or
 * deprecated; a tentative one refuses to be bound.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>

#include "io/network_watch.h"
#include "io/route.h"
#include "io/sockaddr.h"

/* An address of the documentation (RFC 5737, RFC 3849): reached by the default route where there is one. */
static const char *const anybody[] = {"192.0.2.1", "2001:db8::1"};

static const struct host_address *find_ip(const struct host_addresses *list, const roam_address *ip)
{
    for (size_t i = 0; i < list->count; i++)
        if (roam_address_same_ip(&list->entries[i].ip, ip))
            return &list->entries[i];
    return NULL;
}

/* The interface that the kernel would choose; of others it is not known whether they have a default route. */
static void rank(struct host_addresses *list)
{
    for (size_t family = 0; family < sizeof(anybody) / sizeof(anybody[0]); family++) {
        roam_address remote, source;
        const struct host_address *chosen = NULL;
        roam_address_parse(&remote, anybody[family]);
        if (route_source(&remote, &source))
            chosen = find_ip(list, &source);
        for (size_t i = 0; i < list->count && chosen != NULL; i++)
            if (list->entries[i].interface_index == chosen->interface_index &&
                list->entries[i].ip.family == source.family)
                list->entries[i].route_rank = 0;
    }
}

static bool add(struct host_addresses *list, const struct ifaddrs *entry)
{
    struct host_address address = {.route_rank = NO_DEFAULT_ROUTE};
    if (entry->ifa_addr == NULL || (entry->ifa_flags & IFF_LOOPBACK) != 0)
        return true;
    address_from_sockaddr(&address.ip, entry->ifa_addr);
    if (!roam_address_is_set(&address.ip) || address_is_link_local(&address.ip))
        return true;
    address.ip.scope_id = 0;
    address.interface_index = if_nametoindex(entry->ifa_name);
    address.usable = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_RUNNING) != 0;
    snprintf(address.name, sizeof(address.name), "%s", entry->ifa_name);
    return host_addresses_add(list, &address);
}

static bool list(struct host_addresses *ret)
{
    struct ifaddrs *entries;
    bool complete = true;
    if (getifaddrs(&entries) != 0)
        return false;
    for (const struct ifaddrs *entry = entries; entry != NULL && complete; entry = entry->ifa_next)
        complete = add(ret, entry);
    freeifaddrs(entries);
    if (!complete)
        errno = ENOMEM;
    rank(ret);
    return complete;
}

/* As far as it can be seen: by default, or because the kernel itself would send from there. */
static bool leads(const struct host_address *address, const roam_address *remote)
{
    roam_address source;
    return address->route_rank != NO_DEFAULT_ROUTE ||
           (route_source(remote, &source) && roam_address_same_ip(&source, &address->ip));
}

const struct network_source network_source_polling = {"polling", list, leads, NULL, NULL};
