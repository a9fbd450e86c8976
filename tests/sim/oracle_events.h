/*
 * What a connection tells its application of its paths and CIDs must be a story that holds together:
 *
 *   - A path is new once and closed once; nothing is told of it afterwards.
 *   - A challenge is sent once and believed at most once, after that; it is responded to as often as it came, at most.
 *     A path is validated only after an answer on it.
 *   - A move settles once, on the path that it went to.
 *   - CIDs are issued in order; each is used once, and retired once, after that.
 *   - The end is told once, and nothing after it.
 */
#ifndef SIM_ORACLE_EVENTS_H
#define SIM_ORACLE_EVENTS_H

#include <roam/roam.h>

#include "sim/sim_map.h"

struct event_book {
    struct sim_map told; /* each step with what it was about */
    uint64_t issued;     /* sequence of the CID issued last */
    bool moving;         /* a move waits to be settled */
    bool path_is_known;  /* to be settled on: */
    uint64_t path_id;
    bool ended;
};

void event_book_done(struct event_book *book);

/* The client was told to go on from another address: a move that no event begins. */
void event_book_on_rebind(struct event_book *book);

/* NULL, or what is wrong with this event after those before it. */
const char *event_book_add(struct event_book *book, const roam_event *event);

#endif
