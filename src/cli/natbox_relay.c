/*
 * Datagrams on their way through `roam natbox`. Kept: what arrives at once is sent without being copied, what arrives
 * later is held by its time of arrival, and nobody's flood takes more memory than HELD_BYTES_MAX.
 *
 *   up:    on_door -> nat_way_out -> admit ............... send_up
 *   down:  on_outer -> admit ............... send_down -> nat_way_in
 */
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/natbox.h"

/* What is under way may take so much, and be so many datagrams. */
#define HELD_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define HELD_MAX       65536

/* Nobody waits for less than that: a batch of datagrams has arrivals that are nanoseconds apart. */
#define GRAIN ROAM_MICROSECONDS(1)

struct held_datagram {
    struct timer_node node;
    struct outer *outer;
    struct door *door; /* on the way up; NULL on the way down */
    roam_address remote;
    uint8_t ecn;
    size_t len;
    uint8_t data[];
};

bool relay_init(struct natbox *box, uint64_t seed)
{
    const struct natbox_options *options = &box->options;
    struct link_config up = {
        .delay = options->delay.up,
        .jitter = options->jitter.up,
        .reorder_by = options->reorder_by.up,
        .rate_bits_per_s = options->rate.up,
        .burst_bytes = options->burst.up,
        .queue_bytes = options->queue.up,
        .mtu_bytes = options->mtu.up,
        .loss_ppm = options->loss.up,
        .reorder_ppm = options->reorder.up,
        .duplicate_ppm = options->duplicate.up,
        .corrupt_ppm = options->corrupt.up,
        .row_max = options->row.up,
        .drop_after = options->drop_after.up,
        .drop_next = options->drop.up,
        .outage = options->outage.length,
        .outage_every = options->outage.every,
        .outage_after = options->outage.after,
    };
    struct link_config down = up;
    down.delay = options->delay.down;
    down.jitter = options->jitter.down;
    down.reorder_by = options->reorder_by.down;
    down.rate_bits_per_s = options->rate.down;
    down.burst_bytes = options->burst.down;
    down.queue_bytes = options->queue.down;
    down.mtu_bytes = options->mtu.down;
    down.loss_ppm = options->loss.down;
    down.reorder_ppm = options->reorder.down;
    down.duplicate_ppm = options->duplicate.down;
    down.corrupt_ppm = options->corrupt.down;
    down.row_max = options->row.down;
    down.drop_after = options->drop_after.down;
    down.drop_next = options->drop.down;
    link_init(&box->up, &up, next_random(&seed));
    link_init(&box->down, &down, next_random(&seed));
    timer_heap_init(&box->held, &box->allocator);
    return timer_heap_reserve(&box->held, HELD_MAX) &&
           datagram_batch_init_receive(&box->receiving, &box->allocator, RECEIVE_BYTES_MAX) == ROAM_OK;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

static void flush(struct natbox *box)
{
    struct socket_counters counters = {0};
    if (box->sending.count > 0 &&
        !udp_socket_send(box->sending_by, &box->sending, box->sending.count, &counters, NULL, NULL))
        counters.send_errors += box->sending.count - box->sending.next; /* a full buffer drops, as a router does */
    box->counters.send_failed += counters.send_errors;
    box->sending.count = box->sending.next = 0;
    box->sending_by = NULL;
}

/* The data must stay where it is until the next flush. */
static void send_by(struct natbox *box, struct udp_socket *socket, const roam_datagram *datagram)
{
    if (box->sending_by != socket || box->sending.count == BATCH_DATAGRAMS)
        flush(box);
    box->sending_by = socket;
    box->sending.datagrams[box->sending.count++] = *datagram;
}

static void send_up(struct natbox *box, struct outer *outer, const struct door *door, roam_datagram *datagram,
                    roam_time now)
{
    datagram->local = outer->udp.local;
    datagram->remote = door->outside;
    box->counters.up++;
    report_passing(box, WAY_UP, datagram->len, now);
    send_by(box, &outer->udp, datagram);
}

static void send_down(struct natbox *box, struct outer *outer, roam_datagram *datagram, roam_time now)
{
    struct door *door = nat_way_in(box, outer, datagram, now);
    if (door == NULL)
        return;
    struct mapping *mapping = outer->mapping;
    datagram->local = mapping->inside;
    datagram->local.port = door->udp.local.port;
    datagram->remote = mapping->client;
    box->counters.down++;
    report_passing(box, WAY_DOWN, datagram->len, now);
    send_by(box, &door->udp, datagram);
    nat_count_packet(box, mapping, now);
}

/* ---- Held until they arrive -------------------------------------------------------------------------------------- */

static size_t held_size(const struct held_datagram *held)
{
    return sizeof(*held) + held->len;
}

static void hold(struct natbox *box, struct outer *outer, struct door *door, const roam_datagram *datagram,
                 roam_time at)
{
    size_t size = sizeof(struct held_datagram) + datagram->len;
    struct held_datagram *held = NULL;
    if (box->held.count < HELD_MAX && box->held_bytes + size <= HELD_BYTES_MAX)
        held = malloc(size);
    if (held == NULL) {
        box->counters.no_room++;
        return;
    }
    *held = (struct held_datagram){
        .outer = outer, .door = door, .remote = datagram->remote, .ecn = datagram->ecn, .len = datagram->len};
    memcpy(held->data, datagram->data, datagram->len);
    timer_node_init(&held->node);
    timer_heap_set(&box->held, &held->node, at);
    box->held_bytes += size;
    outer->held++;
}

static void release(struct natbox *box, struct held_datagram *held)
{
    timer_heap_set(&box->held, &held->node, ROAM_TIME_NEVER);
    box->held_bytes -= held_size(held);
    held->outer->held--;
}

roam_time relay_deadline(const struct natbox *box)
{
    const struct timer_node *first = timer_heap_first(&box->held);
    return first != NULL ? first->deadline : ROAM_TIME_NEVER;
}

void relay_deliver(struct natbox *box, roam_time now)
{
    struct held_datagram *delivered[BATCH_DATAGRAMS];
    size_t n;
    do {
        for (n = 0; n < BATCH_DATAGRAMS && relay_deadline(box) <= now + GRAIN; n++) {
            struct held_datagram *held = CONTAINER_OF(timer_heap_first(&box->held), struct held_datagram, node);
            roam_datagram datagram = {.remote = held->remote, .data = held->data, .len = held->len, .ecn = held->ecn};
            release(box, held);
            if (held->door != NULL)
                send_up(box, held->outer, held->door, &datagram, now);
            else
                send_down(box, held->outer, &datagram, now);
            delivered[n] = held;
        }
        flush(box);
        for (size_t i = 0; i < n; i++)
            free(delivered[i]);
    } while (n == BATCH_DATAGRAMS);
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

static void report_fate(const struct natbox *box, const struct link_verdict *verdict, const char *way,
                        const roam_datagram *datagram, roam_time now)
{
    static const char *const fates[] = {"", "lost", "queue-full", "too-large", "outage"};
    const struct report_field where = ADDRESS("from", &datagram->remote);
    if (verdict->fate != LINK_PASSES)
        REPORT(box, now, fates[verdict->fate], TEXT("way", way), where, NUMBER("bytes", datagram->len));
    if (verdict->copies == 2)
        REPORT(box, now, "doubled", TEXT("way", way), where, NUMBER("bytes", datagram->len));
    if (verdict->reordered)
        REPORT(box, now, "held-back", TEXT("way", way), where, NUMBER("bytes", datagram->len));
    if (verdict->corrupted_bit != NO_BIT)
        REPORT(box, now, "corrupted", TEXT("way", way), where, NUMBER("bit", verdict->corrupted_bit));
}

/* The first datagram: what is counted in time begins here, both ways. */
static void begin(struct natbox *box, roam_time now)
{
    link_begin(&box->up, now);
    link_begin(&box->down, now);
    if (box->options.rebind_first != 0)
        box->rebind_at = saturating_add(now, box->options.rebind_first);
    box->begun = true;
}

/* Into the bad network; door NULL is the way down. */
static void admit(struct natbox *box, struct outer *outer, struct door *door, const roam_datagram *datagram,
                  roam_time now)
{
    struct link_verdict verdict = link_admit(door != NULL ? &box->up : &box->down, now, datagram->len);
    if (box->report.verbose)
        report_fate(box, &verdict, door != NULL ? "up" : "down", datagram, now);
    if (verdict.fate != LINK_PASSES)
        return;
    if (verdict.corrupted_bit != NO_BIT)
        datagram->data[verdict.corrupted_bit / 8] ^= (uint8_t)(1 << verdict.corrupted_bit % 8);
    for (size_t i = 0; i < verdict.copies; i++) {
        roam_datagram copy = *datagram;
        if (verdict.arrivals[i] > now + GRAIN)
            hold(box, outer, door, &copy, verdict.arrivals[i]);
        else if (door != NULL)
            send_up(box, outer, door, &copy, now);
        else
            send_down(box, outer, &copy, now);
    }
}

typedef void take_datagram(struct natbox *box, void *by, roam_datagram *datagram, roam_time now);

static void take_up(struct natbox *box, void *by, roam_datagram *datagram, roam_time now)
{
    struct door *door = by;
    struct outer *outer = nat_way_out(box, door, datagram, now);
    if (outer == NULL)
        return;
    if (!box->begun)
        begin(box, now);
    admit(box, outer, door, datagram, now);
    nat_count_packet(box, outer->mapping, now);
}

static void take_down(struct natbox *box, void *by, roam_datagram *datagram, roam_time now)
{
    admit(box, by, NULL, datagram, now);
}

static void receive(struct natbox *box, struct udp_socket *socket, take_datagram *take, void *by)
{
    struct socket_counters counters = {0};
    roam_time now = uv_hrtime();
    relay_deliver(box, now);
    size_t n = udp_socket_receive(socket, &box->receiving, &counters);
    for (size_t i = 0; i < n; i++) {
        const roam_datagram *whole = &box->receiving.datagrams[i];
        size_t step = whole->segment_bytes > 0 ? whole->segment_bytes : max_size(whole->len, 1);
        size_t at = 0;
        do {
            roam_datagram one = *whole;
            one.data += at;
            one.len = min_size(step, whole->len - at);
            one.segment_bytes = 0;
            take(box, by, &one, now);
            at += step;
        } while (at < whole->len);
    }
    flush(box);
}

static void on_door(uv_poll_t *handle, int status, int events)
{
    struct door *door = handle->data;
    (void)status;
    (void)events;
    receive(door->box, &door->udp, take_up, door);
}

static void on_outer(uv_poll_t *handle, int status, int events)
{
    struct outer *outer = handle->data;
    (void)status;
    (void)events;
    receive(outer->box, &outer->udp, take_down, outer);
}

static bool watch(struct natbox *box, uv_poll_t *poll, int fd, void *data, uv_poll_cb on_readable)
{
    int status = uv_poll_init(&box->loop, poll, fd);
    errno = -status;
    if (status != 0)
        return false;
    poll->data = data;
    uv_poll_start(poll, UV_READABLE, on_readable);
    return true;
}

bool relay_watch_door(struct door *door)
{
    return watch(door->box, &door->poll, door->udp.fd, door, on_door);
}

bool relay_watch_outer(struct outer *outer)
{
    return watch(outer->box, &outer->poll, outer->udp.fd, outer, on_outer);
}

void relay_done(struct natbox *box)
{
    struct timer_node *first;
    while ((first = timer_heap_first(&box->held)) != NULL) {
        struct held_datagram *held = CONTAINER_OF(first, struct held_datagram, node);
        release(box, held);
        free(held);
    }
    timer_heap_done(&box->held);
    datagram_batch_done(&box->receiving, &box->allocator);
}
