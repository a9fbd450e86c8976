/*
 * Names to addresses for roam_connect, by libuv's threads. Kept: an answer reaches just the connection that asked, and
 * none that was given up meanwhile.
 */
#include "io/loop.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "io/route.h"
#include "io/sockaddr.h"

/* Addresses of one name that are handed on. */
#define ADDRESSES_MAX 16

#define HOST_TEXT_MAX 256

struct resolution {
    uv_getaddrinfo_t request;
    roam_io *io;
    roam_conn *conn;
    uint16_t port;
    char host[HOST_TEXT_MAX];
};

/* The connection may be gone, and another one stand in its memory. */
static bool still_asks(const struct resolution *resolution)
{
    const roam_io *io = resolution->io;
    roam_conn_info *rows;
    bool asks = false;
    size_t n = io_rows(io, &rows);
    for (size_t i = 0; i < n && !asks; i++) {
        uint16_t port;
        asks = rows[i].conn == resolution->conn && rows[i].state == ROAM_CONN_RESOLVING &&
               strcmp(roam_conn_host(rows[i].conn, &port), resolution->host) == 0 && port == resolution->port;
    }
    io_rows_free(io, rows, n);
    return asks;
}

static bool is_usable(const struct resolution *resolution, const roam_address *address)
{
    uint8_t family = roam_conn_local_address(resolution->conn)->family;
    roam_address source;
    return roam_address_is_set(address) && (family == ROAM_FAMILY_NONE || address->family == family) &&
           io_socket_of_family(resolution->io, address->family) != NULL && route_source(address, &source);
}

/* "localhost" names both loopback addresses, and most servers that are there for tests listen on the older one. */
static bool comes_last(const roam_address *address)
{
    return address->family == ROAM_FAMILY_IPV6 && address_is_loopback(address);
}

/* Those that there is a socket for and a route to, in the order of the resolver (RFC 6724) but for ::1. */
static size_t usable_addresses(const struct resolution *resolution, const struct addrinfo *list, roam_address *ret)
{
    size_t n = 0;
    for (int last = 0; last < 2; last++) {
        for (const struct addrinfo *entry = list; entry != NULL && n < ADDRESSES_MAX; entry = entry->ai_next) {
            address_from_sockaddr(&ret[n], entry->ai_addr);
            if (is_usable(resolution, &ret[n]) && comes_last(&ret[n]) == (last == 1))
                n++;
        }
    }
    return n;
}

/* A connection that moves by itself begins at a socket of the network that leads to its peer. */
static void place(const struct resolution *resolution, const roam_address *remote)
{
    roam_address local;
    if (address_is_wildcard(roam_conn_local_address(resolution->conn)) &&
        io_networks_place(resolution->io, remote, 0, &local) == IO_PLACED)
        roam_conn_rebind(resolution->conn, roam_io_now(resolution->io), &local);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolution *resolution = request->data;
    roam_io *io = resolution->io;
    roam_address addresses[ADDRESSES_MAX];
    if (!io->freed && still_asks(resolution)) {
        size_t n = status == 0 ? usable_addresses(resolution, list, addresses) : 0;
        bool moves = io_conn_moves(resolution->conn);
        if (moves && n > 0)
            place(resolution, &addresses[0]);
        roam_conn_resolved(resolution->conn, roam_io_now(io), addresses, n);
        if (moves)
            io_networks_adopt(io, resolution->conn);
    }
    uv_freeaddrinfo(list);
    mem_free(&io->allocator, resolution, sizeof(*resolution));
    io_release_handle(io);
}

void io_resolve(roam_io *io, roam_conn *conn)
{
    struct resolution *resolution = mem_zalloc(&io->allocator, sizeof(*resolution));
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_family = AF_UNSPEC};
    if (resolution != NULL) {
        resolution->io = io;
        resolution->conn = conn;
        resolution->request.data = resolution;
        const char *host = roam_conn_host(conn, &resolution->port);
        int length = snprintf(resolution->host, sizeof(resolution->host), "%s", host);
        if (length < HOST_TEXT_MAX &&
            uv_getaddrinfo(io->loop, &resolution->request, on_resolved, host, NULL, &hints) == 0) {
            io->handles++;
            return;
        }
        mem_free(&io->allocator, resolution, sizeof(*resolution));
    }
    roam_conn_resolved(conn, roam_io_now(io), NULL, 0);
}
