/* What the connections of `roam check` leave behind where that is asked for: qlogs, and their secrets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/check.h"

static bool complain(const char *what, const char *where)
{
    say_error("cannot write %s %s: %s", what, where, strerror(errno));
    return false;
}

/* What the Unix clock shows when ours is 0. */
static uint64_t unix_epoch_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ROAM_SECONDS(now.tv_sec) + (roam_time)now.tv_nsec - check_now();
}

bool check_logs_open(struct check_logs *logs, const struct net_options *options)
{
    const roam_allocator allocator = roam_allocator_default();
    const char *directory = options->qlog != NULL ? options->qlog : secure_getenv("QLOGDIR");
    const char *secrets = secure_getenv("SSLKEYLOGFILE");
    logs->secrets.fd = -1;
    if (directory != NULL && directory[0] != '\0') {
        if (qlog_files_init(&logs->files, &allocator, directory, &logs->qlog) != ROAM_OK)
            return complain("qlogs to", directory);
        logs->qlog.names = options->qlog_latest ? ROAM_QLOG_NAMES_LATEST : ROAM_QLOG_NAMES_QVIS;
        logs->qlog.unix_epoch_ns = unix_epoch_ns();
    }
    if (secrets != NULL && secrets[0] != '\0' && keylog_file_open(&logs->secrets, secrets, &logs->keylog) != ROAM_OK)
        return complain("secrets to", secrets);
    return true;
}

void check_logs_attach(const struct check_logs *logs, roam_endpoint *endpoint)
{
    if (logs->qlog.write != NULL)
        roam_endpoint_set_qlog(endpoint, &logs->qlog);
    if (logs->keylog.write != NULL)
        roam_endpoint_set_keylog(endpoint, &logs->keylog);
}

bool check_logs_close(struct check_logs *logs)
{
    const char *failure = logs->files.failure[0] != '\0' ? logs->files.failure : logs->secrets.failure;
    if (logs->secrets.fd >= 0)
        keylog_file_close(&logs->secrets);
    if (failure[0] != '\0')
        say_error("a log was cut short: %s", failure);
    return failure[0] == '\0';
}
