/*
 * The live table as a page, over HTTP/3, in the process of the server that it shows (docs/dashboard.md).
 *   dashboard.c        the endpoint, its connections, who is let in, what is answered
 *   dashboard_relay.c  a stream of the page's and the connection to the control socket that stands behind it
 *
 * The page itself stands in dashboard/, and in the program as tools/embed puts it there.
 */
#ifndef CLI_DASHBOARD_H
#define CLI_DASHBOARD_H

#include <roam/h3.h>
#include <uv.h>

#include "cli/cli.h"

/* Octets of a token, in hexadecimal; what is made has so many. */
#define DASHBOARD_TOKEN_BYTES 16
#define DASHBOARD_TOKEN_MAX   256

/* Pages that are open at once, and connections of browsers. */
#define DASHBOARD_RELAYS_MAX 16

struct dashboard_options {
    const char *address;           /* [ADDR]:PORT */
    const char *token;             /* NULL: none on loopback, one that is made elsewhere */
    const char *control_path;      /* of this very process */
    roam_credentials *credentials; /* kept by whoever starts it; NULL: a certificate is made */
};

struct dashboard;

/* On the loop of `io`. Says where the page is. NULL, which has been said. */
struct dashboard *dashboard_start(roam_io *io, const struct dashboard_options *options);
/* NULL is allowed. */
void dashboard_stop(struct dashboard *dashboard);

/* ---- dashboard_relay.c */

enum dashboard_relay_kind {
    RELAY_LIVE,      /* rows once a second, and events */
    RELAY_CONNECTION /* one connection, once */
};

struct dashboard_relay;

/* Answers the request: 200 and lines of JSON, or an error. The relay is the stream's user pointer. False where no more are
 * to be had: nothing was answered. `cid`: RELAY_CONNECTION, in hexadecimal. */
bool dashboard_relay_start(struct dashboard_relay **list, uv_loop_t *loop, const char *control_path, roam_h3 *h3,
                           uint64_t stream_id, enum dashboard_relay_kind kind, const char *cid);
/* The stream takes more. */
void dashboard_relay_on_writable(struct dashboard_relay *relay);
/* The stream is gone. */
void dashboard_relay_stop(struct dashboard_relay *relay);
/* All streams of that connection are; NULL: of all. */
void dashboard_relays_stop(struct dashboard_relay **list, const roam_h3 *h3);

/* A response's fields that are the same for all of them. */
#define DASHBOARD_FIELD(field_name, text)                                                                              \
    {                                                                                                                  \
        .name = (field_name), .value = (text), .name_len = sizeof(field_name) - 1, .value_len = sizeof(text) - 1       \
    }

#endif
