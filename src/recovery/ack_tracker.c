/*
 * What came in and what is owed for it. Invariants: every number below `floor` counts as received, and no range begins
 * below it; a number that was processed is a duplicate for ever; once something came, `largest` is in the ranges.
 *
 * What is owed: nothing (deadline NEVER) -> an ACK at `deadline` (first ack-eliciting packet) -> an ACK at once
 * (`immediate`) by ack_tracker_on_received and ack_tracker_hurry; back to nothing by ack_tracker_on_sent.
 *
 * How ranges are forgotten. A range may go only when its packets cannot be accepted again, and one number, `floor`,
 * sees to that: but the gaps below it close with the ranges, so that a packet that is still under way into such a gap
 * will be taken for a duplicate, and its sender must find it lost. RFC 9000 section 13.2.4 lets every range up to the
 * largest number of an acknowledged ACK go, which gives a late packet one round trip. After a move that is one round
 * trip of the new path, and what is still under way on the slow old one would be thrown away. So the ACK_RANGES_KEPT
 * newest ranges stay, and the gaps between them: a change of path makes one gap, or a few. That costs a few octets in
 * each ACK and no time.
 */
#include "recovery/ack_tracker.h"

#include <assert.h>

#include "base/minmax.h"

_Static_assert(ACK_RANGES_KEPT >= 1 && ACK_RANGES_KEPT < ACK_RANGES_MAX,
               "the range with the largest number is never dropped");

void ack_tracker_init(struct ack_tracker *tracker, const roam_allocator *allocator)
{
    *tracker = (struct ack_tracker){
        .largest = PACKET_NUMBER_NONE,
        .largest_eliciting = PACKET_NUMBER_NONE,
        .deadline = ROAM_TIME_NEVER,
    };
    range_set_init(&tracker->received, allocator, ACK_RANGES_MAX);
}

void ack_tracker_done(struct ack_tracker *tracker)
{
    range_set_done(&tracker->received);
}

bool ack_tracker_is_duplicate(const struct ack_tracker *tracker, uint64_t number)
{
    /* Nearly every packet is the newest. */
    if (tracker->largest != PACKET_NUMBER_NONE && number > tracker->largest)
        return false;
    //= rfc9000#12.3 A packet is not processed twice; below the floor nobody knows any more, so that it counts as seen.
    return number < tracker->floor || range_set_contains(&tracker->received, number);
}

static void drop_lowest_range(struct ack_tracker *tracker)
{
    //= rfc9000#13.2.3 A range is kept unless packets in it can never be accepted again: the floor rises over it.
    tracker->floor = range_set_pop_lowest(&tracker->received).end;
}

/* False without memory, and then nothing changed. */
static bool remember(struct ack_tracker *tracker, uint64_t number)
{
    enum range_set_result result = range_set_add(&tracker->received, number, number + 1);
    if (result == RANGE_SET_FULL) {
        if (number < tracker->received.ranges[0].start) {
            /* The lowest range would be this number alone. */
            tracker->floor = number + 1;
            return true;
        }
        //= rfc9000#13.2.3 The newest packets are always acknowledged, the oldest ranges go.
        drop_lowest_range(tracker);
        result = range_set_add(&tracker->received, number, number + 1);
        assert(result == RANGE_SET_OK);
    }
    return result == RANGE_SET_OK;
}

/* RFC 9000 section 13.2.1: below another ack-eliciting packet, or above all with something missing in between. */
static bool is_out_of_order(const struct ack_tracker *tracker, uint64_t number)
{
    if (tracker->largest_eliciting == PACKET_NUMBER_NONE)
        return false;
    if (number < tracker->largest_eliciting)
        return true;
    if (number == tracker->largest_eliciting + 1)
        return false;
    return !range_set_covers(&tracker->received, max_u64(tracker->largest_eliciting + 1, tracker->floor), number);
}

/* The lowest number from `from` on that has not come. */
static uint64_t first_missing(const struct ack_tracker *tracker, uint64_t from)
{
    const struct range_set *received = &tracker->received;
    from = max_u64(from, tracker->floor);
    for (size_t i = received->count; i-- > 0 && received->ranges[i].end > from;) {
        if (received->ranges[i].start <= from)
            return received->ranges[i].end;
    }
    return from;
}

/* draft-ietf-quic-ack-frequency section 6.2: with this packet the peer can declare one lost that was not reported, or
 * learns that it has declared one lost too soon. */
static bool is_beyond_reordering(const struct ack_tracker *tracker, uint64_t number, const struct ack_policy *policy)
{
    const uint64_t newest =
        tracker->largest_eliciting == PACKET_NUMBER_NONE ? number : max_u64(number, tracker->largest_eliciting);
    uint64_t reported = 0; /* what is missing below was reported */
    if (policy->largest_sent != PACKET_NUMBER_NONE && policy->largest_sent >= policy->reordering) {
        if (number <= policy->largest_sent - policy->reordering)
            return true;
        reported = policy->largest_sent - policy->reordering + 1;
    }
    uint64_t missing = first_missing(tracker, reported);
    return missing < newest && newest - missing >= policy->reordering;
}

static bool is_to_be_told(const struct ack_tracker *tracker, uint64_t number, const struct ack_policy *policy)
{
    if (policy->reordering == 1)
        return is_out_of_order(tracker, number);
    return policy->reordering > 1 && is_beyond_reordering(tracker, number, policy);
}

static void count_ecn(struct ack_tracker *tracker, uint8_t ecn)
{
    switch (ecn) {
    case ROAM_ECN_ECT0:
        tracker->ect0++;
        break;
    case ROAM_ECN_ECT1:
        tracker->ect1++;
        break;
    case ROAM_ECN_CE:
        tracker->ce++;
        break;
    default:
        break;
    }
}

bool ack_tracker_on_received(struct ack_tracker *tracker, uint64_t number, bool ack_eliciting, uint8_t ecn,
                             roam_time now, const struct ack_policy *policy)
{
    assert(number <= PACKET_NUMBER_MAX && !ack_tracker_is_duplicate(tracker, number));
    if (!remember(tracker, number))
        return false;
    count_ecn(tracker, ecn);
    tracker->pending = true;
    if (tracker->largest == PACKET_NUMBER_NONE || number > tracker->largest) {
        tracker->largest = number;
        tracker->largest_at = now;
    }
    //= rfc9000#13.2.1 A packet that is not ack-eliciting is never answered by an ACK alone.
    if (!ack_eliciting)
        return true;

    tracker->eliciting++;
    //= rfc9000#13.2.2 An ACK goes after at least two ack-eliciting packets.
    // Where the peer wants fewer of them, no range may fall out of the frame untold meanwhile.
    const bool is_full = tracker->eliciting >= policy->eliciting ||
                         (tracker->eliciting >= 2 && tracker->received.count > ACK_RANGES_THIN_MAX);
    //= rfc9000#13.2.1 Reordering, a gap and CE are reported at once.
    if (is_full || is_to_be_told(tracker, number, policy) || ecn == ROAM_ECN_CE)
        tracker->immediate = true;
    //= rfc9000#13.2.1 Every ack-eliciting packet is acknowledged within the delay that was promised.
    tracker->deadline = min_u64(tracker->deadline, tracker->immediate ? now : saturating_add(now, policy->delay));
    if (tracker->largest_eliciting == PACKET_NUMBER_NONE || number > tracker->largest_eliciting)
        tracker->largest_eliciting = number;
    return true;
}

void ack_tracker_hurry(struct ack_tracker *tracker, roam_time now)
{
    tracker->immediate = true;
    tracker->deadline = min_u64(tracker->deadline, now);
}

bool ack_tracker_is_due(const struct ack_tracker *tracker, roam_time now)
{
    return tracker->immediate || (tracker->deadline != ROAM_TIME_NEVER && tracker->deadline <= now);
}

void ack_tracker_on_sent(struct ack_tracker *tracker)
{
    tracker->eliciting = 0;
    tracker->immediate = false;
    tracker->pending = false;
    tracker->deadline = ROAM_TIME_NEVER;
}

void ack_tracker_say_again(struct ack_tracker *tracker)
{
    tracker->pending = tracker->received.count > 0;
}

void ack_tracker_on_acked(struct ack_tracker *tracker, uint64_t largest)
{
    //= rfc9000#13.2.3 Ranges are no longer tracked once an ACK that carried them is acknowledged.
    while (tracker->received.count > ACK_RANGES_KEPT && tracker->received.ranges[0].end <= largest + 1)
        drop_lowest_range(tracker);
}
