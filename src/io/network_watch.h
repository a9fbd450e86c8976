/*
 * The addresses of this host, and word when they change. What differs between platforms is a network_source: how all of
 * them are listed, and what tells that something happened. Linux has rtnetlink (network_watch_netlink.c); where that
 * is not allowed, and everywhere else, getifaddrs is asked every so often (network_watch_polling.c).
 *
 * Nobody keeps a picture that events change: an event says that something changed, and the list says what there is. So
 * lost events, reordered ones and those that the kernel never sends (routes that go with their interface) do no harm.
 */
#ifndef IO_NETWORK_WATCH_H
#define IO_NETWORK_WATCH_H

#include <uv.h>

#include <roam/network.h>

#include "base/alloc.h"

/* The rank of an interface that no default route uses. */
#define NO_DEFAULT_ROUTE UINT64_MAX

/* An address of this host and the interface that has it. */
struct host_address {
    roam_address ip; /* port 0 */
    uint32_t interface_index;
    char name[ROAM_NETWORK_NAME_MAX];
    bool usable;         /* the interface has its carrier, and the address has passed duplicate address detection */
    bool deprecated;     /* RFC 4862 section 5.5.4: good for what is there, not for what is new */
    uint64_t route_rank; /* of the interface's best default route of this family: lower is better */
};

struct host_addresses {
    const roam_allocator *allocator;
    struct host_address *entries;
    size_t count, capacity;
};

/* Returns false without memory. */
bool host_addresses_add(struct host_addresses *list, const struct host_address *address);
void host_addresses_done(struct host_addresses *list);

/* True where no other address of that family has a better default route. */
bool host_address_is_default(const struct host_addresses *list, const struct host_address *address);

struct network_watch;

/* What a platform gives. */
struct network_source {
    const char *name;
    /* Appends every address that there is, loopback and link-local ones aside; false with errno. */
    bool (*list)(struct host_addresses *ret);
    /* True where a route leads from that address to `remote` by the interface that has it. */
    bool (*leads)(const struct host_address *address, const roam_address *remote);
    /* A descriptor that becomes readable when something may have changed; -1 with errno. NULL: there is none, ask
     * every so often. */
    int (*open)(void);
    /* Reads the descriptor empty. */
    void (*drain)(int fd);
};

extern const struct network_source network_source_netlink, network_source_polling;

typedef void network_watch_callback(void *context);

/* Starts, with the best source there is, or the one that is named (NULL: any). `changed` is called, never from within
 * a call of ours, when the list may be another. NULL with errno. */
struct network_watch *network_watch_start(uv_loop_t *loop, const roam_allocator *allocator,
                                          const struct network_source *source, network_watch_callback *changed,
                                          void *context);

/* What there is, as it was last listed; valid until the loop turns. */
const struct host_addresses *network_watch_list(const struct network_watch *watch);
const char *network_watch_source(const struct network_watch *watch);

/* True where the host may send from that address, by its interface, to `remote`. */
bool network_watch_leads(const struct network_watch *watch, const struct host_address *address,
                         const roam_address *remote);

/* Closes its handles; calls `stopped` when they are gone, and is gone itself then. */
void network_watch_stop(struct network_watch *watch, network_watch_callback *stopped, void *context);

#endif
