/*
 * How fast a path delivers: a sample for each ACK frame, after draft-ietf-ccwg-bbr section 4.1 ("Delivery Rate
 * Samples"), whose words these are.
 *
 * What a packet must remember (how much had been delivered and lost when it left, and when) is the same for all packets
 * that leave between two acknowledgements. So it stands in a stamp that many of them share, in a small ring, and a
 * packet keeps the stamp's number: 16 bits. A stamp stays in use for up to a 32nd of a round trip or of what is in
 * flight, which makes a sample's interval longer by so much and takes nothing from its being exact: it runs from the
 * stamp, and counts what was delivered since. A packet whose stamp was overwritten is counted, and gives no sample.
 *
 * Invariants: stamps valid_from .. stamped - 1 are those of packets of this path that left since the last reset;
 * delivered and lost never fall.
 */
#ifndef RECOVERY_DELIVERY_RATE_H
#define RECOVERY_DELIVERY_RATE_H

#include <roam/types.h>

/* Some three round trips of them. */
#define RATE_STAMPS           256
#define RATE_STAMPS_PER_ROUND 32

struct rate_stamp {
    uint64_t delivered, lost;           /* octets, when it was made */
    roam_time delivered_at, first_sent; /* likewise: the sampling interval begins there */
    uint32_t in_flight;                 /* octets, with the packet that it was made for */
    bool app_limited;
};

/* What one ACK frame says. */
struct rate_sample {
    bool has_stamp;           /* else nothing but newly_acked and rtt is known */
    bool app_limited;         /* the newest packet left when there was less to send than might have been */
    uint64_t rate;            /* octets a second; 0: none that could be relied on */
    uint64_t delivered;       /* octets, since the newest packet left */
    uint64_t prior_delivered; /* all octets that had been delivered by then */
    uint64_t lost;            /* octets, since it left */
    uint64_t in_flight;       /* octets, when it left */
    uint64_t newly_acked;     /* octets */
    roam_time rtt;            /* of the newest packet; ROAM_TIME_NEVER: nothing was acknowledged */
};

struct delivery_rate {
    uint64_t delivered, lost;           /* octets, in all */
    roam_time delivered_at, first_sent; /* when the newest was delivered, and when that had left */
    uint64_t app_limited_until;         /* not before so much is delivered; 0: it is not */
    uint64_t stamped, valid_from;       /* stamps made, and the first that counts */
    roam_time stamped_at;
    uint64_t sent_since; /* octets under the newest stamp */
    bool moved;          /* something was delivered or lost since it was made */

    /* The ACK frame that is being handed in. */
    struct rate_sample sample;
    roam_time newest_sent_at, send_elapsed, ack_elapsed;

    struct rate_stamp stamps[RATE_STAMPS];
};

/* Begins afresh, with no packet. `stamped`: stamps that were made before, so that packets with these, which are still on
 * their way, are not taken for newer ones. */
void delivery_rate_init(struct delivery_rate *rate, uint64_t stamped);

/* A packet of `bytes` leaves; `in_flight` is without it, `round` a round-trip time. `ran_out`: with it, all there is to
 * send has left, and more might have. Returns what the packet is to remember. */
uint16_t delivery_rate_on_sent(struct delivery_rate *rate, uint64_t bytes, uint64_t in_flight, bool ran_out,
                               roam_time round, roam_time now);

void delivery_rate_on_acked(struct delivery_rate *rate, uint16_t stamp, uint64_t bytes, roam_time sent_at,
                            roam_time now);

/* All packets of an ACK frame were handed in: rate->sample is complete until the next one. Intervals shorter than
 * `min_rtt` give no rate. */
void delivery_rate_on_ack_end(struct delivery_rate *rate, roam_time min_rtt);

/* Forgets the sample, so that the next ACK frame finds none. */
void delivery_rate_next(struct delivery_rate *rate);

/* A lost packet: *ret says what was in flight when it left and what was lost since, with the packet itself. False, and
 * *ret untouched, where its stamp is gone. */
bool delivery_rate_on_lost(struct delivery_rate *rate, uint16_t stamp, uint64_t bytes, struct rate_sample *ret);

/* From now on samples are no measure of the path, until what is in flight is delivered. */
void delivery_rate_limit(struct delivery_rate *rate, uint64_t in_flight);

#endif
