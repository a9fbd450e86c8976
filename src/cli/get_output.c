/* Where content goes: see get.h. Kept: a file has its name only when it is whole, and a part is gone on with only by what
 * its server said of it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/get.h"

static bool is_regular_or_new(const char *name)
{
    struct stat status;
    return stat(name, &status) != 0 || S_ISREG(status.st_mode);
}

/* The validator is the second line. */
static void read_meta(struct get_output *out)
{
    char line[URL_TEXT_MAX];
    FILE *file = fopen(out->meta, "re");
    out->validator[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(line, sizeof(line), file) != NULL && fgets(out->validator, sizeof(out->validator), file) != NULL)
        out->validator[strcspn(out->validator, "\n")] = '\0';
    fclose(file);
}

bool output_open(struct get_output *out, bool resume)
{
    struct stat status;
    if (out->fd >= 0)
        return true;
    if (out->name == NULL) {
        out->fd = STDOUT_FILENO;
        return true;
    }
    if (!is_regular_or_new(out->name)) {
        out->fd = open(out->name, O_WRONLY | O_CLOEXEC);
        return out->fd >= 0;
    }
    if (asprintf(&out->part, "%s.part", out->name) < 0 || asprintf(&out->meta, "%s.part.meta", out->name) < 0)
        return false;
    out->fd = open(out->part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (out->fd < 0 || flock(out->fd, LOCK_EX | LOCK_NB) != 0 || fstat(out->fd, &status) != 0)
        return false;
    if (resume)
        read_meta(out);
    out->at = out->validator[0] != '\0' ? (uint64_t)status.st_size : 0;
    return out->at > 0 ? lseek(out->fd, 0, SEEK_END) >= 0 : output_restart(out);
}

bool output_write(struct get_output *out, const void *data, size_t len)
{
    for (const char *at = data; len > 0;) {
        ssize_t n = write(out->fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        len -= (size_t)n;
        out->at += (uint64_t)n;
    }
    return true;
}

bool output_takes(const struct get_output *out)
{
    struct pollfd wait = {.fd = out->fd, .events = POLLOUT};
    return out->part != NULL || poll(&wait, 1, 0) != 0;
}

bool output_restart(struct get_output *out)
{
    if (out->at > 0 && out->part == NULL)
        return false;
    out->at = 0;
    out->validator[0] = '\0';
    if (out->part == NULL)
        return true;
    unlink(out->meta);
    return ftruncate(out->fd, 0) == 0 && lseek(out->fd, 0, SEEK_SET) == 0;
}

bool output_remember(struct get_output *out, const char *url, const char *validator)
{
    snprintf(out->validator, sizeof(out->validator), "%s", strlen(validator) < VALIDATOR_TEXT_MAX ? validator : "");
    if (out->meta == NULL || out->validator[0] == '\0')
        return true;
    FILE *file = fopen(out->meta, "we");
    if (file == NULL && errno == ENAMETOOLONG) {
        out->validator[0] = '\0'; /* a name that leaves no room for another beside it: it is fetched as a whole */
        return true;
    }
    if (file == NULL)
        return false;
    bool written = fprintf(file, "%s\n%s\n", url, out->validator) > 0;
    return fclose(file) == 0 && written;
}

bool output_close(struct get_output *out, bool whole)
{
    bool done = true;
    if (out->fd > STDERR_FILENO)
        done = close(out->fd) == 0;
    if (out->part != NULL && out->fd >= 0 && whole && done) {
        done = rename(out->part, out->name) == 0;
        unlink(out->meta);
    } else if (out->part != NULL && out->fd >= 0 && out->at == 0) {
        unlink(out->part);
        unlink(out->meta);
    }
    out->fd = -1;
    free(out->part);
    free(out->meta);
    out->part = out->meta = NULL;
    return done;
}
