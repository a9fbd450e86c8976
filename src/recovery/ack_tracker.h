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

/* Up to so many ranges, all that a frame of ours names are told in time, however seldom ACKs go. */
#define ACK_RANGES_THIN_MAX 16

/* When an ACK goes: as RFC 9000 section 13.2 has it, or as the peer would rather have it (ACK_FREQUENCY frames,
 * draft-ietf-quic-ack-frequency section 6). */
struct ack_policy {
    roam_time delay;       /* the longest that it may wait; 0 in Initial and Handshake spaces */
    uint32_t eliciting;    /* with the so many-th ack-eliciting packet it goes at once */
    uint32_t reordering;   /* packets by which one may be overtaken until that is told; 1: none; 0: it never is */
    uint64_t largest_sent; /* Largest Acknowledged of the newest ACK; PACKET_NUMBER_NONE: unknown. For reordering > 1 */
};

/* That of RFC 9000. */
static inline struct ack_policy ack_policy_usual(roam_time delay)
{
    return (struct ack_policy){.delay = delay, .eliciting = 2, .reordering = 1, .largest_sent = PACKET_NUMBER_NONE};
}

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

/* A packet was authentic, new and processed. An ACK is due at once after as many ack-eliciting packets as the policy
 * says, on reordering or a gap, and on CE. False without memory. */
bool ack_tracker_on_received(struct ack_tracker *tracker, uint64_t number, bool ack_eliciting, uint8_t ecn,
                             roam_time now, const struct ack_policy *policy);

/* The peer has asked for an ACK at once. */
void ack_tracker_hurry(struct ack_tracker *tracker, roam_time now);

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
