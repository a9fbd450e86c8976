/*
 * A row of the table as watchers get it: what it shows, which rows are wanted, and in which order. Pure.
 */
#ifndef CLI_WATCH_ROW_H
#define CLI_WATCH_ROW_H

#include <roam/roam.h>

struct watch_row {
    uint64_t id; /* roam_conn_info.id */
    roam_cid cid;
    roam_address remote, claimed, local;
    enum roam_conn_state state;
    const char *alpn;
    roam_time age;
    roam_time rtt; /* smoothed, of the active path */
    uint64_t window_bytes, bytes_received, bytes_sent;
    uint32_t paths;
    uint64_t moves;
    bool moved;
    roam_time last_move; /* how long ago */
    roam_time gap;       /* of that move; 0: nothing has come since */
};

/* Of a row of a walk, whose connection is still there. */
void watch_row_fill(struct watch_row *ret, const roam_conn_info *info, roam_time now);

#define WATCH_ALPN_MAX 256

/* All zero lets every row through. */
struct watch_filter {
    bool has_state;
    enum roam_conn_state state;
    roam_address address; /* set: the peer's first `bits` bits, and its port where that is not 0 */
    unsigned bits;
    char alpn[WATCH_ALPN_MAX]; /* "": any */
    roam_cid cid;              /* the octets that the CID begins with */
    bool has_id;
    uint64_t id;
};

bool watch_state_parse(enum roam_conn_state *ret, const char *text);
/* ADDR, ADDR:PORT or ADDR/BITS. */
bool watch_address_parse(struct watch_filter *ret, const char *text);
/* 16 digits in hexadecimal. */
bool watch_id_parse(struct watch_filter *ret, const char *text);
/* Whole octets in hexadecimal. */
bool watch_cid_parse(roam_cid *ret, const char *text);

bool watch_filter_matches(const struct watch_filter *filter, const roam_conn_info *info);

enum watch_column {
    WATCH_UNSORTED, /* the oldest first */
    WATCH_CID,
    WATCH_ADDRESS,
    WATCH_STATE,
    WATCH_ALPN,
    WATCH_AGE,
    WATCH_RTT,
    WATCH_WINDOW,
    WATCH_IN,
    WATCH_OUT,
    WATCH_PATHS,
    WATCH_MOVES,
    WATCH_LAST_MOVE,
    WATCH_GAP,
    WATCH_COLUMNS
};

/* For messages: all that there are. */
#define WATCH_COLUMN_NAMES "cid, address, state, alpn, age, rtt, window, in, out, paths, moves, last_move or gap"

const char *watch_column_name(enum watch_column column);
bool watch_column_parse(enum watch_column *ret, const char *text);

/* Below zero where `a` comes first: texts ascend, amounts descend, the newest move comes first. */
int watch_row_compare(enum watch_column column, const struct watch_row *a, const struct watch_row *b);

#endif
