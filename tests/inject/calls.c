/*
 * System calls that fail, each with the errors that it has in practice. Not among them: close, whose error nobody could
 * mend; clock_gettime; what libuv asks of epoll, and libuv and libmicrohttpd of the pipes by which they wake themselves,
 * whose errors they answer with abort().
 * Where a call must have its effect though it fails (fclose), it has.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <uv.h>

#include "inject.h"

/* Passes by, or fails with the value `failure` and one of the errors. */
#define CALL(type, failure, name, parameters, arguments, ...)                                                          \
    type name parameters                                                                                               \
    {                                                                                                                  \
        static const int errors[] = {__VA_ARGS__, 0};                                                                  \
        static type(*next) parameters;                                                                                 \
        if (next == NULL)                                                                                              \
            next = (type(*) parameters)inject_next(#name);                                                             \
        return inject_fails(#name, false, errors) ? (failure) : next arguments;                                        \
    }

/* As above, but not for those libraries. */
#define CALL_UNLESS_LIBRARY(type, failure, name, parameters, arguments, ...)                                           \
    type name parameters                                                                                               \
    {                                                                                                                  \
        static const int errors[] = {__VA_ARGS__, 0};                                                                  \
        static type(*next) parameters;                                                                                 \
        if (next == NULL)                                                                                              \
            next = (type(*) parameters)inject_next(#name);                                                             \
        bool is_counted = !inject_caller_gives_up(__builtin_return_address(0));                                        \
        return is_counted && inject_fails(#name, false, errors) ? (failure) : next arguments;                          \
    }

/* ---- Sockets */

CALL(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, EAFNOSUPPORT)
CALL(int, -1, bind, (int fd, const struct sockaddr *address, socklen_t bytes), (fd, address, bytes), EADDRINUSE,
     EADDRNOTAVAIL)
CALL(int, -1, connect, (int fd, const struct sockaddr *address, socklen_t bytes), (fd, address, bytes), ENETUNREACH,
     ECONNREFUSED)
CALL(int, -1, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE)
CALL(int, -1, accept, (int fd, struct sockaddr *address, socklen_t *bytes), (fd, address, bytes), EMFILE, ECONNABORTED)
CALL(int, -1, accept4, (int fd, struct sockaddr *address, socklen_t *bytes, int flags), (fd, address, bytes, flags),
     EMFILE, ECONNABORTED)
CALL(int, -1, shutdown, (int fd, int how), (fd, how), ENOTCONN)
CALL(int, -1, setsockopt, (int fd, int level, int name, const void *value, socklen_t bytes),
     (fd, level, name, value, bytes), ENOPROTOOPT)
CALL(int, -1, getsockopt, (int fd, int level, int name, void *value, socklen_t *bytes), (fd, level, name, value, bytes),
     ENOBUFS)
CALL(int, -1, getsockname, (int fd, struct sockaddr *address, socklen_t *bytes), (fd, address, bytes), ENOBUFS)
CALL(int, -1, getpeername, (int fd, struct sockaddr *address, socklen_t *bytes), (fd, address, bytes), ENOTCONN)
CALL(ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), EPERM, ENOBUFS, EIO)
CALL(int, -1, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags),
     EPERM, ENETUNREACH, EMSGSIZE, EAGAIN, ENOBUFS, EIO, EINTR)
CALL(ssize_t, -1, sendto,
     (int fd, const void *data, size_t bytes, int flags, const struct sockaddr *address, socklen_t address_bytes),
     (fd, data, bytes, flags, address, address_bytes), ENETUNREACH, EAGAIN, EPERM)
CALL(ssize_t, -1, send, (int fd, const void *data, size_t bytes, int flags), (fd, data, bytes, flags), EPIPE, EAGAIN)
CALL(ssize_t, -1, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), ECONNREFUSED, EINTR,
     ENOMEM)
CALL(int, -1, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
     (fd, messages, count, flags, timeout), ECONNREFUSED, ENOMEM, EINTR)
CALL(ssize_t, -1, recvfrom,
     (int fd, void *data, size_t bytes, int flags, struct sockaddr *address, socklen_t *address_bytes),
     (fd, data, bytes, flags, address, address_bytes), ECONNREFUSED, ENOMEM)
CALL(ssize_t, -1, recv, (int fd, void *data, size_t bytes, int flags), (fd, data, bytes, flags), ECONNRESET, EAGAIN,
     ENOMEM)
CALL(int, -1, getifaddrs, (struct ifaddrs * *ret), (ret), ENOMEM)
CALL(int, EAI_AGAIN, getaddrinfo,
     (const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret),
     (host, service, hints, ret), EAGAIN)
CALL(unsigned, 0, if_nametoindex, (const char *name), (name), ENODEV)

/* ---- Events */

CALL_UNLESS_LIBRARY(int, -1, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout), EINTR,
                    ENOMEM)
CALL_UNLESS_LIBRARY(ssize_t, -1, read, (int fd, void *data, size_t bytes), (fd, data, bytes), EIO)
CALL_UNLESS_LIBRARY(ssize_t, -1, write, (int fd, const void *data, size_t bytes), (fd, data, bytes), ENOSPC, EPIPE)
CALL(int, -1, epoll_create1, (int flags), (flags), EMFILE)
CALL(int, -1, eventfd, (unsigned value, int flags), (value, flags), EMFILE)
CALL_UNLESS_LIBRARY(int, -1, pipe2, (int ret[2], int flags), (ret, flags), EMFILE)
CALL_UNLESS_LIBRARY(int, -1, pipe, (int ret[2]), (ret), EMFILE)
CALL(int, -1, timerfd_create, (int clock, int flags), (clock, flags), EMFILE)
CALL(int, -1, timerfd_settime, (int fd, int flags, const struct itimerspec *value, struct itimerspec *ret_old),
     (fd, flags, value, ret_old), ECANCELED)

/* libuv says what epoll has answered when a poll begins. */
CALL(int, UV_ENOSPC, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), ENOSPC)
CALL(int, UV_EMFILE, uv_accept, (uv_stream_t * server, uv_stream_t *client), (server, client), EMFILE)
CALL(int, UV_EBADF, uv_pipe_open, (uv_pipe_t * pipe, uv_file fd), (pipe, fd), EBADF)
CALL(int, UV_EADDRINUSE, uv_listen, (uv_stream_t * stream, int backlog, uv_connection_cb on_connection),
     (stream, backlog, on_connection), EADDRINUSE)

/* ---- Files */

CALL(ssize_t, -1, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count), EIO)
CALL(ssize_t, -1, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), ENOSPC)
CALL(ssize_t, -1, pread, (int fd, void *data, size_t bytes, off_t at), (fd, data, bytes, at), EIO)
CALL(ssize_t, -1, pwrite, (int fd, const void *data, size_t bytes, off_t at), (fd, data, bytes, at), ENOSPC)
CALL(int, -1, fsync, (int fd), (fd), EIO)
CALL(int, -1, fdatasync, (int fd), (fd), EIO)
CALL(int, -1, ftruncate, (int fd, off_t bytes), (fd, bytes), ENOSPC)
CALL(off_t, -1, lseek, (int fd, off_t at, int whence), (fd, at, whence), ESPIPE)
CALL(int, -1, rename, (const char *from, const char *to), (from, to), EACCES)
CALL(int, -1, unlink, (const char *path), (path), EACCES)
CALL(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), ENOSPC)
CALL(int, -1, flock, (int fd, int operation), (fd, operation), ENOLCK)
CALL(int, -1, dup, (int fd), (fd), EMFILE)
CALL(int, -1, stat, (const char *path, struct stat *ret), (path, ret), EACCES)
CALL(int, -1, lstat, (const char *path, struct stat *ret), (path, ret), EACCES)
CALL(int, -1, fstat, (int fd, struct stat *ret), (fd, ret), EIO)
CALL(int, -1, fstatat, (int folder, const char *path, struct stat *ret, int flags), (folder, path, ret, flags), EACCES)
CALL(DIR *, NULL, opendir, (const char *path), (path), EMFILE)
CALL(DIR *, NULL, fdopendir, (int fd), (fd), ENOMEM)
CALL(struct dirent *, NULL, readdir, (DIR * folder), (folder), EIO)
CALL(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode), EMFILE, EACCES)
CALL(FILE *, NULL, fdopen, (int fd, const char *mode), (fd, mode), ENOMEM)
CALL(int, EOF, fflush, (FILE * file), (file), ENOSPC)
CALL(size_t, 0, fread, (void *data, size_t bytes, size_t count, FILE *file), (data, bytes, count, file), EIO)
CALL(size_t, 0, fwrite, (const void *data, size_t bytes, size_t count, FILE *file), (data, bytes, count, file), ENOSPC)
CALL(char *, NULL, fgets, (char *text, int bytes, FILE *file), (text, bytes, file), EIO)

/* The file is closed, and yet what it held was not written. */
int fclose(FILE *file)
{
    static const int errors[] = {ENOSPC, 0};
    static int (*next)(FILE *);
    if (next == NULL)
        next = (int (*)(FILE *))inject_next("fclose");
    bool fails = inject_fails("fclose", false, errors);
    int why = errno;
    int done = next(file);
    if (!fails)
        return done;
    errno = why;
    return EOF;
}

/* The kernel's random numbers come late, but come: roam and GnuTLS go on with nothing weaker. */
ssize_t getrandom(void *data, size_t bytes, unsigned flags)
{
    static const int errors[] = {EINTR, 0};
    static ssize_t (*next)(void *, size_t, unsigned);
    if (next == NULL)
        next = (ssize_t(*)(void *, size_t, unsigned))inject_next("getrandom");
    return inject_fails("getrandom", false, errors) ? -1 : next(data, bytes, flags);
}

/* ---- Calls of variable length */

static const int open_errors[] = {EMFILE, EACCES, 0};

int open(const char *path, int flags, ...)
{
    static int (*next)(const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if (next == NULL)
        next = (int (*)(const char *, int, ...))inject_next("open");
    return inject_fails("open", false, open_errors) ? -1 : next(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    static int (*next)(int, const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if (next == NULL)
        next = (int (*)(int, const char *, int, ...))inject_next("openat");
    return inject_fails("openat", false, open_errors) ? -1 : next(folder, path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
    static const int errors[] = {EMFILE, 0};
    static int (*next)(int, int, ...);
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (next == NULL)
        next = (int (*)(int, int, ...))inject_next("fcntl");
    bool may_fail = command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_SETLK || command == F_SETFL;
    return may_fail && inject_fails("fcntl", false, errors) ? -1 : next(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
    static const int errors[] = {ENOTTY, 0};
    static int (*next)(int, unsigned long, ...);
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (next == NULL)
        next = (int (*)(int, unsigned long, ...))inject_next("ioctl");
    return inject_fails("ioctl", false, errors) ? -1 : next(fd, request, argument);
}
