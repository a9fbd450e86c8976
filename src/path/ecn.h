/*
 * ECN on one path, RFC 9000 section 13.4 and appendix A.4: the first packets are marked ECT(0); acknowledgements that
 * do not account for the marks, or their loss, turn it off.
 *
 * TESTING -> (ECN_TEST_PACKETS marked) UNKNOWN -> (validated ACK of a mark that came through as it was) CAPABLE;
 * UNKNOWN -> (what an ACK said could not be told apart from another path) TESTING; any -> (bad counts; all test packets
 * lost; or CE on all of them, which is a network that mangles and not one that is congested) FAILED.
 */
#ifndef PATH_ECN_H
#define PATH_ECN_H

#include <roam/roam.h>

#define ECN_TEST_PACKETS 10

struct ecn {
    enum roam_ecn_state state;
    uint32_t marked;      /* packets sent with ECT(0) while testing */
    uint32_t marked_lost; /* of them, lost */
    uint32_t acked;       /* of them, acknowledged by ACKs that validate */
    uint32_t acked_ce;    /* marks that had become CE by then */
    bool ect0_seen;       /* a mark came through as it was sent */
};

void ecn_init(struct ecn *ecn, bool enabled);

/* The codepoint for the next ack-eliciting packet on this path. */
uint8_t ecn_mark(const struct ecn *ecn);
void ecn_on_sent(struct ecn *ecn, bool marked);
void ecn_on_lost(struct ecn *ecn, bool marked);

/* An ACK that raised the largest acknowledged number newly acknowledged `marked` packets of this path that had left
 * with ECT(0). Without counts (plain ACK) has_counts is false. The deltas are the increase of the peer's counts since
 * the last such ACK. Returns true where the CE count rose and it counts as congestion, which it does once a mark has
 * come through as it was sent. */
bool ecn_on_acked(struct ecn *ecn, uint64_t marked, bool has_counts, uint64_t ect0_delta, uint64_t ect1_delta,
                  uint64_t ce_delta);

/* An ACK covered `marked` packets of this path and some of another one, so that its counts tell nothing: others are
 * marked in their place. */
void ecn_on_unclear(struct ecn *ecn, uint64_t marked);

#endif
