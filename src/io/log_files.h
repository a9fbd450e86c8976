/*
 * Where logs of connections go on a file system: one file for each qlog, one for all secrets. Kept: a file of an
 * earlier connection is never written over unless asked for; a qlog whose file takes no more ends with a whole record;
 * secrets are readable for nobody else.
 */
#ifndef IO_LOG_FILES_H
#define IO_LOG_FILES_H

#include <limits.h>

#include <roam/log.h>
#include <roam/roam.h>

#define LOG_FAILURE_MAX 512

struct qlog_files {
    roam_allocator allocator;
    char directory[PATH_MAX];
    bool replace;                  /* a file of the same name is written anew */
    char failure[LOG_FAILURE_MAX]; /* the first that went wrong: "FILE: No space left on device"; "" */
};

/* Makes the directory where it is missing (not those above it). ROAM_ERR_SYSTEM with errno where logs cannot be written
 * there. *ret is a sink that lasts as long as `files`, names and epoch for the caller to choose. */
roam_result qlog_files_init(struct qlog_files *files, const roam_allocator *allocator, const char *directory,
                            roam_qlog *ret);

struct keylog_file {
    int fd; /* -1: none */
    char path[PATH_MAX];
    char failure[LOG_FAILURE_MAX]; /* as above */
};

/* Opens `path` to be appended to, and makes it, for nobody else to read, where it is missing. ROAM_ERR_SYSTEM with
 * errno. */
roam_result keylog_file_open(struct keylog_file *file, const char *path, roam_keylog *ret);
void keylog_file_close(struct keylog_file *file);

#endif
