/* See log_files.h. */
#include "io/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

/* Connections that bear the same original destination CID, by chance or because somebody repeats one. */
#define SAME_NAME_MAX 1000

struct qlog_file {
    struct qlog_files *files;
    int fd;
    off_t size; /* of whole records */
    char path[PATH_MAX + 80];
};

static void note_failure(char failure[LOG_FAILURE_MAX], const char *path)
{
    int error = errno;
    if (failure[0] == '\0')
        snprintf(failure, LOG_FAILURE_MAX, "%.300s: %s", path, strerror(error));
}

/* False, with errno, where not all of it could be written. */
static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- qlog */

/* ODCID_client.sqlog, ODCID_client-2.sqlog, ... */
static int open_numbered(struct qlog_file *file, const char *cid, bool is_server)
{
    const struct qlog_files *files = file->files;
    const char *role = is_server ? "server" : "client";
    for (int n = 1; n <= SAME_NAME_MAX; n++) {
        char number[16] = "";
        if (n > 1)
            snprintf(number, sizeof(number), "-%d", n);
        snprintf(file->path, sizeof(file->path), "%s/%s_%s%s.sqlog", files->directory, cid, role, number);
        int fd = open(file->path, O_WRONLY | O_CREAT | O_CLOEXEC | (files->replace ? O_TRUNC : O_EXCL), 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static void *on_open(void *context, const roam_cid *original_dcid, bool is_server)
{
    struct qlog_files *files = context;
    char cid[ROAM_CID_TEXT_MAX];
    struct qlog_file *file = mem_zalloc(&files->allocator, sizeof(*file));
    if (file == NULL)
        return NULL;
    file->files = files;
    file->fd = open_numbered(file, roam_cid_format(original_dcid, cid), is_server);
    if (file->fd >= 0)
        return file;
    note_failure(files->failure, file->path);
    mem_free(&files->allocator, file, sizeof(*file));
    return NULL;
}

static bool on_write(void *context, void *log, const char *text, size_t len)
{
    struct qlog_files *files = context;
    struct qlog_file *file = log;
    if (write_all(file->fd, text, len)) {
        file->size += (off_t)len;
        return true;
    }
    note_failure(files->failure, file->path);
    /* Half a record would spoil the file for those who read it. What is no regular file keeps what it has. */
    if (ftruncate(file->fd, file->size) != 0)
        return false;
    return false;
}

static void on_close(void *context, void *log)
{
    struct qlog_files *files = context;
    struct qlog_file *file = log;
    if (close(file->fd) != 0)
        note_failure(files->failure, file->path);
    mem_free(&files->allocator, file, sizeof(*file));
}

roam_result qlog_files_init(struct qlog_files *files, const roam_allocator *allocator, const char *directory,
                            roam_qlog *ret)
{
    struct stat status;
    if (strlen(directory) >= sizeof(files->directory)) {
        errno = ENAMETOOLONG;
        return ROAM_ERR_SYSTEM;
    }
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return ROAM_ERR_SYSTEM;
    if (stat(directory, &status) != 0)
        return ROAM_ERR_SYSTEM;
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return ROAM_ERR_SYSTEM;
    }
    if (access(directory, W_OK | X_OK) != 0)
        return ROAM_ERR_SYSTEM;
    memset(files, 0, sizeof(*files));
    files->allocator = *allocator;
    strcpy(files->directory, directory);
    *ret = (roam_qlog){.open = on_open, .write = on_write, .close = on_close, .context = files};
    return ROAM_OK;
}

/* ---- Secrets */

/* One write for each line, so that several programs may append to one file. */
static void on_secret(void *context, const char *line)
{
    struct keylog_file *file = context;
    char text[ROAM_KEYLOG_LINE_MAX + 1];
    int len = snprintf(text, sizeof(text), "%s\n", line);
    if (len > 0 && (size_t)len < sizeof(text) && !write_all(file->fd, text, (size_t)len))
        note_failure(file->failure, file->path);
}

roam_result keylog_file_open(struct keylog_file *file, const char *path, roam_keylog *ret)
{
    if (strlen(path) >= sizeof(file->path)) {
        errno = ENAMETOOLONG;
        return ROAM_ERR_SYSTEM;
    }
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return ROAM_ERR_SYSTEM;
    file->fd = fd;
    strcpy(file->path, path);
    file->failure[0] = '\0';
    *ret = (roam_keylog){.write = on_secret, .context = file};
    return ROAM_OK;
}

void keylog_file_close(struct keylog_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}
