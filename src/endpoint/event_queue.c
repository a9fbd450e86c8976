/* See event_queue.h. */
#include "endpoint/event_queue.h"

#include "base/rng.h"

#define FIRST_CAPACITY 64

void event_queue_init(struct event_queue *queue, const roam_allocator *allocator, size_t max)
{
    *queue = (struct event_queue){.allocator = allocator, .max = max};
}

static void free_token(struct event_queue *queue, uint8_t *token, size_t bytes)
{
    if (token != NULL)
        wipe(token, bytes);
    mem_free(queue->allocator, token, bytes);
}

void event_queue_done(struct event_queue *queue)
{
    for (; queue->count > 0; queue->count--, queue->first++) {
        struct queued_event *entry = &queue->ring[queue->first & (queue->capacity - 1)];
        free_token(queue, entry->token, entry->event.token_bytes);
    }
    free_token(queue, queue->last_token, queue->last_token_bytes);
    mem_free(queue->allocator, queue->ring, queue->capacity * sizeof(*queue->ring));
    event_queue_init(queue, queue->allocator, queue->max);
}

/* What became of a datagram. */
static bool is_fate(roam_event_type type)
{
    return roam_event_class_of(type) == ROAM_EVENT_CLASS_DATAGRAM && type != ROAM_EVENT_DATAGRAM_READABLE &&
           type != ROAM_EVENT_DATAGRAM_WRITABLE;
}

/* Those that only inform. RESET_RECEIVED is followed by CLOSED, which is not dropped. */
static bool may_be_dropped(roam_event_type type)
{
    return roam_event_class_of(type) >= ROAM_EVENT_CLASS_PATH || type == ROAM_EVENT_KEY_UPDATED || is_fate(type) ||
           type == ROAM_EVENT_NEW_TOKEN || type == ROAM_EVENT_NEW_SESSION || type == ROAM_EVENT_RESET_RECEIVED;
}

static bool grow(struct event_queue *queue)
{
    size_t capacity = queue->capacity == 0 ? FIRST_CAPACITY : 2 * queue->capacity;
    struct queued_event *ring = mem_alloc(queue->allocator, capacity * sizeof(*ring));
    if (ring == NULL)
        return false;
    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->first + i) & (queue->capacity - 1)];
    mem_free(queue->allocator, queue->ring, queue->capacity * sizeof(*ring));
    queue->ring = ring;
    queue->capacity = capacity;
    queue->first = 0;
    return true;
}

static bool copy_token(struct event_queue *queue, struct queued_event *entry)
{
    if (entry->event.token_bytes == 0)
        return true;
    entry->token = mem_alloc(queue->allocator, entry->event.token_bytes);
    if (entry->token == NULL)
        return false;
    memcpy(entry->token, entry->event.token, entry->event.token_bytes);
    entry->event.token = entry->token;
    return true;
}

bool event_queue_push(struct event_queue *queue, const roam_event *event)
{
    struct queued_event entry = {.event = *event};
    bool full = queue->count >= queue->max && may_be_dropped(event->type);
    bool unheard = event->conn != NULL && !event->conn->app_holds;
    if (full || unheard || (queue->count == queue->capacity && !grow(queue)) || !copy_token(queue, &entry)) {
        queue->dropped++;
        return unheard || may_be_dropped(event->type);
    }
    if (event->stream != NULL)
        entry.stream_id = event->stream->id;
    if (event->conn != NULL)
        event->conn->events_queued++;
    queue->ring[(queue->first + queue->count++) & (queue->capacity - 1)] = entry;
    return true;
}

/* The application may have given back its handles since the event was queued. */
static bool is_current(const struct queued_event *entry)
{
    roam_conn *conn = entry->event.conn;
    if (roam_event_class_of(entry->event.type) == ROAM_EVENT_CLASS_ENDPOINT)
        return true;
    if (conn == NULL || !conn->app_holds)
        return false;
    return entry->event.stream == NULL ||
           (stream_find(&conn->streams, entry->stream_id) == entry->event.stream && entry->event.stream->app_holds);
}

bool event_queue_pop(struct event_queue *queue, roam_event *ret)
{
    free_token(queue, queue->last_token, queue->last_token_bytes);
    queue->last_token = NULL;
    while (queue->count > 0) {
        struct queued_event *entry = &queue->ring[queue->first & (queue->capacity - 1)];
        queue->first = (queue->first + 1) & (queue->capacity - 1);
        queue->count--;
        if (entry->event.conn != NULL)
            entry->event.conn->events_queued--;
        queue->last_token = entry->token;
        queue->last_token_bytes = entry->event.token_bytes;
        if (is_current(entry)) {
            *ret = entry->event;
            return true;
        }
        free_token(queue, queue->last_token, queue->last_token_bytes);
        queue->last_token = NULL;
    }
    return false;
}

void event_queue_forget(struct event_queue *queue, roam_conn *conn)
{
    for (size_t i = 0; i < queue->count && conn->events_queued > 0; i++) {
        struct queued_event *entry = &queue->ring[(queue->first + i) & (queue->capacity - 1)];
        if (entry->event.conn == conn) {
            entry->event.conn = NULL;
            conn->events_queued--;
        }
    }
}
