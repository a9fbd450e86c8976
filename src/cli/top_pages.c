/* The page of one connection, and the help: see top_screen.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/minmax.h"
#include "cli/cli.h"
#include "cli/top_screen.h"

#define SUMMARY_LINES 4

/* ---- The connection */

static void draw_summary(const struct top_detail *detail)
{
    const struct top_row *row = &detail->row;
    char age[TOP_CELL_MAX], rtt[TOP_CELL_MAX], window[TOP_CELL_MAX], in[TOP_CELL_MAX], out[TOP_CELL_MAX];
    char in_rate[TOP_CELL_MAX], out_rate[TOP_CELL_MAX], again[TOP_CELL_MAX];
    top_put_line(0, detail->gone ? TOP_LOOK_NOTE : TOP_LOOK_PLAIN, "connection %s  id %s%s", row->cid, row->key,
                 detail->gone ? "  GONE" : "");
    top_put_line(1, TOP_LOOK_PLAIN, "address %s%s%s  local %s  %s", row->address,
                 row->claimed[0] != '\0' ? " claims " : "", row->claimed, row->local, row->state);
    top_put_line(2, TOP_LOOK_PLAIN, "age %s  RTT %s  window %s  in %s (%s/s)  out %s (%s/s)  moves %" PRIu64,
                 top_ago_text(row->age_ms, age), top_span_text(row->rtt_ms, rtt),
                 top_amount_text((double)row->window, window), top_amount_text((double)row->in, in),
                 top_amount_text(row->rates.in, in_rate), top_amount_text((double)row->out, out),
                 top_amount_text(row->rates.out, out_rate), row->moves);
    top_put_line(3, TOP_LOOK_PLAIN, "packets in %" PRIu64 " out %" PRIu64 " lost %" PRIu64 "  %s octets again  %s  %s",
                 detail->packets_received, detail->packets_sent, detail->packets_lost,
                 top_amount_text((double)detail->resent, again), row->alpn, detail->cipher);
}

static int remote_width(const struct top_detail *detail)
{
    size_t width = 21;
    for (size_t i = 0; i < detail->path_count; i++)
        width = max_size(width, strlen(detail->paths[i].remote));
    return (int)width;
}

/* Paths in `lines` lines, of which the first is the title. */
static int draw_paths(const struct top_detail *detail, int y, size_t lines)
{
    const int width = remote_width(detail);
    top_put_line(y++, TOP_LOOK_TITLE, " PATHS %-10s %-*s %6s %5s %5s %6s %5s  %-10s %s", "STATE", width, "REMOTE",
                 "RTT", "IN", "OUT", "WINDOW", "OCTETS", "ECN", "LOCAL");
    for (size_t i = 0; i < detail->path_count && i + 1 < lines; i++) {
        const struct top_path *path = &detail->paths[i];
        char rtt[TOP_CELL_MAX], in[TOP_CELL_MAX], out[TOP_CELL_MAX], window[TOP_CELL_MAX];
        top_put_line(y++, TOP_LOOK_PLAIN, " %c%4" PRIu64 " %-10s %-*s %6s %5s %5s %6s %6" PRIu64 "  %-10s %s",
                     path->active ? '*' : ' ', path->id, path->state, width, path->remote,
                     path->rtt_ms > 0 ? top_span_text(path->rtt_ms, rtt) : "-", top_amount_text((double)path->in, in),
                     top_amount_text((double)path->out, out), top_amount_text((double)path->window, window),
                     path->datagram_bytes, path->ecn, path->local);
    }
    return y;
}

static char mark_of(const struct top_cid *cid)
{
    return cid->retiring ? '-' : cid->in_use ? '*' : cid->used ? '+' : ' ';
}

/* One side's, as many to a line as it has room for; the line behind the last. */
static int draw_cids_of(const struct top_detail *detail, bool peers, int y, int end)
{
    static const unsigned label = 8;
    unsigned x = label;
    bool any = false;
    for (size_t i = 0; i < detail->cid_count && y < end; i++) {
        const struct top_cid *cid = &detail->cids[i];
        char text[TOP_CELL_MAX];
        if (cid->peers != peers)
            continue;
        snprintf(text, sizeof(text), "%" PRIu64 ":%s%c", cid->sequence, cid->cid[0] != '\0' ? cid->cid : "(empty)",
                 mark_of(cid));
        const unsigned width = (unsigned)strlen(text) + 1;
        if (x > label && x + width > top_width()) {
            x = label;
            if (++y >= end)
                return y;
        }
        if (!any)
            top_put(y, 1, label - 1, TOP_LOOK_PLAIN, peers ? "peer" : "server");
        any = true;
        top_put(y, x, width, cid->in_use ? TOP_LOOK_CHOSEN : TOP_LOOK_PLAIN, text);
        x += width;
    }
    return any && y < end ? y + 1 : y;
}

static int draw_cids(const struct top_detail *detail, int y, size_t lines)
{
    const int end = y + (int)lines;
    top_put_line(y++, TOP_LOOK_TITLE, " CIDS  * in use  + used  - retiring");
    y = draw_cids_of(detail, false, y, end);
    return draw_cids_of(detail, true, y, end);
}

static const char *clock_text(double unix_ms, char ret[TOP_CELL_MAX])
{
    const time_t seconds = (time_t)floor(unix_ms / 1e3);
    struct tm parts = {0};
    localtime_r(&seconds, &parts);
    size_t len = strftime(ret, TOP_CELL_MAX, "%H:%M:%S", &parts);
    snprintf(ret + len, TOP_CELL_MAX - len, ".%03u", (unsigned)(unix_ms - (double)seconds * 1e3) % 1000);
    return ret;
}

static void draw_timeline(const struct top_detail *detail, int y, int end)
{
    const size_t shown = detail->entry_count - detail->back;
    char text[TOP_CELL_MAX], below[TOP_CELL_MAX] = "";
    if (detail->back > 0)
        snprintf(below, sizeof(below), ", %zu of them further down", detail->back);
    top_put_line(y++, TOP_LOOK_TITLE, " TIMELINE  %zu entries%s", detail->entry_count, below);
    const size_t room = end > y ? (size_t)(end - y) : 0;
    for (size_t i = shown > room ? shown - room : 0; i < shown; i++) {
        const struct top_entry *entry = top_detail_entry(detail, i);
        top_put_line(y++, entry->is_move ? TOP_LOOK_NOTE : TOP_LOOK_PLAIN, " %s %s", clock_text(entry->unix_ms, text),
                     entry->text);
    }
}

/* The timeline has what paths and CIDs leave, which is half of the rest at least. */
void top_draw_detail(const struct top_model *model)
{
    const struct top_detail *detail = &model->detail;
    const int end = top_height() - 1;
    const size_t rest = end > SUMMARY_LINES ? (size_t)(end - SUMMARY_LINES) : 0;
    draw_summary(detail);
    if (!detail->loaded) {
        top_put_line(SUMMARY_LINES, TOP_LOOK_PLAIN, detail->gone ? "it has ended" : "...");
    } else {
        int y = draw_paths(detail, SUMMARY_LINES, max_size(rest / 5, 2));
        y = draw_cids(detail, y, max_size(rest * 3 / 10, 2));
        draw_timeline(detail, y, end);
    }
    top_put_line(end, TOP_LOOK_PLAIN, "%s  Up Down PgUp PgDn End  p ? q", model->paused ? "PAUSED" : "timeline");
}

/* ---- Help */

void top_draw_help(void)
{
    top_put_line(0, TOP_LOOK_TITLE, " roam top %s", roam_version());
    for (size_t i = 0; i < top_help_count; i++)
        top_put_line((int)i + 2, TOP_LOOK_PLAIN, " %s", top_help_lines[i]);
}
