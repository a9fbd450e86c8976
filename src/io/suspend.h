/*
 * Has the host been asleep? CLOCK_BOOTTIME counts the time that it was, CLOCK_MONOTONIC does not: what the first gains
 * on the second was slept away.
 */
#ifndef IO_SUSPEND_H
#define IO_SUSPEND_H

#include <stdbool.h>

#include <roam/types.h>

/* A nap that no timer of ours would notice. */
#define SUSPEND_MIN ROAM_MILLISECONDS(500)

/* The clocks are read one after the other. Where more than that lies between, this process was stopped meanwhile,
 * and the readings say nothing. */
#define SUSPEND_READING_MAX ROAM_MILLISECONDS(50)

struct suspend_watch {
    roam_time lead; /* of CLOCK_BOOTTIME before CLOCK_MONOTONIC, when it was looked at last */
    bool known;
};

/* CLOCK_BOOTTIME, read between two readings of CLOCK_MONOTONIC. */
struct suspend_reading {
    roam_time before, boottime, after;
};

struct suspend_reading suspend_read(void);

/* How long the host slept since the last call that said so; 0: it did not, or not for SUSPEND_MIN. */
roam_time suspend_slept(struct suspend_watch *watch, const struct suspend_reading *reading);

/* A descriptor that becomes readable when the host wakes; -1 with errno. */
int suspend_fd_open(void);
/* Reads it empty. */
void suspend_fd_drain(int fd);

#endif
