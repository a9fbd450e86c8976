/* See view.h. */
#include "sim/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void *nobody_opens(void *context, const roam_cid *original_dcid, bool is_server)
{
    (void)original_dcid, (void)is_server;
    return context;
}

static bool nobody_writes(void *context, void *log, const char *text, size_t len)
{
    (void)context, (void)log, (void)text, (void)len;
    return true;
}

static void nobody_closes(void *context, void *log)
{
    (void)context, (void)log;
}

const roam_qlog *view_qlog_open(struct view_qlog *qlog, const struct sim_view *view, const char *name)
{
    memset(qlog, 0, sizeof(*qlog));
    if (view != NULL && view->qlog_to_nobody) {
        qlog->sink = (roam_qlog){.open = nobody_opens, .write = nobody_writes, .close = nobody_closes, .context = qlog};
        return &qlog->sink;
    }
    if (view != NULL && view->plot != NULL) {
        plot_init(&qlog->plot);
        qlog->plot_file = view->plot;
        snprintf(qlog->name, sizeof(qlog->name), "%s", name);
        return &qlog->plot.sink;
    }
    if (view == NULL || view->qlog_dir == NULL)
        return NULL;
    char directory[PATH_MAX];
    const roam_allocator allocator = roam_allocator_default();
    snprintf(directory, sizeof(directory), "%s/%.*s", view->qlog_dir, (int)strcspn(name, " "), name);
    mkdir(view->qlog_dir, 0777);
    if (qlog_files_init(&qlog->files, &allocator, directory, &qlog->sink) != ROAM_OK) {
        fprintf(stderr, "roam-sim: cannot write qlogs to %s: %s\n", directory, strerror(errno));
        exit(3);
    }
    qlog->files.replace = true;
    qlog->on = true;
    return &qlog->sink;
}

void view_qlog_close(struct view_qlog *qlog)
{
    if (qlog->plot_file != NULL) {
        if (!plot_write(&qlog->plot, qlog->plot_file, qlog->name))
            fprintf(stderr, "roam-sim: cannot write %s: %s\n", qlog->plot_file, strerror(errno));
        plot_done(&qlog->plot);
    }
    if (qlog->on && qlog->files.failure[0] != '\0')
        fprintf(stderr, "roam-sim: a qlog was cut short: %s\n", qlog->files.failure);
}
