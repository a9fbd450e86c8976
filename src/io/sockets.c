/*
 * The sockets of an endpoint. Kept: every datagram leaves by the socket of its local address or not at all, a batch
 * that the kernel has no room for waits in order, and a socket that a rebinding closed is not opened again.
 */
#include "io/loop.h"

#include <errno.h>
#include <string.h>

#include "base/minmax.h"
#include "io/sockaddr.h"

/* Batches sent in a row before what has come meanwhile is looked at. */
#define FLUSH_BATCHES 2

static void take_batch(roam_io *io, const struct io_socket *socket, size_t n)
{
    const roam_time now = roam_io_now(io);
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += io->receiving.datagrams[i].len;
    if (socket->udp.receive_buffer_bytes >= LULL_BUFFER_BYTES_MIN)
        lull_on_received(&io->lull, now, bytes);
    roam_endpoint_receive(io->endpoint, now, io->receiving.datagrams, n);
}

static void receive_from(roam_io *io, struct io_socket *socket)
{
    roam_endpoint_reclaim(io->endpoint);
    size_t n = udp_socket_receive(&socket->udp, &io->receiving, &io->counters);
    if (n > 0)
        take_batch(io, socket, n);
}

static void on_socket(uv_poll_t *handle, int status, int events)
{
    struct io_socket *socket = handle->data;
    roam_io *io = socket->io;
    /* An error that epoll tells of shows itself when the socket is read. */
    if (status < 0 || (events & UV_READABLE))
        receive_from(io, socket);
    if ((events & UV_WRITABLE) && io->blocked == socket) {
        io->blocked = NULL;
        uv_poll_start(&socket->poll, UV_READABLE, on_socket);
    }
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct io_socket *socket = handle->data;
    roam_io *io = socket->io;
    mem_free(&io->allocator, socket, sizeof(*socket));
    io_release_handle(io);
}

roam_result io_socket_open(roam_io *io, const roam_address *local, struct io_socket **ret)
{
    struct io_socket *socket = mem_zalloc(&io->allocator, sizeof(*socket));
    if (socket == NULL)
        return ROAM_ERR_MEMORY;
    roam_result result = udp_socket_open(&socket->udp, local, io->buffer_bytes);
    if (result == ROAM_OK && uv_poll_init(io->loop, &socket->poll, socket->udp.fd) != 0) {
        udp_socket_close(&socket->udp);
        result = ROAM_ERR_SYSTEM;
    }
    if (result != ROAM_OK) {
        mem_free(&io->allocator, socket, sizeof(*socket));
        return result;
    }
    socket->io = io;
    socket->poll.data = socket;
    io->handles++;
    udp_socket_coalesce(&socket->udp);
    uv_poll_start(&socket->poll, UV_READABLE, on_socket);
    /* Behind the others: the first is the one that the application bound first. */
    struct io_socket **link = &io->sockets;
    while (*link != NULL)
        link = &(*link)->next;
    *link = socket;
    *ret = socket;
    return ROAM_OK;
}

void io_socket_close(roam_io *io, struct io_socket *socket)
{
    struct io_socket **link = &io->sockets;
    while (*link != socket)
        link = &(*link)->next;
    *link = socket->next;
    if (io->blocked == socket)
        io->blocked = NULL;
    uv_poll_stop(&socket->poll);
    udp_socket_close(&socket->udp);
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
}

roam_result roam_io_bind(roam_io *io, const roam_address *local, roam_address *ret_bound)
{
    struct io_socket *socket;
    roam_result result = io_socket_open(io, local, &socket);
    if (result == ROAM_OK && ret_bound != NULL)
        *ret_bound = socket->udp.local;
    return result;
}

void roam_io_want_buffers(roam_io *io, size_t bytes)
{
    io->buffer_bytes = min_size(bytes, SOCKET_BUFFER_BYTES_MAX);
    for (struct io_socket *socket = io->sockets; socket != NULL; socket = socket->next)
        udp_socket_ask_buffers(&socket->udp, io->buffer_bytes);
}

void roam_io_buffers(const roam_io *io, roam_buffers *ret)
{
    *ret = (roam_buffers){.wanted = io->buffer_bytes};
    for (const struct io_socket *socket = io->sockets; socket != NULL; socket = socket->next) {
        const struct udp_socket *udp = &socket->udp;
        const bool first = socket == io->sockets;
        ret->receive = first ? udp->receive_buffer_bytes : min_size(ret->receive, udp->receive_buffer_bytes);
        ret->send = first ? udp->send_buffer_bytes : min_size(ret->send, udp->send_buffer_bytes);
    }
}

/* ---- Which socket */

static bool socket_fits(const struct io_socket *socket, const roam_address *local)
{
    const roam_address *bound = &socket->udp.local;
    if (local->family != ROAM_FAMILY_NONE && local->family != bound->family)
        return false;
    if (local->port != 0 && local->port != bound->port)
        return false;
    return address_is_wildcard(local) || address_is_wildcard(bound) || roam_address_same_ip(local, bound);
}

struct io_socket *io_socket_find(const roam_io *io, const roam_address *local)
{
    struct io_socket *found = NULL;
    for (struct io_socket *socket = io->sockets; socket != NULL; socket = socket->next) {
        if (roam_address_equal(local, &socket->udp.local))
            return socket;
        if (found == NULL && socket_fits(socket, local))
            found = socket;
    }
    return found;
}

struct io_socket *io_socket_of_family(const roam_io *io, uint8_t family)
{
    for (struct io_socket *socket = io->sockets; socket != NULL; socket = socket->next)
        if (family == ROAM_FAMILY_NONE || socket->udp.local.family == family)
            return socket;
    return NULL;
}

bool io_socket_is_shared(const roam_io *io, const struct io_socket *socket, const roam_conn *besides)
{
    roam_conn_info *rows;
    bool shared = false;
    size_t n = io_rows(io, &rows);
    for (size_t i = 0; i < n && !shared; i++)
        shared = rows[i].conn != besides && io_socket_find(io, &rows[i].local) == socket;
    io_rows_free(io, rows, n);
    return shared;
}

/* roam_conn_rebind named an address on which there is no socket yet: now there is. Only where a connection really lives
 * there, for what is still on its way from a socket that was closed must not bring it back. */
static struct io_socket *open_on_demand(roam_io *io, const roam_address *local)
{
    roam_conn_info *rows;
    struct io_socket *socket = NULL;
    bool wanted = false;
    size_t n = io_rows(io, &rows);
    for (size_t i = 0; i < n && !wanted; i++)
        wanted = !rows[i].is_server && roam_address_equal(&rows[i].local, local);
    io_rows_free(io, rows, n);
    if (wanted && io_socket_open(io, local, &socket) == ROAM_OK)
        socket->moving = true;
    return socket;
}

/* ---- Sockets of past moves */

static bool is_used(const roam_io *io, const struct io_socket *socket, const roam_conn_info *rows, size_t n)
{
    roam_path_info paths[16];
    for (size_t i = 0; i < n; i++) {
        size_t count = roam_conn_paths(rows[i].conn, paths, sizeof(paths) / sizeof(paths[0]));
        for (size_t p = 0; p < count && p < sizeof(paths) / sizeof(paths[0]); p++)
            if (io_socket_find(io, &paths[p].local) == socket)
                return true;
    }
    return false;
}

static bool any_moves(const roam_io *io)
{
    for (const struct io_socket *socket = io->sockets; socket != NULL; socket = socket->next)
        if (socket->moving)
            return true;
    return false;
}

void io_sweep_sockets(roam_io *io)
{
    roam_conn_info *rows;
    struct io_socket *next;
    io->sweep_at = ROAM_TIME_NEVER;
    /* A server has no such sockets, and may have so many connections that looking at all of them would hold up its traffic. */
    if (!any_moves(io))
        return;
    size_t n = io_rows(io, &rows);
    for (struct io_socket *socket = io->sockets; socket != NULL; socket = next) {
        next = socket->next;
        if (socket->moving && !is_used(io, socket, rows, n))
            io_socket_close(io, socket);
    }
    io_rows_free(io, rows, n);
}

/* ---- Sending */

/* Datagrams of the batch from batch->next on that leave from the same address. */
static size_t run_of_one_source(const struct datagram_batch *batch)
{
    size_t end = batch->next + 1;
    while (end < batch->count && memcmp(&batch->datagrams[end].local, &batch->datagrams[batch->next].local,
                                        sizeof(batch->datagrams[end].local)) == 0)
        end++;
    return end - batch->next;
}

static bool failure_of(int error, enum roam_send_failure *ret)
{
    switch (error) {
    case EADDRNOTAVAIL:
    case EINVAL: /* what Linux says of a bound address that is gone */
        *ret = ROAM_SEND_ADDRESS_GONE;
        return true;
    case ENETUNREACH:
    case EHOSTUNREACH:
        *ret = ROAM_SEND_UNREACHABLE;
        return true;
    case ENETDOWN:
    case ENODEV:
    case ENXIO:
        *ret = ROAM_SEND_NETWORK_DOWN;
        return true;
    case EMSGSIZE:
        *ret = ROAM_SEND_TOO_LARGE;
        return true;
    case EPERM:
    case EACCES:
        *ret = ROAM_SEND_REFUSED;
        return true;
    default: /* a queue that is full, and the like: the datagram is lost, and that is all that it says */
        return false;
    }
}

/* These are the words of this host alone. What ICMP says, anybody may have sent (RFC 9000 section 21): the sockets do
 * not ask for it (IP_RECVERR), so that it neither shows up here nor closes anything. */
static void on_send_failed(void *context, const roam_datagram *datagram, int error)
{
    roam_io *io = context;
    enum roam_send_failure why;
    if (failure_of(error, &why))
        roam_endpoint_send_failed(io->endpoint, roam_io_now(io), &datagram->local, &datagram->remote, why,
                                  datagram->segment_bytes > 0 ? datagram->segment_bytes : datagram->len);
}

/* False where the rest has to wait. */
static bool send_batch(roam_io *io)
{
    struct datagram_batch *batch = &io->sending;
    while (batch->next < batch->count) {
        const roam_address *local = &batch->datagrams[batch->next].local;
        size_t n = run_of_one_source(batch);
        struct io_socket *socket = io_socket_find(io, local);
        if (socket == NULL)
            socket = open_on_demand(io, local);
        if (socket == NULL) {
            io->counters.send_errors += n;
            for (; n > 0; n--)
                on_send_failed(io, &batch->datagrams[batch->next++], EADDRNOTAVAIL);
        } else if (!udp_socket_send(&socket->udp, batch, n, &io->counters, on_send_failed, io)) {
            io->blocked = socket;
            uv_poll_start(&socket->poll, UV_READABLE | UV_WRITABLE, on_socket);
            return false;
        } else {
            io->one_by_one |= socket->udp.cannot_segment;
        }
    }
    return true;
}

/* False where nothing was left to fill it with. */
static bool fill_batch(roam_io *io)
{
    struct datagram_batch *batch = &io->sending;
    const roam_time now = roam_io_now(io);
    datagram_batch_clear(batch);
    while (datagram_batch_offer(batch, !io->one_by_one)) {
        if (roam_endpoint_transmit(io->endpoint, now, &batch->datagrams[batch->count], 1) == 0)
            return false;
        datagram_batch_add(batch, !io->one_by_one);
    }
    return true;
}

void io_flush(roam_io *io)
{
    io->more_to_send = false;
    if (io->blocked != NULL || !send_batch(io))
        return;
    for (int i = 0; i < FLUSH_BATCHES; i++) {
        bool more = fill_batch(io);
        if (!send_batch(io) || !more)
            return;
    }
    io->more_to_send = true;
}
