/* roam_address to and from struct sockaddr. Pure. */
#include "io/sockaddr.h"

#include <string.h>

socklen_t sockaddr_from_address(struct sockaddr_storage *ret, const roam_address *address)
{
    memset(ret, 0, sizeof(*ret));
    if (address->family == ROAM_FAMILY_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->ip, sizeof(in->sin_addr));
        return sizeof(*in);
    }
    if (address->family == ROAM_FAMILY_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        in6->sin6_scope_id = address->scope_id;
        memcpy(&in6->sin6_addr, address->ip, sizeof(in6->sin6_addr));
        return sizeof(*in6);
    }
    return 0;
}

void address_from_sockaddr(roam_address *ret, const struct sockaddr *address)
{
    memset(ret, 0, sizeof(*ret));
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        ret->family = ROAM_FAMILY_IPV4;
        ret->port = ntohs(in->sin_port);
        memcpy(ret->ip, &in->sin_addr, sizeof(in->sin_addr));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        ret->family = ROAM_FAMILY_IPV6;
        ret->port = ntohs(in6->sin6_port);
        ret->scope_id = in6->sin6_scope_id;
        memcpy(ret->ip, &in6->sin6_addr, sizeof(in6->sin6_addr));
    }
}

bool address_is_wildcard(const roam_address *address)
{
    static const uint8_t any[sizeof(address->ip)];
    return memcmp(address->ip, any, sizeof(any)) == 0;
}

bool address_is_link_local(const roam_address *address)
{
    if (address->family == ROAM_FAMILY_IPV4)
        return address->ip[0] == 169 && address->ip[1] == 254; /* RFC 3927 */
    return address->family == ROAM_FAMILY_IPV6 && address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80;
}

bool address_is_loopback(const roam_address *address)
{
    if (address->family == ROAM_FAMILY_IPV4)
        return address->ip[0] == 127;
    return address->family == ROAM_FAMILY_IPV6 && IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address->ip);
}
