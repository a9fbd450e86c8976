/* Delivery rate samples: see the header. */
#include "recovery/delivery_rate.h"

#include <string.h>

#include "base/minmax.h"

__extension__ typedef unsigned __int128 wide;

_Static_assert((RATE_STAMPS & (RATE_STAMPS - 1)) == 0 && RATE_STAMPS <= UINT16_MAX, "a ring, by 16 bits");

void delivery_rate_init(struct delivery_rate *rate, uint64_t stamped)
{
    memset(rate, 0, sizeof(*rate));
    rate->stamped = rate->valid_from = stamped;
    delivery_rate_next(rate);
}

static struct rate_stamp *slot_of(struct delivery_rate *rate, uint64_t number)
{
    return &rate->stamps[number % RATE_STAMPS];
}

/* The stamp of a packet, by the last 16 bits of its number; NULL: it is gone. */
static const struct rate_stamp *find(struct delivery_rate *rate, uint16_t stamp)
{
    const uint64_t age = (uint16_t)((uint16_t)rate->stamped - stamp);
    if (age == 0 || age > min_u64(RATE_STAMPS, rate->stamped - rate->valid_from))
        return NULL;
    return slot_of(rate, rate->stamped - age);
}

static bool wants_stamp(struct delivery_rate *rate, uint64_t bytes, uint64_t in_flight, roam_time round, roam_time now)
{
    if (in_flight == 0 || rate->stamped == rate->valid_from)
        return true;
    if (slot_of(rate, rate->stamped - 1)->app_limited != (rate->app_limited_until > 0))
        return true;
    if (rate->sent_since > max_u64(in_flight / RATE_STAMPS_PER_ROUND, bytes))
        return true;
    return rate->moved && now >= saturating_add(rate->stamped_at, round / RATE_STAMPS_PER_ROUND);
}

uint16_t delivery_rate_on_sent(struct delivery_rate *rate, uint64_t bytes, uint64_t in_flight, bool ran_out,
                               roam_time round, roam_time now)
{
    if (in_flight == 0)
        rate->first_sent = rate->delivered_at = now;
    if (wants_stamp(rate, bytes, in_flight, round, now)) {
        *slot_of(rate, rate->stamped++) = (struct rate_stamp){
            .delivered = rate->delivered,
            .lost = rate->lost,
            .delivered_at = rate->delivered_at,
            .first_sent = rate->first_sent,
            .in_flight = (uint32_t)min_u64(in_flight + bytes, UINT32_MAX),
            .app_limited = rate->app_limited_until > 0,
        };
        rate->stamped_at = now;
        rate->sent_since = 0;
        rate->moved = false;
    }
    rate->sent_since += bytes;
    if (ran_out)
        delivery_rate_limit(rate, in_flight + bytes);
    return (uint16_t)(rate->stamped - 1);
}

void delivery_rate_on_acked(struct delivery_rate *rate, uint16_t number, uint64_t bytes, roam_time sent_at,
                            roam_time now)
{
    struct rate_sample *sample = &rate->sample;
    rate->delivered += bytes;
    rate->delivered_at = now;
    rate->moved = true;
    sample->newly_acked += bytes;
    sample->rtt = min_u64(sample->rtt, saturating_sub(now, sent_at));
    const struct rate_stamp *stamp = find(rate, number);
    if (stamp == NULL || (sample->has_stamp && sent_at < rate->newest_sent_at))
        return;
    sample->has_stamp = true;
    sample->prior_delivered = stamp->delivered;
    sample->in_flight = stamp->in_flight;
    sample->lost = rate->lost - stamp->lost;
    sample->app_limited = stamp->app_limited;
    rate->newest_sent_at = rate->first_sent = sent_at;
    rate->send_elapsed = saturating_sub(sent_at, stamp->first_sent);
    rate->ack_elapsed = saturating_sub(now, stamp->delivered_at);
}

void delivery_rate_on_ack_end(struct delivery_rate *rate, roam_time min_rtt)
{
    struct rate_sample *sample = &rate->sample;
    if (rate->app_limited_until > 0 && rate->delivered > rate->app_limited_until)
        rate->app_limited_until = 0;
    if (!sample->has_stamp)
        return;
    /* Neither faster than it was sent nor faster than it was acknowledged. */
    const roam_time interval = max_u64(rate->send_elapsed, rate->ack_elapsed);
    sample->delivered = rate->delivered - sample->prior_delivered;
    if (interval > 0 && interval >= min_rtt)
        sample->rate = (uint64_t)((wide)sample->delivered * ROAM_SECONDS(1) / interval);
}

void delivery_rate_next(struct delivery_rate *rate)
{
    rate->sample = (struct rate_sample){.rtt = ROAM_TIME_NEVER};
}

bool delivery_rate_on_lost(struct delivery_rate *rate, uint16_t number, uint64_t bytes, struct rate_sample *ret)
{
    rate->lost += bytes;
    rate->moved = true;
    const struct rate_stamp *stamp = find(rate, number);
    if (stamp == NULL)
        return false;
    *ret = (struct rate_sample){
        .has_stamp = true,
        .app_limited = stamp->app_limited,
        .lost = rate->lost - stamp->lost,
        .in_flight = stamp->in_flight,
        .rtt = ROAM_TIME_NEVER,
    };
    return true;
}

void delivery_rate_limit(struct delivery_rate *rate, uint64_t in_flight)
{
    rate->app_limited_until = max_u64(rate->delivered + in_flight, 1);
}
