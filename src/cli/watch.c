/* See watch.h: the control socket and the metrics of one server. */
#include "cli/watch.h"

#include <stdlib.h>

#include "cli/control.h"
#include "cli/metrics.h"

struct watch {
    roam_io *io;
    struct metrics metrics;
    struct control *control;   /* NULL: none */
    struct metrics_http *http; /* NULL: none */
};

struct watch *watch_start(roam_io *io, const struct watch_options *options, const char *command)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        say_error("no memory");
        return NULL;
    }
    watch->io = io;
    watch->metrics.io = io;
    if (options->control != NULL || !options->no_control)
        watch->control = control_start(io, options->control, command, &watch->metrics);
    bool fine = options->control == NULL || watch->control != NULL;
    if (fine && roam_address_is_set(&options->metrics)) {
        watch->http = metrics_http_start(&watch->metrics, &options->metrics);
        fine = watch->http != NULL;
    }
    if (fine)
        return watch;
    watch_stop(watch);
    return NULL;
}

bool watch_next(struct watch *watch, roam_event *ret, roam_time timeout)
{
    if (!roam_io_next(watch->io, ret, timeout))
        return false;
    metrics_on_event(&watch->metrics, ret);
    if (watch->control != NULL)
        control_on_event(watch->control, ret);
    return true;
}

void watch_stop(struct watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->control != NULL)
        control_stop(watch->control);
    metrics_http_stop(watch->http);
    free(watch);
}
