/* See watch.h: the control socket, the metrics and the dashboard of one server. */
#include "cli/watch.h"

#include <stdlib.h>

#include "cli/control.h"
#include "cli/dashboard.h"
#include "cli/metrics.h"

struct watch {
    roam_io *io;
    struct metrics metrics;
    struct control *control;     /* NULL: none */
    struct metrics_http *http;   /* NULL: none */
    struct dashboard *dashboard; /* NULL: none */
};

/* It asks by the control socket, as anybody else. */
static bool start_dashboard(struct watch *watch, const struct watch_options *options, roam_credentials *credentials)
{
    if (watch->control == NULL) {
        say_error("the dashboard shows what the control socket tells, and there is none");
        return false;
    }
    const struct dashboard_options asked = {.address = options->dashboard,
                                            .token = options->dashboard_token,
                                            .control_path = watch->control->path,
                                            .credentials = credentials};
    watch->dashboard = dashboard_start(watch->io, &asked);
    return watch->dashboard != NULL;
}

struct watch *watch_start(roam_io *io, const struct watch_options *options, const char *command,
                          roam_credentials *credentials)
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
    if (fine && options->dashboard != NULL)
        fine = start_dashboard(watch, options, credentials);
    if (fine)
        return watch;
    watch_stop(watch);
    return NULL;
}

const char *watch_control_path(const struct watch *watch)
{
    return watch->control != NULL ? watch->control->path : NULL;
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
    dashboard_stop(watch->dashboard);
    if (watch->control != NULL)
        control_stop(watch->control);
    metrics_http_stop(watch->http);
    free(watch);
}
