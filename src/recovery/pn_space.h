/* One packet number space, RFC 9000 section 12.3: numbers out, numbers in, what is outstanding. Found through a path
 * id one day; today a connection has three. */
#ifndef RECOVERY_PN_SPACE_H
#define RECOVERY_PN_SPACE_H

#include "base/rng.h"
#include "recovery/ack_tracker.h"
#include "recovery/loss.h"
#include "recovery/sent_map.h"

struct pn_space {
    uint64_t next_number;
    uint64_t skipped;       /* newest number left out on purpose, PACKET_NUMBER_NONE before the first (section 21.4) */
    uint64_t next_skip;     /* number to be left out next; only in the application space, at random distances */
    uint64_t largest_acked; /* PACKET_NUMBER_NONE before an ACK came */
    roam_time largest_acked_sent_at;
    roam_time loss_time;                       /* ROAM_TIME_NEVER, or when the next outstanding packet will be lost */
    roam_time last_eliciting_sent_at;          /* 0 before one was */
    uint64_t ect0_acked, ect1_acked, ce_acked; /* counts in the newest ACK_ECN */
    struct sent_map sent;
    struct ack_tracker received;
    uint8_t probes; /* PTO probes owed */
};

void pn_space_init(struct pn_space *space, const roam_allocator *allocator, struct pool *frame_pool);
void pn_space_done(struct pn_space *space);

/* The number for the next packet; now and then one is skipped (where `may_skip`), so that acknowledgements of what
 * was never sent give the peer away. */
uint64_t pn_space_take_number(struct pn_space *space, bool may_skip, const roam_rng *rng);

/* True where the peer acknowledges a number in [smallest, largest] that was never sent: PROTOCOL_VIOLATION. */
bool pn_space_is_unsent(const struct pn_space *space, uint64_t smallest, uint64_t largest);

#endif
