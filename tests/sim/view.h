/* Who looks on while a world runs: a printed trace, qlogs. Nothing in a world depends on it. */
#ifndef SIM_VIEW_H
#define SIM_VIEW_H

#include <stdio.h>

#include "io/log_files.h"
#include "sim/plot.h"

struct sim_view {
    FILE *print;          /* NULL: nothing is printed */
    const char *qlog_dir; /* NULL: no files */
    bool qlog_to_nobody;  /* qlogs are written, and thrown away */
    const char *plot;     /* the picture that is drawn from them instead; NULL: none */
};

/* The qlogs of one world. */
struct view_qlog {
    struct qlog_files files;
    roam_qlog sink;
    bool on;
    struct plot plot;
    const char *plot_file; /* NULL: none */
    char name[128];
};

/* DIR/NAME/ODCID_client.sqlog and so on; NAME is cut off at the first space. Returns the sink, or NULL: none wanted.
 * Ends the program where the directory cannot be made. */
const roam_qlog *view_qlog_open(struct view_qlog *qlog, const struct sim_view *view, const char *name);
/* Draws the picture, and says what could not be written. */
void view_qlog_close(struct view_qlog *qlog);

#endif
