/*
 * Names to addresses for roam_connect, by libuv's threads. Kept: an answer reaches just the connection that asked, and
 * none that was given up meanwhile.
 */
#include "io/loop.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

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

/* Those that there is a socket for, in the order of the resolver (RFC 6724). */
static size_t usable_addresses(const struct resolution *resolution, const struct addrinfo *list, roam_address *ret)
{
    uint8_t family = roam_conn_local_address(resolution->conn)->family;
    size_t n = 0;
    for (; list != NULL && n < ADDRESSES_MAX; list = list->ai_next) {
        address_from_sockaddr(&ret[n], list->ai_addr);
        if (!roam_address_is_set(&ret[n]) || (family != ROAM_FAMILY_NONE && ret[n].family != family))
            continue;
        if (io_socket_of_family(resolution->io, ret[n].family) != NULL)
            n++;
    }
    return n;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolution *resolution = request->data;
    roam_io *io = resolution->io;
    roam_address addresses[ADDRESSES_MAX];
    if (!io->freed && still_asks(resolution)) {
        size_t n = status == 0 ? usable_addresses(resolution, list, addresses) : 0;
        roam_conn_resolved(resolution->conn, roam_io_now(io), addresses, n);
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
