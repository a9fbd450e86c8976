/* A qlog of which each record must be JSON, on a disk that may be full now and then. */
#ifndef FUZZ_CHECKED_LOG_H
#define FUZZ_CHECKED_LOG_H

#include <stdlib.h>
#include <string.h>

#include <roam/log.h>

#include "unit/json_check.h"

struct checked_log {
    size_t refuse_every; /* the n-th write is refused; 0: none */
    size_t writes;
};

static inline void *checked_log_open(void *context, const roam_cid *original_dcid, bool is_server)
{
    (void)original_dcid, (void)is_server;
    return context;
}

static inline bool checked_log_write(void *context, void *log, const char *text, size_t len)
{
    struct checked_log *checked = context;
    (void)log;
    for (const char *at = text, *end; at < text + len; at = end + 1) {
        end = (const char *)memchr(at, '\n', (size_t)(text + len - at));
        if (end == NULL || *at != 0x1e || !json_is_valid(at + 1, (size_t)(end - at - 1)))
            abort();
    }
    return checked->refuse_every == 0 || ++checked->writes % checked->refuse_every != 0;
}

static inline void checked_log_close(void *context, void *log)
{
    (void)context, (void)log;
}

static inline roam_qlog checked_log_sink(struct checked_log *log, enum roam_qlog_names names)
{
    return (roam_qlog){.open = checked_log_open,
                       .write = checked_log_write,
                       .close = checked_log_close,
                       .context = log,
                       .names = names};
}

#endif
