/* One connection with one stream on it, from its first event to an exit status. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/pipe.h"

/* Application error codes of ours. */
enum { SESSION_CODE_OK = 0, SESSION_CODE_LOCAL = 1, SESSION_CODE_INTERRUPTED = 2, SESSION_CODE_BUSY = 3 };

struct session {
    roam_io *io;
    roam_conn *conn;
    const struct net_options *options;
    struct signals *signals;
    struct pipe pipe;
    char peer[320]; /* how messages call the other side */
    roam_time started, connected;
    bool peer_closes;  /* we are the side that the other one says goodbye to */
    roam_time done_at; /* when all was done, 0 before */
    uv_timer_t patience;
    bool closed; /* ROAM_EVENT_CLOSED came */
    roam_error error;
    roam_conn_stats stats;
    const char *early; /* what became of early data */
    unsigned handshakes;
    uint64_t moves; /* that we made, at a client; that the peer made, at a server */
    uv_timer_t progress;
    bool progress_shown;
};

/* False, with errno: standard input or output cannot be used. */
bool session_init(struct session *session, roam_io *io, const struct net_options *options, struct signals *signals,
                  int in_fd, int out_fd);
/* Takes an event of session->conn. */
void session_on_event(struct session *session, const roam_event *event);
/* True where there is nothing left to wait for. */
bool session_is_over(struct session *session);
/* Closes the connection, says what is to be said, and returns the exit status. */
int session_end(struct session *session);

/* What became of the connection's early data: "no", "offered", "accepted" or "rejected". */
const char *early_data_name(const roam_conn *conn);

#endif
