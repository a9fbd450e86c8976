/* Draws what plot.c has read: three diagrams over one axis of time, and a legend. See plot.h. */
#include "sim/plot.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>

#include "base/minmax.h"

#define WIDTH   960
#define LEFT    72
#define RIGHT   24
#define TOP     96
#define PANEL   170
#define GAP     46
#define PANELS  3
#define HEIGHT  (TOP + PANELS * PANEL + (PANELS - 1) * GAP + 56)
#define COLUMNS 320

/* A flow that sent less than this part of what the greatest one did is left out. */
#define FLOW_PART 20

/* What no line looks at twice: told apart also by who sees few colours (Okabe and Ito). */
static const char *const colours[PLOT_FLOWS_MAX] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7"};

struct column {
    double window, in_flight, smoothed, latest, rate, pacing;
    unsigned lost;
};

struct curve {
    const struct plot_flow *flow;
    const char *colour;
    struct column columns[COLUMNS];
};

struct picture {
    FILE *file;
    struct curve curves[PLOT_FLOWS_MAX];
    size_t count;
    double seconds; /* from left to right */
};

static void put(struct picture *picture, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct picture *picture, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(picture->file, format, arguments);
    va_end(arguments);
}

/* ---- What is to be drawn */

static void gather(struct curve *curve, const struct plot_flow *flow, size_t bins)
{
    struct plot_bin last = {0};
    for (size_t i = 0; i < COLUMNS; i++) {
        const size_t from = bins * i / COLUMNS, to = max_size(bins * (i + 1) / COLUMNS, from + 1);
        struct column *column = &curve->columns[i];
        double delivered = 0;
        for (size_t n = from; n < to && n < flow->count; n++) {
            last = flow->bins[n];
            delivered += last.delivered;
            column->latest = fmax(column->latest, last.latest_ms);
            column->lost += last.lost;
        }
        column->window = last.window / 1000;
        column->in_flight = last.in_flight / 1000;
        column->smoothed = last.smoothed_ms;
        column->latest = fmax(column->latest, last.smoothed_ms);
        column->pacing = last.pacing / 1e6;
        column->rate = delivered * 8 / 1e6 / ((double)(to - from) * PLOT_BIN / ROAM_SECONDS(1));
    }
}

/* Those that send most, in the order in which they began. */
static void choose(struct picture *picture, const struct plot *plot)
{
    const struct plot_flow *chosen[PLOT_FLOWS_MAX];
    uint64_t most = 0;
    size_t bins = 1;
    for (const struct plot_flow *flow = plot->flows; flow != NULL; flow = flow->next) {
        most = max_u64(most, flow->octets);
        bins = max_size(bins, flow->count);
    }
    for (const struct plot_flow *flow = plot->flows; flow != NULL; flow = flow->next) {
        if (flow->octets * FLOW_PART >= most && flow->count > 0 && picture->count < PLOT_FLOWS_MAX)
            chosen[picture->count++] = flow;
    }
    for (size_t i = 0; i < picture->count; i++) {
        picture->curves[i].flow = chosen[picture->count - 1 - i];
        picture->curves[i].colour = colours[i];
        gather(&picture->curves[i], picture->curves[i].flow, bins);
    }
    picture->seconds = (double)bins * PLOT_BIN / ROAM_SECONDS(1);
}

/* ---- Axes */

/* 1, 2 or 5 times a power of ten, so that about `wanted` of them make up `range`. */
static double step_of(double range, double wanted)
{
    const double rough = range / wanted, power = pow(10, floor(log10(rough)));
    const double digit = rough / power;
    return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

static double x_of_time(const struct picture *picture, double seconds)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / picture->seconds;
}

static double x_of_column(size_t i)
{
    return LEFT + (double)(WIDTH - LEFT - RIGHT) * ((double)i + 0.5) / COLUMNS;
}

static int top_of(int panel)
{
    return TOP + panel * (PANEL + GAP);
}

static double y_of(int panel, double value, double most)
{
    return top_of(panel) + PANEL - PANEL * fmin(value / most, 1);
}

static void draw_axes(struct picture *picture, int panel, const char *title, double most)
{
    const int top = top_of(panel);
    put(picture, "<text x=\"%d\" y=\"%d\" class=\"title\">%s</text>\n", LEFT, top - 9, title);
    const double step = step_of(most, 4);
    for (double value = 0; value <= most * 1.001; value += step) {
        const double y = y_of(panel, value, most);
        put(picture, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y, WIDTH - RIGHT);
        put(picture, "<text x=\"%d\" y=\"%.1f\" class=\"right\">%g</text>\n", LEFT - 8, y + 4, value);
    }
    const double seconds = step_of(picture->seconds, 10);
    for (double at = 0; at <= picture->seconds; at += seconds) {
        const double x = x_of_time(picture, at);
        put(picture, "<path class=\"grid\" d=\"M%.1f %dv%d\"/>", x, top, PANEL);
        if (panel == PANELS - 1)
            put(picture, "<text x=\"%.1f\" y=\"%d\" class=\"middle\">%g</text>\n", x, top + PANEL + 18, at);
    }
    put(picture, "<path class=\"axis\" d=\"M%d %dv%dH%d\"/>\n", LEFT, top, PANEL, WIDTH - RIGHT);
}

/* ---- Lines */

typedef double value_of(const struct column *column);

static double window_of(const struct column *column)
{
    return column->window;
}
static double in_flight_of(const struct column *column)
{
    return column->in_flight;
}
static double smoothed_of(const struct column *column)
{
    return column->smoothed;
}
static double latest_of(const struct column *column)
{
    return column->latest;
}
static double rate_of(const struct column *column)
{
    return column->rate;
}
static double pacing_of(const struct column *column)
{
    return column->pacing;
}

static const struct {
    const char *title;
    value_of *strong, *faint;
} panels[PANELS] = {
    {"Window (strong) and octets in flight (faint), kB; lost packets below", window_of, in_flight_of},
    {"Round-trip time, smoothed (strong) and longest sample (faint), ms", smoothed_of, latest_of},
    {"Delivery rate (strong) and pacing rate, where the controller sets one (faint), Mbit/s", rate_of, pacing_of},
};

/* From the first value that is said on. */
static void draw_line(struct picture *picture, int panel, const struct curve *curve, value_of *value, double most,
                      const char *class)
{
    bool begun = false;
    for (size_t i = 0; i < COLUMNS; i++) {
        const double at = value(&curve->columns[i]);
        if (!begun && at <= 0)
            continue;
        if (!begun)
            put(picture, "<path class=\"%s\" stroke=\"%s\" d=\"M", class, curve->colour);
        put(picture, "%s%.0f %.1f", begun ? " " : "", x_of_column(i), y_of(panel, at, most));
        begun = true;
    }
    if (begun)
        put(picture, "\"/>\n");
}

/* Nearly all of a curve is in the picture; what sticks out once, as at the start of a flow, is cut off. */
static double most_of(const struct picture *picture, int panel)
{
    double strong = 0, faint = 0;
    for (size_t n = 0; n < picture->count; n++) {
        for (size_t i = 0; i < COLUMNS; i++) {
            strong = fmax(strong, panels[panel].strong(&picture->curves[n].columns[i]));
            faint = fmax(faint, panels[panel].faint(&picture->curves[n].columns[i]));
        }
    }
    const double most = fmax(fmin(faint, strong * 1.5), strong);
    const double step = most > 0 ? step_of(most, 4) : 1;
    return step * ceil(most * 1.02 / step + 0.001);
}

static void draw_losses(struct picture *picture)
{
    for (size_t n = 0; n < picture->count; n++) {
        const struct curve *curve = &picture->curves[n];
        bool any = false;
        for (size_t i = 0; i < COLUMNS; i++) {
            if (curve->columns[i].lost == 0)
                continue;
            if (!any)
                put(picture, "<path class=\"loss\" stroke=\"%s\" d=\"", curve->colour);
            put(picture, "M%.1f %dv5", x_of_column(i), top_of(0) + PANEL + 4 + 7 * (int)n);
            any = true;
        }
        if (any)
            put(picture, "\"/>\n");
    }
}

static void draw_legend(struct picture *picture, const char *title)
{
    put(picture, "<text x=\"%d\" y=\"30\" class=\"head\">%s</text>\n", LEFT, title);
    for (size_t n = 0; n < picture->count; n++) {
        const int x = LEFT + 190 * (int)n;
        put(picture, "<path stroke=\"%s\" class=\"strong\" d=\"M%d 52h28\"/>", picture->curves[n].colour, x);
        put(picture, "<text x=\"%d\" y=\"56\">flow %zu, %s</text>\n", x + 36, n + 1,
            picture->curves[n].flow->controller);
    }
    put(picture, "<text x=\"%d\" y=\"%d\" class=\"middle\">seconds</text>\n", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14);
}

static void draw(struct picture *picture, const char *title)
{
    put(picture,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n"
        "<style>text{font:12px sans-serif;fill:#222}.head{font-size:16px;font-weight:bold}.title{font-weight:bold}"
        ".right{text-anchor:end}.middle{text-anchor:middle}path{fill:none}.grid{stroke:#ddd}.axis{stroke:#555}"
        ".strong{stroke-width:1.8;stroke-linejoin:round}.faint{stroke-width:1;stroke-opacity:.45}</style>\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    draw_legend(picture, title);
    for (int panel = 0; panel < PANELS; panel++) {
        const double most = most_of(picture, panel);
        draw_axes(picture, panel, panels[panel].title, most);
        for (size_t n = 0; n < picture->count; n++)
            draw_line(picture, panel, &picture->curves[n], panels[panel].faint, most, "faint");
        for (size_t n = 0; n < picture->count; n++)
            draw_line(picture, panel, &picture->curves[n], panels[panel].strong, most, "strong");
    }
    draw_losses(picture);
    put(picture, "</svg>\n");
}

bool plot_write(const struct plot *plot, const char *path, const char *title)
{
    struct picture picture = {.file = fopen(path, "w")};
    if (picture.file == NULL)
        return false;
    char words[128];
    size_t len = 0;
    for (; title[len] != '\0' && len < sizeof(words) - 1; len++)
        words[len] = title[len] == '_' ? ' ' : title[len];
    words[len] = '\0';
    choose(&picture, plot);
    draw(&picture, words);
    const bool written = ferror(picture.file) == 0;
    return fclose(picture.file) == 0 && written;
}
