/*
 * A client's sockets on the host's networks, for connections that move by themselves (ROAM_MOBILITY_AUTO): one for each
 * address, bound to it and to its interface, so that a packet leaves by the interface whose address it bears. Kept:
 *   - a socket lives as long as its address does, through the loss of a carrier; it is told of while it can be used;
 *   - an address that comes back, or turns up at another interface, gets the port again that a connection has there;
 *   - the core hears the whole list each time that anything of it is new, and before a socket goes.
 *
 * Connections whose peer is this host or on this link are not told of networks: no other way leads there.
 */
#include "io/networks.h"

#include <errno.h>

#include "base/minmax.h"
#include "conn/conn.h"
#include "io/loop.h"
#include "io/route.h"
#include "io/sockaddr.h"

/* Peers to which ways are looked for: those of one endpoint's moving connections, and few clients have many. */
#define PEERS_MAX 8

struct peers {
    roam_address addresses[PEERS_MAX];
    size_t count;
};

/* ---- Who moves, and where to ------------------------------------------------------------------------------------- */

bool io_conn_moves(const roam_conn *conn)
{
    return !conn->is_server && conn->config->mobility == ROAM_MOBILITY_AUTO;
}

static bool is_own(const struct host_addresses *list, const roam_address *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (roam_address_same_ip(&list->entries[i].ip, address))
            return true;
    return false;
}

/* Out of this host, and not just on one link of it. */
static bool is_beyond(const roam_io *io, const roam_address *remote)
{
    return roam_address_is_set(remote) && !address_is_loopback(remote) && !address_is_link_local(remote) &&
           !is_own(network_watch_list(io->networks.watch), remote);
}

static void gather_peers(const roam_io *io, struct peers *ret)
{
    roam_conn_info *rows;
    size_t n = io_rows(io, &rows);
    ret->count = 0;
    for (size_t i = 0; i < n && ret->count < PEERS_MAX; i++) {
        bool counts =
            io_conn_moves(rows[i].conn) && rows[i].state != ROAM_CONN_RESOLVING && is_beyond(io, &rows[i].remote);
        for (size_t k = 0; k < ret->count && counts; k++)
            counts = !roam_address_same_ip(&ret->addresses[k], &rows[i].remote);
        if (counts)
            ret->addresses[ret->count++] = rows[i].remote;
    }
    io_rows_free(io, rows, n);
}

/* The port that a connection has at this address; 0 where none is there. */
static uint16_t port_in_use(const roam_io *io, const roam_address *ip)
{
    roam_conn_info *rows;
    uint16_t port = 0;
    size_t n = io_rows(io, &rows);
    for (size_t i = 0; i < n && port == 0; i++)
        if (io_conn_moves(rows[i].conn) && roam_address_same_ip(&rows[i].local, ip))
            port = rows[i].local.port;
    io_rows_free(io, rows, n);
    return port;
}

/* ---- What the user says ------------------------------------------------------------------------------------------ */

/* wish_count where there is none. */
static size_t wish_index(const struct io_networks *networks, const char *name)
{
    size_t i = 0;
    while (i < networks->wish_count && strcmp(networks->wishes[i].name, name) != 0)
        i++;
    return i;
}

static struct network_wish wish_for(const struct io_networks *networks, const char *name)
{
    size_t i = wish_index(networks, name);
    return i < networks->wish_count ? networks->wishes[i] : (struct network_wish){0};
}

static bool is_forced(const struct io_networks *networks)
{
    for (size_t i = 0; i < networks->wish_count; i++)
        if (networks->wishes[i].rule == ROAM_NETWORK_FORCE)
            return true;
    return false;
}

static bool is_allowed(const struct io_networks *networks, const char *name)
{
    enum roam_network_rule rule = wish_for(networks, name).rule;
    return is_forced(networks) ? rule == ROAM_NETWORK_FORCE : rule != ROAM_NETWORK_FORBID;
}

roam_result roam_io_network(roam_io *io, const char *name, enum roam_network_rule rule, int32_t preference,
                            bool metered)
{
    struct io_networks *networks = &io->networks;
    struct network_wish wish = {.rule = rule, .preference = preference, .metered = metered};
    roam_conn_info *rows;
    if (name[0] == '\0' || strlen(name) >= sizeof(wish.name))
        return ROAM_ERR_ADDRESS;
    memcpy(wish.name, name, strlen(name));
    size_t at = wish_index(networks, name);
    if (at == ROAM_NETWORK_RULES_MAX)
        return ROAM_ERR_LIMIT;
    networks->wishes[at] = wish;
    networks->wish_count = max_size(networks->wish_count, at + 1);
    size_t n = io_rows(io, &rows);
    for (size_t i = 0; i < n; i++)
        if (io_conn_moves(rows[i].conn))
            roam_conn_network_rule(rows[i].conn, roam_io_now(io), name, rule);
    io_rows_free(io, rows, n);
    io_networks_update(io);
    return ROAM_OK;
}

static void apply_wishes(roam_io *io, roam_conn *conn)
{
    for (size_t i = 0; i < io->networks.wish_count; i++) {
        const struct network_wish *wish = &io->networks.wishes[i];
        if (wish->rule != ROAM_NETWORK_NEUTRAL)
            roam_conn_network_rule(conn, roam_io_now(io), wish->name, wish->rule);
    }
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

static struct io_socket *find_socket(const roam_io *io, const roam_address *ip)
{
    for (struct io_socket *socket = io->sockets; socket != NULL; socket = socket->next)
        if (socket->interface_index != 0 && roam_address_same_ip(&socket->udp.local, ip))
            return socket;
    return NULL;
}

/* A socket that is there already, or a new one. */
static struct io_socket *open_socket(roam_io *io, const struct host_address *address, uint16_t port)
{
    struct io_socket *socket;
    roam_address local = address->ip;
    local.port = port;
    for (socket = io->sockets; socket != NULL && port != 0; socket = socket->next) {
        if (roam_address_equal(&socket->udp.local, &local)) {
            socket->interface_index = address->interface_index;
            return socket;
        }
    }
    /* A port that somebody else took meanwhile is replaced by another. */
    if (io_socket_open(io, &local, &socket) != ROAM_OK) {
        local.port = 0;
        if (port == 0 || io_socket_open(io, &local, &socket) != ROAM_OK)
            return NULL;
    }
    socket->interface_index = address->interface_index;
    return socket;
}

/* The kernel itself would send from there, by whichever interface. */
static bool is_kernels_choice(const roam_address *ip, const roam_address *peer)
{
    roam_address source;
    return route_source(peer, &source) && roam_address_same_ip(ip, &source);
}

/* True where a way leads from there to a peer; by the interface that has the address, and then by that one alone. */
static bool reaches(const roam_io *io, struct io_socket *socket, const struct host_address *address,
                    const struct peers *peers)
{
    bool asked = false;
    for (size_t i = 0; i < peers->count; i++) {
        const roam_address *peer = &peers->addresses[i];
        if (peer->family != address->ip.family)
            continue;
        asked = true;
        if (network_watch_leads(io->networks.watch, address, peer)) {
            if (!socket->by_interface)
                socket->by_interface = udp_socket_bind_interface(&socket->udp, address->name, address->interface_index);
            return true;
        }
        if (!socket->by_interface && is_kernels_choice(&address->ip, peer))
            return true;
    }
    return !asked && address->route_rank != NO_DEFAULT_ROUTE;
}

static const struct host_address *address_of(const struct host_addresses *list, const struct io_socket *socket)
{
    for (size_t i = 0; i < list->count; i++)
        if (roam_address_same_ip(&list->entries[i].ip, &socket->udp.local))
            return &list->entries[i];
    return NULL;
}

/* Sockets whose address is gone, or is at another interface now. */
static void close_stale(roam_io *io)
{
    const struct host_addresses *list = network_watch_list(io->networks.watch);
    struct io_socket *next;
    for (struct io_socket *socket = io->sockets; socket != NULL; socket = next) {
        const struct host_address *address = address_of(list, socket);
        next = socket->next;
        if (socket->interface_index != 0 && (address == NULL || address->interface_index != socket->interface_index))
            io_socket_close(io, socket);
    }
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

/* An address that is not for new use is told of only where it was before, or is all that its interface has. */
static bool is_worth_it(const struct io_networks *networks, const struct host_addresses *list,
                        const struct host_address *address)
{
    if (!address->deprecated)
        return true;
    for (size_t i = 0; i < networks->told_count; i++)
        if (roam_address_same_ip(&networks->told[i].local, &address->ip))
            return true;
    for (size_t i = 0; i < list->count; i++) {
        const struct host_address *other = &list->entries[i];
        if (other->usable && !other->deprecated && other->interface_index == address->interface_index &&
            other->ip.family == address->ip.family)
            return false;
    }
    return true;
}

static bool take_network(roam_io *io, const struct host_address *address, const struct peers *peers, roam_network *ret)
{
    const struct host_addresses *list = network_watch_list(io->networks.watch);
    struct network_wish wish = wish_for(&io->networks, address->name);
    struct io_socket *socket = find_socket(io, &address->ip);
    if (!address->usable || !is_worth_it(&io->networks, list, address))
        return false;
    if (socket != NULL && socket->interface_index != address->interface_index) {
        io_socket_close(io, socket);
        socket = NULL;
    }
    if (socket == NULL)
        socket = open_socket(io, address, port_in_use(io, &address->ip));
    if (socket == NULL || !reaches(io, socket, address, peers))
        return false;
    *ret = (roam_network){
        .local = socket->udp.local,
        .interface_index = address->interface_index,
        .is_default = host_address_is_default(list, address),
        .metered = wish.metered,
        .preference = wish.preference,
    };
    memcpy(ret->name, address->name, sizeof(ret->name));
    return true;
}

/* Default routes first, for the core takes only so many. */
static size_t take_networks(roam_io *io, const struct peers *peers, roam_network ret[ROAM_NETWORKS_MAX])
{
    const struct host_addresses *list = network_watch_list(io->networks.watch);
    size_t n = 0;
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < list->count && n < ROAM_NETWORKS_MAX; i++) {
            const struct host_address *address = &list->entries[i];
            int wanted = host_address_is_default(list, address) ? 0 : address->route_rank != NO_DEFAULT_ROUTE ? 1 : 2;
            if (pass == wanted && take_network(io, address, peers, &ret[n]))
                n++;
        }
    }
    return n;
}

static bool is_same(const roam_network *a, const roam_network *b)
{
    return roam_address_equal(&a->local, &b->local) && a->interface_index == b->interface_index &&
           a->is_default == b->is_default && a->metered == b->metered && a->preference == b->preference &&
           strcmp(a->name, b->name) == 0;
}

static bool was_told(const struct io_networks *networks, const roam_network *list, size_t n)
{
    bool same = networks->any_told && n == networks->told_count;
    for (size_t i = 0; i < n && same; i++)
        same = is_same(&list[i], &networks->told[i]);
    return same;
}

static void tell(roam_io *io, const roam_network *list, size_t n)
{
    struct io_networks *networks = &io->networks;
    if (was_told(networks, list, n))
        return;
    networks->any_told = true;
    networks->told_count = n;
    memcpy(networks->told, list, n * sizeof(*list));
    roam_endpoint_networks(io->endpoint, roam_io_now(io), list, n);
}

void io_networks_update(roam_io *io)
{
    roam_network list[ROAM_NETWORKS_MAX];
    struct peers peers;
    if (io->networks.watch == NULL)
        return;
    gather_peers(io, &peers);
    if (peers.count > 0)
        tell(io, list, take_networks(io, &peers, list));
    close_stale(io);
}

size_t roam_io_networks(const roam_io *io, roam_network *ret, size_t n)
{
    for (size_t i = 0; i < n && i < io->networks.told_count; i++)
        ret[i] = io->networks.told[i];
    return io->networks.told_count;
}

/* ---- A new connection -------------------------------------------------------------------------------------------- */

/* Where a connection to `remote` should begin: what is preferred, else what the kernel chooses. NULL with errno. */
static const struct host_address *choose_address(const roam_io *io, const roam_address *remote)
{
    const struct host_addresses *list = network_watch_list(io->networks.watch);
    const struct host_address *best = NULL;
    roam_address kernels = {0};
    int64_t best_rank = 0;
    route_source(remote, &kernels);
    for (size_t i = 0; i < list->count; i++) {
        const struct host_address *address = &list->entries[i];
        struct network_wish wish = wish_for(&io->networks, address->name);
        bool is_kernels = roam_address_same_ip(&address->ip, &kernels);
        if (address->ip.family != remote->family || !address->usable || !is_allowed(&io->networks, address->name) ||
            (!is_kernels && (address->deprecated || !network_watch_leads(io->networks.watch, address, remote))))
            continue;
        int64_t rank = ((int64_t)(wish.rule == ROAM_NETWORK_PREFER) << 34) + 2 * (int64_t)wish.preference + is_kernels;
        if (best == NULL || rank > best_rank) {
            best = address;
            best_rank = rank;
        }
    }
    if (best == NULL)
        errno = ENETUNREACH;
    return best;
}

static void on_change(void *context)
{
    io_networks_update(context);
}

static bool start_watch(roam_io *io)
{
    if (io->networks.watch != NULL)
        return true;
    io->networks.watch = network_watch_start(io->loop, &io->allocator, NULL, on_change, io);
    if (io->networks.watch != NULL)
        io->handles++;
    return io->networks.watch != NULL;
}

enum io_placed io_networks_place(roam_io *io, const roam_address *remote, uint16_t port, roam_address *ret_local)
{
    if (!start_watch(io) || !is_beyond(io, remote))
        return IO_PLACED_ELSEWHERE;
    const struct host_address *address = choose_address(io, remote);
    /* The kernel may know a way that leaves from none of the addresses that we know of; without rules that is fine. */
    if (address == NULL)
        return io->networks.wish_count == 0 ? IO_PLACED_ELSEWHERE : IO_PLACED_NOWHERE;
    struct io_socket *socket = find_socket(io, &address->ip);
    if (socket == NULL || (port != 0 && socket->udp.local.port != port))
        socket = open_socket(io, address, port);
    if (socket == NULL)
        return IO_PLACED_NOWHERE;
    *ret_local = socket->udp.local;
    return IO_PLACED;
}

void io_networks_adopt(roam_io *io, roam_conn *conn)
{
    apply_wishes(io, conn);
    io_networks_update(io);
}

static void on_stopped(void *context)
{
    io_release_handle(context);
}

void io_networks_done(roam_io *io)
{
    if (io->networks.watch != NULL)
        network_watch_stop(io->networks.watch, on_stopped, io);
    io->networks.watch = NULL;
}
