/*
 * The table on the screen. Kept: nothing is drawn outside of it, however small it is; what colour says, reverse and bold say
 * too, for terminals without one.
 */
#include "cli/top_screen.h"

#include <curses.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/cli.h"

/* How long an Escape waits for what would make it a key. */
#define ESCAPE_MS 25

static SCREEN *screen;
static bool has_colours;

enum pair { PAIR_GOOD = 1, PAIR_CHOSEN, PAIR_NOTE };

/* ---- The terminal */

static void choose_colours(void)
{
    const char *no_color = getenv("NO_COLOR");
    has_colours = has_colors() && (no_color == NULL || *no_color == '\0') && start_color() == OK;
    if (!has_colours)
        return;
    short ground = use_default_colors() == OK ? -1 : COLOR_BLACK;
    init_pair(PAIR_GOOD, COLOR_GREEN, ground);
    init_pair(PAIR_CHOSEN, COLOR_CYAN, ground);
    init_pair(PAIR_NOTE, COLOR_YELLOW, ground);
}

bool top_screen_open(void)
{
    set_escdelay(ESCAPE_MS);
    screen = newterm(NULL, stdout, stdin);
    if (screen == NULL)
        return false;
    choose_colours();
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    return true;
}

void top_screen_close(void)
{
    if (screen == NULL)
        return;
    /* Where there is no other screen to go back to, a prompt stands on a line of its own. */
    move(LINES - 1, 0);
    clrtoeol();
    refresh();
    endwin();
    delscreen(screen);
    screen = NULL;
}

void top_screen_resize(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    clearok(stdscr, TRUE);
}

int top_screen_key(void)
{
    int key = getch();
    return key == ERR ? -1 : key;
}

int top_height(void)
{
    return LINES;
}

unsigned top_width(void)
{
    return (unsigned)COLS;
}

/* ---- Pieces */

static attr_t attributes_of(enum top_look look)
{
    switch (look) {
    case TOP_LOOK_TITLE:
        return A_REVERSE;
    case TOP_LOOK_CHOSEN:
        return has_colours ? A_BOLD | COLOR_PAIR(PAIR_CHOSEN) : A_UNDERLINE;
    case TOP_LOOK_LOUD:
        return has_colours ? A_REVERSE | A_BOLD | COLOR_PAIR(PAIR_GOOD) : A_REVERSE | A_BOLD;
    case TOP_LOOK_QUIET:
        return has_colours ? A_BOLD | COLOR_PAIR(PAIR_GOOD) : A_BOLD;
    case TOP_LOOK_NOTE:
        return has_colours ? A_BOLD | COLOR_PAIR(PAIR_NOTE) : A_BOLD;
    default:
        return A_NORMAL;
    }
}

void top_put(int y, unsigned x, unsigned width, enum top_look look, const char *text)
{
    if (y < 0 || y >= LINES || x >= top_width())
        return;
    width = (unsigned)min_size(width, top_width() - x);
    attrset((int)attributes_of(look));
    mvprintw(y, (int)x, "%-*.*s", (int)width, (int)width, text);
    attrset(A_NORMAL);
}

void top_put_line(int y, enum top_look look, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* Half a number is another number. */
    if (strlen(text) > top_width() && top_width() > 0)
        memcpy(text + top_width() - 1, "~", 2);
    top_put(y, 0, top_width(), look, text);
}

/* ---- Above the table */

#define HEADER_LINES 3

/* Those that there is room for: the table has a line at least. */
static int header_lines(void)
{
    return LINES >= 8 ? HEADER_LINES : 0;
}

size_t top_screen_lines(void)
{
    return LINES > header_lines() + 2 ? (size_t)(LINES - header_lines() - 2) : 1;
}

static void draw_header(const struct top_model *model)
{
    const struct top_server *server = &model->server;
    char up[TOP_CELL_MAX], in[AMOUNT_TEXT_MAX], out[AMOUNT_TEXT_MAX], memory[AMOUNT_TEXT_MAX],
        resident[AMOUNT_TEXT_MAX], lost[64] = "";
    if (model->events_lost > 0)
        snprintf(lost, sizeof(lost), ", %" PRIu64 " events too many", model->events_lost);
    top_put_line(0, TOP_LOOK_PLAIN, "%s %s, process %" PRIu64 ", up %s%s%s", server->command, server->version,
                 server->pid, top_ago_text(server->up_ms, up), lost, model->paused ? "   PAUSED" : "");
    top_put_line(1, TOP_LOOK_PLAIN,
                 "connections %" PRIu64 " established, %" PRIu64 " in handshake, %" PRIu64 " closing, %" PRIu64
                 " draining",
                 server->states[ROAM_CONN_ESTABLISHED], server->states[ROAM_CONN_HANDSHAKE],
                 server->states[ROAM_CONN_CLOSING], server->states[ROAM_CONN_DRAINING]);
    top_put_line(2, TOP_LOOK_PLAIN, "moves %" PRIu64 "  in %s/s  out %s/s  memory %s of %s", server->moves,
                 format_amount(server->rates.in, in), format_amount(server->rates.out, out),
                 format_amount((double)server->memory, memory), format_amount((double)server->resident, resident));
}

/* ---- The table */

static void draw_titles(const struct top_model *model, const struct top_layout *layout, int y)
{
    char title[TOP_CELL_MAX];
    top_put_line(y, TOP_LOOK_TITLE, "%s", "");
    for (size_t i = 0; i < TOP_COLUMNS; i++) {
        const struct top_column *column = &top_columns[i];
        const bool sorted = column->sort == model->sort && model->sort != WATCH_UNSORTED;
        if (layout->width[i] == 0)
            continue;
        snprintf(title, sizeof(title), column->right ? "%*s" : "%-*s", (int)layout->width[i], column->title);
        top_put(y, layout->x[i], layout->width[i], sorted ? TOP_LOOK_NOTE : TOP_LOOK_TITLE, title);
    }
}

static void draw_cell(const struct top_column *column, int y, unsigned x, unsigned width, enum top_look look,
                      const char *text)
{
    char cell[TOP_CELL_MAX];
    if (strlen(text) > width)
        snprintf(cell, sizeof(cell), "%.*s~", (int)width - 1, text);
    else
        snprintf(cell, sizeof(cell), column->right ? "%*s" : "%-*s", (int)width, text);
    top_put(y, x, width, look, cell);
}

/* Where it was, or says to be, over as many of the columns behind the address as it takes. */
static void draw_old(const struct top_row *row, const struct top_layout *layout, int y, enum top_look look)
{
    char text[TOP_CELL_MAX + 16];
    const unsigned x = layout->x[TOP_COLUMN_ADDRESS] + layout->width[TOP_COLUMN_ADDRESS];
    unsigned end = x;
    if (row->claimed[0] != '\0')
        snprintf(text, sizeof(text), " claims %s", row->claimed);
    else if (row->old[0] != '\0')
        snprintf(text, sizeof(text), " was %s", row->old);
    else
        return;
    for (size_t i = TOP_COLUMN_ADDRESS + 1; i < TOP_COLUMNS && end < x + strlen(text); i++)
        if (layout->width[i] > 0)
            end = layout->x[i] + layout->width[i];
    top_put(y, x, end - x, look, text);
}

static enum top_look look_of(const struct top_row *row, bool chosen, roam_time now)
{
    if (top_row_flashes(row, now))
        return saturating_sub(now, row->moved_at) < TOP_FLASH_LOUD ? TOP_LOOK_LOUD : TOP_LOOK_QUIET;
    return chosen ? TOP_LOOK_CHOSEN : TOP_LOOK_PLAIN;
}

static void draw_row(const struct top_row *row, const struct top_layout *layout, int y, bool chosen, roam_time now)
{
    const enum top_look look = look_of(row, chosen, now);
    char text[TOP_CELL_MAX];
    top_put_line(y, look, "%s", chosen ? ">" : "");
    for (size_t i = 0; i < TOP_COLUMNS; i++)
        if (layout->width[i] > 0)
            draw_cell(&top_columns[i], y, layout->x[i], layout->width[i], look, top_cell_text(row, i, now, text));
    if (top_row_flashes(row, now) || row->claimed[0] != '\0')
        draw_old(row, layout, y, look);
}

static void draw_last_line(const struct top_model *model)
{
    const int y = LINES - 1;
    if (model->typing) {
        top_put_line(y, TOP_LOOK_NOTE, "filter: %s_%s%s", model->typed, model->message[0] != '\0' ? "   " : "",
                     model->message);
    } else if (model->message[0] != '\0') {
        top_put_line(y, TOP_LOOK_NOTE, "%s", model->message);
    } else {
        top_put_line(y, TOP_LOOK_PLAIN, "rows %" PRIu64 "-%" PRIu64 " of %" PRIu64 " by %s%s%s%s  Enter < > r / p ? q",
                     model->first + (model->count > 0), model->first + model->count, model->matching,
                     watch_column_name(model->sort), model->reverse ? " reversed" : "",
                     model->filter.text[0] != '\0' ? ", only " : "", model->filter.text);
    }
}

static void draw_table(const struct top_model *model, roam_time now)
{
    struct top_layout layout;
    const int y = header_lines();
    if (y > 0)
        draw_header(model);
    top_layout_choose(&layout, model, top_width());
    draw_titles(model, &layout, y);
    for (size_t i = 0; i < min_size(model->count, model->lines); i++)
        draw_row(&model->rows[i], &layout, y + 1 + (int)i, model->first + i == model->at, now);
    if (model->count == 0 && model->server.known)
        top_put_line(y + 1, TOP_LOOK_PLAIN, model->connections > 0 ? " no connection is like that" : " no connections");
}

void top_screen_draw(const struct top_model *model, roam_time now)
{
    now = top_model_now(model, now);
    erase();
    if (model->page == TOP_HELP) {
        top_draw_help();
    } else {
        if (model->page == TOP_DETAIL)
            top_draw_detail(model);
        else
            draw_table(model, now);
        if (model->page == TOP_TABLE || model->message[0] != '\0')
            draw_last_line(model);
    }
    refresh();
}
