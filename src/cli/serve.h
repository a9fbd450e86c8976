/* What the parts of `roam serve` share: HTTP/3 on QUIC, HTTP/1.1 on TCP, the same files. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include <roam/h3.h>

#include "cli/access_log.h"
#include "cli/cli.h"
#include "cli/file_response.h"
#include "cli/places.h"
#include "cli/watch.h"

/* Fields of a request beyond this, counted as RFC 9114 section 4.2.2 does, are answered with 431. */
#define SERVE_FIELDS_BYTES_MAX (16 * 1024)

struct serve_tcp; /* the listener on TCP */

struct serve_options {
    struct net_options net; /* first: options of other commands have their places in it */
    bool listings, no_tcp;
    struct text_list certs, keys;
    const char *directory, *access_log;
    roam_time grace;
};

struct server {
    struct serve_options options;
    roam_io *io;
    struct file_site site;
    int log_fd;     /* -1: none. Where it leads changes, its number does not: threads write there */
    uint8_t *chunk; /* what is being read from a file */
    struct signals signals;
    uv_signal_t hangup;
    uv_timer_t timer;       /* while we go */
    struct serve_h3 *first; /* connections */
    roam_time going_since;  /* 0: we stay */
    roam_time started;
    roam_credentials *credentials;
    struct serve_tcp *tcp;
    struct watch *watch;
};

/* ---- serve_h3.c */

/* Takes an event of the endpoint. */
void serve_h3_on_event(struct server *server, const roam_event *event);
/* Sends GOAWAY to all: the first time that we will go, the second time that we are gone. */
void serve_h3_go_away(struct server *server);
/* Closes what has nothing left to do, or everything; true where nothing is left. */
bool serve_h3_close(struct server *server, bool everything);

/* ---- serve_tcp.c */

/* HTTPS/1.1 at the same places: listens there. NULL, with the reason said. */
struct serve_tcp *serve_tcp_open(struct server *server, const struct places *places);
/* Begins to answer, in threads of its own. False, with the reason said. */
bool serve_tcp_start(struct serve_tcp *tcp);
/* For connections from now on. */
void serve_tcp_set_credentials(struct serve_tcp *tcp, roam_credentials *credentials);
/* Takes no new connections, and ends those that there are with their next answer. */
void serve_tcp_quiesce(struct serve_tcp *tcp);
/* True where no answer is on its way. */
bool serve_tcp_idle(struct serve_tcp *tcp);
/* NULL is allowed. */
void serve_tcp_stop(struct serve_tcp *tcp);

#endif
