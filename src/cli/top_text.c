/* Amounts, times and columns as text: see top_model.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/top_model.h"

const char *top_amount_text(double n, char ret[TOP_CELL_MAX])
{
    static const char units[] = {' ', 'K', 'M', 'G', 'T', 'P', 'E'};
    size_t unit = 0;
    while (n >= 1023.5 && unit + 1 < sizeof(units)) {
        n /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(ret, TOP_CELL_MAX, "%.0f", n);
    else
        snprintf(ret, TOP_CELL_MAX, n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[unit]);
    return ret;
}

/* From a minute on. */
static void long_span(double ms, char ret[TOP_CELL_MAX])
{
    const uint64_t seconds = (uint64_t)(ms / 1e3), minutes = seconds / 60, hours = minutes / 60;
    if (minutes < 10)
        snprintf(ret, TOP_CELL_MAX, "%" PRIu64 "m%02" PRIu64 "s", minutes, seconds % 60);
    else if (hours < 1)
        snprintf(ret, TOP_CELL_MAX, "%" PRIu64 "m", minutes);
    else if (hours < 10)
        snprintf(ret, TOP_CELL_MAX, "%" PRIu64 "h%02" PRIu64 "m", hours, minutes % 60);
    else if (hours < 100)
        snprintf(ret, TOP_CELL_MAX, "%" PRIu64 "h", hours);
    else
        snprintf(ret, TOP_CELL_MAX, "%" PRIu64 "d", hours / 24);
}

const char *top_ago_text(double ms, char ret[TOP_CELL_MAX])
{
    if (ms < 9950)
        snprintf(ret, TOP_CELL_MAX, "%.1fs", ms / 1e3);
    else if (ms < 59500)
        snprintf(ret, TOP_CELL_MAX, "%.0fs", ms / 1e3);
    else
        long_span(ms < 60000 ? 60000 : ms, ret);
    return ret;
}

const char *top_span_text(double ms, char ret[TOP_CELL_MAX])
{
    if (ms >= 999.5)
        return top_ago_text(ms, ret);
    snprintf(ret, TOP_CELL_MAX, ms < 9.995 ? "%.2fms" : ms < 99.95 ? "%.1fms" : "%.0fms", ms);
    return ret;
}

/* ---- Columns */

/* A row that has moved shows where it was over what stands behind its address. */
const struct top_column top_columns[TOP_COLUMNS] = {
    {"CID", WATCH_CID, 0, 1, false},       {"ADDRESS", WATCH_ADDRESS, 0, 0, false},
    {"STATE", WATCH_STATE, 7, 4, false},   {"ALPN", WATCH_ALPN, 10, 9, false},
    {"AGE", WATCH_AGE, 6, 8, true},        {"RTT", WATCH_RTT, 6, 5, true},
    {"IN/s", WATCH_UNSORTED, 6, 7, true},  {"OUT/s", WATCH_UNSORTED, 6, 6, true},
    {"IN", WATCH_IN, 5, 12, true},         {"OUT", WATCH_OUT, 5, 11, true},
    {"WINDOW", WATCH_WINDOW, 6, 13, true}, {"PATHS", WATCH_PATHS, 5, 14, true},
    {"MOVES", WATCH_MOVES, 5, 2, true},    {"MOVED", WATCH_LAST_MOVE, 5, 3, true},
    {"GAP", WATCH_GAP, 6, 10, true},       {"LOCAL", WATCH_UNSORTED, 21, 15, false},
};

static unsigned widest(const struct top_model *model, size_t column, unsigned least, unsigned most)
{
    char text[TOP_CELL_MAX];
    size_t width = least;
    for (size_t i = 0; i < model->count; i++)
        width = max_size(width, strlen(top_cell_text(&model->rows[i], column, 0, text)));
    return (unsigned)min_size(width, most);
}

void top_layout_choose(struct top_layout *ret, const struct top_model *model, unsigned columns)
{
    unsigned used = 1; /* the mark of the row that is chosen */
    unsigned x = 1;
    *ret = (struct top_layout){0};
    for (unsigned priority = 0; priority < TOP_COLUMNS; priority++) {
        size_t i = 0;
        while (top_columns[i].priority != priority)
            i++;
        unsigned width = top_columns[i].width;
        if (i == TOP_COLUMN_CID)
            width = widest(model, i, 16, (unsigned)max_size(16, columns / 5));
        else if (i == TOP_COLUMN_ADDRESS)
            width = widest(model, i, 21, ROAM_ADDRESS_TEXT_MAX);
        /* There is always an address, in full or not. */
        if (priority == 0 && width + 1 > columns)
            width = columns > 1 ? columns - 1 : 1;
        const unsigned gap = priority > 0;
        if (used + gap + width > columns && priority > 0)
            break;
        ret->width[i] = width;
        used += gap + width;
    }
    for (size_t i = 0; i < TOP_COLUMNS; i++) {
        ret->x[i] = x;
        x += ret->width[i] > 0 ? ret->width[i] + 1 : 0;
    }
}

static const char *short_state(const char *state)
{
    if (strcmp(state, "handshake") == 0)
        return "hshake";
    if (strcmp(state, "established") == 0)
        return "estab";
    return strcmp(state, "draining") == 0 ? "drain" : state;
}

static const char *copy(const char *text, char ret[TOP_CELL_MAX])
{
    snprintf(ret, TOP_CELL_MAX, "%s", text);
    return ret;
}

static const char *number(uint64_t n, char ret[TOP_CELL_MAX])
{
    if (n > 99999)
        return top_amount_text((double)n, ret);
    snprintf(ret, TOP_CELL_MAX, "%" PRIu64, n);
    return ret;
}

const char *top_cell_text(const struct top_row *row, size_t column, roam_time now, char ret[TOP_CELL_MAX])
{
    const char *title = top_columns[column].title;
    switch (top_columns[column].sort) {
    case WATCH_CID:
        return copy(row->cid, ret);
    case WATCH_ADDRESS:
        return copy(row->address, ret);
    case WATCH_STATE:
        return copy(short_state(row->state), ret);
    case WATCH_ALPN:
        return copy(row->alpn, ret);
    case WATCH_AGE:
        return top_ago_text(row->age_ms, ret);
    case WATCH_RTT:
        return row->rtt_ms > 0 ? top_span_text(row->rtt_ms, ret) : copy("-", ret);
    case WATCH_WINDOW:
        return top_amount_text((double)row->window, ret);
    case WATCH_IN:
        return top_amount_text((double)row->in, ret);
    case WATCH_OUT:
        return top_amount_text((double)row->out, ret);
    case WATCH_PATHS:
        return number(row->paths, ret);
    case WATCH_MOVES:
        return number(row->moves, ret);
    case WATCH_LAST_MOVE:
        return row->moved ? top_ago_text((double)saturating_sub(now, row->moved_at) / 1e6, ret) : copy("-", ret);
    case WATCH_GAP:
        return row->has_gap ? top_span_text(row->gap_ms, ret) : copy("-", ret);
    default:
        if (strcmp(title, "LOCAL") == 0)
            return copy(row->local, ret);
        return row->rates.known ? top_amount_text(strcmp(title, "IN/s") == 0 ? row->rates.in : row->rates.out, ret)
                                : copy("-", ret);
    }
}
