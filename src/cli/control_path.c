/*
 * Where control sockets are. Kept: a socket on which a server listens is never taken away; the directory belongs to
 * the user and nobody else can put anything into it.
 */
#include "cli/control_path.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define OF_ROOT "/run/roam"

/* ---- The directory */

static bool directory_text(char ret[CONTROL_PATH_MAX])
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    int len;
    if (runtime != NULL && runtime[0] == '/')
        len = snprintf(ret, CONTROL_PATH_MAX, "%s/roam", runtime);
    else if (geteuid() == 0)
        len = snprintf(ret, CONTROL_PATH_MAX, OF_ROOT);
    else
        len = snprintf(ret, CONTROL_PATH_MAX, "/tmp/roam-%lu", (unsigned long)geteuid());
    if ((size_t)len < CONTROL_PATH_MAX)
        return true;
    say_error("the runtime directory %s has too long a name for a socket", runtime);
    return false;
}

static bool directory_is_ours(const char *directory)
{
    struct stat status;
    if (lstat(directory, &status) != 0)
        say_error("cannot use %s: %s", directory, strerror(errno));
    else if (!S_ISDIR(status.st_mode))
        say_error("cannot use %s: it is no directory", directory);
    else if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        say_error("cannot use %s: others can write to it", directory);
    else
        return true;
    return false;
}

static bool path_in(const char *directory, unsigned long pid, char ret[CONTROL_PATH_MAX])
{
    char path[2 * CONTROL_PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%lu.sock", directory, pid);
    if ((size_t)len >= CONTROL_PATH_MAX) {
        say_error("%s is too long for a socket: %zu octets at most", path, CONTROL_PATH_MAX - 1);
        return false;
    }
    memcpy(ret, path, (size_t)len + 1);
    return true;
}

bool control_default_path(char ret[CONTROL_PATH_MAX])
{
    char directory[CONTROL_PATH_MAX];
    if (!directory_text(directory))
        return false;
    /* Below root's one, a server that has become somebody else still reaches its socket. */
    if (mkdir(directory, strcmp(directory, OF_ROOT) == 0 ? 0711 : 0700) != 0 && errno != EEXIST) {
        say_error("cannot make %s: %s", directory, strerror(errno));
        return false;
    }
    return directory_is_ours(directory) && path_in(directory, (unsigned long)getpid(), ret);
}

/* ---- Sockets */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    return address;
}

int control_connect(const char *path)
{
    struct sockaddr_un address = address_of(path);
    if (strlen(path) >= CONTROL_PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* Who listens at the other end; 0: unknown. */
static pid_t peer_of(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

/* The mode is there from the beginning: nobody connects before it is. */
static bool bind_private(int fd, const char *path)
{
    struct sockaddr_un address = address_of(path);
    mode_t before = umask(S_IRWXG | S_IRWXO | S_IXUSR);
    int status = bind(fd, (struct sockaddr *)&address, sizeof(address));
    int why = errno;
    umask(before);
    errno = why;
    return status == 0;
}

static bool is_socket(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* Something is there already. True where it was a socket that nobody listens on, and is gone. */
static bool make_way(const char *path)
{
    if (!is_socket(path)) {
        say_error("cannot have a control socket at %s: something else is there", path);
        return false;
    }
    int fd = control_connect(path);
    if (fd >= 0) {
        say_error("the control socket %s is in use by process %ld; choose another by --control", path,
                  (long)peer_of(fd));
        close(fd);
        return false;
    }
    if (errno != ECONNREFUSED) {
        say_error("cannot have a control socket at %s: %s", path, strerror(errno));
        return false;
    }
    return unlink(path) == 0 || errno == ENOENT;
}

int control_bind(const char *path)
{
    if (strlen(path) >= CONTROL_PATH_MAX) {
        say_error("%s is too long for a socket: %zu octets at most", path, CONTROL_PATH_MAX - 1);
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind_private(fd, path))
        return fd;
    bool said = fd >= 0 && errno == EADDRINUSE;
    if (said && make_way(path)) {
        if (bind_private(fd, path))
            return fd;
        said = false;
    }
    if (!said)
        say_error("cannot have a control socket at %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- Looking for one */

static bool is_socket_name(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && strcmp(name + digits, ".sock") == 0;
}

/* A server listens there. Where it is certain that none does, the socket is removed. */
static bool is_served(const char *path)
{
    int fd = control_connect(path);
    if (fd < 0) {
        if (errno == ECONNREFUSED && is_socket(path))
            unlink(path);
        return false;
    }
    close(fd);
    return true;
}

static size_t look_around(const char *directory, char ret[CONTROL_PATH_MAX], bool tell)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    size_t found = 0;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        char path[CONTROL_PATH_MAX];
        if (!is_socket_name(entry->d_name) || !path_in(directory, strtoul(entry->d_name, NULL, 10), path) ||
            !is_served(path))
            continue;
        if (tell)
            fprintf(stderr, "    --control %s\n", path);
        memcpy(ret, path, sizeof(path));
        found++;
    }
    if (entries != NULL)
        closedir(entries);
    return found;
}

/* The one socket of this user on which a server listens. Those on which nobody does are removed. False, which has been
 * said, where there is none, or more than one. */
static bool find_only(char ret[CONTROL_PATH_MAX])
{
    char directory[CONTROL_PATH_MAX];
    if (!directory_text(directory))
        return false;
    size_t found = look_around(directory, ret, false);
    if (found == 1)
        return true;
    if (found == 0) {
        say_error("no server of this user runs: nobody listens on a socket in %s", directory);
        return false;
    }
    say_error("several servers run; which one?");
    look_around(directory, ret, true);
    return false;
}

bool control_path_of(const char *name, char ret[CONTROL_PATH_MAX])
{
    char directory[CONTROL_PATH_MAX];
    if (name == NULL)
        return find_only(ret);
    if (strspn(name, "0123456789") == strlen(name))
        return directory_text(directory) && path_in(directory, strtoul(name, NULL, 10), ret);
    if (strlen(name) >= CONTROL_PATH_MAX) {
        say_error("%s is too long for a socket: %zu octets at most", name, CONTROL_PATH_MAX - 1);
        return false;
    }
    snprintf(ret, CONTROL_PATH_MAX, "%s", name);
    return true;
}
