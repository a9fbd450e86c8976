/*
 * Events on their way to the application: a ring that grows to a cap. Beyond the cap those that only inform (paths,
 * CIDs, keys) are dropped and counted; those that an application must not miss are kept.
 */
#ifndef ENDPOINT_EVENT_QUEUE_H
#define ENDPOINT_EVENT_QUEUE_H

#include "conn/conn.h"

struct queued_event {
    roam_event event;
    uint64_t stream_id; /* of event.stream, to know whether it is still there */
    uint8_t *token;     /* our copy of NEW_TOKEN's, NEW_SESSION's */
};

struct event_queue {
    const roam_allocator *allocator;
    struct queued_event *ring;
    size_t capacity; /* zero or a power of two */
    size_t first, count;
    size_t max;
    uint64_t dropped;
    uint8_t *last_token; /* of the event polled last */
    size_t last_token_bytes;
};

void event_queue_init(struct event_queue *queue, const roam_allocator *allocator, size_t max);
void event_queue_done(struct event_queue *queue);
/* False where there was no memory for an event that the application must not miss. */
bool event_queue_push(struct event_queue *queue, const roam_event *event);
bool event_queue_pop(struct event_queue *queue, roam_event *ret);

/* The connection is about to be deleted: none of its events will come out. */
void event_queue_forget(struct event_queue *queue, roam_conn *conn);

#endif
