/*
 * Listing when something happened: at once for the first event, for what follows when it has calmed down. Kept: no
 * event goes without a listing after it, and a storm of events costs one listing each SETTLE_MS.
 *
 *   RESTING -> SETTLING   an event: listed at once, the timer runs
 *   SETTLING              more events: noted, and listed when the timer expires, which then runs again
 *   SETTLING -> RESTING   the timer, and nothing was noted: listed once more, for what an event announced is not always
 *               done
 *                         when it comes
 */
#include "io/network_watch.h"

#include <errno.h>
#include <unistd.h>

/* One change of a network is a burst of events: an address goes, then its routes, one by one, some of them silently. */
#define SETTLE_MS 5

/* Without events. Nobody notices that a network is gone sooner than by its silence, then. */
#define POLL_MS 1000

struct network_watch {
    roam_allocator allocator;
    const struct network_source *source;
    struct host_addresses addresses;
    network_watch_callback *changed, *stopped;
    void *changed_context, *stopped_context;
    uv_poll_t poll;
    uv_timer_t timer;
    int fd; /* -1: asked every so often */
    unsigned handles;
    bool settling, noted;
};

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

bool host_addresses_add(struct host_addresses *list, const struct host_address *address)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : 2 * list->capacity;
        struct host_address *entries =
            mem_resize(list->allocator, list->entries, list->capacity * sizeof(*entries), capacity * sizeof(*entries));
        if (entries == NULL)
            return false;
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *address;
    return true;
}

void host_addresses_done(struct host_addresses *list)
{
    mem_free(list->allocator, list->entries, list->capacity * sizeof(*list->entries));
    *list = (struct host_addresses){.allocator = list->allocator};
}

bool host_address_is_default(const struct host_addresses *list, const struct host_address *address)
{
    bool is_best = address->route_rank != NO_DEFAULT_ROUTE && address->usable;
    for (size_t i = 0; i < list->count && is_best; i++)
        is_best = list->entries[i].ip.family != address->ip.family || !list->entries[i].usable ||
                  list->entries[i].route_rank >= address->route_rank;
    return is_best;
}

/* ---- Watching ---------------------------------------------------------------------------------------------------- */

static void list_anew(struct network_watch *watch)
{
    struct host_addresses fresh = {.allocator = &watch->allocator};
    if (!watch->source->list(&fresh)) {
        host_addresses_done(&fresh); /* the old list stands until the next event */
        return;
    }
    host_addresses_done(&watch->addresses);
    watch->addresses = fresh;
}

static void look_again(struct network_watch *watch)
{
    list_anew(watch);
    watch->changed(watch->changed_context);
}

static void on_settled(uv_timer_t *timer)
{
    struct network_watch *watch = timer->data;
    watch->settling = watch->noted;
    watch->noted = false;
    if (watch->settling)
        uv_timer_start(&watch->timer, on_settled, SETTLE_MS, 0);
    look_again(watch);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct network_watch *watch = poll->data;
    (void)status;
    (void)events;
    watch->source->drain(watch->fd);
    watch->noted = watch->settling;
    if (watch->settling)
        return;
    watch->settling = true;
    uv_timer_start(&watch->timer, on_settled, SETTLE_MS, 0);
    look_again(watch);
}

static void on_poll_time(uv_timer_t *timer)
{
    look_again(timer->data);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static void release(struct network_watch *watch)
{
    roam_allocator allocator = watch->allocator;
    if (--watch->handles > 0)
        return;
    if (watch->stopped != NULL)
        watch->stopped(watch->stopped_context);
    mem_free(&allocator, watch, sizeof(*watch));
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static bool start_source(struct network_watch *watch, uv_loop_t *loop, const struct network_source *source)
{
    watch->source = source;
    watch->fd = -1;
    if (!source->list(&watch->addresses))
        return false;
    if (source->open == NULL)
        return uv_timer_start(&watch->timer, on_poll_time, POLL_MS, POLL_MS) == 0;
    watch->fd = source->open();
    if (watch->fd < 0 || uv_poll_init(loop, &watch->poll, watch->fd) != 0) {
        if (watch->fd >= 0)
            close(watch->fd);
        watch->fd = -1;
        return false;
    }
    watch->poll.data = watch;
    watch->handles++;
    uv_unref((uv_handle_t *)&watch->poll);
    return uv_poll_start(&watch->poll, UV_READABLE, on_event) == 0;
}

struct network_watch *network_watch_start(uv_loop_t *loop, const roam_allocator *allocator,
                                          const struct network_source *source, network_watch_callback *changed,
                                          void *context)
{
    static const struct network_source *const sources[] = {&network_source_netlink, &network_source_polling};
    struct network_watch *watch = mem_zalloc(allocator, sizeof(*watch));
    if (watch == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    watch->allocator = *allocator;
    watch->addresses.allocator = &watch->allocator;
    watch->changed = changed;
    watch->changed_context = context;
    watch->handles = 1;
    uv_timer_init(loop, &watch->timer);
    watch->timer.data = watch;
    uv_unref((uv_handle_t *)&watch->timer);
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (source != NULL && source != sources[i])
            continue;
        if (start_source(watch, loop, sources[i]))
            return watch;
        host_addresses_done(&watch->addresses);
    }
    int why = errno;
    network_watch_stop(watch, NULL, NULL);
    errno = why;
    return NULL;
}

const struct host_addresses *network_watch_list(const struct network_watch *watch)
{
    return &watch->addresses;
}

bool network_watch_leads(const struct network_watch *watch, const struct host_address *address,
                         const roam_address *remote)
{
    return address->ip.family == remote->family && watch->source->leads(address, remote);
}

const char *network_watch_source(const struct network_watch *watch)
{
    return watch->source->name;
}

void network_watch_stop(struct network_watch *watch, network_watch_callback *stopped, void *context)
{
    watch->stopped = stopped;
    watch->stopped_context = context;
    host_addresses_done(&watch->addresses);
    uv_close((uv_handle_t *)&watch->timer, on_closed);
    if (watch->fd < 0)
        return;
    uv_poll_stop(&watch->poll);
    close(watch->fd);
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
