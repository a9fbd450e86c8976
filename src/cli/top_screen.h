/* The terminal as `roam top` draws on it: see top_model.h. */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include "cli/top_model.h"

/* Takes the terminal on which standard input and output are. False where it cannot be drawn on (TERM). */
bool top_screen_open(void);
/* The terminal is as it was before. */
void top_screen_close(void);
/* The terminal has another size. */
void top_screen_resize(void);

/* The next key that has been pressed; -1: none. */
int top_screen_key(void);

/* Lines of the table that there is room for. */
size_t top_screen_lines(void);
void top_screen_draw(const struct top_model *model, roam_time now);

/* ---- For top_pages.c */

enum top_look {
    TOP_LOOK_PLAIN,
    TOP_LOOK_TITLE,
    TOP_LOOK_CHOSEN,
    TOP_LOOK_LOUD,
    TOP_LOOK_QUIET,
    TOP_LOOK_NOTE,
    TOP_LOOKS
};

/* Text at x of line y, in `width` columns and not beyond the screen. */
void top_put(int y, unsigned x, unsigned width, enum top_look look, const char *text);
/* All of a line. */
void top_put_line(int y, enum top_look look, const char *format, ...) __attribute__((format(printf, 3, 4)));
int top_height(void);
unsigned top_width(void);

void top_draw_detail(const struct top_model *model);
void top_draw_help(void);

#endif
