/* Where control sockets are: see docs/control.md. */
#ifndef CLI_CONTROL_PATH_H
#define CLI_CONTROL_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

/* As many octets as the address of a Unix socket has room for, the NUL included. */
#define CONTROL_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

/* roam/PID.sock in the user's runtime directory; the directory is made where it is missing. False, which has been said,
 * where it is not to be had, or open to others. */
bool control_default_path(char ret[CONTROL_PATH_MAX]);

/* Binds a socket there, with mode 0600, in place of one that nobody listens on any more. Its descriptor, or -1, which has
 * been said. */
int control_bind(const char *path);

/* A connection to it, or -1 with errno. */
int control_connect(const char *path);

/* What a user calls a server: a path, or the number of a process. */
bool control_path_of(const char *name, char ret[CONTROL_PATH_MAX]);

#endif
