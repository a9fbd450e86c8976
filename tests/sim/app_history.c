/* Events of paths and CIDs, kept for those who ask afterwards. */
#include <stdlib.h>
#include <string.h>

#include "sim/app.h"

void app_history_add(struct app_history *history, const roam_event *event)
{
    history->counts[event->type]++;
    if (roam_event_class_of(event->type) < ROAM_EVENT_CLASS_PATH || history->count == APP_HISTORY_MAX)
        return;
    if (history->events == NULL && (history->events = malloc(APP_HISTORY_MAX * sizeof(*history->events))) == NULL)
        abort();
    history->events[history->count++] = (struct app_event){
        .type = event->type,
        .time = event->time,
        .path_id = event->path_id,
        .local = event->local,
        .remote = event->remote,
        .previous = event->previous,
        .proven = event->proven,
        .cid = event->cid,
        .sequence = event->sequence,
        .why = event->why,
    };
    memcpy(history->events[history->count - 1].path_data, event->path_data, sizeof(event->path_data));
}

void app_history_done(struct app_history *history)
{
    free(history->events);
    history->events = NULL;
}

const struct app_event *app_history_find(const struct app_history *history, roam_event_type type, size_t n)
{
    for (size_t i = 0; i < history->count; i++) {
        if (history->events[i].type == type && n-- == 0)
            return &history->events[i];
    }
    return NULL;
}

size_t app_history_count_data(const struct app_history *history, roam_event_type type, const uint8_t path_data[8])
{
    size_t count = 0;
    for (size_t i = 0; i < history->count; i++)
        count += history->events[i].type == type && memcmp(history->events[i].path_data, path_data, 8) == 0;
    return count;
}

size_t app_history_failures_on_active(const struct app_history *history)
{
    size_t failures = 0;
    uint64_t active = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct app_event *event = &history->events[i];
        if (event->type == ROAM_EVENT_PATH_MOVED || event->type == ROAM_EVENT_PATH_REVERTED)
            active = event->path_id;
        failures += event->type == ROAM_EVENT_PATH_FAILED && event->path_id == active;
    }
    return failures;
}
