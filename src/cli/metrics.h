/*
 * Metrics for Prometheus: counters of the endpoint, and what its events tell, in the text format 0.0.4, over HTTP.
 *   metrics.c       what is counted, and the text
 *   metrics_http.c  GET /metrics, by libmicrohttpd on the server's own loop
 */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include "cli/cli.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* How a move looks to a server. */
enum metrics_move {
    METRICS_MOVE_PORT,    /* another port of the same host: a NAT forgot its mapping */
    METRICS_MOVE_ADDRESS, /* another host address: another network */
    METRICS_MOVE_LOCAL,   /* the client is where it was, and speaks to another address of ours */
    METRICS_MOVES
};

enum metrics_outcome { METRICS_BEGUN, METRICS_SETTLED, METRICS_REVERTED, METRICS_OUTCOMES };

/* Upper bounds in metrics.c, and one more bucket for what is above them all. */
#define METRICS_BUCKETS 14

struct metrics_histogram {
    uint64_t buckets[METRICS_BUCKETS]; /* each for itself; they are summed when told */
    uint64_t count;
    double sum; /* seconds */
};

struct metrics {
    roam_io *io;
    uint64_t moves[METRICS_MOVES][METRICS_OUTCOMES];
    uint64_t closed[ROAM_CLOSE_CAUSES];
    struct metrics_histogram validation, gap;
};

void metrics_on_event(struct metrics *metrics, const roam_event *event);

/* To be freed by the caller; NULL without memory. */
char *metrics_text(struct metrics *metrics, size_t *ret_len);

/* ---- metrics_http.c */

struct metrics_http;

/* NULL, which has been said, where nothing can be had there: only loopback addresses are taken. */
struct metrics_http *metrics_http_start(struct metrics *metrics, const roam_address *address);
/* Before the loop is settled. NULL is allowed. */
void metrics_http_stop(struct metrics_http *http);

#endif
