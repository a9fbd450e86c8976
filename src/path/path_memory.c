/* A handful of networks in an array, the newest first. */
#include "path/path_memory.h"

#include <string.h>

#include "base/minmax.h"

static roam_address network_of(const roam_address *address)
{
    roam_address ret = roam_address_unmap(address);
    size_t bytes = (ret.family == ROAM_FAMILY_IPV4 ? PATH_MEMORY_IPV4_BITS : PATH_MEMORY_IPV6_BITS) / 8;
    memset(ret.ip + bytes, 0, sizeof(ret.ip) - bytes);
    ret.port = 0;
    return ret;
}

static bool names_a_network(const roam_address *network)
{
    static const uint8_t none[sizeof(network->ip)];
    return roam_address_is_set(network) && memcmp(network->ip, none, sizeof(none)) != 0;
}

static size_t index_of(const struct path_memory *memory, const roam_address *local, const roam_address *remote)
{
    size_t i = 0;
    while (i < memory->count && !(roam_address_same_ip(&memory->entries[i].local, local) &&
                                  roam_address_same_ip(&memory->entries[i].remote, remote)))
        i++;
    return i;
}

void path_memory_save(struct path_memory *memory, const roam_address *local, const roam_address *remote,
                      uint64_t window_bytes, roam_time min_rtt, roam_time now)
{
    const struct path_memory_entry entry = {.local = network_of(local),
                                            .remote = network_of(remote),
                                            .window_bytes = window_bytes,
                                            .min_rtt = min_rtt,
                                            .saved_at = now};
    if (!names_a_network(&entry.local) || !names_a_network(&entry.remote))
        return;
    size_t i = index_of(memory, &entry.local, &entry.remote);
    if (i == memory->count && memory->count < PATH_MEMORY_MAX)
        memory->count++;
    i = min_size(i, PATH_MEMORY_MAX - 1);
    memmove(&memory->entries[1], &memory->entries[0], i * sizeof(entry));
    memory->entries[0] = entry;
}

const struct path_memory_entry *path_memory_find(const struct path_memory *memory, const roam_address *local,
                                                 const roam_address *remote, roam_time now)
{
    const roam_address from = network_of(local), to = network_of(remote);
    size_t i = index_of(memory, &from, &to);
    if (i == memory->count || now > saturating_add(memory->entries[i].saved_at, PATH_MEMORY_LIFETIME))
        return NULL;
    return &memory->entries[i];
}
