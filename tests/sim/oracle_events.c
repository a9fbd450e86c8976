/* See oracle_events.h. */
#include "sim/oracle_events.h"

#include <string.h>

/* What is remembered of a path, a challenge or a CID. */
enum step {
    STEP_PATH_NEW = 1,
    STEP_PATH_CLOSED,
    STEP_PATH_ANSWERED,
    STEP_ASKED,
    STEP_BELIEVED,
    STEP_RECEIVED,
    STEP_RESPONDED,
    STEP_USED,
    STEP_RETIRED,
};

static uint64_t key_of(enum step step, uint64_t about)
{
    /* A bijection for each step; the map's keys are not 0. */
    uint64_t key = (about ^ about >> 32) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)step * UINT64_C(0xd1342543de82ef95);
    return key != 0 ? key : 1;
}

static bool was(const struct event_book *book, enum step step, uint64_t about)
{
    return sim_map_find(&book->told, key_of(step, about)) != NULL;
}

/* False where it was before. */
static bool once(struct event_book *book, enum step step, uint64_t about)
{
    bool added;
    sim_map_get(&book->told, key_of(step, about), 0, &added);
    return added;
}

static uint64_t times(const struct event_book *book, enum step step, uint64_t about)
{
    const uint64_t *value = sim_map_find(&book->told, key_of(step, about));
    return value != NULL ? *value : 0;
}

/* How often it was, with this time. */
static uint64_t count(struct event_book *book, enum step step, uint64_t about)
{
    bool added;
    return ++*sim_map_get(&book->told, key_of(step, about), 0, &added);
}

static uint64_t data_of(const roam_event *event)
{
    uint64_t data;
    memcpy(&data, event->path_data, sizeof(data));
    return data;
}

static const char *add_move(struct event_book *book, const roam_event *event)
{
    book->moving = book->path_is_known = true;
    book->path_id = event->path_id;
    return NULL;
}

static const char *add_settled(struct event_book *book, const roam_event *event)
{
    if (!book->moving)
        return "a move settles that never began, or twice";
    if (book->path_is_known && book->path_id != event->path_id)
        return "a move settles on another path";
    book->moving = false;
    return NULL;
}

static const char *add_validation(struct event_book *book, const roam_event *event)
{
    const uint64_t data = data_of(event);
    switch (event->type) {
    case ROAM_EVENT_PATH_CHALLENGED:
        return once(book, STEP_ASKED, data) ? NULL : "a challenge is sent twice";
    case ROAM_EVENT_PATH_CHALLENGE_RECEIVED:
        count(book, STEP_RECEIVED, data);
        return NULL;
    case ROAM_EVENT_PATH_RESPONDED:
        return count(book, STEP_RESPONDED, data) <= times(book, STEP_RECEIVED, data) ? NULL
                                                                                     : "more responses than challenges";
    case ROAM_EVENT_PATH_ANSWERED:
        once(book, STEP_PATH_ANSWERED, event->path_id);
        if (!was(book, STEP_ASKED, data))
            return "an answer to no challenge";
        return once(book, STEP_BELIEVED, data) ? NULL : "an answer is believed twice";
    default:
        return was(book, STEP_PATH_ANSWERED, event->path_id) ? NULL : "a path is validated that never answered";
    }
}

static const char *add_path(struct event_book *book, const roam_event *event)
{
    if (was(book, STEP_PATH_CLOSED, event->path_id))
        return "something is told of a path that is closed";
    switch (event->type) {
    case ROAM_EVENT_PATH_NEW:
        return once(book, STEP_PATH_NEW, event->path_id) ? NULL : "a path is new twice";
    case ROAM_EVENT_PATH_CLOSED:
        once(book, STEP_PATH_CLOSED, event->path_id);
        return NULL;
    case ROAM_EVENT_PATH_MOVED:
    case ROAM_EVENT_PATH_REVERTED:
        return add_move(book, event);
    case ROAM_EVENT_PATH_SETTLED:
        return add_settled(book, event);
    case ROAM_EVENT_PATH_CHALLENGED:
    case ROAM_EVENT_PATH_CHALLENGE_RECEIVED:
    case ROAM_EVENT_PATH_RESPONDED:
    case ROAM_EVENT_PATH_ANSWERED:
    case ROAM_EVENT_PATH_VALIDATED:
        return add_validation(book, event);
    default:
        return NULL;
    }
}

static const char *add_cid(struct event_book *book, const roam_event *event)
{
    switch (event->type) {
    case ROAM_EVENT_CID_ISSUED:
        if (event->sequence != book->issued + 1)
            return "CIDs are issued out of order";
        book->issued = event->sequence;
        return NULL;
    case ROAM_EVENT_CID_USED:
        if (event->sequence == 0 || event->sequence > book->issued || was(book, STEP_RETIRED, event->sequence))
            return "a CID is used that the peer does not hold";
        return once(book, STEP_USED, event->sequence) ? NULL : "a CID is used for the first time twice";
    case ROAM_EVENT_CID_RETIRED:
        if (event->sequence > book->issued)
            return "a CID is retired that was never issued";
        return once(book, STEP_RETIRED, event->sequence) ? NULL : "a CID is retired twice";
    default:
        return NULL;
    }
}

const char *event_book_add(struct event_book *book, const roam_event *event)
{
    if (book->ended)
        return "something is told after the end";
    book->ended = event->type == ROAM_EVENT_CLOSED;
    switch (roam_event_class_of(event->type)) {
    case ROAM_EVENT_CLASS_PATH:
        return add_path(book, event);
    case ROAM_EVENT_CLASS_CID:
        return add_cid(book, event);
    default:
        return NULL;
    }
}

void event_book_on_rebind(struct event_book *book)
{
    book->moving = true;
    book->path_is_known = false;
}

void event_book_done(struct event_book *book)
{
    sim_map_done(&book->told);
}
