/*
 * How far an address reaches: this host, this link, this site, or everywhere. Pure. It is what RFC 9000 section 21.5.6
 * judges addresses by: who sends us from the wide world into a narrower one may want our packets to go to a service
 * that only its neighbours should reach.
 */
#ifndef PATH_ADDRESS_SCOPE_H
#define PATH_ADDRESS_SCOPE_H

#include <roam/types.h>

enum address_scope {
    ADDRESS_NOWHERE, /* unset, unspecified, multicast, broadcast: no host */
    ADDRESS_LOOPBACK,
    ADDRESS_LINK_LOCAL,
    ADDRESS_PRIVATE, /* RFC 1918, RFC 6598, RFC 4193 */
    ADDRESS_GLOBAL,
};

/* Of the IP; the port does not matter. An IPv4 address inside an IPv6 one (mapped, or RFC 6052's 64:ff9b::/96) is
 * judged as itself. */
enum address_scope address_scope_of(const roam_address *address);

/* `to` is on this host and `from` is not. */
bool address_enters_loopback(const roam_address *from, const roam_address *to);

/* `to` is on a link or a site, and `from` reaches further. */
bool address_enters_private(const roam_address *from, const roam_address *to);

#endif
