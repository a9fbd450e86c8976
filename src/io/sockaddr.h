/* roam_address to and from what the system calls take. */
#ifndef IO_SOCKADDR_H
#define IO_SOCKADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include <roam/types.h>

/* Returns how much of *ret counts; 0, *ret zero, where the address has no family. */
socklen_t sockaddr_from_address(struct sockaddr_storage *ret, const roam_address *address);

/* Anything but an Internet address becomes "no address". */
void address_from_sockaddr(roam_address *ret, const struct sockaddr *address);

/* True where the address has no IP, so that a socket there takes what comes to any. */
bool address_is_wildcard(const roam_address *address);

/* True for what means something on one link only, and for what never leaves the host. */
bool address_is_link_local(const roam_address *address);
bool address_is_loopback(const roam_address *address);

#endif
