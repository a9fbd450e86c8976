/*
 * What paths were like that are not used any more: a few networks, by the IP networks of both ends, each with the
 * window and the RTT that it had. Bounded and aged; the newest PATH_MEMORY_MAX stay. Pure. Who comes back to one may
 * resume carefully there, once it is validated; to whom else the memory says nothing.
 */
#ifndef PATH_PATH_MEMORY_H
#define PATH_PATH_MEMORY_H

#include <roam/types.h>

#include <stddef.h>

/* Home, work, the way between them, and one more. */
#define PATH_MEMORY_MAX 4

/* What a network carries changes within minutes. */
#define PATH_MEMORY_LIFETIME ROAM_SECONDS(600)

/* An access network has addresses out of one prefix: a NAT's pool, a subscriber's IPv6 network. */
#define PATH_MEMORY_IPV4_BITS 24
#define PATH_MEMORY_IPV6_BITS 64

struct path_memory_entry {
    roam_address local, remote; /* networks: the other bits and the ports are zero */
    uint64_t window_bytes;
    roam_time min_rtt;
    roam_time saved_at;
};

struct path_memory {
    struct path_memory_entry entries[PATH_MEMORY_MAX]; /* newest first */
    size_t count;
};

/* Takes the place of what was known of that network, or of the oldest. Nothing is kept of an address of ours that names
 * no network (0.0.0.0 and ::). */
void path_memory_save(struct path_memory *memory, const roam_address *local, const roam_address *remote,
                      uint64_t window_bytes, roam_time min_rtt, roam_time now);

/* NULL where nothing is known, or no more. */
const struct path_memory_entry *path_memory_find(const struct path_memory *memory, const roam_address *local,
                                                 const roam_address *remote, roam_time now);

#endif
