/* Progress on standard error: for people a line in place, for programs JSON, a line for each transfer. */
#include <inttypes.h>
#include <unistd.h>

#include "cli/get.h"

#define BAR_WIDTH      24
#define PROGRESS_AFTER ROAM_MILLISECONDS(500)

static void print_json(const struct transfer *transfer, double rate)
{
    char url[URL_TEXT_MAX];
    /* A URL of ours has no quote, backslash or control in it: url_parse has encoded them. */
    fprintf(stderr, "{\"url\":\"%s\",\"received\":%" PRIu64, url_format(&transfer->url, url), transfer->out.at);
    if (transfer->total != UINT64_MAX)
        fprintf(stderr, ",\"total\":%" PRIu64, transfer->total);
    fprintf(stderr, ",\"bytes_per_second\":%.0f", rate);
    if (transfer->total != UINT64_MAX && rate > 0)
        fprintf(stderr, ",\"eta_seconds\":%.1f", (double)(transfer->total - transfer->out.at) / rate);
    if (transfer->state == TRANSFER_DONE)
        fprintf(stderr, ",\"status\":%d,\"exit\":%d", transfer->http_status, transfer->status);
    fputs("}\n", stderr);
}

static double rate_of(const struct getter *getter, const struct transfer *transfer)
{
    double seconds = (double)(roam_io_now(getter->io) - transfer->began) / 1e9;
    return transfer->began == 0 || seconds <= 0 || transfer->out.at < transfer->began_at
               ? 0
               : (double)(transfer->out.at - transfer->began_at) / seconds;
}

static void print_bar(struct getter *getter, bool last)
{
    char amount[AMOUNT_TEXT_MAX], speed[AMOUNT_TEXT_MAX], bar[BAR_WIDTH + 1];
    uint64_t received = 0, total = 0;
    double rate = 0;
    bool known = true;
    for (size_t i = 0; i < getter->count; i++) {
        const struct transfer *transfer = &getter->transfers[i];
        received += transfer->out.at;
        known = known && transfer->total != UINT64_MAX;
        total += known ? transfer->total : 0;
        rate += transfer->state == TRANSFER_RUNNING || getter->count == 1 ? rate_of(getter, transfer) : 0;
    }
    fprintf(stderr, "\r\033[K%s  %s/s", format_amount((double)received, amount), format_amount(rate, speed));
    if (known && total > 0 && received <= total) {
        size_t full = (size_t)((double)received / (double)total * BAR_WIDTH);
        for (size_t i = 0; i < BAR_WIDTH; i++)
            bar[i] = i < full ? '#' : '.';
        bar[BAR_WIDTH] = '\0';
        fprintf(stderr, "  [%s] %3.0f%%", bar, 100.0 * (double)received / (double)total);
        if (rate > 0 && !last)
            fprintf(stderr, "  %.0f s left", (double)(total - received) / rate);
    }
    fputs(last ? "\n" : "", stderr);
    fflush(stderr);
}

void report_progress(struct getter *getter, bool last)
{
    unsigned how = getter->options.progress;
    roam_time now = roam_io_now(getter->io);
    if (how == PROGRESS_AUTO)
        how = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) ? PROGRESS_BAR : PROGRESS_NONE;
    if (how == PROGRESS_NONE || (!last && now - getter->progress_at < PROGRESS_AFTER))
        return;
    getter->progress_at = now;
    if (how == PROGRESS_BAR && (!last || getter->progress_shown || getter->options.progress == PROGRESS_BAR)) {
        print_bar(getter, last);
        getter->progress_shown = true;
    }
    for (size_t i = 0; how == PROGRESS_JSON && i < getter->count; i++)
        if (last || getter->transfers[i].state == TRANSFER_RUNNING)
            print_json(&getter->transfers[i], rate_of(getter, &getter->transfers[i]));
}
