/*
 * Kept: what is opened is below the root. Linux 5.6 resolves so itself, and follows links that stay below; elsewhere we
 * walk name by name and follow none.
 */
#include "cli/file_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int walk(int root, const char *name)
{
    int at = openat(root, ".", FLAGS | O_DIRECTORY);
    while (at >= 0 && *name != '\0') {
        char part[256];
        size_t len = strcspn(name, "/");
        bool last = name[len] == '\0';
        if (len == 0 || len >= sizeof(part)) {
            close(at);
            errno = len == 0 ? ENOENT : ENAMETOOLONG;
            return -1;
        }
        memcpy(part, name, len);
        part[len] = '\0';
        int below = openat(at, part, FLAGS | O_NOFOLLOW | (last ? 0 : O_DIRECTORY)), error = errno;
        close(at);
        errno = error;
        at = below;
        name += last ? len : len + 1;
    }
    return at;
}

int file_root_open(int root, const char *name, struct stat *ret)
{
    struct open_how how = {.flags = FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, *name != '\0' ? name : ".", &how, sizeof(how));
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = walk(root, name);
    if (fd < 0) {
        if (errno == ELOOP || errno == EXDEV || errno == ENXIO)
            errno = EACCES;
        return -1;
    }
    if (fstat(fd, ret) == 0 && (S_ISREG(ret->st_mode) || S_ISDIR(ret->st_mode)))
        return fd;
    close(fd);
    errno = EACCES;
    return -1;
}
