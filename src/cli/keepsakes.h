/* What a client keeps of its servers by --token-file and --session-file. */
#ifndef CLI_KEEPSAKES_H
#define CLI_KEEPSAKES_H

#include "cli/cli.h"

/* Puts what the files have for this server into the configuration, until the next call. `name` is what its certificate
 * bears. False where a file cannot be used, which has been said. */
bool keepsakes_take(const struct net_options *options, const char *name, uint16_t port, roam_config *config);

/* Keeps what the event has brought; what tells of something else is left alone. */
void keepsakes_keep(const struct net_options *options, const char *name, uint16_t port, const roam_event *event);

/* Whether a client that has all it wants stays for the session that it is to keep: a server's tickets may come behind its
 * answers. Not for longer than a few round trips after `since`, for some have none. */
bool keepsakes_are_awaited(const struct net_options *options, const roam_conn *conn, bool has_session, roam_time since,
                           roam_time now);

#endif
