/*
 * A client's connections and their moves on real sockets. Kept: a call that fails leaves the sockets as they were; a
 * rebinding leaves the peer with nothing to send to but the new address.
 */
#include "io/loop.h"

#include <errno.h>
#include <string.h>

#include "base/minmax.h"
#include "io/sockaddr.h"

/* Tries to find one port that is free for both families. */
#define PORT_ATTEMPTS 16

static roam_address any_address(uint8_t family, uint16_t port)
{
    return (roam_address){.family = family, .port = port};
}

/* A name may turn out to be of either family: one socket each, on the same port, so that the connection knows its port
 * before it knows its family. */
static roam_result open_both_families(roam_io *io, roam_address *ret_local)
{
    struct io_socket *ipv4, *ipv6;
    for (int i = 0; i < PORT_ATTEMPTS; i++) {
        roam_address any = any_address(ROAM_FAMILY_IPV4, 0);
        roam_result result = io_socket_open(io, &any, &ipv4);
        if (result != ROAM_OK)
            return result;
        any = any_address(ROAM_FAMILY_IPV6, ipv4->udp.local.port);
        result = io_socket_open(io, &any, &ipv6);
        if (result == ROAM_OK) {
            *ret_local = any_address(ROAM_FAMILY_NONE, ipv4->udp.local.port);
            return ROAM_OK;
        }
        if (errno != EADDRINUSE) {
            /* A host without IPv6. */
            *ret_local = ipv4->udp.local;
            return ROAM_OK;
        }
        io_socket_close(io, ipv4);
    }
    errno = EADDRINUSE;
    return ROAM_ERR_SYSTEM;
}

/* Finds or opens the socket that a new connection leaves by. */
static roam_result choose_local(roam_io *io, const char *host, const roam_config *config, roam_address *ret_local)
{
    roam_address remote = {0};
    struct io_socket *socket;
    if (config->remote != NULL)
        remote = *config->remote;
    else
        roam_address_parse(&remote, host);
    remote = roam_address_unmap(&remote);
    bool is_free = config->local == NULL || address_is_wildcard(config->local);
    if (config->mobility == ROAM_MOBILITY_AUTO && is_free && roam_address_is_set(&remote)) {
        enum io_placed placed =
            io_networks_place(io, &remote, config->local != NULL ? config->local->port : 0, ret_local);
        if (placed != IO_PLACED_ELSEWHERE)
            return placed == IO_PLACED ? ROAM_OK : ROAM_ERR_SYSTEM;
    }
    if (config->local != NULL && roam_address_is_set(config->local)) {
        socket = io_socket_find(io, config->local);
        if (socket == NULL || config->local->port == 0) {
            roam_result result = io_socket_open(io, config->local, &socket);
            if (result != ROAM_OK)
                return result;
        }
        *ret_local = *config->local;
        ret_local->port = socket->udp.local.port;
        return ROAM_OK;
    }
    socket = io_socket_of_family(io, remote.family);
    if (socket == NULL && !roam_address_is_set(&remote))
        return open_both_families(io, ret_local);
    if (socket == NULL) {
        roam_address any = any_address(remote.family, 0);
        roam_result result = io_socket_open(io, &any, &socket);
        if (result != ROAM_OK)
            return result;
    }
    *ret_local = socket->udp.local;
    return ROAM_OK;
}

roam_conn *roam_io_connect(roam_io *io, const char *host, uint16_t port, const roam_config *config,
                           roam_result *ret_result)
{
    roam_config with_local;
    roam_address local;
    /* The caller's header may know fewer fields than ours. */
    roam_config_init(&with_local);
    memcpy(&with_local, config, min_size(config->size, sizeof(with_local)));
    with_local.size = sizeof(with_local);
    roam_result result = choose_local(io, host, &with_local, &local);
    if (result != ROAM_OK) {
        if (ret_result != NULL)
            *ret_result = result;
        return NULL;
    }
    with_local.local = &local;
    roam_conn *conn = roam_connect(io->endpoint, host, port, &with_local, roam_io_now(io), ret_result);
    if (conn != NULL && io_conn_moves(conn))
        io_networks_adopt(io, conn);
    return conn;
}

/* ---- Moving */

/* Opens, or finds, the socket at new_local, with what is left open there taken from where the connection is. */
static roam_result open_new_place(roam_io *io, roam_conn *conn, const roam_address *new_local, struct io_socket **ret,
                                  roam_address *ret_local, bool *ret_opened)
{
    roam_conn_info row; /* its local address is the bound one */
    roam_conn_get_info(conn, &row);
    const roam_address *current = &row.local;
    roam_address wanted = *new_local;
    if (!roam_address_is_set(&wanted))
        wanted.family = current->family;
    if (address_is_wildcard(&wanted) && wanted.family == current->family) {
        memcpy(wanted.ip, current->ip, sizeof(wanted.ip));
        wanted.scope_id = current->scope_id;
    }
    *ret_opened = false;
    for (struct io_socket *socket = io->sockets; socket != NULL && wanted.port != 0; socket = socket->next) {
        if (roam_address_equal(&socket->udp.local, &wanted)) {
            *ret = socket;
            *ret_local = wanted;
            return ROAM_OK;
        }
    }
    roam_result result = io_socket_open(io, &wanted, ret);
    if (result != ROAM_OK)
        return result;
    *ret_opened = true;
    *ret_local = (*ret)->udp.local;
    return ROAM_OK;
}

/* What was about to leave from a socket that is going to be closed is lost with it. */
static void forget_unsent(roam_io *io, const struct io_socket *socket)
{
    struct datagram_batch *batch = &io->sending;
    while (batch->next < batch->count && io_socket_find(io, &batch->datagrams[batch->next].local) == socket)
        batch->next++;
}

typedef roam_result move_call(roam_conn *conn, roam_time now, const roam_address *new_local);

static roam_result move(roam_io *io, roam_conn *conn, const roam_address *new_local, roam_address *ret_bound,
                        move_call *call, struct io_socket **ret_old)
{
    roam_conn_info row;
    roam_conn_get_info(conn, &row);
    struct io_socket *old = io_socket_find(io, &row.local), *socket;
    roam_address local;
    bool opened;
    roam_result result = open_new_place(io, conn, new_local, &socket, &local, &opened);
    if (result != ROAM_OK)
        return result;
    result = call(conn, roam_io_now(io), &local);
    if (result != ROAM_OK) {
        if (opened)
            io_socket_close(io, socket);
        return result;
    }
    socket->moving = socket->moving || opened;
    if (ret_bound != NULL)
        *ret_bound = local;
    *ret_old = old == socket ? NULL : old;
    return ROAM_OK;
}

roam_result roam_io_rebind(roam_io *io, roam_conn *conn, const roam_address *new_local, roam_address *ret_bound)
{
    struct io_socket *old;
    roam_result result = move(io, conn, new_local, ret_bound, roam_conn_rebind, &old);
    if (result == ROAM_OK && old != NULL && !io_socket_is_shared(io, old, conn)) {
        forget_unsent(io, old);
        io_socket_close(io, old);
    }
    return result;
}

roam_result roam_io_migrate(roam_io *io, roam_conn *conn, const roam_address *new_local, roam_address *ret_bound)
{
    struct io_socket *old;
    roam_result result = move(io, conn, new_local, ret_bound, roam_conn_migrate, &old);
    if (result == ROAM_OK && old != NULL)
        old->moving = true;
    if (result == ROAM_OK)
        io->sweep_at = min_u64(io->sweep_at, saturating_add(roam_io_now(io), SOCKET_LINGER));
    return result;
}
