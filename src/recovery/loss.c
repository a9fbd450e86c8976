/*
 * Loss detection in one space over several paths. Invariant: what leaves the outstanding packets here leaves
 * in_flight of its path in the same step, as long as that path exists; packets of a path that is gone are counted
 * nowhere.
 *
 * Paths are looked up for each packet: on_lost is the connection's code, and no pointer to a path is kept across it.
 */
#include "recovery/loss.h"

#include <assert.h>

#include "base/minmax.h"

/* Paths looked at for persistent congestion in one go; not fewer than a connection may have. */
#define RUNS_MAX 16

/* The lost packets that one loss_detect found. */
struct batch {
    uint64_t first, last; /* numbers */
    roam_time first_sent_at, last_sent_at;
    size_t count;
};

/* A stretch of packets of one path of which none was acknowledged. */
struct run {
    uint64_t path_id;
    roam_time start; /* when its first ack-eliciting packet was sent; NEVER outside of a run */
    bool found;      /* long enough: persistent congestion */
};

static roam_time loss_delay_of(const struct path_recovery *own, const struct path_recovery *active)
{
    if (own == NULL && active == NULL) {
        struct rtt unknown;
        rtt_init(&unknown, 0);
        return rtt_loss_delay(&unknown);
    }
    return max_u64(own != NULL ? rtt_loss_delay(&own->rtt) : 0, active != NULL ? rtt_loss_delay(&active->rtt) : 0);
}

/* Takes a packet out of flight and hands its frames to the connection. */
static void declare_lost(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                         struct sent_packet *packet)
{
    context->on_lost(context->owner, space, packet);
    sent_map_mark_lost(map, packet);
}

static void punish(struct path_recovery *path, const struct sent_packet *packet, roam_time now)
{
    if (path == NULL || !packet->in_flight)
        return;
    //= rfc9000#14.4-1 The loss of a probe for a larger MTU is no sign of congestion.
    if (packet->probe) {
        congestion_forget(&path->congestion, packet->bytes);
        return;
    }
    congestion_on_packet_lost(&path->congestion, packet->rate_stamp, packet->number, packet->bytes, now);
    congestion_on_lost(&path->congestion, packet->bytes, packet->sent_at, now);
}

static void batch_add(struct batch *batch, const struct sent_packet *packet)
{
    if (batch->count++ == 0) {
        batch->first = packet->number;
        batch->first_sent_at = packet->sent_at;
    }
    batch->last = packet->number;
    batch->last_sent_at = packet->sent_at;
}

static struct run *run_of(struct run *runs, size_t *count, uint64_t path_id)
{
    for (size_t i = 0; i < *count; i++) {
        if (runs[i].path_id == path_id)
            return &runs[i];
    }
    if (*count == RUNS_MAX)
        return NULL;
    runs[*count] = (struct run){.path_id = path_id, .start = ROAM_TIME_NEVER};
    return &runs[(*count)++];
}

static void run_extend(struct run *run, const struct sent_packet *packet, const struct path_recovery *path,
                       roam_time max_ack_delay)
{
    if (packet->state != SENT_LOST) {
        run->start = ROAM_TIME_NEVER;
        return;
    }
    //= rfc9002#7.6.2 The two packets that bound the period are ack-eliciting and were sent after an RTT sample.
    if (!packet->ack_eliciting || packet->probe || packet->sent_at <= path->first_sample_at)
        return;
    if (run->start == ROAM_TIME_NEVER) {
        run->start = packet->sent_at;
        return;
    }
    roam_time duration = saturating_mul(rtt_pto(&path->rtt, max_ack_delay), PERSISTENT_CONGESTION_THRESHOLD);
    if (packet->sent_at - run->start > duration)
        run->found = true;
}

/* RFC 9002 section 7.6.2, path by path, within what was just found lost. */
static void find_persistent_congestion(const struct sent_map *map, const struct loss_context *context,
                                       const struct batch *batch, roam_time max_ack_delay)
{
    /* No duration is shorter than this, and almost no batch as long. */
    roam_time shortest =
        saturating_mul(saturating_add(TIMER_GRANULARITY, max_ack_delay), PERSISTENT_CONGESTION_THRESHOLD);
    if (batch->count < 2 || batch->last_sent_at - batch->first_sent_at <= shortest)
        return;

    struct run runs[RUNS_MAX];
    size_t count = 0;
    for (uint64_t number = batch->first; number <= batch->last; number++) {
        const struct sent_packet *packet = sent_map_recall(map, number);
        if (packet == NULL)
            continue;
        const struct path_recovery *path = context->find(context->owner, packet->path_id);
        struct run *run = path != NULL ? run_of(runs, &count, packet->path_id) : NULL;
        if (run != NULL)
            run_extend(run, packet, path, max_ack_delay);
    }
    for (size_t i = 0; i < count; i++) {
        if (!runs[i].found)
            continue;
        struct path_recovery *path = context->find(context->owner, runs[i].path_id);
        congestion_on_persistent(&path->congestion);
        rtt_reset_min(&path->rtt);
    }
}

roam_time loss_detect(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                      uint64_t active_path, uint64_t largest_acked, roam_time largest_acked_sent_at,
                      roam_time max_ack_delay, roam_time now)
{
    /* Numbers rise with time: what has a lower number was sent earlier. */
    (void)largest_acked_sent_at;
    roam_time next_loss = ROAM_TIME_NEVER;
    if (largest_acked == PACKET_NUMBER_NONE)
        return next_loss;

    struct batch batch = {0};
    struct sent_packet *packet = sent_map_outstanding_from(map, 0);
    while (packet != NULL && packet->number < largest_acked) {
        uint64_t number = packet->number;
        struct path_recovery *path = context->find(context->owner, packet->path_id);
        uint64_t path_largest = path != NULL ? path->largest_acked[space] : PACKET_NUMBER_NONE;
        roam_time lost_at =
            saturating_add(packet->sent_at, loss_delay_of(path, context->find(context->owner, active_path)));
        //= rfc9002#6.1.1 Three packets later on the same path: reordering between paths is no loss.
        bool overtaken = path_largest != PACKET_NUMBER_NONE && path_largest >= number + PACKET_THRESHOLD;
        //= rfc9002#6.1.2 Or sent long enough before now, as the slower of the two paths counts.
        if (overtaken || lost_at <= now) {
            punish(path, packet, now);
            batch_add(&batch, packet);
            declare_lost(map, space, context, packet);
        } else {
            next_loss = min_u64(next_loss, lost_at);
        }
        packet = sent_map_outstanding_from(map, number + 1);
    }
    find_persistent_congestion(map, context, &batch, max_ack_delay);
    /* Packets that were paced out are lost one by one: not a wake for each. */
    return next_loss == ROAM_TIME_NEVER ? next_loss : max_u64(next_loss, saturating_add(now, TIMER_GRANULARITY));
}

static void forget(const struct loss_context *context, const struct sent_packet *packet)
{
    struct path_recovery *path = context->find(context->owner, packet->path_id);
    if (path != NULL && packet->in_flight)
        congestion_forget(&path->congestion, packet->bytes);
}

static size_t declare(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                      uint64_t path_id, size_t bytes_min)
{
    size_t count = 0;
    struct sent_packet *packet = sent_map_outstanding_from(map, 0);
    while (packet != NULL) {
        uint64_t number = packet->number;
        if (packet->path_id == path_id && packet->datagram_bytes >= bytes_min) {
            forget(context, packet);
            declare_lost(map, space, context, packet);
            count++;
        }
        packet = sent_map_outstanding_from(map, number + 1);
    }
    return count;
}

size_t loss_declare_path(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                         uint64_t path_id)
{
    return declare(map, space, context, path_id, 0);
}

size_t loss_declare_larger(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                           uint64_t path_id, size_t bytes)
{
    return declare(map, space, context, path_id, bytes + 1);
}

size_t loss_sweep(struct sent_map *map, enum packet_space space, const struct loss_context *context, uint64_t before,
                  roam_time unanswered, roam_time now)
{
    size_t count = 0;
    struct sent_packet *packet = sent_map_outstanding_from(map, 0);
    while (packet != NULL && packet->number < before) {
        uint64_t number = packet->number;
        if (!packet->in_flight) {
            sent_map_remove(map, packet);
        } else if (packet->sent_at < unanswered) {
            punish(context->find(context->owner, packet->path_id), packet, now);
            declare_lost(map, space, context, packet);
            count++;
        }
        packet = sent_map_outstanding_from(map, number + 1);
    }
    return count;
}

void loss_discard_space(struct sent_map *map, const struct loss_context *context)
{
    //= rfc9002#6.4 With the keys goes all recovery state of the space, and its bytes in flight.
    struct sent_packet *packet = NULL;
    while ((packet = sent_map_outstanding_from(map, 0)) != NULL) {
        forget(context, packet);
        sent_map_remove(map, packet);
    }
    sent_map_trim(map);
}
