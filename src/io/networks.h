/* The host's networks as an endpoint's connections use them. */
#ifndef IO_NETWORKS_H
#define IO_NETWORKS_H

#include <roam/io.h>

#include "io/network_watch.h"

/* What the user said of an interface. */
struct network_wish {
    char name[ROAM_NETWORK_NAME_MAX];
    enum roam_network_rule rule;
    int32_t preference;
    bool metered;
};

struct io_networks {
    struct network_watch *watch; /* NULL before the first connection that moves by itself */
    struct network_wish wishes[ROAM_NETWORK_RULES_MAX];
    size_t wish_count;
    roam_network told[ROAM_NETWORKS_MAX]; /* what the endpoint heard last */
    size_t told_count;
    bool any_told;
};

/* A client with ROAM_MOBILITY_AUTO. */
bool io_conn_moves(const roam_conn *conn);

enum io_placed {
    IO_PLACED,           /* *ret_local is where its socket is */
    IO_PLACED_ELSEWHERE, /* networks do not matter to it: any socket will do */
    IO_PLACED_NOWHERE,   /* no network that may be used leads there; errno */
};

/* Finds, or opens the socket of, the network by which a connection to `remote` that moves by itself should begin;
 * port 0: any. */
enum io_placed io_networks_place(roam_io *io, const roam_address *remote, uint16_t port, roam_address *ret_local);
/* Such a connection is there, and its peer's address may be known by now. */
void io_networks_adopt(roam_io *io, roam_conn *conn);
/* Opens what is missing, tells the endpoint, closes what is gone. */
void io_networks_update(roam_io *io);
void io_networks_done(roam_io *io);

#endif
