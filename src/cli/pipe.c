/*
 * Two directions with back-pressure. Kept: nothing is read from `in` while the stream has not taken what was read
 * before; what `out` has no room for stays in the stream, and so holds up the peer. The peer's end is reported when all
 * before it is written.
 */
#include "cli/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256 * 1024)

/* Asked of the kernel for pipes, which hold 64 KiB by default. */
#define PIPE_BYTES (1024 * 1024)

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

/* Non-blocking is a property of the open file, which may be shared with a shell: pipes and terminals are opened once
 * more for ourselves, sockets get their flags back at the end. */
static bool end_open(struct pipe_end *end, roam_io *io, int fd, bool writes)
{
    struct stat status;
    char path[32];
    *end = (struct pipe_end){.fd = -1, .restore_flags = -1, .restore_fd = -1};
    if (fd < 0)
        return true;
    if (fstat(fd, &status) != 0)
        return false;
    int own = -1;
    if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        own = open(path, (writes ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    }
    if (S_ISFIFO(status.st_mode))
        fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
    if (own < 0) {
        own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (own < 0)
            return false;
        if (!S_ISREG(status.st_mode)) {
            end->restore_flags = fcntl(fd, F_GETFL);
            end->restore_fd = fd;
        }
    }
    end->fd = own;
    end->pollable = !S_ISREG(status.st_mode) && uv_poll_init(roam_io_loop(io), &end->poll, own) == 0;
    return true;
}

static void end_wait(struct pipe_end *end, int events, uv_poll_cb callback, struct pipe *pipe)
{
    if (end->fd < 0 || !end->pollable || end->polling)
        return;
    end->poll.data = pipe;
    end->polling = uv_poll_start(&end->poll, events, callback) == 0;
}

static void end_stop(struct pipe_end *end)
{
    if (end->polling)
        uv_poll_stop(&end->poll);
    end->polling = false;
}

static void end_close(struct pipe_end *end)
{
    if (end->fd < 0)
        return;
    end_stop(end);
    if (end->pollable)
        uv_close((uv_handle_t *)&end->poll, NULL);
    if (end->restore_flags >= 0)
        fcntl(end->restore_fd, F_SETFL, end->restore_flags);
    close(end->fd);
    end->fd = -1;
}

static void fail_locally(struct pipe *pipe, const char *which)
{
    if (pipe->local_error == 0) {
        pipe->local_error = errno;
        pipe->local_end = which;
    }
    end_close(&pipe->in);
    end_close(&pipe->out);
    roam_io_wake(pipe->io);
}

/* ---- From `in` to the stream ------------------------------------------------------------------------------------- */

static void on_in_readable(uv_poll_t *handle, int status, int events);

/* Hands the buffer on; false where the stream takes no more until it is writable again. */
static bool empty_buffer(struct pipe *pipe)
{
    if (pipe->at == pipe->len)
        return true;
    ptrdiff_t taken = roam_stream_write(pipe->stream, pipe->buffer + pipe->at, pipe->len - pipe->at);
    if (taken == ROAM_ERR_MEMORY) {
        errno = ENOMEM;
        fail_locally(pipe, "what is to be sent");
        return false;
    }
    if (taken < 0) {
        pipe->in_ended = pipe->finished = true;
        pipe->at = pipe->len = 0;
        return false;
    }
    pipe->at += (size_t)taken;
    pipe->bytes_in += (uint64_t)taken;
    return pipe->at == pipe->len;
}

/* A terminal that is gone ends what was typed. A file that cannot be read on has more. */
static bool is_hung_up(int fd, int error)
{
    struct stat status;
    bool is_device = error == EIO && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
    errno = error;
    return is_device;
}

/* Reads some; false where there is nothing now. */
static bool fill_buffer(struct pipe *pipe)
{
    ssize_t n = read(pipe->in.fd, pipe->buffer, BUFFER_BYTES);
    pipe->at = 0;
    pipe->len = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return true;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    pipe->in_ended = true;
    if (n < 0 && !is_hung_up(pipe->in.fd, errno))
        fail_locally(pipe, "standard input");
    end_close(&pipe->in);
    return false;
}

static void pump_in(struct pipe *pipe)
{
    if (pipe->stream == NULL || pipe->finished)
        return;
    end_stop(&pipe->in);
    for (;;) {
        if (!empty_buffer(pipe))
            return; /* STREAM_WRITABLE comes */
        if (pipe->in_ended)
            break;
        if (!fill_buffer(pipe) && !pipe->in_ended) {
            end_wait(&pipe->in, UV_READABLE, on_in_readable, pipe);
            return;
        }
    }
    if (pipe->local_error == 0) {
        roam_stream_finish(pipe->stream);
        pipe->finished = true;
    }
}

static void on_in_readable(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    pump_in(handle->data);
}

/* ---- From the stream to `out` ------------------------------------------------------------------------------------ */

static void on_out_writable(uv_poll_t *handle, int status, int events);

/* Writes what there is; false where `out` has no room or is broken. */
static bool write_out(struct pipe *pipe, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(pipe->out.fd, data, len);
        if (n > 0) {
            roam_stream_consume(pipe->stream, (size_t)n);
            pipe->bytes_out += (uint64_t)n;
            data += n;
            len -= (size_t)n;
            return true; /* data is only valid until the next call on the connection */
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            end_wait(&pipe->out, UV_WRITABLE, on_out_writable, pipe);
        else
            fail_locally(pipe, "standard output");
        return false;
    }
    return true;
}

/* The peer's end was read: who reads our output hears of it, even if our own side goes on. */
static void end_out(struct pipe *pipe)
{
    pipe->read_end = true;
    end_close(&pipe->out);
    int nothing = !pipe->keep_output ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    if (nothing >= 0) {
        dup2(nothing, STDOUT_FILENO);
        close(nothing);
    }
    /* Somebody at a terminal need not end what nobody answers any more. */
    if (!pipe->in_ended && isatty(STDIN_FILENO)) {
        end_close(&pipe->in);
        pipe->in_ended = true;
        pump_in(pipe);
    }
    roam_io_wake(pipe->io);
}

static void pump_out(struct pipe *pipe)
{
    const uint8_t *data;
    bool end = false;
    ptrdiff_t n;
    if (pipe->stream == NULL || pipe->read_end || pipe->out.fd < 0)
        return;
    end_stop(&pipe->out);
    while ((n = roam_stream_peek(pipe->stream, &data, &end)) > 0)
        if (!write_out(pipe, data, (size_t)n))
            return;
    if (n == 0 && end) {
        end_out(pipe);
    } else if (n < 0) {
        pipe->read_failed = true;
        roam_io_wake(pipe->io);
    }
}

static void on_out_writable(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    pump_out(handle->data);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

bool pipe_init(struct pipe *pipe, roam_io *io, int in_fd, int out_fd)
{
    *pipe = (struct pipe){.io = io, .in.fd = -1, .out.fd = -1};
    pipe->buffer = malloc(BUFFER_BYTES);
    pipe->in_ended = in_fd < 0;
    return pipe->buffer != NULL && end_open(&pipe->in, io, in_fd, false) && end_open(&pipe->out, io, out_fd, true);
}

void pipe_attach(struct pipe *pipe, roam_stream *stream, const char *first)
{
    pipe->stream = stream;
    if (first != NULL) {
        pipe->len = strnlen(first, BUFFER_BYTES);
        memcpy(pipe->buffer, first, pipe->len);
    }
    pump_in(pipe);
    pump_out(pipe);
}

void pipe_give_up(struct pipe *pipe)
{
    fail_locally(pipe, "a stream");
}

void pipe_on_event(struct pipe *pipe, const roam_event *event)
{
    switch (event->type) {
    case ROAM_EVENT_STREAM_READABLE:
        pump_out(pipe);
        break;
    case ROAM_EVENT_STREAM_WRITABLE:
        pump_in(pipe);
        break;
    case ROAM_EVENT_STREAM_FINISHED:
        pipe->acknowledged = true;
        break;
    case ROAM_EVENT_STREAM_RESET:
        pipe->was_reset = true;
        pipe->code = event->code;
        break;
    case ROAM_EVENT_STREAM_STOPPED:
        pipe->was_stopped = true;
        pipe->code = event->code;
        break;
    default:
        break;
    }
}

void pipe_on_closed(struct pipe *pipe)
{
    end_close(&pipe->in);
    pipe->in_ended = true;
    if (pipe->stream == NULL)
        pipe->read_failed = true;
    else if (!pipe->out.polling)
        pump_out(pipe);
}

bool pipe_is_done(const struct pipe *pipe)
{
    return pipe->acknowledged && pipe->read_end;
}

void pipe_done(struct pipe *pipe)
{
    end_close(&pipe->in);
    end_close(&pipe->out);
    free(pipe->buffer);
    pipe->buffer = NULL;
}
