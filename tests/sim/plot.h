/*
 * A picture of what congestion control does: window and octets in flight, RTT, delivery rate over time, drawn from
 * nothing but the qlogs of a run. plot.c reads their records as they are written and keeps what was so in each
 * hundredth of a second; plot_svg.c draws it.
 *
 * Of the logs that a run leaves, those are drawn that send most; of several worlds in one run, the first.
 */
#ifndef SIM_PLOT_H
#define SIM_PLOT_H

#include <stdio.h>

#include <roam/log.h>

#define PLOT_FLOWS_MAX 4
#define PLOT_BIN       ROAM_MILLISECONDS(10)

/* What was so at the end of a bin, and what happened in it. */
struct plot_bin {
    double window, in_flight;      /* octets */
    double smoothed_ms, latest_ms; /* latest_ms: the longest in it */
    double pacing;                 /* bits a second; 0: not said */
    double delivered;              /* octets acknowledged */
    unsigned lost;                 /* packets */
};

struct plot_flow {
    struct plot_flow *next;
    char controller[16];
    struct plot_bin *bins; /* from the world's first record on */
    size_t count, capacity;
    struct plot_bin now;                 /* what was said last */
    uint32_t *sizes;                     /* of 1-RTT packets by number: 0 where settled, or never sent */
    uint64_t sent, capacity_sent, floor; /* numbers below are settled */
    uint64_t octets;                     /* sent, in all */
};

struct plot {
    roam_qlog sink;
    struct plot_flow *flows; /* the newest first */
    double first_ms, last_ms;
    bool over; /* another world has begun */
};

void plot_init(struct plot *plot);
void plot_done(struct plot *plot);

/* plot_svg.c. False where the file cannot be written. */
bool plot_write(const struct plot *plot, const char *path, const char *title);

#endif
