/* Binary heap ordered by (time, order of setting). */
#include "sim/sim_clock.h"

#include <assert.h>
#include <stdlib.h>

void sim_clock_init(struct sim_clock *clock, roam_time now)
{
    *clock = (struct sim_clock){.now = now};
}

void sim_clock_done(struct sim_clock *clock)
{
    free(clock->heap);
    clock->heap = NULL;
}

void sim_event_init(struct sim_event *event, void (*fire)(struct sim_event *event))
{
    *event = (struct sim_event){.at = ROAM_TIME_NEVER, .index = SIM_EVENT_NOWHERE, .fire = fire};
}

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void place(struct sim_clock *clock, struct sim_event *event, size_t index)
{
    clock->heap[index] = event;
    event->index = index;
}

static void sift_up(struct sim_clock *clock, size_t index)
{
    struct sim_event *event = clock->heap[index];
    while (index > 0 && earlier(event, clock->heap[(index - 1) / 2])) {
        place(clock, clock->heap[(index - 1) / 2], index);
        index = (index - 1) / 2;
    }
    place(clock, event, index);
}

static void sift_down(struct sim_clock *clock, size_t index)
{
    struct sim_event *event = clock->heap[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= clock->count)
            break;
        if (child + 1 < clock->count && earlier(clock->heap[child + 1], clock->heap[child]))
            child++;
        if (!earlier(clock->heap[child], event))
            break;
        place(clock, clock->heap[child], index);
        index = child;
    }
    place(clock, event, index);
}

static void take_out(struct sim_clock *clock, struct sim_event *event)
{
    size_t index = event->index;
    struct sim_event *last = clock->heap[--clock->count];
    event->index = SIM_EVENT_NOWHERE;
    if (last != event) {
        place(clock, last, index);
        sift_up(clock, index);
        sift_down(clock, last->index);
    }
}

void sim_clock_set(struct sim_clock *clock, struct sim_event *event, roam_time at)
{
    if (sim_event_is_set(event))
        take_out(clock, event);
    event->at = at;
    if (at == ROAM_TIME_NEVER)
        return;
    if (at < clock->now)
        event->at = clock->now;
    if (clock->count == clock->capacity) {
        clock->capacity = clock->capacity == 0 ? 64 : 2 * clock->capacity;
        clock->heap = realloc(clock->heap, clock->capacity * sizeof(struct sim_event *));
        if (clock->heap == NULL)
            abort();
    }
    event->order = clock->next_order++;
    place(clock, event, clock->count++);
    sift_up(clock, event->index);
}

roam_time sim_clock_next(const struct sim_clock *clock)
{
    return clock->count == 0 ? ROAM_TIME_NEVER : clock->heap[0]->at;
}

bool sim_clock_step(struct sim_clock *clock)
{
    if (clock->count == 0)
        return false;
    struct sim_event *event = clock->heap[0];
    take_out(clock, event);
    clock->now = event->at;
    clock->fired++;
    event->fire(event);
    return true;
}

void sim_clock_check(const struct sim_clock *clock)
{
    for (size_t i = 0; i < clock->count; i++) {
        assert(clock->heap[i]->index == i);
        assert(clock->heap[i]->at >= clock->now);
        assert(i == 0 || !earlier(clock->heap[i], clock->heap[(i - 1) / 2]));
    }
}
