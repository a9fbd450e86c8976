/*
 * Landlock: no file but those of the plan, none of them to be executed, no TCP socket bound or connected any more. Kept:
 * whatever this kernel's version of it can deny is denied, unless the plan wants it. The structures are those of the
 * kernel's own header, which on the system that we are built on may know less than the kernel that we run on.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/sandbox.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define ASK_FOR_VERSION           1u
#define RULE_PATH_BENEATH         1
#define FS_BIT(n)                 (UINT64_C(1) << (n))
#define FS_WRITE_FILE             FS_BIT(1)
#define FS_READ_FILE              FS_BIT(2)
#define FS_READ_DIR               FS_BIT(3)
#define FS_REMOVE_FILE            FS_BIT(5)
#define FS_MAKE_REG               FS_BIT(8)
#define FS_TRUNCATE               FS_BIT(14)
#define FS_IOCTL_DEV              FS_BIT(15)
#define FS_ON_FILES               (FS_BIT(0) | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_BIND_AND_CONNECT      3u
#define SCOPE_SOCKETS_AND_SIGNALS 3u

struct ruleset_attributes {
    uint64_t fs, net, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

struct fence {
    int fd;
    uint64_t fs; /* what is denied where no rule allows it */
};

/* What each version of the interface can deny of files: versions 1, 2 (refer), 3 (truncate), 5 (ioctl of devices). */
static uint64_t deniable(long version)
{
    unsigned bits = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;
    return FS_BIT(bits) - 1;
}

/* What cannot be opened now needs no rule: it could not be opened later. */
static void allow(const struct fence *fence, const char *path, uint64_t access)
{
    struct stat status;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0) {
        if (!S_ISDIR(status.st_mode))
            access &= FS_ON_FILES;
        struct path_rule rule = {.allowed = access & fence->fs, .parent = fd};
        if (rule.allowed != 0)
            syscall(SYS_landlock_add_rule, fence->fd, RULE_PATH_BENEATH, &rule, 0);
    }
    close(fd);
}

/* Where the name stands, and where it leads to now: the next file of that name is likely to lie there, too. */
static void allow_around(const struct fence *fence, const char *path, uint64_t access)
{
    char parent[PATH_MAX], real[PATH_MAX];
    sandbox_parent(path, parent);
    allow(fence, parent, access);
    if (realpath(path, real) != NULL) {
        sandbox_parent(real, parent);
        allow(fence, parent, access);
    }
}

static bool is_link(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

static void allow_place(const struct fence *fence, const struct sandbox_place *place)
{
    char real[PATH_MAX];
    switch (place->use) {
    case SANDBOX_SERVE:
        allow(fence, place->path, FS_READ_FILE | FS_READ_DIR);
        /* A link that SIGHUP may find to lead to the next release, beside this one. */
        if (is_link(place->path) && realpath(place->path, real) != NULL) {
            char parent[PATH_MAX];
            sandbox_parent(real, parent);
            allow(fence, parent, FS_READ_FILE | FS_READ_DIR);
        }
        break;
    case SANDBOX_REREAD:
        allow_around(fence, place->path, FS_READ_FILE);
        break;
    case SANDBOX_REWRITE:
        allow(fence, place->path, FS_WRITE_FILE);
        allow_around(fence, place->path, FS_WRITE_FILE | FS_MAKE_REG);
        break;
    case SANDBOX_FILL:
        allow(fence, place->path, FS_WRITE_FILE | FS_MAKE_REG | FS_TRUNCATE);
        break;
    case SANDBOX_REMOVE:
    case SANDBOX_LEAVE:
        sandbox_parent(place->path, real);
        allow(fence, real, FS_REMOVE_FILE);
        break;
    case SANDBOX_REACH:
        break; /* connecting to a socket is no access to a file */
    case SANDBOX_OPEN:
        allow(fence, place->path, FS_READ_FILE | FS_WRITE_FILE | FS_IOCTL_DEV);
        break;
    }
}

long sandbox_fence_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_FOR_VERSION);
    return version < 0 ? 0 : version;
}

bool sandbox_fence_files(const struct sandbox_plan *plan)
{
    long version = sandbox_fence_version();
    if (version == 0) {
        say_error("this kernel has no Landlock: no fence around files");
        return true;
    }
    const struct ruleset_attributes attributes = {.fs = deniable(version),
                                                  .net = version >= 4 ? NET_BIND_AND_CONNECT : 0,
                                                  .scoped = version >= 6 ? SCOPE_SOCKETS_AND_SIGNALS : 0};
    /* Older kernels take fewer members. */
    size_t members = version >= 6 ? 3 : version >= 4 ? 2 : 1;
    struct fence fence = {
        .fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, members * sizeof(uint64_t), 0),
        .fs = attributes.fs,
    };
    for (size_t i = 0; fence.fd >= 0 && i < plan->count; i++)
        allow_place(&fence, &plan->places[i]);
    bool fenced = fence.fd >= 0 && syscall(SYS_landlock_restrict_self, fence.fd, 0) == 0;
    if (!fenced)
        say_error("cannot fence files in: %s", strerror(errno));
    if (fence.fd >= 0)
        close(fence.fd);
    return fenced;
}
