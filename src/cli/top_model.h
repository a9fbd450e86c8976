/*
 * What `roam top` knows and shows: the newest answers of a server's control socket (docs/control.md), what has moved since,
 * and where its user is. Pure: times are arguments, requests are flags that the loop looks at.
 *   top.c         the command: terminal, signals, loop
 *   top_link.c    the control socket: lines out and in
 *   top_read.c    lines of the server's become what is known
 *   top_model.c   rows, moves, rates, the place in the table
 *   top_detail.c  one connection and its timeline
 *   top_filter.c  what a user types as a filter
 *   top_text.c    amounts, times and columns as text
 *   top_screen.c  the table on the screen, top_pages.c the other pages
 *   top_keys.c    what keys do
 */
#ifndef CLI_TOP_MODEL_H
#define CLI_TOP_MODEL_H

#include <stdbool.h>

#include "cli/watch_row.h"

/* Rows of the largest page. */
#define TOP_ROWS_MAX 512

/* How long a row says that it has moved, and for how much of that loudly. */
#define TOP_FLASH      ROAM_SECONDS(2)
#define TOP_FLASH_LOUD ROAM_SECONDS(1)

/* Moves that are remembered of connections which are on no page. */
#define TOP_RECENT_MAX 64

#define TOP_PATHS_MAX    64
#define TOP_CIDS_MAX     128
#define TOP_TIMELINE_MAX 256
#define TOP_ENTRY_MAX    200
#define TOP_NAME_MAX     48
#define TOP_MESSAGE_MAX  160

/* Which connection: its "id", which outlives CIDs and addresses. */
#define TOP_KEY_MAX 17

/* Octets a second, from a look at the counters to one that is RATE_MS later or more. */
struct top_rates {
    bool known;
    double in, out;
    double looked_ms; /* when that was, by the age of what has the counters */
    uint64_t in_then, out_then;
};

struct top_row {
    char key[TOP_KEY_MAX];
    char cid[ROAM_CID_TEXT_MAX];
    char address[ROAM_ADDRESS_TEXT_MAX], claimed[ROAM_ADDRESS_TEXT_MAX], local[ROAM_ADDRESS_TEXT_MAX];
    char state[TOP_NAME_MAX], alpn[TOP_NAME_MAX];
    double age_ms, rtt_ms, gap_ms;
    uint64_t window, in, out, paths, moves;
    bool moved, has_gap;
    roam_time moved_at;
    char old[ROAM_ADDRESS_TEXT_MAX]; /* where it was before; "": unknown */
    struct top_rates rates;
};

struct top_server {
    char command[TOP_NAME_MAX], version[TOP_NAME_MAX];
    uint64_t pid;
    double up_ms;
    double clock_ms; /* of its clock, which is Unix time, before ours */
    uint64_t states[ROAM_CONN_STATES];
    uint64_t moves, in, out, drops, memory, resident;
    bool known;
    struct top_rates rates;
};

struct top_move {
    char key[TOP_KEY_MAX];
    char old[ROAM_ADDRESS_TEXT_MAX];
    roam_time at;
};

/* ---- One connection */

struct top_path {
    uint64_t id, in, out, window, in_flight, datagram_bytes;
    bool active;
    char state[TOP_NAME_MAX], ecn[TOP_NAME_MAX];
    char local[ROAM_ADDRESS_TEXT_MAX], remote[ROAM_ADDRESS_TEXT_MAX], cid[ROAM_CID_TEXT_MAX];
    double rtt_ms, min_rtt_ms;
};

struct top_cid {
    bool peers, used, in_use, retiring;
    uint64_t sequence;
    char cid[ROAM_CID_TEXT_MAX];
};

struct top_entry {
    double unix_ms;
    bool is_move;
    char text[TOP_ENTRY_MAX];
};

struct top_detail {
    struct top_row row; /* before the first answer that of the table */
    bool loaded, gone;
    bool by_id; /* its CID is known no more: that is looked for through the whole table */
    uint64_t packets_sent, packets_received, packets_lost, resent;
    char cipher[TOP_NAME_MAX];
    struct top_path paths[TOP_PATHS_MAX];
    size_t path_count;
    struct top_cid cids[TOP_CIDS_MAX];
    size_t cid_count;
    struct top_entry entries[TOP_TIMELINE_MAX]; /* a ring */
    size_t first, entry_count;
    size_t back; /* how many of the newest are below the screen */
};

/* ---- Everything */

enum top_page { TOP_TABLE, TOP_DETAIL, TOP_HELP };

struct top_filter {
    char text[TOP_MESSAGE_MAX]; /* as it was typed; "": every row */
    char state[TOP_NAME_MAX], address[ROAM_ADDRESS_TEXT_MAX], alpn[TOP_MESSAGE_MAX], cid[ROAM_CID_TEXT_MAX];
};

struct top_model {
    struct top_server server;
    struct top_row rows[TOP_ROWS_MAX]; /* the newest complete page */
    size_t count;
    uint64_t first; /* place in the table of rows[0] */
    struct top_row coming[TOP_ROWS_MAX];
    size_t coming_count;
    uint64_t coming_first; /* place of the page that was asked for */
    uint64_t connections, matching;
    struct top_move recent[TOP_RECENT_MAX];
    size_t recent_next;
    uint64_t events_lost;

    enum top_page page, page_below; /* below: what help covers */
    struct top_detail detail;
    size_t lines;    /* of the table that there is room for */
    uint64_t offset; /* place in the table of the first line */
    uint64_t at;     /* place of the row that is chosen */
    char chosen[TOP_KEY_MAX];
    enum watch_column sort;
    bool reverse;
    struct top_filter filter;
    bool typing;
    char typed[TOP_MESSAGE_MAX];
    char message[TOP_MESSAGE_MAX]; /* for the last line, until the next key */
    bool paused;
    roam_time paused_at;

    /* For the loop. */
    bool quit;
    bool stale;     /* another page of the table is wanted at once */
    bool subscribe; /* other events are wanted */
    bool ask_detail;
};

void top_model_init(struct top_model *model);

/* ---- top_model.c */

/* A row of the answer that is under way; the oldest that has no room any more is let go. */
void top_model_row(struct top_model *model, const struct top_row *row);
/* The answer is complete: it is the page now. */
void top_model_page(struct top_model *model, uint64_t connections, uint64_t matching);
/* What it does a second is told by what it was before; before NULL: not yet. */
void top_rates_tell(struct top_rates *rates, const struct top_rates *before, double ms, uint64_t in, uint64_t out);
void top_model_server(struct top_model *model, const struct top_server *server);

struct top_event {
    char name[TOP_NAME_MAX];
    char key[TOP_KEY_MAX]; /* of the connection; "": none */
    char remote[ROAM_ADDRESS_TEXT_MAX], previous[ROAM_ADDRESS_TEXT_MAX];
    bool proven;
    double unix_ms;
};

/* A row may have moved. */
void top_model_event(struct top_model *model, const struct top_event *event, roam_time now);

/* What the eye sees of time: it stands still in a pause. */
roam_time top_model_now(const struct top_model *model, roam_time now);
bool top_row_flashes(const struct top_row *row, roam_time now);
/* When the next row becomes quieter; 0: none will. */
roam_time top_model_next_change(const struct top_model *model, roam_time now);

/* So many rows up (below 0) or down. */
void top_model_go(struct top_model *model, int64_t by);
void top_model_resize(struct top_model *model, size_t lines);
void top_model_sort(struct top_model *model, enum watch_column column);
/* From the first row on. */
void top_model_restart(struct top_model *model);
/* NULL: no row is chosen. */
const struct top_row *top_model_chosen(const struct top_model *model);

/* ---- top_detail.c */

void top_detail_open(struct top_model *model, const struct top_row *row);
void top_detail_close(struct top_model *model);
void top_detail_add(struct top_detail *detail, double unix_ms, bool is_move, const char *text);
/* Asked by its CID once more by its id, and then it is gone. */
void top_detail_not_found(struct top_model *model);
/* The i-th, from the oldest. */
const struct top_entry *top_detail_entry(const struct top_detail *detail, size_t i);
/* So many lines back (below 0) or forth, with so many on the screen. */
void top_detail_scroll(struct top_detail *detail, int64_t by);

/* ---- top_read.c */

/* What a line of the server's was, for whoever waits for an answer. */
enum top_line { TOP_LINE_NEWS, TOP_LINE_PART, TOP_LINE_ANSWER, TOP_LINE_ERROR, TOP_LINE_BAD };

/* len octets without the newline. `asked`: the line, where it is an error, is about the table (and not a connection). */
enum top_line top_read_line(struct top_model *model, const char *line, size_t len, bool of_table, roam_time now);

/* ---- top_filter.c */

/* Words, each of which says something of the rows that are wanted: a state, an address (ADDR, ADDR:PORT, ADDR/BITS), the
 * beginning of a CID, else an ALPN; or plainly state=, address=, cid=, alpn=. False: *ret_why says what is wrong. */
bool top_filter_parse(struct top_filter *ret, const char *text, const char **ret_why);

/* ---- top_text.c */

#define TOP_CELL_MAX 80

/* "1023", "1.2K", "12M": five characters at most. */
const char *top_amount_text(double n, char ret[TOP_CELL_MAX]);
/* "0.12ms", "123ms", "3.4s", "2m05s", "5h03m", "12d": six at most. */
const char *top_span_text(double ms, char ret[TOP_CELL_MAX]);
/* The same in tenths of seconds, then seconds: five at most. */
const char *top_ago_text(double ms, char ret[TOP_CELL_MAX]);

struct top_column {
    const char *title;
    enum watch_column sort; /* WATCH_UNSORTED: not by this */
    unsigned width;         /* 0: as wide as what stands there */
    unsigned priority;      /* the lower, the longer it stays when the screen becomes narrow */
    bool right;
};

#define TOP_COLUMNS 16

extern const struct top_column top_columns[TOP_COLUMNS];
#define TOP_COLUMN_CID     0
#define TOP_COLUMN_ADDRESS 1

struct top_layout {
    unsigned x[TOP_COLUMNS], width[TOP_COLUMNS]; /* width 0: not there */
};

/* Which columns a screen of so many columns has. */
void top_layout_choose(struct top_layout *ret, const struct top_model *model, unsigned columns);
const char *top_cell_text(const struct top_row *row, size_t column, roam_time now, char ret[TOP_CELL_MAX]);

/* ---- top_keys.c */

/* A key as curses tells it. */
void top_key(struct top_model *model, int key, roam_time now);
/* What the help says, and what keys sort by: for the pages. */
extern const char *const top_help_lines[];
extern const size_t top_help_count;

#endif
