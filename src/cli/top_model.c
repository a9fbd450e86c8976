/*
 * Rows, moves, rates and the place in the table: see top_model.h. Kept: what is on the screen is one whole answer of the
 * server's, with what events have told since; a connection that is chosen stays so while it is on the page.
 */
#include <string.h>

#include "base/minmax.h"
#include "cli/control.h"
#include "cli/top_model.h"

void top_model_init(struct top_model *model)
{
    *model = (struct top_model){.sort = WATCH_LAST_MOVE, .lines = 1, .subscribe = true, .stale = true};
}

/* ---- Rates */

/* Answers come after keys and moves, too, and what happened in a few milliseconds is no rate. */
#define RATE_MS 500

void top_rates_tell(struct top_rates *rates, const struct top_rates *before, double ms, uint64_t in, uint64_t out)
{
    *rates = (struct top_rates){.looked_ms = ms, .in_then = in, .out_then = out};
    if (before == NULL)
        return;
    const double seconds = (ms - before->looked_ms) / 1e3;
    if (seconds * 1e3 < RATE_MS) {
        *rates = *before;
        return;
    }
    rates->known = true;
    rates->in = (double)saturating_sub(in, before->in_then) / seconds;
    rates->out = (double)saturating_sub(out, before->out_then) / seconds;
}

/* ---- Rows */

static struct top_row *find_row(struct top_row *rows, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

void top_model_row(struct top_model *model, const struct top_row *row)
{
    if (model->coming_count < TOP_ROWS_MAX)
        model->coming[model->coming_count++] = *row;
}

static const struct top_move *find_recent(const struct top_model *model, const char *key)
{
    const struct top_move *newest = NULL;
    for (size_t i = 0; i < TOP_RECENT_MAX; i++) {
        const struct top_move *move = &model->recent[i];
        if (move->old[0] != '\0' && strcmp(move->key, key) == 0 && (newest == NULL || move->at > newest->at))
            newest = move;
    }
    return newest;
}

/* What only a second look tells: rates, and where it was before. */
static void compare_rows(const struct top_model *model, struct top_row *row, const struct top_row *before)
{
    const struct top_move *move = find_recent(model, row->key);
    top_rates_tell(&row->rates, before == NULL ? NULL : &before->rates, row->age_ms, row->in, row->out);
    if (before != NULL)
        memcpy(row->old, strcmp(before->address, row->address) != 0 ? before->address : before->old, sizeof(row->old));
    else if (move != NULL && row->moved)
        memcpy(row->old, move->old, sizeof(row->old));
}

/* The connection that is chosen, where it is on the page, else the one that stands in its place. */
static void choose_again(struct top_model *model)
{
    const struct top_row *row = find_row(model->rows, model->count, model->chosen);
    if (model->chosen[0] != '\0' && row != NULL)
        model->at = model->first + (uint64_t)(row - model->rows);
    else if (model->matching > 0)
        model->at = min_u64(model->at, model->matching - 1);
    else
        model->at = 0;
    const struct top_row *now = top_model_chosen(model);
    if (now != NULL)
        memcpy(model->chosen, now->key, sizeof(model->chosen));
}

void top_model_page(struct top_model *model, uint64_t connections, uint64_t matching)
{
    for (size_t i = 0; i < model->coming_count; i++)
        compare_rows(model, &model->coming[i], find_row(model->rows, model->count, model->coming[i].key));
    memcpy(model->rows, model->coming, model->coming_count * sizeof(model->rows[0]));
    model->count = model->coming_count;
    model->first = model->coming_first;
    model->coming_count = 0;
    model->connections = connections;
    model->matching = matching;
    const uint64_t last_page = saturating_sub(matching, model->lines);
    if (model->offset > last_page) {
        model->offset = last_page;
        model->stale = true;
    }
    choose_again(model);
}

void top_model_server(struct top_model *model, const struct top_server *server)
{
    const struct top_server before = model->server;
    struct top_server *now = &model->server;
    *now = *server;
    memcpy(now->version, before.version, sizeof(now->version));
    now->pid = before.pid;
    now->known = true;
    top_rates_tell(&now->rates, before.known ? &before.rates : NULL, now->up_ms, now->in, now->out);
}

/* ---- Moves */

static void remember_move(struct top_model *model, const struct top_event *event, roam_time now)
{
    struct top_move *move = &model->recent[model->recent_next];
    model->recent_next = (model->recent_next + 1) % TOP_RECENT_MAX;
    memcpy(move->key, event->key, sizeof(move->key));
    memcpy(move->old, event->previous, sizeof(move->old));
    move->at = now;
}

static void move_row(struct top_row *row, const struct top_event *event, roam_time now)
{
    /* What is settled has moved already, and flashes since. */
    const bool begins = strcmp(event->name, "path_settled") != 0;
    if (begins) {
        row->moved = true;
        row->moved_at = now;
        row->moves += strcmp(event->name, "path_moved") == 0;
        row->has_gap = false;
    }
    if (event->previous[0] != '\0')
        memcpy(row->old, event->previous, sizeof(row->old));
    if (event->proven || !begins) {
        memcpy(row->address, event->remote, sizeof(row->address));
        row->claimed[0] = '\0';
    } else {
        memcpy(row->claimed, event->remote, sizeof(row->claimed));
    }
}

void top_model_event(struct top_model *model, const struct top_event *event, roam_time now)
{
    const bool moves = strcmp(event->name, "path_moved") == 0 || strcmp(event->name, "path_reverted") == 0 ||
                       strcmp(event->name, "path_settled") == 0;
    if (!moves || event->key[0] == '\0' || event->remote[0] == '\0')
        return;
    remember_move(model, event, now);
    struct top_row *row = find_row(model->rows, model->count, event->key);
    if (row != NULL)
        move_row(row, event, now);
}

roam_time top_model_now(const struct top_model *model, roam_time now)
{
    return model->paused ? model->paused_at : now;
}

bool top_row_flashes(const struct top_row *row, roam_time now)
{
    return row->moved && saturating_sub(now, row->moved_at) < TOP_FLASH;
}

roam_time top_model_next_change(const struct top_model *model, roam_time now)
{
    roam_time next = 0;
    for (size_t i = 0; i < model->count && !model->paused; i++) {
        const struct top_row *row = &model->rows[i];
        if (!top_row_flashes(row, now))
            continue;
        roam_time quieter = row->moved_at + TOP_FLASH_LOUD;
        if (quieter <= now)
            quieter = row->moved_at + TOP_FLASH;
        next = next == 0 ? quieter : min_u64(next, quieter);
    }
    return next;
}

/* ---- The place in the table */

/* As far as a sorted table goes: see control.h. */
static uint64_t last_place(const struct top_model *model)
{
    uint64_t rows = model->matching;
    if (model->sort != WATCH_UNSORTED)
        rows = min_u64(rows, CONTROL_SORTED_MAX);
    return saturating_sub(rows, 1);
}

/* The chosen row is on the screen. */
static void follow(struct top_model *model)
{
    const uint64_t before = model->offset;
    if (model->at < model->offset)
        model->offset = model->at;
    if (model->at >= model->offset + model->lines)
        model->offset = model->at - model->lines + 1;
    model->stale = model->stale || model->offset != before;
}

void top_model_go(struct top_model *model, int64_t by)
{
    /* In a pause there is no other page. */
    const uint64_t first = model->paused ? model->first : 0;
    const uint64_t last = model->paused ? model->first + saturating_sub(model->count, 1) : last_place(model);
    if (by < 0)
        model->at = max_u64(saturating_sub(model->at, (uint64_t)-by), first);
    else
        model->at = min_u64(saturating_add(model->at, (uint64_t)by), last);
    follow(model);
    const struct top_row *row = top_model_chosen(model);
    model->chosen[0] = '\0';
    if (row != NULL)
        memcpy(model->chosen, row->key, sizeof(model->chosen));
}

void top_model_resize(struct top_model *model, size_t lines)
{
    lines = min_size(max_size(lines, 1), TOP_ROWS_MAX);
    model->stale = model->stale || lines > model->lines;
    model->lines = lines;
    follow(model);
}

void top_model_restart(struct top_model *model)
{
    model->offset = model->at = 0;
    model->chosen[0] = '\0';
    model->stale = true;
}

void top_model_sort(struct top_model *model, enum watch_column column)
{
    model->reverse = model->sort == column ? !model->reverse : false;
    model->sort = column;
    top_model_restart(model);
}

const struct top_row *top_model_chosen(const struct top_model *model)
{
    const uint64_t line = model->at - model->first;
    return model->at >= model->first && line < model->count ? &model->rows[line] : NULL;
}
