/*
 * What a server gives up once it has started: being root, capabilities, all files but those that it serves and writes,
 * executing anything, and system calls that none of its code makes (docs/hardening.md).
 *
 *   sandbox.c           what is to stay possible, and the order of giving up
 *   sandbox_user.c      root becomes somebody else
 *   sandbox_landlock.c  files, and TCP connections of our own
 *   sandbox_seccomp.c   system calls
 */
#ifndef CLI_SANDBOX_H
#define CLI_SANDBOX_H

#include "cli/cli.h"

/* What is done with a path after the start. */
enum sandbox_use {
    SANDBOX_SERVE,   /* everything below this directory is read */
    SANDBOX_REREAD,  /* this file is opened again by its name, which may lead to another one by then */
    SANDBOX_REWRITE, /* likewise, to append to it */
    SANDBOX_FILL,    /* new files are made in this directory */
    SANDBOX_REMOVE,  /* this socket is removed at the end */
    SANDBOX_LEAVE,   /* likewise, if whoever we are then may */
    SANDBOX_REACH,   /* this socket is connected to */
    SANDBOX_OPEN,    /* this device is opened, if it can be */
};

struct sandbox_place {
    enum sandbox_use use;
    const char *path;
};

struct sandbox_plan {
    struct sandbox_place *places;
    size_t count, capacity;
    bool no_memory;
};

/* Of a command whose values are `structure`, with its struct sandbox_options at `member`. */
#define SANDBOX_OPTIONS(structure, member)                                                                             \
    {"user",      0,                                                                                                   \
     OPTION_TEXT, offsetof(structure, member.user),                                                                    \
     "NAME",      "whom root becomes once it listens (roam or nobody, if they may use what this serves)"},             \
    {                                                                                                                  \
        "no-sandbox", 0, OPTION_FLAG, offsetof(structure, member.off), NULL,                                           \
            "keep rights, files and system calls that are not needed any more"                                         \
    }

/* The path, which may be NULL, is not copied. */
void sandbox_want(struct sandbox_plan *plan, enum sandbox_use use, const char *path);
void sandbox_plan_done(struct sandbox_plan *plan);

/* To be called when everything is open and before there is a second thread. False where what was asked for cannot be,
 * which has been said; what the kernel lacks is said, too, and no reason to stop. */
bool sandbox_enter(const struct sandbox_options *options, const struct sandbox_plan *plan);

/* For a server: enters with what every one of them goes on doing added to the plan, and frees the plan. `control` is the
 * path of its control socket, NULL for none. */
bool sandbox_enter_server(struct sandbox_plan *plan, const struct net_options *options, const char *control);

/* ---- The parts, in the order in which they are called */

bool sandbox_become(const char *user, const struct sandbox_plan *plan);
/* 0 where the kernel has no Landlock. */
long sandbox_fence_version(void);
bool sandbox_fence_files(const struct sandbox_plan *plan);
bool sandbox_limit_calls(void);

/* The directory in which the path's last name stands; ret has PATH_MAX octets. */
void sandbox_parent(const char *path, char *ret);

#endif
