/*
 * One direction of a bad network, in this order: too large, an outage, lost, no room in the queue, the bucket's pace, the
 * delay.
 * Invariant: what is not held back arrives in the order in which it came, one nanosecond apart at least.
 *
 * The bucket is kept as a time (the generic cell rate algorithm): each octet moves full_at on by what it takes to send,
 * and a datagram leaves as soon as full_at is no more than a burst ahead of the clock.
 */
#include "cli/natbox_link.h"

#include "base/minmax.h"

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 .. below-1; the bias of a remainder of 64 bits is nothing that a network would notice. */
static uint64_t draw_below(struct link *link, uint64_t below)
{
    return next_random(&link->random) % below;
}

static bool draw(struct link *link, uint64_t ppm)
{
    return ppm > 0 && draw_below(link, MILLION) < ppm;
}

void link_init(struct link *link, const struct link_config *config, uint64_t seed)
{
    *link = (struct link){.config = *config, .random = seed, .begun = ROAM_TIME_NEVER};
}

void link_begin(struct link *link, roam_time now)
{
    link->begun = min_u64(link->begun, now);
}

static bool is_out(const struct link *link, roam_time now)
{
    const struct link_config *config = &link->config;
    roam_time first = saturating_add(link->begun, config->outage_after);
    if (config->outage == 0 || now < first)
        return false;
    roam_time since = now - first;
    return (config->outage_every != 0 ? since % config->outage_every : since) < config->outage;
}

/* Draws, but for what would make the row too long. */
static bool draw_in_row(struct link *link, uint64_t ppm, uint64_t *row)
{
    bool is_drawn = draw(link, ppm) && (link->config.row_max == 0 || *row < link->config.row_max);
    *row = is_drawn ? *row + 1 : 0;
    return is_drawn;
}

/* By number or by lot. */
static bool is_lost(struct link *link)
{
    const struct link_config *config = &link->config;
    bool is_drawn = draw_in_row(link, config->loss_ppm, &link->lost_row);
    uint64_t before = link->counters.packets - 1;
    return is_drawn || (before >= config->drop_after && before - config->drop_after < config->drop_next);
}

/* How long so many octets take at that rate. */
static roam_time time_of(uint64_t bytes, uint64_t rate_bits_per_s)
{
    return (roam_time)((double)bytes * 8e9 / (double)rate_bits_per_s);
}

/* When the bucket lets the datagram go; false where too much waits already. */
static bool take_turn(struct link *link, roam_time now, size_t bytes, roam_time *ret)
{
    const struct link_config *config = &link->config;
    *ret = now;
    if (config->rate_bits_per_s == 0)
        return true;
    roam_time full_at = max_u64(link->full_at, now) + time_of(bytes, config->rate_bits_per_s);
    roam_time ahead = saturating_sub(full_at - now, time_of(config->burst_bytes, config->rate_bits_per_s));
    if (ahead > time_of(config->queue_bytes, config->rate_bits_per_s))
        return false;
    link->full_at = full_at;
    *ret = now + ahead;
    return true;
}

static roam_time arrival(struct link *link, roam_time leaves, bool *ret_reordered)
{
    const struct link_config *config = &link->config;
    roam_time at = leaves + config->delay + (config->jitter > 0 ? draw_below(link, config->jitter + 1) : 0);
    *ret_reordered = draw(link, config->reorder_ppm);
    if (*ret_reordered)
        return at + config->reorder_by;
    at = max_u64(at, link->last_arrival + 1);
    link->last_arrival = at;
    return at;
}

struct link_verdict link_admit(struct link *link, roam_time now, size_t bytes)
{
    const struct link_config *config = &link->config;
    struct link_counters *counters = &link->counters;
    struct link_verdict verdict = {.fate = LINK_PASSES, .copies = 1, .corrupted_bit = NO_BIT};
    roam_time leaves;
    counters->packets++;
    counters->bytes += bytes;
    if (config->mtu_bytes != 0 && bytes > config->mtu_bytes) {
        counters->too_large++;
        verdict.fate = LINK_TOO_LARGE;
    } else if (is_out(link, now)) {
        counters->outage++;
        verdict.fate = LINK_OUTAGE;
    } else if (is_lost(link)) {
        counters->lost++;
        verdict.fate = LINK_LOST;
    } else if (!take_turn(link, now, bytes, &leaves)) {
        counters->queue_full++;
        verdict.fate = LINK_QUEUE_FULL;
    }
    if (verdict.fate != LINK_PASSES)
        return verdict;
    verdict.arrivals[0] = arrival(link, leaves, &verdict.reordered);
    if (draw(link, config->duplicate_ppm)) {
        bool again;
        verdict.arrivals[verdict.copies++] = arrival(link, leaves, &again);
        counters->duplicated++;
    }
    if (bytes > 0 && draw_in_row(link, config->corrupt_ppm, &link->corrupted_row)) {
        verdict.corrupted_bit = (uint32_t)draw_below(link, bytes * 8);
        counters->corrupted++;
    }
    counters->reordered += verdict.reordered;
    return verdict;
}
