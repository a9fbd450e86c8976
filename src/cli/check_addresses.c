/* Names and addresses of `roam check`: where the server is, which of our addresses leads there, and which other one
 * could. Nothing is sent but the resolver's questions. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>

#include "cli/check.h"
#include "io/route.h"
#include "io/sockaddr.h"

/* ---- The server ------------------------------------------------------------------------------------------------- */

static bool has_family(const struct exam *exam, uint8_t family)
{
    for (size_t i = 0; i < exam->address_count; i++)
        if (exam->addresses[i].family == family)
            return true;
    return false;
}

static int wanted_family(const struct net_options *options)
{
    if (options->ipv4 != options->ipv6)
        return options->ipv4 ? AF_INET : AF_INET6;
    if (roam_address_is_set(&options->bind))
        return options->bind.family == ROAM_FAMILY_IPV4 ? AF_INET : AF_INET6;
    return AF_UNSPEC;
}

/* The first address of each family, in the resolver's order. "localhost" names both loopback addresses, and most
 * servers that are there for tests listen on the older one. */
static void take_address(struct exam *exam, const struct addrinfo *info)
{
    roam_address address;
    address_from_sockaddr(&address, info->ai_addr);
    if (!roam_address_is_set(&address) || has_family(exam, address.family) || exam->address_count == CHECK_ADDRESSES)
        return;
    address.port = exam->port;
    exam->addresses[exam->address_count++] = address;
    const bool first_is_ipv6_loopback =
        exam->addresses[0].family == ROAM_FAMILY_IPV6 &&
        IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)exam->addresses[0].ip);
    if (exam->address_count == CHECK_ADDRESSES && first_is_ipv6_loopback) {
        exam->addresses[1] = exam->addresses[0];
        exam->addresses[0] = address;
    }
}

bool find_server(struct exam *exam)
{
    const struct addrinfo hints = {.ai_family = wanted_family(&exam->options.net), .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found;
    int error = getaddrinfo(exam->host, NULL, &hints, &found);
    if (error != 0) {
        say_error("%s does not resolve: %s", exam->host, gai_strerror(error));
        return false;
    }
    for (const struct addrinfo *info = found; info != NULL; info = info->ai_next)
        take_address(exam, info);
    freeaddrinfo(found);
    if (exam->address_count == 0)
        say_error("%s does not resolve to an address", exam->host);
    return exam->address_count > 0;
}

/* ---- Ours ------------------------------------------------------------------------------------------------------- */

static bool is_link_local(const roam_address *address)
{
    return address->family == ROAM_FAMILY_IPV6 &&
           IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)(const void *)address->ip);
}

/* All of 127.0.0.0/8 is ours. */
static roam_address other_loopback(const roam_address *local)
{
    roam_address other = *local;
    other.ip[3] = local->ip[3] == 2 ? 3 : 2;
    return other;
}

/* Another address of this host of the same family that the kernel would send from. */
static roam_address other_interface(const struct exam *exam)
{
    struct ifaddrs *all;
    roam_address found = {0}, ignored;
    if (getifaddrs(&all) != 0)
        return found;
    for (const struct ifaddrs *one = all; one != NULL && !roam_address_is_set(&found); one = one->ifa_next) {
        roam_address address;
        if (one->ifa_addr == NULL || (one->ifa_flags & IFF_UP) == 0)
            continue;
        address_from_sockaddr(&address, one->ifa_addr);
        if (address.family == exam->local.family && !address_is_loopback(&address) && !is_link_local(&address) &&
            !roam_address_same_ip(&address, &exam->local) && route_source_from(&exam->remote, &address, &ignored))
            found = address;
    }
    freeifaddrs(all);
    found.port = 0;
    return found;
}

bool find_own_addresses(struct exam *exam)
{
    const struct check_options *options = &exam->options;
    char text[ROAM_ADDRESS_TEXT_MAX];
    if (!route_source_from(&exam->remote, &options->net.bind, &exam->local)) {
        say_error("no way to %s: %s", roam_address_format(&exam->remote, text), strerror(errno));
        return false;
    }
    exam->second = options->second;
    exam->second.port = 0;
    if (!roam_address_is_set(&exam->second) && address_is_loopback(&exam->local))
        exam->second = exam->local.family == ROAM_FAMILY_IPV4 ? other_loopback(&exam->local) : (roam_address){0};
    else if (!roam_address_is_set(&exam->second))
        exam->second = other_interface(exam);
    /* An address of the other family leads nowhere from here. */
    if (exam->second.family != exam->local.family)
        exam->second = (roam_address){0};
    return true;
}
