/*
 * Inside of roam_io: an endpoint, its sockets, and the libuv handles that turn it.
 *   loop.c     life, the timer, the verbs in their order, roam_io_next
 *   lull.c     when a busy receiver had better not wait for each batch
 *   sockets.c  the sockets: which one a datagram leaves by, opening, retiring
 *   connect.c  roam_io_connect, roam_io_rebind, roam_io_migrate
 *   networks.c the sockets of clients that move by themselves, one for each network of the host
 *   logs.c     files of qlog and of secrets
 *   resolve.c  answers ROAM_EVENT_RESOLVE
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <uv.h>

#include <roam/io.h>

#include "io/log_files.h"
#include "io/lull.h"
#include "io/networks.h"
#include "io/suspend.h"
#include "io/udp_socket.h"

/* How long a socket that no path seems to use is kept for stragglers. */
#define SOCKET_LINGER ROAM_SECONDS(3)

struct io_socket {
    struct io_socket *next;
    roam_io *io;
    struct udp_socket udp;
    uv_poll_t poll;
    bool moving; /* a client's socket, made or left by a migration: closed when no path uses it */
    /* Of a socket that networks.c keeps; 0: of another. */
    uint32_t interface_index;
    bool by_interface; /* it leaves by that interface and no other */
};

/* The files that the endpoint's connections write. */
struct io_logs {
    bool has_qlog;
    struct qlog_files qlog;
    struct keylog_file keylog;
};

struct roam_io {
    roam_allocator allocator;
    roam_endpoint *endpoint;
    uv_loop_t own_loop;
    uv_loop_t *loop;
    unsigned handles; /* libuv handles and requests that still point here */
    bool freed;       /* roam_io_free was called: the last handle takes the memory along */

    struct io_socket *sockets;
    struct io_socket *blocked; /* its buffer is full: what waits in `sending` waits for it */
    struct datagram_batch receiving, sending;
    size_t buffer_bytes; /* that each socket asks the kernel for, each way */
    bool one_by_one;     /* no UDP_SEGMENT: a socket does not take it, or somebody looks on */
    struct socket_counters counters;

    struct io_networks networks;
    struct suspend_watch suspend;
    struct io_logs *logs; /* NULL: none */

    struct lull lull;
    uv_prepare_t prepare; /* sends before the loop blocks */
    uv_idle_t idle;       /* active while it must not block */
    bool hurries;         /* so it is */
    uv_async_t wake;
    uv_poll_t timer; /* a timerfd: pacing wants less than libuv's milliseconds */
    int timer_fd;
    roam_time timer_at; /* what the timerfd is set to; NEVER: it is not */
    uv_poll_t waking;   /* readable when the host has woken */
    int waking_fd;
    roam_time wait_until; /* end of the roam_io_next that runs */
    roam_time sweep_at;   /* when to look for sockets that nobody needs any more */
    bool woken;
    bool more_to_send; /* the last flush stopped in between, to receive */
};

/* ---- loop.c */
void io_release_handle(roam_io *io);

/* ---- logs.c */
void io_logs_free(roam_io *io);

/* ---- sockets.c */
roam_result io_socket_open(roam_io *io, const roam_address *local, struct io_socket **ret);
void io_socket_close(roam_io *io, struct io_socket *socket);
/* The socket by which a datagram from `local` leaves; NULL where there is none. */
struct io_socket *io_socket_find(const roam_io *io, const roam_address *local);
/* The first socket of a family; ROAM_FAMILY_NONE: of any. */
struct io_socket *io_socket_of_family(const roam_io *io, uint8_t family);
/* Sends all that is due, unless the kernel's buffers are full. */
void io_flush(roam_io *io);
/* Closes the sockets of past migrations that no path uses any more. */
void io_sweep_sockets(roam_io *io);
/* True where any connection but `besides` is at home on this socket. */
bool io_socket_is_shared(const roam_io *io, const struct io_socket *socket, const roam_conn *besides);

/* ---- resolve.c */
void io_resolve(roam_io *io, roam_conn *conn);

/* All rows of the table, to be freed with io_rows_free; *ret NULL where there are none, or no memory. */
size_t io_rows(const roam_io *io, roam_conn_info **ret);
void io_rows_free(const roam_io *io, roam_conn_info *rows, size_t n);

#endif
