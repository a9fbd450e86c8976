/* A question to the kernel's routing table, asked by connecting a UDP socket: nothing is sent. */
#ifndef IO_ROUTE_H
#define IO_ROUTE_H

#include <roam/types.h>

/* Where a datagram to `remote` would leave from (port 0); false with errno where there is no way. */
bool route_source(const roam_address *remote, roam_address *ret);
/* The same for what has chosen to leave from `from`; an unset one has not. */
bool route_source_from(const roam_address *remote, const roam_address *from, roam_address *ret);

#endif
