/* A directory, and the files below it and nowhere else. */
#ifndef CLI_FILE_ROOT_H
#define CLI_FILE_ROOT_H

#include <sys/stat.h>

/* Opens `name` ("" for the root itself; of request_path_decode) below the directory `root`, to be read, and never leaves
 * it, whatever symbolic links say. -1 with errno: ENOENT, EACCES for what is neither a regular file nor a directory,
 * EMFILE, ... */
int file_root_open(int root, const char *name, struct stat *ret);

#endif
