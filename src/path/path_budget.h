/*
 * How many new places a peer may show up at in a given time: each costs a path, a challenge with its repeats, and
 * events. Moves to known places cost nothing and are not counted, nor is there a limit to moves over a connection's
 * life. Pure.
 *
 * Anybody who can copy packets can make new places fail; that must not end the connection, nor keep the true peer from
 * moving for good. So failures in a row make the budget smaller, and never zero.
 */
#ifndef PATH_PATH_BUDGET_H
#define PATH_PATH_BUDGET_H

#include <roam/types.h>

//= rfc9000#21.9-1 Each new place costs more here than it costs whoever makes it up.
/* New places within one PTO: a NAT that reboots gives one, a client that flaps between its networks a few; a NAT that
 * gives every packet another port, or somebody who plays one, gives as many as there are packets. */
#define NEW_PATHS_PER_PTO 8

/* After so many failed in a row, one at a time: no other before that one could have failed, which takes three PTOs. */
#define FAILED_PATHS_MAX     8
#define FAILED_PATH_INTERVAL 3 /* PTOs */

struct path_budget {
    roam_time since; /* when the count began */
    uint32_t opened; /* since then */
    uint32_t failed; /* in a row */
};

/* May a path to a new place be made now? */
bool path_budget_allows(const struct path_budget *budget, roam_time now, roam_time pto);

void path_budget_on_opened(struct path_budget *budget, roam_time now, roam_time pto);

/* Nobody answered there; somebody did. */
void path_budget_on_failed(struct path_budget *budget);
void path_budget_on_proven(struct path_budget *budget);

#endif
