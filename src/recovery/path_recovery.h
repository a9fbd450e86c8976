/* What loss recovery keeps for each path: a path embeds one. Never dropped on migration; reset only as RFC 9000
 * section 9.4 says. */
#ifndef RECOVERY_PATH_RECOVERY_H
#define RECOVERY_PATH_RECOVERY_H

#include "recovery/congestion.h"
#include "recovery/pacer.h"
#include "recovery/rtt.h"
#include "wire/packet.h"
#include "wire/packet_number.h"

struct path_recovery {
    struct rtt rtt;
    struct congestion congestion;
    struct pacer *pacer;                   /* NULL while nothing is under way there: path_recovery_rest */
    uint64_t largest_acked[PACKET_SPACES]; /* of the packets sent on this path; PACKET_NUMBER_NONE */
    roam_time first_sample_at; /* persistent congestion looks only at packets sent after it; NEVER before one */
};

/* What only packets that are under way make necessary. */
struct recovery_work {
    struct pacer pacer;
    struct congestion_work congestion;
};

/* `bbr`: memory for that controller, see congestion_init. It begins at rest. */
void path_recovery_init(struct path_recovery *recovery, const roam_config *config, struct bbr *bbr);

/* Packets are to be sent. `work`: memory for as long as they are under way. */
void path_recovery_begin_work(struct path_recovery *recovery, struct recovery_work *work);

/* The work holds nothing that a fresh one would not, and can be given back. */
bool path_recovery_may_rest(const struct path_recovery *recovery, roam_time now);
void path_recovery_rest(struct path_recovery *recovery);

/* New network: RTT, window and pacer as at the start, in_flight kept. `initial_rtt` seeds the RTT (0: the default). */
void path_recovery_reset(struct path_recovery *recovery, const roam_config *config, roam_time initial_rtt);

#endif
