/* See networks.h. */
#include "path/networks.h"

#include <string.h>

#include "base/minmax.h"

void network_list_set(struct network_list *list, const roam_network *networks, size_t n)
{
    list->known = true;
    list->count = 0;
    for (size_t i = 0; i < n && list->count < ROAM_NETWORKS_MAX; i++) {
        roam_network network = networks[i];
        network.local = roam_address_unmap(&network.local);
        network.name[ROAM_NETWORK_NAME_MAX - 1] = '\0';
        if (roam_address_is_set(&network.local) && network_list_find(list, &network.local) == NULL)
            list->entries[list->count++] = network;
    }
}

const roam_network *network_list_find(const struct network_list *list, const roam_address *local)
{
    for (size_t i = 0; i < list->count; i++)
        if (roam_address_equal(&list->entries[i].local, local))
            return &list->entries[i];
    return NULL;
}

const roam_network *network_list_find_ip(const struct network_list *list, const roam_address *local)
{
    for (size_t i = 0; i < list->count; i++)
        if (roam_address_same_ip(&list->entries[i].local, local))
            return &list->entries[i];
    return NULL;
}
