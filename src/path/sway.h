/*
 * Does the peer seem to go to and fro between two places? A link that duplicates packets over two networks, or somebody
 * who races copies from a place that was proven once, lets now the one and now the other win, and each would move the
 * connection. A few returns are followed at once, as a Wi-Fi that flaps wants it; then going back has to wait, longer
 * each time. Plain data, no clock.
 *
 * steady -> (on_move back and forth) counting -> waiting until steady_until; a move to a third place, or a while
 *           without
 * any, begins anew.
 */
#ifndef PATH_SWAY_H
#define PATH_SWAY_H

#include <roam/types.h>

/* Returns that are followed at once. */
#define SWAY_FREE_RETURNS 3

/* The first wait, which doubles each time, and the longest: whoever makes the peer seem to be where it is no longer
 * gains no more than that. */
#define SWAY_WAIT_PTOS     UINT64_C(4)
#define SWAY_WAIT_PTOS_MAX 64

struct sway {
    uint64_t left_id; /* path that the last move left */
    uint32_t returns; /* in a row */
    roam_time steady_until, forget_at;
};

void sway_init(struct sway *sway);

/* The connection has moved from one path to another; `pto` is that of the one that it left. */
void sway_on_move(struct sway *sway, roam_time now, uint64_t from_id, uint64_t to_id, roam_time pto);

/* Is it too soon to go back there? */
bool sway_must_wait(const struct sway *sway, roam_time now, uint64_t to_id);

#endif
