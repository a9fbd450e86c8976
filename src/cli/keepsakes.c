/* See keepsakes.h; the files are those of keep_file.h. */
#include "cli/keepsakes.h"

#include <errno.h>
#include <string.h>

#include "cli/keep_file.h"

#define SESSION_RTTS  3
#define SESSION_GRACE ROAM_MILLISECONDS(50)

static const char *file_of(const struct net_options *options, enum keepsake what)
{
    return what == KEEP_TOKEN ? options->token_file : options->session_file;
}

static bool take(const struct net_options *options, enum keepsake what, const char *name, uint16_t port,
                 uint8_t *buffer, const uint8_t **ret, size_t *ret_len)
{
    const char *file = file_of(options, what);
    ptrdiff_t len = file != NULL ? keep_file_take(file, what, name, port, buffer) : 0;
    if (len < 0) {
        say_error("cannot use %s: %s", file, strerror(errno));
        return false;
    }
    *ret = len > 0 ? buffer : NULL;
    *ret_len = (size_t)len;
    return true;
}

bool keepsakes_take(const struct net_options *options, const char *name, uint16_t port, roam_config *config)
{
    static uint8_t token[KEEP_TOKEN_BYTES_MAX], session[KEEP_SESSION_BYTES_MAX];
    return take(options, KEEP_TOKEN, name, port, token, &config->token, &config->token_bytes) &&
           take(options, KEEP_SESSION, name, port, session, &config->session, &config->session_bytes);
}

void keepsakes_keep(const struct net_options *options, const char *name, uint16_t port, const roam_event *event)
{
    if (event->type != ROAM_EVENT_NEW_TOKEN && event->type != ROAM_EVENT_NEW_SESSION)
        return;
    enum keepsake what = event->type == ROAM_EVENT_NEW_TOKEN ? KEEP_TOKEN : KEEP_SESSION;
    const char *file = file_of(options, what);
    if (file != NULL && !keep_file_put(file, what, name, port, event->token, event->token_bytes))
        say_error("cannot write to %s: %s", file, strerror(errno));
}

bool keepsakes_are_awaited(const struct net_options *options, const roam_conn *conn, bool has_session, roam_time since,
                           roam_time now)
{
    roam_path_info path;
    return options->session_file != NULL && !has_session && roam_conn_paths(conn, &path, 1) >= 1 &&
           now - since < SESSION_RTTS * path.smoothed_rtt + SESSION_GRACE;
}
