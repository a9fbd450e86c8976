/*
 * The host's networks as they were last told: one list for all connections of an endpoint. Kept: at most
 * ROAM_NETWORKS_MAX, each with an address of its own.
 */
#ifndef PATH_NETWORKS_H
#define PATH_NETWORKS_H

#include <roam/network.h>

struct network_list {
    roam_network entries[ROAM_NETWORKS_MAX];
    size_t count;
    bool known; /* somebody has told; until then nothing can be concluded from an empty list */
};

/* Entries without an address or with one that stands before are left out, as is what is too many. */
void network_list_set(struct network_list *list, const roam_network *networks, size_t n);

/* The network at just this address and port; NULL where there is none. */
const roam_network *network_list_find(const struct network_list *list, const roam_address *local);

/* One that has this IP address, whatever the port. */
const roam_network *network_list_find_ip(const struct network_list *list, const roam_address *local);

#endif
