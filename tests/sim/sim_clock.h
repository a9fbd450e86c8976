/*
 * Virtual time: a heap of events, each embedded in what it is about. Time stands still while an event is handled and
 * jumps to the next one afterwards. Events of one time fire in the order in which they were set.
 */
#ifndef SIM_SIM_CLOCK_H
#define SIM_SIM_CLOCK_H

#include <roam/types.h>

/* Outside of the heap. */
#define SIM_EVENT_NOWHERE SIZE_MAX

struct sim_event {
    roam_time at;
    uint64_t order;
    size_t index;
    void (*fire)(struct sim_event *event);
};

/* What an event is embedded in. */
#define SIM_CONTAINER(event, type, member) ((type *)(void *)((char *)(event)-offsetof(type, member)))

struct sim_clock {
    roam_time now;
    uint64_t next_order;
    uint64_t fired;
    struct sim_event **heap;
    size_t count, capacity;
};

void sim_clock_init(struct sim_clock *clock, roam_time now);
void sim_clock_done(struct sim_clock *clock);

void sim_event_init(struct sim_event *event, void (*fire)(struct sim_event *event));

static inline bool sim_event_is_set(const struct sim_event *event)
{
    return event->index != SIM_EVENT_NOWHERE;
}

/* Sets or moves the event; ROAM_TIME_NEVER takes it out. A time in the past is now. */
void sim_clock_set(struct sim_clock *clock, struct sim_event *event, roam_time at);

/* When the next event fires, or ROAM_TIME_NEVER. */
roam_time sim_clock_next(const struct sim_clock *clock);

/* Goes to the next event's time and fires it. Returns false where there is none. */
bool sim_clock_step(struct sim_clock *clock);

/* Heap order and indices hold. */
void sim_clock_check(const struct sim_clock *clock);

#endif
