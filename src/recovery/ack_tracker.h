/*
 * What came in, in one packet number space, and what acknowledgement is owed for it, RFC 9000 section 13.2.
 */
#ifndef RECOVERY_ACK_TRACKER_H
#define RECOVERY_ACK_TRACKER_H

#include <roam/types.h>

#include "base/range_set.h"
#include "wire/packet_number.h"

/* ACK ranges that are remembered; the oldest go first, and packets below them are taken for duplicates. */
#define ACK_RANGES_MAX 64

/* Newest ranges that stay, and are repeated, even when the peer is known to have seen them: the gaps between them stay
 * open for late packets. */
#define ACK_RANGES_KEPT 8

struct ack_tracker {
    struct range_set received;
    uint64_t floor;             /* every number below counts as received */
    uint64_t largest;           /* PACKET_NUMBER_NONE before the first */
    roam_time largest_at;       /* when it came */
    uint64_t largest_eliciting; /* largest ack-eliciting one; PACKET_NUMBER_NONE before the first */
    uint64_t ect0, ect1, ce;    /* ECN counts of processed packets */
    uint32_t eliciting;         /* ack-eliciting packets since the last ACK that we sent */
    bool immediate;             /* an ACK is owed at once */
    bool pending;               /* something came that no ACK of ours has covered */
    roam_time deadline;         /* when an ACK must go; ROAM_TIME_NEVER */
};

void ack_tracker_init(struct ack_tracker *tracker, const roam_allocator *allocator);
void ack_tracker_done(struct ack_tracker *tracker);

/* True where the number was processed before, or may have been (RFC 9000 section 12.3). */
bool ack_tracker_is_duplicate(const struct ack_tracker *tracker, uint64_t number);

/* A packet was authentic, new and processed. `delay`: how long an ACK may wait (0 in Initial and Handshake spaces).
 * An ACK is due at once after two ack-eliciting packets, on reordering or a gap, and on CE. False without memory. */
bool ack_tracker_on_received(struct ack_tracker *tracker, uint64_t number, bool ack_eliciting, uint8_t ecn,
                             roam_time now, roam_time delay);

/* True where an ACK frame should be sent by now. */
bool ack_tracker_is_due(const struct ack_tracker *tracker, roam_time now);

/* An ACK frame with everything received went out. */
void ack_tracker_on_sent(struct ack_tracker *tracker);

/* The peer does not answer, and perhaps has not had our last ACKs either: the next packet says it all once more. */
void ack_tracker_say_again(struct ack_tracker *tracker);

/* An ACK of ours whose largest number was `largest` was itself acknowledged: ranges up to it need not be repeated
 * (section 13.2.4), but stay known as received. */
void ack_tracker_on_acked(struct ack_tracker *tracker, uint64_t largest);

#endif
