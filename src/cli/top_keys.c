/* What keys do: see top_model.h. */
#include <curses.h>
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/top_model.h"

#define ESCAPE          27
#define CONTROL(letter) ((letter)&0x1f)
#define DELETE          127

const char *const top_help_lines[] = {
    "Up Down PgUp PgDn   another row, another page (also k, j and Space)",
    "Home End            the first row, the last",
    "Enter               the connection: its paths, its CIDs, what happens to it",
    "q Esc               back; in the table q ends roam top",
    "/                   the rows that are wanted, by words: a state, an address",
    "                    (ADDR, ADDR:PORT, ADDR/BITS), the beginning of a CID, or an",
    "                    ALPN; or state= address= cid= alpn=. No word: all rows",
    "< >                 sort by the column to the left, to the right",
    "c a s n e t i o     sort by CID, address, state, ALPN, age, RTT, in, out",
    "w x m l g u         by window, paths, moves, last move, gap; not at all",
    "r                   the other way round",
    "p                   stand still, go on",
    "?                   this page; any key leaves it",
    "",
    "A row that has just moved stands out for two seconds and says where it was.",
    "What a row claims is an address that is not proven yet. Of a timeline's",
    "costs: gap, from the last packet to the first; proof, from the move to the",
    "PATH_RESPONSE; packets lost with the old path, and octets sent again.",
};
const size_t top_help_count = ARRAY_LENGTH(top_help_lines);

static const struct {
    char key;
    enum watch_column column;
} sorts[] = {
    {'c', WATCH_CID},   {'a', WATCH_ADDRESS},   {'s', WATCH_STATE}, {'n', WATCH_ALPN},     {'e', WATCH_AGE},
    {'t', WATCH_RTT},   {'i', WATCH_IN},        {'o', WATCH_OUT},   {'w', WATCH_WINDOW},   {'x', WATCH_PATHS},
    {'m', WATCH_MOVES}, {'l', WATCH_LAST_MOVE}, {'g', WATCH_GAP},   {'u', WATCH_UNSORTED},
};

/* ---- The filter's line */

static void filter_done(struct top_model *model)
{
    const char *why = "";
    if (top_filter_parse(&model->filter, model->typed, &why)) {
        model->typing = false;
        top_model_restart(model);
    } else {
        snprintf(model->message, sizeof(model->message), "%s", why);
    }
}

static void key_of_filter(struct top_model *model, int key)
{
    const size_t len = strlen(model->typed);
    model->message[0] = '\0';
    if (key == ESCAPE || key == CONTROL('c'))
        model->typing = false;
    else if (key == '\n' || key == '\r' || key == KEY_ENTER)
        filter_done(model);
    else if ((key == KEY_BACKSPACE || key == DELETE || key == CONTROL('h')) && len > 0)
        model->typed[len - 1] = '\0';
    else if (key == CONTROL('u'))
        model->typed[0] = '\0';
    else if (key >= ' ' && key <= '~' && len + 1 < sizeof(model->typed))
        snprintf(model->typed + len, sizeof(model->typed) - len, "%c", key);
}

/* ---- Both pages */

static int64_t way_of(int key, size_t page)
{
    switch (key) {
    case KEY_UP:
    case 'k':
        return -1;
    case KEY_DOWN:
    case 'j':
        return 1;
    case KEY_PPAGE:
        return -(int64_t)page;
    case KEY_NPAGE:
    case ' ':
        return (int64_t)page;
    case KEY_HOME:
        return -(INT64_MAX / 2);
    case KEY_END:
        return INT64_MAX / 2;
    default:
        return 0;
    }
}

static void pause_or_go_on(struct top_model *model, roam_time now)
{
    model->paused = !model->paused;
    model->paused_at = now;
    if (model->paused)
        return;
    model->stale = true;
    model->ask_detail = model->page == TOP_DETAIL;
}

static bool key_of_any(struct top_model *model, int key, roam_time now)
{
    if (key == 'p')
        pause_or_go_on(model, now);
    else if (key == '?' || key == 'h' || key == KEY_F(1)) {
        model->page_below = model->page;
        model->page = TOP_HELP;
    } else
        return false;
    return true;
}

/* ---- The table */

static void sort_beside(struct top_model *model, int by)
{
    size_t at = 0;
    for (size_t i = 0; i < TOP_COLUMNS; i++)
        if (top_columns[i].sort == model->sort && model->sort != WATCH_UNSORTED)
            at = i;
    do
        at = (at + TOP_COLUMNS + (size_t)(by + (int)TOP_COLUMNS)) % TOP_COLUMNS;
    while (top_columns[at].sort == WATCH_UNSORTED);
    model->reverse = false;
    model->sort = top_columns[at].sort;
    top_model_restart(model);
}

static void begin_filter(struct top_model *model)
{
    model->typing = true;
    memcpy(model->typed, model->filter.text, sizeof(model->typed));
}

static void key_of_table(struct top_model *model, int key)
{
    const struct top_row *row = top_model_chosen(model);
    const int64_t way = way_of(key, model->lines);
    if (way != 0)
        top_model_go(model, way);
    else if (key == 'q')
        model->quit = true;
    else if ((key == '\n' || key == '\r' || key == KEY_ENTER) && row != NULL)
        top_detail_open(model, row);
    else if (key == '/')
        begin_filter(model);
    else if (key == '<' || key == '>')
        sort_beside(model, key == '<' ? -1 : 1);
    else if (key == 'r')
        top_model_sort(model, model->sort);
    for (size_t i = 0; i < ARRAY_LENGTH(sorts); i++)
        if (key == sorts[i].key)
            top_model_sort(model, sorts[i].column);
}

static void key_of_detail(struct top_model *model, int key)
{
    const int64_t way = way_of(key, model->lines / 2 + 1);
    if (way != 0)
        top_detail_scroll(&model->detail, way);
    else if (key == 'q' || key == ESCAPE || key == KEY_BACKSPACE || key == DELETE || key == KEY_LEFT)
        top_detail_close(model);
}

void top_key(struct top_model *model, int key, roam_time now)
{
    if (model->typing) {
        key_of_filter(model, key);
        return;
    }
    model->message[0] = '\0';
    if (model->page == TOP_HELP)
        model->page = model->page_below;
    else if (key_of_any(model, key, now))
        return;
    else if (model->page == TOP_DETAIL)
        key_of_detail(model, key);
    else
        key_of_table(model, key);
}
