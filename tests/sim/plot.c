/* Reads qlog records: see plot.h. They are this library's own, one to a line, and a member that is looked for stands in
 * a record once. */
#include "sim/plot.h"

#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"

/* A record is no longer than this (observe/qlog.h), and is cut off behind it. */
#define RECORD_BYTES_MAX 16384

/* Time that goes back by so much is another world's. */
#define WORLDS_APART_MS 1000

/* ---- Records */

/* The value behind "name":, or NULL. */
static const char *member(const char *record, const char *name)
{
    char key[64];
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(record, key);
    return at != NULL ? at + strlen(key) : NULL;
}

static void take_number(const char *record, const char *name, double *ret)
{
    const char *value = member(record, name);
    if (value != NULL)
        *ret = strtod(value, NULL);
}

static bool is_event(const char *record, const char *name)
{
    const char *value = member(record, "name");
    return value != NULL && strncmp(value + 1, name, strlen(name)) == 0 && value[1 + strlen(name)] == '"';
}

/* ---- Bins */

static void *grow(void *array, size_t bytes)
{
    void *grown = realloc(array, bytes);
    if (grown == NULL)
        abort();
    return grown;
}

/* The bin that `ms` falls into; those before it that nothing was said in are as what was said last. */
static struct plot_bin *bin_at(const struct plot *plot, struct plot_flow *flow, double ms)
{
    const size_t index = (size_t)((ms - plot->first_ms) * ROAM_MILLISECONDS(1) / PLOT_BIN);
    if (index >= flow->capacity) {
        flow->capacity = max_size(2 * flow->capacity, index + 1024);
        flow->bins = grow(flow->bins, flow->capacity * sizeof(*flow->bins));
    }
    while (flow->count <= index) {
        struct plot_bin *bin = &flow->bins[flow->count++];
        *bin = flow->now;
        bin->latest_ms = bin->delivered = bin->lost = 0;
    }
    return &flow->bins[index];
}

/* ---- Events */

static void on_metrics(struct plot_flow *flow, struct plot_bin *bin, const char *record)
{
    struct plot_bin *now = &flow->now;
    double latest = 0;
    take_number(record, "congestion_window", &now->window);
    take_number(record, "bytes_in_flight", &now->in_flight);
    take_number(record, "smoothed_rtt", &now->smoothed_ms);
    take_number(record, "pacing_rate", &now->pacing);
    take_number(record, "latest_rtt", &latest);
    bin->window = now->window;
    bin->in_flight = now->in_flight;
    bin->smoothed_ms = now->smoothed_ms;
    bin->pacing = now->pacing;
    bin->latest_ms = latest > bin->latest_ms ? latest : bin->latest_ms;
}

static bool is_1rtt(const char *record, uint64_t *ret_number)
{
    const char *number = member(record, "packet_number");
    if (strstr(record, "\"packet_type\":\"1RTT\"") == NULL || number == NULL)
        return false;
    *ret_number = strtoull(number, NULL, 10);
    return true;
}

static void on_sent(struct plot_flow *flow, const char *record)
{
    uint64_t number;
    double bytes = 0;
    take_number(record, "length", &bytes);
    flow->octets += (uint64_t)bytes;
    if (!is_1rtt(record, &number))
        return;
    if (number >= flow->capacity_sent) {
        flow->capacity_sent = 2 * number + 1024;
        flow->sizes = grow(flow->sizes, flow->capacity_sent * sizeof(*flow->sizes));
    }
    while (flow->sent <= number)
        flow->sizes[flow->sent++] = 0;
    flow->sizes[number] = (uint32_t)bytes;
}

static uint32_t settle(struct plot_flow *flow, uint64_t number)
{
    const uint32_t bytes = number < flow->sent ? flow->sizes[number] : 0;
    if (bytes > 0)
        flow->sizes[number] = 0;
    while (flow->floor < flow->sent && flow->sizes[flow->floor] == 0)
        flow->floor++;
    return bytes;
}

static void on_received(struct plot_flow *flow, struct plot_bin *bin, const char *record)
{
    uint64_t number;
    const char *at = member(record, "acked_ranges");
    if (at == NULL || !is_1rtt(record, &number))
        return;
    while (*at == '[' || *at == ',') {
        at += strspn(at, "[,");
        char *end;
        const uint64_t low = strtoull(at, &end, 10);
        const uint64_t high = *end == ',' ? strtoull(end + 1, &end, 10) : low;
        for (uint64_t acked = max_u64(low, flow->floor); acked <= high && acked < flow->sent; acked++)
            bin->delivered += settle(flow, acked);
        if (end == at || *end != ']' || end[1] == ']')
            return;
        at = end + 1;
    }
}

static void on_record(struct plot *plot, struct plot_flow *flow, const char *record)
{
    uint64_t number;
    double ms = -1;
    take_number(record, "time", &ms);
    if (ms < 0)
        return;
    if (plot->last_ms == 0)
        plot->first_ms = ms;
    /* Each log is written when its connection comes to rest, so that they are a little out of step. */
    plot->over |= ms + WORLDS_APART_MS < plot->last_ms;
    if (plot->over || ms < plot->first_ms)
        return;
    plot->last_ms = ms > plot->last_ms ? ms : plot->last_ms;
    struct plot_bin *bin = bin_at(plot, flow, ms);
    const char *controller = member(record, "congestion_control");
    if (controller != NULL)
        snprintf(flow->controller, sizeof(flow->controller), "%.*s", (int)strcspn(controller + 1, "\""),
                 controller + 1);
    if (is_event(record, "recovery:metrics_updated")) {
        on_metrics(flow, bin, record);
    } else if (is_event(record, "transport:packet_sent")) {
        on_sent(flow, record);
    } else if (is_event(record, "transport:packet_received")) {
        on_received(flow, bin, record);
    } else if (is_event(record, "recovery:packet_lost") && is_1rtt(record, &number)) {
        settle(flow, number);
        bin->lost++;
    }
}

/* ---- The sink */

static void *on_open(void *context, const roam_cid *original_dcid, bool is_server)
{
    struct plot *plot = context;
    (void)original_dcid, (void)is_server;
    if (plot->over)
        return NULL;
    struct plot_flow *flow = calloc(1, sizeof(*flow));
    if (flow == NULL)
        abort();
    flow->next = plot->flows;
    return plot->flows = flow;
}

static bool on_write(void *context, void *log, const char *text, size_t len)
{
    char record[RECORD_BYTES_MAX];
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        const size_t bytes = end != NULL ? (size_t)(end - text) : len;
        const size_t kept = min_size(bytes, sizeof(record) - 1);
        memcpy(record, text, kept);
        record[kept] = '\0';
        on_record(context, log, record);
        text += min_size(bytes + 1, len);
        len -= min_size(bytes + 1, len);
    }
    return true;
}

static void on_close(void *context, void *log)
{
    (void)context, (void)log;
}

void plot_init(struct plot *plot)
{
    memset(plot, 0, sizeof(*plot));
    plot->sink = (roam_qlog){.open = on_open, .write = on_write, .close = on_close, .context = plot};
}

void plot_done(struct plot *plot)
{
    while (plot->flows != NULL) {
        struct plot_flow *flow = plot->flows;
        plot->flows = flow->next;
        free(flow->bins);
        free(flow->sizes);
        free(flow);
    }
}
