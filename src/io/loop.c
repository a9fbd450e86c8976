/*
 * An endpoint on a libuv loop. Kept: whatever has come is received before anything is waited for, what is due is sent
 * before the loop blocks, and the timerfd stands at the endpoint's deadline. No datagram costs an allocation.
 *
 * One turn: sockets readable -> roam_endpoint_receive; timer -> roam_endpoint_expire; the application takes its events;
 * prepare -> roam_endpoint_transmit, and the timer is set.
 */
#include "io/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/minmax.h"

/* How long a last CONNECTION_CLOSE may wait for room in a socket's buffer. */
#define LAST_SEND_MS 100

roam_time roam_io_now(roam_io *io)
{
    struct timespec now;
    (void)io;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ROAM_SECONDS(now.tv_sec) + (roam_time)now.tv_nsec;
}

roam_endpoint *roam_io_endpoint(roam_io *io)
{
    return io->endpoint;
}

struct uv_loop_s *roam_io_loop(roam_io *io)
{
    return io->loop;
}

void roam_io_wake(roam_io *io)
{
    uv_async_send(&io->wake);
}

size_t io_rows(const roam_io *io, roam_conn_info **ret)
{
    size_t n = roam_endpoint_connections(io->endpoint, NULL, 0);
    *ret = n == 0 ? NULL : mem_alloc(&io->allocator, n * sizeof(**ret));
    return *ret == NULL ? 0 : roam_endpoint_connections(io->endpoint, *ret, n);
}

void io_rows_free(const roam_io *io, roam_conn_info *rows, size_t n)
{
    mem_free(&io->allocator, rows, n * sizeof(*rows));
}

/* ---- The timer */

/* Setting the timer costs the system call and, on a virtual machine, much more than that; deadlines mostly move away from
 * us with each packet. So one that is too early stays: it fires for nothing once, and is set anew then. */
static void set_timer(roam_io *io)
{
    roam_time at = min_u64(roam_endpoint_deadline(io->endpoint), min_u64(io->wait_until, io->sweep_at));
    if (at >= io->timer_at)
        return;
    at = at > 0 ? at : 1; /* zero would stop it */
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(at / ROAM_SECONDS(1)), .tv_nsec = (long)(at % ROAM_SECONDS(1))}};
    timerfd_settime(io->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    io->timer_at = at;
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* that it is there keeps the loop from waiting */
}

/* There is more to send, and sockets are only looked at in between. */
static void set_hurry(roam_io *io)
{
    bool hurry = io->more_to_send && io->blocked == NULL;
    if (hurry == io->hurries)
        return;
    if (hurry)
        uv_idle_start(&io->idle, on_idle);
    else
        uv_idle_stop(&io->idle);
    io->hurries = hurry;
}

static void do_what_is_due(roam_io *io)
{
    roam_time now = roam_io_now(io);
    if (roam_endpoint_deadline(io->endpoint) <= now)
        roam_endpoint_expire(io->endpoint, now);
    if (io->sweep_at <= now)
        io_sweep_sockets(io);
}

static void look_whether_we_slept(roam_io *io)
{
    struct suspend_reading reading = suspend_read();
    roam_time slept = suspend_slept(&io->suspend, &reading);
    if (slept == 0)
        return;
    roam_endpoint_woke(io->endpoint, reading.after, slept);
    io_networks_update(io);
}

static void on_timer(uv_poll_t *handle, int status, int events)
{
    roam_io *io = handle->data;
    uint64_t expirations;
    (void)events;
    if (status < 0 || read(io->timer_fd, &expirations, sizeof(expirations)) < 0)
        return;
    io->timer_at = ROAM_TIME_NEVER;
    look_whether_we_slept(io); /* a kernel that does not tell of waking is asked */
    do_what_is_due(io);
}

static void on_waking(uv_poll_t *handle, int status, int events)
{
    roam_io *io = handle->data;
    (void)status;
    (void)events;
    suspend_fd_drain(io->waking_fd);
    look_whether_we_slept(io);
}

/* Sleeps, unless there is something to do already, for this loop's sockets or for whatever else the application has there. */
static void rest_in_a_lull(roam_io *io)
{
    roam_endpoint_stats stats;
    if (!lull_may_begin(&io->lull))
        return;
    roam_endpoint_get_stats(io->endpoint, &stats);
    const roam_time deadline = min_u64(roam_endpoint_deadline(io->endpoint), io->wait_until);
    if (!lull_begins(&io->lull, roam_io_now(io), deadline, stats.data_packets_sent))
        return;
    struct pollfd anything = {.fd = uv_backend_fd(io->loop), .events = POLLIN};
    const struct timespec span = {.tv_nsec = (long)LULL_TIME};
    if (poll(&anything, 1, 0) == 0)
        nanosleep(&span, NULL);
}

static void on_prepare(uv_prepare_t *handle)
{
    roam_io *io = handle->data;
    io_flush(io);
    set_hurry(io);
    if (io->hurries)
        return;
    set_timer(io);
    rest_in_a_lull(io);
}

static void on_wake(uv_async_t *handle)
{
    roam_io *io = handle->data;
    io->woken = true;
}

/* ---- Life */

/* The last handle that closes takes the memory along. */
void io_release_handle(roam_io *io)
{
    io->handles--;
    if (io->handles > 0 || !io->freed || io->loop == &io->own_loop)
        return;
    roam_allocator allocator = io->allocator;
    mem_free(&allocator, io, sizeof(*io));
}

static void on_handle_closed(uv_handle_t *handle)
{
    io_release_handle(handle->data);
}

static bool start_handles(roam_io *io)
{
    if (uv_prepare_init(io->loop, &io->prepare) != 0)
        return false;
    io->prepare.data = io;
    io->handles++;
    uv_prepare_start(&io->prepare, on_prepare);
    if (uv_async_init(io->loop, &io->wake, on_wake) != 0)
        return false;
    io->wake.data = io;
    io->handles++;
    if (uv_idle_init(io->loop, &io->idle) != 0)
        return false;
    io->idle.data = io;
    io->handles++;
    /* None of them keeps a loop of the application's alive; the sockets and the timer do. */
    uv_unref((uv_handle_t *)&io->idle);
    uv_unref((uv_handle_t *)&io->prepare);
    uv_unref((uv_handle_t *)&io->wake);
    io->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (io->timer_fd < 0 || uv_poll_init(io->loop, &io->timer, io->timer_fd) != 0)
        return false;
    io->timer.data = io;
    io->handles++;
    if (uv_poll_start(&io->timer, UV_READABLE, on_timer) != 0)
        return false;
    look_whether_we_slept(io);
    io->waking_fd = suspend_fd_open();
    if (io->waking_fd < 0 || uv_poll_init(io->loop, &io->waking, io->waking_fd) != 0)
        return false;
    io->waking.data = io;
    io->handles++;
    uv_unref((uv_handle_t *)&io->waking);
    return uv_poll_start(&io->waking, UV_READABLE, on_waking) == 0;
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->data != NULL && !uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

static roam_io *new_shell(const roam_endpoint_config *config, struct uv_loop_s *loop)
{
    roam_allocator allocator = config->allocator.reallocate != NULL ? config->allocator : roam_allocator_default();
    roam_io *io = mem_zalloc(&allocator, sizeof(*io));
    if (io == NULL)
        return NULL;
    io->allocator = allocator;
    io->buffer_bytes = SOCKET_BUFFER_BYTES;
    io->timer_fd = io->waking_fd = -1;
    io->timer_at = io->wait_until = io->sweep_at = ROAM_TIME_NEVER;
    io->loop = loop;
    if (loop == NULL) {
        if (uv_loop_init(&io->own_loop) != 0) {
            mem_free(&allocator, io, sizeof(*io));
            return NULL;
        }
        io->loop = &io->own_loop;
    }
    return io;
}

/* Tokens bear the time of day, to be understood by whoever has the same key, after a reboot too. */
static roam_time unix_time_offset(roam_io *io)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return saturating_sub(ROAM_SECONDS(now.tv_sec) + (roam_time)now.tv_nsec, roam_io_now(io));
}

roam_io *roam_io_new(const roam_endpoint_config *config, struct uv_loop_s *loop, roam_result *ret_result)
{
    roam_result result = ROAM_ERR_MEMORY;
    roam_io *io = new_shell(config, loop);
    if (io != NULL && datagram_batch_init_receive(&io->receiving, &io->allocator, RECEIVE_BYTES_MAX) == ROAM_OK &&
        datagram_batch_init_send(&io->sending, &io->allocator) == ROAM_OK) {
        roam_endpoint_config own;
        roam_endpoint_config_init(&own);
        memcpy(&own, config, min_size(config->size, sizeof(own)));
        own.size = sizeof(own);
        if (own.unix_time_offset == 0)
            own.unix_time_offset = unix_time_offset(io);
        io->endpoint = roam_endpoint_new(&own, roam_io_now(io), &result);
        if (io->endpoint != NULL)
            result = start_handles(io) ? ROAM_OK : ROAM_ERR_SYSTEM;
    }
    if (ret_result != NULL)
        *ret_result = result;
    if (result == ROAM_OK)
        return io;
    roam_io_free(io);
    return NULL;
}

static void close_connections(roam_io *io)
{
    roam_conn_info *rows;
    roam_time now = roam_io_now(io);
    size_t n = io_rows(io, &rows);
    for (size_t i = 0; i < n; i++)
        if (rows[i].state <= ROAM_CONN_ESTABLISHED)
            roam_conn_close(rows[i].conn, now, ROAM_NO_ERROR, NULL);
    io_rows_free(io, rows, n);
}

/* What is due goes out even where it must wait for the kernel a little. */
static void send_the_rest(roam_io *io)
{
    do {
        io_flush(io);
        if (io->blocked != NULL) {
            struct pollfd wait = {.fd = io->blocked->udp.fd, .events = POLLOUT};
            if (poll(&wait, 1, LAST_SEND_MS) <= 0)
                return;
            io->blocked = NULL;
        }
    } while (io->more_to_send || io->sending.next < io->sending.count);
}

void roam_io_free(roam_io *io)
{
    if (io == NULL)
        return;
    if (io->endpoint != NULL) {
        close_connections(io);
        send_the_rest(io);
    }
    io_networks_done(io);
    while (io->sockets != NULL)
        io_socket_close(io, io->sockets);
    roam_endpoint_free(io->endpoint);
    io->endpoint = NULL;
    io_logs_free(io);
    datagram_batch_done(&io->receiving, &io->allocator);
    datagram_batch_done(&io->sending, &io->allocator);
    io->freed = true;
    io->handles++; /* holds it until all of them are on their way */
    close_handle((uv_handle_t *)&io->prepare);
    close_handle((uv_handle_t *)&io->idle);
    close_handle((uv_handle_t *)&io->wake);
    close_handle((uv_handle_t *)&io->timer);
    close_handle((uv_handle_t *)&io->waking);
    if (io->timer_fd >= 0)
        close(io->timer_fd);
    if (io->waking_fd >= 0)
        close(io->waking_fd);
    if (io->loop != &io->own_loop) {
        io_release_handle(io);
        return;
    }
    while (io->handles > 1)
        uv_run(io->loop, UV_RUN_ONCE);
    uv_loop_close(&io->own_loop);
    roam_allocator allocator = io->allocator;
    mem_free(&allocator, io, sizeof(*io));
}

/* ---- Events */

/* The oldest event that is for the application; those that are for this floor are settled here. */
static bool take_event(roam_io *io, roam_event *ret)
{
    while (roam_endpoint_poll(io->endpoint, ret)) {
        if (ret->type == ROAM_EVENT_RESOLVE) {
            io_resolve(io, ret->conn);
            continue;
        }
        if (ret->type == ROAM_EVENT_PATH_CLOSED || ret->type == ROAM_EVENT_CLOSED)
            io->sweep_at = min_u64(io->sweep_at, saturating_add(ret->time, SOCKET_LINGER));
        return true;
    }
    return false;
}

bool roam_io_next(roam_io *io, roam_event *ret, roam_time timeout)
{
    bool turned = false;
    io->wait_until = timeout == ROAM_TIME_NEVER ? ROAM_TIME_NEVER : saturating_add(roam_io_now(io), timeout);
    for (;;) {
        if (take_event(io, ret))
            return true;
        do_what_is_due(io);
        io_flush(io);
        if (take_event(io, ret))
            return true;
        if (io->woken) {
            io->woken = false;
            return false;
        }
        if (turned && roam_io_now(io) >= io->wait_until)
            return false;
        /* A loop of the application's is turned by the application, unless it asks for waiting. */
        if (timeout == 0 && io->loop != &io->own_loop)
            return false;
        uv_run(io->loop, timeout == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        turned = true;
    }
}
