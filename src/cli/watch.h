/*
 * What lets a server be watched: the control socket (docs/control.md), which whoever watches asks, the dashboard
 * (docs/dashboard.md), and metrics for Prometheus. A server takes its events by watch_next instead of roam_io_next, and that is all.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/cli.h"

struct watch;

/* Of a command whose values are `structure`, with its struct watch_options at `member`. */
#define WATCH_OPTIONS(structure, member)                                                                               \
    {"control",   0,                                                                                                   \
     OPTION_TEXT, offsetof(structure, member.control),                                                                 \
     "PATH",      "socket to be watched by (roam/PID.sock in the user's runtime directory)"},                          \
        {"no-control", 0, OPTION_FLAG, offsetof(structure, member.no_control), NULL, "have none"},                     \
        {"dashboard",   0,                                                                                             \
         OPTION_TEXT,   offsetof(structure, member.dashboard),                                                         \
         "[ADDR:]PORT", "a page that shows the live table, over HTTP/3 (on loopback)"},                                \
        {"dashboard-token",                                                                                            \
         0,                                                                                                            \
         OPTION_TEXT,                                                                                                  \
         offsetof(structure, member.dashboard_token),                                                                  \
         "TEXT",                                                                                                       \
         "what its readers must know (elsewhere than on loopback one is made)"},                                       \
    {                                                                                                                  \
        "metrics", 0, OPTION_ADDRESS, offsetof(structure, member.metrics), "ADDR:PORT",                                \
            "metrics for Prometheus over HTTP, on a loopback address"                                                  \
    }

/* Starts what the options ask for; `command` is how watchers call the server, `credentials` what the dashboard shows
 * itself with (NULL: a certificate is made). NULL where that cannot be, which has been
 * said: a default socket that cannot be had is said too, and no reason to stop. */
struct watch *watch_start(roam_io *io, const struct watch_options *options, const char *command,
                          roam_credentials *credentials);

/* Of the control socket; NULL where there is none. */
const char *watch_control_path(const struct watch *watch);

/* roam_io_next, and whoever watches hears of the event. */
bool watch_next(struct watch *watch, roam_event *ret, roam_time timeout);

/* Before the loop is settled (settle_handles) and `io` is freed. NULL is allowed. */
void watch_stop(struct watch *watch);

#endif
