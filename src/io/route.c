/* See route.h. Kept: the socket is gone when the answer is there, and errno is the answer's. */
#include "io/route.h"

#include <errno.h>
#include <unistd.h>

#include "io/sockaddr.h"

/* The port is no part of the question, but must not be zero (RFC 863: nobody answers there). */
#define DISCARD_PORT 9

static bool look(int fd, const roam_address *remote, const roam_address *from, roam_address *ret)
{
    struct sockaddr_storage name;
    roam_address somewhere = *remote;
    somewhere.port = DISCARD_PORT;
    socklen_t len = sockaddr_from_address(&name, from);
    if (len > 0 && bind(fd, (struct sockaddr *)&name, len) != 0)
        return false;
    len = sockaddr_from_address(&name, &somewhere);
    if (connect(fd, (struct sockaddr *)&name, len) != 0)
        return false;
    len = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return false;
    address_from_sockaddr(ret, (struct sockaddr *)&name);
    ret->port = 0;
    return true;
}

bool route_source_from(const roam_address *remote, const roam_address *from, roam_address *ret)
{
    int fd = socket(remote->family == ROAM_FAMILY_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return false;
    bool found = look(fd, remote, from, ret);
    int why = errno;
    close(fd);
    errno = why;
    return found;
}

bool route_source(const roam_address *remote, roam_address *ret)
{
    const roam_address any = {0};
    return route_source_from(remote, &any, ret);
}
