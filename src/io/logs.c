/* roam_io_qlog and roam_io_keylog: the endpoint of a loop writes files. */
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "io/loop.h"

static uint64_t unix_epoch_ns(roam_io *io)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ROAM_SECONDS(now.tv_sec) + (uint64_t)now.tv_nsec - roam_io_now(io);
}

static bool make_logs(roam_io *io)
{
    if (io->logs == NULL) {
        io->logs = mem_zalloc(&io->allocator, sizeof(*io->logs));
        if (io->logs != NULL)
            io->logs->keylog.fd = -1;
    }
    return io->logs != NULL;
}

roam_result roam_io_qlog(roam_io *io, const char *directory, enum roam_qlog_names names)
{
    roam_qlog sink;
    if (!make_logs(io))
        return ROAM_ERR_MEMORY;
    /* Logs that are open go on where they are. */
    if (io->logs->has_qlog)
        return ROAM_ERR_STATE;
    roam_result result = qlog_files_init(&io->logs->qlog, &io->allocator, directory, &sink);
    if (result != ROAM_OK)
        return result;
    io->logs->has_qlog = true;
    sink.names = names;
    sink.unix_epoch_ns = unix_epoch_ns(io);
    roam_endpoint_set_qlog(io->endpoint, &sink);
    return ROAM_OK;
}

roam_result roam_io_keylog(roam_io *io, const char *file)
{
    roam_keylog sink;
    if (!make_logs(io))
        return ROAM_ERR_MEMORY;
    if (io->logs->keylog.fd >= 0)
        return ROAM_ERR_STATE;
    roam_result result = keylog_file_open(&io->logs->keylog, file, &sink);
    if (result == ROAM_OK)
        roam_endpoint_set_keylog(io->endpoint, &sink);
    /* Who wants the secrets has a capture, and on this host that would show 64 KB in one. */
    io->one_by_one |= result == ROAM_OK;
    return result;
}

const char *roam_io_log_failure(const roam_io *io)
{
    if (io->logs == NULL)
        return NULL;
    if (io->logs->qlog.failure[0] != '\0')
        return io->logs->qlog.failure;
    return io->logs->keylog.failure[0] != '\0' ? io->logs->keylog.failure : NULL;
}

void io_logs_free(roam_io *io)
{
    if (io->logs == NULL)
        return;
    keylog_file_close(&io->logs->keylog);
    mem_free(&io->allocator, io->logs, sizeof(*io->logs));
    io->logs = NULL;
}
